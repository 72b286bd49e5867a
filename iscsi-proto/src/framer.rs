//! Cuts a byte stream into PDUs (RFC 7143, section 11.2).
//!
//! ```text
//! BHS 48 | AHS | header digest | data | padding | data digest
//!                0 or 4               0 to 3      0 or 4, none without data
//! ```
//!
//! [`Framing`] knows the rules and holds no bytes; [`Framer`] adds a buffer. Every length is checked
//! against [`FrameLimits`] before memory is set aside for it, and the header digest is checked before
//! any field is believed. The one exception is the AHS length on the target's side: it tells where the
//! digest is. Where no AHS may be, the digest has one place.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::digest::{self, DIGEST_LEN};
use crate::pdu::{BHS_LEN, Header, Opcode, padding};

/// What a receiver accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameLimits {
    /// Largest data segment in bytes: the MaxRecvDataSegmentLength that the receiver declared.
    pub max_data: u32,
    /// Whether additional header segments are allowed: only on the target's side.
    pub allow_ahs: bool,
    /// Whether header digests are in use.
    pub header_digest: bool,
    /// Whether data digests are in use.
    pub data_digest: bool,
}

impl FrameLimits {
    /// What holds during login: 8192 bytes of data and no digests.
    pub const LOGIN: Self = Self { max_data: 8192, allow_ahs: false, header_digest: false, data_digest: false };
}

/// Why a stream of bytes is not a stream of PDUs. The stream cannot be read any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The header digest does not match.
    #[error("header digest error: got {received:08x}, computed {computed:08x} (RFC 7143, section 7.8)")]
    HeaderDigest {
        /// From the wire.
        received: u32,
        /// Over the header that came.
        computed: u32,
    },
    /// The data digest does not match; the header is the one that came with the data.
    #[error("data digest error: got {received:08x}, computed {computed:08x} (RFC 7143, section 7.8)")]
    DataDigest {
        /// From the wire.
        received: u32,
        /// Over the data that came.
        computed: u32,
        /// Header of the PDU, whose own digest was right or not in use.
        header: Header,
    },
    /// A data segment that is larger than the receiver allows.
    #[error("data segment of {len} bytes is larger than the {limit} allowed (RFC 7143, section 13.12)")]
    DataTooLong {
        /// DataSegmentLength.
        len: u32,
        /// What the receiver declared.
        limit: u32,
    },
    /// Additional header segments where none may be.
    #[error("additional header segments in a PDU that has none (RFC 7143, section 11.2.2)")]
    UnexpectedAhs,
}

/// The lengths of one PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Bytes of additional header segments.
    pub ahs: usize,
    /// Bytes before the data: BHS, AHS and header digest.
    pub head: usize,
    /// Bytes of data, without padding.
    pub data: usize,
    /// Bytes after the data: padding and data digest.
    pub tail: usize,
}

impl Layout {
    /// Bytes of the whole PDU.
    pub const fn total(&self) -> usize {
        self.head + self.data + self.tail
    }
}

/// The rules by which one direction of a connection is cut into PDUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Framing {
    limits: FrameLimits,
}

impl Framing {
    /// Rules with these limits.
    pub const fn new(limits: FrameLimits) -> Self {
        Self { limits }
    }

    /// The limits given.
    pub const fn limits(self) -> FrameLimits {
        self.limits
    }

    /// Header and layout of the PDU that starts `bytes`, or `None` while its head is incomplete.
    #[inline]
    pub fn head(self, bytes: &[u8]) -> Result<Option<(Header, Layout)>, FrameError> {
        let Some(header) = Header::read(bytes) else { return Ok(None) };
        let ahs = if self.limits.allow_ahs { header.ahs_len() } else { 0 };
        let mut head = BHS_LEN + ahs;
        if self.limits.header_digest {
            if !check_head(bytes, head)? {
                return Ok(None);
            }
            head += DIGEST_LEN;
        }
        if header.ahs_len() != 0 && !self.ahs_allowed(&header) {
            return Err(FrameError::UnexpectedAhs);
        }
        let (len, limit) = (header.data_len(), self.limits.max_data);
        if len > limit {
            return Err(FrameError::DataTooLong { len, limit });
        }
        if bytes.len() < head {
            return Ok(None);
        }
        let data = len as usize;
        let digest = if self.limits.data_digest && data != 0 { DIGEST_LEN } else { 0 };
        Ok(Some((header, Layout { ahs, head, data, tail: padding(data) + digest })))
    }

    /// Checks the data digest over `segment`, which is data, padding and digest of one PDU.
    #[inline]
    pub fn check_data(self, header: &Header, segment: &[u8]) -> Result<(), FrameError> {
        if !self.limits.data_digest {
            return Ok(());
        }
        let Some((covered, received)) = segment.split_last_chunk::<DIGEST_LEN>() else { return Ok(()) };
        self.compare_data(header, digest::crc32c(covered), *received)
    }

    /// Compares a data digest that was computed in pieces.
    #[inline]
    pub fn compare_data(self, header: &Header, computed: u32, received: [u8; DIGEST_LEN]) -> Result<(), FrameError> {
        let received = u32::from_le_bytes(received);
        if received == computed { Ok(()) } else { Err(FrameError::DataDigest { received, computed, header: *header }) }
    }

    fn ahs_allowed(self, header: &Header) -> bool {
        self.limits.allow_ahs && header.opcode() == Ok(Opcode::ScsiCommand)
    }
}

/// Compares the digest behind a head of `len` bytes; false while it is incomplete.
fn check_head(bytes: &[u8], len: usize) -> Result<bool, FrameError> {
    let Some((covered, received)) = bytes.get(..len + DIGEST_LEN).and_then(<[u8]>::split_last_chunk::<DIGEST_LEN>)
    else {
        return Ok(false);
    };
    let (received, computed) = (u32::from_le_bytes(*received), digest::crc32c(covered));
    if received == computed { Ok(true) } else { Err(FrameError::HeaderDigest { received, computed }) }
}

/// One PDU with its data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Basic header segment.
    pub header: Header,
    /// Additional header segments.
    pub ahs: Bytes,
    /// Data segment, without padding.
    pub data: Bytes,
}

/// A stream of bytes that is cut into PDUs as they become complete.
///
/// ```
/// use iscsi_proto::framer::{FrameLimits, Framer};
/// use iscsi_proto::pdu::{Header, Opcode};
///
/// let mut framer = Framer::new(FrameLimits::LOGIN);
/// let header = Header::new(Opcode::TextResponse).with_data_len(3);
/// framer.feed(header.as_bytes());
/// assert!(framer.next_frame()?.is_none());
/// framer.feed(b"abc\0");
/// assert_eq!(framer.next_frame()?.unwrap().data, "abc");
/// # Ok::<(), iscsi_proto::framer::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Framer {
    framing: Framing,
    buffer: BytesMut,
}

impl Framer {
    /// A framer with an empty buffer.
    pub fn new(limits: FrameLimits) -> Self {
        Self { framing: Framing::new(limits), buffer: BytesMut::new() }
    }

    /// Changes what is accepted from the next PDU on, as login does when it ends.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.framing = Framing::new(limits);
    }

    /// Appends received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer itself, to be read into; only append to it.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes that have come and are not part of a PDU that was taken.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the next PDU, or `None` while it is incomplete.
    ///
    /// After an error the stream is out of step: the connection has to be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((header, layout)) = self.framing.head(&self.buffer)? else { return Ok(None) };
        let total = layout.total();
        if self.buffer.len() < total {
            self.buffer.reserve(total - self.buffer.len());
            return Ok(None);
        }
        let mut whole = self.buffer.split_to(total).freeze();
        let head = whole.split_to(layout.head);
        self.framing.check_data(&header, &whole)?;
        whole.truncate(layout.data);
        Ok(Some(Frame { header, ahs: ahs(head, layout.ahs), data: whole }))
    }
}

fn ahs(mut head: Bytes, len: usize) -> Bytes {
    head.advance(BHS_LEN.min(head.len()));
    head.truncate(len);
    head
}

/// Appends a whole PDU: header with its lengths set, AHS, digests, data and padding.
///
/// `ahs` must be padded already, and `data` no longer than [`MAX_DATA_SEGMENT`](crate::pdu::MAX_DATA_SEGMENT). This
/// copies the data; a driver that writes large segments sends them from where they are.
pub fn encode_frame(
    header: Header,
    ahs: &[u8],
    data: &[u8],
    header_digest: bool,
    data_digest: bool,
    out: &mut BytesMut,
) {
    let start = out.len();
    let header = header.with_ahs_len(ahs.len()).with_data_len(data.len() as u32);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(ahs);
    if header_digest {
        let digest = digest::wire(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&digest);
    }
    let start = out.len();
    out.extend_from_slice(data);
    out.put_bytes(0, padding(data.len()));
    if data_digest && !data.is_empty() {
        let digest = digest::wire(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&digest);
    }
}
