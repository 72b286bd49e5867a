//! The iSCSI wire format.

pub mod keys;
pub mod name;
pub mod pdu;
pub mod portal;
pub mod scsi;
