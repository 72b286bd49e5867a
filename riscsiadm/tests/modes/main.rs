//! The modes, from the command line to what is printed and what lies on disk: the program itself, by the name iscsiadm.

#![cfg(test)]

mod discovery;
mod discoverydb;
mod firmware;
mod host;
mod iface;
#[path = "../support/isns.rs"]
mod isns;
#[path = "isns.rs"]
mod isns_mode;
mod json;
mod node;
#[path = "../support/portal.rs"]
mod portal;
mod secrets;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The program with a database of its own, in memory where that can be had.
struct Tool {
    dir: TempDir,
    program: PathBuf,
    vars: Vec<(String, String)>,
}

/// How a call ended: standard output, standard error, exit code.
type Ended = (String, String, i32);

impl Tool {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let program = dir.path().join("iscsiadm");
        symlink(env!("CARGO_BIN_EXE_riscsiadm"), &program).unwrap();
        Self { dir, program, vars: Vec::new() }
    }

    fn with_var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where records are.
    fn db(&self) -> PathBuf {
        self.dir.path().join("db")
    }

    /// Runs a command line of words without blanks.
    fn run(&self, line: &str) -> Ended {
        let mut command = Command::new(&self.program);
        command.args(line.split_whitespace()).stdin(Stdio::null());
        for name in ["RISCSI_SECRET", "RISCSI_TARGET_SECRET"] {
            command.env_remove(name);
        }
        command.env("RISCSI_DB", self.db()).env("RISCSI_RUN", self.dir.path().join("run"));
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        let Output { stdout, stderr, status } = command.output().unwrap();
        (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap(), status.code().unwrap())
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

    /// Writes a file beside the records.
    fn file(&self, name: &str, text: &str) -> String {
        fs::create_dir_all(self.db()).unwrap();
        let path = self.db().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Every file and link below `dir`, sorted, but for the lock and the initiator's name.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                dirs.push(path);
            } else {
                found.push(path.strip_prefix(dir).unwrap().display().to_string());
            }
        }
    }
    found.retain(|name| !name.starts_with('.') && name != "initiatorname.iscsi");
    found.sort();
    found
}

/// The value of a key in a printed record.
fn printed<'a>(record: &'a str, key: &str) -> Option<&'a str> {
    record.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
}
