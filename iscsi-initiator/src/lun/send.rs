//! Commands on one unit: several at a time, and again where that is safe and may help.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use iscsi_proto::pdu::Residual;
use iscsi_proto::scsi::{Cdb, Sense, SenseKey};

use super::{Lun, Retry};
use crate::core::{Command, CommandError, Payload, Response};
use crate::driver::mailbox::Pending;

/// Parts of one transfer that are under way at a time.
const PARTS: usize = 8;

/// The sense of a command that the unit does not know.
pub(super) const UNKNOWN: (SenseKey, u8, u8) = Sense::INVALID_OPCODE.code();

/// The sense of a command with a field that the unit does not take.
const NO_FIELD: (SenseKey, u8, u8) = Sense::INVALID_FIELD.code();

impl Lun {
    /// Sends a command with its data, if it has any; again where the unit says that it did not execute it, and nowhere else.
    pub(super) async fn send(&self, cdb: Cdb, payload: impl Into<Payload>) -> Result<(), CommandError> {
        self.send_all([(cdb, payload.into())]).await
    }

    /// Sends commands as [`Lun::send`] does, several at a time, until all are done or one has failed.
    pub(super) async fn send_all(
        &self,
        commands: impl IntoIterator<Item = (Cdb, Payload)>,
    ) -> Result<(), CommandError> {
        self.change(commands.into_iter().map(|(cdb, payload)| (cdb, payload, Moves::Anything))).await
    }

    /// Sends commands that write blocks: all of the data has to be taken, whatever the status says.
    pub(super) async fn write_all(
        &self,
        commands: impl IntoIterator<Item = (Cdb, Payload)>,
    ) -> Result<(), CommandError> {
        let exact = |(cdb, payload): (Cdb, Payload)| {
            let length = payload.len();
            (cdb, payload, Moves::Out(length))
        };
        self.change(commands.into_iter().map(exact)).await
    }

    async fn change(&self, mut commands: impl Iterator<Item = (Cdb, Payload, Moves)>) -> Result<(), CommandError> {
        let _writing = self.begin_write();
        let next = || {
            let (cdb, payload, moves) = commands.next()?;
            Some(self.start(moves, BytesMut::new(), move |_| command(cdb, &payload)))
        };
        let End { error, executed } = self.run(next, drop).await;
        match error {
            None => Ok(()),
            Some(error) if executed && error.is_known_not_executed() => {
                Err(CommandError::Partial { error: Box::new(error) })
            }
            Some(error) => Err(error),
        }
    }

    /// Sends a command that reads up to `length` bytes.
    pub(super) async fn read_data(&self, cdb: Cdb, length: usize) -> Result<BytesMut, CommandError> {
        self.session.read_data_by(self.retry(), self.number(), cdb, length).await
    }

    /// Reads blocks by several commands at a time, each into its buffer.
    pub(super) async fn read_all(
        &self,
        mut commands: impl Iterator<Item = (Cdb, BytesMut)>,
    ) -> Result<BytesMut, CommandError> {
        let mut done = BytesMut::new();
        let next = || {
            let (cdb, buffer) = commands.next()?;
            let length = buffer.len();
            let command = move |mut buffer: BytesMut| {
                buffer.resize(length, 0);
                Command::read(cdb, buffer)
            };
            Some(self.start(Moves::In(length), buffer, command))
        };
        let end = self.run(next, |response| done.unsplit(response.data)).await;
        end.error.map_or(Ok(done), Err)
    }

    /// The rules by which a command on this unit is sent again.
    fn retry(&self) -> Retry {
        let rules = self.session.retry().noting(&self.unit.resets);
        rules.relying(self.unit.memory.is_reserved())
    }

    /// Keeps parts under way until all have ended, and gives their responses in turn. After an error no further part is
    /// started, but those under way are waited for: nothing goes on behind the caller's back.
    async fn run<F>(&self, mut next: impl FnMut() -> Option<Part<F>>, mut take: impl FnMut(Response)) -> End
    where
        F: Fn(BytesMut) -> Command,
    {
        let mut end = End::default();
        let mut oldest = next();
        // Most transfers are one part, for which this stays empty and takes no memory.
        let mut younger = VecDeque::new();
        while let Some(part) = oldest {
            while younger.len() + 1 < PARTS && end.error.is_none() {
                let Some(part) = next() else { break };
                younger.push_back(part);
            }
            // What has failed as a whole is not worth a busy unit's time.
            let retry = if end.error.is_none() { self.retry() } else { self.retry().within(Duration::ZERO) };
            match part.finish(self, retry).await {
                Ok(response) => {
                    end.executed = true;
                    if end.error.is_none() {
                        take(response);
                    }
                }
                Err(error) => end.fail(error),
            }
            oldest = younger.pop_front();
        }
        end
    }

    fn start<F: Fn(BytesMut) -> Command>(&self, moves: Moves, buffer: BytesMut, command: F) -> Part<F> {
        let pending = self.session.start(self.number(), command(buffer));
        Part { command, moves, pending }
    }
}

/// How much has to move for a command to be done.
#[derive(Clone, Copy, Debug)]
enum Moves {
    In(usize),
    Out(usize),
    Anything,
}

/// One command, on its way.
struct Part<F> {
    command: F,
    moves: Moves,
    pending: Pending,
}

impl<F: Fn(BytesMut) -> Command> Part<F> {
    async fn finish(self, lun: &Lun, retry: Retry) -> Result<Response, CommandError> {
        let Self { command, moves, pending } = self;
        let response = lun.session.insist(lun.number(), pending, retry, command).await?;
        let (expected, received) = match moves {
            Moves::In(expected) => (expected, response.data.len()),
            Moves::Out(expected) => (expected, taken(expected, response.residual)),
            Moves::Anything => return Ok(response),
        };
        if received == expected { Ok(response) } else { Err(CommandError::Short { expected, received }) }
    }
}

/// How much of `length` bytes a unit has taken. One that wanted more counts as one that took nothing: it had another
/// command in mind.
fn taken(length: usize, residual: Residual) -> usize {
    match residual {
        Residual::None => length,
        Residual::Underflow(rest) => length.saturating_sub(rest as usize),
        Residual::Overflow(_) => 0,
    }
}

/// How the parts of a transfer have ended.
#[derive(Default)]
struct End {
    /// The first error, in the order of the parts.
    error: Option<CommandError>,
    /// Whether any part was executed, or may have been.
    executed: bool,
}

impl End {
    fn fail(&mut self, error: CommandError) {
        self.executed |= !error.is_known_not_executed();
        self.error.get_or_insert(error);
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
