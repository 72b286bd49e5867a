//! The one lock on the database.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::error::DbError;
use super::file;
use super::rival::Claim;

const FILE: &str = ".riscsiadm.lock";
const PAUSE: Duration = Duration::from_millis(10);
const ATTEMPTS: u32 = 3000;

/// The right to change the database, given back on drop. The kernel takes it back from a process that dies.
#[derive(Debug)]
pub(super) struct Lock {
    // Given back first.
    _claim: Option<Claim>,
    _file: File,
}

impl Lock {
    /// Waits for the lock, at most 30 seconds, and sweeps up what a killed writer left behind. Then waits as long
    /// for the lock of open-iscsi in `rival`, if there is one.
    pub(super) fn acquire(root: &Path, rival: Option<&Path>) -> Result<Self, DbError> {
        Self::attempt(root, rival, ATTEMPTS)
    }

    fn attempt(root: &Path, rival: Option<&Path>, attempts: u32) -> Result<Self, DbError> {
        file::make_dir(root)?;
        let path = root.join(FILE);
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(DbError::io("open", &path))?;
        let pause = || sleep(PAUSE);
        wait(&file, &path, attempts, pause)?;
        let claim = rival.map(|dir| Claim::acquire(dir, attempts, pause)).transpose()?.flatten();
        file::sweep(root)?;
        Ok(Self { _claim: claim, _file: file })
    }
}

/// Waits for the kernel's lock on a file.
pub(super) fn wait(file: &File, path: &Path, attempts: u32, mut pause: impl FnMut()) -> Result<(), DbError> {
    for _ in 0..attempts {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => pause(),
            Err(TryLockError::Error(error)) => return Err(DbError::io("lock", path)(error)),
        }
    }
    Err(DbError::LockTimeout(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_waits_and_gives_up_in_time() {
        let root = tempfile::tempdir().unwrap();
        let first = Lock::acquire(root.path(), None).unwrap();
        let error = Lock::attempt(root.path(), None, 1).unwrap_err();
        assert!(error.to_string().starts_with("Timeout on acquiring lock on DB: "), "{error}");
        assert_eq!(error.code(), 6);
        drop(first);
        Lock::attempt(root.path(), None, 1).unwrap();
    }

    #[test]
    fn a_lock_file_without_a_holder_stops_nobody() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(FILE), "4711").unwrap();
        Lock::attempt(root.path(), None, 1).unwrap();
    }

    #[test]
    fn the_lock_of_open_iscsi_is_held_as_long_as_ours() {
        let (root, rival) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = rival.path().join("lock.write");
        let lock = Lock::acquire(root.path(), Some(rival.path())).unwrap();
        assert!(link.exists());
        drop(lock);
        assert!(!link.exists());
        std::fs::write(&link, "").unwrap();
        assert_eq!(Lock::attempt(root.path(), Some(rival.path()), 1).unwrap_err().code(), 6);
        drop(Lock::attempt(root.path(), None, 1).unwrap());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        std::fs::write(&path, "").unwrap();
        let error = Lock::acquire(&path.join("db"), None).unwrap_err();
        assert!(error.to_string().contains("file/db"), "{error}");
        assert_eq!(error.code(), 6);
    }
}
