//! The modes, and the options that go with each.

use super::options::Opt;

/// What a command is about: the word after `-m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Discovery, with a record made anew each time.
    Discovery,
    /// Discovery, with a record that is kept.
    DiscoveryDb,
    /// Records of targets and their portals.
    Node,
    /// Running sessions.
    Session,
    /// Records of interfaces to log in through.
    Iface,
    /// Host adapters.
    Host,
    /// Boot firmware.
    Firmware,
}

impl Mode {
    /// Every mode.
    pub const ALL: &[Self] =
        &[Self::Discovery, Self::DiscoveryDb, Self::Node, Self::Session, Self::Iface, Self::Host, Self::Firmware];

    /// The mode with this name. Names are never abbreviated.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.word() == word)
    }

    /// The name, as it is typed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::DiscoveryDb => "discoverydb",
            Self::Node => "node",
            Self::Session => "session",
            Self::Iface => "iface",
            Self::Host => "host",
            Self::Firmware => "fw",
        }
    }

    /// The letters of the options that go with this mode, besides `-m`, and `-h` and `-V`, which go with all.
    pub const fn letters(self) -> &'static str {
        match self {
            Self::Discovery | Self::DiscoveryDb => "DSIPdntplov",
            Self::Node => "RsPIdlSonvupTULW",
            Self::Session => "PiRdrusonSv",
            Self::Iface => "HIdnvPoCabci",
            Self::Host => "CHdPotnvxA",
            Self::Firmware => "dlWnv",
        }
    }

    /// Whether `option` goes with this mode.
    pub fn allows(self, option: &Opt) -> bool {
        option.short.is_none_or(|letter| "mhV".contains(letter) || self.letters().contains(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::OPTIONS;
    use super::*;

    #[test]
    fn a_mode_is_found_by_its_whole_name_alone() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_word(mode.word()), Some(*mode));
        }
        for word in ["", "nod", "nodes", "Node", "firmware", "disc", "node "] {
            assert_eq!(Mode::from_word(word), None, "{word}");
        }
    }

    #[test]
    fn the_letters_of_a_mode_are_options() {
        for mode in Mode::ALL {
            for letter in mode.letters().chars() {
                assert!(OPTIONS.iter().any(|option| option.short == Some(letter)), "{mode:?} {letter}");
            }
        }
    }

    #[test]
    fn our_own_options_help_and_version_go_with_every_mode() {
        for mode in Mode::ALL {
            for option in OPTIONS {
                let everywhere = ["json", "timeout", "trace", "secret-file", "mode", "help", "version"];
                let listed = option.short.is_some_and(|letter| mode.letters().contains(letter));
                assert_eq!(
                    mode.allows(option),
                    listed || everywhere.contains(&option.long),
                    "{mode:?} {}",
                    option.long
                );
            }
        }
    }
}
