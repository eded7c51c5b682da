//! Counting distinct values: a word of flags a profile while the values are few, pairs when not.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type};

use crate::error::{Error, Result};
use crate::store::{Dictionary, Places, dictionary};

use super::state::{Rows, integers};

/// Values whose flags fit a word; what is beyond is kept as pairs.
const FLAGS: u32 = 64;

/// Numbers of a run that lie this close together have a table of codes.
const CLOSE: usize = 4_096;

/// The distinct values seen of each profile.
#[derive(Debug)]
pub(super) struct Distinct {
    flags: Vec<u64>,
    /// (place, code) of values beyond [`FLAGS`]; sorted and without duplicates when finished.
    pairs: Vec<(u32, u32)>,
    codes: HashMap<Key, u32>,
    /// How many pairs each place has, where it has any.
    beyond: HashMap<u32, u32>,
}

/// A value, by what makes it equal to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Text(String),
    Number(i128),
}

impl Distinct {
    pub(super) fn new(span: usize) -> Self {
        Self {
            flags: vec![0; span],
            pairs: Vec::new(),
            codes: HashMap::new(),
            beyond: HashMap::new(),
        }
    }

    /// Takes in the values of `rows`, none of which is null.
    pub(super) fn update(&mut self, rows: Rows<'_>, values: &ArrayRef) -> Result<()> {
        if let Some(Dictionary { values: words, places, .. }) = dictionary(values) {
            let words = cast(words, &DataType::Utf8).map_err(|_| unknown(values))?;
            let words = words.as_string_opt::<i32>().ok_or_else(|| unknown(values))?;
            let codes: Vec<u32> = (0..words.len())
                .map(|i| if words.is_null(i) { 0 } else { self.text(words.value(i)) })
                .collect();
            let mut put = |place, at: Option<usize>| {
                if let Some(&code) = at.and_then(|at| codes.get(at)) {
                    self.put(place, code);
                }
            };
            match places {
                Places::Narrow(places) => {
                    rows.each(|row, place| put(place, Some(usize::from(places[row]))));
                }
                Places::Wide(places) => {
                    rows.each(|row, place| put(place, usize::try_from(places[row]).ok()));
                }
            }
            return Ok(());
        }
        match values.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                let words = cast(values, &DataType::Utf8View).map_err(|_| unknown(values))?;
                let words = words.as_string_view();
                rows.each(|row, place| {
                    let code = self.text(words.value(row));
                    self.put(place, code);
                });
            }
            DataType::Boolean => {
                let values = values.as_boolean();
                self.numbers(rows, |row| i128::from(values.value(row)));
            }
            DataType::Decimal128(..) => {
                let values = values.as_primitive::<Decimal128Type>().values();
                self.numbers(rows, |row| values[row]);
            }
            _ => {
                let values = integers(values).map_err(|_| unknown(values))?;
                self.close_numbers(rows, values.values());
            }
        }
        Ok(())
    }

    /// As [`Distinct::numbers`], for numbers that a run has few of, as its days: a code is looked up by
    /// its distance from the least.
    fn close_numbers(&mut self, rows: Rows<'_>, values: &[i64]) {
        let mut least_most: Option<(i64, i64)> = None;
        rows.each(|row, _| {
            let value = values[row];
            let (least, most) = least_most.unwrap_or((value, value));
            least_most = Some((least.min(value), most.max(value)));
        });
        let Some((least, most)) = least_most else { return };
        let span = usize::try_from(most.abs_diff(least)).unwrap_or(usize::MAX);
        if span >= CLOSE {
            return self.numbers(rows, |row| i128::from(values[row]));
        }
        let mut codes: Vec<Option<u32>> = vec![None; span + 1];
        rows.each(|row, place| {
            let number = values[row];
            let known = usize::try_from(number.abs_diff(least)).unwrap_or(usize::MAX);
            let code = match codes[known] {
                Some(code) => code,
                None => *codes[known].insert(self.code(Key::Number(i128::from(number)))),
            };
            self.put(place, code);
        });
    }

    fn numbers(&mut self, rows: Rows<'_>, value: impl Fn(usize) -> i128) {
        // Neighbours often are equal: days of one profile, prices of one order.
        let mut last: Option<(i128, u32)> = None;
        rows.each(|row, place| {
            let number = value(row);
            let code = match last {
                Some((known, code)) if known == number => code,
                _ => self.code(Key::Number(number)),
            };
            last = Some((number, code));
            self.put(place, code);
        });
    }

    fn text(&mut self, text: &str) -> u32 {
        self.code(Key::Text(text.to_owned()))
    }

    fn code(&mut self, key: Key) -> u32 {
        let next = u32::try_from(self.codes.len()).unwrap_or(u32::MAX);
        *self.codes.entry(key).or_insert(next)
    }

    fn put(&mut self, place: usize, code: u32) {
        if code < FLAGS {
            self.flags[place] |= 1 << code;
        } else {
            self.pairs.push((u32::try_from(place).unwrap_or(u32::MAX), code));
        }
    }

    /// Takes over the values that `other` has seen; before [`Distinct::finish`].
    pub(super) fn take_over(&mut self, other: &Self) {
        let mut codes = vec![0; other.codes.len()];
        other.codes.iter().for_each(|(key, code)| {
            if let Some(slot) = codes.get_mut(*code as usize) {
                *slot = self.code(key.clone());
            }
        });
        for (place, flags) in other.flags.iter().enumerate() {
            let mut left = *flags;
            while left != 0 {
                self.put(place, codes[left.trailing_zeros() as usize]);
                left &= left - 1;
            }
        }
        for (place, code) in &other.pairs {
            self.put(*place as usize, codes[*code as usize]);
        }
    }

    pub(super) fn finish(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        for (place, _) in &self.pairs {
            *self.beyond.entry(*place).or_default() += 1;
        }
    }

    /// How many distinct values the profile at `place` has; after [`Distinct::finish`].
    pub(super) fn count(&self, place: usize) -> u32 {
        let beyond = u32::try_from(place).ok().and_then(|p| self.beyond.get(&p)).copied();
        self.flags[place].count_ones() + beyond.unwrap_or(0)
    }
}

fn unknown(values: &ArrayRef) -> Error {
    Error::internal(format!("distinct values of {} are not counted here", values.data_type()))
}
