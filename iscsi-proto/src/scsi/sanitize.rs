//! SANITIZE (SBC-4): makes everything that was ever written unreadable, for good.
//!
//! ```text
//! CDB        byte 1   IMMED . AUSE service action(5)   7 .. 8 parameter list length
//! overwrite  0 INVERT . . count(5)   2 .. 3 pattern length   4 .. pattern
//! ```

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use super::wire::{bit, read, skip, upto};
use super::{Cdb, CdbError, DataError};

const WHAT: &str = "the SANITIZE parameter list";
const IMMED: u8 = 0x80;
const AUSE: u8 = 0x20;
const INVERT: u8 = 0x80;
const MAX_PATTERN: usize = u16::MAX as usize - 4;

/// How data is made unreadable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SanitizeAction {
    /// OVERWRITE with a pattern: an [`OverwriteList`] is sent.
    Overwrite = 0x01,
    /// BLOCK ERASE: by the means of the medium.
    BlockErase = 0x02,
    /// CRYPTOGRAPHIC ERASE: the key is changed.
    CryptographicErase = 0x03,
    /// EXIT FAILURE MODE: of a sanitize operation that failed.
    ExitFailureMode = 0x1f,
}

/// SANITIZE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sanitize {
    /// What is done.
    pub action: SanitizeAction,
    /// IMMED bit: status comes before the operation has ended; REQUEST SENSE tells how far it is.
    pub immediate: bool,
    /// AUSE bit: a failure can be left by EXIT FAILURE MODE.
    pub unrestricted_exit: bool,
    /// Bytes of the parameter list; 0 but for overwriting.
    pub length: u16,
}

impl Sanitize {
    /// The action, waited for by those who watch it, and with no parameter list.
    pub const fn new(action: SanitizeAction) -> Self {
        Self { action, immediate: true, unrestricted_exit: false, length: 0 }
    }

    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, (), length) = cdb.fields(|input| (be_u8, skip::<5>, be_u16).parse(input))?;
        let action = match cdb.service_action() {
            0x01 => SanitizeAction::Overwrite,
            0x02 => SanitizeAction::BlockErase,
            0x03 => SanitizeAction::CryptographicErase,
            0x1f => SanitizeAction::ExitFailureMode,
            _ => return Err(CdbError::SERVICE_ACTION),
        };
        Ok(Self { action, immediate: flags & IMMED != 0, unrestricted_exit: flags & AUSE != 0, length })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let flags = bit(self.immediate, IMMED) | bit(self.unrestricted_exit, AUSE) | self.action as u8;
        Cdb::new(0x48).byte(1, flags).half(7, self.length)
    }
}

/// The parameter list of [`SanitizeAction::Overwrite`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OverwriteList {
    /// INVERT bit: the pattern is inverted from pass to pass.
    pub invert: bool,
    /// OVERWRITE COUNT, 1 to 31 passes.
    pub passes: u8,
    /// What is written over and over: 1 byte to a whole block.
    pub pattern: Vec<u8>,
}

impl OverwriteList {
    /// Bytes of the list.
    pub fn byte_len(&self) -> u16 {
        (self.pattern.len().min(MAX_PATTERN) + 4) as u16
    }

    /// Parses the list. No passes and no pattern are errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (flags, (), len)) = read(WHAT, bytes, |input| (be_u8, skip::<1>, be_u16).parse(input))?;
        let (_, pattern) = read(WHAT, rest, take(len))?;
        let invalid = |field, value| Err(DataError::Invalid { what: WHAT, field, value });
        match flags & 0x1f {
            0 => invalid("OVERWRITE COUNT", 0),
            _ if usize::from(len) > MAX_PATTERN || len == 0 => invalid("INITIALIZATION PATTERN LENGTH", len.into()),
            passes => Ok(Self { invert: flags & INVERT != 0, passes, pattern: pattern.to_vec() }),
        }
    }

    /// The list.
    pub fn encode(&self) -> Vec<u8> {
        let pattern = upto(&self.pattern, MAX_PATTERN);
        let [high, low] = (pattern.len() as u16).to_be_bytes();
        let mut out = vec![bit(self.invert, INVERT) | (self.passes & 0x1f), 0, high, low];
        out.extend_from_slice(pattern);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_actions_have_their_bytes() {
        let overwrite = Sanitize { length: 5, immediate: false, ..Sanitize::new(SanitizeAction::Overwrite) };
        let exit = Sanitize { unrestricted_exit: true, ..Sanitize::new(SanitizeAction::ExitFailureMode) };
        for (command, bytes) in [
            (overwrite, "48 01 00 00 00 00 00 00 05 00"),
            (Sanitize::new(SanitizeAction::BlockErase), "48 82 00 00 00 00 00 00 00 00"),
            (Sanitize::new(SanitizeAction::CryptographicErase), "48 83 00 00 00 00 00 00 00 00"),
            (exit, "48 bf 00 00 00 00 00 00 00 00"),
        ] {
            let command = Command::Sanitize(command);
            assert_eq!(command.encode().to_string(), bytes);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        }
        for action in [0, 4, 0x1e] {
            let refused = Command::parse(&[0x48, action, 0, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(refused, Err(CdbError::SERVICE_ACTION), "{action}");
        }
    }

    #[test]
    fn the_list_parses_and_builds() {
        let list = OverwriteList { invert: true, passes: 3, pattern: vec![0xaa, 0x55] };
        let bytes = [0x83, 0, 0, 2, 0xaa, 0x55];
        assert_eq!((list.encode(), list.byte_len()), (bytes.to_vec(), 6));
        assert_eq!(OverwriteList::parse(&bytes), Ok(list));
        assert_eq!(OverwriteList::parse(&bytes[..5]), Err(DataError::Truncated { what: WHAT }));
        assert!(matches!(OverwriteList::parse(&[0x80, 0, 0, 1, 9]), Err(DataError::Invalid { value: 0, .. })));
        assert!(matches!(OverwriteList::parse(&[1, 0, 0, 0]), Err(DataError::Invalid { value: 0, .. })));
        let long = OverwriteList { invert: false, passes: 1, pattern: vec![1; 70_000] };
        assert_eq!((long.encode().len(), long.byte_len()), (0xffff, 0xffff));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(list) = OverwriteList::parse(&bytes) {
                prop_assert!(list.pattern.len() + 4 <= bytes.len());
                prop_assert_eq!(OverwriteList::parse(&list.encode()), Ok(list));
            }
        }
    }
}
