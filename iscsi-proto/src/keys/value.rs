//! Values as text (RFC 7143, section 6.1).
//!
//! Numbers are decimal or hexadecimal, binary values are hexadecimal or base64. The RFC lets a decimal stand for a
//! binary value of at most 64 bits whose key sets its length; none of its keys is of that kind.

use base64ct::{Base64, Encoding};
use thiserror::Error;

/// Why a text is not a value of the form that was asked for. Each message quotes the text, escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Something other than `Yes` and `No`.
    #[error("{0:?} is neither Yes nor No")]
    Boolean(String),
    /// Not a number, or one of more than 64 bits.
    #[error("{0:?} is not a number: decimal without leading zeros, or hexadecimal after 0x, below 2^64")]
    Number(String),
    /// Not two numbers, or the greater one first.
    #[error("{0:?} is not a range: two numbers with ~ between them, the lesser one first")]
    Range(String),
    /// Neither hexadecimal nor base64.
    #[error("{0:?} is not a binary value: hexadecimal after 0x, or padded base64 after 0b")]
    Binary(String),
    /// A binary value that takes more bytes than its key allows.
    #[error("the binary value {text:?} has {len} bytes, more than {max}")]
    TooLong {
        /// The start of the text.
        text: String,
        /// How many bytes the value has.
        len: usize,
        /// How many it may have.
        max: usize,
    },
}

/// Reads exactly `Yes` or `No`.
pub fn boolean(text: &str) -> Result<bool, ValueError> {
    match text {
        "Yes" => Ok(true),
        "No" => Ok(false),
        _ => Err(ValueError::Boolean(excerpt(text))),
    }
}

/// Reads a number below 2^64: decimal without sign, space or leading zeros, or hexadecimal after `0x` or `0X`.
pub fn number(text: &str) -> Result<u64, ValueError> {
    let parsed = match hex_digits(text) {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
        None if is_decimal(text) => text.parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| ValueError::Number(excerpt(text)))
}

/// Reads `a~b`, both numbers, `b` no less than `a`.
pub fn range(text: &str) -> Result<(u64, u64), ValueError> {
    let halves = text.split_once('~').and_then(|(low, high)| Some((number(low).ok()?, number(high).ok()?)));
    halves.filter(|(low, high)| low <= high).ok_or_else(|| ValueError::Range(excerpt(text)))
}

/// The values of a list, in order of preference. Empty ones are left out.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|item| !item.is_empty())
}

/// Reads hexadecimal after `0x` or base64 after `0b`, of either case.
///
/// An odd count of hexadecimal digits means a leading zero. `0x` and `0b` alone mean no bytes. A value of more than
/// `max` bytes is refused before memory is set aside for it.
pub fn binary(text: &str, max: usize) -> Result<Vec<u8>, ValueError> {
    let base64_digits = || text.strip_prefix("0b").or_else(|| text.strip_prefix("0B"));
    let decoded = match (hex_digits(text), base64_digits()) {
        (Some(digits), _) => {
            fits(text, digits.len().div_ceil(2), max)?;
            decode_hex(digits.as_bytes())
        }
        (_, Some(digits)) => {
            let len = base64_len(digits);
            fits(text, len, max)?;
            decode_base64(digits, len)
        }
        _ => None,
    };
    decoded.ok_or_else(|| ValueError::Binary(excerpt(text)))
}

/// `0x` and two lower-case digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16);
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).flatten();
    "0x".chars().chain(digits).collect()
}

/// `0b` and padded base64.
pub fn base64(bytes: &[u8]) -> String {
    format!("0b{}", Base64::encode_string(bytes))
}

/// What an error quotes: enough to recognise the text, never megabytes of it.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

fn hex_digits(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

fn is_decimal(text: &str) -> bool {
    let padded = text.len() > 1 && text.starts_with('0');
    !padded && text.bytes().all(|digit| digit.is_ascii_digit())
}

fn fits(text: &str, len: usize, max: usize) -> Result<(), ValueError> {
    if len <= max { Ok(()) } else { Err(ValueError::TooLong { text: excerpt(text), len, max }) }
}

fn decode_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (odd, pairs) = digits.split_at_checked(digits.len() % 2)?;
    let mut bytes = Vec::with_capacity(digits.len().div_ceil(2));
    for &digit in odd {
        bytes.push(nibble(digit)?);
    }
    for pair in pairs.as_chunks::<2>().0 {
        let [high, low] = pair.map(nibble);
        bytes.push(high? << 4 | low?);
    }
    Some(bytes)
}

fn base64_len(digits: &str) -> usize {
    let padding = digits.bytes().rev().take(2).take_while(|&digit| digit == b'=').count();
    (digits.len() / 4 * 3).saturating_sub(padding)
}

fn decode_base64(digits: &str, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let written = Base64::decode(digits, &mut bytes).ok()?.len();
    bytes.truncate(written);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn r059_booleans_are_yes_and_no() {
        assert_eq!(boolean("Yes"), Ok(true));
        assert_eq!(boolean("No"), Ok(false));
        for text in ["", "yes", "YES", "no", "NO", "Maybe", "Yes ", " No", "1", "0", "True", "Yes,No"] {
            assert_eq!(boolean(text), Err(ValueError::Boolean(text.into())));
        }
    }

    #[test]
    fn r045_numbers_are_decimal_or_hexadecimal() {
        for (text, value) in [
            ("0", 0),
            ("9", 9),
            ("262144", 262_144),
            ("18446744073709551615", u64::MAX),
            ("0x0", 0),
            ("0x40000", 262_144),
            ("0X4Aff", 0x4aff),
            ("0x00000000000000000001", 1),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn r045_signs_spaces_leading_zeros_and_overflow_are_refused() {
        for text in [
            "",
            " ",
            "00",
            "00512",
            "-1",
            "+1",
            "512 ",
            " 512",
            "5 12",
            "1e3",
            "512.0",
            "0x",
            "0x ",
            "0x+1",
            "0x-1",
            "0xg",
            "x1",
            "1x",
            "0b1",
            "\u{661}",
            "18446744073709551616",
            "0x10000000000000000",
            "1~2",
            "None",
        ] {
            assert_eq!(number(text), Err(ValueError::Number(text.into())), "{text}");
        }
    }

    #[test]
    fn r048_ranges_do_not_fall() {
        for (text, value) in [("512~1024", (512, 1024)), ("0~0", (0, 0)), ("0x10~16", (16, 16))] {
            assert_eq!(range(text), Ok(value), "{text}");
        }
        for text in ["1024~512", "512", "~", "1~", "~1", "1~2~3", "1-2", "01~2", "1~ 2", ""] {
            assert_eq!(range(text), Err(ValueError::Range(text.into())), "{text}");
        }
    }

    #[test]
    fn r053_lists_keep_their_order() {
        for (text, items) in [
            ("CRC32C,None", &["CRC32C", "None"][..]),
            ("None", &["None"]),
            (",7,,5,", &["7", "5"]),
            ("", &[]),
            ("a, b", &["a", " b"]),
        ] {
            assert_eq!(list(text).collect::<Vec<_>>(), items, "{text}");
        }
    }

    #[test]
    fn r046_an_odd_count_of_hexadecimal_digits_means_a_leading_zero() {
        for (text, bytes) in [
            ("0x", &[][..]),
            ("0xa", &[0x0a]),
            ("0xabc", &[0x0a, 0xbc]),
            ("0x00abc", &[0x00, 0x0a, 0xbc]),
            ("0XABcd", &[0xab, 0xcd]),
            ("0x0000", &[0, 0]),
        ] {
            assert_eq!(binary(text, 3).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn r047_base64_is_padded_and_of_the_standard_alphabet() {
        for (text, bytes) in [
            ("0b", &b""[..]),
            ("0bZg==", b"f"),
            ("0bZm8=", b"fo"),
            ("0BZm9v", b"foo"),
            ("0bZm9vYg==", b"foob"),
            ("0b+/+/", &[0xfb, 0xff, 0xbf]),
        ] {
            assert_eq!(binary(text, 4).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn r046_r047_other_binary_texts_are_refused() {
        for text in [
            "",
            "0",
            "00",
            "abcd",
            "1234",
            "x12",
            "0xg",
            "0x1g",
            "0xg1",
            "0x 1",
            "0x1 ",
            "0x+1",
            "0x\u{e9}",
            "0x0x1",
            "0bZg",
            "0bZg=",
            "0bZg===",
            "0bZ===",
            "0b====",
            "0b=",
            "0b==",
            "0bZm9=",
            "0bZh==",
            "0bZ g=",
            "0bZm9v\n",
            "0bZm9v Zg==",
            "0b-_-_",
            "0bZ=g=",
            "0bZg==Zm9v",
            "0bZm9vYg",
            "0b\u{e9}\u{e9}",
        ] {
            assert_eq!(binary(text, 64), Err(ValueError::Binary(text.into())), "{text}");
        }
    }

    #[test]
    fn r046_r047_binary_values_are_measured_before_they_are_decoded() {
        for (fits, exceeds, len) in [
            ("0xabcd", "0xabcde", 3),
            ("0xabc", "0xnot hex", 4),
            ("0bZm8=", "0bZm9v", 3),
            ("0bZg==", "0bZm9vYg==", 4),
            ("0b", "0b!!!!", 3),
        ] {
            assert!(binary(fits, 2).is_ok(), "{fits}");
            assert_eq!(binary(exceeds, 2), Err(ValueError::TooLong { text: exceeds.into(), len, max: 2 }));
        }
        let long = format!("0x{}", "0".repeat(1 << 20));
        assert!(binary(&long, 1 << 19).is_ok());
        let error = binary(&long, (1 << 19) - 1).unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
    }

    #[test]
    fn errors_escape_what_they_quote() {
        let text = "\u{1b}[2J";
        for error in [boolean(text).unwrap_err(), number(text).unwrap_err(), range(text).unwrap_err()] {
            assert!(error.to_string().starts_with("\"\\u{1b}[2J\" is "), "{error}");
        }
        assert!(!binary(text, 1).unwrap_err().to_string().contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn r046_r047_binary_values_round_trip(bytes: Vec<u8>) {
            for text in [hex(&bytes), base64(&bytes), hex(&bytes).to_uppercase().replacen('X', "x", 1)] {
                prop_assert_eq!(binary(&text, bytes.len()), Ok(bytes.clone()));
            }
        }

        #[test]
        fn r045_every_number_round_trips(value: u64) {
            for text in [value.to_string(), format!("{value:#x}"), format!("0X{value:X}")] {
                prop_assert_eq!(number(&text), Ok(value));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*|0[xXbB][0-9a-zA-Z+/=]{0,40}", max in 0..32usize) {
            if let Ok(bytes) = binary(&text, max) {
                prop_assert!(bytes.len() <= max);
                prop_assert_eq!(binary(&base64(&bytes), max), Ok(bytes));
            }
            if let Ok((low, high)) = range(&text) {
                prop_assert!(low <= high);
            }
            let _ = (boolean(&text), number(&text), list(&text).count());
        }
    }
}
