//! ```text
//! status (LID1)   0 .. 3 length   4 HDD status(7)   5 .. 6 segments   7 units   8 .. 11 count
//! failed segment  0 .. 3 length   56 command status   58 .. 59 sense length   60 .. sense
//! status (LID4)   0 .. 3 length   4 . . . action(5)   5 . status(7)   6 .. 7 counter   8 .. 11 delay
//!                 12 completion status   13 sense field   14 sense length   15 units   16 .. 23 count
//!                 24 .. 25 segments   32 .. sense field
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use crate::scsi::wire::{bit, read, skip, upto};
use crate::scsi::{DataError, Sense, Status};

const STATUS: &str = "COPY STATUS data";
const FAILED: &str = "FAILED SEGMENT DETAILS data";
const HDD: u8 = 0x80;
/// Reserved bytes before the status of a failed copy.
const FAILED_GAP: usize = 52;

/// How far a copy of the LID1 form is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CopyStatus {
    /// HDD bit: held data was discarded.
    pub held_discarded: bool,
    /// COPY MANAGER STATUS, 0 to 127: 0 under way, 1 done, 2 done with errors.
    pub status: u8,
    /// Segments that were processed.
    pub segments: u16,
    /// TRANSFER COUNT UNITS: 0 bytes, 1 KiB and so on by 1024 up to 6; F1h the units of the device.
    pub units: u8,
    /// How much was written, in those units.
    pub count: u32,
}

impl CopyStatus {
    /// Bytes of the data.
    pub const LEN: usize = 12;

    /// Parses the data.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (_, ((), status, segments, units, count)) =
            read(STATUS, bytes, |input| (skip::<4>, be_u8, be_u16, be_u8, be_u32).parse(input))?;
        Ok(Self { held_discarded: status & HDD != 0, status: status & !HDD, segments, units, count })
    }

    /// The data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 8, bit(self.held_discarded, HDD) | (self.status & !HDD)];
        out.extend_from_slice(&self.segments.to_be_bytes());
        out.push(self.units);
        out.extend_from_slice(&self.count.to_be_bytes());
        out
    }
}

/// Why a copy of the LID1 form failed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FailedSegment {
    /// Status that the copy ended with.
    pub status: Status,
    /// Its sense data, as it came; empty if there was none.
    pub sense: Vec<u8>,
}

impl FailedSegment {
    /// Parses the data; `None` if the copy manager has no details of such a copy. Sense data may be cut short.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, DataError> {
        let (rest, len) = read(FAILED, bytes, be_u32)?;
        if len == 0 {
            return Ok(None);
        }
        let (rest, ((), status, (), sense)) = read(FAILED, upto(rest, len as usize), |input| {
            (skip::<FAILED_GAP>, be_u8, skip::<1>, be_u16).parse(input)
        })?;
        Ok(Some(Self { status: Status(status), sense: upto(rest, sense.into()).to_vec() }))
    }

    /// The data. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let sense = upto(&self.sense, u16::MAX.into());
        let mut out = ((FAILED_GAP + 4 + sense.len()) as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&[0; FAILED_GAP]);
        out.extend_from_slice(&[self.status.0, 0]);
        out.extend_from_slice(&(sense.len() as u16).to_be_bytes());
        out.extend_from_slice(sense);
        out
    }
}

/// How far an operation with a list identifier of 4 bytes is: EXTENDED COPY (LID4), POPULATE TOKEN, WRITE USING TOKEN.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct OperationStatus {
    /// Service action of the operation (RESPONSE TO SERVICE ACTION), 0 to 31.
    pub action: u8,
    /// COPY OPERATION STATUS, 0 to 127: 01h done, 02h failed, 03h done with residual, 04h terminated, 10h to 12h under way,
    /// 60h aborted.
    pub status: u8,
    /// OPERATION COUNTER, which grows while the operation makes progress.
    pub counter: u16,
    /// Milliseconds after which to ask again; `u32::MAX` - 1 for an error, `u32::MAX` if nothing is known.
    pub delay: u32,
    /// Status that the operation ended with.
    pub completion: u8,
    /// TRANSFER COUNT UNITS: 0 bytes, 1 KiB and so on by 1024 up to 6; F1h blocks.
    pub units: u8,
    /// How much was written or put into the token, in those units.
    pub count: u64,
    /// Segments that were processed.
    pub segments: u16,
    /// Its sense data, as it came; empty if there was none. At most 255 bytes.
    pub sense: Vec<u8>,
}

impl OperationStatus {
    /// Bytes of the data before the sense data.
    pub const LEN: usize = 32;

    /// Whether the operation is still under way.
    pub const fn is_running(&self) -> bool {
        matches!(self.status, 0x10..=0x12)
    }

    /// Whether it has done all that it should.
    pub const fn is_done(&self) -> bool {
        self.status == 0x01
    }

    /// What the sense data says, if there is any.
    pub fn failure(&self) -> Option<Sense> {
        Sense::parse(&self.sense).ok()
    }

    /// Parses the data. Sense data may be cut short.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        Self::read(bytes).map(|(_, status)| status)
    }

    /// Parses the data, and gives what is behind its sense data.
    pub(super) fn read(bytes: &[u8]) -> Result<(&[u8], Self), DataError> {
        let (rest, (len, action, status, counter, delay)) =
            read(STATUS, bytes, |input| (be_u32, be_u8, be_u8, be_u16, be_u32).parse(input))?;
        // Those 8 bytes are counted by the length, which does not count itself.
        let rest = upto(rest, (len as usize).saturating_sub(8));
        let (rest, (completion, field, sense, units)) =
            read(STATUS, rest, |input| (be_u8, be_u8, be_u8, be_u8).parse(input))?;
        let (rest, (count, segments, ())) = read(STATUS, rest, |input| (be_u64, be_u16, skip::<6>).parse(input))?;
        let (sense_field, rest) = rest.split_at_checked(field.into()).unwrap_or((rest, &[]));
        let sense = upto(sense_field, sense.into()).to_vec();
        let (action, status) = (action & 0x1f, status & 0x7f);
        Ok((rest, Self { action, status, counter, delay, completion, units, count, segments, sense }))
    }

    /// The data. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(&[])
    }

    pub(super) fn encode_with(&self, tail: &[u8]) -> Vec<u8> {
        let sense = upto(&self.sense, u8::MAX.into());
        let mut out = ((Self::LEN - 4 + sense.len() + tail.len()) as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&[self.action & 0x1f, self.status & 0x7f]);
        out.extend_from_slice(&self.counter.to_be_bytes());
        out.extend_from_slice(&self.delay.to_be_bytes());
        out.extend_from_slice(&[self.completion, sense.len() as u8, sense.len() as u8, self.units]);
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.segments.to_be_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(sense);
        out.extend_from_slice(tail);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_short_status_parses_and_builds() {
        let status = CopyStatus { held_discarded: true, status: 1, segments: 2, units: 1, count: 0x0304 };
        let bytes = [0, 0, 0, 8, 0x81, 0, 2, 1, 0, 0, 3, 4];
        assert_eq!(status.encode(), bytes);
        assert_eq!(CopyStatus::parse(&bytes), Ok(status));
        assert_eq!(CopyStatus::parse(&bytes[..11]), Err(DataError::Truncated { what: STATUS }));
    }

    #[test]
    fn failed_segments_parse_and_build() {
        let failed = FailedSegment { status: Status::CHECK_CONDITION, sense: vec![0x70, 0, 5] };
        let bytes = failed.encode();
        assert_eq!((bytes.len(), &bytes[..4], &bytes[56..]), (63, &[0, 0, 0, 59][..], &[2, 0, 0, 3, 0x70, 0, 5][..]));
        assert_eq!(FailedSegment::parse(&bytes), Ok(Some(failed)));
        assert_eq!(FailedSegment::parse(&bytes[..61]).unwrap().unwrap().sense, [0x70]);
        assert_eq!(FailedSegment::parse(&bytes[..59]), Err(DataError::Truncated { what: FAILED }));
        assert_eq!(FailedSegment::parse(&[0; 4]), Ok(None));
    }

    #[test]
    fn the_long_status_parses_and_builds() {
        let status = OperationStatus {
            action: 0x10,
            status: 2,
            counter: 3,
            delay: 0x0405,
            completion: 2,
            units: 0xf1,
            count: 0x0607,
            segments: 8,
            sense: Sense::INVALID_FIELD.to_fixed().to_vec(),
        };
        let mut bytes = vec![0, 0, 0, 46, 0x10, 2, 0, 3, 0, 0, 4, 5, 2, 18, 18, 0xf1, 0, 0, 0, 0, 0, 0, 6, 7, 0, 8];
        bytes.extend([0; 6]);
        bytes.extend(Sense::INVALID_FIELD.to_fixed());
        assert_eq!(status.encode(), bytes);
        assert_eq!(OperationStatus::parse(&bytes), Ok(status.clone()));
        assert_eq!(status.failure().map(|sense| sense.code()), Some(Sense::INVALID_FIELD.code()));
        assert!(!status.is_running() && !status.is_done());
        assert!(OperationStatus { status: 1, ..status.clone() }.is_done());
        assert!(OperationStatus { status: 0x11, ..status }.is_running());
        assert_eq!(OperationStatus::parse(&bytes[..31]), Err(DataError::Truncated { what: STATUS }));
        bytes[3] = 27;
        assert_eq!(OperationStatus::parse(&bytes), Err(DataError::Truncated { what: STATUS }));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..120), len in 0..140u8) {
            let bytes = [&[0, 0, 0, len], &bytes[..]].concat();
            if let Ok(status) = CopyStatus::parse(&bytes) {
                prop_assert_eq!(CopyStatus::parse(&status.encode()), Ok(status));
            }
            if let Ok(Some(failed)) = FailedSegment::parse(&bytes) {
                prop_assert!(failed.sense.len() <= bytes.len());
                prop_assert_eq!(FailedSegment::parse(&failed.encode()), Ok(Some(failed)));
            }
            if let Ok(status) = OperationStatus::parse(&bytes) {
                prop_assert!(status.sense.len() <= bytes.len());
                prop_assert_eq!(OperationStatus::parse(&status.encode()), Ok(status));
            }
        }
    }
}
