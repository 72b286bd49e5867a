//! Commands that return nothing but their status, sent to one unit.

use std::collections::VecDeque;

use bytes::BytesMut;
use iscsi_proto::scsi::{Cdb, Sense, SenseKey};

use super::{Lun, Retry};
use crate::core::{Command, CommandError, Payload};
use crate::driver::mailbox::Pending;
use crate::session::{failure, response};

/// Parts of one transfer that are under way at a time.
pub(super) const PARTS: usize = 8;

/// The sense of a command that the unit does not know.
pub(super) const UNKNOWN: (SenseKey, u8, u8) = Sense::INVALID_OPCODE.code();

/// The sense of a command with a field that the unit does not take.
const NO_FIELD: (SenseKey, u8, u8) = Sense::INVALID_FIELD.code();

impl Lun {
    /// Sends a command with its data, if it has any; again where the unit says that it did not execute it, and nowhere else.
    pub(super) async fn send(&self, cdb: Cdb, payload: impl Into<Payload>) -> Result<(), CommandError> {
        Part::start(self, cdb, payload.into()).finish(self).await
    }

    /// Sends commands as [`Lun::send`] does, several at a time, until all are done or one has failed.
    pub(super) async fn send_all(
        &self,
        commands: impl IntoIterator<Item = (Cdb, Payload)>,
    ) -> Result<(), CommandError> {
        let mut commands = commands.into_iter();
        let mut parts: VecDeque<Part> = VecDeque::with_capacity(PARTS);
        loop {
            while parts.len() < PARTS
                && let Some((cdb, payload)) = commands.next()
            {
                parts.push_back(Part::start(self, cdb, payload));
            }
            let Some(part) = parts.pop_front() else { return Ok(()) };
            part.finish(self).await?;
        }
    }

    /// Sends a command that reads up to `length` bytes.
    pub(super) async fn read_data(&self, cdb: Cdb, length: usize) -> Result<BytesMut, CommandError> {
        self.session.read_data_by(self.retry(), self.number(), cdb, length).await
    }

    /// The rules by which a command is sent again.
    pub(super) fn retry(&self) -> Retry {
        self.session.retry().relying(self.unit.memory.is_reserved())
    }
}

/// One command, on its way.
struct Part {
    cdb: Cdb,
    payload: Payload,
    pending: Pending,
}

impl Part {
    fn start(lun: &Lun, cdb: Cdb, payload: Payload) -> Self {
        let pending = lun.session.start(lun.number(), command(cdb, &payload));
        Self { cdb, payload, pending }
    }

    async fn finish(self, lun: &Lun) -> Result<(), CommandError> {
        let Self { cdb, payload, pending } = self;
        let mut answer = response(pending.await)?;
        let mut retry: Option<Retry> = None;
        while let Some(error) = failure(&answer) {
            retry.get_or_insert_with(|| lun.retry()).wait(error).await?;
            answer = lun.session.execute(lun.number(), command(cdb, &payload)).await?;
        }
        Ok(())
    }
}

fn command(cdb: Cdb, payload: &Payload) -> Command {
    if payload.is_empty() { Command::new(cdb) } else { Command::write(cdb, payload.clone()) }
}

/// Says in plain words that a unit does not know a command.
pub(super) fn named(error: CommandError, what: &'static str) -> CommandError {
    match error {
        CommandError::Sense(sense) if sense.code() == UNKNOWN => CommandError::Unsupported(what),
        other => other,
    }
}

/// The same for a command that asks and has nothing that could be wrong with it but what it asks for: a service action or a
/// page that the unit does not have is an invalid field of the CDB.
pub(super) fn asked(error: CommandError, what: &'static str) -> CommandError {
    match error {
        CommandError::Sense(sense) if sense.code() == NO_FIELD => CommandError::Unsupported(what),
        other => named(other, what),
    }
}

/// Whether the unit refused a command as one that it does not know, or not in this form.
pub(super) const fn is_refusal(error: &CommandError) -> bool {
    match error {
        CommandError::Sense(sense) => {
            matches!(sense.key, SenseKey::IllegalRequest) && matches!(sense.asc, 0x20 | 0x24 | 0x26)
        }
        CommandError::Unsupported(_) => true,
        _ => false,
    }
}
