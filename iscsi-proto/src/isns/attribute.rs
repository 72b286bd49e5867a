//! Attributes: tag, length, value (RFC 4171, sections 5.3 and 6).

use std::net::{IpAddr, Ipv6Addr};

use bytes::{Buf, BufMut, Bytes};
use nom::number::complete::be_u32;
use nom::{IResult, Parser};

use super::{IsnsError, Tag};
use crate::pdu::padding;

/// Bytes of tag and length.
const HEAD: usize = 8;

/// An attribute. Its value is padded to whole words; in a query an attribute without a value asks for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// What it is.
    pub tag: Tag,
    /// Its value, padding included.
    pub value: Bytes,
}

/// Why a value is not what its attribute should hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// It has another length.
    #[error("{tag} has {len} bytes, not {expected} (RFC 4171, section 6.1)")]
    Length {
        /// Which attribute.
        tag: Tag,
        /// How long it is.
        len: usize,
        /// How long it should be.
        expected: usize,
    },
    /// It is not UTF-8.
    #[error("{0} is not UTF-8 (RFC 4171, section 6)")]
    Text(Tag),
    /// Something follows the NUL at the end of a text.
    #[error("{0} goes on behind its end (RFC 4171, section 5.3.1)")]
    Padding(Tag),
}

impl Attribute {
    /// What stands between the key and the rest.
    pub const DELIMITER: Self = Self::empty(Tag::DELIMITER);

    /// An attribute without a value.
    pub const fn empty(tag: Tag) -> Self {
        Self { tag, value: Bytes::new() }
    }

    /// A text, with a NUL behind it and padding.
    pub fn text(tag: Tag, text: &str) -> Self {
        let mut value = Vec::from(text);
        value.push(0);
        value.resize(value.len() + padding(value.len()), 0);
        Self { tag, value: value.into() }
    }

    /// A number.
    pub fn number(tag: Tag, number: u32) -> Self {
        Self { tag, value: Bytes::copy_from_slice(&number.to_be_bytes()) }
    }

    /// An address. One of IPv4 is written as IPv6 writes it (`::ffff:a.b.c.d`).
    pub fn address(tag: Tag, address: IpAddr) -> Self {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Self { tag, value: Bytes::copy_from_slice(&address.octets()) }
    }

    /// The text of the value. The NUL behind it may be missing.
    pub fn as_text(&self) -> Result<&str, ValueError> {
        let end = self.value.iter().position(|&byte| byte == 0).unwrap_or(self.value.len());
        let (text, rest) = self.value.split_at_checked(end).unwrap_or_default();
        if rest.iter().any(|&byte| byte != 0) {
            return Err(ValueError::Padding(self.tag));
        }
        std::str::from_utf8(text).map_err(|_| ValueError::Text(self.tag))
    }

    /// The number that the value is.
    pub fn as_number(&self) -> Result<u32, ValueError> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// The address that the value is.
    ///
    /// Quirk: open-isns 0.101 writes `::a.b.c.d` for an address of IPv4, without the two bytes of ones. No host has such an
    /// address in IPv6 (RFC 4291, section 2.5.5.1), so it is taken for what is meant; `::` and `::1` are left alone.
    pub fn as_address(&self) -> Result<IpAddr, ValueError> {
        let address = Ipv6Addr::from(self.fixed::<16>()?);
        let compatible = || address.to_ipv4().filter(|address| address.octets()[0] != 0);
        Ok(address.to_ipv4_mapped().or_else(compatible).map_or(IpAddr::V6(address), IpAddr::V4))
    }

    /// Whether it has no value.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// Appends the attribute.
    pub(super) fn encode(&self, to: &mut impl BufMut) {
        let pad = padding(self.value.len());
        to.put_u32(self.tag.0);
        to.put_u32((self.value.len() + pad) as u32);
        to.put_slice(&self.value);
        to.put_bytes(0, pad);
    }

    fn fixed<const N: usize>(&self) -> Result<[u8; N], ValueError> {
        let len = self.value.len();
        (&self.value[..]).try_into().map_err(|_| ValueError::Length { tag: self.tag, len, expected: N })
    }
}

/// Reads the attributes that fill `payload`.
pub(super) fn attributes(mut payload: Bytes) -> Result<Vec<Attribute>, IsnsError> {
    let mut found = Vec::new();
    while !payload.is_empty() {
        let head: IResult<&[u8], _> = (be_u32, be_u32).parse(&payload);
        let Ok((_, (tag, len))) = head else { return Err(IsnsError::Rest(payload.len())) };
        let tag = Tag(tag);
        payload.advance(HEAD);
        if len as usize > payload.len() {
            return Err(IsnsError::Truncated { tag, len, left: payload.len() });
        }
        if !len.is_multiple_of(4) {
            return Err(IsnsError::Padding { tag, len });
        }
        found.push(Attribute { tag, value: payload.split_to(len as usize) });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(attribute: &Attribute) -> Vec<u8> {
        let mut wire = Vec::new();
        attribute.encode(&mut wire);
        wire
    }

    fn read(bytes: &'static [u8]) -> Result<Vec<Attribute>, IsnsError> {
        attributes(Bytes::from_static(bytes))
    }

    #[test]
    fn values_are_written_as_the_standard_says() {
        for (attribute, wire) in [
            (Attribute::text(Tag::NAME, "abc"), &b"\0\0\0\x20\0\0\0\x04abc\0"[..]),
            (Attribute::text(Tag::NAME, "abcd"), b"\0\0\0\x20\0\0\0\x08abcd\0\0\0\0"),
            (Attribute::text(Tag::ALIAS, ""), b"\0\0\0\x22\0\0\0\x04\0\0\0\0"),
            (Attribute::number(Tag::PORTAL_PORT, 3260), b"\0\0\0\x11\0\0\0\x04\0\0\x0c\xbc"),
            (Attribute::DELIMITER, b"\0\0\0\0\0\0\0\0"),
            (
                Attribute::address(Tag::PORTAL_ADDRESS, "10.0.0.1".parse().unwrap()),
                b"\0\0\0\x10\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01",
            ),
            (
                Attribute::address(Tag::GROUP_ADDRESS, "fd00::5".parse().unwrap()),
                b"\0\0\0\x31\0\0\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05",
            ),
        ] {
            assert_eq!(encoded(&attribute), wire);
            assert_eq!(read(wire), Ok(vec![attribute]));
        }
    }

    #[test]
    fn a_value_that_was_not_padded_is_padded_on_the_wire() {
        let odd = Attribute { tag: Tag::NAME, value: Bytes::from_static(b"abcde") };
        assert_eq!(encoded(&odd), b"\0\0\0\x20\0\0\0\x08abcde\0\0\0");
    }

    #[test]
    fn texts_end_at_their_nul_and_nowhere_before_the_padding() {
        let text = |value| Attribute { tag: Tag::NAME, value: Bytes::from_static(value) };
        assert_eq!(text(b"abc\0").as_text(), Ok("abc"));
        assert_eq!(text(b"abcd").as_text(), Ok("abcd"));
        assert_eq!(text(b"").as_text(), Ok(""));
        assert_eq!(text(b"ab\0\0\0\0\0\0").as_text(), Ok("ab"));
        assert_eq!(text(b"ab\0c").as_text(), Err(ValueError::Padding(Tag::NAME)));
        assert_eq!(text(b"\xff\xfe\0\0").as_text(), Err(ValueError::Text(Tag::NAME)));
    }

    #[test]
    fn numbers_and_addresses_have_one_length() {
        let value = |tag, len| Attribute { tag, value: vec![1; len].into() };
        for len in [0, 3, 8] {
            let expected = Err(ValueError::Length { tag: Tag::PORTAL_PORT, len, expected: 4 });
            assert_eq!(value(Tag::PORTAL_PORT, len).as_number(), expected);
        }
        for len in [0, 4, 12, 20] {
            let expected = Err(ValueError::Length { tag: Tag::PORTAL_ADDRESS, len, expected: 16 });
            assert_eq!(value(Tag::PORTAL_ADDRESS, len).as_address(), expected);
        }
    }

    #[test]
    fn an_address_of_ipv4_is_known_in_both_forms() {
        for (wire, address) in [
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::10.0.0.1", "10.0.0.1"),
            ("::ffff:0.0.0.0", "0.0.0.0"),
            ("::", "::"),
            ("::1", "::1"),
            ("fd00::5", "fd00::5"),
        ] {
            let octets = wire.parse::<Ipv6Addr>().unwrap().octets();
            let attribute = Attribute { tag: Tag::PORTAL_ADDRESS, value: Bytes::copy_from_slice(&octets) };
            assert_eq!(attribute.as_address(), Ok(address.parse().unwrap()), "{wire}");
        }
    }

    #[test]
    fn lengths_are_checked_before_anything_is_taken() {
        let error = |bytes| read(bytes).unwrap_err();
        assert_eq!(error(b"\0\0\0\x20\0\0\0"), IsnsError::Rest(7));
        assert_eq!(error(b"\0\0\0\0\0\0\0\0\0\0\0\x20"), IsnsError::Rest(4));
        let truncated = |len, left| IsnsError::Truncated { tag: Tag::NAME, len, left };
        assert_eq!(error(b"\0\0\0\x20\0\0\0\x08abcd"), truncated(8, 4));
        assert_eq!(error(b"\0\0\0\x20\xff\xff\xff\xffabcd"), truncated(u32::MAX, 4));
        assert_eq!(error(b"\0\0\0\x20\0\0\0\x03abc\0"), IsnsError::Padding { tag: Tag::NAME, len: 3 });
    }
}
