//! What all subcommands that use the network share: the device, the stack on it, and its end.

use std::cmp::Reverse;
use std::fs;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Handle, Runtime};

use super::Failure;
use crate::{
    Capture, Device, Driver, Impair, Impairment, Ipv4Cidr, Net, StackConfig, Tun, TunConfig,
    TunError, drop_privileges,
};

/// How long a client's connections may take to close once it is done.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Octets that a connection may hold each way. So many super-segments keep the kernel's end and
/// ours busy at the same time; eight such flows fill the device's queue with no more than what it
/// carries in some milliseconds, so that a small answer beside them does not wait for longer.
const BUFFER: u32 = 2 << 20;

/// Octets that a connection may receive into where the kernel hands over no super-segments: 725
/// packets of an Ethernet's size, so that one sender alone cannot overrun a queue of 1,000.
const PLAIN_RECEIVE_BUFFER: u32 = 1 << 20;

/// How long others may take to give a device its address: who manages networks, as
/// systemd-networkd does, begins when the device is in use.
const SET_UP_TIME: Duration = Duration::from_millis(300);

/// The interface, in proc(5), of a route that refuses.
const NO_INTERFACE: &str = "*";

/// The device and the addresses at both ends of it.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceArgs {
    /// TUN device: made if there is none of this name, and then removed at the end
    #[arg(long, default_value = "tun0", value_name = "NAME")]
    pub(super) tun: String,

    /// Address of the stack, with the length of its network's prefix
    #[arg(long, default_value = "10.7.0.2/24", value_name = "ADDRESS/LENGTH")]
    pub(super) addr: Ipv4Cidr,

    /// Address of the kernel's side, in the same network: given only to a device that is made here
    #[arg(long, default_value = "10.7.0.1", value_name = "ADDRESS")]
    pub(super) host_addr: Ipv4Addr,

    /// Largest IP packet of the stack, octets: set on a device too if it is made here
    #[arg(long, default_value_t = 1500)]
    pub(super) mtu: u32,

    /// Write the packets to a pcapng file, as the stack sent and saw them: outside of --impair
    #[arg(long, value_name = "FILE")]
    pub(super) pcap: Option<PathBuf>,

    // In pieces since the items are one word, which a line of a comment cannot hold.
    #[arg(long, value_name = "ITEMS", help = concat!(
        "Be a bad line, in each direction: ",
        "loss=3%,burst=1%/25%,delay=20ms,jitter=5ms,reorder=1%,",
        "duplicate=1%,corrupt=0.1%,rate=100mbit,queue=64,mtu=1400,seed=1",
    ))]
    pub(super) impair: Option<Impairment>,

    /// Let no super-segment cross the device: slower, but a capture on it shows what travels
    #[arg(long)]
    pub(super) no_offload: bool,

    /// Have each packet carried by a system call of its own: slower, where many small ones come
    #[arg(long)]
    pub(super) no_io_uring: bool,
}

/// Clients run beside a server, so they have a device and a network of their own.
pub(super) fn with_client_defaults(command: clap::Command) -> clap::Command {
    command
        .mut_arg("tun", |arg| arg.default_value("tun1"))
        .mut_arg("addr", |arg| arg.default_value("10.7.1.2/24"))
        .mut_arg("host_addr", |arg| arg.default_value("10.7.1.1"))
}

impl DeviceArgs {
    /// The stack's configuration, if it can be one.
    pub(super) fn config(&self) -> Result<StackConfig, Failure> {
        let (addr, host) = (self.addr, self.host_addr);
        if host == addr.addr() {
            return Err(Failure::usage(format_args!(
                "--host-addr {host} is the stack's own address: the kernel's side needs another"
            )));
        }
        if !addr.contains(host) {
            return Err(Failure::usage(format_args!(
                "--host-addr {host} is not in the network of --addr {addr}"
            )));
        }
        let mut config = StackConfig::new(addr);
        config.interface.mtu = self.mtu;
        config.tcp.receive_buffer = if self.no_offload { PLAIN_RECEIVE_BUFFER } else { BUFFER };
        config.tcp.send_buffer = BUFFER;
        config.validate().map_err(Failure::usage)?;
        Ok(config)
    }

    /// Opens what needs privilege, gives all privilege up, starts the stack, and runs `work` on
    /// it in a runtime of tokio's. Then connections may take up to `close_timeout` to close.
    ///
    /// One thread for the device, the stack and the applications: a request is read, answered and
    /// sent without a hand-over, which costs several times what it does itself.
    pub(super) fn run<W, F>(&self, close_timeout: Duration, work: W) -> Result<(), Failure>
    where
        W: FnOnce(Net) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let (net, drivers) = self.prepare(1)?;
        let runtime = runtime()?;
        for driver in drivers {
            runtime.spawn(driver);
        }
        let outcome = runtime.block_on(self.work_or_lose(net, close_timeout, work));
        // A task may be waiting for standard input, and would wait for ever.
        runtime.shutdown_background();
        outcome
    }

    /// As [`DeviceArgs::run`] with a shard for each of `queues`, and such a thread for each shard:
    /// `work` gets their runtimes. It runs itself on this thread, which carries no packets.
    pub(super) fn run_shards<W, F>(
        &self,
        queues: u16,
        close_timeout: Duration,
        work: W,
    ) -> Result<(), Failure>
    where
        W: FnOnce(Net, Vec<Handle>) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let (net, drivers) = self.prepare(queues)?;
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        for (index, driver) in drivers.into_iter().enumerate() {
            let runtime = runtime()?;
            runtime.spawn(driver);
            handles.push(runtime.handle().clone());
            let net = net.clone();
            let carry = move || {
                // Why the stack ended is told by the thread that waits for all.
                let _ = runtime.block_on(net.wait_async());
                runtime.shutdown_background();
            };
            let thread = thread::Builder::new().name(format!("wharf-{index}")).spawn(carry);
            threads.push(thread.map_err(|error| {
                Failure::runtime(format_args!("cannot start a thread: {error}"))
            })?);
        }
        let work = |net| work(net, handles);
        let outcome = runtime()?.block_on(self.work_or_lose(net, close_timeout, work));
        for thread in threads {
            // A panic there has ended the stack, and is the outcome.
            let _ = thread.join();
        }
        outcome
    }

    /// The stack on the device, which runs as soon as its drivers do; all privilege is given up.
    fn prepare(&self, queues: u16) -> Result<(Net, Vec<Driver>), Failure> {
        let config = self.config()?;
        let devices = self.open(queues)?;
        // A device may steer packets only if somebody privileged asks for it.
        let prepared = Net::drivers(devices, config)
            .map_err(|error| Failure::runtime(format_args!("cannot start the stack: {error}")))?;
        drop_privileges().map_err(|error| {
            Failure::runtime(format_args!("cannot give privileges up: {error}"))
        })?;
        Ok(prepared)
    }

    /// Runs `work` until it is done or the device is gone.
    async fn work_or_lose<W, F>(
        &self,
        net: Net,
        close_timeout: Duration,
        work: W,
    ) -> Result<(), Failure>
    where
        W: FnOnce(Net) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let outcome = tokio::select! {
            biased;
            lost = net.wait_async() => Err(self.lost(lost)),
            outcome = work(net.clone()) => outcome,
        };
        let closed = net.shutdown_async(close_timeout).await;
        outcome?;
        // Not only the device can fail here: a capture is written out at the end.
        closed.map_err(|error| {
            let name = &self.tun;
            Failure::runtime(format_args!("the stack on {name} has not ended well: {error}"))
        })
    }

    fn lost(&self, outcome: io::Result<()>) -> Failure {
        let name = &self.tun;
        match outcome {
            Err(error) => Failure::runtime(format_args!("the device {name} is gone: {error}")),
            Ok(()) => Failure::runtime(format_args!("the stack on {name} has ended")),
        }
    }

    /// The queues of the TUN, behind the impairment, behind the capture: a capture shows what the
    /// stack meant and what it saw.
    fn open(&self, queues: u16) -> Result<Vec<Box<dyn Device>>, Failure> {
        let host_address =
            Ipv4Cidr::new(self.host_addr, self.addr.prefix_len()).map_err(Failure::usage)?;
        let mut config = TunConfig::new(&self.tun);
        config.host_address = Some(host_address);
        config.mtu = self.mtu;
        // A bad line loses packets, and not sixty-four kilobytes at once.
        config.offload = !self.no_offload && self.impair.is_none();
        config.io_uring = !self.no_io_uring;
        let tuns = Tun::open_queues(&config, queues.into())
            .map_err(|error| tun_failure(&error, host_address))?;
        if tuns.iter().all(|tun| !tun.was_made()) {
            self.warn_if_unreachable(host_address);
        }
        match &self.impair {
            Some(settings) => {
                // Each queue is a line of its own: they do not lose the same packets.
                let lines = tuns
                    .into_iter()
                    .zip(seeds(settings.seed))
                    .map(|(tun, seed)| Impair::new(tun, Impairment { seed, ..*settings }));
                self.capture(lines.collect())
            }
            None => self.capture(tuns),
        }
    }

    /// Says so if the kernel does not send to the device what is for us: one that others have made
    /// keeps the addresses that it has, and may have none.
    fn warn_if_unreachable(&self, host_address: Ipv4Cidr) {
        let (name, addr) = (&self.tun, self.addr.addr());
        let routes = || fs::read_to_string("/proc/thread-self/net/route");
        let Ok(mut routes_now) = routes() else { return };
        if way_to(addr, &routes_now) != Some(name) {
            thread::sleep(SET_UP_TIME);
            routes_now = routes().unwrap_or_default();
        }
        let way = way_to(addr, &routes_now);
        if way != Some(name) {
            log::warn!(
                "the kernel sends what is for {addr} {}: {name} is not made here and keeps its \
                 own addresses (ip addr add {host_address} dev {name})",
                way.map_or_else(|| "nowhere".to_owned(), |way| format!("to {way}")),
            );
        }
    }

    fn capture(&self, queues: Vec<impl Device + 'static>) -> Result<Vec<Box<dyn Device>>, Failure> {
        let Some(path) = &self.pcap else {
            return Ok(boxed(queues));
        };
        let captures = Capture::create_of_queues(queues, path, &self.tun, time_of_day());
        captures.map(boxed).map_err(|error| {
            let path = path.display();
            Failure::runtime(format_args!("cannot write the capture {path}: {error}"))
        })
    }
}

/// The interface to which the kernel's main table, `routes` of proc(5), sends what is for `addr`.
/// Of equal routes the kernel takes the first; one that refuses (unreachable, blackhole) leads
/// nowhere.
fn way_to(addr: Ipv4Addr, routes: &str) -> Option<&str> {
    let routes = routes.lines().skip(1).filter_map(|line| {
        let columns: Vec<_> = line.split_ascii_whitespace().collect();
        let &[name, network, _, _, _, _, metric, mask, ..] = columns.as_slice() else {
            return None;
        };
        // Octets in the network's order, written as a number of this machine.
        let octets = |hex| u32::from_str_radix(hex, 16).map(u32::to_ne_bytes).ok();
        let (network, mask) = (octets(network)?, octets(mask)?);
        let [network, mask] = [network, mask].map(u32::from_be_bytes);
        // Kernels print the upper half of all metrics as negative numbers, or as they are.
        let metric = metric.parse().map(i32::cast_unsigned).or_else(|_| metric.parse()).ok()?;
        (addr.to_bits() & mask == network).then_some((Reverse(mask), metric, name))
    });
    let (_, _, name) = routes.min_by_key(|&(mask, metric, _)| (mask, metric))?;
    (name != NO_INTERFACE).then_some(name)
}

/// All seeds from `first` on, and around.
fn seeds(first: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(first), |seed| Some(seed.wrapping_add(1)))
}

fn boxed(queues: Vec<impl Device + 'static>) -> Vec<Box<dyn Device>> {
    queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Device>).collect()
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::runtime(format_args!("cannot start tokio: {error}")))
}

fn tun_failure(error: &TunError, host_address: Ipv4Cidr) -> Failure {
    match error {
        // Whoever makes it for us has to give it its address as well.
        TunError::NotPrivileged { name, exists: false, .. } => Failure::runtime(format_args!(
            "{error}, with the address of the kernel's side (ip addr add {host_address} dev {name})"
        )),
        TunError::NameInvalid { .. }
        | TunError::MtuOutOfRange { .. }
        | TunError::QueueEmpty
        | TunError::QueueCount { .. }
        | TunError::AddressInvalid { .. } => Failure::usage(error),
        TunError::AddressInUse { .. }
        | TunError::NoDriver { .. }
        | TunError::DriverDenied { .. }
        | TunError::NotPrivileged { .. }
        | TunError::Busy { .. }
        | TunError::Unfit { .. }
        | TunError::Down { .. }
        | TunError::SetUp { .. } => Failure::runtime(error),
    }
}

/// The stack counts from its own start, which is now; its capture counts from 1970.
#[expect(clippy::disallowed_methods, reason = "the core sees no time of day; captures do")]
fn time_of_day() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser as _;

    use super::*;
    use crate::Link;

    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        device: DeviceArgs,
    }

    /// A file on a disk that is full.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _octets: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(libc::ENOSPC))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_capture_that_cannot_be_written_out_does_not_make_a_device_that_is_gone() {
        let args = Alone::parse_from(["wharf"]).device;
        let (near, _far) = Link::pair(1500);
        let captured = Capture::new(near, Full, "tun0", SystemTime::UNIX_EPOCH).unwrap();
        let (net, driver) = Net::driver(captured, args.config().unwrap()).unwrap();
        tokio::spawn(driver);
        let outcome = args.work_or_lose(net, Duration::ZERO, async |_| Ok(())).await;
        let sentence = outcome.unwrap_err().sentence;
        assert!(sentence.contains("No space left"), "{sentence}");
        assert!(!sentence.contains("gone"), "{sentence}");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_way_to_an_address_is_that_of_the_longest_prefix() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      wlan0\t0000070A\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n\
                      tun0\t0000070A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
                      tun9\t0700070A\t00000000\t0005\t0\t0\t700\tFFFFFFFF\t0\t0\t0\n";
        for (addr, name) in [([10, 7, 0, 2], "tun0"), ([10, 7, 0, 7], "tun9"), ([9; 4], "eth0")] {
            assert_eq!(way_to(addr.into(), routes), Some(name), "{addr:?}");
        }
        let equal = "*\t0000080A\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                     tun1\t0000090A\t00000000\t0001\t0\t0\t-1\t00FFFFFF\t0\t0\t0\n\
                     tun2\t00000A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                     wlan0\t00000A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                     wlan1\t00000A0A\t00000000\t0001\t0\t0\t-7\t00FFFFFF\t0\t0\t0\n";
        let more = format!("{routes}{equal}");
        for (addr, name) in [(8, None), (9, Some("tun1")), (10, Some("tun2"))] {
            assert_eq!(way_to([10, addr, 0, 2].into(), &more), name, "{addr}");
        }
        let without_default = routes.replace("eth0", "\n").replace("010200C0", "");
        assert_eq!(way_to([9; 4].into(), &without_default), None);
        assert_eq!(way_to([9; 4].into(), ""), None);
    }

    #[test]
    fn who_may_make_no_device_is_told_all_that_it_needs() {
        let refused = |exists| TunError::NotPrivileged {
            name: "tun0".to_owned(),
            exists,
            source: io::Error::from_raw_os_error(libc::EPERM),
        };
        let sentence =
            |exists| tun_failure(&refused(exists), "10.7.0.1/24".parse().unwrap()).sentence;
        assert!(sentence(false).contains("ip tuntap add dev tun0"), "{}", sentence(false));
        assert!(sentence(false).contains("ip addr add 10.7.0.1/24 dev tun0"));
        assert!(!sentence(true).contains("ip addr"), "{}", sentence(true));
    }

    #[test]
    fn the_last_seed_that_there_is_has_one_behind_it() {
        let seeds: Vec<u64> = seeds(u64::MAX).take(3).collect();
        assert_eq!(seeds, [u64::MAX, 0, 1]);
    }
}
