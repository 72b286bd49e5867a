//! The commands that iscsiadm never had: `ls`, `inquiry`, `read`, `write`, `perf`, `doctor`, `daemon`, `completions`, `man`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::TargetAddress;
use zeroize::Zeroizing;

use super::number::{size, time};

/// The form of a URL.
const URL_FORM: &str = "iscsi://[USER[%SECRET]@]HOST[:PORT]/TARGET/LUN[?KEY=VALUE&...]";

/// The long help of an operand that is a URL.
const URL_HELP: &str = "The LUN: iscsi://[USER[%SECRET]@]HOST[:PORT]/TARGET/LUN[?KEY=VALUE&...]

The port is 3260 unless given. Special characters are written as %XX. Keys are header_digest and data_digest (crc32c or \
none), target_user and target_password. A secret in a URL can be seen by every user of this machine in the list of \
processes: better leave it out and use --secret-file.";

/// A command, its options and its operands.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// List targets, portals and LUNs
    ///
    /// Asks a portal for its targets and prints them; with a target in the URL, its LUNs with size and type.
    #[command(after_help = "Examples:
  riscsiadm ls 10.0.0.5
  riscsiadm ls --json iscsi://10.0.0.5/iqn.2003-01.org.example:disk1")]
    Ls(Ls),

    /// Print what a LUN says about itself
    ///
    /// Vendor, product, serial number, identifiers, block size, limits and provisioning, from the standard INQUIRY data
    /// and the vital product data pages that the LUN has.
    #[command(after_help = "Examples:
  riscsiadm inquiry iscsi://10.0.0.5/iqn.2003-01.org.example:disk1/0
  riscsiadm inquiry --json --secret-file s iscsi://user@10.0.0.5/iqn.2003-01.org.example:disk1/0")]
    Inquiry(Inquiry),

    /// Copy bytes from a LUN to a file or to standard output
    ///
    /// Offset and length need not lie on block boundaries. Reading past the end of the LUN is an error, and nothing is
    /// written then.
    #[command(after_help = "Examples:
  riscsiadm read -o disk.img iscsi://10.0.0.5/iqn.2003-01.org.example:disk1/0
  riscsiadm read --length 512 iscsi://10.0.0.5/iqn.2003-01.org.example:disk1/0 | hexdump -C")]
    Read(Read),

    /// Copy bytes from a file or from standard input to a LUN
    ///
    /// Writes until the input ends. Input that does not fit on the LUN is an error.
    #[command(after_help = "Examples:
  riscsiadm write -i disk.img iscsi://10.0.0.5/iqn.2003-01.org.example:disk1/0
  zcat disk.img.gz | riscsiadm write --offset 1MiB iscsi://10.0.0.5/iqn.2003-01.org.example:disk1/0")]
    Write(Write),

    /// Measure how fast a LUN is
    ///
    /// Keeps a number of commands under way for a while, and reports rates, latencies and what they cost. Workloads that
    /// write overwrite what is on the LUN.
    #[command(after_help = "Examples:
  riscsiadm perf iscsi://10.0.0.5/iqn.2003-01.org.example:disk1/0
  riscsiadm perf --workload randrw=70 --block-size 64k --queue-depth 8 --json iscsi://10.0.0.5/iqn.2003-01.org.example:scratch/0")]
    Perf(Perf),

    /// Find out why a portal or a LUN does not work, step by step
    ///
    /// Resolves the name, connects, discovers, logs in and looks at the LUNs of the target of the URL, or of the first
    /// eight that the portal announces. Says at each step what was found and what to do about it. It writes nothing, and
    /// reads 16 MiB of one LUN of each target at most, for a measurement.
    ///
    /// Each line is ok; a note, which is good to know; a warning: it works, but not well, not safely or not everywhere; or
    /// a problem. The exit code is 0 if there is no problem, else the one that stands for the first.
    #[command(after_help = "Examples:
  riscsiadm doctor 10.0.0.5:3260
  riscsiadm doctor --secret-file s iscsi://user@10.0.0.5/iqn.2003-01.org.example:disk1/0")]
    Doctor(Doctor),

    /// Hold the sessions of this user
    ///
    /// The first login starts a daemon if none runs, so this is for service managers and for looking at its messages.
    /// It stays in the foreground, and logs out of everything on SIGTERM. Also started by the name riscsid.
    #[command(after_help = "Examples:
  riscsiadm daemon
  RISCSI_RUN=/tmp/run riscsiadm daemon -vv")]
    Daemon(Daemon),

    /// Print a script that completes command lines
    #[command(after_help = "Examples:
  riscsiadm completions bash > /etc/bash_completion.d/riscsiadm
  riscsiadm completions fish > ~/.config/fish/completions/riscsiadm.fish")]
    Completions(Completions),

    /// Print the manual page, or write all of them to a directory
    #[command(after_help = "Examples:
  riscsiadm man | man -l -
  riscsiadm man --dir /usr/local/share/man/man8")]
    Man(Man),
}

impl Command {
    /// The options that all commands share that talk to a target.
    pub fn common(&self) -> Option<&Common> {
        match self {
            Self::Ls(ls) => Some(&ls.common),
            Self::Inquiry(inquiry) => Some(&inquiry.common),
            Self::Read(read) => Some(&read.common),
            Self::Write(write) => Some(&write.common),
            Self::Perf(perf) => Some(&perf.common),
            Self::Doctor(doctor) => Some(&doctor.common),
            Self::Daemon(_) | Self::Completions(_) | Self::Man(_) => None,
        }
    }
}

/// `ls`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Ls {
    /// A portal, or an iscsi:// URL of which target and LUN may be missing. The port is 3260 unless given.
    #[arg(value_name = "URL|HOST[:PORT]", value_parser = Place::from_str)]
    pub place: Place,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would become the help of every option in it")]
    pub common: Common,
}

/// `inquiry`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Inquiry {
    /// The LUN
    #[arg(value_name = "URL", value_parser = Url::from_str, long_help = URL_HELP)]
    pub url: Url,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would become the help of every option in it")]
    pub common: Common,
}

/// `read`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Read {
    /// The LUN
    #[arg(value_name = "URL", value_parser = Url::from_str, long_help = URL_HELP)]
    pub url: Url,
    /// Where to begin, in bytes or with a unit that is a power of 1024: 4k, 1MiB, 10G
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = size)]
    pub offset: u64,
    /// How much to read, in bytes or with a unit; to the end of the LUN by default
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub length: Option<u64>,
    /// The file to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would become the help of every option in it")]
    pub common: Common,
}

/// `write`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Write {
    /// The LUN
    #[arg(value_name = "URL", value_parser = Url::from_str, long_help = URL_HELP)]
    pub url: Url,
    /// Where to begin, in bytes or with a unit that is a power of 1024: 4k, 1MiB, 10G
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = size)]
    pub offset: u64,
    /// The file to read; - is standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub input: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would become the help of every option in it")]
    pub common: Common,
}

/// `perf`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Perf {
    /// The LUN
    #[arg(value_name = "URL", value_parser = Url::from_str, long_help = URL_HELP)]
    pub url: Url,
    /// What to do: randread, randwrite, read, write, or randrw with the percentage of reads (50 unless given)
    #[arg(long, value_name = "NAME[=PCT]", default_value = "randread")]
    pub workload: Workload,
    /// How much one command moves, in bytes or with a unit; a multiple of the LUN's block size
    #[arg(long, value_name = "BYTES", default_value = "4k", value_parser = size)]
    pub block_size: u64,
    /// How many commands each session keeps under way, 1 to 4096
    #[arg(long, value_name = "N", default_value = "32", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub queue_depth: u32,
    /// For how long to measure: seconds, or with a unit: 500ms, 15s, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub duration: Duration,
    /// How many sessions share the work, 1 to 256; each runs on a thread of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub sessions: u32,
    /// Write stamps, and check each block that is read after it was written
    #[arg(long)]
    pub verify: bool,
    /// Go on looking for answers for so long before sleeping: quicker with few commands at a time, and a busy processor
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub poll: Option<Duration>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would become the help of every option in it")]
    pub common: Common,
}

/// What `perf` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Blocks in any order, or one after the other.
    pub random: bool,
    /// How many of a hundred commands read.
    pub read_percent: u8,
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, percent) = text.split_once('=').map_or((text, None), |(name, percent)| (name, Some(percent)));
        let (random, read_percent) = match (name, percent) {
            ("randread", None) => (true, 100),
            ("randwrite", None) => (true, 0),
            ("read", None) => (false, 100),
            ("write", None) => (false, 0),
            ("randrw", None) => (true, 50),
            ("randrw", Some(percent)) => (true, percent.parse().map_err(|_| "PCT is a number from 0 to 100")?),
            _ => return Err("the workloads are randread, randwrite, read, write and randrw[=PCT]".into()),
        };
        if read_percent > 100 {
            return Err("PCT is a number from 0 to 100".into());
        }
        Ok(Self { random, read_percent })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.random, self.read_percent) {
            (true, 100) => f.write_str("randread"),
            (true, 0) => f.write_str("randwrite"),
            (true, percent) => write!(f, "randrw={percent}"),
            (false, 100) => f.write_str("read"),
            (false, _) => f.write_str("write"),
        }
    }
}

/// `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Doctor {
    /// A portal, or an iscsi:// URL of which target and LUN may be missing. The port is 3260 unless given.
    #[arg(value_name = "PORTAL|URL", value_parser = Place::from_str)]
    pub place: Place,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would become the help of every option in it")]
    pub common: Common,
}

/// `daemon`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Daemon {
    /// Say more on standard error; may repeat: -v steps, -vv commands, -vvv everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// `completions`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Completions {
    /// The shell that will read the script
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `man`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Man {
    /// Write riscsiadm.8 and a page for each command to this directory, instead of printing riscsiadm.8
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The options of every command that talks to a target.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Common {
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// Give up after this time without progress: seconds, or with a unit: 500ms, 15s, 2m
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = time)]
    pub timeout: Duration,
    /// Read secrets from this file: line 1 for the user of the URL, line 2 (if any) what the target has to prove it
    /// knows. Without it: RISCSI_SECRET and RISCSI_TARGET_SECRET from the environment
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The name to log in by; that of this machine by default
    #[arg(long, value_name = "NAME", value_parser = IscsiName::from_str)]
    pub initiator_name: Option<IscsiName>,
    /// Write what goes over the wire to this file as pcapng, for Wireshark; secrets of login are overwritten, the data of
    /// the LUN is not. For a port other than 3260: tshark -r FILE -d tcp.port==PORT,iscsi
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Say more on standard error; may repeat: -v steps, -vv commands, -vvv everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// A shell that completions are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
}

/// An `iscsi://` URL. It may hold secrets, so it is never printed: not by `Debug` either.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Zeroizing<String>);

/// A URL or a portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `iscsi://...`.
    Url(Url),
    /// `HOST[:PORT][,TAG]`.
    Portal(TargetAddress),
}

/// A user-space iSCSI initiator
///
/// Discovers iSCSI targets, logs in to them, and reads and writes their LUNs, with no kernel module and without the rights
/// of root. The modes are those of iscsiadm: scripts that drive it can drive this program under its name.
#[derive(Debug, Parser)]
#[command(name = "riscsiadm", version)]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Url {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Url {
    type Err = String;

    /// Looks at the scheme alone.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.strip_prefix("iscsi://").is_some_and(|rest| !rest.is_empty()) {
            return Ok(Self(Zeroizing::new(text.to_owned())));
        }
        Err(format!("a URL looks like {URL_FORM}"))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url(..)")
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return text.parse().map(Self::Url);
        }
        text.parse().map(Self::Portal).map_err(|error: iscsi_proto::portal::PortalError| error.to_string())
    }
}
