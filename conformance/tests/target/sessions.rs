use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use conformance::target::config::Limits;
use conformance::target::core::{Ending, Node};
use iscsi_proto::pdu::{LoginStatus, LogoutReason, LogoutRequest, LogoutResult, Pdu, ScsiCommand, Stage};
use iscsi_proto::scsi::{Cdb, Command, Status};
use iscsi_proto::serial::Serial;

use crate::peer::{Answer, BLOCK, INITIATOR, Peer, TARGET, data_out, done, node, node_with};

const NAMES: [(&str, &str); 2] = [("InitiatorName", INITIATOR), ("TargetName", TARGET)];

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn wide() -> Arc<Node> {
    node_with(|target| target.limits = Limits { max_connections: 3, ..Limits::default() })
}

/// A login that names a session; its status.
fn join(node: &Arc<Node>, leader: &Peer, change: impl FnOnce(&mut Peer)) -> (Peer, LoginStatus) {
    let mut peer = Peer::new(node);
    (peer.isid, peer.tsih, peer.cid, peer.cmd_sn) = (leader.isid, leader.tsih, leader.cid, leader.cmd_sn);
    change(&mut peer);
    let (response, _) = peer.login(Stage::Operational, Some(Stage::FullFeature), &NAMES);
    (peer, response.status)
}

fn logout(peer: &mut Peer, reason: LogoutReason, cid: u16) -> LogoutResult {
    let request =
        LogoutRequest { immediate: true, reason, itt: peer.itt(), cid, cmd_sn: peer.cmd_sn, exp_stat_sn: Serial(0) };
    let answers = peer.send(request, &[]);
    let [Answer { pdu: Pdu::LogoutResponse(response), .. }] = &answers[..] else { panic!("{answers:?}") };
    response.result
}

/// The table at the end of section 6.3.1 of RFC 7143.
#[test]
fn isid_tsih_and_cid_decide_what_a_login_does() {
    let node = wide();
    let leader = Peer::logged_in(&node, &[("MaxConnections", "2")]);
    let other_isid = |peer: &mut Peer| peer.isid.0[5] ^= 1;
    let (_, status) = join(&node, &leader, other_isid);
    assert_eq!(status, LoginStatus::NO_SUCH_SESSION, "new ISID, TSIH of somebody");
    let (_, status) = join(&node, &leader, |peer| peer.tsih = leader.tsih + 1);
    assert_eq!(status, LoginStatus::NO_SUCH_SESSION, "known ISID, unknown TSIH");
    let (fresh, status) = join(&node, &leader, |peer| {
        other_isid(peer);
        peer.tsih = 0;
    });
    assert_eq!(status, LoginStatus::SUCCESS);
    assert_ne!(fresh.tsih, leader.tsih, "new ISID, no TSIH: a new session");
    assert!(leader.is_open());
    let (second, status) = join(&node, &leader, |peer| peer.cid = 1);
    assert_eq!((status, second.tsih), (LoginStatus::SUCCESS, leader.tsih), "one more connection");
    assert!(leader.is_open());
    let (_, status) = join(&node, &leader, |peer| peer.cid = 2);
    assert_eq!(status, LoginStatus::TOO_MANY_CONNECTIONS);
    let (again, status) = join(&node, &leader, |peer| peer.cid = 1);
    assert_eq!(status, LoginStatus::SUCCESS, "known CID: the old connection goes");
    assert_eq!((second.connection.ending(), again.connection.ending()), (Ending::Now, Ending::Open));
    let (new, status) = join(&node, &leader, |peer| peer.tsih = 0);
    assert_eq!(status, LoginStatus::SUCCESS, "known ISID, no TSIH: the old session goes");
    assert!(!leader.is_open() && !again.is_open() && new.is_open() && fresh.is_open());
    assert_eq!(node.sessions().len(), 2);
}

#[test]
fn reinstatement_ends_the_tasks_of_the_old_session() {
    let node = node();
    let mut old = Peer::logged_in(&node, &[]);
    let command = ScsiCommand { write: true, ..old.command(Cdb::write(0, 1), BLOCK) };
    let itt = command.itt;
    let answers = old.send(command, &[]);
    let [Answer { pdu: Pdu::R2t(r2t), .. }] = &answers[..] else { panic!("{answers:?}") };
    let mut new = Peer::logged_in(&node, &[]);
    old.connection.receive(&old.encode(data_out(itt, r2t.ttt, 0, 0, true), &[], &[1; 512]));
    assert!(old.answers().is_empty() && !old.is_open());
    assert_eq!(new.read(Cdb::read(0, 1), BLOCK).data, [0; 512]);
}

#[test]
fn a_session_ends_with_its_last_connection() {
    let node = wide();
    let mut leader = Peer::logged_in(&node, &[("MaxConnections", "3")]);
    let (mut second, _) = join(&node, &leader, |peer| peer.cid = 1);
    let (third, _) = join(&node, &leader, |peer| peer.cid = 2);
    drop(third);
    assert_eq!(logout(&mut second, LogoutReason::CloseConnection, 9), LogoutResult::CidNotFound);
    assert_eq!(logout(&mut second, LogoutReason::RemoveForRecovery, 0), LogoutResult::RecoveryNotSupported);
    assert!(second.is_open());
    assert_eq!(logout(&mut second, LogoutReason::CloseConnection, 0), LogoutResult::Closed);
    assert_eq!((leader.connection.ending(), second.is_open()), (Ending::Now, true));
    leader.connection.poll();
    assert_eq!(node.sessions().len(), 1);
    assert_eq!(logout(&mut second, LogoutReason::CloseConnection, 1), LogoutResult::Closed);
    assert_eq!(second.connection.ending(), Ending::Flush);
    assert!(node.sessions().is_empty());
}

#[test]
fn a_session_logout_closes_all_connections() {
    let node = wide();
    let mut leader = Peer::logged_in(&node, &[("MaxConnections", "2")]);
    let woken = Arc::new(Woken::default());
    let mut second = Peer::woken_by(&node, Waker::from(woken.clone()));
    (second.isid, second.tsih, second.cid) = (leader.isid, leader.tsih, 1);
    second.login(Stage::Operational, Some(Stage::FullFeature), &NAMES);
    assert_eq!(logout(&mut leader, LogoutReason::CloseSession, 0), LogoutResult::Closed);
    assert_eq!((leader.connection.ending(), second.connection.ending()), (Ending::Flush, Ending::Now));
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(node.sessions().is_empty());
}

#[test]
fn commands_are_ordered_over_all_connections_and_answered_where_they_came() {
    let node = wide();
    let mut leader = Peer::logged_in(&node, &[("MaxConnections", "2")]);
    let woken = Arc::new(Woken::default());
    let mut second = Peer::woken_by(&node, Waker::from(woken.clone()));
    (second.isid, second.tsih, second.cid, second.next_itt) = (leader.isid, leader.tsih, 1, 1000);
    second.login(Stage::Operational, Some(Stage::FullFeature), &NAMES);

    let first = leader.command(Command::TestUnitReady.encode(), 0);
    second.cmd_sn = leader.cmd_sn;
    let early = second.command(Command::TestUnitReady.encode(), 0);
    assert!(second.send(early.clone(), &[]).is_empty());
    assert_eq!(leader.send(first, &[]).len(), 1);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    second.connection.poll();
    let answers = second.answers();
    assert!(matches!(&answers[..], [Answer { pdu: Pdu::ScsiResponse(response), .. }] if response.itt == early.itt));
    assert_eq!(leader.exp_cmd_sn.next(), second.cmd_sn);
}

#[test]
fn session_keys_are_settled_once() {
    let node = wide();
    let leader =
        Peer::logged_in(&node, &[("MaxConnections", "2"), ("MaxBurstLength", "1024"), ("FirstBurstLength", "512")]);
    let mut peer = Peer::new(&node);
    (peer.isid, peer.tsih, peer.cid) = (leader.isid, leader.tsih, 1);
    let keys = [NAMES[0], NAMES[1], ("MaxBurstLength", "512")];
    let (response, _) = peer.login(Stage::Operational, Some(Stage::FullFeature), &keys);
    assert_eq!(response.status, LoginStatus::INITIATOR_ERROR);

    let mut peer = Peer::new(&node);
    (peer.isid, peer.tsih, peer.cid, peer.cmd_sn) = (leader.isid, leader.tsih, 1, leader.cmd_sn);
    let keys = [NAMES[0], NAMES[1], ("HeaderDigest", "CRC32C"), ("MaxRecvDataSegmentLength", "512")];
    let (response, _) = peer.login(Stage::Operational, Some(Stage::FullFeature), &keys);
    assert_eq!(response.status, LoginStatus::SUCCESS);
    peer.use_digests(true, false);
    let command = ScsiCommand { read: true, ..peer.command(Cdb::read(0, 4), 4 * BLOCK) };
    let answers = peer.send(command, &[]);
    let fin: Vec<bool> = answers.iter().map(|answer| matches!(&answer.pdu, Pdu::DataIn(pdu) if pdu.fin)).collect();
    assert_eq!(fin, [false, true, false, true], "its own segment length, the session's burst length");
}

#[test]
fn sessions_are_limited() {
    let node = node_with(|target| target.limits.max_sessions = 2);
    let peers: Vec<Peer> = (0..2)
        .map(|n| {
            let mut peer = Peer::new(&node);
            peer.isid.0[5] = n;
            peer.log_in(&[]);
            peer
        })
        .collect();
    let mut third = Peer::new(&node);
    let (response, _) = third.login(Stage::Operational, Some(Stage::FullFeature), &NAMES);
    assert_eq!(response.status, LoginStatus::OUT_OF_RESOURCES);
    drop(peers);
    assert_eq!(Peer::logged_in(&node, &[]).read(Command::TestUnitReady.encode(), 0).status, Status::GOOD);
}

#[test]
fn an_observer_sees_sessions_and_counts_and_can_drop_them() {
    let node = node();
    let mut peer = Peer::logged_in(&node, &[]);
    peer.read(Cdb::read(0, 1), BLOCK);
    let [session] = &node.sessions()[..] else { panic!() };
    assert_eq!((session.tsih, session.isid, session.discovery), (peer.tsih, peer.isid, false));
    assert_eq!(session.target.as_ref().unwrap().as_str(), TARGET);
    let counters = node.counters();
    assert_eq!((counters.connections(), counters.logins(), counters.commands()), (1, 1, 1));
    assert_eq!((counters.bytes_in(), counters.bytes_out(), counters.rejects()), (48, 512, 0));
    node.drop_sessions();
    assert_eq!(peer.connection.ending(), Ending::Now);
    assert!(node.sessions().is_empty());
}

#[test]
fn answers_in_waiting_hold_back_further_requests() {
    let mut peer = Peer::logged_in(
        &node_with(|target| {
            target.luns = vec![conformance::target::config::LunConfig::null(1 << 30)];
        }),
        &[],
    );
    let mut bytes = Vec::new();
    for _ in 0..64 {
        let command = ScsiCommand { read: true, ..peer.command(Cdb::read(0, 2048), 1 << 20) };
        bytes.extend_from_slice(&peer.encode(command, &[], &[]));
    }
    let mut used = 0;
    let mut rounds = 0;
    while used < bytes.len() {
        let step = peer.connection.receive(&bytes[used..]);
        assert!(step <= 6 * 48, "{step} bytes at once");
        used += step;
        rounds += 1;
        peer.use_digests(false, false);
        let answers = peer.answers();
        assert!(answers.iter().any(|answer| matches!(&answer.pdu, Pdu::DataIn(pdu) if pdu.status.is_some())));
    }
    assert!(rounds > 10);
}

#[test]
fn requests_that_targets_send_close_the_connection() {
    let mut peer = Peer::logged_in(&node(), &[]);
    peer.connection.receive(iscsi_proto::pdu::Header::new(iscsi_proto::pdu::Opcode::NopIn).as_bytes());
    assert!(!peer.is_open());
}

#[test]
fn requests_that_mean_nothing_here_are_rejected() {
    use iscsi_proto::pdu::{Header, Opcode, RejectReason};
    let mut peer = Peer::logged_in(&node(), &[]);
    let mut vendor = Header::new(Opcode::NopOut);
    vendor.0[0] = 0x1c;
    for (header, reason) in [
        (Header::new(Opcode::Snack), RejectReason::SnackReject),
        (Header::new(Opcode::LoginRequest), RejectReason::ProtocolError),
        (vendor, RejectReason::CommandNotSupported),
    ] {
        let answers = peer.send_bytes(header.as_bytes());
        let [Answer { pdu: Pdu::Reject(reject), data }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((reject.reason, &data[..]), (reason, &header.0[..]));
    }
    assert_eq!(
        done(&{
            let command = peer.command(Command::TestUnitReady.encode(), 0);
            peer.send(command, &[])
        })
        .status,
        Status::GOOD
    );
}
