//! All 18 PDUs: their bytes, their reserved bits, and the way there and back (RFC 7143, section 11).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod golden;
mod layout;

use iscsi_proto::pdu::{
    Ahs, BHS_LEN, DataIn, Header, LoginRequest, NopIn, Opcode, Pdu, PduError, ScsiCommand, parse_ahs,
};
use proptest::prelude::*;

fn from_hex(text: &str) -> Header {
    let digits = text.replace(' ', "");
    Header(std::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()))
}

fn combine(a: [u8; BHS_LEN], b: [u8; BHS_LEN], with: impl Fn(u8, u8) -> u8) -> [u8; BHS_LEN] {
    std::array::from_fn(|at| with(a[at], b[at]))
}

/// A header of `opcode` with legal codes and arbitrary bits everywhere else.
fn arbitrary(opcode: Opcode, head: [u8; 16], tail: [u8; 32], pick: prop::sample::Index) -> Header {
    let mut header = Header([head.as_slice(), &tail].concat().try_into().unwrap());
    header.0[0] = header.0[0] & 0xc0 | opcode as u8;
    for ((at, mask), codes) in layout::codes(opcode) {
        header.0[at] = header.0[at] & !mask | codes[pick.index(codes.len())];
    }
    layout::settle(&mut header);
    header
}

#[test]
fn r001_every_pdu_has_the_bytes_of_the_standard() {
    let golden = golden::all();
    let opcodes: Vec<_> = golden.iter().map(|(pdu, _)| pdu.encode().opcode()).collect();
    assert_eq!(opcodes, Opcode::ALL.map(Ok));
    for (pdu, text) in golden {
        assert_eq!(pdu.encode(), from_hex(text), "{pdu:?}");
        assert_eq!(Pdu::parse(&from_hex(text)), Ok(pdu));
    }
}

#[test]
fn r004_reserved_codes_are_refused_in_every_field_and_all_others_accepted() {
    for (pdu, text) in golden::all() {
        let opcode = pdu.encode().opcode().unwrap();
        for ((at, mask), legal) in layout::codes(opcode) {
            for code in (0..=255u8).filter(|code| code & !mask == 0) {
                let mut header = from_hex(text);
                header.0[at] = header.0[at] & !mask | code;
                let parsed = Pdu::parse(&header);
                if legal.contains(&code) {
                    assert!(parsed.is_ok(), "{opcode:?}, byte {at} holds {code:#x}");
                } else {
                    assert!(matches!(parsed, Err(PduError::ReservedValue { .. })), "{opcode:?}, {code:#x}: {parsed:?}");
                }
            }
        }
    }
}

#[test]
fn r005_unassigned_opcodes_are_refused() {
    for code in 0..=0x3f {
        let mut header = Header::new(Opcode::NopOut);
        header.0[0] = code;
        match Opcode::from_code(code) {
            None => assert_eq!(Pdu::parse(&header), Err(PduError::UnassignedOpcode(code))),
            Some(_) => assert_ne!(Pdu::parse(&header), Err(PduError::UnassignedOpcode(code))),
        }
    }
}

#[test]
fn r005_a_pdu_does_not_parse_as_another() {
    let found = Ok(Opcode::DataOut);
    let header = Header::new(Opcode::DataOut);
    assert_eq!(NopIn::parse(&header), Err(PduError::Opcode { expected: Opcode::NopIn, found }));
    let mut header = header;
    header.0[0] = 0x1c;
    let expected = Opcode::ScsiCommand;
    assert_eq!(ScsiCommand::parse(&header), Err(PduError::Opcode { expected, found: Err(0x1c) }));
}

#[test]
fn r014_r254_some_pdus_carry_no_data() {
    let refusing: Vec<_> = golden::all()
        .into_iter()
        .filter(|(_, text)| Pdu::parse(&from_hex(text).with_data_len(1)).is_err())
        .map(|(pdu, _)| pdu.encode().opcode().unwrap())
        .collect();
    assert_eq!(
        refusing,
        [
            Opcode::TaskRequest,
            Opcode::LogoutRequest,
            Opcode::Snack,
            Opcode::NopIn,
            Opcode::TaskResponse,
            Opcode::LogoutResponse,
            Opcode::R2t,
        ]
    );
}

#[test]
fn r039_r040_no_text_both_continues_and_ends_its_stage() {
    for opcode in [Opcode::LoginRequest, Opcode::LoginResponse, Opcode::TextRequest, Opcode::TextResponse] {
        for (flags, legal) in [(0x00, true), (0x40, true), (0x80, true), (0xc0, false)] {
            let mut header = Header::new(opcode);
            header.0[1] = flags;
            let parsed = Pdu::parse(&header);
            assert_eq!(parsed.is_ok(), legal, "{opcode:?}, {flags:#x}");
            assert!(legal || matches!(parsed, Err(PduError::Inconsistent { .. })), "{parsed:?}");
        }
    }
}

#[test]
fn r082_a_login_request_is_immediate_whatever_its_bit_says() {
    let mut header = Header::new(Opcode::LoginRequest);
    let request = LoginRequest::parse(&header).unwrap();
    header.0[0] |= 0x40;
    assert_eq!(LoginRequest::parse(&header), Ok(request.clone()));
    assert!(request.encode().immediate());
}

#[test]
fn r010_data_in_without_data_is_legal() {
    for flags in [0x00, 0x80] {
        let mut header = Header::new(Opcode::DataIn);
        header.0[1] = flags;
        assert!(DataIn::parse(&header).is_ok());
    }
}

proptest! {
    /// Every bit of a header is reserved, constant, or kept: so no field is lost, and none read from the wrong place.
    #[test]
    fn r001_r002_every_bit_that_means_something_survives(head: [u8; 16], tail: [u8; 32], pick: prop::sample::Index) {
        for opcode in Opcode::ALL {
            let header = arbitrary(opcode, head, tail, pick);
            let pdu = Pdu::parse(&header).map_err(|error| TestCaseError::fail(format!("{header:?}: {error}")))?;
            let kept = combine(header.0, layout::reserved(&header), |byte, reserved| byte & !reserved);
            let sent = combine(kept, layout::fixed(opcode), |byte, fixed| byte | fixed);
            prop_assert_eq!(pdu.encode(), Header(sent));
            prop_assert_eq!(Pdu::parse(&Header(sent)), Ok(pdu));
        }
    }

    #[test]
    fn r003_reserved_bits_are_ignored(head: [u8; 16], tail: [u8; 32], pick: prop::sample::Index) {
        for opcode in Opcode::ALL {
            let header = arbitrary(opcode, head, tail, pick);
            let reserved = layout::reserved(&header);
            let clear = Header(combine(header.0, reserved, |byte, reserved| byte & !reserved));
            let set = Header(combine(header.0, reserved, |byte, reserved| byte | reserved));
            prop_assert!(Pdu::parse(&clear).is_ok(), "{clear:?}");
            prop_assert_eq!(Pdu::parse(&set), Pdu::parse(&clear));
        }
    }

    #[test]
    fn r298_arbitrary_headers_parse_to_something_stable_or_fail(head: [u8; 16], tail: [u8; 32]) {
        let bytes: [u8; BHS_LEN] = [head.as_slice(), &tail].concat().try_into().unwrap();
        for opcode in Opcode::ALL {
            let mut header = Header(bytes);
            header.0[0] = opcode as u8;
            for header in [Header(bytes), header] {
                if let Ok(pdu) = Pdu::parse(&header) {
                    prop_assert_eq!(Pdu::parse(&pdu.encode()), Ok(pdu));
                }
            }
        }
    }

    #[test]
    fn r012_r013_ahs_survive_a_frame(cdb in prop::collection::vec(any::<u8>(), 1..240), length: u32) {
        let all = vec![Ahs::ExtendedCdb(cdb), Ahs::BidiReadLength(length)];
        let mut bytes = Vec::new();
        for ahs in &all {
            ahs.encode_to(&mut bytes);
        }
        let header = Header::new(Opcode::ScsiCommand).with_ahs_len(bytes.len());
        prop_assert_eq!(header.ahs_len(), bytes.len());
        prop_assert_eq!(parse_ahs(&bytes), Ok(all));
    }
}
