//! Byte streams cut into PDUs: every split, every digest, and limits before memory (RFC 7143, section 11.2).

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use bytes::{Bytes, BytesMut};
use iscsi_proto::digest;
use iscsi_proto::framer::{Frame, FrameError, FrameLimits, Framer, Framing, Layout, encode_frame};
use iscsi_proto::pdu::{BHS_LEN, Header, MAX_DATA_SEGMENT, Opcode, padding};
use proptest::prelude::*;

const DIGESTS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

fn limits(header_digest: bool, data_digest: bool) -> FrameLimits {
    FrameLimits { max_data: 8192, allow_ahs: true, header_digest, data_digest }
}

fn frame(opcode: Opcode, ahs: &[u8], data: &[u8]) -> Frame {
    let mut header = Header::new(opcode).with_ahs_len(ahs.len()).with_data_len(data.len() as u32);
    header.0[19] = 7;
    Frame { header, ahs: Bytes::copy_from_slice(ahs), data: Bytes::copy_from_slice(data) }
}

fn wire(frames: &[Frame], (header_digest, data_digest): (bool, bool)) -> BytesMut {
    let mut out = BytesMut::new();
    for frame in frames {
        encode_frame(frame.header, &frame.ahs, &frame.data, header_digest, data_digest, &mut out);
    }
    out
}

/// PDUs without data and with each count of padding, one with AHS.
fn stream() -> Vec<Frame> {
    vec![
        frame(Opcode::NopIn, &[], &[]),
        frame(Opcode::TextResponse, &[], b"a"),
        frame(Opcode::ScsiCommand, &[0xa5; 20], b"ab"),
        frame(Opcode::DataIn, &[], b"abc"),
        frame(Opcode::DataIn, &[], b"abcd"),
        frame(Opcode::ScsiCommand, &[0x5a; 4], &[]),
        frame(Opcode::Reject, &[], &[0xff; 48]),
    ]
}

fn drain(framer: &mut Framer, into: &mut Vec<Frame>) -> Result<(), FrameError> {
    while let Some(frame) = framer.next_frame()? {
        into.push(frame);
    }
    Ok(())
}

fn one(limits: FrameLimits, bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    let mut framer = Framer::new(limits);
    framer.feed(bytes);
    framer.next_frame()
}

#[test]
fn r020_every_split_of_a_stream_gives_the_same_frames() {
    let expected = stream();
    for digests in DIGESTS {
        let bytes = wire(&expected, digests);
        for cut in 0..=bytes.len() {
            let (mut framer, mut frames) = (Framer::new(limits(digests.0, digests.1)), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                framer.feed(part);
                drain(&mut framer, &mut frames).unwrap();
            }
            assert_eq!(frames, expected, "{digests:?}, cut at {cut}");
            assert!(framer.buffered().is_empty());
        }
    }
}

#[test]
fn r020_a_stream_may_come_byte_by_byte() {
    let expected = stream();
    for digests in DIGESTS {
        let (mut framer, mut frames) = (Framer::new(limits(digests.0, digests.1)), Vec::new());
        for byte in wire(&expected, digests) {
            framer.feed(&[byte]);
            drain(&mut framer, &mut frames).unwrap();
        }
        assert_eq!(frames, expected, "{digests:?}");
    }
}

#[test]
fn r008_r009_data_is_padded_with_zeros_to_four_bytes() {
    for (len, pad) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3)] {
        let bytes = wire(&[frame(Opcode::DataIn, &[], &vec![0xff; len])], (false, false));
        assert_eq!((bytes.len(), padding(len)), (BHS_LEN + len + pad, pad));
        assert_eq!(bytes[BHS_LEN + len..], vec![0; pad]);
        let layout = Layout { ahs: 0, head: BHS_LEN, data: len, tail: pad };
        let (_, found) = Framing::new(limits(false, false)).head(&bytes).unwrap().unwrap();
        assert_eq!((found, found.total()), (layout, bytes.len()));
    }
}

#[test]
fn r008_padding_of_any_content_is_skipped() {
    let expected = [frame(Opcode::DataIn, &[], b"a"), frame(Opcode::NopIn, &[], &[])];
    let mut bytes = wire(&expected, (false, false));
    bytes[BHS_LEN + 1..BHS_LEN + 4].fill(0xee);
    let (mut framer, mut frames) = (Framer::new(limits(false, false)), Vec::new());
    framer.feed(&bytes);
    drain(&mut framer, &mut frames).unwrap();
    assert_eq!(frames, expected);
}

#[test]
fn r010_r028_a_pdu_without_data_has_no_data_digest() {
    let empty = frame(Opcode::DataIn, &[], &[]);
    for (digests, len) in DIGESTS.into_iter().zip([48, 48, 52, 52]) {
        let bytes = wire(std::slice::from_ref(&empty), digests);
        assert_eq!(bytes.len(), len);
        assert_eq!(one(limits(digests.0, digests.1), &bytes), Ok(Some(empty.clone())));
    }
}

#[test]
fn r024_r026_the_header_digest_covers_header_and_ahs() {
    let mut header = Header::new(Opcode::ScsiCommand);
    header.0[1] = 0xc0;
    header.0[16..32].copy_from_slice(&[0x14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18]);
    header.0[32] = 0x28;
    header.0[40] = 0x02;
    let mut bytes = BytesMut::new();
    encode_frame(header, &[], &[], true, true, &mut bytes);
    assert_eq!(bytes[BHS_LEN..], [0x56, 0x3a, 0x96, 0xd9]);
    let bytes = wire(&[frame(Opcode::ScsiCommand, &[1; 8], b"ab")], (true, false));
    assert_eq!(bytes[BHS_LEN + 8..BHS_LEN + 12], digest::wire(&bytes[..BHS_LEN + 8]));
}

#[test]
fn r024_r027_the_data_digest_covers_data_and_padding() {
    let bytes = wire(&[frame(Opcode::DataIn, &[], &[0; 32])], (false, true));
    assert_eq!(bytes[BHS_LEN + 32..], [0xaa, 0x36, 0x91, 0x8a]);
    let mut bytes = wire(&[frame(Opcode::DataIn, &[], b"a")], (false, true));
    assert_eq!(bytes[BHS_LEN + 4..], digest::wire(b"a\0\0\0"));
    bytes[BHS_LEN + 3] = 1;
    assert!(matches!(one(limits(false, true), &bytes), Err(FrameError::DataDigest { .. })));
    bytes[BHS_LEN + 4..].copy_from_slice(&digest::wire(b"a\0\0\x01"));
    assert_eq!(one(limits(false, true), &bytes).unwrap().unwrap().data, "a");
}

#[test]
fn r029_a_flipped_bit_in_the_head_is_a_header_digest_error() {
    let bytes = wire(&[frame(Opcode::ScsiCommand, &[3; 4], b"abc")], (true, false));
    let plain = wire(&[frame(Opcode::DataIn, &[], b"abc")], (true, false));
    for (bytes, head, allow_ahs) in [(&bytes, BHS_LEN + 8, true), (&plain, BHS_LEN + 4, false)] {
        let limits = FrameLimits { allow_ahs, ..limits(true, false) };
        for (at, bit) in (0..head).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            match one(limits, &bad) {
                Err(FrameError::HeaderDigest { received, computed }) => assert_ne!(received, computed),
                // Only TotalAHSLength tells where the digest is, so a greater one means waiting for more.
                other => assert!(allow_ahs && at == 4 && other == Ok(None), "byte {at}, bit {bit}: {other:?}"),
            }
        }
    }
}

#[test]
fn r029_the_length_of_the_data_is_not_believed_before_the_header_digest() {
    let header = Header::new(Opcode::DataIn).with_data_len(MAX_DATA_SEGMENT);
    let mut bytes = header.0.to_vec();
    let mut framer = Framer::new(limits(true, true));
    framer.feed(&bytes);
    assert_eq!(framer.next_frame(), Ok(None));
    assert!(framer.buffer().capacity() < 1024);
    framer.feed(&[0; 4]);
    let error = framer.next_frame();
    assert_eq!(error, Err(FrameError::HeaderDigest { received: 0, computed: digest::crc32c(&bytes) }));
    bytes.extend_from_slice(&digest::wire(&bytes));
    assert_eq!(one(limits(true, true), &bytes), Err(FrameError::DataTooLong { len: MAX_DATA_SEGMENT, limit: 8192 }));
}

#[test]
fn r030_r031_a_flipped_bit_in_the_data_is_a_data_digest_error_and_names_the_pdu() {
    for header_digest in [false, true] {
        let sent = frame(Opcode::DataIn, &[], b"abcde");
        let bytes = wire(&[sent.clone(), frame(Opcode::NopIn, &[], &[])], (header_digest, true));
        let start = if header_digest { BHS_LEN + 4 } else { BHS_LEN };
        for (at, bit) in (start..start + 12).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let error = one(limits(header_digest, true), &bad).unwrap_err();
            let FrameError::DataDigest { received, computed, header } = error else { panic!("{error}") };
            assert_eq!(header, sent.header);
            assert_ne!(received, computed);
        }
    }
}

#[test]
fn r007_a_data_segment_over_the_limit_is_refused_before_memory_is_reserved() {
    for len in [8193, 1 << 20, MAX_DATA_SEGMENT] {
        let mut framer = Framer::new(FrameLimits::LOGIN);
        framer.feed(Header::new(Opcode::LoginResponse).with_data_len(len).as_bytes());
        assert_eq!(framer.next_frame(), Err(FrameError::DataTooLong { len, limit: 8192 }));
        assert!(framer.buffer().capacity() < 1024, "{len}");
    }
}

#[test]
fn r007_a_data_segment_at_the_limit_is_reserved_once() {
    let mut framer = Framer::new(FrameLimits::LOGIN);
    framer.feed(Header::new(Opcode::LoginResponse).with_data_len(8192).as_bytes());
    assert_eq!(framer.next_frame(), Ok(None));
    let reserved = framer.buffer().capacity();
    assert!((BHS_LEN + 8192..2 * 8192).contains(&reserved), "{reserved}");
    framer.feed(&[1; 8192]);
    assert_eq!(framer.buffer().capacity(), reserved);
    assert_eq!(framer.next_frame().unwrap().unwrap().data, [1; 8192][..]);
}

#[test]
fn r006_ahs_follow_scsi_commands_only_and_only_where_allowed() {
    for opcode in Opcode::ALL {
        let bytes = wire(&[frame(opcode, &[9; 1020], b"x")], (false, false));
        let refusing = FrameLimits { allow_ahs: false, ..limits(false, false) };
        assert_eq!(one(refusing, &bytes), Err(FrameError::UnexpectedAhs), "{opcode:?}");
        let allowed = one(limits(false, false), &bytes);
        if opcode == Opcode::ScsiCommand {
            assert_eq!(allowed.unwrap().unwrap().ahs, [9; 1020][..]);
        } else {
            assert_eq!(allowed, Err(FrameError::UnexpectedAhs), "{opcode:?}");
        }
    }
    let announced = Header::new(Opcode::R2t).with_ahs_len(1020);
    assert_eq!(one(limits(false, false), &announced.0), Err(FrameError::UnexpectedAhs));
    assert_eq!(one(FrameLimits::LOGIN, &announced.0), Err(FrameError::UnexpectedAhs));
    let digested = [announced.0.as_slice(), &digest::wire(&announced.0)].concat();
    let refusing = FrameLimits { allow_ahs: false, ..limits(true, true) };
    assert_eq!(one(refusing, &digested), Err(FrameError::UnexpectedAhs));
    let mut unassigned = Header::new(Opcode::NopIn).with_ahs_len(4);
    unassigned.0[0] = 0x1c;
    assert_eq!(one(limits(false, false), &unassigned.0), Err(FrameError::UnexpectedAhs));
}

#[test]
fn r025_digests_start_with_the_pdu_after_login() {
    let (login, first) = (frame(Opcode::LoginResponse, &[], b"abc"), frame(Opcode::NopIn, &[], b"abc"));
    let mut bytes = wire(std::slice::from_ref(&login), (false, false));
    bytes.extend_from_slice(&wire(std::slice::from_ref(&first), (true, true)));
    let mut framer = Framer::new(FrameLimits::LOGIN);
    framer.feed(&bytes);
    assert_eq!(framer.next_frame(), Ok(Some(login)));
    framer.set_limits(limits(true, true));
    assert_eq!(framer.next_frame(), Ok(Some(first)));
    assert_eq!(framer.next_frame(), Ok(None));
}

/// A header of arbitrary content, AHS where its opcode may have them, and data.
fn frames() -> impl Strategy<Value = Frame> {
    let opcode = prop::sample::select(Opcode::ALL.to_vec());
    let ahs = prop::collection::vec(any::<[u8; 4]>(), 0..9).prop_map(|words| words.concat());
    (any::<[u8; 32]>(), any::<[u8; 16]>(), opcode, ahs, prop::collection::vec(any::<u8>(), 0..70)).prop_map(
        |(head, tail, opcode, ahs, data)| {
            let ahs = if opcode == Opcode::ScsiCommand { ahs } else { Vec::new() };
            let mut header = Header([head.as_slice(), &tail].concat().try_into().unwrap());
            header.0[0] = opcode as u8 | header.0[0] & 0xc0;
            let header = header.with_ahs_len(ahs.len()).with_data_len(data.len() as u32);
            Frame { header, ahs: ahs.into(), data: data.into() }
        },
    )
}

proptest! {
    #[test]
    fn r001_frames_round_trip_in_any_pieces(
        expected in prop::collection::vec(frames(), 1..5), digests: (bool, bool), piece in 1..200usize,
    ) {
        let (mut framer, mut frames) = (Framer::new(limits(digests.0, digests.1)), Vec::new());
        for part in wire(&expected, digests).chunks(piece) {
            framer.feed(part);
            drain(&mut framer, &mut frames).unwrap();
        }
        prop_assert_eq!(frames, expected);
    }

    #[test]
    fn r022_arbitrary_bytes_never_panic_nor_reserve_beyond_the_limits(
        bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..600),
        digests: (bool, bool), allow_ahs: bool, max_data in 0..300u32,
    ) {
        let mut framer = Framer::new(FrameLimits { max_data, allow_ahs, ..limits(digests.0, digests.1) });
        framer.feed(&bytes);
        while let Ok(Some(frame)) = framer.next_frame() {
            prop_assert!(frame.data.len() as u32 == frame.header.data_len() && frame.header.data_len() <= max_data);
            prop_assert!(frame.ahs.len() == frame.header.ahs_len() && (allow_ahs || frame.ahs.is_empty()));
        }
        prop_assert!(framer.buffer().capacity() <= 4096);
    }
}
