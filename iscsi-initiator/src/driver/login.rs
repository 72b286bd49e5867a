//! Login over a transport.

use std::io;

use bytes::BytesMut;
use iscsi_proto::framer::{Frame, FrameLimits, Framer, encode_frame};
use iscsi_proto::pdu::Header;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::Timeouts;
use crate::core::PeerMisbehaved;
use crate::core::chap::Nonce;
use crate::core::login::{LoggedIn, Login, LoginConfig, LoginError, Redirect, Step};
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

/// Logs in. Each answer has to come within the time for login, and the whole within four times that.
pub(crate) async fn log_in<IO>(io: &mut IO, config: LoginConfig, timeouts: &Timeouts) -> Result<Ended, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let after = timeouts.login.saturating_mul(WHOLE);
    match timeout(after, converse(io, config, timeouts)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut { phase: Phase::Login, after }),
    }
}

async fn converse<IO>(io: &mut IO, config: LoginConfig, timeouts: &Timeouts) -> Result<Ended, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let nonce = Nonce::random().map_err(LoginError::from)?;
    let (mut login, mut request) = Login::new(config, nonce)?;
    let mut framer = Framer::new(FrameLimits::LOGIN);
    loop {
        send(io, request.header, &request.data).await?;
        let after = timeouts.login;
        let frame = match timeout(after, receive(io, &mut framer)).await {
            Ok(frame) => frame?,
            Err(_) => return Err(ConnectError::TimedOut { phase: Phase::Login, after }),
        };
        match login.receive(&frame.header, &frame.data)? {
            Step::Send(next, answer) => (login, request) = (next, answer),
            Step::Done(logged_in) => {
                return Ok(Ended::In { logged_in, received: std::mem::take(framer.buffer()) });
            }
            Step::Redirect(redirect) => return Ok(Ended::Moved(redirect)),
        }
    }
}

async fn send<IO: AsyncWrite + Unpin>(io: &mut IO, header: Header, data: &[u8]) -> Result<(), ConnectError> {
    let mut wire = BytesMut::new();
    encode_frame(header, &[], data, false, false, &mut wire);
    io.write_all(&wire).await.map_err(broken)?;
    io.flush().await.map_err(broken)
}

async fn receive<IO: AsyncRead + Unpin>(io: &mut IO, framer: &mut Framer) -> Result<Frame, ConnectError> {
    loop {
        let frame = framer.next_frame().map_err(|error| LoginError::from(PeerMisbehaved::from(error)))?;
        if let Some(frame) = frame {
            return Ok(frame);
        }
        if io.read_buf(framer.buffer()).await.map_err(broken)? == 0 {
            return Err(ConnectError::ClosedDuringLogin);
        }
    }
}

fn broken(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            ConnectError::ClosedDuringLogin
        }
        _ => ConnectError::Io(error),
    }
}
