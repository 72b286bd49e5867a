use std::io;

use bytes::Bytes;

use super::{Backend, Extent};
use crate::target::rope::Rope;

/// As large as a first-level cache can keep warm while the kernel copies from it again and again.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Reads give zeros, writes are dropped: what is left is the cost of the protocol.
#[derive(Debug)]
pub struct NullBackend {
    len: u64,
}

impl NullBackend {
    /// A store that says it has `len` bytes.
    pub const fn new(len: u64) -> Self {
        Self { len }
    }
}

/// `len` zeros that take no memory of their own.
pub(super) fn zeros(mut len: usize) -> Rope {
    let mut rope = Rope::new();
    let all = Bytes::from_static(&ZEROS);
    while len > 0 {
        let take = len.min(ZEROS.len());
        rope.push(all.slice(..take));
        len -= take;
    }
    rope
}

impl Backend for NullBackend {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, _offset: u64, len: usize) -> io::Result<Rope> {
        Ok(zeros(len))
    }

    fn write(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn extent(&self, _offset: u64) -> io::Result<Extent> {
        Ok(Extent { mapped: false, end: self.len })
    }
}
