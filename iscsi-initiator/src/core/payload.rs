//! The data of a write: one or more buffers, sent from where they are.

use bytes::{Bytes, BytesMut};

/// Data to be written, held by reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
}

impl Payload {
    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The buffers that `length` bytes from `offset` on lie in. What reaches beyond the end is left out.
    pub(crate) fn slices(&self, offset: usize, length: usize) -> impl Iterator<Item = Bytes> + '_ {
        let (mut skip, mut left) = (offset, length);
        std::iter::once(&self.first).chain(&self.rest).filter_map(move |part| {
            let from = skip.min(part.len());
            let upto = part.len().min(from.saturating_add(left));
            skip -= from;
            left -= upto - from;
            (upto > from).then(|| part.slice(from..upto))
        })
    }

    /// The part of `length` bytes from `offset` on, as a payload of its own that shares the buffers.
    #[must_use]
    pub fn part(&self, offset: usize, length: usize) -> Self {
        if self.rest.is_empty() {
            let upto = self.first.len().min(offset.saturating_add(length));
            return self.first.slice(offset.min(upto)..upto).into();
        }
        self.slices(offset, length).collect::<Vec<_>>().into()
    }
}

impl From<Bytes> for Payload {
    fn from(first: Bytes) -> Self {
        let len = first.len();
        Self { first, rest: Vec::new(), len }
    }
}

impl From<BytesMut> for Payload {
    fn from(buffer: BytesMut) -> Self {
        buffer.freeze().into()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(buffer: Vec<u8>) -> Self {
        Bytes::from(buffer).into()
    }
}

impl From<&'static [u8]> for Payload {
    fn from(buffer: &'static [u8]) -> Self {
        Bytes::from_static(buffer).into()
    }
}

impl From<Vec<Bytes>> for Payload {
    fn from(parts: Vec<Bytes>) -> Self {
        let len = parts.iter().map(Bytes::len).sum();
        let mut parts = parts.into_iter();
        Self { first: parts.next().unwrap_or_default(), rest: parts.collect(), len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_out_of_the_buffers_it_lies_in() {
        let whole = b"abcdefghij";
        let parts =
            vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defg"), Bytes::from_static(b"hij")];
        let payload = Payload::from(parts);
        assert_eq!(payload.len(), 10);
        for offset in 0..=10 {
            for length in 0..=12 {
                let joined: Vec<u8> = payload.slices(offset, length).flatten().collect();
                assert_eq!(joined, whole[offset..10.min(offset + length)], "{offset} {length}");
                assert_eq!(payload.part(offset, length).len(), joined.len());
            }
        }
        let single = Payload::from(Bytes::from_static(whole));
        assert_eq!(single.part(3, 4), Bytes::from_static(b"defg").into());
        assert_eq!(single.part(8, 9), Bytes::from_static(b"ij").into());
        assert_eq!(single.part(11, 1), Payload::default());
        assert!(payload.slices(3, 4).eq([Bytes::from_static(b"defg")]));
    }
}
