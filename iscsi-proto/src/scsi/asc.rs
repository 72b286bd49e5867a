//! What T10 calls additional sense codes (SPC-5).

/// The text of a code and its qualifier; `ASC xxh, ASCQ xxh` where T10 assigns none.
pub fn text(asc: u8, ascq: u8) -> String {
    match (asc, ascq) {
        (0x40, 0x80..) => format!("diagnostic failure on component {ascq:02X}h"),
        (0x4d, _) => format!("tagged overlapped commands, task tag {ascq:02X}h"),
        _ => known(asc, ascq).map_or_else(|| format!("ASC {asc:02X}h, ASCQ {ascq:02X}h"), str::to_owned),
    }
}

fn known(asc: u8, ascq: u8) -> Option<&'static str> {
    let at = TABLE.binary_search_by_key(&(asc, ascq), |(asc, ascq, _)| (*asc, *ascq)).ok()?;
    TABLE.get(at).map(|(_, _, text)| *text)
}

const TABLE: &[(u8, u8, &str)] = &[
    (0x04, 0x04, "logical unit not ready, format in progress"),
    (0x0c, 0x00, "write error"),
    (0x11, 0x00, "unrecovered read error"),
    (0x1a, 0x00, "parameter list length error"),
    (0x20, 0x00, "invalid command operation code"),
    (0x21, 0x00, "logical block address out of range"),
    (0x24, 0x00, "invalid field in CDB"),
    (0x25, 0x00, "logical unit not supported"),
    (0x26, 0x00, "invalid field in parameter list"),
    (0x27, 0x00, "write protected"),
    (0x29, 0x00, "power on, reset, or bus device reset occurred"),
];
