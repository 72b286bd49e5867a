use std::io;
use std::process::ExitStatus;

use thiserror::Error;

/// Something that a test needs is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct NotRun {
    /// What is missing and how to get it, as one line.
    pub why: String,
}

impl NotRun {
    /// A reason, as one line.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

/// A lab that should have worked did not.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// The machine lacks something.
    #[error(transparent)]
    NotRun(#[from] NotRun),
    /// Files, pipes or processes.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A tool ended with an error.
    #[error("{command} ended with {status}: {output}")]
    Tool {
        /// The tool and the first of its arguments; secrets come later on the command line and are left out.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed, both streams.
        output: String,
    },
    /// A script in a virtual machine ended with an error.
    #[error("a script in the guest ended with {status}: {output}")]
    Guest {
        /// Its exit status.
        status: i32,
        /// What it printed.
        output: String,
    },
    /// The target ended or was silent before it was ready.
    #[error("the target did not become ready: {why}")]
    NotReady {
        /// The last answer, and the target's log.
        why: String,
    },
    /// A name that the lab was not set up with.
    #[error("no target {0} in this lab")]
    UnknownTarget(String),
    /// A path that cannot be handed to a tool: not UTF-8, or too long for a socket.
    #[error("{0} cannot be used as a path here")]
    Path(String),
}

impl LabError {
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
