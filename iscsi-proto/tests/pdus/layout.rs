//! What each bit of each header means, written down from the tables of section 11.

use iscsi_proto::pdu::{BHS_LEN, Header, Opcode};

/// Some bits of one byte.
pub(crate) type Bits = (usize, u8);

const ALL: u32 = u32::MAX;

/// The opcodes whose first bit of byte 1 says something; all others always set it.
const F_BIT_VARIES: [Opcode; 6] = [
    Opcode::ScsiCommand,
    Opcode::TextRequest,
    Opcode::DataOut,
    Opcode::LoginResponse,
    Opcode::TextResponse,
    Opcode::DataIn,
];

/// Bits that mean nothing in any PDU of `opcode`.
const fn reserved_always(opcode: Opcode) -> [u32; 12] {
    match opcode {
        Opcode::NopOut => [0x807f_ffff, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL, ALL],
        Opcode::ScsiCommand => [0x8018_0fff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Opcode::TaskRequest => [0x8000_ffff, 0, 0, 0, 0, 0, 0, 0, 0, 0, ALL, ALL],
        Opcode::LoginRequest => [0x8030_0000, 0, 0, 0, 0, 0x0000_ffff, 0, 0, ALL, ALL, ALL, ALL],
        Opcode::TextRequest => [0x803f_ffff, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL, ALL],
        Opcode::DataOut => [0xc07f_ffff, 0, 0, 0, 0, 0, ALL, 0, ALL, 0, 0, ALL],
        Opcode::LogoutRequest => [0x8000_ffff, 0, ALL, ALL, 0, 0x0000_ffff, 0, 0, ALL, ALL, ALL, ALL],
        Opcode::Snack => [0xc070_ffff, 0, 0, 0, 0, 0, ALL, 0, ALL, ALL, 0, 0],
        Opcode::NopIn => [0xc07f_ffff, 0, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL],
        Opcode::ScsiResponse => [0xc061_0000, 0, 0x0000_ffff, ALL, 0, 0, 0, 0, 0, 0, 0, 0],
        Opcode::TaskResponse => [0xc07f_00ff, 0, 0x0000_00ff, ALL, 0, ALL, 0, 0, 0, ALL, ALL, ALL],
        Opcode::LoginResponse => [0xc030_0000, 0, 0, 0, 0, ALL, 0, 0, 0, 0x0000_ffff, ALL, ALL],
        Opcode::TextResponse => [0xc03f_ffff, 0, 0, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL],
        Opcode::DataIn => [0xc038_ff00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Opcode::LogoutResponse => [0xc07f_00ff, 0, ALL, ALL, 0, ALL, 0, 0, 0, ALL, 0, ALL],
        Opcode::R2t => [0xc07f_ffff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Opcode::AsyncMessage => [0xc07f_ffff, 0, 0, 0, 0, ALL, 0, 0, 0, 0, 0, ALL],
        Opcode::Reject => [0xc07f_00ff, 0, ALL, ALL, 0, ALL, 0, 0, 0, 0, ALL, ALL],
    }
}

/// Bits that mean nothing because of what other bits of the same header say: the first byte of a word, and a mask.
fn reserved_here(header: &Header) -> Vec<(usize, u32)> {
    let Header(bytes) = header;
    let flags = |mask| bytes[1] & mask != 0;
    match header.opcode().unwrap() {
        Opcode::LoginResponse if bytes[36] != 0 => vec![(0, 0x008f_0000)],
        Opcode::LoginRequest | Opcode::LoginResponse if !flags(0x80) => vec![(0, 0x0003_0000)],
        Opcode::DataIn if !flags(0x01) => vec![(0, 0x0006_00ff), (44, ALL)],
        Opcode::DataIn if !flags(0x06) => vec![(44, ALL)],
        Opcode::ScsiResponse if bytes[2] != 0 => vec![(0, 0x001e_0000), (40, ALL), (44, ALL)],
        Opcode::ScsiResponse => {
            let counts = [(0x18, (40, ALL)), (0x06, (44, ALL))].into_iter();
            counts.filter(|(mask, _)| !flags(*mask)).map(|(_, count)| count).collect()
        }
        Opcode::AsyncMessage => match bytes[36] {
            0 | 5 => vec![(36, 0x00ff_ffff), (40, ALL)],
            1 | 4 => vec![(36, 0x00ff_ffff), (40, 0xffff_0000)],
            2 => vec![(36, 0x00ff_0000)],
            3 => vec![(36, 0x00ff_ffff)],
            _ => vec![],
        },
        _ => vec![],
    }
}

/// All bits of `header` that mean nothing.
pub(crate) fn reserved(header: &Header) -> [u8; BHS_LEN] {
    let mut words = reserved_always(header.opcode().unwrap());
    for (at, mask) in reserved_here(header) {
        words[at / 4] |= mask;
    }
    std::array::from_fn(|at| words[at / 4].to_be_bytes()[at % 4])
}

/// Bits that a sender always sets.
pub(crate) fn fixed(opcode: Opcode) -> [u8; BHS_LEN] {
    let mut mask = [0; BHS_LEN];
    match opcode {
        Opcode::LoginRequest => mask[0] = 0x40,
        _ if F_BIT_VARIES.contains(&opcode) => {}
        _ => mask[1] = 0x80,
    }
    if matches!(opcode, Opcode::AsyncMessage | Opcode::Reject) {
        mask[16..20].fill(0xff);
    }
    mask
}

/// The fields that hold one of a few codes, and the codes in their place.
pub(crate) fn codes(opcode: Opcode) -> Vec<(Bits, Vec<u8>)> {
    let stages = [((1, 0x0c), vec![0, 4, 12]), ((1, 0x03), vec![0, 1, 3])];
    match opcode {
        Opcode::ScsiCommand => vec![((1, 0x07), (0..=4).collect())],
        Opcode::TaskRequest => vec![((1, 0x7f), (1..=12).collect())],
        Opcode::LoginRequest | Opcode::LoginResponse => stages.into(),
        Opcode::LogoutRequest => vec![((1, 0x7f), (0..=2).collect())],
        Opcode::Snack => vec![((1, 0x0f), (0..=3).collect())],
        Opcode::ScsiResponse => vec![((2, 0xff), [0, 1].into_iter().chain(0x80..=0xff).collect())],
        Opcode::TaskResponse => vec![((2, 0xff), (0..=7).chain([255]).collect())],
        Opcode::DataIn => vec![((3, 0xff), vec![0x00, 0x04, 0x10, 0x14])],
        Opcode::LogoutResponse => vec![((2, 0xff), (0..=3).collect())],
        Opcode::AsyncMessage => vec![((36, 0xff), (0..=5).chain(248..=255).collect())],
        Opcode::Reject => vec![((2, 0xff), (2..=12).collect())],
        _ => vec![],
    }
}

/// Undoes what arbitrary bytes say against themselves.
pub(crate) fn settle(header: &mut Header) {
    let opcode = header.opcode().unwrap();
    let Header(bytes) = header;
    let exclude = |byte: &mut u8, one: u8, other: u8| {
        if *byte & one != 0 {
            *byte &= !other;
        }
    };
    match opcode {
        Opcode::LoginRequest | Opcode::LoginResponse | Opcode::TextRequest | Opcode::TextResponse => {
            exclude(&mut bytes[1], 0x80, 0x40);
        }
        Opcode::ScsiResponse | Opcode::DataIn => exclude(&mut bytes[1], 0x04, 0x02),
        Opcode::NopIn if bytes[47] & 1 == 0 => bytes[16..20].fill(0xff),
        Opcode::NopIn => bytes[20..24].fill(0xff),
        Opcode::R2t => (bytes[20], bytes[47]) = (bytes[20] & 0x7f, bytes[47] | 1),
        _ => {}
    }
    match opcode {
        Opcode::ScsiResponse => exclude(&mut bytes[1], 0x10, 0x08),
        Opcode::DataIn => bytes[1] |= bytes[1] << 7,
        _ => {}
    }
    bytes[4..8].fill(0);
}
