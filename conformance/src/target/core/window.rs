//! The command window of a session (RFC 7143, section 4.2.2.1).

use iscsi_proto::pdu::Header;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

/// ExpCmdSN, MaxCmdSN and the requests that came before their turn.
#[derive(Debug)]
pub(super) struct Window {
    expected: Serial,
    size: u32,
    /// Tasks that wait for data. Each takes a place, so an initiator cannot open more of them than the window holds.
    active: u32,
    held: Vec<Held>,
}

/// A request whose predecessors are still missing.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) cmd_sn: Serial,
    /// The connection that it came on, and that its answer belongs to.
    pub(super) cid: u16,
    /// `None` where the request was aborted before its turn: its number counts as received.
    pub(super) request: Option<Request>,
}

/// A request PDU.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) header: Header,
    pub(super) ahs: Vec<u8>,
    pub(super) data: Vec<u8>,
    /// Data-Out that came behind it unasked, while it waited.
    pub(super) behind: Vec<(Header, Vec<u8>)>,
}

/// What to do with a request that is not immediate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// It is the next one; it counts as received now.
    Next,
    /// Others come first.
    Early,
    /// It is outside the window or a duplicate: ignore it.
    Ignored,
}

impl Window {
    pub(super) const fn new(expected: Serial, size: u32) -> Self {
        Self { expected, size, active: 0, held: Vec::new() }
    }

    /// ExpCmdSN.
    pub(super) const fn expected(&self) -> Serial {
        self.expected
    }

    /// MaxCmdSN. It never goes back: a task takes its place as ExpCmdSN moves past it.
    pub(super) const fn max(&self) -> Serial {
        self.expected.add(self.size).sub(self.active.saturating_add(1))
    }

    pub(super) fn arrive(&mut self, cmd_sn: Serial) -> Arrival {
        if cmd_sn.lt(self.expected) || !cmd_sn.le(self.max()) || self.is_held(cmd_sn) {
            return Arrival::Ignored;
        }
        if cmd_sn != self.expected {
            return Arrival::Early;
        }
        self.expected = self.expected.next();
        Arrival::Next
    }

    /// Keeps a request until [`Window::release`] gives it back. Only for one that [`Window::arrive`] called early.
    pub(super) fn hold(&mut self, held: Held) {
        self.held.push(held);
    }

    /// The held request with this tag that came on the connection `cid`.
    pub(super) fn held_mut(&mut self, cid: u16, itt: Itt) -> Option<&mut Request> {
        let mut requests = self.held.iter_mut().filter(|held| held.cid == cid).filter_map(|held| held.request.as_mut());
        requests.find(|request| request.header.itt() == itt)
    }

    /// The next request that was held and whose turn it is.
    pub(super) fn release(&mut self) -> Option<Held> {
        let at = self.held.iter().position(|held| held.cmd_sn == self.expected)?;
        self.expected = self.expected.next();
        Some(self.held.swap_remove(at))
    }

    /// Marks a number as received although its request was not: the request was aborted (section 11.6.1).
    /// Whether the number is inside the window and had not been received.
    pub(super) fn plug(&mut self, cmd_sn: Serial, cid: u16) -> bool {
        match self.arrive(cmd_sn) {
            Arrival::Next => true,
            Arrival::Early => {
                self.hold(Held { cmd_sn, cid, request: None });
                true
            }
            Arrival::Ignored => false,
        }
    }

    /// Drops held requests that `drop` picks; their numbers stay received.
    pub(super) fn drop_held(&mut self, mut drop: impl FnMut(&Header) -> bool) -> usize {
        let mut dropped = 0;
        for held in &mut self.held {
            if held.request.as_ref().is_some_and(|request| drop(&request.header)) {
                held.request = None;
                dropped += 1;
            }
        }
        dropped
    }

    pub(super) const fn task_began(&mut self) {
        self.active += 1;
    }

    pub(super) const fn task_ended(&mut self) {
        self.ended(1);
    }

    /// So many tasks have ended.
    pub(super) const fn ended(&mut self, tasks: u32) {
        self.active = self.active.saturating_sub(tasks);
    }

    /// Forgets the requests that came on a connection and whose turn has not come: their numbers were not received.
    pub(super) fn forget(&mut self, cid: u16) {
        self.held.retain(|held| held.cid != cid || held.request.is_none());
    }

    fn is_held(&self, cmd_sn: Serial) -> bool {
        self.held.iter().any(|held| held.cmd_sn == cmd_sn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iscsi_proto::pdu::Opcode;
    use proptest::prelude::*;

    fn held(cmd_sn: Serial) -> Held {
        let header = Header::new(Opcode::NopOut);
        Held { cmd_sn, cid: 0, request: Some(Request { header, ahs: vec![], data: vec![], behind: vec![] }) }
    }

    #[test]
    fn only_numbers_inside_the_window_arrive() {
        for start in [Serial(10), Serial(u32::MAX - 1), Serial(0)] {
            let mut window = Window::new(start, 4);
            assert_eq!(window.max(), start.add(3));
            assert_eq!(window.arrive(start.sub(1)), Arrival::Ignored);
            assert_eq!(window.arrive(start.add(4)), Arrival::Ignored);
            assert_eq!(window.arrive(start.add(1 << 31)), Arrival::Ignored);
            assert_eq!(window.arrive(start.add(3)), Arrival::Early);
            assert_eq!(window.arrive(start), Arrival::Next);
            assert_eq!(window.arrive(start), Arrival::Ignored);
            assert_eq!((window.expected(), window.max()), (start.next(), start.add(4)));
        }
    }

    #[test]
    fn early_requests_come_out_in_order_and_once() {
        let mut window = Window::new(Serial(0), 8);
        for early in [3, 1, 2] {
            assert_eq!(window.arrive(Serial(early)), Arrival::Early);
            window.hold(held(Serial(early)));
            assert_eq!(window.arrive(Serial(early)), Arrival::Ignored);
        }
        assert!(window.release().is_none());
        assert_eq!(window.arrive(Serial(0)), Arrival::Next);
        let order: Vec<u32> = std::iter::from_fn(|| window.release()).map(|held| held.cmd_sn.0).collect();
        assert_eq!(order, [1, 2, 3]);
        assert_eq!(window.expected(), Serial(4));
    }

    #[test]
    fn a_plugged_number_counts_as_received() {
        let mut window = Window::new(Serial(0), 8);
        assert!(window.plug(Serial(1), 0) && !window.plug(Serial(1), 0));
        assert!(!window.plug(Serial(8), 0));
        assert_eq!(window.arrive(Serial(0)), Arrival::Next);
        assert!(window.release().unwrap().request.is_none());
        assert_eq!(window.expected(), Serial(2));
        assert!(window.plug(Serial(2), 0));
        assert_eq!(window.expected(), Serial(3));
    }

    #[test]
    fn held_requests_are_dropped_without_a_hole() {
        let mut window = Window::new(Serial(0), 8);
        window.hold(held(Serial(1)));
        assert_eq!(window.drop_held(|_| true), 1);
        assert_eq!(window.drop_held(|_| true), 0);
        assert_eq!(window.arrive(Serial(0)), Arrival::Next);
        assert!(window.release().unwrap().request.is_none());
    }

    #[test]
    fn tasks_close_the_window() {
        let mut window = Window::new(Serial(5), 2);
        for cmd_sn in [5, 6] {
            assert_eq!(window.arrive(Serial(cmd_sn)), Arrival::Next);
            window.task_began();
        }
        assert_eq!((window.expected(), window.max()), (Serial(7), Serial(6)));
        assert_eq!(window.arrive(Serial(7)), Arrival::Ignored);
        window.task_ended();
        assert_eq!(window.arrive(Serial(7)), Arrival::Next);
    }

    proptest! {
        #[test]
        fn max_cmd_sn_never_goes_back(steps in proptest::collection::vec(0..3u8, 0..200), start: u32) {
            let mut window = Window::new(Serial(start), 16);
            let mut last = window.max();
            for step in steps {
                match step {
                    0 => {
                        let _ = window.arrive(window.expected());
                    }
                    1 if window.arrive(window.expected()) == Arrival::Next => window.task_began(),
                    _ => window.task_ended(),
                }
                prop_assert!(last.le(window.max()));
                last = window.max();
                prop_assert!(last.distance_from(window.expected().sub(1)) <= 16);
            }
        }
    }
}
