//! One direction of the network.

use std::collections::VecDeque;
use std::time::Duration;

use iscsi_initiator::core::Time;
use rand::RngExt;
use rand::rngs::StdRng;

/// How a direction treats bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The longest piece that travels by itself.
    pub(super) segment: usize,
    /// How long a piece takes at most, in microseconds.
    pub(super) delay: u64,
    /// One piece in so many is held up for seconds; 0 for none.
    pub(super) stall: u32,
    /// Bytes that are under way at most.
    pub(super) capacity: usize,
}

/// Bytes under way, in order.
#[derive(Debug)]
pub(super) struct Link {
    manner: Manner,
    queue: VecDeque<(Time, Vec<u8>)>,
    under_way: usize,
    last: Time,
    accepted: u64,
    /// After so many bytes the connection is lost.
    limit: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing more goes in; the end arrives behind what is under way.
    Ended,
    /// The end has arrived, or nobody listens.
    Over,
}

/// What arrives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Bytes(Vec<u8>),
    End,
}

impl Link {
    pub(super) const fn new(manner: Manner, limit: Option<u64>) -> Self {
        let queue = VecDeque::new();
        Self { manner, queue, under_way: 0, last: Time::ZERO, accepted: 0, limit, state: State::Open }
    }

    /// How many bytes it takes now.
    pub(super) fn room(&self) -> usize {
        match self.state {
            State::Open => self.manner.capacity.saturating_sub(self.under_way),
            _ => 0,
        }
    }

    /// Bytes taken so far.
    pub(super) const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Takes bytes. Says whether the connection was lost over them.
    pub(super) fn push(&mut self, bytes: &[u8], now: Time, rng: &mut StdRng) -> bool {
        let left = self.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.accepted) as usize);
        let kept = bytes.get(..left).unwrap_or(bytes);
        for piece in kept.chunks(self.manner.segment) {
            self.last = self.last.max(now + self.delay(rng));
            self.queue.push_back((self.last, piece.to_vec()));
        }
        self.under_way += kept.len();
        self.accepted += kept.len() as u64;
        left <= bytes.len()
    }

    /// The writer has closed its side.
    pub(super) fn end(&mut self, now: Time) {
        if self.state == State::Open {
            self.state = State::Ended;
            self.last = self.last.max(now);
        }
    }

    /// The connection is lost, and with it what is under way if `forget`.
    pub(super) fn lose(&mut self, now: Time, forget: bool) {
        if forget {
            self.queue.clear();
            self.last = now;
        }
        self.end(now);
    }

    /// The reader is gone.
    pub(super) fn abandon(&mut self) {
        self.queue.clear();
        self.under_way = 0;
        self.state = State::Over;
    }

    /// When something arrives next.
    pub(super) fn next(&self) -> Option<Time> {
        match (self.queue.front(), self.state) {
            (Some((at, _)), _) => Some(*at),
            (None, State::Ended) => Some(self.last),
            _ => None,
        }
    }

    /// Takes what arrives next.
    pub(super) fn take(&mut self) -> Arrival {
        if let Some((_, bytes)) = self.queue.pop_front() {
            self.under_way -= bytes.len();
            return Arrival::Bytes(bytes);
        }
        self.state = State::Over;
        Arrival::End
    }

    fn delay(&self, rng: &mut StdRng) -> Duration {
        let stalls = self.manner.stall != 0 && rng.random_ratio(1, self.manner.stall);
        let seconds = if stalls { rng.random_range(1..12) } else { 0 };
        Duration::from_secs(seconds) + Duration::from_micros(rng.random_range(0..=self.manner.delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const MANNER: Manner = Manner { segment: 4, delay: 1000, stall: 0, capacity: 10 };

    #[test]
    fn bytes_come_out_in_order_and_the_end_last() {
        let (mut link, mut rng) = (Link::new(MANNER, None), StdRng::seed_from_u64(1));
        assert_eq!(link.room(), 10);
        assert!(!link.push(b"abcdefghij", Time::ZERO, &mut rng));
        assert_eq!(link.room(), 0);
        link.end(Time::ZERO);
        let (mut got, mut last) = (Vec::new(), Time::ZERO);
        loop {
            let at = link.next().unwrap();
            assert!(at >= last);
            last = at;
            match link.take() {
                Arrival::Bytes(bytes) => got.extend(bytes),
                Arrival::End => break,
            }
        }
        assert_eq!((&got[..], link.next(), link.room()), (&b"abcdefghij"[..], None, 0));
    }

    #[test]
    fn a_limit_keeps_what_lies_before_it() {
        let (mut link, mut rng) = (Link::new(MANNER, Some(6)), StdRng::seed_from_u64(1));
        assert!(!link.push(b"abcde", Time::ZERO, &mut rng));
        assert!(link.push(b"fgh", Time::ZERO, &mut rng));
        assert_eq!(link.accepted(), 6);
        link.lose(Time::ZERO, true);
        assert_eq!(link.take(), Arrival::End);
    }
}
