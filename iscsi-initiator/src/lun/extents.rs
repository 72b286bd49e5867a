//! The allocation map (GET LBA STATUS, SBC-4).

use std::collections::VecDeque;
use std::ops::Range;

use iscsi_proto::scsi::{GetLbaStatus, LbaExtent, LbaState, LbaStatus};

use super::Lun;
use super::send::is_refusal;
use crate::core::CommandError;
use crate::session::malformed;

/// Extents asked for at a time.
const EXTENTS: u32 = 256;

/// What stands behind a run of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allocation {
    /// Data, or the unit does not tell.
    Mapped,
    /// No space.
    Deallocated,
    /// No data, but space is set aside.
    Anchored,
}

/// A run of bytes in one state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Where it starts, in bytes.
    pub offset: u64,
    /// How many bytes, at least one.
    pub length: u64,
    /// What stands behind it.
    pub allocation: Allocation,
    /// Whether it surely reads as zeroes, so that reading it is needless (LBPRZ).
    pub zero: bool,
}

/// The extents of a range, in order and without gaps. Made by [`Lun::extents`].
#[derive(Debug)]
pub struct Extents {
    lun: Lun,
    range: Range<u64>,
    found: VecDeque<Extent>,
}

impl Lun {
    /// The allocation map of a range in bytes, which may start and end anywhere (GET LBA STATUS).
    ///
    /// A unit that does not know the command has one mapped extent; it is asked once, and not by later calls either.
    ///
    /// ```no_run
    /// # async fn example(lun: iscsi_initiator::Lun) -> Result<(), iscsi_initiator::core::CommandError> {
    /// let mut data = 0;
    /// let mut extents = lun.extents(0..lun.len())?;
    /// while let Some(extent) = extents.next().await {
    ///     let extent = extent?;
    ///     data += if extent.zero { 0 } else { extent.length };
    /// }
    /// # let _ = data;
    /// # Ok(())
    /// # }
    /// ```
    pub fn extents(&self, range: Range<u64>) -> Result<Extents, CommandError> {
        let length = range.end.saturating_sub(range.start);
        if range.start > self.len() || range.end > self.len() {
            return Err(CommandError::OutOfRange { offset: range.start, length, size: self.len() });
        }
        Ok(Extents { lun: self.clone(), range, found: VecDeque::new() })
    }
}

impl Extents {
    /// The next extent; `None` at the end of the range. After an error, the same extent can be asked for again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the next call goes on where this one began.
    pub async fn next(&mut self) -> Option<Result<Extent, CommandError>> {
        if self.found.is_empty() && !self.range.is_empty() {
            match self.lun.map_at(&self.range).await {
                Ok(found) => self.found = found,
                Err(error) => return Some(Err(error)),
            }
        }
        let extent = self.found.pop_front()?;
        self.range.start = extent.offset + extent.length;
        Some(Ok(extent))
    }
}

impl Lun {
    /// The extents at the start of a range that is not empty, at least one.
    async fn map_at(&self, range: &Range<u64>) -> Result<VecDeque<Extent>, CommandError> {
        if self.unit.memory.has_map() {
            let lba = range.start / u64::from(self.block_size());
            let command = GetLbaStatus { lba, allocation: 8 + EXTENTS * 16, report: 0 };
            match self.read_data(command.encode(), command.allocation as usize).await {
                Ok(data) => {
                    let status = LbaStatus::parse(&data).map_err(|error| malformed("GET LBA STATUS", &error))?;
                    let found = clip(&status.0, range, self.block_size(), self.unmapped_reads_zeroes());
                    let stuck = || malformed("GET LBA STATUS", &"no extent holds the block that was asked about");
                    return if found.is_empty() { Err(stuck()) } else { Ok(found) };
                }
                Err(error) if is_refusal(&error) => self.unit.memory.refuse_map(),
                Err(error) => return Err(error),
            }
        }
        Ok([mapped(range.start, range.end)].into())
    }
}

const fn mapped(start: u64, end: u64) -> Extent {
    Extent { offset: start, length: end - start, allocation: Allocation::Mapped, zero: false }
}

/// The extents in bytes, without what is outside the range, and joined where they are alike. What the unit leaves out in
/// between counts as mapped.
fn clip(extents: &[LbaExtent], range: &Range<u64>, block: u32, holes_are_zero: bool) -> VecDeque<Extent> {
    let block = u64::from(block);
    let mut found: VecDeque<Extent> = VecDeque::new();
    let mut at = range.start;
    for LbaExtent { range: blocks, state } in extents {
        let start = blocks.lba.saturating_mul(block).clamp(at, range.end);
        let end = blocks.end().unwrap_or(u64::MAX).saturating_mul(block).min(range.end);
        if end <= at {
            continue;
        }
        if start > at {
            push(&mut found, mapped(at, start));
        }
        if end > start {
            let allocation = allocation(*state);
            let zero = state.is_hole() && holes_are_zero;
            push(&mut found, Extent { offset: start, length: end - start, allocation, zero });
        }
        at = end.max(start);
    }
    found
}

fn push(found: &mut VecDeque<Extent>, next: Extent) {
    match found.back_mut() {
        Some(last) if last.allocation == next.allocation => last.length += next.length,
        _ => found.push_back(next),
    }
}

const fn allocation(state: LbaState) -> Allocation {
    match state {
        LbaState::Deallocated => Allocation::Deallocated,
        LbaState::Anchored => Allocation::Anchored,
        _ => Allocation::Mapped,
    }
}

#[cfg(test)]
mod tests {
    use iscsi_proto::scsi::LbaRange;

    use super::*;

    const HOLE: LbaState = LbaState::Deallocated;
    const DATA: LbaState = LbaState::Mapped;

    fn clipped(extents: &[(u64, u32, LbaState)], range: Range<u64>) -> Vec<(u64, u64, Allocation, bool)> {
        let extent = |&(lba, blocks, state): &_| LbaExtent { range: LbaRange { lba, blocks }, state };
        let extents: Vec<_> = extents.iter().map(extent).collect();
        let found = clip(&extents, &range, 512, true);
        found.into_iter().map(|extent| (extent.offset, extent.length, extent.allocation, extent.zero)).collect()
    }

    #[test]
    fn extents_are_cut_to_the_range_and_joined() {
        use Allocation::{Deallocated, Mapped};
        assert_eq!(
            clipped(&[(0, 4, DATA), (4, 4, HOLE)], 100..3000),
            [(100, 1948, Mapped, false), (2048, 952, Deallocated, true)]
        );
        assert_eq!(clipped(&[(0, 1, DATA), (1, 1, LbaState::Unknown)], 0..1024), [(0, 1024, Mapped, false)]);
        // An extent that began before the block that was asked about.
        assert_eq!(clipped(&[(0, 8, HOLE)], 512..1024), [(512, 512, Deallocated, true)]);
        // What is left out counts as mapped.
        assert_eq!(clipped(&[(2, 1, HOLE)], 0..4096), [(0, 1024, Mapped, false), (1024, 512, Deallocated, true)]);
        assert_eq!(clipped(&[(100, 1, HOLE)], 0..1024), [(0, 1024, Mapped, false)]);
        assert_eq!(clipped(&[(0, 1, HOLE)], 512..1024), []);
        assert_eq!(clipped(&[], 0..512), []);
    }

    #[test]
    fn r301_extents_past_all_bounds_are_cut() {
        let found = clipped(&[(0, u32::MAX, DATA), (u64::MAX - 1, 1, HOLE)], 0..1024);
        assert_eq!(found, [(0, 1024, Allocation::Mapped, false)]);
        let found = clipped(&[(u64::MAX - 1, 1, HOLE)], 0..1024);
        assert_eq!(found, [(0, 1024, Allocation::Mapped, false)]);
    }
}
