//! A portal that knows nothing but discovery: it logs initiators in, or refuses them, answers `SendTargets` with a given
//! text, and remembers what it was sent.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::BytesMut;
use iscsi_proto::framer::{Frame, FrameLimits, Framer, encode_frame};
use iscsi_proto::keys::text::{self, Pair};
use iscsi_proto::pdu::{
    Header, LoginRequest, LoginResponse, LoginStatus, LogoutResponse, LogoutResult, Numbering, Pdu, Stage, TextResponse,
};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Ttt;

/// How the portal behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// What `SendTargets` is answered with: pairs, each of which ends with a NUL.
    pub(crate) answer: String,
    /// The logins that come first are refused with these, one each.
    pub(crate) refuse: VecDeque<LoginStatus>,
    /// Initiators have to use CHAP. Any response will do.
    pub(crate) chap: bool,
}

/// A portal that runs until the test ends.
pub(crate) struct Portal {
    /// Where it is.
    pub(crate) addr: SocketAddr,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Portal {
    /// Starts a portal on any free port of 127.0.0.1.
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let portal = Self { addr, script: Arc::new(Mutex::new(script)), seen: Arc::default() };
        let (script, seen) = (Arc::clone(&portal.script), Arc::clone(&portal.seen));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut now = script.lock().unwrap();
                let refusal = now.refuse.pop_front();
                let connection = Connection::new(stream.unwrap(), now.clone(), refusal, Arc::clone(&seen));
                drop(now);
                connection.serve();
            }
        });
        portal
    }

    /// The same with nothing but this answer.
    pub(crate) fn with(answer: &str) -> Self {
        Self::start(Script { answer: answer.to_owned(), ..Script::default() })
    }

    /// From now on it answers this.
    pub(crate) fn answer(&self, answer: &str) {
        answer.clone_into(&mut self.script.lock().unwrap().answer);
    }

    /// Every `key=value` that it was sent since the last call, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// A pair of an answer.
pub(crate) fn target(name: &str, addresses: &[&str]) -> String {
    let mut text = format!("TargetName=iqn.2001-04.com.example:{name}\0");
    for address in addresses {
        text.push_str("TargetAddress=");
        text.push_str(address);
        text.push('\0');
    }
    text
}

struct Connection {
    stream: TcpStream,
    script: Script,
    refusal: Option<LoginStatus>,
    seen: Arc<Mutex<Vec<String>>>,
    framer: Framer,
    stat_sn: Serial,
}

impl Connection {
    fn new(stream: TcpStream, script: Script, refusal: Option<LoginStatus>, seen: Arc<Mutex<Vec<String>>>) -> Self {
        Self { stream, script, refusal, seen, framer: Framer::new(FrameLimits::LOGIN), stat_sn: Serial(1) }
    }

    fn serve(mut self) {
        while let Some(frame) = self.receive() {
            match Pdu::parse(&frame.header).unwrap() {
                Pdu::LoginRequest(request) => {
                    let pairs = self.read(&frame);
                    if !self.login(&request, &pairs) {
                        return;
                    }
                }
                Pdu::TextRequest(request) => {
                    self.read(&frame);
                    let numbering = self.numbering(request.cmd_sn.next());
                    let response = TextResponse {
                        fin: true,
                        more: false,
                        lun: request.lun,
                        itt: request.itt,
                        ttt: Ttt::RESERVED,
                        numbering,
                    };
                    let answer = self.script.answer.clone();
                    self.send(response.encode(), answer.as_bytes());
                }
                Pdu::LogoutRequest(request) => {
                    let numbering = self.numbering(request.cmd_sn);
                    let result = LogoutResult::Closed;
                    let response = LogoutResponse { result, itt: request.itt, numbering, time2wait: 0, time2retain: 0 };
                    self.send(response.encode(), b"");
                    return;
                }
                other => panic!("a discovery session has no {other:?}"),
            }
        }
    }

    /// Answers a login request. False if the login has failed.
    fn login(&mut self, request: &LoginRequest, pairs: &[Pair]) -> bool {
        let value = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str());
        let mut status = self.refusal.unwrap_or(LoginStatus::SUCCESS);
        let mut next = request.next;
        let mut answer = Vec::new();
        for Pair { key, value: offered } in pairs {
            let chosen = match key.as_str() {
                "InitiatorName" | "InitiatorAlias" | "SessionType" | "TargetName" | "CHAP_N" | "CHAP_R" => continue,
                "CHAP_A" => {
                    answer.push(("CHAP_A".to_owned(), offered.split(',').next().unwrap().to_owned()));
                    answer.push(("CHAP_I".to_owned(), "7".to_owned()));
                    answer.push(("CHAP_C".to_owned(), "0x000102030405060708090a0b0c0d0e0f".to_owned()));
                    continue;
                }
                "AuthMethod" if self.script.chap && offered.contains("CHAP") => "CHAP",
                "AuthMethod" if self.script.chap => {
                    status = LoginStatus::AUTHENTICATION_FAILURE;
                    "Reject"
                }
                "AuthMethod" => "None",
                "MaxRecvDataSegmentLength" => "8192",
                _ => offered.split(',').next().unwrap(),
            };
            answer.push((key.clone(), chosen.to_owned()));
        }
        if self.script.chap && request.current == Stage::Security && value("CHAP_R").is_none() {
            next = None;
        }
        let ok = status == LoginStatus::SUCCESS;
        let response = LoginResponse {
            more: false,
            current: request.current,
            next: next.filter(|_| ok),
            version_max: 0,
            version_active: 0,
            isid: request.isid,
            tsih: u16::from(ok && next == Some(Stage::FullFeature)),
            itt: request.itt,
            numbering: self.numbering(request.cmd_sn),
            status,
        };
        let text = if ok { text::encode(answer) } else { Vec::new() };
        self.send(response.encode(), &text);
        ok
    }

    fn numbering(&mut self, exp_cmd_sn: Serial) -> Numbering {
        let stat_sn = self.stat_sn;
        self.stat_sn = stat_sn.next();
        Numbering { stat_sn, exp_cmd_sn, max_cmd_sn: exp_cmd_sn.add(8) }
    }

    fn read(&mut self, frame: &Frame) -> Vec<Pair> {
        let pairs = text::parse(&frame.data).unwrap();
        self.seen.lock().unwrap().extend(pairs.iter().map(|pair| format!("{}={}", pair.key, pair.value)));
        pairs
    }

    /// The next PDU; none if the initiator has closed the connection.
    fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Some(frame);
            }
            let mut bytes = [0; 8192];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.framer.feed(&bytes[..len]),
            }
        }
    }

    fn send(&mut self, header: Header, data: &[u8]) {
        let mut out = BytesMut::new();
        encode_frame(header, &[], data, false, false, &mut out);
        // The initiator may be gone; the test sees that on its side.
        let _ = self.stream.write_all(&out);
    }
}
