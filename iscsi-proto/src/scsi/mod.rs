//! SCSI commands and data (SAM-5, SPC-5, SBC-4). Knows nothing of iSCSI.

mod lun;
mod status;

pub use lun::{Lun, LunError};
pub use status::Status;
