//! Joins the PDUs of a stream to messages (RFC 4171, section 5.2).

use bytes::{Buf, BytesMut};

use super::header::HEADER_LEN;
use super::message::MAX_MESSAGE;
use super::{Flags, Function, Header, IsnsError, Message};

/// The flags that are about one PDU.
const OF_A_PDU: u16 = Flags::FIRST.0 | Flags::LAST.0;

/// Takes the bytes of one direction of a connection and gives messages.
///
/// It holds at most one PDU that is incomplete beside a message of up to [`MAX_MESSAGE`] bytes.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    partial: Option<Partial>,
}

/// A message of which some PDUs have come.
#[derive(Debug)]
struct Partial {
    function: Function,
    transaction: u16,
    flags: Flags,
    /// The sequence ID that is due.
    sequence: u32,
    payload: BytesMut,
}

impl Reader {
    /// Where bytes that have arrived are put, at the end.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next message; `None` while it is incomplete. After an error the stream has to be given up.
    pub fn next_message(&mut self) -> Result<Option<Message>, IsnsError> {
        while let Some(header) = Header::read(&self.buffer)? {
            let end = HEADER_LEN + usize::from(header.len);
            if self.buffer.len() < end {
                return Ok(None);
            }
            let mut pdu = self.buffer.split_to(end);
            pdu.advance(HEADER_LEN);
            let mut partial = match self.partial.take() {
                None => Partial::begin(&header),
                Some(partial) => partial,
            };
            partial.add(&header, pdu)?;
            if header.flags.has(Flags::LAST) {
                return Ok(Some(partial.end()));
            }
            self.partial = Some(partial);
        }
        Ok(None)
    }
}

impl Partial {
    fn begin(header: &Header) -> Self {
        let flags = Flags(header.flags.0 & !OF_A_PDU);
        let (function, transaction) = (header.function, header.transaction);
        Self { function, transaction, flags, sequence: 0, payload: BytesMut::new() }
    }

    fn add(&mut self, header: &Header, payload: BytesMut) -> Result<(), IsnsError> {
        let (expected, found) = (self.sequence, header.sequence);
        if (header.function, header.transaction) != (self.function, self.transaction) {
            return Err(IsnsError::Mixed { function: self.function, transaction: self.transaction });
        }
        if u32::from(found) != expected {
            return Err(IsnsError::Sequence { expected, found });
        }
        if header.flags.has(Flags::FIRST) != (expected == 0) {
            return Err(IsnsError::First { sequence: expected });
        }
        if payload.len() > MAX_MESSAGE - self.payload.len() {
            return Err(IsnsError::TooLong);
        }
        // The whole of a message that is one PDU stays where it is.
        self.payload.unsplit(payload);
        self.sequence += 1;
        Ok(())
    }

    fn end(self) -> Message {
        Message::joined(self.function, self.transaction, self.flags, self.payload.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::isns::{Attribute, Status, Tag};

    fn message(text: &str) -> Message {
        let name = Attribute::text(Tag::NAME, text);
        Message::response(Function::QUERY, 5, Status::SUCCESS, &[Attribute::DELIMITER, name])
    }

    fn wire(message: &Message, max: usize) -> BytesMut {
        let mut wire = BytesMut::new();
        message.encode_in(max, &mut wire).unwrap();
        wire
    }

    /// All messages up to the first error, and that error.
    fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Option<IsnsError>) {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        for part in parts {
            reader.buffer().extend_from_slice(part);
            loop {
                match reader.next_message() {
                    Ok(Some(message)) => found.push(message),
                    Ok(None) => break,
                    Err(error) => return (found, Some(error)),
                }
            }
        }
        (found, None)
    }

    /// A PDU of DevAttrQryRsp with four bytes of payload.
    fn pdu(flags: u16, transaction: u16, sequence: u16) -> Vec<u8> {
        let mut wire = Vec::new();
        let flags = Flags(flags | Flags::SERVER.0);
        Header { function: Function::QUERY.response(), len: 4, flags, transaction, sequence }.encode(&mut wire);
        wire.extend([0; 4]);
        wire
    }

    const FIRST: u16 = Flags::FIRST.0;
    const LAST: u16 = Flags::LAST.0;

    ///
    #[test]
    fn r155_a_message_in_three_pdus_is_the_message_in_one() {
        let message = message("abcdefghij");
        let (one, three) = (wire(&message, 1000), wire(&message, 12));
        assert_eq!(three.len(), one.len() + 2 * HEADER_LEN);
        assert_eq!(read([&one[..]]), (vec![message.clone()], None));
        assert_eq!(read([&three[..]]), (vec![message], None));
    }

    ///
    #[test]
    fn r155_pdus_are_numbered_from_zero_without_gaps() {
        let bad = |pdus: &[Vec<u8>]| read([&pdus.concat()[..]]).1;
        let sequence = |expected, found| Some(IsnsError::Sequence { expected, found });
        assert_eq!(bad(&[pdu(FIRST | LAST, 1, 0)]), None);
        assert_eq!(bad(&[pdu(FIRST | LAST, 1, 1)]), sequence(0, 1));
        assert_eq!(bad(&[pdu(FIRST, 1, 0), pdu(LAST, 1, 2)]), sequence(1, 2));
        assert_eq!(bad(&[pdu(FIRST, 1, 0), pdu(LAST, 1, 0)]), sequence(1, 0));
        assert_eq!(bad(&[pdu(FIRST, 1, 0), pdu(0, 1, 1), pdu(LAST, 1, 1)]), sequence(2, 1));
    }

    ///
    #[test]
    fn r155_pdus_of_two_messages_are_not_joined() {
        let mixed = IsnsError::Mixed { function: Function::QUERY.response(), transaction: 1 };
        assert_eq!(read([&[pdu(FIRST, 1, 0), pdu(LAST, 2, 1)].concat()[..]]).1, Some(mixed));
        let mut other = pdu(LAST, 1, 1);
        other[3] = 1;
        assert_eq!(read([&[pdu(FIRST, 1, 0), other].concat()[..]]).1, Some(mixed));
    }

    ///
    #[test]
    fn r155_the_first_pdu_is_marked_and_no_other() {
        let error = |pdus: &[Vec<u8>]| read([&pdus.concat()[..]]).1;
        assert_eq!(error(&[pdu(LAST, 1, 0)]), Some(IsnsError::First { sequence: 0 }));
        assert_eq!(error(&[pdu(FIRST, 1, 0), pdu(FIRST | LAST, 1, 1)]), Some(IsnsError::First { sequence: 1 }));
    }

    ///
    #[test]
    fn r154_a_message_without_a_last_pdu_is_none() {
        assert_eq!(read([&[pdu(FIRST, 1, 0), pdu(0, 1, 1), pdu(0, 1, 2)].concat()[..]]), (vec![], None));
    }

    #[test]
    fn messages_without_a_last_pdu_end_in_time() {
        let header = |sequence| {
            let flags = Flags(Flags::SERVER.0 | if sequence == 0 { FIRST } else { 0 });
            Header { function: Function::QUERY, len: 0xfffc, flags, transaction: 1, sequence }
        };
        let mut reader = Reader::default();
        for sequence in 0.. {
            header(sequence).encode(reader.buffer());
            reader.buffer().resize(HEADER_LEN + 0xfffc, 0);
            match reader.next_message() {
                Ok(None) => assert!((usize::from(sequence) + 1) * 0xfffc <= MAX_MESSAGE),
                end => {
                    assert_eq!((end, sequence), (Err(IsnsError::TooLong), 256));
                    return;
                }
            }
        }
    }

    #[test]
    fn pdus_without_payload_end_too() {
        let (mut reader, mut flags) = (Reader::default(), FIRST);
        for sequence in 0..=u16::MAX {
            Header { function: Function::QUERY, len: 0, flags: Flags(flags), transaction: 1, sequence }
                .encode(reader.buffer());
            assert_eq!(reader.next_message(), Ok(None));
            flags = 0;
        }
        Header { function: Function::QUERY, len: 0, flags: Flags(0), transaction: 1, sequence: 0 }
            .encode(reader.buffer());
        assert_eq!(reader.next_message(), Err(IsnsError::Sequence { expected: 65536, found: 0 }));
    }

    proptest! {
        #[test]
        fn r298_any_bytes_are_messages_or_an_error(bytes: Vec<u8>, piece in 1_usize..20) {
            let whole = read([&bytes[..]]);
            prop_assert_eq!(&read(bytes.chunks(piece)), &whole);
            for message in whole.0 {
                let _ = (message.attributes(), message.answer());
            }
        }

        ///
        #[test]
        fn r155_a_message_may_be_cut_anywhere(texts: Vec<String>, max in 1_usize..60, piece in 1_usize..50) {
            let sent: Vec<_> = texts.iter().map(|text| message(text)).collect();
            let wire: Vec<u8> = sent.iter().flat_map(|message| wire(message, max)).collect();
            prop_assert_eq!(read(wire.chunks(piece)), (sent, None));
        }
    }
}
