//! A logical unit of a block device.

mod open;
mod retry;
mod transfer;

use std::fmt;
use std::sync::Arc;

use iscsi_proto::scsi::{Capacity, InquiryData, Lun as LunNumber};

use crate::core::CommandError;
use crate::session::Session;

pub(crate) use retry::Retry;

/// A logical unit that holds blocks. Clones are handles of the same one.
///
/// Offsets and lengths are in bytes. Reads may start and end anywhere; writes have to keep to whole blocks, but for
/// [`Lun::write_unaligned_at`].
///
/// A command that the unit refuses because it is busy, or because it first reports something that does not change what
/// the command means, is sent again, as a new command, for as long as the session's command timeout. Nothing is sent
/// again after the connection was lost.
#[derive(Clone)]
pub struct Lun {
    session: Session,
    unit: Arc<Unit>,
}

/// What is known of the unit since it was opened.
#[derive(Debug)]
struct Unit {
    number: LunNumber,
    inquiry: InquiryData,
    capacity: Capacity,
    /// The most blocks that one command may move.
    max_blocks: u32,
}

impl Lun {
    /// Its number.
    pub fn number(&self) -> LunNumber {
        self.unit.number
    }

    /// Size in bytes.
    pub fn len(&self) -> u64 {
        self.unit.capacity.bytes()
    }

    /// Whether it has no blocks; never so for a unit that was opened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of a logical block.
    pub fn block_size(&self) -> u32 {
        self.unit.capacity.block_len
    }

    /// Size and shape (READ CAPACITY).
    pub fn capacity(&self) -> &Capacity {
        &self.unit.capacity
    }

    /// What it says of itself (INQUIRY).
    pub fn inquiry(&self) -> &InquiryData {
        &self.unit.inquiry
    }

    /// The session that it was opened in.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Bytes that one command moves at most; longer transfers are cut, and their parts run side by side.
    pub fn max_transfer(&self) -> usize {
        self.unit.max_blocks as usize * self.block_size() as usize
    }

    /// Checks that a range lies within the unit.
    fn check_range(&self, offset: u64, length: usize) -> Result<(), CommandError> {
        let (length, size) = (length as u64, self.len());
        match offset.checked_add(length) {
            Some(end) if end <= size => Ok(()),
            _ => Err(CommandError::OutOfRange { offset, length, size }),
        }
    }

    /// Checks that a range is one of whole blocks.
    fn check_alignment(&self, offset: u64, length: usize) -> Result<(), CommandError> {
        let (length, block_size) = (length as u64, self.block_size());
        let size = u64::from(block_size);
        if offset.is_multiple_of(size) && length.is_multiple_of(size) {
            return Ok(());
        }
        Err(CommandError::Misaligned { offset, length, block_size })
    }
}

impl fmt::Debug for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lun").field("unit", &self.unit).finish_non_exhaustive()
    }
}
