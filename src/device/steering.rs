//! The rule of [`Steering`] as a program that the kernel runs for each packet to a TUN of several
//! queues.
//!
//! Instructions of eBPF, as a socket filter has them, put together by hand: they are some seventy,
//! and need no compiler and no file. A load that would reach past the packet's end ends the program
//! with 0, which is what the rule says of a packet that is too short.

use libc::{
    BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_K,
    BPF_LD, BPF_LSH, BPF_MUL, BPF_OR, BPF_RSH, BPF_W, BPF_X, BPF_XOR,
};

use super::sys::Instruction;
use crate::wire::Steering;
use crate::wire::ipv4::{Ipv4Header, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP};
use crate::wire::steering::{ICMP_ERRORS, IS_FRAGMENT, field};

/// What eBPF has beyond the classic instructions, as linux/bpf.h has it.
const BPF_ALU64: u32 = 0x07;
const BPF_DW: u32 = 0x18;
const BPF_MOV: u32 = 0xb0;
const BPF_JNE: u32 = 0x50;
const BPF_JLT: u32 = 0xa0;
const BPF_EXIT: u32 = 0x90;

/// What a load from the packet gives, and what the program says in the end.
const VALUE: u8 = 0;
/// The packet, when the program begins; and any value for a moment, as a load forgets it.
const SCRATCH: u8 = 1;
/// Where loads from the packet look for it.
const PACKET: u8 = 6;
/// Where the transport header begins, octets.
const TRANSPORT: u8 = 7;
/// The sum of the products of words and keys.
const SUM: u8 = 8;
/// Where the IP header begins, octets: at 0, or where an ICMP error quotes one.
const HEADER: u8 = 9;

/// Places that a jump can lead to, all of them further on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Segment,
    Datagram,
    Error,
    QuotedSegment,
    Mix,
    Shard0,
}

/// A program that is being written.
#[derive(Debug, Default)]
struct Assembly {
    code: Vec<Instruction>,
    /// Jumps whose distance is not known yet.
    jumps: Vec<(usize, Place)>,
}

/// The program whose answer for a packet is [`Steering::owner`].
pub(super) fn program(steering: &Steering) -> Vec<Instruction> {
    let [source_key, destination_key, ports_key, last_key] = steering.key();
    let mut to = Assembly::default();
    to.copy(PACKET, SCRATCH);
    to.set(SUM, 0);
    to.set(HEADER, 0);
    to.find_transport();
    to.jump_if(BPF_JEQ, PROTOCOL_TCP.into(), Place::Segment);
    to.jump_if(BPF_JEQ, PROTOCOL_UDP.into(), Place::Datagram);
    to.jump_if(BPF_JNE, PROTOCOL_ICMP.into(), Place::Shard0);
    to.load(BPF_B, TRANSPORT, 0);
    for kind in ICMP_ERRORS {
        to.jump_if(BPF_JEQ, kind.into(), Place::Error);
    }
    to.jump(Place::Shard0);

    // We have sent what is quoted, so its source is our end.
    to.land(Place::Error);
    to.with_number(BPF_ADD, TRANSPORT, offset(field::QUOTE));
    to.copy(HEADER, TRANSPORT);
    to.find_transport();
    to.jump_if(BPF_JEQ, PROTOCOL_TCP.into(), Place::QuotedSegment);
    to.jump_if(BPF_JNE, PROTOCOL_UDP.into(), Place::Shard0);
    to.load(BPF_H, TRANSPORT, field::SOURCE_PORT);
    to.add_product(ports_key);
    to.jump(Place::Mix);

    to.land(Place::QuotedSegment);
    to.load(BPF_W, HEADER, field::DESTINATION);
    to.add_product(source_key);
    to.load(BPF_W, HEADER, field::SOURCE);
    to.add_product(destination_key);
    to.load(BPF_W, TRANSPORT, field::SOURCE_PORT); // Both ports.
    to.swap_halves();
    to.add_product(ports_key);
    to.jump(Place::Mix);

    to.land(Place::Segment);
    to.load(BPF_W, HEADER, field::SOURCE);
    to.add_product(source_key);
    to.load(BPF_W, HEADER, field::DESTINATION);
    to.add_product(destination_key);
    to.load(BPF_W, TRANSPORT, field::SOURCE_PORT); // Both ports.
    to.add_product(ports_key);
    to.jump(Place::Mix);

    to.land(Place::Datagram);
    to.load(BPF_H, TRANSPORT, field::DESTINATION_PORT);
    to.add_product(ports_key);

    to.land(Place::Mix);
    to.mix(last_key, steering.count());
    to.exit();

    to.land(Place::Shard0);
    to.set(VALUE, 0);
    to.exit();
    debug_assert!(to.jumps.is_empty(), "each jump leads somewhere");
    to.code
}

impl Assembly {
    /// From the IP header at [`HEADER`] to [`VALUE`], its protocol, and to [`TRANSPORT`]; what is
    /// no IPv4, and a fragment, is of shard 0.
    fn find_transport(&mut self) {
        self.load(BPF_B, HEADER, field::VERSION_IHL);
        self.copy(TRANSPORT, VALUE);
        self.with_number(BPF_AND, TRANSPORT, 15);
        self.with_number(BPF_LSH, TRANSPORT, 2); // Words of four octets.
        self.with_number(BPF_RSH, VALUE, 4);
        self.jump_if(BPF_JNE, 4, Place::Shard0);
        self.copy(VALUE, TRANSPORT);
        self.jump_if(BPF_JLT, offset(Ipv4Header::LEN), Place::Shard0);
        self.with_register(BPF_ADD, TRANSPORT, HEADER);
        self.load(BPF_H, HEADER, field::FRAGMENT);
        self.with_number(BPF_AND, VALUE, IS_FRAGMENT.into());
        self.jump_if(BPF_JNE, 0, Place::Shard0);
        self.load(BPF_B, HEADER, field::PROTOCOL);
    }

    /// Adds [`VALUE`] times `key` to [`SUM`].
    fn add_product(&mut self, key: u64) {
        self.set_wide(SCRATCH, key);
        self.with_register(BPF_MUL, VALUE, SCRATCH);
        self.with_register(BPF_ADD, SUM, VALUE);
    }

    /// Lets the upper and the lower half of [`VALUE`], of 32 bits, change places.
    fn swap_halves(&mut self) {
        self.copy(SCRATCH, VALUE);
        self.with_number(BPF_RSH, SCRATCH, 16);
        // On 32 bits, so that what is shifted out is gone.
        self.push(BPF_ALU | BPF_LSH | BPF_K, (VALUE, 0), 16);
        self.with_register(BPF_OR, VALUE, SCRATCH);
    }

    /// From [`SUM`] to a number below `count`: what `Steering::mix` does.
    fn mix(&mut self, key: u64, count: usize) {
        self.copy(VALUE, SUM);
        self.with_number(BPF_RSH, VALUE, 32);
        self.with_register(BPF_XOR, VALUE, SUM);
        self.set_wide(SCRATCH, key);
        self.with_register(BPF_MUL, VALUE, SCRATCH);
        self.with_number(BPF_RSH, VALUE, 32);
        self.with_number(BPF_MUL, VALUE, offset(count));
        self.with_number(BPF_RSH, VALUE, 32);
    }

    /// To [`VALUE`], in host order, from the packet: `size` octets, `at` octets behind where the
    /// register `base` says. What the scratch register holds is lost.
    fn load(&mut self, size: u32, base: u8, at: usize) {
        self.push(BPF_LD | BPF_IND | size, (0, base), offset(at));
    }

    fn copy(&mut self, to: u8, from: u8) {
        self.with_register(BPF_MOV, to, from);
    }

    fn set(&mut self, to: u8, number: i32) {
        self.with_number(BPF_MOV, to, number);
    }

    /// A number of 64 bits, which takes two instructions' room.
    fn set_wide(&mut self, to: u8, number: u64) {
        let [low, high] = [number & u64::from(u32::MAX), number >> 32]
            .map(|half| u32::try_from(half).expect("half of 64 bits").cast_signed());
        self.push(BPF_LD | BPF_IMM | BPF_DW, (to, 0), low);
        self.push(0, (0, 0), high);
    }

    /// An operation on 64 bits with a number.
    fn with_number(&mut self, operation: u32, to: u8, number: i32) {
        self.push(BPF_ALU64 | operation | BPF_K, (to, 0), number);
    }

    /// An operation on 64 bits with another register.
    fn with_register(&mut self, operation: u32, to: u8, from: u8) {
        self.push(BPF_ALU64 | operation | BPF_X, (to, from), 0);
    }

    fn jump(&mut self, place: Place) {
        self.jumps.push((self.code.len(), place));
        self.push(BPF_JMP | BPF_JA, (0, 0), 0);
    }

    /// A jump if [`VALUE`] compares with `number` as `condition` says.
    fn jump_if(&mut self, condition: u32, number: i32, place: Place) {
        self.jumps.push((self.code.len(), place));
        self.push(BPF_JMP | condition | BPF_K, (VALUE, 0), number);
    }

    /// Jumps to `place` lead here.
    fn land(&mut self, place: Place) {
        let here = self.code.len();
        for (from, _) in self.jumps.extract_if(.., |(_, to)| *to == place) {
            // Counted from the instruction behind the jump.
            self.code[from].offset = i16::try_from(here - from - 1).expect("a short program");
        }
    }

    fn exit(&mut self) {
        self.push(BPF_JMP | BPF_EXIT, (0, 0), 0);
    }

    fn push(&mut self, code: u32, (to, from): (u8, u8), immediate: i32) {
        // Two fields of four bits, of which the first comes first in memory's order.
        let registers =
            if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
        let code = u8::try_from(code).expect("a code has eight bits");
        self.code.push(Instruction { code, registers, offset: 0, immediate });
    }
}

/// A small number as instructions have it.
fn offset(number: usize) -> i32 {
    i32::try_from(number).expect("a place in a header, or so many queues")
}

#[cfg(test)]
#[path = "tests/steering.rs"]
mod tests;
