//! Whether a request can have ended as it did.

use iscsi_initiator::core::command::{Completion, Finished};
use iscsi_initiator::core::{CommandError, Response};
use iscsi_proto::pdu::TaskResult;
use iscsi_proto::scsi::{Sense, SenseKey, Status};

use super::disk::{BLOCK, Generation, Moment};
use super::plan::Operation;
use super::world::{Checked, Pending, World};

impl World {
    /// Whether a request was successful; an error if it cannot have ended so.
    pub(super) fn judge(&mut self, pending: Pending, completion: Completion) -> Checked<bool> {
        match (pending, completion) {
            (Pending::Read { block, count, start, margins }, completion) => {
                if !margins.are_clean() {
                    return Err(format!("bytes beside the buffer of the read at block {block} were written"));
                }
                self.judge_read(block, count, start, completion)
            }
            (Pending::Write { block, count, generation }, completion) => {
                self.judge_write(block, count, generation, &completion)
            }
            (Pending::Other(Operation::Flush), Ok(Finished::Scsi(response))) => check_status(&response),
            (Pending::Other(Operation::Ping), Ok(Finished::Pong))
            | (Pending::Other(Operation::Stats), Ok(Finished::Stats(_)))
            | (Pending::Other(Operation::Logout), Ok(Finished::LoggedOut)) => Ok(true),
            (Pending::Other(Operation::Text), Ok(Finished::Text(text))) => {
                let listed = text.starts_with(b"TargetName=");
                if listed { Ok(true) } else { Err(format!("SendTargets gave {text:?}")) }
            }
            (Pending::Other(Operation::Reset | Operation::Abort), Ok(Finished::Task(result))) => {
                let complete = result == TaskResult::FunctionComplete;
                if complete { Ok(true) } else { Err(format!("a reset ended with {result:?}")) }
            }
            (_, Err(error)) => check_error(&error).map(|()| false),
            (pending, Ok(finished)) => Err(format!("{pending:?} ended with {finished:?}")),
        }
    }

    fn judge_read(&self, block: u64, count: u64, start: Moment, completion: Completion) -> Checked<bool> {
        let response = match completion {
            Ok(Finished::Scsi(response)) => response,
            Ok(other) => return Err(format!("a read ended with {other:?}")),
            Err(error) => return check_error(&error).map(|()| false),
        };
        let good = check_status(&response)?;
        let expected = if good { count as usize * BLOCK } else { 0 };
        if response.data.len() != expected {
            return Err(format!("{} of {expected} bytes were read from block {block}", response.data.len()));
        }
        self.disk.check(block, &response.data, start).map_err(|corrupt| corrupt.to_string())?;
        Ok(good)
    }

    fn judge_write(
        &mut self,
        block: u64,
        count: u64,
        generation: Generation,
        completion: &Completion,
    ) -> Checked<bool> {
        let (good, known) = match completion {
            Ok(Finished::Scsi(response)) => (check_status(response)?, true),
            Ok(other) => return Err(format!("a write ended with {other:?}")),
            Err(error) if error.is_known_not_executed() => {
                self.disk.withdraw(block, count, generation);
                return Ok(false);
            }
            Err(error) => {
                check_error(error)?;
                (false, !matches!(error, CommandError::Closed { .. }))
            }
        };
        if good {
            self.disk.acknowledge(block, count, generation, self.moment);
        } else if known {
            self.disk.settle(block, count, generation, self.moment);
        }
        Ok(good)
    }
}

/// Whether a response says that all is done; an error if it says what it cannot say here.
fn check_status(response: &Response) -> Checked<bool> {
    match response.status {
        Status::GOOD => Ok(true),
        // A reset leaves this to the other nexuses, and a TASK SET FULL to a full one.
        Status::CHECK_CONDITION => match Sense::parse(&response.sense) {
            Ok(sense) if sense.key == SenseKey::UnitAttention => Ok(false),
            other => Err(format!("CHECK CONDITION with {other:?}")),
        },
        status => Err(format!("status {status}")),
    }
}

/// Errors that may come of a network, a timeout or a reset.
pub(super) fn check_error(error: &CommandError) -> Checked {
    match error {
        CommandError::TimedOut { .. } | CommandError::Aborted | CommandError::Closed { .. } => Ok(()),
        other => Err(format!("a request failed: {other}")),
    }
}
