use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::NotRun;

/// Where daemons live; an ordinary user's `PATH` often lacks them.
const SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The path of an installed program, or which Debian package would bring it.
///
/// With `LABS=off` in the environment nothing is found: `./check --fast` leaves the labs out that way.
pub fn tool(program: &str, package: &str) -> Result<PathBuf, NotRun> {
    if std::env::var_os("LABS").is_some_and(|value| value == "off") {
        return Err(NotRun::new("LABS=off"));
    }
    search(program).ok_or_else(|| missing(program, package))
}

pub(super) fn search(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find(program, std::env::split_paths(&path).chain(SYSTEM.map(PathBuf::from)))
}

fn missing(program: &str, package: &str) -> NotRun {
    NotRun::new(format!("{program} is not installed (Debian package {package})"))
}

fn find(program: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};

    use super::*;

    #[test]
    fn a_missing_program_is_reported_with_its_package() {
        let why = missing("tgtd", "tgt").to_string();
        assert_eq!(why, "tgtd is not installed (Debian package tgt)");
        assert!(tool("no-such-program", "some-package").is_err());
    }

    #[test]
    fn only_files_that_can_be_run_are_programs() {
        let dir = tempfile::tempdir().unwrap();
        let [plain, program] = ["plain", "program"].map(|name| dir.path().join(name));
        for (path, mode) in [(&plain, 0o644), (&program, 0o755)] {
            File::create(path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(dir.path().join("folder")).unwrap();

        let search = |name| find(name, [dir.path().join("absent"), dir.path().to_path_buf()]);
        assert_eq!(search("program"), Some(program.clone()));
        assert_eq!(search("plain"), None);
        assert_eq!(search("folder"), None);
    }
}
