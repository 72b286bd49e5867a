//! Those who are compared.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Sample;
use super::cost::processor_seconds;
use super::grid::{Digests, Op, Point, Seat};
use super::raw::Sizes;
use super::target::{Target, seated};

/// How much longer than its measurement a program may take.
const GRACE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// One of those who are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contender {
    /// `riscsiadm perf`.
    Ours,
    /// `iscsi-perf` of libiscsi, which only reads.
    IscsiPerf,
    /// A client of our own on libiscsi, which also writes.
    Libiscsi,
    /// No iSCSI at all: what the loopback allows.
    Raw,
}

/// Where the programs are. What is missing takes no part.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `riscsiadm`.
    pub riscsiadm: PathBuf,
    /// `iscsi-target`.
    pub target: PathBuf,
    /// This program.
    pub bench: PathBuf,
    /// `iscsi-perf`.
    pub iscsi_perf: Option<PathBuf>,
    /// The client on libiscsi.
    pub libiscsi: Option<PathBuf>,
}

impl Contender {
    /// All of them, in the order in which they take their turns.
    pub const ALL: [Self; 4] = [Self::Ours, Self::IscsiPerf, Self::Libiscsi, Self::Raw];

    /// Whether it can do this load.
    pub fn takes(self, point: &Point, programs: &Programs) -> bool {
        let alone = point.sessions > 1;
        match self {
            Self::Ours => true,
            // It knows no data digests.
            Self::IscsiPerf => {
                programs.iscsi_perf.is_some() && point.op == Op::Read && point.digests != Digests::Both && !alone
            }
            Self::Libiscsi => programs.libiscsi.is_some() && point.digests != Digests::Both && !alone,
            Self::Raw => point.op != Op::Mixed && point.digests == Digests::None && !alone,
        }
    }

    /// Has the load for `time` on a target that was started for it.
    pub fn measure(self, point: &Point, target: &Target, programs: &Programs, time: Duration) -> io::Result<Sample> {
        let missing = || io::Error::other(format!("{self} is missing"));
        let before = target.cost();
        let (mut sample, commands) = match self {
            Self::Ours => reported(&mut ours(point, target, programs, time), time)?,
            Self::Libiscsi => {
                let program = programs.libiscsi.as_ref().ok_or_else(missing)?;
                let mut command = seated(program, point.seat);
                command.arg(target.url() + point.keys()).arg(point.op.to_string());
                command.args([point.block, point.depth].map(|number| number.to_string()));
                reported(command.arg(time.as_secs_f64().to_string()), time)?
            }
            Self::Raw => {
                let sizes = sizes(point);
                let mut command = seated(&programs.bench, point.seat);
                command.args(["raw-ask", &target.addr().to_string()]);
                command.args([sizes.request, sizes.response, point.depth as usize].map(|number| number.to_string()));
                reported(command.arg(time.as_secs_f64().to_string()), time)?
            }
            Self::IscsiPerf => {
                let program = programs.iscsi_perf.as_ref().ok_or_else(missing)?;
                let mut command = seated(program, point.seat);
                command.args(["-r", "-m", &point.depth.to_string(), "-b", &(point.block / 512).to_string()]);
                interrupted(command.arg(target.url() + point.keys()), time)?
            }
        };
        sample.target_cpu = (target.cost() - before) * 1e6 / commands.max(1.0);
        Ok(sample)
    }
}

/// The sizes of the raw exchange for a load.
pub fn sizes(point: &Point) -> Sizes {
    if point.op == Op::Write { Sizes::write(point.block) } else { Sizes::read(point.block) }
}

fn ours(point: &Point, target: &Target, programs: &Programs, time: Duration) -> Command {
    let mut command = seated(&programs.riscsiadm, point.seat);
    let workload = match point.op {
        Op::Read => "randread",
        Op::Write => "randwrite",
        Op::Mixed => "randrw",
    };
    command.args(["perf", "--json", "--workload", workload, "--initiator-name", "iqn.2026-01.org.example:ours"]);
    command.args(["--block-size", &point.block.to_string(), "--queue-depth", &point.depth.to_string()]);
    command.args(["--sessions", &point.sessions.to_string(), "--duration", &format!("{}ms", time.as_millis())]);
    if point.seat == Seat::Polling {
        command.args(["--poll", "1ms"]);
    }
    command.arg(target.url() + point.keys());
    command
}

/// Runs a program that prints JSON: a sample, and how many commands it is made of.
fn reported(command: &mut Command, time: Duration) -> io::Result<(Sample, f64)> {
    let printed = finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?, time + GRACE)?;
    let json: Value = serde_json::from_str(&printed)?;
    let number = |path: &str| json.pointer(path).and_then(Value::as_f64);
    let missing = || io::Error::other(format!("no rate in {printed:?}"));
    let iops = number("/iops").ok_or_else(missing)?;
    let cpu = number("/cpu/us_per_io").or_else(|| number("/cpu_us_per_io")).ok_or_else(missing)?;
    let p50 = number("/latency_us/p50").or_else(|| number("/p50"));
    let seconds = number("/duration_s").unwrap_or(time.as_secs_f64());
    Ok((Sample { iops, cpu, target_cpu: 0.0, p50 }, iops * seconds))
}

/// Runs a program that goes on until it is interrupted, and prints its average rate every second.
fn interrupted(command: &mut Command, time: Duration) -> io::Result<(Sample, f64)> {
    // The last of its seconds must be over.
    let time = Duration::from_secs(time.as_millis().div_ceil(1000) as u64) + Duration::from_millis(300);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    thread::sleep(time);
    let cpu = processor_seconds(child.id());
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT)?;
    let printed = finish(child, GRACE)?;
    let iops = last_average(&printed).ok_or_else(|| io::Error::other(format!("no rate in {printed:?}")))?;
    let commands = iops * time.as_secs_f64();
    Ok((Sample { iops, cpu: cpu * 1e6 / commands.max(1.0), target_cpu: 0.0, p50: None }, commands))
}

/// The last `iops average N` of what was printed.
fn last_average(printed: &str) -> Option<f64> {
    let (_, rest) = printed.rsplit_once("iops average ")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Waits for a program's end, and returns what it printed.
#[expect(clippy::disallowed_methods, reason = "a program that hangs is ended by the clock")]
fn finish(mut child: Child, limit: Duration) -> io::Result<String> {
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other("a program did not end"));
        }
        thread::sleep(PAUSE);
    };
    let mut printed = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut printed)?;
    }
    if status.success() { Ok(printed) } else { Err(io::Error::other(format!("a program ended with {status}"))) }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "riscsiadm perf",
            Self::IscsiPerf => "iscsi-perf",
            Self::Libiscsi => "libiscsi client",
            Self::Raw => "raw exchange",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_average_counts() {
        let printed = "\r00:00:01 - lba 1, iops current 10 (1 MB/s), iops average 20 (1 MB/s), in_flight 32\
                       \r00:00:02 - lba 1, iops current 11 (1 MB/s), iops average 175331 (684 MB/s), in_flight 32\nfinished.\n";
        assert_eq!(last_average(printed), Some(175_331.0));
        assert_eq!(last_average("finished."), None);
    }

    #[test]
    fn a_program_that_fails_or_hangs_is_an_error() {
        let start = |script: &str| Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(finish(start("echo yes"), GRACE).unwrap(), "yes\n");
        assert!(finish(start("exit 3"), GRACE).is_err());
        assert!(finish(start("exec sleep 600"), Duration::from_millis(20)).is_err());
    }
}
