//! The types and numbers of `include/wharf.h`, laid out as C lays them out.

use std::ffi::{c_char, c_int};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::errno::{Answer, Errno};

/// `wharf`: the caller never sees what it is.
#[repr(C)]
pub(super) struct Wharf {
    opaque: [u8; 0],
}

/// `struct wharf_addr`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct WharfAddr {
    pub(super) family: u8,
    pub(super) ip: [u8; 16],
    pub(super) port: u16,
}

/// `struct wharf_cfg`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct WharfCfg {
    pub(super) mtu: u32,
    pub(super) rcvbuf: u32,
    pub(super) sndbuf: u32,
    pub(super) seed: u64,
    pub(super) local4: WharfAddr,
    pub(super) local6: WharfAddr,
    pub(super) flags: *const c_char,
}

/// Family of no address. To `connect` it is AF_UNSPEC: the socket gives its peer up.
pub(super) const FAMILY_NONE: u8 = 0;

/// Family of IPv4.
pub(super) const FAMILY_IPV4: u8 = 4;

/// `WHARF_TCP` and `WHARF_UDP`.
pub(super) const KIND_TCP: c_int = 1;
pub(super) const KIND_UDP: c_int = 2;

/// `WHARF_MSG_*`.
pub(super) const MSG_PEEK: c_int = 1;
pub(super) const MSG_MORE: c_int = 2;
pub(super) const MSG_FASTOPEN: c_int = 4;
pub(super) const MSG_OOB: c_int = 8;

/// `WHARF_IN` to `WHARF_PRI`.
pub(super) const POLL_IN: c_int = 1;
pub(super) const POLL_OUT: c_int = 2;
pub(super) const POLL_ERR: c_int = 4;
pub(super) const POLL_HUP: c_int = 8;
pub(super) const POLL_RDHUP: c_int = 16;
pub(super) const POLL_PRI: c_int = 32;

impl WharfAddr {
    /// The IPv4 address in it, or `None` for any other family.
    pub(super) fn ipv4(&self) -> Option<Ipv4Addr> {
        let [a, b, c, d, ..] = self.ip;
        (self.family == FAMILY_IPV4).then(|| Ipv4Addr::new(a, b, c, d))
    }

    /// The address as the stack takes it; EAFNOSUPPORT for any family but IPv4.
    pub(super) fn to_socket_addr(self) -> Answer<SocketAddr> {
        let ipv4 = self.ipv4().ok_or(Errno(libc::EAFNOSUPPORT))?;
        Ok(SocketAddr::new(ipv4.into(), self.port))
    }
}

impl From<SocketAddr> for WharfAddr {
    fn from(addr: SocketAddr) -> Self {
        let mut ip = [0; 16];
        let family = match addr.ip() {
            IpAddr::V4(ipv4) => {
                ip[..4].copy_from_slice(&ipv4.octets());
                FAMILY_IPV4
            }
            IpAddr::V6(ipv6) => {
                ip = ipv6.octets();
                6
            }
        };
        Self { family, ip, port: addr.port() }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::{align_of, offset_of, size_of};

    use super::*;

    /// As a C compiler for a 64-bit machine lays them out; the C tests ask one.
    #[test]
    fn the_structs_have_the_layout_that_c_gives_them() {
        assert_eq!((size_of::<WharfAddr>(), align_of::<WharfAddr>()), (20, 2));
        assert_eq!((offset_of!(WharfAddr, ip), offset_of!(WharfAddr, port)), (1, 18));
        assert_eq!(offset_of!(WharfCfg, seed), 16);
        assert_eq!((offset_of!(WharfCfg, local4), offset_of!(WharfCfg, local6)), (24, 44));
        assert_eq!((offset_of!(WharfCfg, flags), size_of::<WharfCfg>()), (64, 72));
    }

    #[test]
    fn only_ipv4_addresses_are_taken() {
        let mut addr = WharfAddr::from(SocketAddr::from(([10, 7, 0, 2], 80)));
        assert_eq!((addr.family, addr.ip[..4].to_vec(), addr.port), (4, vec![10, 7, 0, 2], 80));
        assert_eq!(addr.to_socket_addr(), Ok(SocketAddr::from(([10, 7, 0, 2], 80))));
        for family in [0, 2, 6, 255] {
            addr.family = family;
            assert_eq!(addr.to_socket_addr(), Err(Errno(libc::EAFNOSUPPORT)), "{family}");
        }
    }
}
