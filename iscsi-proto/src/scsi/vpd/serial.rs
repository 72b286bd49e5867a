use super::{body, page};
use crate::scsi::wire::text;
use crate::scsi::{DataError, Peripheral};

const WHAT: &str = "the unit serial number page";

/// Page 80h: the serial number that the vendor gave, printable and without the spaces around it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct UnitSerial(pub String);

impl UnitSerial {
    /// Page code.
    pub const CODE: u8 = 0x80;

    /// Parses the page.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        body(WHAT, Self::CODE, bytes).map(|number| Self(text(number)))
    }

    /// The page, with `?` for what is not printable ASCII.
    pub fn encode(&self, peripheral: Peripheral) -> Vec<u8> {
        let printable = |shown: char| if shown.is_ascii_graphic() || shown == ' ' { shown as u8 } else { b'?' };
        page(peripheral, Self::CODE, &self.0.chars().map(printable).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_page_parses_and_builds() {
        let bytes = *b"\x00\x80\x00\x04A 12";
        assert_eq!(UnitSerial("A 12".into()).encode(Peripheral::DISK), bytes);
        assert_eq!(UnitSerial::parse(&bytes), Ok(UnitSerial("A 12".into())));
        assert_eq!(UnitSerial::parse(b"\x00\x80\x00\x06  A\x1b12"), Ok(UnitSerial("A?12".into())));
        assert_eq!(UnitSerial("é\n".into()).encode(Peripheral::ABSENT), b"\x7f\x80\x00\x02??");
    }

    proptest! {
        #[test]
        fn every_number_round_trips(number in "([!-~]([ -~]{0,40}[!-~])?)?") {
            let serial = UnitSerial(number);
            prop_assert_eq!(UnitSerial::parse(&serial.encode(Peripheral::DISK)), Ok(serial));
        }

        #[test]
        fn r301_arbitrary_bytes_become_printable(mut bytes in prop::collection::vec(any::<u8>(), 4..100)) {
            let _ = UnitSerial::parse(&bytes);
            bytes[1] = 0x80;
            let serial = UnitSerial::parse(&bytes).unwrap();
            prop_assert!(serial.0.len() <= bytes.len() - 4 && serial.0.chars().all(|c| matches!(c, ' '..='~')));
        }
    }
}
