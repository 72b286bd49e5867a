//! The one table of standard text keys.

use std::fmt;

use super::spec::{KeySpec, ResultFunction, Scope, Stages, ValueKind};

/// The row that others start from: an operational key that both sides negotiate for the whole session.
const LEADING: KeySpec = KeySpec {
    key: Key::MaxConnections,
    name: "",
    value: ValueKind::Boolean,
    result: ResultFunction::Minimum,
    default: None,
    initiator: Stages::OPERATIONAL,
    target: Stages::OPERATIONAL,
    leading_only: true,
    scope: Scope::Session,
    irrelevant_in_discovery: false,
    repeatable: false,
    may_be_unknown: false,
    section: "",
};

/// A leading key about SCSI data, which a discovery session has none of.
const TRANSFER: KeySpec = KeySpec { irrelevant_in_discovery: true, ..LEADING };

/// A key that says who or where a side is.
const IDENTITY: KeySpec = KeySpec {
    result: ResultFunction::Declarative,
    leading_only: false,
    initiator: Stages::NONE,
    target: Stages::NONE,
    ..LEADING
};

/// A key that each connection settles for itself.
const CONNECTION: KeySpec = KeySpec { leading_only: false, scope: Scope::Connection, ..LEADING };

/// A step of authentication, sent by both sides.
const SECURITY: KeySpec =
    KeySpec { result: ResultFunction::Exchange, initiator: Stages::SECURITY, target: Stages::SECURITY, ..CONNECTION };

/// A step of authentication that only initiators send.
const SECURITY_INITIATOR: KeySpec = KeySpec { target: Stages::NONE, ..SECURITY };

/// A step of authentication that only targets send.
const SECURITY_TARGET: KeySpec = KeySpec { initiator: Stages::NONE, ..SECURITY };

/// A key that RFC 7143 took out.
const MARKER: KeySpec = KeySpec { result: ResultFunction::Obsolete, ..CONNECTION };

const DIGESTS: ValueKind = ValueKind::List { known: &["CRC32C", "None"] };
const OPEN_LIST: ValueKind = ValueKind::List { known: &[] };
const SEGMENT: ValueKind = ValueKind::Number { min: 512, max: (1 << 24) - 1 };
const COUNT: ValueKind = ValueKind::Number { min: 1, max: 65535 };
const SECONDS: ValueKind = ValueKind::Number { min: 0, max: 3600 };
const LONG_BINARY: ValueKind = ValueKind::Binary { max: 65536 };
const BINARY: ValueKind = ValueKind::Binary { max: 1024 };

macro_rules! keys {
    ($($(#[$doc:meta])* $key:ident $name:literal $rfc:literal $section:literal: $spec:expr;)*) => {
        /// A standard text key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Key {
            $($(#[$doc])* $key,)*
        }

        impl Key {
            /// What the standard says about this key.
            pub const fn spec(self) -> &'static KeySpec {
                match self {
                    $(Self::$key => const {
                        &KeySpec {
                            key: Key::$key,
                            name: $name,
                            section: concat!("RFC ", $rfc, ", section ", $section),
                            ..$spec
                        }
                    },)*
                }
            }

            /// The key of that name. Case counts.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$key),)*
                    _ => None,
                }
            }
        }

        /// Every standard key, security keys first.
        pub const TABLE: &[KeySpec] = &[$(*Key::$key.spec()),*];
    };
}

use ResultFunction::{And, Declarative, Exchange, First, Maximum, Or};

keys! {
    /// The authentication methods, in order of preference.
    AuthMethod "AuthMethod" "7143" "12.1": KeySpec {
        value: ValueKind::List { known: &["CHAP", "SRP", "KRB5", "None"] },
        result: First,
        ..SECURITY
    };
    /// The CHAP hash algorithms: 5 MD5, 6 SHA-1, 7 SHA-256, 8 SHA3-256.
    ChapA "CHAP_A" "7143" "12.1.3": KeySpec { value: OPEN_LIST, result: First, ..SECURITY };
    /// The CHAP identifier.
    ChapI "CHAP_I" "7143" "12.1.3": KeySpec { value: ValueKind::Number { min: 0, max: 255 }, ..SECURITY };
    /// The CHAP challenge.
    ChapC "CHAP_C" "7143" "12.1.3": KeySpec { value: BINARY, ..SECURITY };
    /// The CHAP name.
    ChapN "CHAP_N" "7143" "12.1.3": KeySpec { value: ValueKind::Text, ..SECURITY };
    /// The CHAP response.
    ChapR "CHAP_R" "7143" "12.1.3": KeySpec { value: BINARY, ..SECURITY };
    /// The Kerberos client message.
    KrbApReq "KRB_AP_REQ" "7143" "12.1.1": KeySpec { value: LONG_BINARY, ..SECURITY_INITIATOR };
    /// The Kerberos server message.
    KrbApRep "KRB_AP_REP" "7143" "12.1.1": KeySpec { value: LONG_BINARY, ..SECURITY_TARGET };
    /// The SRP user name.
    SrpU "SRP_U" "7143" "12.1.2": KeySpec { value: ValueKind::Text, ..SECURITY_INITIATOR };
    /// Whether the target has to prove itself in SRP.
    TargetAuth "TargetAuth" "7143" "12.1.2": KeySpec { result: Exchange, ..SECURITY_INITIATOR };
    /// The SRP groups.
    SrpGroup "SRP_GROUP" "7143" "12.1.2": KeySpec { value: OPEN_LIST, result: First, ..SECURITY };
    /// The SRP salt.
    SrpSalt "SRP_s" "7143" "12.1.2": KeySpec { value: BINARY, ..SECURITY_TARGET };
    /// The SRP public value of the initiator.
    SrpA "SRP_A" "7143" "12.1.2": KeySpec { value: BINARY, ..SECURITY_INITIATOR };
    /// The SRP public value of the target.
    SrpB "SRP_B" "7143" "12.1.2": KeySpec { value: BINARY, ..SECURITY_TARGET };
    /// The SRP proof of the initiator.
    SrpM "SRP_M" "7143" "12.1.2": KeySpec { value: BINARY, ..SECURITY_INITIATOR };
    /// The SRP proof of the target.
    SrpHm "SRP_HM" "7143" "12.1.2": KeySpec { value: BINARY, ..SECURITY_TARGET };

    /// The checksum over headers.
    HeaderDigest "HeaderDigest" "7143" "13.1": KeySpec {
        value: DIGESTS, result: First, default: Some("None"), ..CONNECTION
    };
    /// The checksum over data.
    DataDigest "DataDigest" "7143" "13.1": KeySpec {
        value: DIGESTS, result: First, default: Some("None"), ..CONNECTION
    };
    /// How many connections the session may have.
    MaxConnections "MaxConnections" "7143" "13.2": KeySpec { value: COUNT, default: Some("1"), ..TRANSFER };
    /// The request for target names and addresses.
    SendTargets "SendTargets" "7143" "13.3": KeySpec {
        value: ValueKind::Targets, result: Exchange, initiator: Stages::FULL_FEATURE, ..IDENTITY
    };
    /// The name of the target.
    TargetName "TargetName" "7143" "13.4": KeySpec {
        value: ValueKind::Name, initiator: Stages::LOGIN, target: Stages::FULL_FEATURE, ..IDENTITY
    };
    /// The name of the initiator.
    InitiatorName "InitiatorName" "7143" "13.5": KeySpec {
        value: ValueKind::Name, initiator: Stages::LOGIN, ..IDENTITY
    };
    /// What people call the target.
    TargetAlias "TargetAlias" "7143" "13.6": KeySpec {
        value: ValueKind::LocalName, target: Stages::ALL, ..IDENTITY
    };
    /// What people call the initiator.
    InitiatorAlias "InitiatorAlias" "7143" "13.7": KeySpec {
        value: ValueKind::LocalName, initiator: Stages::ALL, ..IDENTITY
    };
    /// Where the target can be reached.
    TargetAddress "TargetAddress" "7143" "13.8": KeySpec {
        value: ValueKind::Address, target: Stages::ALL, repeatable: true, ..IDENTITY
    };
    /// The portal group that serves the login.
    TargetPortalGroupTag "TargetPortalGroupTag" "7143" "13.9": KeySpec {
        value: ValueKind::Number { min: 0, max: 65535 }, target: Stages::LOGIN, ..IDENTITY
    };
    /// Whether written data waits for an R2T from the start.
    InitialR2T "InitialR2T" "7143" "13.10": KeySpec { result: Or, default: Some("Yes"), ..TRANSFER };
    /// Whether a command may carry written data in its own PDU.
    ImmediateData "ImmediateData" "7143" "13.11": KeySpec { result: And, default: Some("Yes"), ..TRANSFER };
    /// The longest data segment that the sender of the key can receive.
    MaxRecvDataSegmentLength "MaxRecvDataSegmentLength" "7143" "13.12": KeySpec {
        value: SEGMENT,
        result: Declarative,
        default: Some("8192"),
        initiator: Stages::NEGOTIABLE,
        target: Stages::NEGOTIABLE,
        ..CONNECTION
    };
    /// The longest data sequence.
    MaxBurstLength "MaxBurstLength" "7143" "13.13": KeySpec { value: SEGMENT, default: Some("262144"), ..TRANSFER };
    /// How much a command may send unasked.
    FirstBurstLength "FirstBurstLength" "7143" "13.14": KeySpec { value: SEGMENT, default: Some("65536"), ..TRANSFER };
    /// How many seconds to wait before reconnecting.
    DefaultTime2Wait "DefaultTime2Wait" "7143" "13.15": KeySpec {
        value: SECONDS, result: Maximum, default: Some("2"), ..LEADING
    };
    /// For how many seconds after that tasks are kept.
    DefaultTime2Retain "DefaultTime2Retain" "7143" "13.16": KeySpec { value: SECONDS, default: Some("20"), ..LEADING };
    /// How many R2Ts of one task may be open.
    MaxOutstandingR2T "MaxOutstandingR2T" "7143" "13.17": KeySpec { value: COUNT, default: Some("1"), ..TRANSFER };
    /// Whether the PDUs of a sequence come in order.
    DataPduInOrder "DataPDUInOrder" "7143" "13.18": KeySpec { result: Or, default: Some("Yes"), ..TRANSFER };
    /// Whether the sequences of a task come in order.
    DataSequenceInOrder "DataSequenceInOrder" "7143" "13.19": KeySpec { result: Or, default: Some("Yes"), ..TRANSFER };
    /// How much of error recovery is in use.
    ErrorRecoveryLevel "ErrorRecoveryLevel" "7143" "13.20": KeySpec {
        value: ValueKind::Number { min: 0, max: 2 }, default: Some("0"), ..LEADING
    };
    /// Whether the session is for discovery alone.
    SessionType "SessionType" "7143" "13.21": KeySpec {
        value: ValueKind::Choice { known: &["Discovery", "Normal"] },
        default: Some("Normal"),
        initiator: Stages::LOGIN,
        leading_only: true,
        ..IDENTITY
    };
    /// How the target reports the end of tasks.
    TaskReporting "TaskReporting" "7143" "13.23": KeySpec {
        value: ValueKind::List { known: &["RFC3720", "ResponseFence", "FastAbort"] },
        result: First,
        default: Some("RFC3720"),
        may_be_unknown: true,
        ..TRANSFER
    };
    /// Which extensions of the protocol are in use: 1 is RFC 7143, 2 is RFC 7144.
    ProtocolLevel "iSCSIProtocolLevel" "7144" "7.1.1": KeySpec {
        value: ValueKind::Number { min: 0, max: 31 }, default: Some("1"), may_be_unknown: true, ..TRANSFER
    };
    /// What a side is made of, for the log.
    NodeArchitecture "X#NodeArchitecture" "7143" "13.26": KeySpec {
        value: OPEN_LIST, result: Declarative, default: Some("None"), may_be_unknown: true, ..LEADING
    };

    /// Obsolete: markers from initiator to target.
    OfMarker "OFMarker" "7143" "13.25": MARKER;
    /// Obsolete: markers from target to initiator.
    IfMarker "IFMarker" "7143" "13.25": MARKER;
    /// Obsolete: distance of markers from initiator to target.
    OfMarkInt "OFMarkInt" "7143" "13.25": KeySpec { value: ValueKind::Range, ..MARKER };
    /// Obsolete: distance of markers from target to initiator.
    IfMarkInt "IFMarkInt" "7143" "13.25": KeySpec { value: ValueKind::Range, ..MARKER };
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self.spec().name
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.spec().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::spec::{Party, Stage};

    fn names(choose: impl Fn(&KeySpec) -> bool) -> Vec<&'static str> {
        TABLE.iter().filter(|spec| choose(spec)).map(|spec| spec.name).collect()
    }

    #[test]
    fn every_row_is_found_by_name_and_by_key() {
        assert_eq!(TABLE.len(), 45);
        for spec in TABLE {
            assert_eq!(Key::from_name(spec.name), Some(spec.key));
            assert_eq!(spec.key.spec(), spec);
            assert_eq!(spec.key.to_string(), spec.name);
            assert!(spec.section.starts_with("RFC 714"), "{}", spec.section);
        }
    }

    #[test]
    fn r036_key_names_are_case_sensitive() {
        for name in ["initialr2t", "INITIALR2T", "InitialR2t", "InitialR2T ", "", "ISCSIProtocolLevel"] {
            assert_eq!(Key::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn r070_the_security_stage_admits_identity_and_security_keys_only() {
        assert_eq!(
            names(|spec| spec.allowed(Party::Initiator, Stage::Security)),
            [
                "AuthMethod",
                "CHAP_A",
                "CHAP_I",
                "CHAP_C",
                "CHAP_N",
                "CHAP_R",
                "KRB_AP_REQ",
                "SRP_U",
                "TargetAuth",
                "SRP_GROUP",
                "SRP_A",
                "SRP_M",
                "TargetName",
                "InitiatorName",
                "InitiatorAlias",
                "SessionType",
            ]
        );
        assert_eq!(
            names(|spec| spec.allowed(Party::Target, Stage::Security)),
            [
                "AuthMethod",
                "CHAP_A",
                "CHAP_I",
                "CHAP_C",
                "CHAP_N",
                "CHAP_R",
                "KRB_AP_REP",
                "SRP_GROUP",
                "SRP_s",
                "SRP_B",
                "SRP_HM",
                "TargetAlias",
                "TargetAddress",
                "TargetPortalGroupTag",
            ]
        );
    }

    #[test]
    fn r070_few_keys_are_left_after_login() {
        assert_eq!(
            names(|spec| spec.allowed(Party::Initiator, Stage::FullFeature)),
            ["SendTargets", "InitiatorAlias", "MaxRecvDataSegmentLength"]
        );
        assert_eq!(
            names(|spec| spec.allowed(Party::Target, Stage::FullFeature)),
            ["TargetName", "TargetAlias", "TargetAddress", "MaxRecvDataSegmentLength"]
        );
    }

    #[test]
    fn r070_some_keys_have_one_sender() {
        assert_eq!(
            names(|spec| spec.target.is_empty() && spec.scope == Scope::Session),
            ["SendTargets", "InitiatorName", "InitiatorAlias", "SessionType"]
        );
        assert_eq!(
            names(|spec| spec.initiator.is_empty() && spec.scope == Scope::Session),
            ["TargetAlias", "TargetAddress", "TargetPortalGroupTag"]
        );
    }

    #[test]
    fn r071_leading_only_keys() {
        assert_eq!(
            names(|spec| spec.leading_only),
            [
                "MaxConnections",
                "InitialR2T",
                "ImmediateData",
                "MaxBurstLength",
                "FirstBurstLength",
                "DefaultTime2Wait",
                "DefaultTime2Retain",
                "MaxOutstandingR2T",
                "DataPDUInOrder",
                "DataSequenceInOrder",
                "ErrorRecoveryLevel",
                "SessionType",
                "TaskReporting",
                "iSCSIProtocolLevel",
                "X#NodeArchitecture",
            ]
        );
    }

    #[test]
    fn r075_keys_without_meaning_in_discovery() {
        assert_eq!(
            names(|spec| spec.irrelevant_in_discovery),
            [
                "MaxConnections",
                "InitialR2T",
                "ImmediateData",
                "MaxBurstLength",
                "FirstBurstLength",
                "MaxOutstandingR2T",
                "DataPDUInOrder",
                "DataSequenceInOrder",
                "TaskReporting",
                "iSCSIProtocolLevel",
            ]
        );
    }

    #[test]
    fn result_functions_are_those_of_the_standard() {
        let by = |result| names(|spec| spec.result == result);
        assert_eq!(
            by(ResultFunction::Minimum),
            [
                "MaxConnections",
                "MaxBurstLength",
                "FirstBurstLength",
                "DefaultTime2Retain",
                "MaxOutstandingR2T",
                "ErrorRecoveryLevel",
                "iSCSIProtocolLevel",
            ]
        );
        assert_eq!(by(ResultFunction::Maximum), ["DefaultTime2Wait"]);
        assert_eq!(by(ResultFunction::And), ["ImmediateData"]);
        assert_eq!(by(ResultFunction::Or), ["InitialR2T", "DataPDUInOrder", "DataSequenceInOrder"]);
        assert_eq!(
            by(ResultFunction::First),
            ["AuthMethod", "CHAP_A", "SRP_GROUP", "HeaderDigest", "DataDigest", "TaskReporting"]
        );
        assert_eq!(by(ResultFunction::Obsolete), ["OFMarker", "IFMarker", "OFMarkInt", "IFMarkInt"]);
    }

    #[test]
    fn only_addresses_repeat() {
        assert_eq!(names(|spec| spec.repeatable), ["TargetAddress"]);
    }

    #[test]
    fn r044_simple_values_have_255_bytes() {
        assert_eq!(Key::InitialR2T.spec().max_value_len(), Some(255));
        assert_eq!(Key::NodeArchitecture.spec().max_value_len(), Some(255));
        assert_eq!(Key::ChapC.spec().max_value_len(), Some(2050));
        assert_eq!(Key::AuthMethod.spec().max_value_len(), None);
    }
}
