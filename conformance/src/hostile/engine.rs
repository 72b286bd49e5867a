//! Applies a script to what leaves the target.

use std::collections::HashMap;
use std::time::Duration;

use iscsi_proto::digest;
use iscsi_proto::pdu::{BHS_LEN, Header, Opcode, SnackType, TaskFunction};
use iscsi_proto::serial::Serial;

use super::action::{Action, Inserted};
use super::field::{Field, Value};
use super::numbers::Numbers;
use super::outgoing::{Outgoing, add_key, damage, encode, put, remove_key, set_key};
use super::parse::blank;
use super::script::{Place, Script, When};
use crate::target::core::{Digests, OutPdu, takes_stat_sn};

const ITT: Field = Field { at: 16, width: 4 };
const EXP_STAT_SN: Field = Field { at: 28, width: 4 };
const BEG_RUN: Field = Field { at: 40, width: 4 };
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
    /// PDUs of the target, and requests.
    all: [u64; 2],
    reassigns: u64,
    numbers: Numbers,
    exp_cmd_sn: u32,
    max_cmd_sn: u32,
    digests: Digests,
    shut: bool,
    /// PDUs that wait for so many others.
    held: Vec<(usize, Vec<Step>)>,
}

impl Engine {
    /// A script for the connection with this number, counted from 1, that came in at `portal`.
    pub fn new(mut script: Script, portal: impl Into<String>, connection: u64) -> Self {
        script.rules.retain(|rule| rule.connection.is_none_or(|meant| meant == connection));
        Self {
            script,
            portal: portal.into(),
            counts: HashMap::new(),
            all: [0; 2],
            reassigns: 0,
            numbers: Numbers::default(),
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
        let actions = self.actions(&pdu.header, false);
        let mut out = Outgoing::new(pdu);
        self.learn(pdu);
        let inserted = actions.iter().filter_map(|action| match action {
            Action::Precede(inserted) => Some(inserted),
            _ => None,
        });
        for inserted in inserted {
            out.before.push(self.insert(inserted, None));
        }
        if bears_stat_sn(&out.header) {
            let own = pdu.header.numbering().stat_sn;
            STAT_SN.put(&mut out.header, Value::Absolute(self.numbers.shown(own).0.into()));
            self.numbers.passed(own, takes_stat_sn(&pdu.header));
        }
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

    /// What becomes of a request: the bytes that reach the target, none if it is to see nothing of it, and what happens at
    /// the transport before the target answers. `bytes` is the whole PDU with these digests.
    pub fn request(&mut self, header: &Header, mut bytes: Vec<u8>, digests: Digests) -> (Vec<u8>, Vec<Step>) {
        let actions = self.actions(header, true);
        self.digests = digests;
        self.translate(header, &mut bytes, digests);
        let mut steps = Vec::new();
        let mut passes = true;
        for action in &actions {
            match action {
                Action::Drop => passes = false,
                Action::Corrupt(part) => damage(&mut bytes, *part, header.ahs_len(), digests),
                Action::Answer(inserted) => {
                    passes = false;
                    steps.push(self.insert(inserted, Some(header)));
                }
                other => steps.extend(aside(other)),
            }
        }
        if !passes {
            bytes.clear();
        }
        (bytes, steps)
    }

    /// Counts a PDU, and gives what the script does to it.
    fn actions(&mut self, header: &Header, is_request: bool) -> Vec<Action> {
        let opcode = header.opcode().ok();
        let of_opcode = self.counts.entry(opcode).or_default();
        *of_opcode += 1;
        let [of_pdus, of_requests] = &mut self.all;
        let of_all = if is_request { of_requests } else { of_pdus };
        *of_all += 1;
        let reassigns =
            opcode == Some(Opcode::TaskRequest) && header.flags() & 0x7f == TaskFunction::TaskReassign as u8;
        self.reassigns += u64::from(reassigns);
        let of_reassign = reassigns.then_some(self.reassigns);
        let place = Place { opcode, of_opcode: *of_opcode, of_all: *of_all, of_reassign, is_request };
        let rules = self.script.rules.iter().filter(|rule| rule.when.fits(place));
        rules.flat_map(|rule| rule.actions.iter().cloned()).collect()
    }

    /// Remembers numbers and digests for PDUs that are inserted.
    fn learn(&mut self, pdu: &OutPdu) {
        let numbering = pdu.header.numbering();
        if bears_stat_sn(&pdu.header) {
            self.numbers.reached(numbering.stat_sn);
        }
        (self.exp_cmd_sn, self.max_cmd_sn) = (numbering.exp_cmd_sn.0, numbering.max_cmd_sn.0);
        self.digests = pdu.digests;
    }

    /// Turns the StatSNs that the initiator has seen into those of the target, where they differ.
    fn translate(&self, header: &Header, bytes: &mut [u8], digests: Digests) {
        if !self.numbers.differ() {
            return;
        }
        let mut own = *header;
        let mut fields = vec![EXP_STAT_SN];
        if header.opcode() == Ok(Opcode::Snack) && header.flags() & 0x0f == SnackType::Status as u8 {
            fields.push(BEG_RUN);
        }
        for field in fields {
            let shown = field.get(header) as u32;
            field.put(&mut own, Value::Absolute(self.numbers.own(Serial(shown)).0.into()));
        }
        put(bytes, 0, own.as_bytes());
        if digests.header {
            let head = BHS_LEN + header.ahs_len();
            let digest = digest::wire(bytes.get(..head).unwrap_or_default());
            put(bytes, head, &digest);
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
            // The one has gone out already, the other is for requests.
            Action::Precede(_) | Action::Answer(_) => {}
            Action::Follow(inserted) => out.after.push(self.insert(inserted, None)),
            Action::ShutWindow => self.shut = true,
            Action::OpenWindow => self.shut = false,
            other => out.after.extend(aside(other)),
        }
    }

    /// A PDU, or several, that the target never meant; `about` is the request that it answers.
    fn insert(&mut self, inserted: &Inserted, about: Option<&Header>) -> Step {
        let mut bytes = Vec::new();
        let data = match about {
            Some(about) if inserted.kind == Opcode::Reject => about.as_bytes().to_vec(),
            _ => self.expand(&inserted.data),
        };
        for _ in 0..inserted.times {
            let mut header = blank(inserted.kind);
            if let Some(about) = about.filter(|_| inserted.kind != Opcode::Reject) {
                ITT.put(&mut header, Value::Absolute(about.itt().0.into()));
            }
            let next = self.numbers.next_shown();
            let numbers = [(STAT_SN, next.0), (EXP_CMD_SN, self.exp_cmd_sn), (MAX_CMD_SN, self.max_cmd_sn)];
            for (field, number) in numbers {
                field.put(&mut header, Value::Absolute(number.into()));
            }
            header = header.with_data_len(data.len() as u32);
            for (field, value) in &inserted.fields {
                field.put(&mut header, *value);
            }
            if takes_stat_sn(&header) {
                self.numbers.insert();
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

#[cfg(test)]
mod tests {
    use super::*;
    use iscsi_proto::pdu::{NopIn, Numbering, Pdu, R2t, ScsiResponse};
    use iscsi_proto::scsi::Lun;
    use iscsi_proto::tags::{Itt, Ttt};

    fn engine(script: &str) -> Engine {
        Engine::new(script.parse().unwrap(), "192.0.2.1:3260", 1)
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

    fn request(pdu: impl Into<Pdu>, data: &[u8], digests: Digests) -> (Header, Vec<u8>) {
        let header = pdu.into().encode().with_data_len(data.len() as u32);
        (header, encode(&header, data, digests))
    }

    fn command(exp_stat_sn: u32) -> iscsi_proto::pdu::NopOut {
        let (cmd_sn, exp_stat_sn) = (Serial(7), Serial(exp_stat_sn));
        iscsi_proto::pdu::NopOut {
            immediate: true,
            lun: Lun::ZERO,
            itt: Itt(3),
            ttt: Ttt::RESERVED,
            cmd_sn,
            exp_stat_sn,
        }
    }

    #[test]
    fn requests_are_dropped_damaged_and_answered() {
        let both = Digests { header: true, data: true };
        let (header, bytes) = request(command(1), b"data", both);
        let mut engine = engine(
            "on 2nd NopOut: drop, close\non 3rd Request: corrupt data digest\non 4th NopOut: answer with NopIn ttt 9",
        );
        assert_eq!(engine.request(&header, bytes.clone(), both), (bytes.clone(), vec![]));
        assert_eq!(engine.request(&header, bytes.clone(), both), (vec![], vec![Step::Close]));
        let (damaged, _) = engine.request(&header, bytes.clone(), both);
        assert_eq!(damaged[..damaged.len() - 1], bytes[..bytes.len() - 1]);
        assert_eq!(damaged.last().map(|byte| byte ^ 1), bytes.last().copied());
        engine.pdu(&answer(4));
        let (seen, steps) = engine.request(&header, bytes, both);
        let answered = headers(&steps)[0];
        assert!(seen.is_empty());
        assert_eq!((answered.opcode(), answered.itt()), (Ok(Opcode::NopIn), Itt(3)));
        assert_eq!((answered.numbering().stat_sn, written(&steps).len()), (Serial(5), 52));
        // What the target says next comes behind it, and the target does not hear of the number.
        assert_eq!(headers(&engine.pdu(&answer(5)))[0].numbering().stat_sn, Serial(6));
        for (shown, own) in [(5, 5), (6, 5), (7, 6)] {
            let (header, bytes) = request(command(shown), &[], both);
            let (seen, _) = engine.request(&header, bytes, both);
            assert_eq!(seen, request(command(own), &[], both).1, "{shown}");
        }
    }

    #[test]
    fn a_snack_is_refused_and_a_reassignment_answered() {
        use iscsi_proto::pdu::{Reject, RejectReason, Snack, TaskRequest, TaskResponse, TaskResult};
        let none = Digests::default();
        let mut engine = engine(
            "on 1st Snack: answer with Reject reason 3\non 1st TaskReassign: answer with TaskResponse response 4",
        );
        let snack = Snack {
            kind: SnackType::Status,
            lun: Lun::ZERO,
            itt: Itt::RESERVED,
            tag: u32::MAX,
            exp_stat_sn: Serial(5),
            begin: Serial(6),
            length: 1,
        };
        engine.pdu(&answer(5));
        let (header, bytes) = request(snack.clone(), &[], none);
        let (_, steps) = engine.request(&header, bytes.clone(), none);
        let reject = Reject::parse(&headers(&steps)[0]).unwrap();
        assert_eq!((reject.reason, reject.numbering.stat_sn), (RejectReason::SnackReject, Serial(6)));
        assert_eq!(written(&steps)[48..], header.0[..]);
        let (seen, _) = engine.request(&header, bytes, none);
        assert_eq!(Snack::parse(&Header::read(&seen).unwrap()).unwrap().begin, Serial(6));

        let mut task = TaskRequest {
            immediate: true,
            function: TaskFunction::AbortTask,
            lun: Lun::ZERO,
            itt: Itt(4),
            referenced: Itt(1),
            cmd_sn: Serial(0),
            exp_stat_sn: Serial(0),
            ref_cmd_sn: Serial(0),
            exp_data_sn: Serial(0),
        };
        let (header, bytes) = request(task.clone(), &[], none);
        assert_eq!(engine.request(&header, bytes, none).1, [], "an abort is no reassignment");
        task.function = TaskFunction::TaskReassign;
        let (header, bytes) = request(task, &[], none);
        let (_, steps) = engine.request(&header, bytes, none);
        let response = TaskResponse::parse(&headers(&steps)[0]).unwrap();
        assert_eq!((response.result, response.itt), (TaskResult::ReassignmentNotSupported, Itt(4)));
    }

    #[test]
    fn a_line_may_mean_one_connection() {
        for (number, kept) in [(1, 1), (2, 0), (3, 1)] {
            let script = "on 1st NopIn of 2nd connection: drop".parse().unwrap();
            assert_eq!(Engine::new(script, "", number).pdu(&answer(1)).len(), kept);
        }
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
