//! Transports of a caller's own that behave as TLS does, or break.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use iscsi_initiator::core::{CommandError, ConnectionError};
use iscsi_proto::scsi::Lun;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::peer::{Answer, GOOD, session};

/// Takes everything into a buffer. Only a flush sends it, and that is never done at once.
struct Buffered {
    io: DuplexStream,
    held: Vec<u8>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Buffered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, room)
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.held.is_empty() {
            let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(10))));
            ready!(pause.as_mut().poll(cx));
            let count = ready!(Pin::new(&mut this.io).poll_write(cx, &this.held))?;
            this.held.drain(..count);
            this.pause = None;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_takes_its_time_is_seen_through() {
    let session = session(|io| Buffered { io, held: Vec::new(), pause: None }, |_| GOOD).await;
    session.ping().await.unwrap();
    let lun = session.open(Lun::ZERO).await.unwrap();
    lun.write_at(0, vec![1; 3 << 20]).await.unwrap();
    lun.read_at(0, 3 << 20).await.unwrap();
    session.logout().await.unwrap();
}

/// Breaks when a test wants it to.
struct Breaking {
    io: DuplexStream,
    stage: Arc<AtomicU8>,
}

/// Everything goes through.
const WHOLE: u8 = 0;
/// One more write goes through, and what comes in waits.
const HELD: u8 = 1;
/// The next write fails; what has come in by then can be read.
const BROKEN: u8 = 2;

impl AsyncRead for Breaking {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.stage.load(Ordering::Relaxed) != WHOLE {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, room)
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.stage.load(Ordering::Relaxed) {
            HELD => self.stage.store(BROKEN, Ordering::Relaxed),
            BROKEN => {
                self.stage.store(WHOLE, Ordering::Relaxed);
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            _ => {}
        }
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn r261_an_answer_that_came_before_the_transport_broke_counts() {
    let stage = Arc::new(AtomicU8::new(WHOLE));
    let session = session(|io| Breaking { io, stage: Arc::clone(&stage) }, |_| Answer::Good(7)).await;
    let lun = session.open(Lun::ZERO).await.unwrap();
    stage.store(HELD, Ordering::Relaxed);
    let reading = tokio::spawn(async move { lun.read_at(0, 512).await });
    // Virtual time passes once everybody waits: the answer is in the pipe then.
    sleep(Duration::from_secs(1)).await;
    let error = session.ping().await.unwrap_err();
    assert!(matches!(error, CommandError::Closed { error: ConnectionError::ClosedByTarget, .. }), "{error}");
    assert_eq!(reading.await.unwrap().unwrap(), [7; 512][..]);
}
