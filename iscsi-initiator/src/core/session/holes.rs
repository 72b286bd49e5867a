//! What is missing of the PDUs that the target sent: Data-In of one command, and the numbered responses of one connection
//! (RFC 7143, sections 4.2.2.2, 4.2.2.4, 7.8, 7.9 and 11.16).
//!
//! Both books are pure and bounded, whatever the target sends.

use std::collections::VecDeque;

use iscsi_proto::serial::Serial;

use super::super::Time;

/// Runs of Data-In that one command may lack at a time. With more, all of the data is asked for anew.
const MAX_HOLES: usize = 16;
/// Responses that one connection may lack or hold back at a time.
const MAX_BLOCKED: u32 = 4096;

/// Data-In PDUs that are missing, one behind the other, and the bytes that they hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// The first DataSN.
    pub(crate) first: Serial,
    /// How many PDUs.
    pub(crate) count: u32,
    /// Where their bytes start in the buffer of the command.
    pub(crate) start: usize,
    /// Where their bytes end.
    pub(crate) end: usize,
}

impl Hole {
    /// How many PDUs of the hole come before this one, if it is one of them.
    const fn index(&self, data_sn: Serial) -> Option<u32> {
        let index = data_sn.distance_from(self.first);
        if index < self.count { Some(index) } else { None }
    }

    /// What is left before and behind a PDU of this hole. `None` if its bytes leave none for the others, or some that no
    /// other holds.
    fn split(&self, index: u32, offset: usize, length: usize) -> Option<[Self; 2]> {
        let end = offset.checked_add(length)?;
        let before = Self { count: index, end: offset, ..*self };
        let behind =
            Self { first: self.first.add(index + 1), count: self.count - index - 1, start: end, end: self.end };
        (before.is_sound() && behind.is_sound()).then_some([before, behind])
    }

    const fn is_sound(&self) -> bool {
        self.start == self.end || (self.start < self.end && self.count != 0)
    }
}

/// The Data-In that a command lacks, in the order of DataSN.
#[derive(Debug, Default)]
pub(crate) struct Holes(Vec<Hole>);

impl Holes {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a hole behind all others. False if there are too many.
    #[must_use]
    pub(crate) fn push(&mut self, hole: Hole) -> bool {
        let room = self.0.len() < MAX_HOLES;
        if room {
            self.0.push(hole);
        }
        room
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is missing: the first DataSN of each run and its length.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (Serial, u32)> + '_ {
        self.0.iter().map(|hole| (hole.first, hole.count))
    }

    /// Whether this PDU is missing.
    pub(crate) fn lack(&self, data_sn: Serial) -> bool {
        self.0.iter().any(|hole| hole.index(data_sn).is_some())
    }

    /// Whether a missing PDU fits in where it says that it belongs.
    pub(crate) fn fits(&self, data_sn: Serial, offset: usize, length: usize) -> bool {
        let found = self.0.iter().find_map(|hole| Some((hole, hole.index(data_sn)?)));
        found.is_some_and(|(hole, index)| hole.split(index, offset, length).is_some())
    }

    /// A missing PDU has come. One that does not fit changes nothing.
    pub(crate) fn fill(&mut self, data_sn: Serial, offset: usize, length: usize) {
        let Some(at) = self.0.iter().position(|hole| hole.index(data_sn).is_some()) else { return };
        let Some(hole) = self.0.get(at) else { return };
        let parts = hole.index(data_sn).and_then(|index| hole.split(index, offset, length));
        if let Some(parts) = parts {
            self.0.splice(at..=at, parts.into_iter().filter(|part| part.count != 0));
        }
    }
}

/// Why ExpStatSN stays behind a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is missing; how often and when it was asked for.
    Missing(u8, Time),
    /// It is held back, or comes again, with the data of its command.
    Held,
}

/// The numbered responses of a connection.
#[derive(Debug)]
pub(crate) struct Statuses {
    /// The one behind the last that the target is known to have sent.
    next: Serial,
    /// Those before it that cannot be acknowledged, in order.
    blocked: VecDeque<(Serial, Why)>,
}

/// What a response is, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It has come before.
    Old,
    New,
    /// It is new, and so many before it are missing, from the first on.
    Behind(Serial, u32),
    /// More are missing than can be.
    Absurd,
}

impl Statuses {
    pub(crate) const fn new(next: Serial) -> Self {
        Self { next, blocked: VecDeque::new() }
    }

    /// ExpStatSN: all before it have come, and nothing more of their commands is wanted.
    pub(crate) fn expected(&self) -> Serial {
        self.blocked.front().map_or(self.next, |(stat_sn, _)| *stat_sn)
    }

    /// Whether the response with this number has come, or is held back.
    pub(crate) fn is_old(&self, stat_sn: Serial) -> bool {
        stat_sn.lt(self.next) && self.position(stat_sn).is_none()
    }

    /// Whether any response is missing.
    pub(crate) fn lack_any(&self) -> bool {
        self.blocked.iter().any(|(_, why)| matches!(why, Why::Missing(..)))
    }

    /// A response has come.
    pub(crate) fn accept(&mut self, stat_sn: Serial, now: Time) -> Arrival {
        if stat_sn.lt(self.next) {
            let Some(at) = self.position(stat_sn) else { return Arrival::Old };
            self.blocked.remove(at);
            return Arrival::New;
        }
        let arrival = self.foresee(stat_sn, now);
        if arrival != Arrival::Absurd {
            self.next = stat_sn.next();
        }
        arrival
    }

    /// The target says that this number comes next: those before it were sent.
    pub(crate) fn foresee(&mut self, next: Serial, now: Time) -> Arrival {
        let (first, count) = (self.next, next.distance_from(self.next));
        if !next.gt(first) {
            return if next == first { Arrival::New } else { Arrival::Old };
        }
        if count > MAX_BLOCKED.saturating_sub(self.blocked.len() as u32) {
            return Arrival::Absurd;
        }
        self.blocked.extend((0..count).map(|ahead| (first.add(ahead), Why::Missing(1, now))));
        self.next = next;
        Arrival::Behind(first, count)
    }

    /// A response was acted on, but it is not to be acknowledged yet.
    pub(crate) fn hold(&mut self, stat_sn: Serial) {
        let at = self.blocked.partition_point(|(blocked, _)| blocked.lt(stat_sn));
        match self.blocked.get_mut(at) {
            Some((blocked, why)) if *blocked == stat_sn => *why = Why::Held,
            _ => self.blocked.insert(at, (stat_sn, Why::Held)),
        }
    }

    /// A response that was held back, or was to come with data, is missing by itself, and asked for now.
    pub(crate) fn miss(&mut self, stat_sn: Serial, now: Time) {
        self.hold(stat_sn);
        if let Some((_, why)) = self.position(stat_sn).and_then(|at| self.blocked.get_mut(at)) {
            *why = Why::Missing(1, now);
        }
    }

    /// A response that was held back can be acknowledged.
    pub(crate) fn release(&mut self, stat_sn: Serial) {
        if let Some(at) = self.position(stat_sn) {
            self.blocked.remove(at);
        }
    }

    /// A response came damaged: it is missing. Gives the run to ask for, which has been asked for so often before.
    pub(crate) fn damage(&mut self, stat_sn: Serial, now: Time) -> Option<(Serial, u32, u8)> {
        if let Some((_, Why::Missing(asked, at))) = self.position(stat_sn).and_then(|at| self.blocked.get_mut(at)) {
            (*asked, *at) = (asked.saturating_add(1), now);
            return Some((stat_sn, 1, *asked - 1));
        }
        match self.foresee(stat_sn.next(), now) {
            Arrival::Behind(first, count) => Some((first, count, 0)),
            _ => None,
        }
    }

    /// When the first of the missing was last asked for.
    pub(crate) fn asked(&self) -> Option<Time> {
        self.blocked.iter().filter_map(|(_, why)| if let Why::Missing(_, at) = why { Some(*at) } else { None }).min()
    }

    /// The runs of those that were last asked for at `before` or earlier, and how often that was. They count as asked for
    /// once more, `now`.
    pub(crate) fn ask_again(&mut self, before: Time, now: Time) -> Vec<(Serial, u32, u8)> {
        let mut runs: Vec<(Serial, u32, u8)> = Vec::new();
        for (stat_sn, why) in &mut self.blocked {
            let Why::Missing(asked, at) = why else { continue };
            if *at > before {
                continue;
            }
            match runs.last_mut() {
                Some((first, count, most)) if first.add(*count) == *stat_sn => {
                    *count += 1;
                    *most = (*most).max(*asked);
                }
                _ => runs.push((*stat_sn, 1, *asked)),
            }
            (*asked, *at) = (asked.saturating_add(1), now);
        }
        runs
    }

    fn position(&self, stat_sn: Serial) -> Option<usize> {
        let at = self.blocked.partition_point(|(blocked, _)| blocked.lt(stat_sn));
        self.blocked.get(at).filter(|(blocked, _)| *blocked == stat_sn).map(|_| at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time::from_secs(5);

    fn hole(first: u32, count: u32, start: usize, end: usize) -> Hole {
        Hole { first: Serial(first), count, start, end }
    }

    fn holes(list: &[Hole]) -> Holes {
        Holes(list.to_vec())
    }

    #[test]
    fn a_run_is_filled_from_either_end_or_in_the_middle() {
        let whole = hole(3, 3, 100, 400);
        for (data_sn, offset, left) in [
            (3, 100, vec![hole(4, 2, 200, 400)]),
            (4, 200, vec![hole(3, 1, 100, 200), hole(5, 1, 300, 400)]),
            (5, 300, vec![hole(3, 2, 100, 300)]),
        ] {
            let mut holes = holes(&[whole]);
            assert!(holes.lack(Serial(data_sn)) && holes.fits(Serial(data_sn), offset, 100));
            holes.fill(Serial(data_sn), offset, 100);
            assert_eq!(holes.0, left);
            assert!(!holes.lack(Serial(data_sn)));
        }
        let mut holes = holes(&[whole]);
        for (data_sn, offset) in [(4, 200), (3, 100), (5, 300)] {
            holes.fill(Serial(data_sn), offset, 100);
        }
        assert!(holes.is_empty());
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        for (data_sn, offset, length, why) in [
            (3, 101, 99, "bytes before it are left to nobody"),
            (3, 99, 10, "it starts before the hole"),
            (5, 300, 99, "bytes behind it are left to nobody"),
            (5, 300, 101, "it ends behind the hole"),
            (4, 200, usize::MAX, "its end is beyond everything"),
            (2, 100, 100, "it has come"),
            (6, 100, 100, "it has come"),
        ] {
            let mut holes = holes(&[hole(3, 3, 100, 400)]);
            assert!(!holes.fits(Serial(data_sn), offset, length), "{why}");
            holes.fill(Serial(data_sn), offset, length);
            assert_eq!(holes.0, [hole(3, 3, 100, 400)], "{why}");
        }
    }

    #[test]
    fn pdus_without_data_leave_holes_too() {
        let mut holes = holes(&[hole(3, 2, 100, 100)]);
        holes.fill(Serial(4), 100, 0);
        assert_eq!(holes.0, [hole(3, 1, 100, 100)]);
        assert!(!holes.fits(Serial(3), 100, 1));
        holes.fill(Serial(3), 100, 0);
        assert!(holes.is_empty());
    }

    #[test]
    fn the_number_of_holes_is_bounded() {
        let mut holes = Holes::default();
        for at in 0..MAX_HOLES as u32 {
            assert!(holes.push(hole(2 * at, 1, at as usize, at as usize + 1)));
        }
        assert!(!holes.push(hole(100, 1, 100, 101)));
        assert_eq!(holes.runs().count(), MAX_HOLES);
    }

    #[test]
    fn a_status_is_acknowledged_when_all_before_it_have_come() {
        let mut statuses = Statuses::new(Serial(u32::MAX));
        assert_eq!(statuses.accept(Serial(u32::MAX), NOW), Arrival::New);
        assert_eq!(statuses.accept(Serial(2), NOW), Arrival::Behind(Serial(0), 2));
        assert_eq!(statuses.expected(), Serial(0));
        assert_eq!(statuses.accept(Serial(3), NOW), Arrival::New);
        assert!(statuses.lack_any() && !statuses.is_old(Serial(1)) && statuses.is_old(Serial(2)));
        assert_eq!(statuses.accept(Serial(1), NOW), Arrival::New);
        assert_eq!(statuses.accept(Serial(1), NOW), Arrival::Old);
        assert_eq!(statuses.expected(), Serial(0));
        assert_eq!(statuses.accept(Serial(0), NOW), Arrival::New);
        assert_eq!(statuses.expected(), Serial(4));
        assert_eq!(statuses.accept(Serial(3), NOW), Arrival::Old);
    }

    #[test]
    fn a_status_that_is_held_back_is_not_acknowledged() {
        let mut statuses = Statuses::new(Serial(10));
        assert_eq!(statuses.accept(Serial(10), NOW), Arrival::New);
        statuses.hold(Serial(10));
        assert_eq!(statuses.accept(Serial(11), NOW), Arrival::New);
        assert_eq!(statuses.expected(), Serial(10));
        assert!(!statuses.lack_any());
        assert_eq!(statuses.asked(), None);
        assert_eq!(statuses.accept(Serial(10), NOW), Arrival::New, "it may come again");
        statuses.miss(Serial(10), NOW);
        assert!(statuses.lack_any() && statuses.asked() == Some(NOW));
        assert_eq!(statuses.expected(), Serial(10));
        statuses.release(Serial(10));
        assert_eq!(statuses.expected(), Serial(12));
    }

    #[test]
    fn what_is_missing_is_asked_for_again_in_runs() {
        let later = NOW + Duration::from_secs(1);
        let mut statuses = Statuses::new(Serial(0));
        assert_eq!(statuses.accept(Serial(2), NOW), Arrival::Behind(Serial(0), 2));
        assert_eq!(statuses.accept(Serial(4), later), Arrival::Behind(Serial(3), 1));
        assert_eq!(statuses.asked(), Some(NOW));
        assert_eq!(statuses.ask_again(NOW, later), [(Serial(0), 2, 1)]);
        assert_eq!(statuses.damage(Serial(3), later), Some((Serial(3), 1, 1)));
        assert_eq!(statuses.ask_again(later, later), [(Serial(0), 2, 2), (Serial(3), 1, 2)]);
        assert_eq!(statuses.damage(Serial(2), later), None, "it has come");
        assert_eq!(statuses.damage(Serial(6), later), Some((Serial(5), 2, 0)));
    }

    #[test]
    fn absurd_numbers_are_told_apart_from_gaps() {
        let mut statuses = Statuses::new(Serial(7));
        assert_eq!(statuses.accept(Serial(7 + MAX_BLOCKED + 1), NOW), Arrival::Absurd);
        assert_eq!(statuses.expected(), Serial(7));
        assert_eq!(statuses.foresee(Serial(6), NOW), Arrival::Old);
        assert_eq!(statuses.foresee(Serial(7), NOW), Arrival::New);
        assert_eq!(statuses.accept(Serial(7 + MAX_BLOCKED), NOW), Arrival::Behind(Serial(7), MAX_BLOCKED));
        assert_eq!(statuses.foresee(Serial(7 + MAX_BLOCKED + 2), NOW), Arrival::Absurd);
    }

    proptest! {
        /// Whatever is lost and in whichever order it comes again, the holes are filled by exactly the lost PDUs.
        #[test]
        fn holes_are_filled_by_what_was_lost(lengths in proptest::collection::vec(0..9usize, 1..20), seed: u64) {
            let count = lengths.len() as u32;
            let start = |at: usize| lengths[..at].iter().sum::<usize>();
            let mut holes = holes(&[hole(5, count, 0, start(lengths.len()))]);
            let mut order: Vec<usize> = (0..lengths.len()).collect();
            order.sort_by_key(|at| (*at as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
            for at in order {
                let data_sn = Serial(5 + at as u32);
                prop_assert!(holes.fits(data_sn, start(at), lengths[at]));
                holes.fill(data_sn, start(at), lengths[at]);
                prop_assert!(!holes.lack(data_sn));
            }
            prop_assert!(holes.is_empty());
        }

        /// ExpStatSN never goes back while numbers come in any order, and stands behind all in the end.
        #[test]
        fn exp_stat_sn_only_moves_forward(order in Just((0..40u32).collect::<Vec<_>>()).prop_shuffle()) {
            let first = Serial(u32::MAX - 11);
            let mut statuses = Statuses::new(first);
            let mut last = first;
            for at in order {
                prop_assert_ne!(statuses.accept(first.add(at), NOW), Arrival::Old);
                prop_assert!(!statuses.expected().lt(last));
                last = statuses.expected();
            }
            prop_assert_eq!(last, first.add(40));
        }
    }
}
