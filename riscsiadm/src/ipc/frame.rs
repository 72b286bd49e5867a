//! Messages as bytes: a length, then JSON.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::Zeroizing;

/// The longest message, in bytes. The longest real one lists the units of some hundred sessions.
pub const MAX_LEN: usize = 16 * 1024 * 1024;

const HEAD: usize = 4;

/// Why a message did not get through.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is not believable.
    #[error("a message of {0} bytes is longer than any that the other side should send")]
    TooLong(usize),
    /// The other side is gone.
    #[error("the conversation with the daemon broke off")]
    Closed,
    /// The other side was silent for too long.
    #[error("no answer came in time")]
    TimedOut,
    /// The socket failed.
    #[error("the conversation with the daemon broke off: {0}")]
    Io(#[source] io::Error),
    /// Not JSON, or not a message.
    #[error("a message makes no sense: {0}")]
    Nonsense(#[from] serde_json::Error),
}

/// The bytes of a message. They are wiped after use, since it may hold a secret.
pub fn encode(message: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, message)?;
    let len = check(count.0)?;
    // With enough room from the start, no part of it is left behind by a move.
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + len));
    bytes.extend_from_slice(&(len as u32).to_be_bytes());
    serde_json::to_writer(&mut *bytes, message)?;
    Ok(bytes)
}

/// Reads one message.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, FrameError> {
    let mut head = [0; HEAD];
    from.read_exact(&mut head)?;
    let mut body = room(head)?;
    from.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// Receives one message.
///
/// # Cancellation
///
/// What was received of it is lost: the conversation is over.
pub async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    let mut head = [0; HEAD];
    from.read_exact(&mut head).await?;
    let mut body = room(head)?;
    from.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Room for the message whose length this is.
fn room(head: [u8; HEAD]) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let len = check(u32::from_be_bytes(head) as usize)?;
    Ok(Zeroizing::new(vec![0; len]))
}

fn check(len: usize) -> Result<usize, FrameError> {
    if len > MAX_LEN { Err(FrameError::TooLong(len)) } else { Ok(len) }
}

/// Counts what is written.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Value, FrameError> {
        let sync = read::<Value>(&mut &bytes[..]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let other = runtime.block_on(receive::<Value>(&mut &bytes[..]));
        assert_eq!(format!("{sync:?}"), format!("{other:?}"), "both ways agree");
        sync
    }

    #[test]
    fn a_message_is_its_length_and_its_text() {
        let bytes = encode(&"ab").unwrap();
        assert_eq!(**bytes, *b"\0\0\0\x04\"ab\"");
        assert_eq!(read_all(&bytes).unwrap(), "ab");
    }

    #[test]
    fn a_length_is_checked_before_room_is_made() {
        let head = |len: usize| (len as u32).to_be_bytes();
        assert!(matches!(read_all(&head(MAX_LEN + 1)), Err(FrameError::TooLong(len)) if len == MAX_LEN + 1));
        assert!(matches!(read_all(&head(u32::MAX as usize)), Err(FrameError::TooLong(_))));
        assert!(matches!(read_all(&head(MAX_LEN)), Err(FrameError::Closed)), "the longest is waited for");
        assert!(matches!(encode(&"a".repeat(MAX_LEN - 1)), Err(FrameError::TooLong(_))));
        assert_eq!(encode(&"a".repeat(MAX_LEN - 2)).unwrap().len(), MAX_LEN + HEAD);
    }

    #[test]
    fn a_message_that_ends_early_is_the_end() {
        for bytes in [&b""[..], b"\0\0", b"\0\0\0\x04", b"\0\0\0\x04\"ab"] {
            assert!(matches!(read_all(bytes), Err(FrameError::Closed)), "{bytes:?}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [&b"\0\0\0\0"[..], b"\0\0\0\x03abc", b"\0\0\0\x02{]", b"\0\0\0\x01\xff"] {
            assert!(matches!(read_all(bytes), Err(FrameError::Nonsense(_))), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_all(&bytes);
        }
    }
}
