//! Servers that break rules, are slow, or go away, over a pipe in memory and in virtual time.

use std::time::Duration;

use bytes::BytesMut;
use iscsi_initiator::core::isns::{IsnsError, MAX_STRAYS, Registration};
use iscsi_initiator::core::targets::Targets;
use iscsi_initiator::{ConnectError, Discovery, Phase};
use iscsi_proto::isns::{self, Attribute, Flags, Function, HEADER_LEN, Message, Reader, Status, Tag};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use crate::initiator;

const DISK: &str = "iqn.2026-01.org.example:disk";
const SECOND: Duration = Duration::from_secs(1);

/// The server's end of the pipe.
struct Server {
    io: DuplexStream,
    reader: Reader,
}

impl Server {
    /// The next request; `None` when the client has gone.
    async fn request(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.reader.next_message().unwrap() {
                return Some(message);
            }
            if self.io.read_buf(self.reader.buffer()).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The client may have gone for good reason.
        let _ = self.io.write_all(bytes).await;
    }
}

/// Asks a server that runs beside it.
async fn ask<F>(discovery: Discovery, server: impl FnOnce(Server) -> F) -> Result<Targets, ConnectError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = duplex(1 << 20);
    let server = tokio::spawn(server(Server { io: theirs, reader: Reader::default() }));
    let found = discovery.isns_with(ours).await;
    server.await.unwrap();
    found
}

/// What comes of an answer to the query that is made by `wire`; the server says nothing more, and stays.
async fn answered(wire: impl FnOnce(&Message) -> Vec<u8> + Send + 'static) -> Result<Targets, ConnectError> {
    ask(Discovery::new(&initiator()), |mut server| async move {
        let query = server.request().await.unwrap();
        server.send(&wire(&query)).await;
        assert_eq!(server.request().await, None);
    })
    .await
}

fn error(found: Result<Targets, ConnectError>) -> IsnsError {
    match found {
        Err(ConnectError::Isns(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn disk() -> Vec<Attribute> {
    vec![
        Attribute::DELIMITER,
        Attribute::text(Tag::NAME, DISK),
        Attribute::number(Tag::NODE_TYPE, 1),
        Attribute::address(Tag::PORTAL_ADDRESS, "127.0.0.1".parse().unwrap()),
        Attribute::number(Tag::PORTAL_PORT, 3260),
        Attribute::number(Tag::GROUP_TAG, 1),
    ]
}

/// The PDUs of the right answer, each with at most this many bytes.
fn pdus(query: &Message, max: usize) -> Vec<Vec<u8>> {
    let message = Message::response(query.function(), query.transaction(), Status::SUCCESS, &disk());
    let mut wire = BytesMut::new();
    message.encode_in(max, &mut wire).unwrap();
    let mut pdus = Vec::new();
    while let Some(header) = isns::Header::read(&wire).unwrap() {
        pdus.push(wire.split_to(HEADER_LEN + usize::from(header.len)).to_vec());
    }
    pdus
}

fn one(query: &Message) -> Vec<u8> {
    pdus(query, 1000).concat()
}

fn is_disk(found: &Targets) -> bool {
    matches!(&found.targets[..], [target] if target.name.as_str() == DISK && target.addresses[0].to_string() == "127.0.0.1:3260,1")
}

///
#[tokio::test(start_paused = true)]
async fn r155_an_answer_in_three_pdus_is_put_together() {
    let found = answered(|query| {
        let three = pdus(query, 48);
        assert_eq!(three.len(), 3);
        three.concat()
    });
    assert!(is_disk(&found.await.unwrap()));
}

///
#[tokio::test(start_paused = true)]
async fn r155_a_gap_in_the_sequence_ends_the_conversation() {
    let found = answered(|query| {
        let mut three = pdus(query, 48);
        three.remove(1);
        three.concat()
    });
    let sequence = isns::IsnsError::Sequence { expected: 1, found: 2 };
    assert_eq!(error(found.await), IsnsError::Message(sequence));
}

///
#[tokio::test(start_paused = true)]
async fn r155_an_answer_of_another_transaction_is_none() {
    let found = answered(|query| {
        let mut wire = one(query);
        wire[9] ^= 0x80;
        wire
    });
    assert_eq!(error(found.await), IsnsError::WrongTransaction { expected: 1, found: 0x81 });
}

///
#[tokio::test(start_paused = true)]
async fn r155_a_length_that_is_no_multiple_of_four_is_refused() {
    let found = answered(|query| {
        let mut wire = one(query);
        wire[5] += 2;
        wire
    });
    assert!(matches!(error(found.await), IsnsError::Message(isns::IsnsError::Length(_))));
}

///
#[tokio::test(start_paused = true)]
async fn r154_an_attribute_that_is_longer_than_its_message_is_refused() {
    for len in [64_u32, 0x8000_0000, u32::MAX - 3] {
        let found = answered(move |query| {
            let mut wire = one(query);
            // The length of the name: behind header, status, and delimiter.
            wire[HEADER_LEN + 16..HEADER_LEN + 20].copy_from_slice(&len.to_be_bytes());
            let cut = HEADER_LEN + 60;
            wire.truncate(cut);
            wire[5] = (cut - HEADER_LEN) as u8;
            wire
        });
        let expected = isns::IsnsError::Truncated { tag: Tag::NAME, len, left: 40 };
        assert_eq!(error(found.await), IsnsError::Message(expected));
    }
}

///
#[tokio::test(start_paused = true)]
async fn r154_an_attribute_without_padding_is_refused() {
    let found = answered(|query| {
        let mut wire = one(query);
        wire[HEADER_LEN + 19] -= 1;
        wire
    });
    assert!(matches!(error(found.await), IsnsError::Message(isns::IsnsError::Padding { tag: Tag::NAME, .. })));
}

///
#[tokio::test(start_paused = true)]
async fn r154_a_status_other_than_success_is_an_error() {
    let found = answered(|query| {
        let mut wire = BytesMut::new();
        let refusal = Message::response(query.function(), query.transaction(), Status::SOURCE_UNAUTHORIZED, &disk());
        refusal.encode(&mut wire).unwrap();
        wire.to_vec()
    });
    assert_eq!(error(found.await), IsnsError::QueryRefused { status: Status::SOURCE_UNAUTHORIZED });
}

///
#[tokio::test(start_paused = true)]
async fn r154_a_message_that_never_ends_is_given_up_in_time() {
    let start = Instant::now();
    let found = answered(|query| {
        let mut wire = one(query);
        wire[6] &= !0x08;
        wire
    });
    let timed_out = found.await.unwrap_err();
    let after = Duration::from_secs(15);
    assert!(matches!(timed_out, ConnectError::TimedOut { phase: Phase::Isns, after: limit } if limit == after));
    assert_eq!(start.elapsed(), after);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_drop_by_drop_is_given_up_in_time() {
    let start = Instant::now();
    let found = ask(Discovery::new(&initiator()), |mut server| async move {
        let query = server.request().await.unwrap();
        for byte in one(&query) {
            server.send(&[byte]).await;
            sleep(SECOND).await;
        }
    });
    assert!(matches!(found.await, Err(ConnectError::TimedOut { phase: Phase::Isns, .. })));
    assert!(start.elapsed() >= Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn all_answers_together_have_a_limit_too() {
    let start = Instant::now();
    let found = ask(Discovery::new(&initiator()), |mut server| async move {
        let query = server.request().await.unwrap();
        let mut inquiry = BytesMut::new();
        Message::request(Function::INQUIRY, 1, &[]).encode(&mut inquiry).unwrap();
        for _ in 0..6 {
            sleep(14 * SECOND).await;
            server.send(&inquiry).await;
        }
        server.send(&one(&query)).await;
    });
    let limit = Duration::from_secs(60);
    assert!(matches!(found.await, Err(ConnectError::TimedOut { phase: Phase::Isns, after }) if after == limit));
    assert!(start.elapsed() >= limit);
}

#[tokio::test(start_paused = true)]
async fn inquiries_of_the_server_are_passed_over_and_a_flood_is_not() {
    for (count, good) in [(usize::from(MAX_STRAYS), true), (1000, false)] {
        let found = answered(move |query| {
            let mut wire = BytesMut::new();
            for _ in 0..count {
                Message::request(Function::NOTIFICATION, 9, &disk()).encode(&mut wire).unwrap();
            }
            [&wire[..], &one(query)].concat()
        });
        match found.await {
            Ok(found) => assert!(good && is_disk(&found)),
            other => assert!(!good && error(other) == IsnsError::TooManyStrays),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_is_told() {
    for keep in [0, 1, HEADER_LEN, HEADER_LEN + 30] {
        let found = ask(Discovery::new(&initiator()), move |mut server| async move {
            let query = server.request().await.unwrap();
            server.send(&one(&query)[..keep]).await;
        });
        assert_eq!(error(found.await), IsnsError::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_without_bound_is_refused() {
    let found = ask(Discovery::new(&initiator()), |mut server| async move {
        let query = server.request().await.unwrap();
        for sequence in 0_u16..300 {
            let mut wire = BytesMut::new();
            let flags = Flags::SERVER.with(Flags::FIRST, sequence == 0);
            let (function, transaction) = (query.function().response(), query.transaction());
            isns::Header { function, len: 0xfffc, flags, transaction, sequence }.encode(&mut wire);
            wire.resize(HEADER_LEN + 0xfffc, 0);
            server.send(&wire).await;
        }
    });
    assert_eq!(error(found.await), IsnsError::Message(isns::IsnsError::TooLong));
}

#[tokio::test(start_paused = true)]
async fn who_registered_leaves_again() {
    let registration = Discovery::new(&initiator()).registration(Registration::Always);
    let found = ask(registration, |mut server| async move {
        for (function, attributes) in
            [(Function::REGISTER, vec![]), (Function::QUERY, disk()), (Function::DEREGISTER, vec![])]
        {
            let request = server.request().await.unwrap();
            assert_eq!(request.function(), function);
            let mut wire = BytesMut::new();
            let response = Message::response(function, request.transaction(), Status::SUCCESS, &attributes);
            response.encode(&mut wire).unwrap();
            server.send(&wire).await;
        }
        assert_eq!(server.request().await, None);
    });
    assert!(is_disk(&found.await.unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    ///
    #[test]
    fn r298_an_answer_with_any_byte_changed_is_an_answer_or_an_error(place in 0_usize..200, value: u8, cut in 0_usize..400) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let found = runtime.block_on(ask(Discovery::new(&initiator()), move |mut server| async move {
            let query = server.request().await.unwrap();
            let mut wire = one(&query);
            let len = wire.len();
            wire[place % len] = value;
            wire.truncate(cut);
            server.send(&wire).await;
        }));
        match found {
            Ok(found) => prop_assert!(found.targets.len() <= 1),
            Err(ConnectError::Isns(_) | ConnectError::TimedOut { .. }) => {}
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
