//! Pieces of work whose instructions are counted: each does the same thing so many times.

use std::fmt;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clap::ValueEnum;
use iscsi_initiator::core::command::{Completion, Finished, Request, Token};
use iscsi_initiator::core::session::{Core, LinkId, Patience, Start};
use iscsi_initiator::core::{Command, Negotiated, Payload};
use iscsi_proto::digest::crc32c;
use iscsi_proto::framer::encode_frame;
use iscsi_proto::pdu::{
    DataIn, Header, Numbering, Pdu, Residual, ScsiCommand, ScsiResponse, ServiceResponse, TaskAttribute,
};
use iscsi_proto::scsi::{Cdb, Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

/// Bytes of the commands here.
const BLOCK: usize = 4096;
const PATIENCE: Patience = Patience {
    command: Duration::from_secs(30),
    management: Duration::from_secs(30),
    idle: None,
    ping: Duration::from_secs(5),
};
const TIME: Duration = Duration::ZERO;

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Work {
    /// Writing the header of a SCSI Command.
    Encode,
    /// Reading the header of a SCSI Data-In.
    Parse,
    /// The CRC32C of 4 KiB.
    Crc,
    /// A read of 4 KiB through the core: request, header on the wire, data and status, completion.
    Read,
    /// The same with both digests.
    ReadDigests,
    /// A write of 4 KiB through the core, with immediate data.
    Write,
}

impl Work {
    /// Does it `times` times. The result depends on all of it, so that none of it can be left out.
    pub fn run(self, times: u32) -> u64 {
        match self {
            Self::Encode => (0..times).map(encode).sum(),
            Self::Parse => parse(times),
            Self::Crc => crc(times),
            Self::Read => Dialogue::new(false).run(times, Dialogue::read),
            Self::ReadDigests => Dialogue::new(true).run(times, Dialogue::read),
            Self::Write => Dialogue::new(false).run(times, Dialogue::write),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encode => "encode",
            Self::Parse => "parse",
            Self::Crc => "crc",
            Self::Read => "read",
            Self::ReadDigests => "read-digests",
            Self::Write => "write",
        })
    }
}

fn encode(number: u32) -> u64 {
    let command = ScsiCommand {
        immediate: false,
        fin: true,
        read: true,
        write: false,
        attribute: TaskAttribute::Simple,
        priority: 0,
        lun: Lun::ZERO,
        itt: Itt(number),
        expected_length: BLOCK as u32,
        cmd_sn: Serial(number),
        exp_stat_sn: Serial(number),
        cdb: Cdb::read(u64::from(number), 8).as_padded(),
    };
    let header = std::hint::black_box(std::hint::black_box(command).encode());
    header.as_bytes().iter().take(1).copied().map(u64::from).sum()
}

fn parse(times: u32) -> u64 {
    let header = data_in(Itt(7), numbering(0)).encode();
    let parsed = |_| DataIn::parse(&std::hint::black_box(header)).map_or(0, |pdu| u64::from(pdu.itt.0));
    (0..times).map(parsed).sum()
}

fn crc(times: u32) -> u64 {
    let block = vec![0x5a; BLOCK];
    (0..times).map(|_| u64::from(crc32c(std::hint::black_box(&block)))).sum()
}

/// The numbers behind the `done`-th command.
fn numbering(done: u32) -> Numbering {
    Numbering { stat_sn: Serial(done), exp_cmd_sn: Serial(done + 1), max_cmd_sn: Serial(done + 32) }
}

fn data_in(itt: Itt, numbering: Numbering) -> DataIn {
    DataIn {
        fin: true,
        acknowledge: false,
        status: Some((Status::GOOD, Residual::None)),
        lun: Lun::ZERO,
        itt,
        ttt: Ttt::RESERVED,
        numbering,
        data_sn: Serial(0),
        offset: 0,
    }
}

/// A core and the answers that it gets.
struct Dialogue {
    core: Core,
    digests: bool,
    done: u32,
    good: u32,
    buffer: BytesMut,
    payload: Bytes,
    wire: BytesMut,
    completions: Vec<(Token, Completion)>,
}

impl Dialogue {
    fn new(digests: bool) -> Self {
        let mut negotiated = Negotiated::default();
        (negotiated.header_digest, negotiated.data_digest) = (digests, digests);
        let start = Start {
            negotiated,
            cid: 0,
            cmd_sn: Serial(0),
            exp_cmd_sn: Serial(0),
            max_cmd_sn: Serial(31),
            exp_stat_sn: Serial(0),
        };
        Self {
            core: Core::new(start, PATIENCE, TIME),
            digests,
            done: 0,
            good: 0,
            buffer: BytesMut::zeroed(BLOCK),
            payload: Bytes::from(vec![0x5a; BLOCK]),
            wire: BytesMut::new(),
            completions: Vec::new(),
        }
    }

    fn run(mut self, times: u32, step: fn(&mut Self)) -> u64 {
        for _ in 0..times {
            step(&mut self);
            self.done += 1;
        }
        u64::from(self.good)
    }

    fn read(&mut self) {
        let command = Command::read(Cdb::read(u64::from(self.done), 8), std::mem::take(&mut self.buffer));
        let itt = self.send(command);
        let answer = data_in(itt, numbering(self.done));
        self.wire.clear();
        encode_frame(answer.encode(), &[], &self.payload, self.digests, self.digests, &mut self.wire);
        self.buffer = self.hear();
    }

    fn write(&mut self) {
        let command = Command::write(Cdb::write(u64::from(self.done), 8), Payload::from(self.payload.clone()));
        let itt = self.send(command);
        let answer = Pdu::from(ScsiResponse {
            response: ServiceResponse::Completed,
            status: Status::GOOD,
            qualifier: 0,
            itt,
            snack_tag: 0,
            numbering: numbering(self.done),
            exp_data_sn: Serial(0),
            bidi_residual: Residual::None,
            residual: Residual::None,
        });
        self.wire.clear();
        encode_frame(answer.encode(), &[], &[], self.digests, self.digests, &mut self.wire);
        self.hear();
    }

    /// Submits a command and takes what it sends; gives its tag.
    fn send(&mut self, command: Command) -> Itt {
        self.core.submit(Request::Scsi { lun: Lun::ZERO, command }, 1, TIME);
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = self.core.outgoing(LinkId::FIRST, &mut slices);
        let sent = slices.iter().take(filled).map(|slice| slice.len()).sum();
        let head = slices.first().and_then(|slice| Header::read(slice));
        let itt = head.map_or(Itt::RESERVED, |header| header.itt());
        self.core.sent(LinkId::FIRST, sent, TIME);
        itt
    }

    /// Lets the core hear the answer, and takes what the command returns.
    fn hear(&mut self) -> BytesMut {
        self.core.receive(LinkId::FIRST, &self.wire, TIME);
        self.core.take_done(&mut self.completions);
        match self.completions.pop() {
            Some((1, Ok(Finished::Scsi(response)))) if response.status == Status::GOOD => {
                self.good += 1;
                response.data
            }
            _ => BytesMut::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_done_to_their_end() {
        for step in [Dialogue::read, Dialogue::write] {
            for digests in [false, true] {
                assert_eq!(Dialogue::new(digests).run(100, step), 100);
            }
        }
    }

    #[test]
    fn what_is_read_has_arrived() {
        let mut dialogue = Dialogue::new(true);
        dialogue.read();
        assert_eq!(dialogue.buffer, dialogue.payload);
    }

    #[test]
    fn every_work_does_something() {
        for work in Work::value_variants() {
            assert_ne!(work.run(3), 0, "{work}");
        }
    }
}
