"""OpenStack's os-brick drives the iscsiadm that is first on PATH: what Nova and Cinder do with it, down to the session.

usage: osbrick.py PORTAL IQN USER SECRET LOCK_DIR

Prints one JSON object with what os-brick made of the output of iscsiadm.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")

import os_brick  # noqa: E402
import os_brick.privileged  # noqa: E402
from os_brick.initiator.connectors.iscsi import ISCSIConnector  # noqa: E402
from oslo_config import cfg  # noqa: E402


def main():
    portal, iqn, user, secret, locks = sys.argv[1:]
    cfg.CONF([], project="osbrick")
    os_brick.setup(cfg.CONF)
    # Commands run as whoever this is, instead of in a helper process under sudo.
    os_brick.privileged.default.set_client_mode(False)
    cfg.CONF.set_override("lock_path", locks, group="os_brick")
    connector = ISCSIConnector(root_helper="", use_multipath=False)
    properties = {
        "target_portal": portal,
        "target_iqn": iqn,
        "target_lun": 1,
        "auth_method": "CHAP",
        "auth_username": user,
        "auth_password": secret,
    }
    report = {"sessions_before": connector._get_iscsi_sessions_full()}
    report["discovered"] = sorted(connector._discover_iscsi_portals(properties))
    report["nodes"] = sorted(connector._get_iscsi_nodes())
    report["transport"] = connector._validate_iface_transport("default")
    report["sid"], report["manual_scan"] = connector._connect_to_iscsi_portal(properties)
    report["sessions"] = connector._get_iscsi_sessions_full()
    report["again"], _ = connector._connect_to_iscsi_portal(properties)
    report["db_portals"] = sorted(connector._get_discoverydb_portals(properties))
    report["wrong"] = connector._connect_to_iscsi_portal_unsafe.__wrapped__(
        connector, dict(properties, auth_password="not-the-secret", target_iqn=iqn + "2")
    )
    connector._disconnect_from_iscsi_portal(properties)
    report["sessions_after"] = connector._get_iscsi_sessions_full()
    connector._disconnect_from_iscsi_portal(properties)
    json.dump(report, sys.stdout)


main()
