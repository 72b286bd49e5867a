//! Runs every scenario against every target of the lab, prints the table and keeps docs/INTEROP.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use conformance::interop::page::{Column, page};
use conformance::interop::{SCENARIOS, Scenario, Verdict};
use conformance::lab::{KINDS, Kind, Lab, LabError};

/// Runs every scenario against every target of the lab.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Write docs/INTEROP.md anew
    #[arg(long)]
    write: bool,
    /// Only scenarios with this text in their name; the page is left alone
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Only these kinds of targets; the page is left alone
    kinds: Vec<String>,
    /// The root of the workspace
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
    root: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether all is well.
async fn run(args: &Args) -> Result<bool, String> {
    let mut columns = Vec::new();
    let mut whole = args.only.is_none() && args.kinds.is_empty();
    for kind in KINDS.iter().filter(|kind| args.kinds.is_empty() || args.kinds.iter().any(|name| name == kind.name)) {
        match (kind.start)() {
            Ok(lab) if lab.offers().is_empty() => {}
            Ok(lab) => columns.push(column(kind, lab.as_ref(), args.only.as_deref()).await),
            Err(LabError::NotRun(why)) => {
                println!("not run: interop: {}: {why}", kind.name);
                whole = false;
            }
            Err(error) => return Err(format!("{}: {error}", kind.name)),
        }
    }
    let page = page(&columns);
    println!("{page}");
    let failed =
        columns.iter().flat_map(|column| &column.verdicts).any(|verdict| matches!(verdict, Verdict::Failed(_)));
    let current = !whole || keep(&args.root.join("docs/INTEROP.md"), &page, args.write)?;
    println!("{}", sum(&columns));
    Ok(current && !failed)
}

fn sum(columns: &[Column]) -> String {
    let verdicts = || columns.iter().flat_map(|column| &column.verdicts);
    let count = |word: &str| verdicts().filter(|verdict| verdict.word() == word).count();
    format!(
        "{} targets, {} passed, {} failed, {} excepted",
        columns.len(),
        count("pass"),
        count("FAILED"),
        count("excepted")
    )
}

async fn column(kind: &Kind, lab: &dyn Lab, only: Option<&str>) -> Column {
    let mut verdicts = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| only.is_none_or(|text| scenario.name.contains(text))) {
        verdicts.push(one(kind, lab, scenario).await);
    }
    Column { kind: kind.name, version: lab.version(), verdicts }
}

#[expect(clippy::disallowed_methods, reason = "how long real targets take is real time")]
async fn one(kind: &Kind, lab: &dyn Lab, scenario: &Scenario) -> Verdict {
    let begin = Instant::now();
    let verdict = scenario.run(kind.name, lab).await;
    let why = match &verdict {
        Verdict::Pass => String::new(),
        Verdict::NotOffered(why) | Verdict::Failed(why) => format!(": {why}"),
        Verdict::Excepted(why) => format!(": {why}"),
    };
    println!("{:<6} {:5.1} s  {:<8}  {}{why}", kind.name, begin.elapsed().as_secs_f32(), verdict.word(), scenario.name);
    if matches!(verdict, Verdict::Failed(_)) {
        println!("{}", lab.log());
    }
    verdict
}

/// Compares the page with what it should be, or writes it. A page of other versions of the targets is not compared: what they
/// offer may differ.
fn keep(path: &Path, page: &str, write: bool) -> Result<bool, String> {
    if write {
        fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    if kept == page {
        return Ok(true);
    }
    if versions(&kept).is_some_and(|kept| versions(page).is_some_and(|found| found != kept)) {
        println!("docs/INTEROP.md is of other versions of the targets, and is not compared");
        return Ok(true);
    }
    println!("error: docs/INTEROP.md is not current; run this program with --write");
    Ok(false)
}

/// The part of a page that says what was met.
fn versions(page: &str) -> Option<&str> {
    Some(page.split_once("\n- **")?.1.split_once("\n| ")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_the_same_versions_has_to_be_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page");
        let page = |version: &str, verdict: &str| format!("# Title\n\n- **tgt**: {version}\n\n| a | {verdict} |\n");
        assert!(!keep(&path, &page("1", "pass"), false).unwrap());
        assert!(keep(&path, &page("1", "pass"), true).unwrap());
        assert!(keep(&path, &page("1", "pass"), false).unwrap());
        assert!(!keep(&path, &page("1", "excepted"), false).unwrap());
        assert!(keep(&path, &page("2", "excepted"), false).unwrap());
    }
}
