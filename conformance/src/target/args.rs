//! The command line of the `iscsi-target` program.
//!
//! Options that follow a `--target` belong to it, up to the next one, so their order counts.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use iscsi_proto::name::IscsiName;
use thiserror::Error;

use super::config::{Chap, Config, Credentials, LunConfig, Store, TargetConfig};

/// Seconds that tasks of lost connections are kept at error recovery level 2.
const TIME2RETAIN: u16 = 20;

/// A fast iSCSI target for tests and benchmarks.
///
/// Options after a --target belong to that target, up to the next one.
#[derive(Debug, Parser)]
#[command(name = "iscsi-target", version)]
struct Raw {
    /// Where to listen; with port 0 the system picks one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3260")]
    listen: String,
    /// Name of a target; may be repeated
    #[arg(long, value_name = "IQN", required = true)]
    target: Vec<IscsiName>,
    /// A logical unit: ram:SIZE, file:PATH or null:SIZE, with ,ro ,thin and ,block=512|4096 as wanted
    #[arg(long, value_name = "SPEC")]
    lun: Vec<LunSpec>,
    /// What initiators have to prove; @FILE in place of the secret reads it from a file
    #[arg(long, value_name = "USER:SECRET")]
    chap: Vec<Account>,
    /// What the target proves to initiators that ask
    #[arg(long, value_name = "USER:SECRET")]
    mutual_chap: Vec<Account>,
    /// Connections that a session may have [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: Vec<u16>,
    /// How much of error recovery the target takes part in; at level 2 it keeps tasks of lost connections for 20 s [default: 0]
    #[arg(long, value_name = "0|1|2", value_parser = clap::value_parser!(u8).range(0..=2))]
    error_recovery_level: Vec<u8>,
    /// What initiators have to prove to discover targets
    #[arg(long, value_name = "USER:SECRET")]
    discovery_chap: Option<Account>,
    /// Go on looking for work for so many microseconds before sleeping: quicker answers for more processor time
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    poll: u32,
    /// Misbehave on every connection as the script in this file says
    #[arg(long, value_name = "SCRIPT-FILE")]
    hostile: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Debug)]
pub struct Args {
    /// Where to listen.
    pub listen: String,
    /// What to serve.
    pub config: Config,
    /// The script of a target that misbehaves; see `hostile`.
    pub hostile: Option<PathBuf>,
    /// The text of each `--lun`, by target and number, for messages about it.
    pub specs: Vec<Vec<String>>,
}

/// Why options that are well-formed by themselves make no sense together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArgsError {
    /// An option of a target stands before all targets.
    #[error("--{0} comes before the --target that it belongs to")]
    NoTarget(&'static str),
    /// An option that may be given once for a target.
    #[error("--{option} is given twice for --target {target}")]
    Twice {
        /// The option.
        option: &'static str,
        /// The target.
        target: IscsiName,
    },
    /// Two targets of one name.
    #[error("--target {0} is given twice")]
    SameName(IscsiName),
    /// A target that is to prove itself to initiators that it does not ask for proof.
    #[error("--mutual-chap of --target {0} needs a --chap beside it")]
    OnlyMutual(IscsiName),
    /// The same secret for both directions, which CHAP does not survive.
    #[error("--chap and --mutual-chap of --target {0} have the same secret")]
    SameSecret(IscsiName),
}

/// `USER:SECRET` or `USER:@FILE`.
#[derive(Clone, Debug)]
struct Account(Credentials);

/// `KIND:WHERE[,OPTION…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LunSpec {
    text: String,
    lun: LunConfig,
}

/// Why a text is not a `--lun`, a size or an account.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
struct SpecError(String);

/// One target with the options that follow it.
#[derive(Debug)]
struct Group {
    name: IscsiName,
    luns: Vec<LunSpec>,
    chap: Option<Account>,
    mutual_chap: Option<Account>,
    max_connections: Option<u16>,
    error_recovery_level: Option<u8>,
}

impl Args {
    /// Reads the command line, the program's name first. Errors and `--help` come as [`clap::Error`].
    pub fn parse(args: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>) -> Result<Self, clap::Error> {
        let matches = Raw::command().try_get_matches_from(args)?;
        let raw = Raw::from_arg_matches(&matches)?;
        Self::new(raw, &matches)
            .map_err(|error| clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n")))
    }

    fn new(mut raw: Raw, matches: &ArgMatches) -> Result<Self, ArgsError> {
        let discovery_chap = raw.discovery_chap.take().map(|account| Chap::new(account.0));
        let (listen, hostile) = (std::mem::take(&mut raw.listen), raw.hostile.take());
        let busy_poll = Duration::from_micros(raw.poll.into());
        let groups = groups(raw, matches)?;
        let specs = groups.iter().map(|group| group.luns.iter().map(|spec| spec.text.clone()).collect()).collect();
        let targets = groups.into_iter().map(Group::config).collect::<Result<_, _>>()?;
        let config = Config { targets, discovery_chap, busy_poll, ..Config::default() };
        Ok(Self { listen, config, hostile, specs })
    }
}

/// Sorts the options by the target that they follow.
fn groups(raw: Raw, matches: &ArgMatches) -> Result<Vec<Group>, ArgsError> {
    let places: Vec<usize> = matches.indices_of("target").into_iter().flatten().collect();
    let mut groups: Vec<Group> = Vec::new();
    for name in raw.target {
        if groups.iter().any(|group| group.name == name) {
            return Err(ArgsError::SameName(name));
        }
        groups.push(Group::new(name));
    }
    let mut sort = Sorter { places, matches, groups };
    sort.each("lun", raw.lun, |group, lun| {
        group.luns.push(lun);
        true
    })?;
    sort.each("chap", raw.chap, |group, account| group.chap.replace(account).is_none())?;
    sort.each("mutual-chap", raw.mutual_chap, |group, account| group.mutual_chap.replace(account).is_none())?;
    sort.each("max-connections", raw.max_connections, |group, n| group.max_connections.replace(n).is_none())?;
    let levels = raw.error_recovery_level;
    sort.each("error-recovery-level", levels, |group, n| group.error_recovery_level.replace(n).is_none())?;
    Ok(sort.groups)
}

struct Sorter<'a> {
    /// Where each `--target` stands.
    places: Vec<usize>,
    matches: &'a ArgMatches,
    groups: Vec<Group>,
}

impl Sorter<'_> {
    /// Hands each value of an option to the group that it follows; `take` says whether there was room for it.
    fn each<T>(
        &mut self,
        option: &'static str,
        values: Vec<T>,
        take: impl Fn(&mut Group, T) -> bool,
    ) -> Result<(), ArgsError> {
        let indices = self.matches.indices_of(&option.replace('-', "_")).into_iter().flatten();
        for (at, value) in indices.zip(values) {
            let before = self.places.iter().take_while(|place| **place < at).count();
            let group = before.checked_sub(1).and_then(|index| self.groups.get_mut(index));
            let group = group.ok_or(ArgsError::NoTarget(option))?;
            if !take(group, value) {
                return Err(ArgsError::Twice { option, target: group.name.clone() });
            }
        }
        Ok(())
    }
}

impl Group {
    const fn new(name: IscsiName) -> Self {
        Self {
            name,
            luns: Vec::new(),
            chap: None,
            mutual_chap: None,
            max_connections: None,
            error_recovery_level: None,
        }
    }

    fn config(self) -> Result<TargetConfig, ArgsError> {
        let mut config = TargetConfig::new(self.name.clone());
        config.luns = self.luns.into_iter().map(|spec| spec.lun).collect();
        config.limits.max_connections = self.max_connections.unwrap_or(config.limits.max_connections);
        config.limits.error_recovery_level = self.error_recovery_level.unwrap_or(0);
        if config.limits.error_recovery_level == 2 {
            config.limits.time2retain = TIME2RETAIN;
        }
        config.chap = match (self.chap, self.mutual_chap) {
            (None, None) => None,
            (None, Some(_)) => return Err(ArgsError::OnlyMutual(self.name)),
            (Some(one), Some(two)) if one.0.secret == two.0.secret => return Err(ArgsError::SameSecret(self.name)),
            (Some(one), two) => {
                let chap = Chap::new(one.0);
                Some(Chap { target: two.map(|account| account.0), ..chap })
            }
        };
        Ok(config)
    }
}

impl FromStr for Account {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (name, secret) = text.split_once(':').ok_or_else(|| SpecError("expected USER:SECRET".into()))?;
        let secret = match secret.strip_prefix('@') {
            Some(path) => read_secret(path)?,
            None => secret.as_bytes().to_vec(),
        };
        if name.is_empty() || secret.is_empty() {
            return Err(SpecError("neither USER nor SECRET may be empty".into()));
        }
        Ok(Self(Credentials::new(name, secret)))
    }
}

/// The first line of a file.
fn read_secret(path: &str) -> Result<Vec<u8>, SpecError> {
    let bytes = std::fs::read(path).map_err(|error| SpecError(format!("{path}: {error}")))?;
    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len());
    Ok(bytes.get(..end).unwrap_or_default().to_vec())
}

impl FromStr for LunSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (kind, rest) = text.split_once(':').ok_or_else(|| SpecError("expected KIND:WHERE".into()))?;
        let mut lun = LunConfig::new(Store::Null(0));
        let mut place = rest;
        while let Some((before, option)) = place.rsplit_once(',') {
            lun = match option {
                "ro" => lun.read_only(),
                "thin" => lun.thin(),
                "block=512" => lun.block_size(512),
                "block=4096" => lun.block_size(4096),
                // A path may hold commas; anything else is a mistake.
                _ if kind == "file" && !option.starts_with("block=") => break,
                _ => return Err(SpecError(format!("`{option}` is none of ro, thin, block=512, block=4096"))),
            };
            place = before;
        }
        lun.store = match kind {
            "ram" => Store::Memory(size(place)?),
            "null" => Store::Null(size(place)?),
            "file" => Store::File(PathBuf::from(place)),
            _ => return Err(SpecError(format!("`{kind}` is none of ram, file, null"))),
        };
        Ok(Self { text: text.to_owned(), lun })
    }
}

impl fmt::Display for LunSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a number of bytes such as `512`, `4k`, `64M` or `1GiB`; each step is 1024.
fn size(text: &str) -> Result<u64, SpecError> {
    let wrong = || SpecError(format!("`{text}` is not a size such as 512, 4k, 64M or 1GiB"));
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let shift = match unit.strip_suffix("iB").unwrap_or(unit) {
        "" if unit.is_empty() => 0,
        "k" | "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes != 0 && *bytes < 1 << 63);
    bytes.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::config::Limits;

    fn parse(args: &str) -> Result<Args, clap::Error> {
        Args::parse(std::iter::once("iscsi-target").chain(args.split_whitespace()))
    }

    const A: &str = "iqn.2025-01.example:a";

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("512", 512),
            ("4k", 4096),
            ("4K", 4096),
            ("1kiB", 1024),
            ("64M", 64 << 20),
            ("1GiB", 1 << 30),
            ("2T", 2 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "M", "iB", "1iB", "1MB", "1m", "-1", "1.5M", "9999999T", "1 M", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn luns_are_read_with_their_options() {
        for (text, lun) in [
            ("ram:4k", LunConfig::memory(4096)),
            ("null:1M,ro", LunConfig::null(1 << 20).read_only()),
            ("ram:1M,thin,block=4096", LunConfig::memory(1 << 20).thin().block_size(4096)),
            ("file:/a,b.img,ro", LunConfig::file("/a,b.img").read_only()),
            ("file:rel", LunConfig::file("rel")),
        ] {
            assert_eq!(text.parse::<LunSpec>().map(|spec| spec.lun), Ok(lun), "{text}");
        }
        for text in ["", "ram", "disk:1M", "ram:", "ram:x", "ram:1M,rw", "ram:1M,block=1024", "file:/a,block=100"] {
            assert!(text.parse::<LunSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn options_belong_to_the_target_before_them() {
        let args = parse(&format!(
            "--discovery-chap d:ddd --target {A} --lun ram:1M --lun null:2M --chap u:s1 --mutual-chap=m:s2 \
             --target iqn.2025-01.example:b --max-connections 4 --lun ram:3M --error-recovery-level 2 --target iqn.2025-01.example:c"
        ))
        .unwrap();
        assert_eq!(args.listen, "127.0.0.1:3260");
        assert_eq!(args.specs, [vec!["ram:1M", "null:2M"], vec!["ram:3M"], vec![]]);
        let [a, b, c] = &args.config.targets[..] else { panic!() };
        assert_eq!((a.luns.len(), b.luns.len(), c.luns.len()), (2, 1, 0));
        assert_eq!((a.limits.max_connections, b.limits.max_connections), (1, 4));
        let recovery = |limits: &Limits| (limits.error_recovery_level, limits.time2retain);
        assert_eq!((recovery(&a.limits), recovery(&b.limits), recovery(&c.limits)), ((0, 0), (2, 20), (0, 0)));
        let chap = a.chap.as_ref().unwrap();
        assert_eq!((chap.initiator.name.as_str(), &chap.initiator.secret[..]), ("u", &b"s1"[..]));
        assert_eq!(chap.target.as_ref().unwrap().name, "m");
        assert!(b.chap.is_none());
        assert_eq!(args.config.discovery_chap.unwrap().initiator.name, "d");
    }

    #[test]
    fn what_makes_no_sense_is_explained() {
        for (args, message) in [
            (format!("--lun ram:1M --target {A}"), "--lun comes before the --target"),
            (format!("--chap u:s --target {A}"), "--chap comes before"),
            (format!("--target {A} --chap u:s --chap v:s"), "--chap is given twice"),
            (format!("--target {A} --target {A}"), "is given twice"),
            (format!("--target {A} --mutual-chap u:s"), "needs a --chap"),
            (format!("--target {A} --chap u:s --mutual-chap v:s"), "the same secret"),
            (format!("--target {A} --chap us"), "expected USER:SECRET"),
            (format!("--target {A} --chap u:"), "may be empty"),
            (format!("--target {A} --chap u:@/nope"), "/nope: No such file"),
            (format!("--target {A} --max-connections 0"), "0 is not in 1..=65535"),
            (format!("--target {A} --error-recovery-level 3"), "3 is not in 0..=2"),
            (format!("--error-recovery-level 1 --target {A}"), "--error-recovery-level comes before"),
            (format!("--target {A} --lun ram:1Q"), "`1Q` is not a size"),
            ("--target nonsense".into(), "an iSCSI name starts with"),
            (String::new(), "--target <IQN>"),
        ] {
            let error = parse(&args).unwrap_err().to_string();
            assert!(error.contains(message), "{args}: {error}");
        }
    }

    #[test]
    fn secrets_come_from_files_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hush\nignored").unwrap();
        let args = parse(&format!("--target {A} --chap u:@{}", file.path().display())).unwrap();
        let chap = args.config.targets[0].chap.clone().unwrap();
        assert_eq!(&chap.initiator.secret[..], b"hush");
        assert!(!format!("{args:?}", args = parse("--target iqn.2025-01.example:a --chap u:hush")).contains("hush"));
    }
}
