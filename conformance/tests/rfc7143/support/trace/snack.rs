//! The rules of SNACK, at error recovery level 1 and up (section 11.16).

use iscsi_proto::pdu::{Snack, SnackType};
use iscsi_proto::scsi::Lun;

use super::full::Full;
use super::{Broken, rule};

const RESERVED: u32 = u32::MAX;

impl Full {
    pub(super) fn snack(&mut self, snack: &Snack) -> Result<(), Broken> {
        let ack = snack.kind == SnackType::DataAck;
        rule!(ack || snack.lun == Lun::ZERO, "a LUN in {snack:?}");
        match snack.kind {
            SnackType::Data => self.data_snack(snack),
            SnackType::Status => self.status_snack(snack),
            SnackType::DataAck => self.data_ack(snack),
            SnackType::RData => self.r_data_snack(snack),
        }
    }

    fn data_snack(&mut self, snack: &Snack) -> Result<(), Broken> {
        rule!(snack.tag == RESERVED, "a tag in {snack:?}");
        let Some(task) = self.unacknowledged(snack.itt, snack.exp_stat_sn) else {
            return Err(format!("{snack:?} is for no task, or for one whose status is acknowledged"));
        };
        let (begin, sent, acknowledged) = (snack.begin.0, task.sent, task.acknowledged);
        rule!(begin >= acknowledged, "{snack:?} asks for what was acknowledged, up to {acknowledged}");
        let end = begin.checked_add(snack.length);
        rule!(
            begin < sent && end.is_some_and(|end| end <= sent),
            "{snack:?} asks for what was never sent; {sent} were"
        );
        Ok(())
    }

    fn status_snack(&mut self, snack: &Snack) -> Result<(), Broken> {
        rule!(snack.itt.is_reserved() && snack.tag == RESERVED, "a tag in {snack:?}");
        let (acknowledged, next) = self.statuses();
        rule!(!snack.begin.lt(acknowledged), "{snack:?} asks for status that is acknowledged, up to {acknowledged}");
        let end = snack.begin.add(snack.length);
        rule!(snack.begin.lt(next) && end.le(next), "{snack:?} asks for status that was never sent; next is {next}");
        Ok(())
    }

    fn data_ack(&mut self, snack: &Snack) -> Result<(), Broken> {
        rule!(snack.itt.is_reserved() && snack.length == 0, "a task or a length in {snack:?}");
        let Some(wanted) = self.take_wanted(snack.tag, snack.lun) else {
            return Err(format!("{snack:?} acknowledges what nobody wants to know of"));
        };
        let Some(task) = self.unacknowledged(wanted.itt, snack.exp_stat_sn) else {
            return Err(format!("{snack:?} comes after the status was acknowledged"));
        };
        let (begin, sent, next) = (snack.begin.0, task.sent, wanted.next);
        rule!(begin >= next && begin <= sent, "{snack:?} acknowledges up to {begin}, wanted was {next}, sent {sent}");
        task.acknowledged = begin;
        Ok(())
    }

    fn r_data_snack(&mut self, snack: &Snack) -> Result<(), Broken> {
        rule!(snack.begin.0 == 0 && snack.length == 0, "a run in {snack:?}");
        let Some(task) = self.unacknowledged(snack.itt, snack.exp_stat_sn) else {
            return Err(format!("{snack:?} is for no task, or for one whose status is acknowledged"));
        };
        let used = task.tags.contains(&snack.tag);
        rule!(snack.tag != 0 && snack.tag != RESERVED && !used, "the tag of {snack:?} is reserved or was used");
        task.tags.push(snack.tag);
        Ok(())
    }
}
