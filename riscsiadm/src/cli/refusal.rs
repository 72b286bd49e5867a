//! A command line that is refused: what is said about it, and the exit code.

use super::program::Program;
use crate::exit::Exit;

/// Why a command line is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The lines to print, in order.
    pub lines: Vec<Line>,
    /// How the process ends.
    pub exit: Exit,
}

/// One line of a [`Refusal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A message for standard error that the program's name and a colon stand before.
    Error(String),
    /// A message of the option parser: as above, but with the name as it was typed, path included.
    Getopt(String),
    /// A line for standard error with nothing before it.
    Plain(String),
    /// A line for standard output.
    Out(String),
}

impl Refusal {
    /// A refusal with one message and the code for an invalid parameter.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exit::Invalid, message)
    }

    /// A refusal with one message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { lines: vec![Line::Error(message.into())], exit }
    }

    /// With the line that points to the help.
    #[must_use]
    pub fn with_hint(mut self, program: &Program) -> Self {
        self.lines.push(Line::Plain(format!("Try `{} --help' for more information.", program.name())));
        self
    }

    /// With one more message.
    #[must_use]
    pub fn and(mut self, message: impl Into<String>) -> Self {
        self.lines.push(Line::Error(message.into()));
        self
    }

    /// What goes to standard output, line feeds included. Nearly always nothing.
    pub fn stdout(&self) -> String {
        let out = self.lines.iter().filter_map(|line| match line {
            Line::Out(text) => Some(format!("{text}\n")),
            _ => None,
        });
        out.collect()
    }

    /// What goes to standard error, line feeds included.
    pub fn stderr(&self, program: &Program) -> String {
        let err = self.lines.iter().filter_map(|line| match line {
            Line::Error(text) => Some(format!("{}: {text}\n", program.name())),
            Line::Getopt(text) => Some(format!("{}: {text}\n", program.typed())),
            Line::Plain(text) => Some(format!("{text}\n")),
            Line::Out(_) => None,
        });
        err.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn each_line_goes_to_its_stream_with_its_prefix() {
        let program = Program::new(OsStr::new("/sbin/iscsiadm"));
        let lines = vec![Line::Getopt("a".into()), Line::Error("b".into()), Line::Out("c".into())];
        let refusal = Refusal { lines, exit: Exit::Invalid }.and("d").with_hint(&program);
        assert_eq!(refusal.stdout(), "c\n");
        let hint = "Try `iscsiadm --help' for more information.\n";
        assert_eq!(refusal.stderr(&program), format!("/sbin/iscsiadm: a\niscsiadm: b\niscsiadm: d\n{hint}"));
    }
}
