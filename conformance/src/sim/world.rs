//! One run: both sides, the network, the disk's history and the rules.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use iscsi_initiator::core::command::{Completion, Finished, Request, Token};
use iscsi_initiator::core::login::{LoginConfig, Purpose};
use iscsi_initiator::core::session::{Core, LinkId, Start};
use iscsi_initiator::core::{Command, CommandError, ConnectionError, Time};
use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::TaskFunction;
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::{Cdb, Lun, SyncCache};
use iscsi_proto::serial::Serial;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Report;
use super::canary::{self, Ledger, Margins};
use super::disk::{BLOCK, Disk, Generation, Moment};
use super::host::{Host, Phase};
use super::judge::check_error;
use super::link::{Arrival, Link};
use super::peer::Peer;
use super::plan::{Cut, Operation, Plan};
use super::watch::Watch;
use crate::target::config::{Config, LunConfig, TargetConfig};
use crate::target::core::Node;

pub(super) const INITIATOR: &str = "iqn.2026-01.org.example:host";
pub(super) const TARGET: &str = "iqn.2026-01.org.example:disk";
/// Steps and time after which a run that has not ended never will.
const MAX_STEPS: u64 = 3_000_000;
const MAX_TIME: Time = Duration::from_secs(24 * 3600);
/// Times that the core may ask to be woken again at once.
const MAX_SPIN: u32 = 8;
/// The token of what the run itself asks for.
const OWN: Token = usize::MAX;

pub(super) type Checked<T = ()> = Result<T, String>;

/// The state of a run.
pub(super) struct World {
    plan: Plan,
    node: Arc<Node>,
    host: Host,
    peer: Option<Peer>,
    up: Link,
    down: Link,
    pub(super) disk: Disk,
    watch: Option<Watch>,
    pending: HashMap<Token, Pending>,
    /// Requests that were given up: they end as aborted at once.
    given_up: HashSet<Token>,
    ledger: Ledger,
    now: Time,
    pub(super) moment: Moment,
    next: usize,
    stage: Stage,
    spin: u32,
    report: Report,
}

/// A request that has not ended.
#[derive(Debug)]
pub(super) enum Pending {
    Read { block: u64, count: u64, start: Moment, margins: Margins },
    Write { block: u64, count: u64, generation: Generation },
    Other(Operation),
}

/// How far the run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Work,
    /// All requests have ended; those that nobody waits for have to.
    Drain,
    Ping,
    Logout,
    Leave,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Operation,
    Up,
    Down,
    Deadline,
    Cut,
}

impl World {
    pub(super) fn new(plan: Plan) -> Checked<Self> {
        let name = |text: &str| text.parse::<IscsiName>().map_err(|error| error.to_string());
        let target = TargetConfig {
            unit_attention: false,
            ..TargetConfig::new(name(TARGET)?)
                .lun(LunConfig::memory(plan.blocks * BLOCK as u64))
                .limits(plan.limits.clone())
        };
        let node =
            Node::new(Config { targets: vec![target], ..Config::default() }).map_err(|error| error.to_string())?;
        let node = Arc::new(node);
        let portal: Portal = "127.0.0.1:3260".parse().map_err(|_| "a portal")?;
        let purpose = Purpose::Session { target: name(TARGET)? };
        let mut config = LoginConfig::new(name(INITIATOR)?, purpose, Isid::random([1, 2, 3], 0));
        config.offer = plan.offer.clone();
        config.cmd_sn = Serial(plan.cmd_sn);
        let limit = |of: fn(Cut) -> Option<u64>| plan.cut.and_then(of);
        let sent = limit(|cut| if let Cut::Sent(bytes) = cut { Some(bytes) } else { None });
        let received = limit(|cut| if let Cut::Received(bytes) = cut { Some(bytes) } else { None });
        let loss = (plan.loss != 0).then(|| (plan.loss, StdRng::seed_from_u64(plan.seed)));
        Ok(Self {
            host: Host::new(config, plan.patience).map_err(|error| error.to_string())?,
            peer: Some(Peer::new(&node, portal, loss)),
            node,
            up: Link::new(plan.up, sent),
            down: Link::new(plan.down, received),
            disk: Disk::new(plan.seed, plan.blocks),
            watch: None,
            pending: HashMap::new(),
            given_up: HashSet::new(),
            ledger: Ledger::default(),
            now: Time::ZERO,
            moment: 1,
            next: 0,
            stage: Stage::Work,
            spin: 0,
            report: Report { stalling: plan.up.stall != 0 || plan.down.stall != 0, ..Report::default() },
            plan,
        })
    }

    pub(super) const fn now(&self) -> Time {
        self.now
    }

    pub(super) fn into_report(self) -> Report {
        Report { bytes: (self.up.accepted(), self.down.accepted()), ..self.report }
    }

    /// Runs to the end, and reads the whole disk afterwards.
    pub(super) fn run(&mut self) -> Checked {
        loop {
            self.report.steps += 1;
            self.turn()?;
            if self.stage == Stage::Leave && self.peer.is_none() && self.host.is_over() {
                break;
            }
            let Some((at, due)) = self.next_event() else { return Err(format!("it hangs, {}", self.state())) };
            if self.report.steps > MAX_STEPS || at > MAX_TIME {
                return Err(format!("it does not end, {}", self.state()));
            }
            self.now = self.now.max(at);
            self.happen(due)?;
        }
        self.check_end()
    }

    /// Does what can be done without anything arriving or time passing.
    fn turn(&mut self) -> Checked {
        loop {
            self.exchange()?;
            self.complete()?;
            let stage = self.stage;
            self.advance()?;
            if self.stage == stage {
                return Ok(());
            }
        }
    }

    fn state(&mut self) -> String {
        let stats = self.host.core().map(|core| core.stats());
        let names: Vec<&Pending> = self.pending.values().collect();
        format!("stage {:?}, waiting for {names:?}, {:?} under way", self.stage, stats.map(|stats| stats.in_flight))
    }

    // Events

    fn next_event(&mut self) -> Option<(Time, Due)> {
        let deadline = self.host.core().and_then(|core| core.deadline());
        let operation = if self.host.core().is_some() || self.host.is_over() {
            self.plan.steps.get(self.next).map(|step| step.at)
        } else {
            None
        };
        let cut = match self.plan.cut {
            Some(Cut::At(at)) => Some(at),
            _ => None,
        };
        let all = [
            (operation, Due::Operation),
            (self.up.next(), Due::Up),
            (self.down.next(), Due::Down),
            (deadline, Due::Deadline),
            (cut, Due::Cut),
        ];
        let first = all.iter().filter_map(|(at, _)| *at).min()?.max(self.now);
        let due: Vec<Due> =
            all.iter().filter(|(at, _)| at.is_some_and(|at| at <= first)).map(|(_, due)| *due).collect();
        let chosen = self.plan.rng.random_range(0..due.len());
        due.get(chosen).map(|due| (first, *due))
    }

    fn happen(&mut self, due: Due) -> Checked {
        match due {
            Due::Operation => self.operate(),
            Due::Up => self.arrive_up(),
            Due::Down => self.arrive_down()?,
            Due::Deadline => self.expire()?,
            Due::Cut => {
                self.plan.cut = None;
                self.lose();
            }
        }
        Ok(())
    }

    fn arrive_up(&mut self) {
        match (self.up.take(), &mut self.peer) {
            (Arrival::Bytes(bytes), Some(peer)) => peer.receive(&bytes),
            (Arrival::End, _) => self.dismiss(),
            _ => {}
        }
    }

    fn arrive_down(&mut self) -> Checked {
        match self.down.take() {
            Arrival::End => self.host.end(self.now),
            Arrival::Bytes(bytes) => {
                self.hear(&bytes);
                if let Some((start, rest)) = self.host.receive(&bytes, self.now, &mut self.plan.rng) {
                    self.begin(&start, &rest);
                }
            }
        }
        self.host.check()
    }

    fn hear(&mut self, bytes: &[u8]) {
        if let Some(watch) = &mut self.watch {
            watch.received(bytes);
        }
    }

    /// Login has succeeded; `rest` came behind it.
    fn begin(&mut self, start: &Start, rest: &[u8]) {
        self.watch = Some(Watch::new(start));
        self.hear(rest);
        self.host.receive(rest, self.now, &mut self.plan.rng);
        // The operations are timed from here.
        for step in &mut self.plan.steps {
            step.at += self.now;
        }
    }

    fn expire(&mut self) -> Checked {
        let now = self.now;
        let Some(core) = self.host.core() else { return Ok(()) };
        core.expire(now);
        self.spin = if core.deadline().is_some_and(|at| at <= now) { self.spin + 1 } else { 0 };
        if self.spin > MAX_SPIN {
            return Err("the deadline passes and stays".into());
        }
        Ok(())
    }

    /// The connection is lost.
    fn lose(&mut self) {
        self.report.lost = true;
        self.plan.cut = None;
        let (one, other) = (self.plan.rng.random(), self.plan.rng.random());
        self.up.lose(self.now, one);
        self.down.lose(self.now, other);
    }

    /// The target's connection is gone.
    fn dismiss(&mut self) {
        self.peer = None;
        self.up.abandon();
        self.down.end(self.now);
        self.moment += 1;
        self.disk.settle_all(self.moment);
    }

    // Bytes

    /// Lets both sides send what there is room for.
    fn exchange(&mut self) -> Checked {
        loop {
            let bytes = self.host.outgoing(self.up.room(), self.now);
            if bytes.is_empty() {
                break;
            }
            if let Some(watch) = &mut self.watch {
                watch.sent(&bytes)?;
            }
            if self.up.push(&bytes, self.now, &mut self.plan.rng) {
                self.lose();
            }
        }
        self.answer();
        if self.host.is_over() {
            self.up.end(self.now);
            self.down.abandon();
        }
        Ok(())
    }

    fn answer(&mut self) {
        let Some(peer) = &mut self.peer else { return };
        let mut lost = false;
        loop {
            let bytes = peer.outgoing(self.down.room());
            if bytes.is_empty() {
                break;
            }
            lost |= self.down.push(&bytes, self.now, &mut self.plan.rng);
        }
        let over = peer.is_over();
        if lost {
            self.lose();
        }
        if over {
            self.dismiss();
        }
    }

    // Requests

    fn operate(&mut self) {
        let Some(step) = self.plan.steps.get(self.next).copied() else { return };
        let token = self.next;
        self.next += 1;
        self.moment += 1;
        match step.what {
            Operation::Cancel(back) => return self.cancel(token.wrapping_sub(back)),
            Operation::Poke => return self.peer.iter_mut().for_each(Peer::ping),
            Operation::Dismiss => return self.peer.iter_mut().for_each(|peer| peer.ask_for_logout(3)),
            _ => {}
        }
        self.report.operations += 1;
        let Some((request, pending)) = self.request(token, step.what) else { return };
        // There may never have been a session.
        let Some(core) = self.host.core() else {
            self.report.failed += 1;
            return;
        };
        core.submit(request, token, self.now);
        self.pending.insert(token, pending);
    }

    fn request(&mut self, token: Token, what: Operation) -> Option<(Request, Pending)> {
        let scsi = |command| Request::Scsi { lun: Lun::ZERO, command };
        let management = |function| Request::Task { function, lun: Lun::ZERO };
        let request = match what {
            Operation::Read { block, count, timeout } => {
                let (buffer, margins) = canary::buffer(count as usize * BLOCK);
                let command = Command { timeout, ..Command::read(Cdb::read(block, count as u32), buffer) };
                let pending = Pending::Read { block, count, start: self.moment, margins };
                return Some((scsi(command), pending));
            }
            Operation::Write { block, count, timeout } => {
                let generation = token as Generation + 1;
                let content = self.disk.content(block, count, generation);
                if self.host.core().is_some() {
                    self.disk.begin(block, count, generation, self.moment);
                }
                let payload = self.ledger.lend(content);
                let command = Command { timeout, ..Command::write(Cdb::write(block, count as u32), payload) };
                return Some((scsi(command), Pending::Write { block, count, generation }));
            }
            Operation::Flush => scsi(Command::new(SyncCache::ALL.encode())),
            Operation::Ping => Request::Ping,
            Operation::Text => Request::Text(b"SendTargets=\0".to_vec()),
            Operation::Stats => Request::Stats,
            Operation::Reset => management(TaskFunction::LogicalUnitReset),
            Operation::Abort => management(TaskFunction::AbortTaskSet),
            Operation::Logout => Request::Logout,
            Operation::Poke | Operation::Dismiss | Operation::Cancel(_) => return None,
        };
        Some((request, Pending::Other(what)))
    }

    fn cancel(&mut self, token: Token) {
        if self.pending.remove(&token).is_some() {
            self.report.cancelled += 1;
            self.given_up.insert(token);
            if let Some(core) = self.host.core() {
                core.cancel(token);
            }
        }
    }

    // Completions

    fn complete(&mut self) -> Checked {
        let mut done = Vec::new();
        if let Some(core) = self.host.core() {
            core.take_done(&mut done);
        }
        for (token, completion) in done {
            self.moment += 1;
            if token == OWN {
                self.own(completion)?;
                continue;
            }
            let Some(pending) = self.pending.remove(&token) else {
                if matches!(completion, Err(CommandError::Aborted)) && self.given_up.remove(&token) {
                    continue;
                }
                return Err(format!("request {token} ended that nobody waits for: {completion:?}"));
            };
            let good = self.judge(pending, completion)?;
            self.report.succeeded += usize::from(good);
            self.report.failed += usize::from(!good);
        }
        if !self.given_up.is_empty() {
            return Err(format!("{:?} were given up and never ended", self.given_up));
        }
        self.check_time()
    }

    /// Whatever is under way has a deadline that comes soon enough.
    fn check_time(&mut self) -> Checked {
        let patience = self.plan.patience;
        let longest = patience.command.max(patience.management).max(patience.ping).max(Duration::from_secs(3));
        let now = self.now;
        let Some(core) = self.host.core() else { return Ok(()) };
        if core.closed().is_some() || core.stats().in_flight == 0 {
            return Ok(());
        }
        match core.deadline() {
            Some(at) if at <= now + longest => Ok(()),
            other => Err(format!("{} requests are under way, and the deadline is {other:?}", core.stats().in_flight)),
        }
    }

    // The end

    /// Moves on to the next stage when this one has done its work.
    fn advance(&mut self) -> Checked {
        if self.host.is_over() {
            return self.leave();
        }
        let now = self.now;
        let Some(core) = self.host.core() else { return Ok(()) };
        match self.stage {
            Stage::Work if self.next == self.plan.steps.len() && self.pending.is_empty() => self.stage = Stage::Drain,
            Stage::Drain if is_idle(core) => {
                core.submit(Request::Ping, OWN, now);
                self.stage = Stage::Ping;
            }
            Stage::Logout if is_idle(core) => {
                core.submit(Request::Logout, OWN, now);
                self.stage = Stage::Leave;
                return self.check_idle();
            }
            _ => {}
        }
        Ok(())
    }

    /// With nothing under way, nothing is held.
    fn check_idle(&mut self) -> Checked {
        let (room, window) = (self.host.core().map(|core| core.stats().room), u32::from(self.plan.limits.window));
        if room != Some(window) {
            return Err(format!("{room:?} of {window} places in the window are free in the end"));
        }
        match self.ledger.outstanding() {
            0 => Ok(()),
            held => Err(format!("{held} payloads are still held in the end")),
        }
    }

    fn own(&mut self, completion: Completion) -> Checked {
        match (self.stage, completion) {
            (Stage::Ping, Ok(Finished::Pong)) => {
                self.stage = Stage::Logout;
                Ok(())
            }
            (Stage::Leave, Ok(Finished::LoggedOut)) => Ok(()),
            (_, Err(error)) => check_error(&error),
            (stage, other) => Err(format!("in stage {stage:?} came {other:?}")),
        }
    }

    /// The initiator's side is over: everything has to be.
    fn leave(&mut self) -> Checked {
        if self.next < self.plan.steps.len() || self.stage == Stage::Leave {
            return Ok(());
        }
        let left = self.host.core().map_or(0, |core| core.stats().in_flight);
        if left != 0 || !self.pending.is_empty() {
            return Err(format!("the connection is over, but {left} tasks and {:?} are not", self.pending));
        }
        self.stage = Stage::Leave;
        Ok(())
    }

    fn check_end(&mut self) -> Checked {
        self.report.reason = match &self.host.phase {
            Phase::Full(core) => match core.closed() {
                Some(ConnectionError::LoggedOut | ConnectionError::LogoutRequested) | None => None,
                Some(error @ ConnectionError::Misbehaved(_)) => return Err(format!("nobody did: {error}")),
                Some(error) => {
                    // Lost a few times in a row: what recovery gives up is a connection.
                    let given_up = matches!(error, ConnectionError::Unrecovered { .. });
                    self.report.lost |= given_up && self.plan.loss != 0;
                    Some(error.to_string())
                }
            },
            Phase::Failed(error) => Some(error.clone()),
            Phase::Login { .. } => return Err("the login never ended".into()),
        };
        let quiet = !self.report.lost && !self.report.stalling;
        if let Some(reason) = self.report.reason.as_ref().filter(|_| quiet) {
            return Err(format!("nothing is wrong with the network, but {reason}"));
        }
        let sessions = self.node.sessions();
        if !sessions.is_empty() {
            return Err(format!("the target still has {sessions:?}"));
        }
        let rejects = self.node.counters().rejects();
        if rejects != 0 {
            return Err(format!("the target rejected {rejects} PDUs"));
        }
        self.host.phase = Phase::Failed(String::new());
        if self.ledger.outstanding() != 0 {
            return Err("a payload outlives the session".into());
        }
        self.read_back()
    }

    /// Reads the disk as the target's backend holds it.
    fn read_back(&mut self) -> Checked {
        let content = self.node.peek(0, 0, 0, self.disk.len() as usize * BLOCK).ok_or("there is no disk")?;
        self.moment += 1;
        self.disk.check(0, &content, self.moment).map_err(|corrupt| format!("in the end {corrupt}"))
    }
}

/// Whether nothing is under way.
fn is_idle(core: &Core) -> bool {
    !core.has_outgoing(LinkId::FIRST) && core.stats().in_flight == 0
}
