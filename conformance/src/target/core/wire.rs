//! PDUs on their way out, as the bytes that go into the socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use iscsi_proto::digest::{Crc32c, DIGEST_LEN};
use iscsi_proto::pdu::{Header, padding};

use crate::target::rope::Rope;

/// Below this a copy costs less than one more piece of a vectored write.
const COPY_LIMIT: usize = 1024;
/// Written bytes that may lie around while others wait behind them.
const FORGET: usize = 64 * 1024;

/// A PDU that the target sends.
#[derive(Clone, Debug)]
pub struct OutPdu {
    /// The header; [`Wire`] sets its DataSegmentLength.
    pub header: Header,
    /// The data segment, without padding.
    pub data: Rope,
    /// Which digests it gets.
    pub digests: Digests,
}

/// Which digests are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digests {
    /// Over the header.
    pub header: bool,
    /// Over the data.
    pub data: bool,
}

/// The bytes of PDUs that wait to be written. Headers lie in one buffer, large payloads are kept by reference.
///
/// It is a [`Buf`]: read its chunks, advance by what was written.
#[derive(Debug, Default)]
pub struct Wire {
    copied: Vec<u8>,
    /// What of `copied` is written already.
    written: usize,
    pieces: VecDeque<Piece>,
    len: usize,
}

#[derive(Debug)]
enum Piece {
    /// This many of the copied bytes.
    Copied(usize),
    Shared(Bytes),
}

impl Wire {
    /// Nothing to write.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none wait.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a PDU.
    pub fn push(&mut self, pdu: &OutPdu) {
        let header = pdu.header.with_data_len(pdu.data.len() as u32);
        self.copy(header.as_bytes());
        if pdu.digests.header {
            self.copy(&iscsi_proto::digest::wire(header.as_bytes()));
        }
        if !pdu.data.is_empty() {
            self.push_data(pdu);
        }
    }

    fn push_data(&mut self, pdu: &OutPdu) {
        for piece in pdu.data.pieces() {
            if piece.len() <= COPY_LIMIT {
                self.copy(piece);
            } else {
                self.share(piece.clone());
            }
        }
        let zeros = [0; 3];
        let pad = zeros.get(..padding(pdu.data.len())).unwrap_or_default();
        self.copy(pad);
        if pdu.digests.data {
            self.copy(&digest(&pdu.data, pad));
        }
    }

    /// Appends bytes as they are.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
        self.len += bytes.len();
        match self.pieces.back_mut() {
            Some(Piece::Copied(len)) => *len += bytes.len(),
            _ => self.pieces.push_back(Piece::Copied(bytes.len())),
        }
    }

    fn share(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        self.pieces.push_back(Piece::Shared(bytes));
    }

    /// Gives the room of what is written back, seldom enough that the moving costs nothing.
    fn forget_written(&mut self) {
        if self.len == 0 {
            self.copied.clear();
            self.written = 0;
        } else if self.written > FORGET && self.written > self.copied.len() / 2 {
            self.copied.drain(..self.written);
            self.written = 0;
        }
    }

    /// Takes up to `n` bytes off the first piece; how many that were.
    fn take(&mut self, n: usize) -> usize {
        let (taken, left) = match self.pieces.front_mut() {
            None => return 0,
            Some(Piece::Copied(len)) => {
                let taken = n.min(*len);
                *len -= taken;
                self.written += taken;
                (taken, *len)
            }
            Some(Piece::Shared(bytes)) => {
                let taken = n.min(bytes.len());
                bytes.advance(taken);
                (taken, bytes.len())
            }
        };
        if left == 0 {
            self.pieces.pop_front();
        }
        taken
    }
}

fn digest(data: &Rope, pad: &[u8]) -> [u8; DIGEST_LEN] {
    let mut crc = Crc32c::new();
    for piece in data.pieces() {
        crc.update(piece);
    }
    crc.update(pad);
    crc.wire()
}

impl Buf for Wire {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        match self.pieces.front() {
            None => &[],
            Some(Piece::Copied(len)) => self.copied.get(self.written..self.written + len).unwrap_or_default(),
            Some(Piece::Shared(bytes)) => bytes,
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut at = self.written;
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(match piece {
                Piece::Copied(len) => {
                    at += len;
                    self.copied.get(at - len..at).unwrap_or_default()
                }
                Piece::Shared(bytes) => bytes,
            });
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, n: usize) {
        let mut left = n.min(self.len);
        self.len -= left;
        while left > 0 {
            left -= self.take(left);
        }
        self.forget_written();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use iscsi_proto::framer::encode_frame;
    use iscsi_proto::pdu::Opcode;
    use proptest::prelude::*;

    fn drain(mut wire: Wire, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while wire.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 3];
            let filled = wire.chunks_vectored(&mut slices);
            let mut got: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            assert!(got.starts_with(wire.chunk()) && !got.is_empty());
            got.truncate(step);
            out.extend_from_slice(&got);
            wire.advance(got.len());
        }
        assert!(wire.is_empty() && wire.chunk().is_empty());
        out
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_the_plain_encoding(
            pdus in proptest::collection::vec(
                (proptest::collection::vec(0..3000usize, 0..4), any::<bool>(), any::<bool>()), 0..5),
            step in 1..5000usize,
        ) {
            let (mut wire, mut plain) = (Wire::new(), BytesMut::new());
            for (lens, header, data) in pdus {
                let mut rope = Rope::new();
                for (i, len) in lens.into_iter().enumerate() {
                    rope.push(vec![i as u8 + 1; len].into());
                }
                let bhs = Header::new(Opcode::DataIn);
                encode_frame(bhs, &[], &rope.to_bytes(), header, data, &mut plain);
                wire.push(&OutPdu { header: bhs, data: rope, digests: Digests { header, data } });
            }
            prop_assert_eq!(wire.len(), plain.len());
            prop_assert_eq!(drain(wire, step), plain.to_vec());
        }
    }

    #[test]
    fn large_payloads_are_not_copied() {
        let data = Bytes::from(vec![1; 4096]);
        let mut wire = Wire::new();
        let header = Header::new(Opcode::DataIn);
        wire.push(&OutPdu { header, data: data.clone().into(), digests: Digests::default() });
        wire.advance(48);
        assert_eq!(wire.chunk().as_ptr(), data.as_ptr());
    }
}
