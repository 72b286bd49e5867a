use std::time::Duration;

use iscsi_proto::framer::FrameLimits;

/// What a connection has agreed on, from the target's side. The default is what RFC 7143 says where nothing was settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Params {
    /// Header digests are in use.
    pub header_digest: bool,
    /// Data digests are in use.
    pub data_digest: bool,
    /// MaxConnections.
    pub max_connections: u16,
    /// InitialR2T.
    pub initial_r2t: bool,
    /// ImmediateData.
    pub immediate_data: bool,
    /// The longest data segment that the initiator receives, in bytes.
    pub max_send: u32,
    /// The longest data segment that the target receives, in bytes.
    pub max_receive: u32,
    /// MaxBurstLength in bytes.
    pub max_burst: u32,
    /// FirstBurstLength in bytes.
    pub first_burst: u32,
    /// MaxOutstandingR2T.
    pub max_outstanding_r2t: u16,
    /// DefaultTime2Wait in seconds.
    pub time2wait: u16,
    /// DefaultTime2Retain in seconds.
    pub time2retain: u16,
    /// ErrorRecoveryLevel, 0 to 2.
    pub error_recovery_level: u8,
}

impl Params {
    /// Whether lost data, R2Ts and statuses can be had again (error recovery level 1 and up).
    pub const fn recovers_data(&self) -> bool {
        self.error_recovery_level >= 1
    }

    /// Whether tasks outlive their connection (error recovery level 2).
    pub const fn recovers_connections(&self) -> bool {
        self.error_recovery_level >= 2
    }

    /// How long the tasks of a lost connection are kept.
    pub const fn retention(&self) -> Duration {
        Duration::from_secs(self.time2wait as u64 + self.time2retain as u64)
    }

    /// What the target accepts from the wire in full feature phase.
    pub const fn frame_limits(&self) -> FrameLimits {
        FrameLimits {
            max_data: self.max_receive,
            allow_ahs: true,
            header_digest: self.header_digest,
            data_digest: self.data_digest,
        }
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            header_digest: false,
            data_digest: false,
            max_connections: 1,
            initial_r2t: true,
            immediate_data: true,
            max_send: 8192,
            max_receive: 8192,
            max_burst: 262_144,
            first_burst: 65_536,
            max_outstanding_r2t: 1,
            time2wait: 2,
            time2retain: 20,
            error_recovery_level: 0,
        }
    }
}
