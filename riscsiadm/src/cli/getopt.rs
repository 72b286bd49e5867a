//! Command lines as GNU `getopt_long` splits them.
//!
//! Options stand anywhere; words between them are kept apart. A long option may be abbreviated as long as only one option
//! begins so. Letters may be clustered (`-lW`), an argument may follow its letter at once (`-P1`), in the next word, or
//! after `=` in a long option, and may itself begin with a dash. `--` ends the options.

use std::slice;

use super::options::{OPTIONS, Opt};

/// One part of a command line.
#[derive(Clone, Debug)]
pub enum Item {
    /// An option, with its argument if it takes one.
    Option(&'static Opt, Option<String>),
    /// A word that belongs to no option.
    Word(String),
    /// Something that is no option.
    Bad(Bad),
}

/// Why something is no option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// What the C library says, without the name of the program before it.
    pub message: String,
    /// The letter at fault, unless an unknown or ambiguous long option is.
    pub letter: Option<char>,
    /// How the option was named, dashes included.
    pub option: String,
}

/// Splits a command line that does not hold the program's name any more.
pub fn split(words: &[String]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            items.push(long_option(long, &mut words));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            short_options(letters, &mut words, &mut items);
        } else {
            items.push(Item::Word(word.clone()));
        }
    }
    items.extend(words.cloned().map(Item::Word));
    items
}

fn short_options(letters: &str, words: &mut slice::Iter<'_, String>, items: &mut Vec<Item>) {
    let mut rest = letters.chars();
    while let Some(letter) = rest.next() {
        let Some(option) = OPTIONS.iter().find(|option| option.short == Some(letter)) else {
            items.push(bad_letter(format!("invalid option -- '{letter}'"), letter));
            continue;
        };
        if option.argument.is_none() {
            items.push(Item::Option(option, None));
            continue;
        }
        let attached = rest.as_str();
        let argument = if attached.is_empty() { words.next().cloned() } else { Some(attached.to_owned()) };
        items.push(match argument {
            Some(argument) => Item::Option(option, Some(argument)),
            None => bad_letter(format!("option requires an argument -- '{letter}'"), letter),
        });
        return;
    }
}

fn bad_letter(message: String, letter: char) -> Item {
    Item::Bad(Bad { message, letter: Some(letter), option: format!("-{letter}") })
}

fn long_option(text: &str, words: &mut slice::Iter<'_, String>) -> Item {
    let (name, attached) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let option = match find(name) {
        Ok(option) => option,
        Err(candidates) => return bad_name(text, name, &candidates),
    };
    let long = option.long;
    match (option.argument, attached) {
        (None, None) => Item::Option(option, None),
        (None, Some(_)) => bad_argument(option, format!("option '--{long}' doesn't allow an argument")),
        (Some(_), Some(value)) => Item::Option(option, Some(value)),
        (Some(_), None) => match words.next() {
            Some(value) => Item::Option(option, Some(value.clone())),
            None => bad_argument(option, format!("option '--{long}' requires an argument")),
        },
    }
}

/// The option that `name` means, or the options that it might mean.
fn find(name: &str) -> Result<&'static Opt, Vec<&'static Opt>> {
    if let Some(option) = OPTIONS.iter().find(|option| option.long == name) {
        return Ok(option);
    }
    let candidates: Vec<_> =
        OPTIONS.iter().filter(|option| !option.is_extension() && option.long.starts_with(name)).collect();
    match candidates.as_slice() {
        [option] => Ok(option),
        _ => Err(candidates),
    }
}

fn bad_name(text: &str, name: &str, candidates: &[&Opt]) -> Item {
    let message = if candidates.is_empty() {
        format!("unrecognized option '--{text}'")
    } else {
        let names: Vec<String> = candidates.iter().map(|option| format!(" '--{}'", option.long)).collect();
        format!("option '--{text}' is ambiguous; possibilities:{}", names.concat())
    };
    Item::Bad(Bad { message, letter: None, option: format!("--{name}") })
}

fn bad_argument(option: &Opt, message: String) -> Item {
    let name = option.short.map_or_else(|| format!("--{}", option.long), |letter| format!("-{letter}"));
    Item::Bad(Bad { message, letter: option.short, option: name })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The items in a short notation: `m=node`, `l`, `[word]`, `!message`.
    fn split_words(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let show = |item: &Item| match item {
            Item::Option(option, None) => option.long.to_owned(),
            Item::Option(option, Some(value)) => format!("{}={value}", option.long),
            Item::Word(word) => format!("[{word}]"),
            Item::Bad(bad) => format!("!{} ({} {:?})", bad.message, bad.option, bad.letter),
        };
        split(&words).iter().map(show).collect()
    }

    fn split_line(line: &str) -> Vec<String> {
        split_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_anywhere_and_in_any_form() {
        for (line, items) in [
            ("", &[][..]),
            ("-m node -l", &["mode=node", "login"]),
            ("-l -m node", &["login", "mode=node"]),
            ("-mnode -lW", &["mode=node", "login", "no_wait"]),
            ("--mode node --login", &["mode=node", "login"]),
            ("--mode=node --op=update", &["mode=node", "op=update"]),
            ("-lP1", &["login", "print=1"]),
            ("-lP 1", &["login", "print=1"]),
            ("-P-1", &["print=-1"]),
            ("-p -T", &["portal=-T"]),
            ("--portal --login", &["portal=--login"]),
            ("junk -m node more", &["[junk]", "mode=node", "[more]"]),
            ("-m node - -l", &["mode=node", "[-]", "login"]),
            ("-m node -- -l --x", &["mode=node", "[-l]", "[--x]"]),
            ("-p -- -l", &["portal=--", "login"]),
            ("--portal= -l", &["portal=", "login"]),
            ("--value=a=b", &["value=a=b"]),
            ("-va=b", &["value=a=b"]),
            ("-v =b", &["value==b"]),
            ("--json --timeout 3 --trace=f --secret-file s", &["json", "timeout=3", "trace=f", "secret-file=s"]),
        ] {
            assert_eq!(split_line(line), items, "{line}");
        }
        assert_eq!(split_words(&["-v", "", "", "-n", "a b"]), ["value=", "[]", "name=a b"]);
    }

    #[test]
    fn a_long_option_may_be_abbreviated() {
        for (line, items) in [
            ("--m x --targ y --ta z", &["mode=x", "targetname=y", "targetname=z"][..]),
            ("--o show --po x --pr 1 --pa 2", &["op=show", "!ambiguous"]),
            ("--r --dis --de 3", &["rescan", "discover", "debug=3"]),
            ("--st --sh --si 1 --su x", &["stats", "show", "sid=1", "submode=x"]),
            ("--na x --no --va y --ve", &["name=x", "no_wait", "value=y", "version"]),
            ("--interf x --interv 1 --ind 2 --ip a", &["interface=x", "interval=1", "index=2", "ip=a"]),
            ("--c 1 --k 0 --he --ho 1", &["count=1", "killiscsid=0", "help", "host=1"]),
            ("--login --loginall all --logout --logouta all", &["login", "loginall=all", "logout", "logoutall=all"]),
            ("--pri=1 --ty=st", &["print=1", "type=st"]),
        ] {
            let found = split_line(line);
            if items.contains(&"!ambiguous") {
                let message = "!option '--po' is ambiguous; possibilities: '--portal' '--portal_type' (--po None)";
                assert_eq!(found, ["op=show", message, "[x]", "print=1", "packetsize=2"], "{line}");
            } else {
                assert_eq!(found, items, "{line}");
            }
        }
    }

    #[test]
    fn our_own_options_are_never_abbreviated_and_never_in_the_way() {
        for (line, item) in [
            ("--j", "!unrecognized option '--j' (--j None)"),
            ("--jso", "!unrecognized option '--jso' (--jso None)"),
            ("--tim=1", "!unrecognized option '--tim=1' (--tim None)"),
            ("--secret 1", "!unrecognized option '--secret' (--secret None)"),
            ("--t", "!option '--t' is ambiguous; possibilities: '--targetname' '--type' (--t None)"),
            ("--s", "!option '--s' is ambiguous; possibilities: '--sid' '--stats' '--show' '--submode' (--s None)"),
            ("--json=1", "!option '--json' doesn't allow an argument (--json None)"),
            ("--trace", "!option '--trace' requires an argument (--trace None)"),
        ] {
            assert_eq!(split_line(line).first().map(String::as_str), Some(item), "{line}");
        }
    }

    #[test]
    fn a_bad_option_is_reported_in_the_words_of_the_c_library() {
        for (line, items) in [
            ("-Q", &["!invalid option -- 'Q' (-Q Some('Q'))"][..]),
            ("-lQW", &["login", "!invalid option -- 'Q' (-Q Some('Q'))", "no_wait"]),
            ("-l=3", &["login", "!invalid option -- '=' (-= Some('='))", "!invalid option -- '3' (-3 Some('3'))"]),
            ("-\u{e9}", &["!invalid option -- '\u{e9}' (-\u{e9} Some('\u{e9}'))"]),
            ("-m", &["!option requires an argument -- 'm' (-m Some('m'))"]),
            ("-lm", &["login", "!option requires an argument -- 'm' (-m Some('m'))"]),
            ("--mode", &["!option '--mode' requires an argument (-m Some('m'))"]),
            ("--m", &["!option '--mode' requires an argument (-m Some('m'))"]),
            ("--login=3", &["!option '--login' doesn't allow an argument (-l Some('l'))"]),
            ("--login=", &["!option '--login' doesn't allow an argument (-l Some('l'))"]),
            ("--bogus=3", &["!unrecognized option '--bogus=3' (--bogus None)"]),
            ("--no-wait", &["!unrecognized option '--no-wait' (--no-wait None)"]),
            ("--d", &["!option '--d' is ambiguous; possibilities: '--discover' '--debug' (--d None)"]),
        ] {
            assert_eq!(split_line(line), items, "{line}");
        }
        let everything = split_line("--=x").remove(0);
        assert!(everything.starts_with("!option '--=x' is ambiguous; possibilities: '--mode' '--portal' "));
        assert!(everything.ends_with(" '--portal_type' '--no_wait' (-- None)"), "{everything}");
    }

    proptest! {
        #[test]
        fn no_word_is_lost(words in proptest::collection::vec("[^-].*", 0..8)) {
            let found: Vec<String> = split(&words).into_iter().filter_map(|item| match item {
                Item::Word(word) => Some(word),
                _ => None,
            }).collect();
            prop_assert_eq!(found, words);
        }

        #[test]
        fn arbitrary_words_never_panic(words: Vec<String>, dashed in proptest::collection::vec("-{1,2}[a-zA-Z=]{0,12}", 0..8)) {
            let items = split(&words).len() + split(&dashed).len();
            let bound = words.iter().chain(&dashed).map(|word| word.len().max(1)).sum::<usize>();
            prop_assert!(items <= bound);
        }
    }
}
