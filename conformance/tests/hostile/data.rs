//! Faults of Data-In, R2T and SCSI Response (RFC 7143, sections 11.4, 11.7 and 11.8).

use conformance::target::config::Limits;

use super::{Each, Fails, Fine, Over, Row, limits, table, table_with};

const DATA_IN: &[Row] = &[
    ("R-197", "on 1st DataIn: set offset +1", Over("read", &["DataOffset", "11.7.6"])),
    ("R-197", "on 1st DataIn: set offset 4096", Over("read", &["DataBeyondEnd", "11.7.6"])),
    ("R-197", "on 4th DataIn: set offset 0xfffffc00", Over("read", &["DataBeyondEnd", "11.7.6"])),
    ("R-203", "on 2nd DataIn: set offset 2048", Over("read", &["DataOffset", "11.7.6"])),
    ("R-203", "on 2nd DataIn: set offset 0", Over("read", &["DataOffset", "11.7.6"])),
    ("R-198", "on 3rd DataIn: set datasn 0", Over("read", &["DataGap", "4.2.2.4"])),
    ("R-200", "on 2nd DataIn: drop", Over("read", &["DataGap", "4.2.2.4"])),
    ("R-200 R-201", "on 4th DataIn: drop", Over("read", &["DataGap", "4.2.2.4"])),
    ("R-199", "on 2nd DataIn: duplicate", Fine),
    ("R-199", "on every DataIn: duplicate 3 times", Fine),
    ("R-200", "on 2nd DataIn: hold 1 PDU", Over("read", &["DataGap", "4.2.2.4"])),
    ("R-010", "on 1st DataIn: precede with DataIn itt 0 flags 0", Over("read", &["DataOffset", "11.7.6"])),
    ("R-018", "on 1st DataIn: set itt +1", Over("read", &["UnknownTask", "4.2.5.3"])),
    ("R-018", "on 1st DataIn: set itt reserved", Over("read", &["UnknownTask", "4.2.5.3"])),
    ("R-206", "on 1st R2T: precede with DataIn itt 0x00010000 flags 0 data \"1234\"", Over("write", &["WrongTask"])),
    ("R-196", "on 4th DataIn: set flags 0x81, set status 2", Over("read", &["11.7.3"])),
    ("R-195", "on 4th DataIn: set flags 0x01", Over("read", &["Pdu", "11.7"])),
    ("R-204", "on 1st DataIn: set flags 0x40, set ttt 5", Fine),
    ("R-208", "on 1st DataIn: set flags 0x06, set residual 9", Fine),
    ("R-007", "on 1st DataIn: set datalength 1025", Over("read", &["DataTooLong", "1025"])),
    ("R-007", "on 1st DataIn: set datalength 0xffffff", Over("read", &["DataTooLong", "16777215"])),
    ("R-007", "on 1st DataIn: data 1028 bytes", Over("read", &["DataTooLong", "1028"])),
    ("R-006", "on 1st DataIn: set ahslength 255", Over("read", &["UnexpectedAhs", "11.2.2"])),
    ("R-029", "on 1st DataIn: corrupt header byte 40", Over("read", &["Damaged", "HeaderDigest", "7.8"])),
    ("R-029", "on 2nd DataIn: corrupt header digest", Over("read", &["Damaged", "HeaderDigest"])),
    ("R-029", "on 1st DataIn: corrupt header byte 5", Over("read", &["Damaged", "HeaderDigest"])),
    ("R-030", "on 3rd DataIn: corrupt data byte 7", Over("read", &["Damaged", "DataDigest", "7.8"])),
    ("R-030", "on 4th DataIn: corrupt data digest", Over("read", &["Damaged", "DataDigest", "7.8"])),
    ("R-021", "on 3rd DataIn: truncate at 500, close", Over("read", &["ClosedByTarget"])),
    ("R-021", "on 3rd DataIn: truncate at 20, close", Over("read", &["ClosedByTarget"])),
    ("R-020", "on every DataIn: split every 100 for 10 ms", Fine),
    ("R-005", "on 2nd DataIn: set opcode 0x05", Over("read", &["UnexpectedPdu", "DataOut"])),
    ("R-005", "on 2nd DataIn: set opcode 0x27", Over("read", &["UnassignedOpcode"])),
    ("R-297", "on 1st DataIn: silence", Over("read", &["TimedOut"])),
    ("R-250", "on 2nd DataIn: delay 20 s", Over("read", &["TimedOut"])),
];

const R2T: &[Row] = &[
    ("R-187", "on every R2T: duplicate", Fine),
    ("R-187", "on 1st R2T: drop", Over("write", &["R2tGap", "4.2.2.4"])),
    ("R-187", "on 2nd R2T: set r2tsn 2", Over("write", &["R2tGap", "4.2.2.4"])),
    ("R-184", "on 1st R2T: set length 0", Over("write", &["11.8.4"])),
    ("R-184", "on 1st R2T: set length 2049", Over("write", &["R2tTooLong", "11.8.4"])),
    ("R-184", "on 1st R2T: set ttt reserved", Over("write", &["11.8.5"])),
    ("R-185", "on 1st R2T: set offset 4096", Over("write", &["R2tBeyondEnd", "11.8"])),
    ("R-185", "on 2nd R2T: set offset 0xffffff00", Over("write", &["R2tBeyondEnd", "11.8"])),
    ("R-188 R-190", "on 2nd R2T: set offset 0", Over("write", &["R2tBackwards", "11.8"])),
    ("R-186 R-187", "on 1st R2T: duplicate 10000 times", Fine),
    ("R-019", "on 1st R2T: set lun 00 01 00 00 00 00 00 00", Over("write", &["WrongLun", "4.2.5.3"])),
    ("R-019", "on 1st DataIn: precede with R2T itt 0 ttt 1 length 512", Over("read", &["WrongTask", "4.2.5.3"])),
    (
        "R-018 R-192",
        "on 2nd ScsiResponse: follow with R2T itt 0x00010000 ttt 1 length 512",
        Over("verify", &["UnknownTask"]),
    ),
    ("R-014", "on 1st R2T: data 512 bytes", Over("write", &["Pdu", "no data"])),
    ("R-297", "on 1st R2T: silence", Over("write", &["TimedOut"])),
    ("R-297", "on 1st R2T: deaf", Over("write", &["TimedOut"])),
    ("R-021", "on 2nd R2T: close", Over("write", &["ClosedByTarget"])),
    ("R-161 R-194", "on 1st R2T: shut window\non 2nd ScsiResponse: open window", Fine),
];

const RESPONSE: &[Row] = &[
    ("R-018", "on 1st ScsiResponse: set itt +1", Over("read", &["UnknownTask", "4.2.5.3"])),
    ("R-201", "on 1st ScsiResponse: set expdatasn 5", Over("read", &["DataGap", "4.2.2.4"])),
    ("R-210", "on 1st ScsiResponse: set response 1", Fails("read", &["Delivery"])),
    ("R-004", "on 1st ScsiResponse: set response 2", Over("read", &["ReservedValue", "11.4"])),
    ("R-207", "on 1st ScsiResponse: set flags 0x86, set residual 1", Over("read", &["11.4"])),
    ("R-207 R-209", "on 1st ScsiResponse: set flags 0x82, set residual 512", Fails("read", &["Short", "3584"])),
    ("R-207 R-209", "on 1st ScsiResponse: set flags 0x82, set residual 0xffffffff", Fails("read", &["Short"])),
    ("R-207", "on 1st ScsiResponse: set flags 0x84, set residual 999", Fine),
    ("R-208", "on 1st ScsiResponse: set residual 999", Fine),
    ("R-214", "on 1st ScsiResponse: set byte8 0x40, set byte9 5", Fine),
    (
        "R-209",
        "on 3rd DataIn: drop\non 4th DataIn: drop\non 1st ScsiResponse: set expdatasn 2",
        Fails("read", &["Short", "2048"]),
    ),
    ("R-211", "on 1st ScsiResponse: set status 2, data \"\\xff\\xff\\x70\"", Over("read", &["Pdu", "11.4"])),
    ("R-211", "on 1st ScsiResponse: set status 2, data \"\\x00\\x02\\x72\\x06\"", Fails("read", &["Sense"])),
    ("R-212", "on 1st ScsiResponse: set status 2", Fails("read", &["Status", "CHECK CONDITION"])),
    ("R-215", "on 1st ScsiResponse: set status 8", Fails("read", &["BUSY"])),
    ("R-215", "on 2nd ScsiResponse: set status 0x28", Fails("write", &["TASK SET FULL"])),
    ("R-215", "on 2nd ScsiResponse: set status 0x18", Fails("write", &["RESERVATION CONFLICT"])),
    ("R-004", "on 1st ScsiResponse: set status 0x77", Fails("read", &["Status"])),
    (
        "R-031",
        "on 1st ScsiResponse: data \"\\x00\\x00\", corrupt data byte 0",
        Over("read", &["Damaged", "DataDigest"]),
    ),
    ("R-029", "on 1st ScsiResponse: corrupt header byte 3", Over("read", &["Damaged", "HeaderDigest"])),
    ("R-166", "on 1st ScsiResponse: duplicate", Fine),
    ("R-166 R-299", "on every ScsiResponse: duplicate 5 times", Fine),
    ("R-165", "on 1st ScsiResponse: set statsn +1", Over("read", &["StatusGap", "4.2.2.2"])),
    ("R-165", "on 1st ScsiResponse: set statsn +0x100000", Over("read", &["StatusGap", "4.2.2.2"])),
    ("R-165", "on 1st ScsiResponse: drop", Over("read", &["StatusGap", "4.2.2.2"])),
    ("R-250", "on 1st ScsiResponse: drop, silence", Over("read", &["TimedOut"])),
    ("R-166", "on 1st ScsiResponse: set statsn -1", Over("read", &["StatusGap", "4.2.2.2"])),
    ("R-165", "on 1st ScsiResponse: hold 100 PDUs", Over("read", &["StatusGap", "4.2.2.2"])),
    ("R-209", "on 1st R2T: precede with ScsiResponse itt 0x00010000", Over("write", &["Short"])),
    (
        "R-159 R-297",
        "on every PDU from 2nd: shut window",
        Each(&["read", "write", "verify"], &["TimedOut", "takes no more commands"]),
    ),
    ("R-160", "on every PDU from 3rd: set maxcmdsn 0", Fine),
    ("R-161", "on every PDU from 3rd: set maxcmdsn -20", Fine),
    ("R-162", "on 2nd LoginResponse: shut window\non 3rd PDU: open window", Fine),
    ("R-158", "on every PDU from 3rd: set maxcmdsn 0x7fffffff, set expcmdsn 0x7ffffff0", Fine),
];

/// Status in the last Data-In.
const COLLAPSED: &[Row] = &[
    ("R-195", "# nothing", Fine),
    ("R-195", "on 4th DataIn: set flags 0x01", Over("read", &["11.7"])),
    ("R-196", "on 4th DataIn: set status 2", Over("read", &["11.7.3"])),
    ("R-200", "on 3rd DataIn: drop", Over("read", &["DataGap", "4.2.2.4"])),
    ("R-166", "on 4th DataIn: duplicate", Fine),
    ("R-165", "on 4th DataIn: set statsn +1", Over("read", &["StatusGap", "4.2.2.2"])),
    ("R-207 R-209", "on 4th DataIn: set flags 0x83, set residual 1024", Fails("read", &["Short", "3072"])),
    ("R-209 R-018", "on 1st DataIn: set flags 0x81, set statsn 3", Over("read", &["Short", "1024"])),
];

///
///
#[test]
fn data_in() {
    table(DATA_IN);
}

///
#[test]
fn r2ts() {
    table(R2T);
}

///
///
#[test]
fn scsi_response() {
    table(RESPONSE);
}

///
#[test]
fn status_in_data_in() {
    table_with(COLLAPSED, || Limits { status_in_data: true, ..limits() });
}
