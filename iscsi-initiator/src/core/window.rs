//! The command window of a session (RFC 7143, section 4.2.2.1).

use iscsi_proto::pdu::Numbering;
use iscsi_proto::serial::Serial;

/// CmdSN, ExpCmdSN and MaxCmdSN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    current: Serial,
    acknowledged: Serial,
    last: Serial,
}

impl Window {
    /// The window that login ended with.
    pub(crate) const fn new(cmd_sn: Serial, exp_cmd_sn: Serial, max_cmd_sn: Serial) -> Self {
        Self { current: cmd_sn, acknowledged: exp_cmd_sn, last: max_cmd_sn }
    }

    /// The CmdSN that immediate requests carry and the next non-immediate one takes.
    pub(crate) const fn current(&self) -> Serial {
        self.current
    }

    /// Whether a non-immediate request may be sent.
    pub(crate) const fn is_open(&self) -> bool {
        self.current.le(self.last)
    }

    /// Takes the next CmdSN. The caller has looked at [`Window::is_open`].
    pub(crate) const fn take(&mut self) -> Serial {
        let taken = self.current;
        self.current = taken.next();
        taken
    }

    /// Applies what a PDU of the target says. It moves the window forward or not at all.
    pub(crate) const fn update(&mut self, numbering: &Numbering) {
        let Numbering { exp_cmd_sn, max_cmd_sn, .. } = *numbering;
        if max_cmd_sn.lt(exp_cmd_sn.sub(1)) {
            return;
        }
        if max_cmd_sn.gt(self.last) {
            self.last = max_cmd_sn;
        }
        if exp_cmd_sn.gt(self.acknowledged) && exp_cmd_sn.le(self.current) {
            self.acknowledged = exp_cmd_sn;
        }
    }

    /// Whether the target has acknowledged the request with this CmdSN.
    pub(crate) const fn is_acknowledged(&self, cmd_sn: Serial) -> bool {
        cmd_sn.lt(self.acknowledged)
    }

    /// How many more non-immediate requests the target takes now.
    pub(crate) const fn room(&self) -> u32 {
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
}
