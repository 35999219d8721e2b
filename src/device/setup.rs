//! Setting a TUN up: what is asked for, what is there already, and how the two come together.

use std::fs::{self, File};
use std::io;
use std::os::raw::c_int;

use super::netlink;
use super::sys::{self, AddressKind, ControlSocket};
use super::tun_error::{Misfit, TunError};
use crate::config::{MTU_MAX, MTU_MIN};
use crate::wire::Ipv4Cidr;

/// Octets of the longest name: `IFNAMSIZ` less the NUL that ends it.
const NAME_MAX: usize = libc::IFNAMSIZ - 1;

/// `IFF_PERSIST` of linux/if_tun.h: the device stays when nobody holds it.
const PERSIST: c_int = 0x0800;

/// Most queues that one device has: the kernel's `MAX_TAP_QUEUES`.
pub(super) const QUEUES_MAX: usize = 256;

/// Which TUN to open, and how to set it up if it does not exist yet.
///
/// A device that exists keeps its address, MTU and queue length: they are somebody else's
/// decisions. It is only brought up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunConfig {
    /// Name of the device, at most 15 octets. `tun0`.
    pub name: String,
    /// Address of the host's side, with its network: packets to that network come to us. None.
    pub host_address: Option<Ipv4Cidr>,
    /// Largest IP packet, octets. 1500, as on an Ethernet.
    pub mtu: u32,
    /// How many packets may wait for us to read them; one more is dropped unseen. 5,000: the
    /// kernel's 500 overflow within one burst of a fast sender.
    pub queue_len: u32,
    /// Whether super-segments and partial checksums cross the device, where the kernel can do its
    /// part. On. Off makes each packet one as on a wire, several times as slow: for captures on
    /// the device that are to show what travels.
    pub offload: bool,
    /// Whether many short packets are read, or written, by one system call, where the kernel lets
    /// us have an io_uring(7). On. Where it does not, each takes a call of its own as ever. A
    /// device that was made goes some milliseconds after a process that ends without dropping its
    /// [`Tun`](crate::Tun): the kernel ends the ring in its own time.
    pub io_uring: bool,
}

impl Default for TunConfig {
    fn default() -> Self {
        Self {
            name: "tun0".to_owned(),
            host_address: None,
            mtu: 1500,
            queue_len: 5000,
            offload: true,
            io_uring: true,
        }
    }
}

impl TunConfig {
    /// The device `name`, everything else by default.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// What can be refused without asking the kernel.
    pub(super) fn validate(&self) -> Result<(), TunError> {
        if !is_name(&self.name) {
            let name = self.name.clone();
            return Err(TunError::NameInvalid { name });
        }
        check_mtu(self.mtu)?;
        if self.queue_len == 0 {
            return Err(TunError::QueueEmpty);
        }
        match self.host_address {
            Some(addr) if !is_host(addr) => Err(TunError::AddressInvalid { addr }),
            Some(_) | None => Ok(()),
        }
    }
}

/// As many queues as a device can have.
pub(super) fn check_count(count: usize) -> Result<(), TunError> {
    if (1..=QUEUES_MAX).contains(&count) { Ok(()) } else { Err(TunError::QueueCount { count }) }
}

/// An MTU that IPv4 allows.
pub(super) fn check_mtu(mtu: u32) -> Result<(), TunError> {
    if (MTU_MIN..=MTU_MAX).contains(&mtu) { Ok(()) } else { Err(TunError::MtuOutOfRange { mtu }) }
}

/// Whether `name` can name one interface: the kernel's rule without the letters that a shell or
/// the kernel itself (`%d`, aliases with `:`) would read as something else.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=NAME_MAX).contains(&name.len())
        && name.chars().all(is_plain)
        && name != "."
        && name != ".."
}

/// Whether the host's side may have this address. The kernel would take the broadcast address of
/// the network too, and a stack would drop all that comes from there.
fn is_host(cidr: Ipv4Cidr) -> bool {
    let addr = cidr.addr();
    let [first, ..] = addr.octets();
    !addr.is_unspecified() && !addr.is_loopback() && first < 224 && cidr.broadcast() != Some(addr)
}

/// Adds what was tried to an error of the kernel.
pub(super) fn failed(name: &str, step: &'static str) -> impl FnOnce(io::Error) -> TunError {
    let name = name.to_owned();
    move |source| TunError::SetUp { name, step, source }
}

/// Whether the driver is there and lets us in. An open without a name makes no device.
pub(super) fn check_driver() -> Result<(), TunError> {
    match File::options().read(true).write(true).open(sys::TUN_DRIVER) {
        Ok(_) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(TunError::DriverDenied { source })
        }
        Err(source) => Err(TunError::NoDriver { source }),
    }
}

/// Whether an existing interface can take so many queues, as far as that can be known before
/// trying: the kernel answers a mismatch with EINVAL and no reason.
pub(super) fn check_existing(name: &str, index: u32, count: usize) -> Result<(), TunError> {
    let Some(flags) = flags_in_sysfs(name, index) else {
        return Ok(());
    };
    let misfit = flags.map_or_else(Some, |flags| misfit_before_attaching(flags, count));
    if let Some(misfit) = misfit {
        return Err(unfit(name, misfit));
    }
    if flags.is_ok_and(is_held) {
        let source = io::Error::from_raw_os_error(libc::EBUSY);
        return Err(TunError::Busy { name: name.to_owned(), source });
    }
    Ok(())
}

/// The error that says how the device does not fit.
pub(super) fn unfit(name: &str, misfit: Misfit) -> TunError {
    let name = name.to_owned();
    TunError::Unfit { name, misfit }
}

/// What sysfs says of the interface, if it knows; an error if that is no TUN.
///
/// A mounted sysfs shows the network namespace of whoever mounted it, which need not be ours; so
/// its word counts only if it has the same number for the same name.
fn flags_in_sysfs(name: &str, index: u32) -> Option<Result<c_int, Misfit>> {
    let read = |file: &str| fs::read_to_string(format!("/sys/class/net/{name}/{file}"));
    if read("ifindex").ok()?.trim().parse() != Ok(index) {
        return None;
    }
    match read("tun_flags") {
        Ok(text) => parse_flags(&text).map(Ok),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Err(Misfit::NotTun)),
        Err(_) => None,
    }
}

/// Whether somebody has a device of several queues for himself. The kernel would let us take some
/// of his packets: a device that does not persist is there only because he holds a queue of it.
fn is_held(flags: c_int) -> bool {
    flags & libc::IFF_MULTI_QUEUE != 0 && flags & PERSIST == 0
}

/// `0x1801` and a line feed, as sysfs writes flags.
fn parse_flags(text: &str) -> Option<c_int> {
    let digits = text.trim().strip_prefix("0x")?;
    c_int::from_str_radix(digits, 16).ok()
}

/// What a device keeps when a queue attaches. `vnet_hdr` and `pi` are not among it: the only
/// queue of a device decides them.
fn misfit_before_attaching(flags: c_int, count: usize) -> Option<Misfit> {
    if flags & libc::IFF_TAP != 0 {
        Some(Misfit::Tap)
    } else if flags & libc::IFF_MULTI_QUEUE == 0 && count > 1 {
        Some(Misfit::SingleQueue)
    } else {
        None
    }
}

/// What is wrong with an attached queue, for a reader that expects packets, with or without a
/// `virtio_net_hdr`.
pub(super) fn misfit_of_queue(flags: c_int) -> Option<Misfit> {
    if flags & libc::IFF_TAP != 0 {
        Some(Misfit::Tap)
    } else if flags & libc::IFF_NO_PI == 0 {
        Some(Misfit::PacketInfo)
    } else {
        None
    }
}

/// Why the kernel did not attach us, by its error number.
pub(super) fn attach_error(name: &str, exists: bool, source: io::Error) -> TunError {
    let owned = name.to_owned();
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => TunError::NotPrivileged { name: owned, exists, source },
        Some(libc::EBUSY) => TunError::Busy { name: owned, source },
        Some(libc::EINVAL) => unfit(name, Misfit::Refused),
        _ => failed(name, "make the device")(source),
    }
}

/// Refuses an address that another interface has: the kernel would not, and packets would then
/// go to whichever came first.
pub(super) fn check_address_is_free(name: &str, addr: Ipv4Cidr) -> Result<(), TunError> {
    let addr = addr.addr();
    match sys::interface_with(addr).map_err(failed(name, "list the addresses in use"))? {
        Some(interface) => Err(TunError::AddressInUse { addr, interface }),
        None => Ok(()),
    }
}

/// Sets up a device that we have just made.
pub(super) fn configure(control: &ControlSocket, config: &TunConfig) -> Result<(), TunError> {
    let name = &config.name;
    control.set_mtu(name, config.mtu).map_err(failed(name, "set the MTU"))?;
    let index = control.index(name).map_err(failed(name, "look the device up"))?;
    if let Err(error) = netlink::set_queue_len(index.unwrap_or(0), config.queue_len) {
        // It then loses more packets in a burst, and works all the same.
        log::warn!("the queue length of {name} stays as it is: {error}");
    }
    if let Some(cidr) = config.host_address {
        control
            .set_address(name, AddressKind::Local, cidr.addr())
            .map_err(failed(name, "set the address"))?;
        control
            .set_address(name, AddressKind::Mask, cidr.mask())
            .map_err(failed(name, "set the netmask"))?;
    }
    control.set_up(name).map_err(failed(name, "bring the device up"))
}

/// Takes over a device that existed before: brings it up if it is down, and says its MTU.
pub(super) fn adopt(control: &ControlSocket, name: &str) -> Result<u32, TunError> {
    if !control.is_up(name).map_err(failed(name, "ask for the state"))? {
        control.set_up(name).map_err(|source| TunError::Down { name: name.to_owned(), source })?;
    }
    let mtu = control.mtu(name).map_err(failed(name, "ask for the MTU"))?;
    Ok(mtu.clamp(MTU_MIN, MTU_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_the_kernel_and_a_shell_take_as_it_stands() {
        let config = |name: &str| TunConfig::new(name).validate();
        for good in ["t", "tun0", "wharf-a_b.c", "abcdefghijklmno"] {
            assert!(config(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "a:1", "tun%d", "a\0b", "tün", "abcdefghijklmnop"]
        {
            let error = config(bad).unwrap_err();
            assert!(matches!(error, TunError::NameInvalid { .. }), "{bad:?}");
        }
    }

    #[test]
    fn each_value_out_of_range_has_its_own_error() {
        let mut config = TunConfig::default();
        for (mtu, is_good) in [(67, false), (68, true), (65_535, true), (65_536, false)] {
            config.mtu = mtu;
            assert_eq!(config.validate().is_ok(), is_good, "{mtu}");
        }
        let config = TunConfig { queue_len: 0, ..TunConfig::default() };
        assert!(matches!(config.validate(), Err(TunError::QueueEmpty)));
        for (addr, is_good) in [
            ("10.7.0.1/24", true),
            ("0.0.0.0/0", false),
            ("127.0.0.1/8", false),
            ("224.0.0.1/4", false),
            ("255.255.255.255/32", false),
            ("10.7.0.255/24", false),
            ("10.7.0.255/31", true),
        ] {
            let config =
                TunConfig { host_address: Some(addr.parse().unwrap()), ..TunConfig::default() };
            assert_eq!(config.validate().is_ok(), is_good, "{addr}");
        }
    }

    #[test]
    fn a_device_of_several_queues_that_does_not_persist_is_somebody_elses() {
        for (flags, is_anothers) in
            [(0x1101, true), (0x1901, false), (0x1001, false), (0x1801, false)]
        {
            assert_eq!(is_held(flags), is_anothers, "{flags:#x}");
        }
    }

    #[test]
    fn a_device_has_as_many_queues_as_the_kernel_allows() {
        for (count, is_good) in [(0, false), (1, true), (256, true), (257, false)] {
            assert_eq!(check_count(count).is_ok(), is_good, "{count}");
        }
        let error = check_count(300).unwrap_err();
        assert_eq!(error.to_string(), "300 queues: a device has 1 to 256");
    }

    #[test]
    fn a_device_of_one_queue_is_told_how_to_be_made_for_several() {
        let text = unfit("t0", Misfit::SingleQueue).to_string();
        assert!(text.ends_with("(ip tuntap add dev t0 mode tun multi_queue)"), "{text}");
        let text = unfit("t0", Misfit::Refused).to_string();
        assert!(text.ends_with("(ip tuntap add dev t0 mode tun)"), "{text}");
    }

    #[test]
    fn flags_tell_what_does_not_fit() {
        assert_eq!(parse_flags("0x1801\n"), Some(0x1801));
        assert_eq!(parse_flags("1801"), None);
        assert_eq!(misfit_before_attaching(0x1801, 1), None);
        assert_eq!(misfit_before_attaching(0x1801, 2), Some(Misfit::SingleQueue));
        assert_eq!(misfit_before_attaching(0x1901, 1), None, "of several queues one may be ours");
        assert_eq!(misfit_before_attaching(0x1901, 2), None);
        assert_eq!(misfit_before_attaching(0x1802, 1), Some(Misfit::Tap));
        assert_eq!(misfit_before_attaching(0x0801, 1), None, "pi is the queue's");
        assert_eq!(misfit_of_queue(0x1001), None);
        assert_eq!(misfit_of_queue(0x1002), Some(Misfit::Tap));
        assert_eq!(misfit_of_queue(0x5001), None, "a header can be written");
        assert_eq!(misfit_of_queue(0x0001), Some(Misfit::PacketInfo));
    }

    #[test]
    fn each_refusal_of_the_kernel_has_its_own_error() {
        let error = |number| attach_error("t0", true, io::Error::from_raw_os_error(number));
        assert!(matches!(error(libc::EPERM), TunError::NotPrivileged { .. }));
        assert!(matches!(error(libc::EBUSY), TunError::Busy { .. }));
        assert!(matches!(error(libc::EINVAL), TunError::Unfit { .. }));
        let other = error(libc::ENOMEM);
        assert!(matches!(other, TunError::SetUp { .. }));
        assert!(std::error::Error::source(&other).is_some());
    }

    #[test]
    fn the_loopback_interface_is_no_tun() {
        let control = ControlSocket::open().unwrap();
        let index = control.index("lo").unwrap().unwrap();
        // Where sysfs shows another namespace it knows nothing, and the kernel's EINVAL decides.
        let flags = flags_in_sysfs("lo", index);
        assert!(matches!(flags, Some(Err(Misfit::NotTun)) | None), "{flags:?}");
        assert_eq!(flags_in_sysfs("lo", index + 1), None);
        assert_eq!(control.index("no-such-device").unwrap(), None);
    }
}
