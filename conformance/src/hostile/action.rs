//! What can be done to a PDU.

use std::time::Duration;

use iscsi_proto::pdu::Opcode;

use super::field::{Field, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Set(Field, Value),
    SetKey(Vec<u8>, Vec<u8>),
    AddKey(Vec<u8>),
    RemoveKey(Vec<u8>),
    Data(Vec<u8>),
    DataLength(usize),
    Corrupt(Part),
    Drop,
    /// This many copies more.
    Duplicate(usize),
    Hold(usize),
    Delay(Duration),
    Truncate(usize),
    Split {
        every: usize,
        pause: Duration,
    },
    Precede(Inserted),
    Follow(Inserted),
    /// The target does not see the request, and this comes in place of what it would say.
    Answer(Inserted),
    ShutWindow,
    OpenWindow,
    Send(Vec<u8>),
    Close,
    Silence,
    Deaf,
}

/// Where bits are flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Header(usize),
    HeaderDigest,
    Data(usize),
    DataDigest,
}

/// A PDU that the target never meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inserted {
    pub(super) kind: Opcode,
    pub(super) fields: Vec<(Field, Value)>,
    pub(super) data: Vec<u8>,
    pub(super) times: usize,
}
