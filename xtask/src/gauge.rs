//! What a device was measured at: parsing, and the table with shares of the best.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::process::{Error, Result};
use crate::race::milliseconds;

/// A workload as `benches/src/bin/device.rs` prints it.
#[derive(Clone, Debug, PartialEq)]
struct Gauge {
    name: String,
    /// Or why there is no time.
    outcome: std::result::Result<Timing, String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Timing {
    seconds: f64,
    /// Floating-point operations.
    operations: f64,
    bytes: f64,
    /// `memory`, a dtype of arithmetic, or nothing.
    bound: String,
}

/// All workloads of a device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gauges {
    pub(crate) device: String,
    /// Rows and columns of the largest matrices.
    pub(crate) largest: String,
    all: Vec<Gauge>,
}

impl Timing {
    fn operations_a_second(&self) -> f64 {
        self.operations / self.seconds
    }

    fn bytes_a_second(&self) -> f64 {
        self.bytes / self.seconds
    }
}

impl Gauges {
    pub(crate) fn parse(printed: &str) -> Result<Self> {
        let mut gauges = Self { device: String::new(), largest: String::new(), all: Vec::new() };
        for line in printed.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            match fields[..] {
                ["device", device] => gauges.device = device.to_owned(),
                ["largest", largest] => gauges.largest = largest.to_owned(),
                [name, "error", message] => {
                    gauges.all.push(Gauge { name: name.to_owned(), outcome: Err(message.to_owned()) });
                }
                [name, seconds, operations, bytes, bound] => {
                    let number = |text: &str| {
                        text.parse::<f64>().map_err(|_| Error(format!("{text} is no number in the line {line:?}")))
                    };
                    let (seconds, operations, bytes) = (number(seconds)?, number(operations)?, number(bytes)?);
                    let timing = Timing { seconds, operations, bytes, bound: bound.to_owned() };
                    gauges.all.push(Gauge { name: name.to_owned(), outcome: Ok(timing) });
                }
                _ => return Err(Error(format!("{line:?} is not what the bench prints"))),
            }
        }
        Ok(gauges)
    }

    /// The names of the workloads that ran.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.all.iter().filter(|gauge| gauge.outcome.is_ok()).map(|gauge| gauge.name.as_str()).collect()
    }

    fn timings(&self) -> impl Iterator<Item = (&str, &Timing)> {
        self.all.iter().filter_map(|gauge| Some((gauge.name.as_str(), gauge.outcome.as_ref().ok()?)))
    }

    /// The share that a workload reaches of the best that was measured: of the fastest through memory, or of the fastest product
    /// of its dtype.
    fn share(&self, timing: &Timing) -> Option<f64> {
        let rate = |timing: &Timing| match timing.bound.as_str() {
            "memory" => timing.bytes_a_second(),
            _ => timing.operations_a_second(),
        };
        let alike = self.timings().filter(|(_, other)| !other.bound.is_empty() && other.bound == timing.bound);
        let best = alike.map(|(_, other)| rate(other)).reduce(f64::max)?;
        Some(rate(timing) / best)
    }

    /// The table in Markdown, with a peer's times beside if there is one, and below it what could not be measured.
    pub(crate) fn table(&self, peer: Option<(&str, &BTreeMap<String, f64>)>) -> String {
        let mut text = String::from("| workload | ms | GFLOP/s | GB/s | of the best |");
        if let Some((name, _)) = peer {
            let _ = write!(text, " {name}, ms | times as fast |");
        }
        text.push_str("\n|---|---:|---:|---:|---:|");
        text.push_str(if peer.is_some() { "---:|---:|\n" } else { "\n" });
        for (name, timing) in self.timings() {
            let rate = |rate: f64| if rate > 0.0 { three_digits(rate / 1e9) } else { "–".to_owned() };
            let share = self.share(timing).map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0));
            let _ = write!(
                text,
                "| `{name}` | {} | {} | {} | {share} |",
                milliseconds(Some(timing.seconds)),
                rate(timing.operations_a_second()),
                rate(timing.bytes_a_second()),
            );
            if let Some((_, times)) = peer {
                let _ = match times.get(name) {
                    Some(&seconds) => {
                        write!(text, " {} | {:.2} × |", milliseconds(Some(seconds)), seconds / timing.seconds)
                    }
                    None => write!(text, " – | – |"),
                };
            }
            text.push('\n');
        }
        for gauge in &self.all {
            if let Err(message) = &gauge.outcome {
                let _ = write!(text, "\nNot measured: `{}`. {message}.\n", gauge.name);
            }
        }
        text
    }
}

fn three_digits(value: f64) -> String {
    let decimals = (2.0 - value.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "device\tvulkan:0 a card\nlargest\t1024\n\
        copy\t0.001\t0\t1000000000\tmemory\n\
        add\t0.002\t0\t1500000000\tmemory\n\
        matmul_f32_512\t0.001\t5000000000\t3000000\tf32\n\
        matmul_f32_1024\t0.001\t10000000000\t12000000\tf32\n\
        mlp_step_b32\t0.0005\t1000000\t0\t\n\
        softmax\terror\tvulkan:0: there is no kernel for softmax\n";

    #[test]
    fn shares_are_of_the_best_of_a_kind() {
        let gauges = Gauges::parse(PRINTED).expect("it is what the bench prints");
        assert_eq!((gauges.device.as_str(), gauges.largest.as_str()), ("vulkan:0 a card", "1024"));
        assert_eq!(
            gauges.table(None),
            "\
            | workload | ms | GFLOP/s | GB/s | of the best |\n\
            |---|---:|---:|---:|---:|\n\
            | `copy` | 1.00 | – | 1000 | 100 % |\n\
            | `add` | 2.00 | – | 750 | 75 % |\n\
            | `matmul_f32_512` | 1.00 | 5000 | 3.00 | 50 % |\n\
            | `matmul_f32_1024` | 1.00 | 10000 | 12.0 | 100 % |\n\
            | `mlp_step_b32` | 0.500 | 2.00 | – | – |\n\
            \n\
            Not measured: `softmax`. vulkan:0: there is no kernel for softmax.\n"
        );
        assert!(!gauges.names().contains(&"softmax"));
    }

    #[test]
    fn a_peer_stands_beside() {
        let gauges = Gauges::parse(PRINTED).expect("it is what the bench prints");
        let times = BTreeMap::from([("add".to_owned(), 0.001)]);
        let table = gauges.table(Some(("PyTorch", &times)));
        assert!(table.starts_with("| workload | ms | GFLOP/s | GB/s | of the best | PyTorch, ms | times as fast |\n"));
        assert!(table.contains("| 75 % | 1.00 | 0.50 × |\n"), "{table}");
        assert!(table.contains("| 100 % | – | – |\n"), "{table}");
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["copy\tfast\t0\t1\tmemory", "copy 1.0", ""] {
            let refused = Gauges::parse(&format!("{line}\n"));
            assert!(refused.is_err(), "{line}");
        }
    }
}
