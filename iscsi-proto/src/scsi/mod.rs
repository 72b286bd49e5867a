//! SCSI commands and data (SAM-5, SPC-5, SBC-4). Knows nothing of iSCSI.
//!
//! One file per family, the command together with the data that it moves. A command is a plain struct that
//! [`Command`] parses from a CDB and encodes into one; data has `parse(&[u8])` and an `encode` that builds it whole,
//! for the caller to cut to the allocation length. Reserved bits are zero when encoding and ignored when parsing;
//! reserved code values are errors where something hangs on them. The rest of this is one unit asked for its size:
//!
//! ```
//! use iscsi_proto::scsi::{Capacity, Command, DataPhase, ReadCapacity16};
//!
//! let command = Command::ReadCapacity16(ReadCapacity16 { allocation: 32 });
//! assert_eq!(command.encode().to_string(), "9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00");
//! assert_eq!(command.data_phase(512), DataPhase::In(32));
//!
//! let answer = Capacity::new(2048, 512).encode16();
//! assert_eq!(Capacity::parse16(&answer)?.bytes(), 1 << 20);
//! # Ok::<(), iscsi_proto::scsi::DataError>(())
//! ```

mod asc;
mod atomic;
mod bidi;
mod capacity;
mod cdb;
mod command;
mod copy;
mod defects;
mod error;
mod format;
mod inquiry;
mod key;
mod lba;
mod log;
mod long;
mod lun;
mod luns;
mod medium;
mod mode;
mod opcodes;
mod ports;
mod prefetch;
mod reservation;
mod sanitize;
mod sense;
mod status;
mod transfer;
mod unit;
mod vpd;
mod wire;

pub use asc::text as asc_text;
pub use atomic::WriteAtomic;
pub use bidi::XdWriteRead;
pub use capacity::{Capacity, Protection, ReadCapacity16};
pub use cdb::{Cdb, CdbError};
pub use command::{Command, DataPhase};
pub use copy::{
    CopyAbort, CopyHeader, CopyList, CopyParameters, CopyQuery, CopyResults, CopyStatus, CopyTarget, ExtendedCopy,
    FailedSegment, OperationStatus, PopulateList, RodToken, Segment, TokenCommand, TokenReport, UseList,
};
pub use defects::{Defect, DefectList, ReadDefects};
pub use error::DataError;
pub use format::{FormatList, FormatUnit, InitPattern};
pub use inquiry::{DeviceType, Inquiry, InquiryData, Peripheral, Qualifier};
pub use key::SenseKey;
pub use lba::{GetLbaStatus, LbaExtent, LbaRange, LbaState, LbaStatus, Unmap, UnmapList};
pub use log::{LogPage, LogPages, LogParameter, LogSense};
pub use long::{LongCdb, LongCommand, Tags};
pub use lun::{Address, Lun, LunError};
pub use luns::{LunList, ReportLuns};
pub use medium::{ByteCheck, CompareAndWrite, SyncCache, Verify, WriteSame};
pub use mode::{BlockDescriptor, Caching, Control, ModeData, ModePage, ModeSelect, ModeSense, PageControl};
pub use opcodes::{OpcodeEntry, OpcodeList, OpcodeQuery, OpcodeReport, ReportOpcodes, Support, Timeouts};
pub use ports::{AccessState, GroupState, PortGroup, PortGroups, ReportPortGroups, SetPortGroups, SetPortList};
pub use prefetch::PreFetch;
pub use reservation::{
    KeyList, MoveList, Registrant, RegistrantList, ReservationReport, ReservationType, ReserveCapabilities, ReserveIn,
    ReserveInAction, ReserveOut, ReserveOutAction, ReserveOutList, TransportId,
};
pub use sanitize::{OverwriteList, Sanitize, SanitizeAction};
pub use sense::{FieldPointer, Sense, Specific};
pub use status::Status;
pub use transfer::{Form, Transfer};
pub use unit::{PreventRemoval, RequestSense, StartStop};
pub use vpd::{
    Association, BlockLimits, CopyFeature, Designation, Designator, DeviceId, ExtendedInquiry, ListLimits, MediumInfo,
    Provisioning, ProvisioningType, Rotation, SupportedPages, ThirdPartyCopy, TokenLimits, UnitSerial, vpd_len,
};
