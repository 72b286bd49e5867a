//! Login over a transport.

use std::io;

use bytes::BytesMut;
use iscsi_proto::framer::{Frame, FrameError, FrameLimits, Framer, encode_frame};
use iscsi_proto::pdu::Opcode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::Timeouts;
use crate::core::chap::Nonce;
use crate::core::login::{LoggedIn, Login, LoginConfig, LoginError, Redirect, Request, Step};
use crate::core::{PeerMisbehaved, Stats};
use crate::error::{ConnectError, Phase};

/// How many times the patience for one answer the whole login may take.
const WHOLE: u32 = 4;

/// How a login ended that did not fail.
pub(crate) enum Ended {
    In {
        logged_in: Box<LoggedIn>,
        /// Bytes that came behind the last login response.
        received: BytesMut,
    },
    Moved(Redirect),
}

/// Logs in. Each answer has to come within the time for login, and the whole within four times that. What goes over the
/// wire is added to `stats`.
pub(crate) async fn log_in<IO>(
    io: &mut IO,
    config: LoginConfig,
    timeouts: &Timeouts,
    stats: &mut Stats,
) -> Result<Ended, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let after = timeouts.login.saturating_mul(WHOLE);
    match timeout(after, converse(io, config, timeouts, stats)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut { phase: Phase::Login, after }),
    }
}

async fn converse<IO>(
    io: &mut IO,
    config: LoginConfig,
    timeouts: &Timeouts,
    stats: &mut Stats,
) -> Result<Ended, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let nonce = Nonce::random().map_err(LoginError::from)?;
    let (mut login, mut request) = Login::new(config, nonce)?;
    let mut framer = Framer::new(FrameLimits::LOGIN);
    loop {
        let after = timeouts.login;
        let frame = match timeout(after, exchange(io, &mut framer, &request, stats)).await {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) => return Err(login.closed().into()),
            Ok(Err(error)) if is_closed(&error) => return Err(login.closed().into()),
            Ok(Err(error)) => return Err(ConnectError::Io(error)),
            Err(_) => return Err(ConnectError::TimedOut { phase: Phase::Login, after }),
        };
        let frame = frame.map_err(|error| LoginError::from(PeerMisbehaved::from(error)))?;
        match login.receive(&frame.header, &frame.data)? {
            Step::Send(next, answer) => (login, request) = (next, answer),
            Step::Done(logged_in) => {
                tracing::info!(tsih = logged_in.tsih, tpgt = logged_in.tpgt, "logged in");
                tracing::debug!(negotiated = ?logged_in.start.negotiated);
                let received = std::mem::take(framer.buffer());
                // Whoever takes it up counts it.
                stats.bytes_received -= received.len() as u64;
                return Ok(Ended::In { logged_in, received });
            }
            Step::Redirect(redirect) => {
                tracing::info!(addresses = ?redirect.addresses, permanent = redirect.permanent, "the target is elsewhere");
                return Ok(Ended::Moved(redirect));
            }
        }
    }
}

/// Sends a request and waits for what comes back; `None` if the stream ends instead.
async fn exchange<IO>(
    io: &mut IO,
    framer: &mut Framer,
    request: &Request,
    stats: &mut Stats,
) -> io::Result<Option<Result<Frame, FrameError>>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = BytesMut::new();
    encode_frame(request.header, &[], &request.data, false, false, &mut wire);
    io.write_all(&wire).await?;
    io.flush().await?;
    stats.count(Opcode::LoginRequest);
    stats.bytes_sent += wire.len() as u64;
    loop {
        if let Some(frame) = framer.next_frame().transpose() {
            if let Some(Ok(opcode)) = frame.as_ref().ok().map(|frame| frame.header.opcode()) {
                stats.count(opcode);
            }
            return Ok(Some(frame));
        }
        match io.read_buf(framer.buffer()).await? {
            0 => return Ok(None),
            count => stats.bytes_received += count as u64,
        }
    }
}

pub(super) fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof)
}
