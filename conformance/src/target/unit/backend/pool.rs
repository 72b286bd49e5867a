use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of a buffer.
pub(super) const BUFFER: usize = 64 * 1024;
/// Buffers that are kept for later.
const KEPT: usize = 512;

/// Buffers for reads. Fresh ones would be zeroed by the kernel page by page, which costs more than the read.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Box<[u8]>>>>);

/// A buffer that is out; it goes back when the last of its readers is done.
#[derive(Debug)]
struct Loan {
    buffer: Box<[u8]>,
    len: usize,
    pool: Pool,
}

impl Pool {
    /// `len` bytes, at most [`BUFFER`], as `fill` puts them.
    pub(super) fn fill<E>(&self, len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Bytes, E> {
        let buffer = self.lock(Vec::pop).unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
        let mut loan = Loan { buffer, len: len.min(BUFFER), pool: self.clone() };
        fill(loan.buffer.get_mut(..loan.len).unwrap_or_default())?;
        Ok(Bytes::from_owner(loan))
    }

    fn lock<T>(&self, work: impl FnOnce(&mut Vec<Box<[u8]>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.pool.lock(|kept| {
            if kept.len() < KEPT {
                kept.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_last_reader_is_done() {
        let pool = Pool::default();
        let get = |byte| {
            pool.fill(10, |bytes| {
                bytes.fill(byte);
                Ok::<(), ()>(())
            })
            .unwrap()
        };
        let first = get(1);
        let (place, reader) = (first.as_ptr(), first.slice(2..5));
        drop(first);
        let second = get(2);
        assert_ne!(second.as_ptr(), place);
        assert_eq!(reader[..], [1; 3]);
        drop(reader);
        assert_eq!(get(3).as_ptr(), place);
        assert_eq!(second[..], [2; 10]);
    }

    #[test]
    fn a_failed_read_gives_its_buffer_back() {
        let pool = Pool::default();
        assert_eq!(pool.fill(1, |_| Err("no")), Err("no"));
        assert_eq!(pool.lock(|kept| kept.len()), 1);
    }
}
