//! Programs in Python that drive `iscsiadm`, in a virtual environment beside the build.

use std::path::PathBuf;

use super::NotRun;
use super::program::target_dir;

/// The folder of programs of the virtual environment that `./check` makes.
///
/// `program` is looked for there, and with it the packages that it needs.
pub fn python(program: &str) -> Result<PathBuf, NotRun> {
    if std::env::var_os("LABS").is_some_and(|value| value == "off") {
        return Err(NotRun::new("LABS=off"));
    }
    let bin = target_dir().map_err(|error| NotRun::new(error.to_string()))?.join("venv/bin");
    if bin.join(program).exists() {
        return Ok(bin);
    }
    Err(NotRun::new(format!("{program} is not installed: ./check clients installs it from PyPI")))
}
