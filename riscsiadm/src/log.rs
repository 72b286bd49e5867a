//! `-d` and `-v`: what the parts of the program have to tell about their work.

use std::fmt;
use std::io;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::program::Program;

/// Prints messages from now on: none at 0, all at 8. They go to standard error.
pub(crate) fn start(program: &Program, level: u8) {
    if level == 0 {
        return;
    }
    let lines = Lines(program.name().to_owned());
    let subscriber = tracing_subscriber::fmt().with_max_level(filter(level)).with_ansi(false).with_writer(io::stderr);
    // If somebody prints messages already, that is good enough.
    let _ = subscriber.event_format(lines).try_init();
}

/// The same with the time before each message, for a file.
pub(crate) fn start_dated(level: u8) {
    let subscriber = tracing_subscriber::fmt().with_max_level(filter(level)).with_ansi(false).with_target(false);
    let _ = subscriber.with_writer(io::stderr).try_init();
}

fn filter(level: u8) -> LevelFilter {
    match level {
        0 => LevelFilter::OFF,
        1 => LevelFilter::WARN,
        2 | 3 => LevelFilter::INFO,
        4..=6 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Messages in the form of iscsiadm: behind the program's name.
struct Lines(String);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(out, "{}: ", self.0)?;
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}
