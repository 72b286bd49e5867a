//! What all labs have in common: what they serve, and what can be done to it from the target's side.

use thiserror::Error;

use super::{Disk, LabError, Offer, Role};

/// A running lab. Dropping it ends all of its processes and removes its files.
///
/// The methods from [`stored`](Self::stored) on act behind the initiator's back. Those that a lab does not have answer
/// [`Refused::NotOffered`].
pub trait Lab: Send + Sync {
    /// The program and its version, such as `tgt 1.0.85`.
    fn version(&self) -> String;

    /// What is served.
    fn offers(&self) -> Vec<Offer>;

    /// How to reach it, for a person to read.
    fn reach(&self) -> String {
        self.offers().iter().map(Offer::to_string).collect()
    }

    /// The last that the target has said in its log, for a person who looks for the cause of a failure.
    fn log(&self) -> String {
        String::new()
    }

    /// The target with this role.
    fn offer(&self, role: Role) -> Result<Offer, Refused> {
        self.offers().into_iter().find(|offer| offer.role == role).ok_or(Refused::NotOffered("no such target"))
    }

    /// Bytes of a disk as they are stored, read past the target.
    fn stored(&self, disk: &Disk, offset: u64, length: usize) -> Result<Vec<u8>, Refused> {
        let _ = (disk, offset, length);
        Err(Refused::NotOffered("no view of the backing store"))
    }

    /// Sets a parameter of a target for logins from now on: a key of RFC 7143 and its value.
    fn set(&self, target: &str, key: &str, value: &str) -> Result<(), Refused> {
        let _ = (target, key, value);
        Err(Refused::NotOffered("parameters are fixed"))
    }

    /// Closes all connections of a target without a word to the initiators.
    fn kick(&self, target: &str) -> Result<(), Refused> {
        let _ = target;
        Err(Refused::NotOffered("connections cannot be closed"))
    }

    /// Takes a target out of service, or back into it.
    fn serve(&self, target: &str, on: bool) -> Result<(), Refused> {
        let _ = (target, on);
        Err(Refused::NotOffered("a target cannot be taken out of service"))
    }

    /// Adds a disk of 1 MiB under this number, or takes it away again.
    fn plug(&self, target: &str, lun: u8, on: bool) -> Result<(), Refused> {
        let _ = (target, lun, on);
        Err(Refused::NotOffered("disks cannot be added"))
    }

    /// Sets the state of the n-th target port group of a target, counted from 1: 0 active/optimised, 1 active/non-optimised, 2
    /// standby, 3 unavailable.
    fn alua(&self, target: &str, group: u16, state: u8) -> Result<(), Refused> {
        let _ = (target, group, state);
        Err(Refused::NotOffered("no states to switch"))
    }

    /// Stops the n-th portal group of a target, counted from 1, with all of its connections, or starts it again.
    fn gateway(&self, target: &str, group: u16, on: bool) -> Result<(), Refused> {
        let _ = (target, group, on);
        Err(Refused::NotOffered("one gateway"))
    }
}

/// Something could not be done from the target's side.
#[derive(Debug, Error)]
pub enum Refused {
    /// The target has no such thing.
    #[error("not offered: {0}")]
    NotOffered(&'static str),
    /// It has, and it failed.
    #[error(transparent)]
    Lab(#[from] LabError),
}
