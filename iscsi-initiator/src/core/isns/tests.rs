use iscsi_proto::isns::Reader;
use iscsi_proto::portal::TargetAddress;
use proptest::prelude::*;

use super::*;
use crate::core::targets::{MAX_ENTRIES, PortalFault, Skipped};

const HOST: &str = "iqn.2001-04.com.example:host";
const A: &str = "iqn.2001-04.com.example:a";
const B: &str = "iqn.2001-04.com.example:b";

fn config() -> IsnsConfig {
    IsnsConfig::new(HOST.parse().unwrap())
}

fn message(wire: &[u8]) -> Message {
    let mut reader = Reader::default();
    reader.buffer().extend_from_slice(wire);
    let message = reader.next_message().unwrap().unwrap();
    assert!(reader.buffer().is_empty());
    message
}

/// The response to a request.
fn response(request: &Message, status: Status, attributes: &[Attribute]) -> Message {
    Message::response(request.function(), request.transaction(), status, attributes)
}

fn sent(step: Result<Step, IsnsError>) -> (Isns, Message) {
    match step {
        Ok(Step::Send(isns, wire)) => (isns, message(&wire)),
        other => panic!("{other:?}"),
    }
}

fn done(step: Result<Step, IsnsError>) -> Targets {
    match step {
        Ok(Step::Done(found)) => found,
        other => panic!("{other:?}"),
    }
}

fn begin(config: IsnsConfig) -> (Isns, Message) {
    let (isns, wire) = Isns::new(config).unwrap();
    (isns, message(&wire))
}

fn name(text: &str) -> Attribute {
    Attribute::text(Tag::NAME, text)
}

fn kind(kind: u32) -> Attribute {
    Attribute::number(Tag::NODE_TYPE, kind)
}

fn portal(address: &str, port: u32) -> [Attribute; 2] {
    let address = Attribute::address(Tag::PORTAL_ADDRESS, address.parse().unwrap());
    [address, Attribute::number(Tag::PORTAL_PORT, port)]
}

fn group(address: &str, port: u32, tag: u32) -> [Attribute; 3] {
    let address = Attribute::address(Tag::GROUP_ADDRESS, address.parse().unwrap());
    [address, Attribute::number(Tag::GROUP_PORT, port), Attribute::number(Tag::GROUP_TAG, tag)]
}

/// What a query finds that is answered with these attributes.
fn find(attributes: &[Attribute]) -> Result<Targets, IsnsError> {
    let (isns, query) = begin(config());
    let whole: Vec<_> = [kind(1), Attribute::DELIMITER].iter().chain(attributes).cloned().collect();
    match isns.receive(&response(&query, Status::SUCCESS, &whole))? {
        Step::Done(found) => Ok(found),
        other => panic!("{other:?}"),
    }
}

/// The targets as lines of name and addresses.
fn lines(found: &Targets) -> Vec<String> {
    let line = |target: &crate::core::targets::DiscoveredTarget| {
        let addresses = target.addresses.iter().map(|address: &TargetAddress| format!(" {address}"));
        addresses.fold(target.name.to_string(), |line, address| line + &address)
    };
    found.targets.iter().map(line).collect()
}

///
#[test]
fn r154_targets_are_asked_for_in_the_name_of_the_initiator() {
    let (_, query) = begin(config());
    assert_eq!((query.function(), query.transaction()), (Function::QUERY, 1));
    let attributes = query.attributes().unwrap();
    assert_eq!(attributes[..3], [name(HOST), kind(1), Attribute::DELIMITER]);
    assert!(attributes[3..].iter().all(Attribute::is_empty));
    let wanted: Vec<u32> = attributes[3..].iter().map(|attribute| attribute.tag.0).collect();
    assert_eq!(wanted, [32, 33, 16, 17, 49, 50, 51]);
}

///
#[test]
fn r154_portals_and_their_groups_come_in_any_order() {
    let first = [name(A), kind(1)];
    let v6 = "[fd00::5]:3261";
    let interleaved = [
        &first[..],
        &portal("10.0.0.1", 3260),
        &group("10.0.0.1", 3260, 1),
        &portal("fd00::5", 3261),
        &group("fd00::5", 3261, 0xffff),
    ];
    let apart = [
        &first[..],
        &portal("10.0.0.1", 3260),
        &portal("fd00::5", 3261),
        &group("fd00::5", 3261, 0xffff),
        &group("10.0.0.1", 3260, 1),
    ];
    let short = [
        &first[..],
        &portal("10.0.0.1", 3260),
        &[Attribute::number(Tag::GROUP_TAG, 1)],
        &portal("fd00::5", 3261),
        &[Attribute::number(Tag::GROUP_TAG, 0xffff)],
    ];
    for attributes in [interleaved, apart, short] {
        let found = find(&attributes.concat()).unwrap();
        assert_eq!(lines(&found), [format!("{A} 10.0.0.1:3260,1 {v6},65535")]);
        assert_eq!(found.skipped, []);
    }
}

///
#[test]
fn r154_a_portal_of_no_group_of_the_target_is_not_its_portal() {
    let none = [group("10.0.0.2", 3260, 0)[..2].to_vec(), vec![Attribute::empty(Tag::GROUP_TAG)]].concat();
    let attributes = [
        &[name(A)][..],
        &portal("10.0.0.1", 3260),
        &portal("10.0.0.2", 3260),
        &portal("10.0.0.3", 3260),
        &group("10.0.0.1", 3260, 7),
        &none,
    ]
    .concat();
    assert_eq!(lines(&find(&attributes).unwrap()), [format!("{A} 10.0.0.1:3260,7 10.0.0.3:3260")]);
}

#[test]
fn port_0_is_the_port_of_iscsi() {
    let found = find(&[&[name(A)][..], &portal("10.0.0.1", 0)].concat()).unwrap();
    assert_eq!(lines(&found), [format!("{A} 10.0.0.1:3260")]);
}

#[test]
fn nodes_that_are_no_targets_are_passed_over() {
    let node = |text, bits| [&[name(text), kind(bits)][..], &portal("10.0.0.1", 3260)].concat();
    let found = find(&[node(A, 2), node(B, 3)].concat()).unwrap();
    assert_eq!(lines(&found), [format!("{B} 10.0.0.1:3260")]);
    assert_eq!(found.skipped, []);
}

#[test]
fn records_of_one_name_are_merged_in_order() {
    let node = |text, address| [&[name(text)][..], &portal(address, 3260), &portal(address, 3260)].concat();
    let found = find(&[node(B, "10.0.0.2"), node(A, "10.0.0.1"), node(B, "10.0.0.3")].concat()).unwrap();
    assert_eq!(lines(&found), [format!("{B} 10.0.0.2:3260 10.0.0.3:3260"), format!("{A} 10.0.0.1:3260")]);
}

///
#[test]
fn r154_what_cannot_be_is_set_aside_and_hides_no_other() {
    let bytes = |tag, value: &'static [u8]| Attribute { tag, value: Bytes::from_static(value) };
    let good = [&[name(B)][..], &portal("10.0.0.1", 3260)].concat();
    let [address, port] = portal("10.0.0.2", 3260);
    for bad in [
        vec![name("../etc")],
        vec![bytes(Tag::NAME, b"iqn.2001-04.com.a\0b\0")],
        vec![bytes(Tag::NAME, b"iqn.2001-04.com.a:\xff\0")],
        vec![name(A)],
        vec![name(A), address.clone()],
        vec![name(A), port.clone()],
        vec![name(A), address.clone(), address.clone()],
        vec![name(A), bytes(Tag::PORTAL_ADDRESS, b"\x0a\0\0\x01"), port.clone()],
        vec![name(A), address.clone(), bytes(Tag::PORTAL_PORT, b"\0\0\x0c\xbc\0\0\0\0")],
        [&[name(A)][..], &portal("0.0.0.0", 3260)].concat(),
        [&[name(A)][..], &portal("::", 3260)].concat(),
        [&[name(A)][..], &portal("224.0.0.1", 3260)].concat(),
        [&[name(A)][..], &portal("255.255.255.255", 3260)].concat(),
        [&[name(A)][..], &portal("10.0.0.2", 0x1_0cbc)].concat(),
    ] {
        let found = find(&[good.clone(), bad.clone()].concat()).unwrap();
        assert_eq!(lines(&found), [format!("{B} 10.0.0.1:3260")], "{bad:?}");
        assert!(!found.skipped.is_empty(), "{bad:?}");
        for skipped in &found.skipped {
            let printed = skipped.to_string();
            assert!(printed.len() < 400 && !printed.contains(char::is_control), "{printed}");
        }
    }
    let mixed = [&[name(A)][..], &portal("224.0.0.1", 1), &portal("10.0.0.2", 3260)].concat();
    let found = find(&mixed).unwrap();
    assert_eq!(lines(&found), [format!("{A} 10.0.0.2:3260")]);
    let reason = PortalFault::Address("224.0.0.1".parse().unwrap());
    assert_eq!(found.skipped, [Skipped::Portal { target: A.parse().unwrap(), reason }]);
}

#[test]
fn attributes_that_were_not_asked_for_are_passed_over() {
    let odd = [Attribute::number(Tag::PORTAL_PORT, 1), Attribute::text(Tag::ENTITY, "x")];
    let found = find(&[&odd[..], &[name(A), Attribute::text(Tag::ALIAS, "x")], &portal("10.0.0.1", 1), &odd].concat());
    let found = found.unwrap();
    assert_eq!(lines(&found), [format!("{A} 10.0.0.1:1")]);
}

#[test]
fn nothing_found_is_an_answer() {
    assert_eq!(find(&[]), Ok(Targets::default()));
    let (isns, query) = begin(config());
    assert_eq!(done(isns.receive(&response(&query, Status::SUCCESS, &[]))), Targets::default());
    let (isns, query) = begin(config());
    assert_eq!(done(isns.receive(&response(&query, Status::NO_SUCH_ENTRY, &[]))), Targets::default());
}

#[test]
fn too_many_targets_are_refused() {
    let many = vec![Attribute::empty(Tag::GROUP_TAG); MAX_ENTRIES];
    assert!(find(&many).is_ok());
    assert_eq!(find(&[many, vec![name(A)]].concat()), Err(IsnsError::TooMany));
}

///
#[test]
fn r155_a_response_belongs_to_its_request() {
    let answer = |function, transaction| {
        let (isns, query) = begin(config());
        assert_eq!((query.function(), query.transaction()), (Function::QUERY, 1));
        isns.receive(&Message::response(function, transaction, Status::SUCCESS, &[])).map(|_| ())
    };
    assert_eq!(answer(Function::QUERY, 1), Ok(()));
    assert_eq!(answer(Function::QUERY, 2), Err(IsnsError::WrongTransaction { expected: 1, found: 2 }));
    assert_eq!(answer(Function::QUERY, 0), Err(IsnsError::WrongTransaction { expected: 1, found: 0 }));
    let expected = Function::QUERY.response();
    let found = Function::REGISTER.response();
    assert_eq!(answer(Function::REGISTER, 1), Err(IsnsError::WrongFunction { expected, found }));
}

///
#[test]
fn r154_a_status_refuses_the_query() {
    for status in [2, 5, 7, 8, 12, 15, 18, 24, u32::MAX].map(Status) {
        let (isns, query) = begin(config());
        let error = isns.receive(&response(&query, status, &[name(A)])).unwrap_err();
        assert_eq!(error, IsnsError::QueryRefused { status });
        assert_eq!(error.is_retriable(), status == Status::BUSY);
    }
}

#[test]
fn a_response_that_is_cut_short_is_refused() {
    let (isns, query) = begin(config());
    let mut wire = BytesMut::new();
    response(&query, Status::SUCCESS, &[Attribute::DELIMITER, name(A)]).encode(&mut wire).unwrap();
    // The length of the name says more than there is.
    wire[31] = 0xfc;
    assert!(matches!(isns.receive(&message(&wire)), Err(IsnsError::Message(_))));
}

#[test]
fn requests_of_the_server_are_passed_over_but_not_for_ever() {
    let (mut isns, query) = begin(config());
    let stray = Message::request(Function::INQUIRY, 1, &[]);
    for _ in 0..MAX_STRAYS {
        isns = match isns.receive(&stray) {
            Ok(Step::Wait(isns)) => isns,
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(isns.receive(&stray).map(|_| ()).unwrap_err(), IsnsError::TooManyStrays);
    assert_eq!(query.transaction(), 1);
}

///
#[test]
fn r154_who_is_unknown_registers_asks_again_and_leaves() {
    let (isns, query) = begin(IsnsConfig { alias: Some("host".to_owned()), ..config() });
    let (isns, register) = sent(isns.receive(&response(&query, Status::SOURCE_UNKNOWN, &[])));
    assert_eq!((register.function(), register.transaction()), (Function::REGISTER, 2));
    let attributes = [
        name(HOST),
        Attribute::DELIMITER,
        Attribute::empty(Tag::ENTITY),
        Attribute::number(Tag::ENTITY_PROTOCOL, 2),
        name(HOST),
        kind(2),
        Attribute::text(Tag::ALIAS, "host"),
    ];
    assert_eq!(register.attributes().unwrap(), attributes);

    let (isns, again) = sent(isns.receive(&response(&register, Status::SUCCESS, &[])));
    assert_eq!((again.function(), again.transaction()), (Function::QUERY, 3));
    let found = [&[Attribute::DELIMITER, name(A)][..], &portal("10.0.0.1", 3260)].concat();
    let (isns, leave) = sent(isns.receive(&response(&again, Status::SUCCESS, &found)));
    assert_eq!((leave.function(), leave.transaction()), (Function::DEREGISTER, 4));
    assert_eq!(leave.attributes().unwrap(), [name(HOST), Attribute::DELIMITER, name(HOST)]);
    for status in [Status::SUCCESS, Status::INVALID_DEREGISTRATION] {
        let (isns, leave) = {
            let (isns, query) = begin(config());
            let (isns, register) = sent(isns.receive(&response(&query, Status::SOURCE_UNKNOWN, &[])));
            let (isns, again) = sent(isns.receive(&response(&register, Status::SUCCESS, &[])));
            sent(isns.receive(&response(&again, Status::SUCCESS, &found)))
        };
        let found = done(isns.receive(&response(&leave, status, &[])));
        assert_eq!(lines(&found), [format!("{A} 10.0.0.1:3260")]);
    }
    drop(isns);
}

#[test]
fn a_registration_is_removed_even_if_the_query_fails() {
    let (isns, register) = begin(IsnsConfig { registration: Registration::Always, ..config() });
    assert_eq!(register.function(), Function::REGISTER);
    let (isns, query) = sent(isns.receive(&response(&register, Status::SUCCESS, &[])));
    let (isns, leave) = sent(isns.receive(&response(&query, Status::SOURCE_UNKNOWN, &[])));
    assert_eq!(leave.function(), Function::DEREGISTER);
    let error = isns.receive(&response(&leave, Status::SUCCESS, &[])).unwrap_err();
    assert_eq!(error, IsnsError::QueryRefused { status: Status::SOURCE_UNKNOWN });
}

#[test]
fn a_registration_may_be_refused_or_not_be_wanted() {
    let (isns, query) = begin(config());
    let (isns, register) = sent(isns.receive(&response(&query, Status::SOURCE_UNKNOWN, &[])));
    let error = isns.receive(&response(&register, Status::INVALID_REGISTRATION, &[])).unwrap_err();
    assert_eq!(error, IsnsError::RegistrationRefused { status: Status::INVALID_REGISTRATION });

    let (isns, query) = begin(IsnsConfig { registration: Registration::Never, ..config() });
    let error = isns.receive(&response(&query, Status::SOURCE_UNKNOWN, &[])).unwrap_err();
    assert_eq!(error, IsnsError::QueryRefused { status: Status::SOURCE_UNKNOWN });
}

/// A server that cannot tell all targets at once, after the refusal: the first request for one.
fn walking(status: Status) -> (Isns, Message) {
    let (isns, query) = begin(config());
    sent(isns.receive(&response(&query, status, &[])))
}

///
#[test]
fn r154_targets_that_are_too_many_for_one_answer_are_asked_for_one_by_one() {
    for status in [Status::INTERNAL, Status::UNKNOWN_ERROR] {
        let (mut isns, mut next) = walking(status);
        let mut last = Attribute::empty(Tag::NAME);
        for (text, address) in [(A, "10.0.0.1"), (B, "10.0.0.2")] {
            assert_eq!(next.function(), Function::GET_NEXT);
            assert_eq!(next.attributes().unwrap(), [name(HOST), last, Attribute::DELIMITER, kind(1)]);
            last = name(text);
            let (detailing, details) =
                sent(isns.receive(&response(&next, Status::SUCCESS, &[last.clone(), Attribute::DELIMITER])));
            assert_eq!(details.function(), Function::QUERY);
            let attributes = details.attributes().unwrap();
            assert_eq!(
                (&attributes[..3], attributes.len()),
                (&[name(HOST), last.clone(), Attribute::DELIMITER][..], 10)
            );
            let found = [&[last.clone(), Attribute::DELIMITER, last.clone()][..], &portal(address, 3260)].concat();
            (isns, next) = sent(detailing.receive(&response(&details, Status::SUCCESS, &found)));
        }
        let found = done(isns.receive(&response(&next, Status::NO_SUCH_ENTRY, &[])));
        assert_eq!(lines(&found), [format!("{A} 10.0.0.1:3260"), format!("{B} 10.0.0.2:3260")]);
    }
}

#[test]
fn a_target_that_vanishes_while_it_is_asked_for_is_left_out() {
    let (isns, next) = walking(Status::INTERNAL);
    let (isns, details) = sent(isns.receive(&response(&next, Status::SUCCESS, &[name(A), Attribute::DELIMITER])));
    let (isns, next) = sent(isns.receive(&response(&details, Status::NO_SUCH_ENTRY, &[])));
    assert_eq!(done(isns.receive(&response(&next, Status::NO_SUCH_ENTRY, &[]))), Targets::default());
}

#[test]
fn a_server_that_cannot_tell_targets_one_by_one_either_has_refused_the_query() {
    let (isns, next) = walking(Status::INTERNAL);
    let error = isns.receive(&response(&next, Status::NOT_SUPPORTED, &[])).unwrap_err();
    assert_eq!(error, IsnsError::QueryRefused { status: Status::INTERNAL });
}

#[test]
fn a_way_through_the_targets_has_an_end() {
    for attributes in [vec![], vec![Attribute::empty(Tag::NAME)], vec![Attribute::DELIMITER, name(A)]] {
        let (isns, next) = walking(Status::INTERNAL);
        assert_eq!(isns.receive(&response(&next, Status::SUCCESS, &attributes)).unwrap_err(), IsnsError::NoName);
    }

    let (isns, next) = walking(Status::INTERNAL);
    let (isns, details) = sent(isns.receive(&response(&next, Status::SUCCESS, &[name(A)])));
    let (isns, next) = sent(isns.receive(&response(&details, Status::SUCCESS, &[])));
    assert_eq!(isns.receive(&response(&next, Status::SUCCESS, &[name(A)])).unwrap_err(), IsnsError::Circle);

    let (mut isns, mut next) = walking(Status::INTERNAL);
    let long = Attribute { tag: Tag(4096), value: vec![0; 4 << 20].into() };
    for number in 0.. {
        let (detailing, details) = sent(isns.receive(&response(&next, Status::SUCCESS, &[name(&number.to_string())])));
        let told = response(&details, Status::SUCCESS, &[Attribute::DELIMITER, long.clone()]);
        match detailing.receive(&told) {
            Ok(Step::Send(walking, wire)) => (isns, next) = (walking, message(&wire)),
            end => {
                assert_eq!((end.unwrap_err(), number), (IsnsError::TooMany, 3));
                break;
            }
        }
    }
}

#[test]
fn an_alias_that_the_standard_does_not_allow_is_left_out() {
    for (alias, len) in [("a".repeat(255), 7), ("a".repeat(256), 6), ("a\0b".to_owned(), 6)] {
        let registration = Registration::Always;
        let (_, register) = begin(IsnsConfig { alias: Some(alias), registration, ..config() });
        assert_eq!(register.attributes().unwrap().len(), len);
    }
}

proptest! {
    ///
    #[test]
    fn any_attributes_are_targets_or_an_error(
        items in proptest::collection::vec(
            (proptest::sample::select(vec![0, 16, 17, 32, 33, 34, 49, 50, 51]), "[a:]{0,3}|iqn.2001-04.com.a:[ab]", any::<[u8; 16]>(), 0..4_u8),
            0..30,
        ),
    ) {
        let attributes: Vec<_> = items
            .into_iter()
            .map(|(tag, text, bytes, how)| match how {
                0 => Attribute::text(Tag(tag), &text),
                1 => Attribute { tag: Tag(tag), value: Bytes::copy_from_slice(&bytes) },
                2 => Attribute { tag: Tag(tag), value: Bytes::copy_from_slice(&bytes[..4]) },
                _ => Attribute::empty(Tag(tag)),
            })
            .collect();
        let found = find(&attributes).unwrap();
        for target in &found.targets {
            prop_assert!(!target.addresses.is_empty());
        }
        for skipped in &found.skipped {
            prop_assert!(!skipped.to_string().contains(char::is_control));
        }
    }
}
