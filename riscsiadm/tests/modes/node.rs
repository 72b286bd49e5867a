//! `-m node`.

use crate::{Tool, files, printed};

const X: &str = "iqn.2001-04.com.example";

/// A database with `a` at two portals and `b` at one.
fn tool() -> Tool {
    let tool = Tool::new();
    for (name, portal) in [("a", "10.0.0.1,1"), ("a", "[fd00::5]:3261,2"), ("b", "10.0.0.1:3260,1")] {
        tool.ok(&format!("-m node -T {X}:{name} -p {portal} -I default --op new"));
    }
    tool
}

#[test]
fn without_records_everything_is_nothing_found() {
    for line in [
        "",
        "-P 1",
        "-o show",
        "-T iqn.2001-04.com.example:a",
        "-T nonsense",
        "-o delete",
        "-o update -n node.startup -v manual",
        "-l",
        "-L all",
        "-L automatic",
    ] {
        let tool = Tool::new();
        tool.fails(&format!("-m node {line}"), 21, &["No records found"]);
        assert_eq!(files(&tool.db()), [""; 0], "{line}");
    }
}

#[test]
fn without_sessions_there_is_nothing_to_act_on() {
    let tool = tool();
    for (option, line) in [
        ("-u", "No matching sessions found"),
        ("-U all", "No matching sessions found"),
        ("-R", "No session found."),
        ("-s", "No session found."),
    ] {
        tool.fails(&format!("-m node {option}"), 21, &[line]);
        tool.fails(&format!("-m node -T nonsense {option}"), 21, &[line]);
    }
}

#[test]
fn the_list_is_sorted_by_name() {
    let tool = tool();
    let list = format!("10.0.0.1:3260,1 {X}:a\n[fd00::5]:3261,2 {X}:a\n10.0.0.1:3260,1 {X}:b\n");
    assert_eq!(tool.ok("-m node"), list);
    let tree = format!(
        "Target: {X}:a\n\tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\n\tPortal: [fd00::5]:3261,2\n\
         \t\tIface Name: default\nTarget: {X}:b\n\tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\n"
    );
    assert_eq!(tool.ok("-m node -P 1"), tree);
}

#[test]
fn a_new_record_is_announced_with_what_it_is_bound_to() {
    let tool = Tool::new();
    tool.ok("-m iface -I if0 -o new -n iface.hwaddress -v 00:11:22:33:44:55 -n iface.ipaddress -v 10.0.0.9");
    for (line, tail) in [
        ("-p 10.0.0.1", "[tcp:[hw=,ip=,net_if=,iscsi_if=default] 10.0.0.1,3260,-1"),
        ("-p 10.0.0.1:3260,1", "[tcp:[hw=,ip=,net_if=,iscsi_if=default] 10.0.0.1,3260,1"),
        ("-p [fd00::5]:3261,2", "[tcp:[hw=,ip=,net_if=,iscsi_if=default] fd00::5,3261,2"),
        ("-p 10.0.0.2 -I if0", "[tcp:[hw=00:11:22:33:44:55,ip=10.0.0.9,net_if=,iscsi_if=if0] 10.0.0.2,3260,-1"),
    ] {
        assert_eq!(
            tool.ok(&format!("-m node -o new -T {X}:a {line}")),
            format!("New iSCSI node {tail} {X}:a] added\n")
        );
    }
    let list = format!("10.0.0.1:3260,1 {X}:a\n10.0.0.2:3260,4294967295 {X}:a\n[fd00::5]:3261,2 {X}:a\n");
    assert_eq!(tool.ok("-m node"), list);
}

#[test]
fn a_record_is_set_back_by_making_it_anew() {
    let tool = tool();
    tool.ok(&format!("-m node -T {X}:b -o update -n node.startup -v automatic"));
    tool.ok(&format!("-m node -T {X}:b -p 10.0.0.1 -o new"));
    assert_eq!(printed(&tool.ok(&format!("-m node -T {X}:b")), "node.startup"), Some("manual"));
    assert_eq!(tool.ok("-m node").lines().count(), 3);
}

#[test]
fn a_new_record_takes_settings_or_is_not_made() {
    let tool = Tool::new();
    let line = format!("-m node -o new -T {X}:a -p 10.0.0.1");
    let lines = ["Cannot modify no.such.key. Invalid param name."];
    tool.fails(&format!("{line} -n node.startup -v automatic -n no.such.key -v 1"), 7, &lines);
    assert_eq!(files(&tool.db()), [""; 0]);
    tool.ok(&format!("{line} -n node.startup -v automatic -n node.session.nr_sessions -v 2"));
    let record = tool.ok("-m node -o show");
    assert_eq!(printed(&record, "node.startup"), Some("automatic"));
    assert_eq!(printed(&record, "node.session.nr_sessions"), Some("2"));
}

#[test]
fn records_that_match_are_printed_whole() {
    let tool = tool();
    for (line, names) in [
        ("-o show", "aab"),
        ("-T iqn.2001-04.com.example:a", "aa"),
        ("-T IQN.2001-04.COM.EXAMPLE:A", "aa"),
        ("-p 10.0.0.1", "ab"),
        ("-p 10.0.0.1:3260,9", "ab"),
        ("-p [fd00:0::5]:3261", "a"),
        ("-I default -P 5", "aab"),
        ("-T iqn.2001-04.com.example:b -p 10.0.0.1 -o show", "b"),
    ] {
        let text = tool.ok(&format!("-m node {line}"));
        let found = text.lines().filter_map(|line| line.strip_prefix("node.name = ")?.rsplit(':').next());
        assert_eq!(found.collect::<String>(), names, "{line}");
        assert_eq!(text.matches("# BEGIN RECORD 2.1.11\n").count(), names.len(), "{line}");
        assert_eq!(text.matches("# END RECORD\n").count(), names.len(), "{line}");
        assert_eq!(text.matches("\nnode.session.scan = auto\n").count(), names.len(), "{line}");
    }
    for line in ["-p 10.0.0.1:3261", "-p 10.0.0.2", "-T iqn.2001-04.com.example:c"] {
        tool.fails(&format!("-m node {line}"), 21, &["No records found"]);
    }
}

#[test]
fn an_interface_that_does_not_exist_is_code_3() {
    tool().fails("-m node -I nix", 3, &["Could not read iface info for nix."]);
    tool().fails(&format!("-m node -o new -T {X}:a -p 10.0.0.1 -I nix"), 3, &["Could not read iface info for nix."]);
}

#[test]
fn several_keys_are_set_in_all_records_that_match() {
    let tool = tool();
    let file = tool.file("secret", "joessecret12\narraysecret12\n");
    let line = format!(
        "-m node -T {X}:a --op=update -n node.startup -v automatic --name node.session.auth.username --value joe \
         -n node.session.auth.password -n node.session.auth.password_in --secret-file {file}"
    );
    assert_eq!(tool.ok(&line), "");
    let shown = tool.ok("-m node -o show -S");
    for line in [
        "node.startup = automatic",
        "node.session.auth.username = joe",
        "node.session.auth.password = joessecret12",
        "node.session.auth.password_in = arraysecret12",
    ] {
        assert_eq!(shown.matches(&format!("\n{line}\n")).count(), 2, "{line}");
    }
    let masked = tool.ok("-m node -o show");
    assert!(!masked.contains("secret12") && masked.matches("password = ********\n").count() == 2);
}

#[test]
fn a_wrong_setting_is_said_once_and_changes_no_record() {
    let tool = tool();
    let last = "Could not execute operation on all records: invalid parameter";
    for (setting, lines) in [
        ("-n no.such.key -v 1", vec!["Cannot modify no.such.key. Invalid param name."]),
        (
            "-n node.name -v iqn.2001-04.com.example:c",
            vec!["Cannot modify node.name. It is used to look up the record and cannot be changed."],
        ),
        (
            "-n node.startup -v sometimes",
            vec![
                "unknown value format 'sometimes' for parameter name 'node.startup'",
                "The value has to be one of: manual automatic onboot",
            ],
        ),
    ] {
        let lines: Vec<_> = lines.into_iter().chain([last]).collect();
        tool.fails(&format!("-m node -o update -n node.leading_login -v Yes {setting}"), 7, &lines);
        assert!(!tool.ok("-m node -o show").contains("node.leading_login = Yes"), "{setting}");
    }
}

#[test]
fn records_that_match_are_deleted_with_their_links() {
    let tool = tool();
    assert_eq!(tool.ok("-m node -p 10.0.0.1 -o delete"), "");
    assert_eq!(tool.ok("-m node"), format!("[fd00::5]:3261,2 {X}:a\n"));
    let left = [format!("nodes/{X}:a/fd00::5,3261,2/default"), format!("static/{X}:a,fd00::5,3261,2,default")];
    assert_eq!(files(&tool.db()), left);
    assert_eq!(tool.ok(&format!("-m node --op delete --targetname {X}:a")), "");
    assert_eq!(files(&tool.db()), [""; 0]);
}

#[test]
fn a_damaged_record_is_passed_over_and_named_only_on_request() {
    let tool = tool();
    tool.file(&format!("nodes/{X}:b/10.0.0.1,3260,1/default"), "rubbish\nnode.startup = onboot\nmy.key = 1\n");
    tool.file("nodes/stray", "");
    let list = tool.ok("-m node");
    assert_eq!(list.lines().count(), 3);
    let record = tool.ok(&format!("-m node -T {X}:b"));
    assert_eq!((printed(&record, "node.startup"), printed(&record, "my.key")), (Some("onboot"), Some("1")));
    let (out, err, code) = tool.run(&format!("-m node -T {X}:b -d 1"));
    assert_eq!((out, code), (record, 0));
    assert!(err.lines().count() >= 2 && err.lines().all(|line| line.starts_with("iscsiadm: ")), "{err}");
}
