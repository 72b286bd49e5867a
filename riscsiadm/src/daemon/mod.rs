//! The daemon: it holds sessions, so that they outlive the call that logged in.
//!
//! - `instance` sees to it that there is one, `server` talks with clients.
//! - `registry` is all sessions, `held` is one of them; `login` makes them, `units` looks at their logical units.
//! - `state` is what a daemon leaves behind for the next one.
//!
//! What it should hold is written down before a client hears that a login is done, and struck out before a logout begins.
//! So whenever it is killed, the next one takes up what clients were promised, and nothing else.

mod gate;
mod held;
mod instance;
mod login;
mod notify;
mod rediscover;
mod registry;
mod server;
mod state;
mod units;
mod view;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::command::Daemon as Options;
use crate::cli::program::Program;
use crate::db::paths::Paths;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ipc::start::DETACHED;
use crate::log;
use instance::Instance;
use registry::Registry;

/// How long what still runs may take when the daemon ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Holds sessions until SIGTERM, SIGINT, or a client that says so.
pub fn run(program: &Program, options: &Options) -> Exit {
    let detached = env::var_os(DETACHED).is_some();
    if detached {
        // A client started it, whose terminal and Ctrl-C are not for the daemon.
        let _ = rustix::process::setsid();
    }
    log::start_daemon(program, options.verbose, detached);
    rustix::process::umask(Mode::from_raw_mode(0o077));
    match serve() {
        Ok(()) => Exit::Success,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit
        }
    }
}

fn serve() -> Result<(), Failure> {
    let paths = Paths::from_env()?;
    let mut instance = Instance::claim(&paths.run)?;
    let runtime = Runtime::new()?;
    let result = runtime.block_on(hold(&paths, &mut instance));
    instance.end();
    runtime.shutdown_timeout(LAST_WORDS);
    result
}

async fn hold(paths: &Paths, instance: &mut Instance) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let registry = Arc::new(Registry::open(&paths.db, &paths.run)?);
    registry.restore();
    let listener = instance.listen()?;
    tracing::info!("listening at {}", crate::ipc::socket(&paths.run).display());
    notify::tell("READY=1");
    tokio::select! {
        () = server::run(listener, &registry) => {}
        _ = terminated.recv() => tracing::info!("terminated: logging out of everything"),
        _ = interrupted.recv() => tracing::info!("interrupted: logging out of everything"),
    }
    notify::tell("STOPPING=1");
    registry.stop(false).await;
    Ok(())
}
