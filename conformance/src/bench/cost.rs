//! What a process has cost, by the operating system's account.

use std::fs;

/// Seconds of processor time, user and system, that a process has used so far; 0 where the system does not tell. It is counted in
/// ticks of the system, usually 10 ms.
pub fn processor_seconds(pid: u32) -> f64 {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(0.0, |text| ticks(&text) / per_second())
}

#[expect(clippy::cast_precision_loss, reason = "ticks are few")]
fn ticks(stat: &str) -> f64 {
    // The second field is the program's name in parentheses, and may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() as f64
}

#[expect(clippy::cast_precision_loss, reason = "ticks are few")]
fn per_second() -> f64 {
    rustix::param::clock_ticks_per_second().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 1 0 5 6 7";
        assert!((ticks(stat) - 46.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_process_that_is_not_there_has_cost_nothing() {
        assert!(processor_seconds(u32::MAX).abs() < f64::EPSILON);
    }
}
