//! ```text
//! byte 4   . . . . . . . WSNZ    5 compare and write    6 optimal granularity
//!      8 maximum transfer   12 optimal transfer   16 maximum prefetch
//!     20 unmap blocks   24 unmap descriptors   28 unmap granularity   32 UGAVALID alignment(31)
//!     36 .. 43 maximum WRITE SAME   44, 48, 52, 56, 60 atomic writes
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use super::{body, page};
use crate::scsi::wire::{padded, read};
use crate::scsi::{DataError, Peripheral};

const WHAT: &str = "the block limits page";
const LEN: usize = 60;
const WSNZ: u8 = 0x01;
const UGAVALID: u32 = 1 << 31;

/// Page B0h: how much one command may do. All lengths are in logical blocks; 0 means that no limit is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct BlockLimits {
    /// WSNZ bit: WRITE SAME with a length of 0 is refused.
    pub write_same_non_zero: bool,
    /// Most blocks of COMPARE AND WRITE; 0 if that is not supported.
    pub compare_and_write: u8,
    /// Transfers are best a multiple of this.
    pub granularity: u16,
    /// Most blocks of a READ, WRITE or VERIFY.
    pub max_transfer: u32,
    /// Beyond this, transfers take longer than in proportion.
    pub optimal_transfer: u32,
    /// Most blocks of PRE-FETCH.
    pub max_prefetch: u32,
    /// Most blocks of an UNMAP; 0 if that is not supported, and `u32::MAX` for no limit.
    pub unmap_blocks: u32,
    /// Most descriptors of an UNMAP; 0 if that is not supported, and `u32::MAX` for no limit.
    pub unmap_descriptors: u32,
    /// Unmapping works best on multiples of this.
    pub unmap_granularity: u32,
    /// The first block of such a multiple, below 2^31, if it is told.
    pub unmap_alignment: Option<u32>,
    /// Most blocks of a WRITE SAME.
    pub write_same: u64,
    /// Most blocks of an atomic write.
    pub atomic: u32,
    /// Atomic writes start at multiples of this.
    pub atomic_alignment: u32,
    /// Atomic writes have multiples of this.
    pub atomic_granularity: u32,
    /// Most blocks of an atomic write with a boundary.
    pub atomic_with_boundary: u32,
    /// Largest boundary of an atomic write.
    pub atomic_boundary: u32,
}

impl BlockLimits {
    /// Page code.
    pub const CODE: u8 = 0xb0;

    /// Parses the page. Fields behind its end are zero: older devices have a shorter page.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let bytes = padded::<LEN>(body(WHAT, Self::CODE, bytes)?);
        let (_, (head, transfer, unmap, write_same, atomic)) = read(WHAT, &bytes, |input| {
            let words = (be_u32, be_u32, be_u32);
            let (input, (head, transfer)) = ((be_u8, be_u8, be_u16), words).parse(input)?;
            let (input, unmap) = (be_u32, be_u32, be_u32, be_u32).parse(input)?;
            let (input, write_same) = be_u64(input)?;
            let (input, atomic) = (be_u32, be_u32, be_u32, be_u32, be_u32).parse(input)?;
            Ok((input, (head, transfer, unmap, write_same, atomic)))
        })?;
        Ok(Self {
            write_same_non_zero: head.0 & WSNZ != 0,
            compare_and_write: head.1,
            granularity: head.2,
            max_transfer: transfer.0,
            optimal_transfer: transfer.1,
            max_prefetch: transfer.2,
            unmap_blocks: unmap.0,
            unmap_descriptors: unmap.1,
            unmap_granularity: unmap.2,
            unmap_alignment: (unmap.3 & UGAVALID != 0).then_some(unmap.3 & !UGAVALID),
            write_same,
            atomic: atomic.0,
            atomic_alignment: atomic.1,
            atomic_granularity: atomic.2,
            atomic_with_boundary: atomic.3,
            atomic_boundary: atomic.4,
        })
    }

    /// The page.
    pub fn encode(&self, peripheral: Peripheral) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEN);
        out.extend_from_slice(&[u8::from(self.write_same_non_zero), self.compare_and_write]);
        out.extend_from_slice(&self.granularity.to_be_bytes());
        for value in [self.max_transfer, self.optimal_transfer, self.max_prefetch] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        let alignment = self.unmap_alignment.map_or(0, |first| first | UGAVALID);
        for value in [self.unmap_blocks, self.unmap_descriptors, self.unmap_granularity, alignment] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        out.extend_from_slice(&self.write_same.to_be_bytes());
        for value in [
            self.atomic,
            self.atomic_alignment,
            self.atomic_granularity,
            self.atomic_with_boundary,
            self.atomic_boundary,
        ] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        page(peripheral, Self::CODE, &out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn golden() -> (BlockLimits, Vec<u8>) {
        let limits = BlockLimits {
            write_same_non_zero: true,
            compare_and_write: 1,
            granularity: 8,
            max_transfer: 0x2000,
            optimal_transfer: 0x400,
            unmap_blocks: u32::MAX,
            unmap_descriptors: 256,
            unmap_granularity: 8,
            unmap_alignment: Some(3),
            write_same: 0x0102_0304_0506_0708,
            atomic_boundary: 9,
            ..BlockLimits::default()
        };
        let mut bytes = vec![0, 0xb0, 0, 60, 1, 1, 0, 8, 0, 0, 0x20, 0, 0, 0, 4, 0, 0, 0, 0, 0];
        bytes.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 0, 0, 0, 8, 0x80, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8]);
        bytes.extend([0; 16]);
        bytes.extend([0, 0, 0, 9]);
        (limits, bytes)
    }

    #[test]
    fn the_page_parses_and_builds() {
        let (limits, bytes) = golden();
        assert_eq!(limits.encode(Peripheral::DISK), bytes);
        assert_eq!(BlockLimits::parse(&bytes), Ok(limits));
    }

    #[test]
    fn an_alignment_that_is_not_valid_is_none() {
        let (limits, mut bytes) = golden();
        bytes[32] = 0;
        assert_eq!(BlockLimits::parse(&bytes), Ok(BlockLimits { unmap_alignment: None, ..limits }));
    }

    #[test]
    fn fields_behind_the_end_are_zero() {
        let mut bytes = golden().1;
        bytes[3] = 0x0c;
        let old = BlockLimits::parse(&bytes).unwrap();
        assert_eq!((old.max_transfer, old.optimal_transfer, old.unmap_blocks, old.write_same), (0x2000, 0x400, 0, 0));
        assert_eq!(BlockLimits::parse(&bytes[..16]), Ok(old));
        assert_eq!(BlockLimits::parse(&bytes[..3]), Err(DataError::Truncated { what: WHAT }));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 4..100)) {
            let _ = BlockLimits::parse(&bytes);
            bytes[1] = 0xb0;
            let limits = BlockLimits::parse(&bytes).unwrap();
            prop_assert_eq!(BlockLimits::parse(&limits.encode(Peripheral::DISK)), Ok(limits));
        }
    }
}
