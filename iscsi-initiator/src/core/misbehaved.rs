//! What a target did that RFC 7143 forbids.

use iscsi_proto::framer::FrameError;
use iscsi_proto::pdu::{Opcode, PduError};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? })? $text:literal $section:literal;)*) => {
        /// One rule of RFC 7143 that the target broke. Each leads to the end of the connection.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum PeerMisbehaved {
            /// The bytes are not PDUs.
            #[error(transparent)]
            Frame(#[from] FrameError),
            /// A header holds what no header may hold.
            #[error(transparent)]
            Pdu(#[from] PduError),
            $(
                $(#[$doc])*
                #[error($text)]
                $name $({ $($(#[$field_doc])* $field: $type),+ })?,
            )*
        }

        impl PeerMisbehaved {
            /// The section of RFC 7143 that the target broke, where one rule is named.
            pub const fn section(&self) -> Option<&'static str> {
                match self {
                    Self::Frame(_) | Self::Pdu(_) => None,
                    $(Self::$name { .. } => Some($section),)*
                }
            }
        }
    };
}

rules! {
    /// A PDU that does not belong in the phase that the connection is in, or that only initiators send.
    UnexpectedPdu {
        /// Its opcode.
        opcode: Opcode,
    } "the target sent {opcode:?}, which has no place here" "4.2.4";
    /// A response, Data-In or R2T for a task that does not exist.
    UnknownTask {
        /// The tag.
        itt: Itt,
    } "the target answered task {itt}, which does not exist" "4.2.5.3";
    /// A status number that skips one: a response was lost.
    StatusGap {
        /// What was due.
        expected: Serial,
        /// What came.
        received: Serial,
    } "the target skipped from StatSN {expected} to {received}" "4.2.2.2";
}
