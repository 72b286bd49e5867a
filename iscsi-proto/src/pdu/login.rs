//! Login Request and Login Response (RFC 7143, sections 11.12 and 11.13).
//!
//! ```text
//!  byte 1   T C . . CSG(2) NSG(2)
//!  2 ..  3  Version-max, Version-min (request); Version-max, Version-active (response)
//!  8 .. 13  ISID                14 .. 15  TSIH
//! 20 .. 21  CID (request)
//! 24 .. 35  CmdSN, ExpStatSN (request); StatSN, ExpCmdSN, MaxCmdSN (response)
//! 36 .. 37  Status-Class, Status-Detail (response)
//! ```

use std::fmt;

use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, array, bit, itt, numbering, serial, skip};
use crate::isid::Isid;
use crate::serial::Serial;
use crate::tags::Itt;

const TRANSIT: u8 = 0x80;
const CONTINUE: u8 = 0x40;

/// A login stage (CSG or NSG).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Stage {
    /// SecurityNegotiation.
    Security = 0,
    /// LoginOperationalNegotiation.
    Operational = 1,
    /// FullFeaturePhase.
    FullFeature = 3,
}

impl Stage {
    fn from_bits(field: &'static str, bits: u8) -> Result<Self, PduError> {
        match bits & 3 {
            0 => Ok(Self::Security),
            1 => Ok(Self::Operational),
            3 => Ok(Self::FullFeature),
            other => Err(PduError::ReservedValue { field, value: other.into(), section: "11.12.3" }),
        }
    }
}

/// Current stage and, with the T bit, the next one. `section` has the rule of the C bit for this PDU.
fn stages(flags: u8, section: &'static str) -> Result<(Stage, Option<Stage>), PduError> {
    if flags & TRANSIT != 0 && flags & CONTINUE != 0 {
        return Err(PduError::Inconsistent { rule: "C and T exclude each other", section });
    }
    let next = (flags & TRANSIT != 0).then(|| Stage::from_bits("NSG", flags)).transpose()?;
    Ok((Stage::from_bits("CSG", flags >> 2)?, next))
}

fn flags(more: bool, current: Stage, next: Option<Stage>) -> u8 {
    let transit = next.map_or(0, |stage| TRANSIT | stage as u8);
    transit | bit(more, CONTINUE) | (current as u8) << 2
}

/// Login Request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginRequest {
    /// C bit: the text continues in the next request.
    pub more: bool,
    /// CSG.
    pub current: Stage,
    /// NSG if the T bit is set: the stage that the initiator is ready to enter.
    pub next: Option<Stage>,
    /// Highest protocol version that the initiator supports.
    pub version_max: u8,
    /// Lowest protocol version that the initiator supports.
    pub version_min: u8,
    /// The initiator's part of the session name.
    pub isid: Isid,
    /// The target's part of the session name, 0 for a new session.
    pub tsih: u16,
    /// Initiator Task Tag, the same in the whole login phase.
    pub itt: Itt,
    /// Connection ID.
    pub cid: u16,
    /// CmdSN that the session starts with.
    pub cmd_sn: Serial,
    /// Acknowledges login responses.
    pub exp_stat_sn: Serial,
}

impl LoginRequest {
    /// Parses a Login Request header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, flags, version_max, version_min, (), isid, tsih, itt, cid, (), cmd_sn, exp_stat_sn) =
            header.parse(Opcode::LoginRequest, |input| {
                (be_u8, be_u8, be_u8, be_u8, skip::<4>, array, be_u16, itt, be_u16, skip::<2>, serial, serial)
                    .parse(input)
            })?;
        let (current, next) = stages(flags, "11.12.2")?;
        Ok(Self {
            more: flags & CONTINUE != 0,
            current,
            next,
            version_max,
            version_min,
            isid: Isid(isid),
            tsih,
            itt,
            cid,
            cmd_sn,
            exp_stat_sn,
        })
    }

    /// The header of this request; the I bit is always set.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::LoginRequest, true, flags(self.more, self.current, self.next))
            .byte(2, self.version_max)
            .byte(3, self.version_min)
            .bytes(8, self.isid.0)
            .half(14, self.tsih)
            .itt(self.itt)
            .half(20, self.cid)
            .request(self.cmd_sn, self.exp_stat_sn)
            .build()
    }
}

/// Status-Class and Status-Detail of a Login Response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LoginStatus {
    /// Status-Class: 0 success, 1 redirection, 2 initiator error, 3 target error.
    pub class: u8,
    /// Status-Detail.
    pub detail: u8,
}

impl LoginStatus {
    /// 0000: accepted so far.
    pub const SUCCESS: Self = Self::new(0, 0);
    /// 0101: the target has moved temporarily.
    pub const MOVED_TEMPORARILY: Self = Self::new(1, 1);
    /// 0102: the target has moved for good.
    pub const MOVED_PERMANENTLY: Self = Self::new(1, 2);
    /// 0200: miscellaneous initiator error.
    pub const INITIATOR_ERROR: Self = Self::new(2, 0);
    /// 0201: authentication failed.
    pub const AUTHENTICATION_FAILURE: Self = Self::new(2, 1);
    /// 0202: this initiator may not use the target.
    pub const AUTHORIZATION_FAILURE: Self = Self::new(2, 2);
    /// 0203: no such target.
    pub const NOT_FOUND: Self = Self::new(2, 3);
    /// 0204: the target was removed for good.
    pub const TARGET_REMOVED: Self = Self::new(2, 4);
    /// 0205: unsupported version.
    pub const UNSUPPORTED_VERSION: Self = Self::new(2, 5);
    /// 0206: too many connections in the session.
    pub const TOO_MANY_CONNECTIONS: Self = Self::new(2, 6);
    /// 0207: a required parameter is missing.
    pub const MISSING_PARAMETER: Self = Self::new(2, 7);
    /// 0208: the connection cannot be part of that session.
    pub const CANNOT_INCLUDE: Self = Self::new(2, 8);
    /// 0209: session type not supported.
    pub const SESSION_TYPE: Self = Self::new(2, 9);
    /// 020a: no such session.
    pub const NO_SUCH_SESSION: Self = Self::new(2, 10);
    /// 020b: invalid request during login.
    pub const INVALID_DURING_LOGIN: Self = Self::new(2, 11);
    /// 0300: miscellaneous target error.
    pub const TARGET_ERROR: Self = Self::new(3, 0);
    /// 0301: the service is not available now.
    pub const SERVICE_UNAVAILABLE: Self = Self::new(3, 1);
    /// 0302: the target is out of resources.
    pub const OUT_OF_RESOURCES: Self = Self::new(3, 2);

    /// A status by its two bytes.
    pub const fn new(class: u8, detail: u8) -> Self {
        Self { class, detail }
    }

    /// What the status means, in a few words.
    pub const fn text(self) -> &'static str {
        match (self.class, self.detail) {
            (0, _) => "success",
            (1, 1) => "target moved temporarily",
            (1, 2) => "target moved permanently",
            (1, _) => "redirection",
            (2, 1) => "authentication failure",
            (2, 2) => "authorization failure",
            (2, 3) => "target not found",
            (2, 4) => "target removed",
            (2, 5) => "unsupported version",
            (2, 6) => "too many connections",
            (2, 7) => "missing parameter",
            (2, 8) => "cannot include in session",
            (2, 9) => "session type not supported",
            (2, 10) => "session does not exist",
            (2, 11) => "invalid request during login",
            (2, _) => "initiator error",
            (3, 1) => "service unavailable",
            (3, 2) => "out of resources",
            (3, _) => "target error",
            _ => "reserved status class",
        }
    }
}

impl fmt::Display for LoginStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:02x}/{:02x})", self.text(), self.class, self.detail)
    }
}

/// Login Response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginResponse {
    /// C bit: the text continues in the next response.
    pub more: bool,
    /// CSG.
    pub current: Stage,
    /// NSG if the T bit is set: the stage that both enter now.
    pub next: Option<Stage>,
    /// Highest protocol version that the target supports.
    pub version_max: u8,
    /// The version in use; on status 0205 the lowest that the target supports.
    pub version_active: u8,
    /// ISID of the request.
    pub isid: Isid,
    /// The target's name for the session, in the final response of a new one.
    pub tsih: u16,
    /// Initiator Task Tag of the request.
    pub itt: Itt,
    /// Valid only with Status-Class 0.
    pub numbering: Numbering,
    /// Accepted, moved or refused.
    pub status: LoginStatus,
}

impl LoginResponse {
    /// Parses a Login Response header.
    ///
    /// The stages are not looked at when Status-Class says that login has ended: they are not valid
    /// then (RFC 7143, section 11.13.5).
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, flags, version_max, version_active, (), isid, tsih, itt, (), numbering, class, detail) =
            header.parse(Opcode::LoginResponse, |input| {
                (be_u8, be_u8, be_u8, be_u8, skip::<4>, array, be_u16, itt, skip::<4>, numbering, be_u8, be_u8)
                    .parse(input)
            })?;
        let (current, next) = if class == 0 { stages(flags, "11.13.7")? } else { (Stage::Security, None) };
        Ok(Self {
            more: flags & CONTINUE != 0,
            current,
            next,
            version_max,
            version_active,
            isid: Isid(isid),
            tsih,
            itt,
            numbering,
            status: LoginStatus { class, detail },
        })
    }

    /// The header of this response.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::LoginResponse, false, flags(self.more, self.current, self.next))
            .byte(2, self.version_max)
            .byte(3, self.version_active)
            .bytes(8, self.isid.0)
            .half(14, self.tsih)
            .itt(self.itt)
            .numbering(self.numbering)
            .byte(36, self.status.class)
            .byte(37, self.status.detail)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-001, R-082, R-086
    #[test]
    fn request_bytes() {
        let request = LoginRequest {
            more: false,
            current: Stage::Security,
            next: Some(Stage::Operational),
            version_max: 0,
            version_min: 0,
            isid: Isid([0x80, 1, 2, 3, 4, 5]),
            tsih: 0x0607,
            itt: Itt(0x0809_0a0b),
            cid: 0x0c0d,
            cmd_sn: Serial(0x1011_1213),
            exp_stat_sn: Serial(0x1415_1617),
        };
        let mut expected = [0; 48];
        expected[..8].copy_from_slice(&[0x43, 0x81, 0, 0, 0, 0, 0, 0]);
        expected[8..22].copy_from_slice(&[0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        expected[24..32].copy_from_slice(&[0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]);
        assert_eq!(request.encode().0, expected);
        assert_eq!(LoginRequest::parse(&Header(expected)), Ok(request));
    }

    /// R-004, R-093
    #[test]
    fn stage_two_is_reserved() {
        let mut header = Header::new(Opcode::LoginResponse);
        header.0[1] = 0x08;
        assert!(matches!(LoginResponse::parse(&header), Err(PduError::ReservedValue { field: "CSG", .. })));
        header.0[1] = 0x82;
        assert!(matches!(LoginResponse::parse(&header), Err(PduError::ReservedValue { field: "NSG", .. })));
    }

    #[test]
    fn c_and_t_exclude_each_other_by_the_section_of_the_pdu() {
        let mut header = Header::new(Opcode::LoginResponse);
        header.0[1] = 0xc4;
        let rule = "C and T exclude each other";
        assert_eq!(LoginResponse::parse(&header), Err(PduError::Inconsistent { rule, section: "11.13.7" }));
        let mut header = Header::new(Opcode::LoginRequest);
        header.0[1] = 0xc4;
        assert_eq!(LoginRequest::parse(&header), Err(PduError::Inconsistent { rule, section: "11.12.2" }));
    }

    /// R-100: nothing but the status counts in a refusal.
    #[test]
    fn stages_of_a_refusal_are_not_looked_at() {
        let mut header = Header::new(Opcode::LoginResponse);
        header.0[1] = 0x8a;
        header.0[36] = 2;
        let response = LoginResponse::parse(&header).unwrap();
        assert_eq!(response.status, LoginStatus::INITIATOR_ERROR);
        assert_eq!(response.next, None);
    }
}
