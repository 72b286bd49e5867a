//! Text requests in full feature phase, SendTargets above all (RFC 7143, sections 6.4, 11.10 and appendix C).

use iscsi_proto::keys::text::{self, Pair, TextBuffer};
use iscsi_proto::keys::{IRRELEVANT, Key, NOT_UNDERSTOOD, Party, REJECT, Stage, negotiate, value};
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::{Header, RejectReason, TextRequest, TextResponse};
use iscsi_proto::portal::{Portal, TargetAddress};
use iscsi_proto::scsi::Lun;
use iscsi_proto::tags::{Itt, Ttt};

use super::full::FullFeature;
use super::node::Target;

/// The text exchange of a connection; there is one at a time.
#[derive(Debug)]
pub(super) struct TextPhase {
    /// Where the connection came in.
    portal: Portal,
    exchange: Option<Exchange>,
}

#[derive(Debug)]
struct Exchange {
    itt: Itt,
    ttt: Ttt,
    request: TextBuffer,
    /// What the initiator has still to be told.
    answer: Vec<u8>,
    /// Its own MaxRecvDataSegmentLength, which holds from the end of the exchange on.
    max_send: Option<u32>,
    keys: Vec<Key>,
}

impl TextPhase {
    pub(super) const fn new(portal: Portal) -> Self {
        Self { portal, exchange: None }
    }
}

impl FullFeature {
    pub(super) fn text_request(&mut self, request: &TextRequest, header: &Header, data: &[u8]) {
        let exchange = match self.text.exchange.take() {
            Some(exchange) if request.ttt == exchange.ttt && request.itt == exchange.itt => exchange,
            _ if request.ttt.is_reserved() => self.new_exchange(request.itt),
            _ => return self.reject(RejectReason::InvalidPduField, header),
        };
        if let Err(error) = self.go_on(exchange, request, data) {
            tracing::debug!(%error, "ending a text exchange");
            self.reject(RejectReason::ProtocolError, header);
        }
    }

    fn new_exchange(&mut self, itt: Itt) -> Exchange {
        let ttt = self.next_ttt();
        Exchange { itt, ttt, request: TextBuffer::default(), answer: Vec::new(), max_send: None, keys: Vec::new() }
    }

    fn go_on(&mut self, mut exchange: Exchange, request: &TextRequest, data: &[u8]) -> Result<(), String> {
        let pairs = exchange.request.push(data, request.more).map_err(|error| error.to_string())?;
        for pair in pairs.iter().flatten() {
            self.text_pair(&mut exchange, pair)?;
        }
        let rest = exchange.answer.split_off(exchange.answer.len().min(self.params.max_send as usize));
        let piece = std::mem::replace(&mut exchange.answer, rest);
        let fin = request.fin && pairs.is_some() && exchange.answer.is_empty();
        let response = TextResponse {
            fin,
            more: !exchange.answer.is_empty(),
            lun: Lun::ZERO,
            itt: request.itt,
            ttt: if fin { Ttt::RESERVED } else { exchange.ttt },
            numbering: self.out.status(&self.session),
        };
        self.out.push(response.encode(), piece.into());
        if fin {
            self.params.max_send = exchange.max_send.unwrap_or(self.params.max_send);
        } else {
            self.text.exchange = Some(exchange);
        }
        Ok(())
    }

    fn text_pair(&self, exchange: &mut Exchange, pair: &Pair) -> Result<(), String> {
        let Some(key) = Key::from_name(&pair.key) else {
            exchange.answer.extend(text::encode([(pair.key.as_str(), NOT_UNDERSTOOD)]));
            return Ok(());
        };
        if matches!(pair.value.as_str(), REJECT | IRRELEVANT | NOT_UNDERSTOOD) {
            return Err(format!("{key} answers an offer that was not made"));
        }
        if !key.spec().allowed(Party::Initiator, Stage::FullFeature) {
            return Err(format!("{key} has no place after login"));
        }
        if exchange.keys.contains(&key) {
            return Err(format!("{key} comes twice"));
        }
        exchange.keys.push(key);
        negotiate::declared(key, &pair.value).map_err(|error| error.to_string())?;
        if key == Key::SendTargets && pair.value.is_empty() && self.session.identity.discovery.is_some() {
            return Err("an empty SendTargets asks for the target of the session, and this one has none".into());
        }
        match key {
            Key::SendTargets => exchange.answer.extend(self.send_targets(&pair.value)),
            Key::MaxRecvDataSegmentLength => {
                exchange.max_send = value::number(&pair.value).ok().and_then(|len| u32::try_from(len).ok());
            }
            _ => {}
        }
        Ok(())
    }

    /// The records for `All`, one name, or nothing.
    ///
    /// A normal session only hears of its own target, whatever it asks. Appendix C would have `All` refused there;
    /// many targets answer it, and so does this one.
    fn send_targets(&self, wanted: &str) -> Vec<u8> {
        let own = self.target.as_ref().filter(|_| self.session.identity.discovery.is_none());
        let name = IscsiName::new(wanted).ok();
        let listed = self.node.targets().iter().filter(|target| {
            let asked = name.as_ref().is_none_or(|name| target.config.name == *name);
            let visible = own.is_none_or(|own| std::ptr::eq(&raw const ***target, &raw const **own));
            asked && visible && target.config.admits(&self.session.identity.initiator)
        });
        let mut bytes = Vec::new();
        for target in listed {
            bytes.extend(text::encode([(Key::TargetName, target.config.name.as_written())]));
            bytes.extend(text::encode(self.addresses(target).iter().map(|address| (Key::TargetAddress, address))));
        }
        bytes
    }

    fn addresses(&self, target: &Target) -> Vec<String> {
        let mut portals = self.node.portals();
        if portals.is_empty() {
            portals.push(self.text.portal.clone());
        }
        let tag = Some(target.config.portal_group);
        portals.into_iter().map(|portal| TargetAddress::new(portal, tag).to_string()).collect()
    }
}
