//! The table of results as a page of the documentation.

use std::fmt::Write;

use super::{QUIRKS, SCENARIOS, Verdict};

/// What one target made of all scenarios, in their order.
pub struct Column {
    /// The kind of lab.
    pub kind: &'static str,
    /// The program and its version.
    pub version: String,
    /// One for each scenario.
    pub verdicts: Vec<Verdict>,
}

impl Verdict {
    /// A word for the table.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NotOffered(_) => "–",
            Self::Excepted(_) => "excepted",
            Self::Failed(_) => "FAILED",
        }
    }
}

const HEAD: &str = "# Interoperability

Made by `cargo run -p conformance --bin interop -- --write`; `./check` fails if it is not current for these versions. Each scenario ran against
each target on one machine. A dash: the target has nothing of the kind. *excepted*: it fails, the reason is below.

";

/// The page, without the time and the machine: two runs with the same outcome give the same page.
pub fn page(columns: &[Column]) -> String {
    let mut page = HEAD.to_owned();
    // Writing to a String cannot fail.
    let _ = table(&mut page, columns).and_then(|()| reasons(&mut page, columns)).and_then(|()| quirks(&mut page));
    page
}

fn table(page: &mut String, columns: &[Column]) -> std::fmt::Result {
    columns.iter().try_for_each(|column| writeln!(page, "- **{}**: {}", column.kind, column.version))?;
    let kinds: Vec<_> = columns.iter().map(|column| column.kind).collect();
    writeln!(page, "\n| Scenario | {} |\n|---|{}", kinds.join(" | "), "---|".repeat(columns.len()))?;
    for (row, scenario) in SCENARIOS.iter().enumerate() {
        let words = columns.iter().filter_map(|column| column.verdicts.get(row));
        let words: Vec<_> = words.map(Verdict::word).collect();
        writeln!(page, "| {} | {} |", scenario.name, words.join(" | "))?;
    }
    Ok(())
}

fn reasons(page: &mut String, columns: &[Column]) -> std::fmt::Result {
    writeln!(page, "\n## Exceptions\n")?;
    let mut some = false;
    for column in columns {
        for (scenario, verdict) in SCENARIOS.iter().zip(&column.verdicts) {
            if let Verdict::Excepted(reason) = verdict {
                some = true;
                writeln!(page, "- **{}**, {}: {reason}", column.kind, scenario.name)?;
            }
        }
    }
    if some { Ok(()) } else { writeln!(page, "None.") }
}

fn quirks(page: &mut String) -> std::fmt::Result {
    writeln!(page, "\n## Quirks\n\n| Target | What it does | What is done about it |\n|---|---|---|")?;
    QUIRKS.iter().try_for_each(|quirk| writeln!(page, "| {} | {} | {} |", quirk.target, quirk.does, quirk.answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_row_and_every_exception_its_reason() {
        let mut verdicts = vec![Verdict::Pass; SCENARIOS.len()];
        verdicts[1] = Verdict::NotOffered("no".to_owned());
        verdicts[2] = Verdict::Excepted("because");
        let page = page(&[Column { kind: "tgt", version: "tgt 1".to_owned(), verdicts }]);
        assert!(page.contains(&format!("| {} | pass |\n| {} | – |\n", SCENARIOS[0].name, SCENARIOS[1].name)));
        assert!(page.contains(&format!("- **tgt**, {}: because\n", SCENARIOS[2].name)));
        assert_eq!(page.matches("| pass |").count(), SCENARIOS.len() - 2);
    }
}
