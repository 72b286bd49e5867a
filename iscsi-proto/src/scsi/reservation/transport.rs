//! TransportIDs: the port that an initiator comes from.
//!
//! ```text
//! iSCSI   byte 0   format(2) . . protocol(4)    2 .. 3 length    4 .. name, NUL, NULs up to a multiple of 4
//! others  24 bytes, protocol in the same place
//! ```

use std::fmt;

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

use crate::scsi::wire::{skip, upto};

const ISCSI: u8 = 5;
const NAME_ONLY: u8 = 0x00;
const NAME_AND_PORT: u8 = 0x40;
/// Bytes of a TransportID of a protocol without names.
const FIXED_LEN: usize = 24;
/// The shortest TransportID with a name, and what its names are at least padded to.
const MIN_NAME: usize = 20;

/// The name of an initiator port in whole, as SPC-5 codes it for each transport protocol.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TransportId {
    /// A port that has a text for a name: protocol 5.
    Named {
        /// Name of the initiator device.
        name: String,
        /// The session identifier of the port, 6 bytes as 12 hexadecimal digits; any port of the device if there is none.
        port: Option<String>,
    },
    /// Any other protocol, and names that are no text: the bytes, header included.
    Other(Vec<u8>),
}

impl TransportId {
    /// What stands between the name and the session identifier.
    const SEPARATOR: &'static str = ",i,0x";

    /// Reads one TransportID from a list of them.
    pub(super) fn read(input: &[u8]) -> IResult<&[u8], Self> {
        let (_, (head, (), len)) = (be_u8, skip::<1>, be_u16).parse(input)?;
        let total = if head & 0x0f == ISCSI { usize::from(len) + 4 } else { FIXED_LEN };
        let (rest, bytes) = take(total)(input)?;
        let named = (head & 0x0f == ISCSI).then(|| Self::named(head & 0xc0, bytes.get(4..).unwrap_or_default()));
        Ok((rest, named.flatten().unwrap_or_else(|| Self::Other(bytes.to_vec()))))
    }

    fn named(format: u8, bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let text = std::str::from_utf8(upto(bytes, end)).ok()?;
        if text.is_empty() || text.contains(char::is_control) {
            return None;
        }
        let (name, port) = match format {
            NAME_ONLY => (text, None),
            NAME_AND_PORT => text.split_once(Self::SEPARATOR).map(|(name, port)| (name, Some(port.to_owned())))?,
            _ => return None,
        };
        Some(Self::Named { name: name.to_owned(), port })
    }

    /// Appends the TransportID. A name that its length cannot tell is cut.
    pub(super) fn encode_to(&self, out: &mut Vec<u8>) {
        let (format, mut text) = match self {
            Self::Named { name, port: None } => (NAME_ONLY, name.clone().into_bytes()),
            Self::Named { name, port: Some(port) } => {
                (NAME_AND_PORT, [name, Self::SEPARATOR, port].concat().into_bytes())
            }
            Self::Other(bytes) => return out.extend_from_slice(bytes),
        };
        text.truncate(0xfffb);
        text.resize((text.len() + 1).next_multiple_of(4).max(MIN_NAME), 0);
        out.extend_from_slice(&[format | ISCSI, 0]);
        out.extend_from_slice(&(text.len() as u16).to_be_bytes());
        out.extend_from_slice(&text);
    }

    /// The bytes of the TransportID.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }
}

impl fmt::Display for TransportId {
    /// The name and port, or the bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { name, port: None } => write!(f, "{}", name.escape_debug()),
            Self::Named { name, port: Some(port) } => {
                write!(f, "{}{}{}", name.escape_debug(), Self::SEPARATOR, port.escape_debug())
            }
            Self::Other(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(name: &str, port: Option<&str>) -> TransportId {
        TransportId::Named { name: name.into(), port: port.map(Into::into) }
    }

    #[test]
    fn names_parse_and_build() {
        let plain = named("iqn.2024-01.org:a", None);
        let bytes = b"\x05\x00\x00\x14iqn.2024-01.org:a\0\0\0";
        assert_eq!(plain.encode(), bytes);
        assert_eq!(TransportId::read(bytes).unwrap(), (&[][..], plain));
        let port = named("iqn.x:y", Some("00023d000001"));
        let bytes = b"\x45\x00\x00\x1ciqn.x:y,i,0x00023d000001\0\0\0\0";
        assert_eq!(port.encode(), bytes);
        assert_eq!(TransportId::read(bytes).unwrap(), (&[][..], port.clone()));
        assert_eq!(port.to_string(), "iqn.x:y,i,0x00023d000001");
    }

    #[test]
    fn short_names_are_padded_to_the_least_length() {
        assert_eq!(named("iqn.x:y", None).encode().len(), 24);
        assert_eq!(named(&"n".repeat(70_000), None).encode().len(), 0xfffc + 4);
    }

    #[test]
    fn what_is_no_name_is_kept_as_bytes() {
        for bytes in [
            &b"\x05\x00\x00\x04\xff\xff\0\0"[..],
            b"\x05\x00\x00\x04a\x1bb\0",
            b"\x05\x00\x00\x04\0\0\0\0",
            b"\x05\x00\x00\x00",
            b"\x45\x00\x00\x04abc\0",
            b"\x85\x00\x00\x04abc\0",
            &[6; 24],
        ] {
            let (rest, id) = TransportId::read(bytes).unwrap();
            assert_eq!((rest, &id), (&[][..], &TransportId::Other(bytes.to_vec())));
            assert_eq!(id.encode(), bytes);
        }
        assert!(TransportId::read(&[6; 23]).is_err() && TransportId::read(b"\x05\x00\x00\x04abc").is_err());
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 0..100), iscsi: bool) {
            if let Some([head, _, high, ..]) = bytes.get_mut(..3) && iscsi {
                (*head, *high) = (*head & 0xc0 | 5, 0);
            }
            if let Ok((rest, id)) = TransportId::read(&bytes) {
                prop_assert!(rest.len() < bytes.len());
                let encoded = id.encode();
                prop_assert_eq!(TransportId::read(&encoded).unwrap(), (&[][..], id));
            }
        }

        #[test]
        fn every_name_round_trips(name in "[a-z.:-]{1,60}", port in prop::option::of("[0-9a-f]{12}")) {
            let id = TransportId::Named { name, port };
            let encoded = id.encode();
            prop_assert_eq!(TransportId::read(&encoded).unwrap(), (&[][..], id));
        }
    }
}
