//! One of each PDU with its bytes, written down from the tables of section 11.

use iscsi_proto::isid::Isid;
use iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, DataIn, DataOut, LoginRequest, LoginResponse, LoginStatus, LogoutReason, LogoutRequest,
    LogoutResponse, LogoutResult, NopIn, NopOut, Numbering, Pdu, R2t, Reject, RejectReason, Residual, ScsiCommand,
    ScsiResponse, ServiceResponse, Snack, SnackType, Stage, TaskAttribute, TaskFunction, TaskRequest, TaskResponse,
    TaskResult, TextRequest, TextResponse,
};
use iscsi_proto::scsi::{Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

const LUN: Lun = Lun::from_bytes([0xd2, 1, 2, 3, 4, 5, 6, 7]);
const ITT: Itt = Itt(0x1011_1213);
const TTT: Ttt = Ttt(0x2021_2223);
const NUMBERS: Numbering =
    Numbering { stat_sn: Serial(0x3031_3233), exp_cmd_sn: Serial(0x4041_4243), max_cmd_sn: Serial(0x5051_5253) };
const CMD_SN: Serial = Serial(0x6061_6263);
const EXP_STAT_SN: Serial = Serial(0x7071_7273);

/// The PDUs in the order of their opcodes; every field differs from every other.
// A table, not a function to follow.
#[allow(clippy::too_many_lines)]
pub(crate) fn all() -> Vec<(Pdu, &'static str)> {
    vec![
        (
            NopOut {
                immediate: true,
                lun: LUN,
                itt: Itt::RESERVED,
                ttt: TTT,
                cmd_sn: CMD_SN,
                exp_stat_sn: EXP_STAT_SN,
            }
            .into(),
            "40800000 00000000 d2010203 04050607 ffffffff 20212223 60616263 70717273 00000000 00000000 00000000 00000000",
        ),
        (
            ScsiCommand {
                immediate: true,
                fin: true,
                read: true,
                write: true,
                attribute: TaskAttribute::Ordered,
                priority: 10,
                lun: LUN,
                itt: ITT,
                expected_length: 0x8081_8283,
                cmd_sn: CMD_SN,
                exp_stat_sn: EXP_STAT_SN,
                cdb: [0x9f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            }
            .into(),
            "41e2a000 00000000 d2010203 04050607 10111213 80818283 60616263 70717273 9f010203 04050607 08090a0b 0c0d0e0f",
        ),
        (
            TaskRequest {
                immediate: true,
                function: TaskFunction::QueryAsyncEvent,
                lun: LUN,
                itt: ITT,
                referenced: Itt(0x8081_8283),
                cmd_sn: CMD_SN,
                exp_stat_sn: EXP_STAT_SN,
                ref_cmd_sn: Serial(0x9091_9293),
                exp_data_sn: Serial(0xa0a1_a2a3),
            }
            .into(),
            "428c0000 00000000 d2010203 04050607 10111213 80818283 60616263 70717273 90919293 a0a1a2a3 00000000 00000000",
        ),
        (
            LoginRequest {
                more: false,
                current: Stage::Operational,
                next: Some(Stage::FullFeature),
                version_max: 2,
                version_min: 1,
                isid: Isid([0x80, 1, 2, 3, 4, 5]),
                tsih: 0x0607,
                itt: ITT,
                cid: 0x0809,
                cmd_sn: CMD_SN,
                exp_stat_sn: EXP_STAT_SN,
            }
            .into(),
            "43870201 00000000 80010203 04050607 10111213 08090000 60616263 70717273 00000000 00000000 00000000 00000000",
        ),
        (
            TextRequest {
                immediate: false,
                fin: true,
                more: false,
                lun: LUN,
                itt: ITT,
                ttt: TTT,
                cmd_sn: CMD_SN,
                exp_stat_sn: EXP_STAT_SN,
            }
            .into(),
            "04800000 00000000 d2010203 04050607 10111213 20212223 60616263 70717273 00000000 00000000 00000000 00000000",
        ),
        (
            DataOut {
                fin: true,
                lun: LUN,
                itt: ITT,
                ttt: TTT,
                exp_stat_sn: EXP_STAT_SN,
                data_sn: Serial(0x8081_8283),
                offset: 0x9091_9293,
            }
            .into(),
            "05800000 00000000 d2010203 04050607 10111213 20212223 00000000 70717273 00000000 80818283 90919293 00000000",
        ),
        (
            LogoutRequest {
                immediate: true,
                reason: LogoutReason::RemoveForRecovery,
                itt: ITT,
                cid: 0x0809,
                cmd_sn: CMD_SN,
                exp_stat_sn: EXP_STAT_SN,
            }
            .into(),
            "46820000 00000000 00000000 00000000 10111213 08090000 60616263 70717273 00000000 00000000 00000000 00000000",
        ),
        (
            Snack {
                kind: SnackType::RData,
                lun: LUN,
                itt: ITT,
                tag: TTT.0,
                exp_stat_sn: EXP_STAT_SN,
                begin: Serial(0x8081_8283),
                length: 0x9091_9293,
            }
            .into(),
            "10830000 00000000 d2010203 04050607 10111213 20212223 00000000 70717273 00000000 00000000 80818283 90919293",
        ),
        (
            NopIn { lun: LUN, itt: Itt::RESERVED, ttt: TTT, numbering: NUMBERS }.into(),
            "20800000 00000000 d2010203 04050607 ffffffff 20212223 30313233 40414243 50515253 00000000 00000000 00000000",
        ),
        (
            ScsiResponse {
                response: ServiceResponse::Completed,
                status: Status::TASK_SET_FULL,
                qualifier: 0x0809,
                itt: ITT,
                snack_tag: TTT.0,
                numbering: NUMBERS,
                exp_data_sn: Serial(0x8081_8283),
                bidi_residual: Residual::Overflow(0x9091_9293),
                residual: Residual::Underflow(0xa0a1_a2a3),
            }
            .into(),
            "21920028 00000000 08090000 00000000 10111213 20212223 30313233 40414243 50515253 80818283 90919293 a0a1a2a3",
        ),
        (
            TaskResponse {
                result: TaskResult::FunctionRejected,
                information: [8, 9, 10],
                itt: ITT,
                numbering: NUMBERS,
            }
            .into(),
            "2280ff00 00000000 08090a00 00000000 10111213 00000000 30313233 40414243 50515253 00000000 00000000 00000000",
        ),
        (
            LoginResponse {
                more: false,
                current: Stage::Security,
                next: Some(Stage::Operational),
                version_max: 2,
                version_active: 1,
                isid: Isid([0x80, 1, 2, 3, 4, 5]),
                tsih: 0x0607,
                itt: ITT,
                numbering: NUMBERS,
                status: LoginStatus::new(0, 9),
            }
            .into(),
            "23810201 00000000 80010203 04050607 10111213 00000000 30313233 40414243 50515253 00090000 00000000 00000000",
        ),
        (
            TextResponse { fin: false, more: true, lun: LUN, itt: ITT, ttt: TTT, numbering: NUMBERS }.into(),
            "24400000 00000000 d2010203 04050607 10111213 20212223 30313233 40414243 50515253 00000000 00000000 00000000",
        ),
        (
            DataIn {
                fin: true,
                acknowledge: true,
                status: Some((Status::CONDITION_MET, Residual::Overflow(0xa0a1_a2a3))),
                lun: LUN,
                itt: ITT,
                ttt: TTT,
                numbering: NUMBERS,
                data_sn: Serial(0x8081_8283),
                offset: 0x9091_9293,
            }
            .into(),
            "25c50004 00000000 d2010203 04050607 10111213 20212223 30313233 40414243 50515253 80818283 90919293 a0a1a2a3",
        ),
        (
            LogoutResponse {
                result: LogoutResult::CleanupFailed,
                itt: ITT,
                numbering: NUMBERS,
                time2wait: 0x0809,
                time2retain: 0x0a0b,
            }
            .into(),
            "26800300 00000000 00000000 00000000 10111213 00000000 30313233 40414243 50515253 00000000 08090a0b 00000000",
        ),
        (
            R2t {
                lun: LUN,
                itt: ITT,
                ttt: TTT,
                numbering: NUMBERS,
                r2t_sn: Serial(0x8081_8283),
                offset: 0x9091_9293,
                length: 0xa0a1_a2a3,
            }
            .into(),
            "31800000 00000000 d2010203 04050607 10111213 20212223 30313233 40414243 50515253 80818283 90919293 a0a1a2a3",
        ),
        (
            AsyncMessage {
                lun: LUN,
                numbering: NUMBERS,
                event: AsyncEvent::Vendor { event: 0xf8, code: 9, parameters: [0x0a0b, 0x0c0d, 0x0e0f] },
            }
            .into(),
            "32800000 00000000 d2010203 04050607 ffffffff 00000000 30313233 40414243 50515253 f8090a0b 0c0d0e0f 00000000",
        ),
        (
            Reject { reason: RejectReason::WaitingForLogout, numbering: NUMBERS, data_sn: Serial(0x8081_8283) }.into(),
            "3f800c00 00000000 00000000 00000000 ffffffff 00000000 30313233 40414243 50515253 80818283 00000000 00000000",
        ),
    ]
}
