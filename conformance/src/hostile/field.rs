//! Fields of target PDUs by name.

use iscsi_proto::pdu::{BHS_LEN, Header, Opcode};

/// A field of a header: `width` bytes from byte `at` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its first byte.
    pub at: usize,
    /// How many bytes it has, 1 to 8.
    pub width: usize,
}

/// A value to put into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Absolute(u64),
    /// Added to what is there, modulo the width of the field.
    Relative(u64),
    /// All ones.
    Reserved,
}

/// Name, the kinds of PDU that have it (all if empty), place and width.
const NAMES: [(&str, &[Opcode], usize, usize); 36] = [
    ("opcode", &[], 0, 1),
    ("flags", &[], 1, 1),
    ("response", &[Opcode::ScsiResponse, Opcode::TaskResponse, Opcode::LogoutResponse], 2, 1),
    ("reason", &[Opcode::Reject], 2, 1),
    ("version-max", &[Opcode::LoginResponse], 2, 1),
    ("version-active", &[Opcode::LoginResponse], 3, 1),
    ("status", &[Opcode::ScsiResponse, Opcode::DataIn], 3, 1),
    ("status", &[Opcode::LoginResponse], 36, 2),
    ("ahslength", &[], 4, 1),
    ("datalength", &[], 5, 3),
    ("isid", &[Opcode::LoginResponse], 8, 6),
    ("tsih", &[Opcode::LoginResponse], 14, 2),
    ("lun", &[], 8, 8),
    ("itt", &[], 16, 4),
    ("ttt", &[Opcode::DataIn, Opcode::R2t, Opcode::NopIn, Opcode::TextResponse], 20, 4),
    ("snacktag", &[Opcode::ScsiResponse], 20, 4),
    ("statsn", &[], 24, 4),
    ("expcmdsn", &[], 28, 4),
    ("maxcmdsn", &[], 32, 4),
    ("datasn", &[Opcode::DataIn, Opcode::Reject], 36, 4),
    ("r2tsn", &[Opcode::R2t], 36, 4),
    ("expdatasn", &[Opcode::ScsiResponse], 36, 4),
    ("event", &[Opcode::AsyncMessage], 36, 1),
    ("vcode", &[Opcode::AsyncMessage], 37, 1),
    ("parameter1", &[Opcode::AsyncMessage], 38, 2),
    ("parameter2", &[Opcode::AsyncMessage], 40, 2),
    ("parameter3", &[Opcode::AsyncMessage], 42, 2),
    ("offset", &[Opcode::DataIn, Opcode::R2t], 40, 4),
    ("length", &[Opcode::R2t], 44, 4),
    ("residual", &[Opcode::DataIn, Opcode::ScsiResponse], 44, 4),
    ("bidiresidual", &[Opcode::ScsiResponse], 40, 4),
    ("time2wait", &[Opcode::LogoutResponse], 40, 2),
    ("time2retain", &[Opcode::LogoutResponse], 42, 2),
    ("detail", &[Opcode::LoginResponse], 37, 1),
    ("class", &[Opcode::LoginResponse], 36, 1),
    ("information", &[Opcode::TaskResponse], 8, 3),
];

impl Field {
    /// The field of this name in a PDU of this kind; `None` for the kind means any PDU. `byte7` names a byte by its number.
    ///
    /// The names, for the PDUs that have them: opcode, flags, response, reason, version-max, version-active, status,
    /// class, detail, ahslength, datalength, isid, tsih, lun, itt, ttt, snacktag, statsn, expcmdsn, maxcmdsn, datasn, r2tsn,
    /// expdatasn, event, vcode, parameter1 to parameter3, offset, length, residual, bidiresidual, time2wait, time2retain,
    /// information.
    pub fn named(name: &str, kind: Option<Opcode>) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if let Some(at) = name.strip_prefix("byte").and_then(|number| number.parse().ok()) {
            return (at < BHS_LEN).then_some(Self { at, width: 1 });
        }
        let fits = |kinds: &[Opcode]| kinds.is_empty() || kind.is_some_and(|kind| kinds.contains(&kind));
        let found = NAMES.iter().find(|(known, kinds, ..)| *known == name && fits(kinds));
        found.map(|(.., at, width)| Self { at: *at, width: *width })
    }

    /// The names of a kind, for messages.
    pub(super) fn names(kind: Option<Opcode>) -> String {
        let named = NAMES.iter().filter(|(name, ..)| Self::named(name, kind).is_some());
        let mut names: Vec<&str> = named.map(|(name, ..)| *name).collect();
        names.dedup();
        names.join(", ")
    }

    /// What the header has in it.
    pub(super) fn get(self, header: &Header) -> u64 {
        let bytes = header.0.get(self.at..self.at + self.width).unwrap_or_default();
        bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Puts `value` into the header.
    pub(super) fn put(self, header: &mut Header, value: Value) {
        let old = self.get(header);
        let Some(room) = header.0.get_mut(self.at..self.at + self.width) else { return };
        let new = match value {
            Value::Absolute(value) => value,
            Value::Relative(step) => old.wrapping_add(step),
            Value::Reserved => u64::MAX,
        };
        let bytes = new.to_be_bytes();
        let tail = bytes.get(bytes.len() - self.width..).unwrap_or_default();
        room.copy_from_slice(tail);
    }

    /// Whether the value fits.
    pub(super) const fn holds(self, value: u64) -> bool {
        self.width >= 8 || value >> (8 * self.width) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_depends_on_the_kind() {
        let of = |kind| Field::named("status", Some(kind));
        assert_eq!(of(Opcode::LoginResponse), Some(Field { at: 36, width: 2 }));
        assert_eq!(of(Opcode::ScsiResponse), Some(Field { at: 3, width: 1 }));
        assert_eq!((of(Opcode::R2t), Field::named("status", None)), (None, None));
        assert_eq!(Field::named("ITT", None), Some(Field { at: 16, width: 4 }));
        assert_eq!(Field::named("byte47", None), Some(Field { at: 47, width: 1 }));
        assert_eq!(Field::named("byte48", None), None);
    }

    #[test]
    fn values_wrap_at_the_width() {
        let field = Field { at: 5, width: 3 };
        let mut header = Header::new(Opcode::DataIn);
        field.put(&mut header, Value::Relative(u64::MAX));
        assert_eq!(header.data_len(), 0xff_ffff);
        field.put(&mut header, Value::Relative(3));
        assert_eq!(header.data_len(), 2);
        field.put(&mut header, Value::Reserved);
        assert_eq!((header.data_len(), header.0[4], header.0[8]), (0xff_ffff, 0, 0));
        assert!(field.holds(0xff_ffff) && !field.holds(0x100_0000));
    }

    #[test]
    fn every_field_lies_inside_the_header() {
        assert!(NAMES.iter().all(|(_, _, at, width)| at + width <= BHS_LEN && *width <= 8));
    }
}
