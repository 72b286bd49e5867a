//! Asking for one target after the other (RFC 4171, section 5.6.5.3).
//!
//! Quirk: open-isns 0.101 answers a query whose answer would be longer than some 8 KiB, which thirty targets fill, with
//! "internal error". It tells the same targets one by one.

use std::collections::HashSet;

use bytes::Bytes;
use iscsi_proto::isns::{Answer, Attribute, MAX_MESSAGE, NodeType, Status, Tag};

use super::{IsnsError, WANTED};

/// The bytes that tag and length of an attribute take.
const HEAD: usize = 8;

/// How far the way through the targets has gone.
#[derive(Debug)]
pub(super) struct Walk {
    /// Why the targets are not asked for all at once.
    refusal: Status,
    /// The target that was told last; empty at first.
    last: Attribute,
    /// All that were told.
    seen: HashSet<Bytes>,
    /// What is known of them.
    attributes: Vec<Attribute>,
    size: usize,
}

/// Where an answer has led to.
pub(super) enum Way {
    /// There is another target, and it can be asked for.
    Found,
    /// There are no more. What is known of those that were told.
    End(Vec<Attribute>),
}

impl Walk {
    /// A walk to take since this status refused the query for all.
    pub(super) fn new(refusal: Status) -> Self {
        let last = Attribute::empty(Tag::NAME);
        Self { refusal, last, seen: HashSet::new(), attributes: Vec::new(), size: 0 }
    }

    /// Asks for the target after the last one.
    pub(super) fn next(&self, source: Attribute) -> Vec<Attribute> {
        let target = Attribute::number(Tag::NODE_TYPE, NodeType::TARGET.0);
        vec![source, self.last.clone(), Attribute::DELIMITER, target]
    }

    /// Asks for what is known of the last target.
    pub(super) fn details(&self, source: Attribute) -> Vec<Attribute> {
        let key = [source, self.last.clone(), Attribute::DELIMITER];
        key.into_iter().chain(WANTED.map(Attribute::empty)).collect()
    }

    /// Takes the answer to [`next`](Self::next).
    pub(super) fn found(&mut self, answer: Answer) -> Result<Way, IsnsError> {
        match answer.status {
            Status::SUCCESS => {}
            Status::NO_SUCH_ENTRY => return Ok(Way::End(std::mem::take(&mut self.attributes))),
            _ => return Err(IsnsError::QueryRefused { status: self.refusal }),
        }
        let name = answer.key.into_iter().find(|attribute| attribute.tag == Tag::NAME);
        self.last = name.filter(|name| !name.is_empty()).ok_or(IsnsError::NoName)?;
        if !self.seen.insert(self.last.value.clone()) {
            return Err(IsnsError::Circle);
        }
        self.grow(std::slice::from_ref(&self.last.clone()))?;
        Ok(Way::Found)
    }

    /// Takes the answer to [`details`](Self::details). A target that has vanished meanwhile has none.
    pub(super) fn told(&mut self, answer: Answer) -> Result<(), IsnsError> {
        self.grow(&answer.operating)?;
        self.attributes.extend(answer.operating);
        Ok(())
    }

    /// All answers together may be as long as one that has all.
    fn grow(&mut self, attributes: &[Attribute]) -> Result<(), IsnsError> {
        self.size += attributes.iter().map(|attribute| HEAD + attribute.value.len()).sum::<usize>();
        if self.size > MAX_MESSAGE { Err(IsnsError::TooMany) } else { Ok(()) }
    }
}
