//! The command line: from words to a [`Request`] or a [`Command`], or to a refusal.
//!
//! All of it is pure: no file, no socket, no environment. What depends on those is left to whoever carries a request out.
//!
//! The first word decides. A name such as `ls` is a [`Command`], with clap's syntax; anything else is the syntax of
//! iscsiadm, where the mode is in `-m`. Called by the name `iscsiadm`, there are no commands. Called by the name
//! `riscsid`, there is only the daemon.

pub mod args;
pub mod command;
pub mod getopt;
pub mod help;
pub mod mode;
pub mod number;
pub mod op;
pub mod options;
pub mod pages;
pub mod portal;
pub mod program;
pub mod refusal;
pub mod request;
pub mod secret;
pub mod setting;

use std::ffi::{OsStr, OsString};
use std::iter;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use args::{Args, Extras, NO_MODE, Typed};
use command::Command;
use program::Program;
use refusal::{Line, Refusal};
use request::Request;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Print this text, and that is all.
    Print(String),
    /// Carry out a request of a mode.
    Request(Request, Extras),
    /// Carry out a command.
    Command(Command),
}

/// A command line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// Messages for standard error that do not stop it, without the program's name.
    pub warnings: Vec<String>,
}

/// Reads the words of a command line after the program's name.
pub fn parse(program: &Program, words: &[OsString]) -> Result<Invocation, Refusal> {
    if program.is_daemon() {
        return parse_command(program, iter::once(&OsString::from("daemon")).chain(words));
    }
    if !program.is_iscsiadm() {
        match words.first().and_then(|word| word.to_str()) {
            Some("help") if words.len() == 1 => return Ok(print(help::help(program))),
            Some(word) if is_command(word) => return parse_command(program, words.iter()),
            _ => {}
        }
    }
    parse_options(program, words)
}

/// Whether `word` is the name of a command.
fn is_command(word: &str) -> bool {
    word == "help" || command::Line::command().get_subcommands().any(|command| command.get_name() == word)
}

fn print(text: String) -> Invocation {
    Invocation { action: Action::Print(text), warnings: Vec::new() }
}

fn parse_options(program: &Program, words: &[OsString]) -> Result<Invocation, Refusal> {
    let words = words.iter().map(utf8).collect::<Result<Vec<String>, Refusal>>()?;
    let args = match Args::read(&getopt::split(&words))? {
        Typed::Help => return Ok(print(help::help(program))),
        Typed::Version => return Ok(print(help::version(program))),
        Typed::Args(args) => args,
    };
    let mut warnings = Vec::new();
    let request = request::interpret(&args, program, &mut warnings).map_err(|refusal| hint(program, &args, refusal))?;
    Ok(Invocation { action: Action::Request(request, args.extras), warnings })
}

fn utf8(word: &OsString) -> Result<String, Refusal> {
    let text = word.to_str().map(str::to_owned);
    text.ok_or_else(|| Refusal::invalid(format!("the argument '{}' is not UTF-8", word.display())))
}

/// Says what a command line without a mode lacks. Under our own name that may be a command, and a stray word is likely
/// one that was mistyped or put in the wrong place.
fn hint(program: &Program, args: &Args, mut refusal: Refusal) -> Refusal {
    if program.is_iscsiadm() {
        return refusal;
    }
    let text = match args.stray.first() {
        None => "neither a command nor a mode (-m) was given".to_owned(),
        Some(word) if is_command(word) => format!("the command '{word}' has to be the first word"),
        Some(word) => format!("'{word}' is not a command"),
    };
    for line in &mut refusal.lines {
        if matches!(line, Line::Error(message) if message == NO_MODE) {
            *line = Line::Error(text.clone());
        }
    }
    refusal
}

fn parse_command<'a>(program: &'a Program, words: impl Iterator<Item = &'a OsString>) -> Result<Invocation, Refusal> {
    let words = iter::once(OsStr::new(program.name())).chain(words.map(OsString::as_os_str));
    match command::Line::try_parse_from(words) {
        Ok(line) => check_command(line.command),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(print(error.to_string()))
        }
        Err(error) => Err(from_clap(&error)),
    }
}

fn check_command(command: Command) -> Result<Invocation, Refusal> {
    if let Command::Read(read) = &command
        && read.common.json
        && read.output == Path::new(OsStr::new("-"))
    {
        return Err(Refusal::invalid("read --json needs -o FILE: standard output cannot take both the data and JSON"));
    }
    Ok(Invocation { action: Action::Command(command), warnings: Vec::new() })
}

/// Clap's message, with the program's name in place of the word `error`.
fn from_clap(error: &clap::Error) -> Refusal {
    let text = error.to_string();
    let mut lines = text.trim_end().lines();
    let first = lines.next().unwrap_or_default();
    let mut refusal = Refusal::invalid(first.strip_prefix("error: ").unwrap_or(first));
    refusal.lines.extend(lines.map(|line| Line::Plain(line.to_owned())));
    refusal
}
