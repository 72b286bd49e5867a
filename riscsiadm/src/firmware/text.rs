use std::fmt::Write;

use zeroize::Zeroizing;

use super::{BootTarget, Nic, Proof};
use crate::db::record::VERSION;
use crate::output::escape;

/// The targets as `iscsiadm -m fw` prints them, secrets included: what is not known has no line.
pub fn records(targets: &[BootTarget]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    for target in targets {
        let _ = writeln!(text, "# BEGIN RECORD {VERSION}");
        line(&mut text, "iface.initiatorname", target.initiator.as_deref());
        nic(&mut text, &target.nic);
        line(&mut text, "node.name", Some(&target.name));
        line(&mut text, "node.conn[0].address", Some(&target.address));
        let _ = writeln!(text, "node.conn[0].port = {}", target.port);
        proof(&mut text, "", &target.chap);
        proof(&mut text, "_in", &target.reverse);
        line(&mut text, "node.boot_lun", target.lun.as_deref());
        text.push_str("# END RECORD\n");
    }
    text
}

fn nic(text: &mut String, nic: &Nic) {
    text.push_str("iface.transport_name = tcp\n");
    line(text, "iface.hwaddress", Some(&nic.mac));
    line(text, "iface.bootproto", Some(if nic.dhcp { "DHCP" } else { "STATIC" }));
    line(text, "iface.ipaddress", nic.address.as_deref());
    line(text, "iface.prefix_len", Some(nic.prefix_len.as_deref().unwrap_or("-1")));
    line(text, "iface.subnet_mask", nic.mask.as_deref());
    line(text, "iface.gateway", nic.gateway.as_deref());
    let [primary, secondary] = &nic.dns;
    line(text, "iface.primary_dns", primary.as_deref());
    line(text, "iface.secondary_dns", secondary.as_deref());
    line(text, "iface.vlan_id", nic.vlan.as_deref());
    line(text, "iface.net_ifacename", nic.device.as_deref());
}

fn proof(text: &mut String, suffix: &str, proof: &Proof) {
    line(text, &format!("node.session.auth.username{suffix}"), proof.user.as_deref());
    line(text, &format!("node.session.auth.password{suffix}"), proof.secret.as_ref().map(|secret| secret.as_str()));
}

fn line(text: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        let value = Zeroizing::new(escape(value).into_owned());
        let _ = writeln!(text, "{key} = {}", *value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{targets, tests::table};
    use super::*;

    fn printed(attributes: &[(&str, &str)]) -> String {
        records(&targets(table(attributes).path()).unwrap().unwrap()).replace(VERSION, "V")
    }

    /// What iscsiadm 2.1.8 prints for the same table.
    #[test]
    fn a_record_has_the_lines_of_iscsiadm_in_their_order() {
        let all = [
            ("initiator/initiator-name", "iqn.2001-04.com.example:boot"),
            ("ethernet0/flags", "3"),
            ("ethernet0/mac", "52:54:00:12:34:56"),
            ("ethernet0/ip-addr", "192.0.2.10"),
            ("ethernet0/subnet-mask", "255.255.255.0"),
            ("ethernet0/gateway", "192.0.2.1"),
            ("ethernet0/vlan", "0"),
            ("ethernet0/prefix-len", "24"),
            ("ethernet0/origin", "3"),
            ("ethernet0/primary-dns", "192.0.2.2"),
            ("ethernet0/secondary-dns", "192.0.2.3"),
            ("ethernet0/device/net/eth7/ifindex", "2"),
            ("target0/flags", "3"),
            ("target0/target-name", "iqn.2001-04.com.example:disk1"),
            ("target0/ip-addr", "192.0.2.20"),
            ("target0/port", "3261"),
            ("target0/lun", "0000000000000000"),
            ("target0/nic-assoc", "0"),
            ("target0/chap-type", "2"),
            ("target0/chap-name", "bob"),
            ("target0/chap-secret", "bobsecret1234"),
            ("target0/rev-chap-name", "tgt"),
            ("target0/rev-chap-name-secret", "tgtsecret1234"),
        ];
        assert_eq!(
            printed(&all),
            "# BEGIN RECORD V\n\
             iface.initiatorname = iqn.2001-04.com.example:boot\n\
             iface.transport_name = tcp\n\
             iface.hwaddress = 52:54:00:12:34:56\n\
             iface.bootproto = DHCP\n\
             iface.ipaddress = 192.0.2.10\n\
             iface.prefix_len = 24\n\
             iface.subnet_mask = 255.255.255.0\n\
             iface.gateway = 192.0.2.1\n\
             iface.primary_dns = 192.0.2.2\n\
             iface.secondary_dns = 192.0.2.3\n\
             iface.vlan_id = 0\n\
             iface.net_ifacename = eth7\n\
             node.name = iqn.2001-04.com.example:disk1\n\
             node.conn[0].address = 192.0.2.20\n\
             node.conn[0].port = 3261\n\
             node.session.auth.username = bob\n\
             node.session.auth.password = bobsecret1234\n\
             node.session.auth.username_in = tgt\n\
             node.session.auth.password_in = tgtsecret1234\n\
             node.boot_lun = 0000000000000000\n\
             # END RECORD\n"
        );
    }

    #[test]
    fn what_the_firmware_does_not_say_has_no_line() {
        let least = [
            ("target7/flags", "1"),
            ("target7/target-name", "iqn.2001-04.com.example:disk1"),
            ("target7/ip-addr", "fd00::5"),
            ("target7/nic-assoc", "1"),
            ("ethernet1/flags", "1"),
            ("ethernet1/mac", "52:54:00:12:34:57"),
        ];
        assert_eq!(
            printed(&least),
            "# BEGIN RECORD V\n\
             iface.transport_name = tcp\n\
             iface.hwaddress = 52:54:00:12:34:57\n\
             iface.bootproto = STATIC\n\
             iface.prefix_len = -1\n\
             node.name = iqn.2001-04.com.example:disk1\n\
             node.conn[0].address = fd00::5\n\
             node.conn[0].port = 3260\n\
             # END RECORD\n"
        );
        let odd = [&least[..], &[("initiator/initiator-name", "a\u{1b}[2J\nb")]].concat();
        assert!(printed(&odd).contains("iface.initiatorname = a\\x1b[2J\\x0ab\n"));
    }
}
