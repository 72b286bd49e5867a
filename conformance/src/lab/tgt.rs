use std::collections::HashSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::leash::Leash;
use super::plan::{Account, Lun, Target};
use super::{LabError, NotRun, tool};

/// A Unix socket address holds 108 bytes with its end; tgtd adds `.1.lock`.
const LONGEST_SOCKET: usize = 100;
/// How often, and with what pause, the lab asks whether tgtd is ready: 15 s at most.
const ATTEMPTS: usize = 1500;
const PAUSE: Duration = Duration::from_millis(10);

/// A `tgtd` (Debian package tgt) that is being set up; [`start`](Setup::start) runs it.
pub fn tgt() -> Result<Setup, NotRun> {
    if !cfg!(target_os = "linux") {
        return Err(NotRun::new("tgt runs on Linux only"));
    }
    Ok(Setup {
        tgtd: tool("tgtd", "tgt")?,
        tgtadm: tool("tgtadm", "tgt")?,
        listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
        targets: Vec::new(),
        incoming: Vec::new(),
        outgoing: None,
    })
}

/// What a `tgtd` shall serve, and where.
pub struct Setup {
    tgtd: PathBuf,
    tgtadm: PathBuf,
    listen: IpAddr,
    targets: Vec<Target>,
    incoming: Vec<Account>,
    outgoing: Option<Account>,
}

impl Setup {
    /// Adds a target.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// Listens on this loopback address instead of 127.0.0.1. The port is always one that the system picks.
    #[must_use]
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.listen = address;
        self
    }

    /// Asks for CHAP with this user and secret in discovery sessions.
    #[must_use]
    pub fn discovery_chap(mut self, user: &str, secret: &str) -> Self {
        self.incoming.push(Account::new(user, secret));
        self
    }

    /// What the target proves itself with in discovery sessions with mutual CHAP.
    #[must_use]
    pub fn discovery_mutual_chap(mut self, user: &str, secret: &str) -> Self {
        self.outgoing = Some(Account::new(user, secret));
        self
    }

    /// Runs `tgtd` with a control socket of its own, and returns when it serves all that was asked for.
    pub fn start(self) -> Result<Tgt, LabError> {
        let dir = tempfile::Builder::new().prefix("tgt-").tempdir().map_err(LabError::io("make a directory"))?;
        let admin = Admin { program: self.tgtadm.clone(), socket: dir.path().join("s") };
        utf8(&admin.socket, LONGEST_SOCKET)?;
        let log = dir.path().join("log");
        let mut leash = self.launch(&admin, &log)?;
        let portal = self.wait_until_ready(&admin, &mut leash).map_err(|why| not_ready(&why, &log))?;

        let tgt =
            Tgt { leash, admin, portal, names: self.targets.iter().map(|target| target.name.clone()).collect(), dir };
        self.configure(&tgt.admin)?;
        Ok(tgt)
    }

    fn launch(&self, admin: &Admin, log: &Path) -> Result<Leash, LabError> {
        let log = File::create(log).map_err(LabError::io("create the log of tgtd"))?;
        let mut command = Command::new(&self.tgtd);
        // Port 0 is handed through to the system: two labs cannot want the same port.
        let portal = format!("portal={}", SocketAddr::new(self.listen, 0));
        command.env("TGT_IPC_SOCKET", &admin.socket).args(["-f", "-C", "1", "--iscsi", &portal]);
        Leash::start(&command, log).map_err(LabError::io("start tgtd"))
    }

    fn wait_until_ready(&self, admin: &Admin, leash: &mut Leash) -> Result<SocketAddr, String> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match admin.run(&["--mode", "portal", "--op", "show"]) {
                Ok(shown) => return self.own_portal(&shown),
                Err(error) => last = error.to_string(),
            }
            if !leash.is_running() {
                return Err("tgtd ended".to_owned());
            }
            thread::sleep(PAUSE);
        }
        Err(last)
    }

    /// A tgtd that cannot bind what it was told to listens everywhere on port 3260 instead: that must not pass.
    fn own_portal(&self, shown: &str) -> Result<SocketAddr, String> {
        let portal = shown.lines().next().and_then(|line| line.strip_prefix("Portal: "));
        let address = portal.and_then(|portal| portal.rsplit_once(',')).and_then(|(address, _)| address.parse().ok());
        let own = address.filter(|address: &SocketAddr| address.ip() == self.listen && shown.lines().count() == 1);
        own.ok_or_else(|| format!("tgtd listens on {shown:?} instead of {}", self.listen))
    }

    fn configure(&self, admin: &Admin) -> Result<(), LabError> {
        self.create_accounts(admin)?;
        for account in &self.incoming {
            admin.run(&["--mode", "account", "--op", "bind", "--user", &account.user])?;
        }
        if let Some(account) = &self.outgoing {
            admin.run(&["--mode", "account", "--op", "bind", "--user", &account.user, "--outgoing"])?;
        }
        for (target, tid) in self.targets.iter().zip(1..) {
            admin.serve(target, &usize::to_string(&tid))?;
        }
        Ok(())
    }

    /// Accounts belong to the daemon; targets and discovery are bound to them by name.
    fn create_accounts(&self, admin: &Admin) -> Result<(), LabError> {
        let of_targets = self.targets.iter().flat_map(|target| target.incoming.iter().chain(&target.outgoing));
        let mut known = HashSet::new();
        for Account { user, secret } in self.incoming.iter().chain(&self.outgoing).chain(of_targets) {
            if known.insert(user) {
                admin.run(&["--mode", "account", "--op", "new", "--user", user, "--password", secret])?;
            }
        }
        Ok(())
    }
}

/// A running `tgtd`. Dropping it kills the process and removes its socket and files.
pub struct Tgt {
    // Before the directory: fields are dropped in this order.
    leash: Leash,
    admin: Admin,
    portal: SocketAddr,
    names: Vec<String>,
    dir: TempDir,
}

/// A connection that a target has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nexus {
    /// tgt's number of the session.
    pub session: u64,
    /// The connection identifier.
    pub connection: u16,
    /// The name of the initiator.
    pub initiator: String,
}

impl Tgt {
    /// Address and port where the targets are served.
    pub fn portal(&self) -> SocketAddr {
        self.portal
    }

    /// The process id of `tgtd`.
    pub fn pid(&self) -> u32 {
        self.leash.pid()
    }

    /// The directory of the control socket and the log. It goes when the target goes.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `iscsi://ADDRESS:PORT/TARGET/LUN`.
    pub fn url(&self, target: &str, lun: u64) -> String {
        format!("iscsi://{}/{target}/{lun}", self.portal)
    }

    /// What `tgtadm` prints when it is called with these arguments and the lab's control socket.
    pub fn tgtadm(&self, args: &[&str]) -> Result<String, LabError> {
        self.admin.run(args)
    }

    /// Everything that is served, in `tgtadm`'s words.
    pub fn show(&self) -> Result<String, LabError> {
        self.tgtadm(&["--mode", "target", "--op", "show"])
    }

    /// Changes a target while it runs: parameters as in [`Target::param`], and `state` to `offline` or `ready`.
    pub fn update(&self, target: &str, key: &str, value: &str) -> Result<(), LabError> {
        self.admin.update(&self.tid(target)?, key, value)
    }

    /// Changes a LUN while it runs, as in [`Lun::param`].
    pub fn update_lun(&self, target: &str, lun: u64, setting: &str) -> Result<(), LabError> {
        self.admin.update_lun(&self.tid(target)?, &lun.to_string(), setting)
    }

    /// The connections that a target has now.
    pub fn connections(&self, target: &str) -> Result<Vec<Nexus>, LabError> {
        let tid = self.tid(target)?;
        Ok(connections(&self.tgtadm(&["--mode", "conn", "--op", "show", "--tid", &tid])?))
    }

    /// Closes all connections of a target without a word to the initiators; returns how many there were.
    pub fn kick(&self, target: &str) -> Result<usize, LabError> {
        self.kick_those(target, |_| true)
    }

    /// The same for the connections that are `meant`.
    pub fn kick_those(&self, target: &str, meant: impl Fn(&Nexus) -> bool) -> Result<usize, LabError> {
        let tid = self.tid(target)?;
        let mut open = self.connections(target)?;
        open.retain(meant);
        for Nexus { session, connection, .. } in &open {
            let (sid, cid) = (session.to_string(), connection.to_string());
            self.tgtadm(&["--mode", "conn", "--op", "delete", "--tid", &tid, "--sid", &sid, "--cid", &cid])?;
        }
        Ok(open.len())
    }

    /// Adds a file as a disk while the target runs, or takes the disk away.
    pub fn plug(&self, target: &str, lun: u64, file: Option<&Path>) -> Result<(), LabError> {
        let (tid, number) = (self.tid(target)?, lun.to_string());
        if let Some(file) = file {
            return self.admin.add_lun(&Lun::file(file), &tid, &number);
        }
        self.tgtadm(&["--mode", "logicalunit", "--op", "delete", "--tid", &tid, "--lun", &number])?;
        Ok(())
    }

    fn tid(&self, target: &str) -> Result<String, LabError> {
        let place = self.names.iter().position(|name| name == target);
        place.map(|place| (place + 1).to_string()).ok_or_else(|| LabError::UnknownTarget(target.to_owned()))
    }
}

/// `tgtadm`, tied to the control socket of one daemon.
struct Admin {
    program: PathBuf,
    socket: PathBuf,
}

impl Admin {
    fn run(&self, args: &[&str]) -> Result<String, LabError> {
        let mut command = Command::new(&self.program);
        command.env("TGT_IPC_SOCKET", &self.socket).args(["-C", "1", "--lld", "iscsi"]).args(args);
        let done = command.output().map_err(LabError::io("run tgtadm"))?;
        let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            return Ok(stdout);
        }
        let harmless = args.iter().take_while(|arg| **arg != "--password").copied();
        Err(LabError::Tool {
            command: format!("tgtadm {}", harmless.collect::<Vec<_>>().join(" ")),
            status: done.status,
            output: stdout + &String::from_utf8_lossy(&done.stderr),
        })
    }

    fn serve(&self, target: &Target, tid: &str) -> Result<(), LabError> {
        self.run(&["--mode", "target", "--op", "new", "--tid", tid, "-T", &target.name])?;
        for (lun, place) in target.luns.iter().zip(1..) {
            self.add_lun(lun, tid, &lun.number.unwrap_or(place).to_string())?;
        }
        for (key, value) in &target.params {
            self.update(tid, key, value)?;
        }
        for account in &target.incoming {
            self.run(&["--mode", "account", "--op", "bind", "--tid", tid, "--user", &account.user])?;
        }
        if let Some(account) = &target.outgoing {
            self.run(&["--mode", "account", "--op", "bind", "--tid", tid, "--user", &account.user, "--outgoing"])?;
        }
        self.open(target, tid)
    }

    fn add_lun(&self, lun: &Lun, tid: &str, number: &str) -> Result<(), LabError> {
        let (path, block) = (utf8(&lun.path, usize::MAX)?, lun.block.to_string());
        let place = ["--mode", "logicalunit", "--op", "new", "--tid", tid, "--lun", number];
        self.run(&[&place[..], &["-b", path, "--blocksize", &block]].concat())?;
        lun.params.iter().try_for_each(|setting| self.update_lun(tid, number, setting))
    }

    /// Lets initiators in, last, so that none sees a half-made target. An address that matches is enough for tgt even if
    /// the name does not, so there is one rule or the other.
    fn open(&self, target: &Target, tid: &str) -> Result<(), LabError> {
        let bind = ["--mode", "target", "--op", "bind", "--tid", tid];
        if target.initiators.is_empty() {
            self.run(&[&bind[..], &["-I", "ALL"]].concat())?;
        }
        for initiator in &target.initiators {
            self.run(&[&bind[..], &["-Q", initiator]].concat())?;
        }
        Ok(())
    }

    fn update(&self, tid: &str, key: &str, value: &str) -> Result<(), LabError> {
        self.run(&["--mode", "target", "--op", "update", "--tid", tid, "--name", key, "--value", value])?;
        Ok(())
    }

    fn update_lun(&self, tid: &str, lun: &str, setting: &str) -> Result<(), LabError> {
        self.run(&["--mode", "logicalunit", "--op", "update", "--tid", tid, "--lun", lun, "--params", setting])?;
        Ok(())
    }
}

fn connections(shown: &str) -> Vec<Nexus> {
    let mut found = Vec::new();
    let (mut session, mut connection) = (0, 0);
    for line in shown.lines() {
        match line.trim().split_once(": ") {
            Some(("Session", number)) => session = number.parse().unwrap_or_default(),
            Some(("Connection", number)) => connection = number.parse().unwrap_or_default(),
            Some(("Initiator", name)) => found.push(Nexus { session, connection, initiator: name.to_owned() }),
            _ => {}
        }
    }
    found
}

fn utf8(path: &Path, longest: usize) -> Result<&str, LabError> {
    let short = path.to_str().filter(|text| text.len() <= longest);
    short.ok_or_else(|| LabError::Path(path.display().to_string()))
}

fn not_ready(why: &str, log: &Path) -> LabError {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    LabError::NotReady { why: format!("{why}\n{log}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        let [tgtd, tgtadm] = ["/bin/false", "/bin/false"].map(PathBuf::from);
        let listen = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Setup { tgtd, tgtadm, listen, targets: Vec::new(), incoming: Vec::new(), outgoing: None }
    }

    #[test]
    fn only_the_one_portal_asked_for_is_taken_as_ready() {
        let answer = |shown: &str| setup().own_portal(shown).ok();
        assert_eq!(answer("Portal: 127.0.0.1:43879,1\n"), Some("127.0.0.1:43879".parse().unwrap()));
        for wrong in
            ["", "Portal: [::]:3260,1\nPortal: 0.0.0.0:3260,1\n", "Portal: 127.0.0.2:43879,1\n", "Portal: x,1\n"]
        {
            assert_eq!(answer(wrong), None, "{wrong}");
        }
        assert_eq!(answer("Portal: 127.0.0.1:43879,1\nPortal: 0.0.0.0:3260,1\n"), None);
    }

    #[test]
    fn a_daemon_that_ends_at_once_is_an_error_with_its_log() {
        let error = setup().start().err().unwrap();
        assert!(error.to_string().starts_with("the target did not become ready: tgtd ended"), "{error}");
    }

    #[test]
    fn every_connection_is_listed_with_its_session() {
        let shown = "Session: 66\n    Connection: 0\n        Initiator: iqn.a:b\n        IP Address: 127.0.0.1\n\
                     Session: 3\n    Connection: 0\n        Initiator: iqn.c:d\n        IP Address: 127.0.0.1\n    \
                     Connection: 1\n        Initiator: iqn.c:d\n        IP Address: 127.0.0.1\n";
        let nexus = |session, connection, name: &str| Nexus { session, connection, initiator: name.to_owned() };
        let all = [nexus(66, 0, "iqn.a:b"), nexus(3, 0, "iqn.c:d"), nexus(3, 1, "iqn.c:d")];
        assert_eq!(connections(shown), all);
        assert_eq!(connections(""), []);
    }
}
