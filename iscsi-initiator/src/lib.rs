//! A user-space iSCSI initiator.
