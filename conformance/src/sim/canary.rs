//! Buffers that tell when they were written beside or were not given back.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

const MARGIN: usize = 64;
const FILL: u8 = 0xc5;

/// The margins of a read buffer that was cut out of a larger one.
#[derive(Debug)]
pub(super) struct Margins {
    before: BytesMut,
    after: BytesMut,
}

/// Counts payloads that are still held by anybody.
#[derive(Debug, Default)]
pub(super) struct Ledger(Arc<()>);

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    _ledger: Arc<()>,
}

/// A buffer of `len` bytes and its margins.
pub(super) fn buffer(len: usize) -> (BytesMut, Margins) {
    let mut before = BytesMut::zeroed(len + 2 * MARGIN);
    before.fill(FILL);
    let after = before.split_off(MARGIN + len);
    let buffer = before.split_off(MARGIN);
    (buffer, Margins { before, after })
}

impl Margins {
    /// Whether nobody has written into them.
    pub(super) fn are_clean(&self) -> bool {
        let clean = |part: &BytesMut| part.len() == MARGIN && part.iter().all(|byte| *byte == FILL);
        clean(&self.before) && clean(&self.after)
    }
}

impl Ledger {
    /// A payload that is counted until its last owner lets it go.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { bytes, _ledger: self.0.clone() })
    }

    /// How many payloads are held.
    pub(super) fn outstanding(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_beside_the_buffer_is_noticed() {
        let (mut buffer, margins) = buffer(10);
        buffer.fill(0);
        assert!(buffer.len() == 10 && margins.are_clean());
        let (_, mut margins) = super::buffer(10);
        margins.after[0] = 0;
        assert!(!margins.are_clean());
    }

    #[test]
    fn lent_payloads_are_counted_until_they_are_dropped() {
        let ledger = Ledger::default();
        let lent = ledger.lend(vec![1, 2, 3]);
        let part = lent.slice(1..2);
        drop(lent);
        assert_eq!((ledger.outstanding(), &part[..]), (1, &[2][..]));
        drop(part);
        assert_eq!(ledger.outstanding(), 0);
    }
}
