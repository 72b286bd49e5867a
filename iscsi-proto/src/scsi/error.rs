use super::{CdbError, Sense};

/// Why bytes are not the SCSI data or parameter list that they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Fewer bytes than the structure needs.
    #[error("{what} is cut short")]
    Truncated {
        /// Name of the structure.
        what: &'static str,
    },
    /// A field holds what it may not hold.
    #[error("{what} holds {value:#x} as {field}, which is not allowed")]
    Invalid {
        /// Name of the structure.
        what: &'static str,
        /// Name of the field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// More bytes than the length before them can tell. Nothing is cut, for what is cut means something else.
    #[error("{what} has {len} bytes, where {limit} are the most")]
    TooLong {
        /// Name of the structure.
        what: &'static str,
        /// Bytes that it has.
        len: usize,
        /// Bytes that it may have.
        limit: usize,
    },
}

impl DataError {
    /// How a device server refuses a parameter list that is wrong in this way.
    pub const fn sense(&self) -> Sense {
        match self {
            Self::Truncated { .. } | Self::TooLong { .. } => Sense::PARAMETER_LIST_LENGTH,
            Self::Invalid { .. } => Sense::INVALID_PARAMETER,
        }
    }
}

impl CdbError {
    /// How a device server refuses a command that is wrong in this way.
    pub const fn sense(&self) -> Sense {
        match *self {
            Self::Opcode(_) => Sense::INVALID_OPCODE,
            Self::Truncated => Sense::INVALID_FIELD,
            Self::Field { byte, bit } => Sense::INVALID_FIELD.with_cdb_pointer(byte as u16, bit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_the_sense_that_a_device_server_answers() {
        for (sense, code, pointer) in [
            (CdbError::Opcode(0x99).sense(), (0x20, 0), [0, 0, 0]),
            (CdbError::Truncated.sense(), (0x24, 0), [0, 0, 0]),
            (CdbError::Field { byte: 2, bit: None }.sense(), (0x24, 0), [0xc0, 0, 2]),
            (CdbError::Field { byte: 1, bit: Some(4) }.sense(), (0x24, 0), [0xcc, 0, 1]),
            (DataError::Truncated { what: "x" }.sense(), (0x1a, 0), [0, 0, 0]),
            (DataError::TooLong { what: "x", len: 2, limit: 1 }.sense(), (0x1a, 0), [0, 0, 0]),
            (DataError::Invalid { what: "x", field: "y", value: 1 }.sense(), (0x26, 0), [0, 0, 0]),
        ] {
            assert_eq!((sense.asc, sense.ascq), code);
            assert_eq!(sense.to_fixed()[15..18], pointer);
            assert_eq!(sense.to_fixed()[2], 5);
        }
    }
}
