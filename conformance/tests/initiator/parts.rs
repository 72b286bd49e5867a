//! Transfers that take more than one command, of which one fails.

use std::time::Duration;

use iscsi_initiator::core::CommandError;
use iscsi_proto::pdu::{Opcode, ScsiCommand};
use iscsi_proto::scsi::{SenseKey, Status};

use super::peer::{Answer, GOOD, PART, disk};

const CONFLICT: Answer = Answer::Status(Status::RESERVATION_CONFLICT);
const MEDIUM: Answer = Answer::Sense(SenseKey::MediumError, 0x0c, 0);
/// The unit was reset.
const RESET: Answer = Answer::Sense(SenseKey::UnitAttention, 0x29, 0);
const LATE: Answer = Answer::After(Duration::from_secs(1));

/// Answers one command after the other, the last answer for all that follow.
fn in_turn(answers: &'static [Answer]) -> impl FnMut(&ScsiCommand) -> Answer + Send + 'static {
    let mut given = 0;
    move |_| {
        given += 1;
        answers[answers.len().min(given) - 1]
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_leaves_no_command_behind() {
    let (session, lun) = disk(in_turn(&[MEDIUM, LATE])).await;
    let error = lun.write_at(0, vec![7; 8 * PART]).await.unwrap_err();
    assert!(matches!(error, CommandError::Sense(sense) if sense.key == SenseKey::MediumError), "{error}");
    assert_eq!(session.stats().await.unwrap().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_leaves_no_command_behind() {
    let (session, lun) = disk(in_turn(&[MEDIUM, LATE])).await;
    let error = lun.read_at(0, 8 * PART).await.unwrap_err();
    assert!(matches!(error, CommandError::Sense(sense) if sense.key == SenseKey::MediumError), "{error}");
    assert_eq!(session.stats().await.unwrap().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn after_an_error_no_further_part_is_sent() {
    let (session, lun) = disk(in_turn(&[MEDIUM, GOOD])).await;
    let before = session.stats().await.unwrap();
    lun.write_at(0, vec![7; 20 * PART]).await.unwrap_err();
    let after = session.stats().await.unwrap();
    assert_eq!(after.pdus(Opcode::ScsiCommand) - before.pdus(Opcode::ScsiCommand), 8);
}

#[tokio::test(start_paused = true)]
async fn a_write_of_which_a_part_took_place_is_not_called_not_executed() {
    for (answers, executed) in [
        (&[CONFLICT][..], false),
        (&[GOOD, CONFLICT], true),
        (&[CONFLICT, GOOD], true),
        (&[CONFLICT, MEDIUM], true),
        (&[CONFLICT, Answer::Status(Status::BUSY)], false),
        (&[MEDIUM, CONFLICT], true),
    ] {
        let (_session, lun) = disk(in_turn(answers)).await;
        let error = lun.write_at(0, vec![7; 2 * PART]).await.unwrap_err();
        assert_eq!(error.is_known_not_executed(), !executed, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_write_tells_why_and_that_it_is_one() {
    let (_session, lun) = disk(in_turn(&[GOOD, CONFLICT])).await;
    let error = lun.write_at(0, vec![7; 2 * PART]).await.unwrap_err();
    let CommandError::Partial { error: inner } = &error else { panic!("{error:?}") };
    assert!(matches!(**inner, CommandError::Status(Status::RESERVATION_CONFLICT)), "{inner}");
    assert_eq!(error.is_retriable(), inner.is_retriable());
    assert_eq!(error.to_string(), format!("{inner}; other parts of the range may have been written"));
    let kinds = [error.clone(), (**inner).clone()].map(|error| std::io::Error::from(error).kind());
    assert_eq!(kinds, [std::io::ErrorKind::PermissionDenied; 2]);
}

#[tokio::test(start_paused = true)]
async fn r253_a_flush_after_a_reset_is_no_success() {
    let flushing: &[Answer] = &[GOOD, RESET, GOOD];
    let reading: &[Answer] = &[GOOD, RESET, GOOD];
    let writing: &[Answer] = &[RESET, GOOD];
    for (answers, read_first) in [(flushing, false), (reading, true), (writing, true)] {
        let (_session, lun) = disk(in_turn(answers)).await;
        lun.write_at(0, vec![7; PART]).await.unwrap();
        if read_first {
            lun.read_at(0, 512).await.unwrap();
        }
        let error = lun.flush().await.unwrap_err();
        assert!(matches!(&error, CommandError::Sense(sense) if sense.asc == 0x29), "{error}");
        lun.flush().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r253_attentions_that_lose_nothing_do_not_fail_a_flush() {
    const LUNS_CHANGED: Answer = Answer::Sense(SenseKey::UnitAttention, 0x3f, 0x0e);
    let (_session, lun) = disk(in_turn(&[GOOD, LUNS_CHANGED, GOOD])).await;
    lun.write_at(0, vec![7; PART]).await.unwrap();
    lun.flush().await.unwrap();
}
