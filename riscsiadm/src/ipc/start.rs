//! Bringing a daemon up where there is none.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::client::Client;
use super::error::IpcError;
use super::log;
use crate::exit::Exit;

/// Tells a daemon that a client started it, and that it should leave the client's terminal.
pub const DETACHED: &str = "RISCSID_DETACHED";

const PAUSE: Duration = Duration::from_millis(20);
/// 15 seconds.
const ATTEMPTS: u32 = 750;
/// A log longer than this is begun anew, in bytes.
const MAX_LOG: u64 = 1024 * 1024;
/// How much of what a daemon said before it died is shown, in bytes.
const MAX_WORDS: u64 = 2048;

/// Begins a conversation with the daemon whose socket is in `run`, and starts one if there is none.
///
/// Of several that start at once one stays, and all clients get that one.
pub fn connect(run: &Path) -> Result<Client, IpcError> {
    if let Some(client) = Client::connect(run)? {
        return Ok(client);
    }
    let mut daemon = Started::spawn(run).map_err(failed)?;
    for _ in 0..ATTEMPTS {
        if let Some(client) = Client::connect(run)? {
            return Ok(client);
        }
        match daemon.ended().map_err(failed)? {
            None => {}
            // Another one is there: it is about to listen, or about to end.
            Some(Exit::Busy) => {
                sleep(PAUSE);
                if let Some(client) = Client::connect(run)? {
                    return Ok(client);
                }
                daemon = Started::spawn(run).map_err(failed)?;
            }
            Some(_) => return Err(IpcError::Start(daemon.words())),
        }
        sleep(PAUSE);
    }
    Err(IpcError::Start(format!("it does not answer; see {}", log(run).display())))
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn failed(error: io::Error) -> IpcError {
    IpcError::Start(error.to_string())
}

/// A daemon that was started and may end at once.
struct Started {
    child: Child,
    log: PathBuf,
    /// Where its own words begin in the log.
    begin: u64,
}

impl Started {
    fn spawn(run: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(run)?;
        let log = log(run);
        if fs::metadata(&log).is_ok_and(|metadata| metadata.len() > MAX_LOG) {
            fs::remove_file(&log)?;
        }
        let file = File::options().create(true).append(true).mode(0o600).open(&log)?;
        let begin = file.metadata()?.len();
        let mut command = Command::new(env::current_exe()?);
        command.arg0("riscsid").current_dir("/").env(DETACHED, "1").stdin(Stdio::null());
        for secret in ["RISCSI_SECRET", "RISCSI_TARGET_SECRET"] {
            command.env_remove(secret);
        }
        for name in ["RISCSI_DB", "RISCSI_RUN"] {
            if let Some(dir) = env::var_os(name).filter(|dir| !dir.is_empty()) {
                command.env(name, std::path::absolute(dir)?);
            }
        }
        let child = command.stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { child, log, begin })
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> io::Result<Option<Exit>> {
        let status = self.child.try_wait()?;
        Ok(status.map(|status| {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            code.and_then(Exit::from_code).unwrap_or(Exit::Failure)
        }))
    }

    /// What it said before it ended.
    fn words(&self) -> String {
        let mut text = String::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.begin))?;
            file.take(MAX_WORDS).read_to_string(&mut text)
        });
        match text.trim() {
            "" => format!("it ended at once; see {}", self.log.display()),
            _ if read.is_err() => format!("it ended at once; see {}", self.log.display()),
            words => words.lines().last().unwrap_or_default().to_owned(),
        }
    }
}
