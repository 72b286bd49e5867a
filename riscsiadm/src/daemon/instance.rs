//! One daemon for each directory, and its socket.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ipc;

const LOCK: &str = "riscsid.lock";

/// The right to be the daemon, and the socket that goes with it. The kernel takes the right back from a process that
/// dies, so nothing that is left behind keeps the next one away.
#[derive(Debug)]
pub(super) struct Instance {
    lock: File,
    socket: PathBuf,
    /// Whether the socket is this process's to remove: the service manager keeps its own.
    bound: bool,
}

impl Instance {
    /// Becomes the daemon of the directory `run`, unless there is one.
    pub(super) fn claim(run: &Path) -> Result<Self, Failure> {
        let named = |path: &Path, error: io::Error| Failure::new(Exit::Failure, format!("{}: {error}", path.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(run).map_err(|error| named(run, error))?;
        let path = run.join(LOCK);
        let mut options = File::options();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.map_err(|error| named(&path, error))?;
        match lock.try_lock() {
            Ok(()) => {
                let mut lock = lock;
                let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
                written.map_err(|error| named(&path, error))?;
                Ok(Self { lock, socket: ipc::socket(run), bound: false })
            }
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(Exit::Busy, format!("another daemon serves {}", run.display())))
            }
            Err(TryLockError::Error(error)) => Err(named(&path, error)),
        }
    }

    /// Listens: on the socket that the service manager passes, or on one of its own.
    pub(super) fn listen(&mut self) -> Result<UnixListener, Failure> {
        let listener = match passed() {
            Some(listener) => listener,
            None => self.bind().map_err(|error| {
                Failure::new(Exit::Failure, format!("cannot listen at {}: {error}", self.socket.display()))
            })?,
        };
        listener.set_nonblocking(true)?;
        Ok(UnixListener::from_std(listener)?)
    }

    fn bind(&mut self) -> io::Result<StdListener> {
        // Whoever left it behind is dead: the lock is here.
        match fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = StdListener::bind(&self.socket)?;
        self.bound = true;
        fs::set_permissions(&self.socket, Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Takes the socket away, and the number of the process.
    pub(super) fn end(&self) {
        let _ = self.lock.set_len(0);
        if self.bound {
            let _ = fs::remove_file(&self.socket);
        }
    }
}

/// The socket of the service manager, if it started this process.
fn passed() -> Option<StdListener> {
    listenfd::ListenFd::from_env().take_unix_listener(0).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_daemon_and_what_it_leaves_behind_stops_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        let mut first = Instance::claim(&run).unwrap();
        let listener = first.listen().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&run), mode(&ipc::socket(&run))), (0o700, 0o600));
        assert_eq!(Instance::claim(&run).unwrap_err().exit, Exit::Busy);
        // As after a kill: the lock is gone, the files are not.
        drop((first, listener));
        assert!(ipc::socket(&run).exists());
        let mut second = Instance::claim(&run).unwrap();
        assert_eq!(fs::read_to_string(run.join(LOCK)).unwrap(), format!("{}\n", std::process::id()));
        second.listen().unwrap();
        second.end();
        assert!(!ipc::socket(&run).exists());
        assert_eq!(fs::read_to_string(run.join(LOCK)).unwrap(), "");
    }
}
