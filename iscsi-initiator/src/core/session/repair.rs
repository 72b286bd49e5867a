//! Recovery within a connection and within a command, error recovery level 1 (RFC 7143, sections 7.1.4.1, 7.1.4.2, 7.2.1,
//! 7.8, 7.9 and 11.16).
//!
//! A PDU of the target that was damaged or never came is asked for with a SNACK; the status of its command is neither acted on
//! nor acknowledged before it has come. A command of this side that the target has not taken is sent again under its number
//! once a ping shows that it is missing. Whatever is asked for is asked for a few times; then the connection is given up.

use bytes::Bytes;
use iscsi_proto::framer::FrameError;
use iscsi_proto::pdu::{DataIn, Header, Opcode, R2t, RejectReason, Residual, Snack, SnackType};
use iscsi_proto::scsi::{Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::super::command::{Request, is_success};
use super::super::error::{CommandError, ConnectionError};
use super::super::misbehaved::PeerMisbehaved;
use super::super::task::{Direction, Kind, Scsi, Slot, Task};
use super::holes::{Arrival, Hole, Holes, Statuses};
use super::link::{Link, LinkId, LinkState};
use super::{Core, State, Time};

/// How often one thing is asked for, or sent.
const MAX_ASKED: u8 = 3;
/// R2Ts that may be missing of one command, and R2Ts for what was asked for before that may come without anything new.
pub(super) const MAX_R2TS: usize = 16;
/// SNACKs that may wait for a transport that takes nothing.
const MAX_WAITING: u32 = 4096;
/// A tag that stands for none.
const RESERVED: u32 = u32::MAX;

type Checked<T = ()> = Result<T, PeerMisbehaved>;

/// What a connection with error recovery keeps.
#[derive(Debug)]
pub(super) struct Recovery {
    statuses: Statuses,
    /// When to look for what makes no progress.
    due: Time,
    /// When the transport last took anything, and the SNACKs since.
    waiting: (Time, u32),
}

/// The recovery of one command: made when the first of its PDUs turns out to be missing.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    holes: Holes,
    /// The DataSN behind the last that was sent, as the status told.
    end: Option<Serial>,
    /// R2TSNs that were skipped.
    r2ts: Vec<Serial>,
    /// Bytes that no R2T has asked for although a later one went on behind them.
    skipped: usize,
    /// R2Ts for what was asked for before, since the last for something new.
    repeated: usize,
    /// The status, until all data is there.
    status: Option<Held>,
    /// The StatSN of a status that came damaged, with data.
    damaged: Option<Serial>,
    /// The acknowledgement that the target waits for, until all data before is there.
    wanted: Option<(Lun, Ttt)>,
    /// What has been acknowledged: the DataSN and the offset behind it.
    acknowledged: (Serial, usize),
    /// SNACK Tag of the last request to send all data anew; 0 if there was none.
    snack_tag: u32,
    /// Whether nothing has come since that request.
    anew: bool,
    /// Whether anything was asked for again, so that it may come twice.
    asked_for: bool,
    /// How often what is missing was asked for since anything of it came, and when.
    asked: u8,
    asked_at: Time,
    /// How often a status was asked for that was to come with the data.
    status_asked: u8,
    /// The target will not send it again.
    refused: bool,
    /// How often the command was sent again.
    retries: u8,
}

/// A status that waits for its data.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) stat_sn: Serial,
    pub(super) status: Status,
    pub(super) residual: Residual,
    pub(super) sense: Bytes,
}

/// What becomes of a Data-In PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the next one.
    Next,
    /// It is one that was missing.
    Missing,
    /// It is not wanted.
    Nowhere,
}

impl Recovery {
    pub(super) const fn new(exp_stat_sn: Serial) -> Self {
        Self { statuses: Statuses::new(exp_stat_sn), due: Time::MAX, waiting: (Time::ZERO, 0) }
    }
}

impl Repair {
    /// What is left when the connection is lost: the target sends again what was not acknowledged.
    pub(crate) fn rewind(&mut self) -> (Serial, usize) {
        let acknowledged = self.acknowledged;
        *self = Self { acknowledged, retries: self.retries, ..Self::default() };
        acknowledged
    }

    /// Bytes that no R2T has asked for although a later one went on behind them.
    pub(super) const fn skipped(&self) -> usize {
        self.skipped
    }
}

impl Scsi {
    /// Whether Data-In is known to be missing.
    fn lacks_data(&self) -> bool {
        let lacks = |repair: &Repair| {
            repair.anew || !repair.holes.is_empty() || repair.end.is_some_and(|end| end.gt(self.data_sn))
        };
        self.repair.as_deref().is_some_and(lacks)
    }

    /// Whether nothing was ever missing, up to this DataSN.
    #[inline]
    pub(super) fn is_whole(&self, end: Serial) -> bool {
        self.repair.is_none() && (!self.direction.reads() || !end.gt(self.data_sn))
    }

    /// Whether nothing of the target has come for it.
    fn is_untouched(&self) -> bool {
        let fresh = self.received == 0 && self.data_sn == Serial(0) && self.r2t_sn == Serial(0);
        fresh && !self.resumed && !self.lacks_data()
    }

    /// Whether this R2TSN was skipped.
    fn lacks_r2t(&self, r2t_sn: Serial) -> bool {
        self.repair.as_deref().is_some_and(|repair| repair.r2ts.contains(&r2t_sn))
    }

    /// An R2T within the payload asks for data: checks that it may, and notes what has been asked for.
    pub(super) fn asked_for(&mut self, pdu: &R2t, recovers: bool) -> Checked {
        let (offset, end, asked) = (pdu.offset as usize, (pdu.offset + pdu.length) as usize, self.requested);
        let late = pdu.r2t_sn.lt(self.r2t_sn) && !self.resumed;
        let skips = recovers && self.repair.as_ref().is_some_and(|repair| !repair.r2ts.is_empty());
        // Sequences are in order, and this is the first time that this side hears of the bytes behind the last.
        if offset > asked && !skips {
            return Err(PeerMisbehaved::R2tSkips { offset: pdu.offset, end: asked });
        }
        // Behind a move the target asks for what it has not received (section 7.2.2).
        if offset < asked && !self.resumed && !(recovers && end <= asked && self.may_repeat(late)) {
            return Err(PeerMisbehaved::R2tBackwards { offset: pdu.offset, end: asked });
        }
        if let Some(repair) = self.repair.as_mut().filter(|_| recovers) {
            repair.r2ts.retain(|missing| *missing != pdu.r2t_sn);
            repair.skipped += offset.saturating_sub(asked);
            if late {
                repair.skipped = repair.skipped.saturating_sub(pdu.length as usize);
            }
            if end > asked {
                repair.repeated = 0;
            }
        }
        self.requested = if self.resumed { end } else { asked.max(end) };
        if !late {
            (self.r2t_sn, self.resumed) = (pdu.r2t_sn.next(), false);
            if self.direction == Direction::Both {
                self.data_sn = self.r2t_sn;
            }
        }
        Ok(())
    }

    /// Whether the target may ask for the same data once more.
    fn may_repeat(&mut self, late: bool) -> bool {
        let repair = self.repair();
        repair.repeated += usize::from(!late);
        repair.repeated <= MAX_R2TS
    }

    fn repair(&mut self) -> &mut Repair {
        self.repair.get_or_insert_default()
    }

    /// The last DataSN that makes sense: n bytes have at most n PDUs with data, and one without ends each sequence. The R2Ts of
    /// n bytes, of which there are at most n, take numbers too if data goes both ways.
    pub(super) fn last_data_sn(&self) -> usize {
        2 * self.buffer.len() + self.payload.len() + 16
    }
}

impl Core {
    // Status

    /// Moves a connection's ExpStatSN, with [`Core::restate`] the only place that does. Says whether the status is new; an old one
    /// is to be discarded.
    #[inline]
    pub(super) fn accept_status(&mut self, link: LinkId, stat_sn: Serial) -> Checked<bool> {
        let now = self.now;
        let Link { exp_stat_sn, recovery, .. } = &mut self.links[link];
        let expected = *exp_stat_sn;
        let Some(recovery) = recovery else {
            if stat_sn == expected {
                *exp_stat_sn = expected.next();
                return Ok(true);
            }
            let gap = Err(PeerMisbehaved::StatusGap { expected, received: stat_sn });
            return if stat_sn.lt(expected) { Ok(false) } else { gap };
        };
        let arrival = recovery.statuses.accept(stat_sn, now);
        self.restate(link);
        match arrival {
            Arrival::Old => return Ok(false),
            Arrival::New => {}
            Arrival::Behind(first, count) => self.ask_status(link, first, count),
            Arrival::Absurd => return Err(PeerMisbehaved::StatusGap { expected, received: stat_sn }),
        }
        Ok(true)
    }

    fn restate(&mut self, link: LinkId) {
        let Link { exp_stat_sn, recovery, .. } = &mut self.links[link];
        if let Some(recovery) = recovery {
            *exp_stat_sn = recovery.statuses.expected();
        }
    }

    /// Whether a status came before.
    #[inline]
    pub(super) fn is_old_status(&self, link: LinkId, stat_sn: Serial) -> bool {
        let Link { exp_stat_sn, recovery, .. } = &self.links[link];
        recovery.as_ref().map_or_else(|| stat_sn.lt(*exp_stat_sn), |recovery| recovery.statuses.is_old(stat_sn))
    }

    /// The target says which StatSN comes next, in a PDU that takes none.
    pub(super) fn foresee_status(&mut self, link: LinkId, next: Serial) {
        let now = self.now;
        let Some(recovery) = &mut self.links[link].recovery else { return };
        if let Arrival::Behind(first, count) = recovery.statuses.foresee(next, now) {
            self.ask_status(link, first, count);
        }
    }

    /// Whether responses are missing on a connection.
    pub(super) fn lacks_status(&self, link: LinkId) -> bool {
        self.links[link].recovery.as_ref().is_some_and(|recovery| recovery.statuses.lack_any())
    }

    /// Whether a command has ended at the target, and waits for its data here.
    pub(super) fn holds_status(&mut self, slot: Slot) -> bool {
        let scsi = self.tasks.get_mut(slot).and_then(|task| task.scsi());
        let repair = scsi.and_then(|scsi| scsi.repair.as_deref());
        repair.is_some_and(|repair| repair.status.is_some() || repair.damaged.is_some())
    }

    fn ask_status(&mut self, link: LinkId, begin: Serial, length: u32) {
        self.snack(link, SnackType::Status, Lun::ZERO, (Itt::RESERVED, RESERVED), begin, length);
        self.remind(link);
    }

    /// A PDU came damaged. With error recovery it counts as lost; what a damaged Data-In means is seen elsewhere.
    #[cold]
    pub(super) fn damaged(&mut self, link: LinkId, header: &Header, error: FrameError) -> Checked {
        let now = self.now;
        let Some(recovery) = &mut self.links[link].recovery else { return Err(error.into()) };
        self.stats.digest_errors += 1;
        let unsolicited = header.opcode() == Ok(Opcode::NopIn) && header.itt().is_reserved();
        if unsolicited {
            return Ok(());
        }
        match recovery.statuses.damage(header.numbering().stat_sn, now) {
            Some((_, _, MAX_ASKED..)) => self.unrecovered(link, "a response"),
            Some((first, count, _)) => self.ask_status(link, first, count),
            None => {}
        }
        Ok(())
    }

    /// The status of a command has come: ends it, unless its data is not whole.
    ///
    /// `tag` is the SNACK Tag that came with it, if it came in a response of its own.
    #[cold]
    pub(super) fn settle(&mut self, link: LinkId, slot: Slot, held: Held, tag: u32) {
        let success = is_success(held.status, &held.sense);
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        let lacks = scsi.lacks_data();
        let Some(repair) = &mut scsi.repair else {
            return self.complete(slot, held.status, (held.residual, Residual::None), held.sense);
        };
        repair.damaged = None;
        let outdated = repair.snack_tag != 0 && repair.snack_tag != tag;
        let Some(recovery) = &mut self.links[link].recovery else { return };
        if outdated && !repair.refused {
            // The target answers once more, under the same number (section 11.16.3).
            repair.damaged = Some(held.stat_sn);
            recovery.statuses.hold(held.stat_sn);
        } else if success && lacks && repair.refused {
            self.end(slot, Err(CommandError::Damaged));
        } else if success && lacks {
            recovery.statuses.hold(held.stat_sn);
            repair.status = Some(held);
        } else {
            self.complete(slot, held.status, (held.residual, Residual::None), held.sense);
        }
        self.restate(link);
    }

    /// Lets go of what a command that has ended kept back.
    #[cold]
    pub(super) fn release_status(&mut self, link: LinkId, itt: Itt, repair: &Repair) {
        if repair.asked_for {
            self.remember(itt);
        }
        let held = repair.status.as_ref().map(|held| held.stat_sn);
        if let Some(recovery) = &mut self.links[link].recovery {
            held.into_iter().chain(repair.damaged).for_each(|stat_sn| recovery.statuses.release(stat_sn));
        }
        self.restate(link);
    }

    // Data-In

    /// Where a Data-In PDU belongs whose bytes lie within the buffer.
    #[cold]
    pub(super) fn place_data(&mut self, link: LinkId, slot: Slot, pdu: &DataIn, length: usize) -> Checked<Place> {
        let recovers = self.links[link].recovery.is_some();
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return Ok(Place::Nowhere) };
        let (offset, expected) = (pdu.offset as usize, scsi.data_sn);
        let misplaced = PeerMisbehaved::DataOffset { expected: scsi.received as u32, received: pdu.offset };
        if let Some(repair) = &mut scsi.repair {
            if repair.holes.lack(pdu.data_sn) {
                return if repair.holes.fits(pdu.data_sn, offset, length) {
                    Ok(Place::Missing)
                } else {
                    Err(misplaced)
                };
            }
            // What was on its way when all was asked for anew.
            if repair.anew && pdu.data_sn != expected {
                return Ok(Place::Nowhere);
            }
            repair.anew = false;
        }
        if pdu.data_sn.lt(expected) {
            return Ok(Place::Nowhere);
        }
        if pdu.data_sn != expected {
            let absurd = pdu.data_sn.0 as usize > scsi.last_data_sn();
            if !recovers || absurd {
                return Err(PeerMisbehaved::DataGap { expected, received: pdu.data_sn });
            }
            if offset < scsi.received {
                return Err(misplaced);
            }
            let hole =
                Hole { first: expected, count: pdu.data_sn.distance_from(expected), start: scsi.received, end: offset };
            (scsi.received, scsi.data_sn) = (offset, pdu.data_sn);
            if !self.open_hole(link, slot, hole) {
                return Ok(Place::Nowhere);
            }
        } else if offset != scsi.received {
            return Err(misplaced);
        }
        Ok(Place::Next)
    }

    /// Asks for Data-In that is missing. False if so much is missing that all was asked for anew.
    fn open_hole(&mut self, link: LinkId, slot: Slot, hole: Hole) -> bool {
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return false };
        let room = scsi.repair().holes.push(hole);
        if room {
            self.ask_data(link, slot, hole.first, hole.count);
        } else {
            self.ask_anew(link, slot);
        }
        room
    }

    /// A Data-In PDU is in its buffer.
    #[inline]
    pub(super) fn data_came(&mut self, slot: Slot, place: Place, pdu: &DataIn, length: usize) {
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        let offset = pdu.offset as usize;
        match (place, &mut scsi.repair) {
            (Place::Next, _) => {
                (scsi.received, scsi.data_sn) = (offset + length, scsi.data_sn.next());
                if scsi.direction == Direction::Both {
                    scsi.r2t_sn = scsi.data_sn;
                }
            }
            (Place::Missing, Some(repair)) => {
                repair.holes.fill(pdu.data_sn, offset, length);
                repair.asked = 0;
            }
            _ => {}
        }
    }

    /// The data of a Data-In PDU came damaged. It is asked for again, and a status in it comes with it.
    #[cold]
    pub(super) fn data_damaged(
        &mut self,
        link: LinkId,
        at: Option<(Slot, Place)>,
        pdu: &DataIn,
        length: usize,
    ) -> Checked {
        self.stats.digest_errors += 1;
        let stat_sn = pdu.numbering.stat_sn;
        let Some((slot, place)) = at.filter(|(slot, _)| self.tasks.find(pdu.itt) == Some(*slot)) else {
            // Of data that nobody waits for, the status counts.
            if pdu.status.is_some() && !self.is_old_status(link, stat_sn) && self.accept_status(link, stat_sn)? {
                self.status_missing(link, stat_sn);
            }
            return Ok(());
        };
        self.data_came(slot, if place == Place::Next { place } else { Place::Nowhere }, pdu, length);
        let start = pdu.offset as usize;
        match place {
            Place::Next => {
                self.open_hole(link, slot, Hole { first: pdu.data_sn, count: 1, start, end: start + length });
            }
            _ => self.ask_once_more(link, slot, pdu.data_sn),
        }
        if pdu.status.is_some() && self.links[link].is_live() && self.accept_status(link, stat_sn)? {
            if let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) {
                scsi.repair().damaged = Some(stat_sn);
            }
            if let Some(recovery) = &mut self.links[link].recovery {
                recovery.statuses.hold(stat_sn);
            }
            self.restate(link);
        }
        Ok(())
    }

    /// A status that was to come with data is asked for by itself.
    fn status_missing(&mut self, link: LinkId, stat_sn: Serial) {
        let now = self.now;
        if let Some(recovery) = &mut self.links[link].recovery {
            recovery.statuses.miss(stat_sn, now);
            self.restate(link);
            self.ask_status(link, stat_sn, 1);
        }
    }

    /// What was asked for came damaged.
    fn ask_once_more(&mut self, link: LinkId, slot: Slot, data_sn: Serial) {
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        let repair = scsi.repair();
        if repair.asked >= MAX_ASKED {
            return self.unrecovered(link, "data");
        }
        repair.asked += 1;
        self.ask_data(link, slot, data_sn, 1);
    }

    /// A status has come that says how much Data-In was sent. What is missing is asked for before the status is acknowledged.
    pub(super) fn data_ends_at(&mut self, link: LinkId, slot: Slot, end: Serial, held: &Held) -> Checked {
        let recovers = self.links[link].recovery.is_some();
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return Ok(()) };
        let (next, absurd) = (scsi.data_sn, end.0 as usize > scsi.last_data_sn());
        if !scsi.direction.reads() || !end.gt(next) {
            return Ok(());
        }
        if !recovers || absurd {
            return Err(PeerMisbehaved::DataGap { expected: next, received: end });
        }
        let repair = scsi.repair();
        // The data of a command that failed is of no use.
        if is_success(held.status, &held.sense) && !repair.anew && !repair.refused {
            repair.end = Some(end);
            if let Some(recovery) = &mut self.links[link].recovery {
                recovery.statuses.hold(held.stat_sn);
            }
            self.restate(link);
            self.ask_data(link, slot, next, end.distance_from(next));
        }
        Ok(())
    }

    /// Asks for Data-In or R2Ts of a command. Data is asked for again if it does not come.
    fn ask_data(&mut self, link: LinkId, slot: Slot, begin: Serial, length: u32) {
        let (itt, now) = (self.tasks.itt(slot), self.now);
        if let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) {
            let repair = scsi.repair();
            (repair.asked_for, repair.asked, repair.asked_at) = (true, repair.asked.max(1), now);
        }
        self.snack(link, SnackType::Data, Lun::ZERO, (itt, RESERVED), begin, length);
        self.remind(link);
    }

    /// Drops the data that was not acknowledged, and asks for it anew. Only a response with the new tag counts from now on.
    fn ask_anew(&mut self, link: LinkId, slot: Slot) {
        let (itt, now) = (self.tasks.itt(slot), self.now);
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        let repair = scsi.repair.get_or_insert_default();
        (scsi.data_sn, scsi.received) = repair.acknowledged;
        repair.holes.clear();
        let held = repair.status.take().map(|held| held.stat_sn);
        (repair.damaged, repair.end) = (held.or(repair.damaged), None);
        repair.snack_tag += 1;
        (repair.asked_for, repair.anew, repair.asked_at) = (true, true, now);
        let tag = repair.snack_tag;
        if tag > u32::from(MAX_ASKED) {
            return self.unrecovered(link, "data");
        }
        self.snack(link, SnackType::RData, Lun::ZERO, (itt, tag), Serial(0), 0);
        self.remind(link);
    }

    /// Something of a command has come: acknowledges its data if the target waits for that, and ends it if all is there.
    #[cold]
    pub(super) fn mend(&mut self, link: LinkId, slot: Slot) {
        let now = self.now;
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        if scsi.lacks_data() {
            return;
        }
        let Some(repair) = &mut scsi.repair else { return };
        (repair.asked, repair.asked_at) = (0, now);
        if let Some((lun, ttt)) = repair.wanted.take() {
            repair.acknowledged = (scsi.data_sn, scsi.received);
            let next = scsi.data_sn;
            self.snack(link, SnackType::DataAck, lun, (Itt::RESERVED, ttt.0), next, 0);
        }
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        if let Some(held) = scsi.repair.as_mut().and_then(|repair| repair.status.take()) {
            if let Some(recovery) = &mut self.links[link].recovery {
                recovery.statuses.release(held.stat_sn);
            }
            self.restate(link);
            self.complete(slot, held.status, (held.residual, Residual::None), held.sense);
        }
    }

    /// The target wants to know that all data up to this PDU has come (A bit).
    #[cold]
    pub(super) fn wants_acknowledgement(&mut self, link: LinkId, slot: Slot, pdu: &DataIn) {
        if !pdu.acknowledge || self.links[link].recovery.is_none() {
            return;
        }
        if let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) {
            scsi.repair().wanted = Some((pdu.lun, pdu.ttt));
        }
    }

    // R2T

    /// What error recovery has to say to an R2T. False if it is to be discarded.
    pub(super) fn place_r2t(&mut self, link: LinkId, slot: Slot, pdu: &R2t) -> Checked<bool> {
        let recovers = self.links[link].recovery.is_some();
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return Ok(false) };
        if scsi.resumed {
            return Ok(true);
        }
        let expected = scsi.r2t_sn;
        if pdu.r2t_sn.lt(expected) {
            return Ok(scsi.lacks_r2t(pdu.r2t_sn));
        }
        let count = pdu.r2t_sn.distance_from(expected);
        if count == 0 {
            return Ok(true);
        }
        let room = scsi.repair.as_ref().map_or(MAX_R2TS, |repair| MAX_R2TS.saturating_sub(repair.r2ts.len()));
        if !recovers || count as usize > room {
            return Err(PeerMisbehaved::R2tGap { expected, received: pdu.r2t_sn });
        }
        let repair = scsi.repair();
        repair.asked_for = true;
        repair.r2ts.extend((0..count).map(|ahead| expected.add(ahead)));
        scsi.r2t_sn = pdu.r2t_sn;
        let itt = self.tasks.itt(slot);
        // Not asked for again, lest the request cross an R2T that the target sends of its own accord (section 7.1.4.1).
        self.snack(link, SnackType::Data, Lun::ZERO, (itt, RESERVED), expected, count);
        Ok(true)
    }

    // Requests that were not taken

    /// The target has answered a ping that was sent when `sent_before` was the next CmdSN: it has seen all that went out before on this
    /// connection. What it does not acknowledge it has not got.
    pub(super) fn retry_lost(&mut self, link: LinkId, sent_before: Serial) {
        if self.links[link].recovery.is_none() {
            return;
        }
        let lost = |task: &Task| {
            let numbered = task.cmd_sn.is_some_and(|cmd_sn| self.window.is_next(cmd_sn) && cmd_sn.lt(sent_before));
            numbered && task.link == link && matches!(&task.kind, Kind::Scsi(scsi) if scsi.is_untouched())
        };
        let found = self.tasks.iter().find(|(_, task)| lost(task)).map(|(slot, _)| slot);
        if let Some(slot) = found.filter(|slot| !self.links[link].queue.holds(self.tasks.itt(*slot)))
            && self.retry(slot)
        {
            self.probe(link);
        }
    }

    /// Sends a command again, just as it was. False if that was done too often.
    pub(super) fn retry(&mut self, slot: Slot) -> bool {
        let Some(task) = self.tasks.get_mut(slot) else { return false };
        let link = task.link;
        let Some(scsi) = task.scsi() else { return false };
        if self.links[link].recovery.is_none() || !scsi.is_untouched() || scsi.repair().retries >= MAX_ASKED {
            return false;
        }
        scsi.repair().retries += 1;
        self.issue(slot, link);
        true
    }

    /// Pings the target, to learn from the answer what it lacks and what this side does.
    fn probe(&mut self, link: LinkId) {
        let state = &self.links[link].state;
        let open = matches!(self.state, State::Open) && matches!(state, LinkState::Open | LinkState::Draining(_));
        if open && self.links[link].ping.is_none() {
            self.links[link].ping = self.accept_on(link, Request::Ping, None).ok();
        }
    }

    // Rejects

    /// The target rejected a SNACK.
    pub(super) fn snack_rejected(&mut self, link: LinkId, header: &Header) {
        let Ok(snack) = Snack::parse(header) else { return };
        match snack.kind {
            SnackType::Status if self.lacks_status(link) => self.unrecovered(link, "a response"),
            SnackType::Status | SnackType::DataAck => {}
            SnackType::Data | SnackType::RData => {
                if let Some(slot) = self.tasks.find(snack.itt) {
                    self.refuse(link, slot);
                }
            }
        }
    }

    /// Data that is missing will not come. The command fails once its status has come (section 7.8).
    fn refuse(&mut self, link: LinkId, slot: Slot) {
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        if !scsi.lacks_data() {
            return;
        }
        let repair = scsi.repair();
        repair.refused = true;
        let (held, damaged) = (repair.status.is_some(), repair.damaged.take());
        if held {
            self.end(slot, Err(CommandError::Damaged));
        } else if let Some(stat_sn) = damaged {
            self.status_missing(link, stat_sn);
        }
    }

    // Time

    /// When something of a connection's recovery is due.
    pub(super) fn repair_deadline(&self, link: &Link) -> Option<Time> {
        let recovery = link.recovery.as_ref().filter(|_| link.is_live())?;
        (self.tasks.len() != 0 || recovery.statuses.lack_any()).then_some(recovery.due)
    }

    /// Looks after a connection's recovery in a while, if not before.
    #[inline]
    pub(super) fn remind(&mut self, link: LinkId) {
        if let Some(recovery) = &mut self.links[link].recovery {
            recovery.due = recovery.due.min(self.now.saturating_add(self.patience.repair()));
        }
    }

    /// Asks again for what has not come, and pings the target if a command makes no progress.
    pub(super) fn repair_due(&mut self, link: LinkId) {
        let now = self.now;
        let after = self.patience.repair();
        let Some(before) = now.checked_sub(after) else { return self.schedule(link) };
        let Some(recovery) = &mut self.links[link].recovery else { return };
        recovery.due = Time::MAX;
        for (first, count, asked) in recovery.statuses.ask_again(before, now) {
            if asked >= MAX_ASKED {
                return self.unrecovered(link, "a response");
            }
            self.ask_status(link, first, count);
        }
        let sent = |task: &Task| task.link == link && matches!(task.kind, Kind::Scsi(_)) && task.was_sent();
        let tasks: Vec<Slot> = self.tasks.iter().filter(|(_, task)| sent(task)).map(|(slot, _)| slot).collect();
        let mut silent = false;
        for slot in tasks {
            silent |= self.tasks.get_mut(slot).is_some_and(|task| task.progress <= before);
            if !self.ask_again(link, slot, before) {
                return;
            }
        }
        if silent {
            self.probe(link);
        }
        self.schedule(link);
    }

    /// Asks again for the data of one command. False if the connection was given up.
    fn ask_again(&mut self, link: LinkId, slot: Slot, before: Time) -> bool {
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return true };
        if !scsi.lacks_data() {
            return self.ask_for_held(link, slot, before);
        }
        let next = scsi.data_sn;
        let Some(repair) = scsi.repair.as_deref_mut().filter(|repair| !repair.refused) else { return true };
        if repair.asked_at > before {
            return true;
        }
        if repair.anew {
            self.ask_anew(link, slot);
            return self.links[link].is_live();
        }
        if repair.asked >= MAX_ASKED {
            self.unrecovered(link, "data");
            return false;
        }
        repair.asked += 1;
        let tail = repair.end.filter(|end| end.gt(next)).map(|end| (next, end.distance_from(next)));
        let runs: Vec<(Serial, u32)> = repair.holes.runs().chain(tail).collect();
        for (first, count) in runs {
            self.ask_data(link, slot, first, count);
        }
        self.links[link].is_live()
    }

    /// Asks for a status that was to come again with the data, which has all come. False if the connection was given up.
    fn ask_for_held(&mut self, link: LinkId, slot: Slot, before: Time) -> bool {
        let scsi = self.tasks.get_mut(slot).and_then(|task| task.scsi());
        let repair = scsi.and_then(|scsi| scsi.repair.as_deref_mut());
        let Some(repair) = repair.filter(|repair| repair.asked_at <= before) else { return true };
        let Some(stat_sn) = repair.damaged.take() else { return true };
        repair.status_asked += 1;
        if repair.status_asked > MAX_ASKED {
            self.unrecovered(link, "a response");
        } else {
            self.status_missing(link, stat_sn);
        }
        self.links[link].is_live()
    }

    /// Finds out when the connection's recovery is to be looked after next.
    fn schedule(&mut self, link: LinkId) {
        let (now, after) = (self.now, self.patience.repair());
        let waits = |task: &Task| task.link == link && matches!(task.kind, Kind::Scsi(_)) && task.was_sent();
        let at = |task: &Task| match &task.kind {
            Kind::Scsi(scsi) if scsi.lacks_data() => scsi.repair.as_ref().map(|repair| repair.asked_at),
            _ => Some(task.progress),
        };
        let tasks = self.tasks.iter().filter(|(_, task)| waits(task)).filter_map(|(_, task)| at(task)).min();
        let Some(recovery) = &mut self.links[link].recovery else { return };
        let first = tasks.into_iter().chain(recovery.statuses.asked()).min();
        let due = first.map_or(Time::MAX, |first| first.saturating_add(after));
        recovery.due = if due <= now { now.saturating_add(after) } else { due };
    }

    // What goes out

    fn snack(&mut self, link: LinkId, kind: SnackType, lun: Lun, (itt, tag): (Itt, u32), begin: Serial, length: u32) {
        let Link { recovery, moved, exp_stat_sn, queue, pongs, .. } = &mut self.links[link];
        let Some(recovery) = recovery else { return };
        if recovery.waiting.0 != *moved {
            recovery.waiting = (*moved, 0);
        }
        recovery.waiting.1 += 1;
        if recovery.waiting.1 > MAX_WAITING {
            return self.unrecovered(link, "more than could be asked for");
        }
        queue.push(&Snack { kind, lun, itt, tag, exp_stat_sn: *exp_stat_sn, begin, length }.encode());
        if itt.is_reserved() {
            *pongs += 1;
        }
        self.count(Opcode::Snack);
    }

    fn unrecovered(&mut self, link: LinkId, what: &'static str) {
        self.lose(link, &ConnectionError::Unrecovered { what });
    }
}

/// Whether a command that was rejected for this reason is to be sent again.
pub(super) const fn is_damage(reason: RejectReason) -> bool {
    matches!(reason, RejectReason::DataDigestError)
}
