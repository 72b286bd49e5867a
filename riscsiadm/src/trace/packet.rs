//! IP packets that could have carried what a socket carried.

use std::net::{IpAddr, SocketAddr};

/// Bytes in one packet at most: those of an IPv4 packet have to fit into 16 bits with the headers.
pub(super) const MAX_DATA: usize = 60 * 1024;

/// Flags of TCP.
pub(super) const FIN: u8 = 0x01;
/// See [`FIN`].
pub(super) const SYN: u8 = 0x02;
/// See [`FIN`].
pub(super) const PSH: u8 = 0x08;
/// See [`FIN`].
pub(super) const ACK: u8 = 0x10;

const TCP: u8 = 6;
const HOPS: u8 = 64;
const DO_NOT_FRAGMENT: u16 = 0x4000;
/// The receive window, and the option in SYN packets that makes it 2^14 times as large: nobody ever waits for it.
const WINDOW: u16 = u16::MAX;
const WINDOW_SCALE: [u8; 4] = [3, 3, 14, 1];

/// One TCP segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    /// Where it comes from.
    pub(super) from: SocketAddr,
    /// Where it goes to. Has to be of the same family.
    pub(super) to: SocketAddr,
    /// Sequence number.
    pub(super) seq: u32,
    /// What is acknowledged.
    pub(super) ack: u32,
    /// Flags.
    pub(super) flags: u8,
    /// Up to [`MAX_DATA`] bytes.
    pub(super) data: &'a [u8],
}

impl Segment<'_> {
    /// The whole IP packet.
    pub(super) fn packet(&self) -> Vec<u8> {
        let tcp = self.tcp();
        let mut packet = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(tcp.len(), from.octets(), to.octets()),
            (from, to) => ipv6(tcp.len(), octets16(from), octets16(to)),
        };
        packet.extend_from_slice(&tcp);
        packet
    }

    fn tcp(&self) -> Vec<u8> {
        let options: &[u8] = if self.flags & SYN == 0 { &[] } else { &WINDOW_SCALE };
        let offset = ((20 + options.len()) / 4) as u8;
        let mut tcp = Vec::with_capacity(24 + self.data.len());
        tcp.extend_from_slice(&self.from.port().to_be_bytes());
        tcp.extend_from_slice(&self.to.port().to_be_bytes());
        tcp.extend_from_slice(&self.seq.to_be_bytes());
        tcp.extend_from_slice(&self.ack.to_be_bytes());
        tcp.extend_from_slice(&[offset << 4, self.flags]);
        tcp.extend_from_slice(&WINDOW.to_be_bytes());
        tcp.extend_from_slice(&[0; 4]);
        tcp.extend_from_slice(options);
        tcp.extend_from_slice(self.data);
        let sum = checksum(&[&self.pseudo_header(tcp.len()), &tcp]);
        put(&mut tcp, 16, sum);
        tcp
    }

    fn pseudo_header(&self, len: usize) -> Vec<u8> {
        let mut header = Vec::with_capacity(40);
        for addr in [self.from.ip(), self.to.ip()] {
            match addr {
                IpAddr::V4(addr) => header.extend_from_slice(&addr.octets()),
                IpAddr::V6(addr) => header.extend_from_slice(&addr.octets()),
            }
        }
        header.extend_from_slice(&(len as u32).to_be_bytes());
        header.extend_from_slice(&[0, 0, 0, TCP]);
        header
    }
}

fn ipv4(len: usize, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&((20 + len) as u16).to_be_bytes());
    header.extend_from_slice(&[0, 0]);
    header.extend_from_slice(&DO_NOT_FRAGMENT.to_be_bytes());
    header.extend_from_slice(&[HOPS, TCP, 0, 0]);
    header.extend_from_slice(&from);
    header.extend_from_slice(&to);
    let sum = checksum(&[&header]);
    put(&mut header, 10, sum);
    header
}

fn ipv6(len: usize, from: [u8; 16], to: [u8; 16]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend_from_slice(&(len as u16).to_be_bytes());
    header.extend_from_slice(&[TCP, HOPS]);
    header.extend_from_slice(&from);
    header.extend_from_slice(&to);
    header
}

fn octets16(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
        IpAddr::V6(addr) => addr.octets(),
    }
}

fn put(bytes: &mut [u8], at: usize, sum: u16) {
    bytes.iter_mut().skip(at).zip(sum.to_be_bytes()).for_each(|(to, from)| *to = from);
}

/// The Internet checksum (RFC 1071) of parts that all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2)).map(|pair| match pair {
        [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
        [high] => u64::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment<'a>(from: &str, to: &str, flags: u8, data: &'a [u8]) -> Segment<'a> {
        Segment {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            seq: 0x0102_0304,
            ack: 0x0506_0708,
            flags,
            data,
        }
    }

    #[test]
    fn a_known_header_has_the_known_checksum() {
        // The example of RFC 1071, section 3, and the empty sum.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0x00, 0x01], &[0xf2]]), !0xf201);
        assert_eq!(checksum(&[]), 0xffff);
    }

    #[test]
    fn an_ipv4_packet_to_the_byte() {
        let packet = segment("10.0.0.1:4660", "10.0.0.2:3260", ACK | PSH, b"abc").packet();
        assert_eq!(packet[..10], [0x45, 0, 0, 43, 0, 0, 0x40, 0, 64, 6]);
        assert_eq!(packet[12..20], [10, 0, 0, 1, 10, 0, 0, 2]);
        assert_eq!(packet[20..36], [0x12, 0x34, 0x0c, 0xbc, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x18, 0xff, 0xff]);
        assert_eq!(packet[38..], [0, 0, b'a', b'b', b'c']);
        // A sum over what holds its own checksum is zero.
        assert_eq!(checksum(&[&packet[..20]]), 0);
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 23, 0, 0, 0, 6];
        assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);
    }

    #[test]
    fn an_ipv6_packet_to_the_byte() {
        let packet = segment("[fd00::1]:4660", "[fd00::2]:3260", SYN, b"").packet();
        assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 24, 6, 64]);
        assert_eq!((packet[8], packet[23], packet[24], packet[39]), (0xfd, 1, 0xfd, 2));
        assert_eq!(packet[52..54], [0x60, 0x02]);
        assert_eq!(packet[60..], WINDOW_SCALE);
        let pseudo = [&packet[8..40], &[0, 0, 0, 24, 0, 0, 0, 6]].concat();
        assert_eq!(checksum(&[&pseudo, &packet[40..]]), 0);
    }

    #[test]
    fn the_longest_data_fits_its_length_field() {
        let data = vec![7; MAX_DATA];
        let packet = segment("10.0.0.1:1", "10.0.0.2:2", ACK, &data).packet();
        assert_eq!(packet.len(), MAX_DATA + 40);
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
        let packet = segment("[fd00::1]:1", "[fd00::2]:2", ACK, &data).packet();
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len() - 40);
    }
}
