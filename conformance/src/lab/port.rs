//! Ports for programs that cannot be told to take any.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{LabError, Leash};

/// How often another port is tried after somebody else was quicker.
const TRIES: usize = 5;
/// How often, and with what pause, a program is asked whether it listens: 15 s at most.
const ATTEMPTS: usize = 1500;
const PAUSE: Duration = Duration::from_millis(10);

/// Starts a program that is told its port, one that is free on all of these addresses, and waits until it listens on all.
///
/// Between the choice and the start somebody else may take the port; the program ends then, and another port is tried.
pub(super) fn on_free_port<const N: usize>(
    addresses: [IpAddr; N],
    log: impl Fn() -> String,
    start: impl Fn(u16) -> Result<Leash, LabError>,
) -> Result<(Leash, [SocketAddr; N]), LabError> {
    for _ in 0..TRIES {
        let port = free(&addresses).map_err(LabError::io("find a free port"))?;
        let mut leash = start(port)?;
        let places = addresses.map(|address| SocketAddr::new(address, port));
        if places.iter().all(|place| listens(*place, &mut leash)) && leash.is_running() {
            return Ok((leash, places));
        }
    }
    Err(LabError::NotReady { why: log() })
}

/// A port that nobody has on any of these addresses just now.
fn free(addresses: &[IpAddr]) -> io::Result<u16> {
    let (first, others) = addresses.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    loop {
        let held = TcpListener::bind((*first, 0))?;
        let port = held.local_addr()?.port();
        if others.iter().all(|address| TcpListener::bind((*address, port)).is_ok()) {
            return Ok(port);
        }
    }
}

fn listens(place: SocketAddr, leash: &mut Leash) -> bool {
    for _ in 0..ATTEMPTS {
        if TcpStream::connect(place).is_ok() {
            return true;
        }
        if !leash.is_running() {
            return false;
        }
        thread::sleep(PAUSE);
    }
    false
}
