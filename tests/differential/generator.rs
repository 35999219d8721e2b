//! The grammar of scripts: from a seed to steps.

use wharf::Duration;
use wharf::sim::{Random, TcpFlags};

use crate::script::{Ack, Call, Damage, Features, How, Opt, Script, Segment, Seq, Stamp, Step};

const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const FIN: TcpFlags = TcpFlags::FIN;
const RST: TcpFlags = TcpFlags::RST;
const PSH: TcpFlags = TcpFlags::PSH;
const URG: TcpFlags = TcpFlags::URG;

/// Longest that a script waits altogether: what is lost must not be sent again within it.
const WAITS_MAX: Duration = Duration::from_millis(100);

/// The script that follows from `seed`.
pub(crate) fn script(seed: u64) -> Script {
    let mut random = Random::new(seed);
    let features = Features {
        window_scale: random.chance(0.8),
        sack: random.chance(0.6),
        timestamps: random.chance(0.5),
    };
    let iss = match random.below(4) {
        0 => u32::MAX - random.word() % 3000, // It wraps soon.
        1 => (1 << 31) - random.word() % 3000,
        _ => random.word(),
    };
    let mut grammar = Grammar { random, steps: Vec::new(), waited: Duration::ZERO, has_fin: false };
    if grammar.random.chance(0.7) {
        grammar.passive_open();
    } else {
        grammar.active_open();
    }
    for _ in 0..3 + grammar.random.below(12) {
        grammar.step();
    }
    if grammar.random.chance(0.5) {
        grammar.ending();
    }
    Script { features, iss, steps: grammar.steps }
}

struct Grammar {
    random: Random,
    steps: Vec<Step>,
    waited: Duration,
    /// Whether the peer has sent a FIN.
    has_fin: bool,
}

impl Grammar {
    fn call(&mut self, call: Call) {
        self.steps.push(Step::Call(call));
    }

    fn segment(&mut self, segment: Segment) {
        self.steps.push(Step::Segment(segment));
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.random.index(list.len())]
    }

    fn passive_open(&mut self) {
        self.call(Call::Listen);
        if self.random.chance(0.1) {
            self.wild();
        }
        let mut syn = Segment::plain(SYN, 0);
        syn.options = self.syn_options();
        self.segment(syn);
        if self.random.chance(0.1) {
            self.wild();
        }
        let ack = Segment::plain(ACK, 0);
        self.segment(ack);
        if self.random.chance(0.9) {
            self.call(Call::Accept);
        }
    }

    fn active_open(&mut self) {
        self.call(Call::Connect);
        if self.random.chance(0.1) {
            self.wild();
        }
        if self.random.chance(0.1) {
            let mut syn = Segment::plain(SYN, 0);
            syn.options = self.syn_options();
            self.segment(syn); // Simultaneous.
        }
        let mut syn = Segment::plain(SYN.with(ACK), 0);
        syn.options = self.syn_options();
        self.segment(syn);
    }

    /// Options of a SYN: usual ones in any order, and odd ones.
    fn syn_options(&mut self) -> Vec<Opt> {
        let mut options = Vec::new();
        if self.random.chance(0.85) {
            let mss = self.pick(&[1460, 1460, 1460, 536, 1000, 100, 88, 9000]);
            options.push(Opt::Mss(mss));
        }
        if self.random.chance(0.7) {
            let shift = self.pick(&[0, 0, 1, 7, 14, 15, 255]);
            let at = self.random.index(options.len() + 1);
            options.insert(at, Opt::Scale(shift));
        }
        for option in [Opt::SackPermitted, Opt::Timestamps(0)] {
            if self.random.chance(0.6) {
                let at = self.random.index(options.len() + 1);
                options.insert(at, option);
            }
        }
        if self.random.chance(0.3) {
            let at = self.random.index(options.len() + 1);
            options.insert(at, self.odd_option());
        }
        options
    }

    /// An option that is unknown, repeated, or wrong.
    fn odd_option(&mut self) -> Opt {
        Opt::Raw(match self.random.below(40) {
            0 => vec![200, 0],
            1 => vec![200, 1],
            2 => vec![200, 40],
            3..=5 => vec![0],
            6..=9 => vec![2, 3, 1], // A known kind with a length that it cannot have.
            10..=14 => vec![3, 4, 1, 1],
            15..=20 => vec![1],
            21..=25 => vec![1, 1, 1],
            26..=33 => vec![253, 4, 1, 2],
            34..=36 => return Opt::Timestamps(0), // There may be one already.
            _ => vec![254, 2],
        })
    }

    fn step(&mut self) {
        match self.random.below(22) {
            // Behind a FIN there is mostly nothing more.
            0..=4 | 14 if self.has_fin && self.random.chance(0.9) => self.acknowledge(),
            0..=4 => self.data(),
            5..=6 => self.read(),
            7..=9 => self.write(),
            10..=12 => self.acknowledge(),
            13 => self.close(),
            14 => self.fin(),
            15 => self.wait(),
            16 => self.settings(),
            17 => {
                let call = if self.random.chance(0.3) { Call::CloseListener } else { Call::Accept };
                self.call(call);
            }
            18..=19 => self.urgent_call(),
            _ => self.wild(),
        }
    }

    /// Calls about urgent data.
    fn urgent_call(&mut self) {
        let call = match self.random.below(7) {
            0..=1 => Call::WriteUrgent(self.pick(&[1, 1, 100, 1000])),
            2..=3 => Call::ReadUrgent { is_peek: false },
            4 => Call::ReadUrgent { is_peek: true },
            _ => Call::Inline(self.random.chance(0.7)),
        };
        self.call(call);
    }

    /// Data in order, out of order, again, or overlapping.
    fn data(&mut self) {
        let len = self.pick(&[1, 10, 100, 500, 1000, 1460]);
        let by = match self.random.below(10) {
            0..=5 => 0,
            6 => -i32::from(len),
            7 => -1 - self.random.word().cast_signed().rem_euclid(600),
            _ => self.pick(&[1, 100, 1000, 3000]),
        };
        let mut data = Segment::plain(ACK.with(PSH), len);
        data.seq = Seq::Next(by);
        if by < 0 && self.random.chance(0.9) {
            data.ack = Ack::Una(0); // A segment that is sent again says nothing new.
        }
        if self.random.chance(0.05) {
            data.stamp = self.pick(&[Stamp::Old, Stamp::NoEcho, Stamp::Missing]);
        }
        self.urge(&mut data);
        data.window = self.window();
        data.is_lie = by < 0 && self.random.chance(0.3);
        self.segment(data);
    }

    /// Makes a segment say that something is urgent: what it ends with, or anything else.
    fn urge(&mut self, segment: &mut Segment) {
        if self.random.chance(0.15) {
            segment.flags = segment.flags.with(URG);
            let len = segment.len;
            segment.urgent = match self.random.below(8) {
                0..=3 => len,
                4 => 1,
                5 => self.pick(&[0, len / 2]),
                6 => len + self.pick(&[1, 10, 1000]),
                _ => u16::MAX,
            };
        }
    }

    /// A window of the peer: mostly wide, now and then narrow or shut.
    fn window(&mut self) -> u16 {
        self.pick(&[20_000, 20_000, 20_000, 20_000, 65_535, 5000, 0])
    }

    fn read(&mut self) {
        let len = self.pick(&[0, 1, 100, 5000, 5000]);
        let call =
            if len > 0 && self.random.chance(0.2) { Call::Peek(len) } else { Call::Read(len) };
        self.call(call);
    }

    fn write(&mut self) {
        let len = self.pick(&[0, 1, 100, 1000, 1460, 3000]);
        self.call(Call::Write(len));
    }

    /// An acknowledgment: new, old, of the future, with any window.
    fn acknowledge(&mut self) {
        let mut ack = Segment::plain(ACK, 0);
        ack.ack = match self.random.below(10) {
            0..=4 => Ack::Next(0),
            5..=6 => Ack::Una(0),
            7 => Ack::Una(self.pick(&[1, 50, 500])),
            8 => Ack::Una(self.pick(&[-1, -50, -2000])),
            _ => Ack::Next(self.pick(&[1, 1000])),
        };
        ack.window = self.window();
        if self.random.chance(0.05) {
            self.urge(&mut ack);
        }
        if self.random.chance(0.2) {
            ack.options = vec![Opt::Sack(self.sack_blocks())];
        }
        self.segment(ack);
    }

    /// One to three blocks, of what may be in flight, was acknowledged, or was never sent.
    fn sack_blocks(&mut self) -> Vec<(u32, u32)> {
        let count = 1 + self.random.below(3);
        (0..count)
            .map(|_| {
                let left = self.pick(&[1, 100, 1000, 1460, 2920, 5000, -1000, 0]);
                let len = self.pick(&[1, 100, 460, 1460, 1540, 0]);
                let left = 0u32.wrapping_add_signed(left);
                (left, left.wrapping_add(len))
            })
            .collect()
    }

    fn close(&mut self) {
        let call = match self.random.below(8) {
            0..=2 => Call::Close,
            3..=5 => Call::Shutdown(How::Write),
            6 => Call::Shutdown(How::Both),
            _ => Call::Shutdown(How::Read),
        };
        self.call(call);
    }

    fn fin(&mut self) {
        self.has_fin = true;
        let len = self.pick(&[0, 0, 100]);
        let mut fin = Segment::plain(ACK.with(FIN), len);
        if self.random.chance(0.3) {
            let gap = self.pick(&[1, 100, 1000]);
            fin.seq = Seq::Next(gap.into());
            self.segment(fin);
            if self.random.chance(0.3) {
                self.step();
            }
            fin = Segment::plain(ACK.with(PSH), gap); // What was missing.
        }
        self.segment(fin);
    }

    fn wait(&mut self) {
        let wait = Duration::from_millis(1 + self.random.below(50));
        if self.waited + wait <= WAITS_MAX {
            self.waited += wait;
            self.steps.push(Step::Wait(wait));
        }
    }

    fn settings(&mut self) {
        let call = match self.random.below(4) {
            0..=1 => Call::Nodelay(self.random.chance(0.8)),
            2 => Call::Linger(self.random.chance(0.7)),
            _ => Call::TakeError,
        };
        self.call(call);
    }

    /// Anything at all.
    fn wild(&mut self) {
        let bits = match self.random.below(8) {
            0..=1 => SYN.bits(),
            2 => SYN.with(ACK).bits(),
            3..=4 => RST.bits(),
            5 => RST.with(ACK).bits(),
            6 => 0,
            _ => self.random.word().to_le_bytes()[0] & 0x1f,
        };
        let len = self.pick(&[0, 0, 0, 1, 100]);
        let mut any = Segment::plain(TcpFlags::from_bits(bits), len);
        any.seq = match self.random.below(8) {
            0..=3 => Seq::Next(0),
            4 => Seq::Next(self.pick(&[-1, -1000, -100_000])),
            5 => Seq::Next(self.pick(&[1, 1000])),
            6 => Seq::Edge(self.pick(&[-1, 0, 1])),
            _ => Seq::Edge(self.pick(&[1000, 1 << 20])),
        };
        any.ack = match self.random.below(6) {
            0..=1 => Ack::Next(0),
            2 => Ack::Una(self.pick(&[0, -1, -1000, -100_000])),
            3 => Ack::Una(1),
            4 => Ack::Next(self.pick(&[1, 1000, 1 << 20])),
            _ => Ack::Zero,
        };
        any.stamp = match self.random.below(8) {
            0 => Stamp::Old,
            1 => Stamp::NoEcho,
            2 => Stamp::Missing,
            _ => Stamp::Now,
        };
        any.damage = match self.random.below(20) {
            0 => Damage::Checksum,
            1 => Damage::DataOffset(self.pick(&[0, 4, 15])),
            2 => Damage::IpHeader(self.pick(&[0x05, 0x44, 0x4f, 0x55, 0x65])),
            _ => Damage::None,
        };
        self.segment(any);
    }

    /// An orderly end.
    fn ending(&mut self) {
        let (ours, theirs) = (Call::Close, Segment::plain(ACK.with(FIN), 0));
        let is_first = self.random.chance(0.5);
        if is_first {
            self.call(Call::Read(100_000));
            self.call(ours.clone());
            self.segment(Segment::plain(ACK, 0));
        }
        self.segment(theirs);
        if !is_first {
            self.call(Call::Read(100_000));
            self.call(ours);
        }
        self.segment(Segment::plain(ACK, 0));
    }
}
