//! Secrets in login, made unreadable without a change of length.

use iscsi_proto::pdu::padding;

/// What stands for every byte of a value that is kept back.
const FILL: u8 = b'*';
/// Bytes of a basic header segment.
const HEADER: usize = 48;
/// The opcodes of Login Request and Login Response.
const LOGIN: [u8; 2] = [0x03, 0x23];
/// Where and what the bits are: opcode in byte 0, C bit in byte 1, TotalAHSLength in byte 4, DataSegmentLength in 5 to 7.
const OPCODE: u8 = 0x3f;
const CONTINUE: u8 = 0x40;
/// No key that holds a secret is longer.
const MAX_KEY: usize = 63;

/// Goes over one direction of a connection from its first byte on, and overwrites the values of keys that tell, or help
/// to guess, a secret: CHAP_R and the keys of SRP, Kerberos and SPKM.
///
/// Bytes may come in pieces of any size. Login PDUs have no digests, so nothing else has to change with the values. From
/// the first PDU on that is not of the login phase, all bytes are left alone.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    state: State,
    text: Text,
}

#[derive(Debug)]
enum State {
    /// The bytes of a header so far.
    Header(Vec<u8>),
    /// What is still to come of a login PDU.
    Data { ahs: usize, data: usize, pad: usize, more: bool },
    /// Login is over.
    Over,
}

/// Where in the key=value text the stream is. A pair may reach from one PDU into the next.
#[derive(Debug, Default)]
enum Text {
    #[default]
    Start,
    Key(Vec<u8>),
    Value {
        secret: bool,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Vec::with_capacity(HEADER))
    }
}

impl Redactor {
    /// Overwrites what has to stay secret in the bytes that come next.
    pub(super) fn redact(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            match &mut self.state {
                State::Over => return,
                State::Header(header) => {
                    header.push(*byte);
                    self.state = next(std::mem::take(header));
                }
                State::Data { ahs, .. } if *ahs != 0 => *ahs -= 1,
                State::Data { data, .. } if *data != 0 => {
                    *data -= 1;
                    *byte = self.text.step(*byte);
                }
                State::Data { pad, .. } => *pad = pad.saturating_sub(1),
            }
            self.end_of_pdu();
        }
    }

    fn end_of_pdu(&mut self) {
        if let State::Data { ahs: 0, data: 0, pad: 0, more } = self.state {
            if !more {
                self.text = Text::Start;
            }
            self.state = State::default();
        }
    }
}

/// What follows the header bytes so far.
fn next(header: Vec<u8>) -> State {
    if header.first().is_some_and(|first| !LOGIN.contains(&(first & OPCODE))) {
        return State::Over;
    }
    let Ok([_, flags, _, _, ahs, a, b, c, ..]) = <[u8; HEADER]>::try_from(header.as_slice()) else {
        return State::Header(header);
    };
    let data = u32::from_be_bytes([0, a, b, c]) as usize;
    State::Data { ahs: usize::from(ahs) * 4, data, pad: padding(data), more: flags & CONTINUE != 0 }
}

impl Text {
    /// Takes a byte, and gives the one that may be shown in its place.
    fn step(&mut self, byte: u8) -> u8 {
        match self {
            _ if byte == 0 => *self = Self::Start,
            Self::Start => *self = Self::Key(vec![byte]),
            Self::Key(key) if byte == b'=' => *self = Self::Value { secret: is_secret(key) },
            Self::Key(key) if key.len() < MAX_KEY => key.push(byte),
            Self::Value { secret: true } => return FILL,
            Self::Key(_) | Self::Value { .. } => {}
        }
        byte
    }
}

fn is_secret(key: &[u8]) -> bool {
    let key = key.to_ascii_uppercase();
    key == b"CHAP_R" || [&b"SRP_"[..], b"KRB_", b"SPKM_"].iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"CHAP_N=alice\0CHAP_R=0x1234\0X=CHAP_R=9\0SRP_M=ab\0KRB_AP_REQ=c\0SPKM_REQ=d\0chap_r=e\0CHAP_RX=f\0";
    const SHOWN: &[u8] =
        b"CHAP_N=alice\0CHAP_R=******\0X=CHAP_R=9\0SRP_M=**\0KRB_AP_REQ=*\0SPKM_REQ=*\0chap_r=*\0CHAP_RX=f\0";

    fn pdu(opcode: u8, flags: u8, ahs: u8, data: &[u8]) -> Vec<u8> {
        let mut pdu = vec![0; HEADER + usize::from(ahs) * 4];
        (pdu[0], pdu[1], pdu[4]) = (opcode, flags, ahs);
        pdu[5..8].copy_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
        pdu.extend_from_slice(data);
        pdu.resize(pdu.len() + padding(data.len()), 0);
        pdu
    }

    /// Redacts in pieces of `piece` bytes.
    fn redacted(wire: &[u8], piece: usize) -> Vec<u8> {
        let (mut wire, mut redactor) = (wire.to_vec(), Redactor::default());
        wire.chunks_mut(piece).for_each(|chunk| redactor.redact(chunk));
        wire
    }

    #[test]
    fn secret_values_are_filled_whatever_the_pieces_are() {
        for (opcode, ahs) in [(0x43, 0), (0x03, 2), (0x23, 0)] {
            let wire = [pdu(opcode, 0, ahs, b"A=b\0"), pdu(opcode, 0x81, ahs, TEXT)].concat();
            let shown = [pdu(opcode, 0, ahs, b"A=b\0"), pdu(opcode, 0x81, ahs, SHOWN)].concat();
            for piece in [1, 2, 3, 47, 48, 49, 100, wire.len()] {
                assert_eq!(redacted(&wire, piece), shown, "{opcode:#x} {piece}");
            }
        }
    }

    #[test]
    fn a_value_that_goes_on_in_the_next_pdu_stays_filled() {
        for cut in 1..TEXT.len() {
            let wire = [pdu(0x43, 0x40, 0, &TEXT[..cut]), pdu(0x43, 0, 0, &TEXT[cut..])].concat();
            let shown = [pdu(0x43, 0x40, 0, &SHOWN[..cut]), pdu(0x43, 0, 0, &SHOWN[cut..])].concat();
            assert_eq!(redacted(&wire, 7), shown, "{cut}");
        }
    }

    #[test]
    fn a_text_that_ends_without_nul_does_not_reach_into_the_next() {
        let wire = [pdu(0x43, 0, 0, b"CHAP_R=1"), pdu(0x43, 0, 0, b"AB=2")].concat();
        let shown = [pdu(0x43, 0, 0, b"CHAP_R=*"), pdu(0x43, 0, 0, b"AB=2")].concat();
        assert_eq!(redacted(&wire, 5), shown);
    }

    #[test]
    fn after_login_nothing_is_touched() {
        let wire = [pdu(0x43, 0, 0, b"A=b\0"), pdu(0x01, 0, 0, TEXT), pdu(0x43, 0, 0, TEXT)].concat();
        assert_eq!(redacted(&wire, 11), wire);
        assert_eq!(redacted(b"HTTP/1.1 400 Bad Request\r\n", 4), b"HTTP/1.1 400 Bad Request\r\n");
    }
}
