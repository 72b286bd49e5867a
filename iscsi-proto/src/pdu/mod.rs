//! Protocol data units (RFC 7143, section 11; field additions of RFC 7144).
//!
//! One file per family, request and response together. Each PDU is a plain struct with
//! `parse(&Header)` and `encode() -> Header`. Lengths stay in the [`Header`]; the data segment
//! travels beside it. Reserved bits are zero when encoding and ignored when parsing; reserved
//! *code values* are errors.

mod ahs;
mod data;
mod error;
mod event;
mod header;
mod login;
mod logout;
mod nop;
mod r2t;
mod reject;
mod scsi;
mod snack;
mod task;
mod text;

pub use ahs::{Ahs, parse_ahs};
pub use data::{DataIn, DataOut};
pub use error::PduError;
pub use event::{AsyncEvent, AsyncMessage};
pub use header::{BHS_LEN, Header, MAX_DATA_SEGMENT, Numbering, Opcode};
pub use login::{LoginRequest, LoginResponse, LoginStatus, Stage};
pub use logout::{LogoutReason, LogoutRequest, LogoutResponse, LogoutResult};
pub use nop::{NopIn, NopOut};
pub use r2t::R2t;
pub use reject::{Reject, RejectReason};
pub use scsi::{Residual, ScsiCommand, ScsiResponse, ServiceResponse, TaskAttribute, sense_segment, split_sense};
pub use snack::{Snack, SnackType};
pub use task::{TaskFunction, TaskRequest, TaskResponse, TaskResult};
pub use text::{TextRequest, TextResponse};

/// Bytes of padding after a data segment of `len` bytes.
#[inline]
pub const fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}

macro_rules! pdus {
    ($($name:ident),+ $(,)?) => {
        /// Any PDU.
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[allow(missing_docs)] // each variant holds the struct of the same name
        pub enum Pdu {
            $($name($name)),+
        }

        impl Pdu {
            /// Parses the header of any PDU that RFC 7143 defines.
            pub fn parse(header: &Header) -> Result<Self, PduError> {
                match header.opcode() {
                    $(Ok(Opcode::$name) => $name::parse(header).map(Self::$name),)+
                    Err(code) => Err(PduError::UnassignedOpcode(code)),
                }
            }

            /// The header of this PDU, with both lengths zero.
            pub fn encode(&self) -> Header {
                match self {
                    $(Self::$name(pdu) => pdu.encode(),)+
                }
            }
        }

        $(impl From<$name> for Pdu {
            fn from(pdu: $name) -> Self {
                Self::$name(pdu)
            }
        })+
    };
}

pdus! {
    NopOut, ScsiCommand, TaskRequest, LoginRequest, TextRequest, DataOut, LogoutRequest, Snack,
    NopIn, ScsiResponse, TaskResponse, LoginResponse, TextResponse, DataIn, LogoutResponse, R2t,
    AsyncMessage, Reject,
}
