//! Programs that drive `iscsiadm` drive `riscsiadm` under its name, against a real tgtd.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod newcomer;
mod python;
mod storm;

use std::path::Path;
use std::process::Command;

use conformance::lab::{self, Lun, Ran, Riscsiadm, Target, Tgt, stamp};
use tempfile::TempDir;

const PLAIN: &str = "iqn.2026-01.org.example:plain";
const CHAP: &str = "iqn.2026-01.org.example:chap";
const USER: (&str, &str) = ("alice", "alicesecret12");

/// A tgtd with a target that lets everybody in and one that demands CHAP, and the tool under the name `iscsiadm`.
struct Bench {
    tgt: Tgt,
    tool: Riscsiadm,
    _dir: TempDir,
}

impl Bench {
    fn start() -> Option<Self> {
        let setup = lab::require(lab::tgt())?;
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        stamp::file(&disk, 1 << 20, 1).unwrap();
        let (user, secret) = USER;
        let plain = Target::new(PLAIN).lun(Lun::file(&disk));
        let chap = Target::new(CHAP).lun(Lun::file(&disk)).chap(user, secret);
        let tgt = setup.target(plain).target(chap).start().unwrap();
        Some(Self { tgt, tool: Riscsiadm::new().unwrap(), _dir: dir })
    }

    fn portal(&self) -> String {
        self.tgt.portal().to_string()
    }

    /// A command that finds `iscsiadm` first on its PATH.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.tool.set_environment(&mut command);
        let folder = self.tool.as_iscsiadm().unwrap();
        let rest = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{rest}", folder.display()));
        // Libraries of the lab's tools are not those of these programs.
        command.env_remove("LD_LIBRARY_PATH");
        command
    }

    fn iscsiadm(&self, args: &[&str]) -> Ran {
        let program = self.tool.as_iscsiadm().unwrap().join("iscsiadm");
        Ran::from(self.command(&program).args(args).output().unwrap())
    }
}
