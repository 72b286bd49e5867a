//! The other side of a measurement.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::cost::processor_seconds;
use super::grid::{Backend, Point, Seat};
use super::raw::Sizes;
use crate::lab::{self, Leash, Lun, Tgt};

/// The name of all targets here.
pub const NAME: &str = "iqn.2026-01.org.example:bench";
/// The size of all LUNs in bytes: what is in memory has to fit there.
const SIZE: u64 = 256 << 20;
const PAUSE: Duration = Duration::from_millis(10);
const ATTEMPTS: u32 = 500;

/// A program that listens. It ends when this is dropped.
pub struct Target {
    kind: Kind,
    addr: SocketAddr,
    lun: u64,
}

enum Kind {
    Program { leash: Leash, _dir: TempDir },
    Tgt { tgt: Tgt, _dir: TempDir },
}

impl Target {
    /// The target that `point` asks for; `bundled` is the program `iscsi-target`.
    pub fn for_point(point: &Point, bundled: &Path) -> io::Result<Self> {
        let lun = match point.backend {
            Backend::Null => format!("null:{SIZE}"),
            Backend::Memory => format!("ram:{SIZE}"),
            Backend::Tgt => return Self::tgt(),
        };
        let mut command = seated(bundled, point.seat);
        command.args(["--listen", "127.0.0.1:0", "--target", NAME, "--lun", &lun]);
        if point.seat == Seat::Polling {
            command.args(["--poll", "1000"]);
        }
        Self::program(&command)
    }

    /// The server of the raw exchange; `bench` is this program.
    pub fn raw(sizes: Sizes, seat: Seat, bench: &Path) -> io::Result<Self> {
        let mut command = seated(bench, seat);
        command.args(["raw-serve", &sizes.request.to_string(), &sizes.response.to_string()]);
        Self::program(&command)
    }

    fn program(command: &Command) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("log");
        let mut leash = Leash::start(command, File::create(&log)?)?;
        let addr = listening(&mut leash, &log)?;
        Ok(Self { kind: Kind::Program { leash, _dir: dir }, addr, lun: 0 })
    }

    fn tgt() -> io::Result<Self> {
        let memory = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
        let dir = tempfile::Builder::new().tempdir_in(memory.unwrap_or_else(std::env::temp_dir))?;
        let disk = dir.path().join("disk");
        File::create(&disk)?.set_len(SIZE)?;
        let setup = lab::tgt().map_err(io::Error::other)?;
        let target = lab::Target::new(NAME).lun(Lun::file(&disk)).param("HeaderDigest", "CRC32C,None");
        let tgt = setup.target(target.param("DataDigest", "CRC32C,None")).start().map_err(io::Error::other)?;
        let addr = tgt.portal();
        Ok(Self { kind: Kind::Tgt { tgt, _dir: dir }, addr, lun: 1 })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of its LUN.
    pub fn url(&self) -> String {
        format!("iscsi://{}/{NAME}/{}", self.addr, self.lun)
    }

    /// Seconds of processor time that it has used so far.
    pub fn cost(&self) -> f64 {
        processor_seconds(match &self.kind {
            Kind::Program { leash, .. } => leash.pid(),
            Kind::Tgt { tgt, .. } => tgt.pid(),
        })
    }
}

/// A command that runs the program where the seat says.
pub fn seated(program: &Path, seat: Seat) -> Command {
    if seat != Seat::OneCore {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0"]).arg(program);
    command
}

fn listening(leash: &mut Leash, log: &Path) -> io::Result<SocketAddr> {
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        said = fs::read_to_string(log)?;
        let line = said.lines().find_map(|line| line.strip_prefix("listening on "));
        if let Some(addr) = line.and_then(|line| line.parse().ok()) {
            return Ok(addr);
        }
        if !leash.is_running() {
            break;
        }
        thread::sleep(PAUSE);
    }
    Err(io::Error::other(format!("the target does not listen: {said}")))
}
