//! Lengths of files, functions and lines.

use crate::tree::{File, expect_none, tree};

/// Most lines of a source file.
const FILE_LINES_MAX: usize = 600;

/// Most lines of a function, signature and closing brace included.
const FUNCTION_LINES_MAX: usize = 70;

/// Most columns of a line.
const LINE_COLUMNS_MAX: usize = 100;

#[test]
fn no_source_file_is_longer_than_600_lines() {
    let findings: Vec<String> = tree()
        .iter()
        .filter(|file| file.is_rust() && file.text.lines().count() > FILE_LINES_MAX)
        .map(|file| format!("{}: {} lines", file.path, file.text.lines().count()))
        .collect();
    expect_none(&findings);
}

#[test]
fn no_line_of_code_is_wider_than_100_columns() {
    let mut findings = Vec::new();
    for file in tree() {
        let is_script = ["scripts/", "tests/"].iter().any(|folder| file.path.starts_with(folder))
            || file.path == "bench/run.sh";
        if !file.is_rust() && !is_script {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > LINE_COLUMNS_MAX {
                findings.push(format!("{}:{}: {columns} columns", file.path, index + 1));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let mut findings = Vec::new();
    // The programs that measure are loops in which nothing stands between the clock and the call.
    let is_judged = |file: &&File| file.is_rust() && !file.path.starts_with("bench/");
    for file in tree().iter().filter(is_judged) {
        for (name, start, lines) in functions(&file.code) {
            if lines > FUNCTION_LINES_MAX {
                findings.push(format!("{}:{start}: {name} has {lines} lines", file.path));
            }
        }
    }
    expect_none(&findings);
}

/// Name, first line and length of every function with a body.
pub(crate) fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let close = format!("{indent}}}");
        let is_end = |later: &&str| later.trim_end() == close || later.trim_end().ends_with(';');
        let is_whole = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
        let rest = &lines[index + 1..];
        let length = if is_whole {
            Some(0)
        } else {
            // A declaration in a trait ends with a semicolon at the indentation of its `fn`.
            rest.iter().position(|later| {
                let same_indent = later.starts_with(indent)
                    && !later[indent.len()..].starts_with([' ', '\t'])
                    && !later.trim().is_empty();
                same_indent && is_end(later)
            })
        };
        if let Some(length) = length {
            found.push((name.to_owned(), index + 1, length + 2));
        }
    }
    found
}

/// The name of the function that begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    loop {
        match words.next()? {
            "fn" => return words.next()?.split(['(', '<']).next(),
            "pub" | "const" | "async" | "unsafe" | "extern" | "default" => {}
            word if word.starts_with("pub(") || word.ends_with(')') => {}
            _ => return None,
        }
    }
}

#[test]
fn the_length_of_a_function_is_counted_to_its_brace() {
    let code = "fn a() {\n    b();\n}\nimpl X {\n    pub(crate) const fn c(\n        d: u8,\n\
                \x20   ) -> u8 {\n        d\n    }\n    fn e();\n}\n";
    let lengths: Vec<(String, usize)> =
        functions(code).into_iter().map(|(name, _, lines)| (name, lines)).collect();
    assert_eq!(lengths, [("a".into(), 3), ("c".into(), 5), ("e".into(), 2)]);
}
