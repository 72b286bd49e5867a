//! What waits to be written to the connection.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use iscsi_proto::digest::Crc32c;
use iscsi_proto::pdu::{Header, padding};

use super::payload::Payload;

/// Bytes in wire order: small ones together in one buffer, payload by reference.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    small: BytesMut,
    chunks: VecDeque<Chunk>,
    len: usize,
    header_digest: bool,
    data_digest: bool,
}

#[derive(Debug)]
enum Chunk {
    /// That many bytes of `small`.
    Small(usize),
    Payload(Bytes),
}

impl SendQueue {
    /// An empty queue that adds these digests.
    pub(crate) fn new(header_digest: bool, data_digest: bool) -> Self {
        Self { header_digest, data_digest, ..Self::default() }
    }

    /// Bytes that wait.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends a PDU without data.
    pub(crate) fn push(&mut self, header: &Header) {
        self.push_head(header, &[]);
    }

    /// Appends a PDU with additional header segments (padded already) and the range of `payload` that is its data.
    pub(crate) fn push_data(&mut self, header: Header, ahs: &[u8], payload: &Payload, offset: usize, length: usize) {
        let header = header.with_data_len(length as u32).with_ahs_len(ahs.len());
        self.push_head(&header, ahs);
        let mut crc = self.data_digest.then(Crc32c::new);
        for slice in payload.slices(offset, length) {
            if let Some(crc) = &mut crc {
                crc.update(&slice);
            }
            self.len += slice.len();
            self.chunks.push_back(Chunk::Payload(slice));
        }
        self.push_tail(length, crc.as_mut());
    }

    /// Appends a PDU whose data is copied.
    pub(crate) fn push_copy(&mut self, header: Header, data: &[u8]) {
        let header = header.with_data_len(data.len() as u32);
        self.push_head(&header, &[]);
        self.append(data);
        let mut crc = self.data_digest.then(Crc32c::new);
        if let Some(crc) = &mut crc {
            crc.update(data);
        }
        self.push_tail(data.len(), crc.as_mut());
    }

    /// Fills `slices` with what comes next and says how many were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut small: &[u8] = &self.small;
        let mut filled = 0;
        for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slot = IoSlice::new(match chunk {
                Chunk::Small(len) => {
                    let (head, rest) = small.split_at_checked(*len).unwrap_or((small, &[]));
                    small = rest;
                    head
                }
                Chunk::Payload(bytes) => bytes,
            });
            filled += 1;
        }
        filled
    }

    /// Forgets `count` bytes that were written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        self.len = self.len.saturating_sub(count);
        while let Some(chunk) = self.chunks.front_mut() {
            let len = match chunk {
                Chunk::Small(len) => *len,
                Chunk::Payload(bytes) => bytes.len(),
            };
            let taken = len.min(count);
            if let Chunk::Small(_) = chunk {
                self.small.advance(taken);
            }
            if taken == len {
                self.chunks.pop_front();
            } else {
                match chunk {
                    Chunk::Small(len) => *len -= taken,
                    Chunk::Payload(bytes) => bytes.advance(taken),
                }
                return;
            }
            count -= taken;
            if count == 0 {
                return;
            }
        }
    }

    fn push_head(&mut self, header: &Header, ahs: &[u8]) {
        self.append(header.as_bytes());
        self.append(ahs);
        if self.header_digest {
            let mut crc = Crc32c::new();
            crc.update(header.as_bytes());
            crc.update(ahs);
            self.append(&crc.wire());
        }
    }

    fn push_tail(&mut self, length: usize, crc: Option<&mut Crc32c>) {
        const PAD: [u8; 4] = [0; 4];
        let pad = PAD.get(..padding(length)).unwrap_or_default();
        self.append(pad);
        if let Some(crc) = crc.filter(|_| length != 0) {
            crc.update(pad);
            self.append(&crc.wire());
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.small.put_slice(bytes);
        self.len += bytes.len();
        match self.chunks.back_mut() {
            Some(Chunk::Small(len)) => *len += bytes.len(),
            _ => self.chunks.push_back(Chunk::Small(bytes.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use iscsi_proto::framer::encode_frame;
    use iscsi_proto::pdu::Opcode;
    use proptest::prelude::*;

    use super::*;

    fn drain(queue: &mut SendQueue, steps: impl Iterator<Item = usize>) -> Vec<u8> {
        let mut out = Vec::new();
        for step in steps {
            if queue.len() == 0 {
                break;
            }
            let mut slices = [IoSlice::new(&[]); 5];
            let filled = queue.slices(&mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).take(step).collect();
            queue.advance(bytes.len());
            out.extend(bytes);
        }
        out
    }

    proptest! {
        /// the queue writes what the framer's own encoder writes, however it is drained.
        #[test]
        fn the_wire_is_that_of_the_reference_encoder(
            pdus in proptest::collection::vec((0..600usize, any::<bool>()), 1..12),
            digests: (bool, bool),
            step in 1..700usize,
        ) {
            let mut queue = SendQueue::new(digests.0, digests.1);
            let mut expected = BytesMut::new();
            for (length, copy) in pdus {
                let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
                let header = Header::new(Opcode::DataOut);
                let cut = length / 3;
                let parts = vec![Bytes::copy_from_slice(&data[..cut]), Bytes::copy_from_slice(&data[cut..])];
                match (length, copy) {
                    (0, _) => queue.push(&header),
                    (_, true) => queue.push_copy(header, &data),
                    (_, false) => queue.push_data(header, &[], &Payload::from(parts), 0, length),
                }
                encode_frame(header, &[], &data, digests.0, digests.1, &mut expected);
            }
            prop_assert_eq!(queue.len(), expected.len());
            prop_assert_eq!(drain(&mut queue, std::iter::repeat(step)), expected.to_vec());
            prop_assert_eq!(queue.len(), 0);
        }
    }
}
