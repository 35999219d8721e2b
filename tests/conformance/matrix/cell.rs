//! The axes of the matrix: which segments arrive, and where they stand.

use std::fmt;

use wharf::sim::TcpFlags;

/// The control bits of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Syn,
    SynAck,
    Ack,
    Fin,
    FinAck,
    Rst,
    RstAck,
    SynFin,
    /// No bit at all: what `nmap -sN` sends.
    Null,
    /// FIN, PSH and URG: what `nmap -sX` sends.
    Xmas,
    /// Every bit of RFC 793.
    All,
}

impl Control {
    pub(super) const EVERY: [Self; 11] = [
        Self::Syn,
        Self::SynAck,
        Self::Ack,
        Self::Fin,
        Self::FinAck,
        Self::Rst,
        Self::RstAck,
        Self::SynFin,
        Self::Null,
        Self::Xmas,
        Self::All,
    ];

    pub(super) fn flags(self) -> TcpFlags {
        let (fin, syn, rst) = (TcpFlags::FIN, TcpFlags::SYN, TcpFlags::RST);
        let (psh, ack, urg) = (TcpFlags::PSH, TcpFlags::ACK, TcpFlags::URG);
        match self {
            Self::Syn => syn,
            Self::SynAck => syn.with(ack),
            Self::Ack => ack,
            Self::Fin => fin,
            Self::FinAck => fin.with(ack),
            Self::Rst => rst,
            Self::RstAck => rst.with(ack),
            Self::SynFin => syn.with(fin),
            Self::Null => TcpFlags::NONE,
            Self::Xmas => fin.with(psh).with(urg),
            Self::All => fin.with(syn).with(rst).with(psh).with(ack).with(urg),
        }
    }

    pub(super) fn has(self, flag: TcpFlags) -> bool {
        self.flags().contains(flag)
    }
}

/// A segment, in numbers relative to both initial sequence numbers: they do not wrap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seg {
    pub(super) control: Control,
    /// SEG.SEQ, from the peer's initial sequence number.
    pub(super) seq: i64,
    /// SEG.ACK, from ours; `None` without the ACK bit.
    pub(super) ack: Option<i64>,
    /// Octets of text: none or one.
    pub(super) text: i64,
    /// Where it stands, in words.
    pub(super) place: (&'static str, &'static str),
}

impl Seg {
    pub(super) fn syn(&self) -> bool {
        self.control.has(TcpFlags::SYN)
    }

    pub(super) fn fin(&self) -> bool {
        self.control.has(TcpFlags::FIN)
    }

    pub(super) fn rst(&self) -> bool {
        self.control.has(TcpFlags::RST)
    }

    /// SEG.LEN.
    pub(super) fn len(&self) -> i64 {
        self.text + i64::from(self.syn()) + i64::from(self.fin())
    }
}

impl fmt::Display for Seg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seq, ack) = self.place;
        write!(f, "{:?} with {} octets, SEG.SEQ {} ({seq})", self.control, self.text, self.seq)?;
        self.ack.map_or(Ok(()), |number| write!(f, ", SEG.ACK {number} ({ack})"))
    }
}

/// Where the receive window is, and what is outstanding: the numbers from which the places of a
/// cell follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) una: i64,
    pub(super) nxt: i64,
    pub(super) rcv_nxt: i64,
    pub(super) rcv_wnd: i64,
}

/// Every segment of the matrix for a connection with these numbers.
pub(super) fn segments(numbers: Numbers) -> Vec<Seg> {
    let Numbers { una, nxt, rcv_nxt, rcv_wnd } = numbers;
    let edge = rcv_nxt + rcv_wnd;
    let mut seqs = vec![
        ("long before", rcv_nxt - 10),
        ("one before", rcv_nxt - 1),
        ("left edge", rcv_nxt),
        ("inside", rcv_nxt + 5),
    ];
    if rcv_wnd > 0 {
        seqs.extend([("last octet", edge - 1), ("right edge", edge)]);
    }
    seqs.push(("after", edge + 100));
    let mut acks = vec![("ancient", una - 100_000), ("old", una - 5), ("una", una)];
    if nxt > una + 1 {
        acks.push(("inside", nxt - 1));
    }
    if nxt > una {
        acks.push(("nxt", nxt));
    }
    acks.push(("beyond", nxt + 1));
    let mut all = Vec::new();
    for control in Control::EVERY {
        let acks = if control.has(TcpFlags::ACK) { &acks[..] } else { &acks[..1] };
        for &(seq_place, seq) in &seqs {
            for &(ack_place, ack) in acks {
                for text in [0, 1] {
                    let ack = control.has(TcpFlags::ACK).then_some(ack);
                    all.push(Seg { control, seq, ack, text, place: (seq_place, ack_place) });
                }
            }
        }
    }
    all
}
