//! Numbers and truth values as text: whole numbers, floats and decimals with either decimal mark.

use std::borrow::Cow;

use super::options::DecimalMark;

/// How this source's numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    mark: u8,
    /// Whether marks between thousands are read.
    grouped: bool,
}

impl Numbers {
    /// Numbers with the declared decimal mark; a point and no groups where none is declared.
    pub(super) fn new(mark: Option<DecimalMark>) -> Self {
        match mark {
            None => Self { mark: b'.', grouped: false },
            Some(DecimalMark::Point) => Self { mark: b'.', grouped: true },
            Some(DecimalMark::Comma) => Self { mark: b',', grouped: true },
        }
    }

    /// The decimal mark.
    pub(super) fn mark(self) -> char {
        char::from(self.mark)
    }

    /// A whole number. A fraction of zeros is none: ids arrive as `17850.0`.
    pub(super) fn int(self, text: &[u8]) -> Option<i64> {
        let text = text.trim_ascii();
        plain_int(text).or_else(|| {
            let text = self.plain(text)?;
            let at = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
            let zeros = text.get(at + 1..).unwrap_or_default();
            if zeros.iter().all(|&byte| byte == b'0') { plain_int(&text[..at]) } else { None }
        })
    }

    /// A float: also `NaN`, `inf`, `-Infinity` in any case. What is too large becomes infinite.
    pub(super) fn float(self, text: &[u8]) -> Option<f64> {
        let text = self.plain(text.trim_ascii())?;
        std::str::from_utf8(&text).ok()?.parse().ok()
    }

    /// The unscaled value of a `decimal(precision, scale)`; nothing where digits would be lost.
    pub(super) fn decimal(self, text: &[u8], precision: u8, scale: i8) -> Option<i128> {
        let text = self.plain(text.trim_ascii())?;
        let (negative, digits) = signed(&text);
        let at = digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len());
        let (whole, fraction) = (&digits[..at], digits.get(at + 1..).unwrap_or_default());
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let scale = usize::try_from(scale).ok()?;
        let (kept, lost) = fraction.split_at(fraction.len().min(scale));
        if !lost.iter().all(|&byte| byte == b'0') {
            return None;
        }
        let zeros = std::iter::repeat_n(&b'0', scale - kept.len());
        let mut value = 0_i128;
        for byte in whole.iter().chain(kept).chain(zeros) {
            let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
            value = value.checked_mul(10)?.checked_add(digit)?;
        }
        let fits = value < 10_i128.checked_pow(u32::from(precision))?;
        fits.then_some(if negative { -value } else { value })
    }

    /// The number with a point and without groups; nothing where the groups are malformed.
    fn plain(self, text: &[u8]) -> Option<Cow<'_, [u8]>> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if self.mark == b'.' && text.iter().all(plain) {
            return Some(Cow::Borrowed(text));
        }
        let at = text.iter().rposition(|&byte| byte == self.mark).unwrap_or(text.len());
        let mut out = self.ungrouped(&text[..at])?;
        if let Some(fraction) = text.get(at + 1..) {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        Some(Cow::Owned(out))
    }

    /// The whole part without the marks between thousands: `1.234`, `1 234`, `1'234`.
    fn ungrouped(self, whole: &[u8]) -> Option<Vec<u8>> {
        let other = if self.mark == b',' { '.' } else { ',' };
        let is_group =
            |c: char| c == other || matches!(c, ' ' | '\'' | '\u{a0}' | '\u{202f}' | '\u{2019}');
        let text = std::str::from_utf8(whole).ok()?;
        if !text.contains(is_group) {
            return Some(whole.to_vec());
        }
        let sign = usize::from(text.starts_with(['-', '+']));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = self.grouped
            && text[sign..].split(is_group).enumerate().all(|(index, part)| {
                digits(part)
                    && if index == 0 { (1..=3).contains(&part.len()) } else { part.len() == 3 }
            });
        fits.then(|| text.replace(is_group, "").into_bytes())
    }
}

/// Whether a minus leads the text, and what follows the sign.
fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    }
}

/// Sign and digits, nothing else, within 64 bits.
fn plain_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = signed(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// Whether a number is written as ids are, with a leading zero or a plus sign that a number would
/// lose.
pub(super) fn is_padded(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    matches!(digits, [b'+', ..] | [b'0', b'0'..=b'9', ..])
}

/// A truth value as exports write it: `true`, `t`, `yes`, `y`, `1` and their opposites.
pub(super) fn truth(text: &[u8]) -> Option<bool> {
    let text = text.trim_ascii();
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is(&["true", "t", "yes", "y", "1"]) {
        Some(true)
    } else if is(&["false", "f", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Numbers = Numbers { mark: b'.', grouped: false };
    const COMMA: Numbers = Numbers { mark: b',', grouped: true };

    #[test]
    fn ids_that_arrive_as_floats_are_whole() {
        assert_eq!(PLAIN.int(b"17850.0"), Some(17850));
        assert_eq!(PLAIN.int(b" 17850 "), Some(17850));
        assert_eq!(PLAIN.int(b"17850.5"), None);
        assert_eq!(PLAIN.int(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(PLAIN.int(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(PLAIN.int(b"9223372036854775808"), None);
        for text in ["", "-", ".", "1e3", "1,234", "0x10", "12a"] {
            assert_eq!(PLAIN.int(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn commas_and_thousands() {
        assert_eq!(COMMA.float(b"1.234,56"), Some(1234.56));
        assert_eq!(COMMA.float("1\u{a0}234,5".as_bytes()), Some(1234.5));
        assert_eq!(COMMA.float(b"-12,5"), Some(-12.5));
        assert_eq!(COMMA.int(b"1.234"), Some(1234));
        assert_eq!(COMMA.float(b"12.34,5"), None);
        assert_eq!(COMMA.float(b"1.5"), None);
        assert_eq!(PLAIN.float(b"1,234.5"), None);
        assert_eq!(Numbers::new(Some(DecimalMark::Point)).float(b"1,234.5"), Some(1234.5));
        assert!(PLAIN.float(b"NaN").unwrap().is_nan());
    }

    #[test]
    fn decimals_lose_no_digit() {
        assert_eq!(PLAIN.decimal(b"12.5", 12, 2), Some(1250));
        assert_eq!(PLAIN.decimal(b"-.5", 12, 2), Some(-50));
        assert_eq!(PLAIN.decimal(b"12.500", 12, 2), Some(1250));
        assert_eq!(PLAIN.decimal(b"12.505", 12, 2), None);
        assert_eq!(PLAIN.decimal(b"1000", 5, 2), None);
        assert_eq!(PLAIN.decimal(b".", 5, 2), None);
        assert_eq!(COMMA.decimal(b"1.234,56", 12, 2), Some(123_456));
        let nines = "9".repeat(38);
        assert_eq!(PLAIN.decimal(nines.as_bytes(), 38, 0), nines.parse().ok());
    }

    proptest! {
        #[test]
        fn numbers_round_trip(int in any::<i64>(), float in any::<f64>()) {
            prop_assert_eq!(PLAIN.int(int.to_string().as_bytes()), Some(int));
            let read = PLAIN.float(float.to_string().as_bytes()).unwrap();
            prop_assert!(read.total_cmp(&float).is_eq() || float.is_nan());
            let comma = float.to_string().replace('.', ",");
            let read = COMMA.float(comma.as_bytes()).unwrap();
            prop_assert!(read.total_cmp(&float).is_eq() || float.is_nan());
        }
    }
}
