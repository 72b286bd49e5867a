//! A message as a whole (RFC 4171, sections 5.2, 5.6 and 5.7).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::attribute::attributes;
use super::header::{HEADER_LEN, MAX_PAYLOAD};
use super::{Attribute, Flags, Function, Header, IsnsError, Status, Tag};

/// The longest message that is sent or taken, in bytes: 16 MiB, some 100,000 targets with a portal each.
pub const MAX_MESSAGE: usize = 16 << 20;

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    function: Function,
    transaction: u16,
    /// Flags of the message, without those that say which PDU it is.
    flags: Flags,
    payload: Bytes,
}

/// What a response holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// How the request ended. Anything but success refuses the whole of it.
    pub status: Status,
    /// What stands before the delimiter; everything if there is none.
    pub key: Vec<Attribute>,
    /// What stands behind the delimiter. In here, delimiters are attributes as any other.
    pub operating: Vec<Attribute>,
}

impl Message {
    /// A request of a client.
    pub fn request(function: Function, transaction: u16, attributes: &[Attribute]) -> Self {
        Self { function, transaction, flags: Flags::CLIENT, payload: payload(None, attributes) }
    }

    /// The response of a server to a request of this function.
    pub fn response(function: Function, transaction: u16, status: Status, attributes: &[Attribute]) -> Self {
        let payload = payload(Some(status), attributes);
        Self { function: function.response(), transaction, flags: Flags::SERVER, payload }
    }

    /// From the PDUs that were joined.
    pub(super) const fn joined(function: Function, transaction: u16, flags: Flags, payload: Bytes) -> Self {
        Self { function, transaction, flags, payload }
    }

    /// What it is for.
    pub const fn function(&self) -> Function {
        self.function
    }

    /// Which request and response belong together.
    pub const fn transaction(&self) -> u16 {
        self.transaction
    }

    /// Who sends it, and whether what is registered replaces what was.
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// The attributes of a request.
    pub fn attributes(&self) -> Result<Vec<Attribute>, IsnsError> {
        attributes(self.payload.clone())
    }

    /// Status and attributes of a response. The attributes of one that refuses are not looked at.
    pub fn answer(&self) -> Result<Answer, IsnsError> {
        let mut payload = self.payload.clone();
        let status = Status(payload.try_get_u32().map_err(|_| IsnsError::NoStatus)?);
        if status != Status::SUCCESS {
            return Ok(Answer { status, key: Vec::new(), operating: Vec::new() });
        }
        let mut key = attributes(payload)?;
        let operating = match key.iter().position(|attribute| attribute.tag == Tag::DELIMITER) {
            Some(place) => key.drain(place..).skip(1).collect(),
            None => Vec::new(),
        };
        Ok(Answer { status, key, operating })
    }

    /// Appends the PDUs of the message, as few as possible.
    pub fn encode(&self, to: &mut BytesMut) -> Result<(), IsnsError> {
        self.encode_in(MAX_PAYLOAD, to)
    }

    /// Appends the PDUs of the message, with at most this many bytes of payload in each: a multiple of four of at least
    /// four and at most [`MAX_PAYLOAD`] bytes; other values are brought to the next one below.
    pub fn encode_in(&self, max: usize, to: &mut BytesMut) -> Result<(), IsnsError> {
        let max = (max & !3).clamp(4, MAX_PAYLOAD);
        let count = self.payload.len().div_ceil(max).max(1);
        if self.payload.len() > MAX_MESSAGE || count > usize::from(u16::MAX) + 1 {
            return Err(IsnsError::TooLong);
        }
        to.reserve(self.payload.len() + count * HEADER_LEN);
        for place in 0..count {
            let start = place * max;
            let part = self.payload.slice(start..self.payload.len().min(start + max));
            let flags = self.flags.with(Flags::FIRST, place == 0).with(Flags::LAST, place + 1 == count);
            let (function, transaction) = (self.function, self.transaction);
            let header = Header { function, len: part.len() as u16, flags, transaction, sequence: place as u16 };
            header.encode(to);
            to.put(part);
        }
        Ok(())
    }
}

fn payload(status: Option<Status>, attributes: &[Attribute]) -> Bytes {
    let mut payload = BytesMut::new();
    if let Some(status) = status {
        payload.put_u32(status.0);
    }
    for attribute in attributes {
        attribute.encode(&mut payload);
    }
    payload.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Attribute {
        Attribute::text(Tag::NAME, text)
    }

    #[test]
    fn a_query_looks_as_in_the_standard() {
        let query = Message::request(
            Function::QUERY,
            9,
            &[name("abc"), Attribute::number(Tag::NODE_TYPE, 1), Attribute::DELIMITER, Attribute::empty(Tag::NAME)],
        );
        let mut wire = BytesMut::new();
        query.encode(&mut wire).unwrap();
        assert_eq!(
            &wire[..],
            b"\0\x01\0\x02\0\x28\x8c\0\0\x09\0\0\
              \0\0\0\x20\0\0\0\x04abc\0\0\0\0\x21\0\0\0\x04\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0\0"
        );
    }

    #[test]
    fn an_answer_has_a_key_a_delimiter_and_the_rest() {
        let answer = |status, attributes: &[_]| Message::response(Function::QUERY, 1, status, attributes).answer();
        let [a, b] = [name("a"), name("b")];
        let whole = answer(Status::SUCCESS, &[a.clone(), Attribute::DELIMITER, b.clone(), Attribute::DELIMITER]);
        let operating = vec![b, Attribute::DELIMITER];
        assert_eq!(whole, Ok(Answer { status: Status::SUCCESS, key: vec![a.clone()], operating }));
        let bare = Answer { status: Status::SUCCESS, key: vec![a.clone()], operating: vec![] };
        assert_eq!(answer(Status::SUCCESS, std::slice::from_ref(&a)), Ok(bare));
        let refused = Answer { status: Status::BUSY, key: vec![], operating: vec![] };
        assert_eq!(answer(Status::BUSY, &[a]), Ok(refused));
        assert_eq!(Message::request(Function::QUERY, 1, &[]).answer(), Err(IsnsError::NoStatus));
    }

    #[test]
    fn a_message_is_cut_at_whole_words_and_marked() {
        let message = Message::request(Function::REGISTER, 1, &[name("abcdefg"), name("h")]);
        for (max, lens) in [(0, vec![4; 7]), (7, vec![4; 7]), (8, vec![8, 8, 8, 4]), (99_999, vec![28])] {
            let mut wire = BytesMut::new();
            message.encode_in(max, &mut wire).unwrap();
            let mut found = Vec::new();
            while let Some(header) = Header::read(&wire).unwrap() {
                assert_eq!(usize::from(header.sequence), found.len());
                assert_eq!(header.flags.has(Flags::FIRST), found.is_empty());
                assert_eq!(header.flags.has(Flags::LAST), found.len() + 1 == lens.len());
                found.push(usize::from(header.len));
                wire.advance(HEADER_LEN + usize::from(header.len));
            }
            assert_eq!((found, wire.len()), (lens, 0));
        }
    }

    #[test]
    fn what_sixteen_bits_cannot_number_is_not_sent() {
        let long = Attribute { tag: Tag(4096), value: vec![0; MAX_MESSAGE - 8].into() };
        let message = Message::request(Function::REGISTER, 1, std::slice::from_ref(&long));
        let mut wire = BytesMut::new();
        assert_eq!(message.encode_in(4, &mut wire), Err(IsnsError::TooLong));
        assert_eq!(message.encode(&mut wire), Ok(()));
        wire.clear();
        let message = Message::request(Function::REGISTER, 1, &[long, Attribute::DELIMITER]);
        assert_eq!(message.encode(&mut wire), Err(IsnsError::TooLong));
        assert!(wire.is_empty());
    }
}
