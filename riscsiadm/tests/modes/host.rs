//! `-m host`.

use crate::Tool;

#[test]
fn without_sessions_there_are_no_hosts() {
    for level in 0..=4 {
        Tool::new().fails(&format!("-m host -P {level}"), 21, &["No iSCSI hosts."]);
    }
}

#[test]
fn what_only_an_adapter_has_is_refused_by_name() {
    for (line, what) in [
        ("-C chap -o show", "CHAP table"),
        ("-C chap -x 1 -o delete", "CHAP table"),
        ("-C flashnode", "flash nodes"),
        ("-C flashnode -x 1 -o login", "flash nodes"),
        ("-C stats", "statistics of its own"),
    ] {
        let text = format!("Host 3 has no {what}: only an adapter with offload and its driver does.");
        Tool::new().fails(&format!("-m host -H 3 {line}"), 12, &[&text]);
        Tool::new().fails(&format!("-m host -H 00:11:22:33:44:55 {line}"), 7, &["Could not match MAC to host."]);
    }
}
