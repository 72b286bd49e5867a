//! What every mode needs to know, and how it speaks.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use crate::cli::args::Extras;
use crate::cli::program::Program;
use crate::command;
use crate::db::paths::Paths;
use crate::db::store::Store;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{escape, json};

/// One call of the program.
pub(crate) struct Context {
    /// The name that it was called by.
    pub(crate) program: Program,
    /// The options that go with every mode.
    pub(crate) extras: Extras,
    /// Where files are.
    pub(crate) paths: Paths,
    /// The records.
    pub(crate) store: Store,
    /// Lines for standard error that wait, since they become part of a document if the call fails.
    held: Mutex<Vec<String>>,
}

impl Context {
    pub(crate) fn open(program: &Program, extras: Extras) -> Result<Self, Failure> {
        let paths = Paths::from_env()?;
        let store = Store::open(&paths)?;
        Ok(Self { program: program.clone(), extras, paths, store, held: Mutex::default() })
    }

    /// Whether JSON was asked for.
    pub(crate) fn json(&self) -> bool {
        self.extras.json
    }

    /// Prints data, line feeds included, to standard output. With JSON that is one document and nothing else.
    #[expect(clippy::unused_self, reason = "whoever prints does so in the name of a call")]
    pub(crate) fn out(&self, text: &str) -> Result<(), Failure> {
        command::print(text)
    }

    /// Prints a line that tells a person what was done. Not printed with JSON.
    pub(crate) fn say(&self, line: &str) -> Result<(), Failure> {
        if self.json() { Ok(()) } else { self.out(&format!("{line}\n")) }
    }

    /// Prints a line to standard error, behind the program's name. With JSON it may become part of the error document.
    pub(crate) fn warn(&self, line: &str) {
        let line = escape(line).into_owned();
        if self.json() {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        } else {
            complain(&self.program, &line);
        }
    }

    /// Prints what is left to say.
    pub(crate) fn finish(self, result: Result<(), Failure>) -> Exit {
        let held = self.held.into_inner().unwrap_or_else(PoisonError::into_inner);
        report(&self.program, self.extras.json, held, result)
    }
}

/// Ends a call: prints lines that were held back, and the failure if it has a text. With JSON a failure is a document.
pub(super) fn report(program: &Program, as_json: bool, mut lines: Vec<String>, result: Result<(), Failure>) -> Exit {
    let exit = result.as_ref().map_or_else(|failure| failure.exit, |()| Exit::Success);
    lines.extend(result.err().map(|failure| failure.message).filter(|message| !message.is_empty()));
    if as_json && exit != Exit::Success {
        let message = if lines.is_empty() { exit.text().to_owned() } else { lines.join("\n") };
        let _ = io::stderr().write_all(json::error(exit.code(), &message).as_bytes());
    } else {
        for line in &lines {
            complain(program, line);
        }
    }
    exit
}

/// Prints to standard error, if that is there.
fn complain(program: &Program, line: &str) {
    let _ = writeln!(io::stderr(), "{}: {line}", program.name());
}
