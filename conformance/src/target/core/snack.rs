//! SNACK: what was lost on its way is sent again (RFC 7143, section 11.16).

use iscsi_proto::pdu::{Header, Numbering, RejectReason, Snack, SnackType};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::full::FullFeature;
use super::kept::{Done, Run};

/// Why a SNACK is rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    /// A field makes no sense.
    Field,
    /// It names what was not sent or is acknowledged; the number of the next PDU.
    Range(Serial),
    /// What it names is kept no more.
    Gone,
    /// There is nothing to acknowledge by that tag and number.
    Acknowledgement,
}

impl FullFeature {
    pub(super) fn snack(&mut self, header: &Header) {
        if !self.params.recovers_data() {
            return self.reject(RejectReason::SnackReject, header);
        }
        let result = match Snack::parse(header) {
            Ok(snack) => self.answer_snack(&snack),
            Err(_) => Err(Refused::Field),
        };
        match result {
            Ok(()) => {}
            Err(Refused::Field) => self.reject(RejectReason::InvalidPduField, header),
            Err(Refused::Range(next)) => self.reject_with(RejectReason::ProtocolError, next, header),
            Err(Refused::Gone) => self.reject(RejectReason::SnackReject, header),
            Err(Refused::Acknowledgement) => self.reject(RejectReason::InvalidDataAck, header),
        }
    }

    fn answer_snack(&mut self, snack: &Snack) -> Result<(), Refused> {
        let run = Run { begin: snack.begin, length: snack.length };
        let (itt, tag) = (snack.itt.is_reserved(), Ttt(snack.tag).is_reserved());
        match snack.kind {
            SnackType::Data if !itt && tag => self.send_again(snack.itt, run),
            SnackType::Status if itt && tag => self.send_statuses(run),
            SnackType::DataAck if itt && !tag && run.length == 0 => self.data_ack(snack),
            SnackType::RData if !itt && !tag && snack.tag != 0 && run.is_all() => self.cut_again(snack.itt, snack.tag),
            _ => Err(Refused::Field),
        }
    }

    /// Data-In or R2T PDUs of a command.
    fn send_again(&mut self, itt: Itt, run: Run) -> Result<(), Refused> {
        if let Some(transfer) = self.transfers.get(&itt).filter(|transfer| transfer.work.is_some()) {
            let r2ts = transfer.asked_again(run).map_err(Refused::Range)?;
            for asked in r2ts {
                self.send_r2t(itt, asked);
            }
            return Ok(());
        }
        self.with_done(itt, |this, done| this.send_data_again(done, run))
    }

    /// Works on a command that was answered and whose status is not acknowledged.
    fn with_done(
        &mut self,
        itt: Itt,
        work: impl FnOnce(&mut Self, &mut Done) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let done = self.out.kept().and_then(|kept| kept.take(itt));
        let Some(mut done) = done else { return Err(Refused::Range(Serial(0))) };
        let result = work(self, &mut done);
        if let Some(kept) = self.out.kept() {
            kept.put_back(done);
        }
        result
    }

    /// The Data-In PDUs of a run, as they were.
    fn send_data_again(&mut self, done: &Done, run: Run) -> Result<(), Refused> {
        let (begin, end) = run.within(done.acknowledged, done.next()).map_err(Refused::Range)?;
        if !done.has_data && begin != end {
            return Err(Refused::Gone);
        }
        let (exp_cmd_sn, max_cmd_sn) = self.session.numbers();
        let named = done.cut.pieces(done.total).filter(|piece| begin.le(piece.data_sn) && piece.data_sn.lt(end));
        for piece in named {
            let has_status = done.collapsed && piece.last;
            let stat_sn = if has_status { done.stat_sn } else { Serial(0) };
            let numbering = Numbering { stat_sn, exp_cmd_sn, max_cmd_sn };
            let pdu = done.answer.data_in(done.cut, piece, has_status, numbering);
            self.out.push_again(pdu.encode(), done.answer.data.slice(piece.offset, piece.len));
        }
        Ok(())
    }

    /// Responses, as they were but for the command window.
    fn send_statuses(&mut self, run: Run) -> Result<(), Refused> {
        let next = self.out.next_stat_sn();
        let Some(kept) = self.out.kept() else { return Err(Refused::Gone) };
        let statuses = kept.statuses(run, next).map_err(Refused::Range)?.ok_or(Refused::Gone)?;
        let (exp_cmd_sn, max_cmd_sn) = self.session.numbers();
        for (header, data) in statuses {
            self.out.push_again(with_window(header, exp_cmd_sn, max_cmd_sn), data);
        }
        Ok(())
    }

    /// Data up to, but without, a DataSN has arrived.
    fn data_ack(&mut self, snack: &Snack) -> Result<(), Refused> {
        let itt = self.out.kept().and_then(|kept| kept.by_ttt(Ttt(snack.tag))).ok_or(Refused::Acknowledgement)?;
        self.with_done(itt, |_, done| {
            let fits = done.acknowledged.le(snack.begin) && snack.begin.le(done.next());
            if !fits || snack.lun != done.answer.lun {
                return Err(Refused::Acknowledgement);
            }
            done.acknowledge(snack.begin);
            Ok(())
        })
    }

    /// All data that is not acknowledged, in pieces of the size that holds now, and a response of its own with the tag.
    fn cut_again(&mut self, itt: Itt, tag: u32) -> Result<(), Refused> {
        let segment = self.params.max_send as usize;
        self.with_done(itt, |this, done| {
            if !done.has_data && done.acknowledged != done.next() {
                return Err(Refused::Gone);
            }
            done.cut = done.cut.again(done.acknowledged, segment, done.total);
            (done.collapsed, done.snack_tag) = (false, tag);
            this.send_data_again(done, Run { begin: Serial(0), length: 0 })?;
            let (exp_cmd_sn, max_cmd_sn) = this.session.numbers();
            let numbering = Numbering { stat_sn: done.stat_sn, exp_cmd_sn, max_cmd_sn };
            let (header, data) = done.answer.response(numbering, done.next(), tag);
            if let Some(kept) = this.out.kept() {
                kept.replace(header, data.clone());
            }
            this.out.push_again(header, data);
            Ok(())
        })
    }
}

/// A response with the command window of now.
fn with_window(header: Header, exp_cmd_sn: Serial, max_cmd_sn: Serial) -> Header {
    let mut bytes: [u8; 48] = *header.as_bytes();
    for (at, number) in [(28, exp_cmd_sn), (32, max_cmd_sn)] {
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&number.0.to_be_bytes());
        }
    }
    Header(bytes)
}
