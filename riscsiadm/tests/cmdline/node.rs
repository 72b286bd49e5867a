//! `-m node`.

use riscsiadm::cli::args::Extras;
use riscsiadm::cli::request::{Node, NodeFilter, Request, Startup};
use riscsiadm::cli::{Action, Invocation};

use crate::{allowed, iscsiadm, portal, refused, setting};

const IQN: &str = "iqn.2003-01.org.example:disk1";

fn node(request: Node) -> Request {
    Request::Node(request)
}

/// A filter; empty texts are left out.
fn filter(target: &str, address: &str, iface: &str) -> NodeFilter {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    NodeFilter { target: given(target), portal: given(address).map(|text| portal(&text)), iface: given(iface) }
}

fn all() -> NodeFilter {
    NodeFilter::default()
}

fn show(filter: NodeFilter) -> Request {
    node(Node::Show { filter, reveal: false })
}

fn login(filter: NodeFilter) -> Request {
    node(Node::Login { filter, wait: true })
}

fn new(address: &str, iface: Option<&str>, pairs: &[(&str, &str)]) -> Request {
    let settings = pairs.iter().map(|(name, value)| setting(name, value)).collect();
    let target = IQN.parse().unwrap();
    node(Node::New { target, portal: portal(address), iface: iface.map(str::to_owned), settings })
}

#[test]
fn without_a_filter_and_an_operation_the_records_are_listed() {
    allowed(&[
        ("-m node", node(Node::List { tree: false })),
        ("--mode node", node(Node::List { tree: false })),
        ("-mnode", node(Node::List { tree: false })),
        ("-m node -P 0", node(Node::List { tree: false })),
        ("-m node -P abc", node(Node::List { tree: false })),
        ("-m node -P -1", node(Node::List { tree: false })),
        ("-m node -P 1", node(Node::List { tree: true })),
        ("-mnode -P1", node(Node::List { tree: true })),
        ("-m node -P 1x", node(Node::List { tree: true })),
        ("-m node -P ~1", node(Node::List { tree: true })),
        ("-m node -P +1", node(Node::List { tree: true })),
        ("-m node -S", node(Node::List { tree: false })),
        ("-m node -W", node(Node::List { tree: false })),
        ("-m node -n a", node(Node::List { tree: false })),
        ("-m node -v a", node(Node::List { tree: false })),
        ("-m node -n a -v b", node(Node::List { tree: false })),
        ("-m node -d 8", node(Node::List { tree: false })),
        ("-m session -m node", node(Node::List { tree: false })),
    ]);
}

#[test]
fn with_a_filter_or_show_whole_records_are_printed() {
    allowed(&[
        ("-m node -o show", show(all())),
        ("-m node -o show -P 1", show(all())),
        ("-m node -o show -P 9", show(all())),
        ("-m node -T x", show(filter("x", "", ""))),
        ("-m node -T x -P 5", show(filter("x", "", ""))),
        ("-m node -T x -o show", show(filter("x", "", ""))),
        ("-m node -T x -n a -v b", show(filter("x", "", ""))),
        ("-m node --targetname x", show(filter("x", "", ""))),
        ("-m node --target x", show(filter("x", "", ""))),
        ("-m node -T a -T b", show(filter("b", "", ""))),
        ("-m node -T -p", show(filter("-p", "", ""))),
        ("-m node -p 10.0.0.1", show(filter("", "10.0.0.1", ""))),
        ("-m node -p 10.0.0.1:860,9", show(filter("", "10.0.0.1:860,9", ""))),
        ("-m node -p 10.0.0.1 -p 10.0.0.2", show(filter("", "10.0.0.2", ""))),
        ("-m node -p [fd00::1]:860", show(filter("", "[fd00::1]:860", ""))),
        ("-m node -I default", show(filter("", "", "default"))),
        ("-m node -I default -T x -p h:1", show(filter("x", "h:1", "default"))),
        ("-m node -T x -S", node(Node::Show { filter: filter("x", "", ""), reveal: true })),
    ]);
}

#[test]
fn a_new_record_needs_a_target_and_a_portal() {
    let line = |rest: &str| format!("-m node -o new -T {IQN} {rest}");
    allowed(&[
        (&line("-p 10.0.0.1"), new("10.0.0.1", None, &[])),
        (&line("-p 10.0.0.1:3260,1"), new("10.0.0.1:3260,1", None, &[])),
        (&line("-p 10.0.0.1 -I eth"), new("10.0.0.1", Some("eth"), &[])),
        (&line("-p 10.0.0.1 -n node.startup -v automatic"), new("10.0.0.1", None, &[("node.startup", "automatic")])),
        (&line("-p h -n iface.transport_name -v tcp"), new("h", None, &[("iface.transport_name", "tcp")])),
        (&line("-p h -P 2"), new("h", None, &[])),
    ]);
    let missing = &["Error while adding record: it needs a target name (-T) and a portal (-p)."][..];
    refused(&[
        ("-m node -o new", missing, 7),
        ("-m node -o new -I default", missing, 7),
        ("-m node -o new -T iqn.2003-01.org.example:disk1", missing, 7),
        ("-m node -o new -p 10.0.0.1", missing, 7),
        (
            "-m node -o new -p h -T x",
            &["Invalid target name 'x': an iSCSI name starts with `iqn.`, `eui.` or `naa.`"],
            7,
        ),
        (
            "-m node -o new -p h -T iqn.2003-01.a:../b",
            &["Invalid target name 'iqn.2003-01.a:../b': an iSCSI name cannot contain '/' (at byte 16)"],
            7,
        ),
        (&line("-p h -n iface.mtu -v 3"), &["Cannot modify iface.mtu. Use iface mode to update this value."], 7),
    ]);
}

#[test]
fn records_are_changed_and_deleted() {
    let update = |filter, pairs: &[(&str, &str)]| {
        node(Node::Update { filter, settings: pairs.iter().map(|(name, value)| setting(name, value)).collect() })
    };
    let one = || filter("x", "", "");
    allowed(&[
        ("-m node -o update -n a -v b", update(all(), &[("a", "b")])),
        ("-m node -T x -o update -n a -v b", update(one(), &[("a", "b")])),
        ("-m node -T x --op=update --name a --value b", update(one(), &[("a", "b")])),
        ("-m node -T x --op update --name=a --value=b", update(one(), &[("a", "b")])),
        ("-m node -T x -o update -v b -n a", update(one(), &[("a", "b")])),
        ("-m node -T x -o update -n a -n c -v b", update(one(), &[("c", "b")])),
        ("-m node -T x -o update -n a -v b -v c", update(one(), &[("a", "b")])),
        ("-m node -T x -o update -n a -v b -n c", update(one(), &[("a", "b")])),
        ("-m node -T x -o update -n a -v ''", update(one(), &[("a", "")])),
        ("-m node -T x -o update -n a -v two~words", update(one(), &[("a", "two words")])),
        ("-m node -T x -o update -n a -v -b", update(one(), &[("a", "-b")])),
        ("-m node -T x -o update -n a -v b -n c -v d", update(one(), &[("a", "b"), ("c", "d")])),
        ("-m node -T x -o update,update -n a -v b", update(one(), &[("a", "b")])),
        ("-m node -o update -n iface.transport_name -v tcp", update(all(), &[("iface.transport_name", "tcp")])),
        ("-m node -o update -n iface -v tcp", update(all(), &[("iface", "tcp")])),
        ("-m node -o delete", node(Node::Delete { filter: all() })),
        ("-m node -o delete -T x -p h", node(Node::Delete { filter: filter("x", "h", "") })),
        ("-m node -o delete -T x -n a", node(Node::Delete { filter: one() })),
    ]);
    let update = &["update requires name and value"][..];
    refused(&[
        ("-m node -o update", update, 7),
        ("-m node -o update -n a", update, 7),
        ("-m node -o update -v a", update, 7),
        ("-m node -o update -P 2", update, 7),
        (
            "-m node -T x -o update -n iface.mtu -v 3",
            &["Cannot modify iface.mtu. Use iface mode to update this value."],
            7,
        ),
        ("-m node -o update -n iface. -v 3", &["Cannot modify iface.. Use iface mode to update this value."], 7),
        (
            "-m node -o update -n node.startup -v manual -n iface.mtu -v 3",
            &["Cannot modify iface.mtu. Use iface mode to update this value."],
            7,
        ),
    ]);
}

#[test]
fn login_logout_rescan_and_stats_take_a_filter() {
    let one = || filter("x", "h", "");
    let logout = |filter| node(Node::Logout { filter });
    let rescan = |filter| node(Node::Rescan { filter });
    let stats = |filter| node(Node::Stats { filter });
    allowed(&[
        ("-m node -l", login(all())),
        ("-m node --login", login(all())),
        ("-m node -T x -p h -l", login(one())),
        ("-l -T x -p h -m node", login(one())),
        ("-m node -T x -p h -I i --login", login(filter("x", "h", "i"))),
        ("-m node -l -P 2", login(all())),
        ("-m node -l -n a -v b", login(all())),
        ("-m node -l -W", node(Node::Login { filter: all(), wait: false })),
        ("-m node -lW", node(Node::Login { filter: all(), wait: false })),
        ("-m node --no_wait --login", node(Node::Login { filter: all(), wait: false })),
        ("-m node -u", logout(all())),
        ("-m node -T x -p h -u", logout(one())),
        ("-m node -T x -p h --logout", logout(one())),
        ("-m node -R", rescan(all())),
        ("-m node --rescan -T x -p h", rescan(one())),
        ("-m node -s", stats(all())),
        ("-m node --stats -T x -p h", stats(one())),
    ]);
}

#[test]
fn of_competing_options_the_winner_is_that_of_iscsiadm() {
    let class = |class| node(Node::LoginAll { class, filter: all(), wait: true });
    allowed(&[
        ("-m node -R -s", node(Node::Rescan { filter: all() })),
        ("-m node -R -l -u", node(Node::Rescan { filter: all() })),
        ("-m node -R -o delete", node(Node::Rescan { filter: all() })),
        ("-m node -R -P 4", node(Node::Rescan { filter: all() })),
        (&format!("-m node -R -s -o new -T {IQN} -p h"), new("h", None, &[])),
        ("-m node -s -o delete", node(Node::Stats { filter: all() })),
        ("-m node -l -s", node(Node::Stats { filter: all() })),
        ("-m node -L all -R", class(Startup::All)),
        ("-m node -L all -s", class(Startup::All)),
        ("-m node -L all -l -u", class(Startup::All)),
        ("-m node -L manual -o new", class(Startup::Manual)),
        ("-m node -L all -P 2", class(Startup::All)),
    ]);
    let both = &["Invalid parameters. Both login and logout passed in"][..];
    let op = &["Invalid parameters. Login/logout and op passed in"][..];
    refused(&[
        ("-m node -l -u", both, 7),
        ("-m node -lu", both, 7),
        ("-m node -P 2 -l -u", both, 7),
        ("-m node -l -u -o show", both, 7),
        ("-m node -l -o show", op, 7),
        ("-m node -l -o new", op, 7),
        ("-m node -l -o update", op, 7),
        ("-m node -u -o delete", op, 7),
        ("-m node -P 2 -l -o show", op, 7),
        ("-m node -o apply -l", op, 7),
        ("-m node -L all -U all", &["Invalid parameters. Both loginall and logoutall passed in"], 7),
        ("-m node -L bogus -U all", &["Invalid parameters. Both loginall and logoutall passed in"], 7),
    ]);
}

#[test]
fn a_startup_class_is_logged_in_and_out() {
    let login = |class| node(Node::LoginAll { class, filter: all(), wait: true });
    let logout = |class| node(Node::LogoutAll { class, filter: all() });
    allowed(&[
        ("-m node -L all", login(Startup::All)),
        ("-m node -L automatic", login(Startup::Automatic)),
        ("-m node --loginall=automatic", login(Startup::Automatic)),
        ("-m node -L manual", login(Startup::Manual)),
        ("-m node -L onboot", login(Startup::OnBoot)),
        ("-m node -W -L all", node(Node::LoginAll { class: Startup::All, filter: all(), wait: false })),
        (
            "-m node -L all -T x -p h",
            node(Node::LoginAll { class: Startup::All, filter: filter("x", "h", ""), wait: true }),
        ),
        ("-m node -U all", logout(Startup::All)),
        ("-m node -W -U all", logout(Startup::All)),
        ("-m node -U automatic", logout(Startup::Automatic)),
        ("-m node --logoutall=manual", logout(Startup::Manual)),
        ("-m node -U all -I i", node(Node::LogoutAll { class: Startup::All, filter: filter("", "", "i") })),
    ]);
}

#[test]
fn an_unknown_startup_class_is_refused_with_a_hint() {
    for (line, message) in [
        ("-m node -L bogus", "Invalid loginall option bogus."),
        ("-m node -L ''", "Invalid loginall option ."),
        ("-m node -L Automatic", "Invalid loginall option Automatic."),
        ("-m node -L bogus -l -u", "Invalid loginall option bogus."),
        ("-m node -U bogus", "Invalid logoutall option bogus."),
        ("-m node -U onboot", "Invalid logoutall option onboot."),
    ] {
        let refusal = iscsiadm(line).unwrap_err();
        let text = format!("iscsiadm: {message}\nTry `iscsiadm --help' for more information.\n");
        assert_eq!((refusal.stderr(&crate::program("iscsiadm")), refusal.exit.code()), (text, 7), "{line}");
    }
}

#[test]
fn of_several_interfaces_the_first_counts_and_a_warning_says_so() {
    let expected = Invocation {
        action: Action::Request(show(filter("x", "", "a")), Extras::default()),
        warnings: vec!["node mode only accepts one interface. Using the first one a.".into()],
    };
    assert_eq!(iscsiadm("-m node -I a -I b -T x"), Ok(expected));
}

#[test]
fn what_node_mode_refuses() {
    let operation = &["operation is not supported."][..];
    let level = |level: &str| format!("Invalid info level {level}. Try 0 or 1.");
    refused(&[
        ("-m node -P 2", &[&level("2")], 7),
        ("-m node -P 2 -n a", &[&level("2")], 7),
        ("-m node -P 99999999999", &[&level("4294967295")], 7),
        ("-m node -o apply", operation, 7),
        ("-m node -T x -o applyall", operation, 7),
        ("-m node -o login", operation, 7),
        ("-m node -o logout", operation, 7),
        ("-m node -o nonpersistent", operation, 7),
        ("-m node -o new -o delete -T x", operation, 7),
        ("-m node -o new,update -T x -p h", operation, 7),
        ("-m node -T ''", &["Invalid target name '': an iSCSI name cannot be empty"], 7),
        ("-m node -T '' -o delete", &["Invalid target name '': an iSCSI name cannot be empty"], 7),
        ("-m node -p ''", &["Invalid portal '': a portal needs a host"], 7),
        ("-m node -p '' -o delete", &["Invalid portal '': a portal needs a host"], 7),
        ("-m node -p h:0", &["Invalid portal 'h:0': \"0\" is not a TCP port: 1 to 65535"], 7),
        ("-m node -p h:99999", &["Invalid portal 'h:99999': \"99999\" is not a TCP port: 1 to 65535"], 7),
        ("-m node -p h:x -l", &["Invalid portal 'h:x': \"x\" is not a TCP port: 1 to 65535"], 7),
        ("-m node -p h:1,x", &["Invalid portal 'h:1,x': \"x\" is not a portal group tag: 0 to 65535"], 7),
        ("-m node -p [::1", &["Invalid portal '[::1': the `[` of an IPv6 address has no `]`"], 7),
    ]);
}
