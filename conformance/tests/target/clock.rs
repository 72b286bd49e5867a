//! Recovery over transports: the servers tell the time, and lost connections are noticed.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use conformance::hostile::{self, Script};
use conformance::target::config::{Config, LunConfig, TargetConfig};
use conformance::target::core::Node;
use conformance::target::server::Server;
use conformance::target::ticker::keep;
use iscsi_proto::framer::{FrameLimits, Framer, encode_frame};
use iscsi_proto::isid::Isid;
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{
    AsyncEvent, LoginRequest, LoginStatus, LogoutReason, LogoutRequest, LogoutResult, Pdu, R2t, ScsiCommand, Stage,
    TaskAttribute, TaskFunction, TaskRequest, TaskResult,
};
use iscsi_proto::scsi::{Cdb, Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::peer::{BLOCK, INITIATOR, TARGET, data_out};
use crate::snack::recovering;

const PATIENCE: Duration = Duration::from_secs(20);

struct Client<IO> {
    io: IO,
    framer: Framer,
    tsih: u16,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Client<IO> {
    async fn log_in(io: IO, tsih: u16, cid: u16) -> Self {
        let mut client = Self { io, framer: Framer::new(FrameLimits::LOGIN), tsih };
        let request = LoginRequest {
            more: false,
            current: Stage::Operational,
            next: Some(Stage::FullFeature),
            version_max: 0,
            version_min: 0,
            isid: Isid::random([0, 0, 1], 1),
            tsih,
            itt: Itt(1),
            cid,
            cmd_sn: Serial(1),
            exp_stat_sn: Serial(0),
        };
        let leading = [("MaxConnections", "2"), ("ErrorRecoveryLevel", "2")];
        let keys = [("InitiatorName", INITIATOR), ("TargetName", TARGET)];
        let keys = keys.into_iter().chain(leading.into_iter().filter(|_| tsih == 0));
        client.send(request, &text::encode(keys)).await;
        let Pdu::LoginResponse(response) = client.receive().await else { panic!("no login response") };
        assert_eq!((response.status, response.next), (LoginStatus::SUCCESS, Some(Stage::FullFeature)));
        client.tsih = response.tsih;
        client
    }

    async fn send(&mut self, pdu: impl Into<Pdu>, data: &[u8]) {
        let mut bytes = BytesMut::new();
        encode_frame(pdu.into().encode(), &[], data, false, false, &mut bytes);
        self.io.write_all(&bytes).await.unwrap();
    }

    async fn receive(&mut self) -> Pdu {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Pdu::parse(&frame.header).unwrap();
            }
            let mut buffer = [0; 8192];
            let len = timeout(PATIENCE, self.io.read(&mut buffer)).await.unwrap().unwrap();
            assert_ne!(len, 0, "the target has closed the connection");
            self.framer.feed(&buffer[..len]);
        }
    }

    /// Begins to write one block; its R2T.
    async fn write(&mut self) -> R2t {
        let command = ScsiCommand {
            immediate: false,
            fin: true,
            read: false,
            write: true,
            attribute: TaskAttribute::Simple,
            priority: 0,
            lun: Lun::ZERO,
            itt: Itt(2),
            expected_length: BLOCK as u32,
            cmd_sn: Serial(1),
            exp_stat_sn: Serial(2),
            cdb: Cdb::write(0, 1).as_padded(),
        };
        self.send(command, &[]).await;
        self.r2t().await
    }

    async fn r2t(&mut self) -> R2t {
        match self.receive().await {
            Pdu::R2t(r2t) => r2t,
            other => panic!("{other:?}"),
        }
    }

    /// Takes the write over from connection 0 and ends it.
    async fn recover(&mut self) {
        let (itt, cmd_sn, exp_stat_sn) = (Itt(10), Serial(2), Serial(0));
        let reason = LogoutReason::RemoveForRecovery;
        self.send(LogoutRequest { immediate: true, reason, itt, cid: 0, cmd_sn, exp_stat_sn }, &[]).await;
        let Pdu::LogoutResponse(response) = self.receive().await else { panic!("no logout response") };
        assert_eq!(response.result, LogoutResult::Closed);
        let request = TaskRequest {
            immediate: true,
            function: TaskFunction::TaskReassign,
            lun: Lun::ZERO,
            itt: Itt(11),
            referenced: Itt(2),
            cmd_sn,
            exp_stat_sn,
            ref_cmd_sn: Serial(0),
            exp_data_sn: Serial(0),
        };
        self.send(request, &[]).await;
        let Pdu::TaskResponse(response) = self.receive().await else { panic!("no task response") };
        assert_eq!(response.result, TaskResult::FunctionComplete);
        let r2t = self.r2t().await;
        self.send(data_out(r2t.itt, r2t.ttt, 0, 0, true), &[7; BLOCK]).await;
        let Pdu::ScsiResponse(response) = self.receive().await else { panic!("no response") };
        assert_eq!(response.status, Status::GOOD);
    }
}

/// One end of a connection to the node, in memory.
fn connect(node: &Arc<Node>) -> DuplexStream {
    let (ours, theirs) = duplex(64 * 1024);
    let portal = "192.0.2.1:3260".parse().unwrap();
    tokio::spawn(hostile::serve(theirs, node.clone(), portal, Script::default()));
    ours
}

#[tokio::test]
async fn a_task_survives_its_tcp_connection() {
    let mut target = TargetConfig::new(TARGET.parse().unwrap()).lun(LunConfig::memory(1 << 20));
    target.unit_attention = false;
    (target.limits.error_recovery_level, target.limits.max_connections, target.limits.time2retain) = (2, 2, 20);
    let server = Server::bind(Config { targets: vec![target], ..Config::default() }, "127.0.0.1:0").await.unwrap();
    let addr = server.local_addr();
    let mut first = Client::log_in(TcpStream::connect(addr).await.unwrap(), 0, 0).await;
    let mut second = Client::log_in(TcpStream::connect(addr).await.unwrap(), first.tsih, 1).await;
    first.write().await;
    drop(first);
    let Pdu::AsyncMessage(message) = second.receive().await else { panic!("nobody tells") };
    assert!(matches!(message.event, AsyncEvent::ConnectionDrop { cid: 0, time2retain: 20, .. }));
    second.recover().await;
    assert_eq!(server.node().peek(0, 0, 0, BLOCK).unwrap()[..], [7; BLOCK]);
    server.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn in_memory_too() {
    let node = recovering(2, |_| {});
    let mut first = Client::log_in(connect(&node), 0, 0).await;
    let mut second = Client::log_in(connect(&node), first.tsih, 1).await;
    first.write().await;
    drop(first);
    let Pdu::AsyncMessage(_) = second.receive().await else { panic!("nobody tells") };
    second.recover().await;
    assert_eq!(node.peek(0, 0, 0, BLOCK).unwrap()[..], [7; BLOCK]);
}

#[tokio::test(start_paused = true)]
async fn an_r2t_comes_again_when_its_time_is_over() {
    let node = recovering(1, |_| {});
    let mut client = Client::log_in(connect(&node), 0, 0).await;
    let start = Instant::now();
    let first = client.write().await;
    assert_eq!(client.r2t().await, first);
    let late = start.elapsed().as_secs_f32();
    assert!((5.0..5.5).contains(&late), "{late} s");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_comes_back_to_ends() {
    let node = recovering(2, |_| {});
    tokio::spawn(keep(node.clone()));
    drop(Client::log_in(connect(&node), 0, 0).await);
    for (seconds, sessions) in [(19, 1), (4, 0)] {
        sleep(Duration::from_secs(seconds)).await;
        assert_eq!(node.sessions().len(), sessions);
    }
}
