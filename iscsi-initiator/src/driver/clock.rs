//! The one place that reads the clock.

use tokio::time::Instant;

use crate::core::Time;

/// What is further away than this, 30 years, never comes.
const FAR: Time = Time::from_secs(30 * 365 * 24 * 60 * 60);

/// Counts time from the start of a connection. Under tokio's paused time it counts virtual time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Time {
        self.0.elapsed()
    }

    /// The instant at which the clock shows `time`.
    pub(crate) fn at(self, time: Time) -> Instant {
        self.0 + time.min(FAR)
    }
}
