use conformance::target::config::{Config, Limits, LunConfig, TargetConfig};
use conformance::target::server::Server;
use iscsi_proto::name::IscsiName;

use crate::load::{Load, config, run};

pub(crate) async fn serve(limits: Limits) -> (Server, IscsiName) {
    let name: IscsiName = "iqn.2026-01.org.example:disk".parse().unwrap();
    let target = TargetConfig::new(name.clone()).lun(LunConfig::memory(64 << 20)).limits(limits);
    let server = Server::bind(Config { targets: vec![target], ..Config::default() }, "127.0.0.1:0").await.unwrap();
    (server, name)
}

pub(crate) fn limits() -> Limits {
    Limits { error_recovery_level: 2, max_connections: 4, time2wait: 0, time2retain: 20, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r284_r288_a_session_of_one_connection_that_is_cut_again_and_again_loses_nothing() {
    let (server, name) = serve(limits()).await;
    let load = Load { connections: 1, workers: 16, rounds: 40, chunk: 64 << 10, cuts: 6 };
    run(&name, server.local_addr(), 0, config(&load), load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r284_r291_a_session_of_four_connections_that_are_cut_one_by_one_loses_nothing() {
    let (server, name) = serve(limits()).await;
    let load = Load { connections: 4, workers: 32, rounds: 40, chunk: 64 << 10, cuts: 6 };
    run(&name, server.local_addr(), 0, config(&load), load).await;
}

/// Everything that may be asked for: R2Ts for each burst, digests, small segments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r286_bursts_that_are_cut_go_on() {
    let limits = Limits { initial_r2t: true, immediate_data: false, max_burst: 8192, first_burst: 4096, ..limits() };
    let (server, name) = serve(limits).await;
    for connections in [1, 3] {
        let load = Load { connections, workers: 8, rounds: 3, chunk: 96 << 10, cuts: 2 };
        let mut config = config(&load);
        config.offer.max_recv_data_segment_length = 4096;
        (config.offer.header_digest, config.offer.data_digest) =
            (iscsi_initiator::core::DigestOffer::Crc32c, iscsi_initiator::core::DigestOffer::Crc32c);
        run(&name, server.local_addr(), 0, config, load).await;
    }
}
