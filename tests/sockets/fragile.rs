//! Devices that break, drivers that do, and whoever waits for them.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wharf::{Capabilities, Device, Frame, Net, Outgoing};

use super::support::{NEAR, config, errno, limited};

/// A device whose descriptor can report an error and nothing else, as a TUN's does when it is
/// deleted: the writing end of a pipe.
#[derive(Debug)]
struct Fragile {
    writer: PipeWriter,
    is_gone: Arc<AtomicBool>,
    fault: Fault,
    /// How often it has been read since it is gone.
    reads: usize,
}

/// What else a [`Fragile`] device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// Says so only when it is read for the second time, and that nothing more waits before.
    IsSlow,
}

impl Fragile {
    /// The device, and what breaks it.
    fn new() -> (Self, impl FnOnce()) {
        Self::with(Fault::None)
    }

    fn with(fault: Fault) -> (Self, impl FnOnce()) {
        let (reader, writer) = io::pipe().unwrap();
        let is_gone = Arc::new(AtomicBool::new(false));
        let device = Self { writer, is_gone: is_gone.clone(), fault, reads: 0 };
        let break_it = move || {
            is_gone.store(true, Ordering::SeqCst);
            drop(reader);
        };
        (device, break_it)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_gone.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(libc::EBADFD));
        }
        Ok(())
    }
}

impl Device for Fragile {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(1500)
    }

    fn receive_burst(
        &mut self,
        _: wharf::Instant,
        _: &mut VecDeque<Frame>,
        _: usize,
    ) -> io::Result<usize> {
        let result = self.check();
        self.reads += usize::from(result.is_err());
        if self.fault == Fault::IsSlow && self.reads == 1 { Ok(0) } else { result.map(|()| 0) }
    }

    fn transmit_burst(
        &mut self,
        _: wharf::Instant,
        packets: &mut VecDeque<Outgoing>,
    ) -> io::Result<()> {
        packets.clear();
        self.check()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.writer.as_fd())
    }

    fn is_drained(&self) -> bool {
        self.fault == Fault::IsSlow
    }
}

#[test]
fn a_descriptor_that_reports_an_error_ends_a_stack_that_has_nothing_to_do() {
    limited(|| {
        let (device, break_it) = Fragile::new();
        let net = Net::start(device, config(NEAR)).unwrap();
        thread::sleep(Duration::from_millis(20));
        break_it();
        assert_eq!(errno(net.wait()), Some(libc::EBADFD));
    });
}

#[tokio::test]
async fn a_descriptor_that_reports_an_error_ends_a_driver_that_has_nothing_to_do() {
    for fault in [Fault::None, Fault::IsSlow] {
        let (device, break_it) = Fragile::with(fault);
        let (net, driver) = Net::driver(device, config(NEAR)).unwrap();
        let driver = tokio::spawn(driver);
        tokio::time::sleep(Duration::from_millis(20)).await;
        break_it();
        let result = tokio::time::timeout(Duration::from_secs(30), driver).await;
        let result = result.unwrap_or_else(|_| panic!("the driver must end: {fault:?}"));
        assert_eq!(errno(result.unwrap()), Some(libc::EBADFD));
        drop(net);
    }
}
