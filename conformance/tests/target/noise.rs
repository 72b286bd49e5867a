//! Peers that make no sense. Nothing that they send may make the target panic, hang, or break its own rules, which
//! [`Peer::answers`] checks of every PDU.

use conformance::target::config::LunConfig;
use iscsi_proto::pdu::{Header, Opcode, ScsiCommand};
use iscsi_proto::scsi::{Cdb, Status};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::peer::{BLOCK, Peer, node, node_with};

const REQUESTS: [Opcode; 8] = [
    Opcode::NopOut,
    Opcode::ScsiCommand,
    Opcode::TaskRequest,
    Opcode::LoginRequest,
    Opcode::TextRequest,
    Opcode::DataOut,
    Opcode::LogoutRequest,
    Opcode::Snack,
];

/// A header whose fields are likely to mean something: small numbers in most places.
fn header() -> impl Strategy<Value = Header> {
    let field = prop_oneof![4 => Just(0u8), 2 => 0..4u8, 1 => any::<u8>()];
    (prop::sample::select(&REQUESTS[..]), any::<bool>(), any::<u8>(), vec(field, 48)).prop_map(
        |(opcode, immediate, flags, fields)| {
            let mut header = Header::new(opcode);
            for (to, from) in header.0[2..].iter_mut().zip(fields) {
                *to = from;
            }
            header.0[0] |= if immediate { 0x40 } else { 0 };
            header.0[1] = flags;
            header.with_ahs_len(0).with_data_len(0)
        },
    )
}

/// CDBs of all operation codes that the target looks at, with small numbers in them.
fn cdb() -> impl Strategy<Value = [u8; 16]> {
    let opcodes = vec![
        0x00u8, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x35, 0x41, 0x42, 0x55, 0x5a,
        0x5e, 0x5f, 0x88, 0x89, 0x8a, 0x8e, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xae, 0xaf, 0x7f, 0xc0,
    ];
    let field = prop_oneof![4 => Just(0u8), 2 => 0..9u8, 1 => any::<u8>()];
    (prop::sample::select(opcodes), vec(field, 15)).prop_map(|(opcode, fields)| {
        let mut cdb = [opcode; 16];
        cdb[1..].copy_from_slice(&fields);
        cdb
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bytes_before_login_do_no_harm(bytes in vec(any::<u8>(), 0..300), login: bool) {
        let mut peer = Peer::new(&node());
        let bytes = if login { [&Header::new(Opcode::LoginRequest).0[..], &bytes].concat() } else { bytes };
        let used = peer.connection.receive(&bytes);
        prop_assert!(used <= bytes.len() && peer.connection.wanted(&bytes[used..]) > 0);
        peer.answers();
    }

    #[test]
    fn login_text_of_any_kind_does_no_harm(text in vec("[A-Z][A-Za-z]{0,12}=[A-Za-z0-9,~:.-]{0,20}", 0..8), stage in 0..16u8) {
        let mut peer = Peer::new(&node());
        let mut header = Header::new(Opcode::LoginRequest);
        header.0[1] = stage << 4 | stage;
        let names = format!("InitiatorName={}\0TargetName={}\0", crate::peer::INITIATOR, crate::peer::TARGET);
        let text = names + &text.join("\0");
        let mut bytes = header.with_data_len(text.len() as u32).0.to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        for _ in 0..3 {
            peer.connection.receive(&bytes);
            peer.answers();
        }
    }

    #[test]
    fn requests_of_any_kind_do_no_harm(requests in vec((header(), vec(any::<u8>(), 0..600)), 1..30)) {
        let node = node_with(|target| target.luns = vec![LunConfig::memory(1 << 16).thin(), LunConfig::null(1 << 40)]);
        let mut peer = Peer::logged_in(&node, &[("InitialR2T", "No")]);
        for (mut header, data) in requests {
            // Numbers near the window, so that some requests get through.
            let near = peer.cmd_sn.add(u32::from(header.0[27] & 1)).0.to_be_bytes();
            header.0[24..28].copy_from_slice(&near);
            let bytes = peer.encode_raw(header, &data);
            peer.connection.receive(&bytes);
            peer.answers();
            peer.cmd_sn = peer.exp_cmd_sn;
        }
    }

    #[test]
    fn commands_of_any_kind_are_answered_and_leave_the_unit_usable(
        commands in vec((cdb(), 0..5000usize, any::<bool>(), vec(any::<u8>(), 0..200)), 1..20),
    ) {
        let node = node_with(|target| target.luns = vec![LunConfig::memory(1 << 16).thin()]);
        let mut peer = Peer::logged_in(&node, &[]);
        for (cdb, len, write, data) in commands {
            let cdb = Cdb::from_bytes(&cdb).unwrap();
            let done = if write {
                let data: Vec<u8> = data.iter().copied().cycle().take(if data.is_empty() { 0 } else { len }).collect();
                peer.write(cdb, &data, len / 2)
            } else {
                peer.read(cdb, len)
            };
            prop_assert_eq!(done.status == Status::CHECK_CONDITION, done.sense.is_some());
            prop_assert!(done.data.len() <= len);
        }
        prop_assert_eq!(peer.max_cmd_sn.distance_from(peer.exp_cmd_sn), 127, "a task was left behind");
        let status = peer.read(Cdb::read(0, 1), BLOCK).status;
        prop_assert!(matches!(status, Status::GOOD | Status::RESERVATION_CONFLICT));
    }

    #[test]
    fn a_flipped_bit_does_no_harm(at in 0..560usize, bit in 0..8u8, digests: bool) {
        let list = if digests { "CRC32C" } else { "None" };
        let mut peer = Peer::logged_in(&node(), &[("HeaderDigest", list), ("DataDigest", list)]);
        peer.use_digests(digests, digests);
        let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
        let mut bytes = peer.encode(command, &[], &[1; BLOCK]);
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1 << bit;
        peer.connection.receive(&bytes);
        let answers = peer.answers();
        if digests {
            prop_assert!(answers.iter().all(|answer| !matches!(answer.pdu, iscsi_proto::pdu::Pdu::ScsiResponse(_))));
        }
    }
}
