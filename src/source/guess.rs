//! What type a column of text has, told from a sample of its values. A guess starts with every type
//! possible and loses those that some value does not fit; guesses of several files intersect.

use arrow::datatypes::DataType;

use super::numbers::{Numbers, is_padded};
use super::options::ReadOptions;
use super::times::{Look, Times};
use super::types::timestamp;
use crate::error::Result;

/// Whole numbers above 2^53 are not all floats.
const FLOAT_EXACT_MAX: u64 = 1 << 53;

const BOOL: u8 = 1;
const INT: u8 = 2;
const FLOAT: u8 = 4;
const DATE: u8 = 8;
const TIME: u8 = 16;

/// How the values of one source are written: what every column of text is read by.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) numbers: Numbers,
    pub(super) times: Times,
    nulls: Vec<Vec<u8>>,
}

impl Rules {
    pub(super) fn new(options: &ReadOptions) -> Result<Self> {
        Ok(Self {
            numbers: Numbers::new(options.decimal),
            times: Times::new(options.timezone, &options.time)?,
            nulls: options.nulls.iter().map(|word| word.as_bytes().to_vec()).collect(),
        })
    }

    /// Whether `value` is a spelling of null; the empty field always is, quoted or not.
    pub(super) fn is_null(&self, value: &[u8]) -> bool {
        value.is_empty() || self.nulls.iter().any(|null| null == value)
    }
}

/// The types that all values seen so far have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guess {
    possible: u8,
    /// Whether a value that is not null was seen, other than a bare `NaN` or `inf`.
    firm: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self { possible: BOOL | INT | FLOAT | DATE | TIME, firm: false }
    }
}

impl Guess {
    /// Takes a value into account.
    pub(super) fn observe(&mut self, value: &[u8], rules: &Rules) {
        if self.possible == 0 || rules.is_null(value) {
            return;
        }
        let value = value.trim_ascii();
        if value.is_empty() {
            return;
        }
        let (possible, firm) = possible_types(value, rules);
        self.possible &= possible;
        self.firm |= firm;
    }

    /// What both guesses allow.
    pub(super) fn merge(self, other: Self) -> Self {
        Self { possible: self.possible & other.possible, firm: self.firm || other.firm }
    }

    /// The narrowest type that is left: text where nothing was seen, or nothing fits all.
    pub(super) fn data_type(self) -> DataType {
        let left = |kind: u8| self.firm && self.possible & kind != 0;
        if left(DATE) {
            DataType::Date32
        } else if left(TIME) {
            timestamp()
        } else if left(INT) {
            DataType::Int64
        } else if left(FLOAT) {
            DataType::Float64
        } else if left(BOOL) {
            DataType::Boolean
        } else {
            DataType::Utf8
        }
    }

    /// The type if it is a date or a time, else text: JSON strings are never numbers.
    pub(super) fn string_type(self) -> DataType {
        match self.data_type() {
            time @ (DataType::Date32 | DataType::Timestamp(..)) => time,
            _ => DataType::Utf8,
        }
    }
}

/// Whether a field looks like a value rather than like a column's name.
pub(super) fn looks_like_value(field: &[u8], rules: &Rules) -> bool {
    let field = field.trim_ascii();
    !field.is_empty() && {
        let (possible, firm) = possible_types(field, rules);
        firm && possible != 0 || rules.numbers.int(field).is_some()
    }
}

fn possible_types(value: &[u8], rules: &Rules) -> (u8, bool) {
    let times = match rules.times.look(value) {
        Some(Look::Day) => DATE | TIME,
        Some(Look::Time) => TIME,
        None => 0,
    };
    let other = match value[0] {
        b'0'..=b'9' | b'-' | b'.' | b',' => number_types(value, rules.numbers),
        b'T' | b't' | b'F' | b'f'
            if value.eq_ignore_ascii_case(b"true") || value.eq_ignore_ascii_case(b"false") =>
        {
            BOOL
        }
        _ => 0,
    };
    if times | other == 0 && is_no_number(value) {
        return (FLOAT, false);
    }
    (times | other, true)
}

/// `NaN` and the infinities as pandas and Spark write them.
fn is_no_number(value: &[u8]) -> bool {
    let words: [&[u8]; 8] =
        [b"NaN", b"nan", b"inf", b"-inf", b"Infinity", b"-Infinity", b"Inf", b"-Inf"];
    words.contains(&value)
}

/// Leading zeros and digits beyond 64 bits make an id, not a number; so does an exponent without a
/// sign or a fraction, as in the article number `12E4`.
fn number_types(value: &[u8], numbers: Numbers) -> u8 {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    if is_padded(value) || !digits.iter().any(u8::is_ascii_digit) {
        return 0;
    }
    if digits.iter().all(u8::is_ascii_digit) {
        return match numbers.int(value) {
            Some(int) if int.unsigned_abs() <= FLOAT_EXACT_MAX => INT | FLOAT,
            Some(_) => INT,
            None => 0,
        };
    }
    let mark = numbers.mark();
    let exponent = digits.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let signed = |at: usize| matches!(digits.get(at + 1), Some(b'+' | b'-'));
    let marked = digits.iter().any(|&byte| char::from(byte) == mark);
    match exponent {
        Some(at) if !signed(at) && !marked => 0,
        _ if numbers.float(value).is_none() => 0,
        None if !marked => INT | FLOAT,
        _ => FLOAT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(values: &[&str], options: &ReadOptions) -> DataType {
        let rules = Rules::new(options).unwrap();
        let mut guess = Guess::default();
        for value in values {
            guess.observe(value.as_bytes(), &rules);
        }
        guess.data_type()
    }

    #[test]
    fn the_narrowest_type_that_fits_all() {
        let plain = ReadOptions::default();
        for (values, expected) in [
            (&["1", "", "-3", " 4"][..], DataType::Int64),
            (&["1", "2.5", "1e-05", "NaN"], DataType::Float64),
            (&["1", "NaN"], DataType::Float64),
            (&["NaN", ""], DataType::Utf8),
            (&["True", "false"], DataType::Boolean),
            (&["2024-01-01"], DataType::Date32),
            (&["2024-01-01", "2024-01-01 10:00"], timestamp()),
            (&["2024-01-01T10:00:00Z"], timestamp()),
            (&["00123", "1"], DataType::Utf8),
            (&["+4912345"], DataType::Utf8),
            (&["12E4", "13"], DataType::Utf8),
            (&["1", "abc"], DataType::Utf8),
            (&["2024-01-01", "5"], DataType::Utf8),
            (&["20240101"], DataType::Int64),
            (&["12345678901234567890"], DataType::Utf8),
            (&["9007199254740993", "1.5"], DataType::Utf8),
            (&["1,5"], DataType::Utf8),
            (&["-", "x"], DataType::Utf8),
            (&["", "  "], DataType::Utf8),
        ] {
            assert_eq!(guess(values, &plain), expected, "{values:?}");
        }
    }

    #[test]
    fn options_change_what_fits() {
        let mut options = ReadOptions::default();
        for (key, value) in [("decimal", "comma"), ("times", "%Y%m%d|%d.%m.%Y"), ("nulls", "NULL")]
        {
            options.set(key, value).unwrap();
        }
        assert_eq!(guess(&["1,5", "1.234,5", "NULL"], &options), DataType::Float64);
        assert_eq!(guess(&["1.234", "5"], &options), DataType::Int64);
        assert_eq!(guess(&["19970101"], &options), DataType::Date32);
        assert_eq!(guess(&["19970101", "5"], &options), DataType::Int64);
        assert_eq!(guess(&["01.02.2024"], &options), DataType::Date32);
    }
}
