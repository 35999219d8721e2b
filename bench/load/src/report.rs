//! `load report [--base NAME] FILE...`: medians, ratios, spread and CPU as Markdown.

use crate::series::{header, median, row, Column, Runs, COLUMNS};

pub(crate) fn run(args: &[String]) {
    let (base, files) = match args {
        [flag, base, files @ ..] if flag == "--base" => (base.as_str(), files),
        files => ("kernel-veth", files),
    };
    let runs = Runs::read(files);
    medians(&runs);
    ratios(&runs, base);
    spread(&runs);
    cpu(&runs);
    idle(&runs);
    raw(&runs);
    let notes = runs.notes();
    if !notes.is_empty() {
        println!("\n### Notes\n");
        for n in notes {
            println!("- {n}");
        }
    }
}

fn table(runs: &Runs, title: &str, cell: impl Fn(&str, &Column) -> String) {
    println!("### {title}\n");
    let mut head = vec!["contender".to_string()];
    head.extend(COLUMNS.iter().map(|c| c.heading.to_string()));
    header(&head);
    for contender in &runs.contenders {
        let mut cells = vec![contender.clone()];
        cells.extend(COLUMNS.iter().map(|column| cell(contender, column)));
        row(&cells);
    }
    println!();
}

fn medians(runs: &Runs) {
    table(runs, "Medians", |contender, c| {
        let value = runs.median(contender, c.metric, "value");
        if value.is_nan() {
            "-".into()
        } else {
            format!("{:.*}", c.digits, value / c.unit)
        }
    });
}

fn ratios(runs: &Runs, base: &str) {
    table(runs, &format!("Ratio to {base} (above 1 is better than it)"), |contender, c| {
        runs.ratio(c, contender, base).map_or("-".into(), |q| format!("{q:.2}"))
    });
}

fn spread(runs: &Runs) {
    table(runs, "Spread (min-max over the repetitions)", |contender, c| {
        let v = runs.values(contender, c.metric, "value");
        let lo = v.iter().copied().fold(f64::INFINITY, f64::min) / c.unit;
        let hi = v.iter().copied().fold(f64::NEG_INFINITY, f64::max) / c.unit;
        let dig = c.digits;
        if v.is_empty() {
            "-".into()
        } else {
            format!("{lo:.dig$}-{hi:.dig$}")
        }
    });
}

fn cpu(runs: &Runs) {
    table(runs, "CPU: server user+system / client process, in cores (medians)", |contender, c| {
        let [user, system, client] = ["cpu_server_user", "cpu_server_sys", "cpu_client"]
            .map(|key| runs.median(contender, c.metric, key));
        if user.is_nan() {
            "-".into()
        } else {
            format!("{user:.2}+{system:.2} / {client:.2}")
        }
    });
}

fn idle(runs: &Runs) {
    println!(
        "### Idle connections: held, server RSS and machine memory a connection (both ends)\n"
    );
    header(&["contender", "10k", "50k", "100k", "idle CPU at the largest"].map(String::from));
    for c in &runs.contenders {
        let mut cells = vec![c.clone()];
        let mut quiet = f64::NAN;
        for k in ["10", "50", "100"] {
            let m = format!("idle{k}k_rss");
            let of = |key| runs.median(c, &m, key);
            let used = of("cpu_server_user") + of("cpu_server_sys");
            if !used.is_nan() {
                quiet = used;
            }
            let alive = 100.0 * of("alive") / of("probed");
            let (held, rss, ramp) = (of("held"), of("value"), of("ramp_s"));
            let machine = of("machine_bytes_per_conn");
            cells.push(if held.is_nan() {
                "-".into()
            } else {
                format!("{held:.0} in {ramp:.1} s, {rss:.0} B, {machine:.0} B, {alive:.0}% alive")
            });
        }
        cells.push(if quiet.is_nan() { "-".into() } else { format!("{quiet:.2}") });
        row(&cells);
    }
}

fn raw(runs: &Runs) {
    if runs.raw.is_empty() {
        return;
    }
    println!("\n### Raw TUN device\n");
    let head = ["test", "Gbit/s", "k packets (= syscalls)/s", "min-max Gbit/s", "packet bytes"];
    header(&head.map(String::from));
    for (c, m) in &runs.raw {
        let mut g = runs.values(c, m, "value");
        g.sort_by(f64::total_cmp);
        let range = [g.first(), g.last()].map(|v| v.copied().unwrap_or(f64::NAN));
        row(&[
            m.trim_start_matches("raw_").to_string(),
            format!("{:.2}", median(g.clone())),
            format!("{:.0}", runs.median(c, m, "pps") / 1e3),
            format!("{:.2}-{:.2}", range[0], range[1]),
            format!("{:.0}", runs.median(c, m, "packet")),
        ]);
    }
}
