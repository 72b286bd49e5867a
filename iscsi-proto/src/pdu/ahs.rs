//! Additional header segments (RFC 7143, section 11.2.2). Only a SCSI Command carries them.
//!
//! ```text
//! 0 .. 1  AHSLength   bytes after AHSType, without padding
//! 2       AHSType     1 extended CDB, 2 bidirectional read length
//! 3       reserved
//! 4 ..    CDB bytes from the 17th on, or the 4-byte length; padded to 4
//! ```

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

use super::{PduError, padding};

const EXTENDED_CDB: u8 = 1;
const BIDI_READ_LENGTH: u8 = 2;

/// One additional header segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ahs {
    /// The bytes of a CDB beyond its first 16.
    ExtendedCdb(Vec<u8>),
    /// Bytes that a bidirectional command may read.
    BidiReadLength(u32),
}

impl Ahs {
    /// Appends the segment with its padding.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        let (code, body): (u8, &[u8]) = match self {
            Self::ExtendedCdb(bytes) => (EXTENDED_CDB, bytes),
            Self::BidiReadLength(len) => (BIDI_READ_LENGTH, &len.to_be_bytes()),
        };
        out.extend_from_slice(&(body.len() as u16 + 1).to_be_bytes());
        out.extend_from_slice(&[code, 0]);
        out.extend_from_slice(body);
        out.resize(out.len() + padding(body.len()), 0);
    }
}

/// All segments in `bytes`, which is the whole TotalAHSLength area.
pub fn parse_ahs(mut bytes: &[u8]) -> Result<Vec<Ahs>, PduError> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (rest, (code, body)) = segment(bytes).map_err(|_| PduError::Truncated)?;
        all.push(match (code, body) {
            (EXTENDED_CDB, [_, _, ..]) => Ahs::ExtendedCdb(body.get(1..).unwrap_or_default().to_vec()),
            (BIDI_READ_LENGTH, [_, a, b, c, d]) => Ahs::BidiReadLength(u32::from_be_bytes([*a, *b, *c, *d])),
            (EXTENDED_CDB | BIDI_READ_LENGTH, _) => {
                return Err(PduError::Inconsistent { rule: "AHSLength does not fit AHSType", section: "11.2.2" });
            }
            (other, _) => {
                return Err(PduError::ReservedValue { field: "AHSType", value: other.into(), section: "11.2.2.2" });
            }
        });
        bytes = rest;
    }
    Ok(all)
}

/// Type and body of the first segment; the body starts with the reserved byte.
fn segment(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
    let (input, (len, kind)) = (be_u16, be_u8).parse(input)?;
    let (input, body) = take(len)(input)?;
    let (input, _) = take(padding(usize::from(len) + 3))(input)?;
    Ok((input, (kind & 0x3f, body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(segments: &[Ahs]) -> Vec<u8> {
        let mut out = Vec::new();
        for segment in segments {
            segment.encode_to(&mut out);
        }
        out
    }

    /// R-011, R-012: a 32-byte CDB takes five words and AHSLength 17.
    #[test]
    fn extended_cdb_counts_its_reserved_byte() {
        let bytes = encode(&[Ahs::ExtendedCdb(vec![7; 16])]);
        assert_eq!(bytes.len(), 20);
        assert_eq!(bytes[..5], [0x00, 0x11, 0x01, 0x00, 7]);
    }

    /// R-011, R-013
    #[test]
    fn bidi_read_length_takes_two_words() {
        let bytes = encode(&[Ahs::BidiReadLength(0x0102_0304)]);
        assert_eq!(bytes, [0, 5, 2, 0, 1, 2, 3, 4]);
    }

    /// R-022
    #[test]
    fn lengths_that_leave_the_area_are_refused() {
        for bad in [&[0u8, 9, 1, 0][..], &[0, 0, 1, 0], &[0, 1, 1, 0], &[0, 4, 2, 0, 0, 0, 0, 0], &[0, 1, 9, 0], &[0]] {
            assert!(parse_ahs(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn segments_round_trip(cdb in proptest::collection::vec(any::<u8>(), 1..244), len: u32) {
            let all = vec![Ahs::ExtendedCdb(cdb), Ahs::BidiReadLength(len)];
            let bytes = encode(&all);
            prop_assert_eq!(bytes.len() % 4, 0);
            prop_assert_eq!(parse_ahs(&bytes), Ok(all));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1020)) {
            let _ = parse_ahs(&bytes);
        }
    }
}
