//! What a race measured: parsing, medians, the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::process::{Error, Result};

/// Seconds by workload, one number a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Times(BTreeMap<String, Vec<f64>>);

/// A runner and what it measured.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub(crate) name: &'static str,
    pub(crate) times: Times,
    /// The most memory it held during the memory run, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

impl Times {
    /// Adds a round: lines of `name seconds`. Other lines are left out, since libraries print
    /// notices; a workload asked for but not there is an error.
    pub(crate) fn add_round(&mut self, printed: &str, workloads: &[String]) -> Result<()> {
        let round = parse(printed);
        for workload in workloads {
            let seconds = round
                .get(workload)
                .ok_or_else(|| Error(format!("no line `{workload} SECONDS` among what was printed:\n{printed}")))?;
            self.0.entry(workload.clone()).or_default().push(*seconds);
        }
        Ok(())
    }

    /// The median over the rounds, in seconds.
    pub(crate) fn median(&self, workload: &str) -> Option<f64> {
        median(self.0.get(workload)?)
    }
}

/// The `name seconds` lines of a run.
pub(crate) fn parse(printed: &str) -> BTreeMap<String, f64> {
    let mut times = BTreeMap::new();
    for line in printed.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(seconds), None) = (words.next(), words.next(), words.next())
            && let Ok(seconds) = seconds.parse::<f64>()
            && seconds.is_finite()
            && seconds > 0.0
        {
            times.insert(name.to_owned(), seconds);
        }
    }
    times
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The table of a race in Markdown: `ours` against the faster of `peers`.
pub(crate) fn table(workloads: &[String], ours: &Runner, peers: &[Runner]) -> String {
    let mut text = format!("| workload | {}, ms |", ours.name);
    for peer in peers {
        let _ = write!(text, " {}, ms |", peer.name);
    }
    text.push_str(" times as fast as the faster peer |\n|---|---:|");
    text.push_str(&"---:|".repeat(peers.len() + 1));
    text.push('\n');
    for workload in workloads {
        let our_time = ours.times.median(workload);
        let _ = write!(text, "| `{workload}` | {} |", milliseconds(our_time));
        let peer_times: Vec<_> = peers.iter().map(|peer| (peer.name, peer.times.median(workload))).collect();
        for (_, time) in &peer_times {
            let _ = write!(text, " {} |", milliseconds(*time));
        }
        let fastest = peer_times
            .into_iter()
            .filter_map(|(name, time)| Some((name, time?)))
            .min_by(|left, right| left.1.total_cmp(&right.1));
        let _ = match (our_time, fastest) {
            (Some(ours), Some((name, peer))) => {
                writeln!(text, " {:.2} × ({name}) |", peer / ours)
            }
            _ => writeln!(text, " – |"),
        };
    }
    text
}

/// The peak memory of each runner in Markdown.
pub(crate) fn memory_table<'a>(workload: &str, runners: impl IntoIterator<Item = &'a Runner>) -> String {
    let mut text = format!("| peak memory of a process that runs `{workload}` | MiB |\n|---|---:|\n");
    for runner in runners {
        let _ = match runner.peak_memory {
            Some(bytes) => {
                let mebibytes = bytes as f64 / f64::from(1 << 20);
                writeln!(text, "| {} | {mebibytes:.0} |", runner.name)
            }
            None => writeln!(text, "| {} | – |", runner.name),
        };
    }
    text
}

/// Three significant digits, as the peers' README writes them.
pub(crate) fn milliseconds(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else {
        return "–".to_owned();
    };
    let value = seconds * 1e3;
    let decimals = (2.0 - value.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn runner(name: &'static str, rounds: &[&str], workloads: &[&str]) -> Runner {
        let mut times = Times::default();
        for round in rounds {
            times.add_round(round, &names(workloads)).expect("complete");
        }
        Runner { name, times, peak_memory: None }
    }

    #[test]
    fn only_name_and_seconds_count() {
        let printed = "WARNING: all of this is noise\nsgemm_256 0.000235\nmlp 1e-3\n\
                       a b c\nbad seconds\nnan NaN\nzero 0\nnegative -1\n";
        let times = parse(printed);
        assert_eq!(times.len(), 2);
        assert_eq!(times["sgemm_256"], 0.000235);
        assert_eq!(times["mlp"], 0.001);
    }

    #[test]
    fn a_missing_workload_is_named() {
        let mut times = Times::default();
        let Err(Error(message)) = times.add_round("a 1.0", &names(&["a", "b"])) else {
            panic!("b is missing");
        };
        assert!(message.contains("`b SECONDS`"), "{message}");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn the_ratio_is_of_medians_to_the_faster_peer() {
        let ours = runner("Osnova", &["a 0.001", "a 0.1", "a 0.001"], &["a"]);
        let torch = runner("PyTorch", &["a 0.002", "a 0.0024", "a 0.003"], &["a"]);
        let jax = runner("JAX", &["a 0.0014\nb 7"], &["a"]);
        let expected = "\
            | workload | Osnova, ms | PyTorch, ms | JAX, ms | times as fast as the faster peer |\n\
            |---|---:|---:|---:|---:|\n\
            | `a` | 1.00 | 2.40 | 1.40 | 1.40 × (JAX) |\n\
            | `b` | – | – | – | – |\n";
        assert_eq!(table(&names(&["a", "b"]), &ours, &[torch.clone(), jax]), expected);
        let alone = table(&names(&["a"]), &ours, &[]);
        assert!(alone.ends_with("| `a` | 1.00 | – |\n"), "{alone}");
    }

    #[test]
    fn times_have_three_digits() {
        let cases =
            [(0.0124, "12.4"), (0.000_058_91, "0.0589"), (0.1235, "124"), (1.5, "1500"), (0.000_000_114, "0.000114")];
        for (seconds, expected) in cases {
            assert_eq!(milliseconds(Some(seconds)), expected);
        }
    }

    #[test]
    fn memory_is_listed_by_runner() {
        let mut ours = runner("Osnova", &[], &[]);
        ours.peak_memory = Some(30 << 20);
        let text = memory_table("mlp", [&ours, &runner("JAX", &[], &[])]);
        assert!(text.ends_with("| Osnova | 30 |\n| JAX | – |\n"), "{text}");
    }
}
