//! What a daemon leaves behind for the next one: which sessions it holds. No secrets.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::ipc::message::Node;

const FILE: &str = "riscsid.state.json";
const TEMPORARY: &str = ".riscsid-tmp-";
const VERSION: u32 = 1;
/// The longest file that is read, in bytes; a session takes about 300.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// The file and where it is.
#[derive(Debug)]
pub(super) struct StateFile {
    dir: PathBuf,
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
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
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
        let mut file = NamedTempFile::with_prefix_in(TEMPORARY, &self.dir)?;
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
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }
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
        let file = StateFile::new(&dir.path().join("db"));
        assert_eq!(file.read(), State::default());
        file.write(state()).unwrap();
        assert_eq!(bare(file.read()), state());
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(file.dir.join(".riscsid-tmp-x"), "").unwrap();
        file.write(State::default()).unwrap();
        assert_eq!(bare(file.read()), State::default());
        assert_eq!(fs::read_dir(&file.dir).unwrap().count(), 1, "the left-over is gone");
    }

    #[test]
    fn a_file_of_another_boot_another_version_or_nonsense_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path());
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
