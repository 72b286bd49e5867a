//! Task management (sections 4.2.3, 11.5 and 11.6).

use iscsi_initiator::core::{Command, CommandError, ConnectionError};
use iscsi_proto::pdu::{Pdu, TaskFunction, TaskRequest, TaskResponse, TaskResult};
use iscsi_proto::scsi::{Cdb, Lun, Status};
use iscsi_proto::tags::Itt;

use crate::support::peer::Peer;
use crate::support::world::{LUN, Running, SECOND, World, config, ended};

async fn request(peer: &mut Peer) -> TaskRequest {
    match peer.hear().await {
        (Pdu::TaskRequest(request), data) if data.is_empty() => request,
        other => panic!("{other:?}"),
    }
}

async fn answer(peer: &mut Peer, itt: Itt, result: TaskResult) {
    let numbering = peer.status();
    peer.say(TaskResponse { result, information: [0; 3], itt, numbering }, &[]).await;
}

fn abort_all(world: &World) -> Running<Result<TaskResult, CommandError>> {
    world.start(|session| async move { session.abort_tasks(Lun::from(LUN)).await })
}

fn reset(world: &World) -> Running<Result<TaskResult, CommandError>> {
    world.start(|session| async move { session.reset_lun(Lun::from(LUN)).await })
}

#[tokio::test(start_paused = true)]
async fn r242_r243_r254_other_functions_name_a_unit_and_no_task() {
    let mut world = World::new().await;
    for (running, function) in
        [(abort_all(&world), TaskFunction::AbortTaskSet), (reset(&world), TaskFunction::LogicalUnitReset)]
    {
        let request = request(&mut world.peer).await;
        assert_eq!((request.function, request.lun), (function, Lun::from(LUN)));
        assert!(request.immediate && request.referenced.is_reserved());
        assert_eq!((request.ref_cmd_sn.0, request.exp_data_sn.0), (0, 0));
        answer(&mut world.peer, request.itt, TaskResult::FunctionComplete).await;
        assert_eq!(ended(running).await.unwrap(), TaskResult::FunctionComplete);
    }
    world.works().await;
}

/// the target waits for the data of what it is about to end.
#[tokio::test(start_paused = true)]
async fn r2ts_are_answered_until_the_target_has_ended_the_tasks() {
    let answers = [("InitialR2T", "Yes"), ("ImmediateData", "No"), ("MaxRecvDataSegmentLength", "512")];
    let mut world = World::with(config(), &answers).await;
    let write = world.write(4096);
    let (command, _) = world.peer.command().await;
    let running = abort_all(&world);
    let request = request(&mut world.peer).await;
    let r2t = world.peer.r2t(&command, 0, 0, 2048);
    world.peer.say(r2t, &[]).await;
    for part in 0..4 {
        let (Pdu::DataOut(data), _) = world.peer.hear().await else { panic!() };
        assert_eq!((data.itt, data.fin), (command.itt, part == 3));
    }
    answer(&mut world.peer, request.itt, TaskResult::FunctionComplete).await;
    assert_eq!(ended(running).await.unwrap(), TaskResult::FunctionComplete);
    assert!(matches!(ended(write).await, Err(CommandError::Aborted)));
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r246_commands_behind_the_request_are_not_ended_by_it() {
    let mut world = World::new().await;
    let before = world.read(512);
    world.peer.command().await;
    let running = reset(&world);
    let request = request(&mut world.peer).await;
    let behind = world.read(512);
    let (later, _) = world.peer.command().await;
    answer(&mut world.peer, request.itt, TaskResult::FunctionComplete).await;
    ended(running).await.unwrap();
    assert!(matches!(ended(before).await, Err(CommandError::Aborted)));
    world.peer.good(later.itt).await;
    assert_eq!(ended(behind).await.unwrap().status, Status::GOOD);
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r247_r251_a_command_that_ends_before_the_answer_keeps_its_status() {
    let mut world = World::new().await;
    let read = world.read(512);
    let (command, _) = world.peer.command().await;
    let running = abort_all(&world);
    let request = request(&mut world.peer).await;
    let response = world.peer.response(command.itt, Status::BUSY);
    world.peer.say(response, &[]).await;
    assert_eq!(ended(read).await.unwrap().status, Status::BUSY);
    answer(&mut world.peer, request.itt, TaskResult::FunctionComplete).await;
    assert_eq!(ended(running).await.unwrap(), TaskResult::FunctionComplete);
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r248_r294_every_answer_reaches_the_caller_and_only_success_ends_tasks() {
    use TaskResult::{
        AuthorizationFailed, FunctionComplete, FunctionNotSupported, FunctionRejected, FunctionSucceeded,
        LunDoesNotExist, ReassignmentNotSupported, TaskDoesNotExist, TaskStillAllegiant,
    };
    for (result, ends) in [
        (FunctionComplete, true),
        (FunctionSucceeded, true),
        (TaskDoesNotExist, false),
        (LunDoesNotExist, false),
        (TaskStillAllegiant, false),
        (ReassignmentNotSupported, false),
        (FunctionNotSupported, false),
        (AuthorizationFailed, false),
        (FunctionRejected, false),
    ] {
        let mut world = World::new().await;
        let read = world.read(512);
        let (command, _) = world.peer.command().await;
        let running = reset(&world);
        let request = request(&mut world.peer).await;
        answer(&mut world.peer, request.itt, result).await;
        assert_eq!(ended(running).await.unwrap(), result);
        if ends {
            assert!(matches!(ended(read).await, Err(CommandError::Aborted)));
        } else {
            world.peer.good(command.itt).await;
            assert_eq!(ended(read).await.unwrap().status, Status::GOOD);
        }
        world.works().await;
    }
}

/// a reset may take the connection with it; everything ends, the reset included.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_in_a_reset_ends_everything() {
    let mut world = World::new().await;
    let read = world.read(512);
    world.peer.command().await;
    let running = reset(&world);
    request(&mut world.peer).await;
    let World { session, peer, .. } = world;
    drop(peer);
    for error in [ended(read).await.unwrap_err(), ended(running).await.unwrap_err()] {
        let CommandError::Closed { error: ConnectionError::ClosedByTarget, sent: true } = error else {
            panic!("{error}")
        };
    }
    assert!(matches!(session.closed(), Some(ConnectionError::ClosedByTarget)));
}

#[tokio::test(start_paused = true)]
async fn r241_r250_a_command_without_an_answer_is_aborted_by_its_names() {
    let mut world = World::new().await;
    let mut command = Command::new(Cdb::from_bytes(&[0; 6]).unwrap());
    command.timeout = Some(SECOND * 7);
    let start = tokio::time::Instant::now();
    let running = world.execute(command);
    let (command, _) = world.peer.command().await;
    let request = request(&mut world.peer).await;
    assert_eq!(start.elapsed(), SECOND * 7);
    assert_eq!((request.function, request.lun), (TaskFunction::AbortTask, command.lun));
    assert_eq!((request.referenced, request.ref_cmd_sn), (command.itt, command.cmd_sn));
    answer(&mut world.peer, request.itt, TaskResult::FunctionComplete).await;
    assert!(matches!(ended(running).await, Err(CommandError::TimedOut { sent: true, .. })));
    world.works().await;
}

/// what a target did with a command that it neither ends nor knows cannot be learnt.
#[tokio::test(start_paused = true)]
async fn an_abort_that_fails_ends_the_connection() {
    for result in [TaskResult::TaskDoesNotExist, TaskResult::FunctionRejected, TaskResult::FunctionNotSupported] {
        let mut world = World::new().await;
        let mut command = Command::new(Cdb::from_bytes(&[0; 6]).unwrap());
        command.timeout = Some(SECOND);
        let running = world.execute(command);
        world.peer.command().await;
        let request = request(&mut world.peer).await;
        answer(&mut world.peer, request.itt, result).await;
        let failed = world.failed().await;
        assert!(matches!(failed, ConnectionError::NotAborted { result: found, .. } if found == result));
        assert!(matches!(ended(running).await, Err(CommandError::Closed { sent: true, .. })));
    }
}
