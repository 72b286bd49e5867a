//! Error recovery level 2: tasks that outlive their connection.

use iscsi_proto::pdu::{LogoutReason, LogoutResult, TaskFunction, TaskResult};

use super::super::super::event::Event;
use super::links::{Net, WAIT};
use super::*;

impl Net {
    /// A connection is lost, left alone for Time2Wait, and logged out over another one; the numbers of the moves that follow.
    fn recover_over(&mut self, lost: LinkId, over: LinkId) -> Vec<iscsi_proto::pdu::TaskRequest> {
        self.lose(lost);
        self.pass(WAIT);
        let logout = self.logout(over);
        assert_eq!(logout.reason, LogoutReason::RemoveForRecovery);
        self.logged_out(over, logout.itt, LogoutResult::Closed, 0, 20);
        self.managed(over)
    }

    /// A session of one connection that can be taken up again.
    fn alone() -> Self {
        let mut net = Self::new(2, 1);
        net.core.reconnects();
        net
    }

    /// What the core wants dialled, after Time2Wait.
    fn wanted(&mut self) -> LinkId {
        self.pass(WAIT);
        let (lost, seat) = self.core.dial().expect("a connection is wanted");
        assert_eq!((seat.cid, self.core.dial()), (1, None));
        lost
    }
}

#[test]
fn r284_r285_a_read_goes_on_over_another_connection_after_the_logout_of_its_own() {
    let mut net = Net::new(2, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.read(1, 8);
    net.read(2, 8);
    let (_, lost) = (net.commands(first), net.commands(second));
    net.exp_cmd_sn = Serial(9);
    // One half comes, and the status does not.
    net.data_in(second, lost[0].itt, 0, 0, b"stal");
    net.lose(second);
    net.pass(Duration::from_millis(2_999));
    assert!(net.sent(first).is_empty(), "nothing is tried before Time2Wait is over");
    net.pass(Duration::from_millis(1));
    let logout = net.logout(first);
    assert_eq!((logout.reason, logout.cid, logout.immediate), (LogoutReason::RemoveForRecovery, 2, true));
    assert!(net.sent(first).is_empty(), "nothing moves before the logout is answered");
    net.logged_out(first, logout.itt, LogoutResult::Closed, 2, 20);
    assert!(net.sent(first).is_empty());
    net.pass(SECOND * 2);
    let moves = net.managed(first);
    assert_eq!(moves.len(), 1);
    assert_eq!((moves[0].function, moves[0].referenced), (TaskFunction::TaskReassign, lost[0].itt));
    assert_eq!((moves[0].immediate, moves[0].exp_data_sn, moves[0].cmd_sn), (true, Serial(0), Serial(9)));
    assert_eq!((moves[0].lun, moves[0].ref_cmd_sn), (Lun::ZERO, Serial(0)));
    net.task_response(first, moves[0].itt, TaskResult::FunctionComplete);
    assert!(net.done().is_empty());
    net.data_in(first, lost[0].itt, 0, 0, b"all ");
    net.data_in(first, lost[0].itt, 1, 4, b"anew");
    net.good(first, lost[0].itt);
    assert_eq!(&net.is_good(2).data[..], b"all anew");
}

#[test]
fn r286_what_came_before_the_move_does_not_count() {
    let mut net = Net::new(2, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.read(1, 8);
    net.read(2, 8);
    let (kept, lost) = (net.commands(first), net.commands(second));
    net.exp_cmd_sn = Serial(9);
    net.data_in(second, lost[0].itt, 0, 0, b"old data");
    let moves = net.recover_over(second, first);
    net.task_response(first, moves[0].itt, TaskResult::FunctionComplete);
    // A target that thinks that the rest is enough is not believed.
    net.data_in(first, lost[0].itt, 0, 0, b"new ");
    net.good(first, lost[0].itt);
    assert_eq!(&net.is_good(2).data[..], b"new ");
    net.data_in(first, kept[0].itt, 0, 0, b"8 bytes.");
    net.good(first, kept[0].itt);
    net.is_good(1);
    net.assert_clean();
}

#[test]
fn r286_a_write_sends_again_what_the_target_asks_for_again() {
    let mut net = Net::new(2, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.write(1, 4);
    net.write(2, 40_000);
    net.commands(first);
    let lost = net.commands(second);
    net.exp_cmd_sn = Serial(9);
    net.r2t(second, lost[0].itt, 0, 8192, 16_384);
    net.r2t(second, lost[0].itt, 1, 24_576, 15_424);
    assert_eq!(net.sent(second).len(), 4);
    let moves = net.recover_over(second, first);
    net.task_response(first, moves[0].itt, TaskResult::FunctionComplete);
    assert!(net.sent(first).is_empty(), "data waits for an R2T");
    // The first sequence had arrived, and half of the second.
    net.r2t(first, lost[0].itt, 1, 30_000, 10_000);
    let data = net.sent(first);
    let whole: Vec<u8> = data.iter().flat_map(|(_, data)| data.to_vec()).collect();
    assert_eq!(whole, pattern(40_000)[30_000..]);
    let Pdu::DataOut(head) = &data[0].0 else { panic!("{data:?}") };
    assert_eq!((head.data_sn, head.offset, head.ttt), (Serial(0), 30_000, Ttt(0x78)));
    net.good(first, lost[0].itt);
    net.is_good(2);
}

#[test]
fn a_write_that_had_all_its_data_needs_nothing_but_its_status() {
    let mut net = Net::new(2, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.write(1, 4);
    net.write(2, 16_384);
    net.commands(first);
    let lost = net.commands(second);
    net.exp_cmd_sn = Serial(9);
    net.r2t(second, lost[0].itt, 0, 8192, 8192);
    net.sent(second);
    let moves = net.recover_over(second, first);
    net.task_response(first, moves[0].itt, TaskResult::FunctionComplete);
    net.good(first, lost[0].itt);
    net.is_good(2);
}

#[test]
fn what_the_target_had_not_taken_is_sent_again_in_order_and_is_not_moved() {
    let mut net = Net::new(2, 2);
    let [first, second] = net.links()[..] else { panic!() };
    for token in 1..=6 {
        net.read(token, 4);
    }
    let (_, lost) = (net.commands(first), net.commands(second));
    net.exp_cmd_sn = Serial(9);
    net.lose(second);
    net.pass(WAIT);
    let logout = net.logout(first);
    net.logged_out(first, logout.itt, LogoutResult::Closed, 0, 20);
    let sent = net.sent(first);
    let [(Pdu::ScsiCommand(a), _), (Pdu::ScsiCommand(b), _), (Pdu::TaskRequest(moved), _)] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((a.cmd_sn, b.cmd_sn), (Serial(10), Serial(12)));
    assert_eq!((a.itt, b.itt, moved.referenced), (lost[1].itt, lost[2].itt, lost[0].itt));
}

#[test]
fn r287_immediate_requests_are_not_recovered() {
    let mut net = Net::alone();
    net.core.submit(Request::Ping, 1, net.now);
    let (function, lun) = (TaskFunction::LogicalUnitReset, Lun::from(3));
    net.core.submit(Request::Task { function, lun }, 2, net.now);
    net.core.submit(Request::Text(b"a=b\0".to_vec()), 3, net.now);
    assert_eq!(net.sent(LinkId::FIRST).len(), 3);
    net.lose(LinkId::FIRST);
    let done = net.done();
    assert_eq!(done.len(), 3);
    assert!(done.iter().all(|(_, end)| matches!(end, Err(CommandError::Closed { sent: true, .. }))), "{done:?}");
    let lost = net.wanted();
    let link = net.reinstate(lost, 1);
    assert!(net.sent(link).is_empty());
    net.assert_clean();
}

#[test]
fn r288_the_last_connection_is_taken_up_again_between_the_two_times() {
    let mut net = Net::alone();
    net.read(1, 4);
    let command = net.commands(LinkId::FIRST).remove(0);
    net.exp_cmd_sn = Serial(8);
    net.lose(LinkId::FIRST);
    assert!(net.core.closed().is_none() && !net.core.is_live(LinkId::FIRST));
    // What is new waits.
    net.read(2, 4);
    net.pass(Duration::from_millis(2_999));
    assert_eq!(net.core.dial(), None);
    net.pass(Duration::from_millis(1));
    let (lost, seat) = net.core.dial().unwrap();
    assert_eq!((seat.cid, seat.cmd_sn, seat.exp_stat_sn), (1, Serial(8), Serial(100)));
    assert_eq!(net.core.dial(), None);
    // An attempt fails, and is followed by another one.
    net.core.not_reinstated(lost, net.now);
    assert_eq!(net.core.dial(), None);
    net.next_deadline();
    assert_eq!(net.now, WAIT + SECOND);
    assert_eq!(net.core.dial().map(|(lost, _)| lost), Some(lost));
    let link = net.reinstate(lost, 1);
    let sent = net.sent(link);
    let [(Pdu::TaskRequest(moved), _), (Pdu::ScsiCommand(new), _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((moved.function, moved.referenced), (TaskFunction::TaskReassign, command.itt));
    assert_eq!(new.cmd_sn, Serial(8));
    let (moved, new) = (moved.itt, new.itt);
    net.exp_cmd_sn = Serial(9);
    net.task_response(link, moved, TaskResult::FunctionComplete);
    for (token, itt) in [(1, command.itt), (2, new)] {
        net.data_in(link, itt, 0, 0, b"data");
        net.good(link, itt);
        assert_eq!(&net.is_good(token).data[..], b"data");
    }
    net.assert_clean();
    let events = net.events();
    assert!(
        matches!(events[..], [Event::ConnectionLost { cid: 1, .. }, Event::ConnectionRestored { cid: 1 }]),
        "{events:?}"
    );
}

#[test]
fn r288_recovery_that_takes_too_long_is_given_up_and_everything_ends() {
    let mut net = Net::alone();
    net.read(1, 4);
    net.commands(LinkId::FIRST);
    net.lose(LinkId::FIRST);
    let read = Command::read(Cdb::read(0, 1), BytesMut::zeroed(4));
    net.submit(2, Command { timeout: Some(PATIENCE.command), ..read });
    let lost = net.wanted();
    net.pass(Duration::from_millis(19_999));
    assert!(net.core.closed().is_none() && net.core.is_wanted(lost));
    net.done();
    net.pass(Duration::from_millis(1));
    assert!(matches!(net.core.closed(), Some(ConnectionError::ClosedByTarget)));
    assert!(!net.core.is_wanted(lost));
    assert!(matches!(net.completion(1), Err(CommandError::Closed { sent: true, .. })));
    assert_eq!(net.core.deadline(), None);
}

#[test]
fn r262_a_target_that_keeps_nothing_is_not_asked_for_anything() {
    let mut net = Net::alone();
    net.read(1, 4);
    net.commands(LinkId::FIRST);
    net.message(LinkId::FIRST, iscsi_proto::pdu::AsyncEvent::SessionDrop { time2wait: 9, time2retain: 0 });
    assert!(matches!(net.core.closed(), Some(ConnectionError::DroppedByTarget { time2wait: 9, time2retain: 0 })));
    assert!(matches!(net.completion(1), Err(CommandError::Closed { sent: true, .. })));
}

#[test]
fn r262_r288_the_times_of_a_logout_response_hold_for_the_moves() {
    let mut net = Net::new(2, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.read(1, 4);
    net.read(2, 4);
    net.commands(first);
    net.commands(second);
    net.exp_cmd_sn = Serial(9);
    net.lose(second);
    net.pass(WAIT);
    let logout = net.logout(first);
    net.logged_out(first, logout.itt, LogoutResult::Closed, 5, 2);
    net.pass(Duration::from_millis(4_999));
    assert!(net.sent(first).is_empty());
    net.pass(Duration::from_millis(1));
    assert_eq!(net.managed(first).len(), 1);
    // No answer in the time that the target keeps the task: it is lost, and the session is not.
    net.pass(SECOND * 2);
    assert!(matches!(net.completion(2), Err(CommandError::Closed { sent: true, .. })));
    assert!(net.core.closed().is_none());
}

#[test]
fn r262_a_logout_response_can_say_that_nothing_is_kept() {
    let mut net = Net::new(2, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.read(1, 4);
    net.read(2, 4);
    net.commands(first);
    net.commands(second);
    net.exp_cmd_sn = Serial(9);
    net.lose(second);
    net.pass(WAIT);
    let logout = net.logout(first);
    net.logged_out(first, logout.itt, LogoutResult::Closed, 5, 0);
    assert!(matches!(net.completion(2), Err(CommandError::Closed { sent: true, .. })));
    assert!(net.sent(first).is_empty());
}

#[test]
fn r284_a_task_that_the_target_does_not_go_on_with_ends_with_an_error_that_says_so() {
    for result in [
        TaskResult::TaskDoesNotExist,
        TaskResult::TaskStillAllegiant,
        TaskResult::ReassignmentNotSupported,
        TaskResult::FunctionNotSupported,
    ] {
        let mut net = Net::new(2, 2);
        let [first, second] = net.links()[..] else { panic!() };
        net.read(1, 4);
        net.read(2, 4);
        let kept = net.commands(first);
        net.commands(second);
        net.exp_cmd_sn = Serial(9);
        let moves = net.recover_over(second, first);
        net.task_response(first, moves[0].itt, result);
        let error = net.completion(2).unwrap_err();
        assert!(matches!(error, CommandError::NotReassigned { result: found } if found == result), "{error}");
        assert!(!error.is_known_not_executed());
        net.good(first, kept[0].itt);
        net.is_good(1);
        net.assert_clean();
    }
}

/// As LIO does, which goes on with a task and says that it does not, and the other way round.
#[test]
fn a_move_that_is_called_rejected_or_done_may_be_the_other() {
    for result in [TaskResult::FunctionRejected, TaskResult::FunctionComplete] {
        let mut net = Net::new(2, 2);
        let [first, second] = net.links()[..] else { panic!() };
        net.read(1, 4);
        let read = Command::read(Cdb::read(0, 1), BytesMut::zeroed(4));
        net.submit(2, Command { timeout: Some(PATIENCE.command), ..read });
        let itts = [net.commands(first).remove(0).itt, net.commands(second).remove(0).itt];
        net.exp_cmd_sn = Serial(9);
        net.good(first, itts[0]);
        net.is_good(1);
        let moves = net.recover_over(second, first);
        net.task_response(first, moves[0].itt, result);
        if result == TaskResult::FunctionRejected {
            net.data_in(first, itts[1], 0, 0, b"data");
            net.good(first, itts[1]);
            net.is_good(2);
        } else {
            net.pass(PATIENCE.command);
            let aborts = net.managed(first);
            assert_eq!((aborts.len(), aborts[0].referenced), (1, itts[1]));
            net.task_response(first, aborts[0].itt, TaskResult::TaskDoesNotExist);
            let error = net.completion(2);
            assert!(matches!(error, Err(CommandError::NotReassigned { .. })), "{error:?}");
        }
        net.assert_clean();
    }
}

#[test]
fn the_connection_that_a_task_is_moved_to_may_be_lost_too() {
    let mut net = Net::new(2, 3);
    let [first, second, third] = net.links()[..] else { panic!() };
    for token in 1..=3 {
        net.write(token, 4);
    }
    let itts: Vec<Itt> = net.links().into_iter().map(|link| net.commands(link).remove(0).itt).collect();
    net.exp_cmd_sn = Serial(10);
    net.good(first, itts[0]);
    net.good(second, itts[1]);
    net.done();
    let moves = net.recover_over(third, first);
    assert_eq!(moves.len(), 1);
    // Whether the target has moved it before this is not known.
    let moves = net.recover_over(first, second);
    assert_eq!((moves.len(), moves[0].referenced), (1, itts[2]));
    net.task_response(second, moves[0].itt, TaskResult::FunctionComplete);
    net.good(second, itts[2]);
    net.is_good(3);
    net.assert_clean();
}

#[test]
fn a_connection_that_is_lost_while_it_carries_the_logout_of_another_leaves_it_to_a_third() {
    let mut net = Net::new(2, 3);
    let [first, second, third] = net.links()[..] else { panic!() };
    net.lose(third);
    net.pass(WAIT);
    assert_eq!(net.logout(first).cid, 3);
    net.lose(first);
    net.pass(Duration::ZERO);
    let logout = net.logout(second);
    assert_eq!(logout.cid, 3);
    net.logged_out(second, logout.itt, LogoutResult::Closed, 0, 20);
    net.pass(WAIT);
    let logout = net.logout(second);
    assert_eq!(logout.cid, 1);
    net.logged_out(second, logout.itt, LogoutResult::Closed, 0, 20);
    net.assert_clean();
}

#[test]
fn when_all_are_lost_one_is_taken_up_again_and_the_others_are_logged_out_over_it() {
    let mut net = Net::new(2, 2);
    net.core.reconnects();
    let [first, second] = net.links()[..] else { panic!() };
    net.read(1, 4);
    net.read(2, 4);
    let itts = [net.commands(first).remove(0).itt, net.commands(second).remove(0).itt];
    net.exp_cmd_sn = Serial(9);
    net.lose(second);
    net.lose(first);
    let lost = net.wanted();
    let link = net.reinstate(lost, 1);
    net.pass(Duration::ZERO);
    let sent = net.sent(link);
    let [(Pdu::TaskRequest(moved), _), (Pdu::LogoutRequest(logout), _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((moved.referenced, logout.cid, logout.reason), (itts[0], 2, LogoutReason::RemoveForRecovery));
    let (moved, logout) = (moved.itt, logout.itt);
    net.task_response(link, moved, TaskResult::FunctionComplete);
    net.logged_out(link, logout, LogoutResult::Closed, 0, 20);
    let moves = net.managed(link);
    assert_eq!((moves.len(), moves[0].referenced), (1, itts[1]));
    net.task_response(link, moves[0].itt, TaskResult::FunctionComplete);
    for (token, itt) in [(1, itts[0]), (2, itts[1])] {
        net.good(link, itt);
        net.is_good(token);
    }
    net.assert_clean();
}

#[test]
fn a_logout_while_nothing_is_connected_ends_the_session_as_it_is() {
    let mut net = Net::alone();
    net.read(1, 4);
    net.commands(LinkId::FIRST);
    net.lose(LinkId::FIRST);
    net.core.submit(Request::Ping, 2, net.now);
    assert!(matches!(net.completion(2), Err(CommandError::Closed { sent: false, .. })));
    net.core.submit(Request::Logout, 3, net.now);
    assert_eq!(net.done().len(), 2);
    assert!(matches!(net.core.closed(), Some(ConnectionError::ClosedByTarget)));
}

#[test]
fn without_a_way_to_connect_again_level_2_ends_as_level_0_does() {
    let mut net = Net::new(2, 1);
    net.read(1, 4);
    net.commands(LinkId::FIRST);
    net.lose(LinkId::FIRST);
    assert!(matches!(net.core.closed(), Some(ConnectionError::ClosedByTarget)));
    assert!(matches!(net.completion(1), Err(CommandError::Closed { sent: true, .. })));
}

#[test]
fn a_command_that_is_given_up_while_its_connection_is_lost_is_moved_unseen() {
    let mut net = Net::alone();
    net.read(1, 4);
    let itt = net.commands(LinkId::FIRST).remove(0).itt;
    net.exp_cmd_sn = Serial(8);
    net.lose(LinkId::FIRST);
    net.core.cancel(1);
    assert!(matches!(net.completion(1), Err(CommandError::Aborted)));
    let lost = net.wanted();
    let link = net.reinstate(lost, 1);
    let moves = net.managed(link);
    net.task_response(link, moves[0].itt, TaskResult::FunctionComplete);
    net.data_in(link, itt, 0, 0, b"data");
    net.good(link, itt);
    net.assert_clean();
}
