use super::message::MAX_MESSAGE;
use super::{Function, Tag};

/// Why bytes are not messages of iSNS. A stream cannot be read any further then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsnsError {
    /// A version of the protocol that is not known.
    #[error("iSNS version {0:#06x} is not 0x0001 (RFC 4171, section 5.1.1)")]
    Version(u16),
    /// A payload that does not fill whole words.
    #[error("an iSNS payload of {0} bytes is no multiple of four (RFC 4171, section 5.1.3)")]
    Length(u16),
    /// An authentication block, which belongs to multicast and broadcast messages.
    #[error("the iSNS PDU has an authentication block (RFC 4171, section 5.5)")]
    Authentication,
    /// The first PDU of a message is not marked as such, or a later one is.
    #[error("PDU {sequence} of an iSNS message has a wrong First bit (RFC 4171, section 5.2)")]
    First {
        /// Which PDU of the message it is, from 0 on.
        sequence: u32,
    },
    /// PDUs of a message are missing, doubled or out of order.
    #[error("PDU {found} of an iSNS message came instead of {expected} (RFC 4171, section 5.1.6)")]
    Sequence {
        /// The sequence ID that was due.
        expected: u32,
        /// The sequence ID that came.
        found: u16,
    },
    /// PDUs of two messages are mixed.
    #[error("PDUs of {function} in transaction {transaction} and of another message are mixed (RFC 4171, section 5.2)")]
    Mixed {
        /// The function of the message that began.
        function: Function,
        /// Its transaction ID.
        transaction: u16,
    },
    /// A message longer than anybody needs.
    #[error("the iSNS message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    /// A response without a status.
    #[error("the iSNS response ends before its status (RFC 4171, section 5.4)")]
    NoStatus,
    /// An attribute that reaches past the end of its message.
    #[error("{tag} of {len} bytes reaches past the end of the iSNS message, {left} bytes on (RFC 4171, section 5.3)")]
    Truncated {
        /// Which attribute.
        tag: Tag,
        /// The length that it announces.
        len: u32,
        /// How many bytes are left.
        left: usize,
    },
    /// Bytes at the end that are too few for an attribute.
    #[error("{0} bytes at the end of the iSNS message are no attribute (RFC 4171, section 5.3)")]
    Rest(usize),
    /// An attribute that does not fill whole words.
    #[error("{tag} of {len} bytes is not padded to a multiple of four (RFC 4171, section 5.3.1)")]
    Padding {
        /// Which attribute.
        tag: Tag,
        /// The length that it announces.
        len: u32,
    },
}
