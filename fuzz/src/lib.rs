//! What each fuzz target does with its input. A broken property panics.
//!
//! The plain tests of iscsi-proto include this file to replay the corpus, so it knows nothing of a fuzzer.

mod scsi;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use bytes::BytesMut;
use iscsi_proto::framer::{Frame, FrameError, FrameLimits, Framer, encode_frame};
use iscsi_proto::isid::Isid;
use iscsi_proto::isns::{IsnsError, Message, Reader};
use iscsi_proto::keys::negotiate::{NegotiateError, Outcome, answer, conclude, declared};
use iscsi_proto::keys::text::{self, TextBuffer};
use iscsi_proto::keys::{Key, ValueKind, value};
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::{BHS_LEN, Header, Pdu, parse_ahs, split_sense};
use iscsi_proto::portal::{Host, Portal, TargetAddress};
use iscsi_proto::scsi::Lun;

const MAX_DATA: u32 = 4096;

/// A byte of flags, the length of pieces, and a stream of bytes.
///
/// The stream gives the same frames whole and in pieces, and its frames survive being sent with digests.
pub fn framer(input: &[u8]) {
    let Some((&[flags, piece], stream)) = input.split_first_chunk() else { return };
    let limits = FrameLimits {
        max_data: MAX_DATA,
        allow_ahs: flags & 1 != 0,
        header_digest: flags & 2 != 0,
        data_digest: flags & 4 != 0,
    };
    let pieces = stream.chunks(usize::from(piece).max(1));
    assert_eq!(frames(limits, pieces), frames(limits, [stream]));

    let plain = FrameLimits { header_digest: false, data_digest: false, ..limits };
    let (sent, _) = frames(plain, [stream]);
    let mut wire = BytesMut::new();
    for frame in &sent {
        let Frame { header, ahs, data } = frame;
        encode_frame(*header, ahs, data, limits.header_digest, limits.data_digest, &mut wire);
    }
    assert_eq!(frames(limits, [&wire[..]]), (sent, None));
}

/// A header, and an area behind it that is read as additional header segments and as a data segment with sense data.
pub fn pdu(input: &[u8]) {
    let Some(header) = Header::read(input) else { return };
    if let Ok(pdu) = Pdu::parse(&header) {
        assert_eq!(Pdu::parse(&pdu.encode()), Ok(pdu));
    }
    let area = input.get(BHS_LEN..).unwrap_or_default();
    if let Ok(all) = parse_ahs(area) {
        let mut bytes = Vec::new();
        for ahs in &all {
            ahs.encode_to(&mut bytes);
        }
        assert_eq!(parse_ahs(&bytes), Ok(all));
    }
    if let Ok((sense, rest)) = split_sense(area) {
        assert!(area.is_empty() || sense.len() + rest.len() + 2 == area.len());
    }
}

/// Key=value text. Each value is an offer for its key, and the value before it our own wish and the peer's answer.
pub fn text(input: &[u8]) {
    let parsed = text::parse(input);
    let (head, tail) = input.split_at(input.len() / 2);
    if !head.is_empty() {
        let mut buffer = TextBuffer::default();
        assert_eq!(buffer.push(head, true), Ok(None));
        assert_eq!(buffer.push(tail, false), parsed.clone().map(Some));
    }
    let Ok(pairs) = parsed else { return };
    let again = text::encode(pairs.iter().map(|pair| (&pair.key, &pair.value)));
    assert_eq!(text::parse(&again).as_ref(), Ok(&pairs));
    let mut last = "";
    for pair in &pairs {
        printable(pair);
        if let Some(key) = Key::from_name(&pair.key) {
            negotiate(key, &pair.value, last);
        }
        last = &pair.value;
    }
}

/// A name, a host, a portal, a target address, an ISID or a LUN.
pub fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(name) = round_trip::<IscsiName>(text) {
        assert_eq!(name.as_str().parse().as_ref(), Ok(&name));
        assert_eq!(name.as_written().parse().as_ref(), Ok(&name));
    }
    round_trip::<Host>(text);
    round_trip::<Isid>(text);
    round_trip::<Lun>(text);
    let portal = round_trip::<Portal>(text);
    let address = round_trip::<TargetAddress>(text);
    assert!(portal.is_none_or(|portal| portal.port != 0 && address == Some(portal.into())));
}

/// Bytes that are read as each kind of SCSI data, and as a CDB.
pub fn sense(input: &[u8]) {
    scsi::data(input);
    scsi::pages(input);
    scsi::lists(input);
    scsi::command(input);
}

/// The length of pieces, that of payloads, and a stream of iSNS messages.
///
/// The stream gives the same messages whole and in pieces, and they survive being cut into PDUs anew. What their attributes
/// hold is printed without harm.
pub fn isns(input: &[u8]) {
    let Some((&[piece, payload], stream)) = input.split_first_chunk() else { return };
    let pieces = stream.chunks(usize::from(piece).max(1));
    let (sent, error) = messages(pieces);
    assert_eq!(messages([stream]), (sent.clone(), error));
    if let Some(error) = error {
        printable(&error);
    }
    let mut wire = BytesMut::new();
    for message in &sent {
        assert_eq!(message.encode_in(usize::from(payload), &mut wire), Ok(()));
        let answer = message.answer().map(|answer| [answer.key, answer.operating].concat());
        for attribute in message.attributes().into_iter().chain(answer).flatten() {
            let _ = (attribute.as_text(), attribute.as_number(), attribute.as_address());
            printable(&attribute.tag);
        }
    }
    assert_eq!(messages([&wire[..]]), (sent, None));
}

/// All messages up to the first error, and that error.
fn messages<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Option<IsnsError>) {
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

/// All frames up to the first error, and that error.
fn frames<'a>(limits: FrameLimits, parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let (mut framer, mut frames, mut fed) = (Framer::new(limits), Vec::new(), 0);
    for part in parts {
        fed += part.len();
        framer.feed(part);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(framer.buffer().capacity() <= 4 * (fed + MAX_DATA as usize + BHS_LEN));
    }
    (frames, None)
}

/// An answer of ours has to be one that we would take, and what was agreed has to be stable.
fn negotiate(key: Key, offer: &str, other: &str) {
    let default = key.spec().default.unwrap_or_default();
    for ours in [other, default] {
        match answer(key, offer, ours) {
            Ok(reply) => assert!(conclude(key, offer, &reply).is_ok(), "{key}={offer:?}, {reply:?}"),
            Err(error) => check_error(&error),
        }
    }
    match conclude(key, offer, other) {
        Ok(Outcome::Agreed(agreed)) => {
            assert_eq!(conclude(key, offer, &agreed), Ok(Outcome::Agreed(agreed.clone())));
        }
        Ok(_) => {}
        Err(error) => check_error(&error),
    }
    match (declared(key, offer), key.spec().value) {
        (Ok(()), ValueKind::Binary { max }) => check_binary(offer, max),
        (Ok(()), _) => {}
        (Err(error), _) => check_error(&error),
    }
}

fn check_binary(text: &str, max: usize) {
    let decoded = value::binary(text, max);
    let Ok(bytes) = &decoded else { return };
    assert!(bytes.len() <= max);
    assert_eq!(value::binary(&value::hex(bytes), max), decoded);
    assert_eq!(value::binary(&value::base64(bytes), max), decoded);
}

fn check_error(error: &NegotiateError) {
    printable(error);
    assert!(error.to_string().len() < 4096);
}

/// Parses `text`; what comes out has to print as text that parses to the same, and an error as something harmless.
fn round_trip<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display> + Display + Debug + PartialEq,
{
    match text.parse::<T>() {
        Ok(value) => {
            printable(&value);
            assert_eq!(value.to_string().parse().ok().as_ref(), Some(&value));
            Some(value)
        }
        Err(error) => {
            printable(&error);
            None
        }
    }
}

/// No text of a peer may drive the terminal that it is printed on.
fn printable(value: &impl Display) {
    let text = value.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
