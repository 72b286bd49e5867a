//! ```text
//! target   0 E4h   1 type of unit number(2) . device type(5)   2 .. 3 relative initiator port
//!          4 code set   5 association(2) designator type(4)   7 length   8 .. 27 designator   29 .. 31 block length
//! segment  0 02h   1 . . . . . . DC CAT   2 .. 3 length 18h   4 .. 5 source   6 .. 7 destination
//!          10 .. 11 blocks   12 .. 19 source LBA   20 .. 27 destination LBA
//! ```

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u64};
use nom::{IResult, Parser};

use crate::scsi::wire::{bit, read, skip};
use crate::scsi::{DataError, Designation, Designator, DeviceType};

const TARGET: &str = "a copy target descriptor";
const SEGMENT: &str = "a copy segment descriptor";
const IDENTIFICATION: u8 = 0xe4;
const BLOCK_TO_BLOCK: u8 = 0x02;
const SEGMENT_BODY: u16 = 0x18;
const CAT: u8 = 0x01;
const DC: u8 = 0x02;
/// Most bytes of a designator.
const DESIGNATOR: usize = 20;

/// Source or destination of a copy: a block device, named by one of its identifiers (CSCD descriptor E4h).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CopyTarget {
    /// The identifier, best an NAA one. At most 20 bytes of it fit.
    pub designator: Designator,
    /// Bytes of a block, below 2^24.
    pub block_len: u32,
    /// The initiator port of the copy manager that reaches the device, 0 for any.
    pub initiator_port: u16,
}

impl CopyTarget {
    /// Bytes of a descriptor.
    pub const LEN: usize = 32;

    /// A device with this name, reached through any port. `None` if the name has more than 20 bytes and so does not fit.
    pub fn new(designation: Designation, block_len: u32) -> Option<Self> {
        let designator = Designator::unit(designation);
        let mut bytes = Vec::new();
        designator.encode_to(&mut bytes);
        (bytes.len() <= DESIGNATOR + 4).then_some(Self { designator, block_len, initiator_port: 0 })
    }

    /// Parses a descriptor. Types other than a block device with an identifier are errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (_, (kind, device, initiator_port, rest)) =
            read(TARGET, bytes, |input| (be_u8, be_u8, be_u16, take(Self::LEN - 4)).parse(input))?;
        if kind != IDENTIFICATION {
            return Err(DataError::Invalid { what: TARGET, field: "DESCRIPTOR TYPE CODE", value: kind.into() });
        }
        if device & 0x1f != DeviceType::DISK.0 {
            return Err(DataError::Invalid { what: TARGET, field: "PERIPHERAL DEVICE TYPE", value: device.into() });
        }
        let (named, (_, block_len)) =
            read(TARGET, rest.get(24..).unwrap_or_default(), |input| (be_u8, be_u24).parse(input))
                .map(|(_, tail)| (rest.get(..24).unwrap_or_default(), tail))?;
        let (_, designator) = read(TARGET, named, Designator::read)?;
        Ok(Self { designator, block_len, initiator_port })
    }

    pub(super) fn encode_to(&self, out: &mut Vec<u8>) {
        let mut name = Vec::new();
        self.designator.encode_to(&mut name);
        name.resize(DESIGNATOR + 4, 0);
        if let Some(len) = name.get_mut(3) {
            *len = (*len).min(DESIGNATOR as u8);
        }
        let [_, block_len @ ..] = self.block_len.to_be_bytes();
        out.extend_from_slice(&[IDENTIFICATION, 0]);
        out.extend_from_slice(&self.initiator_port.to_be_bytes());
        out.extend_from_slice(&name);
        out.push(0);
        out.extend_from_slice(&block_len);
    }
}

/// One stretch of blocks, from one block device to another or to the same (segment descriptor 02h).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Segment {
    /// Which of the targets in the list it is read from, counted from 0.
    pub source: u16,
    /// Which one it is written to.
    pub destination: u16,
    /// How many blocks: of the source, or of the destination if `by_destination`.
    pub blocks: u16,
    /// First block at the source.
    pub source_lba: u64,
    /// First block at the destination.
    pub destination_lba: u64,
    /// DC bit: the destination's blocks are counted.
    pub by_destination: bool,
    /// CAT bit: what does not fill a block goes with the next segment.
    pub concatenate: bool,
}

impl Segment {
    /// Bytes of a descriptor.
    pub const LEN: usize = 28;

    /// Parses a descriptor. Types other than from block device to block device are errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        match bytes.first_chunk() {
            Some([BLOCK_TO_BLOCK, _, high, low]) if u16::from_be_bytes([*high, *low]) == SEGMENT_BODY => {}
            Some([BLOCK_TO_BLOCK, _, high, low]) => {
                let value = u16::from_be_bytes([*high, *low]).into();
                return Err(DataError::Invalid { what: SEGMENT, field: "DESCRIPTOR LENGTH", value });
            }
            Some([kind, ..]) => {
                return Err(DataError::Invalid { what: SEGMENT, field: "DESCRIPTOR TYPE CODE", value: (*kind).into() });
            }
            None => return Err(DataError::Truncated { what: SEGMENT }),
        }
        read(SEGMENT, bytes, segment).map(|(_, segment)| segment)
    }

    pub(super) fn encode_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[BLOCK_TO_BLOCK, bit(self.by_destination, DC) | bit(self.concatenate, CAT)]);
        for value in [SEGMENT_BODY, self.source, self.destination, 0, self.blocks] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        out.extend_from_slice(&self.source_lba.to_be_bytes());
        out.extend_from_slice(&self.destination_lba.to_be_bytes());
    }
}

fn segment(input: &[u8]) -> IResult<&[u8], Segment> {
    let (input, ((), flags, ())) = (skip::<1>, be_u8, skip::<2>).parse(input)?;
    let (input, (source, destination, (), blocks)) = (be_u16, be_u16, skip::<2>, be_u16).parse(input)?;
    let (input, (source_lba, destination_lba)) = (be_u64, be_u64).parse(input)?;
    let (by_destination, concatenate) = (flags & DC != 0, flags & CAT != 0);
    Ok((input, Segment { source, destination, blocks, source_lba, destination_lba, by_destination, concatenate }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naa() -> Designation {
        Designation::Naa(vec![0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    }

    fn encode(target: &CopyTarget) -> Vec<u8> {
        let mut out = Vec::new();
        target.encode_to(&mut out);
        out
    }

    #[test]
    fn a_target_parses_and_builds() {
        let target = CopyTarget::new(naa(), 512).unwrap();
        let mut bytes = vec![0xe4, 0, 0, 0, 1, 3, 0, 16, 0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        bytes.extend([0, 0, 0, 0, 0, 0, 2, 0]);
        assert_eq!(encode(&target), bytes);
        assert_eq!(CopyTarget::parse(&bytes), Ok(target));
        assert_eq!(CopyTarget::parse(&bytes[..31]), Err(DataError::Truncated { what: TARGET }));
        for (at, value) in [(0, 0xe0), (1, 1), (7, 21)] {
            let mut bad = bytes.clone();
            bad[at] = value;
            assert!(CopyTarget::parse(&bad).is_err(), "{at}");
        }
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        assert!(CopyTarget::new(Designation::Vendor(vec![b'a'; 20]), 512).is_some());
        assert!(CopyTarget::new(Designation::Vendor(vec![b'a'; 21]), 512).is_none());
        let forced = CopyTarget {
            designator: Designator::unit(Designation::Vendor(vec![b'a'; 21])),
            ..CopyTarget::new(naa(), 512).unwrap()
        };
        assert_eq!((encode(&forced).len(), encode(&forced)[7]), (CopyTarget::LEN, 20));
    }

    #[test]
    fn a_segment_parses_and_builds() {
        let segment = Segment {
            source: 1,
            destination: 2,
            blocks: 0x0304,
            source_lba: 5,
            destination_lba: 0x0607,
            by_destination: true,
            concatenate: false,
        };
        let bytes = [2, 2, 0, 24, 0, 1, 0, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 6, 7];
        let mut out = Vec::new();
        segment.encode_to(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(Segment::parse(&bytes), Ok(segment));
        assert_eq!(Segment::parse(&bytes[..27]), Err(DataError::Truncated { what: SEGMENT }));
        assert_eq!(Segment::parse(&bytes[..3]), Err(DataError::Truncated { what: SEGMENT }));
        for (at, value) in [(0, 1), (3, 25)] {
            let mut bad = bytes;
            bad[at] = value;
            assert!(matches!(Segment::parse(&bad), Err(DataError::Invalid { .. })), "{at}");
        }
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(
            mut bytes in prop::collection::vec(any::<u8>(), 0..40), target: bool, device in prop::sample::select(vec![0u8, 0xe0]),
        ) {
            if let Some([kind, flags, ..]) = bytes.get_mut(..2) {
                (*kind, *flags) = if target { (IDENTIFICATION, device) } else { (BLOCK_TO_BLOCK, *flags) };
            }
            if let Some(lengths) = bytes.get_mut(2..4) && !target {
                lengths.copy_from_slice(&SEGMENT_BODY.to_be_bytes());
            }
            if let Ok(target) = CopyTarget::parse(&bytes) {
                prop_assert_eq!(CopyTarget::parse(&encode(&target)), Ok(target));
            }
            if let Ok(segment) = Segment::parse(&bytes) {
                let mut out = Vec::new();
                segment.encode_to(&mut out);
                prop_assert_eq!(Segment::parse(&out), Ok(segment));
            }
        }
    }
}
