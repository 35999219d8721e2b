//! Every system call of this folder that std does not make for us, each behind a safe function.
#![expect(
    unsafe_code,
    reason = "the folder's only `unsafe`: calls into libc that std has no safe form of"
)]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::raw::{c_int, c_short};
use std::os::unix::fs::OpenOptionsExt;

use bytes::BytesMut;

use super::agreement::Offloads;

pub(super) mod ring;

/// The door of the TUN driver.
pub(super) const TUN_DRIVER: &str = "/dev/net/tun";

/// As linux/if_tun.h has it: `_IOR('T', 224, int)`.
const TUNSETSTEERINGEBPF: libc::Ioctl = libc::_IOR::<c_int>(b'T' as u32, 224);

/// `-1` with `errno` becomes an error, as all these calls report theirs.
fn check(outcome: c_int) -> io::Result<c_int> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome) }
}

/// The descriptor of a TUN that `tun-tap` opened, which itself knows only the raw number.
pub(super) fn descriptor_of(interface: &tun_tap::Iface) -> BorrowedFd<'_> {
    // SAFETY: `interface` owns the descriptor, keeps it open, and outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(interface.as_raw_fd()) }
}

/// Makes reads and writes return EAGAIN where they would block.
pub(super) fn set_non_blocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_GETFL takes no pointer, and `fd` is open.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes an integer and no pointer, and `fd` is open.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

/// An eventfd with a count of 0: non-blocking, closed on exec.
pub(super) fn event_counter() -> io::Result<OwnedFd> {
    // SAFETY: eventfd takes two integers and no pointer.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
    // SAFETY: the kernel has just given us `fd`, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A request about the interface `name`, with nothing else in it.
fn request_for(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain data, for which all-zero octets are a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    Ok(request)
}

/// One of the requests of netdevice(7) or of the TUN driver that take an `ifreq`.
fn interface_call(
    fd: BorrowedFd<'_>,
    call: libc::Ioctl,
    request: &mut libc::ifreq,
) -> io::Result<()> {
    // SAFETY: the callers below pass only calls that read and write one `ifreq`; `request` is
    // one, and outlives the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), call, &raw mut *request) })?;
    Ok(())
}

/// `IFF_TUN`, `IFF_TAP`, `IFF_NO_PI`, `IFF_VNET_HDR`, `IFF_MULTI_QUEUE`: how the TUN queue `fd`
/// talks. ENOTTY if `fd` is no TUN queue, EBADFD if it has no interface.
pub(super) fn tun_flags(fd: BorrowedFd<'_>) -> io::Result<c_int> {
    let mut request = request_for("")?;
    interface_call(fd, libc::TUNGETIFF, &mut request)?;
    // SAFETY: TUNGETIFF has filled in `ifru_flags`, and any bits are a valid `c_short`.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(c_int::from(flags.cast_unsigned()))
}

/// Says what may come before packets are split and their checksums completed.
pub(super) fn set_offloads(fd: BorrowedFd<'_>, offloads: Offloads) -> io::Result<()> {
    const TCP: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO_ECN;
    let bits = match offloads {
        Offloads::None => 0,
        Offloads::Checksums => libc::TUN_F_CSUM,
        Offloads::Tcp => TCP,
        // Linux knows them, from 6.2 on, for both versions of IP together only.
        Offloads::TcpAndUdp => TCP | libc::TUN_F_USO4 | libc::TUN_F_USO6,
    };
    let bits = libc::c_ulong::from(bits);
    // SAFETY: TUNSETOFFLOAD takes its argument by value and no pointer, and `fd` is open.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, bits) })?;
    Ok(())
}

/// Says how many octets of a `virtio_net_hdr` stand before each packet.
pub(super) fn set_header_len(fd: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    let len = c_int::try_from(len).map_err(io::Error::other)?;
    // SAFETY: TUNSETVNETHDRSZ reads one `int`, which outlives the call, and `fd` is open.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const len) })?;
    Ok(())
}

/// How many queues a TUN can have at a time; made one way, it stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queues {
    One,
    Several,
}

impl Queues {
    /// What TUNSETIFF wants to be told.
    pub(super) fn flag(self) -> c_int {
        match self {
            Self::One => 0,
            Self::Several => libc::IFF_MULTI_QUEUE,
        }
    }
}

/// A new queue of the TUN `name`, non-blocking; makes the device if there is none.
pub(super) fn attach_tun(name: &str, flags: c_int) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(TUN_DRIVER)?;
    let mut request = request_for(name)?;
    // The bits of TUNSETIFF fill 16; the kernel reads them without a sign.
    request.ifr_ifru.ifru_flags = u16::try_from(flags).map_err(io::Error::other)?.cast_signed();
    interface_call(file.as_fd(), libc::TUNSETIFF, &mut request)?;
    Ok(file)
}

/// One instruction of an eBPF program (Linux `Documentation/bpf/standardization`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u8,
    /// The destination's number and the source's, four bits each.
    pub(super) registers: u8,
    pub(super) offset: i16,
    pub(super) immediate: i32,
}

/// Has the kernel check a program that looks at packets as a socket filter does, and keep it. EPERM
/// if that may not be done here.
pub(super) fn load_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    /// The beginning of what `bpf_attr` of linux/bpf.h holds for this command.
    #[repr(C)]
    struct Load {
        kind: u32,
        len: u32,
        program: u64,
        license: u64,
        log: [u32; 2],
        log_buffer: u64,
    }
    /// `BPF_PROG_LOAD` and `BPF_PROG_TYPE_SOCKET_FILTER`.
    const LOAD: c_int = 5;
    const SOCKET_FILTER: u32 = 1;

    let license = c"MIT OR Apache-2.0";
    let load = Load {
        kind: SOCKET_FILTER,
        len: u32::try_from(program.len()).map_err(io::Error::other)?,
        program: program.as_ptr().expose_provenance().try_into().map_err(io::Error::other)?,
        license: license.as_ptr().expose_provenance().try_into().map_err(io::Error::other)?,
        log: [0; 2],
        log_buffer: 0,
    };
    // SAFETY: the kernel reads the attributes, so many instructions, and the licence up to its NUL,
    // all of which outlive the call; it writes nothing, since no log is asked for.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, LOAD, &raw const load, size_of::<Load>()) };
    let fd = check(c_int::try_from(fd).map_err(io::Error::other)?)?;
    // SAFETY: the kernel has just given us `fd`, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the program says of a packet, which the kernel makes for it of `octets`.
#[cfg(test)]
pub(super) fn run_program(program: &OwnedFd, octets: &[u8]) -> io::Result<u32> {
    /// The beginning of what `bpf_attr` of linux/bpf.h holds for this command.
    #[repr(C)]
    struct Run {
        program: c_int,
        outcome: u32,
        len: [u32; 2],
        octets: u64,
        octets_out: u64,
        repeat: [u32; 2],
    }
    /// `BPF_PROG_TEST_RUN`.
    const RUN: c_int = 10;
    /// Octets of an Ethernet header, which the kernel takes off.
    const LINK: usize = 14;

    let octets = [&[0; LINK], octets].concat();
    let mut run = Run {
        program: program.as_raw_fd(),
        outcome: 0,
        len: [u32::try_from(octets.len()).map_err(io::Error::other)?, 0],
        octets: octets.as_ptr().expose_provenance().try_into().map_err(io::Error::other)?,
        octets_out: 0,
        repeat: [1, 0],
    };
    // SAFETY: the kernel reads the attributes and so many octets, and writes the attributes; all
    // of them outlive the call.
    let outcome = unsafe { libc::syscall(libc::SYS_bpf, RUN, &raw mut run, size_of::<Run>()) };
    check(c_int::try_from(outcome).map_err(io::Error::other)?)?;
    Ok(run.outcome)
}

/// Has the program say, for each packet that goes to the TUN of queue `fd`, to which of its queues;
/// `None` leaves that to the kernel again.
pub(super) fn set_steering(fd: BorrowedFd<'_>, program: Option<&OwnedFd>) -> io::Result<()> {
    let program: c_int = program.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: TUNSETSTEERINGEBPF reads one `int`, which outlives the call, and `fd` is open. The
    // kernel keeps the program by itself from then on.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETSTEERINGEBPF, &raw const program) })?;
    Ok(())
}

/// Reads one packet to behind what is in `spare`, as far as there is room: nothing, of a socket to
/// which somebody has sent an empty datagram. ENODEV if its peer has gone, and at the end of what
/// is no socket.
pub(super) fn read_behind(fd: BorrowedFd<'_>, spare: &mut BytesMut) -> io::Result<()> {
    let room = spare.spare_capacity_mut();
    // SAFETY: `room` is memory that we hold mutably and that is as long as it says; the kernel
    // writes into it and reads nothing, so that it need not be initialized.
    let read = unsafe { libc::read(fd.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
    let Ok(read) = usize::try_from(read) else { return Err(io::Error::last_os_error()) };
    if read == 0 && (domain(fd).is_none() || has_hung_up(fd)?) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let len = spare.len() + read;
    // SAFETY: the kernel has written `read` octets into the spare capacity, from its start on.
    unsafe { spare.set_len(len) };
    Ok(())
}

/// Whether nothing will ever come from `fd`. To read nothing does not say so: a datagram may be
/// empty.
fn has_hung_up(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut polled = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: poll reads and writes the one entry, which outlives the call.
    check(unsafe { libc::poll(&raw mut polled, 1, 0) })?;
    Ok(polled.revents & (libc::POLLHUP | libc::POLLRDHUP) != 0)
}

/// Whether `fd` is a socket of IP.
pub(super) fn is_ip_socket(fd: BorrowedFd<'_>) -> bool {
    matches!(domain(fd), Some(libc::AF_INET | libc::AF_INET6))
}

/// The family of addresses of a socket; `None` for what is none.
fn domain(fd: BorrowedFd<'_>) -> Option<c_int> {
    let mut domain: c_int = 0;
    let mut len = libc::socklen_t::try_from(size_of::<c_int>()).ok()?;
    // SAFETY: getsockopt writes one `int` and its length, and both outlive the call.
    let outcome = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DOMAIN,
            (&raw mut domain).cast(),
            &raw mut len,
        )
    };
    (outcome == 0).then_some(domain)
}

/// What asks for and sets the properties of interfaces (netdevice(7)): a plain IPv4 socket, of
/// the network namespace that the thread is in.
pub(super) struct ControlSocket(OwnedFd);

/// The properties that are an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressKind {
    /// The interface's own.
    Local,
    /// The mask of its network.
    Mask,
}

impl ControlSocket {
    /// Opens the socket; needs no privilege.
    pub(super) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: socket takes three integers and no pointer.
        let fd = check(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
        // SAFETY: the kernel has just given us `fd`, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The number of the interface; `None` if there is no such interface.
    pub(super) fn index(&self, name: &str) -> io::Result<Option<u32>> {
        let mut request = request_for(name)?;
        match interface_call(self.0.as_fd(), libc::SIOCGIFINDEX, &mut request) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            outcome => outcome?,
        }
        // SAFETY: SIOCGIFINDEX has filled in `ifru_ifindex`, and any bits are a valid `c_int`.
        let index = unsafe { request.ifr_ifru.ifru_ifindex };
        Ok(u32::try_from(index).ok())
    }

    /// The MTU of the interface, octets.
    pub(super) fn mtu(&self, name: &str) -> io::Result<u32> {
        let mut request = request_for(name)?;
        interface_call(self.0.as_fd(), libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: SIOCGIFMTU has filled in `ifru_mtu`, and any bits are a valid `c_int`.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        u32::try_from(mtu).map_err(io::Error::other)
    }

    /// Sets the MTU of the interface, octets.
    pub(super) fn set_mtu(&self, name: &str, mtu: u32) -> io::Result<()> {
        let mut request = request_for(name)?;
        request.ifr_ifru.ifru_mtu = c_int::try_from(mtu).map_err(io::Error::other)?;
        interface_call(self.0.as_fd(), libc::SIOCSIFMTU, &mut request)
    }

    /// Sets an address of the interface.
    pub(super) fn set_address(
        &self,
        name: &str,
        kind: AddressKind,
        addr: Ipv4Addr,
    ) -> io::Result<()> {
        let mut request = request_for(name)?;
        // A `sockaddr_in`, written as the `sockaddr` that the request holds: two octets of port,
        // four of address.
        let [a, b, c, d] = addr.octets().map(u8::cast_signed);
        request.ifr_ifru.ifru_addr = libc::sockaddr {
            sa_family: u16::try_from(libc::AF_INET).map_err(io::Error::other)?,
            sa_data: [0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        let call = match kind {
            AddressKind::Local => libc::SIOCSIFADDR,
            AddressKind::Mask => libc::SIOCSIFNETMASK,
        };
        interface_call(self.0.as_fd(), call, &mut request)
    }

    /// Whether the interface is up.
    pub(super) fn is_up(&self, name: &str) -> io::Result<bool> {
        let up = c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
        Ok(self.flags(name)? & up != 0)
    }

    /// Brings the interface up.
    pub(super) fn set_up(&self, name: &str) -> io::Result<()> {
        let up = c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
        let mut request = request_for(name)?;
        request.ifr_ifru.ifru_flags = self.flags(name)? | up;
        interface_call(self.0.as_fd(), libc::SIOCSIFFLAGS, &mut request)
    }

    fn flags(&self, name: &str) -> io::Result<c_short> {
        let mut request = request_for(name)?;
        interface_call(self.0.as_fd(), libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: SIOCGIFFLAGS has filled in `ifru_flags`, and any bits are a valid `c_short`.
        Ok(unsafe { request.ifr_ifru.ifru_flags })
    }
}

/// A socket of rtnetlink(7), of the network namespace that the thread is in: what is written to it
/// goes to the kernel, and its answers are read. Non-blocking.
pub(super) fn route_socket() -> io::Result<File> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes three integers and no pointer.
    let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    // SAFETY: the kernel has just given us `fd`, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The name of the interface that has `addr`, if any has.
pub(super) fn interface_with(addr: Ipv4Addr) -> io::Result<Option<String>> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: getifaddrs writes one pointer, to a list that stays ours until freeifaddrs.
    check(unsafe { libc::getifaddrs(&raw mut list) })?;
    let mut owner = None;
    let mut next = list;
    // SAFETY: `next` is null or an entry of the list, which is not freed before the loop ends.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        if ipv4_of(entry) == Some(addr) && owner.is_none() {
            // SAFETY: `ifa_name` of an entry is a string that ends in NUL and lives as the list.
            let name = unsafe { CStr::from_ptr(entry.ifa_name) };
            owner = Some(name.to_string_lossy().into_owned());
        }
    }
    // SAFETY: `list` came from getifaddrs, and nothing that points into it is left.
    unsafe { libc::freeifaddrs(list) };
    Ok(owner)
}

/// The address of an entry, if it has one and that is of IPv4.
fn ipv4_of(entry: &libc::ifaddrs) -> Option<Ipv4Addr> {
    // SAFETY: `ifa_addr` is null or points to a `sockaddr` that lives as long as the entry.
    let family = unsafe { entry.ifa_addr.as_ref() }?.sa_family;
    if c_int::from(family) != libc::AF_INET {
        return None;
    }
    // SAFETY: a family of AF_INET says that a whole `sockaddr_in` stands there; it is read
    // without relying on its alignment.
    let socket_addr = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
    Some(Ipv4Addr::from(socket_addr.sin_addr.s_addr.to_ne_bytes()))
}

/// Forbids that this thread, or a program that it runs, ever gains privileges by `execve`.
pub(super) fn forbid_new_privileges() -> io::Result<()> {
    let (on, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: PR_SET_NO_NEW_PRIVS takes integers and no pointer.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, unused, unused, unused) })?;
    Ok(())
}

/// Takes the capability `number` out of the bounding set. EINVAL if there is none of that number,
/// EPERM without CAP_SETPCAP.
pub(super) fn drop_from_bounding_set(number: u32) -> io::Result<()> {
    let (number, unused): (libc::c_ulong, libc::c_ulong) = (number.into(), 0);
    // SAFETY: PR_CAPBSET_DROP takes integers and no pointer.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, unused, unused, unused) })?;
    Ok(())
}

/// Empties the effective, permitted and inheritable capabilities of this thread; the kernel then
/// empties the ambient ones too, since those are always permitted and inheritable ones.
pub(super) fn clear_capabilities() -> io::Result<()> {
    /// `struct __user_cap_header_struct` of linux/capability.h.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    /// `struct __user_cap_data_struct` of linux/capability.h; version 3 takes two.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION_3: u32 = 0x2008_0522;

    let mut header = Header { version: VERSION_3, pid: 0 };
    let none = [Data { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: capset reads the header, may write its version, and reads the two sets that
    // version 3 has; all of them outlive the call.
    let outcome = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, none.as_ptr()) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
