//! INQUIRY and its standard data (SPC-5). The vital product data pages are elsewhere.
//!
//! ```text
//! CDB   byte 1   . . . . . . . EVPD    2 page     3 ..  4 allocation length
//! data  byte 0   qualifier(3) type(5)             1       RMB .
//!            2   version                          3       . . NormACA HiSup format(4)
//!            4   additional length                5       . . TPGS(2) 3PC . . PROTECT
//!            6   . EncServ . MultiP . . . .       7       . . . . . . CmdQue .
//!            8 .. 15 vendor   16 .. 31 product   32 .. 35 revision   58 .. 73 version descriptors
//! ```

use std::fmt;

use nom::Parser;
use nom::multi::count;
use nom::number::complete::{be_u8, be_u16};

use super::wire::{array, bit, padded, read, skip, text, text_field, upto};
use super::{Cdb, CdbError, DataError};

const WHAT: &str = "standard INQUIRY data";
const EVPD: u8 = 0x01;
/// Bytes that this crate reads and writes, up to the last version descriptor.
const LEN: usize = 74;
const MAX_DESCRIPTORS: usize = 8;

/// INQUIRY.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Inquiry {
    /// The vital product data page asked for; standard data if none.
    pub page: Option<u8>,
    /// Bytes there is room for.
    pub allocation: u16,
}

impl Inquiry {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, page, allocation) = cdb.fields(|input| (be_u8, be_u8, be_u16).parse(input))?;
        let vpd = flags & EVPD != 0;
        if !vpd && page != 0 {
            return Err(CdbError::Field { byte: 2, bit: None });
        }
        Ok(Self { page: vpd.then_some(page), allocation })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let (evpd, page) = match self.page {
            Some(page) => (EVPD, page),
            None => (0, 0),
        };
        Cdb::new(0x12).byte(1, evpd).byte(2, page).half(3, self.allocation)
    }
}

/// Whether there is a device behind a logical unit number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Qualifier {
    /// A device is connected, or it cannot be told.
    #[default]
    Connected = 0,
    /// None is connected, but one could be.
    NotConnected = 1,
    /// Reserved.
    Reserved = 2,
    /// There can be none under this number.
    NotSupported = 3,
    /// 4 to 7: what the vendor made of it.
    Vendor4 = 4,
    /// See [`Qualifier::Vendor4`].
    Vendor5 = 5,
    /// See [`Qualifier::Vendor4`].
    Vendor6 = 6,
    /// See [`Qualifier::Vendor4`].
    Vendor7 = 7,
}

/// What kind of device a logical unit is: the low five bits of its byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceType(pub u8);

impl DeviceType {
    /// Direct access block device.
    pub const DISK: Self = Self(0x00);
    /// Sequential access device.
    pub const TAPE: Self = Self(0x01);
    /// CD, DVD or Blu-ray.
    pub const OPTICAL_DISC: Self = Self(0x05);
    /// Storage array controller.
    pub const CONTROLLER: Self = Self(0x0c);
    /// Zoned block device, host managed.
    pub const ZONED_DISK: Self = Self(0x14);
    /// No device, or an unknown one.
    pub const NONE: Self = Self(0x1f);

    /// A short name; `None` for codes that are reserved.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "disk",
            0x01 => "tape",
            0x02 => "printer",
            0x03 => "processor",
            0x04 => "write-once",
            0x05 => "cd/dvd",
            0x06 => "scanner",
            0x07 => "optical memory",
            0x08 => "medium changer",
            0x09 => "communications",
            0x0c => "array controller",
            0x0d => "enclosure",
            0x0e => "simplified disk",
            0x0f => "optical card",
            0x10 => "bridge controller",
            0x11 => "object storage",
            0x12 => "automation interface",
            0x13 => "security manager",
            0x14 => "zoned disk",
            0x1e => "well known unit",
            0x1f => "no device",
            _ => return None,
        })
    }

    /// Whether its blocks are read and written with the commands of SBC.
    pub const fn is_block(self) -> bool {
        matches!(self.0, 0x00 | 0x04 | 0x07 | 0x0e | 0x14)
    }
}

impl fmt::Display for DeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "type {:#04x}", self.0),
        }
    }
}

impl fmt::Debug for DeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceType({self})")
    }
}

/// The first byte of all INQUIRY data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Peripheral {
    /// Whether a device is there.
    pub qualifier: Qualifier,
    /// What it is.
    pub device: DeviceType,
}

impl Peripheral {
    /// A connected disk.
    pub const DISK: Self = Self { qualifier: Qualifier::Connected, device: DeviceType::DISK };
    /// What a target answers for a logical unit number that it does not have.
    pub const ABSENT: Self = Self { qualifier: Qualifier::NotSupported, device: DeviceType::NONE };

    /// Both parts of `byte`.
    pub const fn from_byte(byte: u8) -> Self {
        let qualifier = match byte >> 5 {
            0 => Qualifier::Connected,
            1 => Qualifier::NotConnected,
            2 => Qualifier::Reserved,
            3 => Qualifier::NotSupported,
            4 => Qualifier::Vendor4,
            5 => Qualifier::Vendor5,
            6 => Qualifier::Vendor6,
            _ => Qualifier::Vendor7,
        };
        Self { qualifier, device: DeviceType(byte & 0x1f) }
    }

    /// Both parts in one byte.
    pub const fn to_byte(self) -> u8 {
        (self.qualifier as u8) << 5 | (self.device.0 & 0x1f)
    }
}

/// Standard INQUIRY data.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct InquiryData {
    /// Whether a device is there, and which kind.
    pub peripheral: Peripheral,
    /// RMB bit: the medium can be removed.
    pub removable: bool,
    /// Which SPC is claimed: 5 for SPC-3, 6 for SPC-4, 7 for SPC-5.
    pub version: u8,
    /// NormACA bit.
    pub norm_aca: bool,
    /// HiSup bit: logical unit numbers have levels.
    pub hierarchical: bool,
    /// TPGS, 0 to 3: bit 0 implicit, bit 1 explicit asymmetric access.
    pub tpgs: u8,
    /// 3PC bit: third-party copies are supported.
    pub third_party_copy: bool,
    /// PROTECT bit: protection information is supported.
    pub protect: bool,
    /// EncServ bit: an enclosure services device is embedded.
    pub enclosure: bool,
    /// MultiP bit: there is more than one port.
    pub multi_port: bool,
    /// CmdQue bit: commands are queued.
    pub queueing: bool,
    /// Vendor, up to 8 printable characters.
    pub vendor: String,
    /// Product, up to 16 printable characters.
    pub product: String,
    /// Revision, up to 4 printable characters.
    pub revision: String,
    /// Standards that are claimed, up to 8 version descriptor codes of SPC-5; none is zero.
    pub standards: Vec<u16>,
}

impl InquiryData {
    /// Parses standard INQUIRY data. Fields behind its end, or behind the additional length, are zero or empty.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (_, (_, additional)) = read(WHAT, bytes, |input| (skip::<4>, be_u8).parse(input))?;
        let bytes = padded::<LEN>(upto(bytes, usize::from(additional) + 5));
        let (_, (head, names, codes)) = read(WHAT, &bytes, |input| {
            let names = (array::<8>, array::<16>, array::<4>);
            let codes = count(be_u16, MAX_DESCRIPTORS);
            let (input, (head, names, (), codes)) = (array::<8>, names, skip::<22>, codes).parse(input)?;
            Ok((input, (head, names, codes)))
        })?;
        let [peripheral, removable, version, format, _, flags5, flags6, flags7] = head;
        Ok(Self {
            peripheral: Peripheral::from_byte(peripheral),
            removable: removable & 0x80 != 0,
            version,
            norm_aca: format & 0x20 != 0,
            hierarchical: format & 0x10 != 0,
            tpgs: flags5 >> 4 & 3,
            third_party_copy: flags5 & 0x08 != 0,
            protect: flags5 & 0x01 != 0,
            enclosure: flags6 & 0x40 != 0,
            multi_port: flags6 & 0x10 != 0,
            queueing: flags7 & 0x02 != 0,
            vendor: text(&names.0),
            product: text(&names.1),
            revision: text(&names.2),
            standards: codes.into_iter().filter(|code| *code != 0).collect(),
        })
    }

    /// The data, 74 bytes of it. Texts are cut to their fields, and standards past the eighth are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEN);
        out.extend_from_slice(&[
            self.peripheral.to_byte(),
            bit(self.removable, 0x80),
            self.version,
            bit(self.norm_aca, 0x20) | bit(self.hierarchical, 0x10) | 2,
            LEN as u8 - 5,
            (self.tpgs & 3) << 4 | bit(self.third_party_copy, 0x08) | bit(self.protect, 0x01),
            bit(self.enclosure, 0x40) | bit(self.multi_port, 0x10),
            bit(self.queueing, 0x02),
        ]);
        out.extend_from_slice(&text_field::<8>(&self.vendor));
        out.extend_from_slice(&text_field::<16>(&self.product));
        out.extend_from_slice(&text_field::<4>(&self.revision));
        out.extend_from_slice(&[0; 22]);
        for code in self.standards.iter().take(MAX_DESCRIPTORS) {
            out.extend_from_slice(&code.to_be_bytes());
        }
        out.resize(LEN, 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_command_has_its_bytes() {
        let vpd = Inquiry { page: Some(0x83), allocation: 0x0102 };
        assert_eq!(vpd.encode().as_bytes(), [0x12, 1, 0x83, 1, 2, 0]);
        assert_eq!(Command::parse(&[0x12, 1, 0x83, 1, 2, 0]), Ok(Command::Inquiry(vpd)));
        let standard = Inquiry { page: None, allocation: 36 };
        assert_eq!(standard.encode().as_bytes(), [0x12, 0, 0, 0, 36, 0]);
        let refused = Command::parse(&[0x12, 0, 0x83, 0, 36, 0]);
        assert_eq!(refused, Err(CdbError::Field { byte: 2, bit: None }));
    }

    fn disk() -> InquiryData {
        InquiryData {
            version: 6,
            tpgs: 1,
            multi_port: true,
            queueing: true,
            vendor: "ACME".into(),
            product: "VIRTUAL-DISK".into(),
            revision: "0001".into(),
            standards: vec![0x00a0, 0x0460],
            ..InquiryData::default()
        }
    }

    fn golden() -> Vec<u8> {
        let mut bytes = b"\x00\x00\x06\x02\x45\x10\x10\x02ACME    VIRTUAL-DISK    0001".to_vec();
        bytes.resize(58, 0);
        bytes.extend_from_slice(&[0, 0xa0, 4, 0x60]);
        bytes.resize(74, 0);
        bytes
    }

    #[test]
    fn standard_data_parses_and_builds() {
        assert_eq!(disk().encode(), golden());
        assert_eq!(InquiryData::parse(&golden()), Ok(disk()));
    }

    /// R-301
    #[test]
    fn r301_fields_behind_the_end_are_empty() {
        for len in 0..5 {
            assert_eq!(InquiryData::parse(&golden()[..len]), Err(DataError::Truncated { what: WHAT }));
        }
        let short = InquiryData::parse(&golden()[..20]).unwrap();
        assert_eq!((short.vendor.as_str(), short.product.as_str(), short.standards.len()), ("ACME", "VIRT", 0));
        let mut lying = golden();
        lying[4] = 11;
        assert_eq!(InquiryData::parse(&lying).unwrap().product, "");
    }

    #[test]
    fn unprintable_names_are_made_printable() {
        let mut bytes = golden();
        bytes[8..16].copy_from_slice(b" \x1b[2J\xff\0x");
        assert_eq!(InquiryData::parse(&bytes).unwrap().vendor, "?[2J?");
    }

    #[test]
    fn peripheral_bytes_round_trip() {
        for byte in 0..=255 {
            assert_eq!(Peripheral::from_byte(byte).to_byte(), byte);
        }
        assert_eq!(Peripheral::ABSENT.to_byte(), 0x7f);
        assert_eq!(DeviceType(0x15).to_string(), "type 0x15");
        assert!(DeviceType::DISK.is_block() && !DeviceType::TAPE.is_block());
    }

    fn data() -> impl Strategy<Value = InquiryData> {
        let flags = any::<(bool, bool, bool, bool, bool, bool, bool, bool)>();
        let names = ("([!-~]([ -~]{0,6}[!-~])?)?", "([!-~]([ -~]{0,14}[!-~])?)?", "[!-~]{0,4}");
        let standards = prop::collection::vec(1..=u16::MAX, 0..=8);
        (any::<u8>(), any::<u8>(), 0..4u8, flags, names, standards).prop_map(
            |(peripheral, version, tpgs, flags, (vendor, product, revision), standards)| {
                let (removable, norm_aca, hierarchical, third_party_copy, protect, enclosure, multi_port, queueing) =
                    flags;
                let peripheral = Peripheral::from_byte(peripheral);
                InquiryData {
                    peripheral,
                    removable,
                    version,
                    norm_aca,
                    hierarchical,
                    tpgs,
                    third_party_copy,
                    protect,
                    enclosure,
                    multi_port,
                    queueing,
                    vendor,
                    product,
                    revision,
                    standards,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn standard_data_round_trips(data in data()) {
            prop_assert_eq!(InquiryData::parse(&data.encode()), Ok(data));
        }

        #[test]
        fn r301_arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(data) = InquiryData::parse(&bytes) {
                prop_assert!(data.standards.len() <= MAX_DESCRIPTORS && data.product.len() <= 16);
                prop_assert_eq!(InquiryData::parse(&data.encode()), Ok(data));
            }
        }
    }
}
