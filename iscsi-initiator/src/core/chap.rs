//! CHAP (RFC 1994; RFC 7143, sections 9.2.1 and 12.1.3): algorithms, challenges, and the checks on what a target answers.
//!
//! A response is the hash over identifier, secret and challenge. The order of steps is the business of
//! [`login`](super::login).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use iscsi_proto::keys::text::MAX_SIMPLE_LEN;
use iscsi_proto::keys::{Key, value};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use sha3::Sha3_256;
use subtle::ConstantTimeEq;

use super::secret::{CredentialError, Credentials, Secret, fill};

/// The longest challenge or response, in bytes.
const MAX_BINARY: usize = 1024;
/// The longest challenge that we send, in bytes: as many as the longest hash has.
const MAX_CHALLENGE: usize = 32;

/// A hash that CHAP runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// MD5: the one that every target has to know.
    Md5 = 5,
    /// SHA-1.
    Sha1 = 6,
    /// SHA-256.
    Sha256 = 7,
    /// SHA3-256.
    Sha3_256 = 8,
}

/// A text that names no [`Algorithm`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a CHAP algorithm: md5, sha1, sha256 or sha3-256")]
pub struct AlgorithmError(String);

/// Why authentication failed on our side: the target did not keep to the steps, or did not prove who it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The target takes none of the offered methods.
    #[error("the target rejected AuthMethod={offered}: it wants another way of authentication than the configured one")]
    MethodRejected {
        /// What was offered.
        offered: String,
    },
    /// The target left out a key that this step demands: it tried to go on without authentication or is broken.
    #[error("the target left out {key}, without which authentication is not complete")]
    MissingKey {
        /// The key.
        key: Key,
    },
    /// The target sent a key that has no place in this step.
    #[error("the target sent {key} where authentication has no place for it")]
    UnexpectedKey {
        /// The key.
        key: Key,
    },
    /// The target chose an algorithm that was not offered, or several, or sent no number.
    #[error("the target chose CHAP_A={answered:?}, which was not offered")]
    Algorithm {
        /// What it sent, cut to 255 characters.
        answered: String,
    },
    /// CHAP_I is not a number of 0 to 255.
    #[error("the target sent CHAP_I={answered:?}, which is not a number of 0 to 255")]
    Identifier {
        /// What it sent, cut to 255 characters.
        answered: String,
    },
    /// CHAP_C has no bytes.
    #[error("the target sent an empty challenge")]
    EmptyChallenge,
    /// CHAP_C or CHAP_R is not a binary value of at most 1024 bytes.
    #[error("the target sent a malformed {key}")]
    Malformed {
        /// The key.
        key: Key,
    },
    /// The target sent a challenge of ours: it wants us to compute the answer that it owes itself.
    #[error("the target sent our own challenge back: it is trying a reflection attack")]
    ReflectedChallenge,
    /// The target answered with what our own secret gives: it knows our secret, not its own.
    #[error(
        "the target proved itself with the initiator's own secret: one secret serves both directions, or this is an attack"
    )]
    ReflectedResponse,
    /// The target does not know its secret.
    #[error("the target did not prove itself: it does not know the target secret that is configured here")]
    WrongResponse,
    /// The target proved itself under another name.
    #[error("the target calls itself {answered:?}, but {expected:?} is configured")]
    WrongName {
        /// The configured name.
        expected: String,
        /// CHAP_N of the target.
        answered: String,
    },
}

/// The random part of one login: from it our challenge is made, if the target has to prove itself.
///
/// Not `Clone`, so that no challenge is sent twice, and not printed, so that none is known beforehand.
pub struct Nonce {
    identifier: u8,
    challenge: [u8; MAX_CHALLENGE],
}

/// The challenges that this initiator has sent and that wait for their answer, over all connections.
///
/// A target that passes one of them off as its own, on whichever connection, is found out. Clones share one set.
#[derive(Clone, Debug, Default)]
pub struct Challenges(Arc<Mutex<BTreeSet<Vec<u8>>>>);

/// The target's step: what we have to answer.
pub(super) struct Question {
    algorithm: Algorithm,
    identifier: u8,
    challenge: Vec<u8>,
}

/// Our challenge to the target. It is remembered as ours until this is dropped.
#[derive(Debug)]
pub(super) struct Challenge {
    algorithm: Algorithm,
    identifier: u8,
    bytes: Vec<u8>,
    all: Challenges,
}

impl Algorithm {
    /// All algorithms, by number.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha3_256];

    /// What is offered by default: SHA3-256, SHA-1, MD5, SHA-256.
    ///
    /// A target has to take the first that it knows. SHA-256 stands last because tgt takes the first of 5 and 7 and
    /// computes SHA-1 for 7; with MD5 before it, tgt takes MD5, which it has right. A target that knows SHA3-256 takes
    /// that, and one that has given up MD5 and SHA-1 takes SHA-256 after all.
    pub const DEFAULT: [Self; 4] = [Self::Sha3_256, Self::Sha1, Self::Md5, Self::Sha256];

    /// The number in CHAP_A, as IANA has it for PPP.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The algorithm of that number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| u64::from(algorithm.number()) == number)
    }

    /// The name, such as `sha3-256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha3_256 => "sha3-256",
        }
    }

    /// How many bytes a response has.
    pub const fn response_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Sha3_256 => 32,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    /// Reads a name in any case, with or without the dash.
    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        let plain = |name: &str| name.to_ascii_lowercase().replace('-', "");
        let found = Self::ALL.into_iter().find(|algorithm| plain(algorithm.name()) == plain(text));
        found.ok_or_else(|| AlgorithmError(excerpt(text)))
    }
}

impl Nonce {
    /// Fresh random bytes from the operating system.
    pub fn random() -> Result<Self, CredentialError> {
        let mut bytes = [0; MAX_CHALLENGE + 1];
        fill(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    /// A nonce that a simulation chooses. A login to a real target takes [`Nonce::random`]: a challenge that can be
    /// foreseen proves nothing.
    pub const fn from_bytes(bytes: [u8; MAX_CHALLENGE + 1]) -> Self {
        let [identifier, challenge @ ..] = bytes;
        Self { identifier, challenge }
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(***)")
    }
}

impl Challenges {
    /// The set that all logins of this process share.
    pub fn process() -> Self {
        static ALL: OnceLock<Challenges> = OnceLock::new();
        ALL.get_or_init(Self::default).clone()
    }

    fn contains(&self, challenge: &[u8]) -> bool {
        self.lock().contains(challenge)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    /// Reads CHAP_A, CHAP_I and CHAP_C.
    pub(super) fn read(
        offered: &[Algorithm],
        algorithm: &str,
        identifier: &str,
        challenge: &str,
    ) -> Result<Self, AuthError> {
        let number = value::number(algorithm).ok().and_then(Algorithm::from_number);
        let chosen = number.filter(|algorithm| offered.contains(algorithm));
        let small = value::number(identifier).ok().and_then(|number| u8::try_from(number).ok());
        let challenge = binary(Key::ChapC, challenge)?;
        if challenge.is_empty() {
            return Err(AuthError::EmptyChallenge);
        }
        Ok(Self {
            algorithm: chosen.ok_or_else(|| AuthError::Algorithm { answered: excerpt(algorithm) })?,
            identifier: small.ok_or_else(|| AuthError::Identifier { answered: excerpt(identifier) })?,
            challenge,
        })
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// CHAP_R, unless the target's challenge is one that we have sent ourselves on any connection.
    pub(super) fn answer(&self, secret: &Secret, sent: &Challenges) -> Result<Vec<u8>, AuthError> {
        if sent.contains(&self.challenge) {
            return Err(AuthError::ReflectedChallenge);
        }
        Ok(respond(self.algorithm, self.identifier, secret, &self.challenge))
    }

    /// Our challenge in return, which differs from the target's in identifier and bytes.
    pub(super) fn counter(&self, nonce: &Nonce, all: Challenges) -> Result<Challenge, AuthError> {
        let bytes: Vec<u8> = nonce.challenge.iter().copied().take(self.algorithm.response_len()).collect();
        if bytes == self.challenge {
            return Err(AuthError::ReflectedChallenge);
        }
        let step = u8::from(nonce.identifier == self.identifier);
        let identifier = nonce.identifier.wrapping_add(step);
        all.lock().insert(bytes.clone());
        Ok(Challenge { algorithm: self.algorithm, identifier, bytes, all })
    }
}

impl Challenge {
    pub(super) const fn identifier(&self) -> u8 {
        self.identifier
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks CHAP_N and CHAP_R of a target that has these credentials; `own` is the initiator's secret.
    pub(super) fn verify(
        &self,
        own: &Secret,
        target: &Credentials,
        name: &str,
        response: &str,
    ) -> Result<(), AuthError> {
        let response = binary(Key::ChapR, response)?;
        let expect = |secret| respond(self.algorithm, self.identifier, secret, &self.bytes);
        if same(&response, &expect(own)) {
            return Err(AuthError::ReflectedResponse);
        }
        if !same(&response, &expect(target.secret())) {
            return Err(AuthError::WrongResponse);
        }
        if name != target.user() {
            return Err(AuthError::WrongName { expected: target.user().into(), answered: excerpt(name) });
        }
        Ok(())
    }
}

impl Drop for Challenge {
    fn drop(&mut self) {
        self.all.lock().remove(&self.bytes);
    }
}

/// The response to a challenge.
fn respond(algorithm: Algorithm, identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
    let parts = [&[identifier], secret.bytes(), challenge];
    match algorithm {
        Algorithm::Md5 => hash::<Md5>(parts),
        Algorithm::Sha1 => hash::<Sha1>(parts),
        Algorithm::Sha256 => hash::<Sha256>(parts),
        Algorithm::Sha3_256 => hash::<Sha3_256>(parts),
    }
}

fn hash<D: Digest>(parts: [&[u8]; 3]) -> Vec<u8> {
    parts.into_iter().fold(D::new(), D::chain_update).finalize().to_vec()
}

/// Compares in constant time. Lengths are no secret.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

fn binary(key: Key, text: &str) -> Result<Vec<u8>, AuthError> {
    value::binary(text, MAX_BINARY).map_err(|_| AuthError::Malformed { key })
}

fn excerpt(text: &str) -> String {
    text.chars().take(MAX_SIMPLE_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "abcdefghijkl";
    const CHALLENGE: &str = "0x000102030405060708090a0b0c0d0e0f";
    /// Response to identifier 0x2a, [`SECRET`] and [`CHALLENGE`], computed with Python's hashlib.
    const RESPONSES: [(Algorithm, &str); 4] = [
        (Algorithm::Md5, "0xcec6cff406e03600ec3585732fc9de13"),
        (Algorithm::Sha1, "0x2e090624943aad63e3f610e6b168f367e57f3c1c"),
        (Algorithm::Sha256, "0xc311614443e3469a010a5bdcb3b6b575b19e315a81aeec1c6e62a117e66c48aa"),
        (Algorithm::Sha3_256, "0x322439d7eaa82322aa64bb1bb68e0775847af0806118efa4c2261ae204445bf9"),
    ];

    fn secret(text: &str) -> Secret {
        text.parse().unwrap()
    }

    fn verify(ours: &Challenge, name: &str, response: &str) -> Result<(), AuthError> {
        let target = Credentials::new("array", secret("zyxwvutsrqpo")).unwrap();
        ours.verify(&secret(SECRET), &target, name, response)
    }

    fn question(algorithm: &str, identifier: &str, challenge: &str) -> Result<Question, AuthError> {
        Question::read(&Algorithm::DEFAULT, algorithm, identifier, challenge)
    }

    fn failed(algorithm: &str, identifier: &str, challenge: &str) -> AuthError {
        question(algorithm, identifier, challenge).err().unwrap()
    }

    fn nonce(first: u8) -> Nonce {
        Nonce::from_bytes(std::array::from_fn(|at| first.wrapping_add(at as u8)))
    }

    #[test]
    fn r122_responses_match_vectors_of_every_algorithm() {
        for (algorithm, expected) in RESPONSES {
            let question = question(&algorithm.number().to_string(), "42", CHALLENGE).unwrap();
            let response = question.answer(&secret(SECRET), &Challenges::default()).unwrap();
            assert_eq!(value::hex(&response), expected);
            assert_eq!(response.len(), algorithm.response_len());
        }
    }

    #[test]
    fn r123_challenges_and_responses_may_be_hexadecimal_or_base64() {
        let coded = question("0x5", "0x2A", "0bAAECAwQFBgcICQoLDA0ODw==").unwrap();
        let response = coded.answer(&secret(SECRET), &Challenges::default()).unwrap();
        assert_eq!(value::hex(&response), RESPONSES[0].1);

        let ours = coded.counter(&nonce(1), Challenges::default()).unwrap();
        let proof = respond(Algorithm::Md5, ours.identifier, &secret("zyxwvutsrqpo"), &ours.bytes);
        for text in [value::hex(&proof), value::base64(&proof), value::hex(&proof).to_uppercase()] {
            assert_eq!(verify(&ours, "array", &text), Ok(()), "{text}");
        }
    }

    #[test]
    fn r118_the_algorithm_is_one_of_those_offered() {
        for answered in ["9", "0", "4", "abc", "", "5,6", "05", "-5", "5 ", "261"] {
            assert_eq!(failed(answered, "1", CHALLENGE), AuthError::Algorithm { answered: answered.into() });
        }
        let only_md5 = [Algorithm::Md5];
        assert!(Question::read(&only_md5, "5", "1", CHALLENGE).is_ok());
        assert!(Question::read(&only_md5, "7", "1", CHALLENGE).is_err());
    }

    #[test]
    fn r120_the_identifier_is_0_to_255() {
        for (identifier, value) in [("0", 0), ("255", 255), ("0xff", 255)] {
            assert_eq!(question("5", identifier, CHALLENGE).unwrap().identifier, value);
        }
        for answered in ["256", "-1", "", "0x100", "007", "x"] {
            assert_eq!(failed("5", answered, CHALLENGE), AuthError::Identifier { answered: answered.into() });
        }
    }

    #[test]
    fn r121_a_challenge_has_1_to_1024_bytes() {
        for len in [1, 16, 1024] {
            let text = value::hex(&vec![7; len]);
            assert_eq!(question("5", "1", &text).unwrap().challenge.len(), len);
            assert!(question("5", "1", &value::base64(&vec![7; len])).is_ok());
        }
        assert_eq!(failed("5", "1", "0x"), AuthError::EmptyChallenge);
        let long = vec![7; 1025];
        for text in [&value::hex(&long), &value::base64(&long), "", "12345", "0xzz", "0b*", "0bAAA"] {
            assert_eq!(failed("5", "1", text), AuthError::Malformed { key: Key::ChapC });
        }
    }

    #[test]
    fn r124_our_challenge_is_as_long_as_the_hash_and_differs_in_every_part() {
        for algorithm in Algorithm::ALL {
            let theirs = question(&algorithm.number().to_string(), "1", CHALLENGE).unwrap();
            let ours = theirs.counter(&nonce(1), Challenges::default()).unwrap();
            assert_eq!(ours.bytes().len(), algorithm.response_len());
            assert_eq!(ours.identifier(), 2, "the identifier of the target is not used again");
            let ours = theirs.counter(&nonce(9), Challenges::default()).unwrap();
            assert_eq!(ours.identifier(), 9);
        }
        let wrapped = question("5", "255", "0x55").unwrap();
        assert_eq!(wrapped.counter(&nonce(255), Challenges::default()).unwrap().identifier(), 0);
    }

    #[test]
    fn r124_nonces_are_fresh() {
        let challenges: BTreeSet<_> = (0..32).map(|_| Nonce::random().unwrap().challenge).collect();
        assert_eq!(challenges.len(), 32);
    }

    #[test]
    fn r124_a_challenge_equal_to_ours_is_refused() {
        let ours = nonce(3);
        let theirs = question("5", "1", &value::hex(&ours.challenge[..16])).unwrap();
        let error = theirs.counter(&ours, Challenges::default()).err();
        assert_eq!(error, Some(AuthError::ReflectedChallenge));
    }

    #[test]
    fn r125_our_challenge_coming_back_on_another_connection_is_refused_while_it_waits() {
        let all = Challenges::default();
        let first = question("5", "1", CHALLENGE).unwrap().counter(&nonce(3), all.clone()).unwrap();
        let second = question("5", "1", &value::hex(first.bytes())).unwrap();
        assert_eq!(second.answer(&secret(SECRET), &all), Err(AuthError::ReflectedChallenge));
        let elsewhere = Challenges::default();
        assert!(second.answer(&secret(SECRET), &elsewhere).is_ok());
        drop(first);
        assert!(second.answer(&secret(SECRET), &all).is_ok());
        assert!(all.lock().is_empty());
    }

    #[test]
    fn r126_a_response_made_with_our_own_secret_is_refused() {
        let ours = question("5", "1", CHALLENGE).unwrap().counter(&nonce(3), Challenges::default()).unwrap();
        let reflected = respond(Algorithm::Md5, ours.identifier, &secret(SECRET), &ours.bytes);
        assert_eq!(verify(&ours, "array", &value::hex(&reflected)), Err(AuthError::ReflectedResponse));
    }

    #[test]
    fn r130_a_wrong_response_is_refused_whatever_its_length() {
        for algorithm in Algorithm::ALL {
            let theirs = question(&algorithm.number().to_string(), "1", CHALLENGE).unwrap();
            let ours = theirs.counter(&nonce(3), Challenges::default()).unwrap();
            let right = respond(algorithm, ours.identifier, &secret("zyxwvutsrqpo"), &ours.bytes);
            assert_eq!(verify(&ours, "array", &value::hex(&right)), Ok(()));

            let zero = vec![0; right.len()];
            let longer = [right.as_slice(), &[0]].concat();
            let first_wrong = right.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 0)).collect();
            let last_wrong = right.iter().rev().enumerate().map(|(at, byte)| byte ^ u8::from(at == 0)).rev().collect();
            for wrong in [zero, longer, first_wrong, last_wrong, right[1..].to_vec(), right[..1].to_vec(), vec![]] {
                let error = verify(&ours, "array", &value::hex(&wrong));
                assert_eq!(error, Err(AuthError::WrongResponse), "{wrong:02x?}");
            }
            for malformed in ["", "0xzz", "0b*", "123", &value::hex(&[0; 1025])] {
                let error = verify(&ours, "array", malformed);
                assert_eq!(error, Err(AuthError::Malformed { key: Key::ChapR }));
            }
        }
    }

    #[test]
    fn r131_a_target_with_the_right_secret_and_another_name_is_refused() {
        let ours = question("5", "1", CHALLENGE).unwrap().counter(&nonce(3), Challenges::default()).unwrap();
        let right = value::hex(&respond(Algorithm::Md5, ours.identifier, &secret("zyxwvutsrqpo"), &ours.bytes));
        for name in ["alice", "Array", "", "array "] {
            let error = AuthError::WrongName { expected: "array".into(), answered: name.into() };
            assert_eq!(verify(&ours, name, &right), Err(error));
        }
    }

    #[test]
    fn r117_the_default_offer_is_safe_for_tgt() {
        assert!(Algorithm::DEFAULT.contains(&Algorithm::Md5));
        let tgt = Algorithm::DEFAULT.into_iter().find(|offer| matches!(offer, Algorithm::Md5 | Algorithm::Sha256));
        assert_eq!(tgt, Some(Algorithm::Md5));
    }

    #[test]
    fn names_and_numbers_of_algorithms_round_trip() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
            assert_eq!(Algorithm::from_number(algorithm.number().into()), Some(algorithm));
        }
        for (text, algorithm) in [
            ("MD5", Algorithm::Md5),
            ("SHA-1", Algorithm::Sha1),
            ("SHA256", Algorithm::Sha256),
            ("SHA3-256", Algorithm::Sha3_256),
        ] {
            assert_eq!(text.parse(), Ok(algorithm));
        }
        for text in ["", "sha", "md4", "5", "sha512"] {
            assert_eq!(text.parse::<Algorithm>(), Err(AlgorithmError(text.into())));
        }
        assert_eq!(Algorithm::from_number(9), None);
    }
}
