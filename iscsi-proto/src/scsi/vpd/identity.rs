//! Device identification.
//!
//! ```text
//! each designator   0 protocol(4) code set(4)   1 PIV . association(2) type(4)   3 length   4 .. itself
//! ```

use std::fmt;

use nom::bytes::complete::take;
use nom::number::complete::be_u8;
use nom::{IResult, Parser};

use super::{body, page};
use crate::scsi::wire::{bit, list, skip, text, text_field, upto};
use crate::scsi::{DataError, Peripheral};

const WHAT: &str = "the device identification page";
const BINARY: u8 = 1;
const ASCII: u8 = 2;
const UTF8: u8 = 3;
const PIV: u8 = 0x80;

/// Page 83h: what identifies the logical unit, the port and the target.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct DeviceId(pub Vec<Designator>);

/// One name, and what it names.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Designator {
    /// What it names.
    pub association: Association,
    /// Protocol identifier (5 is iSCSI), where the designator says that it has one.
    pub protocol: Option<u8>,
    /// The name.
    pub designation: Designation,
}

/// What a designator names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Association {
    /// The logical unit.
    Unit = 0,
    /// The target port that the command came through.
    Port = 1,
    /// The whole target device.
    Device = 2,
    /// Reserved.
    Reserved = 3,
}

/// A name. Texts hold printable characters when parsed; byte strings hold at most 255 bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Designation {
    /// Type 0: what the vendor made of it.
    Vendor(Vec<u8>),
    /// Type 1: T10 vendor identification and what that vendor put behind it.
    T10 {
        /// Up to 8 characters.
        vendor: String,
        /// Up to 247 bytes.
        specific: Vec<u8>,
    },
    /// Type 2: EUI-64, of 8, 12 or 16 bytes.
    Eui64(Vec<u8>),
    /// Type 3: NAA, of 8 bytes, or 16 where the first four bits are 6.
    Naa(Vec<u8>),
    /// Type 4: number of the port within the target.
    RelativePort(u16),
    /// Type 5: target port group, for asymmetric access.
    PortGroup(u16),
    /// Type 6: logical unit group.
    UnitGroup(u16),
    /// Type 7: MD5 logical unit identifier.
    Md5([u8; 16]),
    /// Type 8: SCSI name string, such as an iSCSI name.
    Name(String),
    /// Type Ah: RFC 4122 UUID.
    Uuid([u8; 16]),
    /// Any other type, and any of the above whose bytes do not fit it.
    Other {
        /// Type, 0 to 15.
        kind: u8,
        /// Code set, 0 to 15.
        code_set: u8,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl DeviceId {
    /// Page code.
    pub const CODE: u8 = 0x83;

    /// The best name of the logical unit: one that is unique in the world before one that may not be.
    ///
    /// Paths lead to the same unit if they have this in common.
    pub fn preferred(&self) -> Option<&Designation> {
        self.of(Association::Unit)
            .filter(|name| name.rank() > 0)
            .reduce(|best, next| if next.rank() > best.rank() { next } else { best })
    }

    /// All names of one kind of thing, in the order of the page.
    pub fn of(&self, association: Association) -> impl Iterator<Item = &Designation> {
        self.0.iter().filter(move |d| d.association == association).map(|d| &d.designation)
    }

    /// The target port group of the port that the command came through.
    pub fn port_group(&self) -> Option<u16> {
        self.of(Association::Port).find_map(|name| match name {
            Designation::PortGroup(group) => Some(*group),
            _ => None,
        })
    }

    /// Parses the page. A designator that is cut short ends the list.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (_, designators) = list(body(WHAT, Self::CODE, bytes)?, Designator::read);
        Ok(Self(designators))
    }

    /// The page.
    pub fn encode(&self, peripheral: Peripheral) -> Vec<u8> {
        let mut out = Vec::new();
        for designator in &self.0 {
            designator.encode_to(&mut out);
        }
        page(peripheral, Self::CODE, &out)
    }
}

impl Designator {
    /// A name of the logical unit.
    pub const fn unit(designation: Designation) -> Self {
        Self { association: Association::Unit, protocol: None, designation }
    }

    /// A name of the target port, of protocol `protocol`.
    pub const fn port(protocol: u8, designation: Designation) -> Self {
        Self { association: Association::Port, protocol: Some(protocol), designation }
    }

    pub(in crate::scsi) fn read(input: &[u8]) -> IResult<&[u8], Self> {
        let (input, (head, flags, (), len)) = (be_u8, be_u8, skip::<1>, be_u8).parse(input)?;
        let (input, bytes) = take(len)(input)?;
        let association = match flags >> 4 & 3 {
            0 => Association::Unit,
            1 => Association::Port,
            2 => Association::Device,
            _ => Association::Reserved,
        };
        let protocol = (flags & PIV != 0).then_some(head >> 4);
        let designation = Designation::from_bytes(flags & 0x0f, head & 0x0f, bytes);
        Ok((input, Self { association, protocol, designation }))
    }

    pub(in crate::scsi) fn encode_to(&self, out: &mut Vec<u8>) {
        let (kind, code_set, bytes) = self.designation.to_bytes();
        let bytes = upto(&bytes, u8::MAX.into());
        let flags = bit(self.protocol.is_some(), PIV) | (self.association as u8) << 4 | (kind & 0x0f);
        out.extend_from_slice(&[self.protocol.unwrap_or(0) << 4 | (code_set & 0x0f), flags, 0, bytes.len() as u8]);
        out.extend_from_slice(bytes);
    }
}

impl Designation {
    /// How good a name it is: 0 for one that does not tell units apart.
    fn rank(&self) -> u8 {
        match self {
            Self::Naa(bytes) => match bytes.first().map(|byte| byte >> 4) {
                Some(6) => 9,
                Some(5) => 8,
                Some(2) => 7,
                _ => 3,
            },
            Self::Eui64(_) => 6,
            Self::Uuid(_) => 5,
            Self::Name(_) => 4,
            Self::T10 { .. } => 2,
            Self::Vendor(_) | Self::Md5(_) => 1,
            Self::RelativePort(_) | Self::PortGroup(_) | Self::UnitGroup(_) | Self::Other { .. } => 0,
        }
    }

    fn from_bytes(kind: u8, code_set: u8, bytes: &[u8]) -> Self {
        Self::known(kind, code_set, bytes).unwrap_or_else(|| Self::Other { kind, code_set, bytes: bytes.to_vec() })
    }

    fn known(kind: u8, code_set: u8, bytes: &[u8]) -> Option<Self> {
        match (kind, code_set, bytes) {
            (0, _, [_, ..]) => Some(Self::Vendor(bytes.to_vec())),
            (1, ..) => {
                let (vendor, specific) = bytes.split_first_chunk::<8>()?;
                Some(Self::T10 { vendor: text(vendor), specific: specific.to_vec() })
            }
            (2, BINARY, _) if matches!(bytes.len(), 8 | 12 | 16) => Some(Self::Eui64(bytes.to_vec())),
            (3, BINARY, [first, ..]) => match (first >> 4, bytes.len()) {
                (2 | 3 | 5, 8) | (6, 16) => Some(Self::Naa(bytes.to_vec())),
                _ => None,
            },
            (4, BINARY, [_, _, a, b]) => Some(Self::RelativePort(u16::from_be_bytes([*a, *b]))),
            (5, BINARY, [_, _, a, b]) => Some(Self::PortGroup(u16::from_be_bytes([*a, *b]))),
            (6, BINARY, [_, _, a, b]) => Some(Self::UnitGroup(u16::from_be_bytes([*a, *b]))),
            (7, BINARY, _) => bytes.try_into().ok().map(Self::Md5),
            (8, ASCII | UTF8, _) => name_string(bytes).map(Self::Name),
            (0x0a, BINARY, [0x10, 0, uuid @ ..]) => uuid.try_into().ok().map(Self::Uuid),
            _ => None,
        }
    }

    /// Type, code set and bytes.
    fn to_bytes(&self) -> (u8, u8, Vec<u8>) {
        let number = |value: u16| [&[0, 0], &value.to_be_bytes()[..]].concat();
        match self {
            Self::Vendor(bytes) => (0, text_code_set(bytes), bytes.clone()),
            Self::T10 { vendor, specific } => {
                let bytes = [&text_field::<8>(vendor)[..], specific].concat();
                (1, text_code_set(&bytes), bytes)
            }
            Self::Eui64(bytes) => (2, BINARY, bytes.clone()),
            Self::Naa(bytes) => (3, BINARY, bytes.clone()),
            Self::RelativePort(port) => (4, BINARY, number(*port)),
            Self::PortGroup(group) => (5, BINARY, number(*group)),
            Self::UnitGroup(group) => (6, BINARY, number(*group)),
            Self::Md5(bytes) => (7, BINARY, bytes.to_vec()),
            Self::Name(name) => (8, UTF8, padded_name(name)),
            Self::Uuid(bytes) => (0x0a, BINARY, [&[0x10, 0], &bytes[..]].concat()),
            Self::Other { kind, code_set, bytes } => (*kind, *code_set, bytes.clone()),
        }
    }
}

/// ASCII if all of `bytes` are printable, else binary.
fn text_code_set(bytes: &[u8]) -> u8 {
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) { ASCII } else { BINARY }
}

/// A SCSI name string without its padding, unless it holds what must not be printed.
fn name_string(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let name = std::str::from_utf8(upto(bytes, end)).ok()?;
    (!name.is_empty() && !name.contains(char::is_control)).then(|| name.to_owned())
}

/// A SCSI name string with a NUL at its end, and more of them up to a multiple of four bytes.
fn padded_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
    bytes
}

impl fmt::Display for Designation {
    /// For example `naa.60014051234567890000000000000001` or `eui.0002c90000000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vendor(bytes) => write!(f, "vendor.{}", shown(bytes)),
            Self::T10 { vendor, specific } => write!(f, "t10.{vendor}.{}", shown(specific)),
            Self::Eui64(bytes) => write!(f, "eui.{}", Hex(bytes)),
            Self::Naa(bytes) => write!(f, "naa.{}", Hex(bytes)),
            Self::RelativePort(port) => write!(f, "relative port {port}"),
            Self::PortGroup(group) => write!(f, "target port group {group}"),
            Self::UnitGroup(group) => write!(f, "logical unit group {group}"),
            Self::Md5(bytes) => write!(f, "md5.{}", Hex(bytes)),
            Self::Name(name) => write!(f, "{}", name.escape_debug()),
            Self::Uuid(bytes) => write!(f, "uuid.{}", Hex(bytes)),
            Self::Other { kind, bytes, .. } => write!(f, "type{kind}.{}", Hex(bytes)),
        }
    }
}

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text as text and all else in hexadecimal.
fn shown(bytes: &[u8]) -> String {
    match text_code_set(bytes) {
        ASCII => text(bytes),
        _ => Hex(bytes).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn golden() -> (DeviceId, Vec<u8>) {
        let naa = [0x60, 1, 0x40, 0x51, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let id = DeviceId(vec![
            Designator::unit(Designation::T10 { vendor: "IET".into(), specific: b"00010001".to_vec() }),
            Designator::unit(Designation::Naa(naa.to_vec())),
            Designator::port(5, Designation::RelativePort(1)),
            Designator::port(5, Designation::PortGroup(0x102)),
            Designator { association: Association::Device, ..Designator::unit(Designation::Name("iqn.x:y".into())) },
        ]);
        let mut bytes = b"\x00\x83\x00\x48\x02\x01\x00\x10IET     00010001\x01\x03\x00\x10".to_vec();
        bytes.extend(naa);
        bytes.extend([0x51, 0x94, 0, 4, 0, 0, 0, 1, 0x51, 0x95, 0, 4, 0, 0, 1, 2]);
        bytes.extend(b"\x03\x28\x00\x08iqn.x:y\x00");
        bytes[3] = (bytes.len() - 4) as u8;
        (id, bytes)
    }

    #[test]
    fn the_page_parses_and_builds() {
        let (id, bytes) = golden();
        assert_eq!(id.encode(Peripheral::DISK), bytes);
        assert_eq!(DeviceId::parse(&bytes), Ok(id.clone()));
        assert_eq!(id.port_group(), Some(0x102));
        assert_eq!(id.of(Association::Port).count(), 2);
    }

    /// R-301: neither an empty designator nor one past the end does harm.
    #[test]
    fn r301_what_is_cut_short_ends_the_list() {
        let (id, bytes) = golden();
        for len in 4..bytes.len() {
            let cut = DeviceId::parse(&bytes[..len]).unwrap();
            assert_eq!(cut.0[..], id.0[..cut.0.len()], "{len}");
            assert!(cut.0.len() < id.0.len());
        }
        let empty = DeviceId::parse(&[0, 0x83, 0, 8, 1, 3, 0, 0, 1, 3, 0, 255]).unwrap();
        let other = Designation::Other { kind: 3, code_set: 1, bytes: vec![] };
        assert_eq!(empty, DeviceId(vec![Designator::unit(other)]));
    }

    #[test]
    fn the_preferred_name_is_the_most_unique_one_of_the_unit() {
        let naa = |first: u8, len: usize| Designation::Naa([&[first][..], &vec![1; len - 1]].concat());
        let worst_first = [
            Designation::Vendor(b"x".to_vec()),
            Designation::T10 { vendor: "ACME".into(), specific: vec![] },
            naa(0x30, 8),
            Designation::Name("iqn.a:b".into()),
            Designation::Uuid([1; 16]),
            Designation::Eui64(vec![1; 8]),
            naa(0x20, 8),
            naa(0x50, 8),
            naa(0x60, 16),
        ];
        let mut id = DeviceId(vec![
            Designator::unit(Designation::UnitGroup(1)),
            Designator::port(5, naa(0x60, 16)),
            Designator::unit(Designation::Other { kind: 3, code_set: 2, bytes: vec![0x60; 16] }),
        ]);
        assert_eq!(id.preferred(), None);
        for name in &worst_first {
            id.0.insert(0, Designator::unit(name.clone()));
            assert_eq!(id.preferred(), Some(name));
        }
        id.0.push(Designator::unit(naa(0x6f, 16)));
        assert_eq!(id.preferred(), worst_first.last(), "the first of equals");
    }

    #[test]
    fn names_whose_bytes_do_not_fit_their_type_are_kept_as_bytes() {
        for (kind, code_set, bytes) in [
            (0, 1, &[][..]),
            (1, 2, b"short"),
            (2, 1, &[1; 9]),
            (3, 1, &[0x60; 8]),
            (3, 1, &[0x50; 16]),
            (3, 1, &[0x90; 8]),
            (3, 2, b"60000000"),
            (4, 1, &[0, 0, 1]),
            (7, 1, &[1; 15]),
            (8, 3, b"\xff\xfe"),
            (8, 3, b"a\x1bb"),
            (8, 3, b"\0"),
            (0x0a, 1, &[0x20; 18]),
            (0x0b, 1, &[1]),
        ] {
            let other = Designation::Other { kind, code_set, bytes: bytes.to_vec() };
            assert_eq!(Designation::from_bytes(kind, code_set, bytes), other);
            assert_eq!(other.to_bytes(), (kind, code_set, bytes.to_vec()));
        }
    }

    #[test]
    fn names_are_shown_with_their_kind() {
        for (name, text) in [
            (Designation::Naa(vec![0x50, 0xab]), "naa.50ab"),
            (Designation::Eui64(vec![0, 2]), "eui.0002"),
            (Designation::T10 { vendor: "IET".into(), specific: b" 0001 ".to_vec() }, "t10.IET.0001"),
            (Designation::T10 { vendor: "A".into(), specific: vec![0, 1] }, "t10.A.0001"),
            (Designation::Vendor(b"x y".to_vec()), "vendor.x y"),
            (Designation::Name("iqn.a:b\u{202e}".into()), "iqn.a:b\\u{202e}"),
            (Designation::PortGroup(7), "target port group 7"),
            (Designation::Other { kind: 9, code_set: 1, bytes: vec![1] }, "type9.01"),
        ] {
            assert_eq!(name.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 4..400), small: bool) {
            if small {
                bytes.iter_mut().skip(4).for_each(|byte| *byte &= 0x1f);
            }
            let _ = DeviceId::parse(&bytes);
            bytes[1] = 0x83;
            let id = DeviceId::parse(&bytes).unwrap();
            prop_assert!(id.0.len() <= bytes.len() / 4);
            prop_assert_eq!(DeviceId::parse(&id.encode(Peripheral::DISK)), Ok(id));
        }

        #[test]
        fn every_name_round_trips(kind in 0..11u8, code_set in 1..4u8, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let designator = Designator::unit(Designation::from_bytes(kind, code_set, &bytes));
            let id = DeviceId(vec![designator.clone(), designator]);
            prop_assert_eq!(DeviceId::parse(&id.encode(Peripheral::DISK)), Ok(id));
        }
    }
}
