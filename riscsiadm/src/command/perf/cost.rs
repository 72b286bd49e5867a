//! What the process has cost, by the operating system's own account.

use std::fs;

/// Processor time of this process, in clock ticks of the system.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    user: u64,
    system: u64,
}

impl Cost {
    /// So far; nothing where the system does not tell.
    pub(super) fn now() -> Self {
        let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field is the program's name in parentheses, and may hold anything.
        let mut fields = text.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().skip(11);
        let mut next = || fields.next().and_then(|field| field.parse().ok()).unwrap_or_default();
        Self { user: next(), system: next() }
    }

    pub(super) fn since(self, start: &Self) -> Self {
        Self { user: self.user.saturating_sub(start.user), system: self.system.saturating_sub(start.system) }
    }

    pub(super) fn user_seconds(self) -> f64 {
        seconds(self.user)
    }

    pub(super) fn system_seconds(self) -> f64 {
        seconds(self.system)
    }
}

fn seconds(ticks: u64) -> f64 {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    // Years of processor time are exact in a float.
    #[expect(clippy::cast_precision_loss, reason = "ticks are few")]
    let seconds = ticks as f64 / per_second as f64;
    seconds
}
