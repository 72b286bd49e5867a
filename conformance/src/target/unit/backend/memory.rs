use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::{Backend, Extent, null};
use crate::target::rope::Rope;

const CHUNK: usize = 64 * 1024;

/// Blocks in memory, which is taken only for what was written.
///
/// A read shares the memory instead of copying it. A write copies a chunk first if a reader still holds it.
#[derive(Debug)]
pub struct MemoryBackend {
    len: u64,
    chunks: Box<[Mutex<Option<Bytes>>]>,
}

/// A part of one chunk.
struct Span {
    chunk: usize,
    start: usize,
    len: usize,
}

impl MemoryBackend {
    /// A store of `len` zeros. Takes about 5 MiB of bookkeeping for each 10 GiB.
    pub fn new(len: u64) -> Self {
        let chunks = len.div_ceil(CHUNK as u64);
        Self { len, chunks: (0..chunks).map(|_| Mutex::new(None)).collect() }
    }

    /// The spans that the range touches, with their chunks locked one after the other.
    fn spans(&self, offset: u64, len: u64) -> impl Iterator<Item = (Span, MutexGuard<'_, Option<Bytes>>)> {
        let end = offset.saturating_add(len).min(self.len);
        let mut at = offset;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (chunk, start) = ((at / CHUNK as u64) as usize, (at % CHUNK as u64) as usize);
            let len = (end - at).min((CHUNK - start) as u64) as usize;
            at += len as u64;
            let guard = self.chunks.get(chunk)?.lock().unwrap_or_else(PoisonError::into_inner);
            Some((Span { chunk, start, len }, guard))
        })
    }

    fn is_mapped(&self, chunk: usize) -> bool {
        self.chunks.get(chunk).is_some_and(|chunk| chunk.lock().unwrap_or_else(PoisonError::into_inner).is_some())
    }
}

/// The chunk as memory of our own: the same, or a copy while readers hold it.
fn own(chunk: Option<Bytes>) -> BytesMut {
    match chunk.map(Bytes::try_into_mut) {
        Some(Ok(own)) => own,
        Some(Err(shared)) => BytesMut::from(&shared[..]),
        None => BytesMut::zeroed(CHUNK),
    }
}

impl Backend for MemoryBackend {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Rope> {
        let mut rope = Rope::new();
        for (span, chunk) in self.spans(offset, len as u64) {
            match &*chunk {
                Some(bytes) => rope.push(bytes.slice(span.start..span.start + span.len)),
                None => rope.push(null::zeros(span.len).to_bytes()),
            }
        }
        Ok(rope)
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        for (span, mut chunk) in self.spans(offset, data.len() as u64) {
            let Some((head, rest)) = data.split_at_checked(span.len) else { break };
            let mut bytes = own(chunk.take());
            if let Some(place) = bytes.get_mut(span.start..span.start + span.len) {
                place.copy_from_slice(head);
            }
            *chunk = Some(bytes.freeze());
            data = rest;
        }
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        for (span, mut chunk) in self.spans(offset, len) {
            let last = span.chunk + 1 == self.chunks.len() && offset + len == self.len;
            if span.start == 0 && (span.len == CHUNK || last) {
                *chunk = None;
            } else if let Some(bytes) = chunk.take() {
                let mut bytes = own(Some(bytes));
                if let Some(place) = bytes.get_mut(span.start..span.start + span.len) {
                    place.fill(0);
                }
                *chunk = Some(bytes.freeze());
            }
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn extent(&self, offset: u64) -> io::Result<Extent> {
        let first = (offset / CHUNK as u64) as usize;
        let mapped = self.is_mapped(first);
        let mut next = first + 1;
        while next < self.chunks.len() && self.is_mapped(next) == mapped {
            next += 1;
        }
        Ok(Extent { mapped, end: (next as u64 * CHUNK as u64).min(self.len) })
    }
}
