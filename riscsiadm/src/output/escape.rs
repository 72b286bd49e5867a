//! Text of others, made safe for a terminal.

use std::borrow::Cow;

/// Writes out characters that would move a cursor, change colours, hide text or turn its direction: control characters,
/// line and paragraph separators, marks of direction and invisible characters become `\x1b` or `\u{202e}`. All other text
/// comes back as it is.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(written_out).collect())
}

fn written_out(character: char) -> String {
    match u32::from(character) {
        _ if !is_unsafe(character) => character.into(),
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code => format!("\\u{{{code:x}}}"),
    }
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn r302_what_would_steer_a_terminal_is_written_out() {
        for (text, safe) in [
            ("\u{1b}[2J", "\\x1b[2J"),
            ("a\nb\r\tc", "a\\x0ab\\x0d\\x09c"),
            ("\0\u{7f}", "\\x00\\x7f"),
            ("\u{9b}31m", "\\x9b31m"),
            ("\u{202e}gpj", "\\u{202e}gpj"),
            ("a\u{2028}b\u{200b}\u{feff}", "a\\u{2028}b\\u{200b}\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(escape(text), safe);
        }
    }

    #[test]
    fn r302_plain_text_of_any_language_is_left_alone() {
        for text in ["", "iqn.2001-04.com.example:disk1", "b\u{fc}cher \u{65e5}\u{672c}", "a\\b \"q\" '~'"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn r302_nothing_unsafe_is_left(text: String) {
            prop_assert!(!escape(&text).contains(is_unsafe));
        }
    }
}
