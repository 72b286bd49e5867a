use iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, Header, LogoutResponse, LogoutResult, NopIn, Opcode, Reject, RejectReason, TaskFunction,
    TaskResponse, TaskResult, TextResponse,
};

use super::*;

impl World {
    fn task_response(&mut self, itt: Itt, result: TaskResult) {
        let numbering = self.status();
        self.say(TaskResponse { result, information: [0; 3], itt, numbering }, &[]);
    }

    fn message(&mut self, event: AsyncEvent) {
        let numbering = self.status();
        self.say(AsyncMessage { lun: Lun::ZERO, numbering, event }, &[]);
    }

    fn logout_response(&mut self, itt: Itt, result: LogoutResult) {
        let numbering = self.status();
        self.say(LogoutResponse { result, itt, numbering, time2wait: 0, time2retain: 0 }, &[]);
    }

    fn reject(&mut self, reason: RejectReason, rejected: &Header) {
        let numbering = self.status();
        let pdu = Reject { reason, numbering, data_sn: Serial(0) };
        self.say(pdu, rejected.as_bytes());
    }
}

#[test]
fn r241_r243_r250_a_command_without_progress_is_aborted() {
    let mut world = World::new();
    world.read(1, 512);
    let command = world.command();
    world.pass(SECOND * 10);
    let pdu = DataIn { fin: false, ..world.data_in(command.itt, 0, 0) };
    world.say(pdu, &[0; 256]);
    world.pass(SECOND * 14);
    assert!(world.sent().is_empty());
    world.pass(SECOND);
    let [(Pdu::TaskRequest(abort), _)] = &world.sent()[..] else { panic!() };
    assert!(abort.immediate);
    assert_eq!(abort.function, TaskFunction::AbortTask);
    assert_eq!((abort.lun, abort.referenced, abort.ref_cmd_sn), (Lun::from(3), command.itt, command.cmd_sn));
    assert_eq!(abort.cmd_sn, command.cmd_sn.next());
    let itt = abort.itt;
    world.task_response(itt, TaskResult::FunctionComplete);
    let after = Duration::from_secs(15);
    assert!(matches!(world.completion(1), Err(CommandError::TimedOut { after: a, sent: true }) if a == after));
    assert_eq!(world.core.stats().timeouts, 1);
    world.assert_clean();
}

#[test]
fn r251_an_answer_that_overtakes_the_abort_counts() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    world.pass(SECOND * 15);
    let [(Pdu::TaskRequest(abort), _)] = &world.sent()[..] else { panic!() };
    let abort = abort.itt;
    let pdu = DataIn { status: Some((Status::GOOD, Residual::None)), ..world.data_in(itt, 0, 0) };
    world.stat_sn = world.stat_sn.next();
    world.say(pdu, &pattern(512));
    assert_eq!(world.ended(1).data, pattern(512));
    world.task_response(abort, TaskResult::TaskDoesNotExist);
    world.assert_clean();
}

#[test]
fn r251_a_task_that_the_target_does_not_know_ends_the_connection() {
    for result in [TaskResult::TaskDoesNotExist, TaskResult::FunctionNotSupported, TaskResult::FunctionRejected] {
        let mut world = World::new();
        world.read(1, 512);
        world.command();
        world.pass(SECOND * 15);
        let [(Pdu::TaskRequest(abort), _)] = &world.sent()[..] else { panic!() };
        let itt = abort.itt;
        world.task_response(itt, result);
        assert!(matches!(world.core.closed(), Some(ConnectionError::NotAborted { result: r, .. }) if *r == result));
        assert!(matches!(world.completion(1), Err(CommandError::Closed { sent: true, .. })));
    }
}

#[test]
fn r250_r297_a_target_that_answers_nothing_is_given_up() {
    let mut world = World::new();
    world.read(1, 512);
    world.command();
    let mut steps = 0;
    while world.core.closed().is_none() {
        world.next_deadline();
        steps += 1;
        assert!(steps < 10);
    }
    assert_eq!(world.now, SECOND * 25);
    assert!(matches!(world.completion(1), Err(CommandError::Closed { sent: true, .. })));
    assert_eq!(world.core.deadline(), None);
}

#[test]
fn r159_r297_a_command_that_the_window_never_lets_out_times_out_unsent() {
    let mut world = World::new();
    world.core.window = Window::new(Serial(7), Serial(7), Serial(6));
    world.read(1, 512);
    world.next_deadline();
    world.next_deadline();
    assert!(matches!(world.completion(1), Err(CommandError::TimedOut { sent: false, .. })));
    world.assert_clean();
}

#[test]
fn r226_a_silent_target_is_pinged_and_given_up() {
    let idle = Patience { idle: Some(SECOND * 5), ..PATIENCE };
    let mut world = World::patient(Negotiated::default(), idle);
    world.next_deadline();
    assert_eq!(world.now, SECOND * 5);
    let [(Pdu::NopOut(ping), _)] = &world.sent()[..] else { panic!() };
    let numbering = world.status();
    world.say(NopIn { lun: Lun::ZERO, itt: ping.itt, ttt: Ttt::RESERVED, numbering }, &[]);
    world.assert_clean();
    assert_eq!(world.core.deadline(), Some(SECOND * 10));
    world.next_deadline();
    assert_eq!(world.sent().len(), 1);
    world.pass(SECOND);
    assert!(matches!(world.core.closed(), Some(ConnectionError::TimedOut { what: "a ping", .. })));
}

#[test]
fn r220_a_flood_of_pings_is_not_answered_without_end() {
    let mut world = World::new();
    for ttt in 0..1000 {
        let ping = NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt(ttt), numbering: world.numbering() };
        world.say(ping, &[]);
    }
    assert_eq!(world.sent().len(), 64);
    let ping = NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt(1), numbering: world.numbering() };
    world.say(ping, &[]);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn r224_an_answer_to_no_ping_ends_the_connection() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    let numbering = world.status();
    world.say(NopIn { lun: Lun::ZERO, itt, ttt: Ttt::RESERVED, numbering }, &[]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::UnknownPing { itt });
}

#[test]
fn r242_r246_a_reset_ends_the_commands_of_its_unit() {
    let mut world = World::new();
    world.read(1, 512);
    let other = Request::Scsi { lun: Lun::from(4), command: Command::read(Cdb::read(0, 1), BytesMut::zeroed(512)) };
    world.core.submit(other, 2, world.now);
    world.sent();
    world.core.submit(Request::Task { function: TaskFunction::LogicalUnitReset, lun: Lun::from(3) }, 3, world.now);
    let [(Pdu::TaskRequest(reset), _)] = &world.sent()[..] else { panic!() };
    assert_eq!((reset.lun, reset.referenced), (Lun::from(3), Itt::RESERVED));
    let itt = reset.itt;
    world.task_response(itt, TaskResult::FunctionComplete);
    let done = world.done();
    assert_eq!(done.len(), 2);
    assert!(matches!(done[0], (3, Ok(Finished::Task(TaskResult::FunctionComplete)))));
    assert!(matches!(done[1], (1, Err(CommandError::Aborted))));
    assert_eq!(world.core.tasks.len(), 1);
}

/// the CmdSN of a task management request says which commands it concerns.
#[test]
fn commands_sent_behind_a_task_management_request_live_on() {
    for function in [
        TaskFunction::AbortTaskSet,
        TaskFunction::ClearTaskSet,
        TaskFunction::LogicalUnitReset,
        TaskFunction::TargetWarmReset,
        TaskFunction::TargetColdReset,
    ] {
        let mut world = World::new();
        world.read(1, 512);
        world.command();
        world.core.submit(Request::Task { function, lun: Lun::from(3) }, 2, world.now);
        let [(Pdu::TaskRequest(request), _)] = &world.sent()[..] else { panic!() };
        assert_eq!(request.function, function);
        let request = request.itt;
        world.read(3, 512);
        let later = world.command().itt;
        world.task_response(request, TaskResult::FunctionComplete);
        let done = world.done();
        assert!(matches!(done[..], [(2, Ok(_)), (1, Err(CommandError::Aborted))]), "{done:?}");
        let response = world.response(later, Status::GOOD);
        world.say(response, &[]);
        assert_eq!(world.ended(3).status, Status::GOOD);
        world.assert_clean();
    }
}

#[test]
fn r294_functions_beyond_the_level_in_force_are_not_sent() {
    for function in [
        TaskFunction::AbortTask,
        TaskFunction::TaskReassign,
        TaskFunction::QueryTask,
        TaskFunction::QueryTaskSet,
        TaskFunction::ItNexusReset,
        TaskFunction::QueryAsyncEvent,
    ] {
        let mut world = World::new();
        world.core.submit(Request::Task { function, lun: Lun::from(3) }, 1, world.now);
        assert!(matches!(world.completion(1), Err(CommandError::Invalid(_))), "{function:?}");
        world.assert_clean();
    }
}

#[test]
fn r258_a_logout_that_is_rejected_is_no_success() {
    let mut world = World::new();
    world.core.submit(Request::Logout, 1, world.now);
    let header = world.sent()[0].0.encode();
    world.reject(RejectReason::ProtocolError, &header);
    let error = ConnectionError::LogoutRejected(RejectReason::ProtocolError).to_string();
    assert_eq!(world.core.closed().unwrap().to_string(), error);
    assert!(matches!(world.completion(1), Err(CommandError::Closed { error: e, .. }) if e.to_string() == error));
}

/// Its number is not plugged either: that would be another request.
#[test]
fn r240_a_target_that_waits_for_a_logout_gets_it_and_nothing_else() {
    let mut world = World::new();
    world.read(1, 512);
    world.read(2, 512);
    let sent = world.sent();
    world.reject(RejectReason::WaitingForLogout, &sent[0].0.encode());
    let rejected = world.completion(1);
    assert!(matches!(rejected, Err(CommandError::Rejected(RejectReason::WaitingForLogout))), "{rejected:?}");
    world.read(3, 512);
    assert!(matches!(world.completion(3), Err(CommandError::Closed { sent: false, .. })));
    assert!(world.sent().is_empty());
    world.next_deadline();
    assert_eq!(world.now, Time::ZERO);
    assert!(matches!(world.sent()[..], [(Pdu::LogoutRequest(_), _)]));
}

/// Found by the fuzzer: a second logout that was given up ended all the same.
#[test]
fn r300_a_logout_that_joined_another_can_be_given_up() {
    let mut world = World::new();
    for token in [1, 2, 3] {
        world.core.submit(Request::Logout, token, world.now);
    }
    let [(Pdu::LogoutRequest(logout), _)] = &world.sent()[..] else { panic!() };
    let itt = logout.itt;
    world.core.cancel(2);
    assert!(matches!(world.completion(2), Err(CommandError::Aborted)));
    world.core.cancel(2);
    world.logout_response(itt, LogoutResult::Closed);
    let mut ended: Vec<Token> = world.done().iter().map(|(token, _)| *token).collect();
    ended.sort_unstable();
    assert_eq!(ended, [1, 3]);
}

#[test]
fn r255_r256_r257_logout_ends_the_session() {
    let mut world = World::new();
    world.read(1, 512);
    world.command();
    world.core.submit(Request::Logout, 2, world.now);
    let [(Pdu::LogoutRequest(logout), _)] = &world.sent()[..] else { panic!() };
    assert!(logout.immediate);
    assert_eq!((logout.reason, logout.cid), (iscsi_proto::pdu::LogoutReason::CloseSession, 1));
    let itt = logout.itt;
    world.read(3, 512);
    assert!(world.sent().is_empty());
    assert!(matches!(world.completion(3), Err(CommandError::Closed { sent: false, .. })));
    world.logout_response(itt, LogoutResult::Closed);
    let done = world.done();
    assert!(matches!(done[0], (2, Ok(Finished::LoggedOut))));
    assert!(matches!(done[1], (1, Err(CommandError::Closed { error: ConnectionError::LoggedOut, sent: true }))));
    assert!(matches!(world.core.closed(), Some(ConnectionError::LoggedOut)));
}

#[test]
fn r258_r259_a_logout_that_fails_or_gets_no_answer_closes_all_the_same() {
    for result in [LogoutResult::CidNotFound, LogoutResult::RecoveryNotSupported, LogoutResult::CleanupFailed] {
        let mut world = World::new();
        world.core.submit(Request::Logout, 2, world.now);
        let itt = world.sent()[0].0.encode().itt();
        world.logout_response(itt, result);
        assert!(matches!(world.core.closed(), Some(ConnectionError::LogoutFailed { result: r, .. }) if *r == result));
        assert!(world.completion(2).is_err());
    }
    let mut world = World::new();
    world.core.submit(Request::Logout, 2, world.now);
    world.pass(SECOND * 10);
    assert!(matches!(world.core.closed(), Some(ConnectionError::TimedOut { what: "a logout", .. })));
}

#[test]
fn r227_the_target_can_ask_for_a_logout() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    world.message(AsyncEvent::LogoutRequest { deadline: 10 });
    assert!(world.sent().is_empty());
    world.read(2, 512);
    assert!(matches!(world.completion(2), Err(CommandError::Closed { sent: false, .. })));
    let response = world.response(itt, Status::GOOD);
    world.say(response, &[]);
    world.ended(1);
    let [(Pdu::LogoutRequest(logout), _)] = &world.sent()[..] else { panic!() };
    assert_eq!(logout.exp_stat_sn, Serial(102));
    assert_eq!(world.core.take_event(), Some(Event::Message(AsyncEvent::LogoutRequest { deadline: 10 })));
}

#[test]
fn r227_the_logout_asked_for_does_not_wait_for_slow_commands() {
    let mut world = World::new();
    world.read(1, 512);
    world.command();
    world.message(AsyncEvent::LogoutRequest { deadline: 10 });
    world.pass(SECOND * 5);
    assert!(matches!(world.sent()[..], [(Pdu::LogoutRequest(_), _)]));
}

#[test]
fn r228_r229_announced_drops_end_the_connection_with_their_times() {
    for event in [
        AsyncEvent::ConnectionDrop { cid: 1, time2wait: 3, time2retain: 4 },
        AsyncEvent::SessionDrop { time2wait: 3, time2retain: 4 },
    ] {
        let mut world = World::new();
        world.message(event);
        let Some(ConnectionError::DroppedByTarget { time2wait: 3, time2retain: 4 }) = world.core.closed() else {
            panic!()
        };
    }
    let mut world = World::new();
    world.message(AsyncEvent::ConnectionDrop { cid: 2, time2wait: 3, time2retain: 4 });
    assert!(world.core.closed().is_none());
}

#[test]
fn r230_a_request_to_negotiate_is_met_with_an_empty_text() {
    let mut world = World::new();
    world.message(AsyncEvent::Negotiate { deadline: 3 });
    let sent = world.sent();
    let [(Pdu::TextRequest(text), data)] = &sent[..] else { panic!() };
    assert!(text.fin && data.is_empty());
    world.message(AsyncEvent::Negotiate { deadline: 3 });
    assert!(world.sent().is_empty());
}

#[test]
fn r232_r234_scsi_events_are_told() {
    let mut world = World::new();
    let numbering = world.status();
    let event = AsyncMessage { lun: Lun::from(3), numbering, event: AsyncEvent::Scsi };
    world.say(event, &[0, 2, 0x70, 0]);
    let expected = Event::Sense { lun: Lun::from(3), sense: Bytes::from_static(&[0x70, 0]) };
    assert_eq!(world.core.take_event(), Some(expected));
    assert_eq!(world.core.take_event(), None);
    world.read(1, 512);
    assert_eq!(world.command().exp_stat_sn, Serial(101));
}

#[test]
fn r235_r236_a_rejected_command_ends_and_its_number_is_plugged() {
    for acknowledged in [false, true] {
        let mut world = World::new();
        world.read(1, 512);
        let command = world.command();
        if acknowledged {
            world.exp_cmd_sn = world.exp_cmd_sn.next();
        }
        world.reject(RejectReason::CommandNotSupported, &command.encode());
        assert!(matches!(world.completion(1), Err(CommandError::Rejected(RejectReason::CommandNotSupported))));
        let sent = world.sent();
        if acknowledged {
            assert!(sent.is_empty());
        } else {
            let [(Pdu::NopOut(plug), _)] = &sent[..] else { panic!("{sent:?}") };
            assert!(!plug.immediate && !plug.itt.is_reserved());
            assert_eq!(plug.cmd_sn, command.cmd_sn);
        }
    }
}

#[test]
fn r237_a_rejected_data_out_leaves_the_command_to_its_response() {
    let mut world = World::new();
    world.write(1, 512);
    let sent = world.sent();
    let itt = sent[0].0.encode().itt();
    let mut header = Header::new(Opcode::DataOut);
    header.0[16..20].copy_from_slice(&itt.0.to_be_bytes());
    world.reject(RejectReason::DataDigestError, &header);
    assert!(world.done().is_empty());
    assert_eq!(world.core.take_event(), Some(Event::Reject(RejectReason::DataDigestError)));
    let response = world.response(itt, Status::CHECK_CONDITION);
    world.say(response, &[]);
    assert_eq!(world.ended(1).status, Status::CHECK_CONDITION);
}

///
#[test]
fn a_reject_that_quotes_what_was_not_sent_ends_no_command() {
    let changes: [fn(&mut Header); 4] = [
        |header| header.0[0] = 0x40,
        |header| header.0[0] = 0x05,
        |header| header.0[19] ^= 1,
        |header| header.0[27] ^= 1,
    ];
    for change in changes {
        let mut world = World::new();
        world.read(1, 512);
        let command = world.command();
        let mut header = command.encode();
        change(&mut header);
        world.reject(RejectReason::ProtocolError, &header);
        assert_eq!(world.core.take_event(), Some(Event::Reject(RejectReason::ProtocolError)));
        assert!(world.sent().is_empty());
        let response = world.response(command.itt, Status::GOOD);
        world.say(response, &[]);
        assert_eq!(world.ended(1).status, Status::GOOD);
        world.assert_clean();
    }
}

#[test]
fn r235_a_reject_without_its_header_ends_the_connection() {
    for length in [0, 47] {
        let mut world = World::new();
        let numbering = world.status();
        let pdu = Reject { reason: RejectReason::ProtocolError, numbering, data_sn: Serial(0) };
        world.say(pdu, &vec![0; length]);
        assert_eq!(world.misbehaved(), PeerMisbehaved::ShortReject);
    }
}

#[test]
fn r149_r265_r268_r272_r273_a_text_exchange_goes_on_until_the_target_ends_it() {
    let mut world = World::with(Negotiated { max_send_data_segment_length: 8, ..Negotiated::default() });
    world.core.submit(Request::Text(b"SendTargets=All\0".to_vec()), 1, world.now);
    world.core.submit(Request::Text(Vec::new()), 2, world.now);
    let sent = world.sent();
    let [(Pdu::TextRequest(first), data)] = &sent[..] else { panic!("{sent:?}") };
    assert!(first.more && !first.fin && first.immediate && first.ttt.is_reserved());
    assert_eq!(data[..], b"SendTarg"[..]);
    let itt = first.itt;
    let answer = |world: &mut World, fin, ttt, data: &[u8]| {
        let numbering = world.status();
        world.say(TextResponse { fin, more: false, lun: Lun::from(5), itt, ttt, numbering }, data);
    };
    answer(&mut world, false, Ttt(9), b"");
    let sent = world.sent();
    let [(Pdu::TextRequest(second), data)] = &sent[..] else { panic!("{sent:?}") };
    assert!(second.fin && !second.more);
    assert_eq!((second.itt, second.ttt, second.lun), (itt, Ttt(9), Lun::from(5)));
    assert_eq!(data[..], b"ets=All\0"[..]);
    answer(&mut world, false, Ttt(10), b"TargetN");
    let sent = world.sent();
    let [(Pdu::TextRequest(third), data)] = &sent[..] else { panic!("{sent:?}") };
    assert!(third.fin && data.is_empty() && third.ttt == Ttt(10));
    answer(&mut world, true, Ttt::RESERVED, b"ame=x\0");
    let Ok(Finished::Text(text)) = world.completion(1) else { panic!() };
    assert_eq!(text, b"TargetName=x\0");
    let [(Pdu::TextRequest(next), _)] = &world.sent()[..] else { panic!() };
    assert_ne!(next.itt, itt);
}

#[test]
fn r266_a_text_response_out_of_sequence_ends_the_connection() {
    for (fin, ttt, data) in [(false, Ttt::RESERVED, &b"x"[..]), (false, Ttt(1), b"")] {
        let mut world = World::new();
        world.core.submit(Request::Text(b"A=1\0".to_vec()), 1, world.now);
        let itt = world.sent()[0].0.encode().itt();
        let numbering = world.status();
        world.say(TextResponse { fin, more: false, lun: Lun::ZERO, itt, ttt, numbering }, data);
        assert_eq!(world.misbehaved(), PeerMisbehaved::TextSequence);
    }
}

#[test]
fn r269_a_rejected_text_leaves_the_connection_open() {
    let mut world = World::new();
    world.core.submit(Request::Text(b"A=1\0".to_vec()), 1, world.now);
    let header = world.sent()[0].0.encode();
    world.reject(RejectReason::ProtocolError, &header);
    assert!(matches!(world.completion(1), Err(CommandError::Rejected(_))));
    world.core.submit(Request::Text(Vec::new()), 2, world.now);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn r220_pings_are_answered_while_the_queue_is_never_empty() {
    let mut world = World::new();
    let mut written = 0;
    for ttt in 0..200 {
        let ping = NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt(ttt), numbering: world.numbering() };
        world.say(ping, &[]);
        // All but the last byte of what is queued: the queue never runs dry.
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = world.core.outgoing(LinkId::FIRST, &mut slices);
        let queued: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        world.core.sent(LinkId::FIRST, queued - 1, world.now);
        written += queued - 1;
    }
    assert_eq!(written, 200 * 48 - 1);
}

#[test]
fn r020_data_that_comes_slowly_is_progress() {
    let mut world = World::with(Negotiated { max_recv_data_segment_length: 1 << 20, ..Negotiated::default() });
    world.read(1, 256 * 1024);
    let itt = world.command().itt;
    let wire = world.wire(&world.data_in(itt, 0, 0).into(), &pattern(256 * 1024));
    world.core.receive(LinkId::FIRST, &wire[..48], world.now);
    for _ in 0..20 {
        world.pass(SECOND);
        world.core.landing(LinkId::FIRST, 1).unwrap();
        world.core.landed(LinkId::FIRST, 10_000, world.now);
    }
    assert!(world.sent().is_empty());
    world.pass(SECOND * 15);
    assert!(matches!(world.sent()[..], [(Pdu::TaskRequest(_), _)]));
}

#[test]
fn r250_what_leaves_the_queue_slowly_is_progress() {
    let idle = Patience { idle: Some(SECOND * 5), ping: SECOND * 15, ..PATIENCE };
    let mut world = World::patient(Negotiated { immediate_data: false, ..Negotiated::default() }, idle);
    world.write(1, 300_000);
    let itt = world.command().itt;
    let r2t = world.r2t(itt, 0, 0, 262_144);
    world.say(r2t, &[]);
    for second in 0..30 {
        let mut slices = [IoSlice::new(&[]); 8];
        assert!(world.core.outgoing(LinkId::FIRST, &mut slices) != 0);
        world.core.sent(LinkId::FIRST, 8000, world.now);
        world.pass(SECOND);
        assert!(world.core.closed().is_none(), "after {second} s: {:?}", world.core.closed());
    }
    assert_eq!(world.core.stats().timeouts, 0);
}

#[test]
fn r265_a_text_that_waits_keeps_no_command_back() {
    let mut world = World::new();
    world.core.submit(Request::Text(b"A=1\0".to_vec()), 1, world.now);
    world.core.submit(Request::Text(b"B=2\0".to_vec()), 2, world.now);
    world.read(3, 512);
    assert!(matches!(world.sent()[..], [(Pdu::TextRequest(_), _), (Pdu::ScsiCommand(_), _)]));
}

#[test]
fn r265_a_text_that_was_never_sent_ends_alone() {
    let mut world = World::new();
    world.core.submit(Request::Text(b"A=1\0".to_vec()), 1, world.now);
    world.pass(SECOND * 5);
    world.core.submit(Request::Text(b"B=2\0".to_vec()), 2, world.now);
    world.core.submit(Request::Text(b"C=3\0".to_vec()), 3, world.now);
    let itt = world.sent()[0].0.encode().itt();
    for _ in 0..2 {
        let numbering = world.status();
        let ttt = Ttt(1);
        world.say(TextResponse { fin: false, more: false, lun: Lun::ZERO, itt, ttt, numbering }, b"x");
        world.pass(SECOND * 9);
    }
    let done = world.done();
    assert_eq!(done.len(), 2);
    for (token, completion) in done {
        assert!(token != 1 && matches!(completion, Err(CommandError::TimedOut { sent: false, .. })));
    }
    assert!(world.core.closed().is_none());
}

#[test]
fn r235_a_reject_of_a_command_that_was_not_sent_ends_nothing() {
    let mut world = World::new();
    for token in 0..33 {
        world.read(token, 512);
    }
    assert_eq!(world.sent().len(), 32);
    let mut header = Header::new(Opcode::ScsiCommand);
    header.0[16..20].copy_from_slice(&world.core.tasks.itt(32).0.to_be_bytes());
    world.reject(RejectReason::InvalidPduField, &header);
    assert!(world.done().is_empty());
    world.max_cmd_sn = Serial(60);
    let ping = NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt::RESERVED, numbering: world.numbering() };
    world.say(ping, &[]);
    assert_eq!(world.command().cmd_sn, Serial(39));
}

#[test]
fn r227_the_logout_asked_for_follows_the_last_data() {
    let mut world = World::with(Negotiated { max_recv_data_segment_length: 1 << 20, ..Negotiated::default() });
    world.read(1, 32 * 1024);
    let itt = world.command().itt;
    world.message(AsyncEvent::LogoutRequest { deadline: 20 });
    let pdu = DataIn { status: Some((Status::GOOD, Residual::None)), ..world.data_in(itt, 0, 0) };
    world.stat_sn = world.stat_sn.next();
    let wire = world.wire(&pdu.into(), &pattern(32 * 1024));
    assert_eq!(world.core.receive(LinkId::FIRST, &wire[..48], world.now), 48);
    let left = world.core.landing(LinkId::FIRST, 1).unwrap().len();
    world.core.landed(LinkId::FIRST, left, world.now);
    assert_eq!(world.done().len(), 1);
    let [(Pdu::LogoutRequest(logout), _)] = &world.sent()[..] else { panic!() };
    let itt = logout.itt;
    world.logout_response(itt, LogoutResult::Closed);
    let closed = world.core.closed().unwrap();
    assert!(matches!(closed, ConnectionError::LogoutRequested) && closed.is_retriable());
}

#[test]
fn r255_a_second_logout_ends_with_the_first() {
    for (result, ends_well) in [(LogoutResult::Closed, true), (LogoutResult::CleanupFailed, false)] {
        let mut world = World::new();
        world.core.submit(Request::Logout, 1, world.now);
        world.core.submit(Request::Logout, 2, world.now);
        assert!(world.done().is_empty());
        let itt = world.sent()[0].0.encode().itt();
        world.logout_response(itt, result);
        let done = world.done();
        assert_eq!(done.len(), 2);
        assert!(done.iter().all(|(_, completion)| completion.is_ok() == ends_well), "{done:?}");
    }
}

#[test]
fn r297_a_timeout_without_end_does_no_harm() {
    let forever =
        Patience { command: Duration::MAX, management: Duration::MAX, idle: Some(Duration::MAX), ping: Duration::MAX };
    let mut world = World::patient(Negotiated::default(), forever);
    world.read(1, 512);
    world.core.submit(Request::Ping, 2, world.now);
    world.pass(SECOND);
    assert_eq!(world.core.deadline(), Some(Time::MAX));
    assert!(world.core.closed().is_none());
}

#[test]
fn r246_a_reset_leaves_commands_that_were_sent_after_it_alone() {
    for function in [TaskFunction::LogicalUnitReset, TaskFunction::AbortTaskSet, TaskFunction::TargetWarmReset] {
        let mut world = World::new();
        world.read(1, 512);
        world.core.submit(Request::Task { function, lun: Lun::from(3) }, 2, world.now);
        let [_, (Pdu::TaskRequest(reset), _)] = &world.sent()[..] else { panic!() };
        let reset = reset.itt;
        world.write(3, 512);
        let [(Pdu::ScsiCommand(write), _)] = &world.sent()[..] else { panic!() };
        let write = write.itt;
        world.task_response(reset, TaskResult::FunctionComplete);
        let ended: Vec<Token> = world.done().iter().map(|(token, _)| *token).collect();
        assert_eq!(ended, [2, 1]);
        let response = world.response(write, Status::GOOD);
        world.say(response, &[]);
        assert_eq!(world.ended(3).status, Status::GOOD);
        world.assert_clean();
    }
}

#[test]
fn r251_an_abort_of_a_task_that_a_reset_is_ending_does_not_end_the_connection() {
    let mut world = World::new();
    let command = Command { timeout: Some(SECOND), ..Command::read(Cdb::read(0, 1), BytesMut::zeroed(512)) };
    world.submit(1, command);
    world.core.submit(Request::Task { function: TaskFunction::AbortTaskSet, lun: Lun::from(3) }, 2, world.now);
    let [_, (Pdu::TaskRequest(set), _)] = &world.sent()[..] else { panic!() };
    let set = set.itt;
    world.pass(SECOND);
    let [(Pdu::TaskRequest(abort), _)] = &world.sent()[..] else { panic!() };
    let abort = abort.itt;
    world.task_response(abort, TaskResult::TaskDoesNotExist);
    assert!(world.core.closed().is_none() && world.done().is_empty());
    assert!(world.core.deadline().is_some_and(|at| at <= world.now + SECOND));
    world.task_response(set, TaskResult::FunctionComplete);
    let done = world.done();
    assert!(matches!(&done[..], [(2, Ok(Finished::Task(_))), (1, Err(CommandError::Aborted))]), "{done:?}");
    world.assert_clean();
}

#[test]
fn r246_r247_answers_to_tasks_that_a_reset_has_ended_are_discarded() {
    for late in 0..4 {
        let mut world = World::new();
        world.read(1, 512);
        world.write(2, 100_000);
        let request = Request::Task { function: TaskFunction::LogicalUnitReset, lun: Lun::from(3) };
        world.core.submit(request, 3, world.now);
        let sent = world.sent();
        let Pdu::ScsiCommand(read) = &sent[0].0 else { panic!() };
        let Pdu::ScsiCommand(write) = &sent[1].0 else { panic!() };
        let Pdu::TaskRequest(reset) = &sent.last().unwrap().0 else { panic!() };
        world.task_response(reset.itt, TaskResult::FunctionComplete);
        assert_eq!(world.done().len(), 3);
        match late {
            0 => {
                let response = world.response(read.itt, Status::GOOD);
                world.say(response, &[]);
            }
            1 => {
                let r2t = world.r2t(write.itt, 0, 65536, 1000);
                world.say(r2t, &[]);
            }
            2 => {
                let data = world.data_in(read.itt, 0, 0);
                world.say(data, &pattern(512));
            }
            _ => {
                let numbering = world.status();
                let status = Some((Status::GOOD, Residual::None));
                let data = DataIn { status, numbering, ..world.data_in(read.itt, 0, 0) };
                world.say(data, &pattern(512));
            }
        }
        world.assert_clean();
    }
}
