//! The name that the tool was called by.

use std::ffi::OsStr;
use std::path::Path;

/// The tool's own name.
pub const OWN_NAME: &str = "riscsiadm";

/// The name that the tool was called by, which decides how it behaves and what stands before its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    typed: String,
    name: String,
}

impl Program {
    /// From the first word of a command line: `iscsiadm`, `/sbin/iscsiadm`, `./riscsiadm`, ...
    pub fn new(typed: &OsStr) -> Self {
        let name = Path::new(typed).file_name().unwrap_or_else(|| OsStr::new(OWN_NAME));
        let typed = if typed.is_empty() { OsStr::new(OWN_NAME) } else { typed };
        Self { typed: typed.to_string_lossy().into_owned(), name: name.to_string_lossy().into_owned() }
    }

    /// What stands before every message: the last component of the name that was typed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name with its path, as it was typed.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// Whether to behave as iscsiadm does, to the letter.
    pub fn is_iscsiadm(&self) -> bool {
        self.name == "iscsiadm"
    }

    /// Whether this is the daemon by its short name.
    pub fn is_daemon(&self) -> bool {
        self.name == "riscsid"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_is_the_name() {
        for (typed, name, iscsiadm, daemon) in [
            ("iscsiadm", "iscsiadm", true, false),
            ("/sbin/iscsiadm", "iscsiadm", true, false),
            ("riscsiadm", "riscsiadm", false, false),
            ("./riscsiadm", "riscsiadm", false, false),
            ("/usr/sbin/riscsid", "riscsid", false, true),
            ("iscsiadm.old", "iscsiadm.old", false, false),
        ] {
            let program = Program::new(OsStr::new(typed));
            assert_eq!((program.name(), program.typed()), (name, typed));
            assert_eq!((program.is_iscsiadm(), program.is_daemon()), (iscsiadm, daemon), "{typed}");
        }
    }

    #[test]
    fn no_name_is_our_own_name() {
        for typed in ["", "/"] {
            assert_eq!(Program::new(OsStr::new(typed)).name(), OWN_NAME);
        }
        assert_eq!(Program::new(OsStr::new("")).typed(), OWN_NAME);
    }
}
