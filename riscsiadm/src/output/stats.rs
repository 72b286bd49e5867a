//! Statistics of a session.

use std::fmt::Write;

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::Portal;
use serde::{Deserialize, Serialize};

use super::escape;
use super::node::comma;

/// The counters of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsView {
    /// The number of the session.
    pub sid: u32,
    /// The target.
    pub target: IscsiName,
    /// Where it was logged in.
    pub portal: Portal,
    /// What was counted on the wire.
    pub counters: Counters,
    /// More counters, by name.
    pub extended: Vec<(String, u64)>,
}

/// PDUs and bytes, named as in iscsiadm, in the order that they are printed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Bytes of data sent.
    pub txdata_octets: u64,
    /// Bytes of data received.
    pub rxdata_octets: u64,
    /// NOP-Outs sent.
    pub noptx_pdus: u64,
    /// SCSI Commands sent.
    pub scsicmd_pdus: u64,
    /// Task Management Function Requests sent.
    pub tmfcmd_pdus: u64,
    /// Login Requests sent.
    pub login_pdus: u64,
    /// Text Requests sent.
    pub text_pdus: u64,
    /// SCSI Data-Outs sent.
    pub dataout_pdus: u64,
    /// Logout Requests sent.
    pub logout_pdus: u64,
    /// SNACK Requests sent.
    pub snack_pdus: u64,
    /// NOP-Ins received.
    pub noprx_pdus: u64,
    /// SCSI Responses received.
    pub scsirsp_pdus: u64,
    /// Task Management Function Responses received.
    pub tmfrsp_pdus: u64,
    /// Text Responses received.
    pub textrsp_pdus: u64,
    /// SCSI Data-Ins received.
    pub datain_pdus: u64,
    /// Logout Responses received.
    pub logoutrsp_pdus: u64,
    /// R2Ts received.
    pub r2t_pdus: u64,
    /// Asynchronous Messages received.
    pub async_pdus: u64,
    /// Rejects received.
    pub rjt_pdus: u64,
    /// Digests that did not match.
    pub digest_err: u64,
    /// Commands that timed out.
    pub timeout_err: u64,
}

impl Counters {
    /// All counters with their names, in order.
    pub fn named(&self) -> [(&'static str, u64); 21] {
        [
            ("txdata_octets", self.txdata_octets),
            ("rxdata_octets", self.rxdata_octets),
            ("noptx_pdus", self.noptx_pdus),
            ("scsicmd_pdus", self.scsicmd_pdus),
            ("tmfcmd_pdus", self.tmfcmd_pdus),
            ("login_pdus", self.login_pdus),
            ("text_pdus", self.text_pdus),
            ("dataout_pdus", self.dataout_pdus),
            ("logout_pdus", self.logout_pdus),
            ("snack_pdus", self.snack_pdus),
            ("noprx_pdus", self.noprx_pdus),
            ("scsirsp_pdus", self.scsirsp_pdus),
            ("tmfrsp_pdus", self.tmfrsp_pdus),
            ("textrsp_pdus", self.textrsp_pdus),
            ("datain_pdus", self.datain_pdus),
            ("logoutrsp_pdus", self.logoutrsp_pdus),
            ("r2t_pdus", self.r2t_pdus),
            ("async_pdus", self.async_pdus),
            ("rjt_pdus", self.rjt_pdus),
            ("digest_err", self.digest_err),
            ("timeout_err", self.timeout_err),
        ]
    }
}

/// The counters of each session, one a line.
pub fn text(sessions: &[StatsView]) -> String {
    let mut text = String::new();
    for stats in sessions {
        one(&mut text, stats);
    }
    text
}

fn one(text: &mut String, stats: &StatsView) {
    let (target, portal) = (escape(stats.target.as_written()), comma(&stats.portal));
    let _ = writeln!(text, "Stats for session [sid: {}, target: {target}, portal: {portal}]", stats.sid);
    text.push_str("iSCSI SNMP:\n");
    for (name, value) in stats.counters.named() {
        // As iscsiadm prints them: signed, although they are not.
        let _ = writeln!(text, "\t{name}: {}", value.cast_signed());
    }
    if !stats.extended.is_empty() {
        text.push_str("iSCSI Extended:\n");
    }
    for (name, value) in &stats.extended {
        let _ = writeln!(text, "\t{}: {value}", escape(name));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::output) fn stats() -> StatsView {
        StatsView {
            sid: 3,
            target: "iqn.2001-04.com.example:disk1".parse().unwrap(),
            portal: "[fd00::5]:3261".parse().unwrap(),
            counters: Counters {
                txdata_octets: u64::MAX,
                rxdata_octets: 2,
                noptx_pdus: 3,
                scsicmd_pdus: 4,
                tmfcmd_pdus: 5,
                login_pdus: 6,
                text_pdus: 7,
                dataout_pdus: 8,
                logout_pdus: 9,
                snack_pdus: 10,
                noprx_pdus: 11,
                scsirsp_pdus: 12,
                tmfrsp_pdus: 13,
                textrsp_pdus: 14,
                datain_pdus: 15,
                logoutrsp_pdus: 16,
                r2t_pdus: 17,
                async_pdus: 18,
                rjt_pdus: 19,
                digest_err: 20,
                timeout_err: 21,
            },
            extended: vec![("eh_abort_cnt".to_owned(), 22)],
        }
    }

    #[test]
    fn counters_stand_in_the_order_of_iscsiadm() {
        let expected = "Stats for session [sid: 3, target: iqn.2001-04.com.example:disk1, portal: fd00::5,3261]\n\
            iSCSI SNMP:\n\ttxdata_octets: -1\n\trxdata_octets: 2\n\tnoptx_pdus: 3\n\tscsicmd_pdus: 4\n\ttmfcmd_pdus: 5\n\
            \tlogin_pdus: 6\n\ttext_pdus: 7\n\tdataout_pdus: 8\n\tlogout_pdus: 9\n\tsnack_pdus: 10\n\tnoprx_pdus: 11\n\
            \tscsirsp_pdus: 12\n\ttmfrsp_pdus: 13\n\ttextrsp_pdus: 14\n\tdatain_pdus: 15\n\tlogoutrsp_pdus: 16\n\
            \tr2t_pdus: 17\n\tasync_pdus: 18\n\trjt_pdus: 19\n\tdigest_err: 20\n\ttimeout_err: 21\n";
        assert_eq!(text(&[stats()]), format!("{expected}iSCSI Extended:\n\teh_abort_cnt: 22\n"));
        let plain = StatsView { extended: Vec::new(), ..stats() };
        assert_eq!(text(&[plain.clone(), plain]), expected.repeat(2));
        assert_eq!(text(&[]), "");
    }
}
