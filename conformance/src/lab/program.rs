//! Programs of this workspace, for tests that run them as a user does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use super::LabError;

/// Builds a program of this workspace, if that is due, and says where it is. It is built as the tests are.
///
/// Works only within `cargo test`, which the tests' own build has left a target directory for.
pub fn program(package: &str, name: &str) -> Result<PathBuf, LabError> {
    // Cargo would have them wait for each other anyway; like this, their messages stay apart.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock();
    let profile = profile_dir()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", package, "--bin", name]).stdin(Stdio::null());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let done = build.current_dir(env!("CARGO_MANIFEST_DIR")).output().map_err(LabError::io("run cargo"))?;
    if !done.status.success() {
        let command = format!("cargo build --bin {name}");
        return Err(LabError::Tool { command, status: done.status, output: text(&done.stderr) });
    }
    Ok(profile.join(name))
}

/// The folder that holds the programs: that of the test itself, less `deps`.
fn profile_dir() -> Result<PathBuf, LabError> {
    let test = std::env::current_exe().map_err(LabError::io("find this test"))?;
    let folder = test.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).map(Path::to_path_buf);
    folder.ok_or_else(|| LabError::Path(test.display().to_string()))
}

/// The target directory of this build.
pub(super) fn target_dir() -> Result<PathBuf, LabError> {
    let profile = profile_dir()?;
    profile.parent().map(Path::to_path_buf).ok_or_else(|| LabError::Path(profile.display().to_string()))
}

/// `riscsiadm` with a database and a runtime directory of its own.
#[derive(Debug)]
pub struct Riscsiadm {
    program: PathBuf,
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// What a run of a program printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Riscsiadm {
    /// The program as it is now, with an empty database.
    pub fn new() -> Result<Self, LabError> {
        let program = program("riscsiadm", "riscsiadm")?;
        let dir = tempfile::tempdir().map_err(LabError::io("make a directory"))?;
        Ok(Self { program, dir, env: Vec::new() })
    }

    /// Sets an environment variable for all runs from now on.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where the program is.
    pub fn path(&self) -> &Path {
        &self.program
    }

    /// The folder of the database; it goes with this value.
    pub fn db(&self) -> PathBuf {
        self.dir.path().join("db")
    }

    /// The folder of the daemon's socket; it goes with this value.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// A folder with the program under the name `iscsiadm`, for the front of a PATH.
    pub fn as_iscsiadm(&self) -> Result<PathBuf, LabError> {
        let folder = self.dir.path().join("bin");
        std::fs::create_dir_all(&folder).map_err(LabError::io("make a directory"))?;
        let link = folder.join("iscsiadm");
        if !link.exists() {
            std::os::unix::fs::symlink(&self.program, &link).map_err(LabError::io("make a link"))?;
        }
        Ok(folder)
    }

    /// A command with the environment set and no arguments yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        self.set_environment(&mut command);
        command
    }

    /// Gives another command the environment in which the program works on this database.
    pub fn set_environment(&self, command: &mut Command) {
        command.env("RISCSI_DB", self.db()).env("RISCSI_RUN", self.run_dir()).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
    }

    /// Runs it with these arguments, to its end.
    pub fn run(&self, args: &[&str]) -> Result<Ran, LabError> {
        self.command().args(args).output().map(Ran::from).map_err(LabError::io("run riscsiadm"))
    }

    /// Runs it and gives standard output as bytes, whatever they are.
    pub fn bytes(&self, args: &[&str]) -> Result<Vec<u8>, LabError> {
        self.command().args(args).output().map(|done| done.stdout).map_err(LabError::io("run riscsiadm"))
    }
}

impl Drop for Riscsiadm {
    fn drop(&mut self) {
        // A daemon that a login started goes with the database that it belongs to; without one this does nothing.
        let _ = self.command().args(["-k", "0"]).output();
    }
}

impl From<Output> for Ran {
    fn from(done: Output) -> Self {
        Self { code: done.status.code().unwrap_or(-1), stdout: text(&done.stdout), stderr: text(&done.stderr) }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
