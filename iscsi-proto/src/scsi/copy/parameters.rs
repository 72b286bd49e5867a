//! ```text
//! 0 .. 3 length   4 . . . . . . . SNLID   8 .. 9 targets   10 .. 11 segments   12 .. 15 descriptor bytes
//! 16 .. 19 segment bytes   20 .. 23 inline bytes   24 .. 27 held data   28 .. 31 stream transfer
//! 34 .. 35 copies   36 copies (8 bits)   37 data granularity   38 inline   39 held   43 length   44 .. descriptor types
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32};

use crate::scsi::DataError;
use crate::scsi::wire::{padded, read, skip, upto};

const WHAT: &str = "OPERATING PARAMETERS data";
const LEN: usize = 40;
const SNLID: u8 = 0x01;

/// What a copy manager can do (OPERATING PARAMETERS).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct CopyParameters {
    /// SNLID bit: copies without a list identifier are supported (LIST ID USAGE 3).
    pub no_list_id: bool,
    /// Most target descriptors of a list.
    pub max_targets: u16,
    /// Most segment descriptors of a list.
    pub max_segments: u16,
    /// Most bytes of all descriptors of a list.
    pub max_descriptor_bytes: u32,
    /// Most bytes of a segment; 0 for no limit.
    pub max_segment_bytes: u32,
    /// Most bytes of inline data.
    pub max_inline_bytes: u32,
    /// Bytes of held data that are kept.
    pub held_data_limit: u32,
    /// Most bytes of a transfer of a stream device; 0 for no limit.
    pub max_stream_transfer: u32,
    /// Copies of all forms that can run at a time; 0 if not told.
    pub total_copies: u16,
    /// Copies of the LID1 form that can run at a time.
    pub max_copies: u8,
    /// 2^this bytes are a step of segments.
    pub data_granularity: u8,
    /// 2^this bytes are a step of inline data.
    pub inline_granularity: u8,
    /// 2^this bytes are a step of held data.
    pub held_granularity: u8,
    /// The types of descriptors that are supported, targets (from C0h on) and segments alike; at most 255.
    pub types: Vec<u8>,
}

impl CopyParameters {
    /// Type of the segment descriptor from block device to block device.
    pub const BLOCK_TO_BLOCK: u8 = 0x02;
    /// Type of the target descriptor that names a device by an identifier.
    pub const IDENTIFICATION: u8 = 0xe4;

    /// Whether lists of [`CopyTarget`](super::CopyTarget)s and [`Segment`](super::Segment)s are understood.
    pub fn copies_blocks(&self) -> bool {
        self.types.contains(&Self::BLOCK_TO_BLOCK) && self.types.contains(&Self::IDENTIFICATION)
    }

    /// Parses the data. What is cut off counts as zero, or as missing in the list of types.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, len) = read(WHAT, bytes, be_u32)?;
        let body = upto(rest, len as usize);
        let head = padded::<LEN>(body);
        let (_, (flags, counts, limits, copies, granularities, types)) = read(WHAT, &head, |input| {
            let (input, (flags, ())) = (be_u8, skip::<3>).parse(input)?;
            let (input, counts) = (be_u16, be_u16).parse(input)?;
            let (input, limits) = (be_u32, be_u32, be_u32, be_u32, be_u32).parse(input)?;
            let (input, ((), total, each)) = (skip::<2>, be_u16, be_u8).parse(input)?;
            let (input, (data, inline, held, (), types)) = (be_u8, be_u8, be_u8, skip::<3>, be_u8).parse(input)?;
            Ok((input, (flags, counts, limits, (total, each), (data, inline, held), types)))
        })?;
        Ok(Self {
            no_list_id: flags & SNLID != 0,
            max_targets: counts.0,
            max_segments: counts.1,
            max_descriptor_bytes: limits.0,
            max_segment_bytes: limits.1,
            max_inline_bytes: limits.2,
            held_data_limit: limits.3,
            max_stream_transfer: limits.4,
            total_copies: copies.0,
            max_copies: copies.1,
            data_granularity: granularities.0,
            inline_granularity: granularities.1,
            held_granularity: granularities.2,
            types: upto(body.get(LEN..).unwrap_or_default(), types.into()).to_vec(),
        })
    }

    /// The data. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let types = upto(&self.types, u8::MAX.into());
        let mut out = ((LEN + types.len()) as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&[u8::from(self.no_list_id), 0, 0, 0]);
        for value in [self.max_targets, self.max_segments] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        for value in [
            self.max_descriptor_bytes,
            self.max_segment_bytes,
            self.max_inline_bytes,
            self.held_data_limit,
            self.max_stream_transfer,
            self.total_copies.into(),
        ] {
            out.extend_from_slice(&value.to_be_bytes());
        }
        out.extend_from_slice(&[self.max_copies, self.data_granularity, self.inline_granularity]);
        out.extend_from_slice(&[self.held_granularity, 0, 0, 0, types.len() as u8]);
        out.extend_from_slice(types);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_data_parses_and_builds() {
        let parameters = CopyParameters {
            no_list_id: true,
            max_targets: 2,
            max_segments: 1,
            max_descriptor_bytes: 0x0400,
            max_segment_bytes: 0x0100_0000,
            max_inline_bytes: 3,
            held_data_limit: 4,
            max_stream_transfer: 5,
            total_copies: 6,
            max_copies: 7,
            data_granularity: 9,
            inline_granularity: 10,
            held_granularity: 11,
            types: vec![2, 0xe4],
        };
        let bytes = [
            0, 0, 0, 42, 1, 0, 0, 0, 0, 2, 0, 1, 0, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, //
            0, 0, 0, 6, 7, 9, 10, 11, 0, 0, 0, 2, 2, 0xe4,
        ];
        assert_eq!(parameters.encode(), bytes);
        assert_eq!(CopyParameters::parse(&bytes), Ok(parameters.clone()));
        assert!(parameters.copies_blocks());
        let cut = CopyParameters::parse(&bytes[..45]).unwrap();
        assert!(cut.types == [2] && !cut.copies_blocks());
        assert_eq!(CopyParameters::parse(&bytes[..12]).unwrap().max_descriptor_bytes, 0);
        assert_eq!(CopyParameters::parse(&bytes[..3]), Err(DataError::Truncated { what: WHAT }));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..120), len in 0..200u8) {
            let bytes = [&[0, 0, 0, len], &bytes[..]].concat();
            let parameters = CopyParameters::parse(&bytes).unwrap();
            prop_assert!(parameters.types.len() <= bytes.len());
            prop_assert_eq!(CopyParameters::parse(&parameters.encode()), Ok(parameters));
        }
    }
}
