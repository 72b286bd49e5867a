//! The bundled iSCSI target.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use conformance::hostile::{Script, ScriptError, Server as HostileServer};
use conformance::target::args::Args;
use conformance::target::server::{Server, ServerError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let args = match Args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), String> {
    let listen_for = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let (terminate, interrupt) = (listen_for(SignalKind::terminate())?, listen_for(SignalKind::interrupt())?);
    let Args { listen, config, hostile, specs } = args;
    let failure = |error: ServerError| describe(&error, &listen, &specs);
    if let Some(path) = hostile {
        let server = HostileServer::bind(config, script(&path)?, &listen).await.map_err(failure)?;
        say(server.local_addr());
        stopped(terminate, interrupt).await;
        return Ok(());
    }
    let server = Server::bind(config, &listen).await.map_err(failure)?;
    say(server.local_addr());
    stopped(terminate, interrupt).await;
    server.shutdown().await;
    Ok(())
}

fn say(addr: SocketAddr) {
    // Whoever started the target and does not read this has no use for it.
    let _ = writeln!(std::io::stdout(), "listening on {addr}");
}

fn script(path: &Path) -> Result<Script, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("--hostile {}: {error}", path.display()))?;
    text.parse().map_err(|error: ScriptError| format!("--hostile {}: {error}", path.display()))
}

async fn stopped(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn describe(error: &ServerError, listen: &str, specs: &[Vec<String>]) -> String {
    match error {
        ServerError::Unit(unit) => {
            let spec = specs.get(unit.target).and_then(|specs| specs.get(unit.lun));
            format!("--lun {}: {}", spec.map_or("?", String::as_str), unit.source)
        }
        ServerError::Listen(error) => format!("--listen {listen}: {error}"),
    }
}
