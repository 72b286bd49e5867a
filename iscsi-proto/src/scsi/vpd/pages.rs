use super::{body, page};
use crate::scsi::{DataError, Peripheral};

const WHAT: &str = "supported VPD pages";

/// Page 00h: which pages there are.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SupportedPages(pub Vec<u8>);

impl SupportedPages {
    /// Page code.
    pub const CODE: u8 = 0x00;

    /// Whether page `code` is supported.
    pub fn contains(&self, code: u8) -> bool {
        self.0.contains(&code)
    }

    /// Parses the page. It may be in any order, though SPC asks for an ascending one.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        body(WHAT, Self::CODE, bytes).map(|codes| Self(codes.to_vec()))
    }

    /// The page.
    pub fn encode(&self, peripheral: Peripheral) -> Vec<u8> {
        page(peripheral, Self::CODE, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_page_parses_and_builds() {
        let pages = SupportedPages(vec![0x00, 0x80, 0x83, 0xb0]);
        let bytes = [0, 0, 0, 4, 0, 0x80, 0x83, 0xb0];
        assert_eq!(pages.encode(Peripheral::DISK), bytes);
        assert_eq!(SupportedPages::parse(&bytes), Ok(pages.clone()));
        assert!(pages.contains(0x83) && !pages.contains(0xb1));
        assert_eq!(SupportedPages::parse(&bytes[..6]), Ok(SupportedPages(vec![0, 0x80])));
    }

    proptest! {
        #[test]
        fn r301_every_page_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(pages) = SupportedPages::parse(&bytes) {
                prop_assert!(pages.0.len() <= bytes.len());
            }
            let pages = SupportedPages(bytes);
            prop_assert_eq!(SupportedPages::parse(&pages.encode(Peripheral::DISK)), Ok(pages));
        }
    }
}
