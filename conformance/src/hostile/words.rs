//! The words of a line.

/// One word, or what stood between quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) bytes: Vec<u8>,
    quoted: bool,
}

impl Word {
    /// The word as text, if it is not quoted.
    pub(super) fn bare(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok().filter(|_| !self.quoted)
    }

    /// Whether it is this, in any case.
    pub(super) fn is(&self, text: &str) -> bool {
        self.bare().is_some_and(|bare| bare.eq_ignore_ascii_case(text))
    }

    /// For messages.
    pub(super) fn show(&self) -> String {
        String::from_utf8_lossy(&self.bytes).escape_debug().to_string()
    }
}

/// Splits a line into clauses at `:` and `,` that end a word, and clauses into words. `#` ends it.
pub(super) fn clauses(line: &str) -> Result<Vec<Vec<Word>>, String> {
    let mut clauses = vec![Vec::new()];
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        let (word, after) = if first == '"' { quoted(rest.get(1..).unwrap_or_default())? } else { bare(rest) };
        let (ends, after) = match after.strip_prefix([',', ':']) {
            Some(after) => (true, after),
            None => (false, after),
        };
        if let Some(last) = clauses.last_mut()
            && (word.quoted || !word.bytes.is_empty())
        {
            last.push(word);
        }
        if ends {
            clauses.push(Vec::new());
        }
        rest = after.trim_start();
    }
    Ok(clauses)
}

/// A word up to white space, a comma or a colon that ends it.
fn bare(text: &str) -> (Word, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let word = text.get(..end).unwrap_or(text);
    let word = word.trim_end_matches([',', ':']);
    (Word { bytes: word.as_bytes().to_vec(), quoted: false }, text.get(word.len()..).unwrap_or_default())
}

/// What stands up to the closing quote, with `\"`, `\\` and `\xHH` read.
fn quoted(text: &str) -> Result<(Word, &str), String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        let mut letters = rest.chars();
        match letters.next() {
            None => return Err("a quote is not closed".into()),
            Some('"') => return Ok((Word { bytes, quoted: true }, letters.as_str())),
            Some('\\') => rest = escape(letters.as_str(), &mut bytes)?,
            Some(letter) => {
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = letters.as_str();
            }
        }
    }
}

fn escape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Result<&'a str, String> {
    if let Some(rest) = text.strip_prefix('x') {
        let byte = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("\\x takes two hexadecimal digits")?);
        return Ok(rest.get(2..).unwrap_or_default());
    }
    match text.chars().next() {
        Some(letter @ ('"' | '\\')) => {
            bytes.push(letter as u8);
            Ok(text.get(1..).unwrap_or_default())
        }
        _ => Err("a backslash stands before \\, \" or xHH".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<Vec<String>> {
        let clauses = clauses(line).unwrap();
        clauses.iter().map(|words| words.iter().map(Word::show).collect()).collect()
    }

    #[test]
    fn a_line_is_split_at_colons_and_commas_that_end_a_word() {
        assert_eq!(
            split("on 1st R2T: drop, set ttt 5"),
            [vec!["on", "1st", "R2T"], vec!["drop"], vec!["set", "ttt", "5"]]
        );
        assert_eq!(split("add key A=1,2 , close"), [vec!["add", "key", "A=1,2"], vec!["close"]]);
        assert_eq!(split("  # nothing"), [Vec::<String>::new()]);
        assert_eq!(split("add key A=[::1]:3260,1"), [vec!["add", "key", "A=[::1]:3260,1"]]);
    }

    #[test]
    fn quotes_keep_everything() {
        let clauses = clauses(r#"send "a, b: #\"\\\x00\xff""#).unwrap();
        assert_eq!(clauses[0][1].bytes, b"a, b: #\"\\\x00\xff");
        assert!(clauses[0][1].bare().is_none());
        for wrong in [r#"send "a"#, r#"send "\n""#, r#"send "\x0""#] {
            assert!(super::clauses(wrong).is_err(), "{wrong}");
        }
    }
}
