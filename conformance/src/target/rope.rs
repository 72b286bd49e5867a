//! Data that lies in several pieces.

use bytes::Bytes;

/// A run of bytes in pieces that are shared, not copied. One piece, the usual case, takes no allocation.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
}

impl Rope {
    /// A rope of no bytes.
    pub const fn new() -> Self {
        Self { first: Bytes::new(), rest: Vec::new(), len: 0 }
    }

    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a piece.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.len += piece.len();
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.rest.push(piece);
        }
    }

    /// The pieces in order; none of them is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.rest).filter(|piece| !piece.is_empty())
    }

    /// The bytes from `start` on, at most `len` of them.
    #[must_use]
    pub fn slice(&self, start: usize, len: usize) -> Self {
        let mut out = Self::new();
        let (mut skip, mut left) = (start, len);
        for piece in self.pieces() {
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let take = left.min(piece.len() - skip);
            out.push(piece.slice(skip..skip + take));
            (skip, left) = (0, left - take);
            if left == 0 {
                break;
            }
        }
        out
    }

    /// Drops what lies beyond the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            *self = self.slice(0, len);
        }
    }

    /// All bytes in one piece; copies if there are several.
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut all = Vec::with_capacity(self.len);
        for piece in self.pieces() {
            all.extend_from_slice(piece);
        }
        all.into()
    }
}

impl From<Bytes> for Rope {
    fn from(first: Bytes) -> Self {
        Self { len: first.len(), first, rest: Vec::new() }
    }
}

impl From<Vec<u8>> for Rope {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rope(pieces: &[Vec<u8>]) -> Rope {
        let mut rope = Rope::new();
        for piece in pieces {
            rope.push(piece.clone().into());
        }
        rope
    }

    #[test]
    fn empty_pieces_are_not_kept() {
        let rope = rope(&[vec![], vec![1], vec![], vec![2, 3], vec![]]);
        assert_eq!(rope.pieces().count(), 2);
        assert_eq!((rope.len(), rope.is_empty()), (3, false));
        assert!(Rope::new().is_empty() && Rope::new().pieces().next().is_none());
    }

    proptest! {
        #[test]
        fn slices_are_those_of_the_joined_bytes(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6),
            start in 0..100usize, len in 0..100usize,
        ) {
            let joined = pieces.concat();
            let mut rope = rope(&pieces);
            prop_assert_eq!(&rope.to_bytes()[..], &joined[..]);
            let expected: Vec<u8> = joined.iter().copied().skip(start).take(len).collect();
            let slice = rope.slice(start, len);
            prop_assert_eq!(&slice.to_bytes()[..], &expected[..]);
            prop_assert_eq!(slice.len(), expected.len());
            rope.truncate(len);
            prop_assert_eq!(&rope.to_bytes()[..], &joined[..len.min(joined.len())]);
        }
    }
}
