//! open-iscsi's own lock, which keeps a real `iscsiadm` away while records are changed, and waits while it changes some.
//!
//! There, whoever makes a link named `lock.write` in `/run/lock/iscsi` has the lock, until he removes it. The kernel does not
//! remove it for a process that dies. So the file that is linked here is one of our own, with a lock of the kernel's on it:
//! who has that and finds the link there already knows that its maker is dead, and takes it over.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::DbError;
use super::lock;

/// Where open-iscsi has its lock.
const DIR: &str = "/run/lock/iscsi";
/// Where open-iscsi has its records.
const SHARED: [&str; 2] = ["/var/lib/iscsi", "/etc/iscsi"];
const OURS: &str = "riscsiadm";
const LINK: &str = "lock.write";

/// Where the lock is that goes with the records in `root`; `None` if open-iscsi does not have its records there.
pub(super) fn place(root: &Path) -> Option<PathBuf> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    SHARED.iter().any(|place| real(Path::new(place)) == real(root)).then(|| DIR.into())
}

/// The lock, given back on drop.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    link: PathBuf,
}

impl Claim {
    /// Takes the lock in `dir`, with a pause after each of the `attempts` that others are in the way of.
    ///
    /// `None` where it makes no sense: the directory above does not exist or cannot be written, so that iscsiadm cannot lock
    /// either, or the directory belongs to another user, who could keep us away for ever.
    ///
    /// A link of open-iscsi's that stayed the same for all that time is removed in the end, as open-iscsi does it: who made it
    /// is dead, and the next one is not to wait again.
    pub(super) fn acquire(dir: &Path, attempts: u32, mut pause: impl FnMut()) -> Result<Option<Self>, DbError> {
        if !make(dir)? {
            return Ok(None);
        }
        let path = dir.join(OURS);
        let file = open(&path).map_err(DbError::io("open", &path))?;
        lock::wait(&file, &path, attempts, &mut pause)?;
        let claim = Self { file, link: dir.join(LINK) };
        let first = look(&claim.link);
        for _ in 0..attempts {
            if claim.link(&path)? {
                return Ok(Some(claim));
            }
            pause();
        }
        let last = look(&claim.link);
        if last.is_some() && last == first {
            let _ = fs::remove_file(&claim.link);
        }
        Err(DbError::LockTimeout(claim.link.clone()))
    }

    /// Makes the link, unless somebody else has. One that leads to our own file was left behind by one of us.
    fn link(&self, path: &Path) -> Result<bool, DbError> {
        match fs::hard_link(path, &self.link) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(self.is_ours()),
            Err(error) => Err(DbError::io("create", &self.link)(error)),
        }
    }

    fn is_ours(&self) -> bool {
        let same = |link: &Metadata, file: &Metadata| (link.dev(), link.ino()) == (file.dev(), file.ino());
        matches!((fs::symlink_metadata(&self.link), self.file.metadata()), (Ok(link), Ok(file)) if same(&link, &file))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_file(&self.link);
        }
    }
}

/// Makes the directory if it is missing. False if it is no place for a lock.
fn make(dir: &Path) -> Result<bool, DbError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ReadOnlyFilesystem) => return Ok(false),
        Err(error) => return Err(DbError::io("create", dir)(error)),
    }
    let metadata = fs::symlink_metadata(dir).map_err(DbError::io("open", dir))?;
    let own = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !own {
        tracing::warn!(
            "{} is not a directory of this user: iscsiadm is not kept away by its lock there",
            dir.display()
        );
    }
    Ok(own)
}

/// Opens our file, and nothing that a link leads to.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    File::options().create(true).truncate(false).write(true).mode(0o600).custom_flags(flags).open(path)
}

/// What tells one link from the next: making and removing it is a change of the file.
fn look(link: &Path) -> Option<(u64, i64, i64)> {
    let metadata: io::Result<Metadata> = fs::symlink_metadata(link);
    metadata.ok().map(|metadata| (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A directory as open-iscsi leaves it, and whether an iscsiadm could take the lock now.
    struct Place(TempDir);

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("lock"), "").unwrap();
            Self(dir)
        }

        fn link(&self) -> PathBuf {
            self.0.path().join(LINK)
        }

        /// What iscsiadm does to take the lock.
        fn iscsiadm(&self) -> bool {
            fs::hard_link(self.0.path().join("lock"), self.link()).is_ok()
        }

        fn acquire(&self, attempts: u32, pause: impl FnMut()) -> Result<Option<Claim>, DbError> {
            Claim::acquire(self.0.path(), attempts, pause)
        }
    }

    #[test]
    fn iscsiadm_is_kept_away_and_let_in_again() {
        let place = Place::new();
        let claim = place.acquire(1, || panic!("nobody has it")).unwrap().unwrap();
        assert!(!place.iscsiadm());
        drop(claim);
        assert!(place.iscsiadm());
    }

    #[test]
    fn who_finds_iscsiadm_at_work_waits() {
        let place = Place::new();
        assert!(place.iscsiadm());
        let mut waits = 0;
        let claim = place.acquire(4, || {
            waits += 1;
            if waits == 3 {
                fs::remove_file(place.link()).unwrap();
            }
        });
        assert!(claim.unwrap().is_some());
        assert_eq!((waits, place.link().exists()), (3, false), "and gave it back");
    }

    #[test]
    fn one_iscsiadm_after_the_other_is_not_disturbed() {
        let place = Place::new();
        assert!(place.iscsiadm());
        let mut waits = 0;
        let error = place.acquire(3, || {
            waits += 1;
            fs::remove_file(place.link()).unwrap();
            // Another file, for a clock may be too coarse to tell two links of one file made by a test.
            fs::write(place.link(), "").unwrap();
        });
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), format!("Timeout on acquiring lock on DB: {}", place.link().display()));
        assert_eq!((error.code(), waits, place.link().exists()), (6, 3, true));
    }

    #[test]
    fn a_lock_that_a_dead_iscsiadm_left_behind_costs_one_wait() {
        let place = Place::new();
        assert!(place.iscsiadm());
        assert!(matches!(place.acquire(2, || ()), Err(DbError::LockTimeout(_))));
        assert!(place.acquire(1, || panic!("it is gone")).unwrap().is_some());
    }

    #[test]
    fn a_lock_that_one_of_us_left_behind_costs_nothing() {
        let place = Place::new();
        let killed = place.0.path().join(OURS);
        fs::write(&killed, "").unwrap();
        fs::hard_link(&killed, place.link()).unwrap();
        let claim = place.acquire(1, || panic!("nobody has it")).unwrap();
        assert!(claim.is_some() && !place.iscsiadm());
        drop(claim);
        assert!(place.iscsiadm());
    }

    #[test]
    fn one_of_us_that_is_alive_is_waited_for() {
        let place = Place::new();
        let claim = place.acquire(2, || ()).unwrap();
        assert!(matches!(place.acquire(2, || ()), Err(DbError::LockTimeout(_))));
        assert!(place.link().exists());
        drop(claim);
        assert!(place.acquire(2, || ()).unwrap().is_some());
    }

    #[test]
    fn a_place_where_nobody_can_lock_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Claim::acquire(&dir.path().join("run/iscsi"), 1, || ()).unwrap().is_none());
        assert!(!dir.path().join("run").exists());
        let claim = Claim::acquire(&dir.path().join("iscsi"), 1, || ()).unwrap();
        assert_eq!(fs::metadata(dir.path().join("iscsi")).unwrap().mode() & 0o777, 0o700);
        drop(claim);
        std::os::unix::fs::symlink(dir.path().join("iscsi"), dir.path().join("trap")).unwrap();
        assert!(Claim::acquire(&dir.path().join("trap"), 1, || ()).unwrap().is_none());
    }

    #[test]
    fn a_file_of_ours_is_not_followed_to_another() {
        let place = Place::new();
        std::os::unix::fs::symlink("/dev/null", place.0.path().join(OURS)).unwrap();
        assert_eq!(place.acquire(2, || ()).unwrap_err().code(), 6);
    }

    #[test]
    fn the_lock_goes_with_the_places_of_open_iscsi_alone() {
        for root in SHARED {
            assert_eq!(place(Path::new(root)), Some(DIR.into()));
        }
        for root in ["/", "/var/lib", "/etc/iscsi/nodes", "/home/x/.local/state/riscsiadm"] {
            assert_eq!(place(Path::new(root)), None, "{root}");
        }
    }
}
