//! The checker has to be able to fail: one bad dialogue for each rule.

use iscsi_proto::isid::Isid;
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{
    DataIn, DataOut, Header, LoginRequest, LoginResponse, LoginStatus, LogoutReason, LogoutRequest, NopIn, NopOut,
    Numbering, Pdu, R2t, Residual, ScsiCommand, ScsiResponse, ServiceResponse, Snack, SnackType, Stage, TaskAttribute,
    TaskFunction, TaskRequest, TextRequest, TextResponse,
};
use iscsi_proto::scsi::{Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::{Broken, Trace, Wire};

const NAMES: [(&str, &str); 2] =
    [("InitiatorName", "iqn.2026-01.org.example:a"), ("TargetName", "eui.0123456789abcdef")];

fn heard(trace: &mut Trace, pdu: impl Into<Pdu>, data: &[u8]) -> Result<(), Broken> {
    let header = pdu.into().encode().with_data_len(data.len() as u32);
    raw(trace, header, data, &[0; 3][..data.len().wrapping_neg() % 4])
}

fn raw(trace: &mut Trace, header: Header, data: &[u8], pad: &[u8]) -> Result<(), Broken> {
    trace.heard(&Wire { header, ahs: &[], data, pad })
}

fn said(trace: &mut Trace, pdu: impl Into<Pdu>, data: &[u8]) {
    trace.said(&pdu.into().encode(), data);
}

/// The check fails, and says why.
fn fails(result: Result<(), Broken>, why: &str) {
    let broken = result.expect_err(why);
    assert!(broken.contains(why), "{broken:?} does not say {why:?}");
}

fn request(current: Stage, next: Stage) -> LoginRequest {
    LoginRequest {
        more: false,
        current,
        next: Some(next),
        version_max: 0,
        version_min: 0,
        isid: Isid::random([1, 2, 3], 4),
        tsih: 0,
        itt: Itt(7),
        cid: 1,
        cmd_sn: Serial(10),
        exp_stat_sn: Serial(0),
    }
}

fn response(request: &LoginRequest, stat_sn: u32) -> LoginResponse {
    LoginResponse {
        more: false,
        current: request.current,
        next: request.next,
        version_max: 0,
        version_active: 0,
        isid: request.isid,
        tsih: 1,
        itt: request.itt,
        numbering: numbers(stat_sn),
        status: LoginStatus::new(0, 0),
    }
}

/// Room for the commands 10 to 13.
fn numbers(stat_sn: u32) -> Numbering {
    Numbering { stat_sn: Serial(stat_sn), exp_cmd_sn: Serial(10), max_cmd_sn: Serial(13) }
}

/// A login in its operational stage, StatSN 100 having been said.
fn operational() -> (Trace, LoginRequest) {
    let mut trace = Trace::default();
    let first = request(Stage::Security, Stage::Operational);
    heard(&mut trace, first.clone(), &text::encode(NAMES)).unwrap();
    said(&mut trace, response(&first, 100), &[]);
    (trace, LoginRequest { exp_stat_sn: Serial(101), ..request(Stage::Operational, Stage::FullFeature) })
}

/// A connection in its full feature phase: StatSN 102 and CmdSN 10 come next.
fn full(answers: &[(&str, &str)]) -> Trace {
    let (mut trace, second) = operational();
    heard(&mut trace, second.clone(), &[]).unwrap();
    said(&mut trace, response(&second, 101), &text::encode(answers.iter().copied()));
    trace
}

fn write(itt: u32, cmd_sn: u32, length: u32) -> ScsiCommand {
    ScsiCommand {
        immediate: false,
        fin: true,
        read: false,
        write: true,
        attribute: TaskAttribute::Simple,
        priority: 0,
        lun: Lun::from(3),
        itt: Itt(itt),
        expected_length: length,
        cmd_sn: Serial(cmd_sn),
        exp_stat_sn: Serial(102),
        cdb: [0; 16],
    }
}

fn ping(itt: u32, cmd_sn: u32) -> NopOut {
    NopOut {
        immediate: true,
        lun: Lun::ZERO,
        itt: Itt(itt),
        ttt: Ttt::RESERVED,
        cmd_sn: Serial(cmd_sn),
        exp_stat_sn: Serial(102),
    }
}

fn data(itt: u32, ttt: Ttt, data_sn: u32, offset: u32, fin: bool) -> DataOut {
    let lun = if ttt.is_reserved() { Lun::ZERO } else { Lun::from(3) };
    DataOut { fin, lun, itt: Itt(itt), ttt, exp_stat_sn: Serial(102), data_sn: Serial(data_sn), offset }
}

fn status(itt: u32, stat_sn: u32) -> ScsiResponse {
    ScsiResponse {
        response: ServiceResponse::Completed,
        status: Status::GOOD,
        qualifier: 0,
        itt: Itt(itt),
        snack_tag: 0,
        numbering: numbers(stat_sn),
        exp_data_sn: Serial(0),
        bidi_residual: Residual::None,
        residual: Residual::None,
    }
}

fn r2t(itt: u32, ttt: u32, offset: u32, length: u32) -> R2t {
    R2t { lun: Lun::from(3), itt: Itt(itt), ttt: Ttt(ttt), numbering: numbers(102), r2t_sn: Serial(0), offset, length }
}

#[test]
fn a_good_dialogue_passes() {
    let mut trace = full(&[("FirstBurstLength", "4096"), ("InitialR2T", "No")]);
    heard(&mut trace, ping(1, 10), &[]).unwrap();
    let command = ScsiCommand { fin: false, ..write(2, 10, 10_000) };
    heard(&mut trace, command, &[0; 1000]).unwrap();
    heard(&mut trace, data(2, Ttt::RESERVED, 0, 1000, false), &[0; 3000]).unwrap();
    heard(&mut trace, data(2, Ttt::RESERVED, 1, 4000, true), &[0; 96]).unwrap();
    said(&mut trace, r2t(2, 5, 4096, 5904), &[]);
    heard(&mut trace, data(2, Ttt(5), 0, 4096, true), &[0; 5904]).unwrap();
    said(&mut trace, status(2, 102), &[]);
    let next = ScsiCommand { exp_stat_sn: Serial(103), ..write(2, 11, 0) };
    heard(&mut trace, ScsiCommand { write: false, ..next }, &[]).unwrap();
}

#[test]
fn what_is_not_well_formed_is_found() {
    let mut trace = full(&[]);
    let mut header = Pdu::from(write(1, 10, 0)).encode();
    header.0[3] = 1;
    fails(raw(&mut trace, header, &[], &[]), "reserved bits");
    let header = Pdu::from(write(1, 10, 5)).encode().with_data_len(5);
    fails(raw(&mut trace, header, &[0; 5], &[0, 0, 1]), "padding");
    let header = Pdu::from(ping(1, 10)).encode().with_ahs_len(4);
    fails(trace.heard(&Wire { header, ahs: &[0; 4], data: &[], pad: &[] }), "additional header");
    fails(raw(&mut trace, Header([0x3e; 48]), &[], &[]), "");
}

#[test]
fn breaches_of_login_are_found() {
    let first = || request(Stage::Security, Stage::Operational);
    let start = |request: LoginRequest, pairs: &[(&str, &str)]| {
        heard(&mut Trace::default(), request, &text::encode(pairs.iter().copied()))
    };
    assert_eq!(start(first(), &NAMES), Ok(()));
    fails(start(LoginRequest { version_max: 1, ..first() }, &NAMES), "version");
    fails(start(LoginRequest { tsih: 1, ..first() }, &NAMES), "handle");
    fails(start(LoginRequest { next: Some(Stage::Security), ..first() }, &NAMES), "no way");
    fails(start(first(), &NAMES[..1]), "TargetName");
    fails(start(first(), &NAMES[1..]), "InitiatorName");
    fails(start(first(), &[NAMES[0], NAMES[1], NAMES[0]]), "twice");
    fails(start(first(), &[NAMES[0], NAMES[1], ("InitialR2T", "Yes")]), "in Security");
    fails(heard(&mut Trace::default(), first(), b"InitiatorName=iqn.2026-01.org.example:a"), "NUL");
    fails(heard(&mut Trace::default(), first(), &[b'A'; 8193]), "8193 bytes");
    fails(heard(&mut Trace::default(), ping(1, 1), &[]), "during login");

    let second = |change: fn(&mut LoginRequest)| {
        let (mut trace, mut second) = operational();
        change(&mut second);
        heard(&mut trace, second, &[])
    };
    assert_eq!(second(|_| {}), Ok(()));
    fails(second(|request| request.isid = Isid::random([1, 2, 3], 5)), "identity");
    fails(second(|request| request.itt = Itt(8)), "identity");
    fails(second(|request| request.cid = 2), "identity");
    fails(second(|request| request.cmd_sn = Serial(11)), "identity");
    fails(second(|request| request.exp_stat_sn = Serial(100)), "ExpStatSN");
    fails(second(|request| request.current = Stage::Security), "stage");
    let (mut trace, request) = operational();
    fails(heard(&mut trace, request, &text::encode(NAMES)), "twice");
    let (mut trace, request) = operational();
    let refusal = LoginResponse { status: LoginStatus::new(2, 0), ..response(&request, 101) };
    said(&mut trace, refusal, &[]);
    fails(heard(&mut trace, request, &[]), "refused");
}

#[test]
fn breaches_of_numbering_are_found() {
    fails(heard(&mut full(&[]), write(1, 11, 0), &[]), "CmdSN 11 came where 10");
    fails(heard(&mut full(&[]), ping(1, 11), &[]), "immediate");
    fails(heard(&mut full(&[]), write(0xffff_ffff, 10, 0), &[]), "reserved tag");
    for (exp_stat_sn, why) in [(101, "went back"), (103, "never sent")] {
        let command = ScsiCommand { exp_stat_sn: Serial(exp_stat_sn), ..write(1, 10, 0) };
        fails(heard(&mut full(&[]), command, &[]), why);
    }
    let mut trace = full(&[]);
    for cmd_sn in 10..14 {
        heard(&mut trace, write(cmd_sn, cmd_sn, 0), &[]).unwrap();
    }
    fails(heard(&mut trace, write(14, 14, 0), &[]), "beyond MaxCmdSN");
    fails(heard(&mut trace, ping(13, 14), &[]), "two tasks");
}

#[test]
fn breaches_in_commands_are_found() {
    let tell = |answers: &[(&str, &str)], change: fn(&mut ScsiCommand), immediate: usize| {
        let mut command = write(1, 10, 8192);
        change(&mut command);
        heard(&mut full(answers), command, &vec![0; immediate])
    };
    assert_eq!(tell(&[], |_| {}, 8192), Ok(()));
    fails(tell(&[], |_| {}, 8196), "8196 bytes");
    fails(tell(&[("MaxRecvDataSegmentLength", "512")], |_| {}, 513), "513 bytes");
    fails(tell(&[("ImmediateData", "No")], |_| {}, 4), "ImmediateData=No");
    fails(tell(&[("FirstBurstLength", "512")], |_| {}, 516), "first burst");
    fails(tell(&[], |command| command.expected_length = 4, 8), "first burst");
    fails(tell(&[], |command| command.write = false, 0), "direction");
    fails(tell(&[], |command| (command.write, command.read) = (false, true), 4), "does not write");
    fails(tell(&[], |command| (command.write, command.read, command.fin) = (false, true, false), 0), "announces");
    fails(tell(&[], |command| command.read = true, 0), "second length");
    fails(tell(&[], |command| command.priority = 1, 0), "priority");
    assert_eq!(tell(&[("iSCSIProtocolLevel", "2")], |command| command.priority = 1, 0), Ok(()));
    fails(tell(&[], |command| command.fin = false, 0), "InitialR2T=Yes");
    fails(tell(&[("InitialR2T", "No")], |command| command.fin = false, 8192), "none is left");
    let mut trace = full(&[("InitialR2T", "No")]);
    heard(&mut trace, ScsiCommand { fin: false, ..write(1, 10, 8192) }, &[]).unwrap();
    fails(heard(&mut trace, write(2, 11, 0), &[]), "unasked data");
}

#[test]
fn breaches_in_data_are_found() {
    let tell = |change: fn(&mut DataOut), length: usize| {
        let mut trace = full(&[]);
        heard(&mut trace, write(1, 10, 4096), &[]).unwrap();
        said(&mut trace, r2t(1, 5, 0, 2048), &[]);
        said(&mut trace, r2t(1, 6, 2048, 2048), &[]);
        let mut pdu = data(1, Ttt(5), 0, 0, false);
        change(&mut pdu);
        heard(&mut trace, pdu, &vec![0; length])
    };
    assert_eq!(tell(|_| {}, 1024), Ok(()));
    assert_eq!(tell(|data| data.fin = true, 2048), Ok(()));
    fails(tell(|data| data.itt = Itt(9), 1024), "no task");
    fails(tell(|data| data.ttt = Ttt(6), 1024), "asked for first");
    fails(tell(|data| data.lun = Lun::ZERO, 1024), "asked for first");
    fails(tell(|data| data.data_sn = Serial(1), 1024), "DataSN");
    fails(tell(|data| data.offset = 4, 1024), "offset");
    fails(tell(|data| data.fin = true, 2052), "asked for");
    fails(tell(|data| data.fin = true, 1024), "F bit");
    fails(tell(|_| {}, 2048), "F bit");
    fails(tell(|_| {}, 0), "0 bytes");
    fails(tell(|_| {}, 1023), "not the last");
    let mut trace = full(&[]);
    heard(&mut trace, write(1, 10, 4096), &[]).unwrap();
    fails(heard(&mut trace, data(1, Ttt(5), 0, 0, true), &[0; 4096]), "nobody asked");
    for wrong in [r2t(1, 5, 1, 4096), R2t { lun: Lun::ZERO, ..r2t(1, 5, 0, 4096) }] {
        said(&mut trace, wrong, &[]);
        fails(heard(&mut trace, data(1, Ttt(5), 0, 0, true), &[0; 4096]), "nobody asked");
    }
}

#[test]
fn breaches_outside_of_commands_are_found() {
    fails(heard(&mut full(&[]), NopOut { ttt: Ttt(1), ..ping(1, 10) }, &[]), "transfer tag");
    let answer = NopOut { ttt: Ttt(1), ..ping(0xffff_ffff, 10) };
    fails(heard(&mut full(&[]), answer.clone(), &[]), "answers no ping");
    let mut trace = full(&[]);
    let question = NopIn { lun: Lun::from(2), itt: Itt::RESERVED, ttt: Ttt(1), numbering: numbers(102) };
    said(&mut trace, question, &[]);
    fails(heard(&mut trace, NopOut { immediate: false, ..answer.clone() }, &[]), "not immediate");
    let mut trace = full(&[]);
    said(&mut trace, NopIn { lun: Lun::from(2), itt: Itt::RESERVED, ttt: Ttt(1), numbering: numbers(102) }, &[]);
    fails(heard(&mut trace, answer.clone(), &[]), "answers no ping");
    heard(&mut trace, NopOut { lun: Lun::from(2), ..answer }, &[]).unwrap();

    let logout = LogoutRequest {
        immediate: true,
        reason: LogoutReason::CloseSession,
        itt: Itt(1),
        cid: 1,
        cmd_sn: Serial(10),
        exp_stat_sn: Serial(102),
    };
    let mut trace = full(&[]);
    heard(&mut trace, logout, &[]).unwrap();
    fails(heard(&mut trace, write(2, 10, 0), &[]), "after a logout");
}

#[test]
fn breaches_in_text_are_found() {
    let text = |itt: u32, ttt: Ttt, lun: Lun| TextRequest {
        immediate: true,
        fin: true,
        more: false,
        lun,
        itt: Itt(itt),
        ttt,
        cmd_sn: Serial(10),
        exp_stat_sn: Serial(102),
    };
    let part =
        TextResponse { fin: false, more: false, lun: Lun::from(4), itt: Itt(1), ttt: Ttt(5), numbering: numbers(102) };
    let mut trace = full(&[]);
    heard(&mut trace, text(1, Ttt::RESERVED, Lun::ZERO), &[]).unwrap();
    fails(heard(&mut trace, text(2, Ttt::RESERVED, Lun::ZERO), &[]), "before the end");
    fails(heard(&mut trace, text(1, Ttt(5), Lun::from(4)), &[]), "None was said");
    for (itt, ttt, lun) in [(2, 5, 4), (1, 6, 4), (1, 5, 0)] {
        said(&mut trace, part.clone(), &[]);
        fails(heard(&mut trace, text(itt, Ttt(ttt), Lun::from(lun)), &[]), "was said");
    }
    said(&mut trace, part, &[]);
    heard(&mut trace, text(1, Ttt(5), Lun::from(4)), &[]).unwrap();
}

#[test]
fn breaches_in_task_management_are_found() {
    let tell = |change: fn(&mut TaskRequest)| {
        let mut trace = full(&[]);
        heard(&mut trace, write(1, 10, 0), &[]).unwrap();
        let mut request = TaskRequest {
            immediate: true,
            function: TaskFunction::AbortTask,
            lun: Lun::from(3),
            itt: Itt(2),
            referenced: Itt(1),
            cmd_sn: Serial(11),
            exp_stat_sn: Serial(102),
            ref_cmd_sn: Serial(10),
            exp_data_sn: Serial(0),
        };
        change(&mut request);
        heard(&mut trace, request, &[])
    };
    assert_eq!(tell(|_| {}), Ok(()));
    fails(tell(|request| request.lun = Lun::ZERO), "another LUN");
    fails(tell(|request| request.ref_cmd_sn = Serial(11)), "another RefCmdSN");
    fails(tell(|request| request.referenced = Itt(3)), "no task");
    fails(tell(|request| request.function = TaskFunction::LogicalUnitReset), "names a task");
    fails(tell(|request| request.function = TaskFunction::QueryTask), "level");
}

/// A connection at error recovery level 1 on which a read, task 1, has been sent three pieces, and task 2 has ended.
fn recovering() -> Trace {
    let mut trace = full(&[("ErrorRecoveryLevel", "1"), ("InitialR2T", "No")]);
    heard(&mut trace, ScsiCommand { read: true, write: false, ..write(1, 10, 300) }, &[]).unwrap();
    for data_sn in 0..3 {
        let data = DataIn {
            fin: false,
            acknowledge: data_sn == 1,
            status: None,
            lun: Lun::from(3),
            itt: Itt(1),
            ttt: if data_sn == 1 { Ttt(0x77) } else { Ttt::RESERVED },
            numbering: numbers(102),
            data_sn: Serial(data_sn),
            offset: 100 * data_sn,
        };
        said(&mut trace, data, &[0; 100]);
    }
    heard(&mut trace, write(2, 11, 0), &[]).unwrap();
    said(&mut trace, status(2, 102), &[]);
    trace
}

fn snack(kind: SnackType, itt: u32, tag: u32, begin: u32, length: u32) -> Snack {
    let lun = if kind == SnackType::DataAck { Lun::from(3) } else { Lun::ZERO };
    Snack { kind, lun, itt: Itt(itt), tag, exp_stat_sn: Serial(102), begin: Serial(begin), length }
}

const NONE: u32 = u32::MAX;

#[test]
fn requests_for_what_was_lost_pass() {
    let mut trace = recovering();
    for good in [
        snack(SnackType::Data, 1, NONE, 0, 3),
        snack(SnackType::Status, NONE, NONE, 102, 1),
        snack(SnackType::RData, 1, 1, 0, 0),
        snack(SnackType::RData, 1, 2, 0, 0),
        snack(SnackType::DataAck, NONE, 0x77, 2, 0),
        snack(SnackType::Data, 1, NONE, 2, 1),
    ] {
        heard(&mut trace, good, &[]).unwrap();
    }
    let again =
        ScsiCommand { exp_stat_sn: Serial(103), ..ScsiCommand { read: true, write: false, ..write(1, 10, 300) } };
    heard(&mut trace, again, &[]).unwrap();
}

#[test]
fn breaches_in_requests_for_what_was_lost_are_found() {
    fails(heard(&mut full(&[]), snack(SnackType::Status, NONE, NONE, 102, 1), &[]), "error recovery level 0");
    let tell = |snack: Snack| heard(&mut recovering(), snack, &[]);
    let lun = Lun::from(3);
    fails(tell(Snack { lun, ..snack(SnackType::Data, 1, NONE, 0, 1) }), "a LUN");
    fails(tell(snack(SnackType::Data, 1, 5, 0, 1)), "a tag");
    fails(tell(snack(SnackType::Data, 9, NONE, 0, 1)), "no task");
    fails(tell(Snack { exp_stat_sn: Serial(103), ..snack(SnackType::Data, 2, NONE, 0, 1) }), "is acknowledged");
    fails(tell(snack(SnackType::Data, 1, NONE, 3, 1)), "never sent");
    fails(tell(snack(SnackType::Data, 1, NONE, 2, 2)), "never sent");
    fails(tell(snack(SnackType::Status, 1, NONE, 102, 1)), "a tag");
    fails(tell(snack(SnackType::Status, NONE, NONE, 101, 1)), "is acknowledged");
    fails(tell(snack(SnackType::Status, NONE, NONE, 102, 2)), "never sent");
    fails(tell(snack(SnackType::DataAck, 1, 0x77, 2, 0)), "a task or a length");
    fails(tell(snack(SnackType::DataAck, NONE, 0x77, 2, 1)), "a task or a length");
    fails(tell(snack(SnackType::DataAck, NONE, 0x78, 2, 0)), "nobody wants");
    fails(tell(Snack { lun: Lun::ZERO, ..snack(SnackType::DataAck, NONE, 0x77, 2, 0) }), "nobody wants");
    fails(tell(snack(SnackType::DataAck, NONE, 0x77, 1, 0)), "wanted was 2");
    fails(tell(snack(SnackType::DataAck, NONE, 0x77, 4, 0)), "sent 3");
    fails(tell(snack(SnackType::RData, 1, 1, 1, 0)), "a run");
    fails(tell(snack(SnackType::RData, 9, 1, 0, 0)), "no task");
    fails(tell(snack(SnackType::RData, 1, 0, 0, 0)), "reserved");
    let mut trace = recovering();
    heard(&mut trace, snack(SnackType::DataAck, NONE, 0x77, 2, 0), &[]).unwrap();
    fails(heard(&mut trace, snack(SnackType::Data, 1, NONE, 1, 1), &[]), "was acknowledged");
    heard(&mut trace, snack(SnackType::RData, 1, 1, 0, 0), &[]).unwrap();
    fails(heard(&mut trace, snack(SnackType::RData, 1, 1, 0, 0), &[]), "was used");
    said(&mut trace, status(1, 103), &[]);
    let late = Snack { exp_stat_sn: Serial(104), ..snack(SnackType::DataAck, NONE, 0x77, 3, 0) };
    fails(heard(&mut trace, late, &[]), "nobody wants");
}

#[test]
fn breaches_in_commands_that_are_sent_again_are_found() {
    let again = |change: fn(&mut ScsiCommand)| {
        let mut trace = full(&[("ErrorRecoveryLevel", "1")]);
        heard(&mut trace, write(1, 10, 100), &[7; 100]).unwrap();
        let mut command = write(1, 10, 100);
        change(&mut command);
        heard(&mut trace, command, &[7; 100])
    };
    assert_eq!(again(|_| {}), Ok(()));
    fails(again(|command| command.cmd_sn = Serial(11)), "not as it was");
    fails(again(|command| command.cdb[1] = 1), "not as it was");
    fails(again(|command| command.lun = Lun::ZERO), "not as it was");
    fails(again(|command| command.attribute = TaskAttribute::Ordered), "not as it was");
    let mut trace = full(&[("ErrorRecoveryLevel", "1")]);
    heard(&mut trace, write(1, 10, 0), &[]).unwrap();
    let numbering = Numbering { exp_cmd_sn: Serial(11), ..numbers(102) };
    said(&mut trace, NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt::RESERVED, numbering }, &[]);
    fails(heard(&mut trace, write(1, 10, 0), &[]), "the peer has it");
    let mut trace = full(&[]);
    heard(&mut trace, write(1, 10, 0), &[]).unwrap();
    fails(heard(&mut trace, write(1, 10, 0), &[]), "CmdSN 10 came where 11");
}
