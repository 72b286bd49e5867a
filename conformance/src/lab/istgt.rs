use std::fmt::Write;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::leash::Leash;
use super::plan::{Account, Target};
use super::port::on_free_port;
use super::{LabError, NotRun, tool};

/// Its two portals, which are one portal group.
const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))];

/// An `istgt` (Debian package istgt) that is being set up; [`start`](IstgtSetup::start) runs it.
pub fn istgt() -> Result<IstgtSetup, NotRun> {
    if !cfg!(target_os = "linux") {
        return Err(NotRun::new("the lab for istgt needs 127.0.0.2, which Linux has without being told"));
    }
    Ok(IstgtSetup { program: tool("istgt", "istgt")?, targets: Vec::new(), params: Vec::new() })
}

/// What an `istgt` shall serve, and how.
pub struct IstgtSetup {
    program: PathBuf,
    targets: Vec<Target>,
    params: Vec<(String, String)>,
}

impl IstgtSetup {
    /// Adds a target. LUNs without a number count from 0; a parameter is a line of istgt's section
    /// `LogicalUnit`, such as `UseDigest` with `Header Data`. Of several users one is taken for mutual CHAP.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// Sets a parameter of all sessions, such as `MaxBurstLength`.
    #[must_use]
    pub fn param(mut self, key: &str, value: &str) -> Self {
        self.params.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Runs `istgt` on a port that is free on 127.0.0.1 and 127.0.0.2, and returns when it listens on both.
    pub fn start(self) -> Result<Istgt, LabError> {
        let dir = tempfile::Builder::new().prefix("istgt-").tempdir().map_err(LabError::io("make a directory"))?;
        private(&dir.path().join("auth.conf"), &self.accounts())?;
        let log = dir.path().join("log");
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let (leash, portals) = on_free_port(ADDRESSES, said, |port| self.launch(dir.path(), port))?;
        Ok(Istgt { leash, program: self.program, portals, dir })
    }

    fn launch(&self, dir: &Path, port: u16) -> Result<Leash, LabError> {
        let config = dir.join("istgt.conf");
        fs::write(&config, self.config(dir, port)).map_err(LabError::io("write istgt.conf"))?;
        let log = File::create(dir.join("log")).map_err(LabError::io("create the log of istgt"))?;
        let mut command = Command::new(&self.program);
        // Not in its normal mode: there the thread that sends is ended too early one time in ten, and the Logout Response is
        // lost (RFC 7143, section 11.15).
        command.args(["-D", "-m", "0", "-c"]).arg(config);
        Leash::start(&command, log).map_err(LabError::io("start istgt"))
    }

    fn config(&self, dir: &Path, port: u16) -> String {
        let dir = dir.display();
        let mut text = format!(
            "[Global]\nNodeBase \"iqn.2026-01.org.example\"\nPidFile {dir}/pid\nAuthFile {dir}/auth.conf\n\
             MediaDirectory {dir}\nTimeout 30\nNopInInterval 20\nDiscoveryAuthMethod None\nMaxSessions 32\n\
             MaxConnections 4\nMaxR2T 32\nMaxOutstandingR2T 16\nDefaultTime2Wait 2\nDefaultTime2Retain 60\n\
             FirstBurstLength 262144\nMaxBurstLength 1048576\nMaxRecvDataSegmentLength 262144\n"
        );
        for (key, value) in &self.params {
            let _ = writeln!(text, "{key} {value}");
        }
        // It does not run without a portal for its own control program.
        text.push_str(
            "[UnitControl]\nAuthMethod CHAP\nAuthGroup AuthGroup9999\nPortal UC1 127.0.0.1:0\nNetmask 127.0.0.1\n",
        );
        text.push_str("[PortalGroup1]\n");
        for (number, address) in ADDRESSES.iter().enumerate() {
            let _ = writeln!(text, "Portal DA{number} {address}:{port}");
        }
        for (target, number) in self.targets.iter().zip(1..) {
            unit(&mut text, target, number);
        }
        text
    }

    fn accounts(&self) -> String {
        let mut text = "[AuthGroup9999]\nAuth \"control\" \"secret-of-control\"\n".to_owned();
        for (target, number) in self.targets.iter().zip(1..) {
            let _ = writeln!(text, "[AuthGroup{number}]");
            for Account { user, secret } in &target.incoming {
                let _ = write!(text, "Auth \"{user}\" \"{secret}\"");
                if let Some(Account { user, secret }) = &target.outgoing {
                    let _ = write!(text, " \"{user}\" \"{secret}\"");
                }
                text.push('\n');
            }
        }
        text
    }
}

fn unit(text: &mut String, target: &Target, number: usize) {
    let _ = writeln!(text, "[InitiatorGroup{number}]");
    let anybody = target.initiators.is_empty().then(|| "ALL".to_owned());
    for name in target.initiators.iter().chain(&anybody) {
        let _ = writeln!(text, "InitiatorName \"{name}\"");
    }
    let auth = match (&target.incoming[..], &target.outgoing) {
        ([], _) => "None",
        (_, None) => "CHAP",
        (_, Some(_)) => "CHAP Mutual",
    };
    let _ = writeln!(
        text,
        "Netmask 127.0.0.0/8\n[LogicalUnit{number}]\nTargetName {}\nMapping PortalGroup1 InitiatorGroup{number}\n\
         AuthMethod {auth}\nAuthGroup AuthGroup{number}\nUnitType Disk",
        target.name
    );
    for (key, value) in &target.params {
        let _ = writeln!(text, "{key} {value}");
    }
    for (lun, place) in target.luns.iter().zip(0..) {
        let _ = writeln!(text, "LUN{} Storage {} Auto", lun.number.unwrap_or(place), lun.path.display());
    }
}

/// istgt takes a file with secrets only if nobody else can read it.
fn private(path: &Path, text: &str) -> Result<(), LabError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(LabError::io("write auth.conf"))
}

/// A running `istgt`. Dropping it kills the process and removes its files.
pub struct Istgt {
    // Before the directory: fields are dropped in this order.
    leash: Leash,
    program: PathBuf,
    portals: [SocketAddr; 2],
    dir: TempDir,
}

impl Istgt {
    /// Both portals, on one port of 127.0.0.1 and 127.0.0.2. All targets are at both.
    pub fn portals(&self) -> [SocketAddr; 2] {
        self.portals
    }

    fn first(&self) -> SocketAddr {
        let [first, _] = self.portals;
        first
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.leash.pid()
    }

    /// `iscsi://ADDRESS:PORT/TARGET/LUN`, at the first portal.
    pub fn url(&self, target: &str, lun: u64) -> String {
        format!("iscsi://{}/{target}/{lun}", self.first())
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Its version, such as `istgt 0.4 20111008`.
    pub fn version(&self) -> String {
        let said = Command::new(&self.program).arg("-V").output().map(|done| done.stdout).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let numbers: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().last()).collect();
        format!("istgt {}", numbers.join(" "))
    }
}
