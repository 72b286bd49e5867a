//! Brings up targets of other makers for a person to play with.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use conformance::lab::{self, KINDS, Kind, LabError};

/// Runs targets on this machine: each stays up until it is taken down, and leaves nothing behind.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Start a lab and print how to reach it
    Up {
        #[arg(value_parser = names())]
        name: String,
    },
    /// End a lab
    Down {
        #[arg(value_parser = names())]
        name: String,
    },
    /// List the labs that there are
    List,
    #[command(hide = true)]
    Hold {
        #[arg(value_parser = names())]
        name: String,
    },
}

fn names() -> clap::builder::PossibleValuesParser {
    KINDS.iter().map(|kind| clap::builder::PossibleValue::new(kind.name).help(kind.about)).into()
}

fn main() -> ExitCode {
    match run(&Args::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(what: &What) -> Result<(), LabError> {
    match what {
        What::Up { name } => print!("{}", lab::up(kind(name)?)?),
        What::Down { name } if lab::down(kind(name)?)? => println!("{name} is down"),
        What::Down { name } => println!("{name} was not up"),
        What::List => KINDS.iter().for_each(|kind| println!("{:<10} {}", kind.name, kind.about)),
        What::Hold { name } => lab::hold(kind(name)?)?,
    }
    Ok(())
}

fn kind(name: &str) -> Result<&'static Kind, LabError> {
    lab::kind(name).ok_or_else(|| LabError::UnknownTarget(name.to_owned()))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
