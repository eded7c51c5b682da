//! Bytes as text: hexadecimal digits and base64, read strictly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Result};

/// Digits of a half byte.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `bytes` in lower-case hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes of hexadecimal digits, of either case.
///
/// # Errors
/// Where their number is odd, or one is none; the message gives its place, from 0.
pub(super) fn from_hex(text: &str) -> Result<Vec<u8>> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Error::data(format!("{} hexadecimal digits make no bytes", text.len())));
    }
    let half = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let byte = |(at, [high, low]): (usize, &[u8; 2])| {
        half(*high)
            .zip(half(*low))
            .map(|(high, low)| (high << 4) | low)
            .ok_or_else(|| Error::data(format!("no hexadecimal digits at {}", 2 * at)))
    };
    pairs.iter().enumerate().map(byte).collect()
}

/// `bytes` as base64 with padding.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of base64 with its padding; white space around it is skipped.
///
/// # Errors
/// Where it is none.
pub(super) fn from_base64(text: &[u8]) -> Result<Vec<u8>> {
    STANDARD
        .decode(text.trim_ascii())
        .map_err(|cause| Error::data(format!("not base64: {cause}")).with_cause(cause))
}

/// `bytes` as text.
///
/// # Errors
/// Where they are no UTF-8.
pub(super) fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes)
        .map_err(|cause| Error::data(format!("not {what}: {cause}")).with_cause(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_either_case_is_read_and_written_in_one() {
        assert_eq!(to_hex(&[0x3A, 0xFF, 0x00]), "3aff00");
        assert_eq!(from_hex("3aFf00").expect("hex"), [0x3A, 0xFF, 0x00]);
        assert_eq!(from_hex("").expect("hex"), [0_u8; 0]);
        assert!(from_hex("3a0").expect_err("odd").message().contains("3 hexadecimal digits"));
        assert!(from_hex("3a0g").expect_err("no digit").message().contains("at 2"));
    }

    #[test]
    fn base64_is_whole_or_refused() {
        assert_eq!(from_base64(b" AQEAAAA=\n").expect("base64"), [1, 1, 0, 0, 0]);
        for text in ["AQEAAAA", "AQEAAAA=\nAQ==", "AQEAAAB=", "A-__"] {
            assert!(from_base64(text.as_bytes()).is_err(), "{text}");
        }
    }
}
