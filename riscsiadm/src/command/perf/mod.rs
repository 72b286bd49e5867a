//! `riscsiadm perf`: how fast a LUN is.

mod cost;
mod load;
mod report;
mod stamp;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;

use super::access::Access;
use super::print;
use crate::cli::command::Perf;
use crate::exit::Exit;
use crate::failure::Failure;
use cost::Cost;
use load::{Load, Tally};
use report::Report;

/// How often the rates on a terminal are renewed.
const TICK: Duration = Duration::from_millis(500);

pub(super) fn run(args: &Perf) -> Result<(), Failure> {
    let mut access = Access::to(&args.url, &args.common)?;
    access.config.busy_poll = args.poll.unwrap_or_default();
    let access = Arc::new(access);
    let load = Arc::new(Load::new(args)?);
    let start = Cost::now();
    let workers: Vec<_> = (0..args.sessions)
        .map(|index| {
            let (access, load) = (Arc::clone(&access), Arc::clone(&load));
            thread::spawn(move || session(&access, &load, index))
        })
        .collect();
    watch(&load, &workers);
    let mut total = Tally::new()?;
    for worker in workers {
        let tally = worker.join().map_err(|_| Failure::new(Exit::Internal, "a session of the measurement died"))??;
        total.add(&tally)?;
    }
    let cost = Cost::now().since(&start);
    let report = Report { args, tally: &total, cost, seconds: load.seconds() };
    print(&if args.common.json { report.as_json() } else { report.as_text() })?;
    match total.error {
        Some(failure) => Err(failure.during(format!("{} commands failed, the first with", total.errors))),
        None => Ok(()),
    }
}

/// One session on a thread of its own: its connection and its commands take turns there, and nobody has to be woken.
fn session(access: &Access, load: &Arc<Load>, index: u32) -> Result<Tally, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(load::run(access, load, index));
    // A name server that does not answer holds up a thread; that is no reason to wait for it.
    runtime.shutdown_background();
    if result.is_err() {
        load.stop();
    }
    result
}

/// Shows the rates while the measurement runs, if somebody looks on.
fn watch<T>(load: &Load, workers: &[thread::JoinHandle<T>]) {
    let shown = io::stderr().is_terminal();
    let mut before = 0;
    while !workers.iter().all(thread::JoinHandle::is_finished) {
        thread::park_timeout(if shown { TICK } else { Duration::from_millis(20) });
        if shown {
            let done = load.done();
            let rate = (done - before) * 1000 / TICK.as_millis() as u64;
            before = done;
            eprint!("\r{rate:>10} IOPS {:>12}/s ", crate::output::table::size(rate * load.block_size()));
        }
    }
    if shown {
        eprint!("\r{:40}\r", "");
    }
}
