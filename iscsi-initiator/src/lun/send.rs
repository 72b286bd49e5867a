//! Commands sent to one unit, one or several at a time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
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
        let mut commands = commands.into_iter();
        let next = || {
            let (cdb, payload) = commands.next()?;
            Some(self.start(0, BytesMut::new(), move |_| command(cdb, &payload)))
        };
        self.run(next, drop).await.whole()
    }

    /// The same for commands that change what the unit holds: what was read ahead is out of date.
    pub(super) async fn change(&self, commands: impl IntoIterator<Item = (Cdb, Payload)>) -> Result<(), CommandError> {
        let _writing = self.begin_write();
        self.send_all(commands).await
    }

    /// Sends a command that reads up to `length` bytes.
    pub(super) async fn read_data(&self, cdb: Cdb, length: usize) -> Result<BytesMut, CommandError> {
        let command = |mut buffer: BytesMut| {
            buffer.resize(length, 0);
            Command::read(cdb, buffer)
        };
        let pending = self.session.start(self.number(), command(BytesMut::new()));
        Ok(self.session.insist(self.number(), pending, self.retry(), command).await?.data)
    }

    /// Keeps parts under way until all have ended, and gives their responses in turn. After an error no further part is
    /// started, but those under way are waited for: nothing goes on behind the caller's back.
    pub(super) async fn run<F>(&self, mut next: impl FnMut() -> Option<Part<F>>, mut take: impl FnMut(Response)) -> End
    where
        F: Fn(BytesMut) -> Command,
    {
        let mut end = End::default();
        let mut parts = VecDeque::new();
        loop {
            while parts.len() < PARTS && end.error.is_none() {
                let Some(part) = next() else { break };
                parts.push_back(part);
            }
            let Some(part) = parts.pop_front() else { return end };
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
        }
    }

    pub(super) fn start<F: Fn(BytesMut) -> Command>(&self, length: usize, buffer: BytesMut, command: F) -> Part<F> {
        let pending = self.session.start(self.number(), command(buffer));
        Part { command, length, pending }
    }
}

fn command(cdb: Cdb, payload: &Payload) -> Command {
    if payload.is_empty() { Command::new(cdb) } else { Command::write(cdb, payload.clone()) }
}

/// One command of a transfer, on its way.
pub(super) struct Part<F> {
    /// Makes the command; takes the buffer of a read, which comes back with every answer.
    command: F,
    /// Bytes that have to come.
    length: usize,
    pending: Pending,
}

impl<F: Fn(BytesMut) -> Command> Part<F> {
    async fn finish(self, lun: &Lun, retry: Retry) -> Result<Response, CommandError> {
        let Self { command, length: expected, pending } = self;
        let response = lun.session.insist(lun.number(), pending, retry, command).await?;
        let received = response.data.len();
        if received == expected { Ok(response) } else { Err(CommandError::Short { expected, received }) }
    }
}

/// How the parts of a transfer have ended.
#[derive(Default)]
pub(super) struct End {
    /// The first error, in the order of the parts.
    pub(super) error: Option<CommandError>,
    /// Whether any part was executed, or may have been.
    executed: bool,
}

impl End {
    fn fail(&mut self, error: CommandError) {
        self.executed |= !error.is_known_not_executed();
        self.error.get_or_insert(error);
    }

    /// The end of a whole of which a part may have been executed although another one certainly was not.
    fn whole(self) -> Result<(), CommandError> {
        match self.error {
            None => Ok(()),
            Some(error) if self.executed && error.is_known_not_executed() => {
                Err(CommandError::Partial { error: Box::new(error) })
            }
            Some(error) => Err(error),
        }
    }
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
