//! Asking an iSNS server for targets (RFC 4171).
//!
//! A conversation goes on step by step as a login does: [`Isns::new`] gives the first request, [`Isns::receive`] takes the
//! response and gives the next. The server shows a client the targets of its discovery domains. One that does not know the
//! client at all says so; then the client registers, asks again, and removes its registration at the end. One that cannot
//! tell all targets at once is asked for one after the other.

mod answer;
mod error;
#[cfg(test)]
mod tests;
mod walk;

use bytes::{Bytes, BytesMut};
use iscsi_proto::isns::{Answer, Attribute, Function, Message, NodeType, Status, Tag};
use iscsi_proto::name::IscsiName;

use super::targets::Targets;
use walk::{Walk, Way};

pub use error::IsnsError;

/// How many messages that are no responses a server may send in between.
pub const MAX_STRAYS: u8 = 16;

/// The protocol of an entity (RFC 4171, section 6.2.2).
const ISCSI: u32 = 2;
/// What is asked about a target: itself, its portals, and the portal groups that join the two.
const WANTED: [Tag; 7] = [
    Tag::NAME,
    Tag::NODE_TYPE,
    Tag::PORTAL_ADDRESS,
    Tag::PORTAL_PORT,
    Tag::GROUP_ADDRESS,
    Tag::GROUP_PORT,
    Tag::GROUP_TAG,
];
/// The longest alias in bytes: 256 with its NUL (RFC 4171, section 6.4.3).
const MAX_ALIAS: usize = 255;

/// Whether a client registers with the server.
///
/// The registration is one of an initiator without portals, and of an entity that the server names. It is removed when the
/// targets are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registration {
    /// Where the server says that it does not know the client.
    #[default]
    WhenUnknown,
    /// Before anything is asked: for servers that hide all targets from strangers without saying so. A registration of the
    /// same name that was there before is gone afterwards, too.
    Always,
    /// Not at all.
    Never,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsnsConfig {
    /// The name of the initiator.
    pub name: IscsiName,
    /// Its name for people, in a registration.
    pub alias: Option<String>,
    /// Whether it registers.
    pub registration: Registration,
}

impl IsnsConfig {
    /// An initiator without an alias that registers where it is unknown.
    pub const fn new(name: IscsiName) -> Self {
        Self { name, alias: None, registration: Registration::WhenUnknown }
    }
}

/// A conversation with a server.
#[derive(Debug)]
pub struct Isns {
    config: IsnsConfig,
    state: State,
    transaction: u16,
    strays: u8,
    registered: bool,
}

#[derive(Debug)]
enum State {
    Querying,
    Registering,
    /// Asking for the next target.
    Walking(Walk),
    /// Asking what is known of that target.
    Detailing(Walk),
    /// Saying goodbye; what was found, or why nothing was.
    Leaving(Result<Targets, IsnsError>),
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Send a request, and wait for a message.
    Send(Isns, Bytes),
    /// Wait for another message: this one was none of ours.
    Wait(Isns),
    /// It is over. The targets that have a portal; one that had none is among what was set aside.
    Done(Targets),
}

impl Isns {
    /// A conversation, and the first request.
    pub fn new(config: IsnsConfig) -> Result<(Self, Bytes), IsnsError> {
        let state = match config.registration {
            Registration::Always => State::Registering,
            _ => State::Querying,
        };
        let mut isns = Self { config, state, transaction: 0, strays: 0, registered: false };
        let request = isns.request()?;
        Ok((isns, request))
    }

    /// Takes a message of the server.
    pub fn receive(mut self, message: &Message) -> Result<Step, IsnsError> {
        if !message.function().is_response() {
            self.strays += 1;
            return if self.strays > MAX_STRAYS { Err(IsnsError::TooManyStrays) } else { Ok(Step::Wait(self)) };
        }
        self.matches(message)?;
        let answer = message.answer()?;
        match std::mem::replace(&mut self.state, State::Querying) {
            State::Querying => self.answered(&answer),
            State::Registering => self.registered(answer.status),
            State::Walking(walk) => self.walked(walk, answer),
            State::Detailing(mut walk) => {
                walk.told(answer)?;
                self.go(State::Walking(walk))
            }
            // What was found counts, whatever becomes of the goodbye.
            State::Leaving(found) => found.map(Step::Done),
        }
    }

    /// A response belongs to the one request that is under way.
    fn matches(&self, message: &Message) -> Result<(), IsnsError> {
        let expected = self.function().response();
        if message.function() != expected {
            return Err(IsnsError::WrongFunction { expected, found: message.function() });
        }
        if message.transaction() != self.transaction {
            return Err(IsnsError::WrongTransaction { expected: self.transaction, found: message.transaction() });
        }
        Ok(())
    }

    fn answered(self, answer: &Answer) -> Result<Step, IsnsError> {
        let may_register = !self.registered && self.config.registration == Registration::WhenUnknown;
        match answer.status {
            Status::SUCCESS => self.leave(answer::targets(&answer.operating)),
            // Some servers call it an error that nothing matches (RFC 4171, section 5.6.5.2, says that it is none).
            Status::NO_SUCH_ENTRY => self.leave(Ok(Targets::default())),
            Status::SOURCE_UNKNOWN if may_register => self.go(State::Registering),
            status @ (Status::INTERNAL | Status::UNKNOWN_ERROR) => self.go(State::Walking(Walk::new(status))),
            status => self.leave(Err(IsnsError::QueryRefused { status })),
        }
    }

    fn walked(self, mut walk: Walk, answer: Answer) -> Result<Step, IsnsError> {
        match walk.found(answer) {
            Ok(Way::Found) => self.go(State::Detailing(walk)),
            Ok(Way::End(attributes)) => self.leave(answer::targets(&attributes)),
            Err(error) => self.leave(Err(error)),
        }
    }

    fn registered(mut self, status: Status) -> Result<Step, IsnsError> {
        if status != Status::SUCCESS {
            return Err(IsnsError::RegistrationRefused { status });
        }
        self.registered = true;
        self.go(State::Querying)
    }

    fn leave(self, found: Result<Targets, IsnsError>) -> Result<Step, IsnsError> {
        if self.registered { self.go(State::Leaving(found)) } else { found.map(Step::Done) }
    }

    fn go(mut self, state: State) -> Result<Step, IsnsError> {
        self.state = state;
        let request = self.request()?;
        Ok(Step::Send(self, request))
    }

    const fn function(&self) -> Function {
        match &self.state {
            State::Querying | State::Detailing(_) => Function::QUERY,
            State::Walking(_) => Function::GET_NEXT,
            State::Registering => Function::REGISTER,
            State::Leaving(_) => Function::DEREGISTER,
        }
    }

    /// The request that this state waits to be answered, in a transaction of its own.
    fn request(&mut self) -> Result<Bytes, IsnsError> {
        self.transaction = self.transaction.wrapping_add(1);
        let attributes = match &self.state {
            State::Querying => self.query(),
            State::Walking(walk) => walk.next(self.source()),
            State::Detailing(walk) => walk.details(self.source()),
            State::Registering => self.registration(),
            State::Leaving(_) => vec![self.source(), Attribute::DELIMITER, self.source()],
        };
        let mut wire = BytesMut::new();
        Message::request(self.function(), self.transaction, &attributes).encode(&mut wire)?;
        Ok(wire.freeze())
    }

    fn source(&self) -> Attribute {
        Attribute::text(Tag::NAME, self.config.name.as_str())
    }

    /// Asks for all targets.
    fn query(&self) -> Vec<Attribute> {
        let key = [self.source(), Attribute::number(Tag::NODE_TYPE, NodeType::TARGET.0), Attribute::DELIMITER];
        key.into_iter().chain(WANTED.map(Attribute::empty)).collect()
    }

    /// Registers an entity of which the server chooses the identifier, since it has none (RFC 4171, section 5.6.5.1).
    fn registration(&self) -> Vec<Attribute> {
        let mut attributes = vec![
            self.source(),
            Attribute::DELIMITER,
            Attribute::empty(Tag::ENTITY),
            Attribute::number(Tag::ENTITY_PROTOCOL, ISCSI),
            self.source(),
            Attribute::number(Tag::NODE_TYPE, NodeType::INITIATOR.0),
        ];
        let alias = self.config.alias.as_deref().filter(|alias| alias.len() <= MAX_ALIAS && !alias.contains('\0'));
        attributes.extend(alias.map(|alias| Attribute::text(Tag::ALIAS, alias)));
        attributes
    }
}
