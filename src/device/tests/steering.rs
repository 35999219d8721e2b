//! The program and the rule say the same of any packet.

use std::io;

use super::*;
use crate::device::sys;
use crate::rng::{Rng, Seed};

fn steering(count: u16, seed: u64) -> Steering {
    Steering::new(count.try_into().unwrap(), &Seed::from_number(seed))
}

/// A packet of any kind: mostly of one that the rule tells from others, and now and then cut.
fn packet(rng: &mut Rng) -> Vec<u8> {
    let mut octets = header(rng);
    let quotes = octets[9] == PROTOCOL_ICMP && rng.chance(0.7);
    if quotes {
        let kind = [3, 11, 12, 0, 8][usize::try_from(rng.below(5)).unwrap()];
        octets.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        octets.extend(header(rng));
    }
    octets.extend((0..rng.below(12)).map(|_| octet(rng)));
    if rng.chance(0.1) {
        let len = rng.below(u64::try_from(octets.len()).unwrap());
        octets.truncate(usize::try_from(len).unwrap());
    }
    octets
}

/// An IP header and the eight octets behind it.
fn header(rng: &mut Rng) -> Vec<u8> {
    let options = if rng.chance(0.3) { u8::try_from(rng.below(11)).unwrap() } else { 0 };
    let len = 28 + 4 * usize::from(options);
    let mut octets: Vec<u8> = (0..len).map(|_| octet(rng)).collect();
    octets[0] = 0x45 + options;
    if rng.chance(0.05) {
        octets[0] = octet(rng);
    }
    if rng.chance(0.9) {
        octets[6..8].copy_from_slice(&[0x40, 0]);
    }
    octets[9] = match rng.below(10) {
        0..=2 => PROTOCOL_TCP,
        3..=4 => PROTOCOL_UDP,
        5..=8 => PROTOCOL_ICMP,
        _ => octet(rng),
    };
    octets
}

fn octet(rng: &mut Rng) -> u8 {
    u8::try_from(rng.below(256)).unwrap()
}

/// Compares `run` with the rule on `packets` packets, under rules for several numbers of shards.
fn compare(packets: usize, mut run: impl FnMut(&Steering, &[u8]) -> Option<u32>) {
    let mut elsewhere = 0;
    for (seed, count) in [(1, 2), (2, 3), (3, 4), (4, 8), (5, 256)] {
        let (steering, mut rng) = (steering(count, seed), Rng::new(&Seed::from_number(seed)));
        for _ in 0..packets {
            let octets = packet(&mut rng);
            let Some(outcome) = run(&steering, &octets) else { return };
            let owner = steering.owner(&octets);
            assert_eq!(usize::try_from(outcome).unwrap(), owner, "{count} shards: {octets:x?}");
            elsewhere += usize::from(owner > 0);
        }
    }
    assert!(elsewhere > packets, "{elsewhere} of {} are not of shard 0", 5 * packets);
}

#[test]
fn the_program_says_of_any_packet_what_the_rule_says() {
    compare(4000, |steering, octets| Some(interpret(&program(steering), octets)));
}

#[test]
fn the_kernel_takes_the_program_and_runs_it_to_the_same_end() {
    let mut loaded = None;
    compare(1000, |steering, octets| {
        if octets.is_empty() {
            return Some(0); // The kernel makes no such packet.
        }
        let is_loaded = matches!(&loaded, Some((of, _)) if of == steering);
        if !is_loaded {
            match sys::load_program(&program(steering)) {
                Ok(program) => loaded = Some((*steering, program)),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    println!("skip the_kernel_takes_the_program (bpf(2) is not permitted here)");
                    return None;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let (_, program) = loaded.as_ref()?;
        Some(sys::run_program(program, octets).unwrap())
    });
}

#[test]
fn a_program_that_reads_what_nobody_wrote_is_refused() {
    let mut to = Assembly::default();
    to.copy(VALUE, TRANSPORT);
    to.exit();
    assert!(sys::load_program(&to.code).is_err());
}

/// What the processor of eBPF does (RFC 9669), as far as the program asks for it.
fn interpret(program: &[Instruction], packet: &[u8]) -> u32 {
    let mut registers = [0u64; 11];
    let mut next = 0;
    loop {
        let Instruction { code, registers: named, offset, immediate } = program[next];
        let (to, from) = (usize::from(named & 15), usize::from(named >> 4));
        let number = u64::from_ne_bytes(i64::from(immediate).to_ne_bytes());
        let code = u32::from(code);
        next += 1;
        match code & 0x07 {
            BPF_LD if code & 0xe0 == BPF_IND => {
                let at = registers[from] + number;
                let Some(octets) = packet.get(usize::try_from(at).unwrap()..) else { return 0 };
                let value = match code & 0x18 {
                    BPF_B => octets.first_chunk().map(|&octets| u8::from_be_bytes(octets).into()),
                    BPF_H => octets.first_chunk().map(|&octets| u16::from_be_bytes(octets).into()),
                    _ => octets.first_chunk().map(|&octets| u32::from_be_bytes(octets).into()),
                };
                let Some(value) = value else { return 0 };
                registers[VALUE as usize] = value;
                registers[1..6].fill(u64::MAX); // Lost.
            }
            BPF_LD => {
                let high = u64::from(program[next].immediate.cast_unsigned()) << 32;
                registers[to] = high | u64::from(immediate.cast_unsigned());
                next += 1;
            }
            class @ (BPF_ALU | BPF_ALU64) => {
                let operand = if code & BPF_X == 0 { number } else { registers[from] };
                let value = operate(code & 0xf0, registers[to], operand);
                registers[to] = if class == BPF_ALU { value & u64::from(u32::MAX) } else { value };
            }
            _ if code & 0xf0 == BPF_EXIT => return u32::try_from(registers[0]).unwrap(),
            _ => {
                let leads_on = match code & 0xf0 {
                    BPF_JA => true,
                    BPF_JEQ => registers[to] == number,
                    BPF_JNE => registers[to] != number,
                    BPF_JLT => registers[to] < number,
                    other => panic!("no such jump: {other:x}"),
                };
                next += if leads_on { usize::try_from(offset).unwrap() } else { 0 };
            }
        }
    }
}

fn operate(operation: u32, value: u64, operand: u64) -> u64 {
    match operation {
        BPF_ADD => value.wrapping_add(operand),
        BPF_MUL => value.wrapping_mul(operand),
        BPF_OR => value | operand,
        BPF_AND => value & operand,
        BPF_XOR => value ^ operand,
        BPF_LSH => value << operand,
        BPF_RSH => value >> operand,
        BPF_MOV => operand,
        other => panic!("no such operation: {other:x}"),
    }
}
