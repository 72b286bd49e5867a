//! Targets that say anything at all.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Something that a target might say in one response.
#[derive(Clone, Debug)]
struct Turn {
    /// Bytes of the header that are overwritten.
    damage: Vec<(usize, u8)>,
    /// Whether another stage is entered than the proposed one, and which.
    strays: bool,
    next: Option<Stage>,
    pairs: Vec<(String, String)>,
    tail: Vec<u8>,
    agree: bool,
}

fn values() -> impl Strategy<Value = String> {
    let words = [
        "Yes",
        "No",
        "None",
        "CRC32C",
        "CHAP",
        "Reject",
        "Irrelevant",
        "NotUnderstood",
        "0",
        "5",
        "8",
        "512",
        "65536",
        "0x00112233445566778899aabbccddeeff",
        "array",
        "alice",
        "1~2",
        "10.0.0.1:3260,1",
    ];
    prop_oneof![4 => select(words.to_vec()).prop_map(str::to_owned), 1 => "[^\0]{0,20}"]
}

fn keys() -> impl Strategy<Value = String> {
    let known: Vec<&str> = iscsi_proto::keys::TABLE.iter().map(|spec| spec.name).collect();
    prop_oneof![6 => select(known).prop_map(str::to_owned), 1 => "X-[a-z]{1,8}"]
}

fn turns() -> impl Strategy<Value = Turn> {
    let stage = select(vec![None, Some(Stage::Security), Some(Stage::Operational), Some(Stage::FullFeature)]);
    let damage = prop_oneof![6 => Just(Vec::new()), 1 => proptest::collection::vec((0..48usize, any::<u8>()), 1..4)];
    (
        damage,
        prop_oneof![3 => Just(false), 1 => Just(true)],
        stage,
        proptest::collection::vec((keys(), values()), 0..4),
        prop_oneof![9 => Just(Vec::new()), 1 => proptest::collection::vec(any::<u8>(), 0..20)],
        any::<bool>(),
    )
        .prop_map(|(damage, strays, next, pairs, tail, agree)| Turn { damage, strays, next, pairs, tail, agree })
}

impl Turn {
    /// Plays the turn; gives the header that went out, too.
    fn play(&self, talk: Talk) -> (Header, Heard) {
        let mut response = talk.response();
        if self.strays {
            response.next = self.next;
        }
        let agreed = if self.agree { talk.agrees_but(&[]) } else { Vec::new() };
        let mut data = encode(agreed.into_iter().chain(self.pairs.clone()));
        data.extend_from_slice(&self.tail);
        let mut header = response.encode().with_data_len(data.len() as u32);
        for (at, byte) in &self.damage {
            header.0[*at] = *byte;
        }
        (header, talk.hears(&header, &data))
    }
}

/// Plays turns until the login ends or they are used up. Gives what the login ended with and the last exchange.
fn play(config: LoginConfig, turns: &[Turn]) -> Option<(Heard, LoginRequest, Header)> {
    let mut talk = start(config);
    for turn in turns {
        let request = talk.request.clone();
        match turn.play(talk) {
            (_, Heard::More(more)) => talk = more,
            (header, heard) => return Some((heard, request, header)),
        }
    }
    None
}

proptest! {
    /// full feature phase only after request and response have both proposed and entered it with success.
    #[test]
    fn no_login_ends_well_without_the_right_last_response(turns in proptest::collection::vec(turns(), 1..8)) {
        for config in [config(), discovery(), one_way()] {
            let Some((Heard::Done(done), request, header)) = play(config, &turns) else { continue };
            let response = LoginResponse::parse(&header).unwrap();
            prop_assert_eq!(request.next, Some(Stage::FullFeature));
            prop_assert_eq!((response.current, response.next), (Stage::Operational, Some(Stage::FullFeature)));
            prop_assert_eq!(response.status.class, 0);
            prop_assert_eq!(done.tsih.get(), response.tsih);
            prop_assert_eq!(done.start.exp_stat_sn, response.numbering.stat_sn.next());
            let found = &done.start.negotiated;
            prop_assert!((512..1 << 24).contains(&found.max_send_data_segment_length));
            prop_assert!((512..1 << 24).contains(&found.max_burst_length));
            prop_assert!(found.max_outstanding_r2t >= 1 && found.max_connections >= 1);
        }
    }

    /// a target that does not know its secret never gets past the security stage, whatever it says.
    #[test]
    fn no_target_without_its_secret_gets_a_session(turns in proptest::collection::vec(turns(), 1..8)) {
        let mut talk = answered();
        for turn in &turns {
            match turn.play(talk).1 {
                Heard::More(more) => {
                    prop_assert_eq!(more.request.current, Stage::Security);
                    talk = more;
                }
                Heard::Done(_) => return Err(TestCaseError::fail("a session without a proof")),
                Heard::Redirect(redirect) => {
                    prop_assert!(!redirect.authenticated);
                    return Ok(());
                }
                Heard::Failed(_) => return Ok(()),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_end_a_login_or_go_on(
        header in proptest::array::uniform32(any::<u8>()),
        rest in proptest::array::uniform16(any::<u8>()),
        data in proptest::collection::vec(any::<u8>(), 0..64),
        opcode: bool,
    ) {
        let mut bytes = [0; 48];
        bytes[..32].copy_from_slice(&header);
        bytes[32..].copy_from_slice(&rest);
        if opcode {
            bytes[0] = 0x23;
        }
        for talk in [start(config()), start(mutual()), operational(config())] {
            let heard = talk.hears(&Header(bytes), &data);
            prop_assert!(!matches!(heard, Heard::Done(_)));
        }
    }
}

/// A login that has asked the target for its proof.
fn answered() -> Talk {
    super::chap::answered(mutual())
}

/// The strategy reaches the end of logins; else the properties above would say nothing.
#[test]
fn random_targets_come_far_enough() {
    let agreeing = Turn { damage: vec![], strays: false, next: None, pairs: vec![], tail: vec![], agree: true };
    let ended = play(config(), &[agreeing.clone(), agreeing]);
    assert!(matches!(ended, Some((Heard::Done(_), ..))));
}
