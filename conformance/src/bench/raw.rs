//! The limit: messages of the same sizes as those of iSCSI, over loopback, batched as well as it gets, with no protocol.
//!
//! For each read the client sends the 48 bytes of a command and gets 48 bytes and a block; for each write it is the other way
//! round. Whatever has come in is answered, or asked for again, in one write.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The size of a header.
const HEADER: usize = 48;
/// What one read brings in at most.
const STAGE: usize = 256 << 10;

/// The sizes of the messages of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes that the client sends.
    pub request: usize,
    /// Bytes that it gets.
    pub response: usize,
}

impl Sizes {
    /// Those of reads of `block` bytes.
    pub const fn read(block: u32) -> Self {
        Self { request: HEADER, response: HEADER + block as usize }
    }

    /// Those of writes of `block` bytes.
    pub const fn write(block: u32) -> Self {
        Self { request: HEADER + block as usize, response: HEADER }
    }
}

/// Answers the requests of the clients that come, one after the other, until a connection fails.
pub fn serve(listener: &TcpListener, sizes: Sizes) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        match exchange(&stream, sizes.request, sizes.response, || true) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
    }
}

/// Keeps `depth` requests under way for `time`; says how many were answered, and in how long.
// A measurement is what the clock is for.
#[expect(clippy::disallowed_methods, reason = "this measures")]
pub fn ask(mut stream: &TcpStream, sizes: Sizes, depth: usize, time: Duration) -> io::Result<(u64, Duration)> {
    stream.set_nodelay(true)?;
    let start = Instant::now();
    send(&mut stream, &vec![0; STAGE], depth * sizes.request)?;
    let done = exchange(stream, sizes.response, sizes.request, || start.elapsed() < time)?;
    Ok((done, start.elapsed()))
}

/// Takes messages of `incoming` bytes, and sends one of `outgoing` for each, while `go_on` says so. Says how many came.
fn exchange(mut stream: &TcpStream, incoming: usize, outgoing: usize, go_on: impl Fn() -> bool) -> io::Result<u64> {
    let (mut stage, zeroes) = (vec![0; STAGE], vec![0; STAGE]);
    let (mut bytes, mut done) = (0, 0);
    while go_on() {
        let count = stream.read(&mut stage)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes += count;
        let whole = bytes / incoming;
        bytes %= incoming;
        done += whole as u64;
        send(&mut stream, &zeroes, whole * outgoing)?;
    }
    Ok(done)
}

fn send(stream: &mut impl Write, zeroes: &[u8], mut count: usize) -> io::Result<()> {
    while count != 0 {
        let sent = stream.write(zeroes.get(..count).unwrap_or(zeroes))?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        count -= sent;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn every_request_is_answered() {
        for sizes in [Sizes::read(4096), Sizes::write(4096), Sizes::read(1 << 20)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            thread::spawn(move || serve(&listener, sizes));
            let stream = TcpStream::connect(addr).unwrap();
            let (done, _) = ask(&stream, sizes, 8, Duration::from_millis(20)).unwrap();
            assert!(done >= 8, "{sizes:?}: {done}");
        }
    }
}
