//! Holds what goes over the wire in full feature phase to the rules that hold always.

use std::collections::HashMap;

use iscsi_initiator::core::session::Start;
use iscsi_proto::framer::{FrameLimits, Framer, Framing};
use iscsi_proto::pdu::{DataOut, Header, Pdu};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

/// What was seen so far of one connection.
#[derive(Debug)]
pub(super) struct Watch {
    sent: Framer,
    next_cmd_sn: Serial,
    exp_stat_sn: Serial,
    /// The greatest MaxCmdSN that has arrived.
    max_cmd_sn: Serial,
    /// Data-Out sequences under way: what comes next of each.
    sequences: HashMap<(Itt, Ttt), Sequence>,
    /// The longest data segment that the target takes.
    limit: u32,
    received: Scanner,
}

#[derive(Clone, Copy, Debug)]
struct Sequence {
    data_sn: Serial,
    offset: u32,
}

/// Finds the headers in a stream without keeping its data.
#[derive(Debug)]
struct Scanner {
    framing: Framing,
    head: Vec<u8>,
    skip: usize,
}

impl Watch {
    pub(super) fn new(start: &Start) -> Self {
        let negotiated = &start.negotiated;
        let limits = |max_data, allow_ahs| FrameLimits {
            max_data,
            allow_ahs,
            header_digest: negotiated.header_digest,
            data_digest: negotiated.data_digest,
        };
        let limit = negotiated.max_send_data_segment_length;
        let framing = Framing::new(limits(negotiated.max_recv_data_segment_length, false));
        Self {
            sent: Framer::new(limits(limit, true)),
            next_cmd_sn: start.cmd_sn,
            exp_stat_sn: start.exp_stat_sn,
            max_cmd_sn: start.max_cmd_sn,
            sequences: HashMap::new(),
            limit,
            received: Scanner { framing, head: Vec::new(), skip: 0 },
        }
    }

    /// The initiator has sent these bytes.
    pub(super) fn sent(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.sent.feed(bytes);
        while let Some(frame) = self.sent.next_frame().map_err(|error| error.to_string())? {
            let pdu = Pdu::parse(&frame.header).map_err(|error| format!("{error} in {:?}", frame.header))?;
            self.request(&frame.header, &pdu, frame.data.len() as u32).map_err(|error| format!("{error}: {pdu:?}"))?;
        }
        Ok(())
    }

    /// These bytes have reached the initiator.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(header) = self.received.next(&mut rest) {
            let max = header.numbering().max_cmd_sn;
            if max.gt(self.max_cmd_sn) {
                self.max_cmd_sn = max;
            }
        }
    }

    fn request(&mut self, header: &Header, pdu: &Pdu, length: u32) -> Result<(), String> {
        let (cmd_sn, exp_stat_sn) = (header.numbering().stat_sn, header.numbering().exp_cmd_sn);
        if exp_stat_sn.lt(self.exp_stat_sn) {
            return Err(format!("ExpStatSN goes back from {}", self.exp_stat_sn));
        }
        self.exp_stat_sn = exp_stat_sn;
        match pdu {
            Pdu::DataOut(pdu) => return self.data(pdu, length),
            Pdu::Snack(_) => return Ok(()),
            Pdu::ScsiCommand(pdu) if !pdu.fin => {
                let sequence = Sequence { data_sn: Serial(0), offset: length };
                self.sequences.insert((pdu.itt, Ttt::RESERVED), sequence);
            }
            _ => {}
        }
        if cmd_sn != self.next_cmd_sn {
            return Err(format!("CmdSN {cmd_sn} where {} was due", self.next_cmd_sn));
        }
        if !header.immediate() {
            self.next_cmd_sn = cmd_sn.next();
            if !cmd_sn.le(self.max_cmd_sn) {
                return Err(format!("CmdSN {cmd_sn} beyond MaxCmdSN {}", self.max_cmd_sn));
            }
        }
        Ok(())
    }

    fn data(&mut self, pdu: &DataOut, length: u32) -> Result<(), String> {
        let key = (pdu.itt, pdu.ttt);
        let fresh = Sequence { data_sn: Serial(0), offset: pdu.offset };
        let due = match self.sequences.get(&key) {
            Some(due) => *due,
            None if pdu.ttt.is_reserved() => return Err("unsolicited data that no command announced".into()),
            None => fresh,
        };
        if (pdu.data_sn, pdu.offset) != (due.data_sn, due.offset) {
            return Err(format!("DataSN {} and offset {} were due", due.data_sn, due.offset));
        }
        if !pdu.fin && (length == 0 || !length.is_multiple_of(4) || length < self.limit & !3) {
            return Err(format!("a segment of {length} bytes in the middle, {} may be sent", self.limit));
        }
        if pdu.fin {
            self.sequences.remove(&key);
        } else {
            let next = Sequence { data_sn: due.data_sn.next(), offset: due.offset + length };
            self.sequences.insert(key, next);
        }
        Ok(())
    }
}

impl Scanner {
    /// The next header in `bytes`, which move on behind it. A stream that cannot be read any further ends here.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Header> {
        loop {
            let skipped = self.skip.min(bytes.len());
            *bytes = bytes.get(skipped..).unwrap_or_default();
            self.skip -= skipped;
            let (byte, rest) = bytes.split_first()?;
            self.head.push(*byte);
            *bytes = rest;
            if let Ok(Some((header, layout))) = self.framing.head(&self.head) {
                self.skip = layout.total() - self.head.len();
                self.head.clear();
                return Some(header);
            }
        }
    }
}
