//! Watches both directions of a connection and knows the rules that hold always.
//!
//! What the initiator sends is checked; what the peer says is believed, since the tests make it break rules on purpose.

mod full;
mod login;
mod snack;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use iscsi_proto::framer::Layout;
use iscsi_proto::pdu::{Header, Pdu};

/// Returns from a check with the rule that was broken.
macro_rules! rule {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}
pub(crate) use rule;

/// The rule that was broken, in words.
pub(crate) type Broken = String;

/// One PDU as it was on the wire, digests left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    /// Its first 48 bytes.
    pub(crate) header: Header,
    /// Additional header segments.
    pub(crate) ahs: &'a [u8],
    /// Its data.
    pub(crate) data: &'a [u8],
    /// What fills the last word.
    pub(crate) pad: &'a [u8],
}

impl<'a> Wire<'a> {
    /// The PDU of this layout in `bytes`.
    pub(crate) fn new(header: Header, layout: Layout, bytes: &'a [u8]) -> Self {
        let data = layout.head + layout.data;
        let pad = data + layout.data.wrapping_neg() % 4;
        Self { header, ahs: &bytes[48..48 + layout.ahs], data: &bytes[layout.head..data], pad: &bytes[data..pad] }
    }
}

/// Where a connection is.
#[derive(Debug)]
enum Phase {
    Login(Box<login::Login>),
    Full(Box<full::Full>),
    /// The login was refused.
    Refused,
}

/// All that both sides have said, as far as rules depend on it.
#[derive(Debug)]
pub(crate) struct Trace {
    phase: Phase,
}

/// The values that login ended with: those the peer named, and defaults.
#[derive(Debug, Default)]
pub(crate) struct Agreed(BTreeMap<String, String>);

impl Agreed {
    fn number(&self, key: &str, default: usize) -> usize {
        self.0.get(key).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    fn yes(&self, key: &str) -> bool {
        self.0.get(key).is_none_or(|value| value == "Yes")
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self { phase: Phase::Login(Box::default()) }
    }
}

impl Trace {
    /// The initiator sent this.
    pub(crate) fn heard(&mut self, wire: &Wire<'_>) -> Result<(), Broken> {
        let pdu = well_formed(wire)?;
        match (&mut self.phase, &pdu) {
            (Phase::Login(login), Pdu::LoginRequest(request)) => login.heard(request, wire.data)?,
            (Phase::Login(_), other) => return Err(format!("{other:?} during login")),
            (Phase::Full(full), pdu) => full.heard(pdu, wire)?,
            (Phase::Refused, pdu) => return Err(format!("{pdu:?} after a refused login")),
        }
        Ok(())
    }

    /// The peer says this, and it is lost on its way.
    pub(crate) fn lost(&mut self, header: &Header, data: &[u8]) {
        if let (Phase::Full(full), Ok(pdu)) = (&mut self.phase, Pdu::parse(header)) {
            full.lost(&pdu, data);
        }
    }

    /// The peer says this.
    pub(crate) fn said(&mut self, header: &Header, data: &[u8]) {
        let Ok(pdu) = Pdu::parse(header) else { return };
        match (&mut self.phase, pdu) {
            (Phase::Login(login), Pdu::LoginResponse(response)) => {
                if let Some(next) = login.said(&response, data) {
                    self.phase = next;
                }
            }
            (Phase::Full(full), pdu) => full.said(&pdu, data),
            _ => {}
        }
    }
}

/// What holds for every PDU, whenever it comes.
fn well_formed(wire: &Wire<'_>) -> Result<Pdu, Broken> {
    let Wire { header, ahs, data, pad } = wire;
    let pdu = Pdu::parse(header).map_err(|error| error.to_string())?;
    let again = pdu.encode().with_ahs_len(ahs.len()).with_data_len(data.len() as u32);
    rule!(again == *header, "reserved bits are set in {header:?}");
    rule!(pad.iter().all(|byte| *byte == 0), "padding is not zero in {pdu:?}");
    rule!(ahs.is_empty() || matches!(pdu, Pdu::ScsiCommand(_)), "additional header segments in {pdu:?}");
    Ok(pdu)
}
