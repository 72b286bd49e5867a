//! Error recovery level 1: what the network loses or damages comes again, and all ends well (RFC 7143, sections 7.8 and 7.9).

use conformance::target::config::Limits;

use super::{Fine, Over, Row, limits, table_with};

const DATA_IN: &[Row] = &[
    ("R-276", "on 1st DataIn: corrupt data byte 7", Fine),
    ("R-276", "on 2nd DataIn: corrupt data digest", Fine),
    ("R-276", "on 4th DataIn: corrupt data byte 1023", Fine),
    ("R-276", "on 1st DataIn: drop", Fine),
    ("R-276", "on 2nd DataIn: drop\non 3rd DataIn: drop", Fine),
    ("R-276", "on 4th DataIn: drop", Fine),
    ("R-276", "on 1st DataIn: drop\non 3rd DataIn: corrupt data byte 0", Fine),
    // What comes again is lost again.
    ("R-276", "on 2nd DataIn: drop\non 5th DataIn: corrupt data byte 9", Fine),
    ("R-276", "on 2nd DataIn: drop\non 5th DataIn: drop", Fine),
    ("R-276", "on 1st DataIn: hold 1 PDU", Fine),
    ("R-029", "on 2nd DataIn: corrupt header byte 40", Over("read", &["Damaged", "HeaderDigest"])),
    ("R-205", "on every DataIn: duplicate", Fine),
];

const STATUS: &[Row] = &[
    ("R-277", "on 1st ScsiResponse: drop", Fine),
    ("R-277", "on 2nd ScsiResponse: drop", Fine),
    ("R-277", "on 3rd ScsiResponse: drop", Fine),
    ("R-277", "on 1st TextResponse: corrupt data byte 0", Fine),
    ("R-277 R-279", "on 4th DataIn: drop\non 1st ScsiResponse: drop", Fine),
    ("R-277 R-279", "on 4th DataIn: corrupt data byte 3\non 1st ScsiResponse: hold 1 PDU", Fine),
    ("R-277", "on 1st ScsiResponse: duplicate", Fine),
    (
        "R-277",
        "on 1st ScsiResponse: precede with AsyncMessage event 248, corrupt header byte 0",
        Over("read", &["Damaged"]),
    ),
];

/// The status comes with the last data.
const TOGETHER: &[Row] = &[
    ("R-276", "on 4th DataIn: corrupt data byte 7", Fine),
    ("R-276", "on 4th DataIn: drop", Fine),
    ("R-276", "on 2nd DataIn: drop\non 4th DataIn: corrupt data byte 7", Fine),
    ("R-276", "on every DataIn: duplicate", Fine),
];

const R2T: &[Row] = &[
    ("R-282", "on 1st R2T: drop", Fine),
    ("R-282", "on 2nd R2T: drop", Fine),
    ("R-282", "on 1st R2T: drop\non 2nd R2T: drop", Fine),
    ("R-191", "on every R2T: duplicate", Fine),
];

const REQUESTS: &[Row] = &[
    ("R-169 R-283", "on 1st ScsiCommand: drop", Fine),
    ("R-169 R-283", "on 2nd ScsiCommand: drop", Fine),
    ("R-283", "on 3rd ScsiCommand: drop\non 4th ScsiCommand: drop", Fine),
    ("R-191", "on 1st DataOut: drop", Fine),
    ("R-191", "on 2nd DataOut: corrupt data byte 3", Fine),
    ("R-276", "on 2nd DataIn: drop\non 1st Snack: drop", Fine),
    ("R-277", "on 1st ScsiResponse: drop\non 1st Snack: drop", Fine),
];

fn at_level_1() -> Limits {
    Limits { error_recovery_level: 1, max_outstanding_r2t: 1, ..limits() }
}

/// lost and damaged data comes again, more than once if it has to.
#[test]
fn data_in_is_recovered() {
    table_with(DATA_IN, at_level_1);
}

///
#[test]
fn status_is_recovered() {
    table_with(STATUS, at_level_1);
}

///
#[test]
fn data_and_its_status_are_recovered_together() {
    table_with(TOGETHER, || Limits { status_in_data: true, ..at_level_1() });
}

/// the target asks again of its own accord.
#[test]
fn r2ts_are_recovered_by_the_target() {
    table_with(R2T, at_level_1);
}

/// what the target never got it gets again, the requests to send again among it.
#[test]
fn requests_are_recovered() {
    table_with(REQUESTS, at_level_1);
}
