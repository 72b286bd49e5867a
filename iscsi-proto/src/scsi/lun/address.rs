//! ```text
//! 00 peripheral     bus(6)   number(8)                    bus 0: this level; else the next two bytes go on
//! 01 flat           number(14)
//! 10 logical unit   target(6)   bus(3) number(5)
//! 11 extended       length(2) method(4)   value of 1, 3, 5 or 7 bytes
//!                   C1 well-known   D2 flat of 3 bytes   E2 flat of 5 bytes   FF not specified
//! ```

use super::Lun;

/// What one level of a logical unit number says (SAM-5, section 4.7.7 on).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// Peripheral device addressing.
    Peripheral {
        /// Bus, 0 to 63; 0 is the device itself.
        bus: u8,
        /// Logical unit on bus 0, target on another bus.
        number: u8,
    },
    /// Flat space addressing, 0 to 16383.
    Flat(u16),
    /// Logical unit addressing.
    Unit {
        /// Target, 0 to 63.
        target: u8,
        /// Bus, 0 to 7.
        bus: u8,
        /// Logical unit, 0 to 31.
        number: u8,
    },
    /// Extended addressing: a well-known logical unit.
    WellKnown(u8),
    /// Extended flat space addressing, below 2^24.
    ExtendedFlat(u32),
    /// Long extended flat space addressing, below 2^40.
    LongFlat(u64),
    /// No logical unit is meant.
    Unspecified,
    /// Another method of extended addressing: its first byte and its value.
    Other {
        /// Length and method, C0h to FEh.
        kind: u8,
        /// The value, 1, 3, 5 or 7 bytes.
        value: u64,
    },
}

impl Address {
    /// The well-known logical unit that answers REPORT LUNS.
    pub const REPORT_LUNS: Self = Self::WellKnown(1);
    /// The well-known logical unit of the ACCESS CONTROLS commands.
    pub const ACCESS_CONTROLS: Self = Self::WellKnown(2);
    /// The well-known logical unit of the target's log pages.
    pub const TARGET_LOG_PAGES: Self = Self::WellKnown(3);

    /// The first level of `bytes`, and how many bytes it takes; `None` if there are too few.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let [first, second, ..] = *bytes else { return None };
        let high = first & 0x3f;
        Some(match first >> 6 {
            0 => (Self::Peripheral { bus: high, number: second }, 2),
            1 => (Self::Flat(u16::from_be_bytes([high, second])), 2),
            2 => (Self::Unit { target: high, bus: second >> 5, number: second & 0x1f }, 2),
            _ => {
                let len = usize::from(first >> 4 & 3) * 2 + 1;
                let value = bytes.get(1..=len)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                (Self::extended(first, value), len + 1)
            }
        })
    }

    const fn extended(kind: u8, value: u64) -> Self {
        match kind {
            0xc1 => Self::WellKnown(value as u8),
            0xd2 => Self::ExtendedFlat(value as u32),
            0xe2 => Self::LongFlat(value),
            0xff if value == 0xff_ffff_ffff_ffff => Self::Unspecified,
            _ => Self::Other { kind, value },
        }
    }

    /// The bytes of a LUN with this level only; `None` for numbers that the method does not hold.
    fn encode(self) -> Option<u64> {
        let two = |first: u8, second: u8| u64::from(u16::from_be_bytes([first, second])) << 48;
        let extended = |kind: u8, value: u64| {
            let bits = u32::from(kind >> 4 & 3) * 16 + 8;
            (value >> bits == 0).then(|| u64::from(kind) << 56 | value << (56 - bits))
        };
        match self {
            Self::Peripheral { bus: bus @ 0..=0x3f, number } => Some(two(bus, number)),
            Self::Flat(number @ 0..=0x3fff) => Some(u64::from(0x4000 | number) << 48),
            Self::Unit { target: target @ 0..=0x3f, bus: bus @ 0..=7, number: number @ 0..=0x1f } => {
                Some(two(0x80 | target, bus << 5 | number))
            }
            Self::WellKnown(number) => extended(0xc1, number.into()),
            Self::ExtendedFlat(number) => extended(0xd2, number.into()),
            Self::LongFlat(number) => extended(0xe2, number),
            Self::Unspecified => Some(u64::MAX),
            Self::Other { kind, value } if Self::extended(kind, value) == self && kind >= 0xc0 => extended(kind, value),
            _ => None,
        }
    }
}

impl Lun {
    /// The LUN with this address as its only level; `None` for numbers that the method does not hold.
    pub fn from_address(address: Address) -> Option<Self> {
        address.encode().map(|bytes| Self(bytes.to_be_bytes()))
    }

    /// The address of the first level.
    pub fn address(self) -> Address {
        Address::read(&self.0).map_or(Address::Unspecified, |(address, _)| address)
    }

    /// The addresses of all levels, 1 to 4 of them. A level is followed by another where its method leads to another bus, or
    /// where bytes behind it are not zero.
    pub fn levels(self) -> Vec<Address> {
        let mut levels = Vec::new();
        let mut rest = &self.0[..];
        while let Some((address, len)) = Address::read(rest) {
            levels.push(address);
            rest = rest.get(len..).unwrap_or_default();
            let leads_on = matches!(address, Address::Peripheral { bus: 1.., .. });
            if !leads_on && rest.iter().all(|byte| *byte == 0) {
                break;
            }
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lun(bytes: u64) -> Lun {
        Lun::from_bytes(bytes.to_be_bytes())
    }

    #[test]
    fn r016_each_method_has_its_bytes() {
        for (address, bytes) in [
            (Address::Peripheral { bus: 0, number: 5 }, 0x0005 << 48),
            (Address::Peripheral { bus: 0x3f, number: 5 }, 0x3f05 << 48),
            (Address::Flat(0x3fff), 0x7fff << 48),
            (Address::Unit { target: 0x3f, bus: 7, number: 0x1f }, 0xbfff << 48),
            (Address::Unit { target: 1, bus: 2, number: 3 }, 0x8143 << 48),
            (Address::REPORT_LUNS, 0xc101 << 48),
            (Address::ACCESS_CONTROLS, 0xc102 << 48),
            (Address::TARGET_LOG_PAGES, 0xc103 << 48),
            (Address::ExtendedFlat(0x01_0203), 0xd201_0203 << 32),
            (Address::LongFlat(0x01_0203_0405), 0xe201_0203_0405 << 16),
            (Address::Unspecified, u64::MAX),
            (Address::Other { kind: 0xf3, value: 9 }, 0xf3 << 56 | 9),
        ] {
            assert_eq!(Lun::from_address(address), Some(lun(bytes)), "{address:?}");
            assert_eq!(lun(bytes).address(), address);
        }
    }

    #[test]
    fn numbers_that_a_method_does_not_hold_are_refused() {
        for address in [
            Address::Peripheral { bus: 0x40, number: 0 },
            Address::Flat(0x4000),
            Address::Unit { target: 0x40, bus: 0, number: 0 },
            Address::Unit { target: 0, bus: 8, number: 0 },
            Address::Unit { target: 0, bus: 0, number: 0x20 },
            Address::ExtendedFlat(1 << 24),
            Address::LongFlat(1 << 40),
            Address::Other { kind: 0xc1, value: 1 },
            Address::Other { kind: 0x80, value: 1 },
            Address::Other { kind: 0xc3, value: 0x100 },
        ] {
            assert_eq!(Lun::from_address(address), None, "{address:?}");
        }
    }

    #[test]
    fn levels_follow_each_other() {
        let peripheral = |bus, number| Address::Peripheral { bus, number };
        for (bytes, levels) in [
            (0, vec![peripheral(0, 0)]),
            (0x4005 << 48, vec![Address::Flat(5)]),
            (0x0102_0003 << 32, vec![peripheral(1, 2), peripheral(0, 3)]),
            (0x0102 << 48, vec![peripheral(1, 2), peripheral(0, 0)]),
            (0x0101_0202_0303_0004, vec![peripheral(1, 1), peripheral(2, 2), peripheral(3, 3), peripheral(0, 4)]),
            (0x0101_d200_0005_0000, vec![peripheral(1, 1), Address::ExtendedFlat(5)]),
            (u64::MAX, vec![Address::Unspecified]),
        ] {
            assert_eq!(lun(bytes).levels(), levels, "{bytes:#x}");
        }
    }

    proptest! {
        #[test]
        fn every_lun_has_levels(bytes: [u8; 8]) {
            let levels = Lun::from_bytes(bytes).levels();
            prop_assert!((1..=4).contains(&levels.len()));
            prop_assert_eq!(levels[0], Lun::from_bytes(bytes).address());
            prop_assert_eq!(Lun::from_address(levels[0]).map(Lun::address), Some(levels[0]));
        }
    }
}
