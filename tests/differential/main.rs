//! The same random scripts of segments and socket calls, played to Linux's TCP and to ours.
//!
//! Linux's plays in a network namespace that the test makes for itself, through a TUN device; it
//! goes with the process. What leaves, what the calls return, the states and what poll(2) says
//! must be alike, but for the differences that `known` names, each of which stands with its reason
//! in `src/manual/differences.md`.
//!
//! environment: `SEED=n` plays one script and shows it; `SCRIPTS=n` plays so many, from `FIRST=n`.

mod backend;
mod compare;
mod generator;
mod known;
mod linux;
#[path = "../namespace/mod.rs"]
mod namespace;
mod ours;
mod play;
mod script;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

use crate::backend::{Flow, STACK_ADDR};
use crate::compare::{compare, kind, transcript};
use crate::known::{Known, known};
use crate::linux::Linux;
use crate::ours::Ours;
use crate::play::play;

/// Set in the process that has a namespace of its own.
const INSIDE: &str = "WHARF_DIFFERENTIAL_INSIDE";

/// How many scripts are played.
const SCRIPTS: u64 = 1500;

/// Least number of scripts in a minute.
const RATE_MIN: u64 = 200;

/// How often a script is played that differs: Linux's time is the wall's, and a busy machine may
/// have it send something again that was not lost.
const PLAYS: u64 = 3;

/// How many differences are shown.
const SHOWN: usize = 5;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn linux_and_wharf_react_alike_to_random_scripts() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let Some(flags) = namespace::flags_for("linux_and_wharf_react_alike") else { return };
    let (is_alike, told) = in_a_namespace(flags, None);
    namespace::show(&told);
    if is_alike {
        return;
    }
    // Linux's time is the wall's, and it remembers connections: what differs must do so alone too.
    let seeds: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("SEED=")).collect();
    let seeds: Vec<&str> = seeds.iter().filter_map(|line| line.split(':').next()).collect();
    assert!(!seeds.is_empty() && seeds.len() < SHOWN, "they differ: see above");
    for seed in seeds {
        let (is_alike, _) = in_a_namespace(flags, Some(seed));
        assert!(is_alike, "SEED={seed} differs alone too: see above");
        println!("SEED={seed} differs among others and not alone");
    }
}

/// Runs the test's own program in a new namespace, for all scripts or for one: whether Linux and
/// wharf were alike, and what it printed.
fn in_a_namespace(flags: &str, seed: Option<&str>) -> (bool, String) {
    let program = std::env::current_exe().expect("the test's own program");
    // A namespace within one, since only so its table of connections can be small: it is read
    // after each step.
    let nest = "echo 256 >/proc/sys/net/ipv4/tcp_child_ehash_entries; exec unshare -n \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args([flags, "sh", "-c", nest, "sh"])
        .arg(program)
        .args(["--exact", "linux_and_wharf_react_alike_to_random_scripts", "--nocapture"])
        .env(INSIDE, "1")
        .stderr(std::process::Stdio::inherit());
    if let Some(seed) = seed {
        command.env("SEED", seed);
    }
    let output = command.output().expect("the test's own program");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn each_difference_that_is_meant_to_be_stands_in_the_manual() {
    let manual = include_str!("../../src/manual/differences.md");
    for known in Known::all() {
        assert!(manual.contains(&format!("| {known:?} |")), "{known:?} stands in no row");
    }
}

/// The connection of the script number `number`: none has it twice.
fn flow(number: u64) -> Flow {
    let word = u16::try_from(number % 60_000).expect("below 60,000");
    let [high, low] = (word + 300).to_be_bytes();
    Flow {
        local: SocketAddrV4::new(STACK_ADDR, 5000 + word % 5000),
        remote: SocketAddrV4::new(Ipv4Addr::new(10, 9, high, low), 20_000 + word % 999),
    }
}

/// What a script came to.
enum Verdict {
    Alike,
    Meant(Known),
    Differs { kind: String, transcript: String },
}

fn verdict(linux: &mut Linux, seed: u64, flow: Flow, is_shown: bool) -> Verdict {
    let script = generator::script(seed);
    Linux::configure(script.features);
    let theirs = play(&script, flow, linux, None);
    let mut stack = Ours::new(script.features, flow);
    let mine = play(&script, flow, &mut stack, Some(&theirs));
    if is_shown {
        println!("{}", transcript(&script, &theirs, &mine, script.steps.len()));
    }
    let Some(difference) = compare(&theirs, &mine) else { return Verdict::Alike };
    match known(&script, difference.step, &theirs, &mine) {
        Some(rule) => Verdict::Meant(rule),
        None => Verdict::Differs {
            kind: kind(&script, &theirs, &mine, &difference),
            transcript: transcript(&script, &theirs, &mine, difference.step),
        },
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how many scripts a minute sees is the wall's affair"
)]
fn inside() {
    let began = std::time::Instant::now();
    let mut linux = Linux::new();
    let only = number("SEED");
    let first = only.or(number("FIRST")).unwrap_or(1);
    let count = if only.is_some() { 1 } else { number("SCRIPTS").unwrap_or(SCRIPTS) };
    let mut meant = BTreeMap::<Known, Vec<u64>>::new();
    let mut kinds = BTreeMap::<String, Vec<u64>>::new();
    for seed in first..first + count {
        let mut plays = 0;
        let verdict = loop {
            plays += 1;
            // Each play has a connection of its own, or the last one's TIME-WAIT would answer.
            let flow = flow(seed + count * (plays - 1));
            let verdict = verdict(&mut linux, seed, flow, only.is_some());
            if plays == PLAYS || !matches!(verdict, Verdict::Differs { .. }) {
                break verdict;
            }
        };
        match verdict {
            Verdict::Alike => {}
            Verdict::Meant(rule) => meant.entry(rule).or_default().push(seed),
            Verdict::Differs { kind, transcript } => {
                if kinds.len() < SHOWN {
                    println!("SEED={seed}: {kind}\n{transcript}");
                }
                kinds.entry(kind).or_default().push(seed);
            }
        }
    }
    let shown = |seeds: &[u64]| format!("{:?}", seeds.iter().take(5).collect::<Vec<_>>());
    for (rule, seeds) in &meant {
        println!("{:5} scripts meet {rule:?}: {}", seeds.len(), shown(seeds));
    }
    for (kind, seeds) in &kinds {
        println!("{:5} scripts differ: {kind}: {}", seeds.len(), shown(seeds));
    }
    let seconds = began.elapsed().as_secs().max(1);
    let excused: usize = meant.values().map(Vec::len).sum();
    println!("{count} scripts in {seconds} s; {excused} end at a difference that is meant");
    assert!(kinds.is_empty(), "Linux and wharf differ");
    if count > 100 {
        assert!(count * 60 / seconds >= RATE_MIN, "fewer than {RATE_MIN} scripts a minute");
        assert!((excused as u64) * 2 < count, "what is meant to differ hides the rest");
    }
}
