//! Scripted dialogues: each test plays the target, response by response.

mod bypass;
mod chap;
mod golden;
mod header;
mod keys;
mod random;
mod status;
mod text;

use iscsi_proto::isid::Isid;
use iscsi_proto::keys::text::{Pair, encode, parse};
use iscsi_proto::pdu::{LoginRequest, LoginResponse, LoginStatus, Numbering, Stage};
use iscsi_proto::serial::Serial;

use super::*;
use crate::core::chap::Challenges;
use crate::core::secret::{Auth, Chap, Credentials};

const INITIATOR: &str = "iqn.2001-04.com.example:host";
const TARGET: &str = "iqn.2001-04.com.example:disk1";
const ISID: Isid = Isid([0x80, 1, 2, 3, 0, 4]);

/// A login and the request that it waits to see answered.
#[derive(Debug)]
struct Talk {
    login: Login,
    request: LoginRequest,
    /// What the request carried, as it went out.
    data: Vec<u8>,
    /// StatSN of the next response.
    stat_sn: Serial,
}

/// What came of a response.
#[derive(Debug)]
enum Heard {
    More(Talk),
    Done(Box<LoggedIn>),
    Redirect(Redirect),
    Failed(LoginError),
}

fn config() -> LoginConfig {
    let purpose = Purpose::Session { target: TARGET.parse().unwrap() };
    let mut config = LoginConfig::new(INITIATOR.parse().unwrap(), purpose, ISID);
    config.cmd_sn = Serial(100);
    config.challenges = Challenges::default();
    config
}

fn discovery() -> LoginConfig {
    LoginConfig { purpose: Purpose::Discovery { target: None }, ..config() }
}

fn credentials(user: &str, secret: &str) -> Credentials {
    Credentials::new(user, secret.parse().unwrap()).unwrap()
}

fn one_way() -> LoginConfig {
    LoginConfig { auth: Auth::Chap(Chap::new(credentials("alice", "alicesecret12"))), ..config() }
}

fn mutual() -> LoginConfig {
    let chap = Chap::new(credentials("alice", "alicesecret12"));
    LoginConfig { auth: Auth::Chap(chap.with_target(credentials("array", "arraysecret12")).unwrap()), ..config() }
}

/// A nonce that tests can foresee.
fn nonce() -> Nonce {
    Nonce::from_bytes(std::array::from_fn(|at| 0x40 + at as u8))
}

/// Begins a login that is expected to be possible.
fn start(config: LoginConfig) -> Talk {
    let (login, request) = Login::new(config, nonce()).unwrap();
    Talk::new(login, &request, Serial(7))
}

/// A login without authentication, in its operational stage.
fn operational(config: LoginConfig) -> Talk {
    start(config).says(&[("AuthMethod", "None")]).more()
}

impl Talk {
    fn new(login: Login, request: &Request, stat_sn: Serial) -> Self {
        let header = LoginRequest::parse(&request.header).unwrap();
        assert_eq!(request.header.data_len() as usize, request.data.len());
        assert!(request.data.len() <= 8192);
        Self { login, request: header, data: request.data.clone(), stat_sn }
    }

    /// The pairs of the request.
    fn sent(&self) -> Vec<(String, String)> {
        parse(&self.data).unwrap().into_iter().map(|Pair { key, value }| (key, value)).collect()
    }

    /// The pairs of the request, as one line.
    fn line(&self) -> String {
        self.sent().iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    fn value(&self, key: &str) -> Option<String> {
        self.sent().into_iter().find(|(sent, _)| sent == key).map(|(_, value)| value)
    }

    /// The response of a target that accepts everything, the proposed stage included.
    fn response(&self) -> LoginResponse {
        let last = self.request.next == Some(Stage::FullFeature);
        LoginResponse {
            more: false,
            current: self.request.current,
            next: self.request.next,
            version_max: 0,
            version_active: 0,
            isid: self.request.isid,
            tsih: if last && self.request.tsih == 0 { 0x1234 } else { self.request.tsih },
            itt: self.request.itt,
            numbering: Numbering {
                stat_sn: self.stat_sn,
                exp_cmd_sn: self.request.cmd_sn,
                max_cmd_sn: self.request.cmd_sn.add(31),
            },
            status: LoginStatus::SUCCESS,
        }
    }

    /// Answers with these pairs and accepts the proposed stage.
    fn says(self, pairs: &[(&str, &str)]) -> Heard {
        self.says_but(pairs, |_| {})
    }

    /// Answers with these pairs and does not enter another stage.
    fn says_and_stays(self, pairs: &[(&str, &str)]) -> Heard {
        self.says_but(pairs, |response| response.next = None)
    }

    fn says_but(self, pairs: &[(&str, &str)], change: impl FnOnce(&mut LoginResponse)) -> Heard {
        self.sends(&encode(pairs.iter().copied()), change)
    }

    fn sends(self, data: &[u8], change: impl FnOnce(&mut LoginResponse)) -> Heard {
        let mut response = self.response();
        change(&mut response);
        self.hears(&response.encode().with_data_len(data.len() as u32), data)
    }

    fn hears(self, header: &Header, data: &[u8]) -> Heard {
        match self.login.receive(header, data) {
            Ok(Step::Send(login, request)) => Heard::More(Self::new(login, &request, self.stat_sn.next())),
            Ok(Step::Done(done)) => Heard::Done(done),
            Ok(Step::Redirect(redirect)) => Heard::Redirect(redirect),
            Err(error) => Heard::Failed(error),
        }
    }

    /// The answers of a target that agrees to every offer of the request, but for these pairs, which it adds or answers
    /// instead.
    fn agrees_but(&self, instead: &[(&str, &str)]) -> Vec<(String, String)> {
        let known = |key: &str| instead.iter().any(|(other, _)| *other == key);
        let first = |value: String| value.split(',').next().unwrap_or_default().to_owned();
        let answers = self.sent().into_iter().filter(|(key, _)| key != "MaxRecvDataSegmentLength" && !known(key));
        let instead = instead.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        answers.map(|(key, value)| (key, first(value))).chain(instead).collect()
    }

    /// Ends the operational stage by agreeing, with these pairs added or instead.
    fn ends(self, instead: &[(&str, &str)]) -> Heard {
        let text = encode(self.agrees_but(instead));
        self.sends(&text, |_| {})
    }
}

impl Heard {
    #[track_caller]
    fn more(self) -> Talk {
        match self {
            Self::More(talk) => talk,
            other => panic!("expected another request, not {other:?}"),
        }
    }

    #[track_caller]
    fn done(self) -> LoggedIn {
        match self {
            Self::Done(done) => *done,
            other => panic!("expected the end of login, not {other:?}"),
        }
    }

    #[track_caller]
    fn redirect(self) -> Redirect {
        match self {
            Self::Redirect(redirect) => redirect,
            other => panic!("expected a redirection, not {other:?}"),
        }
    }

    #[track_caller]
    fn failed(self) -> LoginError {
        match self {
            Self::Failed(error) => error,
            other => panic!("expected a failure, not {other:?}"),
        }
    }

    #[track_caller]
    fn misbehaved(self) -> PeerMisbehaved {
        match self.failed() {
            LoginError::Misbehaved(rule) => rule,
            other => panic!("expected a broken rule, not {other:?}"),
        }
    }
}
