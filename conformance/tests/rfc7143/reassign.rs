//! Error recovery level 2: commands that outlive their connection (sections 6.3.4, 7.2.2, 7.5 and 11.5).

use iscsi_initiator::core::{CommandError, ConnectionError, Event, Offer};
use iscsi_initiator::{Builder, Config, Session};
use iscsi_proto::pdu::{LogoutReason, Pdu, ScsiCommand, TaskFunction, TaskRequest, TaskResponse, TaskResult};
use iscsi_proto::tags::Itt;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::mcs::{log_out, logout};
use crate::support::peer::{Peer, TSIH, pattern};
use crate::support::world::{PIPE, Running, SECOND, World, builder, ended, offering};

/// An offer of level 2 with these times.
fn recovering(time2wait: u16, time2retain: u16) -> impl FnOnce(&mut Offer) {
    move |offer| {
        offer.error_recovery_level = 2;
        (offer.default_time2wait, offer.default_time2retain) = (time2wait, time2retain);
    }
}

/// The next PDU, which has to be a request for task management.
async fn managed(peer: &mut Peer) -> TaskRequest {
    match peer.hear().await {
        (Pdu::TaskRequest(request), _) => request,
        (other, _) => panic!("{other:?} is no task management"),
    }
}

async fn answer(peer: &mut Peer, itt: Itt, result: TaskResult) {
    let numbering = peer.status();
    peer.say(TaskResponse { result, information: [0; 3], itt, numbering }, &[]).await;
}

/// A session of two connections, and a command that the target has taken on the second one.
async fn with_a_command(start: impl Fn(&World) -> Running, time2retain: u16) -> (World, Peer, Running, ScsiCommand) {
    let mut world = World::of_many(recovering(3, time2retain)).await;
    let (_, mut other) = world.join().await;
    let (first, second) = (world.test(), start(&world));
    let (here, _) = world.peer.command().await;
    let (there, _) = other.command().await;
    world.peer.exp_cmd_sn = there.cmd_sn.next();
    world.peer.good(here.itt).await;
    ended(first).await.expect("success");
    (world, other, second, there)
}

/// The second connection has been lost: it is logged out, and its task is moved.
async fn moved(world: &mut World, command: &ScsiCommand, result: TaskResult) {
    let request = logout(&mut world.peer).await;
    assert_eq!((request.reason, request.cid), (LogoutReason::RemoveForRecovery, 1));
    log_out(&mut world.peer, request.itt, 0, 20).await;
    let moved = managed(&mut world.peer).await;
    assert_eq!((moved.function, moved.referenced), (TaskFunction::TaskReassign, command.itt));
    answer(&mut world.peer, moved.itt, result).await;
}

#[tokio::test(start_paused = true)]
async fn r284_r285_a_lost_connection_is_logged_out_before_its_task_is_moved_by_an_immediate_request() {
    let (mut world, other, read, command) = with_a_command(|world| world.read(8), 20).await;
    let lost_at = Instant::now();
    drop(other);
    let request = logout(&mut world.peer).await;
    assert!(lost_at.elapsed() >= SECOND * 3, "{:?}", lost_at.elapsed());
    assert_eq!((request.reason, request.cid, request.immediate), (LogoutReason::RemoveForRecovery, 1, true));
    world.peer.hears_nothing().await;
    log_out(&mut world.peer, request.itt, 0, 20).await;
    let moved = managed(&mut world.peer).await;
    assert_eq!((moved.function, moved.referenced), (TaskFunction::TaskReassign, command.itt));
    assert!(moved.immediate);
    assert_eq!((moved.exp_data_sn.0, moved.cmd_sn), (0, world.peer.exp_cmd_sn));
    answer(&mut world.peer, moved.itt, TaskResult::FunctionComplete).await;
    world.peer.say(world.peer.data_in(command.itt, 0, 0), b"the data").await;
    world.peer.good(command.itt).await;
    assert_eq!(&ended(read).await.unwrap().data[..], b"the data");
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r284_what_the_target_does_not_go_on_with_ends_with_an_error() {
    for result in [TaskResult::TaskDoesNotExist, TaskResult::TaskStillAllegiant, TaskResult::ReassignmentNotSupported] {
        let (mut world, other, write, command) = with_a_command(|world| world.write(8), 20).await;
        drop(other);
        moved(&mut world, &command, result).await;
        let error = ended(write).await.unwrap_err();
        assert!(matches!(error, CommandError::NotReassigned { result: found } if found == result), "{error}");
        assert!(!error.is_known_not_executed());
        world.works().await;
    }
}

#[tokio::test(start_paused = true)]
async fn r286_what_was_read_before_the_move_is_read_again() {
    let (mut world, mut other, read, command) = with_a_command(|world| world.read(8), 20).await;
    other.exp_cmd_sn = world.peer.exp_cmd_sn;
    other.say(other.data_in(command.itt, 0, 0), b"old!").await;
    drop(other);
    moved(&mut world, &command, TaskResult::FunctionComplete).await;
    // DataSN and offset begin anew.
    world.peer.say(world.peer.data_in(command.itt, 0, 0), b"new ").await;
    world.peer.say(world.peer.data_in(command.itt, 1, 4), b"data").await;
    world.peer.good(command.itt).await;
    assert_eq!(&ended(read).await.unwrap().data[..], b"new data");
}

#[tokio::test(start_paused = true)]
async fn r286_what_was_written_before_the_move_is_sent_again_as_far_as_the_target_asks() {
    let (mut world, mut other, write, command) = with_a_command(|world| world.write(300_000), 20).await;
    while let (Pdu::DataOut(data), _) = other.hear().await {
        if data.fin {
            break;
        }
    }
    drop(other);
    moved(&mut world, &command, TaskResult::FunctionComplete).await;
    world.peer.hears_nothing().await;
    let r2t = world.peer.r2t(&command, 0, 100_000, 200_000);
    world.peer.say(r2t, &[]).await;
    let mut sent = Vec::new();
    while sent.len() < 200_000 {
        let (Pdu::DataOut(_), bytes) = world.peer.hear().await else { panic!() };
        sent.extend_from_slice(&bytes);
    }
    assert_eq!(sent, pattern(300_000)[100_000..]);
    world.peer.good(command.itt).await;
    ended(write).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r287_immediate_requests_end_with_their_connection() {
    let mut world = World::of_many(recovering(3, 20)).await;
    let (_, mut other) = world.join().await;
    let ping = world.start(|session| async move { session.ping().await });
    let text = world.start(|session| async move { session.text(b"a=b\0".to_vec()).await });
    assert!(matches!(world.peer.hear().await, (Pdu::NopOut(_), _)));
    assert!(matches!(world.peer.hear().await, (Pdu::TextRequest(_), _)));
    other.exp_cmd_sn = world.peer.exp_cmd_sn;
    drop(std::mem::replace(&mut world.peer, other));
    assert!(matches!(ended(ping).await, Err(CommandError::Closed { sent: true, .. })));
    assert!(matches!(ended(text).await, Err(CommandError::Closed { sent: true, .. })));
    let request = logout(&mut world.peer).await;
    assert_eq!(request.cid, 0);
    log_out(&mut world.peer, request.itt, 0, 20).await;
    world.peer.hears_nothing().await;
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r262_r288_tasks_that_are_not_moved_in_time_are_lost_and_the_session_is_not() {
    let (mut world, other, read, _) = with_a_command(|world| world.read(8), 20).await;
    let mut events = world.session.events();
    drop(other);
    let Some(Event::ConnectionLost { cid: 1, time2wait: 3, time2retain: 20, .. }) = events.next().await else {
        panic!()
    };
    let request = logout(&mut world.peer).await;
    let from = Instant::now();
    log_out(&mut world.peer, request.itt, 7, 5).await;
    let moved = managed(&mut world.peer).await;
    assert!(from.elapsed() >= SECOND * 7 && from.elapsed() < SECOND * 8, "{:?}", from.elapsed());
    assert_eq!(moved.function, TaskFunction::TaskReassign);
    let error = ended(read).await;
    assert!(matches!(error, Err(CommandError::Closed { sent: true, .. })), "{error:?}");
    assert!(from.elapsed() >= SECOND * 12 && from.elapsed() < SECOND * 13, "{:?}", from.elapsed());
    assert!(world.session.closed().is_none());
}

/// Peers that are reached over TCP.
struct Portal {
    listener: TcpListener,
}

impl Portal {
    async fn open() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port") }
    }

    fn builder(&self, config: Config) -> Builder {
        let portal = self.listener.local_addr().expect("an address").to_string();
        builder().config(config).portal(portal.parse().expect("a portal"))
    }

    /// The peer of the next connection. When it is dropped, the connection is closed.
    async fn accept(&self) -> Peer {
        let (mut tcp, _) = self.listener.accept().await.expect("a connection");
        let (mut near, far) = tokio::io::duplex(PIPE);
        tokio::spawn(async move { copy_bidirectional(&mut tcp, &mut near).await });
        let mut peer = Peer::new(far);
        peer.stop_watching();
        peer
    }

    async fn session(&self, config: Config) -> (Session, Peer) {
        let login = self.builder(config).connect();
        let peer = async {
            let mut peer = self.accept().await;
            peer.log_in(&[]).await;
            peer
        };
        let (session, peer) = tokio::join!(login, peer);
        (session.expect("a login"), peer)
    }
}

/// The login that takes the place of the lost connection, with its TSIH, ISID and CID.
async fn reinstated(portal: &Portal, session: &Session, stat_sn: iscsi_proto::serial::Serial) -> Peer {
    let mut peer = portal.accept().await;
    let mut first = true;
    loop {
        let (request, _) = peer.login_request().await;
        assert_eq!((request.tsih, request.isid, request.cid), (TSIH, session.info().isid, 0));
        assert!(!std::mem::take(&mut first) || request.exp_stat_sn == stat_sn, "{request:?}");
        peer.grant(&request, &[]).await;
        if request.next == Some(iscsi_proto::pdu::Stage::FullFeature) {
            return peer;
        }
    }
}

fn write(session: &Session) -> Running {
    use iscsi_initiator::core::Command;
    use iscsi_proto::scsi::{Cdb, Lun};
    let session = session.clone();
    tokio::spawn(async move { session.execute(Lun::from(3), Command::write(Cdb::write(0, 1), pattern(512))).await })
}

/// In real time, since the clock of tests does not wait for TCP.
#[tokio::test]
async fn r262_r288_the_only_connection_is_taken_up_again_after_the_time_to_wait() {
    let portal = Portal::open().await;
    let (session, mut peer) = portal.session(offering(recovering(1, 30))).await;
    let mut events = session.events();
    let running = write(&session);
    let (command, _) = peer.command().await;
    let (stat_sn, lost_at) = (peer.stat_sn, Instant::now());
    drop(peer);
    let Some(Event::ConnectionLost { cid: 0, time2wait: 1, time2retain: 30, .. }) = events.next().await else {
        panic!()
    };
    let waiting = write(&session);
    // The target has taken the first command.
    let mut peer = reinstated(&portal, &session, stat_sn).await;
    assert!(lost_at.elapsed() >= SECOND, "{:?}", lost_at.elapsed());
    // The login named the next number, so the target had the first command.
    assert_eq!(peer.exp_cmd_sn, command.cmd_sn.next());
    let moved = managed(&mut peer).await;
    assert_eq!((moved.function, moved.referenced), (TaskFunction::TaskReassign, command.itt));
    let (next, _) = peer.command().await;
    assert_eq!(next.cmd_sn, command.cmd_sn.next());
    answer(&mut peer, moved.itt, TaskResult::FunctionComplete).await;
    peer.good(command.itt).await;
    peer.good(next.itt).await;
    ended(running).await.unwrap();
    ended(waiting).await.unwrap();
    assert_eq!(events.next().await, Some(Event::ConnectionRestored { cid: 0 }));
    let leaving = tokio::spawn(async move { session.logout().await });
    let request = logout(&mut peer).await;
    assert_eq!(request.reason, LogoutReason::CloseSession);
    log_out(&mut peer, request.itt, 0, 0).await;
    ended(leaving).await.unwrap();
}

#[tokio::test]
async fn r288_attempts_go_on_until_the_target_has_forgotten_the_tasks() {
    let portal = Portal::open().await;
    let (session, mut peer) = portal.session(offering(recovering(0, 3))).await;
    let running = write(&session);
    peer.command().await;
    let lost_at = Instant::now();
    drop(peer);
    let mut attempts = 0;
    let mut running = running;
    let outcome = loop {
        tokio::select! {
            ended = &mut running => break ended.expect("no panic"),
            refused = portal.accept() => {
                attempts += 1;
                drop(refused);
            }
        }
    };
    assert!(lost_at.elapsed() >= SECOND * 3 && lost_at.elapsed() < SECOND * 10, "{:?}", lost_at.elapsed());
    assert!((2..=4).contains(&attempts), "{attempts}");
    let closed = ConnectionError::ClosedByTarget;
    assert!(
        matches!(&outcome, Err(CommandError::Closed { error, sent: true }) if error.to_string() == closed.to_string()),
        "{outcome:?}"
    );
    assert!(session.closed().is_some());
}

/// Nothing is kept by a target that says so, so there is nothing to come back for.
#[tokio::test(start_paused = true)]
async fn r262_without_time_to_retain_the_session_ends_with_its_connection() {
    let mut world = World::with(offering(recovering(3, 0)), &[]).await;
    let write = world.write(8);
    world.peer.command().await;
    let World { session, peer, .. } = world;
    drop(peer);
    assert!(matches!(ended(write).await, Err(CommandError::Closed { sent: true, .. })));
    assert!(session.closed().is_some());
}
