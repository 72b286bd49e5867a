//! `-m fw`.

use super::super::args::Args;
use super::super::setting::Setting;

/// What `-m fw` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// Print what the boot firmware knows.
    Show,
    /// Log in to the targets that the boot firmware knows.
    Login {
        /// Keys that differ from the defaults. May be empty.
        settings: Vec<Setting>,
        /// Wait until the sessions are up, or have failed.
        wait: bool,
    },
}

pub(super) fn interpret(args: &Args) -> Firmware {
    if args.login { Firmware::Login { settings: args.settings(), wait: !args.no_wait } } else { Firmware::Show }
}
