//! Where files are.
//!
//! | | root | an ordinary user |
//! |---|---|---|
//! | `iscsid.conf`, `initiatorname.iscsi` | `/etc/iscsi` | `$XDG_STATE_HOME/riscsiadm` |
//! | records | `/var/lib/iscsi` or `/etc/iscsi`, where open-iscsi has them | the same |
//! | socket of the daemon | `/run/riscsiadm` | `$XDG_RUNTIME_DIR/riscsiadm` |
//!
//! `RISCSI_DB` replaces the first two rows, `RISCSI_RUN` the third. `XDG_STATE_HOME` is `~/.local/state` where it is not
//! set; without `XDG_RUNTIME_DIR` the socket is in `run` beside the records.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::DbError;

/// The directories in use. None of them needs to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `iscsid.conf` and `initiatorname.iscsi`.
    pub config: PathBuf,
    /// `nodes`, `send_targets`, `ifaces` and so on.
    pub db: PathBuf,
    /// The daemon's socket.
    pub run: PathBuf,
}

impl Paths {
    /// The directories of this process, by its environment and its effective user.
    pub fn from_env() -> Result<Self, DbError> {
        Self::resolve(&|name| env::var_os(name), rustix::process::geteuid().is_root(), Path::new("/"))
    }

    /// The same for any environment, user and root of the file system.
    pub fn resolve(var: &dyn Fn(&str) -> Option<OsString>, root: bool, fs: &Path) -> Result<Self, DbError> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut paths = match var("RISCSI_DB") {
            Some(db) => Self { config: db.clone(), run: db.join("run"), db },
            None if root => Self { config: fs.join("etc/iscsi"), db: shared(fs), run: fs.join("run/riscsiadm") },
            None => private(&var)?,
        };
        let runtime = var("XDG_RUNTIME_DIR").filter(|dir| !root && dir.is_absolute());
        paths.run = match var("RISCSI_RUN") {
            Some(run) => run,
            None if root => fs.join("run/riscsiadm"),
            None => runtime.map_or(paths.run, |dir| dir.join("riscsiadm")),
        };
        Ok(paths)
    }
}

/// Distributions differ: follow the records, then the directory that a package made, then upstream.
fn shared(root: &Path) -> PathBuf {
    let places = [root.join("var/lib/iscsi"), root.join("etc/iscsi")];
    let has_records = |place: &&PathBuf| {
        ["nodes", "send_targets", "ifaces"]
            .iter()
            .any(|dir| fs::read_dir(place.join(dir)).is_ok_and(|mut dir| dir.next().is_some()))
    };
    let place = places.iter().find(has_records).or_else(|| places.iter().find(|place| place.is_dir()));
    place.unwrap_or(&places[0]).clone()
}

fn private(var: &dyn Fn(&str) -> Option<PathBuf>) -> Result<Paths, DbError> {
    let absolute = |name| var(name).filter(|dir| dir.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let dir = state.ok_or(DbError::NoHome)?.join("riscsiadm");
    Ok(Paths { config: dir.clone(), run: dir.join("run"), db: dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(vars: &[(&str, &str)], root: bool, fs: &Path) -> Result<Paths, DbError> {
        let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Paths::resolve(&var, root, fs)
    }

    fn paths(vars: &[(&str, &str)], root: bool) -> [String; 3] {
        let paths = resolve(vars, root, Path::new("/nonexistent")).unwrap();
        [paths.config, paths.db, paths.run].map(|path| path.to_str().unwrap().replace("/nonexistent", ""))
    }

    #[test]
    fn an_ordinary_user_has_xdg_directories() {
        let all = [("XDG_STATE_HOME", "/s"), ("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")];
        assert_eq!(paths(&all, false), ["/s/riscsiadm", "/s/riscsiadm", "/r/riscsiadm"]);
        let home = "/h/.local/state/riscsiadm";
        assert_eq!(paths(&[("HOME", "/h")], false), [home, home, "/h/.local/state/riscsiadm/run"]);
        let relative = [("XDG_STATE_HOME", "s"), ("HOME", "/h"), ("XDG_RUNTIME_DIR", "r")];
        assert_eq!(paths(&relative, false), [home, home, "/h/.local/state/riscsiadm/run"]);
    }

    #[test]
    fn without_any_place_the_error_names_the_variables() {
        for vars in [&[][..], &[("HOME", "")], &[("HOME", "h"), ("XDG_STATE_HOME", "s")]] {
            let error = resolve(vars, false, Path::new("/")).unwrap_err();
            assert!(matches!(error, DbError::NoHome), "{vars:?}");
            assert!(error.to_string().contains("RISCSI_DB"));
        }
    }

    #[test]
    fn two_variables_override_everything() {
        let vars = [("RISCSI_DB", "/db"), ("RISCSI_RUN", "/run"), ("XDG_STATE_HOME", "/s"), ("XDG_RUNTIME_DIR", "/r")];
        for root in [false, true] {
            assert_eq!(paths(&vars, root), ["/db", "/db", "/run"]);
        }
        assert_eq!(paths(&[("RISCSI_DB", "/db")], false), ["/db", "/db", "/db/run"]);
        assert_eq!(paths(&[("RISCSI_DB", "/db")], true), ["/db", "/db", "/run/riscsiadm"]);
        assert_eq!(paths(&[("RISCSI_RUN", "/x")], true), ["/etc/iscsi", "/var/lib/iscsi", "/x"]);
        assert_eq!(paths(&[("RISCSI_DB", ""), ("RISCSI_RUN", "")], true)[2], "/run/riscsiadm");
    }

    #[test]
    fn root_follows_open_iscsi_to_where_its_records_are() {
        for (dirs, expected) in [
            (&[][..], "var/lib/iscsi"),
            (&["etc/iscsi"], "etc/iscsi"),
            (&["var/lib/iscsi"], "var/lib/iscsi"),
            (&["etc/iscsi", "var/lib/iscsi"], "var/lib/iscsi"),
            (&["etc/iscsi/nodes/t", "var/lib/iscsi/nodes"], "etc/iscsi"),
            (&["etc/iscsi/send_targets/p", "var/lib/iscsi"], "etc/iscsi"),
            (&["etc/iscsi/nodes/t", "var/lib/iscsi/nodes/t"], "var/lib/iscsi"),
        ] {
            let fs = tempfile::tempdir().unwrap();
            for dir in dirs {
                std::fs::create_dir_all(fs.path().join(dir)).unwrap();
            }
            let paths = resolve(&[], true, fs.path()).unwrap();
            assert_eq!(paths.db, fs.path().join(expected), "{dirs:?}");
            assert_eq!(paths.config, fs.path().join("etc/iscsi"));
        }
    }
}
