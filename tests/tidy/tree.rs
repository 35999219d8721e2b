//! The text of the tree, and what of it is code.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours: what others have made, and what fuzzing leaves behind.
const FOREIGN: &[&str] =
    &["target", ".git", "node_modules", "__pycache__", "corpus", "artifacts", "coverage"];

pub(crate) struct File {
    /// Relative to the package, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// The text with comments and literals blanked, lines kept. Empty unless it is Rust.
    pub(crate) code: String,
}

impl File {
    /// The code without the modules and functions that only tests see.
    pub(crate) fn product_code(&self) -> String {
        let mut kept = String::new();
        let mut skip_until: Option<String> = None;
        let mut is_test_next = false;
        for line in self.code.lines() {
            let indent = &line[..line.len() - line.trim_start().len()];
            match &skip_until {
                Some(end) => {
                    if line == end.as_str() {
                        skip_until = None;
                    }
                }
                None if line.trim_start().starts_with("#[cfg(test)]") => is_test_next = true,
                None if is_test_next && line.trim_start().starts_with("#[") => {}
                None if is_test_next && !line.trim().is_empty() => {
                    is_test_next = false;
                    if line.trim_end().ends_with('{') {
                        skip_until = Some(format!("{indent}}}"));
                    }
                }
                None => kept.push_str(line),
            }
            kept.push('\n');
        }
        kept
    }

    /// The first part of the path under `src`, without the ending: its layer.
    pub(crate) fn layer(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        let name = rest.split('/').next()?;
        Some(name.strip_suffix(".rs").unwrap_or(name))
    }

    pub(crate) fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    /// A file of unit tests beside what it tests.
    pub(crate) fn is_tests(&self) -> bool {
        !self.path.starts_with("src/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

pub(crate) fn tree() -> Vec<File> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the tree was not found");
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the package can be listed") {
        let path = entry.expect("a folder of the package can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if FOREIGN.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).expect("it is below the root");
            let path = path.to_string_lossy().into_owned();
            let code = if has_extension(&path, "rs") { blanked(&text) } else { String::new() };
            files.push(File { path, text, code });
        }
    }
}

/// `text` with every comment and the inside of every literal replaced by spaces.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => find(&chars, at, |i| chars[i] == '\n'),
            ('/', Some('*')) => 2 + find(&chars, at + 2, |i| chars[i..].starts_with(&['*', '/'])),
            ('"', _) => end_of_string(&chars, at),
            ('r', Some('"' | '#')) if !is_word(&chars, at) => end_of_raw_string(&chars, at),
            ('\'', _) => end_of_char(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            let end = end.min(chars.len());
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { c } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Whether the character before `at` makes it part of a longer word.
fn is_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn find(chars: &[char], from: usize, is_end: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|&i| is_end(i)).unwrap_or(chars.len())
}

fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn end_of_raw_string(chars: &[char], start: usize) -> usize {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(start + 1 + hashes) != Some(&'"') {
        return start; // A raw identifier.
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    find(chars, start + 2 + hashes, |i| chars[i..].starts_with(&close)) + close.len()
}

/// A character literal, or nothing where the quote begins a lifetime.
fn end_of_char(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => find(chars, start + 3, |i| chars[i] == '\'') + 1,
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

/// Fails with all findings at once, one a line.
pub(crate) fn expect_none(findings: &[String]) {
    let mut list = String::new();
    for finding in findings {
        let _ = writeln!(list, "  {finding}");
    }
    assert!(findings.is_empty(), "{} findings:\n{list}", findings.len());
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "let a = \"// no\\\" \"; // Mutex\nlet b = r#\"x\"y\"#; /* Mutex\n */ \
                let c = '\"';\nlet d: &'a str;\n";
    let code = blanked(text);
    assert!(!code.contains("Mutex"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
    assert!(code.contains("let c =") && code.contains("&'a str;"), "{code}");
}

/// Whether `word` stands in `line` and is not the end of a longer word.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let ends_in_letter = word.ends_with(is_part);
        let after = line[at + word.len()..].chars().next();
        !(line[..at].ends_with(is_part) || ends_in_letter && after.is_some_and(is_part))
    })
}
