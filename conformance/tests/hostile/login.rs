//! Faults of the login phase (RFC 7143, sections 6 and 11.13).

use conformance::target::config::Limits;

use super::{Fails, Fine, NoLogin, Row, limits, table, table_with};

/// Statuses, and the fields of the header.
const HEADERS: &[Row] = &[
    ("R-003", "# nothing", Fine),
    ("R-003", "on every LoginResponse: set byte20 0xff, set byte47 0xff", Fine),
    ("R-100", "on 1st LoginResponse: set status 02 01", NoLogin(&["Refused", "(02/01)"])),
    ("R-100", "on 2nd LoginResponse: set status 02 03", NoLogin(&["Refused", "(02/03)"])),
    ("R-103", "on 1st LoginResponse: set status 03 01", NoLogin(&["Refused", "(03/01)", "later"])),
    ("R-104", "on 1st LoginResponse: set status 02 ff", NoLogin(&["Refused", "(02/ff)"])),
    ("R-004", "on 1st LoginResponse: set status 04 00", NoLogin(&["LoginStatusClass", "reserved status class 4"])),
    ("R-101", "on 1st LoginResponse: set status 01 01", NoLogin(&["RedirectWithoutAddress"])),
    (
        "R-101",
        "on 1st LoginResponse: set status 01 01, text TargetAddress=[2001:db8::1]:3261",
        NoLogin(&["Redirected", "[2001:db8::1]:3261"]),
    ),
    ("R-101", "on 1st LoginResponse: set status 01 02, text TargetAddress=:0,1", NoLogin(&["RedirectWithoutAddress"])),
    ("R-091", "on 1st LoginResponse: set itt +1", NoLogin(&["LoginTag"])),
    ("R-088", "on 2nd LoginResponse: set isid 80 00 00 00 00 09", NoLogin(&["LoginIsid"])),
    ("R-092", "on 1st LoginResponse: set flags 0x87", NoLogin(&["LoginStage"])),
    ("R-093", "on 1st LoginResponse: set flags 0x83", NoLogin(&["LoginTransit"])),
    ("R-004", "on 2nd LoginResponse: set flags 0x8b", NoLogin(&["ReservedValue", "CSG"])),
    ("R-040", "on 1st LoginResponse: set flags 0xc1", NoLogin(&["Misbehaved", "C and T exclude each other"])),
    ("R-087", "on 2nd LoginResponse: set version-active 1", NoLogin(&["LoginVersion"])),
    ("R-090", "on 2nd LoginResponse: set tsih 0", NoLogin(&["LoginTsih"])),
    ("R-097", "on 2nd LoginResponse: set statsn +1", NoLogin(&["LoginStatSn"])),
    ("R-097", "on 2nd LoginResponse: set statsn -1", NoLogin(&["LoginStatSn"])),
    ("R-099", "on 2nd LoginResponse: set expcmdsn +1", NoLogin(&["LoginCmdSn"])),
    ("R-006", "on 1st LoginResponse: set ahslength 1", NoLogin(&["UnexpectedAhs"])),
    ("R-007 R-113", "on 1st LoginResponse: set datalength 8193", NoLogin(&["DataTooLong", "8193"])),
    ("R-007 R-113", "on 1st LoginResponse: set datalength 0xffffff", NoLogin(&["DataTooLong", "16777215"])),
    ("R-111", "on 1st LoginResponse: set datalength 8192", NoLogin(&["TimedOut", "15s"])),
    ("R-083", "on 1st LoginResponse: precede with NopIn ttt 1", NoLogin(&["UnexpectedPdu", "NopIn"])),
    ("R-083", "on 1st LoginResponse: precede with ScsiResponse itt 0", NoLogin(&["UnexpectedPdu"])),
    ("R-083 R-238", "on 1st LoginResponse: precede with Reject reason 0x0b", NoLogin(&["UnexpectedPdu", "Reject"])),
    ("R-005", "on 1st LoginResponse: set opcode 0x3e", NoLogin(&["UnassignedOpcode", "11.2.1.2"])),
    ("R-005", "on 1st LoginResponse: set opcode 0x03", NoLogin(&["UnexpectedPdu", "LoginRequest"])),
];

/// The transport.
const TRANSPORT: &[Row] = &[
    ("R-020", "on every PDU: split every 1", Fine),
    ("R-020", "on every PDU: split every 7 for 1 ms", Fine),
    ("R-021", "on connect: close", NoLogin(&["Closed", "closed the connection during login"])),
    ("R-021", "on 1st LoginResponse: truncate at 47, close", NoLogin(&["Closed"])),
    ("R-021", "on 2nd LoginResponse: truncate at 50, close", NoLogin(&["Closed"])),
    ("R-111", "on connect: silence", NoLogin(&["TimedOut", "15s"])),
    ("R-111", "on connect: deaf", NoLogin(&["TimedOut", "15s"])),
    ("R-111", "on 2nd LoginResponse: drop", NoLogin(&["TimedOut", "15s"])),
    ("R-111", "on 1st LoginResponse: delay 14 s", Fine),
    ("R-111", "on 1st LoginResponse: delay 16 s", NoLogin(&["TimedOut", "15s"])),
    ("R-111", "on 1st LoginResponse: split every 1 for 1 s", NoLogin(&["TimedOut"])),
    (
        "R-082",
        "on connect: send \"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\\x0d\\x0a 0123456789\"",
        NoLogin(&["UnexpectedAhs", "11.2.2"]),
    ),
    ("R-082", "on connect: send \"HTTP/1.1 400 Bad Request\\x0d\\x0a\", close", NoLogin(&["Closed"])),
];

/// The keys.
const KEYS: &[Row] = &[
    ("R-035 R-042", "on 1st LoginResponse: add key TargetAlias=a=b", Fine),
    ("R-050", "on 1st LoginResponse: add key \"TargetAlias=\\xff\\xfe\"", NoLogin(&["Text"])),
    ("R-043", "on 2nd LoginResponse: add key =No", NoLogin(&["Text", "malformed key"])),
    ("R-036", "on 2nd LoginResponse: set key InitialR2T=yes", NoLogin(&["Negotiation", "InitialR2T"])),
    ("R-059", "on 2nd LoginResponse: set key ImmediateData=Maybe", NoLogin(&["Negotiation", "ImmediateData"])),
    ("R-032", "on 2nd LoginResponse: set key HeaderDigest=CRC64", NoLogin(&["Negotiation", "HeaderDigest"])),
    ("R-054", "on 2nd LoginResponse: set key MaxBurstLength=16777215", NoLogin(&["Negotiation", "MaxBurstLength"])),
    ("R-045", "on 2nd LoginResponse: set key MaxBurstLength=-1", NoLogin(&["Negotiation", "MaxBurstLength"])),
    ("R-045", "on 2nd LoginResponse: set key MaxBurstLength=18446744073709551616", NoLogin(&["MaxBurstLength"])),
    ("R-060", "on 2nd LoginResponse: set key FirstBurstLength=511", NoLogin(&["Negotiation", "FirstBurstLength"])),
    ("R-060", "on 2nd LoginResponse: set key MaxRecvDataSegmentLength=0", NoLogin(&["MaxRecvDataSegmentLength"])),
    (
        "R-060",
        "on 2nd LoginResponse: set key MaxRecvDataSegmentLength=16777216",
        NoLogin(&["MaxRecvDataSegmentLength"]),
    ),
    ("R-055", "on 2nd LoginResponse: set key DefaultTime2Wait=1", NoLogin(&["Negotiation", "DefaultTime2Wait"])),
    ("R-065", "on 2nd LoginResponse: set key MaxBurstLength=NotUnderstood", NoLogin(&["MaxBurstLength"])),
    ("R-068", "on 2nd LoginResponse: add key MaxBurstLength=2048", NoLogin(&["RepeatedKey", "MaxBurstLength"])),
    ("R-070", "on 1st LoginResponse: add key MaxBurstLength=2048", NoLogin(&["MisplacedKey"])),
    ("R-070", "on 1st LoginResponse: add key InitiatorName=iqn.2026-01.org.example:you", NoLogin(&["MisplacedKey"])),
    ("R-053 R-133", "on 1st LoginResponse: set key AuthMethod=CHAP", NoLogin(&["Negotiation", "AuthMethod", "12.1"])),
    ("R-134", "on 1st LoginResponse: set key AuthMethod=Reject", NoLogin(&["MethodRejected"])),
    ("R-106", "on every LoginResponse: remove key TargetPortalGroupTag", Fine),
    ("R-052", "on 2nd LoginResponse: remove key MaxOutstandingR2T", Fine),
    ("R-064", "on 2nd LoginResponse: set key DefaultTime2Retain=Irrelevant", Fine),
    ("R-066", "on 1st LoginResponse: add key X-org.example.what=1", Fine),
];

/// Keys that bind each other where unsolicited data is allowed.
const UNSOLICITED: &[Row] = &[
    ("R-061 R-216", "on 2nd LoginResponse: set key FirstBurstLength=2048", Fails("write", &["0B/0C/0C"])),
    (
        "R-061",
        "on 2nd LoginResponse: set key FirstBurstLength=4096",
        NoLogin(&["Negotiation", "FirstBurstLength", "13.14"]),
    ),
];

///
#[test]
fn the_first_burst_is_no_longer_than_a_burst() {
    table_with(UNSOLICITED, || Limits { immediate_data: true, ..limits() });
}

///
///
#[test]
fn headers_of_login_responses() {
    table(HEADERS);
}

///
#[test]
fn the_transport_of_a_login() {
    table(TRANSPORT);
}

///
///
#[test]
fn keys_of_a_login() {
    table(KEYS);
}
