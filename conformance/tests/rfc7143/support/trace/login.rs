//! The rules of login.

use std::collections::BTreeSet;

use iscsi_proto::keys::text::{Pair, TextBuffer};
use iscsi_proto::keys::{self, Key, Party};
use iscsi_proto::pdu::{LoginRequest, LoginResponse, Stage};
use iscsi_proto::serial::Serial;

use super::full::Full;
use super::{Agreed, Broken, Phase, rule};

/// The most data of a login PDU.
const MAX_DATA: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct Login {
    last: Option<LoginRequest>,
    /// The stage that the next request has to be of; none before the first.
    stage: Option<Stage>,
    next_stat_sn: Option<Serial>,
    sent: TextBuffer,
    received: TextBuffer,
    keys: BTreeSet<String>,
    agreed: Agreed,
}

impl Login {
    pub(super) fn heard(&mut self, request: &LoginRequest, data: &[u8]) -> Result<(), Broken> {
        rule!(data.len() <= MAX_DATA, "{} bytes of data in a login request", data.len());
        rule!((request.version_max, request.version_min) == (0, 0), "a version that does not exist");
        rule!(self.stage.is_none_or(|stage| stage == request.current), "a request of stage {:?}", request.current);
        rule!(request.next.is_none_or(|next| next as u8 > request.current as u8), "no way from {request:?}");
        match &self.last {
            None => rule!(request.tsih == 0, "a new session has a handle"),
            Some(last) => self.follows(last, request)?,
        }
        let text = self.sent.push(data, request.more).map_err(|error| error.to_string())?;
        rule!(data.is_empty() || request.more || data.ends_with(&[0]), "text without NUL at its end");
        for pair in text.unwrap_or_default() {
            self.heard_pair(&pair, request.current)?;
        }
        if self.last.is_none() && !request.more {
            self.names()?;
        }
        self.stage = Some(request.current);
        self.last = Some(request.clone());
        Ok(())
    }

    fn follows(&self, last: &LoginRequest, request: &LoginRequest) -> Result<(), Broken> {
        let fixed = |request: &LoginRequest| (request.isid, request.tsih, request.itt, request.cid, request.cmd_sn);
        rule!(fixed(last) == fixed(request), "a login changed its identity from {last:?} to {request:?}");
        let expected = self.next_stat_sn;
        rule!(expected == Some(request.exp_stat_sn), "ExpStatSN {} is not {expected:?}", request.exp_stat_sn);
        Ok(())
    }

    fn heard_pair(&mut self, pair: &Pair, stage: Stage) -> Result<(), Broken> {
        rule!(self.keys.insert(pair.key.clone()), "{} twice in one login", pair.key);
        let Some(key) = Key::from_name(&pair.key) else { return Ok(()) };
        let stage = match stage {
            Stage::Security => keys::Stage::Security,
            _ => keys::Stage::Operational,
        };
        rule!(key.spec().allowed(Party::Initiator, stage), "{key} in {stage:?}");
        if pair.key == "SessionType" {
            self.agreed.0.insert(pair.key.clone(), pair.value.clone());
        }
        Ok(())
    }

    fn names(&self) -> Result<(), Broken> {
        rule!(self.keys.contains("InitiatorName"), "no InitiatorName in the first request");
        let discovery = self.agreed.0.get("SessionType").is_some_and(|kind| kind == "Discovery");
        rule!(discovery || self.keys.contains("TargetName"), "no TargetName in the first request");
        Ok(())
    }

    /// Gives the next phase if this response starts it.
    pub(super) fn said(&mut self, response: &LoginResponse, data: &[u8]) -> Option<Phase> {
        if response.status.class != 0 {
            return Some(Phase::Refused);
        }
        self.next_stat_sn = Some(response.numbering.stat_sn.next());
        if let Ok(Some(pairs)) = self.received.push(data, response.more) {
            self.agreed.0.extend(pairs.into_iter().map(|pair| (pair.key, pair.value)));
        }
        self.stage = response.next.or(self.stage);
        let last = self.last.as_ref()?;
        (response.next == Some(Stage::FullFeature))
            .then(|| Phase::Full(Box::new(Full::new(&self.agreed, last.cmd_sn, response.numbering))))
    }
}
