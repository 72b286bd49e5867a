//! Talking with clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};

use super::registry::Registry;
use super::{login, units, view};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ipc::frame::{FrameError, encode, receive};
use crate::ipc::message::{Fault, Hello, Reply, Request, VERSION};
use crate::ipc::{PATIENCE, SIGN_OF_LIFE};

/// The wait after a connection that could not be accepted, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Parts of an answer that wait for a slow client.
const BACKLOG: usize = 16;

/// Serves clients until one of them ends the daemon.
pub(super) async fn run(listener: UnixListener, registry: &Arc<Registry>) {
    let end = Arc::new(Notify::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(registry), Arc::clone(&end)))),
                Err(error) => {
                    tracing::warn!("a client could not be heard: {error}");
                    sleep(PAUSE).await;
                }
            },
            () = end.notified() => return,
        }
    }
}

async fn serve(stream: UnixStream, registry: Arc<Registry>, end: Arc<Notify>) {
    if let Err(error) = converse(stream, registry, end).await {
        tracing::debug!("a client: {error}");
    }
}

async fn converse(mut stream: UnixStream, registry: Arc<Registry>, end: Arc<Notify>) -> Result<(), FrameError> {
    let hello: Hello = within(receive(&mut stream)).await?;
    send(&mut stream, &Hello::own()).await?;
    if !hello.fits() {
        tracing::warn!("a client of riscsiadm {} was turned away: this daemon is {VERSION}", hello.version);
        return Ok(());
    }
    if let Err(failure) = check_peer(&stream) {
        tracing::warn!("{failure}");
        return send(&mut stream, &Reply::Failed(failure.into())).await;
    }
    let request: Request = within(receive(&mut stream)).await?;
    let stop = request == Request::Stop;
    let (out, parts) = mpsc::channel(BACKLOG);
    let work = tokio::spawn(async move { answer(&registry, request, &out).await });
    let result = relay(&mut stream, parts, work).await;
    if stop {
        end.notify_one();
        // The client sees the end of the daemon by the end of the conversation.
        sleep(PATIENCE).await;
    }
    result
}

/// Passes on the parts of an answer, and signs of life between them.
async fn relay(
    stream: &mut UnixStream,
    mut parts: mpsc::Receiver<Reply>,
    work: JoinHandle<Result<(), Failure>>,
) -> Result<(), FrameError> {
    let mut life = interval(SIGN_OF_LIFE);
    life.tick().await;
    loop {
        tokio::select! {
            part = parts.recv() => match part {
                Some(part) => send(stream, &part).await?,
                None => break,
            },
            _ = life.tick() => send(stream, &Reply::Working).await?,
        }
    }
    let last = match work.await {
        Ok(Ok(())) => Reply::Done,
        Ok(Err(failure)) => Reply::Failed(failure.into()),
        Err(_) => Reply::Failed(Failure::new(Exit::Internal, "the daemon has a fault: see its log").into()),
    };
    send(stream, &last).await
}

/// Does what a client asks for. That it goes away meanwhile changes nothing.
async fn answer(registry: &Arc<Registry>, request: Request, out: &mpsc::Sender<Reply>) -> Result<(), Failure> {
    match request {
        Request::Login(login) => login::all(registry, login, out).await?,
        Request::Sessions { luns, secrets } => {
            let tasks = registry.all().into_iter().map(|held| async move { view::session(&held, luns, secrets).await });
            let _ = out.send(Reply::Sessions(in_order(tasks).await)).await;
        }
        Request::Logout { sids } => log_out(registry, sids, out).await,
        Request::Stats { sids } => stats(registry, sids, out).await,
        Request::Rescan { sids } => rescan(registry, sids, out).await,
        Request::Stop => {
            tracing::info!("a client ends the daemon: logging out of everything");
            registry.stop(true).await;
        }
    }
    Ok(())
}

async fn log_out(registry: &Arc<Registry>, sids: Vec<u32>, out: &mpsc::Sender<Reply>) {
    let tasks = sids.into_iter().map(|sid| {
        let registry = Arc::clone(registry);
        async move { registry.log_out(sid).await }
    });
    for result in in_order(tasks).await {
        let _ = out.send(Reply::Logout { fault: result.err().map(Fault::from) }).await;
    }
}

async fn stats(registry: &Registry, sids: Vec<u32>, out: &mpsc::Sender<Reply>) {
    let tasks = sids.into_iter().map(|sid| {
        let held = registry.get(sid);
        async move { view::stats(&*held?).await }
    });
    for result in in_order(tasks).await {
        let _ = out.send(Reply::Stats(result.map(Box::new).map_err(Fault::from))).await;
    }
}

async fn rescan(registry: &Registry, sids: Vec<u32>, out: &mpsc::Sender<Reply>) {
    let tasks = sids.into_iter().map(|sid| {
        let held = registry.get(sid);
        async move { units::rescan(&*held?).await }
    });
    for result in in_order(tasks).await {
        let _ = out.send(Reply::Rescan(result.map_err(Fault::from))).await;
    }
}

/// Runs all at once, and gives their results in order. What has a fault is left out.
async fn in_order<T: Send + 'static>(work: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let tasks: Vec<_> = work.map(tokio::spawn).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.extend(task.await);
    }
    results
}

/// Lets root and the daemon's own user in.
fn check_peer(stream: &UnixStream) -> Result<(), Failure> {
    let peer = stream.peer_cred()?.uid();
    if may(peer, rustix::process::geteuid().as_raw()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Access, format!("daemon access denied: it does not serve user {peer}")))
}

fn may(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

async fn send(stream: &mut UnixStream, message: &impl serde::Serialize) -> Result<(), FrameError> {
    let bytes = encode(message)?;
    within(async { stream.write_all(&bytes).await.map_err(FrameError::from) }).await
}

/// Waits, but not for ever.
async fn within<T>(work: impl Future<Output = Result<T, FrameError>>) -> Result<T, FrameError> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_serves_its_own_user_and_root() {
        for (peer, own, served) in [(0, 0, true), (1000, 1000, true), (0, 1000, true), (1000, 0, false), (1, 2, false)]
        {
            assert_eq!(may(peer, own), served, "{peer} {own}");
        }
    }
}
