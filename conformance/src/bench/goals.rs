//! The figures that this project wants to reach.

use super::Sample;
use super::contender::Contender;
use super::grid::{Backend, Digests, Op, Point, Seat};
use super::rounds::{Outcome, ratio};

/// A figure, and whether it was reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What is compared.
    pub what: String,
    /// The bound, as text.
    pub wanted: String,
    /// The figure.
    pub found: f64,
    /// Whether it keeps the bound.
    pub reached: bool,
}

/// Which figure is bounded, and from which side.
#[derive(Clone, Copy)]
enum Bound {
    Iops(f64),
    Cpu(f64),
    P50(f64),
}

impl Bound {
    fn value(self, sample: &Sample) -> f64 {
        match self {
            Self::Iops(_) => sample.iops,
            Self::Cpu(_) => sample.cpu,
            Self::P50(_) => sample.p50.unwrap_or_default(),
        }
    }

    fn goal(self, what: &str, found: f64) -> Goal {
        let (name, wanted, reached) = match self {
            Self::Iops(bound) => ("rate", format!("≥ {bound}"), found >= bound),
            Self::Cpu(bound) => ("CPU per command", format!("≤ {bound}"), found <= bound),
            Self::P50(bound) => ("median latency", format!("≤ {bound}"), found <= bound),
        };
        Goal { what: format!("{what}: {name}"), wanted, found, reached }
    }
}

/// What became of the goals whose loads are among `outcomes`.
pub fn goals(outcomes: &[Outcome]) -> Vec<Goal> {
    let mut goals = over_others(outcomes);
    goals.extend(over_ourselves(outcomes));
    goals.extend(of_the_target(outcomes));
    goals
}

/// Ours over another's on the same load.
fn over_others(outcomes: &[Outcome]) -> Vec<Goal> {
    use Bound::{Cpu, Iops, P50};
    use Contender::{IscsiPerf, Libiscsi};
    let read = |block, depth| Point::new(Op::Read, block, depth);
    let write = |block, depth| Point::new(Op::Write, block, depth);
    let seated = |seat| Point { seat, ..read(4096, 1) };
    let wanted: [(Point, Contender, &[Bound]); 12] = [
        (read(4096, 128), IscsiPerf, &[Iops(3.5), Cpu(0.2)]),
        (read(4096, 32), IscsiPerf, &[Iops(1.8), Cpu(0.35)]),
        (read(4096, 8), IscsiPerf, &[Iops(1.0), Cpu(0.7)]),
        (seated(Seat::OneCore), Libiscsi, &[Iops(1.0), P50(1.05)]),
        (seated(Seat::Polling), Libiscsi, &[Iops(2.5)]),
        (write(4096, 128), Libiscsi, &[Iops(5.0), Cpu(0.2)]),
        (write(4096, 32), Libiscsi, &[Iops(2.0), Cpu(0.3)]),
        (read(64 << 10, 8), IscsiPerf, &[Iops(1.4)]),
        (read(256 << 10, 8), Libiscsi, &[Iops(1.0), Cpu(1.0)]),
        (read(1 << 20, 8), Libiscsi, &[Iops(1.0), Cpu(1.0)]),
        (write(256 << 10, 8), Libiscsi, &[Iops(1.0), Cpu(1.0)]),
        (write(1 << 20, 8), Libiscsi, &[Iops(1.4), Cpu(0.7)]),
    ];
    let mut goals = Vec::new();
    for (point, other, bounds) in wanted {
        let Some(outcome) = find(outcomes, &point) else { continue };
        for bound in bounds {
            if let Some(found) = outcome.ratio(other, |sample| bound.value(sample)) {
                goals.push(bound.goal(&format!("{point}, over {other}"), found));
            }
        }
    }
    goals
}

/// Ours with digests or more sessions over ours without.
fn over_ourselves(outcomes: &[Outcome]) -> Vec<Goal> {
    let bound = |point: &Point| match (point.digests, point.sessions, point.block) {
        (Digests::Both, 1, 4096) if point.depth == 128 => Some(0.75),
        (Digests::Both, 1, 0x4_0000..) => Some(0.85),
        (Digests::None, 2.., _) => Some(0.95),
        _ => None,
    };
    let pairs = outcomes.iter().filter_map(|outcome| {
        let point = outcome.point;
        let bound = bound(&point).filter(|_| point.backend == Backend::Null && point.op == Op::Read)?;
        let plain = find(outcomes, &point.plain())?;
        let found = ratio(outcome.of(Contender::Ours), plain.of(Contender::Ours), |sample| sample.iops)?;
        Some(Bound::Iops(bound).goal(&format!("{point}, over the same without"), found))
    });
    pairs.collect()
}

/// What the bundled target costs over what the raw exchange's server does.
fn of_the_target(outcomes: &[Outcome]) -> Vec<Goal> {
    let goal = |backend| {
        let outcome = find(outcomes, &Point { backend, ..Point::new(Op::Read, 4096, 128) })?;
        let found = ratio(outcome.of(Contender::Ours), outcome.of(Contender::Raw), |sample| sample.target_cpu)?;
        let what = format!("read 4 KiB, depth 128, {backend}, over the raw server");
        Some(Bound::Cpu(2.0).goal(&what, found))
    };
    [Backend::Null, Backend::Memory].into_iter().filter_map(goal).collect()
}

fn find<'a>(outcomes: &'a [Outcome], point: &Point) -> Option<&'a Outcome> {
    outcomes.iter().find(|outcome| outcome.point == *point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(point: Point, samples: &[(usize, f64, f64)]) -> Outcome {
        let samples = samples.iter().map(|(contender, iops, cpu)| {
            (*contender, vec![Sample { iops: *iops, cpu: *cpu, target_cpu: *cpu, p50: None }])
        });
        Outcome { point, samples: samples.collect() }
    }

    #[test]
    fn goals_are_judged_by_both_figures() {
        let point = Point::new(Op::Read, 4096, 128);
        let goals = goals(&[outcome(point, &[(0, 400.0, 2.0), (1, 100.0, 5.0), (3, 500.0, 1.0)])]);
        let told: Vec<(&str, f64, bool)> =
            goals.iter().map(|goal| (goal.what.as_str(), goal.found, goal.reached)).collect();
        let expected = [
            ("read 4 KiB, depth 128, over iscsi-perf: rate", 4.0, true),
            ("read 4 KiB, depth 128, over iscsi-perf: CPU per command", 0.4, false),
            ("read 4 KiB, depth 128, bundled target, null backend, over the raw server: CPU per command", 2.0, true),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn digests_are_compared_with_none() {
        let plain = Point::new(Op::Read, 1 << 20, 8);
        let both = Point { digests: Digests::Both, ..plain };
        let goals = goals(&[outcome(plain, &[(0, 100.0, 1.0)]), outcome(both, &[(0, 84.0, 1.0)])]);
        let [goal] = goals.as_slice() else { panic!("{goals:?}") };
        assert_eq!((goal.found, goal.reached), (0.84, false));
    }
}
