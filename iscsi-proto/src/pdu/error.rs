use super::Opcode;

/// Why a header is not a PDU that RFC 7143 allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PduError {
    /// Fewer bytes than the structure needs.
    #[error("PDU is cut short (RFC 7143, section 11)")]
    Truncated,
    /// Another opcode than the one asked for; `Err` holds an unassigned code.
    #[error("expected {expected:?}, found opcode {found:02x?} (RFC 7143, section 11.2.1.2)")]
    Opcode {
        /// The opcode asked for.
        expected: Opcode,
        /// What the header says.
        found: Result<Opcode, u8>,
    },
    /// An opcode that RFC 7143 does not assign.
    #[error("opcode {0:#04x} is not assigned (RFC 7143, section 11.2.1.2)")]
    UnassignedOpcode(u8),
    /// A field holds a code value that is reserved.
    #[error("{field} holds the reserved value {value:#x} (RFC 7143, section {section})")]
    ReservedValue {
        /// Field name as in the standard.
        field: &'static str,
        /// What it holds.
        value: u32,
        /// Section that lists the values.
        section: &'static str,
    },
    /// Fields that exclude each other, or one that another requires.
    #[error("{rule} (RFC 7143, section {section})")]
    Inconsistent {
        /// The rule that is broken.
        rule: &'static str,
        /// Its section.
        section: &'static str,
    },
}
