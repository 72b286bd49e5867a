//! The logical units of a target: what they are, what state they are in, and what their limits are.

use iscsi_initiator::core::{Command, CommandError};
use iscsi_initiator::{Lun, Session, good};
use iscsi_proto::scsi::{
    Command as Scsi, InquiryData, Lun as LunNumber, Qualifier, Sense, SenseKey, Status as ScsiStatus,
};

use super::finding::{Finding, Stage};
use crate::exit::Exit;
use crate::output::table::size;

/// Units that are looked at.
const MOST_UNITS: usize = 16;
/// Attentions that are taken from one unit.
const MOST_ATTENTIONS: usize = 8;
/// The additional sense code of attentions that every new session gets: power on, reset or bus device reset.
const RESET: u8 = 0x29;

/// What was found of the units.
#[derive(Default)]
pub(super) struct Units {
    pub(super) findings: Vec<Finding>,
    /// The first one that can be read.
    pub(super) readable: Option<Lun>,
}

/// Looks at all units, or at the one that is wanted.
pub(super) async fn look(session: &Session, wanted: Option<LunNumber>) -> Units {
    let mut units = Units::default();
    let luns = match session.luns().await {
        Ok(luns) => luns,
        Err(error) => {
            units.findings.push(Finding::command(Stage::Lun, "the list of LUNs cannot be had", error));
            return units;
        }
    };
    if let Some(finding) = missing(&luns, wanted) {
        units.findings.push(finding);
        return units;
    }
    let chosen: Vec<LunNumber> =
        luns.iter().copied().filter(|lun| wanted.is_none_or(|wanted| wanted == *lun)).collect();
    for lun in chosen.iter().take(MOST_UNITS) {
        look_at(session, *lun, &mut units).await;
    }
    if let Some(more) = chosen.len().checked_sub(MOST_UNITS).filter(|more| *more != 0) {
        units
            .findings
            .push(Finding::note(Stage::Lun, format!("{more} more LUNs were not looked at; name one in the URL")));
    }
    units
}

fn missing(luns: &[LunNumber], wanted: Option<LunNumber>) -> Option<Finding> {
    if luns.is_empty() {
        let finding = Finding::warning(Stage::Lun, "the target has no LUN for this initiator");
        return Some(finding.advise("assign one on the target; some targets hide LUNs by the name of the initiator"));
    }
    let wanted = wanted.filter(|wanted| !luns.contains(wanted))?;
    let numbers: Vec<String> = luns.iter().take(MOST_UNITS).map(ToString::to_string).collect();
    let text = format!("the target has no LUN {wanted} for this initiator");
    Some(Finding::problem(Stage::Lun, Exit::NothingFound, text).advise(format!("it has: {}", numbers.join(", "))))
}

async fn look_at(session: &Session, lun: LunNumber, units: &mut Units) {
    let number = lun.number().map_or_else(|| u64::from_be_bytes(lun.to_bytes()), u64::from);
    let begin = units.findings.len();
    match session.inquiry(lun).await {
        Ok(inquiry) => describe(session, lun, &inquiry, units).await,
        Err(error) => units.findings.push(Finding::command(Stage::Lun, "it does not say what it is", error)),
    }
    for finding in units.findings.iter_mut().skip(begin) {
        *finding = finding.clone().about(number);
    }
}

async fn describe(session: &Session, lun: LunNumber, inquiry: &InquiryData, units: &mut Units) {
    let peripheral = inquiry.peripheral;
    let names = [inquiry.vendor.trim(), inquiry.product.trim()].join(" ");
    let what = format!("{}, {}", peripheral.device, names.trim());
    if peripheral.qualifier != Qualifier::Connected || !peripheral.device.is_block() {
        units.findings.push(Finding::ok(Stage::Lun, what));
        return;
    }
    let (ready, state) = state(session, lun).await;
    if !ready {
        units.findings.push(Finding::ok(Stage::Lun, what));
        units.findings.extend(state);
        return;
    }
    match session.open(lun).await {
        Ok(unit) => {
            let text = format!("{what}, {} in blocks of {}", size(unit.len()), unit.block_size());
            units.findings.push(Finding::ok(Stage::Lun, text));
            units.findings.extend(state);
            units.findings.extend(limits(&unit));
            units.readable.get_or_insert(unit);
        }
        Err(error) => units.findings.push(Finding::command(Stage::Lun, &format!("{what} cannot be used"), error)),
    }
}

/// Whether a unit takes commands, and what it reports first. Attentions are taken away.
async fn state(session: &Session, lun: LunNumber) -> (bool, Vec<Finding>) {
    let mut findings = Vec::new();
    for _ in 0..MOST_ATTENTIONS {
        let command = Command::new(Scsi::TestUnitReady.encode());
        let Err(error) = session.execute(lun, command).await.and_then(good) else { return (true, findings) };
        match error {
            CommandError::Sense(sense) if sense.key == SenseKey::UnitAttention => findings.extend(attention(&sense)),
            error => {
                findings.push(not_ready(error));
                return (false, findings);
            }
        }
    }
    findings.push(Finding::warning(Stage::Lun, "it reports one UNIT ATTENTION after the other"));
    (true, findings)
}

fn attention(sense: &Sense) -> Option<Finding> {
    let text = format!("it reported first, as it does once after a change: {sense}");
    (sense.code().1 != RESET).then(|| Finding::note(Stage::Lun, text))
}

fn not_ready(error: CommandError) -> Finding {
    match &error {
        CommandError::Sense(sense) if sense.key == SenseKey::NotReady => {
            Finding::problem(Stage::Lun, Exit::Failure, format!("it is not ready: {sense}"))
                .advise("look at the backing store of the LUN on the target: offline, starting, or no medium")
        }
        CommandError::Status(ScsiStatus::RESERVATION_CONFLICT) => Finding::warning(
            Stage::Lun,
            "another initiator has reserved it (RESERVATION CONFLICT)",
        )
        .advise(
            "that is how clusters keep others off; if nobody uses it, clear the reservation from the one that holds it",
        ),
        CommandError::Status(ScsiStatus::BUSY | ScsiStatus::TASK_SET_FULL) => {
            Finding::warning(Stage::Lun, format!("it is busy: {error}")).advise("try again when there is less to do")
        }
        _ => Finding::command(Stage::Lun, "it does not say whether it is ready", error),
    }
}

fn limits(unit: &Lun) -> Vec<Finding> {
    let mut findings = Vec::new();
    if unit.is_read_only() {
        findings.push(
            Finding::note(Stage::Lun, "it is write protected")
                .advise("if that is not wanted, look at its setup on the target"),
        );
    }
    let block = u64::from(unit.block_size());
    let longest = unit.limits().map_or(0, |limits| u64::from(limits.max_transfer)) * block;
    let mut words = vec![if longest == 0 {
        "a command of any length".to_owned()
    } else {
        format!("up to {} per command", size(longest))
    }];
    if let Some(limits) = unit.limits() {
        if limits.optimal_transfer != 0 {
            words.push(format!("best {}", size(u64::from(limits.optimal_transfer) * block)));
        }
        if limits.unmap_blocks != 0 && unit.capacity().provisioned {
            words.push("UNMAP".to_owned());
        }
    }
    words.push(if unit.capacity().provisioned { "thin" } else { "not thin" }.to_owned());
    words.extend(cache(unit));
    if unit.capacity().physical_len() != block {
        words.push(format!("physical blocks of {}", unit.capacity().physical_len()));
    }
    findings.push(Finding::ok(Stage::Limits, words.join(", ")));
    findings
}

fn cache(unit: &Lun) -> Option<String> {
    let cached = unit.has_write_cache()?;
    Some(if cached { "write cache (flush after writing)" } else { "no write cache" }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn a_lun_that_is_not_there_is_a_problem_and_none_at_all_a_warning() {
        let luns = [LunNumber::ZERO, LunNumber::from_number(5).unwrap()];
        assert_eq!(missing(&luns, None), None);
        assert_eq!(missing(&luns, Some(LunNumber::ZERO)), None);
        let finding = missing(&luns, LunNumber::from_number(9)).unwrap();
        assert_eq!((finding.status, finding.exit), (Status::Problem, Exit::NothingFound));
        assert_eq!(finding.advice.as_deref(), Some("it has: 0, 5"));
        assert_eq!(missing(&[], None).unwrap().status, Status::Warning);
    }

    #[test]
    fn the_state_of_a_unit_is_judged_by_what_it_answers() {
        let sense = |key, asc, ascq| CommandError::Sense(Sense::new(key, asc, ascq));
        for (error, status, part) in [
            (sense(SenseKey::NotReady, 4, 1), Status::Problem, "not ready"),
            (sense(SenseKey::HardwareError, 0x44, 0), Status::Problem, "does not say"),
            (CommandError::Status(ScsiStatus::RESERVATION_CONFLICT), Status::Warning, "reserved"),
            (CommandError::Status(ScsiStatus::BUSY), Status::Warning, "busy"),
        ] {
            let finding = not_ready(error);
            assert!(finding.status == status && finding.text.contains(part), "{finding:?}");
        }
    }

    #[test]
    fn the_attention_of_every_new_session_is_nothing_to_speak_of() {
        assert_eq!(attention(&Sense::POWER_ON), None);
        let changed = attention(&Sense::new(SenseKey::UnitAttention, 0x3f, 0x0e)).unwrap();
        assert_eq!(changed.status, Status::Note);
    }
}
