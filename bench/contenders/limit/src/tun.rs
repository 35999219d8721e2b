//! Opening a TUN device and building packets for it.

use std::ffi::CString;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::RawFd;

const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
const IFF_TUN: i16 = 0x0001;
const IFF_NO_PI: i16 = 0x1000;
const IFF_VNET_HDR: i16 = 0x4000;
const TUN_F_CSUM: u32 = 0x01;
const TUN_F_TSO4: u32 = 0x02;
const TUN_F_TSO6: u32 = 0x04;
const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;

/// Bytes of the virtio-net header the kernel uses by default.
pub const VNET: usize = 10;

#[repr(C)]
struct IfReq {
    name: [u8; 16],
    flags: i16,
    pad: [u8; 22],
}

pub fn open(name: &str, vnet: bool, uso: bool) -> io::Result<RawFd> {
    let path = CString::new("/dev/net/tun").unwrap();
    let fd =
        unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut req = IfReq { name: [0; 16], flags: IFF_TUN | IFF_NO_PI, pad: [0; 22] };
    if vnet {
        req.flags |= IFF_VNET_HDR;
    }
    req.name[..name.len()].copy_from_slice(name.as_bytes());
    if unsafe { libc::ioctl(fd, TUNSETIFF as _, &req) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut off = 0;
    if vnet {
        off = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
        if uso {
            off |= TUN_F_USO4 | TUN_F_USO6;
        }
    }
    if unsafe { libc::ioctl(fd, TUNSETOFFLOAD as _, off as libc::c_ulong) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

pub fn read(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    let n = unsafe { libc::read(fd, buf.as_mut_ptr() as *mut libc::c_void, buf.len()) };
    if n < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(n as usize)
    }
}

pub fn write(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    let n = unsafe { libc::write(fd, buf.as_ptr() as *const libc::c_void, buf.len()) };
    if n < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(n as usize)
    }
}

pub fn pin(cpu: usize) {
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set);
    }
}

/// Adds 16-bit big-endian words; not folded.
pub fn sum(b: &[u8]) -> u64 {
    let mut s = 0u64;
    let mut it = b.chunks_exact(2);
    for w in &mut it {
        s += u16::from_be_bytes([w[0], w[1]]) as u64;
    }
    if let [last] = it.remainder() {
        s += (*last as u64) << 8;
    }
    s
}

pub fn fold(mut s: u64) -> u16 {
    while s >> 16 != 0 {
        s = (s & 0xffff) + (s >> 16);
    }
    s as u16
}

pub fn pseudo(src: Ipv4Addr, dst: Ipv4Addr, proto: u8, len: usize) -> u64 {
    sum(&src.octets()) + sum(&dst.octets()) + proto as u64 + len as u64
}

/// Writes a 20-byte IPv4 header.
pub fn ipv4(b: &mut [u8], src: Ipv4Addr, dst: Ipv4Addr, proto: u8, total: usize) {
    b[..20].fill(0);
    b[0] = 0x45;
    b[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    b[6] = 0x40; // don't fragment
    b[8] = 64;
    b[9] = proto;
    b[12..16].copy_from_slice(&src.octets());
    b[16..20].copy_from_slice(&dst.octets());
    let c = !fold(sum(&b[..20]));
    b[10..12].copy_from_slice(&c.to_be_bytes());
}

/// Fills a virtio-net header that leaves the transport checksum to the kernel
/// and, when `gso` is not zero, the cutting into segments too.
pub fn vnet(b: &mut [u8], kind: u8, gso: u16, hdr_len: u16, csum_start: u16, csum_off: u16) {
    b[0] = 1; // needs checksum
    b[1] = if gso != 0 { kind } else { 0 };
    b[2..4].copy_from_slice(&hdr_len.to_ne_bytes());
    b[4..6].copy_from_slice(&gso.to_ne_bytes());
    b[6..8].copy_from_slice(&csum_start.to_ne_bytes());
    b[8..10].copy_from_slice(&csum_off.to_ne_bytes());
}
