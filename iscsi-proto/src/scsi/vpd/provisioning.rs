//! ```text
//! byte 4 threshold exponent   5 LBPU LBPWS LBPWS10 LBPRZ(3) ANC_SUP DP
//!      6 minimum percentage(5) provisioning type(3)   7 threshold percentage   8 .. group designator, if DP
//! ```

use nom::Parser;
use nom::number::complete::be_u8;

use super::identity::Designator;
use super::{body, page};
use crate::scsi::wire::{bit, padded, read};
use crate::scsi::{DataError, Peripheral};

const WHAT: &str = "the logical block provisioning page";
const LBPU: u8 = 0x80;
const LBPWS: u8 = 0x40;
const LBPWS10: u8 = 0x20;
const ANC_SUP: u8 = 0x02;
const DP: u8 = 0x01;

/// Page B2h: how blocks are unmapped, and what comes of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Provisioning {
    /// 2^this blocks is the unit of the thresholds; 0 if there are none.
    pub threshold_exponent: u8,
    /// LBPU bit: UNMAP is supported.
    pub unmap: bool,
    /// LBPWS bit: WRITE SAME(16) can unmap.
    pub write_same16: bool,
    /// LBPWS10 bit: WRITE SAME(10) can unmap.
    pub write_same10: bool,
    /// LBPRZ, 0 to 7: what unmapped blocks read as; 1 zeroes, 2 the provisioning initialization pattern.
    pub reads: u8,
    /// ANC_SUP bit: blocks can be anchored.
    pub anchors: bool,
    /// What stands behind the blocks.
    pub kind: ProvisioningType,
    /// MINIMUM PERCENTAGE, 0 to 31: blocks that do not share their space, 0 if not told.
    pub minimum_percentage: u8,
    /// THRESHOLD PERCENTAGE of the first threshold, 0 if not told.
    pub threshold_percentage: u8,
    /// The pool that the blocks come from, if it is told.
    pub group: Option<Designator>,
}

/// What stands behind the blocks of a logical unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ProvisioningType {
    /// Not told, or fully provisioned.
    #[default]
    Full,
    /// As much space as there are blocks.
    Resource,
    /// Less space than there are blocks, maybe.
    Thin,
    /// A reserved code, 3 to 7.
    Reserved(u8),
}

impl Provisioning {
    /// Page code.
    pub const CODE: u8 = 0xb2;

    /// Whether unmapped blocks read as zeroes.
    pub const fn reads_zeroes(&self) -> bool {
        self.reads & 1 != 0
    }

    /// Parses the page. Fields behind its end are zero.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let body = body(WHAT, Self::CODE, bytes)?;
        let head = padded::<4>(body);
        let (_, (threshold_exponent, flags, kind, threshold_percentage)) =
            read(WHAT, &head, |input| (be_u8, be_u8, be_u8, be_u8).parse(input))?;
        let group = body.get(4..).filter(|_| flags & DP != 0).and_then(|rest| Designator::read(rest).ok());
        Ok(Self {
            threshold_exponent,
            unmap: flags & LBPU != 0,
            write_same16: flags & LBPWS != 0,
            write_same10: flags & LBPWS10 != 0,
            reads: flags >> 2 & 7,
            anchors: flags & ANC_SUP != 0,
            kind: ProvisioningType::from_code(kind & 7),
            minimum_percentage: kind >> 3,
            threshold_percentage,
            group: group.map(|(_, designator)| designator),
        })
    }

    /// The page.
    pub fn encode(&self, peripheral: Peripheral) -> Vec<u8> {
        let flags = bit(self.unmap, LBPU)
            | bit(self.write_same16, LBPWS)
            | bit(self.write_same10, LBPWS10)
            | (self.reads & 7) << 2
            | bit(self.anchors, ANC_SUP)
            | bit(self.group.is_some(), DP);
        let kind = self.minimum_percentage << 3 | (self.kind.code() & 7);
        let mut out = vec![self.threshold_exponent, flags, kind, self.threshold_percentage];
        if let Some(group) = &self.group {
            group.encode_to(&mut out);
        }
        page(peripheral, Self::CODE, &out)
    }
}

impl ProvisioningType {
    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Full,
            1 => Self::Resource,
            2 => Self::Thin,
            other => Self::Reserved(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Resource => 1,
            Self::Thin => 2,
            Self::Reserved(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Designation;
    use super::*;

    fn thin() -> Provisioning {
        Provisioning {
            threshold_exponent: 11,
            unmap: true,
            write_same16: true,
            reads: 1,
            anchors: true,
            kind: ProvisioningType::Thin,
            minimum_percentage: 3,
            threshold_percentage: 80,
            ..Provisioning::default()
        }
    }

    #[test]
    fn the_page_parses_and_builds() {
        let bytes = [0, 0xb2, 0, 4, 11, 0xc6, 0x1a, 80];
        assert_eq!(thin().encode(Peripheral::DISK), bytes);
        assert_eq!(Provisioning::parse(&bytes), Ok(thin()));
        assert!(thin().reads_zeroes());
        assert!(!Provisioning { reads: 2, ..thin() }.reads_zeroes());
        assert_eq!(Provisioning::parse(&bytes[..6]).unwrap().kind, ProvisioningType::Full);
    }

    #[test]
    fn a_group_follows_if_it_is_announced() {
        let pool = Designator::unit(Designation::Naa(vec![0x50, 1, 2, 3, 4, 5, 6, 7]));
        let grouped = Provisioning { group: Some(pool), ..thin() };
        let bytes = grouped.encode(Peripheral::DISK);
        assert_eq!(bytes[4..12], [11, 0xc7, 0x1a, 80, 1, 3, 0, 8]);
        assert_eq!(Provisioning::parse(&bytes), Ok(grouped));
        assert_eq!(Provisioning::parse(&bytes[..19]), Ok(thin()));
        let mut unannounced = bytes.clone();
        unannounced[5] = 0xc6;
        assert_eq!(Provisioning::parse(&unannounced), Ok(thin()));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 4..80)) {
            let _ = Provisioning::parse(&bytes);
            bytes[1] = 0xb2;
            let page = Provisioning::parse(&bytes).unwrap();
            prop_assert_eq!(Provisioning::parse(&page.encode(Peripheral::DISK)), Ok(page));
        }
    }
}
