//! The bundled target as others run it: its program, on a port of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::program::program;
use super::{LabError, Leash};

const PAUSE: Duration = Duration::from_millis(10);
const ATTEMPTS: u32 = 1000;

/// A running `iscsi-target`. Dropping it kills the process.
#[derive(Debug)]
pub struct Bundled {
    // Before the directory: fields are dropped in this order.
    leash: Leash,
    portal: SocketAddr,
    _dir: TempDir,
}

impl Bundled {
    /// Starts the program with these arguments behind `--listen 127.0.0.1:0`, and returns when it listens.
    pub fn start(args: &[&str]) -> Result<Self, LabError> {
        let program = program("conformance", "iscsi-target")?;
        let dir = tempfile::tempdir().map_err(LabError::io("make a directory"))?;
        let log = dir.path().join("log");
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        let file = File::create(&log).map_err(LabError::io("create the log of iscsi-target"))?;
        let mut leash = Leash::start(&command, file).map_err(LabError::io("start iscsi-target"))?;
        let portal = wait_until_ready(&mut leash, &log)?;
        Ok(Self { leash, portal, _dir: dir })
    }

    /// Address and port where the targets are served.
    pub fn portal(&self) -> SocketAddr {
        self.portal
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.leash.pid()
    }

    /// `iscsi://ADDRESS:PORT/TARGET/LUN`.
    pub fn url(&self, target: &str, lun: u64) -> String {
        format!("iscsi://{}/{target}/{lun}", self.portal)
    }
}

fn wait_until_ready(leash: &mut Leash, log: &Path) -> Result<SocketAddr, LabError> {
    for _ in 0..ATTEMPTS {
        let said = fs::read_to_string(log).unwrap_or_default();
        let line = said.lines().find_map(|line| line.strip_prefix("listening on "));
        if let Some(portal) = line.and_then(|line| line.parse().ok()) {
            return Ok(portal);
        }
        if !leash.is_running() {
            return Err(LabError::NotReady { why: format!("iscsi-target ended: {said}") });
        }
        thread::sleep(PAUSE);
    }
    Err(LabError::NotReady { why: fs::read_to_string(log).unwrap_or_default() })
}
