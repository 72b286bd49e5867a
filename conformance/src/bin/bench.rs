//! Compares initiators, side by side.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use conformance::bench::contender::Programs;
use conformance::bench::cost::processor_seconds;
use conformance::bench::counts::{Baseline, Verdict, count, verdict};
use conformance::bench::crowd::{self, Crowd};
use conformance::bench::facts::facts;
use conformance::bench::goals::goals;
use conformance::bench::grid::{Op, Point, points};
use conformance::bench::page::{Source, goal_table, line, page};
use conformance::bench::plot::picture;
use conformance::bench::raw::{self, Sizes};
use conformance::bench::rounds::{Outcome, measure};
use conformance::bench::target::Target;
use conformance::bench::work::Work;
use conformance::lab::tool;
use tempfile::TempDir;

/// Compares initiators on one machine: ours, libiscsi's tool, a client on libiscsi, and the raw loopback exchange.
///
/// Build first: cargo build --release -p riscsiadm -p conformance
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Rounds; the figures are medians over them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The whole grid, with all backends and mixed loads, and not only what goals are stated for
    #[arg(long)]
    all: bool,
    /// Only loads whose name contains this, such as "4 KiB, depth 128"
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Write BENCHMARKS.md and benchmarks.svg into this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Count the instructions of pieces of work, and compare them with the baseline
    Count {
        /// Make them the baseline instead
        #[arg(long)]
        write: bool,
    },
    /// Log in many times at once, and measure what memory sessions hold
    Crowd {
        /// How many sessions
        #[arg(default_value_t = 1000)]
        sessions: u32,
    },
    /// Do a piece of work: what is counted
    #[command(hide = true)]
    Work { work: Work, times: u32 },
    /// The server of the raw exchange
    #[command(hide = true)]
    RawServe { request: usize, response: usize },
    /// The client of the raw exchange
    #[command(hide = true)]
    RawAsk { addr: SocketAddr, request: usize, response: usize, depth: usize, seconds: f64 },
}

/// Instructions of this commit's work.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/counts.toml");

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    match &args.part {
        Some(Part::Count { write }) => count_all(*write),
        Some(Part::Crowd { sessions }) => crowd(*sessions),
        Some(Part::Work { work, times }) => {
            std::hint::black_box(work.run(*times));
            Ok(())
        }
        Some(Part::RawServe { request, response }) => serve(Sizes { request: *request, response: *response }),
        Some(Part::RawAsk { addr, request, response, depth, seconds }) => {
            ask(*addr, Sizes { request: *request, response: *response }, *depth, *seconds)
        }
        None => compare(args),
    }
}

fn serve(sizes: Sizes) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    Ok(raw::serve(&listener, sizes)?)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are exact in a float")]
fn ask(addr: SocketAddr, sizes: Sizes, depth: usize, seconds: f64) -> Result<(), Box<dyn Error>> {
    let stream = TcpStream::connect(addr)?;
    let (done, took) = raw::ask(&stream, sizes, depth, Duration::from_secs_f64(seconds))?;
    let cpu = processor_seconds(std::process::id()) * 1e6 / done.max(1) as f64;
    println!("{{\"iops\":{},\"cpu_us_per_io\":{cpu}}}", done as f64 / took.as_secs_f64());
    Ok(())
}

fn count_all(write: bool) -> Result<(), Box<dyn Error>> {
    let bench = std::env::current_exe()?;
    let compiler = compiler()?;
    let before = match fs::read_to_string(BASELINE) {
        Ok(text) => Some(Baseline::parse(&text)?).filter(|before| before.compiler == compiler),
        Err(_) => None,
    };
    let (mut counts, mut grown) = (BTreeMap::new(), Vec::new());
    for work in Work::value_variants() {
        let (work, found) = (work.to_string(), count(*work, &bench)?);
        let base = before.as_ref().and_then(|before| before.counts.get(&work)).copied();
        println!(
            "{work:<14}{found:>10.1} instructions{}",
            base.map_or_else(String::new, |base| format!(", {base:.1} before"))
        );
        if verdict(found, base) == Verdict::Grown {
            grown.push(work.clone());
        }
        counts.insert(work, found);
    }
    if write {
        fs::write(BASELINE, Baseline { compiler, counts }.to_text())?;
    } else if before.is_none() {
        println!("Nothing to compare with: the baseline is of another compiler than {compiler}.");
    } else if !grown.is_empty() {
        return Err(format!("these take over 3 % more instructions than before: {}", grown.join(", ")).into());
    }
    Ok(())
}

fn crowd(sessions: u32) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?.with_file_name("iscsi-target");
    let target = Target::for_point(&Point::new(Op::Read, 4096, 128), &program)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Crowd { seconds, kib_each, mib_busy, .. } = runtime.block_on(crowd::measure(&target, sessions))?;
    println!("{sessions} logins at once: {seconds:.2} s");
    println!("memory of an idle session: {kib_each:.1} KiB");
    println!("memory of a session with 128 reads of 4 KiB under way: {mib_busy:.2} MiB");
    Ok(())
}

fn compiler() -> Result<String, Box<dyn Error>> {
    let done = Command::new("rustc").arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let programs = programs(&dir)?;
    let points: Vec<_> = points(args.all).into_iter().filter(|point| point.to_string().contains(&args.only)).collect();
    if points.is_empty() {
        return Err(format!("no load is called {:?}", args.only).into());
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    for point in points {
        let outcome = measure(point, &programs, args.rounds, Duration::from_secs_f64(args.seconds))?;
        println!("{}", line(&outcome));
        outcomes.push(outcome);
    }
    print!("{}", goal_table(&goals(&outcomes)));
    match &args.write {
        Some(folder) => write(folder, args, &outcomes),
        None => Ok(()),
    }
}

fn write(folder: &Path, args: &Args, outcomes: &[Outcome]) -> Result<(), Box<dyn Error>> {
    let all = if args.all { " --all" } else { "" };
    let options = format!("--rounds {} --seconds {}{all}", args.rounds, args.seconds);
    let command = format!("cargo run --release -p conformance --bin bench -- {options} --write docs");
    let source = Source { command, rounds: args.rounds, seconds: args.seconds, facts: facts() };
    fs::write(folder.join("BENCHMARKS.md"), page(outcomes, &source))?;
    fs::write(folder.join("benchmarks.svg"), picture(outcomes)?)?;
    Ok(())
}

/// Ours are beside this program; what others bring may be missing.
fn programs(dir: &TempDir) -> Result<Programs, Box<dyn Error>> {
    let bench = std::env::current_exe()?;
    let beside = |name: &str| {
        let path = bench.with_file_name(name);
        let missing = format!("{} is not built: cargo build --release -p riscsiadm -p conformance", path.display());
        if path.exists() { Ok(path) } else { Err(missing) }
    };
    let libiscsi = libiscsi(dir.path()).inspect_err(|why| eprintln!("without the libiscsi client: {why}")).ok();
    let iscsi_perf = tool("iscsi-perf", "libiscsi-bin").inspect_err(|why| eprintln!("without iscsi-perf: {why}")).ok();
    Ok(Programs { riscsiadm: beside("riscsiadm")?, target: beside("iscsi-target")?, bench, iscsi_perf, libiscsi })
}

/// Compiles the client on libiscsi. Headers may be in a folder that CPATH names, the library in one that LIBRARY_PATH does.
fn libiscsi(dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let program = dir.join("libiscsi-client");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/libiscsi.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-o"]).arg(&program).arg(source).arg("-l:libiscsi.so.7");
    let done = compiler.output().map_err(|error| format!("cc: {error}"))?;
    let why = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(program) } else { Err(format!("needs the package libiscsi-dev: {why}").into()) }
}
