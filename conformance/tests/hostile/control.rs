//! Faults of NOP-In, Task Management and Logout Responses, Asynchronous Messages and Rejects.

use super::{Fails, Fine, Over, Row, table};

const NOP: &[Row] = &[
    ("R-220", "on 1st DataIn: precede with NopIn ttt 7", Fine),
    ("R-220 R-297", "on 1st ScsiResponse: precede with NopIn ttt 7 x 10000", Fine),
    ("R-221", "on every DataIn: follow with NopIn x 100", Fine),
    ("R-224", "on 1st ScsiResponse: precede with NopIn itt 77", Over("read", &["UnknownPing", "11.19"])),
    ("R-224", "on 1st DataIn: precede with NopIn itt 0", Over("read", &["UnknownPing", "11.19"])),
    ("R-225", "on 1st DataIn: precede with NopIn itt 0 ttt 0", Over("read", &["11.19"])),
    ("R-225", "on 1st DataIn: precede with NopIn data \"ping\"", Over("read", &["11.19"])),
    ("R-222", "on 1st NopIn: data \"not what was sent\"", Fine),
    ("R-168", "on 1st NopIn: set statsn +1", Over("ping", &["StatusGap", "4.2.2.2"])),
    ("R-226", "on 1st NopIn: drop, silence", Over("ping", &["TimedOut", "ping"])),
    // The ping of an idle connection shows the loss before the time is up.
    ("R-165 R-226", "on 1st NopIn: drop", Over("ping", &["StatusGap", "4.2.2.2"])),
];

const ASYNC: &[Row] = &[
    ("R-227", "on 3rd ScsiResponse: follow with AsyncMessage event 1 parameter3 5", Over("ping", &["LoggedOut"])),
    ("R-227", "on 1st DataIn: precede with AsyncMessage event 1 parameter3 0", Over("write", &["LogoutRequested"])),
    (
        "R-228",
        "on 1st DataIn: precede with AsyncMessage event 2 parameter1 0 parameter2 3",
        Over("read", &["DroppedByTarget", "3 s"]),
    ),
    ("R-228", "on 1st DataIn: precede with AsyncMessage event 2 parameter1 99", Fine),
    (
        "R-229",
        "on 1st DataIn: precede with AsyncMessage event 3 parameter2 0xffff",
        Over("read", &["DroppedByTarget", "65535"]),
    ),
    ("R-230", "on 1st DataIn: precede with AsyncMessage event 4 parameter3 3", Fine),
    ("R-230 R-297", "on 1st DataIn: precede with AsyncMessage event 4 parameter3 3 x 1000", Fine),
    ("R-231", "on 1st DataIn: precede with AsyncMessage event 5", Fine),
    ("R-232", "on 1st DataIn: precede with AsyncMessage data \"\\x00\\x02\\x70\\x00\"", Fine),
    ("R-232", "on 1st DataIn: precede with AsyncMessage data \"\\x00\\x12\\x70\\x00\"", Over("read", &["Pdu", "11.4"])),
    ("R-233", "on 1st DataIn: precede with AsyncMessage event 255 data \"anything\"", Fine),
    ("R-004", "on 1st DataIn: precede with AsyncMessage event 100", Over("read", &["Misbehaved", "11.9"])),
    ("R-297", "on 1st DataIn: precede with AsyncMessage event 248 x 10000", Fine),
    ("R-165", "on 1st DataIn: precede with AsyncMessage event 248 statsn +1", Over("read", &["StatusGap"])),
];

const REJECT: &[Row] = &[
    ("R-235", "on 1st DataIn: precede with Reject reason 9", Over("read", &["ShortReject", "11.17"])),
    ("R-235", "on 1st DataIn: precede with Reject reason 9 data \"\\x01\"", Over("read", &["ShortReject", "11.17"])),
    ("R-004", "on 1st DataIn: precede with Reject reason 0x7f", Over("read", &["Misbehaved", "11.17"])),
];

const TASK: &[Row] = &[
    ("R-248", "on 1st TaskResponse: set response 5", Fails("abort", &["another task result"])),
    ("R-248", "on 1st TaskResponse: set response 255", Fails("abort", &["another task result"])),
    ("R-004", "on 1st TaskResponse: set response 9", Over("abort", &["Misbehaved", "11.6"])),
    ("R-018", "on 1st TaskResponse: set itt +1", Over("abort", &["UnknownTask"])),
    ("R-014", "on 1st TaskResponse: data 4 bytes", Over("abort", &["no data"])),
    ("R-166", "on 1st TaskResponse: duplicate", Fine),
    ("R-165", "on 1st TaskResponse: drop", Over("abort", &["StatusGap", "4.2.2.2"])),
    ("R-250 R-297", "on 1st TaskResponse: drop, silence", Over("abort", &["TimedOut"])),
    ("R-019", "on 1st TaskResponse: set opcode 0x21", Over("abort", &["WrongTask", "4.2.5.3"])),
    ("R-021", "on 1st TaskResponse: close, drop", Over("abort", &["ClosedByTarget"])),
];

const LOGOUT: &[Row] = &[
    ("R-258", "on 1st LogoutResponse: set response 1", Over("logout", &["LogoutFailed"])),
    ("R-258", "on 1st LogoutResponse: set response 2", Over("logout", &["LogoutFailed"])),
    ("R-258", "on 1st LogoutResponse: set response 3", Over("logout", &["LogoutFailed"])),
    ("R-004", "on 1st LogoutResponse: set response 4", Over("logout", &["Misbehaved", "11.15"])),
    ("R-018", "on 1st LogoutResponse: set itt +1", Over("logout", &["UnknownTask"])),
    ("R-014", "on 1st LogoutResponse: data 4 bytes", Over("logout", &["no data"])),
    ("R-259", "on 1st LogoutResponse: drop, silence", Over("logout", &["TimedOut", "logout"])),
    ("R-259", "on 1st LogoutResponse: drop, close", Over("logout", &["ClosedByTarget"])),
    ("R-257", "on 1st LogoutResponse: follow with NopIn ttt 1, silence", Fine),
];

///
#[test]
fn nop_in() {
    table(NOP);
}

///
#[test]
fn asynchronous_messages() {
    table(ASYNC);
}

///
#[test]
fn rejects() {
    table(REJECT);
}

///
#[test]
fn task_management_responses() {
    table(TASK);
}

///
#[test]
fn logout_responses() {
    table(LOGOUT);
}
