//! A record, key by key.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::or_empty;
use crate::db::record::{Record, VERSION};

/// All keys of a record with the two lines around them. Secrets are stars unless `show`.
pub fn dump(record: &Record, show: bool) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("# BEGIN RECORD {VERSION}\n"));
    for field in record.fields(show) {
        let _ = writeln!(text, "{} = {}", field.key, or_empty(&field.value));
    }
    text.push_str("# END RECORD\n");
    text
}
