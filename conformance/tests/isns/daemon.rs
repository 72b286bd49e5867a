//! The isnsd of open-isns, with targets of two makers registered.

use std::net::SocketAddr;

use conformance::lab::{self, Bundled, Isns, Istgt, Lun, Riscsiadm, Target, stamp};
use iscsi_initiator::core::isns::Registration;
use iscsi_initiator::core::targets::Targets;
use iscsi_initiator::{Discovery, Session};
use iscsi_proto::portal::Portal;

use crate::{HOST, initiator};

const OURS: &str = "iqn.2026-01.org.example:ours";
const THEIRS: &str = "iqn.2026-01.org.example:theirs";
const SIZE: u64 = 1 << 20;

/// A server that knows the bundled target at one portal, and an istgt at two.
struct Lab {
    isns: Isns,
    _bundled: Bundled,
    istgt: Istgt,
    bundled: SocketAddr,
    _dir: tempfile::TempDir,
}

fn start() -> Option<Lab> {
    let (isns, istgt) = (lab::require(lab::isns())?, lab::require(lab::istgt())?);
    let dir = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| dir.path().join(name));
    stamp::file(&ours, SIZE, 1).unwrap();
    stamp::file(&theirs, SIZE, 2).unwrap();
    let isns = isns.start().unwrap();
    let bundled = Bundled::start(&["--target", OURS, "--lun", &format!("file:{}", ours.display())]).unwrap();
    let istgt = istgt.target(Target::new(THEIRS).lun(Lun::file(&theirs))).start().unwrap();
    isns.register(&[OURS], &[bundled.portal()]).unwrap();
    isns.register(&[THEIRS], &istgt.portals()).unwrap();
    let portal = bundled.portal();
    Some(Lab { isns, _bundled: bundled, istgt, bundled: portal, _dir: dir })
}

impl Lab {
    fn server(&self) -> Portal {
        self.isns.server().into()
    }

    /// `PORTAL,TAG TARGET`, sorted.
    fn lines(&self) -> Vec<String> {
        let [first, second] = self.istgt.portals();
        let mut lines =
            vec![format!("{},1 {OURS}", self.bundled), format!("{first},1 {THEIRS}"), format!("{second},1 {THEIRS}")];
        lines.sort();
        lines
    }
}

fn lines(found: &Targets) -> Vec<String> {
    let of = |target: &iscsi_initiator::core::targets::DiscoveredTarget| {
        target.addresses.iter().map(|address| format!("{address} {}", target.name)).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = found.targets.iter().flat_map(of).collect();
    lines.sort();
    lines
}

///
#[tokio::test]
async fn r154_targets_of_a_real_server_are_found_logged_in_to_and_read() {
    let Some(lab) = start() else { return };
    let initiator = initiator();
    let found = Discovery::new(&initiator).isns(&lab.server()).await.unwrap();
    assert_eq!(lines(&found), lab.lines());
    assert_eq!(found.skipped, []);
    for target in found.targets {
        let seed = if target.name.as_str() == OURS { 1 } else { 2 };
        for address in target.addresses {
            let builder = Session::builder(&initiator, target.name.clone()).portal(address.portal);
            let session = builder.connect().await.unwrap();
            let lun = session.open(0.into()).await.unwrap();
            assert_eq!(lun.len(), SIZE);
            stamp::check(&lun.read_at(0, SIZE as usize).await.unwrap(), 0, seed).unwrap();
            session.logout().await.unwrap();
        }
    }
}

///
#[tokio::test]
async fn r154_an_initiator_sees_its_discovery_domain_and_no_more() {
    let Some(lab) = start() else { return };
    lab.isns.domain("of-host", &[HOST, OURS]).unwrap();
    let found = Discovery::new(&initiator()).isns(&lab.server()).await.unwrap();
    assert_eq!(lines(&found), [format!("{},1 {OURS}", lab.bundled)]);
}

#[tokio::test]
async fn who_registers_is_known_to_the_server_and_gone_afterwards() {
    let Some(lab) = start() else { return };
    let discovery = Discovery::new(&initiator().with_alias("host")).registration(Registration::Always);
    let found = discovery.isns(&lab.server()).await.unwrap();
    assert_eq!(lines(&found), lab.lines());
    let nodes = lab.isns.list(OURS, "nodes").unwrap();
    assert!(nodes.contains(OURS) && !nodes.contains(HOST), "{nodes}");
}

/// More than fit into one answer of isnsd, which calls that an internal error.
#[tokio::test]
async fn targets_may_be_too_many_for_one_answer() {
    let Some(isns) = lab::require(lab::isns()) else { return };
    let isns = isns.start().unwrap();
    for number in 0..40 {
        let portals: Vec<SocketAddr> =
            (1..=3).map(|host| format!("10.0.{number}.{host}:3260").parse().unwrap()).collect();
        isns.register(&[&format!("iqn.2026-01.org.example:{number}")], &portals).unwrap();
    }
    let found = Discovery::new(&initiator()).isns(&isns.server().into()).await.unwrap();
    assert_eq!((found.targets.len(), lines(&found).len()), (40, 120));
}

///
#[test]
fn r154_riscsiadm_finds_logs_in_reads_and_logs_out() {
    let Some(lab) = start() else { return };
    let tool = Riscsiadm::new().unwrap();
    let server = lab.isns.server().to_string();
    let discovery = ["-m", "discovery", "-t", "isns", "-p", &server];
    let found = tool.run(&discovery).unwrap();
    let mut lines: Vec<_> = found.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!((lines, found.stderr.as_str(), found.code), (lab.lines(), "", 0));
    assert_eq!(tool.run(&["-m", "discovery"]).unwrap().stdout, format!("{server} via isns\n"));

    let login = tool.run(&["-m", "node", "-l"]).unwrap();
    assert_eq!((login.stdout.matches("successful.").count(), login.code), (3, 0), "{login:?}");
    let sessions = tool.run(&["-m", "session"]).unwrap().stdout;
    assert_eq!((sessions.matches(OURS).count(), sessions.matches(THEIRS).count()), (1, 2), "{sessions}");
    let data = tool.bytes(&["read", &lab.istgt.url(THEIRS, 0), "-o", "-"]).unwrap();
    stamp::check(&data, 0, 2).unwrap();
    assert_eq!(data.len() as u64, SIZE);
    let logout = tool.run(&["-m", "node", "-u"]).unwrap();
    assert_eq!((logout.stdout.matches("successful.").count(), logout.code), (3, 0), "{logout:?}");

    let portal = ["-m", "discoverydb", "-t", "isns", "-p", &server];
    let gone = tool.run(&[&portal[..], &["-o", "delete"]].concat()).unwrap();
    assert_eq!((gone.stdout.as_str(), gone.code), ("", 0));
    assert_eq!(tool.run(&["-m", "node"]).unwrap().code, 21);
}
