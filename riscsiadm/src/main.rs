//! An iscsiadm-like tool on a user-space iSCSI initiator.
fn main() {}
