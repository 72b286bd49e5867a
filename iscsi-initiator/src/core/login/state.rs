use std::collections::BTreeSet;
use std::num::NonZeroU16;

use iscsi_proto::framer::{FrameError, FrameLimits};
use iscsi_proto::isid::Isid;
use iscsi_proto::keys::text::{MAX_SIMPLE_LEN, Pair, TextBuffer, encode};
use iscsi_proto::keys::{self, Key, NOT_UNDERSTOOD, Party};
use iscsi_proto::pdu::{Header, LoginRequest, LoginResponse, LoginStatus, Numbering, Opcode, PduError, Stage};
use iscsi_proto::serial::Serial;

use super::error::{advice, closed};
use super::identity::{self, Identity};
use super::outbox::Outbox;
use super::parameters::{Parameters, Settled};
use super::security::{Authentication, Pairs, Security};
use super::{LoggedIn, Login, LoginConfig, LoginError, MAX_ROUNDS, MAX_UNKNOWN_KEYS, Purpose, Redirect, Request, Step};
use crate::core::chap::{AuthError, Nonce};
use crate::core::misbehaved::PeerMisbehaved;
use crate::core::session::Start;

/// What is known of a login between a request and its response.
#[derive(Debug)]
pub(super) struct State {
    /// The last request, whose fixed fields every request repeats.
    request: LoginRequest,
    discovery: bool,
    leading: bool,
    /// The StatSN that comes next; none before the first response.
    stat_sn: Option<Serial>,
    rounds: usize,
    outbox: Outbox,
    inbox: TextBuffer,
    /// Every key that the target has sent.
    seen: BTreeSet<String>,
    unknown_keys: usize,
    identity: Identity,
    security: Security,
    parameters: Parameters,
}

impl State {
    /// Checks the configuration and makes the first request.
    pub(super) fn new(config: LoginConfig, nonce: Nonce) -> Result<(Self, Request), LoginError> {
        let names = names(&config)?;
        let request = first_request(&config);
        let LoginConfig { purpose, auth, offer, expected_tpgt, challenges, .. } = config;
        let mut state = Self {
            request,
            discovery: purpose.is_discovery(),
            leading: purpose.is_leading(),
            stat_sn: None,
            rounds: 0,
            outbox: Outbox::default(),
            inbox: TextBuffer::default(),
            seen: BTreeSet::new(),
            unknown_keys: 0,
            identity: Identity::new(expected_tpgt),
            security: Security::new(auth, nonce, challenges)?,
            parameters: Parameters::new(&offer, &purpose)?,
        };
        let method = (Key::AuthMethod, state.security.methods().to_owned());
        let request = state.say(encode(names.into_iter().chain([method])), state.security.proposes());
        Ok((state, request))
    }

    /// Checks that the PDU is a login response at all.
    pub(super) fn open(&mut self, header: &Header, data: &[u8]) -> Result<LoginResponse, LoginError> {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Err(LoginError::TooManyRounds);
        }
        match header.opcode() {
            Ok(Opcode::LoginResponse) => {}
            Ok(opcode) => return Err(PeerMisbehaved::UnexpectedPdu { opcode }.into()),
            Err(code) => return Err(PduError::UnassignedOpcode(code).into()),
        }
        let (len, limit) = (data.len().max(header.data_len() as usize), FrameLimits::LOGIN.max_data);
        if len > limit as usize {
            return Err(PeerMisbehaved::from(FrameError::DataTooLong { len: len as u32, limit }).into());
        }
        if header.ahs_len() != 0 {
            return Err(PeerMisbehaved::from(FrameError::UnexpectedAhs).into());
        }
        Ok(LoginResponse::parse(header)?)
    }

    /// Checks all that has to agree with the request and with the responses before.
    fn check(&mut self, response: &LoginResponse) -> Result<(), PeerMisbehaved> {
        let LoginResponse { itt, isid, version_active, current, next, .. } = *response;
        let Numbering { stat_sn, .. } = response.numbering;
        if itt != self.request.itt {
            return Err(PeerMisbehaved::LoginTag { itt });
        }
        // Some targets leave the ISID out (gotgt). It says nothing that the tag does not.
        if isid != self.request.isid && isid != Isid::default() {
            return Err(PeerMisbehaved::LoginIsid { isid });
        }
        if version_active != 0 {
            return Err(PeerMisbehaved::LoginVersion { version: version_active });
        }
        if let Some(expected) = self.stat_sn.filter(|expected| *expected != stat_sn) {
            return Err(PeerMisbehaved::LoginStatSn { expected, received: stat_sn });
        }
        if current != self.request.current {
            return Err(PeerMisbehaved::LoginStage { expected: self.request.current, received: current });
        }
        // We only ever propose the stage after the current one, so there is no lesser one to choose.
        if let Some(entered) = next.filter(|_| next != self.request.next) {
            return Err(PeerMisbehaved::LoginTransit { proposed: self.request.next, entered });
        }
        self.stat_sn = Some(stat_sn.next());
        Ok(())
    }

    pub(super) fn accepted(mut self: Box<Self>, response: &LoginResponse, data: &[u8]) -> Result<Step, LoginError> {
        self.check(response)?;
        if !self.outbox.is_empty() {
            if response.more || !data.is_empty() {
                return Err(PeerMisbehaved::LoginInterrupted.into());
            }
            let request = self.request();
            return Ok(Step::Send(Login(self), request));
        }
        let Some(pairs) = self.inbox.push(data, response.more)? else {
            let request = self.say(Vec::new(), None);
            return Ok(Step::Send(Login(self), request));
        };
        // Answers to a response that ends its stage are not sent: there is no request left to carry them.
        let last = response.next.is_some();
        let (known, mut answers) = self.sort(pairs)?;
        if self.request.current == Stage::Security {
            answers.extend(named(self.security.take(known)?));
            if last {
                return Ok(self.enter_operational());
            }
        } else {
            answers.extend(named(self.negotiate(known, last)?));
            if last {
                return self.finish(response);
            }
        }
        let next = self.proposal();
        let request = self.say(encode(answers), next);
        Ok(Step::Send(Login(self), request))
    }

    /// The stage to propose once all is said: a refused one is proposed again (section 6.3.3).
    const fn proposal(&self) -> Option<Stage> {
        match self.request.current {
            Stage::Security => self.security.proposes(),
            _ => Some(Stage::FullFeature),
        }
    }

    /// Separates known keys that belong here from answers to unknown ones.
    fn sort(&mut self, pairs: Vec<Pair>) -> Result<(Pairs, Vec<(String, String)>), LoginError> {
        let (mut known, mut answers) = (Pairs::new(), Vec::new());
        for Pair { key: name, value } in pairs {
            let key = Key::from_name(&name);
            if !key.is_some_and(|key| key.spec().repeatable) && !self.seen.insert(name.clone()) {
                return Err(PeerMisbehaved::RepeatedKey { key: name }.into());
            }
            match key {
                Some(key) if self.is_in_force(key, &value) => {}
                Some(key) if !self.is_in_place(key) => return Err(PeerMisbehaved::MisplacedKey { key }.into()),
                Some(key @ (Key::TargetAlias | Key::TargetAddress | Key::TargetPortalGroupTag)) => {
                    self.identity.take(key, value)?;
                }
                Some(key) => known.push((key, value)),
                None => {
                    self.unknown_keys += 1;
                    answers.push((name, NOT_UNDERSTOOD.to_owned()));
                }
            }
        }
        if self.unknown_keys > MAX_UNKNOWN_KEYS {
            return Err(LoginError::TooManyKeys);
        }
        Ok((known, answers))
    }

    fn is_in_place(&self, key: Key) -> bool {
        let stage = match self.request.current {
            Stage::Security => keys::Stage::Security,
            _ => keys::Stage::Operational,
        };
        key.spec().allowed(Party::Target, stage) && (self.leading || !key.spec().leading_only)
    }

    /// Whether the target repeats a value of the session in the login of a further connection. It has no place there, but
    /// some targets name what is not as usual in every login (tgt), and it changes nothing.
    fn is_in_force(&self, key: Key, value: &str) -> bool {
        let further = !self.leading && self.request.current == Stage::Operational;
        further && key.spec().leading_only && self.parameters.holds(key, value)
    }

    fn enter_operational(mut self: Box<Self>) -> Step {
        self.request.current = Stage::Operational;
        let offers = encode(self.parameters.offers());
        let request = self.say(offers, Some(Stage::FullFeature));
        Step::Send(Login(self), request)
    }

    /// Our answers to the operational keys of one response.
    fn negotiate(&mut self, keys: Pairs, last: bool) -> Result<Pairs, LoginError> {
        let mut answers = Pairs::new();
        for (key, value) in keys {
            answers.extend(self.parameters.take(key, &value, last)?.map(|answer| (key, answer)));
        }
        Ok(answers)
    }

    fn finish(self: Box<Self>, response: &LoginResponse) -> Result<Step, LoginError> {
        let State { request, discovery, leading, identity, security, parameters, .. } = *self;
        let Numbering { stat_sn, exp_cmd_sn, max_cmd_sn } = response.numbering;
        let wrong = PeerMisbehaved::LoginTsih { tsih: response.tsih };
        let tsih = NonZeroU16::new(response.tsih).filter(|tsih| leading || tsih.get() == request.tsih).ok_or(wrong)?;
        if leading && !discovery && exp_cmd_sn != request.cmd_sn {
            return Err(PeerMisbehaved::LoginCmdSn { expected: request.cmd_sn, received: exp_cmd_sn }.into());
        }
        let Settled { negotiated, unanswered } = parameters.finish()?;
        let start = Start {
            negotiated,
            cid: request.cid,
            cmd_sn: request.cmd_sn,
            exp_cmd_sn,
            max_cmd_sn,
            exp_stat_sn: stat_sn.next(),
        };
        let authentication = security.result().ok_or(AuthError::MissingKey { key: Key::AuthMethod })?;
        Ok(Step::Done(Box::new(LoggedIn {
            start,
            tsih,
            authentication,
            tpgt: identity.tpgt(),
            unanswered,
            target_alias: identity.alias,
            target_addresses: identity.addresses,
        })))
    }

    /// A detail that is not known counts as temporary: then nothing is changed for good (section 11.13.5).
    pub(super) fn redirected(&self, status: LoginStatus, data: &[u8]) -> Result<Redirect, LoginError> {
        let addresses = identity::redirect(data);
        if addresses.is_empty() {
            return Err(PeerMisbehaved::RedirectWithoutAddress.into());
        }
        let permanent = status == LoginStatus::MOVED_PERMANENTLY;
        let authenticated = matches!(self.security.result(), Some(Authentication::Mutual(_)));
        Ok(Redirect { addresses, permanent, authenticated })
    }

    pub(super) fn refused(&self, status: LoginStatus) -> LoginError {
        LoginError::Refused { status, advice: advice(status, self.security.progress()) }
    }

    pub(super) const fn closed(&self) -> LoginError {
        closed(self.request.current, self.security.progress())
    }

    /// The first request of a turn in which we say this.
    fn say(&mut self, text: Vec<u8>, next: Option<Stage>) -> Request {
        self.outbox.fill(text, next);
        self.request()
    }

    fn request(&mut self) -> Request {
        let part = self.outbox.part();
        self.request.more = part.more;
        self.request.next = part.next;
        self.request.exp_stat_sn = self.stat_sn.unwrap_or(self.request.exp_stat_sn);
        Request { header: self.request.encode().with_data_len(part.data.len() as u32), data: part.data }
    }
}

fn first_request(config: &LoginConfig) -> LoginRequest {
    let (tsih, exp_stat_sn) = match config.purpose {
        Purpose::Connection { tsih, exp_stat_sn, .. } => (tsih.get(), exp_stat_sn),
        _ => (0, Serial(0)),
    };
    LoginRequest {
        more: false,
        current: Stage::Security,
        next: None,
        version_max: 0,
        version_min: 0,
        isid: config.isid,
        tsih,
        itt: config.itt,
        cid: config.cid,
        cmd_sn: config.cmd_sn,
        exp_stat_sn,
    }
}

/// Who we are and whom we want (sections 6.3 and 13.21).
fn names(config: &LoginConfig) -> Result<Pairs, LoginError> {
    let LoginConfig { initiator, alias, purpose, .. } = config;
    if let Some(alias) = alias.as_ref().filter(|alias| alias.len() > MAX_SIMPLE_LEN || alias.contains('\0')) {
        let range = "at most 255 bytes without NUL".to_owned();
        return Err(LoginError::InvalidOffer { key: Key::InitiatorAlias, value: alias.clone(), range });
    }
    let kind = if purpose.is_discovery() { "Discovery" } else { "Normal" };
    let named = |key, name: &str| (key, name.to_owned());
    let pairs = [
        Some(named(Key::InitiatorName, initiator.as_written())),
        alias.as_deref().map(|alias| named(Key::InitiatorAlias, alias)),
        purpose.target().map(|target| named(Key::TargetName, target.as_written())),
        purpose.is_leading().then(|| named(Key::SessionType, kind)),
    ];
    Ok(pairs.into_iter().flatten().collect())
}

fn named(pairs: Pairs) -> impl Iterator<Item = (String, String)> {
    pairs.into_iter().map(|(key, value)| (key.to_string(), value))
}
