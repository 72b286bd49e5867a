//! Applies a script to what leaves the target.

use std::collections::HashMap;
use std::time::Duration;

use iscsi_proto::digest;
use iscsi_proto::pdu::{BHS_LEN, Header, Opcode, padding};
use iscsi_proto::serial::Serial;

use super::action::{Action, Inserted, Part};
use super::field::{Field, Value};
use super::parse::blank;
use super::script::{Script, When};
use crate::target::core::{Digests, OutPdu};

const STAT_SN: Field = Field { at: 24, width: 4 };
const EXP_CMD_SN: Field = Field { at: 28, width: 4 };
const MAX_CMD_SN: Field = Field { at: 32, width: 4 };

/// What is to be done at the transport, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes go out by themselves.
    Write(Vec<u8>),
    /// Time passes.
    Wait(Duration),
    /// The connection is closed.
    Close,
    /// Nothing goes out any more.
    Silence,
    /// Nothing is read any more.
    Deaf,
}

/// The script of one connection and how far it has come.
#[derive(Debug)]
pub struct Engine {
    script: Script,
    /// The target's address, for `$portal`.
    portal: String,
    counts: HashMap<Option<Opcode>, u64>,
    all: u64,
    /// StatSNs that inserted PDUs have taken.
    shift: u32,
    next_stat_sn: Serial,
    exp_cmd_sn: u32,
    max_cmd_sn: u32,
    digests: Digests,
    shut: bool,
    /// PDUs that wait for so many others.
    held: Vec<(usize, Vec<Step>)>,
}

/// A PDU on its way through the actions of a script.
struct Outgoing {
    header: Header,
    data: Vec<u8>,
    digests: Digests,
    sets: Vec<(Field, Value)>,
    damages: Vec<Part>,
    truncate: Option<usize>,
    split: Option<(usize, Duration)>,
    copies: usize,
    hold: Option<usize>,
    before: Vec<Step>,
    after: Vec<Step>,
}

impl Engine {
    /// A script for a connection that came in at `portal`.
    pub fn new(script: Script, portal: impl Into<String>) -> Self {
        Self {
            script,
            portal: portal.into(),
            counts: HashMap::new(),
            all: 0,
            shift: 0,
            next_stat_sn: Serial(0),
            exp_cmd_sn: 0,
            max_cmd_sn: 0,
            digests: Digests::default(),
            shut: false,
            held: Vec::new(),
        }
    }

    /// What happens before anything else.
    pub fn connect(&self) -> Vec<Step> {
        let rules = self.script.rules.iter().filter(|rule| rule.when == When::Connect);
        rules.flat_map(|rule| rule.actions.iter().filter_map(aside)).collect()
    }

    /// What becomes of a PDU.
    pub fn pdu(&mut self, pdu: &OutPdu) -> Vec<Step> {
        let opcode = pdu.header.opcode().ok();
        let of_kind = self.counts.entry(opcode).or_default();
        *of_kind += 1;
        self.all += 1;
        let (of_kind, of_all) = (*of_kind, self.all);
        let fits = |when: When| when.fits(opcode, of_kind, of_all);
        let rules = self.script.rules.iter().filter(|rule| fits(rule.when));
        let actions: Vec<Action> = rules.flat_map(|rule| rule.actions.iter().cloned()).collect();

        let mut out = Outgoing::new(pdu);
        self.learn(pdu);
        let inserted = actions.iter().filter_map(|action| match action {
            Action::Precede(inserted) => Some(inserted),
            _ => None,
        });
        for inserted in inserted {
            out.before.push(self.insert(inserted));
        }
        self.number(&mut out.header);
        for action in &actions {
            self.apply(action, &mut out);
        }
        if self.shut {
            let value = Value::Absolute(self.exp_cmd_sn.wrapping_sub(1).into());
            out.sets.insert(0, (MAX_CMD_SN, value));
        }
        let hold = out.hold;
        let steps = out.steps();
        self.release(hold, steps)
    }

    /// Remembers numbers and digests for PDUs that are inserted.
    fn learn(&mut self, pdu: &OutPdu) {
        let numbering = pdu.header.numbering();
        if bears_stat_sn(&pdu.header) {
            self.next_stat_sn = numbering.stat_sn.add(self.shift);
        }
        (self.exp_cmd_sn, self.max_cmd_sn) = (numbering.exp_cmd_sn.0, numbering.max_cmd_sn.0);
        self.digests = pdu.digests;
    }

    /// Gives a PDU of the target its place behind those that were inserted.
    fn number(&mut self, header: &mut Header) {
        if bears_stat_sn(header) {
            STAT_SN.put(header, Value::Absolute(self.next_stat_sn.0.into()));
        }
        if consumes_stat_sn(header) {
            self.next_stat_sn = self.next_stat_sn.next();
        }
    }

    fn apply(&mut self, action: &Action, out: &mut Outgoing) {
        match action {
            Action::Set(field, value) => out.sets.push((*field, *value)),
            Action::SetKey(key, value) => set_key(&mut out.data, key, &self.expand(value)),
            Action::AddKey(pair) => add_key(&mut out.data, &self.expand(pair)),
            Action::RemoveKey(key) => remove_key(&mut out.data, key),
            Action::Data(data) => out.data = self.expand(data),
            Action::DataLength(length) => out.data.resize(*length, 0),
            Action::Corrupt(part) => out.damages.push(*part),
            Action::Drop => out.copies = 0,
            Action::Duplicate(times) => out.copies += times,
            Action::Hold(count) => out.hold = Some(*count),
            Action::Delay(time) => out.before.push(Step::Wait(*time)),
            Action::Truncate(length) => out.truncate = Some(*length),
            Action::Split { every, pause } => out.split = Some((*every, *pause)),
            // It has gone out already.
            Action::Precede(_) => {}
            Action::Follow(inserted) => out.after.push(self.insert(inserted)),
            Action::ShutWindow => self.shut = true,
            Action::OpenWindow => self.shut = false,
            other => out.after.extend(aside(other)),
        }
    }

    fn insert(&mut self, inserted: &Inserted) -> Step {
        let mut bytes = Vec::new();
        let data = self.expand(&inserted.data);
        for _ in 0..inserted.times {
            let mut header = blank(inserted.kind);
            let numbers =
                [(STAT_SN, self.next_stat_sn.0), (EXP_CMD_SN, self.exp_cmd_sn), (MAX_CMD_SN, self.max_cmd_sn)];
            for (field, number) in numbers {
                field.put(&mut header, Value::Absolute(number.into()));
            }
            header = header.with_data_len(data.len() as u32);
            for (field, value) in &inserted.fields {
                field.put(&mut header, *value);
            }
            if consumes_stat_sn(&header) {
                self.shift = self.shift.wrapping_add(1);
                self.next_stat_sn = self.next_stat_sn.next();
            }
            bytes.extend(encode(&header, &data, self.digests));
        }
        Step::Write(bytes)
    }

    /// Holds the PDU back if it is to be held, and adds those whose time has come.
    fn release(&mut self, hold: Option<usize>, steps: Vec<Step>) -> Vec<Step> {
        for (left, _) in &mut self.held {
            *left = left.saturating_sub(1);
        }
        let mut out = match hold {
            Some(count) => {
                self.held.push((count, steps));
                Vec::new()
            }
            None => steps,
        };
        let (due, held) = std::mem::take(&mut self.held).into_iter().partition(|(left, _)| *left == 0);
        self.held = held;
        let due: Vec<(usize, Vec<Step>)> = due;
        out.extend(due.into_iter().flat_map(|(_, steps)| steps));
        out
    }

    /// Text with the target's address in it.
    fn expand(&self, text: &[u8]) -> Vec<u8> {
        const PORTAL: &[u8] = b"$portal";
        match text.windows(PORTAL.len()).position(|window| window == PORTAL) {
            Some(at) => {
                let (head, tail) = text.split_at(at);
                let tail = tail.get(PORTAL.len()..).unwrap_or_default();
                [head, self.portal.as_bytes(), tail].concat()
            }
            None => text.to_vec(),
        }
    }
}

impl Outgoing {
    fn new(pdu: &OutPdu) -> Self {
        Self {
            header: pdu.header,
            data: pdu.data.to_bytes().to_vec(),
            digests: pdu.digests,
            sets: Vec::new(),
            damages: Vec::new(),
            truncate: None,
            split: None,
            copies: 1,
            hold: None,
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    fn steps(self) -> Vec<Step> {
        let mut header = self.header.with_data_len(self.data.len() as u32);
        for (field, value) in &self.sets {
            field.put(&mut header, *value);
        }
        let mut bytes = encode(&header, &self.data, self.digests);
        for part in &self.damages {
            damage(&mut bytes, *part, self.digests);
        }
        bytes.truncate(self.truncate.unwrap_or(usize::MAX));
        let mut steps = self.before;
        for _ in 0..self.copies {
            match self.split {
                None => steps.push(Step::Write(bytes.clone())),
                Some((every, pause)) => {
                    for piece in bytes.chunks(every) {
                        steps.push(Step::Write(piece.to_vec()));
                        steps.extend((!pause.is_zero()).then_some(Step::Wait(pause)));
                    }
                }
            }
        }
        steps.extend(self.after);
        steps
    }
}

/// What an action does beside the PDU, if it does anything.
fn aside(action: &Action) -> Option<Step> {
    match action {
        Action::Send(bytes) => Some(Step::Write(bytes.clone())),
        Action::Close => Some(Step::Close),
        Action::Silence => Some(Step::Silence),
        Action::Deaf => Some(Step::Deaf),
        _ => None,
    }
}

/// Whether the StatSN field means anything.
fn bears_stat_sn(header: &Header) -> bool {
    header.opcode() != Ok(Opcode::DataIn) || header.flags() & 1 != 0
}

fn consumes_stat_sn(header: &Header) -> bool {
    match header.opcode() {
        Ok(Opcode::R2t) => false,
        Ok(Opcode::NopIn) => !header.itt().is_reserved(),
        _ => bears_stat_sn(header),
    }
}

/// The PDU as it goes over the wire, with digests that fit what the header and the data are now.
fn encode(header: &Header, data: &[u8], digests: Digests) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    if digests.header {
        bytes.extend(digest::wire(header.as_bytes()));
    }
    let start = bytes.len();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len() + padding(data.len()), 0);
    if digests.data && !data.is_empty() {
        let digest = digest::wire(bytes.get(start..).unwrap_or_default());
        bytes.extend(digest);
    }
    bytes
}

/// Flips the lowest bit of a byte, if the PDU has it.
fn damage(bytes: &mut [u8], part: Part, digests: Digests) {
    let data = BHS_LEN + if digests.header { digest::DIGEST_LEN } else { 0 };
    let at = match part {
        Part::Header(at) => at,
        Part::HeaderDigest if digests.header => BHS_LEN,
        Part::Data(at) => data + at,
        Part::DataDigest if digests.data && bytes.len() > data => bytes.len() - 1,
        _ => return,
    };
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
}

fn pairs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == 0).filter(|pair| !pair.is_empty())
}

fn is_key(pair: &[u8], key: &[u8]) -> bool {
    pair.strip_prefix(key).is_some_and(|rest| rest.first() == Some(&b'='))
}

fn set_key(text: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    remove_key(text, key);
    add_key(text, &[key, b"=", value].concat());
}

fn add_key(text: &mut Vec<u8>, pair: &[u8]) {
    text.extend_from_slice(pair);
    text.push(0);
}

fn remove_key(text: &mut Vec<u8>, key: &[u8]) {
    let kept = pairs(text).filter(|pair| !is_key(pair, key)).flat_map(|pair| pair.iter().copied().chain([0]));
    *text = kept.collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use iscsi_proto::pdu::{NopIn, Numbering, Pdu, R2t, ScsiResponse};
    use iscsi_proto::scsi::Lun;
    use iscsi_proto::tags::{Itt, Ttt};

    fn engine(script: &str) -> Engine {
        Engine::new(script.parse().unwrap(), "192.0.2.1:3260")
    }

    fn numbering(stat_sn: u32) -> Numbering {
        Numbering { stat_sn: Serial(stat_sn), exp_cmd_sn: Serial(5), max_cmd_sn: Serial(9) }
    }

    fn out(pdu: impl Into<Pdu>, data: &[u8], digests: bool) -> OutPdu {
        let digests = Digests { header: digests, data: digests };
        OutPdu { header: pdu.into().encode(), data: data.to_vec().into(), digests }
    }

    fn answer(stat_sn: u32) -> OutPdu {
        let nop = NopIn { lun: Lun::ZERO, itt: Itt(1), ttt: Ttt::RESERVED, numbering: numbering(stat_sn) };
        out(nop, b"echo!", false)
    }

    fn written(steps: &[Step]) -> Vec<u8> {
        let bytes = steps.iter().filter_map(|step| if let Step::Write(bytes) = step { Some(&bytes[..]) } else { None });
        bytes.flatten().copied().collect()
    }

    fn headers(steps: &[Step]) -> Vec<Header> {
        let bytes = steps.iter().filter_map(|step| if let Step::Write(bytes) = step { Some(bytes) } else { None });
        bytes.map(|bytes| Header::read(bytes).unwrap()).collect()
    }

    #[test]
    fn without_a_script_the_bytes_are_the_target_s() {
        for digests in [false, true] {
            let pdu = out(
                NopIn { lun: Lun::ZERO, itt: Itt(1), ttt: Ttt::RESERVED, numbering: numbering(3) },
                b"echo!",
                digests,
            );
            let mut wire = crate::target::core::Wire::new();
            wire.push(&pdu);
            let len = wire.len();
            let expected = bytes::Buf::copy_to_bytes(&mut wire, len);
            assert_eq!(written(&engine("").pdu(&pdu)), expected);
        }
    }

    #[test]
    fn only_the_pdu_that_is_meant_is_changed() {
        let mut engine = engine("on 2nd NopIn: set itt 0x01020304, drop\non 3rd PDU: set itt -1");
        let first = engine.pdu(&answer(1));
        assert_eq!(headers(&first)[0].itt(), Itt(1));
        assert_eq!(engine.pdu(&answer(2)), []);
        assert_eq!(headers(&engine.pdu(&answer(3)))[0].itt(), Itt(0));
        assert_eq!(engine.pdu(&answer(1)), first);
    }

    #[test]
    fn lies_get_a_right_digest_and_damage_a_wrong_one() {
        let pdu =
            || out(NopIn { lun: Lun::ZERO, itt: Itt(1), ttt: Ttt::RESERVED, numbering: numbering(3) }, b"echo!", true);
        let right =
            |bytes: &[u8]| (bytes[48..52] == digest::wire(&bytes[..48]), bytes[60..] == digest::wire(&bytes[52..60]));
        for (script, expected) in [
            ("set itt 9", (true, true)),
            ("data \"ECHO?\"", (true, true)),
            ("corrupt header byte 16", (false, true)),
            ("corrupt header digest", (false, true)),
            ("corrupt data byte 7", (true, false)),
            ("corrupt data digest", (true, false)),
        ] {
            let bytes = written(&engine(&format!("on 1st PDU: {script}")).pdu(&pdu()));
            assert_eq!((bytes.len(), right(&bytes)), (64, expected), "{script}");
        }
    }

    #[test]
    fn inserted_pdus_are_numbered_and_those_behind_them_move_on() {
        let mut engine = engine(
            "on 1st NopIn: precede with AsyncMessage event 4, follow with NopIn ttt 7 x 2, follow with Reject reason 9",
        );
        let steps = engine.pdu(&answer(10));
        let [async_, answer_, reject] = [0, 1, 3].map(|at| headers(&steps)[at].numbering().stat_sn.0);
        assert_eq!((async_, answer_, reject), (10, 11, 12));
        let Step::Write(pings) = &steps[2] else { panic!() };
        assert_eq!(pings.len(), 96);
        let ping = Header::read(&pings[48..]).unwrap();
        assert_eq!((ping.itt(), ping.numbering()), (Itt::RESERVED, numbering(12)));
        assert_eq!(headers(&engine.pdu(&answer(11)))[0].numbering(), numbering(13));
    }

    #[test]
    fn a_held_pdu_goes_out_behind_others_with_its_old_number() {
        let mut engine = engine("on 1st NopIn: hold 2 PDUs");
        assert_eq!(engine.pdu(&answer(1)), []);
        assert_eq!(engine.pdu(&answer(2)).len(), 1);
        let numbers: Vec<u32> = headers(&engine.pdu(&answer(3))).iter().map(|it| it.numbering().stat_sn.0).collect();
        assert_eq!(numbers, [3, 1]);
    }

    #[test]
    fn a_shut_window_stays_shut_until_it_is_opened() {
        let mut engine = engine("on 1st PDU: shut window\non 3rd PDU: open window");
        let max: Vec<u32> = (1..=3).map(|n| headers(&engine.pdu(&answer(n)))[0].numbering().max_cmd_sn.0).collect();
        assert_eq!(max, [4, 4, 9]);
    }

    #[test]
    fn what_happens_at_the_transport_stands_in_order() {
        let script = "on connect: send \"hi\", deaf\non 1st PDU: delay 2 s, truncate at 5, split every 3 for 1 ms, silence, close";
        let mut engine = engine(script);
        assert_eq!(engine.connect(), [Step::Write(b"hi".to_vec()), Step::Deaf]);
        let pause = Step::Wait(Duration::from_millis(1));
        let steps = engine.pdu(&answer(1));
        assert_eq!((&steps[0], &steps[2], &steps[4]), (&Step::Wait(Duration::from_secs(2)), &pause, &pause));
        assert_eq!((written(&steps).len(), &steps[5..]), (5, &[Step::Silence, Step::Close][..]));
        assert_eq!(engine.pdu(&answer(2)).len(), 1);
    }

    #[test]
    fn keys_are_set_added_and_removed() {
        let text = |script: &str| {
            let pdu = out(ScsiResponse::parse(&Header::new(Opcode::ScsiResponse)).unwrap(), b"A=1\0AB=2\0", false);
            let bytes = written(&engine(&format!("on 1st PDU: {script}")).pdu(&pdu));
            bytes[48..48 + Header::read(&bytes).unwrap().data_len() as usize].to_vec()
        };
        assert_eq!(text("set key A=3"), b"AB=2\0A=3\0");
        assert_eq!(text("add key A=1"), b"A=1\0AB=2\0A=1\0");
        assert_eq!(text("remove key A"), b"AB=2\0");
        assert_eq!(text("text TargetAddress=$portal,1"), b"TargetAddress=192.0.2.1:3260,1\0");
        assert_eq!(text("data 3 bytes"), b"A=1");
    }

    #[test]
    fn an_r2t_takes_no_number() {
        let r2t = |stat_sn| {
            let (lun, itt, ttt, numbering) = (Lun::ZERO, Itt(1), Ttt(2), numbering(stat_sn));
            out(R2t { lun, itt, ttt, numbering, r2t_sn: Serial(0), offset: 0, length: 4 }, &[], false)
        };
        let mut engine = engine("on 1st R2T: follow with R2T itt 1 ttt 3 length 8");
        assert_eq!(headers(&engine.pdu(&r2t(4))).len(), 2);
        assert_eq!(headers(&engine.pdu(&answer(4)))[0].numbering().stat_sn, Serial(4));
    }
}
