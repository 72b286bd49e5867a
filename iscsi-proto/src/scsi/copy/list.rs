//! ```text
//! LID1   0 list identifier   1 . . STR id usage(2) priority(3)   2 .. 3 target length   8 .. 11 segment length
//!        12 .. 15 inline length   16 .. targets, segments, inline data
//! LID4   0 01h   1 as above   2 .. 3 header length 20h   15 . . . . . . G_SENSE IMMED   16 FFh   20 .. 23 list identifier
//!        42 .. 43 target length   44 .. 45 segment length   46 .. 47 inline length   48 .. targets, segments, inline data
//! ```

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::{CopyTarget, ExtendedCopy, Segment};
use crate::scsi::DataError;
use crate::scsi::wire::{bit, read, skip};

const WHAT: &str = "the EXTENDED COPY parameter list";
const STR: u8 = 0x20;
const G_SENSE: u8 = 0x02;
const IMMED: u8 = 0x01;
const FORMAT: u8 = 0x01;
const HEADER_TYPE: u8 = 0xff;
const HEADER_LIST: u16 = 0x20;

/// Which of the two forms a list has, with what only that one has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CopyHeader {
    /// EXTENDED COPY (LID1).
    Short {
        /// List identifier.
        list_id: u8,
    },
    /// EXTENDED COPY (LID4).
    Long {
        /// List identifier.
        list_id: u32,
        /// IMMED bit: status comes before the operation has ended.
        immediate: bool,
        /// G_SENSE bit: GOOD status comes with sense data that tells how much was copied.
        good_sense: bool,
    },
}

/// The parameter list of EXTENDED COPY: from block devices to block devices.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CopyList {
    /// The form.
    pub header: CopyHeader,
    /// STR bit: a tape is read or written in sequence.
    pub sequential: bool,
    /// LIST ID USAGE, 0 to 3: 0 keeps the results for RECEIVE COPY RESULTS, 2 does not, 3 needs no list identifier.
    pub id_usage: u8,
    /// PRIORITY, 0 to 7: how the copy compares with other commands, 1 being the highest.
    pub priority: u8,
    /// The devices.
    pub targets: Vec<CopyTarget>,
    /// What is copied.
    pub segments: Vec<Segment>,
    /// Data that segments of other kinds refer to.
    pub inline: Vec<u8>,
}

impl CopyList {
    /// A list whose results are not kept.
    pub const fn new(header: CopyHeader, targets: Vec<CopyTarget>, segments: Vec<Segment>) -> Self {
        Self { header, sequential: false, id_usage: 2, priority: 0, targets, segments, inline: Vec::new() }
    }

    /// The command that goes with this list.
    pub fn command(&self) -> ExtendedCopy {
        ExtendedCopy { long_id: self.is_long(), length: self.encode().len() as u32 }
    }

    const fn is_long(&self) -> bool {
        matches!(self.header, CopyHeader::Long { .. })
    }

    /// Parses the list of the LID4 form if `long`, else of the LID1 form. Its descriptors must all be there, and of the
    /// kinds that this crate knows.
    pub fn parse(bytes: &[u8], long: bool) -> Result<Self, DataError> {
        let (rest, (header, flags, targets, segments, inline)) =
            if long { long_header(bytes) } else { short_header(bytes) }?;
        let (rest, targets) = read(WHAT, rest, take(targets))?;
        let (rest, segments) = read(WHAT, rest, take(segments))?;
        let (_, inline) = read(WHAT, rest, take(inline))?;
        Ok(Self {
            header,
            sequential: flags & STR != 0,
            id_usage: flags >> 3 & 3,
            priority: flags & 7,
            targets: targets.chunks(CopyTarget::LEN).map(CopyTarget::parse).collect::<Result<_, _>>()?,
            segments: segments.chunks(Segment::LEN).map(Segment::parse).collect::<Result<_, _>>()?,
            inline: inline.to_vec(),
        })
    }

    /// The list. What its length fields cannot tell is left out: 2047 targets, and in the LID4 form 2340 segments and 65535
    /// bytes of inline data.
    pub fn encode(&self) -> Vec<u8> {
        let (mut targets, mut segments) = (Vec::new(), Vec::new());
        for target in self.targets.iter().take(usize::from(u16::MAX) / CopyTarget::LEN) {
            target.encode_to(&mut targets);
        }
        let most = (if self.is_long() { u16::MAX.into() } else { u32::MAX as usize }) / Segment::LEN;
        for segment in self.segments.iter().take(most) {
            segment.encode_to(&mut segments);
        }
        let inline = self.inline.get(..usize::from(u16::MAX)).filter(|_| self.is_long()).unwrap_or(&self.inline);
        let flags = bit(self.sequential, STR) | (self.id_usage & 3) << 3 | (self.priority & 7);
        let mut out = self.header.encode(flags, targets.len(), segments.len(), inline.len());
        for part in [&targets[..], &segments, inline] {
            out.extend_from_slice(part);
        }
        out
    }
}

impl CopyHeader {
    fn encode(self, flags: u8, targets: usize, segments: usize, inline: usize) -> Vec<u8> {
        let [high, low] = (targets as u16).to_be_bytes();
        match self {
            Self::Short { list_id } => {
                let mut out = vec![list_id, flags, high, low, 0, 0, 0, 0];
                out.extend_from_slice(&(segments as u32).to_be_bytes());
                out.extend_from_slice(&(inline as u32).to_be_bytes());
                out
            }
            Self::Long { list_id, immediate, good_sense } => {
                let mut out = vec![FORMAT, flags];
                out.extend_from_slice(&HEADER_LIST.to_be_bytes());
                out.extend_from_slice(&[0; 11]);
                out.extend_from_slice(&[bit(good_sense, G_SENSE) | bit(immediate, IMMED), HEADER_TYPE, 0, 0, 0]);
                out.extend_from_slice(&list_id.to_be_bytes());
                out.extend_from_slice(&[0; 18]);
                out.extend_from_slice(&[high, low]);
                out.extend_from_slice(&(segments as u16).to_be_bytes());
                out.extend_from_slice(&(inline as u16).to_be_bytes());
                out
            }
        }
    }
}

type Header<'a> = (&'a [u8], (CopyHeader, u8, usize, usize, usize));

fn short_header(bytes: &[u8]) -> Result<Header<'_>, DataError> {
    let (rest, (list_id, flags, targets, (), segments, inline)) =
        read(WHAT, bytes, |input| (be_u8, be_u8, be_u16, skip::<4>, be_u32, be_u32).parse(input))?;
    Ok((rest, (CopyHeader::Short { list_id }, flags, targets.into(), segments as usize, inline as usize)))
}

fn long_header(bytes: &[u8]) -> Result<Header<'_>, DataError> {
    let (rest, (format, flags, header_len, (), modes)) =
        read(WHAT, bytes, |input| (be_u8, be_u8, be_u16, skip::<11>, be_u8).parse(input))?;
    let (rest, (kind, (), list_id, ())) =
        read(WHAT, rest, |input| (be_u8, skip::<3>, be_u32, skip::<18>).parse(input))?;
    let (rest, (targets, segments, inline)) = read(WHAT, rest, |input| (be_u16, be_u16, be_u16).parse(input))?;
    for (field, value, expected) in [
        ("PARAMETER LIST FORMAT", u16::from(format), u16::from(FORMAT)),
        ("HEADER CSCD DESCRIPTOR LIST LENGTH", header_len, HEADER_LIST),
        ("HEADER CSCD DESCRIPTOR TYPE CODE", kind.into(), HEADER_TYPE.into()),
    ] {
        if value != expected {
            return Err(DataError::Invalid { what: WHAT, field, value: value.into() });
        }
    }
    let header = CopyHeader::Long { list_id, immediate: modes & IMMED != 0, good_sense: modes & G_SENSE != 0 };
    Ok((rest, (header, flags, targets.into(), segments.into(), inline.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scsi::Designation;

    fn list(header: CopyHeader) -> CopyList {
        let target = |last| CopyTarget::new(Designation::Naa(vec![0x50, 0, 0, 0, 0, 0, 0, last]), 512).unwrap();
        let segment = Segment { destination: 1, blocks: 8, source_lba: 1, destination_lba: 2, ..Segment::default() };
        CopyList { priority: 1, ..CopyList::new(header, vec![target(1), target(2)], vec![segment]) }
    }

    #[test]
    fn the_short_list_parses_and_builds() {
        let list = list(CopyHeader::Short { list_id: 7 });
        let bytes = list.encode();
        assert_eq!(bytes[..16], [7, 0x11, 0, 64, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0]);
        assert_eq!((bytes[16], bytes[48], bytes[80], bytes.len()), (0xe4, 0xe4, 0x02, 108));
        assert_eq!(list.command(), ExtendedCopy { long_id: false, length: 108 });
        assert_eq!(CopyList::parse(&bytes, false), Ok(list));
        for len in 0..bytes.len() {
            assert_eq!(CopyList::parse(&bytes[..len], false), Err(DataError::Truncated { what: WHAT }), "{len}");
        }
    }

    #[test]
    fn the_long_list_parses_and_builds() {
        let header = CopyHeader::Long { list_id: 0x0102_0304, immediate: true, good_sense: false };
        let list = CopyList { inline: vec![9; 3], id_usage: 0, sequential: true, ..list(header) };
        let bytes = list.encode();
        let mut head = vec![1, 0x21, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0, 1, 2, 3, 4];
        head.extend([0; 18]);
        head.extend([0, 64, 0, 28, 0, 3]);
        assert_eq!(bytes[..48], head);
        assert_eq!((bytes[48], bytes[112], bytes[140..].to_vec()), (0xe4, 0x02, vec![9; 3]));
        assert_eq!(list.command(), ExtendedCopy { long_id: true, length: 143 });
        assert_eq!(CopyList::parse(&bytes, true), Ok(list));
        for len in 0..bytes.len() {
            assert_eq!(CopyList::parse(&bytes[..len], true), Err(DataError::Truncated { what: WHAT }), "{len}");
        }
        for at in [0, 2, 3, 16] {
            let mut bad = bytes.clone();
            bad[at] ^= 0x40;
            assert!(matches!(CopyList::parse(&bad, true), Err(DataError::Invalid { .. })), "{at}");
        }
    }

    #[test]
    fn a_list_holds_no_more_than_its_lengths_can_tell() {
        let header = CopyHeader::Long { list_id: 1, immediate: false, good_sense: false };
        let mut long = list(header);
        long.targets = vec![long.targets[0].clone(); 2048];
        long.segments = vec![long.segments[0]; 2341];
        long.inline = vec![0; 65_536];
        let parsed = CopyList::parse(&long.encode(), true).unwrap();
        assert_eq!((parsed.targets.len(), parsed.segments.len(), parsed.inline.len()), (2047, 2340, 65_535));
    }

    /// R-301: lengths of the list are held against the bytes that are there.
    #[test]
    fn r301_lengths_past_the_end_are_refused() {
        let bytes = [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(CopyList::parse(&bytes, false), Err(DataError::Truncated { what: WHAT }));
        let mut partial = list(CopyHeader::Short { list_id: 0 }).encode();
        partial[3] = 63;
        assert!(CopyList::parse(&partial, false).is_err());
    }
}
