//! The tasks of a session, found by tag in constant time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsi_proto::pdu::TaskAttribute;
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::Time;
use super::command::Token;
use super::payload::Payload;
use super::session::LinkId;
use super::session::Repair;

/// Where a task is in the table.
pub(crate) type Slot = usize;

/// One task, from the moment it is submitted to its last PDU.
#[derive(Debug)]
pub(crate) struct Task {
    /// Whom to tell; `None` once nobody waits any more.
    pub(crate) token: Option<Token>,
    pub(crate) kind: Kind,
    pub(crate) lun: Lun,
    /// The CmdSN it was sent with; `None` while it waits for the window.
    pub(crate) cmd_sn: Option<Serial>,
    /// The connection that carries it from the time it is sent.
    pub(crate) link: LinkId,
    /// When something last happened to it.
    pub(crate) progress: Time,
    pub(crate) timeout: Duration,
    /// The request that aborts it, or that moves it to another connection.
    pub(crate) manager: Option<Slot>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scsi(Box<Scsi>),
    /// A text exchange and what has come so far.
    Text(Text),
    /// A task management request; the task that it aborts, if it aborts one.
    Management {
        aborts: Option<Slot>,
        function: iscsi_proto::pdu::TaskFunction,
    },
    /// A request to go on with a task over the connection that it is sent on (TASK REASSIGN).
    Reassign {
        task: Option<Slot>,
    },
    Ping,
    /// A ping in the place of a numbered request that the target rejected.
    Plug,
    Logout(Leave),
}

/// What a logout closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Session,
    /// The connection that it is sent on.
    Own,
    /// One that is lost.
    Lost(LinkId),
}

#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

/// A SCSI command and its data.
#[derive(Debug)]
pub(crate) struct Scsi {
    pub(crate) cdb: [u8; 16],
    pub(crate) extended_cdb: Bytes,
    pub(crate) attribute: TaskAttribute,
    pub(crate) direction: Direction,
    /// Where Data-In lands. Empty for other commands.
    pub(crate) buffer: BytesMut,
    /// Bytes of `buffer` that have come, from its start.
    pub(crate) received: usize,
    /// The next DataSN of the target. R2Ts take numbers of the same row if data goes both ways.
    pub(crate) data_sn: Serial,
    /// What is written. Empty for other commands.
    pub(crate) payload: Payload,
    /// The end of what the target has asked for or was sent unasked.
    pub(crate) requested: usize,
    /// The next R2TSN of the target; equal to `data_sn` if data goes both ways.
    pub(crate) r2t_sn: Serial,
    /// What the target asked for and has not been sent yet.
    pub(crate) bursts: VecDeque<Burst>,
    /// Whether the task was moved to another connection, and no R2T has come since.
    pub(crate) resumed: bool,
    /// What is missing of what the target sent, if anything was.
    pub(crate) repair: Option<Box<Repair>>,
    /// Whether the target was asked to go on with it over another connection.
    pub(crate) moved: bool,
}

impl Scsi {
    /// Forgets what has come over a connection that is lost: the target sends it again, and asks for data again.
    pub(crate) fn rewind(&mut self) {
        (self.data_sn, self.received) = self.repair.as_mut().map_or((Serial(0), 0), |repair| repair.rewind());
        self.bursts.clear();
        self.resumed = true;
    }

    /// Lets go of all memory that the command had.
    pub(crate) fn release(&mut self) {
        self.extended_cdb = Bytes::new();
        self.buffer = BytesMut::new();
        self.payload = Payload::default();
        self.bursts = VecDeque::new();
        self.repair = None;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    None = 0,
    In = 1,
    Out = 2,
    Both = 3,
}

impl Direction {
    /// Whether the target may send data.
    pub(crate) const fn reads(self) -> bool {
        self as u8 & Self::In as u8 != 0
    }

    /// Whether the target may ask for data.
    pub(crate) const fn writes(self) -> bool {
        self as u8 & Self::Out as u8 != 0
    }
}

/// The rest of an R2T.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    pub(crate) ttt: Ttt,
    pub(crate) offset: usize,
    pub(crate) left: usize,
    pub(crate) data_sn: Serial,
}

impl Task {
    /// A task that nobody waits for, not sent yet.
    pub(crate) const fn new(kind: Kind, lun: Lun, now: Time, timeout: Duration) -> Self {
        Self { token: None, kind, lun, cmd_sn: None, link: LinkId::FIRST, progress: now, timeout, manager: None }
    }

    pub(crate) const fn scsi(&mut self) -> Option<&mut Scsi> {
        match &mut self.kind {
            Kind::Scsi(scsi) => Some(scsi),
            _ => None,
        }
    }

    /// Whether the request takes a CmdSN of its own.
    pub(crate) const fn is_numbered(&self) -> bool {
        matches!(self.kind, Kind::Scsi(_) | Kind::Plug)
    }

    pub(crate) const fn was_sent(&self) -> bool {
        self.cmd_sn.is_some()
    }

    pub(crate) const fn expires(&self) -> Time {
        self.progress.saturating_add(self.timeout)
    }
}

/// All tasks. A tag is a slot and how often that slot was used, so an answer to a task that has ended is told apart
/// from one to the task that took its slot.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    entries: Vec<Entry>,
    free: Vec<Slot>,
}

#[derive(Debug)]
struct Entry {
    generation: u16,
    task: Option<Task>,
}

/// The slots that fit a tag. The last one is left out, so that no tag is 0xffffffff.
const MAX_TASKS: usize = 0xffff;

impl Tasks {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    /// How many tasks there are.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Adds a task, unless the table is full.
    pub(crate) fn insert(&mut self, task: Task) -> Option<Slot> {
        if let Some(slot) = self.free.pop() {
            let entry = self.entries.get_mut(slot)?;
            entry.task = Some(task);
            return Some(slot);
        }
        if self.entries.len() >= MAX_TASKS {
            return None;
        }
        self.entries.push(Entry { generation: 0, task: Some(task) });
        Some(self.entries.len() - 1)
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Task> {
        let entry = self.entries.get_mut(slot)?;
        let task = entry.task.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        Some(task)
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Task> {
        self.entries.get_mut(slot)?.task.as_mut()
    }

    /// The tag of the task in `slot`.
    pub(crate) fn itt(&self, slot: Slot) -> Itt {
        let generation = self.entries.get(slot).map_or(0, |entry| entry.generation);
        Itt(u32::from(generation) << 16 | slot as u32)
    }

    /// The slot of the task with this tag, if it lives.
    pub(crate) fn find(&self, itt: Itt) -> Option<Slot> {
        let slot = (itt.0 & 0xffff) as Slot;
        let entry = self.entries.get(slot)?;
        (entry.task.is_some() && u32::from(entry.generation) == itt.0 >> 16).then_some(slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Task)> {
        self.entries.iter().enumerate().filter_map(|(slot, entry)| Some((slot, entry.task.as_ref()?)))
    }

    /// Takes all tasks out.
    pub(crate) fn drain(&mut self) -> Vec<Task> {
        (0..self.entries.len()).filter_map(|slot| self.remove(slot)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task::new(Kind::Ping, Lun::ZERO, Time::ZERO, Duration::ZERO)
    }

    #[test]
    fn r017_r018_a_tag_is_not_used_again_soon() {
        let mut tasks = Tasks::new();
        let slot = tasks.insert(task()).unwrap();
        let first = tasks.itt(slot);
        assert_eq!(tasks.find(first), Some(slot));
        assert!(tasks.remove(slot).is_some());
        assert_eq!(tasks.find(first), None);
        for _ in 0..0xffff {
            let again = tasks.insert(task()).unwrap();
            assert_eq!(again, slot);
            assert_ne!(tasks.itt(again), first);
            assert!(!tasks.itt(again).is_reserved());
            tasks.remove(again);
        }
        assert_eq!(tasks.len(), 0);
    }

    #[test]
    fn r017_no_tag_is_reserved_and_the_table_has_an_end() {
        let mut tasks = Tasks::new();
        for slot in 0..MAX_TASKS {
            assert_eq!(tasks.insert(task()), Some(slot));
            assert!(!tasks.itt(slot).is_reserved());
        }
        assert_eq!(tasks.insert(task()), None);
        assert_eq!(tasks.drain().len(), MAX_TASKS);
        assert_eq!(tasks.len(), 0);
    }

    #[test]
    fn tags_of_no_task_are_not_found() {
        let mut tasks = Tasks::new();
        assert_eq!(tasks.find(Itt(0)), None);
        tasks.insert(task()).unwrap();
        assert_eq!(tasks.find(Itt(1)), None);
        assert_eq!(tasks.find(Itt(0x1_0000)), None);
        assert_eq!(tasks.find(Itt::RESERVED), None);
    }
}
