//! `-d` and `-v`: what the parts of the program have to tell about their work.

use std::fmt;
use std::io;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::program::Program;

/// Prints messages from now on: none at 0, all at 8. They go to standard error.
pub(crate) fn start(program: &Program, level: u8) {
    let level = match level {
        0 => return,
        1 => LevelFilter::WARN,
        2 | 3 => LevelFilter::INFO,
        4..=6 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let lines = Lines(program.name().to_owned());
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(io::stderr);
    // If somebody prints messages already, that is good enough.
    let _ = subscriber.event_format(lines).try_init();
}

/// Prints messages of the daemon from now on: its own, and with `verbose` those of the initiator. `dated` puts the time
/// before each, for a file.
pub(crate) fn start_daemon(program: &Program, verbose: u8, dated: bool) {
    let filter = match verbose {
        0 => "warn,riscsiadm=info",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_ansi(false);
    let subscriber = subscriber.with_writer(io::stderr);
    let _ = if dated {
        subscriber.with_target(false).try_init()
    } else {
        subscriber.event_format(Lines(program.name().to_owned())).try_init()
    };
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
