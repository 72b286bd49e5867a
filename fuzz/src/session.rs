//! A session of the initiator's core against a target that says anything, in any order with what its owner asks for.
//!
//! A byte of flags for the negotiated values, and then steps: a byte that says what is done, and its arguments. A PDU of the
//! target is made of a few choices around what would be right, so that a fuzzer comes deep; raw bytes may come as well.
//! Each input is played without error recovery and at level 1; there, PDUs may come with their data damaged.

use std::collections::{HashMap, HashSet};
use std::io::IoSlice;
use std::time::Duration;

use bytes::BytesMut;
use iscsi_initiator::core::command::{Command, Completion, Finished, Request, Token};
use iscsi_initiator::core::session::{Core, LinkId, Patience, Start};
use iscsi_initiator::core::{CommandError, ConnectionError, Negotiated, Time};
use iscsi_proto::framer::{FrameLimits, Framer, Framing, encode_frame};
use iscsi_proto::pdu::{Header, Numbering, Opcode, Pdu, Snack, SnackType, TaskFunction};
use iscsi_proto::scsi::{Cdb, Lun};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use super::input::Input;

/// The longest data segment that either side takes.
const SEGMENT: u32 = 1024;
/// What a PDU has besides.
const OVERHEAD: usize = 48 + 3 + 8;
/// Requests of one input.
const MAX_REQUESTS: Token = 300;
const FIRST: Serial = Serial(u32::MAX - 2);
const FUNCTIONS: [TaskFunction; 4] = [
    TaskFunction::AbortTaskSet,
    TaskFunction::LogicalUnitReset,
    TaskFunction::TargetWarmReset,
    TaskFunction::ClearTaskSet,
];
const PATIENCE: Patience = Patience {
    command: Duration::from_secs(5),
    management: Duration::from_secs(3),
    idle: Some(Duration::from_secs(4)),
    ping: Duration::from_secs(2),
};

/// The core and what is known of it.
struct World {
    core: Core,
    negotiated: Negotiated,
    now: Time,
    /// What has arrived and is not used.
    staged: Vec<u8>,
    heard: Scanner,
    sent: Framer,
    /// The last ExpStatSN.
    acknowledged: Serial,
    next_cmd_sn: Serial,
    /// The values of MaxCmdSN since everything was last sent, and the next StatSN. A target may jump so far that a request
    /// that was numbered before looks as if it lay beyond.
    max_cmd_sns: Vec<Serial>,
    stat_sn: Serial,
    /// Tags that were sent.
    tags: Vec<Itt>,
    /// Requests whose completion is due, with the length of the buffer.
    due: HashMap<Token, usize>,
    over: HashSet<Token>,
    /// Requests that were cancelled: they end as aborted at once.
    given_up: HashSet<Token>,
    next: Token,
    /// Bytes that the target has sent.
    delivered: usize,
}

/// Finds the headers in a stream.
struct Scanner {
    framing: Framing,
    head: Vec<u8>,
    skip: usize,
}

/// Plays an input. A broken property panics.
pub fn session(input: &[u8]) {
    play(input, 0);
    play(input, 1);
}

fn play(input: &[u8], level: u8) {
    let mut input = Input(input);
    let mut world = World::new(input.byte(), level);
    while !input.is_empty() {
        world.step(&mut input);
        world.check();
    }
    world.core.fail(&ConnectionError::Abandoned);
    world.check();
    assert!(world.due.is_empty(), "{:?} never ended", world.due);
    assert_eq!((world.core.stats().in_flight, world.core.deadline()), (0, None));
}

impl World {
    fn new(flags: u8, level: u8) -> Self {
        let mut negotiated = Negotiated::default();
        (negotiated.header_digest, negotiated.data_digest) = (flags & 1 != 0, flags & 2 != 0);
        (negotiated.initial_r2t, negotiated.immediate_data) = (flags & 4 != 0, flags & 8 != 0);
        (negotiated.max_recv_data_segment_length, negotiated.max_send_data_segment_length) = (SEGMENT, SEGMENT);
        (negotiated.max_burst_length, negotiated.first_burst_length) = (2 * SEGMENT, SEGMENT + 5);
        (negotiated.max_outstanding_r2t, negotiated.error_recovery_level) = (2, level);
        let max_cmd_sn = FIRST.add(u32::from(flags >> 4)).sub(1);
        let start = Start {
            negotiated: negotiated.clone(),
            cid: 0,
            cmd_sn: FIRST,
            exp_cmd_sn: FIRST,
            max_cmd_sn,
            exp_stat_sn: FIRST,
        };
        let limits = FrameLimits {
            max_data: SEGMENT,
            allow_ahs: true,
            header_digest: negotiated.header_digest,
            data_digest: negotiated.data_digest,
        };
        Self {
            core: Core::new(start, PATIENCE, Time::ZERO),
            negotiated,
            now: Time::ZERO,
            staged: Vec::new(),
            heard: Scanner {
                framing: Framing::new(FrameLimits { allow_ahs: false, ..limits }),
                head: Vec::new(),
                skip: 0,
            },
            sent: Framer::new(limits),
            acknowledged: FIRST,
            next_cmd_sn: FIRST,
            max_cmd_sns: vec![max_cmd_sn],
            stat_sn: FIRST,
            tags: Vec::new(),
            due: HashMap::new(),
            over: HashSet::new(),
            given_up: HashSet::new(),
            next: 0,
            delivered: 0,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0 => self.scsi(input),
            1 => self.other(input),
            2 => {
                let token = usize::from(input.byte());
                self.core.cancel(token);
                if self.due.remove(&token).is_some() {
                    self.given_up.insert(token);
                }
                self.over.insert(token);
            }
            3 => self.pass(Duration::from_millis(100 * u64::from(input.byte()))),
            4 => {
                let len = usize::from(input.byte());
                self.deliver(input.take(len), usize::MAX);
            }
            5 | 6 => self.pdu(input),
            _ => self.drain(usize::from(input.byte()) + 1),
        }
    }

    fn submit(&mut self, request: Request, buffer: usize) {
        if self.next < MAX_REQUESTS {
            self.due.insert(self.next, buffer);
            // A token that was cancelled before it existed is a new one.
            self.over.remove(&self.next);
            self.core.submit(request, self.next, self.now);
            self.next += 1;
        }
    }

    fn scsi(&mut self, input: &mut Input<'_>) {
        let length = usize::from(input.byte()) * 64;
        let timeout = Some(Duration::from_millis(50 * u64::from(input.byte() & 0x3f)));
        let (command, buffer) = match input.byte() % 3 {
            0 => (Command::read(Cdb::read(0, 1), BytesMut::zeroed(length)), length),
            1 => (Command::write(Cdb::write(0, 1), vec![7; length]), 0),
            _ => (Command::new(Cdb::read(0, 0)), 0),
        };
        let command = Command { timeout: timeout.filter(|timeout| !timeout.is_zero()), ..command };
        self.submit(Request::Scsi { lun: Lun::ZERO, command }, buffer);
    }

    fn other(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let request = match choice % 8 {
            0 | 1 => Request::Ping,
            2 => Request::Stats,
            3 => Request::Text(b"SendTargets=All\0".repeat(usize::from(input.byte()))),
            4 if choice & 0x80 != 0 => Request::Logout,
            _ => {
                let function = FUNCTIONS.get(usize::from(choice >> 4) % 4).copied();
                Request::Task { function: function.unwrap_or(TaskFunction::AbortTaskSet), lun: Lun::ZERO }
            }
        };
        self.submit(request, 0);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.core.expire(self.now);
        for _ in 0..4 {
            self.core.expire(self.now);
        }
        assert!(self.core.deadline().is_none_or(|at| at > self.now), "the deadline passes and stays");
    }

    /// A PDU of the target: right but for what the input says.
    fn pdu(&mut self, input: &mut Input<'_>) {
        self.drain(usize::MAX);
        let choice = input.byte();
        let opcode = Opcode::ALL.get(usize::from(choice) % Opcode::ALL.len()).copied().unwrap_or(Opcode::NopIn);
        let mut header = Header::new(opcode);
        let [flags, two, three] = [input.byte(), input.byte(), input.byte()];
        let tag = input.byte();
        let itt = match self.tags.len().checked_sub(usize::from(tag) + 1) {
            Some(at) => self.tags.get(at).copied().unwrap_or(Itt::RESERVED),
            None if tag == 0xff => Itt::RESERVED,
            None => Itt(u32::from(tag)),
        };
        let ttt = if input.byte() & 1 == 0 { u32::MAX } else { u32::from(tag) };
        let takes = takes_stat_sn(opcode, flags, itt);
        let stat_sn = self.stat_sn.add(input.nudge());
        let exp_cmd_sn = self.next_cmd_sn.add(input.nudge());
        let max_cmd_sn = exp_cmd_sn.add(u32::from(input.byte() & 0x1f)).sub(1);
        let tail = [input.word() & 0xffff, input.word() & 0x0fff, input.word() & 0x0fff];
        let words = [itt.0, ttt, stat_sn.0, exp_cmd_sn.0, max_cmd_sn.0].into_iter().chain(tail);
        let bytes = words.flat_map(u32::to_be_bytes);
        [flags, two, three].iter().zip(header.0.iter_mut().skip(1)).for_each(|(from, to)| *to = *from);
        bytes.zip(header.0.iter_mut().skip(16)).for_each(|(from, to)| *to = from);
        let length = usize::from(input.byte()) * 4;
        let data = input.take(length);
        let mut wire = BytesMut::new();
        let digests = (self.negotiated.header_digest, self.negotiated.data_digest);
        encode_frame(header, &[], data, digests.0, digests.1, &mut wire);
        if self.recovers() && digests.1 && two & 0x40 != 0 {
            wire.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
        }
        if takes && stat_sn == self.stat_sn {
            self.stat_sn = stat_sn.next();
        }
        self.deliver(&wire, usize::from(input.byte()) + 1);
    }

    const fn recovers(&self) -> bool {
        self.negotiated.error_recovery_level != 0
    }

    /// Bytes arrive in pieces, the way that the driver takes them.
    fn deliver(&mut self, bytes: &[u8], piece: usize) {
        self.delivered += bytes.len();
        for header in self.heard.headers(bytes) {
            self.open(&header);
        }
        for piece in bytes.chunks(piece) {
            self.now += Duration::from_millis(1);
            if let Some(room) = self.core.landing(LinkId::FIRST, piece.len()).filter(|_| self.staged.is_empty()) {
                room.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
                self.core.landed(LinkId::FIRST, piece.len(), self.now);
                continue;
            }
            self.staged.extend_from_slice(piece);
            let used = self.core.receive(LinkId::FIRST, &self.staged, self.now);
            assert!(used <= self.staged.len());
            self.staged.drain(..used);
        }
        if self.core.closed().is_some() {
            self.staged.clear();
        }
        assert!(self.staged.len() <= SEGMENT as usize + OVERHEAD, "{} bytes are held", self.staged.len());
    }

    /// Moves the window as the target says: forward, and only if what it says makes sense.
    fn open(&mut self, header: &Header) {
        let Numbering { exp_cmd_sn, max_cmd_sn, .. } = header.numbering();
        let is_request = header.opcode().is_ok_and(Opcode::is_request);
        let moves = self.max_cmd_sns.last().is_some_and(|last| max_cmd_sn.gt(*last));
        if !is_request && !max_cmd_sn.lt(exp_cmd_sn.sub(1)) && moves {
            self.max_cmd_sns.push(max_cmd_sn);
        }
    }

    /// Takes up to `count` bytes that are to be sent, and checks whole PDUs.
    fn drain(&mut self, mut count: usize) {
        while count != 0 {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = self.core.outgoing(LinkId::FIRST, &mut slices);
            let bytes: Vec<u8> =
                slices.iter().take(filled).flat_map(|slice| slice.iter().copied()).take(count).collect();
            if bytes.is_empty() {
                self.max_cmd_sns.drain(..self.max_cmd_sns.len() - 1);
                return;
            }
            count -= bytes.len();
            self.core.sent(LinkId::FIRST, bytes.len(), self.now);
            self.sent.feed(&bytes);
            while let Some(frame) = self.sent.next_frame().expect("what is sent are PDUs") {
                self.request(&frame.header);
            }
        }
    }

    fn request(&mut self, header: &Header) {
        let pdu = Pdu::parse(header).expect("what is sent is well-formed");
        let Numbering { stat_sn: cmd_sn, exp_cmd_sn: exp_stat_sn, .. } = header.numbering();
        assert!(!exp_stat_sn.lt(self.acknowledged), "ExpStatSN went back from {}: {pdu:?}", self.acknowledged);
        self.acknowledged = exp_stat_sn;
        match pdu {
            Pdu::DataOut(_) => return,
            Pdu::Snack(snack) => return self.snack(&snack),
            _ => {}
        }
        // A command that the target did not acknowledge may be sent again.
        let again = matches!(pdu, Pdu::ScsiCommand(_)) && self.recovers() && self.tags.contains(&header.itt());
        if !header.itt().is_reserved() && self.tags.last() != Some(&header.itt()) {
            self.tags.push(header.itt());
        }
        // A ping may fill the hole that a rejected command has left.
        let fills = (matches!(pdu, Pdu::NopOut(_)) || again) && cmd_sn.lt(self.next_cmd_sn);
        assert!(cmd_sn == self.next_cmd_sn || fills, "{pdu:?} where CmdSN {} was due", self.next_cmd_sn);
        if !header.immediate() && !fills {
            let maxima = &self.max_cmd_sns;
            assert!(maxima.iter().any(|max| cmd_sn.le(*max)), "{pdu:?} beyond MaxCmdSN {maxima:?}");
            self.next_cmd_sn = cmd_sn.next();
        }
    }

    fn snack(&self, snack: &Snack) {
        assert!(self.recovers(), "{snack:?} without error recovery");
        let of_status = snack.kind == SnackType::Status;
        assert!(!of_status || !snack.begin.lt(snack.exp_stat_sn), "{snack:?} asks for what it acknowledges");
        let has_tag = matches!(snack.kind, SnackType::Data | SnackType::RData);
        assert_eq!(has_tag, !snack.itt.is_reserved(), "{snack:?}");
        assert!(!has_tag || self.tags.contains(&snack.itt), "{snack:?} for no task");
    }

    /// Requests end once, and not after they were cancelled.
    fn check(&mut self) {
        let mut done = Vec::new();
        self.core.take_done(&mut done);
        for (token, completion) in done {
            if self.given_up.remove(&token) && matches!(completion, Err(CommandError::Aborted)) {
                continue;
            }
            let buffer = self.due.remove(&token);
            assert!(buffer.is_some() && self.over.insert(token), "{token} ended: {completion:?}");
            self.check_data(buffer.unwrap_or_default(), &completion);
        }
        assert!(self.given_up.is_empty(), "{:?} were given up and never ended", self.given_up);
        while self.core.take_event().is_some() {}
        let stats = self.core.stats();
        assert!(stats.in_flight == 0 || self.core.deadline().is_some(), "requests without a deadline");
        assert!(self.core.closed().is_none() || self.due.is_empty());
    }

    fn check_data(&self, buffer: usize, completion: &Completion) {
        if let Ok(Finished::Scsi(response)) = completion {
            let length = response.data.len();
            assert!(length <= buffer && length <= self.delivered, "{length} bytes of {buffer} came");
        }
    }
}

impl Scanner {
    /// The headers that end in `bytes`. A stream that cannot be read any further has no more.
    fn headers(&mut self, mut bytes: &[u8]) -> Vec<Header> {
        let mut headers = Vec::new();
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            let Some((byte, rest)) = bytes.get(skipped..).and_then(<[u8]>::split_first) else { return headers };
            self.head.push(*byte);
            bytes = rest;
            if let Ok(Some((header, layout))) = self.framing.head(&self.head) {
                self.skip = layout.total() - self.head.len();
                self.head.clear();
                headers.push(header);
            }
        }
    }
}

fn takes_stat_sn(opcode: Opcode, flags: u8, itt: Itt) -> bool {
    match opcode {
        Opcode::R2t => false,
        Opcode::NopIn => !itt.is_reserved(),
        Opcode::DataIn => flags & 1 != 0,
        _ => true,
    }
}
