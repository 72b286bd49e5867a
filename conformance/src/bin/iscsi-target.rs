//! The bundled iSCSI target.

use std::io::Write;
use std::process::ExitCode;

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
    let server = Server::bind(args.config, &args.listen).await;
    let server = server.map_err(|error| describe(&error, &args.listen, &args.specs))?;
    // Whoever started the target and does not read this has no use for it.
    let _ = writeln!(std::io::stdout(), "listening on {}", server.local_addr());
    stopped(terminate, interrupt).await;
    server.shutdown().await;
    Ok(())
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
