//! A small target: it logs initiators in, tells of its logical units, answers pings and logouts, and lets the test see and
//! disturb all of that. It is built on the PDUs alone.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use iscsi_proto::framer::{Frame, FrameLimits, Framer, encode_frame};
use iscsi_proto::keys::text::{self, Pair};
use iscsi_proto::pdu::{
    DataIn, Header, LoginRequest, LoginResponse, LoginStatus, LogoutResponse, LogoutResult, NopIn, Numbering, Pdu,
    Residual, ScsiCommand, Stage,
};
use iscsi_proto::scsi::{InquiryData, Lun, LunList, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Ttt;
use md5::{Digest, Md5};

/// The longest wait of a test for something that has to happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// Identifier and challenge of CHAP. A test needs no secrecy.
const CHAP: (u8, [u8; 16]) = (7, [0x5a; 16]);

/// Something that an initiator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It logged in with this ISID.
    Login(String),
    /// It logged out.
    Logout,
    /// It was gone without a logout.
    Gone,
}

/// What the target does, and what it saw.
#[derive(Debug, Default)]
struct Inner {
    luns: Vec<u32>,
    secret: Option<String>,
    refuse: VecDeque<LoginStatus>,
    /// Logins wait.
    hold: bool,
    waiting: usize,
    live: Vec<TcpStream>,
    events: VecDeque<Event>,
}

type Shared = Arc<(Mutex<Inner>, Condvar)>;

/// A target that runs until the test ends.
pub(crate) struct Target {
    /// Where it is.
    pub(crate) addr: SocketAddr,
    shared: Shared,
}

impl Target {
    /// A target with these logical units, on any free port of 127.0.0.1.
    pub(crate) fn start(luns: &[u32]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Shared::default();
        shared.0.lock().unwrap().luns = luns.to_vec();
        let given = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = Connection::new(stream.unwrap(), Arc::clone(&given));
                thread::spawn(move || connection.serve());
            }
        });
        Self { addr, shared }
    }

    /// From now on initiators have to prove that they know this secret.
    pub(crate) fn demand(&self, secret: &str) {
        self.with(|inner| inner.secret = Some(secret.to_owned()));
    }

    /// The next login is refused with this.
    pub(crate) fn refuse(&self, status: LoginStatus) {
        self.with(|inner| inner.refuse.push_back(status));
    }

    /// From now on it has these logical units.
    pub(crate) fn set_luns(&self, luns: &[u32]) {
        self.with(|inner| inner.luns = luns.to_vec());
    }

    /// From now on logins get no answer, or do again, those that wait included.
    pub(crate) fn hold(&self, hold: bool) {
        self.with(|inner| inner.hold = hold);
    }

    /// Waits until a login waits for its answer.
    pub(crate) fn await_waiting(&self) {
        self.wait(|inner| (inner.waiting > 0).then_some(()));
    }

    /// Breaks all connections.
    pub(crate) fn drop_all(&self) {
        self.with(|inner| inner.live.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both))));
    }

    /// Where the sessions come from.
    pub(crate) fn peers(&self) -> Vec<String> {
        self.with(|inner| inner.live.iter().map(|stream| stream.peer_addr().unwrap().ip().to_string()).collect())
    }

    /// How many sessions there are right now.
    pub(crate) fn sessions(&self) -> usize {
        self.with(|inner| inner.live.len())
    }

    /// Waits for the next thing that an initiator does.
    pub(crate) fn event(&self) -> Event {
        self.wait(|inner| inner.events.pop_front())
    }

    /// Waits for a login, which has to come next, and gives its ISID.
    #[track_caller]
    pub(crate) fn login(&self) -> String {
        match self.event() {
            Event::Login(isid) => isid,
            other => panic!("{other:?} where a login should come"),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let result = act(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
        result
    }

    #[track_caller]
    fn wait<T>(&self, mut look: impl FnMut(&mut Inner) -> Option<T>) -> T {
        let mut found = None;
        let inner = self.shared.0.lock().unwrap();
        let (_inner, timeout) = self
            .shared
            .1
            .wait_timeout_while(inner, PATIENCE, |inner| {
                found = look(inner);
                found.is_none()
            })
            .unwrap();
        assert!(!timeout.timed_out() || found.is_some(), "what the test waits for does not happen");
        found.unwrap()
    }
}

struct Connection {
    stream: TcpStream,
    shared: Shared,
    framer: Framer,
    stat_sn: Serial,
    exp_cmd_sn: Serial,
    in_session: bool,
}

impl Connection {
    fn new(stream: TcpStream, shared: Shared) -> Self {
        let framer = Framer::new(FrameLimits::LOGIN);
        Self { stream, shared, framer, stat_sn: Serial(1), exp_cmd_sn: Serial(1), in_session: false }
    }

    fn serve(mut self) {
        let mut last = Event::Gone;
        while let Some(frame) = self.receive() {
            match Pdu::parse(&frame.header).unwrap() {
                Pdu::LoginRequest(request) => {
                    if !self.login(&request, &text::parse(&frame.data).unwrap()) {
                        return;
                    }
                }
                Pdu::ScsiCommand(command) => self.command(&command),
                Pdu::NopOut(ping) => {
                    if !ping.immediate {
                        self.exp_cmd_sn = ping.cmd_sn.next();
                    }
                    let numbering = self.numbering();
                    let answer = NopIn { lun: ping.lun, itt: ping.itt, ttt: Ttt::RESERVED, numbering };
                    self.send(answer.encode(), &frame.data);
                }
                Pdu::LogoutRequest(request) => {
                    let numbering = self.numbering();
                    let result = LogoutResult::Closed;
                    let answer = LogoutResponse { result, itt: request.itt, numbering, time2wait: 0, time2retain: 0 };
                    last = Event::Logout;
                    self.send(answer.encode(), b"");
                    break;
                }
                other => panic!("this target knows no {other:?}"),
            }
        }
        if self.in_session {
            self.leave(last);
        }
    }

    /// Answers a login request. False if the login has failed.
    fn login(&mut self, request: &LoginRequest, pairs: &[Pair]) -> bool {
        self.exp_cmd_sn = request.cmd_sn;
        let (secret, refusal) = self.begin();
        let value = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str());
        let mut status = refusal.unwrap_or(LoginStatus::SUCCESS);
        let mut next = request.next;
        let mut answer = Vec::new();
        for Pair { key, value: offered } in pairs {
            let chosen = match key.as_str() {
                "InitiatorName" | "InitiatorAlias" | "SessionType" | "TargetName" | "CHAP_N" => continue,
                "CHAP_A" => {
                    answer.push(("CHAP_A".to_owned(), "5".to_owned()));
                    answer.push(("CHAP_I".to_owned(), CHAP.0.to_string()));
                    answer.push(("CHAP_C".to_owned(), hex(&CHAP.1)));
                    continue;
                }
                "CHAP_R" => {
                    if Some(offered) != secret.as_deref().map(response).as_ref() {
                        status = LoginStatus::AUTHENTICATION_FAILURE;
                    }
                    continue;
                }
                "AuthMethod" if secret.is_some() && offered.contains("CHAP") => "CHAP",
                "AuthMethod" if secret.is_some() => {
                    status = LoginStatus::AUTHENTICATION_FAILURE;
                    "Reject"
                }
                "AuthMethod" => "None",
                "MaxRecvDataSegmentLength" => "8192",
                _ => offered.split(',').next().unwrap(),
            };
            answer.push((key.clone(), chosen.to_owned()));
        }
        if secret.is_some() && request.current == Stage::Security && value("CHAP_R").is_none() {
            next = None;
        }
        let ok = status == LoginStatus::SUCCESS;
        let done = ok && next == Some(Stage::FullFeature);
        if done {
            self.enter(request);
        }
        let response = LoginResponse {
            more: false,
            current: request.current,
            next: next.filter(|_| ok),
            version_max: 0,
            version_active: 0,
            isid: request.isid,
            tsih: u16::from(done),
            itt: request.itt,
            numbering: self.numbering(),
            status,
        };
        self.send(response.encode(), &if ok { text::encode(answer) } else { Vec::new() });
        ok
    }

    /// Waits while logins are held back. Then says what this one needs, and how it is refused.
    fn begin(&self) -> (Option<String>, Option<LoginStatus>) {
        let (lock, changed) = &*self.shared;
        let mut inner = lock.lock().unwrap();
        inner.waiting += 1;
        changed.notify_all();
        let mut inner = changed.wait_while(inner, |inner| inner.hold).unwrap();
        inner.waiting -= 1;
        (inner.secret.clone(), inner.refuse.pop_front())
    }

    fn enter(&mut self, request: &LoginRequest) {
        self.in_session = true;
        let mut inner = self.shared.0.lock().unwrap();
        inner.live.push(self.stream.try_clone().unwrap());
        inner.events.push_back(Event::Login(request.isid.to_string()));
        self.shared.1.notify_all();
    }

    fn leave(&self, event: Event) {
        let mut inner = self.shared.0.lock().unwrap();
        let own = self.stream.peer_addr().ok();
        inner.live.retain(|stream| own.is_some() && stream.peer_addr().ok() != own);
        inner.events.push_back(event);
        self.shared.1.notify_all();
    }

    fn command(&mut self, command: &ScsiCommand) {
        self.exp_cmd_sn = command.cmd_sn.next();
        let luns = self.shared.0.lock().unwrap().luns.clone();
        let mut data = match command.cdb[0] {
            0xa0 => LunList::encode(&luns.iter().map(|lun| Lun::from_number(*lun).unwrap()).collect::<Vec<_>>()),
            0x12 => InquiryData { vendor: "TEST".to_owned(), version: 6, ..InquiryData::default() }.encode(),
            other => panic!("this target knows no command {other:#04x}"),
        };
        data.truncate(command.expected_length as usize);
        let residual = match command.expected_length as usize - data.len() {
            0 => Residual::None,
            rest => Residual::Underflow(rest as u32),
        };
        let answer = DataIn {
            fin: true,
            acknowledge: false,
            status: Some((Status::GOOD, residual)),
            lun: Lun::ZERO,
            itt: command.itt,
            ttt: Ttt::RESERVED,
            numbering: self.numbering(),
            data_sn: Serial(0),
            offset: 0,
        };
        self.send(answer.encode(), &data);
    }

    fn numbering(&mut self) -> Numbering {
        let stat_sn = self.stat_sn;
        self.stat_sn = stat_sn.next();
        Numbering { stat_sn, exp_cmd_sn: self.exp_cmd_sn, max_cmd_sn: self.exp_cmd_sn.add(8) }
    }

    /// The next PDU; none if the connection is gone.
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

/// What proves that an initiator knows the secret.
fn response(secret: &str) -> String {
    hex(&Md5::new().chain_update([CHAP.0]).chain_update(secret).chain_update(CHAP.1).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
