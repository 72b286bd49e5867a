//! What went over the wire, counted.

use iscsi_proto::pdu::Opcode;

/// Counts of a connection since login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    pdus: [u64; 64],
    /// Bytes sent, headers and digests included.
    pub bytes_sent: u64,
    /// Bytes received, headers and digests included.
    pub bytes_received: u64,
    /// Bytes of commands' data sent.
    pub data_sent: u64,
    /// Bytes of commands' data received.
    pub data_received: u64,
    /// Data digests that did not match.
    pub digest_errors: u64,
    /// Commands that were sent again under their number.
    pub retries: u64,
    /// Commands that made no progress in the time allowed.
    pub timeouts: u64,
    /// Requests under way when the counts were taken, those included that nobody waits for any more.
    pub in_flight: usize,
    /// Connections that bytes went over when the counts were taken.
    pub connections: usize,
    /// How many more commands the target takes just now (MaxCmdSN).
    pub room: u32,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            pdus: [0; 64],
            bytes_sent: 0,
            bytes_received: 0,
            data_sent: 0,
            data_received: 0,
            digest_errors: 0,
            retries: 0,
            timeouts: 0,
            in_flight: 0,
            connections: 0,
            room: 0,
        }
    }
}

impl Stats {
    /// How many PDUs of a kind were sent, if it is a request, or received.
    pub fn pdus(&self, opcode: Opcode) -> u64 {
        self.pdus.get(opcode as usize).copied().unwrap_or_default()
    }

    pub(crate) fn count(&mut self, opcode: Opcode) {
        if let Some(count) = self.pdus.get_mut(opcode as usize) {
            *count += 1;
        }
    }
}
