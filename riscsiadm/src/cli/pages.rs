//! Completion scripts and manual pages.
//!
//! Both come from one description: the table of the options that go with `-m`, which the parser reads too, and the
//! commands, which clap parses by the same description.

use std::io;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, CommandFactory};
use clap_complete::aot;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::command::{Line, Shell};
use super::help::synopsis;
use super::mode::Mode;
use super::options::{OPTIONS, Opt};
use super::program::OWN_NAME;
use crate::exit::Exit;

/// The section of the manual: system administration.
const SECTION: &str = "8";

/// What the foot of a page names as the origin.
const SOURCE: &str = concat!("riscsiadm ", env!("CARGO_PKG_VERSION"));

const EXAMPLES: [(&str, &str); 4] = [
    ("riscsiadm -m discovery -t sendtargets -p 10.0.0.5", "Ask a portal for its targets and keep them."),
    ("riscsiadm -m node -T iqn.2003-01.org.example:disk1 -p 10.0.0.5 -l", "Log in to one of them."),
    ("riscsiadm -m session -P 3", "See what is logged in."),
    ("riscsiadm ls iscsi://10.0.0.5", "Look at targets without keeping anything."),
];

/// A completion script for `shell`.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = describe();
    match shell {
        Shell::Bash => aot::generate(aot::Bash, &mut command, OWN_NAME, &mut script),
        Shell::Zsh => aot::generate(aot::Zsh, &mut command, OWN_NAME, &mut script),
        Shell::Fish => aot::generate(aot::Fish, &mut command, OWN_NAME, &mut script),
    }
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual pages: file name and text in the language of `man`. The first is that of the program.
pub fn manual() -> io::Result<Vec<(String, String)>> {
    let mut pages = vec![(format!("{OWN_NAME}.{SECTION}"), main_page()?)];
    for command in Line::command().get_subcommands() {
        let page = format!("{OWN_NAME}-{}.{SECTION}", command.get_name());
        pages.push((page, command_page(command.clone())?));
    }
    Ok(pages)
}

fn command_page(command: clap::Command) -> io::Result<String> {
    let (title, usage) = (format!("{OWN_NAME}-{}", command.get_name()), format!("{OWN_NAME} {}", command.get_name()));
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut text = Vec::new();
    let man = Man::new(command.display_name(title).bin_name(usage)).section(SECTION).source(SOURCE);
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    examples_section(examples.lines().skip(1).map(|line| (line.trim(), ""))).to_writer(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The whole command line as clap would have it.
fn describe() -> clap::Command {
    let line = Line::command().disable_help_flag(true).disable_version_flag(true).subcommand_required(false);
    OPTIONS.iter().fold(line, |command, option| command.arg(argument(option)))
}

fn argument(option: &'static Opt) -> Arg {
    let argument = Arg::new(option.long).long(option.long).help(option.help);
    let argument = match option.short {
        Some(letter) => argument.short(letter),
        None => argument,
    };
    let Some(name) = option.argument else { return argument.action(ArgAction::SetTrue) };
    let argument = argument.value_name(name).action(ArgAction::Append);
    if option.words.is_empty() { argument } else { argument.value_parser(PossibleValuesParser::new(option.words)) }
}

fn main_page() -> io::Result<String> {
    let mut text = Vec::new();
    let man = Man::new(describe().disable_help_subcommand(true)).section(SECTION);
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    synopsis_section().to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    modes_section().to_writer(&mut text)?;
    man.render_subcommands_section(&mut text)?;
    exit_section().to_writer(&mut text)?;
    environment_section().to_writer(&mut text)?;
    examples_section(EXAMPLES.into_iter()).to_writer(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn section(title: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    roff
}

fn entry(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(text)]);
}

fn synopsis_section() -> Roff {
    let mut roff = section("SYNOPSIS");
    roff.text([bold(OWN_NAME), roman(" COMMAND [OPTION]...")]);
    roff.control("br", []);
    roff.text([bold(OWN_NAME), roman(" "), bold("-m"), roman(" MODE [OPTION]...")]);
    roff
}

fn modes_section() -> Roff {
    let mut roff = section("MODES");
    roff.text([roman(
        "Under the name iscsiadm the program takes modes alone and behaves as iscsiadm does. The options --json, \
         --timeout, --trace and --secret-file go with every mode and are never abbreviated. With --secret-file, -n with a \
         password key needs no -v. A trace is read by Wireshark; for a port other than 3260: tshark -r FILE -d \
         tcp.port==PORT,iscsi.",
    )]);
    for mode in Mode::ALL {
        let (what, how) = synopsis(*mode);
        let letters: Vec<String> = mode.letters().chars().map(|letter| format!("-{letter}")).collect();
        let text = format!("{what}. Options: {}.", letters.join(" "));
        entry(&mut roff, &format!("-m {} {how}", mode.word()), &text);
    }
    roff
}

fn exit_section() -> Roff {
    let mut roff = section("EXIT STATUS");
    for exit in Exit::ALL {
        let text = if exit.text().is_empty() { "success" } else { exit.text() };
        entry(&mut roff, &exit.code().to_string(), text);
    }
    roff
}

fn environment_section() -> Roff {
    let mut roff = section("ENVIRONMENT");
    for (name, text) in [
        ("RISCSI_DB", "Directory of the records."),
        ("RISCSI_RUN", "Directory of the daemon's socket."),
        ("RISCSI_SYSFS", "Where the boot firmware's table is looked for, in firmware/ibft, instead of /sys."),
        ("RISCSI_SECRET", "Secret for the user of a URL, unless --secret-file is given."),
        ("RISCSI_TARGET_SECRET", "Secret that the target has to prove it knows, unless --secret-file is given."),
    ] {
        entry(&mut roff, name, text);
    }
    roff
}

fn examples_section<'a>(examples: impl Iterator<Item = (&'a str, &'a str)>) -> Roff {
    let mut roff = section("EXAMPLES");
    for (command, text) in examples {
        entry(&mut roff, command, text);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_has_the_options_of_the_parser_and_no_others() {
        let described: Vec<_> = describe()
            .get_arguments()
            .map(|argument| {
                let takes_value = argument.get_action().takes_values();
                (argument.get_long().map(str::to_owned), argument.get_short(), takes_value)
            })
            .collect();
        let parsed: Vec<_> = OPTIONS
            .iter()
            .map(|option| (Some(option.long.to_owned()), option.short, option.argument.is_some()))
            .collect();
        assert_eq!(described, parsed);
    }

    #[test]
    fn the_description_is_one_that_clap_accepts() {
        describe().debug_assert();
        Line::command().debug_assert();
    }

    #[test]
    fn every_script_knows_every_long_option_and_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            for option in OPTIONS {
                assert!(script.contains(option.long), "{shell:?} {}", option.long);
            }
            for command in Line::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell:?} {}", command.get_name());
            }
            for word in ["discoverydb", "nonpersistent", "sendtargets", "secret-file", "initiator-name"] {
                assert!(script.contains(word), "{shell:?} {word}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_the_program_and_for_each_command() {
        let pages = manual().unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "riscsiadm.8",
                "riscsiadm-ls.8",
                "riscsiadm-inquiry.8",
                "riscsiadm-read.8",
                "riscsiadm-write.8",
                "riscsiadm-perf.8",
                "riscsiadm-doctor.8",
                "riscsiadm-daemon.8",
                "riscsiadm-completions.8",
                "riscsiadm-man.8",
            ]
        );
        for (name, text) in &pages {
            assert!(text.contains(".TH ") && text.contains(".SH NAME") && text.contains(".SH EXAMPLES"), "{name}");
            assert!(text.contains("iqn.2003") || text.contains("riscsiadm "), "{name}");
        }
    }

    #[test]
    fn the_main_page_lists_options_modes_and_exit_codes() {
        let (_, page) = manual().unwrap().remove(0);
        for option in OPTIONS {
            assert!(page.replace("\\-", "-").contains(&format!("--{}", option.long)), "{}", option.long);
        }
        for mode in Mode::ALL {
            assert!(page.replace("\\-", "-").contains(&format!("-m {} ", mode.word())), "{mode:?}");
        }
        for exit in Exit::ALL {
            assert!(page.contains(&format!("\\fB{}\\fR", exit.code())), "{exit:?}");
        }
    }
}
