//! The bundled iSCSI target.
fn main() {}
