//! Instructions per piece of work, and the baseline that they are held to.
//!
//! A count is the same on a busy machine as on an idle one. It still depends on the compiler, so a baseline is compared only with
//! counts of the same one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::work::Work;

/// How much more than its baseline a count may be.
const SLACK: f64 = 0.03;
/// The work is counted for so many times and for three times as many; the difference has no start and no end in it.
const TIMES: u32 = 500;

/// What was counted before.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The compiler, as `rustc --version` says.
    pub compiler: String,
    /// Instructions per piece of work.
    pub counts: BTreeMap<String, f64>,
}

/// What a count is beside its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Within the slack, or less.
    Kept,
    /// More than that.
    Grown,
    /// There is no baseline for it.
    New,
}

/// Counts the instructions of one piece of work; `bench` is the program that does it.
pub fn count(work: Work, bench: &Path) -> io::Result<f64> {
    let instructions = |times| callgrind(work, times, bench);
    Ok((instructions(3 * TIMES)? - instructions(TIMES)?) / f64::from(2 * TIMES))
}

fn callgrind(work: Work, times: u32, bench: &Path) -> io::Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(bench);
    valgrind.args(["work", &work.to_string(), &times.to_string()]).stdin(Stdio::null());
    let done = valgrind.output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    collected(&said).ok_or_else(|| io::Error::other(format!("valgrind ended with {}: {said}", done.status)))
}

/// The total that callgrind tells at its end.
fn collected(said: &str) -> Option<f64> {
    let (_, total) = said.rsplit_once("Collected : ")?;
    total.split_whitespace().next()?.parse().ok()
}

/// How a count compares with its baseline.
pub fn verdict(found: f64, before: Option<f64>) -> Verdict {
    match before {
        None => Verdict::New,
        Some(before) if found > before * (1.0 + SLACK) => Verdict::Grown,
        Some(_) => Verdict::Kept,
    }
}

impl Baseline {
    /// As it stands in its file.
    pub fn parse(text: &str) -> io::Result<Self> {
        toml::from_str(text).map_err(io::Error::other)
    }

    /// As it is written to its file.
    pub fn to_text(&self) -> String {
        let counts = self.counts.iter().map(|(work, count)| format!("{work} = {count:.1}\n"));
        format!(
            "# Instructions per piece of work. A commit that changes one says why.\n\
             # Written by: cargo run --release -p conformance --bin bench -- count --write\n\
             compiler = {:?}\n\n[counts]\n{}",
            self.compiler,
            counts.collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_grow_by_three_percent() {
        assert_eq!(verdict(103.0, Some(100.0)), Verdict::Kept);
        assert_eq!(verdict(103.1, Some(100.0)), Verdict::Grown);
        assert_eq!(verdict(50.0, Some(100.0)), Verdict::Kept);
        assert_eq!(verdict(50.0, None), Verdict::New);
    }

    #[test]
    fn the_total_is_found_in_what_callgrind_says() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 123456\n"), Some(123_456.0));
        assert_eq!(collected("valgrind: no such program\n"), None);
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        let counts = BTreeMap::from([("encode".into(), 120.5), ("read".into(), 3000.0)]);
        let baseline = Baseline { compiler: "rustc 1.95.0 (x)".into(), counts };
        assert_eq!(Baseline::parse(&baseline.to_text()).unwrap(), baseline);
        assert!(Baseline::parse("compiler = 3").is_err());
    }
}
