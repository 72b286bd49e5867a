//! The outcome of a measurement.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::cost::Cost;
use super::load::Tally;
use crate::cli::command::Perf;
use crate::output::table::size;

/// Bars of the histogram are this wide at most.
const BAR: u64 = 40;

pub(super) struct Report<'a> {
    pub(super) args: &'a Perf,
    pub(super) tally: &'a Tally,
    pub(super) cost: Cost,
    pub(super) seconds: f64,
}

// Counts of a run that lasts hours are exact in a float, and rates are for people.
#[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "rates are rounded")]
impl Report<'_> {
    fn done(&self) -> u64 {
        self.tally.latencies.len()
    }

    fn iops(&self) -> f64 {
        self.done() as f64 / self.seconds.max(1e-6)
    }

    fn bytes_per_second(&self) -> f64 {
        self.iops() * self.args.block_size as f64
    }

    fn microseconds_per_io(&self) -> f64 {
        (self.cost.user_seconds() + self.cost.system_seconds()) * 1e6 / self.done().max(1) as f64
    }

    pub(super) fn as_json(&self) -> String {
        let latencies = &self.tally.latencies;
        let at = |quantile| latencies.value_at_quantile(quantile);
        let document: Value = json!({
            "schema": crate::output::json::SCHEMA,
            "perf": {
                "workload": self.args.workload.to_string(),
                "block_size": self.args.block_size,
                "queue_depth": self.args.queue_depth,
                "sessions": self.args.sessions,
            },
            "iops": self.iops(),
            "bytes_per_sec": self.bytes_per_second(),
            "errors": self.tally.errors,
            "latency_us": {
                "mean": latencies.mean(),
                "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": latencies.max(),
            },
            "cpu": {
                "user_s": self.cost.user_seconds(),
                "sys_s": self.cost.system_seconds(),
                "us_per_io": self.microseconds_per_io(),
            },
            "duration_s": self.seconds,
        });
        format!("{document:#}\n")
    }

    pub(super) fn as_text(&self) -> String {
        let Perf { workload, block_size, queue_depth, sessions, .. } = self.args;
        let latencies = &self.tally.latencies;
        let at = |quantile| time(latencies.value_at_quantile(quantile));
        let mut lines = vec![
            format!(
                "Load:      {workload}, {block_size} bytes a command, {queue_depth} at once, {sessions} session(s)"
            ),
            format!("Measured:  {} commands in {:.1} s, {} errors", self.done(), self.seconds, self.tally.errors),
            format!("Rate:      {:.0} IOPS, {}/s", self.iops(), size(self.bytes_per_second() as u64)),
            format!(
                "Latency:   mean {}, p50 {}, p99 {}, p99.9 {}, max {}",
                time(latencies.mean() as u64),
                at(0.5),
                at(0.99),
                at(0.999),
                time(latencies.max())
            ),
            format!(
                "CPU:       {:.2} s user, {:.2} s system, {:.2} us per command",
                self.cost.user_seconds(),
                self.cost.system_seconds(),
                self.microseconds_per_io()
            ),
        ];
        lines.extend(histogram(latencies));
        lines.push(String::new());
        lines.join("\n")
    }
}

/// A bar for each doubling of the latency.
#[expect(clippy::cast_precision_loss, reason = "shares are rounded")]
fn histogram(latencies: &Histogram<u64>) -> Vec<String> {
    let buckets: Vec<(u64, u64)> = (0..26)
        .map(|power| 1 << power)
        .map(|from: u64| (from, latencies.count_between(from, from * 2 - 1)))
        .skip_while(|(_, count)| *count == 0)
        .collect();
    let used = buckets.iter().rposition(|(_, count)| *count != 0).map_or(0, |last| last + 1);
    let most = buckets.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    buckets
        .iter()
        .take(used)
        .map(|(from, count)| {
            let bar = "#".repeat((count * BAR).div_ceil(most) as usize);
            let share = *count as f64 * 100.0 / latencies.len().max(1) as f64;
            format!("  < {:>8} {share:>6.2} %  {bar}", time(from * 2)).trim_end().to_owned()
        })
        .collect()
}

/// Microseconds, as people say them.
fn time(microseconds: u64) -> String {
    match microseconds {
        0..=9999 => format!("{microseconds} us"),
        10_000..=9_999_999 => format!("{} ms", microseconds / 1000),
        _ => format!("{} s", microseconds / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share_and_lines_end_without_blanks() {
        let mut latencies = Histogram::new(3).unwrap();
        latencies.record_n(5, 3).unwrap();
        latencies.record_n(20, 1).unwrap();
        let bar = |len| "#".repeat(len);
        let lines = [
            format!("  <     8 us  75.00 %  {}", bar(40)),
            "  <    16 us   0.00 %".to_owned(),
            format!("  <    32 us  25.00 %  {}", bar(14)),
        ];
        assert_eq!(histogram(&latencies), lines);
        assert_eq!(histogram(&Histogram::new(3).unwrap()), [""; 0]);
    }
}
