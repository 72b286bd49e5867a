//! ```text
//! byte 4 microcode(2) SPT(3) GRD_CHK APP_CHK REF_CHK   5 . . UASK GROUP PRIOR HEAD ORD SIMP
//!      6 . . . . WU CRD NV V   7 . . NO_PI_CHK P_I_I . . . LUICLR   8 collection(3) R_SUP RTD HSSRELEF . CBCS
//!      9 . . . . multi-nexus(4)   10 .. 11 self-test minutes   12 POA HRA VSA DMS . . . .   13 sense length
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use super::{body, page};
use crate::scsi::wire::{bit, padded, read};
use crate::scsi::{DataError, Peripheral};

const WHAT: &str = "the extended INQUIRY page";
const LEN: usize = 60;
const GRD_CHK: u8 = 0x04;
const APP_CHK: u8 = 0x02;
const REF_CHK: u8 = 0x01;
const UASK_SUP: u8 = 0x20;
const GROUP_SUP: u8 = 0x10;
const PRIOR_SUP: u8 = 0x08;
const HEADSUP: u8 = 0x04;
const ORDSUP: u8 = 0x02;
const SIMPSUP: u8 = 0x01;
const WU_SUP: u8 = 0x08;
const CRD_SUP: u8 = 0x04;
const NV_SUP: u8 = 0x02;
const V_SUP: u8 = 0x01;
const NO_PI_CHK: u8 = 0x20;
const LUICLR: u8 = 0x01;
const R_SUP: u8 = 0x10;

/// Page 86h: what else a logical unit can do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ExtendedInquiry {
    /// SPT, 0 to 7: which types of protection information the unit can be formatted with.
    pub protection_types: u8,
    /// GRD_CHK bit: guards are checked.
    pub checks_guard: bool,
    /// APP_CHK bit: application tags are checked.
    pub checks_application: bool,
    /// REF_CHK bit: reference tags are checked.
    pub checks_reference: bool,
    /// NO_PI_CHK bit: information that is all ones is not checked.
    pub skips_escaped: bool,
    /// UASK_SUP bit: a UNIT ATTENTION can have sense key specific bytes.
    pub attention_specific: bool,
    /// GROUP_SUP bit: group numbers count.
    pub groups: bool,
    /// PRIOR_SUP bit: command priorities count.
    pub priorities: bool,
    /// HEADSUP bit: HEAD OF QUEUE tasks.
    pub head_of_queue: bool,
    /// ORDSUP bit: ORDERED tasks.
    pub ordered: bool,
    /// SIMPSUP bit: SIMPLE tasks.
    pub simple: bool,
    /// WU_SUP bit: WRITE UNCORRECTABLE.
    pub write_uncorrectable: bool,
    /// CRD_SUP bit: correction can be switched off.
    pub correction_disable: bool,
    /// NV_SUP bit: the cache is, at least in part, non-volatile.
    pub non_volatile_cache: bool,
    /// V_SUP bit: the cache is, at least in part, volatile.
    pub volatile_cache: bool,
    /// LUICLR bit: the loss of a nexus clears UNIT ATTENTIONs as SPC-4 says.
    pub clears_attentions: bool,
    /// R_SUP bit: referrals.
    pub referrals: bool,
    /// Minutes that an extended self-test takes, 0 if not told.
    pub self_test_minutes: u16,
    /// Most bytes of sense data, 0 if not told.
    pub max_sense: u8,
}

impl ExtendedInquiry {
    /// Page code.
    pub const CODE: u8 = 0x86;

    /// Whether the unit can be formatted with protection information of this type, 1 to 3.
    pub const fn supports_type(&self, kind: u8) -> bool {
        match self.protection_types {
            0 => kind == 1,
            1 => matches!(kind, 1 | 2),
            2 => kind == 2,
            3 => matches!(kind, 1 | 3),
            4 => kind == 3,
            5 => matches!(kind, 2 | 3),
            7 => matches!(kind, 1..=3),
            _ => false,
        }
    }

    /// Parses the page. Fields behind its end are zero.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let bytes = padded::<LEN>(body(WHAT, Self::CODE, bytes)?);
        let (_, ((check, tasks, cache, more), (unit, _, minutes, _, max_sense))) = read(WHAT, &bytes, |input| {
            ((be_u8, be_u8, be_u8, be_u8), (be_u8, be_u8, be_u16, be_u8, be_u8)).parse(input)
        })?;
        Ok(Self {
            protection_types: check >> 3 & 7,
            checks_guard: check & GRD_CHK != 0,
            checks_application: check & APP_CHK != 0,
            checks_reference: check & REF_CHK != 0,
            skips_escaped: more & NO_PI_CHK != 0,
            attention_specific: tasks & UASK_SUP != 0,
            groups: tasks & GROUP_SUP != 0,
            priorities: tasks & PRIOR_SUP != 0,
            head_of_queue: tasks & HEADSUP != 0,
            ordered: tasks & ORDSUP != 0,
            simple: tasks & SIMPSUP != 0,
            write_uncorrectable: cache & WU_SUP != 0,
            correction_disable: cache & CRD_SUP != 0,
            non_volatile_cache: cache & NV_SUP != 0,
            volatile_cache: cache & V_SUP != 0,
            clears_attentions: more & LUICLR != 0,
            referrals: unit & R_SUP != 0,
            self_test_minutes: minutes,
            max_sense,
        })
    }

    /// The page.
    pub fn encode(&self, peripheral: Peripheral) -> Vec<u8> {
        let check = (self.protection_types & 7) << 3
            | bit(self.checks_guard, GRD_CHK)
            | bit(self.checks_application, APP_CHK)
            | bit(self.checks_reference, REF_CHK);
        let tasks = bit(self.attention_specific, UASK_SUP)
            | bit(self.groups, GROUP_SUP)
            | bit(self.priorities, PRIOR_SUP)
            | bit(self.head_of_queue, HEADSUP)
            | bit(self.ordered, ORDSUP)
            | bit(self.simple, SIMPSUP);
        let cache = bit(self.write_uncorrectable, WU_SUP)
            | bit(self.correction_disable, CRD_SUP)
            | bit(self.non_volatile_cache, NV_SUP)
            | bit(self.volatile_cache, V_SUP);
        let more = bit(self.skips_escaped, NO_PI_CHK) | bit(self.clears_attentions, LUICLR);
        let [high, low] = self.self_test_minutes.to_be_bytes();
        let head = [check, tasks, cache, more, bit(self.referrals, R_SUP), 0, high, low, 0, self.max_sense];
        page(peripheral, Self::CODE, &padded::<LEN>(&head))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_page_parses_and_builds() {
        let page = ExtendedInquiry {
            protection_types: 1,
            checks_guard: true,
            checks_reference: true,
            head_of_queue: true,
            ordered: true,
            simple: true,
            volatile_cache: true,
            clears_attentions: true,
            self_test_minutes: 0x0102,
            max_sense: 252,
            ..ExtendedInquiry::default()
        };
        let mut bytes = vec![0, 0x86, 0, 60, 0x0d, 0x07, 0x01, 0x01, 0, 0, 1, 2, 0, 252];
        bytes.extend([0; 50]);
        assert_eq!(page.encode(Peripheral::DISK), bytes);
        assert_eq!(ExtendedInquiry::parse(&bytes), Ok(page));
        assert!(page.supports_type(1) && page.supports_type(2) && !page.supports_type(3));
        assert_eq!(ExtendedInquiry::parse(&bytes[..5]).unwrap().self_test_minutes, 0);
        assert_eq!(ExtendedInquiry::parse(&bytes[..3]), Err(DataError::Truncated { what: WHAT }));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 4..80)) {
            let _ = ExtendedInquiry::parse(&bytes);
            bytes[1] = 0x86;
            let page = ExtendedInquiry::parse(&bytes).unwrap();
            prop_assert_eq!(ExtendedInquiry::parse(&page.encode(Peripheral::DISK)), Ok(page));
        }
    }
}
