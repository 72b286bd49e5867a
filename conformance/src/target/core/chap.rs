//! CHAP as the side that asks first (RFC 1994; RFC 7143, sections 9.2.1 and 12.1.3).

use iscsi_proto::keys::text::Pair;
use iscsi_proto::keys::{Key, value};
use sha2::Digest;
use subtle::ConstantTimeEq;

use crate::target::config::{Chap, Credentials};

const CHALLENGE: usize = 24;
const MAX_CHALLENGE: usize = 1024;

/// The exchange with one initiator.
#[derive(Debug)]
pub(super) struct ChapExchange {
    chap: Chap,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Algorithm,
    Response { algorithm: u8, identifier: u8, challenge: Vec<u8> },
    Done,
}

/// Why authentication failed; for the log, not for the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum ChapError {
    #[error("a key is missing or does not belong to this step")]
    Keys,
    #[error("no algorithm in common")]
    Algorithm,
    #[error("a value is malformed")]
    Value,
    #[error("the name is not known")]
    Name,
    #[error("the response is wrong")]
    Response,
    #[error("the initiator sent our own challenge back")]
    Reflection,
    #[error("the initiator wants a proof that this target cannot give")]
    Mutual,
}

type Answers = Vec<(Key, String)>;

impl ChapExchange {
    pub(super) const fn new(chap: Chap) -> Self {
        Self { chap, step: Step::Algorithm }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.step, Step::Done)
    }

    /// Takes the security keys of one request; what to answer.
    pub(super) fn step(&mut self, keys: &[(Key, &Pair)]) -> Result<Answers, ChapError> {
        match std::mem::replace(&mut self.step, Step::Algorithm) {
            Step::Algorithm => self.challenge(keys),
            Step::Response { algorithm, identifier, challenge } => {
                let answers = self.verify(keys, algorithm, identifier, &challenge)?;
                self.step = Step::Done;
                Ok(answers)
            }
            Step::Done => Err(ChapError::Keys),
        }
    }

    fn challenge(&mut self, keys: &[(Key, &Pair)]) -> Result<Answers, ChapError> {
        let [(Key::ChapA, offer)] = keys else { return Err(ChapError::Keys) };
        let mut offered = value::list(&offer.value).filter_map(|text| text.parse().ok());
        let algorithm = offered.find(|number| self.chap.algorithms.contains(number)).ok_or(ChapError::Algorithm)?;
        let identifier: u8 = rand::random();
        let challenge = rand::random::<[u8; CHALLENGE]>().to_vec();
        let answers = vec![
            (Key::ChapA, algorithm.to_string()),
            (Key::ChapI, identifier.to_string()),
            (Key::ChapC, value::hex(&challenge)),
        ];
        self.step = Step::Response { algorithm, identifier, challenge };
        Ok(answers)
    }

    fn verify(&self, keys: &[(Key, &Pair)], algorithm: u8, id: u8, challenge: &[u8]) -> Result<Answers, ChapError> {
        let find = |wanted: Key| keys.iter().find(|(key, _)| *key == wanted).map(|(_, pair)| pair.value.as_str());
        let (name, response) = (find(Key::ChapN).ok_or(ChapError::Keys)?, find(Key::ChapR).ok_or(ChapError::Keys)?);
        let mutual = match (keys.len(), find(Key::ChapI), find(Key::ChapC)) {
            (2, None, None) => None,
            (4, Some(identifier), Some(challenge)) => Some((identifier, challenge)),
            _ => return Err(ChapError::Keys),
        };
        let response = value::binary(response, MAX_CHALLENGE).map_err(|_| ChapError::Value)?;
        let expected = hash(algorithm, id, &self.chap.initiator.secret, challenge);
        if name != self.chap.initiator.name {
            return Err(ChapError::Name);
        }
        if !bool::from(expected.ct_eq(&response)) {
            return Err(ChapError::Response);
        }
        mutual.map_or(Ok(Vec::new()), |(id, theirs)| self.prove(algorithm, id, theirs, challenge))
    }

    fn prove(&self, algorithm: u8, id: &str, theirs: &str, ours: &[u8]) -> Result<Answers, ChapError> {
        let id = value::number(id).ok().and_then(|id| u8::try_from(id).ok()).ok_or(ChapError::Value)?;
        let theirs = value::binary(theirs, MAX_CHALLENGE).map_err(|_| ChapError::Value)?;
        if theirs.is_empty() {
            return Err(ChapError::Value);
        }
        if theirs == ours {
            return Err(ChapError::Reflection);
        }
        let Credentials { name, secret } = self.chap.target.as_ref().ok_or(ChapError::Mutual)?;
        let response = hash(algorithm, id, secret, &theirs);
        Ok(vec![(Key::ChapN, name.clone()), (Key::ChapR, value::hex(&response))])
    }
}

/// The response to a challenge; MD5 for numbers that are none of the four.
fn hash(algorithm: u8, identifier: u8, secret: &[u8], challenge: &[u8]) -> Vec<u8> {
    match algorithm {
        6 => digest::<sha1::Sha1>(identifier, secret, challenge),
        7 => digest::<sha2::Sha256>(identifier, secret, challenge),
        8 => digest::<sha3::Sha3_256>(identifier, secret, challenge),
        _ => digest::<md5::Md5>(identifier, secret, challenge),
    }
}

fn digest<D: Digest>(identifier: u8, secret: &[u8], challenge: &[u8]) -> Vec<u8> {
    D::new().chain_update([identifier]).chain_update(secret).chain_update(challenge).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"abcdefghijkl";

    fn exchange() -> ChapExchange {
        let chap = Chap::new(Credentials::new("alice", SECRET)).mutual(Credentials::new("box", "mnopqrstuvwx"));
        ChapExchange::new(chap)
    }

    fn run(exchange: &mut ChapExchange, keys: &[(Key, &str)]) -> Result<Answers, ChapError> {
        let pairs: Vec<(Key, Pair)> =
            keys.iter().map(|(key, value)| (*key, Pair::new(key.to_string(), *value))).collect();
        let keys: Vec<(Key, &Pair)> = pairs.iter().map(|(key, pair)| (*key, pair)).collect();
        exchange.step(&keys)
    }

    /// Up to the challenge: algorithm, identifier and challenge that the target chose.
    fn challenged(exchange: &mut ChapExchange, offer: &str) -> (u8, u8, Vec<u8>) {
        let answers = run(exchange, &[(Key::ChapA, offer)]).unwrap();
        let [(Key::ChapA, a), (Key::ChapI, i), (Key::ChapC, c)] = &answers[..] else { panic!("{answers:?}") };
        (a.parse().unwrap(), i.parse().unwrap(), value::binary(c, 1024).unwrap())
    }

    #[test]
    fn responses_have_the_known_values() {
        let challenge: Vec<u8> = (0..16).collect();
        for (algorithm, expected) in [
            (5, "0xcec6cff406e03600ec3585732fc9de13"),
            (6, "0x2e090624943aad63e3f610e6b168f367e57f3c1c"),
            (7, "0xc311614443e3469a010a5bdcb3b6b575b19e315a81aeec1c6e62a117e66c48aa"),
            (8, "0x322439d7eaa82322aa64bb1bb68e0775847af0806118efa4c2261ae204445bf9"),
        ] {
            assert_eq!(value::hex(&hash(algorithm, 0x2a, SECRET, &challenge)), expected);
        }
    }

    #[test]
    fn each_algorithm_is_chosen_in_the_order_of_the_offer() {
        for (offer, chosen) in [("5", 5), ("6,5", 6), ("7,8", 7), ("8", 8), ("56,4,5", 5)] {
            let mut exchange = exchange();
            let (algorithm, id, challenge) = challenged(&mut exchange, offer);
            assert_eq!(algorithm, chosen);
            let response = value::base64(&hash(algorithm, id, SECRET, &challenge));
            assert_eq!(run(&mut exchange, &[(Key::ChapN, "alice"), (Key::ChapR, &response)]), Ok(vec![]));
            assert!(exchange.is_done());
        }
        for offer in ["", "56", "4,9"] {
            assert_eq!(run(&mut exchange(), &[(Key::ChapA, offer)]), Err(ChapError::Algorithm), "{offer}");
        }
    }

    #[test]
    fn anything_but_the_right_answer_fails() {
        for (name, secret, error) in [
            ("alice", &b"abcdefghijkm"[..], ChapError::Response),
            ("alice", b"", ChapError::Response),
            ("bob", SECRET, ChapError::Name),
            ("", SECRET, ChapError::Name),
        ] {
            let mut exchange = exchange();
            let (algorithm, id, challenge) = challenged(&mut exchange, "5");
            let response = value::hex(&hash(algorithm, id, secret, &challenge));
            assert_eq!(run(&mut exchange, &[(Key::ChapN, name), (Key::ChapR, &response)]), Err(error));
            assert!(!exchange.is_done());
        }
    }

    #[test]
    fn keys_that_do_not_belong_to_the_step_fail() {
        assert_eq!(run(&mut exchange(), &[(Key::ChapN, "alice"), (Key::ChapR, "0x00")]), Err(ChapError::Keys));
        assert_eq!(run(&mut exchange(), &[]), Err(ChapError::Keys));
        for keys in [
            &[(Key::ChapN, "alice")][..],
            &[(Key::ChapR, "0x00")],
            &[(Key::ChapN, "alice"), (Key::ChapR, "0x00"), (Key::ChapI, "1")],
            &[(Key::ChapN, "alice"), (Key::ChapR, "0x00"), (Key::ChapC, "0x00")],
            &[(Key::ChapA, "5")],
        ] {
            let mut exchange = exchange();
            challenged(&mut exchange, "5");
            assert_eq!(run(&mut exchange, keys), Err(ChapError::Keys), "{keys:?}");
        }
        let mut exchange = exchange();
        challenged(&mut exchange, "5");
        let oversize = format!("0x{}", "00".repeat(1025));
        assert_eq!(run(&mut exchange, &[(Key::ChapN, "alice"), (Key::ChapR, &oversize)]), Err(ChapError::Value));
    }

    #[test]
    fn the_target_proves_itself_when_asked() {
        for (identifier, reflect, expected) in
            [("42", false, Ok(())), ("256", false, Err(ChapError::Value)), ("42", true, Err(ChapError::Reflection))]
        {
            let mut exchange = exchange();
            let (algorithm, id, challenge) = challenged(&mut exchange, "7");
            let response = value::hex(&hash(algorithm, id, SECRET, &challenge));
            let theirs = if reflect { challenge } else { vec![9; 16] };
            let hex = value::hex(&theirs);
            let keys = [(Key::ChapN, "alice"), (Key::ChapR, &response), (Key::ChapI, identifier), (Key::ChapC, &hex)];
            let proof = value::hex(&hash(7, 42, b"mnopqrstuvwx", &theirs));
            let expected = expected.map(|()| vec![(Key::ChapN, "box".into()), (Key::ChapR, proof)]);
            assert_eq!(run(&mut exchange, &keys), expected);
        }
    }

    #[test]
    fn a_target_without_a_secret_cannot_prove_itself() {
        let mut exchange = ChapExchange::new(Chap::new(Credentials::new("alice", SECRET)));
        let (algorithm, id, challenge) = challenged(&mut exchange, "5");
        let response = value::hex(&hash(algorithm, id, SECRET, &challenge));
        let keys = [(Key::ChapN, "alice"), (Key::ChapR, &response), (Key::ChapI, "1"), (Key::ChapC, "0x01")];
        assert_eq!(run(&mut exchange, &keys), Err(ChapError::Mutual));
    }

    #[test]
    fn challenges_are_fresh() {
        let challenge = || challenged(&mut exchange(), "5").2;
        let (one, two) = (challenge(), challenge());
        assert_eq!(one.len(), CHALLENGE);
        assert_ne!(one, two);
    }
}
