//! A tap that writes what passes a device to a pcapng file, for Wireshark and tshark.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

use super::offload::{carry_out, carry_out_arrived};
use super::{Capabilities, Device};
use crate::packet::{Frame, Outgoing};
use crate::time::{Duration, Instant};
use crate::wire::Steering;

/// Octets that are gathered before they are written.
const BUFFER: usize = 256 << 10;

/// `if_tsresol` of nanoseconds: ten to the minus ninth (draft-ietf-opsawg-pcapng §4.2).
const NANOSECONDS: u8 = 9;

/// `epb_flags` of a packet that came in (draft-ietf-opsawg-pcapng §4.3.1).
const INBOUND: u32 = 1;

/// `epb_flags` of a packet that went out.
const OUTBOUND: u32 = 2;

/// A device whose packets are written to a pcapng file as they pass.
///
/// The file has one interface of raw IP packets, times in nanoseconds, and each packet's
/// direction as the stack sees it. Super-segments are written as the packets that they stand for,
/// with whole checksums, whoever splits them. Around an [`Impair`](super::Impair) it shows what the
/// stack sent and what reached it; inside of one (`Impair::new(Capture…)`), what passed the device
/// itself.
///
/// A failing write does not hold up the traffic: it is logged once, and the capture ends there.
pub struct Capture<D> {
    device: D,
    /// Shared by the queues of a device. `None` once a write has failed.
    writer: Arc<Mutex<Option<Writer>>>,
    /// From 1970 to [`Instant::ZERO`].
    epoch: Duration,
    /// Where a packet is put together, since a block takes it in one piece.
    scratch: Vec<u8>,
}

/// What is captured to.
type Output = BufWriter<Box<dyn Write + Send>>;
type Writer = PcapNgWriter<Output>;

impl<D> Capture<D> {
    /// Captures what passes `device` to the file at `path`, which is made anew.
    ///
    /// `name` is the interface's name in the file, `epoch` the time of day at [`Instant::ZERO`].
    ///
    /// # Errors
    ///
    /// What the system says if the file cannot be made. Later the first write that fails ends the
    /// capture and nothing else: [`flush`](Device::flush) tells of it, or else the log.
    pub fn create(
        device: D,
        path: impl AsRef<Path>,
        name: &str,
        epoch: SystemTime,
    ) -> io::Result<Self> {
        Self::new(device, File::create(path)?, name, epoch)
    }

    /// As [`Capture::create`], of all `queues` of a device to one file. Their packets stand there
    /// burst by burst, so that times may step back where two queues were busy at once.
    ///
    /// # Errors
    ///
    /// As [`Capture::create`].
    pub fn create_of_queues(
        queues: Vec<D>,
        path: impl AsRef<Path>,
        name: &str,
        epoch: SystemTime,
    ) -> io::Result<Vec<Self>> {
        let writer = begin(Box::new(File::create(path)?), name)?;
        Ok(queues
            .into_iter()
            .map(|queue| Self::with_writer(queue, writer.clone(), epoch))
            .collect())
    }

    /// As [`Capture::create`], to anything that takes octets. It need not buffer them.
    ///
    /// # Errors
    ///
    /// Hardly any: what is written first is buffered. Later as [`Capture::create`].
    pub fn new(
        device: D,
        output: impl Write + Send + 'static,
        name: &str,
        epoch: SystemTime,
    ) -> io::Result<Self> {
        Ok(Self::with_writer(device, begin(Box::new(output), name)?, epoch))
    }

    fn with_writer(device: D, writer: Arc<Mutex<Option<Writer>>>, epoch: SystemTime) -> Self {
        let epoch = epoch.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { device, writer, epoch, scratch: Vec::new() }
    }

    fn flush_file(&mut self) -> io::Result<()> {
        let mut writer = lock(&self.writer);
        let outcome = match &mut *writer {
            Some(writer) => writer.get_mut().flush(),
            None => Ok(()),
        };
        check(&mut writer, outcome)
    }
}

/// Begins a file: what stands before the packets.
fn begin(output: Box<dyn Write + Send>, name: &str) -> io::Result<Arc<Mutex<Option<Writer>>>> {
    let output = BufWriter::with_capacity(BUFFER, output);
    let application = format!("wharf {}", env!("CARGO_PKG_VERSION"));
    let section = SectionHeaderBlock {
        endianness: Endianness::Little,
        options: vec![SectionHeaderOption::UserApplication(application.into())],
        ..SectionHeaderBlock::default()
    };
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        snaplen: 0, // Packets are never cut.
        options: vec![
            InterfaceDescriptionOption::IfName(name.to_owned().into()),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ],
    };
    let mut writer = PcapNgWriter::with_section_header(output, section).map_err(to_io)?;
    writer.write_pcapng_block(interface).map_err(to_io)?;
    Ok(Arc::new(Mutex::new(Some(writer))))
}

fn lock(writer: &Mutex<Option<Writer>>) -> MutexGuard<'_, Option<Writer>> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the capture at its first failed write.
fn check(writer: &mut Option<Writer>, outcome: io::Result<()>) -> io::Result<()> {
    if outcome.is_err()
        && let Some(writer) = writer.take()
    {
        // Taken apart, since dropping a `BufWriter` would try the write once more.
        let (_output, _unwritten) = writer.into_inner().into_parts();
    }
    outcome
}

/// As [`check`], where nobody can be told but the log.
fn check_or_log(writer: &mut Option<Writer>, outcome: io::Result<()>) {
    if let Err(error) = check(writer, outcome) {
        log::error!("the capture ends here, as it cannot be written: {error}");
    }
}

/// Writes one packet.
fn write_packet(
    writer: &mut Writer,
    timestamp: Duration,
    direction: u32,
    octets: &[u8],
) -> io::Result<()> {
    let block = EnhancedPacketBlock {
        interface_id: 0,
        timestamp,
        original_len: u32::try_from(octets.len()).map_err(io::Error::other)?,
        data: Cow::Borrowed(octets),
        options: vec![EnhancedPacketOption::Flags(direction)],
    };
    writer.write_pcapng_block(block).map_err(to_io)?;
    Ok(())
}

fn to_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

impl<D: Device> Device for Capture<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive_burst(
        &mut self,
        now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        let before = into.len();
        let count = self.device.receive_burst(now, into, max)?;
        let mut file = lock(&self.writer);
        if let Some(writer) = &mut *file {
            let timestamp = self.epoch.saturating_add(now - Instant::ZERO);
            let mut outcome = Ok(());
            for frame in into.range(before..) {
                carry_out_arrived(frame.clone(), |frame| {
                    if outcome.is_ok() {
                        outcome = write_packet(writer, timestamp, INBOUND, frame.octets());
                    }
                });
            }
            check_or_log(&mut file, outcome);
        }
        Ok(count)
    }

    fn transmit_burst(&mut self, now: Instant, packets: &mut VecDeque<Outgoing>) -> io::Result<()> {
        let mut file = lock(&self.writer);
        if let Some(writer) = &mut *file {
            let timestamp = self.epoch.saturating_add(now - Instant::ZERO);
            let scratch = &mut self.scratch;
            let mut outcome = Ok(());
            for packet in packets.iter() {
                carry_out(packet.clone(), |packet| {
                    scratch.clear();
                    packet.copy_to(scratch);
                    if outcome.is_ok() {
                        outcome = write_packet(writer, timestamp, OUTBOUND, scratch);
                    }
                });
            }
            check_or_log(&mut file, outcome);
        }
        drop(file); // The other queues need not wait for the device.
        self.device.transmit_burst(now, packets)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.device.fd()
    }

    fn is_drained(&self) -> bool {
        self.device.is_drained()
    }

    fn steer(&mut self, steering: &Steering) -> bool {
        self.device.steer(steering)
    }

    fn deadline(&self) -> Option<Instant> {
        self.device.deadline()
    }

    /// Writes the rest of the capture out. What failed earlier has been logged and is no error
    /// any more.
    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.flush_file();
        self.device.flush().and(outcome)
    }
}

/// Writes the rest out.
impl<D> Drop for Capture<D> {
    fn drop(&mut self) {
        if let Err(error) = self.flush_file() {
            log::error!("the capture ends here, as it cannot be written: {error}");
        }
    }
}

impl<D: fmt::Debug> fmt::Debug for Capture<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_writing = lock(&self.writer).is_some();
        f.debug_struct("Capture")
            .field("device", &self.device)
            .field("is_writing", &is_writing)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "tests/capture.rs"]
mod tests;
