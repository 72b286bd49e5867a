//! StatSNs where PDUs were inserted: the target's own, and those that the initiator sees.

use iscsi_proto::serial::Serial;

/// What the target and the initiator call a response.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    /// The StatSN of the target's next response, once it is known.
    next: Option<Serial>,
    /// In front of which of the target's StatSNs how many were inserted, in order.
    inserted: Vec<(Serial, u32)>,
    total: u32,
}

impl Numbers {
    /// Whether there is anything to turn.
    pub(super) const fn differ(&self) -> bool {
        self.total != 0
    }

    /// A PDU of the target bears this number. An old one, of a response that is sent again, tells nothing.
    pub(super) fn reached(&mut self, own: Serial) {
        if self.next.is_none_or(|next| next.lt(own)) {
            self.next = Some(own);
        }
    }

    /// The PDU has gone out; `taken` says whether the number is its own.
    pub(super) fn passed(&mut self, own: Serial, taken: bool) {
        if taken && self.next == Some(own) {
            self.next = Some(own.next());
        }
    }

    /// One PDU with a number was inserted.
    pub(super) fn insert(&mut self) {
        let next = self.next.unwrap_or_default();
        self.total += 1;
        match self.inserted.last_mut() {
            Some((at, count)) if *at == next => *count += 1,
            _ => self.inserted.push((next, 1)),
        }
    }

    /// The number of a PDU that is inserted now.
    pub(super) fn next_shown(&self) -> Serial {
        self.next.unwrap_or_default().add(self.total)
    }

    /// What the initiator sees for a number of the target.
    pub(super) fn shown(&self, own: Serial) -> Serial {
        let behind = self.inserted.iter().rev().take_while(|(at, _)| own.lt(*at));
        own.add(self.total - behind.map(|(_, count)| count).sum::<u32>())
    }

    /// What the target has to hear where the initiator waits for `shown`: all before it have arrived.
    pub(super) fn own(&self, shown: Serial) -> Serial {
        let mut before = 0;
        for (at, count) in &self.inserted {
            let first = at.add(before);
            if !first.lt(shown) {
                break;
            }
            before += shown.distance_from(first).min(*count);
        }
        shown.sub(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_turned_both_ways() {
        let mut numbers = Numbers::default();
        for own in [5, 6] {
            numbers.reached(Serial(own));
            numbers.passed(Serial(own), true);
        }
        // 5, 6, two inserted as 7 and 8, the target's 7 as 9, one inserted as 10, the target's 8 as 11.
        numbers.insert();
        numbers.insert();
        numbers.reached(Serial(7));
        numbers.passed(Serial(7), true);
        assert_eq!(numbers.next_shown(), Serial(10));
        numbers.insert();
        for (own, shown) in [(5, 5), (6, 6), (7, 9), (8, 11), (9, 12)] {
            assert_eq!(numbers.shown(Serial(own)), Serial(shown));
            assert_eq!(numbers.own(Serial(shown)), Serial(own));
        }
        for (waits, own) in [(7, 7), (8, 7), (10, 8)] {
            assert_eq!(numbers.own(Serial(waits)), Serial(own), "{waits}");
        }
        // A response that goes out again keeps its number and moves nothing.
        numbers.reached(Serial(6));
        numbers.passed(Serial(6), true);
        assert_eq!((numbers.shown(Serial(6)), numbers.next_shown()), (Serial(6), Serial(11)));
    }
}
