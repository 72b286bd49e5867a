//! Giving space back, and filling blocks with zeroes (SBC-4, section 4.7).

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use iscsi_proto::scsi::{Form, LbaRange, Provisioning, Transfer, Unmap, UnmapList, WriteSame};

use super::Lun;
use super::send::{is_refusal, named};
use crate::core::{CommandError, Payload};

/// Most bytes of a WRITE SAME where the unit tells no limit, or a greater one: it has to end before the timeout.
const MAX_ZEROES: u64 = 128 << 20;

/// How [`Lun::write_zeroes`] may do it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ZeroOptions {
    /// The space behind the blocks may be given back, where they then read as zeroes (LBPRZ). Default false.
    pub unmap: bool,
}

impl ZeroOptions {
    /// The space may be given back.
    pub const UNMAP: Self = Self { unmap: true };
}

impl Lun {
    /// Whether [`Lun::unmap`] works, as far as the unit says (READ CAPACITY, VPD pages B0h and B2h).
    pub fn can_unmap(&self) -> bool {
        let command = self.provisioning().map_or(self.capacity().provisioned, |page| page.unmap);
        command && self.limits().is_none_or(|limits| limits.unmap_blocks > 0 && limits.unmap_descriptors > 0)
    }

    /// Whether blocks without space behind them read as zeroes (LBPRZ).
    pub fn unmapped_reads_zeroes(&self) -> bool {
        self.capacity().reads_zeroes || self.provisioning().is_some_and(Provisioning::reads_zeroes)
    }

    /// Tells the unit that `length` bytes from `offset` on are no longer needed (UNMAP). Offset and length have to be whole
    /// blocks; there is no limit, for requests are split at the unit's (VPD page B0h), where its granularity is kept.
    ///
    /// The unit may keep all or part of the data: read nothing into the blocks afterwards, not even zeroes.
    /// [`Lun::write_zeroes`] is for those. A unit that is not thinly provisioned gives [`CommandError::Unsupported`].
    ///
    /// # Cancellation
    ///
    /// Commands that were sent run to their end on the target; what was not sent is not unmapped.
    pub async fn unmap(&self, offset: u64, length: u64) -> Result<(), CommandError> {
        let end = offset.checked_add(length).ok_or(self.out_of_range(offset, length))?;
        self.unmap_ranges(std::slice::from_ref(&(offset..end))).await
    }

    /// [`Lun::unmap`] for many ranges, of which one command takes as many as the unit lets it. A range whose end is not behind
    /// its start is empty.
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::unmap`].
    pub async fn unmap_ranges(&self, ranges: &[Range<u64>]) -> Result<(), CommandError> {
        if !self.can_unmap() {
            return Err(CommandError::Unsupported("UNMAP: it is not thinly provisioned"));
        }
        let (most, room) =
            self.limits().map_or((u32::MAX, 1), |limits| (limits.unmap_blocks, limits.unmap_descriptors));
        let room = (room as usize).min(UnmapList::MAX);
        let mut packer = Packer { most: most.into(), room, lists: Vec::new(), blocks: 0 };
        for range in ranges {
            for (lba, blocks) in self.granules(range.start, range.end.saturating_sub(range.start), most.into())? {
                packer.add(LbaRange { lba, blocks });
            }
        }
        let commands = packer.lists.iter().map(|list| (Unmap::new(list).encode(), list.encode().into()));
        self.send_all(commands).await.map_err(|error| named(error, "UNMAP"))
    }

    /// Fills `length` bytes from `offset` on with zeroes. Offset and length have to be whole blocks; there is no limit.
    ///
    /// One block stands for all where the unit knows how (WRITE SAME), in pieces of at most its limit (VPD page B0h) and
    /// 128 MiB. What it refuses is remembered, and zeroes are written as any other data. With [`ZeroOptions::UNMAP`] space is
    /// given back where unmapped blocks read as zeroes.
    ///
    /// After an error, any part of the range may hold old data or zeroes.
    ///
    /// # Cancellation
    ///
    /// Commands that were sent run to their end on the target; what was not sent is not written.
    pub async fn write_zeroes(&self, offset: u64, length: u64, options: ZeroOptions) -> Result<(), CommandError> {
        let unmap =
            options.unmap && self.unmapped_reads_zeroes() && self.provisioning().is_some_and(|page| page.write_same16);
        if self.unit.memory.has_write_same() {
            match self.write_same(offset, length, unmap).await {
                Err(error) if is_refusal(&error) => self.unit.memory.refuse_write_same(),
                other => return other,
            }
        }
        let zeroes = BytesMut::zeroed(self.max_transfer()).freeze();
        let ranges = self.block_ranges(offset, length, self.unit.max_blocks.into())?;
        let write = |(lba, blocks)| (Transfer::new(lba, blocks).encode_write(), self.cut(&zeroes, blocks));
        self.send_all(ranges.map(write)).await
    }

    async fn write_same(&self, offset: u64, length: u64, unmap: bool) -> Result<(), CommandError> {
        // One block is sent although NDOB could do without: tgtd, for one, does not look at that bit, and then reads past the
        // end of the data that it was not sent.
        let block: Payload = BytesMut::zeroed(self.block_size() as usize).into();
        let same = |(lba, blocks)| {
            // The 10-byte form has its own bit of support, and no use here.
            let command = WriteSame { unmap, form: Form::Sixteen, ..WriteSame::new(lba, blocks) };
            (command.encode(), block.clone())
        };
        let most = self.most_zeroes();
        if unmap {
            return self.send_all(self.granules(offset, length, most)?.map(same)).await;
        }
        self.send_all(self.block_ranges(offset, length, most)?.map(same)).await
    }

    /// Most blocks of a WRITE SAME.
    fn most_zeroes(&self) -> u64 {
        let own = (MAX_ZEROES / u64::from(self.block_size())).max(1);
        match self.limits().map_or(0, |limits| limits.write_same) {
            0 => own,
            limit => limit.min(own),
        }
    }

    fn cut(&self, zeroes: &Bytes, blocks: u32) -> Payload {
        zeroes.slice(..zeroes.len().min(blocks as usize * self.block_size() as usize)).into()
    }

    /// A range in bytes as ranges in blocks of at most `most` each.
    pub(super) fn block_ranges(
        &self,
        offset: u64,
        length: u64,
        most: u64,
    ) -> Result<impl Iterator<Item = (u64, u32)> + use<>, CommandError> {
        let (start, end) = self.whole_blocks(offset, length)?;
        Ok(split(start, end, most, 1, 0))
    }

    /// The same, where no granule of provisioning is cut by an end in between.
    fn granules(
        &self,
        offset: u64,
        length: u64,
        most: u64,
    ) -> Result<impl Iterator<Item = (u64, u32)> + use<>, CommandError> {
        let (start, end) = self.whole_blocks(offset, length)?;
        let limits = self.limits();
        let granularity = limits.map_or(0, |limits| limits.unmap_granularity).max(1);
        let first = limits.and_then(|limits| limits.unmap_alignment).unwrap_or(0);
        Ok(split(start, end, most, granularity.into(), first.into()))
    }

    /// First block, and first block behind, of a range of whole blocks.
    fn whole_blocks(&self, offset: u64, length: u64) -> Result<(u64, u64), CommandError> {
        let block_size = self.block_size();
        let block = u64::from(block_size);
        if !offset.is_multiple_of(block) || !length.is_multiple_of(block) {
            return Err(CommandError::Misaligned { offset, length, block_size });
        }
        match offset.checked_add(length) {
            Some(end) if end <= self.len() => Ok((offset / block, end / block)),
            _ => Err(self.out_of_range(offset, length)),
        }
    }

    fn out_of_range(&self, offset: u64, length: u64) -> CommandError {
        CommandError::OutOfRange { offset, length, size: self.len() }
    }
}

/// Cuts blocks into pieces of at most `most`, that end at `first` plus a multiple of `granularity` where one is within reach.
fn split(start: u64, end: u64, most: u64, granularity: u64, first: u64) -> impl Iterator<Item = (u64, u32)> {
    let most = most.clamp(1, u32::MAX.into());
    let mut at = start;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let reach = at.saturating_add(most).min(end);
            let over = (reach + granularity - first % granularity) % granularity;
            let next = if reach < end && reach - at > over { reach - over } else { reach };
            let piece = (at, (next - at) as u32);
            at = next;
            piece
        })
    })
}

/// Puts ranges into as few lists as the limits of a unit let.
struct Packer {
    /// Blocks of a list.
    most: u64,
    /// Ranges of a list.
    room: usize,
    lists: Vec<UnmapList>,
    /// Blocks of the last list.
    blocks: u64,
}

impl Packer {
    fn add(&mut self, range: LbaRange) {
        let blocks = u64::from(range.blocks);
        match self.lists.last_mut() {
            Some(list) if list.0.len() < self.room && self.blocks + blocks <= self.most => {
                list.0.push(range);
                self.blocks += blocks;
            }
            _ => {
                self.lists.push(UnmapList(vec![range]));
                self.blocks = blocks;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_end_where_granules_do() {
        let pieces =
            |start, end, most, granularity, first| split(start, end, most, granularity, first).collect::<Vec<_>>();
        assert_eq!(pieces(0, 0, 4, 1, 0), []);
        assert_eq!(pieces(1, 10, 4, 1, 0), [(1, 4), (5, 4), (9, 1)]);
        assert_eq!(pieces(1, 30, 10, 8, 0), [(1, 7), (8, 8), (16, 8), (24, 6)]);
        assert_eq!(pieces(1, 30, 10, 8, 3), [(1, 10), (11, 8), (19, 8), (27, 3)]);
        // A granule that no command holds is cut after all.
        assert_eq!(pieces(0, 9, 4, 100, 0), [(0, 4), (4, 4), (8, 1)]);
        assert_eq!(pieces(0, 1 << 33, u64::MAX, 1, 0), [(0, u32::MAX), (0xffff_ffff, u32::MAX), (0x1_ffff_fffe, 2)]);
    }

    #[test]
    fn lists_keep_to_both_limits() {
        let pack = |most, room| {
            let mut packer = Packer { most, room, lists: Vec::new(), blocks: 0 };
            for blocks in [4, 4, 4, 1] {
                packer.add(LbaRange { lba: 0, blocks });
            }
            packer.lists.iter().map(|list| list.0.len()).collect::<Vec<_>>()
        };
        assert_eq!(pack(100, 2), [2, 2]);
        assert_eq!(pack(8, 100), [2, 2]);
        assert_eq!(pack(9, 100), [2, 2]);
        assert_eq!(pack(100, 100), [4]);
        assert_eq!(pack(4, 1), [1, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn pieces_cover_the_range_once(
            start in 0..1000u64, length in 0..1000u64, most in 1..50u64, granularity in 1..20u64, first in 0..40u64,
        ) {
            let mut at = start;
            for (lba, blocks) in split(start, start + length, most, granularity, first) {
                prop_assert_eq!(lba, at);
                prop_assert!((1..=most).contains(&u64::from(blocks)));
                at += u64::from(blocks);
                if at < start + length && granularity <= most / 2 {
                    prop_assert_eq!((at + granularity * 40 - first) % granularity, 0, "{} {}", lba, blocks);
                }
            }
            prop_assert_eq!(at, start + length);
        }
    }
}
