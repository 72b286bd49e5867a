//! What real targets do otherwise than the standards say, and what that means here.

/// A scenario that is known to fail with a target.
pub struct Exception {
    /// The kind of lab.
    pub kind: &'static str,
    /// The scenario.
    pub scenario: &'static str,
    /// Why, with the section of the standard that the target breaks.
    pub reason: &'static str,
}

/// All of them. One that passes is an error: it is to be struck out.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        kind: "tgt",
        scenario: "a target that wants digests",
        reason: "with CRC32C as its only value, tgt still settles on None, which is not in its list, when that is all that is offered \
                 (RFC 7143, sections 6.2.1 and 13.1)",
    },
    Exception {
        kind: "ceph",
        scenario: "SET TARGET PORT GROUPS",
        reason: "while states change by themselves only, tcmu-runner fails the command with HARDWARE ERROR 04/44/00, where SPC-5 wants \
                 ILLEGAL REQUEST for one that is not supported",
    },
    Exception {
        kind: "istgt",
        scenario: "a target that wants digests",
        reason: "it answers None when that is all that is offered, and logs the initiator in, although it is set up to demand both \
                 (RFC 7143, sections 6.2.1 and 13.1)",
    },
    Exception {
        kind: "istgt",
        scenario: "WRITE AND VERIFY, or a read after",
        reason: "it takes none of the data of WRITE AND VERIFY, says so by the residual, and answers GOOD (SBC-3, WRITE AND VERIFY); \
                 the command ends with an error that says so",
    },
    Exception {
        kind: "istgt",
        scenario: "a persistent reservation is preempted",
        reason: "PREEMPT leaves the key that was preempted in the list and takes out the other (SPC-4, service action PREEMPT)",
    },
];

/// Something that a target does in a way of its own, and that this initiator copes with.
pub struct Quirk {
    /// Who does it.
    pub target: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What is done about it.
    pub answer: &'static str,
}

/// Those that were met.
pub const QUIRKS: &[Quirk] = &[
    Quirk {
        target: "LIO",
        does: "closes the connection, without a Login Response, when only AuthMethod=None is offered and it wants CHAP",
        answer: "the error says that authentication may be what is missing",
    },
    Quirk {
        target: "LIO",
        does: "answers GOOD to VERIFY with data and compares nothing",
        answer: "by its vendor, LIO-ORG: `Lun::compare_at` reads the blocks and compares them itself",
    },
    Quirk {
        target: "LIO",
        does: "answers status 0301 to a login at a target that does not exist, instead of 0203",
        answer: "it is told as it came; trying again is allowed, and has an end",
    },
    Quirk {
        target: "LIO",
        does: "at error recovery level 2 answers TASK REASSIGN with function rejected where it goes on, and with complete where it knows no such task",
        answer: "both are waited for, and an abort brings out the truth; Linux 6.1 does not survive it with several commands under way",
    },
    Quirk {
        target: "istgt",
        does: "in its normal mode closes one connection in ten before its Logout Response is sent",
        answer: "the logout is an error that says so; the daemon takes it for done. Here it runs in its traditional mode",
    },
    Quirk {
        target: "istgt",
        does: "answers AuthMethod=Reject when it wants CHAP and only None is offered",
        answer: "the error says that the target wants another way of authentication",
    },
    Quirk {
        target: "open-isns",
        does: "writes an address of IPv4 as `::a.b.c.d`, not `::ffff:a.b.c.d`",
        answer: "it is taken for what is meant",
    },
    Quirk {
        target: "open-isns",
        does: "answers a query whose answer would pass some 8 KiB with \"internal error\"",
        answer: "targets are asked for one by one (DevGetNext)",
    },
    Quirk {
        target: "tgt",
        does: "takes CHAP algorithm 7 for SHA-1; it is SHA-256",
        answer: "MD5 is offered, and first",
    },
    Quirk {
        target: "tgt",
        does: "answers status 0200 to CHAP algorithms that it does not know, instead of 0201",
        answer: "it is told as it came",
    },
    Quirk {
        target: "tgt",
        does: "cuts long answers to SendTargets inside a key without the C bit",
        answer: "parts are joined until the F bit is set",
    },
    Quirk {
        target: "tgt",
        does: "names what is not as usual of the session in the logins of further connections, too, where it has no place",
        answer: "values that are in force may be repeated",
    },
];
