//! From a portal to TCP connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use iscsi_proto::portal::Portal;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::finding::{Finding, SILENT, Stage, Status, tcp_advice};
use super::milliseconds;
use crate::exit::Exit;

/// The addresses of a portal, with what to say of them.
pub(super) async fn resolve(portal: &Portal, limit: Duration) -> (Vec<SocketAddr>, Finding) {
    let host = portal.host.to_string();
    let begin = Instant::now();
    let found = match timeout(limit, lookup_host((host.as_str(), portal.port))).await {
        Ok(Ok(found)) => Ok(distinct(found)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    };
    let finding = match &found {
        Err(error) => unresolved(&host, error),
        Ok(addresses) if addresses.is_empty() => unresolved(&host, "the name has no address"),
        Ok(_) if portal.host.ip().is_some() => {
            Finding::ok(Stage::Resolve, format!("{host} is an address: nothing to resolve"))
        }
        Ok(addresses) => {
            let list: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            let time = milliseconds(begin.elapsed());
            Finding::ok(Stage::Resolve, format!("{host} is {}, after {time}", list.join(", ")))
        }
    };
    (found.unwrap_or_default(), finding)
}

fn unresolved(host: &str, why: &str) -> Finding {
    let text = format!("{host} has no address: {why}");
    Finding::problem(Stage::Resolve, Exit::Transport, text)
        .advise("check the spelling, /etc/hosts and the name servers; an IP address works without them")
}

fn distinct(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Connects to each address. What fails is a problem only if nothing works.
pub(super) async fn connect(addresses: &[SocketAddr], limit: Duration) -> (bool, Vec<Finding>) {
    let tried = each(addresses.to_vec(), limit).await;
    let any = tried.iter().any(|(_, result)| result.is_ok());
    let worst = if any { Status::Warning } else { Status::Problem };
    let findings = tried.iter().map(|(address, result)| match result {
        Ok(time) => {
            Finding::ok(Stage::Connect, format!("{address} accepts a connection after {}", milliseconds(*time)))
        }
        Err(error) => refused(*address, error, limit).at_most(worst),
    });
    (any, findings.collect())
}

fn refused(address: SocketAddr, error: &io::Error, limit: Duration) -> Finding {
    if error.kind() == io::ErrorKind::TimedOut {
        let text = format!("{address} does not answer within {limit:?}");
        return Finding::problem(Stage::Connect, Exit::TransportTimeout, text).advise(SILENT);
    }
    let text = format!("{address}: {}", plain(error));
    Finding::problem(Stage::Connect, Exit::Transport, text).advise(tcp_advice(error.kind()))
}

/// An error without the number that the system gives it.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Connects to all addresses side by side, and says how long each took. The order stays.
pub(super) async fn each(addresses: Vec<SocketAddr>, limit: Duration) -> Vec<(SocketAddr, io::Result<Duration>)> {
    let mut tries = JoinSet::new();
    for (index, address) in addresses.into_iter().enumerate() {
        tries.spawn(async move { (index, address, try_one(address, limit).await) });
    }
    let mut done = tries.join_all().await;
    done.sort_by_key(|(index, ..)| *index);
    done.into_iter().map(|(_, address, result)| (address, result)).collect()
}

async fn try_one(address: SocketAddr, limit: Duration) -> io::Result<Duration> {
    let begin = Instant::now();
    timeout(limit, TcpStream::connect(address)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_read_as_part_of_a_sentence() {
        assert_eq!(plain(&io::Error::from_raw_os_error(111)), "connection refused");
        assert_eq!(plain(&io::Error::other("x")), "x");
        assert_eq!(plain(&io::Error::other("")), "");
    }

    #[tokio::test]
    async fn one_address_that_works_makes_the_others_warnings() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let limit = Duration::from_secs(5);
        let (any, findings) = connect(&[closed, open], limit).await;
        let statuses: Vec<Status> = findings.iter().map(|finding| finding.status).collect();
        assert_eq!((any, statuses), (true, vec![Status::Warning, Status::Ok]));
        let (any, findings) = connect(&[closed], limit).await;
        assert_eq!((any, findings[0].status, findings[0].exit), (false, Status::Problem, Exit::Transport));
        assert_eq!(findings[0].text, format!("{closed}: connection refused"));
    }

    #[tokio::test]
    async fn addresses_need_no_resolving_and_names_that_are_none_say_what_to_do() {
        let limit = Duration::from_secs(5);
        let (found, finding) = resolve(&"127.0.0.1:7".parse().unwrap(), limit).await;
        assert_eq!((found, finding.status), (vec!["127.0.0.1:7".parse().unwrap()], Status::Ok));
        let (found, finding) = resolve(&"nowhere.invalid".parse().unwrap(), limit).await;
        assert_eq!((found, finding.status, finding.exit), (vec![], Status::Problem, Exit::Transport));
    }
}
