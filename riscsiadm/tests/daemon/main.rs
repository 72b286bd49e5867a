//! The daemon, from the command line to the target: the program itself, by the names iscsiadm and riscsid.

#![cfg(test)]

mod basics;
mod failures;
mod iface;
#[path = "../support/isns.rs"]
#[expect(dead_code, reason = "the modes use more of it")]
mod isns;
mod json;
mod loss;
mod moved;
mod parallel;
#[path = "../support/portal.rs"]
#[expect(dead_code, reason = "the modes use more of it")]
mod portal;
mod protocol;
mod startup;
#[path = "../support/target.rs"]
mod target;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use target::Target;

/// The name of the target.
const NAME: &str = "iqn.2001-04.com.example:disk1";
/// How often a test looks for what has to come about, and the pause between two looks: 20 s at least.
const LOOKS: usize = 4000;
const PAUSE: Duration = Duration::from_millis(5);

/// The program with a database and a daemon of its own.
struct Tool {
    dir: TempDir,
    db: PathBuf,
    secret: Option<String>,
}

/// How a call ended: standard output, standard error, exit code.
type Ended = (String, String, i32);

impl Tool {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        for name in ["iscsiadm", "riscsid"] {
            symlink(env!("CARGO_BIN_EXE_riscsiadm"), dir.path().join(name)).unwrap();
        }
        Self { db: dir.path().join("db"), dir, secret: None }
    }

    /// A tool that shares the records of this one, with a daemon of its own.
    fn beside(&self) -> Self {
        let mut tool = Self::new();
        tool.db.clone_from(&self.db);
        tool
    }

    /// What the daemon writes down of its sessions.
    fn state(&self) -> PathBuf {
        let run = fs::canonicalize(self.path("run")).unwrap();
        let label = run.to_str().unwrap().trim_start_matches('/').replace('-', "%2d").replace('/', "-");
        self.db.join(format!("riscsid.{label}.state.json"))
    }

    /// A tool with a record of a target.
    fn with(target: &Target) -> Self {
        let tool = Self::new();
        tool.add(NAME, target);
        tool
    }

    /// Makes a record.
    fn add(&self, name: &str, target: &Target) {
        self.ok(&format!("-m node -o new -T {name} -p {},1", target.addr));
    }

    fn set(&self, key: &str, value: &str) {
        self.ok(&format!("-m node -T {NAME} -o update -n {key} -v {value}"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, name: &str, line: &str) -> Command {
        let mut command = Command::new(self.path(name));
        command.args(line.split_whitespace()).stdin(Stdio::null());
        command.env("RISCSI_DB", &self.db).env("RISCSI_RUN", self.path("run"));
        for name in ["RISCSI_SECRET", "RISCSI_TARGET_SECRET", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"] {
            command.env_remove(name);
        }
        command.envs(self.secret.iter().map(|secret| ("RISCSI_SECRET", secret)));
        command
    }

    /// Runs a command line of words without blanks.
    fn run(&self, line: &str) -> Ended {
        ended(&self.command("iscsiadm", line).output().unwrap())
    }

    /// Starts a command line, and does not wait for it.
    fn spawn(&self, line: &str) -> Child {
        self.command("iscsiadm", line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts a daemon and waits until it listens.
    fn daemon(&self) -> Child {
        let mut command = self.command("riscsid", "");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.until(|| std::os::unix::net::UnixStream::connect(self.path("run/riscsid.sock")).is_ok());
        child
    }

    /// Runs a command line that has to succeed without a word on standard error, and gives what it printed.
    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let (out, err, code) = self.run(line);
        assert_eq!((err.as_str(), code), ("", 0), "{line}");
        out
    }

    /// Runs a command line that has to fail: these lines on standard error, nothing on standard output.
    #[track_caller]
    fn fails(&self, line: &str, code: i32, lines: &[&str]) {
        let expected = lines.iter().map(|line| format!("iscsiadm: {line}\n")).collect::<Vec<_>>().concat();
        assert_eq!(self.run(line), (String::new(), expected, code), "{line}");
    }

    /// Waits until something has come about.
    #[track_caller]
    fn until(&self, look: impl Fn() -> bool) {
        assert!(
            (0..LOOKS).any(|_| look() || {
                std::thread::sleep(PAUSE);
                false
            }),
            "{}",
            self.log()
        );
    }

    /// Waits until the level 1 tree of sessions has these texts.
    #[track_caller]
    fn until_tree(&self, texts: &[&str]) {
        self.until(|| {
            let (tree, _, _) = self.run("-m session -P 1");
            texts.iter().all(|text| tree.contains(text))
        });
    }

    /// The process of the daemon that runs, if one does.
    fn pid(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.path("run/riscsid.lock")).ok()?.trim().parse().ok()?;
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        (program == fs::canonicalize(env!("CARGO_BIN_EXE_riscsiadm")).ok()?).then(|| Pid::from_raw(pid))?
    }

    fn kill(&self, signal: Signal) {
        kill_process(self.pid().unwrap(), signal).unwrap();
    }

    /// What the daemon that a client started has said.
    fn log(&self) -> String {
        fs::read_to_string(self.path("run/riscsid.log")).unwrap_or_default()
    }

    fn login(&self) -> Ended {
        self.run(&format!("-m node -T {NAME} -l"))
    }
}

impl Drop for Tool {
    /// No process stays behind.
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn ended(output: &Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
}

/// `ADDRESS,PORT` of a target.
fn place(target: &Target) -> String {
    format!("{},{}", target.addr.ip(), target.addr.port())
}

/// One of the counters of one session.
#[track_caller]
fn counter(stats: &str, name: &str) -> u64 {
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("\t{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {stats}")).parse().unwrap()
}

/// The line about a login that worked.
fn logged_in(target: &Target) -> String {
    format!("Login to [iface: default, target: {NAME}, portal: {}] successful.\n", place(target))
}

/// A session in messages.
fn title(sid: u32, target: &Target) -> String {
    format!("[sid: {sid}, target: {NAME}, portal: {}]", place(target))
}
