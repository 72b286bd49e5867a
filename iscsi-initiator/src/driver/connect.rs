//! From a portal to a TCP connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use iscsi_proto::portal::Portal;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use crate::error::{ConnectError, Phase};

/// Which way a connection goes out. By default the system chooses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    pub(crate) address: Option<IpAddr>,
    pub(crate) device: Option<String>,
}

/// Connects to the first address of `portal` that answers, all within `limit`.
pub(crate) async fn connect(portal: &Portal, way: &Way, limit: Duration) -> Result<TcpStream, ConnectError> {
    match timeout(limit, try_addresses(portal, way)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut { phase: Phase::Connect, after: limit }),
    }
}

async fn try_addresses(portal: &Portal, way: &Way) -> Result<TcpStream, ConnectError> {
    let resolve = |source| ConnectError::Resolve { portal: portal.clone(), source };
    let host = portal.host.to_string();
    let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), portal.port)).await.map_err(resolve)?.collect();
    let mut last = resolve(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
    for addr in addresses {
        tracing::info!(%addr, "connecting");
        match open(addr, way).await {
            Ok(stream) => return Ok(stream),
            Err(source) => {
                tracing::info!(%addr, error = %source, "cannot connect");
                last = ConnectError::Tcp { portal: portal.clone(), addr, source };
            }
        }
    }
    Err(last)
}

async fn open(addr: SocketAddr, way: &Way) -> std::io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(device) = &way.device {
        bind_device(&socket, device)?;
    }
    if let Some(address) = way.address {
        socket.bind(SocketAddr::new(address, 0))?;
    }
    let stream = socket.connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(target_os = "linux")]
fn bind_device(socket: &TcpSocket, device: &str) -> std::io::Result<()> {
    socket.bind_device(Some(device.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn bind_device(_: &TcpSocket, _: &str) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
