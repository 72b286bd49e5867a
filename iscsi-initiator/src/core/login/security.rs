use iscsi_proto::keys::negotiate::{Outcome, conclude};
use iscsi_proto::keys::{Key, NONE, value};
use iscsi_proto::pdu::Stage;

use super::LoginError;
use super::error::Progress;
use crate::core::chap::{Algorithm, AuthError, Challenge, Challenges, Nonce, Question};
use crate::core::secret::{Auth, Chap};

/// How the two sides have proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// Not at all.
    None,
    /// The initiator has, by CHAP with this algorithm.
    Initiator(Algorithm),
    /// Both have, by CHAP with this algorithm.
    Mutual(Algorithm),
}

/// Keys with their values.
pub(super) type Pairs = Vec<(Key, String)>;

/// What has come of the security stage so far.
#[derive(Debug)]
pub(super) struct Security {
    auth: Auth,
    nonce: Nonce,
    challenges: Challenges,
    step: Step,
}

/// What the target has to send next.
#[derive(Debug)]
enum Step {
    /// AuthMethod.
    Method,
    /// CHAP_A, CHAP_I and CHAP_C.
    Question,
    /// CHAP_N and CHAP_R, if we sent a challenge; else nothing.
    Proof { algorithm: Algorithm, ours: Option<Challenge> },
    /// Nothing more.
    Done(Authentication),
}

impl Security {
    pub(super) fn new(auth: Auth, nonce: Nonce, challenges: Challenges) -> Result<Self, LoginError> {
        if let Auth::Chap(chap) = &auth {
            chap.check()?;
        }
        Ok(Self { auth, nonce, challenges, step: Step::Method })
    }

    /// The value of AuthMethod that opens the stage.
    pub(super) const fn methods(&self) -> &'static str {
        match &self.auth {
            Auth::None => NONE,
            Auth::Chap(chap) if chap.allows_none() => "CHAP,None",
            Auth::Chap(_) => "CHAP",
        }
    }

    /// The stage to propose: the next one, as soon as nothing of ours is left to be sent.
    pub(super) const fn proposes(&self) -> Option<Stage> {
        match (&self.step, &self.auth) {
            (Step::Method, Auth::Chap(_)) | (Step::Question, _) => None,
            _ => Some(Stage::Operational),
        }
    }

    /// How both have proved who they are, if the exchange is complete.
    pub(super) const fn result(&self) -> Option<Authentication> {
        match self.step {
            Step::Done(authentication) => Some(authentication),
            _ => None,
        }
    }

    pub(super) const fn progress(&self) -> Progress {
        match (&self.step, &self.auth) {
            (_, Auth::None) => Progress::NoneOffered,
            (Step::Method, _) => Progress::ChapOffered,
            (Step::Question, _) => Progress::AlgorithmsOffered,
            (_, Auth::Chap(chap)) if chap.target().is_some() => Progress::Asked,
            _ => Progress::Answered,
        }
    }

    /// The target's step; gives ours. A step with other keys than its own ends the login (section 9.2).
    pub(super) fn take(&mut self, mut keys: Pairs) -> Result<Pairs, LoginError> {
        self.expect(&keys)?;
        let (answer, step) = match (&mut self.step, &self.auth) {
            (Step::Method, _) => self.choose_method(&mut keys)?,
            (Step::Question, Auth::Chap(chap)) => self.answer(chap, &mut keys)?,
            (Step::Proof { algorithm, ours }, Auth::Chap(chap)) => {
                (Pairs::new(), Step::Done(prove(chap, *algorithm, ours.as_ref(), &mut keys)?))
            }
            _ => return Ok(Pairs::new()),
        };
        self.step = step;
        Ok(answer)
    }

    fn expect(&self, keys: &Pairs) -> Result<(), AuthError> {
        let legal: &[Key] = match &self.step {
            Step::Method => &[Key::AuthMethod],
            Step::Question => &[Key::ChapA, Key::ChapI, Key::ChapC],
            Step::Proof { ours: Some(_), .. } => &[Key::ChapN, Key::ChapR],
            Step::Proof { ours: None, .. } | Step::Done(_) => &[],
        };
        match keys.iter().find(|(key, _)| !legal.contains(key)) {
            Some((key, _)) => Err(AuthError::UnexpectedKey { key: *key }),
            None => Ok(()),
        }
    }

    fn choose_method(&self, keys: &mut Pairs) -> Result<(Pairs, Step), LoginError> {
        let done = (Pairs::new(), Step::Done(Authentication::None));
        let method = match take(keys, Key::AuthMethod) {
            // A target that was offered nothing but None may leave out to choose it.
            Err(_) if self.auth == Auth::None => return Ok(done),
            method => method?,
        };
        match conclude(Key::AuthMethod, self.methods(), &method)? {
            Outcome::Agreed(method) if method == NONE => Ok(done),
            Outcome::Agreed(_) => Ok((vec![(Key::ChapA, self.algorithms())], Step::Question)),
            _ => Err(AuthError::MethodRejected { offered: self.methods().into() }.into()),
        }
    }

    fn algorithms(&self) -> String {
        let Auth::Chap(chap) = &self.auth else {
            return String::new();
        };
        let numbers: Vec<String> = chap.algorithms().iter().map(|algorithm| algorithm.number().to_string()).collect();
        numbers.join(",")
    }

    fn answer(&self, chap: &Chap, keys: &mut Pairs) -> Result<(Pairs, Step), LoginError> {
        let [algorithm, identifier, challenge] =
            [take(keys, Key::ChapA)?, take(keys, Key::ChapI)?, take(keys, Key::ChapC)?];
        let question = Question::read(chap.algorithms(), &algorithm, &identifier, &challenge)?;
        let response = question.answer(chap.initiator().secret(), &self.challenges)?;
        let mut answer = vec![(Key::ChapN, chap.initiator().user().to_owned()), (Key::ChapR, value::hex(&response))];
        let mut ours = None;
        if chap.target().is_some() {
            let challenge = question.counter(&self.nonce, self.challenges.clone())?;
            answer.push((Key::ChapI, challenge.identifier().to_string()));
            answer.push((Key::ChapC, value::hex(challenge.bytes())));
            ours = Some(challenge);
        }
        Ok((answer, Step::Proof { algorithm: question.algorithm(), ours }))
    }
}

/// Checks what the target sent to prove itself, if it has to.
fn prove(
    chap: &Chap,
    algorithm: Algorithm,
    ours: Option<&Challenge>,
    keys: &mut Pairs,
) -> Result<Authentication, AuthError> {
    match (chap.target(), ours) {
        (Some(target), Some(ours)) => {
            let [name, response] = [take(keys, Key::ChapN)?, take(keys, Key::ChapR)?];
            ours.verify(chap.initiator().secret(), target, &name, &response)?;
            Ok(Authentication::Mutual(algorithm))
        }
        // A challenge is sent whenever the target has to prove itself.
        (Some(_), None) => Err(AuthError::MissingKey { key: Key::ChapR }),
        (None, _) => Ok(Authentication::Initiator(algorithm)),
    }
}

fn take(keys: &mut Pairs, key: Key) -> Result<String, AuthError> {
    let at = keys.iter().position(|(found, _)| *found == key).ok_or(AuthError::MissingKey { key })?;
    Ok(keys.swap_remove(at).1)
}
