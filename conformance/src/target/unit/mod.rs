//! The SCSI device behind the target: logical units and what is kept for each nexus.

pub mod backend;

mod block;
mod device;
mod identity;
mod lu;
mod mode;
mod nexus;
mod receiver;
mod report;
mod reserve;
mod thin;

pub use device::{Begin, Device};
pub use lu::Unit;
pub use nexus::Nexus;
pub use receiver::Receiver;

use iscsi_proto::scsi::{Sense, Status};

use super::rope::Rope;

/// How a command ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its status.
    pub status: Status,
    /// What went wrong, with CHECK CONDITION.
    pub sense: Option<Sense>,
    /// What it returns. Empty unless the status is good.
    pub data: Rope,
}

impl Outcome {
    /// GOOD without data.
    pub fn good() -> Self {
        Self::default()
    }

    /// GOOD with data.
    pub fn data(data: impl Into<Rope>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// GOOD with at most `allocation` bytes of data.
    pub fn cut(data: impl Into<Rope>, allocation: impl TryInto<usize>) -> Self {
        let mut data: Rope = data.into();
        data.truncate(allocation.try_into().unwrap_or(usize::MAX));
        Self::data(data)
    }

    /// CHECK CONDITION.
    pub fn check(sense: Sense) -> Self {
        Self { status: Status::CHECK_CONDITION, sense: Some(sense), data: Rope::new() }
    }

    /// Any other status.
    pub fn status(status: Status) -> Self {
        Self { status, ..Self::default() }
    }
}

impl From<Result<(), Sense>> for Outcome {
    fn from(result: Result<(), Sense>) -> Self {
        result.map_or_else(Self::check, |()| Self::good())
    }
}
