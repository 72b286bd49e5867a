//! Command lines, and what they are taken to mean: tables of what is allowed and of what is refused, mode by mode.

#![cfg(test)]

mod clients;
mod command;
mod discovery;
mod discoverydb;
mod firmware;
mod help;
mod host;
mod iface;
mod node;
mod options;
mod session;

use std::ffi::{OsStr, OsString};

use riscsiadm::cli::portal::PortalFilter;
use riscsiadm::cli::program::Program;
use riscsiadm::cli::refusal::Refusal;
use riscsiadm::cli::request::Request;
use riscsiadm::cli::setting::{Setting, Value};
use riscsiadm::cli::{Action, Invocation, parse};

/// Splits at blanks. `''` is an empty word, and `~` in a word is a blank.
fn words(line: &str) -> Vec<OsString> {
    let word = |word: &str| if word == "''" { String::new() } else { word.replace('~', " ") };
    line.split_whitespace().map(|part| word(part).into()).collect()
}

fn program(name: &str) -> Program {
    Program::new(OsStr::new(name))
}

/// Parses the words after `iscsiadm`.
fn iscsiadm(line: &str) -> Result<Invocation, Refusal> {
    parse(&program("iscsiadm"), &words(line))
}

/// Parses the words after `riscsiadm`.
fn riscsiadm(line: &str) -> Result<Invocation, Refusal> {
    parse(&program("riscsiadm"), &words(line))
}

/// The request of a command line that is allowed without a word of warning.
fn request(line: &str) -> Request {
    match iscsiadm(line) {
        Ok(Invocation { action: Action::Request(request, _), warnings }) if warnings.is_empty() => request,
        other => panic!("{line}: {other:?}"),
    }
}

/// Checks what command lines mean, in both of the program's names.
fn allowed(table: &[(&str, Request)]) {
    for (line, expected) in table {
        assert_eq!(&request(line), expected, "{line}");
        assert_eq!(iscsiadm(line), riscsiadm(line), "{line}");
    }
}

/// Checks messages, each of which stands on standard error after the program's name, and exit codes.
fn refused(table: &[(&str, &[&str], u8)]) {
    for (line, messages, code) in table {
        for name in ["iscsiadm", "riscsiadm"] {
            let program = program(name);
            let refusal = match parse(&program, &words(line)) {
                Ok(invocation) => panic!("{line}: {invocation:?}"),
                Err(refusal) => refusal,
            };
            let expected: Vec<String> = messages.iter().map(|message| format!("{name}: {message}\n")).collect();
            assert_eq!(refusal.stderr(&program), expected.concat(), "{line}");
            assert_eq!((refusal.stdout().as_str(), refusal.exit.code()), ("", *code), "{line}");
        }
    }
}

fn portal(text: &str) -> PortalFilter {
    PortalFilter::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn setting(name: &str, value: &str) -> Setting {
    Setting { name: name.to_owned(), value: Value::Text(value.to_owned().into()) }
}
