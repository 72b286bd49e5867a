//! Files and directories: read whole, replaced whole, never half.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};
use zeroize::Zeroizing;

use super::error::DbError;

/// The longest record that is read, in bytes; a real one has about 3000.
pub(super) const MAX_RECORD: u64 = 64 * 1024;

/// New files are written in the root of the database, since open-iscsi trips over strange files further down.
const TEMPORARY: &str = ".riscsiadm-tmp-";

/// From this many new files on, one flush of the file system is cheaper than one for each file.
const MANY: usize = 8;

/// A list of changes that are made together: first all new files are on disk, then the steps run in order, then the
/// directories are on disk.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    root: &'a Path,
    steps: Vec<Step>,
    dirs: BTreeSet<PathBuf>,
}

#[derive(Debug)]
enum Step {
    Replace(TempPath, PathBuf),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
    Prune(PathBuf),
}

impl<'a> Batch<'a> {
    /// No changes yet. The caller holds the lock on `root`.
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root, steps: Vec::new(), dirs: BTreeSet::new() }
    }

    /// Puts `bytes` at `path`, in place of what is there.
    pub(super) fn write(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), DbError> {
        let temporary = || {
            let mut file = NamedTempFile::with_prefix_in(TEMPORARY, self.root)?;
            file.write_all(bytes)?;
            io::Result::Ok(file.into_temp_path())
        };
        let temporary = temporary().map_err(DbError::io("write", &path))?;
        self.steps.push(Step::Replace(temporary, path));
        Ok(())
    }

    /// Makes `path` a link to `target`.
    pub(super) fn link(&mut self, path: PathBuf, target: PathBuf) {
        self.steps.push(Step::Link(path, target));
    }

    /// Removes a file or a link. One that is gone already is fine.
    pub(super) fn remove(&mut self, path: PathBuf) {
        self.steps.push(Step::Remove(path));
    }

    /// Removes a directory if it is empty.
    pub(super) fn prune(&mut self, path: PathBuf) {
        self.steps.push(Step::Prune(path));
    }

    /// Makes the changes.
    pub(super) fn commit(mut self) -> Result<(), DbError> {
        self.flush_files()?;
        for step in std::mem::take(&mut self.steps) {
            self.step(step)?;
        }
        self.flush_dirs()
    }

    fn flush_files(&self) -> Result<(), DbError> {
        let files: Vec<&Path> = self.steps.iter().filter_map(Step::temporary).collect();
        if files.len() > MANY {
            return flush_all(self.root);
        }
        files.into_iter().try_for_each(flush)
    }

    fn flush_dirs(&self) -> Result<(), DbError> {
        if self.dirs.len() > MANY {
            return flush_all(self.root);
        }
        self.dirs.iter().filter(|dir| dir.exists()).try_for_each(|dir| flush(dir))
    }

    fn step(&mut self, step: Step) -> Result<(), DbError> {
        match step {
            Step::Replace(temporary, path) => {
                self.enter(&path)?;
                temporary.persist(&path).map_err(|error| DbError::io("write", &path)(error.error))
            }
            Step::Link(path, target) => {
                self.enter(&path)?;
                remove(&path)?;
                symlink(target, &path).map_err(DbError::io("create", &path))
            }
            Step::Remove(path) => {
                self.note(&path);
                remove(&path)
            }
            Step::Prune(path) => {
                self.note(&path);
                prune(&path)
            }
        }
    }

    /// Creates the directory of `path`, and notes every directory that gets a new entry by that.
    fn enter(&mut self, path: &Path) -> Result<(), DbError> {
        let dir = path.parent().unwrap_or(self.root);
        let missing = dir.ancestors().take_while(|dir| !dir.exists()).count();
        self.dirs.extend(dir.ancestors().take(missing + 1).map(Path::to_owned));
        make_dir(dir)
    }

    fn note(&mut self, path: &Path) {
        self.dirs.extend(path.parent().map(Path::to_owned));
    }
}

impl Step {
    fn temporary(&self) -> Option<&Path> {
        match self {
            Self::Replace(temporary, _) => Some(temporary),
            _ => None,
        }
    }
}

/// A text as one component of a path, if it is a plain name: not empty, not hidden, no longer than a file name may be,
/// without slashes and control characters. Every component of every path goes through here.
pub(super) fn component(text: &str) -> Result<&str, DbError> {
    let legal = !text.is_empty()
        && text.len() <= 255
        && !text.starts_with('.')
        && !text.chars().any(|c| c == '/' || c.is_control());
    if legal { Ok(text) } else { Err(DbError::Component(text.chars().take(80).collect())) }
}

/// The contents of a file, or `None` where there is none.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>, DbError> {
    match read_bounded(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(DbError::io("read", path)(error)),
    }
}

fn read_bounded(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let too_long = || io::Error::other(format!("it is longer than {limit} bytes"));
    if metadata.len() > limit {
        return Err(too_long());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_long()) } else { Ok(bytes) }
}

/// The names in a directory, sorted by bytes. Hidden names, and names that no record has, are left out; a directory that
/// does not exist is empty.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, DbError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(DbError::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(DbError::io("list", dir))?.file_name();
        names.extend(name.to_str().filter(|name| component(name).is_ok()).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// Creates a directory with all above it, for the owner alone.
pub(super) fn make_dir(dir: &Path) -> Result<(), DbError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(DbError::io("create", dir))
}

/// Removes new files that a killed writer left in the root. The caller holds the lock, so nobody is writing any.
pub(super) fn sweep(root: &Path) -> Result<(), DbError> {
    let entries = fs::read_dir(root).map_err(DbError::io("list", root))?;
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMPORARY)) {
        remove(&entry.path())?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), DbError> {
    match fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(DbError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn prune(dir: &Path) -> Result<(), DbError> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty && !is_absent(&error) => {
            Err(DbError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

fn flush(path: &Path) -> Result<(), DbError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(DbError::io("flush", path))
}

fn flush_all(root: &Path) -> Result<(), DbError> {
    let file = File::open(root).map_err(DbError::io("flush", root))?;
    rustix::fs::syncfs(&file).map_err(|error| DbError::io("flush", root)(error.into()))
}

/// Whether a file is missing, or a directory on the way to it.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
