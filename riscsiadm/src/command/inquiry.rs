//! `riscsiadm inquiry`: what a LUN says about itself.

use iscsi_initiator::{Lun, Session};
use iscsi_proto::scsi::{BlockLimits, InquiryData, Provisioning, ProvisioningType};
use serde_json::{Map, Value, json};

use super::access::Access;
use super::{print, within};
use crate::cli::command::Inquiry;
use crate::failure::Failure;
use crate::output::escape;
use crate::output::json::SCHEMA;
use crate::output::table::size;

/// One line: its label, its value for people, its name and its value for programs.
struct Fact {
    label: &'static str,
    text: String,
    name: &'static str,
    value: Value,
}

pub(super) async fn run(args: Inquiry) -> Result<(), Failure> {
    let access = Access::to(&args.url, &args.common)?;
    let session = access.session().await?;
    let facts = within(session.clone(), ask(&access, &session)).await?;
    print(&if args.common.json { as_json(&facts) } else { as_text(&facts) })
}

async fn ask(access: &Access, session: &Session) -> Result<Vec<Fact>, Failure> {
    let number =
        access.url.lun.ok_or_else(|| Failure::invalid("the URL names no LUN: add its number, as in /IQN/0"))?;
    let inquiry = session.inquiry(number).await?;
    let mut facts = about(&inquiry);
    if inquiry.peripheral.device.is_block() {
        measure(&mut facts, &access.open(session).await?);
    }
    Ok(facts)
}

fn about(inquiry: &InquiryData) -> Vec<Fact> {
    vec![
        fact("Type", "type", &inquiry.peripheral.device),
        fact("Vendor", "vendor", &inquiry.vendor),
        fact("Product", "product", &inquiry.product),
        fact("Revision", "revision", &inquiry.revision),
        flag("Removable", "removable", inquiry.removable),
    ]
}

fn measure(facts: &mut Vec<Fact>, lun: &Lun) {
    if let Some(serial) = lun.serial() {
        facts.push(fact("Serial number", "serial", &serial));
    }
    if let Some(name) = lun.identity().and_then(|identity| identity.preferred()) {
        facts.push(fact("Identifier", "identifier", name));
    }
    let capacity = lun.capacity();
    facts
        .push(Fact { text: format!("{} bytes ({})", lun.len(), size(lun.len())), ..number("Size", "size", lun.len()) });
    facts.push(number("Block size", "block_size", lun.block_size().into()));
    facts.push(number("Physical block", "physical_block_size", capacity.physical_len()));
    facts.push(flag("Read-only", "read_only", lun.is_read_only()));
    if let Some(cached) = lun.has_write_cache() {
        facts.push(flag("Write cache", "write_cache", cached));
    }
    facts.push(flag("Thin", "thin", capacity.provisioned));
    if let Some(provisioning) = lun.provisioning() {
        facts.push(fact("Provisioning", "provisioning", &describe(provisioning)));
    }
    if let Some(limits) = lun.limits() {
        facts.extend(limits_of(limits, lun.block_size()));
    }
}

const fn describe(provisioning: &Provisioning) -> &'static str {
    match provisioning.kind {
        ProvisioningType::Thin => "thin",
        ProvisioningType::Resource => "resource",
        _ => "full or not told",
    }
}

/// The limits that are set, in bytes.
fn limits_of(limits: &BlockLimits, block: u32) -> impl Iterator<Item = Fact> {
    let bytes = |blocks: u64| blocks.saturating_mul(block.into());
    let limit = move |label, name, blocks: u64| {
        let text = format!("{} bytes ({})", bytes(blocks), size(bytes(blocks)));
        (blocks != 0).then(|| Fact { text, ..number(label, name, bytes(blocks)) })
    };
    [
        limit("Longest transfer", "max_transfer", limits.max_transfer.into()),
        limit("Best transfer", "optimal_transfer", limits.optimal_transfer.into()),
        limit("Longest unmap", "max_unmap", limits.unmap_blocks.into()),
        limit("Longest write same", "max_write_same", limits.write_same),
        limit("Longest compare and write", "max_compare_and_write", limits.compare_and_write.into()),
    ]
    .into_iter()
    .flatten()
}

fn fact(label: &'static str, name: &'static str, value: &impl ToString) -> Fact {
    let text = value.to_string();
    Fact { label, value: json!(text), text: escape(&text).into_owned(), name }
}

fn number(label: &'static str, name: &'static str, value: u64) -> Fact {
    Fact { label, text: format!("{value} bytes"), name, value: json!(value) }
}

fn flag(label: &'static str, name: &'static str, on: bool) -> Fact {
    Fact { label, text: if on { "yes" } else { "no" }.to_owned(), name, value: json!(on) }
}

fn as_text(facts: &[Fact]) -> String {
    let width = facts.iter().map(|fact| fact.label.len()).max().unwrap_or(0) + 2;
    let lines = facts.iter().map(|Fact { label, text, .. }| format!("{:width$}{text}", format!("{label}:")));
    let mut lines: Vec<String> = lines.collect();
    lines.push(String::new());
    lines.join("\n")
}

fn as_json(facts: &[Fact]) -> String {
    let lun: Map<String, Value> = facts.iter().map(|fact| (fact.name.to_owned(), fact.value.clone())).collect();
    format!("{:#}\n", json!({ "schema": SCHEMA, "lun": lun }))
}
