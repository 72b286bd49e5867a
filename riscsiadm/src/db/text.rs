//! The text of records and of `iscsid.conf`: one `key = value` a line.

use std::fmt;

use super::keys::trim;

/// The longest line that is read, in bytes. open-iscsi's readers stop here too.
pub const MAX_LINE_LEN: usize = 2047;

/// A line that says nothing and is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// Which line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is left out: {}", self.line, self.why)
    }
}

/// Cuts a file into pairs of key and value. Blank lines and comments vanish; what is neither comes back as garbage.
///
/// A key is printable ASCII without blanks and `=`. A value holds no control characters; it may be empty.
pub fn pairs(bytes: &[u8]) -> impl Iterator<Item = Result<(&str, &str), Garbage>> {
    let lines = bytes.split(|&byte| byte == b'\n');
    lines.enumerate().filter_map(|(index, line)| {
        let garbage = |why| Garbage { line: index + 1, why };
        pair(line).map_err(garbage).transpose()
    })
}

fn pair(line: &[u8]) -> Result<Option<(&str, &str)>, &'static str> {
    if line.len() > MAX_LINE_LEN {
        return Err("it is longer than 2047 bytes");
    }
    let line = trim(str::from_utf8(line).map_err(|_| "it is not UTF-8")?);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (key, value) = line.split_once('=').ok_or("it is not `key = value`")?;
    let (key, value) = (trim(key), trim(value));
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has no legal key");
    }
    if value.chars().any(char::is_control) {
        return Err("its value holds control characters");
    }
    Ok(Some((key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read<'a> = Result<(&'a str, &'a str), (usize, &'static str)>;

    fn read(text: &[u8]) -> Vec<Read<'_>> {
        pairs(text).map(|pair| pair.map_err(|garbage| (garbage.line, garbage.why))).collect()
    }

    #[test]
    fn blank_lines_and_comments_say_nothing() {
        assert_eq!(read(b""), []);
        assert_eq!(read(b"\n \t\r\n# key = value\n\t# x\n#\n"), []);
    }

    #[test]
    fn blanks_around_key_and_value_do_not_count() {
        for text in ["k = v", "k=v", " k\t=\tv ", "k = v\r", "k= v\t\r\n\n", "\u{c}k = v"] {
            assert_eq!(read(text.as_bytes()), [Ok(("k", "v"))], "{text:?}");
        }
        assert_eq!(read(b"k ="), [Ok(("k", ""))]);
        assert_eq!(read(b"k = a = b # c"), [Ok(("k", "a = b # c"))]);
    }

    #[test]
    fn garbage_is_named_by_its_line_and_the_rest_is_read() {
        let garbage = [
            (&b"word"[..], "it is not `key = value`"),
            (b"= v", "it has no legal key"),
            (b"a b = v", "it has no legal key"),
            ("\u{e4} = v".as_bytes(), "it has no legal key"),
            (b"a\x1b = v", "it has no legal key"),
            (b"k = \xff", "it is not UTF-8"),
            (b"k = a\x1b[2Jb", "its value holds control characters"),
            (b"k = a\rb", "its value holds control characters"),
            (b"k = a\0b", "its value holds control characters"),
            ("k = a\u{85}b".as_bytes(), "its value holds control characters"),
        ];
        for (line, why) in garbage {
            let text = [b"a = 1\n", line, b"\nb = 2"].concat();
            assert_eq!(read(&text), [Ok(("a", "1")), Err((2, why)), Ok(("b", "2"))], "{line:?}");
        }
    }

    #[test]
    fn a_line_has_at_most_2047_bytes() {
        let longest = format!("k = {}", "v".repeat(MAX_LINE_LEN - 4));
        assert_eq!(read(longest.as_bytes()), [Ok(("k", &longest[4..]))]);
        assert_eq!(read(format!("{longest}v").as_bytes()), [Err((1, "it is longer than 2047 bytes"))]);
    }

    #[test]
    fn garbage_prints_its_line() {
        let garbage = pairs(b"\nx").next().unwrap().unwrap_err();
        assert_eq!(garbage.to_string(), "line 2 is left out: it is not `key = value`");
    }
}
