//! A script: when, and what.

use std::str::FromStr;

use iscsi_proto::pdu::Opcode;

use super::action::Action;
use super::parse;

/// What a hostile target does. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub(super) rules: Vec<Rule>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) when: When,
    /// The connection that is meant, counted from 1 in the order in which they come; all if `None`.
    pub(super) connection: Option<u64>,
    pub(super) actions: Vec<Action>,
}

/// What a line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Connect,
    /// The PDU with this number, counted from 1, of a kind.
    Nth {
        number: u64,
        kind: Kind,
    },
    /// All PDUs of a kind from this number on.
    Every {
        from: u64,
        kind: Kind,
    },
}

/// Which PDUs are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All that the target sends.
    Pdu,
    /// All that the initiator sends.
    Request,
    /// TASK REASSIGN alone of all task management.
    TaskReassign,
    /// Those with this opcode, whoever sends them.
    Of(Opcode),
}

/// How many PDUs of its kinds there have been with this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) opcode: Option<Opcode>,
    pub(super) of_opcode: u64,
    /// Of all that go its way.
    pub(super) of_all: u64,
    /// Of TASK REASSIGN, if it is one.
    pub(super) of_reassign: Option<u64>,
    pub(super) is_request: bool,
}

impl Kind {
    /// Whether initiators send it.
    pub(super) fn is_request(self) -> bool {
        match self {
            Self::Pdu => false,
            Self::Request | Self::TaskReassign => true,
            Self::Of(opcode) => opcode.is_request(),
        }
    }

    /// Its opcode, if it has one of its own.
    pub(super) const fn opcode(self) -> Option<Opcode> {
        match self {
            Self::Of(opcode) => Some(opcode),
            _ => None,
        }
    }

    fn count(self, place: Place) -> Option<u64> {
        match self {
            Self::Pdu if !place.is_request => Some(place.of_all),
            Self::Request if place.is_request => Some(place.of_all),
            Self::TaskReassign => place.of_reassign,
            Self::Of(opcode) if place.opcode == Some(opcode) => Some(place.of_opcode),
            _ => None,
        }
    }
}

/// A line that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ScriptError {
    /// Its number, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl When {
    /// Whether it means the PDU in this place.
    pub(super) fn fits(self, place: Place) -> bool {
        match self {
            Self::Connect => false,
            Self::Nth { number, kind } => kind.count(place) == Some(number),
            Self::Every { from, kind } => kind.count(place).is_some_and(|count| count >= from),
        }
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut rules = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let rule = parse::rule(line).map_err(|what| ScriptError { line: number, what })?;
            rules.extend(rule);
        }
        Ok(Self { rules })
    }
}
