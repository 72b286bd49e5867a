//! Sessions of several connections, and what becomes of one that is lost.

use std::collections::BTreeMap;

use iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, LogoutReason, LogoutRequest, LogoutResponse, LogoutResult, TaskFunction, TaskRequest,
    TaskResponse, TaskResult,
};

use super::super::super::event::Event;
use super::*;

/// The target's side of one connection.
struct End {
    framer: Framer,
    stat_sn: Serial,
}

/// A core with several connections, and a target that says on each what a test tells it to.
pub(super) struct Net {
    pub(super) core: Core,
    pub(super) now: Time,
    ends: BTreeMap<LinkId, End>,
    pub(super) exp_cmd_sn: Serial,
}

pub(super) const WAIT: Duration = Duration::from_secs(3);

fn negotiated(level: u8) -> Negotiated {
    Negotiated {
        max_connections: 3,
        error_recovery_level: level,
        default_time2wait: 3,
        default_time2retain: 20,
        max_outstanding_r2t: 4,
        ..Negotiated::default()
    }
}

impl Net {
    /// A session with error recovery level `level`, and as many connections as `count`, the first with CID 1.
    pub(super) fn new(level: u8, count: usize) -> Self {
        // Commands that are silent for a quarter of their time are looked into; what is tested here comes before that.
        let patience = Patience { command: PATIENCE.command * if level == 0 { 1 } else { 8 }, ..PATIENCE };
        let core = Core::new(start(level, 1), patience, Time::ZERO);
        let mut net = Self { core, now: Time::ZERO, ends: BTreeMap::new(), exp_cmd_sn: Serial(7) };
        net.ends.insert(LinkId::FIRST, end());
        for cid in 2..=count as u16 {
            let link = net.core.join(&start(level, cid), net.now).unwrap();
            net.ends.insert(link, end());
        }
        while net.core.take_event().is_some() {}
        net
    }

    pub(super) fn links(&self) -> Vec<LinkId> {
        self.ends.keys().copied().collect()
    }

    pub(super) fn submit(&mut self, token: Token, command: Command) {
        self.core.submit(Request::Scsi { lun: Lun::from(3), command }, token, self.now);
    }

    pub(super) fn read(&mut self, token: Token, length: usize) {
        self.submit(token, Command::read(Cdb::read(0, 1), BytesMut::zeroed(length)));
    }

    pub(super) fn write(&mut self, token: Token, length: usize) {
        self.submit(token, Command::write(Cdb::write(0, 1), pattern(length)));
    }

    /// Takes what the core sends on a connection.
    pub(super) fn sent(&mut self, link: LinkId) -> Vec<(Pdu, Bytes)> {
        let mut pdus = Vec::new();
        while self.core.has_outgoing(link) {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.core.outgoing(link, &mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            self.core.sent(link, bytes.len(), self.now);
            let end = self.ends.get_mut(&link).unwrap();
            end.framer.feed(&bytes);
            while let Some(frame) = end.framer.next_frame().unwrap() {
                pdus.push((Pdu::parse(&frame.header).unwrap(), frame.data));
            }
        }
        pdus
    }

    /// The SCSI commands that the core sends on a connection, and nothing else.
    pub(super) fn commands(&mut self, link: LinkId) -> Vec<ScsiCommand> {
        let command = |(pdu, _)| match pdu {
            Pdu::ScsiCommand(command) => command,
            other => panic!("{other:?}"),
        };
        self.sent(link).into_iter().map(command).collect()
    }

    /// The only PDU that the core sends on a connection, a logout.
    pub(super) fn logout(&mut self, link: LinkId) -> LogoutRequest {
        match &self.sent(link)[..] {
            [(Pdu::LogoutRequest(logout), _)] => logout.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The requests for task management that the core sends on a connection, and nothing else.
    pub(super) fn managed(&mut self, link: LinkId) -> Vec<TaskRequest> {
        let request = |(pdu, _)| match pdu {
            Pdu::TaskRequest(request) => request,
            other => panic!("{other:?}"),
        };
        self.sent(link).into_iter().map(request).collect()
    }

    /// The numbers of a PDU without a StatSN of its own.
    pub(super) fn numbering(&self, link: LinkId) -> Numbering {
        let stat_sn = self.ends[&link].stat_sn;
        Numbering { stat_sn, exp_cmd_sn: self.exp_cmd_sn, max_cmd_sn: Serial(self.exp_cmd_sn.0.wrapping_add(31)) }
    }

    /// The numbers of a PDU that takes a StatSN.
    pub(super) fn status(&mut self, link: LinkId) -> Numbering {
        let numbering = self.numbering(link);
        self.ends.get_mut(&link).unwrap().stat_sn = numbering.stat_sn.next();
        numbering
    }

    pub(super) fn say(&mut self, link: LinkId, pdu: impl Into<Pdu>, data: &[u8]) {
        let mut wire = BytesMut::new();
        encode_frame(pdu.into().encode(), &[], data, false, false, &mut wire);
        self.core.receive(link, &wire, self.now);
    }

    pub(super) fn data_in(&mut self, link: LinkId, itt: Itt, data_sn: u32, offset: u32, data: &[u8]) {
        let pdu = DataIn {
            fin: true,
            acknowledge: false,
            status: None,
            lun: Lun::ZERO,
            itt,
            ttt: Ttt::RESERVED,
            numbering: self.numbering(link),
            data_sn: Serial(data_sn),
            offset,
        };
        self.say(link, pdu, data);
    }

    pub(super) fn r2t(&mut self, link: LinkId, itt: Itt, r2t_sn: u32, offset: u32, length: u32) {
        let (lun, ttt, numbering) = (Lun::from(3), Ttt(0x77 + r2t_sn), self.numbering(link));
        self.say(link, R2t { lun, itt, ttt, numbering, r2t_sn: Serial(r2t_sn), offset, length }, &[]);
    }

    pub(super) fn good(&mut self, link: LinkId, itt: Itt) {
        let response = ScsiResponse {
            response: ServiceResponse::Completed,
            status: Status::GOOD,
            qualifier: 0,
            itt,
            snack_tag: 0,
            numbering: self.status(link),
            exp_data_sn: Serial(0),
            bidi_residual: Residual::None,
            residual: Residual::None,
        };
        self.say(link, response, &[]);
    }

    pub(super) fn logged_out(&mut self, link: LinkId, itt: Itt, result: LogoutResult, wait: u16, retain: u16) {
        let numbering = self.status(link);
        self.say(link, LogoutResponse { result, itt, numbering, time2wait: wait, time2retain: retain }, &[]);
    }

    pub(super) fn task_response(&mut self, link: LinkId, itt: Itt, result: TaskResult) {
        let numbering = self.status(link);
        self.say(link, TaskResponse { result, information: [0; 3], itt, numbering }, &[]);
    }

    pub(super) fn message(&mut self, link: LinkId, event: AsyncEvent) {
        let numbering = self.status(link);
        self.say(link, AsyncMessage { lun: Lun::ZERO, numbering, event }, &[]);
    }

    pub(super) fn lose(&mut self, link: LinkId) {
        self.core.lost(link, &ConnectionError::ClosedByTarget, self.now);
        self.ends.remove(&link);
    }

    /// A login has taken the place of a lost connection.
    pub(super) fn reinstate(&mut self, lost: LinkId, cid: u16) -> LinkId {
        let start = Start { exp_cmd_sn: self.exp_cmd_sn, ..start(2, cid) };
        let link = self.core.reinstate(lost, &start, self.now).expect("it is wanted");
        self.ends.insert(link, end());
        link
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.core.expire(self.now);
    }

    /// Lets time pass up to the core's next deadline.
    pub(super) fn next_deadline(&mut self) {
        self.now = self.core.deadline().expect("a deadline").max(self.now);
        self.core.expire(self.now);
    }

    pub(super) fn done(&mut self) -> Vec<(Token, Completion)> {
        let mut done = Vec::new();
        self.core.take_done(&mut done);
        done
    }

    /// The only completion there is, which has to be that of `token`.
    pub(super) fn completion(&mut self, token: Token) -> Completion {
        let mut done = self.done();
        assert_eq!(done.len(), 1, "{done:?}");
        let (done, completion) = done.remove(0);
        assert_eq!(done, token);
        completion
    }

    pub(super) fn is_good(&mut self, token: Token) -> Response {
        match self.completion(token) {
            Ok(Finished::Scsi(response)) if response.status == Status::GOOD => response,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.core.take_event()).collect()
    }

    /// The session goes on, and nothing is left of any task.
    pub(super) fn assert_clean(&mut self) {
        assert_eq!(self.core.tasks.len(), 0);
        assert!(self.core.waiting.is_empty() && self.core.closed().is_none());
        assert!(self.done().is_empty());
        for link in self.links() {
            assert!(self.core.is_live(link));
            assert!(self.sent(link).is_empty());
        }
        assert_eq!(self.core.stats().connections, self.ends.len());
        assert_eq!(self.core.deadline(), None);
    }
}

fn end() -> End {
    let limits = FrameLimits { max_data: 1 << 24, allow_ahs: true, header_digest: false, data_digest: false };
    End { framer: Framer::new(limits), stat_sn: Serial(100) }
}

fn start(level: u8, cid: u16) -> Start {
    let (exp_stat_sn, cmd_sn, max_cmd_sn) = (Serial(100), Serial(7), Serial(38));
    Start { negotiated: negotiated(level), cid, cmd_sn, exp_cmd_sn: cmd_sn, max_cmd_sn, exp_stat_sn }
}

fn lost_event(cid: u16) -> Event {
    let error = ConnectionError::ClosedByTarget.to_string();
    Event::ConnectionLost { cid, error, time2wait: 3, time2retain: 20 }
}

#[test]
fn commands_go_where_the_least_waits_and_their_numbers_are_those_of_the_session() {
    let mut net = Net::new(0, 3);
    for token in 0..9 {
        net.read(token, 512);
    }
    let mut numbers = Vec::new();
    for link in net.links() {
        let on_this: Vec<u32> = net.commands(link).iter().map(|command| command.cmd_sn.0).collect();
        assert_eq!(on_this.len(), 3);
        assert!(on_this.is_sorted());
        numbers.extend(on_this);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (7..16).collect::<Vec<_>>());
}

#[test]
fn r289_data_goes_out_on_the_connection_of_its_command_and_an_answer_on_another_ends_the_session() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.write(1, 20_000);
    net.write(2, 20_000);
    let (one, two) = (net.sent(first), net.commands(second));
    let Pdu::ScsiCommand(one) = &one[0].0 else { panic!("{one:?}") };
    let (one, two) = (one.clone(), two[0].clone());
    net.r2t(second, two.itt, 0, 8192, 11_808);
    assert!(net.sent(first).is_empty());
    let data = net.sent(second);
    assert!(matches!(&data[..], [(Pdu::DataOut(a), _), (Pdu::DataOut(b), _)] if a.itt == two.itt && b.itt == two.itt));
    net.good(second, two.itt);
    net.is_good(2);
    // The other one's R2T comes where it does not belong.
    net.r2t(second, one.itt, 0, 8192, 11_808);
    let error = net.core.closed().cloned();
    assert!(
        matches!(error, Some(ConnectionError::Misbehaved(PeerMisbehaved::WrongConnection { itt })) if itt == one.itt),
        "{error:?}"
    );
    assert!(matches!(net.completion(1), Err(CommandError::Closed { sent: true, .. })));
}

#[test]
fn r249_a_command_is_aborted_on_its_own_connection() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.read(1, 512);
    net.commands(first);
    net.read(2, 512);
    net.read(3, 512);
    let (on_first, on_second) = (net.commands(first), net.commands(second));
    assert_eq!((on_first.len(), on_second.len()), (1, 1));
    net.good(first, on_first[0].itt);
    net.done();
    // The first connection has less to do, and yet.
    net.exp_cmd_sn = Serial(10);
    net.pass(PATIENCE.command);
    let aborts: Vec<Itt> = net.managed(second).iter().map(|abort| abort.referenced).collect();
    assert_eq!(aborts, [on_second[0].itt]);
    let aborts = net.managed(first);
    assert_eq!(aborts.len(), 1);
    assert!(aborts.iter().all(|abort| abort.function == TaskFunction::AbortTask));
}

#[test]
fn r290_there_are_no_more_connections_than_agreed() {
    let mut net = Net::new(0, 2);
    net.core.submit(Request::Seat, 1, net.now);
    let seat = match net.completion(1) {
        Ok(Finished::Seat(seat)) => seat,
        other => panic!("{other:?}"),
    };
    assert_eq!((seat.cmd_sn, seat.exp_stat_sn), (Serial(7), Serial(0)));
    assert!(![1, 2].contains(&seat.cid), "{seat:?}");
    net.core.join(&start(0, seat.cid), net.now).unwrap();
    net.core.submit(Request::Seat, 2, net.now);
    assert!(matches!(net.completion(2), Err(CommandError::TooManyConnections { limit: 3 })));
    assert!(matches!(net.core.join(&start(0, 9), net.now), Err(CommandError::TooManyConnections { limit: 3 })));
    assert_eq!(net.core.stats().connections, 3);
    assert_eq!(net.events(), [Event::ConnectionAdded { cid: seat.cid }]);
}

#[test]
fn a_place_is_free_again_when_its_connection_is_gone_and_the_number_is_another_one() {
    let mut net = Net::new(0, 3);
    let gone = net.links()[2];
    net.lose(gone);
    net.pass(WAIT);
    let over = net.links()[0];
    let logout = net.logout(over);
    net.logged_out(over, logout.itt, LogoutResult::Closed, 0, 0);
    net.core.submit(Request::Seat, 1, net.now);
    let Ok(Finished::Seat(seat)) = net.completion(1) else { panic!() };
    assert!(![1, 2].contains(&seat.cid), "{seat:?}");
    net.core.join(&start(0, seat.cid), net.now).unwrap();
}

#[test]
fn r291_below_level_2_a_lost_connection_is_logged_out_over_another_and_the_session_goes_on() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    for token in 1..=4 {
        net.read(token, 4);
    }
    let (kept, gone) = (net.commands(first), net.commands(second));
    assert_eq!((kept.len(), gone.len()), (2, 2));
    // The target has taken all but the last: 7, 8 and 9. The last, 10, was on the connection that is lost.
    net.exp_cmd_sn = Serial(10);
    net.data_in(first, kept[0].itt, 0, 0, &[1; 4]);
    net.lose(second);
    assert_eq!(net.events(), [lost_event(2)]);
    assert!(net.done().is_empty(), "until the logout, the target may still be executing what it has");
    net.pass(Duration::from_millis(2_999));
    assert!(net.sent(first).is_empty(), "the target is left alone for Time2Wait");
    net.pass(Duration::from_millis(1));
    let logout = net.logout(first);
    assert_eq!((logout.reason, logout.cid), (LogoutReason::CloseConnection, 2));
    assert_eq!((logout.immediate, logout.exp_stat_sn), (true, Serial(100)));
    net.logged_out(first, logout.itt, LogoutResult::Closed, 0, 0);
    // What was taken is over; what was not is sent again as it was.
    let error = net.completion(2);
    assert!(
        matches!(error, Err(CommandError::Closed { error: ConnectionError::ClosedByTarget, sent: true })),
        "{error:?}"
    );
    let again = net.commands(first);
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].itt, again[0].cmd_sn), (gone[1].itt, Serial(10)));
    assert_eq!(ScsiCommand { exp_stat_sn: gone[1].exp_stat_sn, ..again[0].clone() }, gone[1]);
    net.exp_cmd_sn = Serial(11);
    for (itt, token) in [(kept[0].itt, 1), (kept[1].itt, 3), (again[0].itt, 4)] {
        net.good(first, itt);
        net.is_good(token);
    }
    net.assert_clean();
}

#[test]
fn a_cid_that_the_target_has_forgotten_is_as_good_as_logged_out() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.lose(second);
    net.next_deadline();
    let logout = net.logout(first);
    net.logged_out(first, logout.itt, LogoutResult::CidNotFound, 9, 9);
    net.assert_clean();
}

#[test]
fn r262_a_logout_that_failed_is_tried_again_after_the_time_that_the_target_names() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.lose(second);
    net.next_deadline();
    let logout = net.logout(first);
    net.logged_out(first, logout.itt, LogoutResult::CleanupFailed, 7, 30);
    net.pass(Duration::from_millis(6_999));
    assert!(net.sent(first).is_empty());
    net.pass(Duration::from_millis(1));
    let logout = net.logout(first);
    net.logged_out(first, logout.itt, LogoutResult::CleanupFailed, 0, 0);
    let error = net.core.closed().cloned();
    assert!(
        matches!(
            error,
            Some(ConnectionError::LogoutFailed { result: LogoutResult::CleanupFailed, time2wait: 0, time2retain: 0 })
        ),
        "{error:?}"
    );
}

#[test]
fn r262_the_times_of_an_announced_drop_take_the_place_of_those_agreed() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    let event = AsyncEvent::ConnectionDrop { cid: 2, time2wait: 11, time2retain: 0 };
    net.message(first, event);
    assert!(!net.core.is_live(second) && net.core.is_live(first));
    let expected = ConnectionError::DroppedByTarget { time2wait: 11, time2retain: 0 }.to_string();
    let lost = Event::ConnectionLost { cid: 2, error: expected, time2wait: 11, time2retain: 0 };
    assert_eq!(net.events(), [lost, Event::Message(event)]);
    net.pass(Duration::from_millis(10_999));
    assert!(net.sent(first).is_empty());
    net.pass(Duration::from_millis(1));
    assert_eq!(net.logout(first).cid, 2);
}

#[test]
fn a_connection_that_is_to_be_logged_out_goes_alone() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.read(1, 4);
    net.read(2, 4);
    let (one, two) = (net.commands(first), net.commands(second));
    net.message(second, AsyncEvent::LogoutRequest { deadline: 10 });
    // New commands go elsewhere, and the old one is waited for.
    net.read(3, 4);
    net.read(4, 4);
    let more = net.commands(first);
    assert_eq!((more.len(), net.sent(second).len()), (2, 0));
    net.exp_cmd_sn = Serial(11);
    net.good(second, two[0].itt);
    net.is_good(2);
    let logout = net.logout(second);
    assert_eq!((logout.reason, logout.cid), (LogoutReason::CloseConnection, 2));
    net.logged_out(second, logout.itt, LogoutResult::Closed, 0, 0);
    net.ends.remove(&second);
    for (itt, token) in [(one[0].itt, 1), (more[0].itt, 3), (more[1].itt, 4)] {
        net.good(first, itt);
        net.is_good(token);
    }
    net.assert_clean();
}

#[test]
fn the_last_connection_that_is_to_be_logged_out_takes_the_session_with_it() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.message(second, AsyncEvent::LogoutRequest { deadline: 10 });
    net.message(first, AsyncEvent::LogoutRequest { deadline: 10 });
    let logout = net.logout(second);
    assert_eq!(logout.reason, LogoutReason::CloseConnection);
    net.logged_out(second, logout.itt, LogoutResult::Closed, 0, 0);
    let logout = net.logout(first);
    assert!(net.core.closed().is_none());
    net.logged_out(first, logout.itt, LogoutResult::Closed, 0, 0);
    assert!(matches!(net.core.closed(), Some(ConnectionError::LogoutRequested)));
}

#[test]
fn a_logout_of_the_session_goes_over_one_connection_and_closes_all() {
    let mut net = Net::new(0, 3);
    net.core.submit(Request::Logout, 1, net.now);
    let sent: Vec<_> =
        net.links().into_iter().flat_map(|link| net.sent(link).into_iter().map(move |(pdu, _)| (link, pdu))).collect();
    let [(over, Pdu::LogoutRequest(logout))] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(logout.reason, LogoutReason::CloseSession);
    net.read(2, 4);
    assert!(matches!(net.completion(2), Err(CommandError::Closed { sent: false, .. })));
    net.logged_out(*over, logout.itt, LogoutResult::Closed, 0, 0);
    assert!(matches!(net.completion(1), Ok(Finished::LoggedOut)));
    assert!(matches!(net.core.closed(), Some(ConnectionError::LoggedOut)));
    assert!(net.links().into_iter().all(|link| !net.core.is_live(link)));
}

#[test]
fn each_connection_is_pinged_when_it_is_silent_and_only_the_one_that_does_not_answer_is_lost() {
    let mut net = Net::new(0, 1);
    net.core = Core::new(start(0, 1), Patience { idle: Some(SECOND * 5), ..PATIENCE }, Time::ZERO);
    let second = net.core.join(&start(0, 2), net.now).unwrap();
    net.ends.insert(second, end());
    net.pass(SECOND * 5);
    let mut pings = Vec::new();
    for link in net.links() {
        let sent = net.sent(link);
        let [(Pdu::NopOut(ping), _)] = &sent[..] else { panic!("{sent:?}") };
        pings.push(ping.itt);
    }
    let numbering = net.status(LinkId::FIRST);
    let pong = iscsi_proto::pdu::NopIn { lun: Lun::ZERO, itt: pings[0], ttt: Ttt::RESERVED, numbering };
    net.say(LinkId::FIRST, pong, &[]);
    net.pass(PATIENCE.ping);
    assert!(net.core.is_live(LinkId::FIRST) && !net.core.is_live(second));
    assert!(net.core.closed().is_none());
}

#[test]
fn r249_data_of_a_command_that_ended_over_another_connection_lands_nowhere() {
    let mut net = Net::new(0, 2);
    let [first, second] = net.links()[..] else { panic!() };
    net.read(1, 4096);
    net.core.submit(Request::Task { function: TaskFunction::LogicalUnitReset, lun: Lun::from(3) }, 2, net.now);
    let [command] = &net.commands(first)[..] else { panic!() };
    let [reset] = &net.managed(second)[..] else { panic!() };
    net.exp_cmd_sn = net.exp_cmd_sn.next();
    let pdu = DataIn {
        fin: true,
        acknowledge: false,
        status: None,
        lun: Lun::ZERO,
        itt: command.itt,
        ttt: Ttt::RESERVED,
        numbering: net.numbering(first),
        data_sn: Serial(0),
        offset: 0,
    };
    let mut wire = BytesMut::new();
    encode_frame(pdu.encode(), &[], &[0xee; 4096], false, false, &mut wire);
    net.core.receive(first, &wire[..1000], net.now);

    // The reset ends the command, and another one takes its place.
    net.task_response(second, reset.itt, TaskResult::FunctionComplete);
    net.read(3, 4096);
    assert!(net.core.landing(first, 1).is_none());
    net.core.receive(first, &wire[1000..], net.now);
    assert!(net.core.closed().is_none());

    let again: Vec<_> = [first, second].map(|link| (link, net.commands(link))).into();
    let (link, command) =
        again.into_iter().find_map(|(link, commands)| Some((link, commands.last()?.clone()))).unwrap();
    net.exp_cmd_sn = net.exp_cmd_sn.next();
    net.data_in(link, command.itt, 0, 0, &[0x11; 4096]);
    net.good(link, command.itt);
    let mut done = Vec::new();
    net.core.take_done(&mut done);
    let read = done.into_iter().find(|(token, _)| *token == 3).unwrap().1.unwrap();
    let Finished::Scsi(response) = read else { panic!("{read:?}") };
    assert_eq!(response.data, [0x11; 4096][..]);
}
