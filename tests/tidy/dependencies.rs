//! Every dependency has its sentence, and every sentence its dependency.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::tree::expect_none;

/// Where the sentences are: a list item each that begins with names in backticks.
const DECISIONS: &str = "src/manual/decisions.md";

#[test]
fn every_dependency_has_a_sentence_in_the_decisions() {
    let (wanted, given) = (dependencies(), sentences());
    let mut findings = Vec::new();
    for name in wanted.difference(&given) {
        findings.push(format!("{DECISIONS}: `{name}` has no sentence"));
    }
    for name in given.difference(&wanted) {
        findings.push(format!("{DECISIONS}: `{name}` is no dependency"));
    }
    expect_none(&findings);
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).expect("the file is part of the package")
}

/// The keys of the tables whose names end in `dependencies`.
fn dependencies() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut is_table = false;
    for line in read("Cargo.toml").lines() {
        if let Some(table) = line.strip_prefix('[') {
            is_table = table.ends_with("dependencies]");
        } else if let Some((key, _)) = line.split_once('=').filter(|_| is_table) {
            names.insert(key.trim().to_owned());
        }
    }
    assert!(!names.is_empty(), "no table of dependencies was found");
    names
}

/// The names at the head of each list item below the heading.
fn sentences() -> BTreeSet<String> {
    let text = read(DECISIONS);
    let (_, list) = text.split_once("## Dependencies").expect("the chapter has that heading");
    let items = list.lines().filter_map(|line| line.strip_prefix("- "));
    let heads = items.filter_map(|item| item.split_once(':').map(|(head, _)| head));
    heads.flat_map(|head| head.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}
