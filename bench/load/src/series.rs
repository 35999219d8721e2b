//! The lines of one or several runs, read back.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

/// A figure as the tables show it.
pub(crate) struct Column {
    pub(crate) metric: &'static str,
    pub(crate) heading: &'static str,
    /// What a value is divided by for display.
    pub(crate) unit: f64,
    pub(crate) digits: usize,
    pub(crate) more_is_better: bool,
}

const fn more(metric: &'static str, heading: &'static str, unit: f64, digits: usize) -> Column {
    Column { metric, heading, unit, digits, more_is_better: true }
}

const fn less(metric: &'static str, heading: &'static str) -> Column {
    Column { metric, heading, unit: 1.0, digits: 1, more_is_better: false }
}

pub(crate) const COLUMNS: &[Column] = &[
    more("up1", "up 1 Gb/s", 1.0, 2),
    more("up8", "up 8 Gb/s", 1.0, 2),
    more("down1", "down 1 Gb/s", 1.0, 2),
    more("down8", "down 8 Gb/s", 1.0, 2),
    less("echo_p50", "echo p50 us"),
    less("echo_p99", "echo p99 us"),
    less("spin_p50", "spin p50 us"),
    less("spin_p99", "spin p99 us"),
    less("beside_p50", "echo beside 8 uploads p50 us"),
    less("beside_p99", "echo beside 8 uploads p99 us"),
    less("beside-down_p50", "echo beside 8 downloads p50 us"),
    less("beside-down_p99", "echo beside 8 downloads p99 us"),
    more("http64", "HTTP k req/s", 1000.0, 1),
    more("cps", "k conn/s", 1000.0, 2),
    less("wakes", "idle wake-ups/s"),
];

/// All that was measured, in the order in which contenders first appeared.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) contenders: Vec<String>,
    /// Contender and metric of what the bare device carries.
    pub(crate) raw: Vec<(String, String)>,
    pub(crate) series: BTreeMap<(String, String), Vec<Value>>,
}

impl Runs {
    pub(crate) fn read(files: &[String]) -> Self {
        let mut runs = Self::default();
        for f in files {
            let text = fs::read_to_string(f).unwrap_or_else(|e| {
                eprintln!("load: {f}: {e}");
                std::process::exit(1)
            });
            for line in text.lines() {
                if let Ok(v) = serde_json::from_str::<Value>(line) {
                    runs.add(v);
                }
            }
        }
        runs
    }

    fn add(&mut self, v: Value) {
        let (Some(c), Some(m)) = (v["contender"].as_str(), v["metric"].as_str()) else { return };
        let key = (c.to_string(), m.to_string());
        if m.starts_with("raw_") {
            if !self.raw.contains(&key) {
                self.raw.push(key.clone());
            }
        } else if !self.contenders.contains(&key.0) {
            self.contenders.push(key.0.clone());
        }
        self.series.entry(key).or_default().push(v);
    }

    pub(crate) fn values(&self, contender: &str, metric: &str, key: &str) -> Vec<f64> {
        let all = self.series.get(&(contender.to_string(), metric.to_string()));
        all.map(|v| v.iter().filter_map(|x| x[key].as_f64()).collect()).unwrap_or_default()
    }

    /// NaN if there is none.
    pub(crate) fn median(&self, contender: &str, metric: &str, key: &str) -> f64 {
        median(self.values(contender, metric, key))
    }

    /// How much better `contender` is than `base`: above 1 is better, whatever the figure.
    pub(crate) fn ratio(&self, column: &Column, contender: &str, base: &str) -> Option<f64> {
        let [own, other] = [contender, base].map(|c| self.median(c, column.metric, "value"));
        let q = if column.more_is_better { own / other } else { other / own };
        q.is_finite().then_some(q)
    }

    /// What a reader must know before he compares: failures, and phases that were disturbed.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = vec![];
        for c in &self.contenders {
            for ((_, m), v) in self.series.iter().filter(|((own, _), _)| own == c) {
                for x in v {
                    let place = format!("{c} {m} rep {}", x["rep"]);
                    notes.extend(faults(x).into_iter().map(|fault| format!("{place}: {fault}")));
                }
            }
        }
        notes
    }
}

fn faults(x: &Value) -> Vec<String> {
    let mut all = vec![];
    if let Some(e) = x["error"].as_str() {
        all.push(e.to_string());
    }
    let foreign = x["cpu_foreign"].as_f64().unwrap_or(0.0);
    if foreign >= crate::DISTURBED {
        all.push(format!("other work used {foreign:.2} cores meanwhile"));
    }
    for (key, what) in [
        ("failed", "connections failed"),
        ("retrans", "segments were sent again by the client"),
        ("unclean_close", "streams without FIN in 3 s"),
    ] {
        if let Some(n @ 1..) = x[key].as_u64() {
            all.push(format!("{n} {what}"));
        }
    }
    all
}

pub(crate) fn median(mut v: Vec<f64>) -> f64 {
    if v.is_empty() {
        return f64::NAN;
    }
    v.sort_by(f64::total_cmp);
    let n = v.len();
    if n % 2 == 1 {
        v[n / 2]
    } else {
        f64::midpoint(v[n / 2 - 1], v[n / 2])
    }
}

pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

pub(crate) fn header(cells: &[String]) {
    row(cells);
    println!("|{}", "---|".repeat(cells.len()));
}
