//! The page that tells the reader of the project how it stands: `docs/CONFORMANCE.md`.

use std::fmt::Write;

use super::audit::{Audit, State};
use super::id::Id;
use super::table::{Exception, Tables};

const HEAD: &str = "# Conformance

Every rule of RFC 7143 and its companions that an initiator has to keep, and how it stands. This page is generated: run
`cargo run -p conformance --bin requirements -- --write`. Which tests prove a rule says the same program with `--list proved`.
Sections are those of RFC 7143 unless another standard is named.
";

/// The page as it should be.
pub fn page(tables: &Tables, audit: &Audit) -> String {
    let mut page = format!("{HEAD}\n{audit}.\n");
    let left_out = |state: &State| if let State::Excepted(exception) = state { Some(exception.clone()) } else { None };
    let open = |state: &State| if let State::Open(exception) = state { Some(exception.clone()) } else { None };
    exceptions(&mut page, "Left out, and why", tables, audit, left_out);
    exceptions(&mut page, "Open", tables, audit, open);
    page.push_str("\n## All rules\n\n| | Level | Section | Rule | |\n|---|---|---|---|---|\n");
    for (id, state) in &audit.states {
        row(&mut page, *id, tables, state);
    }
    page
}

fn row(page: &mut String, id: Id, tables: &Tables, state: &State) {
    let Some(rule) = tables.rules.get(&id) else { return };
    let state = match state {
        State::Proved(_) => "proved",
        State::Excepted(_) => "left out",
        State::Open(_) | State::Missing => "open",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(page, "| {id} | {} | {} | {} | {state} |", rule.level, rule.at.join(", "), rule.rule);
}

fn exceptions(
    page: &mut String,
    title: &str,
    tables: &Tables,
    audit: &Audit,
    select: impl Fn(&State) -> Option<Exception>,
) {
    let mut rows = String::new();
    for (id, state) in &audit.states {
        let (Some(rule), Some(exception)) = (tables.rules.get(id), select(state)) else { continue };
        let Exception { reason, instead } = exception;
        let _ = writeln!(rows, "| {id} | {} | {reason} | {instead} |", rule.rule);
    }
    if !rows.is_empty() {
        let _ = write!(page, "\n## {title}\n\n| | Rule | Why | Instead |\n|---|---|---|---|\n{rows}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        let text = "R-001 = { level = \"MUST\", at = [\"1\", \"RFC 1 2\"], rule = \"Be kind.\" }
            R-002 = { level = \"MAY\", at = [], rule = \"Sing.\" }
            R-003 = { level = \"SHOULD\", at = [\"1\"], rule = \"Dance.\" }";
        Tables { rules: toml::from_str(text).unwrap(), ..Tables::default() }
    }

    fn exception(reason: &str) -> Exception {
        Exception { reason: reason.into(), instead: "Silence.".into() }
    }

    #[test]
    fn the_page_holds_every_rule_and_every_reason() {
        let states = [
            ("R-001".parse().unwrap(), State::Proved(vec!["a.rs:1 x".into()])),
            ("R-002".parse().unwrap(), State::Excepted(exception("No voice."))),
            ("R-003".parse().unwrap(), State::Open(exception("not yet: tired."))),
        ];
        let audit = Audit { states: states.into(), faults: Vec::new() };
        let page = page(&tables(), &audit);
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("| R-") || line.starts_with("##")).collect();
        let expected = [
            "## Left out, and why",
            "| R-002 | Sing. | No voice. | Silence. |",
            "## Open",
            "| R-003 | Dance. | not yet: tired. | Silence. |",
            "## All rules",
            "| R-001 | MUST | 1, RFC 1 2 | Be kind. | proved |",
            "| R-002 | MAY |  | Sing. | left out |",
            "| R-003 | SHOULD | 1 | Dance. | open |",
        ];
        assert_eq!(lines, expected);
        assert!(page.contains("\n3 requirements: 1 proved, 1 excepted, 1 open.\n"));
    }

    #[test]
    fn without_exceptions_there_is_no_list_of_them() {
        let states = [("R-001".parse().unwrap(), State::Missing)];
        let page = page(&tables(), &Audit { states: states.into(), faults: Vec::new() });
        assert_eq!(page.matches("\n## ").count(), 1);
        assert!(page.ends_with("| Be kind. | open |\n"));
    }
}
