//! `-m fw`.

use std::path::Path;

use crate::Tool;

#[test]
fn a_machine_that_did_not_boot_over_iscsi_has_no_targets_in_its_firmware() {
    if Path::new("/sys/firmware/ibft").exists() {
        return;
    }
    for line in ["-m fw", "-m fw -l", "-m discovery -t fw", "-m discoverydb -t fw -D"] {
        Tool::new().fails(line, 22, &["Could not get list of targets from firmware."]);
    }
}
