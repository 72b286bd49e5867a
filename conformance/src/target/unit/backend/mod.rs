//! Where the blocks of a logical unit are kept.

mod file;
mod memory;
mod null;
mod pool;

use std::fmt::Debug;
use std::io;

pub use file::FileBackend;
pub use memory::MemoryBackend;
pub use null::NullBackend;

use crate::target::rope::Rope;

/// A run of bytes that holds data, or a run that was never written or was discarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Whether there is data.
    pub mapped: bool,
    /// Where the run ends, in bytes from the start of the unit.
    pub end: u64,
}

/// The store behind a logical unit. Offsets and lengths are bytes, and the caller keeps them inside [`Backend::len`].
///
/// Methods may be called from several threads at once. They run on the connection's task: they may read a page cache,
/// they must not wait for a network.
pub trait Backend: Debug + Send + Sync {
    /// Bytes that the store holds.
    fn len(&self) -> u64;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` bytes from `offset` on.
    fn read(&self, offset: u64, len: usize) -> io::Result<Rope>;

    /// Puts `data` at `offset`.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Gives `len` bytes from `offset` on back; they read as zeros afterwards.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes everything written so far survive a loss of power, as far as the store can.
    fn flush(&self) -> io::Result<()>;

    /// The extent that starts at `offset`.
    fn extent(&self, offset: u64) -> io::Result<Extent>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEN: u64 = 300 * 1024;

    fn temporary_file() -> FileBackend {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LEN).unwrap();
        FileBackend::from_file(file).unwrap()
    }

    fn check(backend: &dyn Backend, steps: &[(u8, u64, usize, u8)]) {
        let mut model = vec![0; LEN as usize];
        for &(kind, offset, len, fill) in steps {
            let len = len.min((LEN - offset) as usize);
            let range = offset as usize..offset as usize + len;
            if kind == 0 {
                backend.discard(offset, len as u64).unwrap();
                model[range.clone()].fill(0);
            } else {
                let data: Vec<u8> = (0..len).map(|i| fill.wrapping_add(i as u8)).collect();
                backend.write(offset, &data).unwrap();
                model[range.clone()].copy_from_slice(&data);
            }
            let read = backend.read(offset.saturating_sub(100), len + 100).unwrap().to_bytes();
            let start = offset.saturating_sub(100) as usize;
            assert!(read[..] == model[start..start + len + 100]);
        }
        assert!(backend.read(0, LEN as usize).unwrap().to_bytes()[..] == model[..]);
        backend.flush().unwrap();
        check_extents(backend, &model);
    }

    /// Extents cover the unit without a gap, and what they call unmapped is zero.
    fn check_extents(backend: &dyn Backend, model: &[u8]) {
        let mut at = 0;
        while at < LEN {
            let extent = backend.extent(at).unwrap();
            assert!(extent.end > at && extent.end <= LEN);
            assert!(extent.mapped || model[at as usize..extent.end as usize].iter().all(|byte| *byte == 0));
            at = extent.end;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn memory_and_file_keep_what_is_written(
            steps in proptest::collection::vec((0..3u8, 0..LEN - 200_000, 0..180_000usize, any::<u8>()), 1..12),
        ) {
            check(&MemoryBackend::new(LEN), &steps);
            check(&temporary_file(), &steps);
        }
    }

    /// A reader that still holds its bytes does not see a later write.
    #[test]
    fn bytes_that_were_read_do_not_change() {
        let memory = MemoryBackend::new(LEN);
        memory.write(0, &[1; 4096]).unwrap();
        let before = memory.read(0, 4096).unwrap();
        memory.write(0, &[2; 4096]).unwrap();
        assert!(before.to_bytes().iter().all(|byte| *byte == 1));
        assert!(memory.read(0, 4096).unwrap().to_bytes().iter().all(|byte| *byte == 2));
    }

    #[test]
    fn null_drops_writes_and_reads_zeros() {
        let null = NullBackend::new(1 << 40);
        null.write(4096, &[7; 512]).unwrap();
        let read = null.read(4000, 300_000).unwrap();
        assert_eq!(read.len(), 300_000);
        assert!(read.to_bytes().iter().all(|byte| *byte == 0));
        assert_eq!(null.extent(5).unwrap(), Extent { mapped: false, end: 1 << 40 });
    }

    #[test]
    fn discarded_memory_is_unmapped() {
        let memory = MemoryBackend::new(LEN);
        assert_eq!(memory.extent(0).unwrap(), Extent { mapped: false, end: LEN });
        memory.write(70_000, &[1]).unwrap();
        assert_eq!(memory.extent(0).unwrap(), Extent { mapped: false, end: 65536 });
        assert_eq!(memory.extent(70_000).unwrap(), Extent { mapped: true, end: 131_072 });
        memory.discard(65536, 65536).unwrap();
        assert_eq!(memory.extent(0).unwrap(), Extent { mapped: false, end: LEN });
    }
}
