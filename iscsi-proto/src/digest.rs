//! CRC-32C header and data digests (RFC 7143, sections 11.2.3 and 13.1).
//!
//! On the wire a digest is the ordinary reflected CRC-32C value, least significant byte first.
//! A header digest covers BHS and AHS, a data digest covers data and padding.

use crc_fast::{CrcAlgorithm, Digest};

/// Bytes that one digest takes on the wire.
pub const DIGEST_LEN: usize = 4;

/// The CRC-32C of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The digest of `bytes` as it goes on the wire.
#[inline]
pub fn wire(bytes: &[u8]) -> [u8; DIGEST_LEN] {
    crc32c(bytes).to_le_bytes()
}

/// A CRC-32C over data that arrives in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Crc32c(Digest);

impl Crc32c {
    /// Starts over no bytes.
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    /// Appends `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far, as it goes on the wire.
    pub fn wire(&self) -> [u8; DIGEST_LEN] {
        (self.0.finalize() as u32).to_le_bytes()
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// the examples of appendix A.4.
    #[test]
    fn vectors_of_the_standard() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        let read10 = [
            0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0,
            0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
        ];
        for (input, expected) in [
            (&[0u8; 32][..], [0xaa, 0x36, 0x91, 0x8a]),
            (&[0xff; 32][..], [0x43, 0xab, 0xa8, 0x62]),
            (&rising, [0x4e, 0x79, 0xdd, 0x46]),
            (&falling, [0x5c, 0xdb, 0x3f, 0x11]),
            (&read10, [0x56, 0x3a, 0x96, 0xd9]),
            (b"123456789", [0x83, 0x92, 0x06, 0xe3]),
        ] {
            assert_eq!(wire(input), expected);
        }
    }

    proptest! {
        #[test]
        fn pieces_give_the_same_digest_as_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..5000),
            cut in 0..5000usize,
        ) {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut crc = Crc32c::new();
            crc.update(head);
            crc.update(tail);
            prop_assert_eq!(crc.wire(), wire(&bytes));
        }

        #[test]
        fn one_flipped_bit_changes_the_digest(
            mut bytes in proptest::collection::vec(any::<u8>(), 1..600), at: prop::sample::Index, bit in 0..8u8,
        ) {
            let before = crc32c(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(before, crc32c(&bytes));
        }
    }
}
