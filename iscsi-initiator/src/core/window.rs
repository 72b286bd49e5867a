//! The command window of a session (RFC 7143, section 4.2.2.1).

use iscsi_proto::pdu::Numbering;
use iscsi_proto::serial::Serial;

use super::session::LinkId;

/// CmdSN, ExpCmdSN and MaxCmdSN.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    current: Serial,
    acknowledged: Serial,
    last: Serial,
    /// Where numbering stops, because of requests that were sent again.
    guards: Vec<Guard>,
}

/// A request was sent again: an old copy may be on its way still, so its number must not look like a new one.
#[derive(Clone, Copy, Debug)]
struct Guard {
    link: LinkId,
    /// The CmdSN that is not advanced any more.
    stop: Serial,
    /// The first request that followed on the same connection, with a number of its own.
    follower: Option<Serial>,
}

impl Window {
    /// The window that login ended with.
    pub(crate) const fn new(cmd_sn: Serial, exp_cmd_sn: Serial, max_cmd_sn: Serial) -> Self {
        Self { current: cmd_sn, acknowledged: exp_cmd_sn, last: max_cmd_sn, guards: Vec::new() }
    }

    /// The CmdSN that immediate requests carry and the next non-immediate one takes.
    pub(crate) const fn current(&self) -> Serial {
        self.current
    }

    /// Whether a non-immediate request may be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.current.le(self.last) && self.guards.iter().all(|guard| guard.stop != self.current)
    }

    /// Takes the next CmdSN. The caller has looked at [`Window::is_open`].
    pub(crate) const fn take(&mut self) -> Serial {
        let taken = self.current;
        self.current = taken.next();
        taken
    }

    /// Applies what a PDU of the target says. It moves the window forward or not at all.
    pub(crate) fn update(&mut self, numbering: &Numbering) {
        let Numbering { exp_cmd_sn, max_cmd_sn, .. } = *numbering;
        if max_cmd_sn.lt(exp_cmd_sn.sub(1)) {
            return;
        }
        if max_cmd_sn.gt(self.last) {
            self.last = max_cmd_sn;
        }
        if exp_cmd_sn.gt(self.acknowledged) && exp_cmd_sn.le(self.current) {
            self.acknowledged = exp_cmd_sn;
            if !self.guards.is_empty() {
                self.guards.retain(|guard| guard.follower.is_none_or(|follower| !follower.lt(exp_cmd_sn)));
            }
        }
    }

    /// Takes the next CmdSN for a request on a connection.
    pub(crate) fn take_on(&mut self, link: LinkId) -> Serial {
        let taken = self.take();
        for guard in self.guards.iter_mut().filter(|guard| guard.link == link && guard.follower.is_none()) {
            guard.follower = Some(taken);
        }
        taken
    }

    /// A request was sent again under its number: the numbers stop 2^31 - 1 behind it until another one that follows on the same
    /// connection is acknowledged.
    pub(crate) fn retried(&mut self, cmd_sn: Serial, link: LinkId) {
        let stop = cmd_sn.add(u32::MAX >> 1);
        match self.guards.iter_mut().find(|guard| guard.link == link) {
            // The nearer stop holds for both.
            Some(guard) => {
                let stop = if stop.lt(guard.stop) { stop } else { guard.stop };
                *guard = Guard { link, stop, follower: None };
            }
            None => self.guards.push(Guard { link, stop, follower: None }),
        }
    }

    /// A connection is gone, and what was on its way over it.
    pub(crate) fn gone(&mut self, link: LinkId) {
        self.guards.retain(|guard| guard.link != link);
    }

    /// Whether this is the number that the target waits for.
    pub(crate) fn is_next(&self, cmd_sn: Serial) -> bool {
        cmd_sn == self.acknowledged
    }

    /// Whether the target has acknowledged the request with this CmdSN.
    pub(crate) const fn is_acknowledged(&self, cmd_sn: Serial) -> bool {
        cmd_sn.lt(self.acknowledged)
    }

    /// How many more non-immediate requests the target takes now.
    pub(crate) fn room(&self) -> u32 {
        if self.is_open() { self.last.distance_from(self.current).saturating_add(1) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(cmd: u32, exp: u32, max: u32) -> Window {
        Window::new(Serial(cmd), Serial(exp), Serial(max))
    }

    fn says(exp: u32, max: u32) -> Numbering {
        Numbering { stat_sn: Serial(0), exp_cmd_sn: Serial(exp), max_cmd_sn: Serial(max) }
    }

    #[test]
    fn r159_the_window_closes_behind_the_last_number() {
        let mut window = window(5, 5, 6);
        assert_eq!(window.room(), 2);
        assert!(window.is_open());
        assert_eq!(window.take(), Serial(5));
        assert_eq!(window.take(), Serial(6));
        assert!(!window.is_open());
        assert_eq!((window.room(), window.current()), (0, Serial(7)));
        window.update(&says(7, 7));
        assert_eq!(window.room(), 1);
    }

    #[test]
    fn r158_the_window_wraps() {
        let mut window = window(u32::MAX - 1, u32::MAX - 1, u32::MAX);
        window.update(&says(u32::MAX - 1, 1));
        for expected in [u32::MAX - 1, u32::MAX, 0, 1] {
            assert!(window.is_open());
            assert_eq!(window.take(), Serial(expected));
        }
        assert!(!window.is_open());
    }

    #[test]
    fn r160_r161_values_that_go_back_are_ignored() {
        let mut window = window(10, 10, 20);
        window.update(&says(10, 8));
        assert_eq!(window.room(), 11);
        window.update(&says(9, 15));
        assert_eq!(window.room(), 11);
        window.update(&says(10, 9));
        assert_eq!(window.room(), 11);
        window.update(&says(10, 21));
        assert_eq!(window.room(), 12);
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_does_not_count() {
        let mut window = window(10, 10, 20);
        window.take();
        assert!(!window.is_acknowledged(Serial(10)));
        window.update(&says(15, 20));
        assert!(!window.is_acknowledged(Serial(10)));
        window.update(&says(11, 20));
        assert!(window.is_acknowledged(Serial(10)));
    }

    const LINK: LinkId = LinkId::FIRST;

    /// Lets so many requests go out on a connection, all acknowledged but the last.
    fn run(window: &mut Window, count: u32) {
        window.current = window.current.add(count);
        window.update(&says(window.current.0.wrapping_sub(1), window.current.0.wrapping_add(10)));
    }

    #[test]
    fn r170_numbers_stop_before_an_old_copy_would_look_new() {
        let mut window = window(5, 5, 100);
        let retried = window.take_on(LINK);
        window.take_on(LINK);
        window.retried(retried, LINK);
        assert!(window.is_open());
        // Half the numbers are used up, and nothing that followed on the connection was acknowledged.
        window.acknowledged = Serial(7);
        window.current = retried.add((1 << 31) - 2);
        window.last = window.current.add(10);
        assert!(window.is_open());
        window.take();
        assert_eq!(window.current(), retried.add((1 << 31) - 1));
        assert!(!window.is_open() && window.room() == 0);
        window.gone(LINK);
        assert!(window.is_open(), "no copy is on its way over a connection that is gone");
    }

    #[test]
    fn r170_an_acknowledged_follower_lets_the_numbers_go_on() {
        let mut window = window(5, 5, 100);
        let retried = window.take_on(LINK);
        window.take_on(LINK);
        window.retried(retried, LINK);
        let follower = window.take_on(LINK);
        window.update(&says(follower.0, 100));
        assert_eq!(window.guards.len(), 1, "it is not acknowledged itself");
        window.update(&says(follower.0 + 1, 100));
        assert!(window.guards.is_empty());
        for _ in 0..4 {
            run(&mut window, 1 << 29);
            assert!(window.is_open());
        }
    }

    #[test]
    fn r170_the_nearest_stop_of_several_holds() {
        let mut window = window(5, 5, 100);
        let (first, second) = (window.take_on(LINK), window.take_on(LINK));
        window.retried(second, LINK);
        window.retried(first, LINK);
        window.retried(second, LINK);
        assert_eq!(window.guards.len(), 1);
        window.current = first.add((1 << 31) - 1);
        window.last = window.current;
        assert!(!window.is_open());
    }
}
