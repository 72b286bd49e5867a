//! The header of a PDU (RFC 4171, section 5.1).
//!
//! ```text
//!  0 ..  1  version 0x0001          2 ..  3  function
//!  4 ..  5  length of the payload   6 ..  7  flags
//!  8 ..  9  transaction             10 .. 11  sequence
//! ```

use std::fmt;

use bytes::BufMut;
use nom::number::complete::be_u16;
use nom::{IResult, Parser};

use super::IsnsError;

/// Bytes of the header.
pub const HEADER_LEN: usize = 12;
/// The longest payload of a PDU in bytes: what 16 bits can say, in whole words.
pub const MAX_PAYLOAD: usize = 0xfffc;

const VERSION: u16 = 1;
const RESPONSE: u16 = 0x8000;

/// What a message is for. A response has the function of its request, and the leading bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Function(pub u16);

macro_rules! functions {
    ($($name:ident = $value:literal, $text:literal, $doc:literal;)+) => {
        impl Function {
            $(#[doc = $doc] pub const $name: Self = Self($value);)+

            const fn text(self) -> Option<&'static str> {
                match self { $(Self::$name => Some($text),)+ _ => None }
            }
        }
    };
}

functions! {
    REGISTER = 1, "DevAttrReg", "Registers objects, or changes them.";
    QUERY = 2, "DevAttrQry", "Asks for objects.";
    GET_NEXT = 3, "DevGetNext", "Asks for one object after the other.";
    DEREGISTER = 4, "DevDereg", "Removes objects.";
    REGISTER_NOTIFICATION = 5, "SCNReg", "Asks to be told of changes.";
    DEREGISTER_NOTIFICATION = 6, "SCNDereg", "Asks not to be told of changes any more.";
    NOTIFICATION = 8, "SCN", "The server tells of a change.";
    INQUIRY = 13, "ESI", "The server asks whether a client is still there.";
}

impl Function {
    /// The function of the response to this request.
    #[must_use]
    pub const fn response(self) -> Self {
        Self(self.0 | RESPONSE)
    }

    /// Whether this is the function of a response.
    pub const fn is_response(self) -> bool {
        self.0 & RESPONSE != 0
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.is_response() { "Rsp" } else { "" };
        match Self(self.0 & !RESPONSE).text() {
            Some(text) => write!(f, "{text}{end}"),
            None => write!(f, "function {:#06x}", self.0),
        }
    }
}

/// What is said about a PDU, as bits (RFC 4171, section 5.1.4).
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug)]
pub struct Flags(pub u16);

impl Flags {
    /// The sender is a client.
    pub const CLIENT: Self = Self(0x8000);
    /// The sender is a server.
    pub const SERVER: Self = Self(0x4000);
    /// An authentication block follows.
    pub const AUTHENTICATED: Self = Self(0x2000);
    /// What is registered replaces what was.
    pub const REPLACE: Self = Self(0x1000);
    /// The last PDU of a message.
    pub const LAST: Self = Self(0x0800);
    /// The first PDU of a message.
    pub const FIRST: Self = Self(0x0400);

    /// Whether all these bits are set.
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// These bits and those, if `set`.
    #[must_use]
    pub const fn with(self, bits: Self, set: bool) -> Self {
        if set { Self(self.0 | bits.0) } else { self }
    }
}

/// The header of a PDU of version 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the message is for.
    pub function: Function,
    /// Bytes of the payload: a multiple of four.
    pub len: u16,
    /// Flags.
    pub flags: Flags,
    /// Which request and response belong together.
    pub transaction: u16,
    /// Which PDU of its message this is, from 0 on.
    pub sequence: u16,
}

impl Header {
    /// Reads the header that starts `bytes`; `None` while it is incomplete.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, IsnsError> {
        let fields: IResult<&[u8], _> = (be_u16, be_u16, be_u16, be_u16, be_u16, be_u16).parse(bytes);
        let Ok((_, (version, function, len, flags, transaction, sequence))) = fields else { return Ok(None) };
        let flags = Flags(flags);
        if version != VERSION {
            return Err(IsnsError::Version(version));
        }
        if !len.is_multiple_of(4) {
            return Err(IsnsError::Length(len));
        }
        if flags.has(Flags::AUTHENTICATED) {
            return Err(IsnsError::Authentication);
        }
        Ok(Some(Self { function: Function(function), len, flags, transaction, sequence }))
    }

    /// Appends the header.
    pub fn encode(&self, to: &mut impl BufMut) {
        for field in [VERSION, self.function.0, self.len, self.flags.0, self.transaction, self.sequence] {
            to.put_u16(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: [u8; HEADER_LEN] = [0, 1, 0x80, 2, 0, 8, 0x4c, 0, 0x12, 0x34, 0, 3];

    #[test]
    fn a_header_is_read_as_it_is_written() {
        let header = Header::read(&WIRE).unwrap().unwrap();
        assert_eq!(
            header,
            Header {
                function: Function::QUERY.response(),
                len: 8,
                flags: Flags(0x4c00),
                transaction: 0x1234,
                sequence: 3,
            }
        );
        let mut wire = Vec::new();
        header.encode(&mut wire);
        assert_eq!(wire, WIRE);
        for len in 0..HEADER_LEN {
            assert_eq!(Header::read(&WIRE[..len]), Ok(None));
        }
    }

    /// R-155
    #[test]
    fn r155_a_payload_fills_whole_words() {
        for (len, good) in [(0, true), (3, false), (4, true), (0xfffc, true), (0xfffd, false), (0xffff, false)] {
            let mut wire = WIRE;
            wire[4..6].copy_from_slice(&u16::to_be_bytes(len));
            let expected = if good { Ok(len) } else { Err(IsnsError::Length(len)) };
            assert_eq!(Header::read(&wire).map(|header| header.unwrap().len), expected);
        }
    }

    #[test]
    fn other_versions_and_authentication_blocks_are_refused() {
        for (place, value, error) in [
            (1, 0, IsnsError::Version(0)),
            (1, 2, IsnsError::Version(2)),
            (0, 1, IsnsError::Version(0x0101)),
            (6, 0x6c, IsnsError::Authentication),
        ] {
            let mut wire = WIRE;
            wire[place] = value;
            assert_eq!(Header::read(&wire), Err(error));
        }
    }

    #[test]
    fn functions_have_the_names_of_the_standard() {
        assert_eq!(Function::QUERY.to_string(), "DevAttrQry");
        assert_eq!(Function::DEREGISTER.response().to_string(), "DevDeregRsp");
        assert_eq!(Function(0x8fff).to_string(), "function 0x8fff");
    }
}
