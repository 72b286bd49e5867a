//! Text of key=value pairs (RFC 7143, section 6.1).
//!
//! A logical text is the data of all Login or Text PDUs of a run with the C bit set and of the one that ends the run. In
//! it, each pair ends with a NUL.
//!
//! Looser than the RFC when reading: the NUL after the last pair may be missing, and further NULs may follow it. Some
//! targets do the one, some the other, and no meaning is lost.

use std::fmt;

use thiserror::Error;

use super::Key;

/// The longest key name.
pub const MAX_KEY_LEN: usize = 63;
/// The longest simple value, and the longest item of a list.
pub const MAX_SIMPLE_LEN: usize = 255;
/// The room for one logical text that the RFC asks for where authentication items can be long, and the default here.
pub const DEFAULT_TEXT_LIMIT: usize = 64 * 1024;

/// One pair as it was sent. The value is any UTF-8 without NUL: escape it before it reaches a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The name, which has the form of a key but need not be a known one.
    pub key: String,
    /// Everything after the first `=`.
    pub value: String,
}

/// Why bytes are not key=value text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextError {
    /// More bytes than the receiver is willing to hold.
    #[error("the peer sent more than {limit} bytes of text")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A continued PDU that adds nothing: the text would never end.
    #[error("the peer announced more text in a PDU without any")]
    EmptyFragment,
    /// An empty pair before another pair.
    #[error("an empty pair stands at byte {offset} of the text")]
    EmptyPair {
        /// Where it stands.
        offset: usize,
    },
    /// A pair without `=`.
    #[error("the pair at byte {offset} of the text has no `=`")]
    NoValue {
        /// Where the pair starts.
        offset: usize,
    },
    /// A key name that breaks the rules: 1 to 63 letters, digits and `.-+@_`, a capital first.
    #[error("the pair at byte {offset} of the text has a malformed key {key:?}")]
    Key {
        /// Where the pair starts.
        offset: usize,
        /// The start of the name.
        key: String,
    },
    /// A value that is not UTF-8.
    #[error("the value of {key} is not UTF-8")]
    NotUtf8 {
        /// The key.
        key: String,
    },
    /// A value longer than its key allows.
    #[error("the value of {key} has {len} bytes, more than {limit}")]
    ValueTooLong {
        /// The key.
        key: String,
        /// How many bytes there are.
        len: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// Collects the data segments of a logical text that spans PDUs, up to a limit.
///
/// ```
/// use iscsi_proto::keys::text::TextBuffer;
///
/// let mut buffer = TextBuffer::default();
/// assert_eq!(buffer.push(b"MaxBurst", true)?, None);
/// let pairs = buffer.push(b"Length=4096\0", false)?.unwrap();
/// assert_eq!(pairs[0].to_string(), "MaxBurstLength=4096");
/// # Ok::<(), iscsi_proto::keys::text::TextError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextBuffer {
    bytes: Vec<u8>,
    limit: usize,
}

impl Pair {
    /// A pair of a key and a value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl fmt::Display for Pair {
    /// `key=value`, with everything escaped that could drive a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value.escape_debug())
    }
}

/// Writes pairs, each with its NUL. The caller vouches that keys are keys and that no value holds a NUL.
pub fn encode<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in pairs {
        bytes.extend_from_slice(key.as_ref().as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_ref().as_bytes());
        bytes.push(0);
    }
    bytes
}

/// Reads a logical text. Whether a key is known, legal here, or sent twice is for the caller to say.
pub fn parse(bytes: &[u8]) -> Result<Vec<Pair>, TextError> {
    let end = bytes.iter().rposition(|&byte| byte != 0);
    let text = end.and_then(|end| bytes.get(..=end)).unwrap_or_default();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut offset = 0;
    let mut pairs = Vec::new();
    for pair in text.split(|&byte| byte == 0) {
        pairs.push(parse_pair(pair, offset)?);
        offset += pair.len() + 1;
    }
    Ok(pairs)
}

/// Whether `name` has the form of a key. `#` is not in the grammar of the RFC, but in one of its keys.
pub fn is_key(name: &str) -> bool {
    name.len() <= MAX_KEY_LEN
        && (name.starts_with(|first: char| first.is_ascii_uppercase()) || Key::from_name(name).is_some())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+@_#".contains(&byte))
}

impl TextBuffer {
    /// An empty buffer that takes no more than `limit` bytes for one logical text.
    pub const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Adds the data segment of one PDU. `continued` is its C bit; the pairs come out once it is clear.
    ///
    /// A `SendTargets` answer can be read with `continued` set until the F bit is: a target may split it at any byte.
    ///
    /// After an error the buffer is empty.
    pub fn push(&mut self, data: &[u8], continued: bool) -> Result<Option<Vec<Pair>>, TextError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        if data.len() > self.limit.saturating_sub(bytes.len()) {
            return Err(TextError::TooLong { limit: self.limit });
        }
        if continued && data.is_empty() {
            return Err(TextError::EmptyFragment);
        }
        if !continued && bytes.is_empty() {
            return parse(data).map(Some);
        }
        bytes.extend_from_slice(data);
        if continued {
            self.bytes = bytes;
            return Ok(None);
        }
        parse(&bytes).map(Some)
    }

    /// Whether an unfinished text is being held.
    pub const fn is_pending(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Forgets an unfinished text.
    pub fn clear(&mut self) {
        self.bytes = Vec::new();
    }
}

impl Default for TextBuffer {
    fn default() -> Self {
        Self::new(DEFAULT_TEXT_LIMIT)
    }
}

fn parse_pair(pair: &[u8], offset: usize) -> Result<Pair, TextError> {
    if pair.is_empty() {
        return Err(TextError::EmptyPair { offset });
    }
    let mut halves = pair.splitn(2, |&byte| byte == b'=');
    let name = halves.next().unwrap_or_default();
    let value = halves.next().ok_or(TextError::NoValue { offset })?;
    let key = match std::str::from_utf8(name) {
        Ok(key) if is_key(key) => key.to_owned(),
        _ => {
            let start = name.get(..MAX_KEY_LEN).unwrap_or(name);
            let key = String::from_utf8_lossy(start).into_owned();
            return Err(TextError::Key { offset, key });
        }
    };
    let Ok(value) = std::str::from_utf8(value) else {
        return Err(TextError::NotUtf8 { key });
    };
    check_length(&key, value)?;
    Ok(Pair::new(key, value))
}

/// Private and later keys set their own limits, so only the limit for the whole text holds them.
fn check_length(key: &str, value: &str) -> Result<(), TextError> {
    let Some(known) = Key::from_name(key) else {
        return Ok(());
    };
    let check = |len, limit| {
        if len <= limit {
            return Ok(());
        }
        let key = key.to_owned();
        Err(TextError::ValueTooLong { key, len, limit })
    };
    known.spec().max_value_len().map_or_else(
        || value.split(',').try_for_each(|item| check(item.len(), MAX_SIMPLE_LEN)),
        |limit| check(value.len(), limit),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &[u8]) -> Vec<(String, String)> {
        parse(text).unwrap_or_else(|error| panic!("{error}")).into_iter().map(|pair| (pair.key, pair.value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    #[test]
    fn r035_every_pair_ends_with_one_nul() {
        let bytes = encode([("InitialR2T", "No"), ("TargetAlias", ""), ("DataDigest", "CRC32C,None")]);
        assert_eq!(bytes, b"InitialR2T=No\0TargetAlias=\0DataDigest=CRC32C,None\0");
        assert_eq!(encode::<&str, &str>([]), b"");
    }

    #[test]
    fn r035_a_missing_or_repeated_final_nul_is_tolerated() {
        let expected = [pair("A", "1"), pair("B", "2")];
        for text in [&b"A=1\0B=2\0"[..], b"A=1\0B=2", b"A=1\0B=2\0\0\0\0"] {
            assert_eq!(pairs(text), expected);
        }
        for text in [&b""[..], b"\0", b"\0\0\0\0"] {
            assert_eq!(pairs(text), []);
        }
    }

    #[test]
    fn r035_an_empty_pair_before_another_is_refused() {
        assert_eq!(parse(b"A=1\0\0B=2\0"), Err(TextError::EmptyPair { offset: 4 }));
        assert_eq!(parse(b"\0A=1\0"), Err(TextError::EmptyPair { offset: 0 }));
    }

    #[test]
    fn r042_the_value_is_everything_after_the_first_equals_sign() {
        assert_eq!(pairs(b"TargetAlias=a=b=\0CHAP_N==\0"), [pair("TargetAlias", "a=b="), pair("CHAP_N", "=")]);
        assert_eq!(parse(b"A=1\0InitialR2T\0"), Err(TextError::NoValue { offset: 4 }));
    }

    #[test]
    fn r043_a_key_has_63_characters_and_a_capital_first() {
        let longest = "K".repeat(63);
        assert_eq!(pairs(format!("{longest}=v\0").as_bytes()), [pair(&longest, "v")]);
        for key in ["", "key", "1Key", "-Key", " Key", "Key ", "K/y", "K\u{e9}y", "K:y", &"K".repeat(64)] {
            let error = parse(format!("{key}=v\0").as_bytes()).unwrap_err();
            assert!(matches!(error, TextError::Key { offset: 0, .. }), "{key}: {error}");
        }
        let error = parse(&[b"K".repeat(1 << 20).as_slice(), b"=v\0"].concat()).unwrap_err();
        assert!(error.to_string().len() < 200);
        assert_eq!(pairs(b"X-com.example.a+b@c_d=1\0"), [pair("X-com.example.a+b@c_d", "1")]);
        assert_eq!(pairs(b"X#NodeArchitecture=x\0"), [pair("X#NodeArchitecture", "x")]);
        assert_eq!(pairs(b"iSCSIProtocolLevel=1\0"), [pair("iSCSIProtocolLevel", "1")]);
    }

    #[test]
    fn r044_a_simple_value_has_255_bytes() {
        let longest = "a".repeat(255);
        assert_eq!(pairs(format!("TargetAlias={longest}\0").as_bytes()), [pair("TargetAlias", &longest)]);
        assert_eq!(
            parse(format!("TargetAlias=a{longest}\0").as_bytes()),
            Err(TextError::ValueTooLong { key: "TargetAlias".into(), len: 256, limit: 255 })
        );
        let list = format!("HeaderDigest={longest},{longest},None\0");
        assert!(parse(list.as_bytes()).is_ok());
        let list = format!("HeaderDigest=None,{longest}a\0");
        assert!(matches!(parse(list.as_bytes()), Err(TextError::ValueTooLong { len: 256, .. })));
        let challenge = format!("CHAP_C=0x{}\0", "00".repeat(1024));
        assert!(parse(challenge.as_bytes()).is_ok());
        let challenge = format!("CHAP_C=0x{}\0", "00".repeat(1025));
        assert!(matches!(parse(challenge.as_bytes()), Err(TextError::ValueTooLong { .. })));
    }

    #[test]
    fn r041_private_keys_may_be_long() {
        let text = format!("X-com.example.long={}\0", "a".repeat(60_000));
        let read = TextBuffer::default().push(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!(read[0].value.len(), 60_000);
    }

    #[test]
    fn r050_values_are_utf8() {
        assert_eq!(parse(b"TargetAlias=\xff\xfe\0"), Err(TextError::NotUtf8 { key: "TargetAlias".into() }));
        assert_eq!(Pair::new("TargetAlias", "a\u{1b}[2J").to_string(), "TargetAlias=a\\u{1b}[2J");
    }

    #[test]
    fn r037_pairs_may_be_split_at_every_byte() {
        let text = encode([("TargetAlias", "Ger\u{e4}t"), ("InitialR2T", "No"), ("MaxBurstLength", "4096")]);
        let whole = parse(&text).unwrap();
        for first in 1..text.len() {
            for second in first..text.len() {
                let mut buffer = TextBuffer::default();
                assert_eq!(buffer.push(&text[..first], true), Ok(None));
                assert!(buffer.is_pending());
                if second > first {
                    assert_eq!(buffer.push(&text[first..second], true), Ok(None));
                }
                assert_eq!(buffer.push(&text[second..], false), Ok(Some(whole.clone())));
                assert!(!buffer.is_pending());
            }
        }
    }

    #[test]
    fn r041_text_beyond_the_limit_is_refused_and_forgotten() {
        let mut buffer = TextBuffer::new(8);
        assert_eq!(buffer.push(b"ABCD", true), Ok(None));
        assert_eq!(buffer.push(b"=123", true), Ok(None));
        assert_eq!(buffer.push(b"\0", false), Err(TextError::TooLong { limit: 8 }));
        assert!(!buffer.is_pending());
        assert_eq!(buffer.push(b"ABCD=12\0", false), Ok(Some(vec![Pair::new("ABCD", "12")])));
        assert_eq!(buffer.push(b"ABCD=123\0", false), Err(TextError::TooLong { limit: 8 }));
    }

    #[test]
    fn r038_an_empty_continuation_is_refused() {
        let mut buffer = TextBuffer::default();
        assert_eq!(buffer.push(b"", true), Err(TextError::EmptyFragment));
        assert_eq!(buffer.push(b"A=1\0", true), Ok(None));
        assert_eq!(buffer.push(b"", false), Ok(Some(vec![Pair::new("A", "1")])));
        assert_eq!(buffer.push(b"", false), Ok(Some(vec![])));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_text_or_an_error(bytes: Vec<u8>, tail in "[A-Za-z0-9=,\0]{0,80}") {
            for bytes in [bytes.as_slice(), tail.as_bytes()] {
                if let Ok(pairs) = parse(bytes) {
                    let again = encode(pairs.iter().map(|pair| (&pair.key, &pair.value)));
                    prop_assert_eq!(parse(&again), Ok(pairs));
                }
            }
        }

        #[test]
        fn r035_every_pair_round_trips(
            written in proptest::collection::vec(("[A-Z][A-Za-z0-9.+@_-]{0,40}", "[^\0]{0,60}"), 0..8),
        ) {
            let read = pairs(&encode(written.iter().map(|(key, value)| (key, value))));
            prop_assert_eq!(read, written);
        }
    }
}
