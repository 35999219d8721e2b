//! The table of bugs that other stacks have had, against the tests that keep them out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::coverage::in_backticks;
use crate::sizes::functions;
use crate::tree::{expect_none, tree};

/// The table: a row for each pitfall.
const PITFALLS: &str = "src/manual/pitfalls.md";

/// How many there are.
const COUNT: usize = 89;

#[test]
fn every_pitfall_has_tests_that_exist_or_waits_for_something_that_is_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(PITFALLS)).expect("the table is part of the manual");
    let names: BTreeSet<String> =
        tree().iter().flat_map(|file| functions(&file.code)).map(|(name, ..)| name).collect();
    let (mut findings, mut count) = (Vec::new(), 0);
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, state, proof] = cells[..] else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        count += 1;
        if number != count {
            findings.push(format!("no. {number} stands in the place of no. {count}"));
        }
        let tests = in_backticks(proof);
        match state {
            "held" if !tests.is_empty() => {}
            "later" if proof.len() >= 20 => {}
            _ => findings.push(format!("no. {number}: neither held by tests nor put off")),
        }
        for test in tests.iter().filter(|test| !names.contains(test.as_str())) {
            findings.push(format!("no. {number}: there is no test {test}"));
        }
    }
    if count != COUNT {
        findings.push(format!("{count} rows instead of {COUNT}"));
    }
    expect_none(&findings);
}
