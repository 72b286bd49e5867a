//! Faults of Text Responses (RFC 7143, section 11.11).

use super::{Fine, Over, Row, table};

const TEXT: &[Row] = &[
    ("R-266", "on 1st TextResponse: set ttt 5", Fine),
    ("R-266", "on 1st TextResponse: set flags 0", Over("text", &["11.11"])),
    ("R-040", "on 1st TextResponse: set flags 0xc0", Over("text", &["11.11"])),
    ("R-018", "on 1st TextResponse: set itt +1", Over("text", &["UnknownTask"])),
    (
        "R-149 R-297",
        "on every TextResponse: set flags 0x40, set ttt 1, data \"\"",
        Over("text", &["TextSequence", "11.11"]),
    ),
    ("R-165", "on 1st TextResponse: drop", Over("text", &["StatusGap", "4.2.2.2"])),
    ("R-297", "on 1st TextResponse: drop, silence", Over("text", &["TimedOut"])),
    ("R-166", "on 1st TextResponse: duplicate", Fine),
    ("R-030", "on 1st TextResponse: corrupt data byte 0", Over("text", &["Damaged", "DataDigest"])),
    ("R-007", "on 1st TextResponse: data 1025 bytes", Over("text", &["DataTooLong"])),
];

///
#[test]
fn text_responses() {
    table(TEXT);
}
