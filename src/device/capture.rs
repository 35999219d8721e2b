//! A tap that writes what passes a device to a pcapng file, for Wireshark and tshark.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
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
    /// `None` once a write has failed.
    writer: Option<PcapNgWriter<Output>>,
    /// From 1970 to [`Instant::ZERO`].
    epoch: Duration,
    /// Where a packet is put together, since a block takes it in one piece.
    scratch: Vec<u8>,
}

/// What is captured to.
type Output = BufWriter<Box<dyn Write + Send>>;

impl<D> Capture<D> {
    /// Captures what passes `device` to the file at `path`, which is made anew.
    ///
    /// `name` is the interface's name in the file, `epoch` the time of day at [`Instant::ZERO`].
    pub fn create(
        device: D,
        path: impl AsRef<Path>,
        name: &str,
        epoch: SystemTime,
    ) -> io::Result<Self> {
        Self::new(device, File::create(path)?, name, epoch)
    }

    /// As [`Capture::create`], to anything that takes octets. It need not buffer them.
    pub fn new(
        device: D,
        output: impl Write + Send + 'static,
        name: &str,
        epoch: SystemTime,
    ) -> io::Result<Self> {
        let output: Box<dyn Write + Send> = Box::new(output);
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
        Ok(Self {
            device,
            writer: Some(writer),
            epoch: epoch.duration_since(UNIX_EPOCH).unwrap_or_default(),
            scratch: Vec::new(),
        })
    }

    /// Ends the capture at its first failed write.
    fn check(&mut self, outcome: io::Result<()>) -> io::Result<()> {
        if outcome.is_err()
            && let Some(writer) = self.writer.take()
        {
            // Taken apart, since dropping a `BufWriter` would try the write once more.
            let (_output, _unwritten) = writer.into_inner().into_parts();
        }
        outcome
    }

    /// As [`Capture::check`], where nobody can be told but the log.
    fn check_or_log(&mut self, outcome: io::Result<()>) {
        if let Err(error) = self.check(outcome) {
            log::error!("the capture ends here, as it cannot be written: {error}");
        }
    }

    fn flush_file(&mut self) -> io::Result<()> {
        let outcome = match &mut self.writer {
            Some(writer) => writer.get_mut().flush(),
            None => Ok(()),
        };
        self.check(outcome)
    }
}

/// Writes one packet.
fn write_packet(
    writer: &mut PcapNgWriter<Output>,
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
        if let Some(writer) = &mut self.writer {
            let timestamp = self.epoch.saturating_add(now - Instant::ZERO);
            let mut outcome = Ok(());
            for frame in into.range(before..) {
                carry_out_arrived(frame.clone(), |frame| {
                    if outcome.is_ok() {
                        outcome = write_packet(writer, timestamp, INBOUND, frame.octets());
                    }
                });
            }
            self.check_or_log(outcome);
        }
        Ok(count)
    }

    fn transmit_burst(&mut self, now: Instant, packets: &mut VecDeque<Outgoing>) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
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
            self.check_or_log(outcome);
        }
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
        let outcome = self.flush_file();
        self.check_or_log(outcome);
    }
}

impl<D: fmt::Debug> fmt::Debug for Capture<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_writing = self.writer.is_some();
        f.debug_struct("Capture")
            .field("device", &self.device)
            .field("is_writing", &is_writing)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "tests/capture.rs"]
mod tests;
