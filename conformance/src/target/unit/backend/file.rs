use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::pool::{BUFFER, Pool};
use super::{Backend, Extent};
use crate::target::rope::Rope;

/// Blocks in a file or a block device. Reads and writes go through the page cache.
#[derive(Debug)]
pub struct FileBackend {
    file: File,
    len: u64,
    pool: Pool,
}

impl FileBackend {
    /// Opens the file at `path`, whose length then is the size of the store.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        Self::from_file(OpenOptions::new().read(true).write(!read_only).open(path)?)
    }

    /// Takes an open file.
    pub fn from_file(mut file: File) -> io::Result<Self> {
        // The length of a block device is where its end is; its metadata says 0.
        let len = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, len, pool: Pool::default() })
    }

    fn read_into(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                // Somebody cut the file short.
                Ok(0) => {
                    rest.fill(0);
                    break;
                }
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_zeros(&self, mut offset: u64, mut len: u64) -> io::Result<()> {
        let zeros = [0; 16 * 1024];
        while len > 0 {
            let take = len.min(zeros.len() as u64);
            self.file.write_all_at(zeros.get(..take as usize).unwrap_or_default(), offset)?;
            (offset, len) = (offset + take, len - take);
        }
        Ok(())
    }
}

impl Backend for FileBackend {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Rope> {
        let mut rope = Rope::new();
        while rope.len() < len {
            let at = offset + rope.len() as u64;
            let take = (len - rope.len()).min(BUFFER);
            rope.push(self.pool.fill(take, |buffer| self.read_into(buffer, at))?);
        }
        Ok(rope)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => self.write_zeros(offset, len),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn extent(&self, offset: u64) -> io::Result<Extent> {
        use rustix::fs::SeekFrom::{Data, Hole};
        let mapped = |end| Extent { mapped: true, end };
        match rustix::fs::seek(&self.file, Data(offset)) {
            Ok(data) if data > offset => Ok(Extent { mapped: false, end: data.min(self.len) }),
            Ok(_) => match rustix::fs::seek(&self.file, Hole(offset)) {
                Ok(hole) => Ok(mapped(hole.min(self.len))),
                Err(error) => Err(error.into()),
            },
            Err(Errno::NXIO) => Ok(Extent { mapped: false, end: self.len }),
            // The file system cannot tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(mapped(self.len)),
            Err(error) => Err(error.into()),
        }
    }
}
