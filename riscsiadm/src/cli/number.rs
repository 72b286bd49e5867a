//! Numbers, sizes and times as they are typed.

use std::time::Duration;

/// The longest time that an option takes.
pub const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a number as C's `atoi` does, which the numeric options of iscsiadm go through: white space, a sign, digits, and
/// whatever follows is ignored. Text without a number is 0.
pub fn atoi(text: &str) -> i64 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.bytes().take_while(u8::is_ascii_digit);
    let value = digits.fold(0i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -value } else { value }
}

/// Reads a number of bytes: a decimal number, and a unit that may follow at once.
///
/// Units are powers of 1024: `k`, `M`, `G`, `T`, `P` in either case, also written `KiB`, `MiB`, ..., and `B` for bytes.
/// `kB` and `MB`, which mean powers of 1000 to some and of 1024 to others, are refused.
///
/// ```
/// use riscsiadm::cli::number::size;
///
/// assert_eq!(size("4k"), Ok(4096));
/// assert_eq!(size("1MiB"), Ok(1 << 20));
/// assert!(size("1MB").is_err());
/// ```
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_unit(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        "p" | "pib" => 50,
        "kb" | "mb" | "gb" | "tb" | "pb" => return Err(format!("write {}iB, which is a power of 1024", &unit[..1])),
        _ => return Err("a size is a number of bytes, or one with a unit: 4k, 1MiB, 10G".into()),
    };
    if digits.is_empty() {
        return Err("a size begins with a whole number: 4096, 4k, 1MiB".into());
    }
    let bytes = digits.parse().ok().and_then(|number: u64| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "a size is less than 2^64 bytes".into())
}

/// Reads a time: a whole number of seconds, or a number with `ms`, `s`, `m` or `h`. More than zero, at most a day.
///
/// ```
/// use std::time::Duration;
/// use riscsiadm::cli::number::time;
///
/// assert_eq!(time("15"), Ok(Duration::from_secs(15)));
/// assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
/// ```
pub fn time(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_unit(text);
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a time is a number of seconds, or one with a unit: 15, 500ms, 2m, 1h".into()),
    };
    if digits.is_empty() {
        return Err("a time begins with a whole number: 15, 500ms, 2m".into());
    }
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    let time = Duration::from_millis(number.saturating_mul(milliseconds));
    if time.is_zero() || time > MAX_TIME {
        return Err("a time is more than zero and at most 24 hours".into());
    }
    Ok(time)
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn atoi_reads_what_c_reads() {
        for (text, value) in [
            ("", 0),
            ("abc", 0),
            ("3", 3),
            ("1x", 1),
            (" 1", 1),
            ("\t\n+7 ", 7),
            ("-1", -1),
            ("+-1", 0),
            ("- 1", 0),
            ("010", 10),
            ("0x10", 0),
            ("1.9", 1),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", -i64::MAX),
        ] {
            assert_eq!(atoi(text), value, "{text:?}");
        }
    }

    #[test]
    fn a_size_has_a_binary_unit_or_none() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512B", 512),
            ("4k", 4096),
            ("4K", 4096),
            ("4KiB", 4096),
            ("4kib", 4096),
            ("1M", 1 << 20),
            ("1MiB", 1 << 20),
            ("10G", 10 << 30),
            ("10GiB", 10 << 30),
            ("2T", 2 << 40),
            ("2TiB", 2 << 40),
            ("1P", 1 << 50),
            ("16383P", 16383 << 50),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "begins with a whole number"),
            ("k", "begins with a whole number"),
            ("-1", "or one with a unit"),
            ("+1", "or one with a unit"),
            ("1.5G", "or one with a unit"),
            ("1 G", "or one with a unit"),
            (" 1", "or one with a unit"),
            ("0x10", "or one with a unit"),
            ("1E", "or one with a unit"),
            ("1ki", "or one with a unit"),
            ("1kB", "write kiB, which is a power of 1024"),
            ("1MB", "write MiB, which is a power of 1024"),
            ("16384P", "less than 2^64"),
            ("18446744073709551616", "less than 2^64"),
        ] {
            assert!(size(text).is_err_and(|error| error.contains(reason)), "{text}: {:?}", size(text));
        }
    }

    #[test]
    fn a_time_is_in_seconds_unless_a_unit_follows() {
        for (text, milliseconds) in [
            ("15", 15_000),
            ("15s", 15_000),
            ("500ms", 500),
            ("1ms", 1),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("24h", 86_400_000),
            ("86400", 86_400_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "begins with a whole number"),
            ("ms", "begins with a whole number"),
            ("0", "more than zero"),
            ("0ms", "more than zero"),
            ("86401", "at most 24 hours"),
            ("18446744073709551615h", "at most 24 hours"),
            ("18446744073709551616", "at most 24 hours"),
            ("-1", "or one with a unit"),
            ("1.5", "or one with a unit"),
            ("1d", "or one with a unit"),
            ("1S", "or one with a unit"),
            ("1 s", "or one with a unit"),
        ] {
            assert!(time(text).is_err_and(|error| error.contains(reason)), "{text}: {:?}", time(text));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String, number in "[ +-]?[0-9]{0,25}[a-zA-Z]{0,4}") {
            for text in [text, number] {
                let _ = (atoi(&text), size(&text));
                if let Ok(time) = time(&text) {
                    prop_assert!(!time.is_zero() && time <= MAX_TIME);
                }
            }
        }
    }
}
