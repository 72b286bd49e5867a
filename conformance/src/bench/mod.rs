//! Initiators side by side on one target, and the raw loopback exchange as the limit of what any of them could reach.
//!
//! The program `bench` goes through a [`Grid`](grid::Point) of loads. In each round all contenders have the same load in turn,
//! so that a machine whose speed drifts is unfair to none; what counts is the median of the ratios of single rounds.

pub mod contender;
pub mod cost;
pub mod counts;
pub mod crowd;
pub mod facts;
pub mod goals;
pub mod grid;
pub mod page;
pub mod plot;
pub mod raw;
pub mod rounds;
pub mod target;
pub mod work;

/// What one contender did with one load, once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Commands per second.
    pub iops: f64,
    /// Microseconds of processor time of the initiator's process, per command.
    pub cpu: f64,
    /// The same of the target's process.
    pub target_cpu: f64,
    /// The median latency in microseconds, if the contender tells.
    pub p50: Option<f64>,
}

/// The median of some numbers; of two in the middle the mean. `None` for no numbers.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    match middle.checked_sub(1).and_then(|below| numbers.get(below)) {
        Some(lower) if numbers.len().is_multiple_of(2) => Some(f64::midpoint(*lower, upper)),
        _ => Some(upper),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }
}
