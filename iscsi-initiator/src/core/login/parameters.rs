use std::collections::BTreeMap;

use iscsi_proto::keys::negotiate::{Outcome, answer, check_together, conclude, declared, is_decided};
use iscsi_proto::keys::value::list;
use iscsi_proto::keys::{IRRELEVANT, Key, NONE, REJECT, ResultFunction, ValueKind, value};

use super::LoginError;
use super::config::Purpose;
use super::security::Pairs;
use crate::core::misbehaved::PeerMisbehaved;
use crate::core::params::{Negotiated, Offer, TaskReporting};

/// The operational keys: what we want, what is settled, and what the target still owes an answer.
#[derive(Debug)]
pub(super) struct Parameters {
    ours: Vec<(Key, String)>,
    discovery: bool,
    /// The values that hold already: those of the session, or the defaults.
    base: Negotiated,
    pending: BTreeMap<Key, String>,
    settled: BTreeMap<Key, String>,
}

/// What came of the operational stage.
pub(super) struct Settled {
    pub(super) negotiated: Negotiated,
    pub(super) unanswered: Vec<Key>,
}

impl Parameters {
    pub(super) fn new(offer: &Offer, purpose: &Purpose) -> Result<Self, LoginError> {
        let discovery = purpose.is_discovery();
        let ours = wishes(offer, discovery);
        ours.iter().try_for_each(|(key, value)| check_bounds(*key, value, offer))?;
        let mut base = match purpose {
            Purpose::Connection { in_force, .. } => {
                Negotiated { header_digest: false, data_digest: false, ..*in_force.clone() }
            }
            _ => Negotiated::default(),
        };
        base.max_send_data_segment_length = Negotiated::default().max_send_data_segment_length;
        base.max_recv_data_segment_length = offer.max_recv_data_segment_length;
        let relevant = |key: Key| {
            let spec = key.spec();
            !(discovery && spec.irrelevant_in_discovery) && (purpose.is_leading() || !spec.leading_only)
        };
        let pending = ours.iter().filter(|(key, _)| relevant(*key)).cloned().collect();
        Ok(Self { ours, discovery, base, pending, settled: BTreeMap::new() })
    }

    /// What to offer and to declare, in the order of the key table.
    pub(super) fn offers(&mut self) -> Pairs {
        let offers = self.pending.clone().into_iter().collect();
        self.pending.remove(&Key::MaxRecvDataSegmentLength);
        offers
    }

    /// The target's answer, declaration or offer; gives our answer, if it takes one. `last` is its T bit.
    pub(super) fn take(&mut self, key: Key, value: &str, last: bool) -> Result<Option<String>, LoginError> {
        if key.spec().result == ResultFunction::Declarative {
            declared(key, value)?;
            self.settled.insert(key, value.to_owned());
            return Ok(None);
        }
        match self.pending.remove(&key) {
            Some(offer) => self.conclude(key, &offer, value).map(|()| None),
            None => self.answer(key, value, last),
        }
    }

    /// Whether the value holds already.
    pub(super) fn holds(&self, key: Key, value: &str) -> bool {
        let mut with = self.base.clone();
        put(&mut with, key, value);
        let known = self.ours.iter().any(|(ours, _)| *ours == key);
        known && declared(key, value).is_ok() && with == self.base
    }

    /// The values in force, now that the target has ended the stage.
    pub(super) fn finish(mut self) -> Result<Settled, LoginError> {
        let pending = std::mem::take(&mut self.pending);
        let unanswered: Vec<Key> =
            pending.iter().filter(|(key, offer)| !is_decided(**key, offer)).map(|(key, _)| *key).collect();
        pending.iter().try_for_each(|(key, offer)| self.keep(*key, offer))?;
        self.cap_first_burst();
        check_together(|key| self.settled.get(&key).map(String::as_str))?;
        let mut negotiated = self.base;
        self.settled.iter().for_each(|(key, value)| put(&mut negotiated, *key, value));
        Ok(Settled { negotiated, unanswered })
    }

    fn conclude(&mut self, key: Key, offer: &str, value: &str) -> Result<(), LoginError> {
        if value == NONE && !list(offer).any(|item| item == NONE) && matches!(key, Key::HeaderDigest | Key::DataDigest)
        {
            return Err(LoginError::Declined { key, offered: offer.to_owned() });
        }
        match conclude(key, offer, value)? {
            Outcome::Agreed(value) => {
                self.settled.insert(key, value);
                Ok(())
            }
            Outcome::Kept | Outcome::Irrelevant => self.keep(key, offer),
            Outcome::NotUnderstood => Ok(()),
        }
    }

    /// No value was agreed on: the default stays. For a digest or a boolean, it has to be one that we offered.
    fn keep(&mut self, key: Key, offer: &str) -> Result<(), LoginError> {
        if is_decided(key, offer) {
            self.settled.insert(key, offer.to_owned());
            return Ok(());
        }
        let default = key.spec().default.unwrap_or_default();
        let numeric = matches!(key.spec().value, ValueKind::Number { .. });
        if numeric || conclude(key, offer, default).is_ok() {
            return Ok(());
        }
        Err(LoginError::Declined { key, offered: offer.to_owned() })
    }

    fn answer(&mut self, key: Key, offer: &str, last: bool) -> Result<Option<String>, LoginError> {
        let reply = if self.discovery && key.spec().irrelevant_in_discovery {
            declared(key, offer)?;
            IRRELEVANT.to_owned()
        } else if matches!(key, Key::OfMarker | Key::IfMarker) {
            // `Reject` would be as good, but tgt takes it for an error of ours (section 13.25 allows both).
            "No".to_owned()
        } else {
            answer(key, offer, self.wish(key))?
        };
        let harmless = key.spec().result == ResultFunction::Obsolete && offer == "No";
        if last && !harmless && !is_decided(key, offer) {
            return Err(PeerMisbehaved::LateOffer { key }.into());
        }
        if reply != REJECT && reply != IRRELEVANT {
            self.settled.insert(key, reply.clone());
        }
        Ok((!last).then_some(reply))
    }

    /// What we want for a key, whether we offer it in this login or not.
    fn wish(&self, key: Key) -> &str {
        let found = self.ours.iter().find(|(ours, _)| *ours == key).map(|(_, value)| value.as_str());
        found.or(key.spec().default).unwrap_or_default()
    }

    /// A default FirstBurstLength above an agreed MaxBurstLength is nobody's fault: the lesser one limits both.
    fn cap_first_burst(&mut self) {
        let Some(max) =
            self.settled.get(&Key::MaxBurstLength).filter(|_| !self.settled.contains_key(&Key::FirstBurstLength))
        else {
            return;
        };
        if number(max) < Negotiated::default().first_burst_length {
            self.settled.insert(Key::FirstBurstLength, max.clone());
        }
    }
}

/// Our wish for every key that we know how to use.
fn wishes(offer: &Offer, discovery: bool) -> Vec<(Key, String)> {
    let yes_no = |yes| String::from(if yes { "Yes" } else { "No" });
    let recovery = if discovery { 0 } else { offer.error_recovery_level };
    // Sequences are in order, so with recovery only the last R2T can be asked for again (section 13.19).
    let r2ts = if recovery == 0 { offer.max_outstanding_r2t } else { offer.max_outstanding_r2t.min(1) };
    let level = offer.protocol_level.map(|level| (Key::ProtocolLevel, level.to_string()));
    [
        (Key::HeaderDigest, offer.header_digest.as_str().to_owned()),
        (Key::DataDigest, offer.data_digest.as_str().to_owned()),
        (Key::MaxConnections, offer.max_connections.to_string()),
        (Key::InitialR2T, yes_no(offer.initial_r2t)),
        (Key::ImmediateData, yes_no(offer.immediate_data)),
        (Key::MaxRecvDataSegmentLength, offer.max_recv_data_segment_length.to_string()),
        (Key::MaxBurstLength, offer.max_burst_length.to_string()),
        (Key::FirstBurstLength, offer.first_burst_length.to_string()),
        (Key::DefaultTime2Wait, offer.default_time2wait.to_string()),
        (Key::DefaultTime2Retain, offer.default_time2retain.to_string()),
        (Key::MaxOutstandingR2T, r2ts.to_string()),
        (Key::DataPduInOrder, yes_no(true)),
        (Key::DataSequenceInOrder, yes_no(true)),
        (Key::ErrorRecoveryLevel, recovery.to_string()),
    ]
    .into_iter()
    .chain(level)
    .collect()
}

fn check_bounds(key: Key, value: &str, offer: &Offer) -> Result<(), LoginError> {
    let Some((min, max)) = key.spec().bounds() else {
        return Ok(());
    };
    let max = match key {
        Key::FirstBurstLength => max.min(offer.max_burst_length.into()),
        Key::ProtocolLevel => 2,
        _ => max,
    };
    if value::number(value).is_ok_and(|number| (min..=max).contains(&number)) {
        return Ok(());
    }
    Err(LoginError::InvalidOffer { key, value: value.to_owned(), range: format!("{min} to {max}") })
}

fn put(negotiated: &mut Negotiated, key: Key, value: &str) {
    let yes = value == "Yes";
    match key {
        Key::HeaderDigest => negotiated.header_digest = value == "CRC32C",
        Key::DataDigest => negotiated.data_digest = value == "CRC32C",
        Key::MaxConnections => negotiated.max_connections = number(value) as u16,
        Key::InitialR2T => negotiated.initial_r2t = yes,
        Key::ImmediateData => negotiated.immediate_data = yes,
        Key::MaxRecvDataSegmentLength => negotiated.max_send_data_segment_length = number(value),
        Key::MaxBurstLength => negotiated.max_burst_length = number(value),
        Key::FirstBurstLength => negotiated.first_burst_length = number(value),
        Key::DefaultTime2Wait => negotiated.default_time2wait = number(value) as u16,
        Key::DefaultTime2Retain => negotiated.default_time2retain = number(value) as u16,
        Key::MaxOutstandingR2T => negotiated.max_outstanding_r2t = number(value) as u16,
        Key::DataPduInOrder => negotiated.data_pdu_in_order = yes,
        Key::DataSequenceInOrder => negotiated.data_sequence_in_order = yes,
        Key::ErrorRecoveryLevel => negotiated.error_recovery_level = number(value) as u8,
        Key::TaskReporting => negotiated.task_reporting = task_reporting(value),
        Key::ProtocolLevel => negotiated.protocol_level = number(value) as u8,
        _ => {}
    }
}

fn task_reporting(value: &str) -> TaskReporting {
    match value {
        "FastAbort" => TaskReporting::FastAbort,
        "ResponseFence" => TaskReporting::ResponseFence,
        _ => TaskReporting::Rfc3720,
    }
}

/// A number whose bounds were checked when it was taken.
fn number(value: &str) -> u32 {
    value::number(value).ok().and_then(|number| number.try_into().ok()).unwrap_or_default()
}
