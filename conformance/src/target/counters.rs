//! What a node counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Running totals of a node. They are counted in batches, so a reader may be a few commands behind.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) logins: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) commands: AtomicU64,
    pub(super) rejects: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

impl Counters {
    /// TCP connections that were accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Logins that succeeded, one for each connection.
    pub fn logins(&self) -> u64 {
        self.logins.load(Relaxed)
    }

    /// Logins that were refused or redirected.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// SCSI commands that came inside their window.
    pub fn commands(&self) -> u64 {
        self.commands.load(Relaxed)
    }

    /// Reject PDUs that were sent.
    pub fn rejects(&self) -> u64 {
        self.rejects.load(Relaxed)
    }

    /// Bytes of PDUs that came in.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Relaxed)
    }

    /// Bytes of data segments that went out.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Relaxed)
    }

    pub(super) fn add(counter: &AtomicU64, n: u64) {
        if n != 0 {
            counter.fetch_add(n, Relaxed);
        }
    }
}
