//! The initiator's core and the target's core, joined in virtual time by a network that a seed decides on.
//!
//! [`run`] plays one seed: parameters of both sides, a mix of operations, and how the network treats every byte follow from
//! it, so a seed that fails fails again. After every step the rules that hold always are checked:
//!
//! - requests carry consecutive CmdSNs, never beyond the MaxCmdSN that has arrived, and ExpStatSN does not go back;
//! - a request ends once, or never if it was cancelled, and nothing that was under way is without a deadline;
//! - a read returns what the disk may hold: the last acknowledged write of each block or one that overlaps in time;
//! - nothing is written outside a buffer, and what the target is given is never refused;
//! - in the end no task, no buffer, no place in the window and no session is left, and acknowledged writes are on the disk.
//!
//! ```
//! let report = conformance::sim::run(1)?;
//! assert!(report.operations > 0);
//! # Ok::<(), conformance::sim::Failure>(())
//! ```

mod canary;
mod disk;
mod host;
mod judge;
mod link;
mod peer;
mod plan;
mod recovery;
mod road;
mod watch;
mod world;

use std::fmt;

pub use plan::{Cut, Plan};
pub use recovery::{Recovered, recover};

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Operations that were submitted.
    pub operations: usize,
    /// Those that the target completed with success.
    pub succeeded: usize,
    /// Those that ended with an error or a bad status.
    pub failed: usize,
    /// Those that nobody waited for in the end.
    pub cancelled: usize,
    /// Whether the connection was lost, in login or later.
    pub lost: bool,
    /// Whether the network held pieces up for seconds.
    pub stalling: bool,
    /// Why the connection ended before its time, if it did.
    pub reason: Option<String>,
    /// Bytes that the initiator sent and received, login included.
    pub bytes: (u64, u64),
    /// Steps of virtual time.
    pub steps: u64,
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What plays it again: `SIM_SEED` or `SIM_RECOVER`.
    pub by: &'static str,
    /// Virtual time at which it was noticed.
    pub at: std::time::Duration,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, by, at, what } = self;
        write!(
            f,
            "seed {seed} at {at:?}: {what}\nreplay: {by}={seed} cargo test -p conformance --test sim -- --nocapture"
        )
    }
}

/// Plays one seed.
pub fn run(seed: u64) -> Result<Report, Failure> {
    play(Plan::new(seed))
}

/// Plays a plan that may have been changed.
pub fn play(plan: Plan) -> Result<Report, Failure> {
    let seed = plan.seed;
    let mut world = world::World::new(plan).map_err(|what| Failure {
        seed,
        by: "SIM_SEED",
        at: std::time::Duration::ZERO,
        what,
    })?;
    match world.run() {
        Ok(()) => Ok(world.into_report()),
        Err(what) => Err(Failure { seed, by: "SIM_SEED", at: world.now(), what }),
    }
}
