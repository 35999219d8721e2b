//! Words that must not appear, everywhere or in the core.

use crate::tree::{expect_none, has_word, tree};

/// The layers of the core, which is a function of its inputs.
const CORE: &[&str] = &[
    "time",
    "rng",
    "collections",
    "error",
    "packet",
    "wire",
    "observe",
    "config",
    "options",
    "ip",
    "udp",
    "tcp",
    "stack",
];

/// What code of the core must not name: clocks, threads, locks, random order, the world outside.
const BANNED_IN_CORE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "std::thread",
    "thread::spawn",
    "Mutex",
    "RwLock",
    "Condvar",
    "OnceLock",
    "LazyLock",
    "thread_local!",
    "static mut",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "RandomState",
    "std::fs",
    "std::env",
    "std::process",
    "std::os",
    "net::TcpStream",
    "net::TcpListener",
    "net::UdpSocket",
    "tokio::",
    "println!",
    "print!",
];

/// Where `unsafe` may stand.
const UNSAFE_FILES: &[&str] =
    &["src/device/sys.rs", "src/device/sys/ring.rs", "src/runtime/sys.rs"];

/// The C surface, and the programs that measure: these are no part of the library, and call the
/// system by libc alone.
const UNSAFE_FOLDERS: &[&str] = &["src/capi/", "bench/"];

#[test]
fn the_core_names_no_clock_thread_lock_or_random_order() {
    let mut findings = Vec::new();
    for file in tree().iter().filter(|file| file.is_rust() && !file.is_tests()) {
        if file.layer().is_none_or(|layer| !CORE.contains(&layer)) {
            continue;
        }
        for (index, line) in file.product_code().lines().enumerate() {
            for word in BANNED_IN_CORE.iter().filter(|word| has_word(line, word)) {
                findings.push(format!("{}:{}: {word}", file.path, index + 1));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn unsafe_stands_only_in_the_sys_files_and_is_explained() {
    let mut findings = Vec::new();
    for file in tree().iter().filter(|file| file.is_rust()) {
        let is_place = UNSAFE_FILES.contains(&file.path.as_str())
            || UNSAFE_FOLDERS.iter().any(|folder| file.path.starts_with(folder));
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in file.code.lines().enumerate() {
            if !has_word(line, "unsafe") {
                continue;
            }
            let above = &lines[index.saturating_sub(6)..=index];
            let is_explained = above.iter().any(|line| line.contains("SAFETY:"))
                || above.iter().any(|line| line.contains("# Safety"));
            let must_explain = file.path.starts_with("src/");
            if !is_place {
                findings.push(format!("{}:{}: unsafe", file.path, index + 1));
            } else if must_explain && !is_explained && !line.contains("unsafe_code") {
                findings.push(format!("{}:{}: no SAFETY sentence", file.path, index + 1));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn nothing_is_left_for_later_or_silenced() {
    // Put together here, so that this file does not hold what it looks for.
    let in_text = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let in_code = [["todo", "!"], ["unimplemented", "!"]].map(|parts| parts.concat());
    let mut findings = Vec::new();
    for file in tree() {
        for (index, line) in file.text.lines().enumerate() {
            for word in in_text.iter().filter(|word| has_word(line, word)) {
                findings.push(format!("{}:{}: {word}", file.path, index + 1));
            }
        }
        for (index, line) in file.code.lines().enumerate() {
            for word in in_code.iter().filter(|word| has_word(line, word)) {
                findings.push(format!("{}:{}: {word}", file.path, index + 1));
            }
            let is_attribute =
                line.trim_start().starts_with("#[") || line.trim_start().starts_with("#![");
            if is_attribute && has_word(line, "allow") {
                findings.push(format!("{}:{}: allow, not expect", file.path, index + 1));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn no_unwrap_outside_of_tests() {
    let mut findings = Vec::new();
    for file in tree().iter().filter(|file| file.is_rust() && !file.is_tests()) {
        for (index, line) in file.product_code().lines().enumerate() {
            if line.contains(".unwrap()") {
                findings.push(format!("{}:{}: unwrap", file.path, index + 1));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn no_file_names_a_place_on_somebody_s_machine() {
    let places = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    let mut findings = Vec::new();
    for file in tree() {
        for (index, line) in file.text.lines().enumerate() {
            let line = line.replace("://", "");
            for place in places.iter().filter(|place| line.contains(place.as_str())) {
                findings.push(format!("{}:{}: {place}", file.path, index + 1));
            }
        }
    }
    expect_none(&findings);
}
