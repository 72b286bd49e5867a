//! What a target is told before it starts.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::{Portal, PortalGroupTag};
use zeroize::Zeroizing;

/// A whole iSCSI node: its targets and how it lets itself be discovered.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The targets, in the order in which SendTargets lists them.
    pub targets: Vec<TargetConfig>,
    /// What discovery sessions have to prove; `None` lets everybody discover.
    pub discovery_chap: Option<Chap>,
    /// Limits of discovery sessions and of logins whose target is not known yet.
    pub limits: Limits,
    /// For how long a connection goes on looking for work before it sleeps; zero, the default, sleeps at once.
    pub busy_poll: Duration,
}

/// One target with its logical units.
#[derive(Clone, Debug)]
pub struct TargetConfig {
    /// Its name.
    pub name: IscsiName,
    /// TargetAlias, if it has one.
    pub alias: Option<String>,
    /// Its units; they get the numbers from 0 on.
    pub luns: Vec<LunConfig>,
    /// What initiators have to prove; `None` admits everybody.
    pub chap: Option<Chap>,
    /// The initiators that may log in; empty admits all. Others do not see the target in discovery.
    pub initiators: Vec<IscsiName>,
    /// What it wants in negotiations.
    pub limits: Limits,
    /// TargetPortalGroupTag. Default 1.
    pub portal_group: PortalGroupTag,
    /// Where logins are sent instead of being served.
    pub redirect: Option<Redirect>,
    /// Whether the first command of a nexus to a unit meets UNIT ATTENTION 29h/00h. Default true, as with real targets.
    pub unit_attention: bool,
}

/// One logical unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LunConfig {
    /// Where its blocks are.
    pub store: Store,
    /// Whether writes meet DATA PROTECT.
    pub read_only: bool,
    /// Bytes of a block: 512 or 4096. Default 512.
    pub block_size: u32,
    /// Whether it is thin: UNMAP and its like work, and blocks that were never written are reported as such.
    pub thin: bool,
}

/// Where the blocks of a unit are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Store {
    /// In memory, this many bytes, zeros at first.
    Memory(u64),
    /// In a file that exists; its length is the size.
    File(PathBuf),
    /// Nowhere: this many bytes that read as zeros whatever is written.
    Null(u64),
}

/// CHAP as a target asks for it.
#[derive(Clone, Debug)]
pub struct Chap {
    /// What the initiator has to know.
    pub initiator: Credentials,
    /// What the target proves when an initiator asks it to; `None` refuses to.
    pub target: Option<Credentials>,
    /// The algorithms that are accepted, by number: 5 MD5, 6 SHA-1, 7 SHA-256, 8 SHA3-256. Default all four.
    pub algorithms: Vec<u8>,
}

/// A CHAP name and its secret.
#[derive(Clone)]
pub struct Credentials {
    /// CHAP_N.
    pub name: String,
    /// The secret; wiped from memory in the end, never shown.
    pub secret: Zeroizing<Vec<u8>>,
}

/// Where a target has moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// The new address.
    pub portal: Portal,
    /// Whether it has moved for good.
    pub permanent: bool,
}

/// What a target wants in negotiations, and how much of everything it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// MaxRecvDataSegmentLength that the target declares, 512 to 16777215 bytes. Default 262144.
    pub max_recv_data_segment: u32,
    /// Greatest MaxBurstLength, 512 to 16777215 bytes. Default 1048576.
    pub max_burst: u32,
    /// Greatest FirstBurstLength, 512 to 16777215 bytes. Default 262144.
    pub first_burst: u32,
    /// Whether the target insists on R2Ts (InitialR2T). Default false.
    pub initial_r2t: bool,
    /// Whether it takes immediate data. Default true.
    pub immediate_data: bool,
    /// Greatest MaxOutstandingR2T, 1 to 65535. Default 16.
    pub max_outstanding_r2t: u16,
    /// Connections that a session may have, 1 to 65535. Default 1.
    pub max_connections: u16,
    /// DefaultTime2Wait that the target asks for, 0 to 3600 seconds. Default 0.
    pub time2wait: u16,
    /// Greatest DefaultTime2Retain, 0 to 3600 seconds. Default 0: nothing is kept for a lost connection. What is kept, at
    /// level 2, is kept for DefaultTime2Wait and DefaultTime2Retain together.
    pub time2retain: u16,
    /// Greatest ErrorRecoveryLevel, 0 to 2. Default 0.
    pub error_recovery_level: u8,
    /// Whether Data-In at the end of each sequence asks for a DataACK (the A bit), above level 0. Default false.
    pub data_ack: bool,
    /// How long data may stay away before the target asks for it again, above level 0; so old are statuses that nobody
    /// has acknowledged when it sends a ping. Default 5 s.
    pub sequence_timeout: Duration,
    /// Header digests that are accepted.
    pub header_digest: DigestPolicy,
    /// Data digests that are accepted.
    pub data_digest: DigestPolicy,
    /// Commands that a session may have under way, 1 to 65535. Default 128.
    pub window: u16,
    /// Sessions that a target may have. Default 1024.
    pub max_sessions: usize,
    /// StatSN of the first response on a connection. Default 1.
    pub first_stat_sn: u32,
    /// Whether GOOD status travels in the last Data-In. Default true.
    pub status_in_data: bool,
}

/// Which digests a target accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DigestPolicy {
    /// CRC32C or None, as the initiator prefers.
    #[default]
    Either,
    /// Only None.
    Never,
    /// Only CRC32C.
    Always,
}

impl TargetConfig {
    /// A target without units that admits everybody.
    pub fn new(name: IscsiName) -> Self {
        Self {
            name,
            alias: None,
            luns: Vec::new(),
            chap: None,
            initiators: Vec::new(),
            limits: Limits::default(),
            portal_group: 1,
            redirect: None,
            unit_attention: true,
        }
    }

    /// The same target with one more unit.
    #[must_use]
    pub fn lun(mut self, lun: LunConfig) -> Self {
        self.luns.push(lun);
        self
    }

    /// The same target, asking for CHAP.
    #[must_use]
    pub fn chap(mut self, chap: Chap) -> Self {
        self.chap = Some(chap);
        self
    }

    /// The same target with other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether this initiator may use the target.
    pub fn admits(&self, initiator: &IscsiName) -> bool {
        self.initiators.is_empty() || self.initiators.contains(initiator)
    }
}

impl LunConfig {
    /// A writable unit with blocks of 512 bytes.
    pub const fn new(store: Store) -> Self {
        Self { store, read_only: false, block_size: 512, thin: false }
    }

    /// `len` bytes of memory.
    pub const fn memory(len: u64) -> Self {
        Self::new(Store::Memory(len))
    }

    /// `len` bytes of nothing.
    pub const fn null(len: u64) -> Self {
        Self::new(Store::Null(len))
    }

    /// A file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Store::File(path.into()))
    }

    /// The same unit, read-only.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The same unit with other blocks: 512 or 4096 bytes.
    #[must_use]
    pub const fn block_size(mut self, bytes: u32) -> Self {
        self.block_size = bytes;
        self
    }

    /// The same unit, thin.
    #[must_use]
    pub const fn thin(mut self) -> Self {
        self.thin = true;
        self
    }
}

impl Chap {
    /// One-way CHAP with all algorithms.
    pub fn new(initiator: Credentials) -> Self {
        Self { initiator, target: None, algorithms: vec![5, 6, 7, 8] }
    }

    /// The same, able to prove the target too.
    #[must_use]
    pub fn mutual(mut self, target: Credentials) -> Self {
        self.target = Some(target);
        self
    }
}

impl Credentials {
    /// A name and its secret.
    pub fn new(name: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), secret: Zeroizing::new(secret.into()) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_recv_data_segment: 256 * 1024,
            max_burst: 1024 * 1024,
            first_burst: 256 * 1024,
            initial_r2t: false,
            immediate_data: true,
            max_outstanding_r2t: 16,
            max_connections: 1,
            time2wait: 0,
            time2retain: 0,
            error_recovery_level: 0,
            data_ack: false,
            sequence_timeout: Duration::from_secs(5),
            header_digest: DigestPolicy::Either,
            data_digest: DigestPolicy::Either,
            window: 128,
            max_sessions: 1024,
            first_stat_sn: 1,
            status_in_data: true,
        }
    }
}

impl DigestPolicy {
    /// The list of values to negotiate with.
    pub const fn list(self) -> &'static str {
        match self {
            Self::Either => "CRC32C,None",
            Self::Never => "None",
            Self::Always => "CRC32C",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let chap = Chap::new(Credentials::new("alice", "hush")).mutual(Credentials::new("bob", "quiet"));
        let shown = format!("{chap:?}");
        assert!(shown.contains("alice") && shown.contains("bob"));
        assert!(!shown.contains("hush") && !shown.contains("quiet") && !shown.contains("104, 117"));
    }

    #[test]
    fn an_empty_list_of_initiators_admits_all() {
        let name: IscsiName = "iqn.2025-01.example:a".parse().unwrap();
        let mut target = TargetConfig::new("iqn.2025-01.example:t".parse().unwrap());
        assert!(target.admits(&name));
        target.initiators.push("iqn.2025-01.example:b".parse().unwrap());
        assert!(!target.admits(&name));
        target.initiators.push(name.clone());
        assert!(target.admits(&name));
    }
}
