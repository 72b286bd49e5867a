//! Labs: targets and tools of other makers, started on this machine for the length of one test.
//!
//! A lab needs what the machine may not have. Every entry point says so by [`NotRun`], never by passing in silence, and
//! [`require`] turns that into a line of output, or into a failure where `REQUIRE_ALL=1` is set:
//!
//! ```no_run
//! use conformance::lab::{self, Lun, Target};
//!
//! let Some(setup) = lab::require(lab::tgt()) else { return };
//! let disk = Target::new("iqn.2026-01.org.example:disk").lun(Lun::file("/tmp/disk.img"));
//! let tgt = setup.target(disk).start().unwrap();
//! println!("tgtd {} serves on {}", tgt.pid(), tgt.portal());
//! ```
//!
//! [`stamp`] fills test disks so that misplaced and stale blocks are noticed; [`image`] makes disks with a file system in
//! them, without root.

mod bundled;
mod error;
mod hold;
pub mod image;
mod isns;
mod istgt;
mod kinds;
mod leash;
mod offer;
mod plan;
mod port;
mod program;
mod provider;
mod python;
pub mod stamp;
mod tgt;
mod tool;
mod vm;

pub use bundled::Bundled;
pub use error::{LabError, NotRun};
pub use hold::{down, hold, up};
pub use isns::{Isns, IsnsSetup, isns};
pub use istgt::{Istgt, IstgtSetup, istgt};
pub use kinds::{KINDS, Kind, kind};
pub use leash::Leash;
pub use offer::{Disk, Offer, Role};
pub use plan::{Account, Lun, Target};
pub use program::{Ran, Riscsiadm, program};
pub use provider::{Lab, Refused};
pub use python::python;
pub use tgt::{Nexus, Setup, Tgt, tgt};
pub use tool::tool;
pub use vm::{Image, Vm, build_vm, vm};

/// The value, or `None` after printing `not run: TEST: WHY` where the lab cannot be had.
///
/// The check script collects these lines. A test that gets `None` returns.
///
/// # Panics
///
/// With `REQUIRE_ALL=1` in the environment, instead of returning `None`.
#[track_caller]
pub fn require<T>(wanted: Result<T, NotRun>) -> Option<T> {
    let all = std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == "1");
    decide(wanted, all, |line| println!("{line}"))
}

#[track_caller]
fn decide<T>(wanted: Result<T, NotRun>, all: bool, print: impl FnOnce(&str)) -> Option<T> {
    let why = match wanted {
        Ok(value) => return Some(value),
        Err(why) => why,
    };
    let thread = std::thread::current();
    print(&format!("not run: {}: {why}", thread.name().unwrap_or("?")));
    assert!(!all, "REQUIRE_ALL=1 is set and this was not run: {why}");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Result<u8, NotRun> {
        Err(NotRun::new("nothing is installed"))
    }

    #[test]
    fn what_is_there_is_handed_on_without_a_word() {
        for all in [false, true] {
            assert_eq!(decide(Ok(7), all, |line| panic!("{line}")), Some(7));
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_test() {
        let mut printed = String::new();
        assert_eq!(decide(missing(), false, |line| printed = line.to_owned()), None);
        let (head, why) = printed.rsplit_once(": ").unwrap();
        assert!(head.starts_with("not run: "), "{printed}");
        assert_eq!(why, "nothing is installed");
    }

    #[test]
    #[should_panic(expected = "REQUIRE_ALL=1 is set and this was not run: nothing is installed")]
    fn what_is_missing_fails_where_everything_is_required() {
        decide(missing(), true, |_| ());
    }
}
