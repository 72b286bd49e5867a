//! When a command is sent again (SAM-5, section 5.3; SPC-5, section 4.4.8).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iscsi_proto::scsi::{Sense, SenseKey, Status};

use crate::core::CommandError;

/// How often conditions that go away by being reported are waited out in a row: one may follow another.
const ATTENTIONS: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Sends a command again, as a new task, where the logical unit said that it did not do it and may do it soon.
#[derive(Debug)]
pub(crate) struct Retry {
    attentions: u32,
    pauses: u32,
    waited: Duration,
    patience: Duration,
    reserved: bool,
    notes: Option<Resets>,
}

/// The last reset of a unit that a command was sent again over. What was in a volatile cache then is lost: nothing to
/// the command that was told, all the more to a flush.
#[derive(Clone, Debug, Default)]
pub(super) struct Resets(Arc<Mutex<Option<Sense>>>);

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advice {
    Again,
    Later,
    Never,
}

impl Retry {
    /// Waits for a busy unit for as long as `patience`, all pauses together.
    pub(crate) const fn new(patience: Duration) -> Self {
        Self { attentions: 0, pauses: 0, waited: Duration::ZERO, patience, notes: None, reserved: false }
    }

    /// Takes down in `resets` that a command was sent again after a reset.
    pub(super) fn noting(self, resets: &Resets) -> Self {
        Self { notes: Some(resets.clone()), ..self }
    }

    /// The same for an initiator that relies on a reservation if `reserved`: a reset, which may have ended it, is reported.
    pub(super) fn relying(self, reserved: bool) -> Self {
        Self { reserved, ..self }
    }

    /// Returns when the command may be sent again, or gives the error back.
    pub(crate) async fn wait(&mut self, error: CommandError) -> Result<(), CommandError> {
        tracing::debug!(%error, advice = ?advice(&error));
        match advice(&error) {
            _ if self.reserved && is_reset(&error) => return Err(error),
            Advice::Again if self.attentions < ATTENTIONS => self.attentions += 1,
            Advice::Later if self.waited < self.patience => {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.pauses.min(8)).min(LONGEST_PAUSE);
                let pause = pause.min(self.patience.saturating_sub(self.waited));
                self.pauses += 1;
                self.waited += pause;
                tokio::time::sleep(pause).await;
            }
            _ => return Err(error),
        }
        if let (Some(resets), CommandError::Sense(sense)) = (&self.notes, error) {
            resets.note(sense);
        }
        Ok(())
    }
}

impl Resets {
    /// Power on, reset or loss of the nexus.
    const RESET: u8 = 0x29;

    fn note(&self, sense: Sense) {
        if sense.asc == Self::RESET {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sense);
        }
    }

    /// What was noted since the last time.
    pub(super) fn take(&self) -> Option<Sense> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn advice(error: &CommandError) -> Advice {
    match error {
        CommandError::Status(Status::BUSY | Status::TASK_SET_FULL) => Advice::Later,
        CommandError::Sense(sense) => advice_of(sense),
        _ => Advice::Never,
    }
}

/// Whether a reset, a loss of power or of the nexus is reported.
fn is_reset(error: &CommandError) -> bool {
    matches!(error, CommandError::Sense(Sense { key: SenseKey::UnitAttention, asc: 0x29, .. }))
}

fn advice_of(sense: &Sense) -> Advice {
    match sense.code() {
        // Becoming ready; asymmetric access state transition.
        (SenseKey::NotReady, 0x04, 0x01 | 0x0a) => Advice::Later,
        (SenseKey::UnitAttention, asc, ascq) if is_harmless(asc, ascq) => Advice::Again,
        _ => Advice::Never,
    }
}

/// Whether what a UNIT ATTENTION reports leaves a command as right as it was. It does not where the medium, the
/// identity of the unit or a reservation may be another one.
const fn is_harmless(asc: u8, ascq: u8) -> bool {
    match asc {
        // Power on, reset, nexus loss; commands cleared; cleared by a protocol event.
        0x29 | 0x2f | 0x47 => true,
        // Parameters changed, but for reservations and registrations.
        0x2a => !matches!(ascq, 0x03..=0x05),
        // Target operating conditions changed: microcode, reported LUNs.
        0x3f => matches!(ascq, 0x01 | 0x0e),
        // Thin provisioning soft threshold.
        0x38 => ascq == 0x07,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sense(key: SenseKey, asc: u8, ascq: u8) -> CommandError {
        CommandError::Sense(Sense::new(key, asc, ascq))
    }

    #[test]
    fn r215_r216_r253_what_is_sent_again() {
        for (error, expected) in [
            (CommandError::Status(Status::BUSY), Advice::Later),
            (CommandError::Status(Status::TASK_SET_FULL), Advice::Later),
            (CommandError::Status(Status::RESERVATION_CONFLICT), Advice::Never),
            (CommandError::Status(Status::TASK_ABORTED), Advice::Never),
            (sense(SenseKey::UnitAttention, 0x29, 0), Advice::Again),
            (sense(SenseKey::UnitAttention, 0x2a, 0x09), Advice::Again),
            (sense(SenseKey::UnitAttention, 0x2a, 0x03), Advice::Never),
            (sense(SenseKey::UnitAttention, 0x28, 0), Advice::Never),
            (sense(SenseKey::UnitAttention, 0x3f, 0x03), Advice::Never),
            (sense(SenseKey::NotReady, 0x04, 0x01), Advice::Later),
            (sense(SenseKey::NotReady, 0x04, 0x02), Advice::Never),
            (sense(SenseKey::NotReady, 0x3a, 0), Advice::Never),
            (sense(SenseKey::AbortedCommand, 0x47, 0x05), Advice::Never),
            (sense(SenseKey::IllegalRequest, 0x29, 0), Advice::Never),
            (CommandError::Aborted, Advice::Never),
        ] {
            assert_eq!(advice(&error), expected, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn r297_a_unit_that_stays_busy_is_given_up_in_time() {
        let start = tokio::time::Instant::now();
        let mut retry = Retry::new(Duration::from_secs(3));
        let mut tries = 0;
        while retry.wait(CommandError::Status(Status::BUSY)).await.is_ok() {
            tries += 1;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        assert!((7..=10).contains(&tries), "{tries}");
    }

    #[tokio::test]
    async fn a_reset_is_reported_to_whoever_relies_on_a_reservation() {
        let reset = || sense(SenseKey::UnitAttention, 0x29, 0);
        let mut retry = Retry::new(Duration::from_secs(3)).relying(true);
        assert!(retry.wait(reset()).await.is_err());
        assert!(retry.wait(sense(SenseKey::UnitAttention, 0x2a, 0x09)).await.is_ok());
        assert!(Retry::new(Duration::from_secs(3)).relying(false).wait(reset()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn r297_attentions_without_end_are_given_up() {
        let mut retry = Retry::new(Duration::from_secs(3));
        for _ in 0..ATTENTIONS {
            assert!(retry.wait(sense(SenseKey::UnitAttention, 0x29, 0)).await.is_ok());
        }
        assert!(retry.wait(sense(SenseKey::UnitAttention, 0x29, 0)).await.is_err());
    }
}
