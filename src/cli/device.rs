//! What all subcommands that use the network share: the device, the stack on it, and its end.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Failure;
use crate::{
    Capture, Device, Impair, Impairment, Ipv4Cidr, Net, StackConfig, Tun, TunConfig, TunError,
    drop_privileges,
};

/// How long a client's connections may take to close once it is done.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Octets that a connection may hold each way. So many super-segments keep the kernel's end and
/// ours busy at the same time; eight such flows fill the device's queue with no more than what it
/// carries in some milliseconds, so that a small answer beside them does not wait for longer.
const BUFFER: u32 = 2 << 20;

/// The device and the addresses at both ends of it.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceArgs {
    /// TUN device: made if there is none of this name, and then removed at the end
    #[arg(long, default_value = "tun0", value_name = "NAME")]
    pub(super) tun: String,

    /// Address of the stack, with the length of its network's prefix
    #[arg(long, default_value = "10.7.0.2/24", value_name = "ADDRESS/LENGTH")]
    pub(super) addr: Ipv4Cidr,

    /// Address of the kernel's side of the device, in the same network
    #[arg(long, default_value = "10.7.0.1", value_name = "ADDRESS")]
    pub(super) host_addr: Ipv4Addr,

    /// Largest IP packet, octets
    #[arg(long, default_value_t = 1500)]
    pub(super) mtu: u32,

    /// Write the packets to a pcapng file, as the stack sent and saw them: outside of --impair
    #[arg(long, value_name = "FILE")]
    pub(super) pcap: Option<PathBuf>,

    /// Be a bad line, in each direction: loss=3%,delay=20ms,jitter=5ms,reorder=1%,duplicate=1%,
    /// corrupt=0.1%,rate=100mbit,queue=64,seed=1
    #[arg(long, value_name = "ITEMS")]
    pub(super) impair: Option<Impairment>,

    /// Let no super-segment cross the device: slower, but a capture on it shows what travels
    #[arg(long)]
    pub(super) no_offload: bool,
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
        (config.tcp.receive_buffer, config.tcp.send_buffer) = (BUFFER, BUFFER);
        config.validate().map_err(Failure::usage)?;
        Ok(config)
    }

    /// Opens what needs privilege, gives all privilege up, starts the stack, and runs `work` on
    /// it in a runtime of tokio's. Then connections may take up to `close_timeout` to close.
    pub(super) fn run<W, F>(&self, close_timeout: Duration, work: W) -> Result<(), Failure>
    where
        W: FnOnce(Net) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let config = self.config()?;
        let device = self.open()?;
        drop_privileges().map_err(|error| {
            Failure::runtime(format_args!("cannot give privileges up: {error}"))
        })?;
        // One thread for the device, the stack and the applications: a request is read, answered
        // and sent without a hand-over, which costs several times what it does itself.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::runtime(format_args!("cannot start tokio: {error}")))?;
        let (net, driver) = Net::driver(device, config)
            .map_err(|error| Failure::runtime(format_args!("cannot start the stack: {error}")))?;
        runtime.spawn(driver);
        let outcome = runtime.block_on(self.work_or_lose(net, close_timeout, work));
        // A task may be waiting for standard input, and would wait for ever.
        runtime.shutdown_background();
        outcome
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
        closed.map_err(|error| self.lost(Err(error)))
    }

    fn lost(&self, outcome: io::Result<()>) -> Failure {
        let name = &self.tun;
        match outcome {
            Err(error) => Failure::runtime(format_args!("the device {name} is gone: {error}")),
            Ok(()) => Failure::runtime(format_args!("the stack on {name} has ended")),
        }
    }

    /// The TUN, behind the impairment, behind the capture: a capture shows what the stack meant
    /// and what it saw.
    fn open(&self) -> Result<Box<dyn Device>, Failure> {
        let host_address =
            Ipv4Cidr::new(self.host_addr, self.addr.prefix_len()).map_err(Failure::usage)?;
        let mut config = TunConfig::new(&self.tun);
        config.host_address = Some(host_address);
        config.mtu = self.mtu;
        // A bad line loses packets, and not sixty-four kilobytes at once.
        config.offload = !self.no_offload && self.impair.is_none();
        let tun = Tun::open(&config).map_err(|error| tun_failure(&error))?;
        match &self.impair {
            Some(settings) => self.capture(Impair::new(tun, *settings)),
            None => self.capture(tun),
        }
    }

    fn capture(&self, device: impl Device + 'static) -> Result<Box<dyn Device>, Failure> {
        let Some(path) = &self.pcap else {
            return Ok(Box::new(device));
        };
        let capture = Capture::create(device, path, &self.tun, time_of_day()).map_err(|error| {
            let path = path.display();
            Failure::runtime(format_args!("cannot write the capture {path}: {error}"))
        })?;
        Ok(Box::new(capture))
    }
}

fn tun_failure(error: &TunError) -> Failure {
    match error {
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
