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
    pub(super) actions: Vec<Action>,
}

/// What a line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Connect,
    /// The PDU with this number, counted from 1, of a kind or of all.
    Nth {
        number: u64,
        kind: Option<Opcode>,
    },
    /// All PDUs of a kind, or of all, from this number on.
    Every {
        from: u64,
        kind: Option<Opcode>,
    },
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
    /// Whether it means a PDU that is the `of_kind`-th of its kind and the `of_all`-th of all.
    pub(super) fn fits(self, opcode: Option<Opcode>, of_kind: u64, of_all: u64) -> bool {
        let count = |kind: Option<Opcode>| match kind {
            None => Some(of_all),
            kind if kind == opcode => Some(of_kind),
            _ => None,
        };
        match self {
            Self::Connect => false,
            Self::Nth { number, kind } => count(kind) == Some(number),
            Self::Every { from, kind } => count(kind).is_some_and(|count| count >= from),
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
