//! What a capture writes, read back with the same crate; and what it does when it cannot write.

use std::num::NonZeroU16;

use pcap_file::pcapng::{Block, PcapNgReader};

use super::*;
use crate::device::Link;
use crate::packet::{Checksum, Offload};
use crate::wire::ipv4::Ipv4Header;
use crate::wire::udp::UdpHeader;

/// A file in memory, of a limited size.
#[derive(Clone, Default)]
struct Memory {
    octets: Arc<Mutex<Vec<u8>>>,
    room: Option<usize>,
}

impl Write for Memory {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut memory = self.octets.lock().unwrap();
        if self.room.is_some_and(|room| memory.len() + octets.len() > room) {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        memory.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// 2023-11-14 22:13:20.000000001 UTC.
fn epoch() -> SystemTime {
    UNIX_EPOCH + Duration::new(1_700_000_000, 1)
}

fn packet(octets: &'static [u8]) -> VecDeque<Outgoing> {
    let mut packet = Outgoing::default();
    packet.head.extend(octets[..1].iter().copied());
    packet.payload.push(octets[1..].into());
    VecDeque::from([packet])
}

/// Time, direction and octets of each packet; checks what stands before them.
fn read_back(file: &[u8]) -> Vec<(Duration, u32, Vec<u8>)> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let application = format!("wharf {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        reader.section().options,
        [SectionHeaderOption::UserApplication(application.into())]
    );
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        match block.unwrap().into_owned() {
            Block::InterfaceDescription(interface) => {
                assert_eq!(interface.linktype, DataLink::RAW);
                assert_eq!(
                    interface.options,
                    [
                        InterfaceDescriptionOption::IfName("tun0".into()),
                        InterfaceDescriptionOption::IfTsResol(9)
                    ]
                );
            }
            Block::EnhancedPacket(packet) => {
                let [EnhancedPacketOption::Flags(direction)] = packet.options[..] else {
                    panic!("{packet:?}");
                };
                assert_eq!(usize::try_from(packet.original_len).unwrap(), packet.data.len());
                packets.push((packet.timestamp, direction, packet.data.into_owned()));
            }
            other => panic!("{other:?}"),
        }
    }
    packets
}

#[test]
fn what_passes_stands_in_the_file_with_its_time_and_direction() {
    let (near, mut far) = Link::pair_virtual(1500);
    let memory = Memory::default();
    let mut device = Capture::new(near, memory.clone(), "tun0", epoch()).unwrap();
    let nanos = Instant::from_nanos;
    device.transmit_burst(nanos(5), &mut packet(&[0x45, 1, 2])).unwrap();
    far.transmit_burst(nanos(6), &mut packet(&[0x46; 20])).unwrap();
    far.transmit_burst(nanos(6), &mut packet(&[0x47; 3])).unwrap();
    let mut frames = VecDeque::from([Frame::new(vec![9])]);
    assert_eq!(device.receive_burst(nanos(7), &mut frames, 9).unwrap(), 2);
    assert_eq!(device.receive_burst(nanos(8), &mut frames, 9).unwrap(), 0);
    assert_eq!(frames.len(), 3);
    let mut arrived = VecDeque::new();
    assert_eq!(far.receive_burst(nanos(8), &mut arrived, 9).unwrap(), 1);
    assert_eq!(arrived[0].octets(), [0x45, 1, 2], "the traffic goes on");

    device.flush().unwrap();
    let flushed = read_back(&memory.octets.lock().unwrap());
    let at = |nanos| Duration::new(1_700_000_000, nanos);
    assert_eq!(
        flushed,
        [
            (at(6), OUTBOUND, vec![0x45, 1, 2]),
            (at(8), INBOUND, vec![0x46; 20]),
            (at(8), INBOUND, vec![0x47; 3])
        ]
    );
    device.transmit_burst(nanos(9), &mut packet(&[0x48; 4])).unwrap();
    drop(device);
    assert_eq!(read_back(&memory.octets.lock().unwrap()).len(), 4, "on drop too");
}

#[test]
fn the_queues_of_a_device_write_to_one_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (near, _far) = Link::queues(1500, 2, 1);
    let mut queues = Capture::create_of_queues(near, file.path(), "tun0", epoch()).unwrap();
    for n in [0, 1, 0] {
        let octets: &'static [u8] = [&[0x45, 0], &[0x45, 1]][n];
        queues[n].transmit_burst(Instant::ZERO, &mut packet(octets)).unwrap();
    }
    drop(queues.pop());
    assert_eq!(read_back(&std::fs::read(file.path()).unwrap()).len(), 3, "whoever writes it out");
    queues[0].transmit_burst(Instant::ZERO, &mut packet(&[0x45, 2])).unwrap();
    drop(queues);
    let packets = read_back(&std::fs::read(file.path()).unwrap());
    let octets: Vec<_> = packets.iter().map(|(.., octets)| octets[1]).collect();
    assert_eq!(octets, [0, 1, 0, 2]);
}

#[test]
fn a_full_disk_ends_the_capture_and_not_the_traffic() {
    let (near, mut far) = Link::pair_virtual(1500);
    let memory = Memory { room: Some(500), ..Memory::default() };
    let mut device = Capture::new(near, memory.clone(), "tun0", epoch()).unwrap();
    device.transmit_burst(Instant::ZERO, &mut packet(&[0x45; 10])).unwrap();
    device.flush().unwrap();
    let written = memory.octets.lock().unwrap().len();
    device.transmit_burst(Instant::ZERO, &mut packet(&[0x45; 900])).unwrap();
    assert!(device.flush().is_err(), "what was asked for failed");
    assert!(lock(&device.writer).is_none());
    device.transmit_burst(Instant::ZERO, &mut packet(&[0x45; 10])).unwrap();
    device.flush().unwrap();
    drop(device);
    let mut arrived = VecDeque::new();
    assert_eq!(far.receive_burst(Instant::ZERO, &mut arrived, 9).unwrap(), 3);
    assert_eq!(memory.octets.lock().unwrap().len(), written, "no torn block");
}

/// Three datagrams of 100, 100 and 50 octets in one packet, which leaves their checksums to do.
fn three_datagrams() -> Outgoing {
    let mut packet = Outgoing::default();
    packet.head.extend([
        0x45, 0, 1, 22, 0, 9, 0, 0, 64, 17, 0x65, 0xbe, 10, 7, 0, 2, 10, 7, 0, 1, // IP
        0, 53, 0, 54, 1, 2, 0, 0, // UDP
    ]);
    packet.payload.push(vec![7; 250].into());
    packet.offload = Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(100) };
    packet
}

#[test]
fn a_packet_of_many_crosses_whole_and_stands_in_the_file_as_the_packets_that_it_is() {
    let (near, mut far) = Link::pair_virtual(1500);
    let memory = Memory::default();
    let mut device = Capture::new(near, memory.clone(), "tun0", epoch()).unwrap();
    device.transmit_burst(Instant::ZERO, &mut VecDeque::from([three_datagrams()])).unwrap();
    far.transmit_burst(Instant::ZERO, &mut VecDeque::from([three_datagrams()])).unwrap();
    for end in [&mut device as &mut dyn Device, &mut far] {
        let mut frames = VecDeque::new();
        assert_eq!(end.receive_burst(Instant::ZERO, &mut frames, 9).unwrap(), 1);
        assert_eq!(frames[0], three_datagrams().to_frame());
    }
    device.flush().unwrap();
    let packets = read_back(&memory.octets.lock().unwrap());
    let found: Vec<_> = packets.iter().map(|(_, way, octets)| (*way, octets.len())).collect();
    let lengths = [128, 128, 78];
    let both = [OUTBOUND, INBOUND].map(|way| lengths.map(|len| (way, len)));
    assert_eq!(found, both.concat());
    for (_, _, octets) in packets {
        let view = Ipv4Header::parse(&octets).expect("its checksum is whole");
        let (source, destination) = (view.header.source, view.header.destination);
        assert!(UdpHeader::checksum_is_valid(source, destination, &octets[view.header_len..]));
    }
}
