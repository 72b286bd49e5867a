//! The file format: pcapng (draft-ietf-opsawg-pcapng), as much of it as raw IP packets need.

use std::time::Duration;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const MAGIC: u32 = 0x1a2b_3c4d;
const VERSION: [u16; 2] = [1, 0];
/// The length of the section is not told.
const UNKNOWN_LENGTH: u64 = u64::MAX;
/// Packets start with an IPv4 or IPv6 header.
const LINKTYPE_RAW: u16 = 101;
const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const RESOLUTION: u16 = 9;
const NANOSECONDS: u8 = 9;

/// What a file starts with: a section that says what wrote it, and one interface.
pub(super) fn head(comment: &str, application: &str) -> Vec<u8> {
    let mut section = Vec::new();
    section.extend_from_slice(&MAGIC.to_le_bytes());
    section.extend_from_slice(&VERSION[0].to_le_bytes());
    section.extend_from_slice(&VERSION[1].to_le_bytes());
    section.extend_from_slice(&UNKNOWN_LENGTH.to_le_bytes());
    option(&mut section, COMMENT, comment.as_bytes());
    option(&mut section, APPLICATION, application.as_bytes());
    option(&mut section, END_OF_OPTIONS, &[]);

    let mut interface = Vec::new();
    interface.extend_from_slice(&u32::from(LINKTYPE_RAW).to_le_bytes());
    // No limit on the length of a packet.
    interface.extend_from_slice(&0_u32.to_le_bytes());
    option(&mut interface, RESOLUTION, &[NANOSECONDS]);
    option(&mut interface, END_OF_OPTIONS, &[]);

    let mut file = block(SECTION_HEADER, &section);
    file.extend(block(INTERFACE, &interface));
    file
}

/// One packet at a time since 1970.
pub(super) fn packet(time: Duration, bytes: &[u8]) -> Vec<u8> {
    let time = time.as_nanos() as u64;
    let len = (bytes.len() as u32).to_le_bytes();
    let mut body = Vec::with_capacity(20 + bytes.len());
    // The one interface.
    body.extend_from_slice(&0_u32.to_le_bytes());
    body.extend_from_slice(&((time >> 32) as u32).to_le_bytes());
    body.extend_from_slice(&(time as u32).to_le_bytes());
    body.extend_from_slice(&len);
    body.extend_from_slice(&len);
    padded(&mut body, bytes);
    block(ENHANCED_PACKET, &body)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes(), &len, body, &len].concat()
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&(value.len() as u16).to_le_bytes());
    padded(body, value);
}

fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn the_head_is_a_section_and_an_interface() {
        let head = head("hello", "tool 1");
        let section = word(&head, 4) as usize;
        assert_eq!(
            (word(&head, 0), word(&head, 8), word(&head, section - 4) as usize),
            (SECTION_HEADER, MAGIC, section)
        );
        assert_eq!(head[12..16], [1, 0, 0, 0]);
        assert_eq!(
            head[24..],
            *[&[1, 0, 5, 0][..], b"hello\0\0\0", &[4, 0, 6, 0], b"tool 1\0\0", &[0, 0, 0, 0], &head[section - 4..],]
                .concat()
        );
        let interface = &head[section..];
        assert_eq!(
            interface,
            [
                &[1, 0, 0, 0, 32, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0][..],
                &[9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0],
            ]
            .concat()
        );
    }

    #[test]
    fn a_packet_is_padded_and_its_length_is_not() {
        for (len, whole) in [(0_u32, 32), (1, 36), (4, 36), (5, 40)] {
            let time = Duration::new(1, 0x1_0000);
            let block = packet(time, &vec![0xee; len as usize]);
            assert_eq!(
                (block.len(), word(&block, 4) as usize, word(&block, block.len() - 4) as usize),
                (whole, whole, whole)
            );
            assert_eq!((word(&block, 0), word(&block, 8), word(&block, 20), word(&block, 24)), (6, 0, len, len));
            let nanoseconds = (u64::from(word(&block, 12)) << 32) | u64::from(word(&block, 16));
            assert_eq!(nanoseconds, 1_000_065_536);
            assert!(block[28..28 + len as usize].iter().all(|byte| *byte == 0xee));
        }
    }
}
