//! What a session offers in login and what came of it (RFC 7143, section 13).

use std::ops::RangeInclusive;

/// One digest of a connection, as offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DigestOffer {
    /// No digest: `None`.
    #[default]
    None,
    /// A digest and nothing else: `CRC32C`. Login fails if the target has none.
    Crc32c,
    /// A digest if the target has one: `CRC32C,None`.
    PreferCrc32c,
    /// A digest only if the target insists: `None,CRC32C`.
    PreferNone,
}

impl DigestOffer {
    /// The list that goes into the text key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Crc32c => "CRC32C",
            Self::PreferCrc32c => "CRC32C,None",
            Self::PreferNone => "None,CRC32C",
        }
    }
}

/// The values that an initiator offers in the operational stage.
///
/// Values out of range are refused when login starts, each with its key and its range.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// HeaderDigest; default none.
    pub header_digest: DigestOffer,
    /// DataDigest; default none.
    pub data_digest: DigestOffer,
    /// MaxConnections; 1 to 65535, default 1. Connections are added one by one, by `Session::add_connection`.
    pub max_connections: u16,
    /// InitialR2T; default `false`: ask for permission to send data unasked.
    pub initial_r2t: bool,
    /// ImmediateData; default `true`.
    pub immediate_data: bool,
    /// MaxRecvDataSegmentLength that this side declares, in bytes; 512 to 16777215, default 262144.
    pub max_recv_data_segment_length: u32,
    /// MaxBurstLength in bytes; 512 to 16777215, default 16776192.
    pub max_burst_length: u32,
    /// FirstBurstLength in bytes; 512 to MaxBurstLength, default 262144.
    pub first_burst_length: u32,
    /// DefaultTime2Wait in seconds; 0 to 3600, default 2.
    pub default_time2wait: u16,
    /// DefaultTime2Retain in seconds; 0 to 3600, default 0: nothing is recovered after a lost connection.
    pub default_time2retain: u16,
    /// MaxOutstandingR2T per task; 1 to 65535, default 16. With an `error_recovery_level` above 0 it is offered as 1,
    /// because sequences are in order (RFC 7143, section 13.19).
    pub max_outstanding_r2t: u16,
    /// ErrorRecoveryLevel; 0 to 2, default 0: what is lost ends the connection. In a discovery session it is always 0.
    ///
    /// At level 2 a command outlives its connection: it goes on over another one of the session, or, in a session that was
    /// made over TCP by this crate, over one that takes its place. That needs a `default_time2retain` above 0, and is over
    /// when [`default_time2wait`](Self::default_time2wait) and that have passed.
    pub error_recovery_level: u8,
    /// iSCSIProtocolLevel; 0 to 2. Default `None`: not offered, which means level 1.
    pub protocol_level: Option<u8>,
}

impl Offer {
    /// The lengths that MaxRecvDataSegmentLength, MaxBurstLength and FirstBurstLength may have, in bytes.
    pub const LENGTHS: RangeInclusive<u32> = 512..=(1 << 24) - 1;
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            header_digest: DigestOffer::None,
            data_digest: DigestOffer::None,
            max_connections: 1,
            initial_r2t: false,
            immediate_data: true,
            max_recv_data_segment_length: 256 * 1024,
            max_burst_length: 16_776_192,
            first_burst_length: 256 * 1024,
            default_time2wait: 2,
            default_time2retain: 0,
            max_outstanding_r2t: 16,
            error_recovery_level: 0,
            protocol_level: None,
        }
    }
}

/// How the target reports the end of tasks that a task management function ended (TaskReporting).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TaskReporting {
    /// As in RFC 3720.
    #[default]
    Rfc3720,
    /// With response fences.
    ResponseFence,
    /// With fences, and tasks end at once.
    FastAbort,
}

/// The values in force on a connection once login has ended.
///
/// [`Negotiated::default`] holds the defaults of RFC 7143, which apply to every key that was not settled otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// Whether header digests are in use.
    pub header_digest: bool,
    /// Whether data digests are in use.
    pub data_digest: bool,
    /// MaxConnections.
    pub max_connections: u16,
    /// InitialR2T: whether written data beyond immediate data waits for an R2T.
    pub initial_r2t: bool,
    /// ImmediateData.
    pub immediate_data: bool,
    /// The longest data segment that this side receives, in bytes.
    pub max_recv_data_segment_length: u32,
    /// The longest data segment that the target receives, in bytes.
    pub max_send_data_segment_length: u32,
    /// MaxBurstLength in bytes.
    pub max_burst_length: u32,
    /// FirstBurstLength in bytes.
    pub first_burst_length: u32,
    /// DefaultTime2Wait in seconds.
    pub default_time2wait: u16,
    /// DefaultTime2Retain in seconds.
    pub default_time2retain: u16,
    /// MaxOutstandingR2T per task.
    pub max_outstanding_r2t: u16,
    /// DataPDUInOrder.
    pub data_pdu_in_order: bool,
    /// DataSequenceInOrder.
    pub data_sequence_in_order: bool,
    /// ErrorRecoveryLevel.
    pub error_recovery_level: u8,
    /// TaskReporting.
    pub task_reporting: TaskReporting,
    /// iSCSIProtocolLevel.
    pub protocol_level: u8,
}

impl Default for Negotiated {
    fn default() -> Self {
        Self {
            header_digest: false,
            data_digest: false,
            max_connections: 1,
            initial_r2t: true,
            immediate_data: true,
            max_recv_data_segment_length: 8192,
            max_send_data_segment_length: 8192,
            max_burst_length: 262_144,
            first_burst_length: 65_536,
            default_time2wait: 2,
            default_time2retain: 20,
            max_outstanding_r2t: 1,
            data_pdu_in_order: true,
            data_sequence_in_order: true,
            error_recovery_level: 0,
            task_reporting: TaskReporting::Rfc3720,
            protocol_level: 1,
        }
    }
}
