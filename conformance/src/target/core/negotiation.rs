//! The keys of one login, as the accepting side sees them (RFC 7143, sections 6.2, 6.3 and 13).

use std::collections::{HashMap, HashSet};

use iscsi_proto::keys::negotiate::{self, Outcome};
use iscsi_proto::keys::text::Pair;
use iscsi_proto::keys::{IRRELEVANT, Key, NOT_UNDERSTOOD, Party, REJECT, ResultFunction, Stage, value};
use iscsi_proto::name::IscsiName;

use super::params::Params;
use super::refusal::Refusal;
use crate::target::config::{DigestPolicy, Limits};

/// A pair to send.
pub(super) type Answer = (String, String);
/// Pairs that belong to authentication.
pub(super) type SecurityKeys<'a> = Vec<(Key, &'a Pair)>;

/// What was declared and settled so far.
#[derive(Debug, Default)]
pub(super) struct Negotiation {
    seen: HashSet<String>,
    /// Values in force.
    settled: HashMap<Key, String>,
    /// Our own offers that wait for an answer.
    offers: HashMap<Key, String>,
    declared_own: bool,
}

/// Who logs in, and where to.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    pub(super) initiator: Option<IscsiName>,
    pub(super) target: Option<IscsiName>,
    pub(super) discovery: bool,
}

/// What the keys of a login are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) limits: &'a Limits,
    pub(super) stage: Stage,
    pub(super) discovery: bool,
    /// Whether this is the first connection of its session.
    pub(super) leading: bool,
}

impl Introduction {
    /// Reads the keys that the first text of a login has to hold.
    pub(super) fn read(pairs: &[Pair]) -> Result<Self, Refusal> {
        let find = |key: Key| pairs.iter().find(|pair| pair.key == key.as_ref()).map(|pair| pair.value.as_str());
        let name = |key| find(key).map(IscsiName::new).transpose().map_err(Refusal::initiator);
        let discovery = match find(Key::SessionType) {
            None | Some("Normal") => false,
            Some("Discovery") => true,
            Some(other) => return Err(Refusal::initiator(format!("SessionType={other:?}"))),
        };
        Ok(Self { initiator: name(Key::InitiatorName)?, target: name(Key::TargetName)?, discovery })
    }
}

impl Negotiation {
    /// Takes all pairs but those of authentication, which it gives back; the rest is answered.
    pub(super) fn take<'p>(
        &mut self,
        pairs: &'p [Pair],
        context: Context<'_>,
    ) -> Result<(Vec<Answer>, SecurityKeys<'p>), Refusal> {
        let (mut answers, mut security) = (Vec::new(), Vec::new());
        // FirstBurstLength is judged by what MaxBurstLength comes to, MaxOutstandingR2T by ErrorRecoveryLevel.
        let first = [Key::MaxBurstLength, Key::ErrorRecoveryLevel];
        let (first, others): (Vec<_>, Vec<_>) =
            pairs.iter().partition(|pair| first.iter().any(|key| pair.key == key.as_ref()));
        for pair in first.into_iter().chain(others) {
            if !self.seen.insert(pair.key.clone()) {
                return Err(Refusal::initiator(format!("{} comes twice", pair.key)));
            }
            match Key::from_name(&pair.key) {
                None => answers.push((pair.key.clone(), NOT_UNDERSTOOD.into())),
                Some(key) if is_security(key) && context.stage == Stage::Security => security.push((key, pair)),
                Some(key) => answers.extend(self.known(key, &pair.value, context)?),
            }
        }
        Ok((answers, security))
    }

    fn known(&mut self, key: Key, offer: &str, context: Context<'_>) -> Result<Option<Answer>, Refusal> {
        let spec = key.spec();
        if let Some(own) = self.offers.remove(&key) {
            return self.conclude(key, &own, offer, context).map(|()| None);
        }
        if !spec.allowed(Party::Initiator, context.stage) {
            return Err(Refusal::initiator(format!("{key} has no place in this stage")));
        }
        if spec.result == ResultFunction::Declarative {
            negotiate::declared(key, offer).map_err(Refusal::initiator)?;
            self.settled.insert(key, offer.to_owned());
            return Ok(None);
        }
        if spec.leading_only && !context.leading {
            return Err(Refusal::initiator(format!("{key} belongs to the first connection of a session")));
        }
        if spec.irrelevant_in_discovery && context.discovery {
            return Ok(Some((spec.name.into(), IRRELEVANT.into())));
        }
        let answer = negotiate::answer(key, offer, &self.ours(key, context)).map_err(Refusal::initiator)?;
        self.settle(key, &answer)?;
        Ok(Some((spec.name.into(), answer)))
    }

    fn settle(&mut self, key: Key, answer: &str) -> Result<(), Refusal> {
        if answer != REJECT {
            self.settled.insert(key, answer.to_owned());
        } else if matches!(key, Key::HeaderDigest | Key::DataDigest) {
            return Err(Refusal::initiator(format!("no {key} in common")));
        }
        Ok(())
    }

    fn conclude(&mut self, key: Key, own: &str, answer: &str, context: Context<'_>) -> Result<(), Refusal> {
        match negotiate::conclude(key, own, answer).map_err(Refusal::initiator)? {
            Outcome::Agreed(result) => {
                self.settled.insert(key, result);
                Ok(())
            }
            _ if self.is_default_too_much(key, context.limits) => {
                Err(Refusal::initiator(format!("{key}={own} is not accepted and its default is not acceptable")))
            }
            _ => Ok(()),
        }
    }

    /// What this target wants of a key.
    fn ours(&self, key: Key, context: Context<'_>) -> String {
        let limits = context.limits;
        let yes = |yes| if yes { "Yes" } else { "No" }.to_owned();
        match key {
            Key::HeaderDigest => limits.header_digest.list().into(),
            Key::DataDigest => limits.data_digest.list().into(),
            Key::MaxConnections if context.discovery => "1".into(),
            Key::MaxConnections => limits.max_connections.to_string(),
            Key::InitialR2T => yes(limits.initial_r2t),
            Key::ImmediateData => yes(limits.immediate_data),
            Key::MaxBurstLength => limits.max_burst.to_string(),
            Key::FirstBurstLength => limits.first_burst.min(self.max_burst()).to_string(),
            Key::DefaultTime2Wait => limits.time2wait.to_string(),
            Key::DefaultTime2Retain => limits.time2retain.to_string(),
            // Recovery keeps the order of data, and then there is one R2T at a time (section 13.19).
            Key::MaxOutstandingR2T if self.level() != 0 => "1".into(),
            Key::MaxOutstandingR2T => limits.max_outstanding_r2t.to_string(),
            Key::ErrorRecoveryLevel if context.discovery || self.number(Key::MaxOutstandingR2T, 1) > 1 => "0".into(),
            Key::ErrorRecoveryLevel => limits.error_recovery_level.to_string(),
            Key::DataPduInOrder | Key::DataSequenceInOrder => yes(true),
            Key::TaskReporting => "RFC3720".into(),
            Key::ProtocolLevel => "1".into(),
            _ => "0".into(),
        }
    }

    /// ErrorRecoveryLevel as settled.
    fn level(&self) -> u8 {
        self.number(Key::ErrorRecoveryLevel, 0) as u8
    }

    /// MaxBurstLength as settled, or as our own offer has it.
    fn max_burst(&self) -> u32 {
        let offered = self.offers.get(&Key::MaxBurstLength).and_then(|text| text.parse().ok());
        self.number(Key::MaxBurstLength, offered.unwrap_or(Params::default().max_burst))
    }

    /// What this side declares once, in its first answer in the operational stage.
    pub(super) fn declare_own(&mut self, limits: &Limits) -> Option<Answer> {
        let key = Key::MaxRecvDataSegmentLength.as_ref().to_owned();
        (!std::mem::replace(&mut self.declared_own, true)).then(|| (key, limits.max_recv_data_segment.to_string()))
    }

    /// Whether there are keys that the initiator left out and whose defaults this target cannot live with.
    pub(super) fn would_propose(&self, context: Context<'_>) -> bool {
        self.proposals(context).next().is_some()
    }

    /// Offers for those keys. They have to be answered before login can end.
    pub(super) fn propose(&mut self, context: Context<'_>) -> Vec<Answer> {
        let proposals: Vec<(Key, String)> = self.proposals(context).map(|key| (key, self.ours(key, context))).collect();
        self.offers.extend(proposals.iter().cloned());
        proposals.into_iter().map(|(key, offer)| (key.as_ref().to_owned(), offer)).collect()
    }

    fn proposals<'a>(&'a self, context: Context<'a>) -> impl Iterator<Item = Key> + 'a {
        let keys = [Key::HeaderDigest, Key::DataDigest, Key::ImmediateData, Key::MaxBurstLength, Key::FirstBurstLength];
        keys.into_iter().filter(move |key| {
            let spec = key.spec();
            let out_of_place =
                (spec.leading_only && !context.leading) || (spec.irrelevant_in_discovery && context.discovery);
            let open = !self.seen.contains(spec.name) && !self.offers.contains_key(key);
            open && !out_of_place && self.is_default_too_much(*key, context.limits)
        })
    }

    /// Whether the initiator owes an answer.
    pub(super) fn is_waiting(&self) -> bool {
        !self.offers.is_empty()
    }

    /// What holds once login ends. `session` has the keys of session scope where they were settled before.
    pub(super) fn params(&self, limits: &Limits, session: Option<&Params>) -> Result<Params, Refusal> {
        negotiate::check_together(|key| self.settled.get(&key).map(String::as_str)).map_err(Refusal::initiator)?;
        let usual = Params::default();
        let is = |key, text, default| self.settled.get(&key).map_or(default, |value| value == text);
        let small = |key, default: u16| u16::try_from(self.number(key, default.into())).unwrap_or(default);
        let shared = session.cloned().unwrap_or_else(|| Params {
            max_connections: small(Key::MaxConnections, usual.max_connections),
            initial_r2t: is(Key::InitialR2T, "Yes", usual.initial_r2t),
            immediate_data: is(Key::ImmediateData, "Yes", usual.immediate_data),
            max_burst: self.max_burst(),
            first_burst: self.number(Key::FirstBurstLength, usual.first_burst),
            max_outstanding_r2t: small(Key::MaxOutstandingR2T, usual.max_outstanding_r2t),
            time2wait: small(Key::DefaultTime2Wait, usual.time2wait),
            time2retain: small(Key::DefaultTime2Retain, usual.time2retain),
            error_recovery_level: self.level(),
            ..usual
        });
        Ok(Params {
            header_digest: is(Key::HeaderDigest, "CRC32C", false),
            data_digest: is(Key::DataDigest, "CRC32C", false),
            max_send: self.number(Key::MaxRecvDataSegmentLength, Params::default().max_send),
            max_receive: if self.declared_own { limits.max_recv_data_segment } else { Params::default().max_receive },
            ..shared
        })
    }

    /// Whether the value that holds without negotiation is more than this target takes.
    fn is_default_too_much(&self, key: Key, limits: &Limits) -> bool {
        let usual = Params::default();
        match key {
            Key::HeaderDigest => limits.header_digest == DigestPolicy::Always,
            Key::DataDigest => limits.data_digest == DigestPolicy::Always,
            Key::ImmediateData => !limits.immediate_data,
            Key::MaxBurstLength => limits.max_burst < usual.max_burst,
            Key::FirstBurstLength => limits.first_burst.min(self.max_burst()) < usual.first_burst,
            _ => false,
        }
    }

    fn number(&self, key: Key, default: u32) -> u32 {
        let text = self.settled.get(&key);
        text.and_then(|text| value::number(text).ok()).and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
    }
}

fn is_security(key: Key) -> bool {
    let spec = key.spec();
    spec.allowed(Party::Initiator, Stage::Security) && !spec.allowed(Party::Initiator, Stage::Operational)
}
