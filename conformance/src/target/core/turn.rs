//! Between the turns of a connection: where its tasks are, and what is overdue.

use std::time::Duration;

use iscsi_proto::pdu::AsyncEvent;
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use super::full::FullFeature;
use super::lost::Tasks;
use super::transfer::Asked;
use crate::target::rope::Rope;

/// Statuses that wait to be acknowledged: which StatSN comes after them, and since when. No time if a ping has asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Probe {
    next: Serial,
    since: Option<Duration>,
}

impl FullFeature {
    /// Takes the connection's tasks back for a turn. Whether the connection goes on.
    pub(super) fn unpark(&mut self) -> bool {
        if !self.params.recovers_connections() {
            return true;
        }
        let tasks = self.link.parked().take();
        if let Some(tasks) = tasks {
            (self.transfers, self.waiting) = (tasks.transfers, tasks.waiting);
            self.out.put_kept(tasks.kept);
        }
        self.is_open()
    }

    /// Leaves the connection's tasks where others find them once it is lost.
    pub(super) fn park(&mut self) {
        if self.params.recovers_connections() && self.is_open() {
            let tasks = self.take_tasks();
            *self.link.parked() = Some(tasks);
        }
    }

    pub(super) fn take_tasks(&mut self) -> Tasks {
        Tasks {
            transfers: std::mem::take(&mut self.transfers),
            waiting: std::mem::take(&mut self.waiting),
            kept: self.out.take_kept(),
            pending: Vec::new(),
        }
    }

    /// Tells the initiator that another connection of the session was lost (section 7.1.4.3).
    pub(super) fn tell_lost(&mut self, cid: u16) {
        let (time2wait, time2retain) = (self.params.time2wait, self.params.time2retain);
        self.send_event(AsyncEvent::ConnectionDrop { cid, time2wait, time2retain }, Lun::ZERO, Rope::new());
    }

    /// Asks again for data that does not come, and for a sign that statuses have arrived.
    pub(super) fn overdue(&mut self) {
        let Some(patience) = self.patience() else { return };
        let now = self.node.now();
        let late = self.transfers.iter_mut().filter_map(|(itt, late)| Some((*itt, late.overdue(patience, now)?)));
        let late: Vec<(Itt, Vec<Asked>)> = late.collect();
        for (itt, again) in late {
            for asked in again {
                self.send_r2t(itt, asked);
            }
            self.proceed(itt);
        }
        self.probe(patience, now);
    }

    /// How long data and acknowledgements may take, where something can be done about it.
    fn patience(&self) -> Option<Duration> {
        let target = self.target.as_ref().filter(|_| self.params.recovers_data())?;
        Some(target.config.limits.sequence_timeout)
    }

    /// Sends one ping if statuses are not acknowledged: its StatSN shows the initiator whether it lacks any.
    fn probe(&mut self, patience: Duration, now: Duration) {
        let next = self.out.next_stat_sn();
        let waits = self.out.kept().is_some_and(|kept| kept.is_waiting());
        self.probe = match self.probe {
            _ if !waits => None,
            Some(Probe { next: same, since: Some(since) }) if same == next && now >= since + patience => {
                self.ping();
                Some(Probe { next, since: None })
            }
            Some(probe) if probe.next == next => Some(probe),
            _ => Some(Probe { next, since: Some(now) }),
        };
    }
}
