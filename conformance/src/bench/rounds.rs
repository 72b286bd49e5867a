//! Rounds, and what comes of them.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::contender::{Contender, Programs, sizes};
use super::grid::Point;
use super::target::Target;
use super::{Sample, median};

/// What was measured of one load: for each contender a sample per round.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The load.
    pub point: Point,
    /// Samples in the order of the rounds.
    pub samples: BTreeMap<usize, Vec<Sample>>,
}

/// Has every contender do one load, in turn, so many times.
pub fn measure(point: Point, programs: &Programs, rounds: u32, time: Duration) -> io::Result<Outcome> {
    let target = Target::for_point(&point, &programs.target)?;
    let mut samples: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
    for _ in 0..rounds {
        for (index, contender) in Contender::ALL.into_iter().enumerate() {
            if !contender.takes(&point, programs) {
                continue;
            }
            let sample = if contender == Contender::Raw {
                let raw = Target::raw(sizes(&point), point.seat, &programs.bench)?;
                contender.measure(&point, &raw, programs, time)?
            } else {
                contender.measure(&point, &target, programs, time)?
            };
            samples.entry(index).or_default().push(sample);
        }
    }
    Ok(Outcome { point, samples })
}

impl Outcome {
    /// The samples of a contender.
    pub fn of(&self, contender: Contender) -> &[Sample] {
        let index = Contender::ALL.iter().position(|other| *other == contender);
        index.and_then(|index| self.samples.get(&index)).map_or(&[], Vec::as_slice)
    }

    /// The median of something that a contender did.
    pub fn median(&self, contender: Contender, what: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.of(contender).iter().map(what))
    }

    /// The median over the rounds of ours over another's.
    pub fn ratio(&self, other: Contender, what: impl Fn(&Sample) -> f64) -> Option<f64> {
        ratio(self.of(Contender::Ours), self.of(other), what)
    }
}

/// The median of the ratios of one contender's samples to another's, round by round.
pub fn ratio(of: &[Sample], to: &[Sample], what: impl Fn(&Sample) -> f64) -> Option<f64> {
    median(of.iter().zip(to).filter(|(_, to)| what(to) > 0.0).map(|(of, to)| what(of) / what(to)))
}

#[cfg(test)]
mod tests {
    use super::super::grid::Op;
    use super::*;

    fn sample(iops: f64) -> Sample {
        Sample { iops, cpu: 1.0, target_cpu: 1.0, p50: None }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let samples =
            [(0, vec![sample(20.0), sample(8.0), sample(30.0)]), (1, vec![sample(10.0), sample(2.0), sample(10.0)])];
        let outcome = Outcome { point: Point::new(Op::Read, 4096, 1), samples: samples.into() };
        assert_eq!(outcome.ratio(Contender::IscsiPerf, |sample| sample.iops), Some(3.0));
        assert_eq!(outcome.ratio(Contender::Raw, |sample| sample.iops), None);
        assert_eq!(outcome.median(Contender::Ours, |sample| sample.iops), Some(20.0));
    }
}
