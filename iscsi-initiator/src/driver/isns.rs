//! A conversation with an iSNS server over a transport.

use bytes::Bytes;
use iscsi_proto::isns::Reader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::login::is_closed;
use crate::config::Timeouts;
use crate::core::isns::{Isns, IsnsConfig, IsnsError, Step};
use crate::core::targets::Targets;
use crate::error::{ConnectError, Phase};

/// How many times the patience for one answer the whole conversation may take.
const WHOLE: u32 = 4;
/// The room that is made for bytes to arrive.
const ROOM: usize = 16 << 10;

/// Asks for targets. Each answer has to come within the time for login, and all of them within four times that.
pub(crate) async fn ask<IO>(io: &mut IO, config: IsnsConfig, timeouts: &Timeouts) -> Result<Targets, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let after = timeouts.login.saturating_mul(WHOLE);
    match timeout(after, converse(io, config, timeouts)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut { phase: Phase::Isns, after }),
    }
}

async fn converse<IO>(io: &mut IO, config: IsnsConfig, timeouts: &Timeouts) -> Result<Targets, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (mut isns, mut request) = Isns::new(config)?;
    let mut reader = Reader::default();
    loop {
        let after = timeouts.login;
        match timeout(after, exchange(io, &mut reader, isns, &request)).await {
            Err(_) => return Err(ConnectError::TimedOut { phase: Phase::Isns, after }),
            Ok(Err(ConnectError::Io(error))) if is_closed(&error) => return Err(IsnsError::Closed.into()),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Step::Done(found))) => return Ok(found),
            Ok(Ok(Step::Send(next, wire))) => (isns, request) = (next, wire),
            Ok(Ok(Step::Wait(next))) => (isns, request) = (next, Bytes::new()),
        }
    }
}

/// Sends a request, which may be none, and takes the next message.
async fn exchange<IO>(io: &mut IO, reader: &mut Reader, isns: Isns, request: &[u8]) -> Result<Step, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    io.write_all(request).await.map_err(ConnectError::Io)?;
    io.flush().await.map_err(ConnectError::Io)?;
    loop {
        if let Some(message) = reader.next_message().map_err(IsnsError::from)? {
            return Ok(isns.receive(&message)?);
        }
        reader.buffer().reserve(ROOM);
        if io.read_buf(reader.buffer()).await.map_err(ConnectError::Io)? == 0 {
            return Err(IsnsError::Closed.into());
        }
    }
}
