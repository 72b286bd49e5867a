//! The small parsers and builders that all data of this module is made of.

use nom::{IResult, Parser};

use super::DataError;

/// `mask` if `on`.
pub(super) const fn bit(on: bool, mask: u8) -> u8 {
    if on { mask } else { 0 }
}

/// The next `N` bytes.
pub(super) fn array<const N: usize>(input: &[u8]) -> IResult<&[u8], [u8; N]> {
    match input.split_first_chunk::<N>() {
        Some((head, rest)) => Ok((rest, *head)),
        None => Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Eof))),
    }
}

/// Steps over `N` bytes.
pub(super) fn skip<const N: usize>(input: &[u8]) -> IResult<&[u8], ()> {
    array::<N>.map(|_| ()).parse(input)
}

/// Runs `parser` at the start of `bytes`; the rest and what it found.
pub(super) fn read<'a, T>(
    what: &'static str,
    bytes: &'a [u8],
    parser: impl FnOnce(&'a [u8]) -> IResult<&'a [u8], T>,
) -> Result<(&'a [u8], T), DataError> {
    parser(bytes).map_err(|_| DataError::Truncated { what })
}

/// As many whole items as `bytes` has, and what is left of them.
pub(super) fn list<'a, T>(mut bytes: &'a [u8], item: impl Fn(&'a [u8]) -> IResult<&'a [u8], T>) -> (&'a [u8], Vec<T>) {
    let mut items = Vec::new();
    while let Ok((rest, one)) = item(bytes)
        && rest.len() < bytes.len()
    {
        items.push(one);
        bytes = rest;
    }
    (bytes, items)
}

/// The first `N` bytes, zero filled where there are fewer.
pub(super) fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

/// At most `len` of `bytes`.
pub(super) fn upto(bytes: &[u8], len: usize) -> &[u8] {
    bytes.get(..len).unwrap_or(bytes)
}

/// A text field without the padding around it, with `?` for what is not printable ASCII.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let shown: String = upto(field, end)
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' })
        .collect();
    shown.trim_matches(' ').to_owned()
}

/// `text` as a field of `N` bytes: cut or filled with spaces, with `?` for what is not printable ASCII.
pub(super) fn text_field<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [b' '; N];
    for (to, from) in out.iter_mut().zip(text.chars()) {
        *to = if from.is_ascii_graphic() || from == ' ' { from as u8 } else { b'?' };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    ///
    #[test]
    fn r301_a_list_ends_where_an_item_is_cut_short_or_empty() {
        assert_eq!(list(&[1, 2, 3], array::<2>), (&[3][..], vec![[1, 2]]));
        assert_eq!(list(&[1, 2], array::<2>), (&[][..], vec![[1, 2]]));
        assert_eq!(list(&[1, 2], array::<0>), (&[1, 2][..], vec![]));
    }

    #[test]
    fn text_fields_are_trimmed_and_printable() {
        for (field, shown) in
            [(&b"  IET     "[..], "IET"), (b"ab\0cd", "ab"), (b"a\x1bb\xff", "a?b?"), (b"\0\0", ""), (b"", "")]
        {
            assert_eq!(text(field), shown);
        }
        assert_eq!(&text_field::<4>("ab"), b"ab  ");
        assert_eq!(&text_field::<4>("abcdef"), b"abcd");
        assert_eq!(&text_field::<4>("a\n\u{e9}b"), b"a??b");
    }
}
