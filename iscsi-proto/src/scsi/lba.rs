//! GET LBA STATUS and UNMAP (SBC-4): which blocks have space behind them, and giving it back.
//!
//! ```text
//! GET LBA STATUS CDB   byte 1 service action 12h   2 .. 9 LBA   10 .. 13 allocation length   14 report type
//!                data  0 .. 3 length   7 RTP   8 .. descriptors: LBA(8) blocks(4) status(1) . . .
//! UNMAP          CDB   byte 1 ANCHOR   6 group   7 .. 8 parameter list length
//!                list  0 .. 1 length   2 .. 3 descriptor length   8 .. descriptors: LBA(8) blocks(4) . . . .
//! ```

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};
use nom::{IResult, Parser};

use super::wire::{bit, list, read, skip, upto};
use super::{Cdb, CdbError, DataError};

const STATUS: &str = "GET LBA STATUS data";
const LIST: &str = "the UNMAP parameter list";
const ANCHOR: u8 = 0x01;
const HEADER_LEN: usize = 8;
const DESCRIPTOR_LEN: usize = 16;

/// GET LBA STATUS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GetLbaStatus {
    /// First logical block asked about.
    pub lba: u64,
    /// Bytes there is room for; 24 hold one descriptor.
    pub allocation: u32,
    /// REPORT TYPE: 0 for all blocks.
    pub report: u8,
}

impl GetLbaStatus {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let ((), lba, allocation, report) = cdb.fields(|input| (skip::<1>, be_u64, be_u32, be_u8).parse(input))?;
        Ok(Self { lba, allocation, report })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x9e).byte(1, 0x12).long(2, self.lba).word(10, self.allocation).byte(14, self.report)
    }
}

/// UNMAP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Unmap {
    /// ANCHOR bit: the blocks stay anchored.
    pub anchor: bool,
    /// Group number, 0 to 63.
    pub group: u8,
    /// Bytes of the parameter list.
    pub length: u16,
}

impl Unmap {
    /// The command that goes with a parameter list.
    pub fn new(list: &UnmapList) -> Self {
        Self { length: list.byte_len(), ..Self::default() }
    }

    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, (), group, length) = cdb.fields(|input| (be_u8, skip::<4>, be_u8, be_u16).parse(input))?;
        Ok(Self { anchor: flags & ANCHOR != 0, group: group & 0x3f, length })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x42).byte(1, bit(self.anchor, ANCHOR)).byte(6, self.group & 0x3f).half(7, self.length)
    }
}

/// Consecutive logical blocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LbaRange {
    /// The first one.
    pub lba: u64,
    /// How many.
    pub blocks: u32,
}

/// What stands behind a logical block (PROVISIONING STATUS).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LbaState {
    /// 0: mapped, or it cannot be told.
    #[default]
    MappedOrUnknown,
    /// 1: no space.
    Deallocated,
    /// 2: no data, but space is set aside.
    Anchored,
    /// 3: mapped.
    Mapped,
    /// 4: it cannot be told.
    Unknown,
    /// 5 to 15.
    Reserved(u8),
}

/// A run of blocks in one state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LbaExtent {
    /// Which blocks, at least one.
    pub range: LbaRange,
    /// Their state.
    pub state: LbaState,
}

/// GET LBA STATUS data: extents that follow each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LbaStatus(pub Vec<LbaExtent>);

impl LbaStatus {
    /// Parses the data. A descriptor that is cut short ends the list, which may be empty.
    ///
    /// Every extent has blocks, ends below 2^64 and starts at or behind the end of the one before. All else is an error,
    /// so that a caller that asks again from [`LbaStatus::end`] gets on.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (len, ())) = read(STATUS, bytes, |input| (be_u32, skip::<4>).parse(input))?;
        let (_, extents) = list(upto(rest, (len as usize).saturating_sub(4)), extent);
        let mut end = 0;
        for LbaExtent { range, .. } in &extents {
            end = match range.end() {
                Some(next) if range.blocks > 0 && range.lba >= end => next,
                _ => return Err(DataError::Invalid { what: STATUS, field: "LBA STATUS DESCRIPTOR", value: range.lba }),
            };
        }
        Ok(Self(extents))
    }

    /// The first block behind the last extent; `None` if there is no extent.
    pub fn end(&self) -> Option<u64> {
        self.0.last().and_then(|extent| extent.range.end())
    }

    /// The data. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let len = (self.0.len() * DESCRIPTOR_LEN + 4) as u32;
        let mut out = Vec::with_capacity(HEADER_LEN + self.0.len() * DESCRIPTOR_LEN);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        for extent in &self.0 {
            extent.range.encode_to(&mut out);
            out.extend_from_slice(&[extent.state.code() & 0x0f, 0, 0, 0]);
        }
        out
    }
}

/// The parameter list of UNMAP.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct UnmapList(pub Vec<LbaRange>);

impl UnmapList {
    /// The most ranges that one list can hold.
    pub const MAX: usize = (u16::MAX as usize - HEADER_LEN) / DESCRIPTOR_LEN;

    /// Bytes of the list.
    pub fn byte_len(&self) -> u16 {
        (HEADER_LEN + self.0.len().min(Self::MAX) * DESCRIPTOR_LEN) as u16
    }

    /// Parses the list. Its descriptors must all be there; what remains behind whole ones is ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (_, len, ())) = read(LIST, bytes, |input| (be_u16, be_u16, skip::<4>).parse(input))?;
        let (_, descriptors) = read(LIST, rest, take(len))?;
        let (_, ranges) = list(descriptors, |input| (range, skip::<4>).map(|(range, ())| range).parse(input));
        Ok(Self(ranges))
    }

    /// The list. Ranges past [`UnmapList::MAX`] are left out.
    pub fn encode(&self) -> Vec<u8> {
        let len = self.byte_len();
        let mut out = Vec::with_capacity(len.into());
        out.extend_from_slice(&len.saturating_sub(2).to_be_bytes());
        out.extend_from_slice(&len.saturating_sub(HEADER_LEN as u16).to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        for range in self.0.iter().take(Self::MAX) {
            range.encode_to(&mut out);
            out.extend_from_slice(&[0; 4]);
        }
        out
    }
}

pub(super) fn range(input: &[u8]) -> IResult<&[u8], LbaRange> {
    (be_u64, be_u32).map(|(lba, blocks)| LbaRange { lba, blocks }).parse(input)
}

fn extent(input: &[u8]) -> IResult<&[u8], LbaExtent> {
    let (input, (range, state, ())) = (range, be_u8, skip::<3>).parse(input)?;
    Ok((input, LbaExtent { range, state: LbaState::from_code(state & 0x0f) }))
}

impl LbaRange {
    /// The first block behind it; `None` if that is not below 2^64.
    pub const fn end(&self) -> Option<u64> {
        self.lba.checked_add(self.blocks as u64)
    }

    pub(super) fn encode_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lba.to_be_bytes());
        out.extend_from_slice(&self.blocks.to_be_bytes());
    }
}

impl LbaState {
    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::MappedOrUnknown,
            1 => Self::Deallocated,
            2 => Self::Anchored,
            3 => Self::Mapped,
            4 => Self::Unknown,
            other => Self::Reserved(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::MappedOrUnknown => 0,
            Self::Deallocated => 1,
            Self::Anchored => 2,
            Self::Mapped => 3,
            Self::Unknown => 4,
            Self::Reserved(code) => code,
        }
    }

    /// Whether the blocks surely hold no data.
    pub const fn is_hole(self) -> bool {
        matches!(self, Self::Deallocated | Self::Anchored)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_commands_have_their_bytes() {
        let status = GetLbaStatus { lba: 0x0102, allocation: 24, report: 1 };
        let unmap = Unmap { anchor: true, group: 3, length: 0x0118 };
        for (command, bytes) in [
            (Command::GetLbaStatus(status), "9e 12 00 00 00 00 00 00 01 02 00 00 00 18 01 00"),
            (Command::Unmap(unmap), "42 01 00 00 00 00 03 01 18 00"),
        ] {
            assert_eq!(command.encode().to_string(), bytes);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        }
    }

    fn status(extents: &[(u64, u32, LbaState)]) -> LbaStatus {
        let extent = |&(lba, blocks, state): &_| LbaExtent { range: LbaRange { lba, blocks }, state };
        LbaStatus(extents.iter().map(extent).collect())
    }

    #[test]
    fn status_parses_and_builds() {
        let status = status(&[(0x10, 8, LbaState::Mapped), (0x18, 0x100, LbaState::Deallocated)]);
        let bytes = [
            0, 0, 0, 36, 0, 0, 0, 0, // header
            0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 8, 3, 0, 0, 0, //
            0, 0, 0, 0, 0, 0, 0, 0x18, 0, 0, 1, 0, 1, 0, 0, 0, //
        ];
        assert_eq!(status.encode(), bytes);
        assert_eq!(LbaStatus::parse(&bytes), Ok(status.clone()));
        assert_eq!(status.end(), Some(0x118));
        assert_eq!(LbaStatus::parse(&bytes[..39]).unwrap().0, status.0[..1]);
        let mut shorter = bytes;
        shorter[3] = 35;
        assert_eq!(LbaStatus::parse(&shorter).unwrap().0, status.0[..1]);
        assert_eq!(LbaStatus::parse(&bytes[..8]).unwrap().end(), None);
        assert_eq!(LbaStatus::parse(&bytes[..7]), Err(DataError::Truncated { what: STATUS }));
        assert!(status.0[1].state.is_hole() && !status.0[0].state.is_hole());
    }

    /// R-301: a caller that goes on behind the last extent always gets on.
    #[test]
    fn r301_extents_that_lead_nowhere_are_refused() {
        let mapped = LbaState::Mapped;
        for bad in [
            &[(5, 0, mapped)][..],
            &[(5, 1, mapped), (6, 0, mapped)],
            &[(5, 2, mapped), (6, 2, mapped)],
            &[(5, 2, mapped), (4, 1, mapped)],
            &[(u64::MAX, 1, mapped)],
        ] {
            assert!(LbaStatus::parse(&status(bad).encode()).is_err(), "{bad:?}");
        }
        for good in
            [&[(5, 2, mapped), (7, 1, mapped)][..], &[(5, 2, mapped), (9, 1, mapped)], &[(u64::MAX - 1, 1, mapped)]]
        {
            assert!(LbaStatus::parse(&status(good).encode()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn the_unmap_list_parses_and_builds() {
        let list = UnmapList(vec![LbaRange { lba: 0x0102, blocks: 3 }]);
        let bytes = [0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 0];
        assert_eq!(list.encode(), bytes);
        assert_eq!(UnmapList::parse(&bytes), Ok(list.clone()));
        assert_eq!(Unmap::new(&list), Unmap { length: 24, ..Unmap::default() });
        for len in [0, 7, 8, 23] {
            assert_eq!(UnmapList::parse(&bytes[..len]), Err(DataError::Truncated { what: LIST }), "{len}");
        }
        let mut partial = bytes;
        partial[3] = 15;
        assert_eq!(UnmapList::parse(&partial), Ok(UnmapList::default()));
    }

    #[test]
    fn an_unmap_list_holds_no_more_than_its_length_can_tell() {
        let list = UnmapList(vec![LbaRange { lba: 1, blocks: 1 }; UnmapList::MAX + 1]);
        let bytes = list.encode();
        assert_eq!((UnmapList::MAX, bytes.len(), list.byte_len()), (4095, 65528, 65528));
        assert_eq!(UnmapList::parse(&bytes).unwrap().0.len(), UnmapList::MAX);
    }

    proptest! {
        #[test]
        fn status_round_trips(gaps in prop::collection::vec((0..9u32, 1..9u32, 0..16u8), 0..20), start in 0..1u64 << 40) {
            let mut at = start;
            let extents = gaps.into_iter().map(|(gap, blocks, state)| {
                let lba = at + u64::from(gap);
                at = lba + u64::from(blocks);
                LbaExtent { range: LbaRange { lba, blocks }, state: LbaState::from_code(state) }
            });
            let status = LbaStatus(extents.collect());
            prop_assert_eq!(LbaStatus::parse(&status.encode()), Ok(status));
        }

        #[test]
        fn unmap_lists_round_trip(ranges in prop::collection::vec(any::<(u64, u32)>(), 0..20)) {
            let list = UnmapList(ranges.into_iter().map(|(lba, blocks)| LbaRange { lba, blocks }).collect());
            prop_assert_eq!(UnmapList::parse(&list.encode()), Ok(list));
        }

        #[test]
        fn r301_no_more_descriptors_than_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(LbaStatus::parse(&bytes).map_or(0, |status| status.0.len() * 16) <= bytes.len());
            prop_assert!(UnmapList::parse(&bytes).map_or(0, |list| list.0.len() * 16) <= bytes.len());
        }
    }
}
