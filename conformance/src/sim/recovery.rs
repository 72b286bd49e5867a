//! Sessions of several connections, and of one that is taken up again, in virtual time.
//!
//! The network loses connections one after the other. Beside what holds always, there is one rule more at error recovery
//! level 2: no command fails. Below it, only commands fail that were on a lost connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iscsi_initiator::core::command::{Completion, Finished, Request, Seat, Token};
use iscsi_initiator::core::login::{LoginConfig, Purpose as Wanted};
use iscsi_initiator::core::session::{Core, Patience, Start};
use iscsi_initiator::core::{Command, CommandError, ConnectionError, Event, Negotiated, Offer, Time};
use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::{Cdb, Lun, Status};
use iscsi_proto::serial::Serial;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::disk::{BLOCK, Disk, Generation, Moment};
use super::link::Manner;
use super::plan::pick;
use super::road::{Heard, Purpose, Road};
use super::world::{Checked, INITIATOR, TARGET};
use super::{Failure, canary};
use crate::target::config::{Config, Limits, LunConfig, TargetConfig};
use crate::target::core::Node;

const BLOCKS: u64 = 64;
/// Steps after which a run that has not ended never will.
const MAX_STEPS: u64 = 2_000_000;
/// The tokens of what the run itself asks for.
const OWN: Token = usize::MAX;
const SEAT: Token = usize::MAX - 1;
/// Nothing times out that moves at all.
const PATIENCE: Patience = Patience {
    command: Duration::from_secs(60),
    management: Duration::from_secs(30),
    idle: None,
    ping: Duration::from_secs(30),
};

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// ErrorRecoveryLevel.
    pub level: u8,
    /// Connections that the session had at most.
    pub connections: usize,
    /// Commands that ended well.
    pub succeeded: usize,
    /// Commands that ended with an error.
    pub failed: usize,
    /// Connections that were lost in full feature phase while the session went on.
    pub lost: usize,
    /// Connections that were taken up again.
    pub restored: usize,
    /// Why the session ended before its time, if it did.
    pub reason: Option<String>,
}

enum Pending {
    Read { block: u64, start: Moment, margins: canary::Margins },
    Write { block: u64, count: u64, generation: Generation },
}

struct World {
    rng: StdRng,
    node: Arc<Node>,
    portal: Portal,
    offer: Offer,
    wanted: usize,
    core: Option<Core>,
    session: Option<(u16, Negotiated)>,
    roads: Vec<Road>,
    disk: Disk,
    pending: HashMap<Token, Pending>,
    /// Commands that are still to come, and losses.
    operations: Vec<Time>,
    losses: Vec<Time>,
    /// Logins so far.
    attempts: usize,
    joining: bool,
    leaving: bool,
    now: Time,
    moment: Moment,
    next: Token,
    report: Recovered,
}

/// Plays a seed in which connections are lost and recovered.
pub fn recover(seed: u64) -> Result<Recovered, Failure> {
    let mut world = World::new(seed).map_err(|what| Failure { seed, by: "SIM_RECOVER", at: Time::ZERO, what })?;
    world.run().map_err(|what| Failure { seed, by: "SIM_RECOVER", at: world.now, what })?;
    Ok(world.report)
}

impl World {
    fn new(seed: u64) -> Checked<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let level = if rng.random_bool(0.7) { 2 } else { 0 };
        let wanted = rng.random_range(if level == 2 { 1..4 } else { 2..4 });
        let limits = Limits {
            error_recovery_level: level,
            max_connections: 3,
            time2wait: rng.random_range(0..3),
            time2retain: 30,
            max_burst: 2048,
            first_burst: 1024,
            max_recv_data_segment: 1024,
            initial_r2t: rng.random(),
            immediate_data: rng.random(),
            status_in_data: rng.random(),
            window: if rng.random() { 4 } else { 32 },
            ..Limits::default()
        };
        let target = TargetConfig {
            unit_attention: false,
            ..TargetConfig::new(name(TARGET)?).lun(LunConfig::memory(BLOCKS * BLOCK as u64)).limits(limits)
        };
        let node =
            Node::new(Config { targets: vec![target], ..Config::default() }).map_err(|error| error.to_string())?;
        let mut offer = Offer::default();
        (offer.error_recovery_level, offer.max_connections) = (level, 3);
        (offer.default_time2wait, offer.default_time2retain) = (0, 30);
        offer.max_recv_data_segment_length = 1024;
        let gap = pick(&mut rng, &[100, 20_000, 1_000_000]);
        let operations = times(&mut rng, 40, gap);
        let losses = times(&mut rng, 6, gap * 8);
        Ok(Self {
            rng,
            node: Arc::new(node),
            portal: "127.0.0.1:3260".parse().map_err(|_| "a portal")?,
            offer,
            wanted,
            core: None,
            session: None,
            roads: Vec::new(),
            disk: Disk::new(seed, BLOCKS),
            pending: HashMap::new(),
            operations,
            losses,
            attempts: 0,
            joining: false,
            leaving: false,
            now: Time::ZERO,
            moment: 1,
            next: 0,
            report: Recovered { level, ..Recovered::default() },
        })
    }

    fn run(&mut self) -> Checked {
        self.connect(Purpose::First, Seat { cid: 0, cmd_sn: Serial(u32::MAX - 20), exp_stat_sn: Serial(0) })?;
        for _ in 0..MAX_STEPS {
            self.turn()?;
            if self.is_over() {
                return self.check_end();
            }
            let Some(at) = self.next_event() else {
                return Err(format!("it hangs with {} pending", self.pending.len()));
            };
            self.now = self.now.max(at);
            self.node.advance(self.now);
            self.happen();
        }
        Err(format!("it does not end, {} pending", self.pending.len()))
    }

    /// Does what can be done without anything arriving or time passing.
    fn turn(&mut self) -> Checked {
        loop {
            let attempts = self.attempts;
            self.keep_connected()?;
            self.exchange();
            self.complete()?;
            let leaving = self.leaving;
            self.leave();
            if (attempts, leaving) == (self.attempts, self.leaving) {
                return Ok(());
            }
        }
    }

    // Connections

    fn connect(&mut self, purpose: Purpose, seat: Seat) -> Checked {
        let target = name(TARGET)?;
        let wanted = match &self.session {
            None => Wanted::Session { target },
            Some((tsih, negotiated)) => Wanted::Connection {
                target,
                tsih: (*tsih).try_into().map_err(|_| "a TSIH")?,
                in_force: Box::new(negotiated.clone()),
                exp_stat_sn: seat.exp_stat_sn,
            },
        };
        let mut config = LoginConfig::new(name(INITIATOR)?, wanted, Isid::random([1, 2, 3], 0));
        (config.offer, config.cid, config.cmd_sn) = (self.offer.clone(), seat.cid, seat.cmd_sn);
        let segment = pick(&mut self.rng, &[48, 300, usize::MAX]);
        let manner = Manner { segment, delay: 500, stall: 0, capacity: 1 << 16 };
        let road =
            Road::new(&self.node, purpose, config, self.portal.clone(), manner).map_err(|error| error.to_string())?;
        self.roads.push(road);
        self.attempts += 1;
        Ok(())
    }

    /// Adds connections, and takes up those that the core wants to have again.
    fn keep_connected(&mut self) -> Checked {
        let now = self.now;
        let Some(core) = &mut self.core else { return Ok(()) };
        for road in &mut self.roads {
            let wanted = match (road.link, road.purpose) {
                (Some(link), _) => core.is_live(link),
                (None, Purpose::Instead(lost)) => core.is_wanted(lost),
                (None, _) => core.closed().is_none(),
            };
            if !wanted {
                road.hang_up(now);
            }
        }
        self.roads.retain(|road| !road.is_over());
        if let Some((lost, seat)) = core.dial() {
            self.connect(Purpose::Instead(lost), seat)?;
        } else if !self.joining && !self.leaving && self.roads.len() < self.wanted && core.stats().connections > 0 {
            self.joining = true;
            core.submit(Request::Seat, SEAT, now);
        }
        Ok(())
    }

    /// A login has ended well.
    fn logged_in(&mut self, at: usize, start: &Start, tsih: u16, rest: &[u8]) {
        let now = self.now;
        let Some(road) = self.roads.get_mut(at) else { return };
        let link = match (road.purpose, &mut self.core) {
            (Purpose::First, core) => {
                let core = core.insert(Core::new(start.clone(), PATIENCE, now));
                core.reconnects();
                self.session = Some((tsih, start.negotiated.clone()));
                self.operations.iter_mut().chain(&mut self.losses).for_each(|at| *at += now);
                Some(iscsi_initiator::core::session::LinkId::FIRST)
            }
            (Purpose::Further, Some(core)) => core.join(start, now).ok(),
            (Purpose::Instead(lost), Some(core)) => core.reinstate(lost, start, now),
            (_, None) => None,
        };
        self.joining &= road.purpose != Purpose::Further;
        road.link = link;
        if let (Some(link), Some(core)) = (link, &mut self.core) {
            road.work(core, link, rest, now, &mut self.rng);
            self.report.connections = self.report.connections.max(core.stats().connections);
        } else {
            road.hang_up(now);
        }
    }

    /// A login has failed, or the stream has ended.
    fn ended(&mut self, at: usize) {
        let now = self.now;
        let Some(road) = self.roads.get_mut(at) else { return };
        if road.link.is_none() {
            match (road.purpose, &mut self.core) {
                (Purpose::Instead(lost), Some(core)) => core.not_reinstated(lost, now),
                (Purpose::Further, _) => self.joining = false,
                _ => {}
            }
        }
        road.hang_up(now);
    }

    // Events

    fn exchange(&mut self) {
        loop {
            let mut moved = false;
            for road in &mut self.roads {
                moved |= road.exchange(self.core.as_mut(), self.now, &mut self.rng);
            }
            if !moved {
                return;
            }
        }
    }

    fn next_event(&self) -> Option<Time> {
        let roads = self.roads.iter().flat_map(|road| [road.up.next(), road.down.next()]).flatten();
        let deadline = self.core.as_ref().and_then(Core::deadline);
        let steps = self.core.is_some().then(|| [self.operations.last(), self.losses.last()]).into_iter().flatten();
        roads.chain(deadline).chain(steps.flatten().copied()).min()
    }

    fn happen(&mut self) {
        let now = self.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        for at in 0..self.roads.len() {
            self.arrive(at);
        }
        if let Some(core) = self.core.as_mut().filter(|core| due(core.deadline())) {
            core.expire(now);
        }
        if self.core.is_none() {
            return;
        }
        if due(self.operations.last().copied()) {
            self.operations.pop();
            self.operate();
        }
        if due(self.losses.last().copied()) {
            self.losses.pop();
            self.lose();
        }
    }

    /// What is due on a connection arrives.
    fn arrive(&mut self, at: usize) {
        let now = self.now;
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let Some(road) = self.roads.get_mut(at) else { return };
        if due(road.up.next()) {
            road.arrive_up(now);
        } else if due(road.down.next()) {
            match road.arrive_down(self.core.as_mut(), now, &mut self.rng) {
                Heard::Nothing => {}
                Heard::LoggedIn(start, tsih, rest) => self.logged_in(at, &start, tsih, &rest),
                Heard::End => self.ended(at),
            }
        }
    }

    /// The network loses one of the connections that are logged in.
    fn lose(&mut self) {
        let now = self.now;
        let mut up: Vec<&mut Road> = self.roads.iter_mut().filter(|road| road.link.is_some()).collect();
        let chosen = self.rng.random_range(0..up.len().max(1));
        if let Some(road) = up.get_mut(chosen) {
            road.lose(now, &mut self.rng);
        }
    }

    // Commands

    fn operate(&mut self) {
        let Some(core) = &mut self.core else { return };
        let token = self.next;
        (self.next, self.moment) = (self.next + 1, self.moment + 1);
        let block = self.rng.random_range(0..BLOCKS);
        let count = self.rng.random_range(1..=(BLOCKS - block).min(12));
        let (command, pending) = if self.rng.random() {
            let (buffer, margins) = canary::buffer(count as usize * BLOCK);
            let command = Command::read(Cdb::read(block, count as u32), buffer);
            (command, Pending::Read { block, start: self.moment, margins })
        } else {
            let generation = token as Generation + 1;
            let content = self.disk.content(block, count, generation);
            self.disk.begin(block, count, generation, self.moment);
            let command = Command::write(Cdb::write(block, count as u32), content);
            (command, Pending::Write { block, count, generation })
        };
        core.submit(Request::Scsi { lun: Lun::ZERO, command }, token, self.now);
        self.pending.insert(token, pending);
    }

    fn complete(&mut self) -> Checked {
        let Some(core) = &mut self.core else { return Ok(()) };
        let mut done = Vec::new();
        core.take_done(&mut done);
        while let Some(event) = core.take_event() {
            self.report.lost += usize::from(matches!(event, Event::ConnectionLost { .. }));
            self.report.restored += usize::from(matches!(event, Event::ConnectionRestored { .. }));
        }
        for (token, completion) in done {
            self.moment += 1;
            match (token, completion) {
                (SEAT, Ok(Finished::Seat(seat))) => self.connect(Purpose::Further, seat)?,
                (SEAT, _) => self.joining = false,
                (OWN, _) => {}
                (token, completion) => {
                    let pending = self.pending.remove(&token).ok_or_else(|| format!("{token} ended twice"))?;
                    self.judge(pending, completion)?;
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self, pending: Pending, completion: Completion) -> Checked {
        let response = match completion {
            Ok(Finished::Scsi(response)) if response.status == Status::GOOD => response,
            // What may have been done stays open.
            Err(error) => {
                if let (Pending::Write { block, count, generation }, true) = (&pending, error.is_known_not_executed()) {
                    self.disk.withdraw(*block, *count, *generation);
                }
                return self.failed(&error);
            }
            other => return Err(format!("a command ended with {other:?}")),
        };
        self.report.succeeded += 1;
        match pending {
            Pending::Read { block, start, margins } if margins.are_clean() => {
                self.disk.check(block, &response.data, start).map_err(|corrupt| corrupt.to_string())
            }
            Pending::Read { .. } => Err("bytes beside a buffer were written".into()),
            Pending::Write { block, count, generation } => {
                self.disk.acknowledge(block, count, generation, self.moment);
                Ok(())
            }
        }
    }

    fn failed(&mut self, error: &CommandError) -> Checked {
        self.report.failed += 1;
        match error {
            CommandError::Closed { .. } if self.report.level < 2 => Ok(()),
            error => Err(format!("a command failed: {error}")),
        }
    }

    // The end

    fn leave(&mut self) {
        let steady = self.losses.is_empty() && !self.roads.iter().any(|road| road.lost);
        let idle = steady && self.operations.is_empty() && self.pending.is_empty();
        let now = self.now;
        let Some(core) = self.core.as_mut().filter(|_| idle && !self.leaving) else { return };
        let stats = core.stats();
        // A connection that is lost is first recovered: then the window has to be whole.
        if stats.connections == self.roads.len()
            && stats.connections > 0
            && stats.in_flight == 0
            && core.deadline().is_none()
        {
            self.leaving = true;
            core.submit(Request::Logout, OWN, now);
        }
    }

    fn is_over(&self) -> bool {
        self.core.as_ref().is_some_and(|core| core.closed().is_some()) && self.roads.is_empty()
    }

    fn check_end(&mut self) -> Checked {
        let Some(core) = &self.core else { return Err("there never was a session".into()) };
        self.report.reason = match core.closed() {
            Some(ConnectionError::LoggedOut) | None => None,
            Some(error @ ConnectionError::Misbehaved(_)) => return Err(format!("nobody did: {error}")),
            Some(error) => Some(error.to_string()),
        };
        if self.report.level == 2 && self.report.reason.is_some() {
            return Err(format!("the session was lost: {:?}", self.report.reason));
        }
        if !self.pending.is_empty() || core.stats().in_flight != 0 {
            return Err(format!("{} commands never ended", self.pending.len()));
        }
        self.node.advance(self.now + Duration::from_secs(3600));
        let sessions = self.node.sessions();
        if !sessions.is_empty() {
            return Err(format!("the target still has {sessions:?}"));
        }
        let content = self.node.peek(0, 0, 0, BLOCKS as usize * BLOCK).ok_or("there is no disk")?;
        self.moment += 1;
        self.disk.check(0, &content, self.moment).map_err(|corrupt| format!("in the end {corrupt}"))
    }
}

fn name(text: &str) -> Checked<IscsiName> {
    text.parse::<IscsiName>().map_err(|error| error.to_string())
}

/// So many points in time, the earliest last.
fn times(rng: &mut StdRng, most: usize, gap: u64) -> Vec<Time> {
    let mut at = Time::ZERO;
    let count = rng.random_range(1..=most);
    let mut times: Vec<Time> = (0..count)
        .map(|_| {
            at += Duration::from_micros(rng.random_range(0..=gap));
            at
        })
        .collect();
    times.reverse();
    times
}
