//! The one table of record keys.

use super::{Family, Key, Kind, Scope, Visibility};

const MAX_INT: i64 = i32::MAX as i64;
const U8: Kind = int(0, u8::MAX as i64);
const U16: Kind = int(0, u16::MAX as i64);
const U32: Kind = int(0, u32::MAX as i64);
const PORT: Kind = int(1, u16::MAX as i64);
const COUNT: Kind = int(0, MAX_INT);
const SECONDS: Kind = int(0, MAX_INT);
const LENGTH: Kind = int(512, 16_777_215);
const NO_YES: Kind = Kind::Choice(&["No", "Yes"]);
const AUTH: Kind = Kind::Choice(&["None", "CHAP"]);
const SCAN: Kind = Kind::Choice(&["manual", "auto"]);
const STARTUP: Kind = Kind::Choice(&["manual", "automatic", "onboot"]);
const MANUAL_AUTOMATIC: Kind = Kind::Choice(&["manual", "automatic"]);
const DIGEST: Kind = Kind::Choice(&["None", "CRC32C", "CRC32C,None", "None,CRC32C"]);
const DISCOVERY_TYPE: Kind = Kind::Choice(&["sendtargets", "isns", "offload_send_targets", "static", "fw"]);
const NODE_DISCOVERY_TYPE: Kind = Kind::Choice(&["send_targets", "isns", "offload_send_targets", "static", "fw"]);
const CHAP_ALGS: Kind = Kind::List(&["MD5", "SHA1", "SHA256", "SHA3-256"]);

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

const fn key(scope: Scope, name: &'static str, kind: Kind, default: &'static str) -> Key {
    Key { scope, name, kind, default, visibility: Visibility::Shown, family: Family::Any, fixed: false, late: false }
}

const fn send_targets(name: &'static str, kind: Kind, default: &'static str) -> Key {
    key(Scope::SendTargets, name, kind, default)
}

const fn isns(name: &'static str, kind: Kind, default: &'static str) -> Key {
    key(Scope::Isns, name, kind, default)
}

const fn node(name: &'static str, kind: Kind, default: &'static str) -> Key {
    key(Scope::Node, name, kind, default)
}

const fn iface(name: &'static str, kind: Kind, default: &'static str) -> Key {
    key(Scope::Iface, name, kind, default)
}

const fn chap(name: &'static str, kind: Kind, default: &'static str) -> Key {
    key(Scope::HostChap, name, kind, default)
}

impl Key {
    const fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    const fn masked(mut self) -> Self {
        self.visibility = Visibility::Masked;
        self
    }

    const fn hidden(mut self) -> Self {
        self.visibility = Visibility::Hidden;
        self
    }

    const fn v4(mut self) -> Self {
        self.family = Family::V4;
        self
    }

    /// Releases of open-iscsi write the keys of an IPv6 interface and refuse to read some of them again.
    const fn v6(mut self) -> Self {
        self.family = Family::V6;
        self.late = true;
        self
    }

    const fn late(mut self) -> Self {
        self.late = true;
        self
    }
}

/// All keys: record kinds one after the other, each in the order of its file.
pub static KEYS: &[Key] = &[
    send_targets("discovery.startup", MANUAL_AUTOMATIC, "manual"),
    send_targets("discovery.type", DISCOVERY_TYPE, "sendtargets").fixed(),
    send_targets("discovery.sendtargets.address", Kind::Text, "").fixed(),
    send_targets("discovery.sendtargets.port", PORT, "3260").fixed(),
    send_targets("discovery.sendtargets.auth.authmethod", AUTH, "None"),
    send_targets("discovery.sendtargets.auth.username", Kind::Text, ""),
    send_targets("discovery.sendtargets.auth.password", Kind::Text, "").masked(),
    send_targets("discovery.sendtargets.auth.password_length", COUNT, "").hidden(),
    send_targets("discovery.sendtargets.auth.username_in", Kind::Text, ""),
    send_targets("discovery.sendtargets.auth.password_in", Kind::Text, "").masked(),
    send_targets("discovery.sendtargets.auth.password_in_length", COUNT, "").hidden(),
    send_targets("node.session.auth.chap_algs", CHAP_ALGS, "MD5"),
    send_targets("discovery.sendtargets.timeo.login_timeout", SECONDS, "15"),
    send_targets("discovery.sendtargets.use_discoveryd", NO_YES, "No"),
    send_targets("discovery.sendtargets.discoveryd_poll_inval", int(-1, MAX_INT), "30"),
    send_targets("discovery.sendtargets.reopen_max", COUNT, "5"),
    send_targets("discovery.sendtargets.timeo.auth_timeout", SECONDS, "45"),
    send_targets("discovery.sendtargets.timeo.active_timeout", SECONDS, "30"),
    send_targets("discovery.sendtargets.iscsi.MaxRecvDataSegmentLength", LENGTH, "32768"),
    isns("discovery.startup", MANUAL_AUTOMATIC, "manual"),
    isns("discovery.type", DISCOVERY_TYPE, "isns").fixed(),
    isns("discovery.sendtargets.address", Kind::Text, "").fixed(),
    isns("discovery.sendtargets.port", PORT, "3205").fixed(),
    isns("discovery.isns.use_discoveryd", NO_YES, "No"),
    isns("discovery.isns.discoveryd_poll_inval", int(-1, MAX_INT), "-1"),
    node("node.name", Kind::Name, "").fixed(),
    node("node.tpgt", int(-1, 65_535), "-1").fixed(),
    node("node.startup", STARTUP, "manual"),
    node("node.leading_login", NO_YES, "No"),
    node("iface.hwaddress", Kind::Word, ""),
    node("iface.ipaddress", Kind::Word, ""),
    node("iface.iscsi_ifacename", Kind::Word, "default"),
    node("iface.net_ifacename", Kind::Word, ""),
    node("iface.gateway", Kind::Text, ""),
    node("iface.subnet_mask", Kind::Text, ""),
    node("iface.prefix_len", U8, "0"),
    node("iface.transport_name", Kind::Word, "tcp"),
    node("iface.initiatorname", Kind::Name, ""),
    node("iface.state", Kind::Text, ""),
    node("iface.vlan_id", U16, "0"),
    node("iface.vlan_priority", U8, "0"),
    node("iface.vlan_state", Kind::Text, ""),
    node("iface.iface_num", COUNT, "0"),
    node("iface.mtu", U16, "0"),
    node("iface.port", U16, "0"),
    node("iface.bootproto", Kind::Text, "").v4(),
    node("iface.dhcp_alt_client_id_state", Kind::Text, "").v4(),
    node("iface.dhcp_alt_client_id", Kind::Text, "").v4(),
    node("iface.dhcp_dns", Kind::Text, "").v4(),
    node("iface.dhcp_learn_iqn", Kind::Text, "").v4(),
    node("iface.dhcp_req_vendor_id_state", Kind::Text, "").v4(),
    node("iface.dhcp_vendor_id_state", Kind::Text, "").v4(),
    node("iface.dhcp_vendor_id", Kind::Text, "").v4(),
    node("iface.dhcp_slp_da", Kind::Text, "").v4(),
    node("iface.fragmentation", Kind::Text, "").v4(),
    node("iface.gratuitous_arp", Kind::Text, "").v4(),
    node("iface.incoming_forwarding", Kind::Text, "").v4(),
    node("iface.tos_state", Kind::Text, "").v4(),
    node("iface.tos", U8, "0").v4(),
    node("iface.ttl", U8, "0").v4(),
    node("iface.ipv6_autocfg", Kind::Text, "").v6(),
    node("iface.linklocal_autocfg", Kind::Text, "").v6(),
    node("iface.router_autocfg", Kind::Text, "").v6(),
    node("iface.ipv6_linklocal", Kind::Text, "").v6(),
    node("iface.ipv6_router", Kind::Text, "").v6(),
    node("iface.dup_addr_detect_cnt", U8, "0").v6(),
    node("iface.flow_label", U32, "0").v6(),
    node("iface.gratuitous_neighbor_adv", Kind::Text, "").v6(),
    node("iface.hop_limit", U8, "0").v6(),
    node("iface.mld", Kind::Text, "").v6(),
    node("iface.nd_reachable_tmo", U32, "0").v6(),
    node("iface.nd_rexmit_time", U32, "0").v6(),
    node("iface.nd_stale_tmo", U32, "0").v6(),
    node("iface.router_adv_link_mtu", U32, "0").v6(),
    node("iface.traffic_class", U8, "0").v6(),
    node("iface.delayed_ack", Kind::Text, ""),
    node("iface.tcp_nagle", Kind::Text, ""),
    node("iface.tcp_wsf_state", Kind::Text, ""),
    node("iface.tcp_wsf", U8, "0"),
    node("iface.tcp_timer_scale", U8, "0"),
    node("iface.tcp_timestamp", Kind::Text, ""),
    node("iface.redirect", Kind::Text, ""),
    node("iface.def_task_mgmt_timeout", U16, "0"),
    node("iface.header_digest", Kind::Text, ""),
    node("iface.data_digest", Kind::Text, ""),
    node("iface.immediate_data", Kind::Text, ""),
    node("iface.initial_r2t", Kind::Text, ""),
    node("iface.data_seq_inorder", Kind::Text, ""),
    node("iface.data_pdu_inorder", Kind::Text, ""),
    node("iface.erl", U8, "0"),
    node("iface.max_receive_data_len", U32, "0"),
    node("iface.first_burst_len", U32, "0"),
    node("iface.max_outstanding_r2t", U16, "0"),
    node("iface.max_burst_len", U32, "0"),
    node("iface.chap_auth", Kind::Text, ""),
    node("iface.bidi_chap", Kind::Text, ""),
    node("iface.strict_login_compliance", Kind::Text, ""),
    node("iface.discovery_auth", Kind::Text, ""),
    node("iface.discovery_logout", Kind::Text, ""),
    node("node.discovery_address", Kind::Text, "").fixed(),
    node("node.discovery_port", U16, "0").fixed(),
    node("node.discovery_type", NODE_DISCOVERY_TYPE, "send_targets").fixed(),
    node("node.session.initial_cmdsn", U32, "0"),
    node("node.session.initial_login_retry_max", COUNT, "4"),
    node("node.session.xmit_thread_priority", int(-20, 19), "0"),
    node("node.session.cmds_max", int(2, 2048), "128"),
    node("node.session.queue_depth", int(1, 1024), "32"),
    node("node.session.nr_sessions", int(1, 1024), "1"),
    node("node.session.auth.authmethod", AUTH, "None"),
    node("node.session.auth.username", Kind::Text, ""),
    node("node.session.auth.password", Kind::Text, "").masked(),
    node("node.session.auth.password_length", COUNT, "").hidden(),
    node("node.session.auth.username_in", Kind::Text, ""),
    node("node.session.auth.password_in", Kind::Text, "").masked(),
    node("node.session.auth.password_in_length", COUNT, "").hidden(),
    node("node.session.auth.chap_algs", CHAP_ALGS, "MD5"),
    node("node.session.timeo.replacement_timeout", int(-MAX_INT, MAX_INT), "120"),
    node("node.session.err_timeo.abort_timeout", SECONDS, "15"),
    node("node.session.err_timeo.lu_reset_timeout", SECONDS, "30"),
    node("node.session.err_timeo.tgt_reset_timeout", SECONDS, "30"),
    node("node.session.err_timeo.host_reset_timeout", SECONDS, "60"),
    node("node.session.iscsi.FastAbort", NO_YES, "Yes"),
    node("node.session.iscsi.InitialR2T", NO_YES, "No"),
    node("node.session.iscsi.ImmediateData", NO_YES, "Yes"),
    node("node.session.iscsi.FirstBurstLength", LENGTH, "262144"),
    node("node.session.iscsi.MaxBurstLength", LENGTH, "16776192"),
    node("node.session.iscsi.DefaultTime2Retain", int(0, 3600), "0"),
    node("node.session.iscsi.DefaultTime2Wait", int(0, 3600), "2"),
    node("node.session.iscsi.MaxConnections", int(1, 65_535), "1"),
    node("node.session.iscsi.MaxOutstandingR2T", int(1, 65_535), "1"),
    node("node.session.iscsi.ERL", int(0, 2), "0"),
    node("node.session.scan", SCAN, "auto"),
    node("node.session.reopen_max", COUNT, "0"),
    node("node.session.sess_reopen_log_freq", COUNT, "1").late(),
    node("node.conn[0].address", Kind::Text, "").fixed(),
    node("node.conn[0].port", PORT, "3260").fixed(),
    node("node.conn[0].startup", STARTUP, "manual"),
    node("node.conn[0].tcp.window_size", COUNT, "524288"),
    node("node.conn[0].tcp.type_of_service", U8, "0"),
    node("node.conn[0].tcp.congestion_control", Kind::Text, "").late(),
    node("node.conn[0].timeo.logout_timeout", SECONDS, "15"),
    node("node.conn[0].timeo.login_timeout", SECONDS, "30"),
    node("node.conn[0].timeo.auth_timeout", SECONDS, "45"),
    node("node.conn[0].timeo.noop_out_interval", SECONDS, "5"),
    node("node.conn[0].timeo.noop_out_timeout", SECONDS, "5"),
    node("node.conn[0].iscsi.MaxXmitDataSegmentLength", int(0, 16_777_215), "0"),
    node("node.conn[0].iscsi.MaxRecvDataSegmentLength", LENGTH, "262144"),
    node("node.conn[0].iscsi.HeaderDigest", DIGEST, "None"),
    node("node.conn[0].iscsi.DataDigest", DIGEST, "None"),
    node("node.conn[0].iscsi.IFMarker", NO_YES, "No"),
    node("node.conn[0].iscsi.OFMarker", NO_YES, "No"),
    iface("iface.iscsi_ifacename", Kind::Word, "").fixed(),
    iface("iface.net_ifacename", Kind::Word, ""),
    iface("iface.ipaddress", Kind::Word, ""),
    iface("iface.prefix_len", U8, "0"),
    iface("iface.hwaddress", Kind::Word, ""),
    iface("iface.transport_name", Kind::Word, "tcp"),
    iface("iface.initiatorname", Kind::Name, ""),
    iface("iface.state", Kind::Text, ""),
    iface("iface.vlan_id", U16, "0"),
    iface("iface.vlan_priority", U8, "0"),
    iface("iface.vlan_state", Kind::Text, ""),
    iface("iface.iface_num", COUNT, "0"),
    iface("iface.mtu", U16, "0"),
    iface("iface.port", U16, "0"),
    iface("iface.bootproto", Kind::Text, "").v4(),
    iface("iface.subnet_mask", Kind::Text, "").v4(),
    iface("iface.gateway", Kind::Text, "").v4(),
    iface("iface.dhcp_alt_client_id_state", Kind::Text, "").v4(),
    iface("iface.dhcp_alt_client_id", Kind::Text, "").v4(),
    iface("iface.dhcp_dns", Kind::Text, "").v4(),
    iface("iface.dhcp_learn_iqn", Kind::Text, "").v4(),
    iface("iface.dhcp_req_vendor_id_state", Kind::Text, "").v4(),
    iface("iface.dhcp_vendor_id_state", Kind::Text, "").v4(),
    iface("iface.dhcp_vendor_id", Kind::Text, "").v4(),
    iface("iface.dhcp_slp_da", Kind::Text, "").v4(),
    iface("iface.fragmentation", Kind::Text, "").v4(),
    iface("iface.gratuitous_arp", Kind::Text, "").v4(),
    iface("iface.incoming_forwarding", Kind::Text, "").v4(),
    iface("iface.tos_state", Kind::Text, "").v4(),
    iface("iface.tos", U8, "0").v4(),
    iface("iface.ttl", U8, "0").v4(),
    iface("iface.ipv6_autocfg", Kind::Text, "").v6(),
    iface("iface.linklocal_autocfg", Kind::Text, "").v6(),
    iface("iface.router_autocfg", Kind::Text, "").v6(),
    iface("iface.ipv6_linklocal", Kind::Text, "").v6(),
    iface("iface.ipv6_router", Kind::Text, "").v6(),
    iface("iface.dup_addr_detect_cnt", U8, "0").v6(),
    iface("iface.flow_label", U32, "0").v6(),
    iface("iface.gratuitous_neighbor_adv", Kind::Text, "").v6(),
    iface("iface.hop_limit", U8, "0").v6(),
    iface("iface.mld", Kind::Text, "").v6(),
    iface("iface.nd_reachable_tmo", U32, "0").v6(),
    iface("iface.nd_rexmit_time", U32, "0").v6(),
    iface("iface.nd_stale_tmo", U32, "0").v6(),
    iface("iface.router_adv_link_mtu", U32, "0").v6(),
    iface("iface.traffic_class", U8, "0").v6(),
    iface("iface.delayed_ack", Kind::Text, ""),
    iface("iface.tcp_nagle", Kind::Text, ""),
    iface("iface.tcp_wsf_state", Kind::Text, ""),
    iface("iface.tcp_wsf", U8, "0"),
    iface("iface.tcp_timer_scale", U8, "0"),
    iface("iface.tcp_timestamp", Kind::Text, ""),
    iface("iface.redirect", Kind::Text, ""),
    iface("iface.def_task_mgmt_timeout", U16, "0"),
    iface("iface.header_digest", Kind::Text, ""),
    iface("iface.data_digest", Kind::Text, ""),
    iface("iface.immediate_data", Kind::Text, ""),
    iface("iface.initial_r2t", Kind::Text, ""),
    iface("iface.data_seq_inorder", Kind::Text, ""),
    iface("iface.data_pdu_inorder", Kind::Text, ""),
    iface("iface.erl", U8, "0"),
    iface("iface.max_receive_data_len", U32, "0"),
    iface("iface.first_burst_len", U32, "0"),
    iface("iface.max_outstanding_r2t", U16, "0"),
    iface("iface.max_burst_len", U32, "0"),
    iface("iface.chap_auth", Kind::Text, ""),
    iface("iface.bidi_chap", Kind::Text, ""),
    iface("iface.strict_login_compliance", Kind::Text, ""),
    iface("iface.discovery_auth", Kind::Text, ""),
    iface("iface.discovery_logout", Kind::Text, ""),
    chap("host.auth.tbl_idx", U16, "0"),
    chap("host.auth.username", Kind::Text, ""),
    chap("host.auth.password", Kind::Text, "").masked(),
    chap("host.auth.password_length", COUNT, "").hidden(),
    chap("host.auth.username_in", Kind::Text, ""),
    chap("host.auth.password_in", Kind::Text, "").masked(),
    chap("host.auth.password_in_length", COUNT, "").hidden(),
];
