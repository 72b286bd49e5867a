//! A [`tokio_util::codec`] for whole PDUs, for tools and tests; a driver that cares for speed
//! reads large segments straight into their place instead.

use std::io;

use bytes::BytesMut;
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
    /// The transport failed, or ended within a PDU.
    #[error(transparent)]
    Io(#[from] io::Error),
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

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        let frame = self.decode(src)?;
        if frame.is_none() && !self.framer.buffered().is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(frame)
    }
}

impl Encoder<Frame> for PduCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> Result<(), CodecError> {
        encode_frame(frame.header, &frame.ahs, &frame.data, self.limits.header_digest, self.limits.data_digest, dst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pdu::{Header, Opcode};

    const LIMITS: FrameLimits = FrameLimits { header_digest: true, data_digest: true, ..FrameLimits::LOGIN };

    fn frame(data: &'static [u8]) -> Frame {
        let header = Header::new(Opcode::TextResponse).with_data_len(data.len() as u32);
        Frame { header, ahs: Bytes::new(), data: Bytes::from_static(data) }
    }

    fn encoded(frames: &[Frame]) -> BytesMut {
        let mut wire = BytesMut::new();
        for frame in frames {
            PduCodec::new(LIMITS).encode(frame.clone(), &mut wire).unwrap();
        }
        wire
    }

    #[test]
    fn r020_frames_decode_at_every_split() {
        let frames = [frame(b"abc"), frame(b""), frame(b"defgh")];
        let wire = encoded(&frames);
        for cut in 0..=wire.len() {
            let (mut codec, mut decoded) = (PduCodec::new(LIMITS), Vec::new());
            let mut src = BytesMut::new();
            for part in [&wire[..cut], &wire[cut..]] {
                src.extend_from_slice(part);
                while let Some(frame) = codec.decode(&mut src).unwrap() {
                    decoded.push(frame);
                }
            }
            assert_eq!(decoded, frames, "{cut}");
            assert!(codec.decode_eof(&mut src).unwrap().is_none(), "{cut}");
        }
    }

    #[test]
    fn r021_a_stream_that_ends_within_a_pdu_is_an_error() {
        let wire = encoded(&[frame(b"abc"), frame(b"")]);
        for end in 0..wire.len() {
            let (mut codec, mut src) = (PduCodec::new(LIMITS), BytesMut::from(&wire[..end]));
            let mut decode = || codec.decode_eof(&mut src);
            let ended = if end < 60 { decode() } else { decode().and_then(|_| decode()) };
            match ended {
                Ok(None) => assert!(end == 0 || end == 60, "{end}"),
                Err(CodecError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
                other => panic!("{end}: {other:?}"),
            }
        }
    }

    #[test]
    fn r007_limits_hold_until_they_are_changed() {
        for changed in [false, true] {
            let mut codec = PduCodec::new(FrameLimits { max_data: 2, ..LIMITS });
            let mut wire = encoded(&[frame(b"ab"), frame(b"abc")]);
            assert_eq!(codec.decode(&mut wire).unwrap(), Some(frame(b"ab")));
            if changed {
                codec.set_limits(LIMITS);
                assert_eq!(codec.decode(&mut wire).unwrap(), Some(frame(b"abc")));
            } else {
                let error = codec.decode(&mut wire).unwrap_err();
                assert!(matches!(error, CodecError::Frame(FrameError::DataTooLong { len: 3, limit: 2 })), "{error}");
            }
        }
    }
}
