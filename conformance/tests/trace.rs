//! `riscsiadm --trace`: the file is what Wireshark takes for an iSCSI conversation, and holds no proof of a secret.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use conformance::lab::{self, Bundled, Lun, Riscsiadm, Target};
use iscsi_initiator::tap::{Direction, Ends, Tap, Wire};
use iscsi_initiator::{Discovery, Initiator, Session, blocking};

const DISK: &str = "iqn.2026-01.org.example:disk";
const CHAP: &str = "iqn.2026-01.org.example:chap";

fn start() -> Bundled {
    Bundled::start(&[
        "--target",
        DISK,
        "--lun",
        "ram:8MiB",
        "--target",
        CHAP,
        "--lun",
        "ram:1MiB",
        "--chap",
        "alice:alicesecret12",
        "--mutual-chap",
        "array:arraysecret12",
    ])
    .unwrap()
}

/// What tshark prints for the packets of a trace that match a filter: the fields, one packet a line.
fn dissect(tshark: &Path, trace: &Path, portal: SocketAddr, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new(tshark);
    command.arg("-r").arg(trace).args(["-d", &format!("tcp.port=={},iscsi", portal.port())]);
    // Checksums are not looked at unless it is told to.
    command.args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).lines().map(str::to_owned).collect()
}

/// Numbers of the packets that match.
fn count(tshark: &Path, trace: &Path, portal: SocketAddr, filter: &str) -> usize {
    dissect(tshark, trace, portal, filter, &["frame.number"]).len()
}

/// What no good trace has.
const FAULTS: &str = "_ws.malformed || tcp.analysis.flags || tcp.checksum.status != 1 || ip.checksum.status != 1 || \
                      _ws.unreassembled || _ws.expert.severity >= 8388608";

#[test]
fn tshark_takes_a_session_with_digests_and_long_transfers_for_iscsi() {
    let Some(tshark) = lab::require(lab::tool("tshark", "tshark")) else { return };
    let (target, tool, dir) = (start(), Riscsiadm::new().unwrap(), tempfile::tempdir().unwrap());
    let [trace, data] = ["t.pcapng", "data"].map(|name| dir.path().join(name));
    std::fs::write(&data, vec![0x5a; 4 << 20]).unwrap();
    let (trace_word, data_word) = (trace.to_str().unwrap(), data.to_str().unwrap());
    for (query, digests) in [("", false), ("?header_digest=crc32c&data_digest=crc32c", true)] {
        let url = format!("{}{query}", target.url(DISK, 0));
        let ran = tool.run(&["write", &url, "-i", data_word, "--trace", trace_word]).unwrap();
        assert_eq!(ran.code, 0, "{ran:?}");
        let portal = target.portal();
        assert_eq!(
            dissect(&tshark, &trace, portal, FAULTS, &["frame.number", "_ws.expert.message"]),
            [""; 0],
            "{query}"
        );
        assert_eq!(count(&tshark, &trace, portal, "iscsi.opcode == 0x3f"), 0);
        for filter in ["iscsi.headerdigest32", "iscsi.datadigest32"] {
            assert_eq!(count(&tshark, &trace, portal, filter) != 0, digests, "{query} {filter}");
        }
        for (filter, least) in [
            ("tcp.flags.syn == 1", 2),
            ("tcp.flags.fin == 1", 2),
            ("iscsi.opcode == 0x03", 1),
            ("iscsi.opcode == 0x23", 1),
            ("iscsi.opcode == 0x01", 4),
            ("iscsi.opcode == 0x05", 10),
            ("iscsi.opcode == 0x06", 1),
            ("iscsi.opcode == 0x26", 1),
        ] {
            let found = count(&tshark, &trace, portal, filter);
            assert!(found >= least, "{query} {filter}: {found}");
        }
    }
}

#[test]
fn the_proof_of_a_secret_is_not_in_the_file_and_the_rest_is() {
    let Some(tshark) = lab::require(lab::tool("tshark", "tshark")) else { return };
    let (target, dir) = (start(), tempfile::tempdir().unwrap());
    let tool =
        Riscsiadm::new().unwrap().env("RISCSI_SECRET", "alicesecret12").env("RISCSI_TARGET_SECRET", "arraysecret12");
    let trace = dir.path().join("t.pcapng");
    let portal = target.portal();
    let url = format!("iscsi://alice@{portal}/{CHAP}?target_user=array");
    let ran = tool.run(&["ls", &url, "--trace", trace.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(trace.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let values = dissect(&tshark, &trace, portal, "iscsi.keyvalue contains \"CHAP_R=\"", &["iscsi.keyvalue"]);
    assert_eq!(values.len(), 2, "one proof each way: {values:?}");
    for line in values {
        let proof = line.split(',').find_map(|pair| pair.strip_prefix("CHAP_R=")).unwrap();
        // 0x and two digits for each byte of the shortest digest.
        assert!(proof.len() >= 2 + 32 && proof.bytes().all(|byte| byte == b'*'), "{line}");
        assert!(line.contains("CHAP_N=alice") || line.contains("CHAP_N=array"), "{line}");
    }
    assert_eq!(dissect(&tshark, &trace, portal, FAULTS, &["frame.number"]), [""; 0]);
    let file = std::fs::read(&trace).unwrap();
    for secret in [&b"alicesecret12"[..], b"arraysecret12"] {
        assert!(!file.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn a_login_that_fails_leaves_a_whole_trace() {
    let Some(tshark) = lab::require(lab::tool("tshark", "tshark")) else { return };
    let (target, tool, dir) = (start(), Riscsiadm::new().unwrap(), tempfile::tempdir().unwrap());
    let trace = dir.path().join("t.pcapng");
    let portal = target.portal();
    let url = format!("iscsi://{portal}/iqn.2026-01.org.example:none");
    let ran = tool.run(&["ls", &url, "--trace", trace.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 19, "{ran:?}");
    assert_eq!(dissect(&tshark, &trace, portal, FAULTS, &["frame.number"]), [""; 0]);
    let found = dissect(&tshark, &trace, portal, "iscsi.opcode == 0x23", &["iscsi.login.status"]);
    assert_eq!(found, ["0x0203"]);
    assert_eq!(count(&tshark, &trace, portal, "tcp.flags.fin == 1"), 2);
}

/// The daemon writes the trace: the session outlives the call that asked for it.
#[test]
fn a_session_of_the_daemon_is_traced_from_login_to_logout() {
    let Some(tshark) = lab::require(lab::tool("tshark", "tshark")) else { return };
    let (target, tool, dir) = (start(), Riscsiadm::new().unwrap(), tempfile::tempdir().unwrap());
    let (trace, portal) = (dir.path().join("t.pcapng"), target.portal());
    let node = ["-m", "node", "-T", DISK, "-p", &portal.to_string()].map(str::to_owned);
    let run = |more: &[&str]| {
        let ran = tool.run(&node.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>()).unwrap();
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{more:?}");
    };
    let commands = || count(&tshark, &trace, portal, "iscsi.opcode == 0x01");
    run(&["-o", "new"]);
    run(&["-l", "--trace", trace.to_str().unwrap()]);
    assert_eq!(count(&tshark, &trace, portal, "iscsi.opcode == 0x03"), 2, "one login request for each stage");
    run(&["-R"]);
    let scanned = commands();
    assert!(scanned >= 2, "login and rescan ask for logical units: {scanned}");
    run(&["-R"]);
    assert_eq!(commands(), scanned + 1);
    run(&["-u"]);
    for (filter, packets) in [("iscsi.opcode == 0x06", 1), ("iscsi.opcode == 0x26", 1), ("tcp.flags.fin == 1", 2)] {
        assert_eq!(count(&tshark, &trace, portal, filter), packets, "{filter}");
    }
    assert_eq!(dissect(&tshark, &trace, portal, FAULTS, &["frame.number", "_ws.expert.message"]), [""; 0]);
}

#[test]
fn a_trace_that_cannot_be_written_is_said_before_anything_is_sent() {
    let (target, tool) = (start(), Riscsiadm::new().unwrap());
    let ran = tool.run(&["ls", &format!("iscsi://{}", target.portal()), "--trace", "/no/such/folder/t"]).unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("cannot write /no/such/folder/t"), "{ran:?}");
}

#[test]
fn an_ipv6_connection_is_traced_too() {
    let Some(tshark) = lab::require(lab::tool("tshark", "tshark")) else { return };
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let (tool, dir) = (Riscsiadm::new().unwrap(), tempfile::tempdir().unwrap());
    let [trace, image] = ["t.pcapng", "image"].map(|name| dir.path().join(name));
    std::fs::write(&image, vec![0; 1 << 20]).unwrap();
    let setup = setup.listen("::1".parse().unwrap()).target(Target::new(DISK).lun(Lun::file(&image)));
    let tgt = setup.start().unwrap();
    let portal = tgt.portal();
    let ran = tool.run(&["ls", &format!("iscsi://{portal}/{DISK}"), "--trace", trace.to_str().unwrap()]).unwrap();
    assert_eq!(ran.code, 0, "{ran:?}");
    // There is no checksum of the header in IPv6.
    let faults = FAULTS.replace("ip.checksum.status != 1", "ipv6.version != 6 || !ipv6");
    assert_eq!(dissect(&tshark, &trace, portal, &faults, &["frame.number"]), [""; 0]);
    let to = dissect(&tshark, &trace, portal, "iscsi.opcode == 0x03", &["ipv6.dst", "tcp.dstport"]);
    assert_eq!(to.first().unwrap(), &format!("::1\t{}", portal.port()));
    assert!(count(&tshark, &trace, portal, "iscsi.opcode == 0x25") >= 3);
}

/// What was told of one connection: its ends, and the first byte each way.
type Told = (Option<Ends>, Option<u8>, Option<u8>);

#[derive(Clone, Debug, Default)]
struct Ear {
    told: Arc<Mutex<Vec<Told>>>,
}

impl Tap for Ear {
    fn connected(&self, ends: Option<Ends>) -> Box<dyn Wire> {
        self.told.lock().unwrap().push((ends, None, None));
        Box::new(self.clone())
    }
}

impl Wire for Ear {
    fn saw(&mut self, direction: Direction, bytes: &[u8]) {
        let mut told = self.told.lock().unwrap();
        let (_, sent, received) = told.last_mut().unwrap();
        let first = if direction == Direction::Sent { sent } else { received };
        *first = first.or(bytes.first().copied());
    }
}

#[test]
fn the_tap_of_the_library_hears_sessions_discovery_and_calls_that_block() {
    let (target, ear) = (start(), Ear::default());
    let peer = target.portal();
    let initiator = Initiator::new("iqn.2026-01.org.example:me".parse().unwrap());
    let portal: iscsi_proto::portal::Portal = peer.to_string().parse().unwrap();
    let builder = || {
        let builder = Session::builder(&initiator, DISK.parse().unwrap()).portal(portal.clone());
        builder.tap(Arc::new(ear.clone()))
    };
    let discovery = Discovery::new(&initiator).tap(Arc::new(ear.clone()));
    assert_eq!(blocking::send_targets(&discovery, &portal).unwrap().targets.len(), 2);
    blocking::Session::connect(builder()).unwrap().logout().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        builder().connect().await.unwrap().logout().await.unwrap();
        let io = tokio::net::TcpStream::connect(peer).await.unwrap();
        let (session, connection) = builder().connect_with(io).await.unwrap();
        tokio::spawn(connection);
        session.logout().await.unwrap();
    });
    let told = ear.told.lock().unwrap();
    let peers: Vec<_> = told.iter().map(|(ends, ..)| ends.map(|ends| ends.peer)).collect();
    assert_eq!(peers, [Some(peer), Some(peer), Some(peer), None]);
    assert!(told.iter().all(|(_, sent, received)| (*sent, *received) == (Some(0x43), Some(0x23))), "{told:?}");
}
