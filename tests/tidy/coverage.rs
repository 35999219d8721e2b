//! The table of requirements against code and tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::sizes::functions;
use crate::tree::{File, expect_none, tree};

/// The table: a row for each numbered requirement of RFC 9293.
const COVERAGE: &str = "src/manual/rfc_coverage.md";

/// The kinds of requirement, and how many of each Appendix B of RFC 9293 lists.
const REQUIREMENTS: &[(&str, u32)] = &[("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1)];

/// One row of the table: `| label | requirement | state | where | test or reason |`.
struct Row {
    label: String,
    state: String,
    places: Vec<String>,
    tests: Vec<String>,
    reason: String,
}

fn rows() -> Vec<Row> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(COVERAGE)).expect("the table is part of the manual");
    let mut rows = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [label, _, state, place, tests] = cells[..] else {
            continue;
        };
        if !REQUIREMENTS.iter().any(|(kind, _)| label.starts_with(&format!("{kind}-"))) {
            continue;
        }
        rows.push(Row {
            label: label.to_owned(),
            state: state.to_owned(),
            places: in_backticks(place),
            tests: in_backticks(tests),
            reason: tests.to_owned(),
        });
    }
    rows
}

pub(crate) fn in_backticks(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The labels that a text cites, such as `MUST-36`.
fn cited(text: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    for (kind, _) in REQUIREMENTS {
        for (at, _) in text.match_indices(&format!("{kind}-")) {
            let rest = &text[at + kind.len() + 1..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if !digits.is_empty() {
                labels.insert(format!("{kind}-{digits}"));
            }
        }
    }
    labels
}

#[test]
fn every_requirement_of_rfc_9293_has_one_row_in_the_table() {
    let mut wanted = BTreeMap::new();
    for (kind, last) in REQUIREMENTS {
        for number in 1..=*last {
            wanted.insert(format!("{kind}-{number}"), 0);
        }
    }
    let mut findings = Vec::new();
    for row in rows() {
        match wanted.get_mut(&row.label) {
            Some(count) => *count += 1,
            None => findings.push(format!("{}: RFC 9293 has no such requirement", row.label)),
        }
    }
    for (label, count) in wanted.iter().filter(|(_, count)| **count != 1) {
        findings.push(format!("{label}: {count} rows"));
    }
    expect_none(&findings);
}

#[test]
fn what_the_table_says_is_so() {
    let files = tree();
    let names: BTreeSet<String> =
        files.iter().flat_map(|file| functions(&file.code)).map(|(name, ..)| name).collect();
    let mut findings = Vec::new();
    for row in rows() {
        let is_named = !row.places.is_empty() && !row.tests.is_empty();
        match row.state.as_str() {
            "built" if is_named => {}
            "built" => findings.push(format!("{}: built, but where or test is missing", row.label)),
            "part" | "later" | "waived" | "declined" if row.reason.len() >= 20 => {}
            "part" | "later" | "waived" | "declined" => {
                findings.push(format!("{}: no reason", row.label));
            }
            other => findings.push(format!("{}: the state `{other}` means nothing", row.label)),
        }
        let places: Vec<String> = row.places.iter().map(|place| format!("src/{place}")).collect();
        let is_there = |place: &String| files.iter().any(|file| file.path == *place);
        for place in places.iter().filter(|place| !is_there(place)) {
            findings.push(format!("{}: there is no {place}", row.label));
        }
        // Who cites it is where it is.
        let citing = citing(&files, &row.label);
        if !citing.is_empty() && !places.iter().any(|place| citing.contains(&place.as_str())) {
            findings.push(format!("{}: it is cited in {citing:?}", row.label));
        }
        for test in row.tests.iter().filter(|test| !names.contains(test.as_str())) {
            findings.push(format!("{}: there is no test {test}", row.label));
        }
    }
    expect_none(&findings);
}

/// The files of `src` that cite `label`, tests apart.
fn citing<'a>(files: &'a [File], label: &str) -> Vec<&'a str> {
    files
        .iter()
        .filter(|file| file.is_rust() && file.path.starts_with("src/") && !file.is_tests())
        .filter(|file| !file.path.starts_with("src/sim/") && cited(&file.text).contains(label))
        .map(|file| file.path.as_str())
        .collect()
}

#[test]
fn what_the_code_cites_is_in_the_table() {
    let rows = rows();
    let mut findings = Vec::new();
    for file in tree().iter().filter(|file| file.is_rust() && file.path.starts_with("src/")) {
        for label in cited(&file.text) {
            match rows.iter().find(|row| row.label == label) {
                Some(row) if !matches!(row.state.as_str(), "later" | "waived") => {}
                Some(row) => {
                    findings.push(format!("{}: {label}, which is {}", file.path, row.state));
                }
                None => findings.push(format!("{}: {label} has no row", file.path)),
            }
        }
    }
    expect_none(&findings);
}
