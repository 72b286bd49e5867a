//! What all handles of a unit have learnt about it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// What a unit has refused, so that it is not asked again, and what it was asked to hold.
#[derive(Debug, Default)]
pub(super) struct Memory {
    zeroing: AtomicU8,
    no_map: AtomicBool,
    reserved: AtomicBool,
}

/// How blocks are filled with zeroes, the best way first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Zeroing {
    /// WRITE SAME(16) without a block (NDOB).
    NoData,
    /// WRITE SAME(16) with a block of zeroes.
    Block,
    /// Plain writes.
    Plain,
}

impl Memory {
    pub(super) fn zeroing(&self) -> Zeroing {
        match self.zeroing.load(Relaxed) {
            0 => Zeroing::NoData,
            1 => Zeroing::Block,
            _ => Zeroing::Plain,
        }
    }

    /// Remembers that a way to fill blocks was refused; the next one, if there is one.
    pub(super) fn refuse(&self, way: Zeroing) -> Option<Zeroing> {
        let next = match way {
            Zeroing::NoData => Zeroing::Block,
            Zeroing::Block => Zeroing::Plain,
            Zeroing::Plain => return None,
        };
        self.zeroing.fetch_max(next as u8, Relaxed);
        Some(next)
    }

    pub(super) fn has_map(&self) -> bool {
        !self.no_map.load(Relaxed)
    }

    pub(super) fn refuse_map(&self) {
        self.no_map.store(true, Relaxed);
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.reserved.load(Relaxed)
    }

    pub(super) fn set_reserved(&self, reserved: bool) {
        self.reserved.store(reserved, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_fill_blocks_are_given_up_one_by_one() {
        let memory = Memory::default();
        assert_eq!(memory.zeroing(), Zeroing::NoData);
        assert_eq!(memory.refuse(Zeroing::NoData), Some(Zeroing::Block));
        assert_eq!(memory.refuse(Zeroing::Block), Some(Zeroing::Plain));
        // A slower command that was sent before learns nothing new.
        assert_eq!(memory.refuse(Zeroing::NoData), Some(Zeroing::Block));
        assert_eq!(memory.zeroing(), Zeroing::Plain);
        assert_eq!(memory.refuse(Zeroing::Plain), None);
    }
}
