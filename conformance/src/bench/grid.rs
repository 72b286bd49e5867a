//! The loads that are measured.

use std::fmt;

/// What is done to the LUN, at random places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Half reads, half writes.
    Mixed,
}

/// What is protected by CRC32C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digests {
    /// Nothing.
    None,
    /// Headers.
    Header,
    /// Headers and data.
    Both,
}

/// Who serves the LUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The bundled target, which forgets what is written and reads zeroes.
    Null,
    /// The bundled target with a disk in memory.
    Memory,
    /// tgtd with a file on a file system in memory.
    Tgt,
}

/// How both sides run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seat {
    /// Wherever the system puts them.
    Free,
    /// Both on the first processor: nobody has to wake a sleeping one.
    OneCore,
    /// Ours and the bundled target look for work for a while before they sleep.
    Polling,
}

/// One load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// What is done.
    pub op: Op,
    /// Bytes per command.
    pub block: u32,
    /// Commands under way, in each session.
    pub depth: u32,
    /// Digests in use.
    pub digests: Digests,
    /// Sessions that share the LUN.
    pub sessions: u32,
    /// Who serves it.
    pub backend: Backend,
    /// How both sides run.
    pub seat: Seat,
}

/// 4 KiB at these depths, and these block sizes at depth 8.
const DEPTHS: [u32; 4] = [1, 8, 32, 128];
const BLOCKS: [u32; 3] = [64 << 10, 256 << 10, 1 << 20];

impl Point {
    /// Reads or writes of the null backend, without anything else.
    pub const fn new(op: Op, block: u32, depth: u32) -> Self {
        let (digests, backend, seat) = (Digests::None, Backend::Null, Seat::Free);
        Self { op, block, depth, digests, sessions: 1, backend, seat }
    }

    const fn digests(self, digests: Digests) -> Self {
        Self { digests, ..self }
    }

    const fn sessions(self, sessions: u32) -> Self {
        Self { sessions, ..self }
    }

    const fn backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    const fn seat(self, seat: Seat) -> Self {
        Self { seat, ..self }
    }

    /// The same load in its plainest form, which this one is compared with: no digests, one session.
    #[must_use]
    pub const fn plain(self) -> Self {
        self.digests(Digests::None).sessions(1)
    }

    /// The URL keys that ask for its digests.
    pub const fn keys(&self) -> &'static str {
        match self.digests {
            Digests::None => "",
            Digests::Header => "?header_digest=crc32c",
            Digests::Both => "?header_digest=crc32c&data_digest=crc32c",
        }
    }
}

/// All loads, or the few that goals are stated for.
pub fn points(all: bool) -> Vec<Point> {
    let mut points = shapes(Op::Read);
    points.extend(shapes(Op::Write));
    points.push(Point::new(Op::Read, 4096, 1).seat(Seat::OneCore));
    points.push(Point::new(Op::Read, 4096, 1).seat(Seat::Polling));
    for (block, depth) in [(4096, 32), (4096, 128), (256 << 10, 8), (1 << 20, 8)] {
        points.push(Point::new(Op::Read, block, depth).digests(Digests::Both));
    }
    points.push(Point::new(Op::Read, 4096, 128).digests(Digests::Header));
    points.extend([32, 128].map(|depth| Point::new(Op::Read, 4096, depth).sessions(4)));
    if all {
        points.extend(shapes(Op::Mixed));
        for backend in [Backend::Memory, Backend::Tgt] {
            for op in [Op::Read, Op::Write, Op::Mixed] {
                points.extend(shapes(op).into_iter().map(|point| point.backend(backend)));
            }
        }
        points.extend(shapes(Op::Write).into_iter().map(|point| point.digests(Digests::Both)));
    }
    points
}

fn shapes(op: Op) -> Vec<Point> {
    let small = DEPTHS.iter().map(|depth| Point::new(op, 4096, *depth));
    small.chain(BLOCKS.iter().map(|block| Point::new(op, *block, 8))).collect()
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, depth {}", self.op, size(self.block), self.depth)?;
        match self.digests {
            Digests::None => {}
            Digests::Header => write!(f, ", header digest")?,
            Digests::Both => write!(f, ", both digests")?,
        }
        if self.sessions > 1 {
            write!(f, ", {} sessions", self.sessions)?;
        }
        match self.seat {
            Seat::Free => Ok(()),
            Seat::OneCore => write!(f, ", one core"),
            Seat::Polling => write!(f, ", polling"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Mixed => "mixed",
        })
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "bundled target, null backend",
            Self::Memory => "bundled target, memory backend",
            Self::Tgt => "tgtd, file in memory",
        })
    }
}

/// A number of bytes as people say it.
pub fn size(bytes: u32) -> String {
    match bytes {
        0x10_0000.. => format!("{} MiB", bytes >> 20),
        1024.. => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_load_is_measured_twice() {
        let points = points(true);
        let distinct: HashSet<_> = points.iter().collect();
        assert_eq!(distinct.len(), points.len());
    }

    #[test]
    fn what_is_compared_with_its_plain_form_has_that_measured_too() {
        let points = points(false);
        for point in points.iter().filter(|point| **point != point.plain()) {
            assert!(points.contains(&point.plain()), "{point}");
        }
    }

    #[test]
    fn loads_are_told_in_words() {
        let point = Point::new(Op::Read, 4096, 128).digests(Digests::Both).sessions(4).seat(Seat::OneCore);
        assert_eq!(point.to_string(), "read 4 KiB, depth 128, both digests, 4 sessions, one core");
        assert_eq!(Point::new(Op::Write, 1 << 20, 8).to_string(), "write 1 MiB, depth 8");
    }
}
