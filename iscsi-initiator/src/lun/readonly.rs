//! A unit that cannot be written by mistake.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use iscsi_proto::scsi::{Capacity, DeviceId, InquiryData, Lun as LunNumber};

use super::{Extents, Lun, TransferOptions};
use crate::core::{CommandError, Payload};

/// A logical unit without any call that writes or changes it. Made by [`Lun::read_only`]; clones are handles of the same one.
///
/// It sends nothing but commands that ask and read, so backups may hold it with a clear conscience. What the calls do is
/// told where they stand in [`Lun`].
#[derive(Clone, Debug)]
pub struct ReadOnlyLun(Lun);

impl Lun {
    /// The same unit without the calls that write.
    pub fn read_only(&self) -> ReadOnlyLun {
        ReadOnlyLun(self.clone())
    }
}

impl ReadOnlyLun {
    /// Its number.
    pub fn number(&self) -> LunNumber {
        self.0.number()
    }

    /// Size in bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether it has no blocks; never so for a unit that was opened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of a logical block.
    pub fn block_size(&self) -> u32 {
        self.0.block_size()
    }

    /// Size and shape (READ CAPACITY).
    pub fn capacity(&self) -> &Capacity {
        self.0.capacity()
    }

    /// What it says of itself (INQUIRY).
    pub fn inquiry(&self) -> &InquiryData {
        self.0.inquiry()
    }

    /// Its serial number, if it has one (VPD page 80h).
    pub fn serial(&self) -> Option<&str> {
        self.0.serial()
    }

    /// All its identifiers (VPD page 83h).
    pub fn identity(&self) -> Option<&DeviceId> {
        self.0.identity()
    }

    /// Bytes that one command moves at most.
    pub fn max_transfer(&self) -> usize {
        self.0.max_transfer()
    }

    /// See [`Lun::read_at`].
    pub async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, CommandError> {
        self.0.read_at(offset, length).await
    }

    /// See [`Lun::read_into`].
    pub async fn read_into(&self, offset: u64, buffer: BytesMut) -> Result<BytesMut, CommandError> {
        self.0.read_into(offset, buffer).await
    }

    /// See [`Lun::read_into_with`].
    pub async fn read_into_with(
        &self,
        offset: u64,
        buffer: BytesMut,
        options: TransferOptions,
    ) -> Result<BytesMut, CommandError> {
        self.0.read_into_with(offset, buffer, options).await
    }

    /// See [`Lun::read_exact_at`].
    pub async fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), CommandError> {
        self.0.read_exact_at(offset, buffer).await
    }

    /// See [`Lun::verify`].
    pub async fn verify(&self, offset: u64, length: u64) -> Result<(), CommandError> {
        self.0.verify(offset, length).await
    }

    /// See [`Lun::compare_at`].
    pub async fn compare_at(&self, offset: u64, data: impl Into<Payload>) -> Result<(), CommandError> {
        self.0.compare_at(offset, data).await
    }

    /// See [`Lun::extents`].
    pub fn extents(&self, range: Range<u64>) -> Result<Extents, CommandError> {
        self.0.extents(range)
    }
}
