//! How far a copy has come, for people at a terminal.

use std::io::{self, IsTerminal};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::output::json::SCHEMA;
use crate::output::table::size;

/// A copy of bytes under way.
pub(super) struct Progress {
    bar: ProgressBar,
    start: Instant,
    done: u64,
}

const WITH_END: &str = "{bar:30} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta}";
const WITHOUT_END: &str = "{spinner} {binary_bytes}  {binary_bytes_per_sec}";

impl Progress {
    /// Shows itself on standard error if that is a terminal. `total` is in bytes.
    // The clock is for people; no decision hangs on it.
    #[allow(clippy::disallowed_methods)]
    pub(super) fn new(total: Option<u64>) -> Self {
        let target =
            if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = if total.is_some() { WITH_END } else { WITHOUT_END };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, start: Instant::now(), done: 0 }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.done += bytes as u64;
        self.bar.set_position(self.done);
    }

    /// Takes the bar away, and gives the outcome as JSON, or as a line for a person at a terminal.
    pub(super) fn finish(self, verb: &str, offset: u64) -> Outcome {
        self.bar.finish_and_clear();
        let taken = self.start.elapsed();
        let seconds = taken.as_secs_f64();
        let rate = u128::from(self.done) * 1_000_000 / taken.as_micros().max(1);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        Outcome {
            json: json!({ "schema": SCHEMA, verb: { "offset": offset, "bytes": self.done, "seconds": seconds } }),
            text: format!("{verb}: {} bytes ({}) in {seconds:.1} s, {}/s", self.done, size(self.done), size(rate)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What a copy has done.
pub(super) struct Outcome {
    json: serde_json::Value,
    text: String,
}

impl Outcome {
    /// Reports on standard output as JSON, or on standard error in words if that is a terminal.
    pub(super) fn report(&self, json: bool) -> Result<(), crate::failure::Failure> {
        if json {
            return super::print(&format!("{:#}\n", self.json));
        }
        if io::stderr().is_terminal() {
            eprintln!("{}", self.text);
        }
        Ok(())
    }
}
