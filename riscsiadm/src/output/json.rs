//! The same data as JSON, for programs. `docs/json.md` describes the schema.
//!
//! Every document is one object with `schema`, which is 1, and one more member. Members may be added within a schema; they
//! do not vanish and do not change their meaning.

use std::collections::BTreeMap;

use iscsi_proto::portal::{Portal, TargetAddress};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::host::HostView;
use super::session::{IfaceView, LunView, Params, Scan, SessionView};
use super::stats::StatsView;
use super::table::{DeviceView, TargetView};
use crate::db::keys::Scope;
use crate::db::node::{IfaceName, NodeId, Source};
use crate::db::record::{Record, STARS};
use crate::firmware::{BootTarget, Proof};

/// The version of the schema.
pub const SCHEMA: u32 = 1;

/// Nodes, as in a list of them or in the result of a discovery.
pub fn nodes(nodes: &[NodeId]) -> String {
    document("nodes", nodes.iter().map(node).collect())
}

/// The discovery database by source.
pub fn discoveries(all: &BTreeMap<Source, Vec<NodeId>>) -> String {
    document("discoveries", all.iter().map(|(source, nodes)| discovery(source, nodes)).collect())
}

/// Records, key by key. Secrets are stars unless `show`.
pub fn records(records: &[Record], show: bool) -> Zeroizing<String> {
    Zeroizing::new(document("records", records.iter().map(|item| record(item, show)).collect()))
}

/// Interfaces.
pub fn ifaces(ifaces: &[(IfaceName, Record)]) -> String {
    document("ifaces", ifaces.iter().map(|(name, record)| iface_record(name, record)).collect())
}

/// Sessions with all that is known about them. Secrets are stars unless `show`.
pub fn sessions(sessions: &[SessionView], show: bool) -> Zeroizing<String> {
    Zeroizing::new(document("sessions", sessions.iter().map(|item| session(item, show)).collect()))
}

/// Hosts with the numbers of their sessions.
pub fn hosts(hosts: &[HostView]) -> String {
    document("hosts", hosts.iter().map(host).collect())
}

/// Statistics of sessions.
pub fn stats(sessions: &[StatsView]) -> String {
    document("stats", sessions.iter().map(statistics).collect())
}

/// Logical units that came and went, by session.
pub fn scans(scans: &[(u32, Scan)]) -> String {
    let one = |(sid, scan): &(u32, Scan)| json!({ "sid": sid, "found": scan.found, "lost": scan.lost });
    document("scans", scans.iter().map(one).collect())
}

/// Targets with their logical units.
pub fn targets(targets: &[TargetView]) -> String {
    document("targets", targets.iter().map(target).collect())
}

/// What the boot firmware knows. Secrets are stars.
pub fn firmware(targets: &[BootTarget]) -> Zeroizing<String> {
    Zeroizing::new(document("firmware", targets.iter().map(boot_target).collect()))
}

/// A failure: the exit code and what is printed.
pub fn error(code: u8, message: &str) -> String {
    document("error", json!({ "code": code, "message": message }))
}

fn document(name: &str, body: Value) -> String {
    let mut object = Map::new();
    object.insert("schema".to_owned(), SCHEMA.into());
    object.insert(name.to_owned(), body);
    format!("{:#}\n", Value::Object(object))
}

fn node(id: &NodeId) -> Value {
    json!({
        "target": id.target.as_written(),
        "address": id.portal.host.to_string(),
        "port": id.portal.port,
        "tpgt": id.tag,
        "iface": id.iface.as_str(),
    })
}

fn discovery(source: &Source, nodes: &[NodeId]) -> Value {
    let kind = match source {
        Source::SendTargets(_) => "sendtargets",
        other => other.word(),
    };
    json!({
        "type": kind,
        "address": source.portal().map(|portal| portal.host.to_string()),
        "port": source.portal().map(|portal| portal.port),
        "nodes": nodes.iter().map(node).collect::<Value>(),
    })
}

fn record(record: &Record, show: bool) -> Value {
    let kind = match record.scope() {
        Scope::Node => "node",
        Scope::Iface => "iface",
        Scope::SendTargets => "sendtargets",
        Scope::Isns => "isns",
        Scope::HostChap => "chap",
    };
    let keys = record.fields(show).into_iter().map(|field| (field.key, Value::from(field.value.as_str())));
    json!({ "type": kind, "keys": keys.collect::<Map<_, _>>() })
}

fn boot_target(target: &BootTarget) -> Value {
    let stars = |proof: &Proof| proof.secret.as_ref().map(|_| STARS);
    let nic = &target.nic;
    json!({
        "target": target.name,
        "address": target.address,
        "port": target.port,
        "lun": target.lun,
        "initiator_name": target.initiator,
        "chap": {
            "username": target.chap.user,
            "password": stars(&target.chap),
            "username_in": target.reverse.user,
            "password_in": stars(&target.reverse),
        },
        "network": {
            "hwaddress": nic.mac,
            "netdev": nic.device,
            "dhcp": nic.dhcp,
            "ipaddress": nic.address,
            "prefix_len": number(nic.prefix_len.as_deref()),
            "subnet_mask": nic.mask,
            "gateway": nic.gateway,
            "dns": nic.dns.iter().flatten().collect::<Vec<_>>(),
            "vlan": number(nic.vlan.as_deref()),
        },
    })
}

fn number(text: Option<&str>) -> Option<u32> {
    text?.parse().ok()
}

fn iface_record(name: &IfaceName, record: &Record) -> Value {
    json!({
        "name": name.as_str(),
        "transport": record.get("iface.transport_name"),
        "hwaddress": given(record.get("iface.hwaddress")),
        "ipaddress": given(record.get("iface.ipaddress")),
        "netdev": given(record.get("iface.net_ifacename")),
        "initiator_name": given(record.get("iface.initiatorname")),
    })
}

fn session(session: &SessionView, show: bool) -> Value {
    let secret = |secret: &str| given(if secret.is_empty() || show { secret } else { STARS }).map(str::to_owned);
    json!({
        "sid": session.sid,
        "transport": session.transport,
        "target": session.target.as_written(),
        "current_portal": place(&session.current),
        "persistent_portal": place(&session.persistent),
        "flash": session.flash,
        "iface": iface(&session.iface),
        "connection_state": session.connection.as_str(),
        "session_state": session.state.as_str(),
        "daemon_state": session.daemon.as_str(),
        "problem": session.problem,
        "timeouts": {
            "recovery": session.timeouts.recovery,
            "target_reset": session.timeouts.target_reset,
            "lun_reset": session.timeouts.lun_reset,
            "abort": session.timeouts.abort,
        },
        "chap": {
            "username": given(&session.chap.username),
            "password": secret(&session.chap.password),
            "username_in": given(&session.chap.username_in),
            "password_in": secret(&session.chap.password_in),
        },
        "negotiated": negotiated(&session.params),
        "host": session.host,
        "luns": session.luns.iter().map(lun).collect::<Value>(),
    })
}

fn negotiated(params: &Params) -> Value {
    let digest = |on| if on { "CRC32C" } else { "None" };
    json!({
        "HeaderDigest": digest(params.header_digest),
        "DataDigest": digest(params.data_digest),
        "MaxRecvDataSegmentLength": params.max_recv_data_segment_length,
        "MaxXmitDataSegmentLength": params.max_xmit_data_segment_length,
        "FirstBurstLength": params.first_burst_length,
        "MaxBurstLength": params.max_burst_length,
        "ImmediateData": params.immediate_data,
        "InitialR2T": params.initial_r2t,
        "MaxOutstandingR2T": params.max_outstanding_r2t,
        "ErrorRecoveryLevel": params.error_recovery_level,
        "MaxConnections": params.max_connections,
    })
}

fn lun(lun: &LunView) -> Value {
    json!({ "lun": lun.lun, "disk": lun.disk, "state": lun.state })
}

fn iface(iface: &IfaceView) -> Value {
    json!({
        "name": iface.name,
        "transport": iface.transport,
        "hwaddress": given(&iface.hwaddress),
        "ipaddress": given(&iface.ipaddress),
        "netdev": given(&iface.netdev),
        "initiator_name": given(&iface.initiator_name),
    })
}

fn host(host: &HostView) -> Value {
    json!({
        "number": host.number,
        "state": host.state,
        "iface": iface(&host.iface),
        "sessions": host.sessions.iter().map(|session| session.sid).collect::<Vec<_>>(),
    })
}

fn statistics(stats: &StatsView) -> Value {
    let named = |(name, value): (&str, u64)| (name.to_owned(), Value::from(value));
    let extended = stats.extended.iter().map(|(name, value)| (name.clone(), Value::from(*value)));
    json!({
        "sid": stats.sid,
        "target": stats.target.as_written(),
        "address": stats.portal.host.to_string(),
        "port": stats.portal.port,
        "counters": stats.counters.named().into_iter().map(named).collect::<Map<_, _>>(),
        "extended": extended.collect::<Map<_, _>>(),
    })
}

fn target(target: &TargetView) -> Value {
    json!({
        "target": target.name.as_written(),
        "portals": target.portals.iter().map(place).collect::<Value>(),
        "luns": target.luns.iter().map(device).collect::<Value>(),
        "error": target.error,
    })
}

fn device(device: &DeviceView) -> Value {
    json!({
        "lun": device.lun,
        "type": given(&device.kind),
        "vendor": given(device.vendor.trim_end()),
        "product": given(device.product.trim_end()),
        "size": device.size,
        "block_size": device.block_size,
        "read_only": device.read_only,
        "error": device.error,
    })
}

fn place(there: &TargetAddress) -> Value {
    let Portal { host, port } = &there.portal;
    json!({ "address": host.to_string(), "port": port, "tpgt": there.tag })
}

/// A text, or nothing for an empty one.
fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::from_str;

    use super::super::{host, node, session, stats, table};
    use super::*;

    fn check(text: &str, expected: &Value) {
        assert!(text.ends_with("}\n"), "{text}");
        assert_eq!(from_str::<Value>(text).unwrap(), *expected);
    }

    fn disk1() -> Value {
        json!({ "target": "iqn.2001-04.com.example:disk1", "address": "fd00::5", "port": 3261, "tpgt": 2, "iface": "if4" })
    }

    #[test]
    fn nodes_have_five_members() {
        let known = node::tests::id("disk1", "[fd00::5]:3261", Some(2), "if4");
        let unknown = node::tests::id("Disk2", "10.0.0.1", None, "default");
        let other = json!({
            "target": "iqn.2001-04.com.example:Disk2", "address": "10.0.0.1", "port": 3260, "tpgt": null, "iface": "default"
        });
        check(&nodes(&[known, unknown]), &json!({ "schema": 1, "nodes": [disk1(), other] }));
        check(&nodes(&[]), &json!({ "schema": 1, "nodes": [] }));
    }

    #[test]
    fn discoveries_hold_their_nodes() {
        let all = BTreeMap::from([
            (
                Source::SendTargets("10.0.0.1".parse().unwrap()),
                vec![node::tests::id("disk1", "[fd00::5]:3261", Some(2), "if4")],
            ),
            (Source::Isns("10.0.0.7:3205".parse().unwrap()), vec![]),
            (Source::Static, vec![]),
            (Source::Firmware, vec![]),
        ]);
        let expected = json!({ "schema": 1, "discoveries": [
            { "type": "sendtargets", "address": "10.0.0.1", "port": 3260, "nodes": [disk1()] },
            { "type": "isns", "address": "10.0.0.7", "port": 3205, "nodes": [] },
            { "type": "static", "address": null, "port": null, "nodes": [] },
            { "type": "fw", "address": null, "port": null, "nodes": [] },
        ] });
        check(&discoveries(&all), &expected);
    }

    #[test]
    fn records_have_all_their_keys_and_hide_secrets() {
        let mut one = Record::new(Scope::SendTargets);
        one.set("discovery.sendtargets.auth.password", "hunter2").unwrap();
        for (show, secret) in [(false, "********"), (true, "hunter2")] {
            let value: Value = from_str(&records(&[one.clone()], show)).unwrap();
            let keys = &value["records"][0]["keys"];
            assert_eq!(value["records"][0]["type"], "sendtargets");
            assert_eq!(keys["discovery.sendtargets.auth.password"], secret);
            assert_eq!(keys["discovery.sendtargets.auth.username"], "");
            assert_eq!(keys["discovery.sendtargets.reopen_max"], "5");
            assert_eq!(keys.as_object().unwrap().len(), 17);
        }
        let kinds = [(Scope::Node, "node"), (Scope::Iface, "iface"), (Scope::Isns, "isns"), (Scope::HostChap, "chap")];
        for (scope, kind) in kinds {
            let value: Value = from_str(&records(&[Record::new(scope)], false)).unwrap();
            assert_eq!(value["records"][0]["type"], kind);
        }
    }

    #[test]
    fn ifaces_say_null_for_what_is_not_set() {
        let mut record = Record::new(Scope::Iface);
        record.set("iface.ipaddress", "10.0.0.9").unwrap();
        let expected = json!({ "schema": 1, "ifaces": [{
            "name": "if4", "transport": "tcp", "hwaddress": null, "ipaddress": "10.0.0.9", "netdev": null,
            "initiator_name": null,
        }] });
        check(&ifaces(&[("if4".parse().unwrap(), record)]), &expected);
    }

    fn session_iface() -> Value {
        json!({
            "name": "default", "transport": "tcp", "hwaddress": null, "ipaddress": "10.0.0.2", "netdev": null,
            "initiator_name": "iqn.2001-04.com.example:host1",
        })
    }

    #[test]
    fn sessions_have_everything_that_level_3_prints() {
        let one = session::tests::session(1, "disk1", "10.0.0.1:3260,1");
        let portal = json!({ "address": "10.0.0.1", "port": 3260, "tpgt": 1 });
        let expected = json!({ "schema": 1, "sessions": [{
            "sid": 1, "transport": "tcp", "target": "iqn.2001-04.com.example:disk1",
            "current_portal": portal, "persistent_portal": portal, "flash": false, "iface": session_iface(),
            "connection_state": "LOGGED IN", "session_state": "LOGGED_IN", "daemon_state": "NO CHANGE",
            "problem": null,
            "timeouts": { "recovery": 120, "target_reset": 30, "lun_reset": 31, "abort": 15 },
            "chap": { "username": null, "password": null, "username_in": null, "password_in": null },
            "negotiated": {
                "HeaderDigest": "None", "DataDigest": "CRC32C", "MaxRecvDataSegmentLength": 262_144,
                "MaxXmitDataSegmentLength": 8192, "FirstBurstLength": 65_536, "MaxBurstLength": 16_776_192,
                "ImmediateData": true, "InitialR2T": false, "MaxOutstandingR2T": 1,
                "ErrorRecoveryLevel": 0, "MaxConnections": 1,
            },
            "host": 7,
            "luns": [
                { "lun": 0, "disk": "sda", "state": "running" }, { "lun": 1, "disk": null, "state": "running" },
            ],
        }] });
        check(&sessions(&[one], false), &expected);
    }

    #[test]
    fn secrets_of_sessions_are_stars_unless_they_are_asked_for() {
        let mut one = session::tests::session(1, "disk1", "10.0.0.1:3260,1");
        one.chap.password = Zeroizing::new("hunter2".to_owned());
        for (show, secret) in [(false, "********"), (true, "hunter2")] {
            let value: Value = from_str(&sessions(&[one.clone()], show)).unwrap();
            let chap = &value["sessions"][0]["chap"];
            assert_eq!((&chap["password"], &chap["password_in"]), (&json!(secret), &json!(null)));
        }
    }

    #[test]
    fn hosts_name_their_sessions() {
        let expected = json!({ "schema": 1, "hosts": [
            { "number": 7, "state": "running", "iface": session_iface(), "sessions": [1] },
        ] });
        check(&hosts(&[host::tests::host()]), &expected);
    }

    #[test]
    fn stats_have_all_counters() {
        let value: Value = from_str(&stats(&[stats::tests::stats()])).unwrap();
        let one = &value["stats"][0];
        assert_eq!(one["sid"], 3);
        assert_eq!((&one["address"], &one["port"]), (&json!("fd00::5"), &json!(3261)));
        assert_eq!(one["counters"].as_object().unwrap().len(), 21);
        assert_eq!(one["counters"]["txdata_octets"], u64::MAX);
        assert_eq!(one["counters"]["timeout_err"], 21);
        assert_eq!(one["extended"], json!({ "eh_abort_cnt": 22 }));
    }

    #[test]
    fn scans_have_numbers_of_units() {
        let scan = Scan { found: vec![1, 2], lost: vec![] };
        check(&scans(&[(3, scan)]), &json!({ "schema": 1, "scans": [{ "sid": 3, "found": [1, 2], "lost": [] }] }));
    }

    #[test]
    fn targets_have_portals_and_units() {
        let expected = json!({ "schema": 1, "targets": [{
            "target": "iqn.2001-04.com.example:disk1",
            "portals": [
                { "address": "10.0.0.1", "port": 3260, "tpgt": 1 }, { "address": "fd00::5", "port": 3260, "tpgt": null },
            ],
            "luns": [
                { "lun": 0, "type": "disk", "vendor": "IET", "product": "VIRTUAL-DISK", "size": 268_435_456,
                  "block_size": 512, "read_only": false, "error": null },
                { "lun": 1, "type": "cd", "vendor": null, "product": null, "size": null,
                  "block_size": null, "read_only": true, "error": null },
                { "lun": 10, "type": null, "vendor": null, "product": null, "size": null,
                  "block_size": null, "read_only": false, "error": "not ready" },
            ],
            "error": null,
        }] });
        check(&targets(&[table::tests::target()]), &expected);
    }

    #[test]
    fn an_error_has_code_and_message() {
        let expected = json!({ "schema": 1, "error": { "code": 21, "message": "No records found" } });
        check(&error(21, "No records found"), &expected);
    }

    #[test]
    fn r302_control_characters_are_escaped_by_json_itself() {
        let text = error(1, "a\u{1b}[2J\n");
        assert!(text.contains(r"a\u001b[2J\n"), "{text}");
    }
}
