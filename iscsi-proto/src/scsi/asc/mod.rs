//! What T10 calls additional sense codes (SPC-5, and T10's list of assignments).

mod table;

use std::borrow::Cow;

use table::TABLE;

/// The text of an additional sense code and its qualifier, in lower case but for names.
///
/// Codes that T10 does not assign are given as numbers, with a word where they belong to vendors.
pub fn text(asc: u8, ascq: u8) -> Cow<'static, str> {
    match (known(asc, ascq), asc, ascq) {
        (Some(text), ..) => text.into(),
        (None, 0x40, 0x80..) => format!("diagnostic failure on component {ascq:02X}").into(),
        (None, 0x4d, _) => format!("tagged overlapped commands, task tag {ascq:02X}").into(),
        (None, 0x70, _) => format!("decompression exception short algorithm ID of {ascq:02X}").into(),
        (None, 0x80.., _) | (None, _, 0x80..) => format!("vendor specific, ASC {asc:02X}, ASCQ {ascq:02X}").into(),
        _ => format!("ASC {asc:02X}, ASCQ {ascq:02X}").into(),
    }
}

fn known(asc: u8, ascq: u8) -> Option<&'static str> {
    let at = TABLE.binary_search_by_key(&(asc, ascq), |(asc, ascq, _)| (*asc, *ascq)).ok()?;
    TABLE.get(at).map(|(_, _, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_unique() {
        assert!(TABLE.len() > 700);
        for pair in TABLE.windows(2) {
            assert!((pair[0].0, pair[0].1) < (pair[1].0, pair[1].1), "{pair:?}");
        }
        for (asc, ascq, row) in TABLE {
            assert!(*asc < 0x80 && !row.is_empty() && row.trim() == *row, "{asc:#x}");
            assert_eq!(text(*asc, *ascq), *row);
        }
    }

    #[test]
    fn codes_of_disks_and_of_iscsi_have_their_text() {
        for (asc, ascq, want) in [
            (0x00, 0x00, "no additional sense information"),
            (0x04, 0x0b, "logical unit not accessible, target port in standby state"),
            (0x0c, 0x0c, "write error - unexpected unsolicited data"),
            (0x0c, 0x0d, "write error - not enough unsolicited data"),
            (0x11, 0x13, "read error - failed retransmission request"),
            (0x27, 0x07, "space allocation failed write protect"),
            (0x29, 0x07, "I_T nexus loss occurred"),
            (0x2a, 0x09, "capacity data has changed"),
            (0x2a, 0x06, "asymmetric access state changed"),
            (0x38, 0x07, "thin provisioning soft threshold reached"),
            (0x3f, 0x0e, "REPORTED LUNS data has changed"),
            (0x47, 0x05, "protocol service CRC error"),
            (0x47, 0x7f, "some commands cleared by iSCSI protocol event"),
            (0x5d, 0xff, "failure prediction threshold exceeded (false)"),
            (0x74, 0x79, "security conflict in translated device"),
        ] {
            assert_eq!(text(asc, ascq), want);
        }
    }

    #[test]
    fn codes_that_are_not_assigned_are_numbers() {
        for (asc, ascq, want) in [
            (0x05, 0x7f, "ASC 05, ASCQ 7F"),
            (0x40, 0x01, "ASC 40, ASCQ 01"),
            (0x40, 0x80, "diagnostic failure on component 80"),
            (0x4d, 0x00, "tagged overlapped commands, task tag 00"),
            (0x4d, 0xff, "tagged overlapped commands, task tag FF"),
            (0x70, 0x12, "decompression exception short algorithm ID of 12"),
            (0x05, 0x80, "vendor specific, ASC 05, ASCQ 80"),
            (0x80, 0x00, "vendor specific, ASC 80, ASCQ 00"),
            (0xff, 0xff, "vendor specific, ASC FF, ASCQ FF"),
        ] {
            assert_eq!(text(asc, ascq), want);
        }
    }
}
