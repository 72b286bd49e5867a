//! From the words of a line to a rule.

use std::time::Duration;

use iscsi_proto::pdu::{Header, Opcode};

use super::action::{Action, Inserted, Part};
use super::field::{Field, Value};
use super::script::{Kind, Rule, When};
use super::words::{Word, clauses};

/// Copies of one PDU, and bytes of a data segment, at most.
const MAX_TIMES: usize = 100_000;
const MAX_DATA: usize = (1 << 24) - 1;

const KINDS: [(&str, Opcode); 10] = [
    ("LoginResponse", Opcode::LoginResponse),
    ("ScsiResponse", Opcode::ScsiResponse),
    ("DataIn", Opcode::DataIn),
    ("R2T", Opcode::R2t),
    ("NopIn", Opcode::NopIn),
    ("TaskResponse", Opcode::TaskResponse),
    ("TextResponse", Opcode::TextResponse),
    ("LogoutResponse", Opcode::LogoutResponse),
    ("AsyncMessage", Opcode::AsyncMessage),
    ("Reject", Opcode::Reject),
];

const REQUESTS: [(&str, Opcode); 8] = [
    ("LoginRequest", Opcode::LoginRequest),
    ("ScsiCommand", Opcode::ScsiCommand),
    ("DataOut", Opcode::DataOut),
    ("NopOut", Opcode::NopOut),
    ("TaskRequest", Opcode::TaskRequest),
    ("TextRequest", Opcode::TextRequest),
    ("LogoutRequest", Opcode::LogoutRequest),
    ("Snack", Opcode::Snack),
];

const ACTIONS: &str = "set, add, remove, text, data, corrupt, drop, duplicate, hold, delay, truncate, split, precede, follow, \
                       answer, shut, open, send, close, silence, deaf";

type Parsed<T> = Result<T, String>;

/// The words of one clause that were not read yet.
struct Words<'a>(&'a [Word]);

/// Reads a line; `None` if it is empty.
pub(super) fn rule(line: &str) -> Parsed<Option<Rule>> {
    let clauses = clauses(line)?;
    let Some((when, actions)) = clauses.split_first().filter(|(when, rest)| !(when.is_empty() && rest.is_empty()))
    else {
        return Ok(None);
    };
    let mut words = Words(when);
    words.expect("on")?;
    let when = words.when()?;
    let connection = words.connection()?;
    words.end()?;
    if actions.is_empty() {
        return Err("a colon and at least one action are missing".into());
    }
    let actions = actions.iter().map(|words| action(words, when)).collect::<Parsed<_>>()?;
    Ok(Some(Rule { when, connection, actions }))
}

fn action(words: &[Word], when: When) -> Parsed<Action> {
    let kind = match when {
        When::Connect => None,
        When::Nth { kind, .. } | When::Every { kind, .. } => Some(kind),
    };
    let mut words = Words(words);
    let action = words.action(kind.and_then(Kind::opcode))?;
    words.end()?;
    let stands_alone = matches!(action, Action::Send(_) | Action::Close | Action::Silence | Action::Deaf);
    if when == When::Connect && !stands_alone {
        return Err("on connect there is no PDU: only send, close, silence and deaf make sense".into());
    }
    let is_request = kind.is_some_and(Kind::is_request);
    let fits_requests = matches!(action, Action::Drop | Action::Corrupt(_) | Action::Answer(_));
    if is_request && !stands_alone && !fits_requests {
        return Err("to a request only drop, corrupt, answer, send, close, silence and deaf can be done".into());
    }
    if !is_request && matches!(action, Action::Answer(_)) {
        return Err("only requests of the initiator can be answered".into());
    }
    Ok(action)
}

impl Words<'_> {
    fn next(&mut self, what: &str) -> Parsed<&Word> {
        let (first, rest) = self.0.split_first().ok_or_else(|| format!("{what} is missing at the end"))?;
        self.0 = rest;
        Ok(first)
    }

    fn bare(&mut self, what: &str) -> Parsed<&str> {
        let word = self.next(what)?;
        word.bare().ok_or_else(|| format!("expected {what}, found \"{}\"", word.show()))
    }

    fn expect(&mut self, text: &str) -> Parsed<()> {
        let word = self.next(&format!("`{text}`"))?;
        if word.is(text) { Ok(()) } else { Err(format!("expected `{text}`, found `{}`", word.show())) }
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.0.first().is_some_and(|word| word.is(text));
        if found {
            self.0 = self.0.get(1..).unwrap_or_default();
        }
        found
    }

    fn end(&self) -> Parsed<()> {
        self.0.first().map_or(Ok(()), |word| Err(format!("`{}` is too much", word.show())))
    }

    fn number(&mut self, what: &str) -> Parsed<u64> {
        let word = self.bare(what)?;
        number(word).ok_or_else(|| format!("expected {what}, found `{word}`"))
    }

    fn size(&mut self, what: &str, max: usize) -> Parsed<usize> {
        let number = self.number(what)?;
        usize::try_from(number)
            .ok()
            .filter(|size| *size <= max)
            .ok_or_else(|| format!("{what} {number} is above {max}"))
    }

    fn when(&mut self) -> Parsed<When> {
        if self.accept("connect") {
            return Ok(When::Connect);
        }
        if !self.accept("every") {
            let number = self.ordinal()?;
            return Ok(When::Nth { number, kind: self.kind()? });
        }
        let kind = self.kind()?;
        let from = if self.accept("from") { self.ordinal()? } else { 1 };
        Ok(When::Every { from, kind })
    }

    fn ordinal(&mut self) -> Parsed<u64> {
        let word = self.bare("a number such as 1st")?.to_ascii_lowercase();
        let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let fits = ["st", "nd", "rd", "th"].contains(&word.get(digits.len()..).unwrap_or_default());
        let number = digits.parse().ok().filter(|number| *number != 0 && fits);
        number.ok_or_else(|| format!("expected `connect`, `every` or a number such as 1st, found `{word}`"))
    }

    /// `of 2nd connection`, if it stands there.
    fn connection(&mut self) -> Parsed<Option<u64>> {
        if !self.accept("of") {
            return Ok(None);
        }
        let number = self.ordinal()?;
        self.expect("connection")?;
        Ok(Some(number))
    }

    /// A kind of PDU, or any.
    fn kind(&mut self) -> Parsed<Kind> {
        for (name, kind) in [("PDU", Kind::Pdu), ("Request", Kind::Request), ("TaskReassign", Kind::TaskReassign)] {
            if self.accept(name) {
                return Ok(kind);
            }
        }
        let request = REQUESTS.iter().find(|(name, _)| self.accept(name));
        request.map_or_else(|| self.opcode(), |(_, opcode)| Ok(*opcode)).map(Kind::Of)
    }

    fn opcode(&mut self) -> Parsed<Opcode> {
        let word = self.bare("a kind of PDU")?;
        let found = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|(_, opcode)| *opcode).ok_or_else(|| {
            let names = KINDS.map(|(name, _)| name).join(", ");
            let requests = REQUESTS.map(|(name, _)| name).join(", ");
            format!(
                "`{word}` is no kind of PDU; these are: {names}, PDU; and of requests: {requests}, TaskReassign, Request"
            )
        })
    }

    fn action(&mut self, kind: Option<Opcode>) -> Parsed<Action> {
        let word = self.bare("an action")?.to_ascii_lowercase();
        Ok(match word.as_str() {
            "set" if self.accept("key") => {
                let (key, value) = self.pair()?;
                Action::SetKey(key, value)
            }
            "set" => {
                let (field, value) = self.field(kind)?;
                Action::Set(field, value)
            }
            "add" => {
                self.expect("key")?;
                Action::AddKey(self.next("KEY=VALUE")?.bytes.clone())
            }
            "remove" => {
                self.expect("key")?;
                Action::RemoveKey(self.next("a key")?.bytes.clone())
            }
            "text" => Action::Data(self.text()),
            "data" => self.data()?,
            "corrupt" => Action::Corrupt(self.part()?),
            "drop" => Action::Drop,
            "duplicate" if self.0.is_empty() => Action::Duplicate(1),
            "duplicate" => Action::Duplicate(self.times()?),
            "hold" => {
                let count = self.size("a number of PDUs", MAX_TIMES)?;
                let _ = self.accept("PDU") || self.accept("PDUs");
                Action::Hold(count)
            }
            "delay" => Action::Delay(self.duration()?),
            "truncate" => {
                self.expect("at")?;
                Action::Truncate(self.size("a number of bytes", MAX_DATA)?)
            }
            "split" => self.split()?,
            "precede" => Action::Precede(self.inserted()?),
            "follow" => Action::Follow(self.inserted()?),
            "answer" => Action::Answer(self.inserted()?),
            "shut" => self.expect("window").map(|()| Action::ShutWindow)?,
            "open" => self.expect("window").map(|()| Action::OpenWindow)?,
            "send" => Action::Send(self.next("bytes between quotes")?.bytes.clone()),
            "close" => Action::Close,
            "silence" => Action::Silence,
            "deaf" => Action::Deaf,
            _ => return Err(format!("`{word}` is no action; these are: {ACTIONS}")),
        })
    }

    fn pair(&mut self) -> Parsed<(Vec<u8>, Vec<u8>)> {
        let word = self.next("KEY=VALUE")?;
        let at = word.bytes.iter().position(|byte| *byte == b'=');
        let pair = at.and_then(|at| Some((word.bytes.get(..at)?, word.bytes.get(at + 1..)?)));
        let (key, value) = pair.ok_or_else(|| format!("expected KEY=VALUE, found `{}`", word.show()))?;
        Ok((key.to_vec(), value.to_vec()))
    }

    /// All remaining words, each with a NUL behind it.
    fn text(&mut self) -> Vec<u8> {
        let words = std::mem::take(&mut self.0);
        words.iter().flat_map(|word| word.bytes.iter().copied().chain([0])).collect()
    }

    fn data(&mut self) -> Parsed<Action> {
        if let Some(word) = self.0.first().filter(|word| word.bare().is_none()) {
            let bytes = word.bytes.clone();
            self.next("bytes")?;
            return Ok(Action::Data(bytes));
        }
        let length = self.size("a number of bytes", MAX_DATA)?;
        self.expect("bytes")?;
        Ok(Action::DataLength(length))
    }

    fn part(&mut self) -> Parsed<Part> {
        let header = self.accept("header");
        if !header {
            self.expect("data")?;
        }
        if self.accept("digest") {
            return Ok(if header { Part::HeaderDigest } else { Part::DataDigest });
        }
        self.expect("byte")?;
        let at = self.size("the number of a byte", if header { 47 } else { MAX_DATA })?;
        Ok(if header { Part::Header(at) } else { Part::Data(at) })
    }

    fn times(&mut self) -> Parsed<usize> {
        let times = self.size("a number of times", MAX_TIMES)?;
        self.expect("times")?;
        Ok(times)
    }

    fn duration(&mut self) -> Parsed<Duration> {
        let number = self.number("a number")?;
        let word = self.bare("s or ms")?;
        match word {
            "s" => Ok(Duration::from_secs(number)),
            "ms" => Ok(Duration::from_millis(number)),
            _ => Err(format!("expected s or ms, found `{word}`")),
        }
    }

    fn split(&mut self) -> Parsed<Action> {
        self.expect("every")?;
        let every = self.size("a number of bytes", MAX_DATA)?.max(1);
        let pause = if self.accept("for") { self.duration()? } else { Duration::ZERO };
        Ok(Action::Split { every, pause })
    }

    fn inserted(&mut self) -> Parsed<Inserted> {
        self.expect("with")?;
        let kind = self.opcode()?;
        let mut inserted = Inserted { kind, fields: Vec::new(), data: Vec::new(), times: 1 };
        while !self.0.is_empty() {
            if self.accept("x") {
                inserted.times = self.size("a number of times", MAX_TIMES)?;
            } else if self.accept("data") {
                inserted.data.clone_from(&self.next("bytes between quotes")?.bytes);
            } else {
                let value = self.field(Some(kind))?;
                inserted.fields.push(value);
            }
        }
        Ok(inserted)
    }

    fn field(&mut self, kind: Option<Opcode>) -> Parsed<(Field, Value)> {
        let name = self.bare("a field")?;
        let field = Field::named(name, kind)
            .ok_or_else(|| format!("`{name}` is no field here; these are: {}", Field::names(kind)))?;
        let value = self.value(field)?;
        Ok((field, value))
    }

    fn value(&mut self, field: Field) -> Parsed<Value> {
        if self.accept("reserved") {
            return Ok(Value::Reserved);
        }
        if let Some(bytes) = self.hex(field.width) {
            return Ok(Value::Absolute(bytes));
        }
        let word = self.bare("a value")?;
        let value = match word.as_bytes() {
            [b'+', ..] => word.get(1..).and_then(number).map(Value::Relative),
            [b'-', ..] => word.get(1..).and_then(number).map(|step| Value::Relative(step.wrapping_neg())),
            _ => number(word).filter(|value| field.holds(*value)).map(Value::Absolute),
        };
        value.ok_or_else(|| format!("`{word}` is no value for a field of {} bytes", field.width))
    }

    /// As many words of two hexadecimal digits as the field has bytes, if it has several.
    fn hex(&mut self, width: usize) -> Option<u64> {
        let words = self.0.get(..width).filter(|_| width > 1)?;
        let byte =
            |word: &Word| word.bare().filter(|bare| bare.len() == 2).and_then(|bare| u8::from_str_radix(bare, 16).ok());
        let value = words.iter().try_fold(0, |value, word| Some(value << 8 | u64::from(byte(word)?)))?;
        self.0 = self.0.get(width..).unwrap_or_default();
        Some(value)
    }
}

/// Decimal, or hexadecimal behind 0x.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The header of an inserted PDU before its fields are set: final, and of no task.
pub(super) fn blank(kind: Opcode) -> Header {
    let mut header = Header::new(kind);
    header.0[1] = 0x80;
    for field in [Field { at: 16, width: 4 }, Field { at: 20, width: 4 }] {
        let has_it =
            field.at == 16 || matches!(kind, Opcode::NopIn | Opcode::DataIn | Opcode::R2t | Opcode::TextResponse);
        if has_it {
            field.put(&mut header, Value::Reserved);
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Rule {
        rule(line).unwrap().unwrap()
    }

    #[test]
    fn lines_say_when_and_what() {
        let nth = |number, kind| When::Nth { number, kind };
        for (line, when, action) in [
            ("on 3rd DataIn: corrupt data byte 7", nth(3, Kind::Of(Opcode::DataIn)), Action::Corrupt(Part::Data(7))),
            ("on every R2T: duplicate", When::Every { from: 1, kind: Kind::Of(Opcode::R2t) }, Action::Duplicate(1)),
            ("on every pdu from 22nd: drop", When::Every { from: 22, kind: Kind::Pdu }, Action::Drop),
            ("ON 1ST loginresponse: SET status 02 01", nth(1, Kind::Of(Opcode::LoginResponse)), set(36, 2, 0x201)),
            ("on 11th PDU: set byte40 0xff", nth(11, Kind::Pdu), set(40, 1, 255)),
            ("on connect: close # at once", When::Connect, Action::Close),
            ("on 1st PDU: delay 1500 ms", nth(1, Kind::Pdu), Action::Delay(Duration::from_millis(1500))),
            ("on 1st PDU: text A=1 \"B=x y\"", nth(1, Kind::Pdu), Action::Data(b"A=1\0B=x y\0".to_vec())),
            ("on 1st PDU: data \"\\x01\"", nth(1, Kind::Pdu), Action::Data(vec![1])),
            (
                "on 1st PDU: set itt -1",
                nth(1, Kind::Pdu),
                Action::Set(Field { at: 16, width: 4 }, Value::Relative(u64::MAX)),
            ),
        ] {
            assert_eq!(one(line), Rule { when, connection: None, actions: vec![action] }, "{line}");
        }
        assert_eq!(one("on 1st PDU: drop, close").actions, [Action::Drop, Action::Close]);
        let inserted = &one("on 1st PDU: follow with NopIn ttt 5 itt reserved x 3").actions[0];
        let Action::Follow(Inserted { kind: Opcode::NopIn, fields, times: 3, .. }) = inserted else { panic!() };
        assert_eq!(fields[1], (Field { at: 16, width: 4 }, Value::Reserved));
        assert_eq!(rule("").unwrap(), None);
        assert_eq!(rule("  # a comment: drop").unwrap(), None);
    }

    #[test]
    fn lines_may_mean_requests_and_one_connection() {
        let nth = |number, kind| When::Nth { number, kind };
        for (line, when, connection, action) in [
            ("on 2nd ScsiCommand: drop", nth(2, Kind::Of(Opcode::ScsiCommand)), None, Action::Drop),
            (
                "on every dataout from 3rd of 2nd connection: corrupt data digest",
                When::Every { from: 3, kind: Kind::Of(Opcode::DataOut) },
                Some(2),
                Action::Corrupt(Part::DataDigest),
            ),
            ("on 9th Request of 1st connection: close", nth(9, Kind::Request), Some(1), Action::Close),
            ("on connect of 3rd connection: close", When::Connect, Some(3), Action::Close),
            ("on 1st R2T of 2nd connection: drop", nth(1, Kind::Of(Opcode::R2t)), Some(2), Action::Drop),
        ] {
            assert_eq!(one(line), Rule { when, connection, actions: vec![action] }, "{line}");
        }
        for (line, when, kind) in [
            ("on 1st Snack: answer with Reject reason 3", nth(1, Kind::Of(Opcode::Snack)), Opcode::Reject),
            (
                "on 1st TaskReassign: answer with TaskResponse response 4",
                nth(1, Kind::TaskReassign),
                Opcode::TaskResponse,
            ),
        ] {
            let rule = one(line);
            assert_eq!(rule.when, when);
            assert!(
                matches!(&rule.actions[..], [Action::Answer(inserted)] if inserted.kind == kind && inserted.fields.len() == 1)
            );
        }
    }

    fn set(at: usize, width: usize, value: u64) -> Action {
        Action::Set(Field { at, width }, Value::Absolute(value))
    }

    #[test]
    fn errors_say_what_was_expected() {
        for (line, part) in [
            ("at 1st PDU: drop", "expected `on`, found `at`"),
            ("on 1th PDU", "a colon"),
            ("on 0th PDU: drop", "found `0th`"),
            ("on first PDU: drop", "found `first`"),
            ("on 1st Login: drop", "these are: LoginResponse"),
            ("on 1st R2T: explode", "`explode` is no action; these are: set"),
            ("on 1st R2T: set status 1", "these are: opcode, flags, ahslength"),
            ("on 1st R2T: set ttt 0x100000000", "no value for a field of 4 bytes"),
            ("on 1st R2T: set ttt", "a value is missing"),
            ("on 1st R2T: drop it", "`it` is too much"),
            ("on 1st R2T: delay 5 minutes", "expected s or ms"),
            ("on 1st R2T: duplicate 100001 times", "above 100000"),
            ("on 1st R2T: corrupt header byte 48", "above 47"),
            ("on 1st R2T:", "an action is missing"),
            ("on connect: drop", "there is no PDU"),
            ("on 1st R2T: set key novalue", "expected KEY=VALUE"),
            ("on 1st R2T: send \"x", "not closed"),
            ("on 1st R2T of 2nd: drop", "`connection` is missing"),
            ("on 1st R2T of connection: drop", "found `connection`"),
            ("on 1st Snack: duplicate", "to a request only drop"),
            ("on 1st DataIn: answer with Reject", "only requests"),
            ("on 1st Snack: answer with Snack", "`Snack` is no kind"),
            ("on 1st Snack: answer Reject", "expected `with`"),
        ] {
            let error = rule(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
