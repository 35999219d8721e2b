//! Devices that break, drivers that do, and whoever waits for them.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use wharf::net::UdpSocket;
use wharf::{Capabilities, Device, Frame, Net, Outgoing};

use super::support::{FAR, NEAR, config, errno, limited};

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
    /// Panics when it is read.
    Panics,
    /// Panics when it is dropped.
    PanicsInDrop,
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
        assert!(self.fault != Fault::Panics, "this panic is meant");
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

    /// Has a turn read it at once, if that is to panic.
    fn deadline(&self) -> Option<wharf::Instant> {
        (self.fault == Fault::Panics).then_some(wharf::Instant::ZERO)
    }

    fn is_drained(&self) -> bool {
        self.fault == Fault::IsSlow
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(self.fault != Fault::PanicsInDrop, "this panic is meant");
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

/// The device breaks in the hands of a call, and the driver has had no turn to say so.
#[test]
fn an_error_that_a_call_has_met_is_told_though_the_driver_is_dropped_first() {
    limited(|| {
        let (device, break_it) = Fragile::new();
        let (net, driver) = Net::driver(device, config(NEAR)).unwrap();
        let socket = UdpSocket::bind(&net, (NEAR, 9)).unwrap();
        break_it();
        let _ = socket.send_to(b"x", (FAR, 9));
        drop(driver);
        assert_eq!(errno(net.wait()), Some(libc::EBADFD));
    });
}

#[test]
fn a_driver_that_has_panicked_goes_no_further_and_says_so() {
    for is_polled_again in [false, true] {
        limited(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            let _inside = runtime.enter();
            let (device, _break_it) = Fragile::with(Fault::Panics);
            let (net, driver) = Net::driver(device, config(NEAR)).unwrap();
            let mut driver = Box::pin(driver);
            let mut cx = Context::from_waker(Waker::noop());
            let mut poll = || catch_unwind(AssertUnwindSafe(|| driver.as_mut().poll(&mut cx)));
            poll().unwrap_err();
            if is_polled_again {
                let text = format!("{:?}", poll().expect("it does not panic again"));
                assert!(text.contains("panicked"), "{text}");
            }
            drop(driver);
            let error = net.wait().unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
        });
    }
}

#[test]
fn a_device_whose_drop_panics_leaves_nobody_waiting() {
    limited(|| {
        let (device, _break_it) = Fragile::with(Fault::PanicsInDrop);
        let (net, driver) = Net::driver(device, config(NEAR)).unwrap();
        let waiting = UdpSocket::bind(&net, (NEAR, 9)).unwrap();
        thread::scope(|scope| {
            let receiving = scope.spawn(|| waiting.recv(&mut [0; 8]).map(drop));
            thread::sleep(Duration::from_millis(20));
            catch_unwind(AssertUnwindSafe(|| drop(driver))).unwrap_err();
            receiving.join().unwrap().unwrap_err();
            net.wait().unwrap();
        });
    });
}

#[test]
fn a_shutdown_ends_a_stack_whose_driver_waits_for_the_caller() {
    limited(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (device, _break_it) = Fragile::new();
        let (net, driver) = Net::driver(device, config(NEAR)).unwrap();
        runtime.block_on(async {
            let driver = tokio::spawn(driver);
            tokio::task::yield_now().await;
            net.shutdown(Duration::from_millis(10)).unwrap();
            driver.await.unwrap().unwrap();
        });
    });
}

/// tokio puts the driver into a place from which no other worker takes it.
#[test]
fn a_shutdown_ends_a_stack_whose_driver_waits_for_the_worker_of_the_caller() {
    limited(|| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let (device, _break_it) = Fragile::new();
        let (net, driver) = Net::driver(device, config(NEAR)).unwrap();
        runtime.block_on(async {
            let driver = tokio::spawn(driver);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let ending = tokio::spawn(async move { net.shutdown(Duration::from_millis(10)) });
            ending.await.unwrap().unwrap();
            driver.await.unwrap().unwrap();
        });
    });
}
