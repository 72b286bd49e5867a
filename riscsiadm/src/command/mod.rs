//! The commands that iscsiadm never had, carried out.

pub(crate) mod access;
mod doctor;
mod inquiry;
mod ls;
mod perf;
mod progress;
mod read;
mod write;

use std::future::Future;
use std::io::{self, Write};
use std::time::Duration;

use iscsi_initiator::Session;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::cli::command::Command;
use crate::cli::program::Program;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::log;
use crate::output::json;

/// The debug levels of `-v`, given that often.
const LEVELS: [u8; 3] = [0, 2, 4];
/// How long a session may take to say goodbye when something else went wrong.
const GOODBYE: Duration = Duration::from_secs(2);
/// The same when the user is waiting for the prompt.
const FAREWELL: Duration = Duration::from_millis(200);

/// Carries out a command that talks to a target, and says on standard error why it failed.
pub fn run(program: &Program, command: Command) -> Exit {
    let (json, verbose) = command.common().map_or((false, 0), |common| (common.json, common.verbose));
    log::start(program, LEVELS.get(usize::from(verbose)).copied().unwrap_or(u8::MAX));
    let failure = match carry_out(command) {
        Ok(exit) => return exit,
        Err(failure) => failure,
    };
    let text = if json {
        json::error(failure.exit.code(), &failure.message)
    } else {
        format!("{}: {failure}\n", program.name())
    };
    // If nobody takes the message, the exit code has to do.
    let _ = io::stderr().write_all(text.as_bytes());
    failure.exit
}

/// A doctor that finds a problem has done its work: no failure, but no success either.
fn carry_out(command: Command) -> Result<Exit, Failure> {
    let command = match command {
        // Has a thread and a runtime for each session.
        Command::Perf(perf) => return perf::run(&perf).map(|()| Exit::Success),
        command => command,
    };
    let runtime = Runtime::new()?;
    let done = runtime.block_on(until_interrupted(talk(command)));
    // A name server that does not answer holds up a thread; that is no reason to wait for it.
    runtime.shutdown_timeout(FAREWELL);
    done
}

async fn talk(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Doctor(doctor) => return doctor::run(doctor).await,
        Command::Ls(ls) => ls::run(ls).await?,
        Command::Inquiry(inquiry) => inquiry::run(inquiry).await?,
        Command::Read(read) => read::run(read).await?,
        Command::Write(write) => write::run(write).await?,
        _ => return Err(Failure::invalid("this command does not talk to a target")),
    }
    Ok(Exit::Success)
}

/// Runs `work` until Ctrl-C or SIGTERM. What it holds is dropped then, sessions included, which log out.
///
/// It runs in a task of its own: whatever it is stuck in, the signals are heard.
async fn until_interrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut task = tokio::spawn(work);
    tokio::select! {
        result = &mut task => return result.map_err(|error| Failure::new(Exit::Internal, error))?,
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    task.abort();
    // The sessions that are dropped say goodbye in the background.
    tokio::time::sleep(FAREWELL).await;
    Err(Failure::new(Exit::Failure, "interrupted"))
}

/// Runs `work`, which may block, on a thread that nobody waits for once this future is dropped.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::new(Exit::Internal, error))?
}

/// Runs `work` in a session, and logs out however it ended. After a success the logout has all the time that any request
/// has; after a failure nobody wants to wait for it.
async fn within<T>(session: Session, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match work.await {
        Ok(value) => match session.logout().await {
            Ok(()) => Ok(value),
            Err(error) => Err(Failure::new(Exit::Logout, error).during("everything was done, but the logout failed")),
        },
        Err(failure) => {
            // What went wrong before is what counts.
            let _ = timeout(GOODBYE, session.logout()).await;
            Err(failure)
        }
    }
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_else(broken_pipe)
}

/// That nobody reads on is for the reader to know.
fn broken_pipe(error: io::Error) -> Result<(), Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) }
}
