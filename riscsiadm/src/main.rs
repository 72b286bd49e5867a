//! An iscsiadm-like tool on a user-space iSCSI initiator.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use riscsiadm::cli::command::{Command, Completions, Man};
use riscsiadm::cli::program::{OWN_NAME, Program};
use riscsiadm::cli::refusal::Refusal;
use riscsiadm::cli::{Action, Invocation, pages, parse};
use riscsiadm::exit::Exit;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = Program::new(words.next().as_deref().unwrap_or(OsStr::new(OWN_NAME)));
    let words: Vec<OsString> = words.collect();
    let exit = match parse(&program, &words) {
        Ok(invocation) => run(&program, invocation),
        Err(refusal) => refuse(&program, &refusal),
    };
    exit.into()
}

fn refuse(program: &Program, refusal: &Refusal) -> Exit {
    complain(&refusal.stderr(program));
    match print(&refusal.stdout()) {
        Ok(()) => refusal.exit,
        Err(error) => fail(program, &error),
    }
}

fn run(program: &Program, invocation: Invocation) -> Exit {
    for warning in &invocation.warnings {
        complain(&format!("{}: {warning}\n", program.name()));
    }
    let done = match invocation.action {
        Action::Print(text) => print(&text),
        Action::Command(Command::Completions(Completions { shell })) => print(&pages::completions(shell)),
        Action::Command(Command::Man(Man { dir })) => manual(dir.as_deref()),
        Action::Command(Command::Daemon(options)) => return riscsiadm::daemon::run(program, &options),
        Action::Command(command) => return riscsiadm::command::run(program, command),
        Action::Request(request, extras) => return riscsiadm::mode::run(program, request, extras),
    };
    match done {
        Ok(()) => Exit::Success,
        Err(error) => fail(program, &error),
    }
}

fn fail(program: &Program, error: &io::Error) -> Exit {
    complain(&format!("{}: {error}\n", program.name()));
    Exit::Failure
}

/// Prints to standard error, if that is there.
fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints to standard output. That nobody reads on is no error: `riscsiadm --help | head -1`.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn manual(dir: Option<&Path>) -> io::Result<()> {
    let pages = pages::manual()?;
    let Some(dir) = dir else {
        return pages.first().map_or(Ok(()), |(_, text)| print(text));
    };
    std::fs::create_dir_all(dir)?;
    pages.iter().try_for_each(|(name, text)| std::fs::write(dir.join(name), text))
}
