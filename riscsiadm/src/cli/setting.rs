//! `-n KEY -v VALUE`: record keys and the values that they get.

use std::fmt;

use zeroize::Zeroizing;

/// A record key and its new value.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, such as `node.startup`.
    pub name: String,
    /// What it becomes.
    pub value: Value,
}

/// The value of a [`Setting`].
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// As typed. Empty clears the key.
    Text(Zeroizing<String>),
    /// The initiator's secret: the first line of the file that `--secret-file` names.
    Secret,
    /// The target's secret: the second line of that file.
    TargetSecret,
}

/// One of the words that settings are made of, in the order of the command line.
#[derive(Clone)]
pub enum Word {
    /// The argument of `-n`.
    Name(String),
    /// The argument of `-v`.
    Value(Zeroizing<String>),
}

/// Pairs names with values. A pair is complete as soon as both of its words have been seen, in either order; of several
/// names in a row the last counts, and so do values.
///
/// With a secret file, a password key needs no value: it takes the file's line.
pub fn pair(words: &[Word], secret_file: bool) -> Vec<Setting> {
    let mut settings = Vec::new();
    let (mut name, mut value) = (None, None);
    for word in words {
        match word {
            Word::Name(text) => {
                settings.extend(name.take().filter(|_| secret_file).and_then(from_file));
                name = Some(text.as_str());
            }
            Word::Value(text) => value = Some(text),
        }
        if let (Some(key), Some(text)) = (name, value) {
            settings.push(Setting { name: key.to_owned(), value: Value::Text(text.clone()) });
            (name, value) = (None, None);
        }
    }
    settings.extend(name.filter(|_| secret_file).and_then(from_file));
    settings
}

/// Whether the value of this key is a secret.
pub fn is_secret(name: &str) -> bool {
    secret_of(name).is_some()
}

fn secret_of(name: &str) -> Option<Value> {
    match name.rsplit('.').next() {
        Some("password") => Some(Value::Secret),
        Some("password_in") => Some(Value::TargetSecret),
        _ => None,
    }
}

fn from_file(name: &str) -> Option<Setting> {
    secret_of(name).map(|value| Setting { name: name.to_owned(), value })
}

impl fmt::Debug for Setting {
    /// A secret is printed as stars.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match &self.value {
            Value::Text(_) if is_secret(&self.name) => "********",
            Value::Text(text) => text.as_str(),
            Value::Secret => "(secret file, line 1)",
            Value::TargetSecret => "(secret file, line 2)",
        };
        write!(f, "{} = {value}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs a line such as `-n a -v b`.
    fn pairs(line: &str, secret_file: bool) -> String {
        let mut parts = line.split_whitespace();
        let mut words = Vec::new();
        while let (Some(option), Some(text)) = (parts.next(), parts.next()) {
            let text = text.to_owned();
            words.push(if option == "-n" { Word::Name(text) } else { Word::Value(Zeroizing::new(text)) });
        }
        let settings: Vec<String> = pair(&words, secret_file).iter().map(|setting| format!("{setting:?}")).collect();
        settings.join(", ")
    }

    #[test]
    fn a_pair_is_complete_when_both_words_were_seen() {
        for (line, settings) in [
            ("", ""),
            ("-n a", ""),
            ("-v a", ""),
            ("-n a -v b", "a = b"),
            ("-v b -n a", "a = b"),
            ("-n a -v b -n c -v d", "a = b, c = d"),
            ("-n a -v b -v d -n c", "a = b, c = d"),
            ("-n a -n b -v c", "b = c"),
            ("-v a -v b -n c", "c = b"),
            ("-n a -v b -v c", "a = b"),
            ("-n a -v b -n c", "a = b"),
            ("-n a -v b -n a -v c", "a = b, a = c"),
        ] {
            assert_eq!(pairs(line, false), settings, "{line}");
        }
    }

    #[test]
    fn a_password_comes_from_the_secret_file_if_there_is_one() {
        let (one, two) = ("x.password = (secret file, line 1)", "x.password_in = (secret file, line 2)");
        for (line, with, without) in [
            ("-n x.password", one.to_owned(), ""),
            ("-n x.password_in", two.to_owned(), ""),
            ("-n x.password -n x.password_in", format!("{one}, {two}"), ""),
            ("-n x.username -v u -n x.password", format!("x.username = u, {one}"), "x.username = u"),
            ("-n x.password -n x.username -v u", format!("{one}, x.username = u"), "x.username = u"),
            ("-n x.password -v p", "x.password = ********".into(), "x.password = ********"),
            ("-n x.password_length -n passwords", String::new(), ""),
        ] {
            assert_eq!(pairs(line, true), with, "{line}");
            assert_eq!(pairs(line, false), without, "{line}");
        }
    }
}
