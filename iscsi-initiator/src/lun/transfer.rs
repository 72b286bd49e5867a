//! Reading and writing.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsi_proto::scsi::{Cdb, Sense, SenseKey, SyncCache};

use super::{Lun, Retry};
use crate::core::{Command, CommandError, Payload, Response};
use crate::driver::mailbox::Pending;

/// Parts of one transfer that are under way at a time.
const PARTS: usize = 8;

/// The sense of a command that the unit does not know.
const UNKNOWN: (SenseKey, u8, u8) = Sense::INVALID_OPCODE.code();

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
        self.check_alignment(offset, buffer.len())?;
        self.check_range(offset, buffer.len())?;
        let mut rest = (offset, buffer);
        let mut done = BytesMut::new();
        let next = || {
            let part = rest.1.split_to(rest.1.len().min(self.max_transfer()));
            let at = rest.0;
            rest.0 += part.len() as u64;
            (!part.is_empty()).then(|| self.start_read(at, part))
        };
        let end = self.run(next, |response| done.unsplit(response.data)).await;
        end.error.map_or(Ok(done), Err)
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
        let payload = data.into();
        self.check_alignment(offset, payload.len())?;
        self.check_range(offset, payload.len())?;
        let _writing = self.begin_write();
        let mut sent = 0;
        let next = || {
            let part = payload.part(sent, self.max_transfer().min(payload.len() - sent));
            let at = offset + sent as u64;
            sent += part.len();
            (!part.is_empty()).then(|| self.start_write(at, part))
        };
        let End { error, executed } = self.run(next, drop).await;
        match error {
            None => Ok(()),
            Some(error) if executed && error.is_known_not_executed() => {
                Err(CommandError::Partial { error: Box::new(error) })
            }
            Some(error) => Err(error),
        }
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
        let command = |_| Command::new(SyncCache::ALL.encode());
        let cached = self.has_write_cache() != Some(false);
        let pending = self.session.start(self.number(), command(BytesMut::new()));
        match self.session.insist(self.number(), pending, self.retry(), command).await {
            // A unit without a volatile cache need not know the command.
            Err(CommandError::Sense(sense)) if sense.code() == UNKNOWN && !cached => {}
            result => drop(result?),
        }
        match self.unit.resets.take() {
            Some(sense) if cached => Err(CommandError::Sense(sense)),
            _ => Ok(()),
        }
    }

    /// Keeps parts under way until all have ended, and gives their responses in turn. After an error no further part is
    /// started, but those under way are waited for: nothing goes on behind the caller's back.
    async fn run<F>(&self, mut next: impl FnMut() -> Option<Part<F>>, mut take: impl FnMut(Response)) -> End
    where
        F: Fn(BytesMut) -> Command,
    {
        let mut end = End::default();
        let mut parts = VecDeque::new();
        loop {
            while parts.len() < PARTS && end.error.is_none() {
                let Some(part) = next() else { break };
                parts.push_back(part);
            }
            let Some(part) = parts.pop_front() else { return end };
            // What has failed as a whole is not worth a busy unit's time.
            let retry =
                if end.error.is_none() { self.retry() } else { Retry::new(Duration::ZERO).noting(&self.unit.resets) };
            match part.finish(self, retry).await {
                Ok(response) => {
                    end.executed = true;
                    if end.error.is_none() {
                        take(response);
                    }
                }
                Err(error) => end.fail(error),
            }
        }
    }

    fn start_read(&self, offset: u64, buffer: BytesMut) -> Part<impl Fn(BytesMut) -> Command + use<>> {
        let (lba, blocks) = self.block_range(offset, buffer.len());
        let (cdb, length) = (Cdb::read(lba, blocks), buffer.len());
        let command = move |mut buffer: BytesMut| {
            buffer.resize(length, 0);
            Command::read(cdb, buffer)
        };
        self.start(length, buffer, command)
    }

    fn start_write(&self, offset: u64, payload: Payload) -> Part<impl Fn(BytesMut) -> Command + use<>> {
        let (lba, blocks) = self.block_range(offset, payload.len());
        let cdb = Cdb::write(lba, blocks);
        self.start(0, BytesMut::new(), move |_| Command::write(cdb, payload.clone()))
    }

    fn start<F: Fn(BytesMut) -> Command>(&self, length: usize, buffer: BytesMut, command: F) -> Part<F> {
        let pending = self.session.start(self.number(), command(buffer));
        Part { command, length, pending }
    }

    fn block_range(&self, offset: u64, length: usize) -> (u64, u32) {
        let block = self.block_size();
        (offset / u64::from(block), (length / block as usize) as u32)
    }
}

/// One command of a transfer, on its way.
struct Part<F> {
    /// Makes the command; takes the buffer of a read, which comes back with every answer.
    command: F,
    /// Bytes that have to come.
    length: usize,
    pending: Pending,
}

impl<F: Fn(BytesMut) -> Command> Part<F> {
    async fn finish(self, lun: &Lun, retry: Retry) -> Result<Response, CommandError> {
        let Self { command, length: expected, pending } = self;
        let response = lun.session.insist(lun.number(), pending, retry, command).await?;
        let received = response.data.len();
        if received == expected { Ok(response) } else { Err(CommandError::Short { expected, received }) }
    }
}

/// How the parts of a transfer have ended.
#[derive(Default)]
struct End {
    /// The first error, in the order of the parts.
    error: Option<CommandError>,
    /// Whether any part was executed, or may have been.
    executed: bool,
}

impl End {
    fn fail(&mut self, error: CommandError) {
        self.executed |= !error.is_known_not_executed();
        self.error.get_or_insert(error);
    }
}
