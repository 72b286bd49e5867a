//! The target's end of a connection: says what a test tells it to, and hears what the initiator sends.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsi_proto::framer::{FrameLimits, Framing, encode_frame};
use iscsi_proto::keys::text::{self, Pair};
use iscsi_proto::keys::{Key, value};
use iscsi_proto::pdu::{
    DataIn, Header, LoginRequest, LoginResponse, LoginStatus, NopIn, Numbering, Pdu, R2t, Residual, ScsiCommand,
    ScsiResponse, ServiceResponse, Snack, Stage,
};
use iscsi_proto::scsi::{Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use super::trace::{Trace, Wire};

/// The longest time that a test waits for the initiator: virtual, so nobody sits through it.
const PATIENCE: Duration = Duration::from_secs(600);
/// The handle of every session.
pub(crate) const TSIH: u16 = 0x0506;

/// The target's end of a connection.
pub(crate) struct Peer {
    io: DuplexStream,
    inbox: BytesMut,
    digests: (bool, bool),
    /// `None` once what the peer says is not what the checker was told.
    trace: Option<Trace>,
    /// The next StatSN.
    pub(crate) stat_sn: Serial,
    /// ExpCmdSN; follows what the initiator sends.
    pub(crate) exp_cmd_sn: Serial,
    /// How many commands the initiator may send beyond ExpCmdSN.
    pub(crate) window: u32,
}

impl Peer {
    /// A peer that has said nothing yet.
    pub(crate) fn new(io: DuplexStream) -> Self {
        Self {
            io,
            inbox: BytesMut::new(),
            digests: (false, false),
            trace: Some(Trace::default()),
            stat_sn: Serial(0xffff_fffe),
            exp_cmd_sn: Serial(0),
            window: 32,
        }
    }

    // Hearing.

    /// The next PDU of the initiator with its data; `None` when it has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<(Pdu, Bytes)> {
        loop {
            if let Some(found) = self.cut() {
                return Some(found);
            }
            let read = timeout(PATIENCE, self.io.read_buf(&mut self.inbox)).await;
            if read.expect("the initiator neither says anything nor closes the connection").unwrap_or(0) == 0 {
                assert!(self.inbox.is_empty(), "the initiator closed the connection within a PDU");
                return None;
            }
        }
    }

    /// The next PDU of the initiator, which there has to be.
    pub(crate) async fn hear(&mut self) -> (Pdu, Bytes) {
        self.next().await.expect("the initiator closed the connection")
    }

    /// The next PDU, which has to be a SCSI command; with its immediate data.
    pub(crate) async fn command(&mut self) -> (ScsiCommand, Bytes) {
        match self.hear().await {
            (Pdu::ScsiCommand(command), data) => (command, data),
            (other, _) => panic!("{other:?} is no command"),
        }
    }

    /// The initiator says nothing for a while.
    pub(crate) async fn hears_nothing(&mut self) {
        if let Ok(heard) = timeout(Duration::from_millis(1), self.next()).await {
            panic!("the initiator sent {heard:?}");
        }
    }

    /// The initiator closes the connection without another word.
    pub(crate) async fn hears_the_end(&mut self) {
        let heard = self.next().await;
        assert!(heard.is_none(), "the initiator sent {heard:?}");
    }

    /// Cuts a PDU off the front of what has come.
    fn cut(&mut self) -> Option<(Pdu, Bytes)> {
        let (header_digest, data_digest) = self.digests;
        let limits = FrameLimits { max_data: (1 << 24) - 1, allow_ahs: true, header_digest, data_digest };
        let framing = Framing::new(limits);
        let (header, layout) = framing.head(&self.inbox).expect("a head")?;
        if self.inbox.len() < layout.total() {
            return None;
        }
        let bytes = self.inbox.split_to(layout.total()).freeze();
        framing.check_data(&header, &bytes[layout.head..]).expect("a digest");
        let pdu = Pdu::parse(&header).expect("a PDU");
        if let Some(Err(broken)) = self.trace.as_mut().map(|trace| trace.heard(&Wire::new(header, layout, &bytes))) {
            panic!("the initiator broke a rule: {broken}");
        }
        self.acknowledge(&pdu);
        Some((pdu, bytes.slice(layout.head..layout.head + layout.data)))
    }

    fn acknowledge(&mut self, pdu: &Pdu) {
        let header = pdu.encode();
        let cmd_sn = Serial(u32::from_be_bytes(header.0[24..28].try_into().expect("four bytes")));
        if !header.immediate() && !matches!(pdu, Pdu::DataOut(_)) && cmd_sn == self.exp_cmd_sn {
            self.exp_cmd_sn = cmd_sn.next();
        }
    }

    // Saying.

    /// Says a PDU with this data.
    pub(crate) async fn say(&mut self, pdu: impl Into<Pdu>, data: &[u8]) {
        self.say_header(pdu.into().encode(), data).await;
    }

    /// Says a PDU whose header may hold anything; only its lengths are put right.
    pub(crate) async fn say_header(&mut self, header: Header, data: &[u8]) {
        let mut wire = BytesMut::new();
        self.tell(header, data, &mut wire);
        self.say_bytes(&wire).await;
    }

    /// Says PDUs without data that arrive in one piece.
    pub(crate) async fn say_together<P: Into<Pdu>>(&mut self, pdus: impl IntoIterator<Item = P>) {
        let mut wire = BytesMut::new();
        for pdu in pdus {
            self.tell(pdu.into().encode(), &[], &mut wire);
        }
        self.say_bytes(&wire).await;
    }

    /// Appends a PDU to what is to be said, and tells the checker.
    fn tell(&mut self, header: Header, data: &[u8], wire: &mut BytesMut) {
        encode_frame(header, &[], data, self.digests.0, self.digests.1, wire);
        if let Some(trace) = &mut self.trace {
            trace.said(&header.with_data_len(data.len() as u32), data);
        }
    }

    /// Says a PDU that is lost on its way.
    pub(crate) fn lose(&mut self, pdu: impl Into<Pdu>, data: &[u8]) {
        if let Some(trace) = &mut self.trace {
            trace.lost(&pdu.into().encode().with_data_len(data.len() as u32), data);
        }
    }

    /// Says a PDU, the data of which is damaged on its way.
    pub(crate) async fn say_damaged(&mut self, pdu: impl Into<Pdu>, data: &[u8]) {
        let mut wire = BytesMut::new();
        self.tell(pdu.into().encode(), data, &mut wire);
        let head = 48 + if self.digests.0 { 4 } else { 0 };
        wire[head] ^= 0x10;
        self.say_bytes(&wire).await;
    }

    /// The next PDU, which has to be a SNACK.
    pub(crate) async fn snack(&mut self) -> Snack {
        match self.hear().await {
            (Pdu::Snack(snack), _) => snack,
            (other, _) => panic!("{other:?} is no SNACK"),
        }
    }

    /// From now on nothing is checked: what is said by [`Peer::say_bytes`] may be anything.
    pub(crate) fn stop_watching(&mut self) {
        self.trace = None;
    }

    /// Says bytes, of which the checker of traces learns nothing.
    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        // A peer that was hung up on does not mind.
        let _ = self.io.write_all(bytes).await;
    }

    /// What it takes to say a PDU, for tests that damage it.
    pub(crate) fn wire(&self, pdu: impl Into<Pdu>, data: &[u8]) -> BytesMut {
        let mut wire = BytesMut::new();
        encode_frame(pdu.into().encode(), &[], data, self.digests.0, self.digests.1, &mut wire);
        wire
    }

    /// The numbers of a PDU that takes no StatSN.
    pub(crate) fn numbering(&self) -> Numbering {
        let max_cmd_sn = self.exp_cmd_sn.add(self.window).sub(1);
        Numbering { stat_sn: self.stat_sn, exp_cmd_sn: self.exp_cmd_sn, max_cmd_sn }
    }

    /// The numbers of a PDU that takes a StatSN.
    pub(crate) fn status(&mut self) -> Numbering {
        let numbering = self.numbering();
        self.stat_sn = self.stat_sn.next();
        numbering
    }

    /// A response with this status.
    pub(crate) fn response(&mut self, itt: Itt, status: Status) -> ScsiResponse {
        ScsiResponse {
            response: ServiceResponse::Completed,
            status,
            qualifier: 0,
            itt,
            snack_tag: 0,
            numbering: self.status(),
            exp_data_sn: Serial(0),
            bidi_residual: Residual::None,
            residual: Residual::None,
        }
    }

    /// Ends a command with GOOD status.
    pub(crate) async fn good(&mut self, itt: Itt) {
        let response = self.response(itt, Status::GOOD);
        self.say(response, &[]).await;
    }

    /// Data-In that ends its sequence, without status.
    pub(crate) fn data_in(&self, itt: Itt, data_sn: u32, offset: u32) -> DataIn {
        DataIn {
            fin: true,
            acknowledge: false,
            status: None,
            lun: Lun::ZERO,
            itt,
            ttt: Ttt::RESERVED,
            numbering: self.numbering(),
            data_sn: Serial(data_sn),
            offset,
        }
    }

    /// An R2T for the command.
    pub(crate) fn r2t(&self, command: &ScsiCommand, r2t_sn: u32, offset: u32, length: u32) -> R2t {
        let (lun, itt, ttt) = (command.lun, command.itt, Ttt(0x7000 + r2t_sn));
        R2t { lun, itt, ttt, numbering: self.numbering(), r2t_sn: Serial(r2t_sn), offset, length }
    }

    /// A NOP-In that wants an answer, or none if the tag is reserved.
    pub(crate) fn ping(&self, ttt: Ttt) -> NopIn {
        NopIn { lun: Lun::from(9), itt: Itt::RESERVED, ttt, numbering: self.numbering() }
    }

    // Login.

    /// The next PDU, which has to be a login request, and its text.
    pub(crate) async fn login_request(&mut self) -> (LoginRequest, Vec<Pair>) {
        match self.hear().await {
            (Pdu::LoginRequest(request), data) => {
                self.exp_cmd_sn = request.cmd_sn;
                (request, text::parse(&data).expect("key=value text"))
            }
            (other, _) => panic!("{other:?} is no login request"),
        }
    }

    /// The response that grants what the request asks for.
    pub(crate) fn login_response(&mut self, request: &LoginRequest) -> LoginResponse {
        let tsih = if request.next == Some(Stage::FullFeature) { TSIH } else { 0 };
        LoginResponse {
            more: false,
            current: request.current,
            next: request.next,
            version_max: 0,
            version_active: 0,
            isid: request.isid,
            tsih,
            itt: request.itt,
            numbering: self.status(),
            status: LoginStatus::new(0, 0),
        }
    }

    /// Grants a login request with these answers.
    pub(crate) async fn grant(&mut self, request: &LoginRequest, answers: &[(&str, &str)]) {
        let response = self.login_response(request);
        self.say(response, &text::encode(answers.iter().copied())).await;
    }

    /// Takes the whole login: accepts every offer, except that these answers come in place of that.
    pub(crate) async fn log_in(&mut self, answers: &[(&str, &str)]) {
        loop {
            let (request, pairs) = self.login_request().await;
            let response = self.login_response(&request);
            let said = replies(&pairs, answers, request.current);
            self.say(response, &text::encode(said.iter().map(|pair| (&pair.key, &pair.value)))).await;
            if request.next == Some(Stage::FullFeature) {
                let uses = |key: &str| said.iter().any(|pair| pair.key == key && pair.value == "CRC32C");
                self.digests = (uses("HeaderDigest"), uses("DataDigest"));
                return;
            }
        }
    }
}

/// The answers to what a login request offers.
fn replies(pairs: &[Pair], answers: &[(&str, &str)], stage: Stage) -> Vec<Pair> {
    let given = |key: &str| answers.iter().find(|(given, _)| *given == key).map(|(_, value)| *value);
    let mut said = Vec::new();
    for pair in pairs {
        let Some(key) = Key::from_name(&pair.key).filter(|key| key.spec().needs_answer()) else { continue };
        let first = value::list(&pair.value).next().unwrap_or_default();
        said.push(Pair::new(key.to_string(), given(&pair.key).unwrap_or(first)));
    }
    if stage == Stage::Operational {
        let rest = answers.iter().filter(|(key, _)| !pairs.iter().any(|pair| pair.key == *key && is_answered(key)));
        said.extend(rest.map(|(key, value)| Pair::new(*key, *value)));
    }
    said
}

fn is_answered(key: &str) -> bool {
    Key::from_name(key).is_some_and(|key| key.spec().needs_answer())
}

/// Data in which every byte tells where it belongs.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}
