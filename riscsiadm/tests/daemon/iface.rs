//! What an interface record does to a session.

use std::fs;

use super::Tool;
use super::target::Target;
use super::{NAME, logged_in, place};

/// A tool with a record of a target through an interface with these settings.
fn bound(target: &Target, settings: &[(&str, &str)]) -> Tool {
    let tool = Tool::new();
    tool.ok("-m iface -I if0 -o new");
    for (key, value) in settings {
        tool.ok(&format!("-m iface -I if0 -o update -n iface.{key} -v {value}"));
    }
    tool.ok(&format!("-m node -o new -T {NAME} -p {},1 -I if0", target.addr));
    tool
}

#[test]
fn a_session_goes_out_from_the_address_and_by_the_name_of_its_interface() {
    let target = Target::start(&[0]);
    let name = "iqn.2001-04.com.example:other-host";
    let settings = [("ipaddress", "127.0.0.2"), ("net_ifacename", "lo"), ("initiatorname", name)];
    let tool = bound(&target, &settings);
    let line = logged_in(&target).replace("iface: default", "iface: if0");
    assert_eq!(tool.ok(&format!("-m node -T {NAME} -l -I if0")), line);
    assert_eq!(target.peers(), ["127.0.0.2"]);
    let tree = tool.ok("-m session -P 1");
    let lines = format!(
        "\t\tIface Name: if0\n\t\tIface Transport: tcp\n\t\tIface Initiatorname: {name}\n\
         \t\tIface IPaddress: 127.0.0.2\n\t\tIface HWaddress: default\n\t\tIface Netdev: lo\n"
    );
    assert!(tree.contains(&lines), "{tree}");
}

#[test]
fn an_interface_that_is_not_there_makes_no_session_by_another_way() {
    let target = Target::start(&[0]);
    for (key, value, expected) in
        [("ipaddress", "192.0.2.77", 4), ("net_ifacename", "nosuchdev0", 4), ("hwaddress", "02:00:00:00:00:01", 23)]
    {
        let tool = bound(&target, &[(key, value)]);
        tool.set("node.session.initial_login_retry_max", "0");
        let (out, err, code) = tool.run(&format!("-m node -T {NAME} -l"));
        assert_eq!((out.as_str(), code), ("", expected), "{err}");
        let first = format!("iscsiadm: Could not login to [iface: if0, target: {NAME}, portal: {}].\n", place(&target));
        assert!(err.starts_with(&first), "{err}");
    }
}

#[test]
fn a_session_can_be_traced_without_its_secrets() {
    let target = Target::start(&[0]);
    target.demand("alicesecret12");
    let tool = Tool::with(&target);
    tool.set("node.session.auth.username", "alice");
    tool.set("node.session.auth.password", "alicesecret12");
    let file = tool.path("trace.pcapng");
    tool.ok(&format!("-m node -T {NAME} -l --trace {}", file.display()));
    tool.ok("-m session -u");
    let trace = fs::read(&file).unwrap();
    let has = |text: &str| trace.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(NAME) && has("CHAP_R=") && !has("alicesecret12"));
}
