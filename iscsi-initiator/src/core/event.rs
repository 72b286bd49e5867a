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
    /// A connection was added to the session.
    ConnectionAdded {
        /// Its number in the session.
        cid: u16,
    },
    /// A connection was lost, and the session goes on: over its other connections, or, with error recovery level 2, over
    /// one that takes its place.
    ConnectionLost {
        /// Its number in the session.
        cid: u16,
        /// Why it was lost.
        error: String,
        /// Seconds for which the target wants it left alone (DefaultTime2Wait, or what the target said).
        time2wait: u16,
        /// Seconds after that for which the target keeps its tasks (DefaultTime2Retain, or what the target said).
        time2retain: u16,
    },
    /// A lost connection was taken up again.
    ConnectionRestored {
        /// Its number in the session.
        cid: u16,
    },
}
