//! A logical unit of a block device.

mod extents;
mod manage;
mod memory;
mod open;
mod ports;
mod provision;
mod readonly;
mod report;
mod reserve;
mod retry;
mod send;
mod transfer;
mod verify;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iscsi_proto::scsi::{
    BlockLimits, Capacity, DeviceId, InquiryData, Lun as LunNumber, MediumInfo, ModeData, Provisioning,
};

use crate::core::CommandError;
use crate::session::Session;

pub use extents::{Allocation, Extent, Extents};
pub use manage::{DestroyAllData, Erasure};
pub use provision::ZeroOptions;
pub use readonly::ReadOnlyLun;
pub use reserve::{RegisterOptions, Reservations};
pub(crate) use retry::Retry;
pub use transfer::TransferOptions;

use memory::Memory;
use retry::Resets;

/// A logical unit that holds blocks. Clones are handles of the same one.
///
/// Offsets and lengths are in bytes. Reads may start and end anywhere; writes have to keep to whole blocks, but for
/// [`Lun::write_unaligned_at`].
///
/// A command that the unit refuses because it is busy, or because it first reports something that does not change what
/// the command means, is sent again, as a new command, for as long as the session's command timeout. Nothing is sent
/// again after the connection was lost. That holds for commands that must not be done twice as well: they are sent again
/// only where the unit said that it had not executed them.
///
/// Beside reading and writing there are calls that compare ([`Lun::verify`], [`Lun::compare_and_write`]), that know of space
/// ([`Lun::extents`], [`Lun::unmap`], [`Lun::write_zeroes`]), that keep others out ([`Lun::reserve`],
/// [`Lun::reservations`]) and that ask ([`Lun::port_groups`], [`Lun::supported_opcodes`], [`Lun::log_page`]). Everything else
/// goes through [`Session::execute`].
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
    pages: Pages,
    /// The most blocks that one command may move.
    max_blocks: u32,
    memory: Memory,
    /// Counts the starts and the ends of writes, so that what was read ahead is known to be out of date.
    writes: AtomicU64,
    resets: Resets,
}

/// A write under way.
struct Writing<'a>(&'a AtomicU64);

/// The mode parameters and the vital product data that the unit has.
#[derive(Debug)]
struct Pages {
    mode: Option<ModeData>,
    serial: Option<String>,
    identity: Option<DeviceId>,
    limits: Option<BlockLimits>,
    medium: Option<MediumInfo>,
    provisioning: Option<Provisioning>,
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

    /// Whether it was write protected when it was opened (MODE SENSE).
    pub fn is_read_only(&self) -> bool {
        self.unit.pages.mode.as_ref().is_some_and(|mode| mode.write_protected)
    }

    /// Whether it keeps written data in a volatile cache until [`Lun::flush`], if it says so (caching mode page).
    pub fn has_write_cache(&self) -> Option<bool> {
        let caching = self.unit.pages.mode.as_ref()?.caching()?;
        Some(caching.write_cache())
    }

    /// Whether it knows the FUA and DPO bits of reads and writes, if it says so (DPOFUA, MODE SENSE).
    pub fn has_fua(&self) -> Option<bool> {
        self.unit.pages.mode.as_ref().map(|mode| mode.dpofua)
    }

    /// Its serial number, if it has one (VPD page 80h).
    pub fn serial(&self) -> Option<&str> {
        self.unit.pages.serial.as_deref()
    }

    /// All its identifiers, and those of the port and the target it is reached by (VPD page 83h).
    pub fn identity(&self) -> Option<&DeviceId> {
        self.unit.pages.identity.as_ref()
    }

    /// Limits of commands, if it has any (VPD page B0h). They are in blocks.
    pub fn limits(&self) -> Option<&BlockLimits> {
        self.unit.pages.limits.as_ref()
    }

    /// What medium it is on (VPD page B1h).
    pub fn medium(&self) -> Option<&MediumInfo> {
        self.unit.pages.medium.as_ref()
    }

    /// How its blocks are provisioned (VPD page B2h).
    pub fn provisioning(&self) -> Option<&Provisioning> {
        self.unit.pages.provisioning.as_ref()
    }

    /// The session that it was opened in.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Bytes that one command moves at most; longer transfers are cut, and their parts run side by side.
    pub fn max_transfer(&self) -> usize {
        self.unit.max_blocks as usize * self.block_size() as usize
    }

    /// A number that changes whenever this unit is written by this handle or a clone.
    pub(crate) fn version(&self) -> u64 {
        self.unit.writes.load(Ordering::Acquire)
    }

    /// Tells readers of a write, now and when the result is dropped.
    fn begin_write(&self) -> Writing<'_> {
        self.unit.writes.fetch_add(1, Ordering::AcqRel);
        Writing(&self.unit.writes)
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

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lun").field("unit", &self.unit).finish_non_exhaustive()
    }
}
