//! What happens to a session without being asked for.

use bytes::Bytes;
use iscsi_proto::pdu::{AsyncEvent, RejectReason};
use iscsi_proto::scsi::Lun;

/// Something that the target says of its own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A SCSI asynchronous event: sense data of a logical unit.
    Sense {
        /// The logical unit.
        lun: Lun,
        /// The sense data as it came.
        sense: Bytes,
    },
    /// An asynchronous message. Logout and drop requests are acted on before they are reported.
    Message(AsyncEvent),
    /// A reject that ends no task.
    Reject(RejectReason),
}
