//! What went over the wire, counted.

use std::ops::AddAssign;

use iscsi_proto::pdu::Opcode;

/// Counts of a connection from the first request of its login on.
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
    /// Commands that were sent again under their number.
    pub retries: u64,
    /// Commands that made no progress in the time allowed.
    pub timeouts: u64,
    /// Header and data digests that did not match.
    pub digest_errors: u64,
    /// Requests under way when the counts were taken, those included that nobody waits for any more; 0 after the end.
    pub in_flight: usize,
    /// Connections that bytes went over when the counts were taken.
    pub connections: usize,
    /// How many more commands the target takes just now (MaxCmdSN); 0 after the end.
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
            retries: 0,
            timeouts: 0,
            digest_errors: 0,
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

/// Adds what was counted at another time. What holds only for a moment stays: requests under way, and room.
impl AddAssign<&Self> for Stats {
    fn add_assign(&mut self, other: &Self) {
        self.pdus.iter_mut().zip(other.pdus).for_each(|(count, more)| *count += more);
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.data_sent += other.data_sent;
        self.data_received += other.data_received;
        self.retries += other.retries;
        self.timeouts += other.timeouts;
        self.digest_errors += other.digest_errors;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_what_holds_for_a_moment_does_not() {
        let mut stats = Stats {
            bytes_sent: 1,
            bytes_received: 2,
            data_sent: 3,
            data_received: 4,
            timeouts: 5,
            digest_errors: 6,
            retries: 9,
            in_flight: 7,
            room: 8,
            ..Stats::default()
        };
        stats.count(Opcode::LoginRequest);
        stats.count(Opcode::Reject);
        stats += &stats.clone();
        let sums = (stats.bytes_sent, stats.bytes_received, stats.data_sent, stats.data_received);
        assert_eq!((sums, stats.timeouts, stats.digest_errors), ((2, 4, 6, 8), 10, 12));
        assert_eq!((stats.retries, stats.in_flight, stats.room), (18, 7, 8));
        let pdus = [Opcode::LoginRequest, Opcode::Reject, Opcode::NopOut].map(|opcode| stats.pdus(opcode));
        assert_eq!(pdus, [2, 2, 0]);
    }
}
