//! A logical unit as a file: AsyncRead, AsyncWrite, AsyncSeek.

use std::future::Future;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use crate::core::CommandError;
use crate::lun::Lun;

type Doing<T> = Pin<Box<dyn Future<Output = Result<T, CommandError>> + Send>>;

/// How often a read is done again because something was written meanwhile. Somebody who writes without pause must not
/// hold up a reader for ever.
const AGAIN: u8 = 4;

/// The least that is read ahead, in bytes; a longer read gets what it asks for.
const READ_AHEAD: u64 = 64 * 1024;

/// A position in a logical unit. Reads ahead; writes at once, without a buffer, so that a write that has returned is
/// one that the unit has taken.
///
/// A read that starts after a write through the same [`Lun`] or a clone of it has ended sees what was written. What is
/// written by other ways may be missed in as much as was read ahead, 64 KiB at least.
///
/// Writes that start or end within a block read, change and write that block: see [`Lun::write_unaligned_at`].
/// Flushing is [`Lun::flush`].
///
/// # Cancellation
///
/// A read that is given up part-way goes on with the next read. A write that is given up goes on too, and the next call
/// waits for it: a write of the same bytes then counts as this one, any other call finds the position behind it, and
/// gets its error if it failed.
pub struct Cursor {
    lun: Lun,
    position: u64,
    /// What was read ahead, from `position` on, and the version of the unit before that.
    ahead: Bytes,
    version: u64,
    /// How often the read under way was done again.
    again: u8,
    state: State,
}

enum State {
    Idle,
    Reading(Doing<Bytes>),
    /// With the bytes that are written.
    Writing(Doing<()>, Bytes),
    Flushing(Doing<()>),
}

/// What has come to its end.
enum Done {
    Nothing,
    Read(Bytes),
    Written(Bytes),
    Flushed,
}

impl Lun {
    /// This unit as a file, at its start.
    pub fn cursor(&self) -> Cursor {
        Cursor { lun: self.clone(), position: 0, ahead: Bytes::new(), version: 0, again: 0, state: State::Idle }
    }
}

impl Cursor {
    /// Where the next byte is read or written.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Waits for what is under way. However that ends, nothing is under way then.
    fn finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<Done, CommandError>> {
        let result = match &mut self.state {
            State::Idle => Ok(Done::Nothing),
            State::Reading(doing) => ready!(doing.as_mut().poll(cx)).map(Done::Read),
            State::Writing(doing, data) => {
                let data = data.clone();
                ready!(doing.as_mut().poll(cx)).map(|()| Done::Written(data))
            }
            State::Flushing(doing) => ready!(doing.as_mut().poll(cx)).map(|()| Done::Flushed),
        };
        self.state = State::Idle;
        if let Ok(Done::Written(data)) = &result {
            self.position += data.len() as u64;
            self.ahead.clear();
        }
        Poll::Ready(result)
    }

    /// The same, but for a read, which nobody needs any more.
    fn settle(&mut self, cx: &mut Context<'_>) -> Poll<Result<Done, CommandError>> {
        if matches!(self.state, State::Reading(_)) {
            self.state = State::Idle;
        }
        self.finish(cx)
    }

    /// Drops what was read ahead if the unit was written since.
    fn refresh(&mut self) {
        if self.version != self.lun.version() {
            self.ahead.clear();
        }
    }

    /// Takes over what was read, unless it has to be read again.
    fn take_read(&mut self, data: Bytes) {
        if self.version == self.lun.version() || self.again == AGAIN {
            self.again = 0;
            self.ahead = data;
        } else {
            self.again += 1;
        }
    }

    /// Starts to read ahead. Says whether there is anything to read.
    fn start_read(&mut self, wanted: usize) -> bool {
        let left = self.lun.len().saturating_sub(self.position);
        let length = left.min(READ_AHEAD.max(wanted as u64)).min(self.lun.max_transfer() as u64) as usize;
        if length == 0 {
            return false;
        }
        let (lun, position) = (self.lun.clone(), self.position);
        self.version = lun.version();
        self.state = State::Reading(Box::pin(async move { lun.read_at(position, length).await }));
        true
    }

    fn start_write(&mut self, data: &[u8]) -> io::Result<()> {
        let left = self.lun.len().saturating_sub(self.position);
        if left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let length = left.min(self.lun.max_transfer() as u64) as usize;
        let data = Bytes::copy_from_slice(data.get(..length).unwrap_or(data));
        let (lun, position, copy) = (self.lun.clone(), self.position, data.clone());
        let doing = Box::pin(async move { lun.write_unaligned_at(position, copy).await });
        self.state = State::Writing(doing, data);
        Ok(())
    }
}

impl AsyncRead for Cursor {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.refresh();
        while this.ahead.is_empty() && buf.remaining() != 0 {
            if let Done::Read(data) = ready!(this.finish(cx))? {
                this.take_read(data);
            } else if !this.start_read(buf.remaining()) {
                break;
            }
        }
        let part = this.ahead.split_to(this.ahead.len().min(buf.remaining()));
        buf.put_slice(&part);
        this.position += part.len() as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Cursor {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            // What is under way is this write, or one that was given up: the bytes tell.
            match ready!(this.settle(cx))? {
                Done::Written(written) if data.starts_with(&written) => return Poll::Ready(Ok(written.len())),
                _ => this.start_write(data)?,
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !matches!(ready!(this.settle(cx))?, Done::Flushed) {
            let lun = this.lun.clone();
            this.state = State::Flushing(Box::pin(async move { lun.flush().await }));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncSeek for Cursor {
    fn start_seek(self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        let this = self.get_mut();
        if !matches!(this.state, State::Idle | State::Reading(_)) {
            return Err(io::Error::other("a write or a flush is under way: wait for it by poll_complete"));
        }
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => this.lun.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => this.position.checked_add_signed(offset),
        };
        let target = target.ok_or(io::ErrorKind::InvalidInput)?;
        let skipped = target.checked_sub(this.position).and_then(|by| usize::try_from(by).ok());
        match skipped.filter(|by| *by <= this.ahead.len()) {
            Some(by) => this.ahead.advance(by),
            None => this.ahead.clear(),
        }
        if target != this.position {
            this.state = State::Idle;
        }
        this.position = target;
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = self.get_mut();
        if !matches!(this.state, State::Reading(_)) {
            ready!(this.finish(cx))?;
        }
        Poll::Ready(Ok(this.position))
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("lun", &self.lun).field("position", &self.position).finish_non_exhaustive()
    }
}
