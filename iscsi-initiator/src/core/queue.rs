//! What waits to be written to the connection.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use iscsi_proto::digest::Crc32c;
use iscsi_proto::pdu::{Header, padding};
use iscsi_proto::tags::Itt;

use super::payload::Payload;

/// Bytes in wire order: small ones together in one buffer, payload by reference.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    small: BytesMut,
    chunks: VecDeque<Chunk>,
    len: usize,
    /// Where PDUs end, counted in bytes from the first that was ever appended, and whose they are.
    ends: VecDeque<(u64, Itt)>,
    appended: u64,
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
        self.append_head(header, &[]);
        self.mark(header);
    }

    /// Appends a PDU with additional header segments (padded already) and the range of `payload` that is its data.
    pub(crate) fn push_data(&mut self, header: Header, ahs: &[u8], payload: &Payload, offset: usize, length: usize) {
        let header = header.with_data_len(length as u32).with_ahs_len(ahs.len());
        self.append_head(&header, ahs);
        let mut crc = self.data_digest.then(Crc32c::new);
        for slice in payload.slices(offset, length) {
            if let Some(crc) = &mut crc {
                crc.update(&slice);
            }
            self.len += slice.len();
            self.appended += slice.len() as u64;
            self.chunks.push_back(Chunk::Payload(slice));
        }
        self.append_tail(length, crc.as_mut());
        self.mark(&header);
    }

    /// Appends a PDU whose data is copied.
    pub(crate) fn push_copy(&mut self, header: Header, data: &[u8]) {
        let header = header.with_data_len(data.len() as u32);
        self.append_head(&header, &[]);
        self.append(data);
        let mut crc = self.data_digest.then(Crc32c::new);
        if let Some(crc) = &mut crc {
            crc.update(data);
        }
        self.append_tail(data.len(), crc.as_mut());
        self.mark(&header);
    }

    /// Whether a PDU with this tag has not been written yet, or not all of it.
    pub(crate) fn holds(&self, itt: Itt) -> bool {
        self.ends.iter().any(|(_, held)| *held == itt)
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

    /// Forgets `count` bytes that were written. `moved` hears of each PDU that they belong to: its tag, and whether all of
    /// it has been written.
    pub(crate) fn advance(&mut self, count: usize, mut moved: impl FnMut(Itt, bool)) {
        self.forget(count);
        let written = self.appended - self.len as u64;
        while let Some((end, itt)) = self.ends.front().copied() {
            let whole = end <= written;
            moved(itt, whole);
            if !whole {
                return;
            }
            self.ends.pop_front();
        }
    }

    fn forget(&mut self, mut count: usize) {
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

    fn append_head(&mut self, header: &Header, ahs: &[u8]) {
        self.append(header.as_bytes());
        self.append(ahs);
        if self.header_digest {
            let mut crc = Crc32c::new();
            crc.update(header.as_bytes());
            crc.update(ahs);
            self.append(&crc.wire());
        }
    }

    fn append_tail(&mut self, length: usize, crc: Option<&mut Crc32c>) {
        const PAD: [u8; 4] = [0; 4];
        let pad = PAD.get(..padding(length)).unwrap_or_default();
        self.append(pad);
        if let Some(crc) = crc.filter(|_| length != 0) {
            crc.update(pad);
            self.append(&crc.wire());
        }
    }

    /// Notes where the PDU ends that was just appended.
    fn mark(&mut self, header: &Header) {
        self.ends.push_back((self.appended, header.itt()));
    }

    fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.small.put_slice(bytes);
        self.len += bytes.len();
        self.appended += bytes.len() as u64;
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
            queue.advance(bytes.len(), |_, _| {});
            out.extend(bytes);
        }
        out
    }

    #[test]
    fn the_owner_hears_which_pdus_were_written() {
        let mut queue = SendQueue::default();
        for itt in [1, 2, 3] {
            let mut header = Header::new(Opcode::NopOut);
            header.0[16..20].copy_from_slice(&u32::to_be_bytes(itt));
            queue.push(&header);
        }
        for (count, expected) in
            [(10, vec![(1, false)]), (38, vec![(1, true), (2, false)]), (96, vec![(2, true), (3, true)])]
        {
            let mut heard = Vec::new();
            queue.advance(count, |itt, whole| heard.push((itt.0, whole)));
            assert_eq!(heard, expected, "{count}");
        }
        assert_eq!(queue.len(), 0);
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
