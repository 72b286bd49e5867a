//! The outcome as text: for a terminal, and for `docs/BENCHMARKS.md`.

use std::fmt::Write;

use super::Sample;
use super::contender::Contender;
use super::goals::{Goal, goals};
use super::grid::{Backend, Op, Point};
use super::rounds::Outcome;

/// How a page came about.
#[derive(Clone, Debug)]
pub struct Source {
    /// The command line that makes it.
    pub command: String,
    /// Rounds that the medians are over.
    pub rounds: u32,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// About the machine.
    pub facts: Vec<String>,
}

/// The whole page.
pub fn page(outcomes: &[Outcome], source: &Source) -> String {
    let mut page = String::from(HEAD);
    let Source { command, rounds, seconds, .. } = source;
    let _ = writeln!(page, "Made by `{command}`: {rounds} round(s), {seconds} s for each measurement, and medians.\n");
    for fact in &source.facts {
        let _ = writeln!(page, "- {fact}");
    }
    page.push_str(&goal_table(&goals(outcomes)));
    page.push_str(PLOT);
    for backend in [Backend::Null, Backend::Memory, Backend::Tgt] {
        let of: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.point.backend == backend).collect();
        if !of.is_empty() {
            let _ = writeln!(page, "\n## Against {backend}\n");
            page.push_str(&table(&of));
        }
    }
    page
}

const HEAD: &str = "\
# Benchmarks

This page is written by a program; do not edit it. Initiators have the same load on the same target in turn, over loopback. The raw
exchange moves messages of the same sizes, batched as well as it gets and without any protocol: it is the limit. Every figure is a
median over the rounds; a ratio is the median of the ratios of single rounds, ours over theirs. A machine that other people share gives
other figures every time; the ratios are steadier.

- `riscsiadm perf` is ours.
- `iscsi-perf` is libiscsi's own tool, which only reads.
- `libiscsi client` is [a small program](../conformance/bench/libiscsi.c) that uses libiscsi in its fastest way, for reads and writes.

";

const PLOT: &str = "\n![IOPS over queue depth, and throughput over block size](benchmarks.svg)\n";

/// The table of goals.
pub fn goal_table(goals: &[Goal]) -> String {
    let mut text = String::from("\n## Goals\n\n| What, ours over theirs | Wanted | Found | |\n|---|---|---|---|\n");
    for Goal { what, wanted, found, reached } in goals {
        let mark = if *reached { "reached" } else { "**not reached**" };
        let _ = writeln!(text, "| {what} | {wanted} | {found:.2} | {mark} |");
    }
    text
}

/// One row per load.
fn table(outcomes: &[&Outcome]) -> String {
    let mut text = String::from(
        "| Load | raw exchange | riscsiadm perf | p50 | iscsi-perf | libiscsi client | over iscsi-perf | over libiscsi |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for outcome in outcomes {
        let p50 = outcome.median(Contender::Ours, |sample| sample.p50.unwrap_or_default());
        let cell = |contender| rate(outcome, contender);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            outcome.point,
            cell(Contender::Raw),
            cell(Contender::Ours),
            p50.map_or_else(dash, |p50| format!("{p50:.0} µs")),
            cell(Contender::IscsiPerf),
            cell(Contender::Libiscsi),
            ratios(outcome, Contender::IscsiPerf),
            ratios(outcome, Contender::Libiscsi),
        );
    }
    text.push_str("\nA cell has the rate and, behind the stroke, µs of processor time of the initiator per command. A ratio has both too.\n");
    text
}

fn rate(outcome: &Outcome, contender: Contender) -> String {
    let rate = outcome.median(contender, |sample| sample.iops);
    let cpu = outcome.median(contender, |sample| sample.cpu);
    rate.zip(cpu).map_or_else(dash, |(rate, cpu)| format!("{} / {cpu:.2}", amount(&outcome.point, rate)))
}

fn ratios(outcome: &Outcome, other: Contender) -> String {
    let of = |what: fn(&Sample) -> f64| outcome.ratio(other, what);
    of(|sample| sample.iops)
        .zip(of(|sample| sample.cpu))
        .map_or_else(dash, |(rate, cpu)| format!("{rate:.2} / {cpu:.2}"))
}

fn dash() -> String {
    "–".into()
}

/// Commands per second for small blocks, bytes per second for large ones.
fn amount(point: &Point, iops: f64) -> String {
    if point.block < 64 << 10 {
        format!("{:.1}k IOPS", iops / 1e3)
    } else {
        format!("{:.2} GB/s", iops * f64::from(point.block) / 1e9)
    }
}

/// One line for a terminal.
pub fn line(outcome: &Outcome) -> String {
    let mut line = format!("{:<48}", outcome.point.to_string());
    for contender in Contender::ALL {
        if !outcome.of(contender).is_empty() {
            let _ = write!(line, "  {contender} {}", rate(outcome, contender));
        }
    }
    let other = if outcome.point.op == Op::Read { Contender::IscsiPerf } else { Contender::Libiscsi };
    if !outcome.of(other).is_empty() {
        let _ = write!(line, "  ratio {}", ratios(outcome, other));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let sample = |iops, cpu| vec![Sample { iops, cpu, target_cpu: 1.0, p50: Some(50.0) }];
        let samples = [(0, sample(400_000.0, 1.5)), (1, sample(100_000.0, 6.0))];
        Outcome { point: Point::new(Op::Read, 4096, 128), samples: samples.into() }
    }

    #[test]
    fn a_row_has_rates_costs_and_ratios() {
        let row =
            "| read 4 KiB, depth 128 | – | 400.0k IOPS / 1.50 | 50 µs | 100.0k IOPS / 6.00 | – | 4.00 / 0.25 | – |";
        let source = Source { command: "bench".into(), rounds: 1, seconds: 1.0, facts: vec!["Cores: 2".into()] };
        let page = page(&[outcome()], &source);
        assert!(page.contains(row), "{page}");
        assert!(page.contains("- Cores: 2\n"), "{page}");
        assert!(page.contains("over iscsi-perf: rate | ≥ 3.5 | 4.00 | reached |"), "{page}");
    }

    #[test]
    fn a_line_for_the_terminal_has_the_same() {
        assert_eq!(
            line(&outcome()).split_whitespace().collect::<Vec<_>>().join(" "),
            "read 4 KiB, depth 128 riscsiadm perf 400.0k IOPS / 1.50 iscsi-perf 100.0k IOPS / 6.00 ratio 4.00 / 0.25"
        );
    }
}
