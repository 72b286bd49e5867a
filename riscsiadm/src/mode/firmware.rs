//! `-m fw`.

use std::path::Path;

use crate::exit::Exit;
use crate::failure::Failure;

/// Where Linux shows what the boot firmware left.
const IBFT: &str = "/sys/firmware/ibft";

/// What is said instead of anything about the boot firmware.
pub(super) fn absent() -> Failure {
    let none = "Could not get list of targets from firmware.";
    if Path::new(IBFT).exists() {
        let there = "Its boot table cannot be read yet: create the records with -m node -o new";
        return Failure::new(Exit::NotSupported, format!("{none} {there}"));
    }
    Failure::new(Exit::Sysfs, none)
}
