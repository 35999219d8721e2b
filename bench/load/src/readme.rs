//! `load readme FILE...`: what the project's README shows: a row a figure, with the spread, and
//! the ratios that count.

use crate::series::{header, row, Column, Runs, COLUMNS};

/// Who is compared, in this order, if it was measured.
const SHOWN: &[&str] = &[
    "ours",
    "ours-no-offload",
    "ours-plain",
    "ours-hyper",
    "ours-copy",
    "ours-stack",
    "kernel-veth",
    "kernel-axum",
    "kernel-plain",
    "limit-gso",
    "limit-1500",
    "smoltcp-1500",
    "gvisor-gso",
    "lwip-1500",
];

/// Whose ratio to whom is shown.
const RATIOS: &[(&str, &str)] = &[
    ("ours", "kernel-veth"),
    ("ours", "kernel-axum"),
    ("ours", "limit-gso"),
    ("ours", "limit-1500"),
    ("ours", "smoltcp-1500"),
    ("ours", "gvisor-gso"),
    ("ours-no-offload", "limit-1500"),
    ("ours-no-offload", "smoltcp-1500"),
    ("ours-plain", "kernel-veth"),
    ("ours-plain", "kernel-plain"),
    ("ours-plain", "smoltcp-1500"),
    ("ours-hyper", "kernel-veth"),
    ("ours-copy", "limit-gso"),
    ("ours-stack", "smoltcp-1500"),
];

pub(crate) fn run(files: &[String]) {
    let runs = Runs::read(files);
    let has = |name: &str| runs.contenders.iter().any(|c| c == name);
    let shown: Vec<&str> = SHOWN.iter().copied().filter(|name| has(name)).collect();
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|c| shown.iter().any(|name| !runs.values(name, c.metric, "value").is_empty()))
        .collect();

    let mut head = vec!["median (min-max)".to_string()];
    head.extend(shown.iter().map(|name| format!("`{name}`")));
    header(&head);
    for column in &columns {
        let mut cells = vec![column.heading.to_string()];
        cells.extend(shown.iter().map(|name| figure(&runs, column, name)));
        row(&cells);
    }

    let ratios: Vec<_> = RATIOS.iter().filter(|(a, b)| has(a) && has(b)).collect();
    println!();
    let mut head = vec!["times as good as".to_string()];
    head.extend(ratios.iter().map(|(own, base)| format!("`{own}` / `{base}`")));
    header(&head);
    for column in &columns {
        let mut cells = vec![column.heading.to_string()];
        let ratio = |own: &str, base: &str| runs.ratio(column, own, base);
        cells.extend(
            ratios.iter().map(|(a, b)| ratio(a, b).map_or("-".into(), |q| format!("{q:.2}"))),
        );
        row(&cells);
    }
    disturbed(&runs);
}

fn figure(runs: &Runs, column: &Column, contender: &str) -> String {
    let v = runs.values(contender, column.metric, "value");
    if v.is_empty() {
        return "-".into();
    }
    let (unit, digits) = (column.unit, column.digits);
    let lo = v.iter().copied().fold(f64::INFINITY, f64::min) / unit;
    let hi = v.iter().copied().fold(f64::NEG_INFINITY, f64::max) / unit;
    let middle = runs.median(contender, column.metric, "value") / unit;
    format!("{middle:.digits$} ({lo:.digits$}-{hi:.digits$})")
}

fn disturbed(runs: &Runs) {
    let notes = runs.notes();
    if !notes.is_empty() {
        println!();
        for note in notes {
            println!("- {note}");
        }
    }
}
