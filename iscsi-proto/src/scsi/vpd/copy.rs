//! ```text
//! each feature   0 .. 1 type   2 .. 3 length, a multiple of 4   4 .. itself
//! token limits   0000h: 10 .. 11 ranges   12 .. 15 longest timeout   16 .. 19 usual timeout
//!                20 .. 27 most blocks   28 .. 35 best blocks
//! commands       0001h: 4 length   5 .. for each: 0 opcode   1 length   2 .. service actions
//! list limits    0004h: 8 .. 9 targets   10 .. 11 segments   12 .. 15 descriptor bytes   16 .. 19 inline bytes
//! descriptors    0008h: 4 length   5 .. types
//! ```

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};
use nom::{IResult, Parser};

use super::{body, page};
use crate::scsi::wire::{list, skip, upto};
use crate::scsi::{DataError, Peripheral};

const WHAT: &str = "the third-party copy page";
const TOKEN_LIMITS: u16 = 0x0000;
const COMMANDS: u16 = 0x0001;
const LIST_LIMITS: u16 = 0x0004;
const DESCRIPTORS: u16 = 0x0008;

/// Page 8Fh: what the copy manager of a unit can do.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ThirdPartyCopy(pub Vec<CopyFeature>);

/// One thing that a copy manager says of itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CopyFeature {
    /// Limits of POPULATE TOKEN and WRITE USING TOKEN.
    Tokens(TokenLimits),
    /// Operation codes and their service actions that are supported.
    Commands(Vec<(u8, Vec<u8>)>),
    /// Limits of the parameter list of EXTENDED COPY.
    Lists(ListLimits),
    /// Types of descriptors that are supported in that list.
    Descriptors(Vec<u8>),
    /// Any other type, and any of the above whose bytes do not fit it.
    Other {
        /// Type.
        kind: u16,
        /// The bytes, without type and length.
        bytes: Vec<u8>,
    },
}

/// Limits of tokens; 0 where none is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TokenLimits {
    /// Most ranges of a list.
    pub max_ranges: u16,
    /// Longest timeout of a token, in seconds.
    pub max_timeout: u32,
    /// Timeout of a token that asks for none, in seconds.
    pub default_timeout: u32,
    /// Most blocks of a token.
    pub max_blocks: u64,
    /// Beyond this many blocks, operations take longer than in proportion.
    pub optimal_blocks: u64,
}

/// Limits of the parameter list of EXTENDED COPY.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ListLimits {
    /// Most target descriptors.
    pub max_targets: u16,
    /// Most segment descriptors.
    pub max_segments: u16,
    /// Most bytes of all descriptors.
    pub max_descriptor_bytes: u32,
    /// Most bytes of inline data.
    pub max_inline_bytes: u32,
}

impl ThirdPartyCopy {
    /// Page code.
    pub const CODE: u8 = 0x8f;

    /// Limits of tokens, if the unit has such.
    pub fn token_limits(&self) -> Option<&TokenLimits> {
        self.0.iter().find_map(|feature| match feature {
            CopyFeature::Tokens(limits) => Some(limits),
            _ => None,
        })
    }

    /// Whether a service action of an operation code is said to be supported.
    pub fn supports(&self, opcode: u8, action: u8) -> bool {
        self.0.iter().any(|feature| match feature {
            CopyFeature::Commands(commands) => {
                commands.iter().any(|(code, actions)| *code == opcode && actions.contains(&action))
            }
            _ => false,
        })
    }

    /// Parses the page. A feature that is cut short ends the list.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (_, features) = list(body(WHAT, Self::CODE, bytes)?, feature);
        Ok(Self(features))
    }

    /// The page.
    pub fn encode(&self, peripheral: Peripheral) -> Vec<u8> {
        let mut out = Vec::new();
        for feature in &self.0 {
            feature.encode_to(&mut out);
        }
        page(peripheral, Self::CODE, &out)
    }
}

fn feature(input: &[u8]) -> IResult<&[u8], CopyFeature> {
    let (input, (kind, len)) = (be_u16, be_u16).parse(input)?;
    let (rest, bytes) = take(len)(input)?;
    let known = CopyFeature::known(kind, bytes).map(|(_, feature)| feature);
    Ok((rest, known.unwrap_or_else(|_| CopyFeature::Other { kind, bytes: bytes.to_vec() })))
}

impl CopyFeature {
    fn known(kind: u16, bytes: &[u8]) -> IResult<&[u8], Self> {
        match kind {
            TOKEN_LIMITS => ((skip::<6>, be_u16), (be_u32, be_u32, be_u64, be_u64))
                .map(|(((), max_ranges), (max_timeout, default_timeout, max_blocks, optimal_blocks))| {
                    Self::Tokens(TokenLimits { max_ranges, max_timeout, default_timeout, max_blocks, optimal_blocks })
                })
                .parse(bytes),
            LIST_LIMITS => (skip::<4>, be_u16, be_u16, be_u32, be_u32)
                .map(|((), max_targets, max_segments, max_descriptor_bytes, max_inline_bytes)| {
                    Self::Lists(ListLimits { max_targets, max_segments, max_descriptor_bytes, max_inline_bytes })
                })
                .parse(bytes),
            COMMANDS => {
                let (rest, commands) = counted(bytes)?;
                Ok((rest, Self::Commands(list(commands, command).1)))
            }
            DESCRIPTORS => counted(bytes).map(|(rest, types)| (rest, Self::Descriptors(types.to_vec()))),
            _ => Err(nom::Err::Error(nom::error::Error::new(bytes, nom::error::ErrorKind::Tag))),
        }
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        let (kind, mut bytes) = match self {
            Self::Tokens(limits) => (TOKEN_LIMITS, limits.encode()),
            Self::Commands(commands) => (COMMANDS, with_count(&encode_commands(commands))),
            Self::Lists(limits) => (LIST_LIMITS, limits.encode()),
            Self::Descriptors(types) => (DESCRIPTORS, with_count(types)),
            Self::Other { kind, bytes } => (*kind, upto(bytes, 0xfffc).to_vec()),
        };
        if !matches!(self, Self::Other { .. }) {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        out.extend_from_slice(&bytes);
    }
}

impl TokenLimits {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 6];
        out.extend_from_slice(&self.max_ranges.to_be_bytes());
        out.extend_from_slice(&self.max_timeout.to_be_bytes());
        out.extend_from_slice(&self.default_timeout.to_be_bytes());
        out.extend_from_slice(&self.max_blocks.to_be_bytes());
        out.extend_from_slice(&self.optimal_blocks.to_be_bytes());
        out
    }
}

impl ListLimits {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 4];
        out.extend_from_slice(&self.max_targets.to_be_bytes());
        out.extend_from_slice(&self.max_segments.to_be_bytes());
        out.extend_from_slice(&self.max_descriptor_bytes.to_be_bytes());
        out.extend_from_slice(&self.max_inline_bytes.to_be_bytes());
        out.extend_from_slice(&[0; 12]);
        out
    }
}

/// As many whole commands as their length can tell.
fn encode_commands(commands: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (opcode, actions) in commands {
        let actions = upto(actions, u8::MAX.into());
        if out.len() + actions.len() + 2 > u8::MAX.into() {
            break;
        }
        out.extend_from_slice(&[*opcode, actions.len() as u8]);
        out.extend_from_slice(actions);
    }
    out
}

fn with_count(bytes: &[u8]) -> Vec<u8> {
    let bytes = upto(bytes, u8::MAX.into());
    [&[bytes.len() as u8], bytes].concat()
}

/// The bytes behind their number.
fn counted(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let (input, len) = be_u8(input)?;
    take(len)(input)
}

fn command(input: &[u8]) -> IResult<&[u8], (u8, Vec<u8>)> {
    (be_u8, counted).map(|(opcode, actions): (u8, &[u8])| (opcode, actions.to_vec())).parse(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn golden() -> (ThirdPartyCopy, Vec<u8>) {
        let limits = TokenLimits {
            max_ranges: 4,
            max_timeout: 0x0102,
            default_timeout: 30,
            max_blocks: 0x0304,
            optimal_blocks: 5,
        };
        let lists = ListLimits { max_targets: 2, max_segments: 1, max_descriptor_bytes: 0x0400, max_inline_bytes: 0 };
        let page = ThirdPartyCopy(vec![
            CopyFeature::Tokens(limits),
            CopyFeature::Commands(vec![(0x83, vec![0, 0x10, 0x11]), (0x84, vec![7])]),
            CopyFeature::Lists(lists),
            CopyFeature::Descriptors(vec![2, 0xe4]),
            CopyFeature::Other { kind: 0x8000, bytes: vec![1, 2, 3, 4] },
        ]);
        let mut bytes = vec![0, 0x8f, 0, 104];
        bytes.extend([0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, 2, 0, 0, 0, 30]);
        bytes.extend([0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5]);
        bytes.extend([0, 1, 0, 12, 8, 0x83, 3, 0, 0x10, 0x11, 0x84, 1, 7, 0, 0, 0]);
        bytes.extend([0, 4, 0, 28, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend([0; 12]);
        bytes.extend([0, 8, 0, 4, 2, 2, 0xe4, 0]);
        bytes.extend([0x80, 0, 0, 4, 1, 2, 3, 4]);
        bytes[3] = (bytes.len() - 4) as u8;
        (page, bytes)
    }

    #[test]
    fn the_page_parses_and_builds() {
        let (page, bytes) = golden();
        assert_eq!(page.encode(Peripheral::DISK), bytes);
        assert_eq!(ThirdPartyCopy::parse(&bytes), Ok(page.clone()));
        assert_eq!(page.token_limits().map(|limits| limits.max_ranges), Some(4));
        assert!(page.supports(0x83, 0x11) && page.supports(0x84, 7) && !page.supports(0x83, 7));
        let cut = ThirdPartyCopy::parse(&bytes[..39]).unwrap();
        assert_eq!((cut.0.len(), cut.token_limits(), cut.supports(0x83, 0)), (0, None, false));
    }

    #[test]
    fn a_feature_that_is_too_short_is_kept_as_bytes() {
        let bytes = [0, 0x8f, 0, 8, 0, 0, 0, 4, 1, 2, 3, 4];
        let other = CopyFeature::Other { kind: 0, bytes: vec![1, 2, 3, 4] };
        assert_eq!(ThirdPartyCopy::parse(&bytes), Ok(ThirdPartyCopy(vec![other])));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(
            features in prop::collection::vec((0..9u8, prop::collection::vec(any::<u8>(), 0..60)), 0..5),
        ) {
            let mut body = Vec::new();
            for (kind, bytes) in &features {
                body.extend([0, *kind, 0, bytes.len() as u8]);
                body.extend(bytes);
            }
            let bytes = page(Peripheral::DISK, 0x8f, &body);
            let found = ThirdPartyCopy::parse(&bytes).unwrap();
            prop_assert_eq!(found.0.len(), features.len());
            prop_assert_eq!(ThirdPartyCopy::parse(&found.encode(Peripheral::DISK)), Ok(found));
        }
    }
}
