//! Says which rules of the standards are proved by tests, and fails if one is neither proved nor excepted.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use conformance::requirements::audit::{Audit, State, collect};
use conformance::requirements::page::page;
use conformance::requirements::table::Tables;

/// Compares the table of requirements with the tests of the workspace.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// List the rules that are in this state, with their tests or their reasons
    #[arg(long, value_name = "STATE")]
    list: Option<Which>,
    /// Write docs/CONFORMANCE.md anew
    #[arg(long)]
    write: bool,
    /// The root of the workspace
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
    root: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Proved,
    Excepted,
    Open,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether all is well.
fn run(args: &Args) -> Result<bool, String> {
    let tables = Tables::read(&args.root.join("conformance/requirements")).map_err(|error| error.to_string())?;
    let tests = collect(&args.root).map_err(|error| format!("{}: {error}", args.root.display()))?;
    let mut audit = Audit::new(&tables, &tests);
    keep_page(&args.root.join("docs/CONFORMANCE.md"), &page(&tables, &audit), args.write, &mut audit.faults)?;
    // Whoever does not read this has no use for it; the exit code says the same.
    let _ = print(&audit, args.list.unwrap_or(Which::Open));
    Ok(audit.faults.is_empty())
}

/// Compares the page with what it should be, or writes it.
fn keep_page(path: &Path, page: &str, write: bool, faults: &mut Vec<String>) -> Result<(), String> {
    let fail = |error| format!("{}: {error}", path.display());
    if write {
        fs::write(path, page).map_err(fail)?;
    } else if fs::read_to_string(path).ok().as_deref() != Some(page) {
        faults.push("docs/CONFORMANCE.md is not current; run this program with --write".into());
    }
    Ok(())
}

fn print(audit: &Audit, which: Which) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (id, state) in &audit.states {
        match (state, which) {
            (State::Proved(tests), Which::Proved) => {
                writeln!(out, "{id}")?;
                tests.iter().try_for_each(|test| writeln!(out, "    {test}"))?;
            }
            (State::Excepted(exception), Which::Excepted) | (State::Open(exception), Which::Open) => {
                writeln!(out, "{id} {} {}", exception.reason, exception.instead)?;
            }
            _ => {}
        }
    }
    audit.faults.iter().try_for_each(|fault| writeln!(out, "error: {fault}"))?;
    writeln!(out, "{audit}")
}
