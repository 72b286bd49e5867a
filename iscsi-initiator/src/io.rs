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

/// The least that is read ahead, in bytes; a longer read gets what it asks for.
const READ_AHEAD: u64 = 64 * 1024;

/// A position in a logical unit. Reads ahead; writes at once, without a buffer, so that a write that has returned is
/// one that the unit has taken.
///
/// Writes that start or end within a block read, change and write that block: see [`Lun::write_unaligned_at`].
/// Flushing is [`Lun::flush`].
///
/// # Cancellation
///
/// A read or a write that is given up part-way goes on with the next call of the same kind.
pub struct Cursor {
    lun: Lun,
    position: u64,
    /// What was read ahead, from `position` on.
    ahead: Bytes,
    state: State,
}

enum State {
    Idle,
    Reading(Doing<Bytes>),
    Writing(Doing<usize>),
    Flushing(Doing<()>),
}

impl Lun {
    /// This unit as a file, at its start.
    pub fn cursor(&self) -> Cursor {
        Cursor { lun: self.clone(), position: 0, ahead: Bytes::new(), state: State::Idle }
    }
}

impl Cursor {
    /// Where the next byte is read or written.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Waits for what an earlier call began and left.
    fn settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Idle => return Poll::Ready(Ok(())),
            State::Reading(_) => {}
            State::Writing(doing) => {
                let written = ready!(doing.as_mut().poll(cx))?;
                self.position += written as u64;
            }
            State::Flushing(doing) => ready!(doing.as_mut().poll(cx))?,
        }
        self.state = State::Idle;
        Poll::Ready(Ok(()))
    }

    fn start_read(&mut self, wanted: usize) -> Option<Doing<Bytes>> {
        let left = self.lun.len().saturating_sub(self.position);
        let length = left.min(READ_AHEAD.max(wanted as u64)).min(self.lun.max_transfer() as u64) as usize;
        let (lun, position) = (self.lun.clone(), self.position);
        (length != 0).then(|| Box::pin(async move { lun.read_at(position, length).await }) as Doing<Bytes>)
    }

    fn start_write(&self, data: &[u8]) -> Doing<usize> {
        let length = data.len().min(self.lun.max_transfer());
        let data = Bytes::copy_from_slice(data.get(..length).unwrap_or_default());
        let (lun, position) = (self.lun.clone(), self.position);
        Box::pin(async move { lun.write_unaligned_at(position, data).await.map(|()| length) })
    }
}

impl AsyncRead for Cursor {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.ahead.is_empty() && buf.remaining() != 0 {
            if !matches!(this.state, State::Reading(_)) {
                ready!(this.settle(cx))?;
                let Some(doing) = this.start_read(buf.remaining()) else { return Poll::Ready(Ok(())) };
                this.state = State::Reading(doing);
            }
            if let State::Reading(doing) = &mut this.state {
                let result = ready!(doing.as_mut().poll(cx));
                this.state = State::Idle;
                this.ahead = result?;
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
        if !matches!(this.state, State::Writing(_)) {
            ready!(this.settle(cx))?;
            if this.position >= this.lun.len() {
                return Poll::Ready(Err(io::ErrorKind::StorageFull.into()));
            }
            let left = usize::try_from(this.lun.len() - this.position).unwrap_or(usize::MAX);
            let data = data.get(..left).unwrap_or(data);
            this.state = State::Writing(this.start_write(data));
        }
        // What was read ahead may be what is written now.
        this.ahead.clear();
        let State::Writing(doing) = &mut this.state else { return Poll::Pending };
        let result = ready!(doing.as_mut().poll(cx));
        this.state = State::Idle;
        let written = result?;
        this.position += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !matches!(this.state, State::Flushing(_)) {
            ready!(this.settle(cx))?;
            let lun = this.lun.clone();
            this.state = State::Flushing(Box::pin(async move { lun.flush().await }));
        }
        this.settle(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncSeek for Cursor {
    fn start_seek(self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        let this = self.get_mut();
        if !matches!(this.state, State::Idle | State::Reading(_)) {
            return Err(io::Error::other("a write is under way"));
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

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position))
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("lun", &self.lun).field("position", &self.position).finish_non_exhaustive()
    }
}
