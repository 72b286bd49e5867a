//! Reading and writing.

use bytes::{Bytes, BytesMut};
use iscsi_proto::scsi::{SyncCache, Transfer};

use super::Lun;
use super::send::UNKNOWN;
use crate::core::{CommandError, Payload};

/// How blocks are read or written, beside which ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct TransferOptions {
    /// FUA bit: from or onto the medium, past a volatile cache. Default false.
    pub fua: bool,
    /// DPO bit: the blocks are unlikely to be used again soon, so the unit need not keep them in its cache. Default false.
    pub dpo: bool,
}

impl TransferOptions {
    /// Past a volatile cache.
    pub const FUA: Self = Self { fua: true, dpo: false };

    /// These options with the DPO bit.
    #[must_use]
    pub const fn dpo(mut self) -> Self {
        self.dpo = true;
        self
    }

    fn transfer(self, (lba, blocks): (u64, u32)) -> Transfer {
        Transfer { fua: self.fua, dpo: self.dpo, ..Transfer::new(lba, blocks) }
    }
}

impl Lun {
    /// Reads `length` bytes at `offset`.
    ///
    /// # Cancellation
    ///
    /// Commands that were sent run to their end on the target; nothing else is left behind.
    pub async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, CommandError> {
        self.check_range(offset, length)?;
        let block = u64::from(self.block_size());
        let start = offset / block * block;
        let lead = (offset - start) as usize;
        let whole = (lead + length).next_multiple_of(block as usize);
        let mut data = self.read_into(start, BytesMut::zeroed(whole)).await?.freeze();
        data = data.slice(lead..lead + length);
        Ok(data)
    }

    /// Fills `buffer` from `offset` on and gives it back. Offset and length have to be whole blocks.
    ///
    /// The data lands in the buffer itself, without a copy. After an error the buffer is gone.
    ///
    /// # Cancellation
    ///
    /// Commands that were sent run to their end on the target, and the buffer lives until then.
    pub async fn read_into(&self, offset: u64, buffer: BytesMut) -> Result<BytesMut, CommandError> {
        self.read_into_with(offset, buffer, TransferOptions::default()).await
    }

    /// [`Lun::read_into`] with options. A unit that says that it does not know them (DPOFUA) reads without the DPO bit, and
    /// is an error for FUA: [`CommandError::Unsupported`].
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::read_into`].
    pub async fn read_into_with(
        &self,
        offset: u64,
        buffer: BytesMut,
        options: TransferOptions,
    ) -> Result<BytesMut, CommandError> {
        let known = self.has_fua() != Some(false);
        if options.fua && !known {
            return Err(CommandError::Unsupported("reading past its cache (FUA)"));
        }
        let options = if known { options } else { TransferOptions::default() };
        self.check_alignment(offset, buffer.len())?;
        self.check_range(offset, buffer.len())?;
        let most = self.max_transfer();
        let mut rest = (offset, buffer);
        let next = || {
            let part = rest.1.split_to(rest.1.len().min(most));
            let at = rest.0;
            rest.0 += part.len() as u64;
            let transfer = options.transfer(self.block_range(at, part.len()));
            (!part.is_empty()).then(|| (transfer.encode_read(), part))
        };
        self.read_all(std::iter::from_fn(next)).await
    }

    /// Fills `buffer` from `offset` on, wherever it starts and ends. Costs one copy; [`Lun::read_into`] costs none.
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::read_at`]; the buffer is untouched.
    pub async fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), CommandError> {
        let data = self.read_at(offset, buffer.len()).await?;
        buffer.copy_from_slice(&data);
        Ok(())
    }

    /// Writes whole blocks at `offset`. Done means that the unit has answered GOOD to all of it; whether the data has
    /// left a volatile cache is for [`Lun::flush`].
    ///
    /// After an error, any part of the range may hold old or new data, unless the error
    /// [`is_known_not_executed`](CommandError::is_known_not_executed); it is so only if no part of the range was written.
    /// Nothing is under way any more then.
    ///
    /// # Cancellation
    ///
    /// Commands that were sent run to their end on the target; what was not sent is not written.
    pub async fn write_at(&self, offset: u64, data: impl Into<Payload>) -> Result<(), CommandError> {
        self.write_at_with(offset, data, TransferOptions::default()).await
    }

    /// [`Lun::write_at`] with options. With FUA, done means on the medium; where the unit says that it does not know the
    /// bit (DPOFUA), the whole unit is flushed after the write instead.
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::write_at`].
    pub async fn write_at_with(
        &self,
        offset: u64,
        data: impl Into<Payload>,
        options: TransferOptions,
    ) -> Result<(), CommandError> {
        let payload = data.into();
        self.check_alignment(offset, payload.len())?;
        self.check_range(offset, payload.len())?;
        let known = self.has_fua() != Some(false);
        let bits = if known { options } else { TransferOptions::default() };
        let commands = self.parts(offset, payload).map(|(at, part)| {
            let transfer = bits.transfer(self.block_range(at, part.len()));
            (transfer.encode_write(), part)
        });
        self.write_all(commands).await?;
        if options.fua && !known { self.flush().await } else { Ok(()) }
    }

    /// Writes the buffers one after the other from `offset` on, without joining them first. See [`Lun::write_at`].
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::write_at`].
    pub async fn write_vectored_at(&self, offset: u64, buffers: Vec<Bytes>) -> Result<(), CommandError> {
        self.write_at(offset, buffers).await
    }

    /// Writes at `offset`, wherever the range starts and ends. Blocks at its ends that it covers in part are read,
    /// changed and written back: what somebody else writes into these blocks meanwhile is lost.
    ///
    /// # Cancellation
    ///
    /// As for [`Lun::write_at`].
    pub async fn write_unaligned_at(&self, offset: u64, data: Bytes) -> Result<(), CommandError> {
        self.check_range(offset, data.len())?;
        if data.is_empty() || self.check_alignment(offset, data.len()).is_ok() {
            return self.write_at(offset, data).await;
        }
        let block = u64::from(self.block_size());
        let end = offset + data.len() as u64;
        let (first, last) = (offset / block * block, end.next_multiple_of(block) - block);
        let mut parts = Vec::new();
        if offset != first {
            let before = self.read_at(first, block as usize).await?;
            parts.push(before.slice(..(offset - first) as usize));
        }
        parts.push(data);
        if end != last + block {
            let after = self.read_at(last, block as usize).await?;
            parts.push(after.slice((end - last) as usize..));
        }
        self.write_at(first, parts).await
    }

    /// Has the unit put everything that was written onto stable storage (SYNCHRONIZE CACHE).
    ///
    /// If the unit reports, to this command or to one before it, that it was reset since the last flush, that is the
    /// error: what it had in a volatile cache may be lost, and has to be written again. The next flush succeeds.
    ///
    /// # Cancellation
    ///
    /// The flush takes place all the same.
    pub async fn flush(&self) -> Result<(), CommandError> {
        let cached = self.has_write_cache() != Some(false);
        match self.send(SyncCache::ALL.encode(), Payload::default()).await {
            // A unit without a volatile cache need not know the command.
            Err(CommandError::Sense(sense)) if sense.code() == UNKNOWN && !cached => {}
            result => result?,
        }
        match self.unit.resets.take() {
            Some(sense) if cached => Err(CommandError::Sense(sense)),
            _ => Ok(()),
        }
    }

    /// Data for `offset` on, cut into parts that one command may move, each with the offset it goes to.
    pub(super) fn parts(&self, offset: u64, payload: Payload) -> impl Iterator<Item = (u64, Payload)> {
        let most = self.max_transfer();
        (0..payload.len()).step_by(most).map(move |at| (offset + at as u64, payload.part(at, most)))
    }

    pub(super) fn block_range(&self, offset: u64, length: usize) -> (u64, u32) {
        let block = self.block_size();
        (offset / u64::from(block), (length / block as usize) as u32)
    }
}
