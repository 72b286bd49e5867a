//! The columns of the key table.

use super::Key;

/// Which side of a connection sends a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The side that opened the connection.
    Initiator,
    /// The side that accepted it.
    Target,
}

/// When a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Login, `SecurityNegotiation` (stage 0).
    Security,
    /// Login, `LoginOperationalNegotiation` (stage 1).
    Operational,
    /// After login, in Text Requests and Responses.
    FullFeature,
}

/// A set of [`Stage`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stages(u8);

/// How far the result of a key reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole session.
    Session,
    /// The connection that it was negotiated on.
    Connection,
}

/// The form that values of a key have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueKind {
    /// `Yes` or `No`.
    Boolean,
    /// One number, in bounds.
    Number {
        /// The least legal value.
        min: u64,
        /// The greatest legal value.
        max: u64,
    },
    /// Two numbers as `a~b`.
    Range,
    /// Values in order of preference, separated by commas. Others than the known ones may be private extensions.
    List {
        /// The values that the RFC defines; empty where the key leaves them open.
        known: &'static [&'static str],
    },
    /// One of a few words.
    Choice {
        /// The words.
        known: &'static [&'static str],
    },
    /// An iSCSI name.
    Name,
    /// `All`, an iSCSI name, or nothing.
    Targets,
    /// UTF-8 text for people to read.
    LocalName,
    /// Text that means something to the peer.
    Text,
    /// `host[:port][,tag]`.
    Address,
    /// Bytes in hexadecimal or base64.
    Binary {
        /// The greatest length in bytes, decoded.
        max: usize,
    },
}

/// What the acceptor's answer has to be, given the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResultFunction {
    /// No greater than the offer.
    Minimum,
    /// No less than the offer.
    Maximum,
    /// `No` if the offer is `No`.
    And,
    /// `Yes` if the offer is `Yes`.
    Or,
    /// The first offered value that the acceptor supports.
    First,
    /// Declared, not negotiated: no answer.
    Declarative,
    /// One step of an authentication exchange or of a request: the next step is the answer.
    Exchange,
    /// Obsolete: the answer is `Reject`.
    Obsolete,
}

/// Everything that the standard says about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySpec {
    /// Which key this is.
    pub key: Key,
    /// Its name on the wire, case-sensitive.
    pub name: &'static str,
    /// The form of its values.
    pub value: ValueKind,
    /// How an offer and an answer become a result.
    pub result: ResultFunction,
    /// The value that holds if the key is never sent.
    pub default: Option<&'static str>,
    /// When an initiator may send it.
    pub initiator: Stages,
    /// When a target may send it.
    pub target: Stages,
    /// Whether only the login of a session's first connection may carry it.
    pub leading_only: bool,
    /// How far its result reaches.
    pub scope: Scope,
    /// Whether it has no meaning in a discovery session.
    pub irrelevant_in_discovery: bool,
    /// Whether one negotiation may carry it more than once.
    pub repeatable: bool,
    /// Whether a peer may answer `NotUnderstood`: the key came after RFC 3720, and peers older than it are in use.
    pub may_be_unknown: bool,
    /// Where it is defined.
    pub section: &'static str,
}

impl Stages {
    /// No stage.
    pub const NONE: Self = Self(0);
    /// The security stage of login.
    pub const SECURITY: Self = Self(1);
    /// The operational stage of login.
    pub const OPERATIONAL: Self = Self(2);
    /// The full feature phase.
    pub const FULL_FEATURE: Self = Self(4);
    /// Both stages of login.
    pub const LOGIN: Self = Self(1 | 2);
    /// The operational stage of login and the full feature phase.
    pub const NEGOTIABLE: Self = Self(2 | 4);
    /// All stages.
    pub const ALL: Self = Self(1 | 2 | 4);

    /// Whether the set holds `stage`.
    pub const fn contains(self, stage: Stage) -> bool {
        let bit = match stage {
            Stage::Security => 1,
            Stage::Operational => 2,
            Stage::FullFeature => 4,
        };
        self.0 & bit != 0
    }

    /// Whether the set holds nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The limit for a simple value, in bytes, where a key names none (RFC 7143, section 6.1).
const SIMPLE: usize = 255;
/// What surrounds the host in the longest `TargetAddress`: brackets, port, tag.
const ADDRESS_EXTRA: usize = "[]:65535,65535".len();

impl KeySpec {
    /// Whether `party` may send the key in `stage`.
    pub const fn allowed(&self, party: Party, stage: Stage) -> bool {
        match party {
            Party::Initiator => self.initiator.contains(stage),
            Party::Target => self.target.contains(stage),
        }
    }

    /// Whether the acceptor has to answer. Booleans that the offer already decides need no answer in spite of this.
    pub const fn needs_answer(&self) -> bool {
        !matches!(self.result, ResultFunction::Declarative | ResultFunction::Exchange)
    }

    /// The bounds of a numeric key.
    pub const fn bounds(&self) -> Option<(u64, u64)> {
        match self.value {
            ValueKind::Number { min, max } => Some((min, max)),
            _ => None,
        }
    }

    /// The most bytes that an encoded value can take. Lists have no limit as a whole, only their items.
    pub const fn max_value_len(&self) -> Option<usize> {
        match self.value {
            ValueKind::List { .. } if matches!(self.result, ResultFunction::Declarative) => Some(SIMPLE),
            ValueKind::List { .. } => None,
            ValueKind::Address => Some(SIMPLE + ADDRESS_EXTRA),
            ValueKind::Binary { max } => Some(2 + 2 * max),
            _ => Some(SIMPLE),
        }
    }
}
