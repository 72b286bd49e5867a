//! iSCSI names (RFC 7143, section 4.2.7, with the string profile of RFC 3722).
//!
//! A name arrives from a user or from the wire, is folded into its one normal form, and is checked. The normal form is what
//! names are compared, stored and printed by.
//!
//! A name is also safe as one component of a file path, which matters because a target chooses the names that an
//! initiator writes to its disk: it starts with `iqn.`, `eui.` or `naa.`, so it is never `.` or `..` and never hidden; it
//! holds no `/`, no `\`, no white space and no control character, whatever Unicode it was folded from; and with 223
//! bytes it is shorter than a file name may be.
//!
//! Two things are looser here than the RFC:
//! - `_` is accepted. The RFC prohibits it, yet it stands in names that real targets have.
//! - The spelling of a name that differs from the normal form in ASCII case alone is remembered
//!   ([`IscsiName::as_written`]), because some targets compare names byte by byte and keep capitals.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use stringprep::tables;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// The longest name that exists, in bytes of UTF-8.
pub const MAX_NAME_LEN: usize = 223;

/// A valid iSCSI name in its normal form.
///
/// ```
/// use iscsi_proto::name::{IscsiName, NameKind};
///
/// let name: IscsiName = "iqn.2001-04.com.Example:Disk1".parse()?;
/// assert_eq!(name.as_str(), "iqn.2001-04.com.example:disk1");
/// assert_eq!(name.as_written(), "iqn.2001-04.com.Example:Disk1");
/// assert_eq!(name.kind(), NameKind::Iqn);
/// assert_eq!(name, "iqn.2001-04.com.example:disk1".parse()?);
/// # Ok::<(), iscsi_proto::name::NameError>(())
/// ```
#[derive(Clone)]
pub struct IscsiName {
    normal: Arc<str>,
    written: Option<Arc<str>>,
}

/// Which naming authority stands behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameKind {
    /// `iqn.`: the owner of a domain name.
    Iqn,
    /// `eui.`: an IEEE EUI-64 identifier.
    Eui,
    /// `naa.`: a T11 network address authority identifier.
    Naa,
}

/// Why a text is not an iSCSI name.
///
/// Positions are byte offsets into the normal form, which for an ASCII name are offsets into the text as given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("an iSCSI name cannot be empty")]
    Empty,
    /// More than 223 bytes.
    #[error("an iSCSI name takes at most {MAX_NAME_LEN} bytes, this one has {len}")]
    TooLong {
        /// Bytes of UTF-8 that were given.
        len: usize,
    },
    /// The name starts with none of `iqn.`, `eui.`, `naa.`.
    #[error("an iSCSI name starts with `iqn.`, `eui.` or `naa.`")]
    UnknownType,
    /// A character that no name may hold.
    #[error("an iSCSI name cannot contain {character:?} (at byte {position})")]
    Character {
        /// The character, after case folding and normalisation.
        character: char,
        /// Where it stands.
        position: usize,
    },
    /// A right-to-left character, which cannot stand beside the Latin letters that every name starts with.
    #[error(
        "{character:?} (at byte {position}) is written right to left and cannot follow Latin letters in an iSCSI name"
    )]
    RightToLeft {
        /// The character.
        character: char,
        /// Where it stands.
        position: usize,
    },
    /// Folding the text once more would change it again.
    #[error("this text has no stable normal form, so it cannot be an iSCSI name")]
    Unstable,
    /// An `iqn.` name without the date of its naming authority.
    #[error("`iqn.` is followed by a date as yyyy-mm and a dot, month 01 to 12, not by `{found}`")]
    Date {
        /// What stands there.
        found: String,
    },
    /// An `iqn.` name whose naming authority is no reversed domain name.
    #[error("after its date, an iqn name has a reversed domain name without empty labels, not `{found}`")]
    Authority {
        /// What stands there.
        found: String,
    },
    /// An `eui.` or `naa.` name with the wrong number of hexadecimal digits, or with something else.
    #[error("`{prefix}` is followed by {expected} hexadecimal digits, not by `{found}`")]
    Digits {
        /// `eui.` or `naa.`.
        prefix: &'static str,
        /// The legal digit counts.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
}

impl IscsiName {
    /// Folds `text` to its normal form and checks it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check_length(text)?;
        let normal = prepare(text)?;
        check_length(&normal)?;
        check_structure(&normal)?;
        let written = (*normal != *text && normal.eq_ignore_ascii_case(text)).then(|| text.into());
        Ok(Self { normal: normal.into(), written })
    }

    /// The normal form: compare, look up and print this.
    pub fn as_str(&self) -> &str {
        &self.normal
    }

    /// The name as it was given, if that differs from the normal form in ASCII case alone; else the normal form.
    /// Send this, and store it where a name has to reach the wire later.
    pub fn as_written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.normal)
    }

    /// The naming authority.
    pub fn kind(&self) -> NameKind {
        match self.normal.as_bytes().first() {
            Some(b'e') => NameKind::Eui,
            Some(b'n') => NameKind::Naa,
            _ => NameKind::Iqn,
        }
    }
}

impl NameKind {
    /// The type designator with its dot.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Iqn => "iqn.",
            Self::Eui => "eui.",
            Self::Naa => "naa.",
        }
    }
}

impl FromStr for IscsiName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<&str> for IscsiName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl fmt::Display for IscsiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.normal)
    }
}

impl fmt::Debug for IscsiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_written(), f)
    }
}

impl AsRef<str> for IscsiName {
    fn as_ref(&self) -> &str {
        &self.normal
    }
}

impl PartialEq for IscsiName {
    fn eq(&self, other: &Self) -> bool {
        self.normal == other.normal
    }
}

impl Eq for IscsiName {}

impl PartialOrd for IscsiName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IscsiName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.normal.cmp(&other.normal)
    }
}

impl Hash for IscsiName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normal.hash(state);
    }
}

fn check_length(text: &str) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        len if len > MAX_NAME_LEN => Err(NameError::TooLong { len }),
        _ => Ok(()),
    }
}

/// The string profile: map, normalise, then look for what is prohibited.
fn prepare(text: &str) -> Result<Cow<'_, str>, NameError> {
    let normal = fold(text);
    for (position, character) in normal.char_indices() {
        if prohibited(character) {
            return Err(NameError::Character { character, position });
        }
        if tables::bidi_r_or_al(character) {
            return Err(NameError::RightToLeft { character, position });
        }
    }
    if !normal.is_ascii() && *fold(&normal) != *normal {
        return Err(NameError::Unstable);
    }
    Ok(normal)
}

fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    let mapped = text
        .chars()
        .filter(|&character| !tables::commonly_mapped_to_nothing(character))
        .flat_map(tables::case_fold_for_nfkc);
    Cow::Owned(mapped.nfkc().collect())
}

fn prohibited(character: char) -> bool {
    if character.is_ascii() {
        return !matches!(character, 'a'..='z' | '0'..='9' | '-' | '.' | ':' | '_');
    }
    character == '\u{3002}'
        || tables::non_ascii_space_character(character)
        || tables::non_ascii_control_character(character)
        || tables::private_use(character)
        || tables::non_character_code_point(character)
        || tables::inappropriate_for_plain_text(character)
        || tables::inappropriate_for_canonical_representation(character)
        || tables::change_display_properties_or_deprecated(character)
        || tables::tagging_character(character)
        || tables::unassigned_code_point(character)
}

fn check_structure(name: &str) -> Result<(), NameError> {
    if let Some(rest) = name.strip_prefix("iqn.") {
        check_qualified(rest)
    } else if let Some(rest) = name.strip_prefix("eui.") {
        check_digits("eui.", "16", &[16], rest)
    } else if let Some(rest) = name.strip_prefix("naa.") {
        check_digits("naa.", "16 or 32", &[16, 32], rest)
    } else {
        Err(NameError::UnknownType)
    }
}

fn check_qualified(rest: &str) -> Result<(), NameError> {
    let (date, name) = rest.split_once('.').unwrap_or((rest, ""));
    if !is_date(date) {
        return Err(NameError::Date { found: date.into() });
    }
    let authority = name.split_once(':').map_or(name, |(authority, _)| authority);
    if authority.split('.').any(str::is_empty) {
        return Err(NameError::Authority { found: authority.into() });
    }
    Ok(())
}

fn is_date(date: &str) -> bool {
    let Some((year, month)) = date.split_once('-') else {
        return false;
    };
    let months = 1..=12;
    year.len() == 4
        && year.bytes().all(|digit| digit.is_ascii_digit())
        && month.len() == 2
        && month.bytes().all(|digit| digit.is_ascii_digit())
        && month.parse().is_ok_and(|month: u8| months.contains(&month))
}

fn check_digits(prefix: &'static str, expected: &'static str, counts: &[usize], rest: &str) -> Result<(), NameError> {
    if counts.contains(&rest.len()) && rest.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(NameError::Digits { prefix, expected, found: rest.into() })
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> IscsiName {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> NameError {
        text.parse::<IscsiName>().expect_err(text)
    }

    #[test]
    fn r141_the_examples_of_the_rfc_are_names() {
        for (text, kind) in [
            ("iqn.2001-04.com.example:storage:diskarrays-sn-a8675309", NameKind::Iqn),
            ("iqn.2001-04.com.example", NameKind::Iqn),
            ("iqn.1993-11.com.disk-vendor:diskarrays.sn.45678", NameKind::Iqn),
            ("eui.02004567A425678D", NameKind::Eui),
            ("naa.52004567BA64678D", NameKind::Naa),
            ("naa.62004567BA64678D0123456789ABCDEF", NameKind::Naa),
        ] {
            let name = name(text);
            assert_eq!(name.kind(), kind, "{text}");
            assert_eq!(name.as_str(), text.to_ascii_lowercase());
            assert_eq!(name.as_written(), text);
            assert!(name.as_str().starts_with(kind.prefix()));
        }
    }

    #[test]
    fn r139_223_bytes_are_a_name_and_224_are_not() {
        let longest = format!("iqn.2001-04.com.example:{}", "a".repeat(199));
        assert_eq!(longest.len(), 223);
        assert_eq!(name(&longest).as_str(), longest);
        assert_eq!(error(&format!("{longest}a")), NameError::TooLong { len: 224 });
        assert_eq!(error(&"iqn.".repeat(1024)), NameError::TooLong { len: 4096 });
        assert_eq!(error(""), NameError::Empty);
    }

    #[test]
    fn r139_the_limit_counts_what_folding_made_longer() {
        // The ffi ligature keeps its three bytes, the sign for m/s grows from three to five.
        let text = format!("iqn.2001-04.com.example:{}", "\u{fb03}".repeat(66));
        assert_eq!(name(&text).as_str().len(), 222);
        let text = format!("iqn.2001-04.com.example:{}", "\u{33a7}".repeat(66));
        assert_eq!(text.len(), 222);
        assert_eq!(error(&text), NameError::TooLong { len: 24 + 66 * 5 });
    }

    #[test]
    fn r140_prohibited_characters_are_named_with_their_place() {
        for character in ['/', '\\', ' ', '\t', '\n', '\0', '\u{7f}', '~', '%', '*', '@', '[', ',', '=', '\u{3002}'] {
            let text = format!("iqn.2001-04.com.example:a{character}b");
            assert_eq!(error(&text), NameError::Character { character, position: 25 }, "{text:?}");
        }
        assert_eq!(error("iqn.2001-04.com.example:a/b").to_string(), "an iSCSI name cannot contain '/' (at byte 25)");
    }

    #[test]
    fn r140_characters_that_fold_into_prohibited_ones_are_refused() {
        // Full-width solidus, account-of sign (a/c), ideographic space, full-width commercial at.
        for text in ['\u{ff0f}', '\u{2100}', '\u{3000}', '\u{ff20}'] {
            assert!(
                matches!(error(&format!("iqn.2001-04.com.example:{text}")), NameError::Character { .. }),
                "{text:?}"
            );
        }
    }

    #[test]
    fn r140_every_table_of_the_profile_is_checked() {
        for character in [
            '\u{a0}',
            '\u{85}',
            '\u{2028}',
            '\u{e000}',
            '\u{fffe}',
            '\u{fffd}',
            '\u{2ff0}',
            '\u{202e}',
            '\u{206f}',
            '\u{e0041}',
            '\u{0221}',
        ] {
            assert!(
                matches!(error(&format!("iqn.2001-04.com.example:{character}")), NameError::Character { .. }),
                "{character:?}"
            );
        }
        assert!(matches!(
            error("iqn.2001-04.com.example:\u{5d0}"),
            NameError::RightToLeft { character: '\u{5d0}', position: 24 }
        ));
    }

    #[test]
    fn r142_names_are_equal_when_their_normal_forms_are() {
        assert_eq!(name("naa.52004567BA64678D"), name("NAA.52004567ba64678d"));
        assert_eq!(name("iqn.2001-04.com.example:\u{c4}"), name("iqn.2001-04.com.example:a\u{308}"));
        assert_eq!(name("iqn.2001-04.com.example:stra\u{df}e"), name("iqn.2001-04.com.example:STRASSE"));
        assert_eq!(name("iqn.2001-04.com.example:a\u{ad}b").as_str(), "iqn.2001-04.com.example:ab");
    }

    #[test]
    fn only_ascii_case_survives_in_the_written_form() {
        let upper = name("iqn.2001-04.com.example:\u{c4}");
        assert_eq!(upper.as_written(), upper.as_str());
        assert_eq!(upper.to_string(), "iqn.2001-04.com.example:\u{e4}");
    }

    #[test]
    fn r141_a_date_has_four_and_two_digits_and_a_real_month() {
        for date in
            ["2001-00", "2001-13", "201-04", "20011-04", "2001-4", "2001-004", "2001", "2oo1-04", "2001_04", "-"]
        {
            assert_eq!(error(&format!("iqn.{date}.com.example")), NameError::Date { found: date.into() });
        }
        name("iqn.2001-01.com.example");
        name("iqn.2001-12.com.example");
    }

    #[test]
    fn r141_an_iqn_needs_a_naming_authority() {
        for text in ["iqn.2001-04", "iqn.2001-04.", "iqn.2001-04.:x", "iqn.2001-04..com", "iqn.2001-04.com."] {
            assert!(matches!(error(text), NameError::Authority { .. }), "{text}");
        }
    }

    #[test]
    fn r141_eui_and_naa_count_their_digits() {
        for digits in [0, 15, 17, 32] {
            assert!(matches!(error(&format!("eui.{}", "a".repeat(digits))), NameError::Digits { .. }), "{digits}");
        }
        for digits in [0, 15, 17, 31, 33] {
            assert!(matches!(error(&format!("naa.{}", "a".repeat(digits))), NameError::Digits { .. }), "{digits}");
        }
        assert!(matches!(error("eui.020000023b04050g"), NameError::Digits { .. }));
    }

    #[test]
    fn r141_other_types_are_refused() {
        for text in ["disk1", "iqn", ".iqn.2001-04.com.example", "..", "fc.0123456789abcdef", "iqn2001-04.com.example"]
        {
            assert_eq!(error(text), NameError::UnknownType, "{text}");
        }
    }

    #[test]
    fn an_underscore_of_the_real_world_is_accepted() {
        let text = "iqn.2003-01.org.linux-iscsi.host.x8664:sn.abc_def";
        assert_eq!(name(text).as_str(), text);
    }

    /// Text near enough to a name to pass now and then.
    fn nearly() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>().prop_map(|text| format!("iqn.2001-04.com.example:{text}")),
            "iqn\\.2001-04\\.[a-zA-Z./_\\\\:\u{ff0f}\u{2025}\u{2026}]{1,20}",
            "(iqn|eui|naa|\\.)[0-9a-fA-F.:/-]{0,40}",
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn r140_no_name_leaves_its_directory(text in nearly()) {
            if let Ok(name) = text.parse::<IscsiName>() {
                for form in [name.as_str(), name.as_written()] {
                    let components: Vec<_> = Path::new(form).components().collect();
                    prop_assert_eq!(components, [Component::Normal(form.as_ref())]);
                    prop_assert!(!form.contains(['/', '\\', '\0']));
                    prop_assert!(!form.starts_with('.'));
                    prop_assert!(!form.chars().any(|c| c.is_control() || c.is_whitespace()));
                    prop_assert!(form.len() <= MAX_NAME_LEN);
                }
            }
        }

        #[test]
        fn r142_the_normal_form_of_a_name_is_that_name(text in nearly()) {
            if let Ok(name) = text.parse::<IscsiName>() {
                let again: IscsiName = name.as_str().parse().unwrap();
                prop_assert_eq!(again.as_str(), name.as_str());
                prop_assert_eq!(again.as_written(), name.as_str());
            }
        }
    }
}
