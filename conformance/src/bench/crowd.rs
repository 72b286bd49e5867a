//! Many sessions in one process: how long their logins take, and what memory they hold.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use iscsi_initiator::{Initiator, Lun, Session};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;

use super::target::{NAME, Target};

/// Commands under way while the memory of a busy session is measured, and how long each is, in bytes.
const DEPTH: u64 = 128;
const BLOCK: usize = 4096;
/// How long that session is busy.
const TIME: Duration = Duration::from_secs(1);

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crowd {
    /// Sessions that were logged in at once.
    pub sessions: u32,
    /// Seconds until the last of them was logged in.
    pub seconds: f64,
    /// Resident memory of each while it is idle, in KiB.
    pub kib_each: f64,
    /// Resident memory of one session with 128 reads of 4 KiB under way, over that of the process before it, in MiB.
    pub mib_busy: f64,
}

/// Measures on a target that was started for it.
pub async fn measure(target: &Target, sessions: u32) -> Result<Crowd, Box<dyn Error>> {
    allow_many_sockets()?;
    let mib_busy = busy(target).await?;
    let (seconds, kib_each) = idle(target, sessions).await?;
    Ok(Crowd { sessions, seconds, kib_each, mib_busy })
}

async fn log_in(addr: SocketAddr, initiator: Initiator) -> Result<Session, Box<dyn Error + Send + Sync>> {
    Ok(Session::builder(&initiator, NAME.parse()?).portal(addr.into()).connect().await?)
}

fn initiator() -> Result<Initiator, Box<dyn Error>> {
    Ok(Initiator::new("iqn.2026-01.org.example:crowd".parse()?))
}

async fn busy(target: &Target) -> Result<f64, Box<dyn Error>> {
    let before = resident();
    let session = log_in(target.addr(), initiator()?).await.map_err(|error| error as Box<dyn Error>)?;
    let lun = session.open(0.into()).await?;
    let mut readers = JoinSet::new();
    for number in 0..DEPTH {
        readers.spawn(read(lun.clone(), number * BLOCK as u64));
    }
    tokio::time::sleep(TIME).await;
    let after = resident();
    readers.shutdown().await;
    session.logout().await?;
    Ok((after - before) / 1024.0)
}

async fn read(lun: Lun, offset: u64) {
    let mut buffer = BytesMut::zeroed(BLOCK);
    while let Ok(filled) = lun.read_into(offset, buffer).await {
        buffer = filled;
    }
}

// A measurement is what the clock is for.
#[expect(clippy::disallowed_methods, reason = "this measures")]
async fn idle(target: &Target, count: u32) -> Result<(f64, f64), Box<dyn Error>> {
    let initiator = initiator()?;
    let before = resident();
    let start = Instant::now();
    let mut logins: JoinSet<_> = (0..count).map(|_| log_in(target.addr(), initiator.clone())).collect();
    let mut sessions = Vec::new();
    while let Some(session) = logins.join_next().await {
        sessions.push(session?.map_err(|error| error as Box<dyn Error>)?);
    }
    let seconds = start.elapsed().as_secs_f64();
    let each = (resident() - before) / f64::from(count.max(1));
    for session in sessions {
        session.logout().await?;
    }
    Ok((seconds, each))
}

/// Resident memory of this process, in KiB.
#[expect(clippy::cast_precision_loss, reason = "pages of a process are few")]
fn resident() -> f64 {
    let pages = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or_default();
    pages as f64 * rustix::param::page_size() as f64 / 1024.0
}

/// Raises the limit of open files as far as this process may.
fn allow_many_sockets() -> Result<(), Box<dyn Error>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_is_resident() {
        let before = resident();
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(resident() - before > 60.0 * 1024.0);
        drop(touched);
    }
}
