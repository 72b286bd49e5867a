use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use iscsi_proto::scsi::{Capacity, Lun, Sense, SenseKey};

use super::backend::{Backend, FileBackend, MemoryBackend, NullBackend};
use super::identity::Identity;
use super::nexus::{Nexus, Nexuses};
use super::reserve::Reservations;
use crate::target::config::{LunConfig, Store};

/// 06/29/03: a bus device reset function occurred, which is what a LOGICAL UNIT RESET is.
const RESET: Sense = Sense::new(SenseKey::UnitAttention, 0x29, 0x03);
/// 07/27/02: the logical unit is write protected by software.
const SOFTWARE_PROTECTED: Sense = Sense::new(SenseKey::DataProtect, 0x27, 0x02);
/// Bytes that one command may move.
const MAX_TRANSFER: u32 = 16 * 1024 * 1024;

/// A logical unit.
#[derive(Debug)]
pub struct Unit {
    index: usize,
    pub(super) lun: Lun,
    pub(super) block_size: u32,
    pub(super) blocks: u64,
    pub(super) read_only: bool,
    pub(super) thin: bool,
    pub(super) store: Store,
    pub(super) backend: Box<dyn Backend>,
    pub(super) identity: Identity,
    pub(super) reservations: Reservations,
    pub(super) nexuses: Arc<Nexuses>,
    /// SWP of the control mode page.
    software_protect: AtomicBool,
    /// Held for reading by writes, alone by whatever must not see them half done. Counts what ended all tasks: those
    /// that began before the last time are dead.
    gate: RwLock<u64>,
}

impl Unit {
    pub(super) fn new(index: usize, config: &LunConfig, identity: Identity, nexuses: Arc<Nexuses>) -> io::Result<Self> {
        let backend: Box<dyn Backend> = match &config.store {
            Store::Memory(len) => Box::new(MemoryBackend::new(*len)),
            Store::Null(len) => Box::new(NullBackend::new(*len)),
            Store::File(path) => Box::new(FileBackend::open(path, config.read_only)?),
        };
        Self::with_backend(index, config, identity, nexuses, backend)
    }

    /// Bytes as the store holds them; `None` if they cannot be read.
    pub fn peek(&self, offset: u64, len: usize) -> Option<bytes::Bytes> {
        self.backend.read(offset, len).ok().map(|rope| rope.to_bytes())
    }

    pub(super) fn with_backend(
        index: usize,
        config: &LunConfig,
        identity: Identity,
        nexuses: Arc<Nexuses>,
        backend: Box<dyn Backend>,
    ) -> io::Result<Self> {
        let wrong = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, text.to_owned()));
        let Some(lun) = u32::try_from(index).ok().and_then(Lun::from_number) else {
            return wrong("there are too many units");
        };
        if !matches!(config.block_size, 512 | 4096) {
            return wrong("a block has 512 or 4096 bytes");
        }
        let blocks = backend.len() / u64::from(config.block_size);
        if blocks == 0 {
            return wrong("there is not room for one block");
        }
        Ok(Self {
            index,
            lun,
            block_size: config.block_size,
            blocks,
            read_only: config.read_only,
            thin: config.thin,
            store: config.store.clone(),
            backend,
            identity,
            reservations: Reservations::default(),
            nexuses,
            software_protect: AtomicBool::new(false),
            gate: RwLock::new(0),
        })
    }

    /// Ends all tasks of all nexuses.
    pub fn clear_tasks(&self) {
        *self.alone() += 1;
    }

    /// Ends all tasks and tells all nexuses. What was set by software is as it was at first; reservations stay.
    pub fn reset(&self) {
        self.clear_tasks();
        self.set_software_protect(false);
        self.nexuses.each(|nexus| {
            nexus.clear_attentions(self);
            nexus.attend(self, RESET);
        });
    }

    /// Tells all nexuses but one that something has changed.
    pub(super) fn tell_others(&self, but: &Nexus, sense: Sense) {
        self.nexuses.each(|nexus| {
            if !std::ptr::eq(nexus, but) {
                nexus.attend(self, sense);
            }
        });
    }

    pub(super) const fn index(&self) -> usize {
        self.index
    }

    pub(super) fn epoch(&self) -> u64 {
        *self.among_writers()
    }

    /// Keeps resets and compare-and-write out while data is written.
    pub(super) fn among_writers(&self) -> RwLockReadGuard<'_, u64> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps all writers out.
    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, u64> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn capacity(&self) -> Capacity {
        let mut capacity = Capacity::new(self.blocks, self.block_size);
        capacity.provisioned = self.thin;
        capacity.reads_zeroes = self.thin;
        capacity
    }

    /// Most blocks that one command may move.
    pub(super) const fn max_transfer(&self) -> u32 {
        MAX_TRANSFER / self.block_size
    }

    pub(super) fn bytes(&self, blocks: impl Into<u64>) -> u64 {
        blocks.into().saturating_mul(self.block_size.into())
    }

    /// Where blocks that exist start, in bytes.
    pub(super) fn place(&self, lba: u64, blocks: u64) -> Result<u64, Sense> {
        match lba.checked_add(blocks) {
            Some(end) if end <= self.blocks && lba < self.blocks => Ok(self.bytes(lba)),
            _ => Err(Sense::LBA_OUT_OF_RANGE.with_information(lba.max(self.blocks))),
        }
    }

    pub(super) fn check_writable(&self) -> Result<(), Sense> {
        match (self.read_only, self.software_protect()) {
            (true, _) => Err(Sense::WRITE_PROTECTED),
            (_, true) => Err(SOFTWARE_PROTECTED),
            _ => Ok(()),
        }
    }

    pub(super) fn software_protect(&self) -> bool {
        self.software_protect.load(Ordering::Relaxed)
    }

    pub(super) fn set_software_protect(&self, on: bool) {
        self.software_protect.store(on, Ordering::Relaxed);
    }
}

/// What a failed read of the store looks like to an initiator.
pub(super) fn read_error(error: &io::Error, lba: u64) -> Sense {
    tracing::warn!(%error, lba, "reading a unit failed");
    Sense::READ_ERROR.with_information(lba)
}

/// What a failed write to the store looks like to an initiator.
pub(super) fn write_error(error: &io::Error) -> Sense {
    tracing::warn!(%error, "writing a unit failed");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Sense::SPACE_ALLOCATION_FAILED,
        _ => Sense::WRITE_ERROR,
    }
}
