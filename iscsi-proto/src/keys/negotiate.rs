//! What an offer and an answer come to (RFC 7143, section 6.2).
//!
//! ```
//! use iscsi_proto::keys::Key;
//! use iscsi_proto::keys::negotiate::{Outcome, answer, conclude};
//!
//! assert_eq!(answer(Key::MaxBurstLength, "262144", "65536")?, "65536");
//! assert_eq!(conclude(Key::MaxBurstLength, "262144", "65536")?, Outcome::Agreed("65536".into()));
//! assert!(conclude(Key::MaxBurstLength, "262144", "524288").is_err());
//! # Ok::<(), iscsi_proto::keys::negotiate::NegotiateError>(())
//! ```

use std::fmt;

use thiserror::Error;

use super::value::{self, ValueError, excerpt};
use super::{IRRELEVANT, Key, KeySpec, NOT_UNDERSTOOD, REJECT, ResultFunction, ValueKind};
use crate::name::{IscsiName, NameError};
use crate::portal::{PortalError, TargetAddress};

/// How the negotiation of one key ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The value in force from the end of the stage on; numbers in decimal, whatever form the answer had.
    Agreed(String),
    /// The peer answered `Reject`: the current value stays, or the default. `AuthMethod` has none, so login fails.
    Kept,
    /// The key has no meaning here, given what was settled besides.
    Irrelevant,
    /// The peer is older than the key: what the key stands for is not to be used.
    NotUnderstood,
}

/// One key whose negotiation failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub struct NegotiateError {
    /// The key.
    pub key: Key,
    /// What was offered or declared, cut to a sensible length. Escape it before it reaches a terminal.
    pub offered: Option<String>,
    /// What was answered, cut likewise.
    pub answered: Option<String>,
    /// The rule that was broken.
    pub rule: Rule,
}

/// A rule that an offer, a declaration or an answer can break.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rule {
    /// The text does not have the form that the key asks for.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The text is no iSCSI name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The text is no address of a target.
    #[error(transparent)]
    Address(#[from] PortalError),
    /// The number is out of bounds.
    #[error("{value} is not within {min} and {max}")]
    Bounds {
        /// The number.
        value: u64,
        /// The least legal one.
        min: u64,
        /// The greatest legal one.
        max: u64,
    },
    /// The value is none of the words that the key knows.
    #[error("the value is none of {}", .0.join(", "))]
    Word(&'static [&'static str]),
    /// A word that only answers may use stands in an offer or declaration.
    #[error("the value is a reserved word")]
    Reserved,
    /// The answer does not follow from the offer, or the key takes no answer.
    #[error("{}", demand(*.0))]
    Result(ResultFunction),
    /// The peer claims not to know a key that all have to know.
    #[error("every peer has to understand this key")]
    NotUnderstood,
    /// FirstBurstLength is greater than MaxBurstLength.
    #[error("FirstBurstLength {first} is greater than MaxBurstLength {max}")]
    FirstBurst {
        /// FirstBurstLength.
        first: u64,
        /// MaxBurstLength.
        max: u64,
    },
    /// With error recovery and ordered sequences, only one R2T may be open.
    #[error("with ErrorRecoveryLevel {level} and DataSequenceInOrder=Yes, MaxOutstandingR2T is 1, not {outstanding}")]
    OutstandingR2t {
        /// ErrorRecoveryLevel.
        level: u64,
        /// MaxOutstandingR2T.
        outstanding: u64,
    },
}

/// The originator's side: what came of our `offer` for `key`, given the peer's `answer`.
///
/// The answer has to be well-formed, within the bounds of the key, and a possible result of its result function. A
/// declared key has no answer but `NotUnderstood`, and that only where [`KeySpec::may_be_unknown`] says so.
pub fn conclude(key: Key, offer: &str, answer: &str) -> Result<Outcome, NegotiateError> {
    let spec = key.spec();
    let outcome = match answer {
        NOT_UNDERSTOOD if spec.may_be_unknown => Ok(Outcome::NotUnderstood),
        NOT_UNDERSTOOD => Err(Rule::NotUnderstood),
        REJECT if spec.needs_answer() => Ok(Outcome::Kept),
        IRRELEVANT if spec.needs_answer() => Ok(Outcome::Irrelevant),
        _ => result(spec, offer, answer).map(Outcome::Agreed),
    };
    outcome.map_err(|rule| NegotiateError::new(key, Some(offer), Some(answer), rule))
}

/// The acceptor's side: the answer to a peer's `offer`, when what we want ourselves is `ours`.
///
/// `ours` is our limit for a number, `Yes` or `No` for a boolean, and for a list all that we support, in any order: the
/// peer's order counts. The answer is `Reject` if we support nothing of the list, and for obsolete keys. Numbers come
/// in decimal. Whether a key is `Irrelevant` is for the caller to say.
pub fn answer(key: Key, offer: &str, ours: &str) -> Result<String, NegotiateError> {
    let spec = key.spec();
    if spec.result == ResultFunction::Obsolete {
        return Ok(REJECT.into());
    }
    check(spec, offer)
        .and_then(|()| reply(spec, offer, ours))
        .map_err(|rule| NegotiateError::new(key, Some(offer), None, rule))
}

/// Checks a value that the peer declared, such as MaxRecvDataSegmentLength, TargetPortalGroupTag or TargetAlias, or a
/// value of any other key by itself.
pub fn declared(key: Key, value: &str) -> Result<(), NegotiateError> {
    check(key.spec(), value).map_err(|rule| NegotiateError::new(key, Some(value), None, rule))
}

/// Whether `offer` settles `key` by itself: the answer may then be missing, and the offer is the result (section 6.2.2).
pub fn is_decided(key: Key, offer: &str) -> bool {
    match key.spec().result {
        ResultFunction::And => offer == "No",
        ResultFunction::Or => offer == "Yes",
        _ => false,
    }
}

/// Checks the rules between keys, once all are settled (sections 13.14 and 13.19).
///
/// `in_force` gives the value of a key that was negotiated; for `None` the default holds.
pub fn check_together<'a>(in_force: impl Fn(Key) -> Option<&'a str>) -> Result<(), NegotiateError> {
    let value = |key: Key| in_force(key).or(key.spec().default).unwrap_or_default();
    let number = |key: Key| {
        let text = value(key);
        bounded(key.spec(), text).map_err(|rule| NegotiateError::new(key, Some(text), None, rule))
    };
    let unsolicited = value(Key::InitialR2T) == "No" || value(Key::ImmediateData) == "Yes";
    let (first, max) = (number(Key::FirstBurstLength)?, number(Key::MaxBurstLength)?);
    if unsolicited && first > max {
        return Err(NegotiateError::new(Key::FirstBurstLength, None, None, Rule::FirstBurst { first, max }));
    }
    let (level, outstanding) = (number(Key::ErrorRecoveryLevel)?, number(Key::MaxOutstandingR2T)?);
    if level != 0 && outstanding != 1 && value(Key::DataSequenceInOrder) == "Yes" {
        let rule = Rule::OutstandingR2t { level, outstanding };
        return Err(NegotiateError::new(Key::DataSequenceInOrder, None, None, rule));
    }
    Ok(())
}

impl NegotiateError {
    fn new(key: Key, offered: Option<&str>, answered: Option<&str>, rule: Rule) -> Self {
        Self { key, offered: offered.map(excerpt), answered: answered.map(excerpt), rule }
    }

    /// Where the key is defined, such as `RFC 7143, section 13.13`.
    pub const fn section(&self) -> &'static str {
        self.key.spec().section
    }
}

impl fmt::Display for NegotiateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if let Some(offered) = &self.offered {
            write!(f, "={}", offered.escape_debug())?;
        }
        if let Some(answered) = &self.answered {
            write!(f, " was answered by {answered:?}")?;
        }
        write!(f, ": {} ({})", self.rule, self.section())
    }
}

/// What each result function asks of an answer.
const fn demand(function: ResultFunction) -> &'static str {
    match function {
        ResultFunction::Minimum => "the answer may not be greater than the offer",
        ResultFunction::Maximum => "the answer may not be less than the offer",
        ResultFunction::And => "No can only be answered by No",
        ResultFunction::Or => "Yes can only be answered by Yes",
        ResultFunction::First => "the answer has to be one of the offered values",
        ResultFunction::Declarative => "the key is declared, not negotiated",
        ResultFunction::Exchange => "the key is a step of an exchange, not negotiated",
        ResultFunction::Obsolete => "the key is obsolete: the answer has to be Reject or No",
    }
}

/// The value that `answer` puts in force.
fn result(spec: &KeySpec, offer: &str, answer: &str) -> Result<String, Rule> {
    let legal = match spec.result {
        ResultFunction::Minimum => bounded(spec, answer)? <= bounded(spec, offer)?,
        ResultFunction::Maximum => bounded(spec, answer)? >= bounded(spec, offer)?,
        ResultFunction::And => value::boolean(offer)? | !value::boolean(answer)?,
        ResultFunction::Or => !value::boolean(offer)? | value::boolean(answer)?,
        ResultFunction::First => value::list(offer).any(|item| item == answer),
        ResultFunction::Obsolete => answer == "No" && spec.value == ValueKind::Boolean,
        ResultFunction::Declarative | ResultFunction::Exchange => false,
    };
    if !legal {
        return Err(Rule::Result(spec.result));
    }
    Ok(match spec.value {
        ValueKind::Number { .. } => value::number(answer)?.to_string(),
        _ => answer.to_owned(),
    })
}

/// The answer that suits both `offer`, which is well-formed, and `ours`.
fn reply(spec: &KeySpec, offer: &str, ours: &str) -> Result<String, Rule> {
    let yes_no = |yes| if yes { "Yes" } else { "No" }.to_owned();
    Ok(match spec.result {
        ResultFunction::Minimum => bounded(spec, offer)?.min(bounded(spec, ours)?).to_string(),
        ResultFunction::Maximum => bounded(spec, offer)?.max(bounded(spec, ours)?).to_string(),
        ResultFunction::And => yes_no(value::boolean(offer)? & value::boolean(ours)?),
        ResultFunction::Or => yes_no(value::boolean(offer)? | value::boolean(ours)?),
        ResultFunction::First => {
            value::list(offer).find(|item| value::list(ours).any(|own| own == *item)).unwrap_or(REJECT).to_owned()
        }
        other => return Err(Rule::Result(other)),
    })
}

/// Checks a value by itself, as an offer or a declaration.
fn check(spec: &KeySpec, text: &str) -> Result<(), Rule> {
    if is_reserved(spec, text) {
        return Err(Rule::Reserved);
    }
    match spec.value {
        ValueKind::Boolean => value::boolean(text).map(drop)?,
        ValueKind::Number { .. } => bounded(spec, text).map(drop)?,
        ValueKind::Range => value::range(text).map(drop)?,
        ValueKind::Choice { known } if !known.contains(&text) => return Err(Rule::Word(known)),
        ValueKind::Targets if text.is_empty() || text == "All" => {}
        ValueKind::Name | ValueKind::Targets => IscsiName::new(text).map(drop)?,
        ValueKind::Address => text.parse::<TargetAddress>().map(drop)?,
        ValueKind::Binary { max } => value::binary(text, max).map(drop)?,
        ValueKind::Choice { .. } | ValueKind::List { .. } | ValueKind::LocalName | ValueKind::Text => {}
    }
    Ok(())
}

/// Whether `text` uses a word that is kept for answers. What people wrote may hold any word.
fn is_reserved(spec: &KeySpec, text: &str) -> bool {
    let reserved = |text| matches!(text, REJECT | IRRELEVANT | NOT_UNDERSTOOD);
    match spec.value {
        ValueKind::LocalName | ValueKind::Text => false,
        ValueKind::List { .. } => value::list(text).any(reserved),
        _ => reserved(text),
    }
}

fn bounded(spec: &KeySpec, text: &str) -> Result<u64, Rule> {
    let value = value::number(text)?;
    let (min, max) = spec.bounds().unwrap_or((0, u64::MAX));
    if (min..=max).contains(&value) { Ok(value) } else { Err(Rule::Bounds { value, min, max }) }
}
