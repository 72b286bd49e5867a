//! A target that answers as a test tells it to: what no real one can be made to do at will.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsi_initiator::{Config, Lun, Session};
use iscsi_proto::framer::{FrameLimits, Framer, encode_frame};
use iscsi_proto::pdu::{
    DataIn, LoginRequest, LoginResponse, LoginStatus, LogoutRequest, LogoutResponse, LogoutResult, NopIn, NopOut,
    Numbering, Pdu, Residual, ScsiCommand, ScsiResponse, ServiceResponse, sense_segment,
};
use iscsi_proto::scsi::{Capacity, Lun as LunNumber, Sense, SenseKey, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

use super::{DISK, initiator, name};

pub(crate) const BLOCK: usize = 512;
/// Bytes that one command moves at most.
pub(crate) const PART: usize = 1 << 20;
/// How long the peer thinks about a logout.
const PAUSE: Duration = Duration::from_millis(100);
/// Operation codes of the commands that a test answers.
pub(crate) const WRITE: u8 = 0x2a;
pub(crate) const READ: u8 = 0x28;
pub(crate) const FLUSH: u8 = 0x35;

/// How a command ends.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// GOOD, and a read returns blocks that are filled with this byte.
    Good(u8),
    Status(Status),
    Sense(SenseKey, u8, u8),
    /// GOOD, so much later. What comes behind it waits.
    After(Duration),
}

pub(crate) const GOOD: Answer = Answer::Good(0);

pub(crate) struct Peer<F> {
    io: DuplexStream,
    framer: Framer,
    stat_sn: Serial,
    exp_cmd_sn: Serial,
    answer: F,
}

/// A session with a peer that answers reads, writes and flushes by `answer`, and its logical unit of 1 GiB.
pub(crate) async fn disk(answer: impl FnMut(&ScsiCommand) -> Answer + Send + 'static) -> (Session, Lun) {
    let session = session(|io| io, answer).await;
    let lun = session.open(LunNumber::ZERO).await.unwrap();
    (session, lun)
}

/// A session over a transport that `wrap` makes of a pipe to such a peer.
pub(crate) async fn session<IO, F>(wrap: impl FnOnce(DuplexStream) -> IO, answer: F) -> Session
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: FnMut(&ScsiCommand) -> Answer + Send + 'static,
{
    let (ours, theirs) = duplex(64 << 20);
    tokio::spawn(Peer::new(theirs, answer).run());
    let mut config = Config::default();
    config.offer.first_burst_length = PART as u32;
    config.timeouts.idle = None;
    let builder = Session::builder(&initiator(), name(DISK)).config(config);
    let (session, connection) = builder.connect_with(wrap(ours)).await.unwrap();
    tokio::spawn(connection);
    session
}

impl<F: FnMut(&ScsiCommand) -> Answer> Peer<F> {
    fn new(io: DuplexStream, answer: F) -> Self {
        let limits = FrameLimits { max_data: 1 << 24, allow_ahs: true, header_digest: false, data_digest: false };
        Self { io, framer: Framer::new(limits), stat_sn: Serial(1), exp_cmd_sn: Serial(1), answer }
    }

    async fn run(mut self) {
        while let Some((pdu, data)) = self.next().await {
            let more = match pdu {
                Pdu::LoginRequest(request) => self.log_in(&request, &data).await,
                Pdu::ScsiCommand(command) => self.obey(&command).await,
                Pdu::NopOut(ping) => self.pong(&ping).await,
                Pdu::LogoutRequest(request) => self.log_out(&request).await,
                _ => true,
            };
            if !more {
                return;
            }
        }
    }

    async fn next(&mut self) -> Option<(Pdu, Bytes)> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Some((Pdu::parse(&frame.header).unwrap(), frame.data));
            }
            if self.io.read_buf(self.framer.buffer()).await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn say(&mut self, pdu: impl Into<Pdu>, data: &[u8]) -> bool {
        let mut wire = BytesMut::new();
        encode_frame(pdu.into().encode(), &[], data, false, false, &mut wire);
        self.io.write_all(&wire).await.is_ok()
    }

    fn numbering(&mut self) -> Numbering {
        let stat_sn = self.stat_sn;
        self.stat_sn = stat_sn.next();
        Numbering { stat_sn, exp_cmd_sn: self.exp_cmd_sn, max_cmd_sn: Serial(self.exp_cmd_sn.0 + 31) }
    }

    async fn log_in(&mut self, request: &LoginRequest, data: &[u8]) -> bool {
        self.exp_cmd_sn = request.cmd_sn;
        let has = |key: &[u8]| data.windows(key.len()).any(|window| window == key);
        let mut text = String::new();
        if has(b"AuthMethod=") {
            text.push_str("AuthMethod=None\0");
        }
        if has(b"InitialR2T=") {
            text.push_str("InitialR2T=No\0ImmediateData=Yes\0HeaderDigest=None\0DataDigest=None\0");
            text.push_str("MaxRecvDataSegmentLength=1048576\0MaxBurstLength=1048576\0FirstBurstLength=1048576\0");
        }
        let numbering = self.numbering();
        let response = LoginResponse {
            more: false,
            current: request.current,
            next: request.next,
            version_max: 0,
            version_active: 0,
            isid: request.isid,
            tsih: 1,
            itt: request.itt,
            numbering,
            status: LoginStatus::SUCCESS,
        };
        self.say(response, text.as_bytes()).await
    }

    async fn obey(&mut self, command: &ScsiCommand) -> bool {
        self.exp_cmd_sn = command.cmd_sn.next();
        match command.cdb[0] {
            0x00 => self.status(command.itt, Status::GOOD, &[]).await,
            0x12 if command.cdb[1] & 1 == 0 => {
                let mut disk = [0; 36];
                (disk[2], disk[3], disk[4]) = (6, 2, 31);
                self.data(command, &disk).await
            }
            0x9e => {
                let mut capacity = [0; Capacity::LEN];
                capacity[..8].copy_from_slice(&((1_u64 << 30) / BLOCK as u64 - 1).to_be_bytes());
                capacity[8..12].copy_from_slice(&(BLOCK as u32).to_be_bytes());
                self.data(command, &capacity).await
            }
            READ | WRITE | FLUSH => self.answer(command).await,
            _ => self.sense(command.itt, Sense::new(SenseKey::IllegalRequest, 0x24, 0)).await,
        }
    }

    async fn answer(&mut self, command: &ScsiCommand) -> bool {
        match (self.answer)(command) {
            Answer::Good(byte) => self.good(command, byte).await,
            Answer::Status(status) => self.status(command.itt, status, &[]).await,
            Answer::Sense(key, asc, ascq) => self.sense(command.itt, Sense::new(key, asc, ascq)).await,
            Answer::After(pause) => {
                tokio::time::sleep(pause).await;
                self.good(command, 0).await
            }
        }
    }

    async fn good(&mut self, command: &ScsiCommand, byte: u8) -> bool {
        if command.read {
            let data = vec![byte; command.expected_length as usize];
            return self.data(command, &data).await;
        }
        self.status(command.itt, Status::GOOD, &[]).await
    }

    async fn sense(&mut self, itt: Itt, sense: Sense) -> bool {
        self.status(itt, Status::CHECK_CONDITION, &sense_segment(&sense.to_fixed())).await
    }

    async fn status(&mut self, itt: Itt, status: Status, data: &[u8]) -> bool {
        let response = ScsiResponse {
            response: ServiceResponse::Completed,
            status,
            qualifier: 0,
            itt,
            snack_tag: 0,
            numbering: self.numbering(),
            exp_data_sn: Serial(0),
            bidi_residual: Residual::None,
            residual: Residual::None,
        };
        self.say(response, data).await
    }

    /// Data with GOOD status behind it in the same PDU.
    async fn data(&mut self, command: &ScsiCommand, data: &[u8]) -> bool {
        let wanted = command.expected_length as usize;
        let data = &data[..data.len().min(wanted)];
        let missing = (wanted - data.len()) as u32;
        let residual = if missing == 0 { Residual::None } else { Residual::Underflow(missing) };
        let numbering = self.numbering();
        let mut pdu = DataIn {
            fin: false,
            acknowledge: false,
            status: None,
            lun: LunNumber::ZERO,
            itt: command.itt,
            ttt: Ttt::RESERVED,
            numbering,
            data_sn: Serial(0),
            offset: 0,
        };
        // No longer than what the initiator declares.
        let mut pieces = data.chunks(128 * 1024).peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                (pdu.fin, pdu.status) = (true, Some((Status::GOOD, residual)));
            }
            if !self.say(pdu.clone(), piece).await {
                return false;
            }
            (pdu.data_sn, pdu.offset) = (pdu.data_sn.next(), pdu.offset + piece.len() as u32);
        }
        true
    }

    async fn pong(&mut self, ping: &NopOut) -> bool {
        let numbering = self.numbering();
        self.say(NopIn { lun: ping.lun, itt: ping.itt, ttt: Ttt::RESERVED, numbering }, &[]).await
    }

    async fn log_out(&mut self, request: &LogoutRequest) -> bool {
        tokio::time::sleep(PAUSE).await;
        let numbering = self.numbering();
        let (result, itt) = (LogoutResult::Closed, request.itt);
        self.say(LogoutResponse { result, itt, numbering, time2wait: 0, time2retain: 0 }, &[]).await
    }
}
