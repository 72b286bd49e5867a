//! A transport that somebody may listen to.

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tap::{Direction, Ends, Tap, Wire};

/// The transport, and who listens. Without a listener all it costs is one branch per call.
pub(crate) struct Line<IO> {
    io: IO,
    wire: Option<Box<dyn Wire>>,
    /// Reads without asking the runtime, which learns of new data only when it looks at all sockets.
    at_once: Option<AtOnce<IO>>,
}

type AtOnce<IO> = fn(&IO, &mut [u8]) -> io::Result<usize>;

impl<IO> Line<IO> {
    /// A transport of the caller's.
    pub(crate) fn new(io: IO, tap: Option<&Arc<dyn Tap>>) -> Self {
        Self { io, wire: tap.map(|tap| tap.connected(None)), at_once: None }
    }

    /// The transport itself.
    pub(crate) const fn get_ref(&self) -> &IO {
        &self.io
    }
}

impl Line<TcpStream> {
    /// A TCP connection.
    pub(crate) fn tcp(io: TcpStream, tap: Option<&Arc<dyn Tap>>) -> Self {
        let wire = tap.map(|tap| tap.connected(ends(&io)));
        Self { io, wire, at_once: None }
    }

    /// From now on each read asks the socket itself, which is what a task wants that polls and does not sleep.
    pub(crate) fn read_at_once(&mut self) {
        self.at_once = Some(|io, buffer| (&*SockRef::from(io)).read(buffer));
    }
}

fn ends(io: &TcpStream) -> Option<Ends> {
    Some(Ends { local: io.local_addr().ok()?, peer: io.peer_addr().ok()? })
}

fn read<IO: AsyncRead + Unpin>(
    io: &mut IO,
    at_once: Option<AtOnce<IO>>,
    cx: &mut Context<'_>,
    room: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    if let Some(at_once) = at_once {
        match at_once(io, room.initialize_unfilled()) {
            Ok(count) => {
                room.advance(count);
                return Poll::Ready(Ok(()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Pin::new(io).poll_read(cx, room)
}

impl<IO: AsyncRead + Unpin> AsyncRead for Line<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(wire) = &mut this.wire else { return read(&mut this.io, this.at_once, cx, room) };
        let (before, space) = (room.filled().len(), room.remaining());
        ready!(read(&mut this.io, this.at_once, cx, room))?;
        if space != 0 {
            wire.saw(Direction::Received, room.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Line<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.io).poll_write(cx, data))?;
        if let Some(wire) = &mut this.wire {
            saw_sent(wire.as_mut(), &[IoSlice::new(data)], count);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, slices))?;
        if let Some(wire) = &mut this.wire {
            saw_sent(wire.as_mut(), slices, count);
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Tells of the first `count` bytes of `slices`, in one piece: so they came to the transport.
fn saw_sent(wire: &mut dyn Wire, slices: &[IoSlice<'_>], count: usize) {
    let mut sent = Vec::with_capacity(count);
    for slice in slices {
        let left = count - sent.len();
        sent.extend_from_slice(slice.get(..left).unwrap_or(slice));
    }
    if !sent.is_empty() {
        wire.saw(Direction::Sent, &sent);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    type Seen = Vec<(Direction, Vec<u8>)>;

    #[derive(Clone, Debug, Default)]
    struct Ear(Arc<Mutex<Seen>>);

    impl Tap for Ear {
        fn connected(&self, ends: Option<Ends>) -> Box<dyn Wire> {
            assert_eq!(ends, None);
            Box::new(self.clone())
        }
    }

    impl Wire for Ear {
        fn saw(&mut self, direction: Direction, bytes: &[u8]) {
            self.0.lock().unwrap().push((direction, bytes.to_vec()));
        }
    }

    #[tokio::test]
    async fn what_was_taken_and_given_is_told_in_order_and_no_more() {
        let ear = Ear::default();
        let tap: Arc<dyn Tap> = Arc::new(ear.clone());
        let (near, mut far) = duplex(8);
        let mut line = Line::new(near, Some(&tap));
        line.write_all(b"abc").await.unwrap();
        let slices = [IoSlice::new(b"de"), IoSlice::new(b""), IoSlice::new(b"fghij")];
        // The pipe takes five bytes more; whatever is taken has to be what is told.
        let taken = line.write_vectored(&slices).await.unwrap();
        far.write_all(b"xyz").await.unwrap();
        let mut buffer = [0; 2];
        assert_eq!(line.read(&mut buffer).await.unwrap(), 2);
        assert_eq!(line.read(&mut buffer).await.unwrap(), 1);
        drop(far);
        assert_eq!(line.read(&mut buffer).await.unwrap(), 0);

        let (sent, received) = (Direction::Sent, Direction::Received);
        let all = b"defghij";
        let expected: Seen =
            [(sent, &b"abc"[..]), (sent, &all[..taken]), (received, b"xy"), (received, b"z"), (received, b"")]
                .map(|(direction, bytes)| (direction, bytes.to_vec()))
                .to_vec();
        assert!((1..=5).contains(&taken), "{taken}");
        assert_eq!(*ear.0.lock().unwrap(), expected);
    }

    #[test]
    fn only_what_was_taken_of_many_slices_is_told() {
        for (count, told) in [(0, None), (1, Some("a")), (2, Some("ab")), (3, Some("abc")), (5, Some("abcde"))] {
            let mut ear = Ear::default();
            saw_sent(&mut ear, &[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")], count);
            let expected: Seen =
                told.map(|text: &str| (Direction::Sent, text.as_bytes().to_vec())).into_iter().collect();
            assert_eq!(*ear.0.lock().unwrap(), expected, "{count}");
        }
    }

    #[test]
    fn the_transport_is_still_asked_whether_it_takes_many_slices() {
        let (near, _far) = duplex(8);
        let vectored = near.is_write_vectored();
        assert_eq!(Line::new(near, None).is_write_vectored(), vectored);
    }
}
