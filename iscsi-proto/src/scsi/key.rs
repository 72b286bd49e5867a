//! Sense keys (SPC-5).

use std::fmt;

macro_rules! keys {
    ($($code:literal $name:ident $text:literal, $doc:literal;)+) => {
        /// The kind of condition that sense data reports.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum SenseKey {
            $(#[doc = $doc] $name = $code),+
        }

        impl SenseKey {
            /// All 16 keys.
            pub const ALL: [Self; 16] = [$(Self::$name),+];

            /// The key in the low four bits.
            pub(super) const fn from_bits(bits: u8) -> Self {
                match bits & 0x0f {
                    $($code => Self::$name,)+
                    _ => Self::Completed,
                }
            }

            /// What T10 calls it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

keys! {
    0x00 NoSense "NO SENSE", "Nothing in particular.";
    0x01 RecoveredError "RECOVERED ERROR", "The command succeeded after a recovery.";
    0x02 NotReady "NOT READY", "The logical unit cannot be used now.";
    0x03 MediumError "MEDIUM ERROR", "A flaw of the medium or of the data on it.";
    0x04 HardwareError "HARDWARE ERROR", "A failure of the device.";
    0x05 IllegalRequest "ILLEGAL REQUEST", "The CDB or the parameter list is not acceptable.";
    0x06 UnitAttention "UNIT ATTENTION", "Something changed since the last command; the command was not done.";
    0x07 DataProtect "DATA PROTECT", "The blocks may not be read or written.";
    0x08 BlankCheck "BLANK CHECK", "Blank medium, or medium that is not blank.";
    0x09 VendorSpecific "VENDOR SPECIFIC", "What the vendor made of it.";
    0x0a CopyAborted "COPY ABORTED", "A third-party copy ended early.";
    0x0b AbortedCommand "ABORTED COMMAND", "The device server gave up the command; it may be sent again.";
    0x0c Reserved "RESERVED", "Obsolete: EQUAL of SEARCH DATA.";
    0x0d VolumeOverflow "VOLUME OVERFLOW", "The end of the medium was reached with data left.";
    0x0e Miscompare "MISCOMPARE", "Data sent and data on the medium differ.";
    0x0f Completed "COMPLETED", "There is completion information and no error.";
}

impl fmt::Display for SenseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_sixteen_codes_has_its_key() {
        for (code, key) in SenseKey::ALL.iter().enumerate() {
            assert_eq!(*key as usize, code);
            assert_eq!(SenseKey::from_bits(0xf0 | code as u8), *key);
        }
        assert_eq!(SenseKey::IllegalRequest.to_string(), "ILLEGAL REQUEST");
    }
}
