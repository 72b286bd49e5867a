//! From a portal to a TCP connection.

use std::net::SocketAddr;
use std::time::Duration;

use iscsi_proto::portal::Portal;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::error::{ConnectError, Phase};

/// Connects to the first address of `portal` that answers, all within `limit`.
pub(crate) async fn connect(portal: &Portal, limit: Duration) -> Result<TcpStream, ConnectError> {
    match timeout(limit, try_addresses(portal)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut { phase: Phase::Connect, after: limit }),
    }
}

async fn try_addresses(portal: &Portal) -> Result<TcpStream, ConnectError> {
    let resolve = |source| ConnectError::Resolve { portal: portal.clone(), source };
    let host = portal.host.to_string();
    let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), portal.port)).await.map_err(resolve)?.collect();
    let mut last = resolve(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
    for addr in addresses {
        tracing::info!(%addr, "connecting");
        match open(addr).await {
            Ok(stream) => return Ok(stream),
            Err(source) => {
                tracing::info!(%addr, error = %source, "cannot connect");
                last = ConnectError::Tcp { portal: portal.clone(), addr, source };
            }
        }
    }
    Err(last)
}

async fn open(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
