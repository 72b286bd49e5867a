//! A login of the initiator's core against a target that says anything.
//!
//! A byte that chooses the login, and then responses: each a byte of how it is off, its flags, and its text.

use bytes::BytesMut;
use iscsi_initiator::core::DigestOffer;
use iscsi_initiator::core::chap::{Challenges, Nonce};
use iscsi_initiator::core::login::{
    Authentication, LoggedIn, Login, LoginConfig, LoginError, MAX_ROUNDS, Purpose, Request, Step,
};
use iscsi_initiator::core::secret::{Auth, Chap, Credentials, Secret};
use iscsi_proto::framer::{FrameLimits, Framer, encode_frame};
use iscsi_proto::isid::Isid;
use iscsi_proto::pdu::{Header, LoginRequest, Opcode};

use super::input::Input;

/// Plays an input. A broken property panics.
pub fn login(input: &[u8]) {
    let mut input = Input(input);
    let choice = input.byte();
    let Ok((mut login, mut request)) = Login::new(config(choice), Nonce::from_bytes([9; 33])) else {
        unreachable!("the configuration is good")
    };
    for stat_sn in 7.. {
        assert!(stat_sn - 7 <= MAX_ROUNDS as u32, "the login goes on and on");
        let first = check(&request);
        if input.is_empty() {
            return print(&login.closed());
        }
        let (header, data) = response(&mut input, &first, stat_sn);
        match login.receive(&header, &data) {
            Ok(Step::Send(next, answer)) => (login, request) = (next, answer),
            Ok(Step::Done(done)) => return check_done(choice, &done),
            Ok(Step::Redirect(redirect)) => {
                assert!(!redirect.addresses.is_empty());
                return;
            }
            Err(error) => return print(&error),
        }
    }
}

fn config(choice: u8) -> LoginConfig {
    let name = |text: &str| text.parse().expect("a name");
    let target = name("iqn.2026-01.org.example:disk");
    let purpose = match choice & 1 {
        0 => Purpose::Session { target },
        _ => Purpose::Discovery { target: None },
    };
    let mut config = LoginConfig::new(name("iqn.2026-01.org.example:host"), purpose, Isid::random([1, 2, 3], 4));
    config.challenges = Challenges::default();
    config.auth = auth(choice >> 1 & 3);
    if choice & 0x10 != 0 {
        (config.offer.header_digest, config.offer.data_digest) = (DigestOffer::Crc32c, DigestOffer::PreferCrc32c);
    }
    config
}

fn auth(choice: u8) -> Auth {
    let account = |name: &str, secret: &str| {
        let secret = Secret::from_bytes(secret).expect("a secret");
        Credentials::new(name, secret).expect("credentials")
    };
    let chap = Chap::new(account("alice", "a secret of alice"));
    match choice {
        0 => Auth::None,
        1 => Auth::Chap(chap.or_none()),
        2 => Auth::Chap(chap),
        _ => Auth::Chap(chap.with_target(account("array", "another secret")).expect("another secret")),
    }
}

/// What is sent is a Login Request that a target can take.
fn check(request: &Request) -> LoginRequest {
    assert!(request.data.len() <= 8192 && request.header.data_len() as usize == request.data.len());
    let mut wire = BytesMut::new();
    encode_frame(request.header, &[], &request.data, false, false, &mut wire);
    let mut framer = Framer::new(FrameLimits::LOGIN);
    framer.feed(&wire);
    assert!(matches!(framer.next_frame(), Ok(Some(_))));
    LoginRequest::parse(&request.header).expect("what is sent is well-formed")
}

/// A response that is right but for what the input says.
fn response(input: &mut Input<'_>, request: &LoginRequest, stat_sn: u32) -> (Header, Vec<u8>) {
    let (off, flags) = (input.byte(), input.byte());
    let mut header = Header::new(Opcode::LoginResponse);
    put(&mut header, 1, &[flags]);
    put(&mut header, 8, &request.isid.0);
    put(&mut header, 14, &(if flags & 0x83 == 0x83 { 1_u16 } else { request.tsih }).to_be_bytes());
    put(&mut header, 16, &request.itt.0.to_be_bytes());
    let numbers = [stat_sn, request.cmd_sn.0, request.cmd_sn.add(7).0];
    put(&mut header, 24, &numbers.map(u32::to_be_bytes).concat());
    if off & 1 != 0 {
        put(&mut header, 36, &[input.byte(), input.byte()]);
    }
    if off & 2 != 0 {
        let at = usize::from(input.byte()) % 48;
        put(&mut header, at, &[input.byte()]);
    }
    let length = if off & 4 == 0 { usize::from(input.byte()) } else { usize::from(input.byte()) * 32 };
    let data = input.take(length).to_vec();
    (header.with_data_len(data.len() as u32), data)
}

fn put(header: &mut Header, at: usize, bytes: &[u8]) {
    header.0.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// A session that was let in keeps what was asked for.
fn check_done(choice: u8, done: &LoggedIn) {
    match choice >> 1 & 3 {
        0 => assert_eq!(done.authentication, Authentication::None),
        1 => {}
        2 => assert!(matches!(done.authentication, Authentication::Initiator(_))),
        // Nobody finds a response to a challenge by chance, unless it is a seed of the corpus.
        _ => assert!(matches!(done.authentication, Authentication::Mutual(_))),
    }
    let negotiated = &done.start.negotiated;
    for length in [
        negotiated.max_recv_data_segment_length,
        negotiated.max_send_data_segment_length,
        negotiated.max_burst_length,
        negotiated.first_burst_length,
    ] {
        assert!((512..1 << 24).contains(&length), "{negotiated:?}");
    }
    let unasked = negotiated.immediate_data || !negotiated.initial_r2t;
    assert!(!unasked || negotiated.first_burst_length <= negotiated.max_burst_length, "{negotiated:?}");
    assert!(negotiated.max_outstanding_r2t != 0 && negotiated.max_connections != 0);
    assert!(choice & 0x10 == 0 || negotiated.header_digest, "a digest was demanded");
    assert!(choice & 0x10 != 0 || !(negotiated.header_digest || negotiated.data_digest), "no digest was offered");
    assert!(done.target_addresses.len() <= 64);
}

/// No text of a target may drive the terminal that it is printed on, or fill it.
fn print(error: &LoginError) {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control) && text.len() < 8192, "{text:?}");
}
