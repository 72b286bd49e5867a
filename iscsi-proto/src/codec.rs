//! A [`tokio_util::codec`] for whole PDUs, for tools and tests; a driver that cares for speed
//! reads large segments straight into their place instead.

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::framer::{Frame, FrameError, FrameLimits, Framer, encode_frame};

/// Decodes [`Frame`]s and encodes them with the digests of its limits.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use iscsi_proto::codec::PduCodec;
/// use iscsi_proto::framer::{Frame, FrameLimits};
/// use iscsi_proto::pdu::{Header, Opcode};
/// use tokio_util::codec::{Decoder, Encoder};
///
/// let mut codec = PduCodec::new(FrameLimits::LOGIN);
/// let header = Header::new(Opcode::TextRequest).with_data_len(3);
/// let frame = Frame { header, ahs: Bytes::new(), data: Bytes::from_static(b"abc") };
/// let mut wire = BytesMut::new();
/// codec.encode(frame.clone(), &mut wire)?;
/// assert_eq!(codec.decode(&mut wire)?, Some(frame));
/// # Ok::<(), iscsi_proto::codec::CodecError>(())
/// ```
#[derive(Debug)]
pub struct PduCodec {
    framer: Framer,
    limits: FrameLimits,
}

/// Why decoding ended.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not PDUs.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl PduCodec {
    /// A codec that accepts `limits` and sends the same digests.
    pub fn new(limits: FrameLimits) -> Self {
        Self { framer: Framer::new(limits), limits }
    }

    /// Changes limits and digests from the next PDU on.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
        self.framer.set_limits(limits);
    }
}

impl Decoder for PduCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        if self.framer.buffered().is_empty() {
            std::mem::swap(self.framer.buffer(), src);
        } else {
            self.framer.feed(src);
            src.clear();
        }
        Ok(self.framer.next_frame()?)
    }
}

impl Encoder<Frame> for PduCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> Result<(), CodecError> {
        let Frame { header, ahs, data }: Frame = frame;
        let data: Bytes = data;
        encode_frame(header, &ahs, &data, self.limits.header_digest, self.limits.data_digest, dst);
        Ok(())
    }
}
