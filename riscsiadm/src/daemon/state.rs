//! What a daemon leaves behind for the next one: which sessions it holds. No secrets.
//!
//! It lies beside the records, since the directory of the socket is emptied with the service. Daemons that share records do not
//! share it: each has a file by the name of its directory, `riscsid.run-riscsiadm.state.json` for `/run/riscsiadm`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ipc::message::Node;

const VERSION: u32 = 1;
const PAUSE: Duration = Duration::from_millis(10);
const ATTEMPTS: u32 = 100;
/// The longest file that is read, in bytes; a session takes about 300.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// The file and where it is.
#[derive(Debug)]
pub(super) struct StateFile {
    dir: PathBuf,
    /// The directory of the daemon, as part of a file name.
    label: OsString,
    /// Two daemons may have directories of one name, in containers that share the records.
    _lock: File,
}

/// What is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) version: u32,
    /// Since which start of the machine. What was held before another one is not taken up: which sessions a machine
    /// starts with is a matter of `node.startup`.
    pub(super) boot: String,
    /// The random part of session identifiers.
    pub(super) isid: [u8; 3],
    /// The qualifier of the last session identifier.
    pub(super) qualifier: u16,
    /// The number of the next session.
    pub(super) next: u32,
    /// Those that are held.
    pub(super) sessions: Vec<Promise>,
}

/// One session that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Promise {
    pub(super) sid: u32,
    pub(super) isid: String,
    pub(super) node: Node,
    /// Where its record is.
    pub(super) db: PathBuf,
    /// Where the initiator's name is.
    pub(super) config: PathBuf,
}

impl StateFile {
    /// The file in `dir` of the daemon whose directory is `run`. There may be one such daemon; one that is about to end has
    /// a second for it.
    pub(super) fn claim(dir: &Path, run: &Path) -> Result<Self, Failure> {
        Self::attempt(dir, run, ATTEMPTS)
    }

    fn attempt(dir: &Path, run: &Path, attempts: u32) -> Result<Self, Failure> {
        let label = label(run);
        let path = dir.join(name("riscsid.", &label, ".lock"));
        let failed = |error: io::Error| Failure::new(Exit::Failure, format!("{}: {error}", path.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let mut options = File::options();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed)?;
        for _ in 0..attempts {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { dir: dir.to_owned(), label, _lock: lock }),
                Err(TryLockError::WouldBlock) => sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Err(taken(dir, run))
    }

    /// Reads what the last daemon left. Nothing where there is nothing to take up; a damaged file is named in the log,
    /// and nothing more. The caller is the one daemon, so files that a killed one was writing are swept up.
    pub(super) fn read(&self) -> State {
        self.sweep();
        match self.load() {
            Ok(Some(state)) if state.version == VERSION && state.boot == boot() => state,
            Ok(_) => State::default(),
            Err(error) => {
                tracing::warn!("{} is of no use and passed over: {error}", self.path().display());
                State::default()
            }
        }
    }

    /// Replaces the file.
    pub(super) fn write(&self, mut state: State) -> io::Result<()> {
        (state.version, state.boot) = (VERSION, boot());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let mut file = NamedTempFile::with_prefix_in(self.temporary(), &self.dir)?;
        file.write_all(&serde_json::to_vec_pretty(&state)?)?;
        file.as_file().sync_all()?;
        file.persist(self.path()).map_err(|error| error.error)?;
        File::open(&self.dir)?.sync_all()
    }

    fn load(&self) -> io::Result<Option<State>> {
        let file = match File::open(self.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_LEN).read_to_end(&mut bytes)?;
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    fn sweep(&self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(self.temporary().as_bytes()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(name("riscsid.", &self.label, ".state.json"))
    }

    /// How the names of new files begin. No label has the end of it.
    fn temporary(&self) -> OsString {
        name(".riscsid-tmp-", &self.label, "%.")
    }
}

fn taken(dir: &Path, run: &Path) -> Failure {
    let message = format!(
        "another daemon, with a {} of its own, keeps its sessions in {}: give one of them another RISCSI_RUN or RISCSI_DB",
        run.display(),
        dir.display()
    );
    Failure::new(Exit::Failure, message)
}

fn name(head: &str, label: &OsStr, tail: &str) -> OsString {
    [OsStr::new(head), label, OsStr::new(tail)].into_iter().collect()
}

/// A path as part of a file name, readable and by itself.
fn label(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes();
    let mut label = Vec::with_capacity(bytes.len());
    for byte in bytes.strip_prefix(b"/").unwrap_or(bytes) {
        match byte {
            b'/' => label.push(b'-'),
            b'-' | b'%' | 0..=0x1f | 0x7f => label.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            _ => label.push(*byte),
        }
    }
    OsString::from_vec(label)
}

/// What tells this start of the machine from others; the same for all where the system does not say.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn state() -> State {
        let node = Node {
            target: "iqn.2001-04.com.example:a".to_owned(),
            portal: "10.0.0.1:3260".to_owned(),
            tag: Some(1),
            iface: "default".to_owned(),
        };
        let promise =
            Promise { sid: 7, isid: "0x800102030001".to_owned(), node, db: "/db".into(), config: "/etc".into() };
        State { isid: [1, 2, 3], qualifier: 1, next: 8, sessions: vec![promise], ..State::default() }
    }

    fn bare(state: State) -> State {
        State { version: 0, boot: String::new(), ..state }
    }

    #[test]
    fn what_was_written_is_read_and_only_by_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::claim(&dir.path().join("db"), Path::new("/run/x")).unwrap();
        assert_eq!(file.read(), State::default());
        file.write(state()).unwrap();
        assert_eq!(bare(file.read()), state());
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let others = ".riscsid-tmp-run-x-y%.dead";
        for name in [".riscsid-tmp-run-x%.dead", others] {
            fs::write(file.dir.join(name), "").unwrap();
        }
        file.write(State::default()).unwrap();
        assert_eq!(bare(file.read()), State::default());
        let names = fs::read_dir(&file.dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(names, [others, "riscsid.run-x.lock", "riscsid.run-x.state.json"], "its own left-over is gone");
    }

    #[test]
    fn daemons_that_share_records_do_not_share_their_state() {
        let dir = tempfile::tempdir().unwrap();
        let claim = |run: &str| StateFile::claim(dir.path(), Path::new(run));
        let (first, second) = (claim("/run/a").unwrap(), claim("/run/b").unwrap());
        first.write(state()).unwrap();
        assert_eq!(second.read(), State::default());
        second.write(State { next: 99, ..State::default() }).unwrap();
        assert_eq!(bare(first.read()), state());
        let failure = StateFile::attempt(dir.path(), Path::new("/run/a"), 1).unwrap_err();
        assert_eq!(failure.exit, Exit::Failure);
        assert!(failure.message.contains("/run/a of its own") && failure.message.contains("RISCSI_RUN"), "{failure}");
        drop(first);
        assert_eq!(bare(claim("/run/a").unwrap().read()), state(), "a dead daemon keeps nobody away");
    }

    #[test]
    fn each_directory_has_a_name_of_its_own() {
        for (path, expected) in [
            ("/run/riscsiadm", "run-riscsiadm"),
            ("/run/user/1000/riscsiadm", "run-user-1000-riscsiadm"),
            ("/run-user", "run%2duser"),
            ("/run/user", "run-user"),
            ("/a%2db", "a%252db"),
            ("/a\nb c/\u{e9}", "a%0ab c-\u{e9}"),
        ] {
            assert_eq!(label(Path::new(path)), expected, "{path:?}");
        }
    }

    #[test]
    fn a_file_of_another_boot_another_version_or_nonsense_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::claim(dir.path(), Path::new("/run/x")).unwrap();
        file.write(state()).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        for wrong in [
            text.replace(&boot(), "another"),
            text.replace("\"version\": 1", "\"version\": 2"),
            text[..text.len() / 2].to_owned(),
            String::new(),
        ] {
            fs::write(file.path(), &wrong).unwrap();
            assert_eq!(file.read(), State::default(), "{wrong}");
        }
    }
}
