//! Command descriptor blocks (SPC-5): the bytes, before they mean anything.

use std::fmt;

use nom::IResult;

use super::transfer::Transfer;

/// A command descriptor block of at most 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cdb {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

/// Why a device server does not take a command descriptor block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CdbError {
    /// Fewer bytes than the operation code needs.
    #[error("the CDB is cut short")]
    Truncated,
    /// An operation code that this crate does not know: sense 05/20/00.
    #[error("operation code {0:#04x} is not known")]
    Opcode(u8),
    /// A field that holds what it may not hold: sense 05/24/00.
    #[error("byte {byte} of the CDB holds an invalid field")]
    Field {
        /// First byte of the field.
        byte: u8,
        /// Leftmost bit of the field in that byte, where it does not start with the byte.
        bit: Option<u8>,
    },
}

impl CdbError {
    /// A service action that is not known: it sits in the low five bits of byte 1.
    pub(super) const SERVICE_ACTION: Self = Self::Field { byte: 1, bit: Some(4) };
}

impl Cdb {
    /// The longest block; longer ones need an additional header segment: see [`LongCdb`](super::LongCdb).
    pub const MAX_LEN: usize = 16;

    /// READ(10).
    #[inline]
    pub const fn read10(lba: u32, blocks: u16) -> Self {
        Self::new(0x28).word(2, lba).half(7, blocks)
    }

    /// READ(16).
    #[inline]
    pub const fn read16(lba: u64, blocks: u32) -> Self {
        Self::new(0x88).long(2, lba).word(10, blocks)
    }

    /// WRITE(10).
    #[inline]
    pub const fn write10(lba: u32, blocks: u16) -> Self {
        Self::new(0x2a).word(2, lba).half(7, blocks)
    }

    /// WRITE(16).
    #[inline]
    pub const fn write16(lba: u64, blocks: u32) -> Self {
        Self::new(0x8a).long(2, lba).word(10, blocks)
    }

    /// READ(10) where address, last address and length fit it, else READ(16).
    #[inline]
    pub const fn read(lba: u64, blocks: u32) -> Self {
        if Transfer::fits_ten(lba, blocks) {
            Self::read10(lba as u32, blocks as u16)
        } else {
            Self::read16(lba, blocks)
        }
    }

    /// WRITE(10) where address, last address and length fit it, else WRITE(16).
    #[inline]
    pub const fn write(lba: u64, blocks: u32) -> Self {
        if Transfer::fits_ten(lba, blocks) {
            Self::write10(lba as u32, blocks as u16)
        } else {
            Self::write16(lba, blocks)
        }
    }

    /// A block with these bytes, 1 to 16 of them; `None` for any other number.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut padded = [0; Self::MAX_LEN];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(Self { bytes: padded, len: bytes.len() as u8 })
    }

    /// The block at the start of `bytes`, as long as its operation code says.
    pub(super) fn read_from(bytes: &[u8]) -> Result<Self, CdbError> {
        let opcode = *bytes.first().ok_or(CdbError::Truncated)?;
        let len = Self::len_of(opcode).ok_or(CdbError::Opcode(opcode))?;
        bytes.get(..len.into()).and_then(Self::from_bytes).ok_or(CdbError::Truncated)
    }

    /// How many bytes the group of an operation code has; `None` for variable and vendor lengths.
    const fn len_of(opcode: u8) -> Option<u8> {
        match opcode >> 5 {
            0 => Some(6),
            1 | 2 => Some(10),
            4 => Some(16),
            5 => Some(12),
            _ => None,
        }
    }

    /// The bytes that count.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&self.bytes)
    }

    /// How many bytes count, 1 to 16.
    #[inline]
    pub const fn byte_len(&self) -> usize {
        self.len as usize
    }

    /// 16 bytes, zero filled.
    #[inline]
    pub const fn as_padded(&self) -> [u8; Self::MAX_LEN] {
        self.bytes
    }

    /// The operation code.
    #[inline]
    pub const fn opcode(&self) -> u8 {
        self.bytes[0]
    }

    /// The service action where the operation code has them: the low five bits of byte 1.
    #[inline]
    pub const fn service_action(&self) -> u8 {
        self.bytes[1] & 0x1f
    }

    /// The CONTROL byte, which is the last one.
    pub(super) fn control(&self) -> (u8, u8) {
        (self.len.saturating_sub(1), self.as_bytes().last().copied().unwrap_or_default())
    }

    /// A block of the length that belongs to `opcode`, zero but for that.
    #[inline]
    pub(super) const fn new(opcode: u8) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        bytes[0] = opcode;
        let len = match Self::len_of(opcode) {
            Some(len) => len,
            None => Self::MAX_LEN as u8,
        };
        Self { bytes, len }
    }

    // Offsets are constants of this module that fit 16 bytes; no value of the wire reaches them.
    #[allow(clippy::indexing_slicing)]
    #[inline]
    const fn put<const N: usize>(mut self, at: usize, value: [u8; N]) -> Self {
        let mut i = 0;
        while i < N {
            self.bytes[at + i] = value[i];
            i += 1;
        }
        self
    }

    #[inline]
    pub(super) const fn byte(self, at: usize, value: u8) -> Self {
        self.put(at, [value])
    }

    #[inline]
    pub(super) const fn half(self, at: usize, value: u16) -> Self {
        self.put(at, value.to_be_bytes())
    }

    #[inline]
    pub(super) const fn word(self, at: usize, value: u32) -> Self {
        self.put(at, value.to_be_bytes())
    }

    #[inline]
    pub(super) const fn long(self, at: usize, value: u64) -> Self {
        self.put(at, value.to_be_bytes())
    }

    /// Runs `parser` over the bytes after the operation code.
    #[inline]
    pub(super) fn fields<'a, T>(
        &'a self,
        parser: impl FnOnce(&'a [u8]) -> IResult<&'a [u8], T>,
    ) -> Result<T, CdbError> {
        let bytes = self.bytes.get(1..).unwrap_or_default();
        parser(bytes).map(|(_, fields)| fields).map_err(|_| CdbError::Truncated)
    }
}

impl fmt::Debug for Cdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cdb({self})")
    }
}

impl fmt::Display for Cdb {
    /// The bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.as_bytes().iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            write!(f, "{gap}{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_take_ten_bytes_while_they_fit() {
        for (cdb, bytes) in [
            (Cdb::read(0x0102_0304, 0x0506), "28 00 01 02 03 04 00 05 06 00"),
            (Cdb::write(0, 0xffff), "2a 00 00 00 00 00 00 ff ff 00"),
            (Cdb::read(0, 0x1_0000), "88 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00"),
            (Cdb::read(0xffff_ffff, 1), "28 00 ff ff ff ff 00 00 01 00"),
            (Cdb::read(0xffff_ffff, 2), "88 00 00 00 00 00 ff ff ff ff 00 00 00 02 00 00"),
            (Cdb::write(0x0102_0304_0506_0708, 9), "8a 00 01 02 03 04 05 06 07 08 00 00 00 09 00 00"),
        ] {
            assert_eq!(cdb.to_string(), bytes);
            assert_eq!(cdb.as_padded()[..cdb.as_bytes().len()], *cdb.as_bytes());
        }
    }

    #[test]
    fn raw_bytes_have_one_to_sixteen() {
        assert_eq!(Cdb::from_bytes(&[]), None);
        assert_eq!(Cdb::from_bytes(&[0; 17]), None);
        assert_eq!(Cdb::from_bytes(&[7]).unwrap().as_bytes(), [7]);
        let long = Cdb::from_bytes(&[3; 16]).unwrap();
        assert_eq!((long.as_padded(), long.opcode(), long.service_action()), ([3; 16], 3, 3));
    }

    #[test]
    fn the_group_of_the_opcode_decides_the_length() {
        for (opcode, len) in
            [(0x00, 6), (0x1f, 6), (0x20, 10), (0x5f, 10), (0x80, 16), (0x9f, 16), (0xa0, 12), (0xbf, 12)]
        {
            let bytes = [opcode; 16];
            assert_eq!(Cdb::read_from(&bytes).unwrap().as_bytes().len(), len);
            assert!(Cdb::read_from(&bytes[..len]).is_ok());
            assert_eq!(Cdb::read_from(&bytes[..len - 1]), Err(CdbError::Truncated));
        }
        for opcode in [0x60, 0x7f, 0xc0, 0xff] {
            assert_eq!(Cdb::read_from(&[opcode; 16]), Err(CdbError::Opcode(opcode)));
        }
        assert_eq!(Cdb::read_from(&[]), Err(CdbError::Truncated));
    }
}
