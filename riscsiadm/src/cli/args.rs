//! What was typed: the options of a command line, before anybody asks what they mean together.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::getopt::{Bad, Item};
use super::mode::Mode;
use super::number::{atoi, time};
use super::op::Ops;
use super::options::Id;
use super::program::Program;
use super::refusal::{Line, Refusal};
use super::setting::{Setting, Word, pair};
use crate::exit::Exit;

/// What is said when there is neither a mode nor anything else to do.
pub const NO_MODE: &str = "no mode specified";

const MAX_IFACE_LEN: usize = 64;
const MAX_DEBUG: i64 = 8;

/// A command line that was read to its end, or up to the option that ended it.
pub enum Typed {
    /// `-h`.
    Help,
    /// `-V`.
    Version,
    /// Anything else.
    Args(Box<Args>),
}

/// The options of one command line. Where an option repeats, the last one counts, except where lists are kept.
#[derive(Default)]
pub struct Args {
    /// `-m`.
    pub mode: Option<Mode>,
    /// `-p`, not yet read.
    pub portal: Option<String>,
    /// `-T`.
    pub target: Option<String>,
    /// Each `-I`: 1 to 64 characters that can be a file name.
    pub ifaces: Vec<String>,
    /// All `-o`.
    pub ops: Ops,
    /// `-t`.
    pub kind: Option<Kind>,
    /// All `-n` and `-v`.
    pub words: Vec<Word>,
    /// `-H`.
    pub host: Option<HostRef>,
    /// `-r`.
    pub sid: Option<u32>,
    /// `-R`.
    pub rescan: bool,
    /// `-P`, no less than 0.
    pub level: u32,
    /// `-D`.
    pub discover: bool,
    /// `-l`.
    pub login: bool,
    /// `-L`, any word.
    pub login_all: Option<String>,
    /// `-u`.
    pub logout: bool,
    /// `-U`, any word.
    pub logout_all: Option<String>,
    /// `-s`.
    pub stats: bool,
    /// `-k`.
    pub stop: Option<String>,
    /// `-S`.
    pub show: bool,
    /// `-W`.
    pub no_wait: bool,
    /// `-C`, any word.
    pub submode: Option<String>,
    /// `-a`.
    pub ip: Option<String>,
    /// `-b`.
    pub packet_size: Option<i64>,
    /// `-c`.
    pub count: Option<i64>,
    /// `-i`.
    pub interval: Option<i64>,
    /// `-x`, any text.
    pub index: Option<String>,
    /// `-A`, any word.
    pub portal_type: Option<String>,
    /// `-d` and the options that go with every mode.
    pub extras: Extras,
    /// Words that belong to no option. They mean nothing.
    pub stray: Vec<String>,
    bad: Vec<Bad>,
}

/// Options that go with every mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// `-d`: 0 (none) to 8 (all).
    pub debug: u8,
    /// `--json`.
    pub json: bool,
    /// `--timeout`: more than zero, at most a day.
    pub timeout: Option<Duration>,
    /// `--trace`.
    pub trace: Option<PathBuf>,
    /// `--secret-file`.
    pub secret_file: Option<PathBuf>,
}

/// How targets are discovered: the word after `-t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Ask a portal.
    SendTargets,
    /// Ask an iSNS server.
    Isns,
    /// Ask the boot firmware.
    Firmware,
}

/// A host adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRef {
    /// By its number.
    Number(u32),
    /// By its MAC address, as typed: some text with a colon in it.
    Mac(String),
}

impl Args {
    /// Reads the items of a command line in their order. Words that can mean nothing are refused here.
    pub fn read(items: &[Item]) -> Result<Typed, Refusal> {
        let mut args = Self::default();
        for item in items {
            match item {
                Item::Word(word) => args.stray.push(word.clone()),
                Item::Bad(bad) => args.bad.push(bad.clone()),
                Item::Option(option, value) => match (option.id, value) {
                    (Id::Help, _) => return Ok(Typed::Help),
                    (Id::Version, _) => return Ok(Typed::Version),
                    (Id::Mode, Some(word)) => args.mode = Some(read_mode(word, items)?),
                    (id, Some(value)) => args.set_value(id, value)?,
                    (id, None) => args.set_flag(id),
                },
            }
        }
        Ok(Typed::Args(Box::new(args)))
    }

    /// The record keys to set, in order.
    pub fn settings(&self) -> Vec<Setting> {
        pair(&self.words, self.extras.secret_file.is_some())
    }

    /// What is wrong with the options themselves. Only to be asked when there is no mode: with one, the first wrong
    /// option has been refused already.
    pub fn fault(&self, program: &Program) -> Option<Refusal> {
        let last = self.bad.last()?;
        let lines = self.bad.iter().map(|bad| Line::Getopt(bad.message.clone())).collect();
        let refusal = Refusal { lines, exit: Exit::Invalid };
        Some(match last.letter {
            Some(letter) => refusal.and(format!("unrecognized character '{letter}'")),
            None => refusal.and(NO_MODE).with_hint(program),
        })
    }

    fn set_flag(&mut self, id: Id) {
        let flag = match id {
            Id::Rescan => &mut self.rescan,
            Id::Discover => &mut self.discover,
            Id::Login => &mut self.login,
            Id::Logout => &mut self.logout,
            Id::Stats => &mut self.stats,
            Id::Show => &mut self.show,
            Id::NoWait => &mut self.no_wait,
            Id::Json => &mut self.extras.json,
            _ => return,
        };
        *flag = true;
    }

    fn set_value(&mut self, id: Id, value: &str) -> Result<(), Refusal> {
        let text = || value.to_owned();
        match id {
            Id::Portal => self.portal = Some(text()),
            Id::Target => self.target = Some(text()),
            Id::Interface => self.ifaces.push(read_iface(value)?),
            Id::Op => self.ops = read_ops(self.ops, value)?,
            Id::Kind => self.kind = Some(read_kind(value)?),
            Id::Name => self.words.push(Word::Name(text())),
            Id::Value => self.words.push(Word::Value(Zeroizing::new(text()))),
            Id::Host => self.host = Some(read_host(value)?),
            Id::Sid => self.sid = Some(read_sid(value)?),
            Id::LoginAll => self.login_all = Some(text()),
            Id::LogoutAll => self.logout_all = Some(text()),
            Id::StopDaemon => self.stop = Some(read_priority(value)?),
            Id::Submode => self.submode = Some(text()),
            Id::Ip => self.ip = Some(text()),
            Id::Index => self.index = Some(text()),
            Id::PortalType => self.portal_type = Some(text()),
            Id::Timeout => self.extras.timeout = Some(read_timeout(value)?),
            Id::Trace => self.extras.trace = Some(value.into()),
            Id::SecretFile => self.extras.secret_file = Some(value.into()),
            _ => self.set_number(id, atoi(value)),
        }
        Ok(())
    }

    fn set_number(&mut self, id: Id, number: i64) {
        match id {
            Id::Print => self.level = u32::try_from(number.max(0)).unwrap_or(u32::MAX),
            Id::Debug => self.extras.debug = u8::try_from(number.clamp(0, MAX_DEBUG)).unwrap_or_default(),
            Id::PacketSize => self.packet_size = Some(number),
            Id::Count => self.count = Some(number),
            Id::Interval => self.interval = Some(number),
            _ => {}
        }
    }
}

/// Reads a mode, and looks at every option of the command line, before and after: each has to go with the mode.
fn read_mode(word: &str, items: &[Item]) -> Result<Mode, Refusal> {
    let mode = Mode::from_word(word).ok_or_else(|| Refusal::invalid(format!("mode '{word}' is not yet supported")))?;
    let not_allowed = |option: &str| Line::Error(format!("{word} mode: option '{option}' is not allowed/supported"));
    for item in items {
        let lines = match item {
            Item::Bad(bad) => vec![Line::Getopt(bad.message.clone()), not_allowed(&bad.option)],
            Item::Option(option, _) if !mode.allows(option) => match option.short {
                Some(letter) => vec![not_allowed(&format!("-{letter}"))],
                None => continue,
            },
            _ => continue,
        };
        return Err(Refusal { lines, exit: Exit::Invalid });
    }
    Ok(mode)
}

fn read_iface(name: &str) -> Result<String, Refusal> {
    if !(1..=MAX_IFACE_LEN).contains(&name.chars().count()) {
        let text = format!("Invalid iface name {name}. Must be from 1 to {MAX_IFACE_LEN} characters.");
        return Err(Refusal { lines: vec![Line::Out(text)], exit: Exit::Invalid });
    }
    if name.starts_with('.') || name.contains(|character: char| character == '/' || character.is_control()) {
        let text = format!("Invalid iface name {name:?}. It names a file: no '/', no control character, no '.' first.");
        return Err(Refusal::invalid(text));
    }
    Ok(name.to_owned())
}

fn read_ops(ops: Ops, words: &str) -> Result<Ops, Refusal> {
    ops.and(words).ok_or_else(|| Refusal::invalid(format!("can not recognize operation: '{words}'")))
}

fn read_kind(word: &str) -> Result<Kind, Refusal> {
    match word {
        "sendtargets" | "st" => Ok(Kind::SendTargets),
        "isns" => Ok(Kind::Isns),
        "fw" => Ok(Kind::Firmware),
        _ => Err(Refusal::invalid(format!(
            "can not recognize discovery type: '{word}'. Use sendtargets, st, isns or fw."
        ))),
    }
}

fn read_host(text: &str) -> Result<HostRef, Refusal> {
    if text.contains(':') {
        return Ok(HostRef::Mac(text.to_owned()));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Refusal::invalid(format!("Invalid host no {text}. It is a number or a MAC address.")));
    }
    let out_of_range = |_| Refusal::invalid(format!("Invalid host no {text}. Numerical result out of range."));
    text.parse().map(HostRef::Number).map_err(out_of_range)
}

/// A session id, or a path to or below the session's place in sysfs: its last `sessionN` counts.
fn read_sid(text: &str) -> Result<u32, Refusal> {
    let number = if text.contains('/') {
        text.rsplit('/').find_map(|part| part.strip_prefix("session")).unwrap_or_default()
    } else {
        text
    };
    let sid = number.parse().ok().filter(|sid| *sid > 0);
    sid.ok_or_else(|| Refusal::new(Exit::Failure, format!("{text} is an invalid session ID or path")))
}

fn read_priority(text: &str) -> Result<String, Refusal> {
    if atoi(text) < 0 {
        let text = format!("Invalid killiscsid priority {text} Priority must be greater than or equal to zero.");
        return Err(Refusal::invalid(text));
    }
    Ok(text.to_owned())
}

fn read_timeout(text: &str) -> Result<Duration, Refusal> {
    time(text).map_err(|error| Refusal::invalid(format!("Invalid timeout '{text}': {error}")))
}
