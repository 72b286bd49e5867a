//! What known callers of iscsiadm run: each of their command lines means something sensible.

use riscsiadm::cli::request::{Discovery, DiscoveryDb, Iface, Node, NodeFilter, Request, Session, Source};

use crate::request;

const T: &str = "iqn.2003-01.org.example:disk1";
const P: &str = "10.0.0.5:3260";

/// `T` and `P` in a command line stand for a target and a portal.
fn meant(line: &str) -> Request {
    let words: Vec<&str> = line
        .split(' ')
        .map(|word| match word {
            "T" => T,
            "P" => P,
            other => other,
        })
        .collect();
    request(&words.join(" "))
}

/// Names a request: mode, operation, and which of target, portal and interface it is about.
fn name(request: &Request) -> String {
    match request {
        Request::Discovery(request) => format!("discovery {}", discovery(request)),
        Request::DiscoveryDb(request) => format!("discoverydb {}", discoverydb(request)),
        Request::Node(request) => format!("node {}", node(request)),
        Request::Session(request) => format!("session {}", session(request)),
        Request::Iface(request) => format!("iface {}", iface(request)),
        other => panic!("{other:?}"),
    }
}

fn discovery(request: &Discovery) -> String {
    match request {
        Discovery::Run(run) => {
            let writes = run.writes;
            format!("run {} {:?} {}{}", source(&run.source), run.ifaces, writes.record, writes.add)
        }
        Discovery::Show { portal, .. } => format!("show {}", portal.text),
        other => panic!("{other:?}"),
    }
}

fn discoverydb(request: &DiscoveryDb) -> String {
    match request {
        DiscoveryDb::List { level } => format!("list {level}"),
        DiscoveryDb::Run(run) => format!("run {} {:?}", source(&run.source), run.ifaces),
        DiscoveryDb::Show { source: of, .. } => format!("show {}", source(of)),
        DiscoveryDb::New { source: of, settings } => format!("new {} {settings:?}", source(of)),
        DiscoveryDb::Update { source: of, settings } => format!("update {} {settings:?}", source(of)),
        DiscoveryDb::Delete { source: of } => format!("delete {}", source(of)),
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::SendTargets(portal) => format!("{}:{}", portal.text, portal.port_or(3260)),
        other => panic!("{other:?}"),
    }
}

fn node(request: &Node) -> String {
    match request {
        Node::List { tree } => format!("list {tree}"),
        Node::Show { filter, .. } => format!("show{}", of(filter)),
        Node::New { iface, .. } => format!("new {iface:?}"),
        Node::Update { filter, settings } => format!("update{} {settings:?}", of(filter)),
        Node::Delete { filter } => format!("delete{}", of(filter)),
        Node::Login { filter, wait: true } => format!("login{}", of(filter)),
        Node::Logout { filter } => format!("logout{}", of(filter)),
        Node::Rescan { filter } => format!("rescan{}", of(filter)),
        Node::LoginAll { class, .. } => format!("login {class:?}"),
        Node::LogoutAll { class, .. } => format!("logout {class:?}"),
        other => panic!("{other:?}"),
    }
}

fn of(filter: &NodeFilter) -> String {
    let target = filter.target.as_ref().map_or("", |target| if target == T { " T" } else { " ?" });
    let portal = filter.portal.as_ref().map_or("", |portal| if portal.text == "10.0.0.5" { " P" } else { " ?" });
    let iface = filter.iface.as_ref().map(|iface| format!(" {iface}")).unwrap_or_default();
    format!("{target}{portal}{iface}")
}

fn session(request: &Session) -> String {
    match request {
        Session::List { sid, level, reveal } => format!("list {sid:?} {level} {reveal}"),
        Session::Logout { sid } => format!("logout {sid:?}"),
        Session::Rescan { sid } => format!("rescan {sid:?}"),
        other => panic!("{other:?}"),
    }
}

fn iface(request: &Iface) -> String {
    match request {
        Iface::List { tree, .. } => format!("list {tree}"),
        Iface::Show { name } => format!("show {name}"),
        Iface::New { name, .. } => format!("new {name}"),
        Iface::Update { name, settings } => format!("update {name} {settings:?}"),
        Iface::Delete { name } => format!("delete {name}"),
        other => panic!("{other:?}"),
    }
}

fn check(table: &[(&str, &str)]) {
    for (line, expected) in table {
        assert_eq!(&name(&meant(line)), expected, "{line}");
    }
}

#[test]
fn os_brick() {
    check(&[
        ("-m session", "session list None 0 false"),
        ("-m node", "node list false"),
        ("-m iface -I default", "iface show default"),
        ("-m discoverydb -o show -P 1", "discoverydb list 1"),
        ("-m discovery -t sendtargets -I default -p P", "discovery run 10.0.0.5:3260 [\"default\"] truetrue"),
        (
            "-m discoverydb -t sendtargets -I default -p P --op update -n discovery.sendtargets.auth.authmethod -v CHAP \
             -n discovery.sendtargets.auth.username -v u -n discovery.sendtargets.auth.password -v p",
            "discoverydb update 10.0.0.5:3260 [discovery.sendtargets.auth.authmethod = CHAP, \
             discovery.sendtargets.auth.username = u, discovery.sendtargets.auth.password = ********]",
        ),
        ("-m discoverydb -t sendtargets -p P -I default --op new", "discoverydb new 10.0.0.5:3260 []"),
        ("-m discoverydb -t sendtargets -I default -p P --discover", "discoverydb run 10.0.0.5:3260 [\"default\"]"),
        ("-m node --op show -p P", "node show P"),
        ("-m node -T T -p P", "node show T P"),
        ("-m node -T T -p P --interface default --op new", "node new Some(\"default\")"),
        (
            "-m node -T T -p P --op update -n node.session.scan -v manual",
            "node update T P [node.session.scan = manual]",
        ),
        ("-m node -T T -p P --login", "node login T P"),
        ("-m node -T T -p P --logout", "node logout T P"),
        ("-m node -T T -p P --op delete", "node delete T P"),
    ]);
}

#[test]
fn ansible() {
    check(&[
        ("--mode node", "node list false"),
        ("--mode discovery --type sendtargets --portal P", "discovery run 10.0.0.5:3260 [] truetrue"),
        ("--mode discovery --type sendtargets --portal [fd00::5]:3260", "discovery run fd00::5:3260 [] truetrue"),
        ("--mode session", "session list None 0 false"),
        (
            "--mode node --targetname T --op=update --name node.startup --value automatic",
            "node update T [node.startup = automatic]",
        ),
        ("--mode node --targetname T --login", "node login T"),
        ("--mode node --targetname T --login --portal P", "node login T P"),
        ("--mode node --targetname T --logout", "node logout T"),
        ("--mode node --targetname T", "node show T"),
        ("--mode node --targetname T --portal P", "node show T P"),
        ("--mode session --rescan", "session rescan None"),
        ("--mode node --rescan -T T", "node rescan T"),
    ]);
}

#[test]
fn csi_lib_iscsi_and_kubernetes() {
    check(&[
        ("-m iface -o show", "iface list false"),
        ("-m iface -o show -I i", "iface show i"),
        ("-m iface -I i -o show", "iface show i"),
        ("-m node -T T -p P -I i -o new", "node new Some(\"i\")"),
        ("-m node -T T -p P -I i -o update -n a -v b -n c -v d", "node update T P i [a = b, c = d]"),
        ("-m node -T T -p P -I i -l", "node login T P i"),
        ("-m node -T T -p P -I i -u", "node logout T P i"),
        ("-m node -T T -p P -I i -R", "node rescan T P i"),
        ("-m node -T T -p P -I i -o delete", "node delete T P i"),
        ("-m discoverydb -t sendtargets -p P -I i -o new", "discoverydb new 10.0.0.5:3260 []"),
        ("-m discoverydb -t sendtargets -p P -I i -o update -n a -v b", "discoverydb update 10.0.0.5:3260 [a = b]"),
        ("-m discoverydb -t sendtargets -p P -I i --discover", "discoverydb run 10.0.0.5:3260 [\"i\"]"),
        ("-m discoverydb -t sendtargets -p P -I i -o delete", "discoverydb delete 10.0.0.5:3260"),
        ("-m node -p P -T T -I i --login", "node login T P i"),
        ("-m node -p P -T T -I i --logout", "node logout T P i"),
        ("-m node -p P -T T -o update -n node.startup -v manual", "node update T P [node.startup = manual]"),
        ("-m iface -I 10.0.0.5:3260:vol -o new", "iface new 10.0.0.5:3260:vol"),
        ("-m iface -I 10.0.0.5:3260:vol -o update -n a -v b", "iface update 10.0.0.5:3260:vol [a = b]"),
        ("-m iface -I 10.0.0.5:3260:vol -o delete", "iface delete 10.0.0.5:3260:vol"),
    ]);
}

#[test]
fn libvirt_and_proxmox() {
    check(&[
        ("--mode session", "session list None 0 false"),
        (
            "--mode discovery --type sendtargets --portal P --op nonpersistent",
            "discovery run 10.0.0.5:3260 [] falsefalse",
        ),
        ("--mode iface", "iface list false"),
        ("--mode iface --interface libvirt-iface-00000001 --op new", "iface new libvirt-iface-00000001"),
        (
            "--mode iface --interface libvirt-iface-00000001 --op update --name iface.initiatorname --value iqn.1994-05.a:b",
            "iface update libvirt-iface-00000001 [iface.initiatorname = iqn.1994-05.a:b]",
        ),
        ("--mode node --portal P --targetname T --login --interface i", "node login T P i"),
        ("--mode node --portal P --targetname T --login", "node login T P"),
        ("--mode node --portal P --targetname T --logout", "node logout T P"),
        ("--mode node --portal P --target T --op update --name a --value b", "node update T P [a = b]"),
        ("--mode session -r 3 -R", "session rescan Some(3)"),
        ("--mode node", "node list false"),
        ("--mode discovery --type sendtargets --portal P", "discovery run 10.0.0.5:3260 [] truetrue"),
        (
            "--mode node --targetname T --op update --name node.session.initial_login_retry_max --value 0",
            "node update T [node.session.initial_login_retry_max = 0]",
        ),
        ("--mode node --targetname T --login", "node login T"),
        ("--mode session --sid 3 --rescan", "session rescan Some(3)"),
    ]);
}

#[test]
fn goiscsi_longhorn_and_hpe() {
    check(&[
        ("-m discovery -t st --portal 10.0.0.5", "discovery run 10.0.0.5:3260 [] truetrue"),
        ("-m discovery -t st --portal 10.0.0.5 -I i", "discovery run 10.0.0.5:3260 [\"i\"] truetrue"),
        ("-m node -T T --portal P -l", "node login T P"),
        ("-m node -T T --portal P --logout", "node logout T P"),
        ("-m node --rescan", "node rescan"),
        ("-m session -P 2 -S", "session list None 2 true"),
        ("-m node -o show", "node show"),
        ("-m node -p P -T T", "node show T P"),
        ("-m node -p P -T T -o new", "node new None"),
        ("-m node -p P -T T -o update -n a -v b", "node update T P [a = b]"),
        ("-m node -p P -T T -o delete", "node delete T P"),
        ("-m iface", "iface list false"),
        ("-m discovery -t sendtargets -p 10.0.0.5", "discovery run 10.0.0.5:3260 [] truetrue"),
        ("-m node -T T -p 10.0.0.5 --login", "node login T P"),
        ("-m node -T T --logout", "node logout T"),
        ("-m node -T T -p 10.0.0.5 --rescan", "node rescan T P"),
        ("-m node -T T -p 10.0.0.5 -R", "node rescan T P"),
        ("-m node -T T -o delete", "node delete T"),
        ("-m node -T T -p 10.0.0.5 -o show", "node show T P"),
        (
            "-m node -T T -p 10.0.0.5 -o update -n node.session.err_timeo.abort_timeout -v 15",
            "node update T P [node.session.err_timeo.abort_timeout = 15]",
        ),
        ("-m session", "session list None 0 false"),
        ("-m session -P 3", "session list None 3 false"),
        ("-m discovery -t st -p 10.0.0.5 -o new", "discovery run 10.0.0.5:3260 [] truetrue"),
        ("--mode node --targetname T --portal P --op update -n a -v b", "node update T P [a = b]"),
        ("--mode node --targetname T --portal P --login -I i", "node login T P i"),
        ("--mode node -p 10.0.0.5 -u -T T", "node logout T P"),
        ("-m iface -I iface_eth0 --op new", "iface new iface_eth0"),
        (
            "-m iface -I iface_eth0 --op=update -n iface.net_ifacename -v eth0",
            "iface update iface_eth0 [iface.net_ifacename = eth0]",
        ),
    ]);
}

#[test]
fn blivet_trident_democratic_csi_clusterlabs_and_xenserver() {
    check(&[
        ("-m iface -I iface0 --op=new", "iface new iface0"),
        ("-m iface -I iface0 --op=delete", "iface delete iface0"),
        ("-m discoverydb -t st -p P -I default -D", "discoverydb run 10.0.0.5:3260 [\"default\"]"),
        ("-m discoverydb -t st -p P -I default -o new", "discoverydb new 10.0.0.5:3260 []"),
        ("-m node -T T -p P -o update -n a -v b", "node update T P [a = b]"),
        ("-m session -r 3 --rescan", "session rescan Some(3)"),
        ("-m node -T T -p P -o new", "node new None"),
        ("-m discovery -p P -t st", "discovery run 10.0.0.5:3260 [] truetrue"),
        ("-m discoverydb -p P -t sendtargets", "discoverydb show 10.0.0.5:3260"),
        ("-m discoverydb -p P -t sendtargets -D", "discoverydb run 10.0.0.5:3260 []"),
        ("-m node -p P -T T -l", "node login T P"),
        ("-m session -r 3 -u", "session logout Some(3)"),
        ("-m session -r 3 -P 1", "session list Some(3) 1 false"),
        ("-m node -p P -T T -S", "node show T P"),
        ("-m node -T T -p P -u", "node logout T P"),
        ("-m node -o delete -T T", "node delete T"),
    ]);
}

#[test]
fn service_files() {
    check(&[
        ("-m node --loginall=automatic", "node login Automatic"),
        ("-m node --logoutall=automatic", "node logout Automatic"),
        ("-m node --logoutall=manual", "node logout Manual"),
    ]);
    assert_eq!(
        request("-m node --loginall=automatic -W"),
        Request::Node(Node::LoginAll {
            class: riscsiadm::cli::request::Startup::Automatic,
            filter: NodeFilter::default(),
            wait: false
        })
    );
}
