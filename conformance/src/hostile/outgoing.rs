//! The bytes of PDUs, whole, changed and damaged.

use std::time::Duration;

use iscsi_proto::digest;
use iscsi_proto::pdu::{BHS_LEN, Header, padding};

use super::action::Part;
use super::engine::Step;
use super::field::{Field, Value};
use crate::target::core::{Digests, OutPdu};

/// A PDU on its way through the actions of a script.
pub(super) struct Outgoing {
    pub(super) header: Header,
    pub(super) data: Vec<u8>,
    digests: Digests,
    pub(super) sets: Vec<(Field, Value)>,
    pub(super) damages: Vec<Part>,
    pub(super) truncate: Option<usize>,
    pub(super) split: Option<(usize, Duration)>,
    pub(super) copies: usize,
    pub(super) hold: Option<usize>,
    pub(super) before: Vec<Step>,
    pub(super) after: Vec<Step>,
}

impl Outgoing {
    pub(super) fn new(pdu: &OutPdu) -> Self {
        Self {
            header: pdu.header,
            data: pdu.data.to_bytes().to_vec(),
            digests: pdu.digests,
            sets: Vec::new(),
            damages: Vec::new(),
            truncate: None,
            split: None,
            copies: 1,
            hold: None,
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    pub(super) fn steps(self) -> Vec<Step> {
        let mut header = self.header.with_data_len(self.data.len() as u32);
        for (field, value) in &self.sets {
            field.put(&mut header, *value);
        }
        let mut bytes = encode(&header, &self.data, self.digests);
        for part in &self.damages {
            damage(&mut bytes, *part, 0, self.digests);
        }
        bytes.truncate(self.truncate.unwrap_or(usize::MAX));
        let mut steps = self.before;
        for _ in 0..self.copies {
            match self.split {
                None => steps.push(Step::Write(bytes.clone())),
                Some((every, pause)) => {
                    for piece in bytes.chunks(every) {
                        steps.push(Step::Write(piece.to_vec()));
                        steps.extend((!pause.is_zero()).then_some(Step::Wait(pause)));
                    }
                }
            }
        }
        steps.extend(self.after);
        steps
    }
}

/// The PDU as it goes over the wire, with digests that fit what the header and the data are now.
pub(super) fn encode(header: &Header, data: &[u8], digests: Digests) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    if digests.header {
        bytes.extend(digest::wire(header.as_bytes()));
    }
    let start = bytes.len();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len() + padding(data.len()), 0);
    if digests.data && !data.is_empty() {
        let digest = digest::wire(bytes.get(start..).unwrap_or_default());
        bytes.extend(digest);
    }
    bytes
}

/// Puts bytes over others.
pub(super) fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
}

/// Flips the lowest bit of a byte, if the PDU has it.
pub(super) fn damage(bytes: &mut [u8], part: Part, ahs: usize, digests: Digests) {
    let data = BHS_LEN + ahs + if digests.header { digest::DIGEST_LEN } else { 0 };
    let at = match part {
        Part::Header(at) => at,
        Part::HeaderDigest if digests.header => BHS_LEN + ahs,
        Part::Data(at) => data + at,
        Part::DataDigest if digests.data && bytes.len() > data => bytes.len() - 1,
        _ => return,
    };
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
}

fn pairs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == 0).filter(|pair| !pair.is_empty())
}

fn is_key(pair: &[u8], key: &[u8]) -> bool {
    pair.strip_prefix(key).is_some_and(|rest| rest.first() == Some(&b'='))
}

pub(super) fn set_key(text: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    remove_key(text, key);
    add_key(text, &[key, b"=", value].concat());
}

pub(super) fn add_key(text: &mut Vec<u8>, pair: &[u8]) {
    text.extend_from_slice(pair);
    text.push(0);
}

pub(super) fn remove_key(text: &mut Vec<u8>, key: &[u8]) {
    let kept = pairs(text).filter(|pair| !is_key(pair, key)).flat_map(|pair| pair.iter().copied().chain([0]));
    *text = kept.collect();
}
