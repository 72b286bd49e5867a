//! An iSNS server that knows nothing but what it is told to answer, and remembers what it was asked.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::BytesMut;
use iscsi_proto::isns::{Attribute, Function, Message, Reader, Status, Tag};

/// How a request is answered: with this status and these attributes.
pub(crate) type Answer = (Status, Vec<Attribute>);
/// What was asked, in order.
pub(crate) type Asked = Vec<(Function, Vec<Attribute>)>;

/// A server that runs until the test ends.
pub(crate) struct IsnsServer {
    /// Where it is.
    pub(crate) addr: SocketAddr,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Asked>>,
}

impl IsnsServer {
    /// Starts a server that answers requests with these, one each, and closes the connection when it has none left.
    pub(crate) fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = Self { addr, answers: Arc::new(Mutex::new(answers.into_iter().collect())), seen: Arc::default() };
        let (answers, seen) = (Arc::clone(&server.answers), Arc::clone(&server.seen));
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &answers, &seen);
            }
        });
        server
    }

    /// A server that knows these targets, for one query.
    pub(crate) fn with(targets: &[Vec<Attribute>]) -> Self {
        Self::start([found(targets)])
    }

    /// Answers further requests.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// What was asked since the last call.
    pub(crate) fn seen(&self) -> Asked {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, answers: &Mutex<VecDeque<Answer>>, seen: &Mutex<Asked>) {
    let mut reader = Reader::default();
    let mut bytes = [0; 4096];
    loop {
        while let Some(request) = reader.next_message().unwrap() {
            seen.lock().unwrap().push((request.function(), request.attributes().unwrap()));
            let Some((status, attributes)) = answers.lock().unwrap().pop_front() else { return };
            let response = Message::response(request.function(), request.transaction(), status, &attributes);
            let mut wire = BytesMut::new();
            response.encode_in(16, &mut wire).unwrap();
            let _ = stream.write_all(&wire);
        }
        match stream.read(&mut bytes) {
            Ok(count) if count != 0 => reader.buffer().extend_from_slice(&bytes[..count]),
            _ => return,
        }
    }
}

/// The answer that knows these targets.
pub(crate) fn found(targets: &[Vec<Attribute>]) -> Answer {
    let attributes = [Attribute::DELIMITER].into_iter().chain(targets.concat()).collect();
    (Status::SUCCESS, attributes)
}

/// An answer without attributes.
pub(crate) fn status(status: Status) -> Answer {
    (status, vec![])
}

/// A target with these portals, each with its group.
pub(crate) fn target(name: &str, portals: &[(&str, u32)]) -> Vec<Attribute> {
    let mut attributes = vec![Attribute::text(Tag::NAME, name), Attribute::number(Tag::NODE_TYPE, 1)];
    for (portal, tag) in portals {
        let portal: SocketAddr = portal.parse().unwrap();
        attributes.push(Attribute::address(Tag::PORTAL_ADDRESS, portal.ip()));
        attributes.push(Attribute::number(Tag::PORTAL_PORT, portal.port().into()));
        attributes.push(Attribute::number(Tag::GROUP_TAG, *tag));
    }
    attributes
}
