//! What all handles of a unit have learnt about it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What a unit has refused, so that it is not asked again, and what it was asked to hold.
#[derive(Debug, Default)]
pub(super) struct Memory {
    no_write_same: AtomicBool,
    no_map: AtomicBool,
    reserved: AtomicBool,
}

impl Memory {
    /// Whether WRITE SAME(16) may be tried.
    pub(super) fn has_write_same(&self) -> bool {
        !self.no_write_same.load(Relaxed)
    }

    pub(super) fn refuse_write_same(&self) {
        self.no_write_same.store(true, Relaxed);
    }

    /// Whether GET LBA STATUS may be tried.
    pub(super) fn has_map(&self) -> bool {
        !self.no_map.load(Relaxed)
    }

    pub(super) fn refuse_map(&self) {
        self.no_map.store(true, Relaxed);
    }

    /// Whether this initiator relies on a reservation.
    pub(super) fn is_reserved(&self) -> bool {
        self.reserved.load(Relaxed)
    }

    pub(super) fn set_reserved(&self, reserved: bool) {
        self.reserved.store(reserved, Relaxed);
    }
}
