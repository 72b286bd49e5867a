//! The login phase of one connection (RFC 7143, section 6.3).

use std::sync::Arc;
use std::task::Waker;

use iscsi_proto::framer::{FrameLimits, Framing};
use iscsi_proto::keys::text::{self, Pair, TextBuffer};
use iscsi_proto::keys::{self, Key, negotiate};
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::{BHS_LEN, Header, LoginRequest, LoginResponse, LoginStatus, Numbering, Opcode, Stage};
use iscsi_proto::portal::{Portal, TargetAddress};
use iscsi_proto::serial::Serial;

use super::chap::ChapExchange;
use super::full::FullFeature;
use super::negotiation::{Answer, Context, Introduction, Negotiation};
use super::node::{Node, Target};
use super::outbox::Outbox;
use super::refusal::Refusal;
use super::session::{Identity, Link, Session};
use super::window::Window;
use super::wire::Digests;
use crate::target::config::{Chap, Limits};
use crate::target::counters::Counters;
use crate::target::rope::Rope;

/// Data segments have this size at most before MaxRecvDataSegmentLength is settled.
const SEGMENT: usize = 8192;
/// Requests that a login may take.
const MAX_ROUNDS: u32 = 64;

/// A connection that has not logged in yet.
#[derive(Debug)]
pub(super) struct Login {
    node: Arc<Node>,
    portal: Portal,
    waker: Waker,
    pub(super) out: Outbox,
    /// The first request, whose names later ones have to repeat.
    first: Option<LoginRequest>,
    stage: Stage,
    text: TextBuffer,
    /// Text that did not fit the last response.
    unsent: Vec<u8>,
    rounds: u32,
    negotiation: Negotiation,
    peer: Option<Peer>,
    auth: Auth,
}

/// Who logs in and to what, known from the first text on.
#[derive(Debug)]
struct Peer {
    identity: Identity,
    /// The session that the connection is to join, if it exists already.
    session: Option<Arc<Session>>,
    chap: Option<Chap>,
}

#[derive(Debug)]
enum Auth {
    Undecided,
    None,
    Chap(ChapExchange),
}

/// What a request has led to.
pub(super) enum Turn {
    /// The login goes on.
    Continue,
    /// It has succeeded.
    Done(Box<FullFeature>),
    /// It has failed; the connection ends.
    Failed,
}

impl Login {
    pub(super) fn new(node: Arc<Node>, portal: Portal, waker: Waker) -> Self {
        Self {
            out: Outbox::new(Serial(node.limits().first_stat_sn)),
            node,
            portal,
            waker,
            first: None,
            stage: Stage::Security,
            text: TextBuffer::default(),
            unsent: Vec::new(),
            rounds: 0,
            negotiation: Negotiation::default(),
            peer: None,
            auth: Auth::Undecided,
        }
    }

    /// Bytes that the PDU at the start of `bytes` has, if that can be told.
    pub(super) fn wanted(bytes: &[u8]) -> Option<usize> {
        Framing::new(FrameLimits::LOGIN).head(bytes).ok().flatten().map(|(_, layout)| layout.total())
    }

    /// Works on the PDU at the start of `bytes`, if it is complete; how many bytes it had.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> (usize, Turn) {
        match Framing::new(FrameLimits::LOGIN).head(bytes) {
            Ok(Some((header, layout))) => match bytes.get(BHS_LEN..BHS_LEN + layout.data) {
                Some(data) if bytes.len() >= layout.total() => (layout.total(), self.pdu(&header, data)),
                _ => (0, Turn::Continue),
            },
            Ok(None) => (0, Turn::Continue),
            Err(error) => {
                tracing::debug!(%error, "closing a connection that does not log in");
                (bytes.len(), Turn::Failed)
            }
        }
    }

    fn pdu(&mut self, header: &Header, data: &[u8]) -> Turn {
        if header.opcode() != Ok(Opcode::LoginRequest) {
            tracing::debug!(?header, "closing a connection that does not log in");
            return Turn::Failed;
        }
        let request = match LoginRequest::parse(header) {
            Ok(request) => request,
            Err(error) => return self.refuse(header, &Refusal::initiator(error)),
        };
        self.request(&request, data).unwrap_or_else(|refusal| self.refuse(header, &refusal))
    }

    fn request(&mut self, request: &LoginRequest, data: &[u8]) -> Result<Turn, Refusal> {
        self.check(request)?;
        if !self.unsent.is_empty() {
            if !data.is_empty() {
                return Err(Refusal::initiator("text before ours was complete"));
            }
            return Ok(self.send_piece(request));
        }
        let Some(pairs) = self.text.push(data, request.more).map_err(Refusal::initiator)? else {
            self.respond(request, Vec::new(), false, None, self.numbers(request));
            return Ok(Turn::Continue);
        };
        let answers = self.negotiate(request, &pairs)?;
        self.conclude(request, answers)
    }

    /// Checks the header against the rules and against the first request.
    fn check(&mut self, request: &LoginRequest) -> Result<(), Refusal> {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Err(Refusal::initiator("the login does not end"));
        }
        let first = match &self.first {
            Some(first) => first,
            None if request.version_min > 0 => {
                return Err(Refusal::new(LoginStatus::UNSUPPORTED_VERSION, "version"));
            }
            None => {
                self.stage = request.current;
                self.first.insert(request.clone())
            }
        };
        let same =
            (first.isid, first.tsih, first.itt, first.cid) == (request.isid, request.tsih, request.itt, request.cid);
        let stage = request.current == self.stage && request.current != Stage::FullFeature;
        let forward = request.next.is_none_or(|next| next > request.current);
        if !(same && stage && forward) {
            return Err(Refusal::new(LoginStatus::INVALID_DURING_LOGIN, "names or stages do not fit what came before"));
        }
        if request.more && request.next.is_some() {
            return Err(Refusal::initiator("T and C exclude each other"));
        }
        Ok(())
    }

    fn negotiate(&mut self, request: &LoginRequest, pairs: &[Pair]) -> Result<Vec<Answer>, Refusal> {
        let mut answers = Vec::new();
        if self.peer.is_none() {
            let peer = self.introduce(request, Introduction::read(pairs)?)?;
            answers.extend(peer.greeting());
            self.peer = Some(peer);
        }
        let Some(peer) = &self.peer else { return Ok(answers) };
        let context = peer.context(&self.node, self.stage);
        let (more, security) = self.negotiation.take(pairs, context)?;
        answers.extend(more);
        if self.stage == Stage::Operational {
            answers.extend(self.negotiation.declare_own(context.limits));
        }
        if self.stage == Stage::Security {
            answers.extend(self.auth.step(peer.chap.as_ref(), &security)?);
        }
        Ok(answers)
    }

    fn introduce(&self, request: &LoginRequest, introduction: Introduction) -> Result<Peer, Refusal> {
        let missing = |key: Key| Refusal::new(LoginStatus::MISSING_PARAMETER, format!("no {key}"));
        let Introduction { initiator, target, discovery } = introduction;
        let initiator = initiator.ok_or_else(|| missing(Key::InitiatorName))?;
        let target = match target {
            None if discovery => None,
            None => return Err(missing(Key::TargetName)),
            Some(name) => Some(self.node.target(&name).ok_or_else(|| Refusal::new(LoginStatus::NOT_FOUND, name))?),
        };
        if let Some(target) = target {
            check_target(target, &initiator)?;
        }
        let chap = match target {
            Some(target) if !discovery => target.config.chap.as_ref(),
            _ => self.node.discovery_chap(),
        };
        let identity = Identity {
            initiator,
            isid: request.isid,
            target: target.cloned(),
            discovery: discovery.then(|| self.portal.clone()),
        };
        let join = |tsih| self.node.session_to_join(&identity, tsih);
        let session = (request.tsih != 0).then(|| join(request.tsih)).transpose();
        let session = session.map_err(|status| Refusal::new(status, "no session of that name"))?;
        Ok(Peer { chap: chap.cloned(), identity, session })
    }

    /// Answers a request whose keys are dealt with, and moves on if both sides are ready to.
    fn conclude(&mut self, request: &LoginRequest, mut answers: Vec<Answer>) -> Result<Turn, Refusal> {
        let next = self.next_stage(request, &mut answers)?;
        let text = text::encode(answers);
        if text.len() > SEGMENT {
            self.unsent = text;
            return Ok(self.send_piece(request));
        }
        if next == Some(Stage::FullFeature) {
            return self.finish(request, text).map(Turn::Done);
        }
        self.respond(request, text, false, next, self.numbers(request));
        self.stage = next.unwrap_or(self.stage);
        Ok(Turn::Continue)
    }

    /// The stage to enter now, if any. May add offers of our own to the answers, which keep the stage.
    fn next_stage(&mut self, request: &LoginRequest, answers: &mut Vec<Answer>) -> Result<Option<Stage>, Refusal> {
        let (Some(wanted), Some(peer)) = (request.next, &self.peer) else { return Ok(None) };
        if !self.auth.is_settled(peer.chap.is_some()) {
            // Whoever wants to leave the stage without a method to agree on will not come to one.
            return match self.auth {
                Auth::Chap(_) => Ok(None),
                _ => Err(Refusal::auth("authentication is required")),
            };
        }
        if wanted != Stage::FullFeature {
            return Ok(Some(wanted));
        }
        if self.negotiation.is_waiting() {
            return Err(Refusal::initiator("an offer of the target was left without an answer"));
        }
        let context = peer.context(&self.node, self.stage);
        if self.stage == Stage::Security && self.negotiation.would_propose(context) {
            return Ok(Some(Stage::Operational));
        }
        let proposals = self.negotiation.propose(context);
        let ready = proposals.is_empty();
        answers.extend(proposals);
        Ok(ready.then_some(wanted))
    }

    fn finish(&mut self, request: &LoginRequest, text: Vec<u8>) -> Result<Box<FullFeature>, Refusal> {
        let Some(peer) = self.peer.take() else { return Err(Refusal::initiator("no names")) };
        let limits = peer.limits(&self.node).clone();
        let shared = peer.session.as_ref().map(|session| &session.params);
        let params = self.negotiation.params(&limits, shared)?;
        let link = Arc::new(Link::new(request.cid, self.waker.clone()));
        let session = if let Some(session) = peer.session {
            let joined = {
                let _turn = session.turn();
                session.join(&link, self.node.now())
            };
            joined.map(|()| session)
        } else {
            let window = Window::new(request.cmd_sn, limits.window.into());
            self.node.open_session(peer.identity, params.clone(), window, &link)
        };
        let session = session.map_err(|status| Refusal::new(status, "no room for the connection"))?;
        let request = LoginRequest { tsih: session.tsih, ..request.clone() };
        self.respond(&request, text, false, Some(Stage::FullFeature), session.numbers());
        Counters::add(&self.node.counters().logins, 1);
        let mut out = std::mem::replace(&mut self.out, Outbox::new(Serial(0)));
        out.set_digests(Digests { header: params.header_digest, data: params.data_digest });
        Ok(Box::new(FullFeature::new(self.node.clone(), session, link, params, self.portal.clone(), out)))
    }

    /// ExpCmdSN and MaxCmdSN to tell while the login goes on.
    fn numbers(&self, request: &LoginRequest) -> (Serial, Serial) {
        match &self.peer {
            Some(Peer { session: Some(session), .. }) => session.numbers(),
            Some(peer) => (request.cmd_sn, request.cmd_sn.add(u32::from(peer.limits(&self.node).window)).sub(1)),
            None => (request.cmd_sn, request.cmd_sn),
        }
    }

    fn send_piece(&mut self, request: &LoginRequest) -> Turn {
        let rest = self.unsent.split_off(self.unsent.len().min(SEGMENT));
        let piece = std::mem::replace(&mut self.unsent, rest);
        self.respond(request, piece, !self.unsent.is_empty(), None, self.numbers(request));
        Turn::Continue
    }

    fn respond(
        &mut self,
        request: &LoginRequest,
        text: Vec<u8>,
        more: bool,
        next: Option<Stage>,
        (exp_cmd_sn, max_cmd_sn): (Serial, Serial),
    ) {
        let response = LoginResponse {
            more,
            current: request.current,
            next,
            version_max: 0,
            version_active: 0,
            isid: request.isid,
            tsih: request.tsih,
            itt: request.itt,
            numbering: Numbering { stat_sn: self.out.take_stat_sn(), exp_cmd_sn, max_cmd_sn },
            status: LoginStatus::SUCCESS,
        };
        self.out.push(response.encode(), text.into());
    }

    fn refuse(&mut self, header: &Header, refusal: &Refusal) -> Turn {
        tracing::debug!(status = %refusal.status, why = refusal.why, "refusing a login");
        Counters::add(&self.node.counters().refused, 1);
        // Nothing but the names is taken from a request that may not even parse.
        let [_, _, _, _, _, _, _, _, i0, i1, i2, i3, i4, i5, t0, t1, ..] = header.0;
        let response = LoginResponse {
            more: false,
            current: self.stage,
            next: None,
            version_max: 0,
            version_active: 0,
            isid: iscsi_proto::isid::Isid([i0, i1, i2, i3, i4, i5]),
            tsih: u16::from_be_bytes([t0, t1]),
            itt: header.itt(),
            numbering: Numbering::default(),
            status: refusal.status,
        };
        self.out.push(response.encode(), Rope::from(text::encode(refusal.text.clone())));
        Turn::Failed
    }
}

/// Whether this initiator is served here.
fn check_target(target: &Target, initiator: &IscsiName) -> Result<(), Refusal> {
    if let Some(redirect) = &target.config.redirect {
        let status = if redirect.permanent { LoginStatus::MOVED_PERMANENTLY } else { LoginStatus::MOVED_TEMPORARILY };
        let address = TargetAddress::new(redirect.portal.clone(), None).to_string();
        return Err(Refusal { text: vec![(Key::TargetAddress, address)], ..Refusal::new(status, "moved") });
    }
    if !target.config.admits(initiator) {
        return Err(Refusal::new(LoginStatus::AUTHORIZATION_FAILURE, format!("{initiator} is not admitted")));
    }
    Ok(())
}

impl Peer {
    /// What the target says of itself in its first answer.
    fn greeting(&self) -> Vec<Answer> {
        let Some(target) = &self.identity.target else { return Vec::new() };
        let name = |key: Key| key.as_ref().to_owned();
        let tag = (name(Key::TargetPortalGroupTag), target.config.portal_group.to_string());
        let alias = target.config.alias.clone().map(|alias| (name(Key::TargetAlias), alias));
        std::iter::once(tag).chain(alias).collect()
    }

    fn limits<'a>(&'a self, node: &'a Node) -> &'a Limits {
        self.identity.target.as_ref().map_or(node.limits(), |target| &target.config.limits)
    }

    fn context<'a>(&'a self, node: &'a Node, stage: Stage) -> Context<'a> {
        Context {
            limits: self.limits(node),
            stage: if stage == Stage::Security { keys::Stage::Security } else { keys::Stage::Operational },
            discovery: self.identity.discovery.is_some(),
            leading: self.session.is_none(),
        }
    }
}

impl Auth {
    /// Takes the security keys of one request; what to answer.
    fn step(&mut self, chap: Option<&Chap>, keys: &[(Key, &Pair)]) -> Result<Vec<Answer>, Refusal> {
        match (&mut *self, keys) {
            (_, []) => Ok(Vec::new()),
            (Self::Undecided, [(Key::AuthMethod, offer)]) => {
                let ours = if chap.is_some() { "CHAP" } else { keys::NONE };
                let answer = negotiate::answer(Key::AuthMethod, &offer.value, ours).map_err(Refusal::auth)?;
                *self = match (answer.as_str(), chap) {
                    ("CHAP", Some(chap)) => Self::Chap(ChapExchange::new(chap.clone())),
                    (keys::NONE, None) => Self::None,
                    _ => return Err(Refusal::auth("no authentication method in common")),
                };
                Ok(vec![(Key::AuthMethod.as_ref().into(), answer)])
            }
            (Self::Chap(exchange), keys) => {
                let answers = exchange.step(keys).map_err(Refusal::auth)?;
                Ok(answers.into_iter().map(|(key, value)| (key.as_ref().to_owned(), value)).collect())
            }
            _ => Err(Refusal::auth("security keys that do not belong to this step")),
        }
    }

    fn is_settled(&self, required: bool) -> bool {
        match self {
            Self::Undecided => !required,
            Self::None => true,
            Self::Chap(exchange) => exchange.is_done(),
        }
    }
}
