//! What the doctor says: line by line as it is found, or as JSON at the end.

use iscsi_proto::name::IscsiName;
use serde_json::{Value, json};

use super::super::print;
use super::finding::{Finding, Status};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape;
use crate::output::json::SCHEMA;

/// Columns of a line.
const WIDTH: usize = 80;
/// Columns before the text.
const INDENT: usize = 20;

/// All that was found.
pub(super) struct Report {
    json: bool,
    place: String,
    target: Option<String>,
    findings: Vec<(Option<String>, Finding)>,
}

impl Report {
    pub(super) const fn new(place: String, json: bool) -> Self {
        Self { json, place, target: None, findings: Vec::new() }
    }

    /// What follows is about this target.
    pub(super) fn target(&mut self, name: &IscsiName) -> Result<(), Failure> {
        let name = name.as_written().to_owned();
        let heading = format!("\n{}\n", escape(&name));
        self.target = Some(name);
        if self.json { Ok(()) } else { print(&heading) }
    }

    pub(super) fn say(&mut self, finding: Finding) -> Result<(), Failure> {
        let printed = if self.json { Ok(()) } else { print(&lines(&finding)) };
        self.findings.push((self.target.clone(), finding));
        printed
    }

    pub(super) fn say_all(&mut self, findings: impl IntoIterator<Item = Finding>) -> Result<(), Failure> {
        findings.into_iter().try_for_each(|finding| self.say(finding))
    }

    /// Says the last word; gives the exit code of the first problem.
    pub(super) fn finish(self) -> Result<Exit, Failure> {
        let exit = self.exit();
        print(&if self.json { self.document() } else { format!("\n{}\n", escape(&self.summary())) })?;
        Ok(exit)
    }

    fn exit(&self) -> Exit {
        self.problems().next().map_or(Exit::Success, |finding| finding.exit)
    }

    fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().map(|(_, finding)| finding).filter(|finding| finding.status == Status::Problem)
    }

    fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|(_, finding)| finding.status == status).count()
    }

    fn summary(&self) -> String {
        let [notes, warnings, problems] =
            [Status::Note, Status::Warning, Status::Problem].map(|status| self.count(status));
        let counts = format!("({}, {})", number(warnings, "warning"), number(notes, "note"));
        let place = &self.place;
        match self.problems().next() {
            None => format!("No problem with {place} {counts}."),
            Some(first) => {
                let which = if problems == 1 { "" } else { "the first is: " };
                format!("{} with {place} {counts}: {which}{}.", number(problems, "problem"), first.text)
            }
        }
    }

    fn document(&self) -> String {
        let stages: Vec<Value> =
            self.findings.iter().map(|(target, finding)| finding.json(target.as_deref())).collect();
        let body = json!({
            "place": self.place,
            "code": self.exit().code(),
            "summary": self.summary(),
            "stages": stages,
        });
        format!("{:#}\n", json!({ "schema": SCHEMA, "doctor": body }))
    }
}

fn number(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// A finding as people read it.
fn lines(finding: &Finding) -> String {
    let head = format!("{:<9}{:<11}", finding.status.word(), finding.stage.word());
    let text = match finding.lun {
        Some(lun) => format!("LUN {lun}: {}", finding.text),
        None => finding.text.clone(),
    };
    let line = format!("{head}{}\n", fill(&escape(&text), INDENT));
    let Some(advice) = &finding.advice else { return line };
    let advice = fill(&format!("-> {}", escape(advice)), INDENT + 3);
    format!("{line}{:INDENT$}{advice}\n", "")
}

/// Breaks a text at blanks. Lines after the first are indented.
fn fill(text: &str, indent: usize) -> String {
    let mut filled = String::new();
    // The first line stands behind the two words, or is an advice with its mark.
    let mut column = INDENT;
    for word in text.split(' ') {
        let len = word.chars().count();
        if !filled.is_empty() && column + 1 + len > WIDTH {
            filled.push('\n');
            filled.push_str(&" ".repeat(indent));
            column = indent;
        } else if !filled.is_empty() {
            filled.push(' ');
            column += 1;
        }
        filled.push_str(word);
        column += len;
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::super::finding::Stage;
    use super::*;

    #[test]
    fn lines_are_aligned_and_no_wider_than_a_terminal() {
        let text = "word ".repeat(30);
        let finding = Finding::warning(Stage::Discovery, text.trim_end()).advise(text.trim_end());
        let printed = lines(&finding);
        let found: Vec<&str> = printed.lines().collect();
        assert!(found[0].starts_with("warning  discovery  word word"), "{printed}");
        assert!(found.iter().all(|line| line.len() <= WIDTH), "{printed}");
        assert!(found[0].len() > WIDTH - 5, "{printed}");
        let advice = found.iter().position(|line| line.contains("->")).unwrap();
        assert!(found[advice].starts_with("                    -> word"), "{printed}");
        for (index, line) in found.iter().enumerate().skip(1).filter(|(index, _)| *index != advice) {
            let indent = line.len() - line.trim_start().len();
            assert_eq!(indent, if index < advice { 20 } else { 23 }, "{printed}");
        }
        assert_eq!(printed.matches("word").count(), 60);
    }

    #[test]
    fn r302_what_a_target_says_is_escaped() {
        let finding = Finding::ok(Stage::Lun, "a\u{1b}[2J\nb").advise("\u{7}").about(3);
        assert_eq!(lines(&finding), "ok       lun        LUN 3: a\\x1b[2J\\x0ab\n                    -> \\x07\n");
    }

    #[test]
    fn the_first_problem_decides_how_it_ends() {
        let mut report = Report::new("10.0.0.1:3260".to_owned(), true);
        report.say(Finding::note(Stage::Resolve, "a")).unwrap();
        assert_eq!(report.exit(), Exit::Success);
        assert_eq!(report.summary(), "No problem with 10.0.0.1:3260 (no warnings, 1 note).");
        report.say(Finding::problem(Stage::Login, Exit::LoginAuthFailed, "b")).unwrap();
        report.say(Finding::problem(Stage::Lun, Exit::Failure, "c")).unwrap();
        report.say(Finding::warning(Stage::Lun, "d")).unwrap();
        assert_eq!(report.exit(), Exit::LoginAuthFailed);
        let summary = "2 problems with 10.0.0.1:3260 (1 warning, 1 note): the first is: b.";
        assert_eq!(report.summary(), summary);
    }

    #[test]
    fn the_document_has_every_finding_with_its_target() {
        let mut report = Report::new("h:3260".to_owned(), true);
        report.say(Finding::ok(Stage::Connect, "a")).unwrap();
        report.target(&"iqn.2026-01.org.example:Disk".parse().unwrap()).unwrap();
        report.say(Finding::problem(Stage::Lun, Exit::Failure, "b").advise("c").about(7)).unwrap();
        let document: Value = serde_json::from_str(&report.document()).unwrap();
        let expected = json!({ "schema": 1, "doctor": {
            "place": "h:3260",
            "code": 1,
            "summary": "1 problem with h:3260 (no warnings, no notes): b.",
            "stages": [
                { "stage": "connect", "status": "ok", "target": null, "lun": null, "text": "a", "advice": null },
                { "stage": "lun", "status": "problem", "target": "iqn.2026-01.org.example:Disk", "lun": 7, "text": "b",
                  "advice": "c" },
            ],
        } });
        assert_eq!(document, expected);
    }
}
