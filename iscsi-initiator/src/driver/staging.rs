//! The buffer that the stream is read into before it is cut into PDUs.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Room for many small PDUs, once there are many.
const ROOM: usize = 64 * 1024;
/// Room for the few of a session that is idle.
const SMALL: usize = 4 * 1024;

/// Received bytes that have not been used yet, at `start..end` of one buffer.
#[derive(Debug)]
pub(crate) struct Staging {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Staging {
    /// A buffer that holds `bytes`, which were received with the end of login.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut buffer = vec![0; SMALL.max(bytes.len())];
        buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self { buffer, start: 0, end: bytes.len() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Forgets `count` bytes from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once. Ready with 0 at the end of the stream.
    ///
    /// A PDU that does not fit makes the buffer grow, up to `limit` bytes, which no legal PDU exceeds.
    pub(crate) fn poll_fill<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        self.make_room(limit);
        let mut room = ReadBuf::new(self.buffer.get_mut(self.end..).unwrap_or_default());
        ready!(Pin::new(io).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        let is_full = room.remaining() == 0;
        self.end += count;
        if is_full && self.buffer.len() < ROOM {
            self.buffer.resize(ROOM, 0);
        }
        Poll::Ready(Ok(count))
    }

    /// Gives the room of busy times back, unless it holds something.
    pub(crate) fn shrink(&mut self) {
        if self.end == 0 && self.buffer.len() > SMALL {
            self.buffer = vec![0; SMALL];
        }
    }

    fn make_room(&mut self, limit: usize) {
        if self.start != 0 && self.buffer.len() - self.end < self.buffer.len().min(ROOM) / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            let grown = (self.buffer.len() * 2).min(limit.max(self.buffer.len() + ROOM));
            self.buffer.resize(grown.max(ROOM), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn fill(staging: &mut Staging, mut input: &[u8]) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match staging.poll_fill(&mut input, &mut cx, 1 << 20) {
            Poll::Ready(Ok(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bytes_keep_their_order_while_the_buffer_moves_and_grows() {
        let source: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        let mut staging = Staging::new(&source[..10]);
        let (mut fed, mut used) = (10, 0);
        let mut round = 0;
        while used < source.len() {
            fed += fill(&mut staging, &source[fed..]);
            let held = staging.bytes();
            assert_eq!(held, &source[used..fed]);
            round += 1;
            let take = if round % 3 == 0 { held.len() } else { held.len() / 3 };
            used += take;
            staging.consume(take);
        }
        assert!(staging.bytes().is_empty());
        assert!(staging.buffer.len() <= 4 * ROOM, "{}", staging.buffer.len());
    }

    #[test]
    fn the_buffer_is_small_until_there_is_much_and_again_afterwards() {
        let mut staging = Staging::new(&[1, 2]);
        assert_eq!(fill(&mut staging, &[0; SMALL - 3]), SMALL - 3);
        assert_eq!(staging.buffer.len(), SMALL);
        assert_eq!(fill(&mut staging, &[0; SMALL]), 1);
        assert_eq!(staging.buffer.len(), ROOM);
        staging.consume(SMALL - 1);
        staging.shrink();
        assert_eq!((staging.bytes().len(), staging.buffer.len()), (1, ROOM));
        staging.consume(1);
        staging.shrink();
        assert_eq!((staging.bytes().len(), staging.buffer.len()), (0, SMALL));
    }

    #[test]
    fn the_end_of_the_stream_is_told() {
        assert_eq!(fill(&mut Staging::new(&[]), &[]), 0);
    }
}
