//! Values of columns before they are encoded: they wait until all were seen, since what a bin is depends on
//! all of them. Few wait in memory, many beside the store, a chunk each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;

use super::frame::Values;
use super::keep::Keep;
use super::layout::Layout;

/// The values of a query's columns, by chunk.
#[derive(Debug)]
pub(crate) struct Raw {
    keep: Keep,
    set: String,
    /// Which columns are words.
    words: Vec<bool>,
    /// The rows of each chunk.
    rows: Vec<usize>,
    spills: bool,
    /// The chunks that are in memory.
    held: Mutex<BTreeMap<usize, Vec<Values>>>,
}

fn object(chunk: usize) -> String {
    format!("raw-{chunk:05}")
}

impl Raw {
    /// A place for the values of what will be the set `set`.
    pub(crate) fn of(keep: &Keep, set: &str) -> Self {
        Self {
            keep: keep.clone(),
            set: set.to_owned(),
            words: Vec::new(),
            rows: Vec::new(),
            spills: false,
            held: Mutex::default(),
        }
    }

    /// Makes ready for the chunks of `layout`, with a column for each of `words`.
    pub(crate) fn expect(&mut self, layout: &Layout, words: &[bool]) {
        words.clone_into(&mut self.words);
        self.rows = (0..layout.chunks()).map(|chunk| layout.chunk(chunk).len()).collect();
        self.spills = !self.keep.holds(4 * layout.len() * words.len());
    }

    /// Takes a chunk.
    pub(crate) async fn push(&mut self, chunk: usize, values: Vec<Values>) {
        let written =
            self.spills && self.keep.write(&self.set, &object(chunk), to_bytes(&values)).await;
        if !written {
            self.held().insert(chunk, values);
        }
    }

    /// Takes the values of a chunk out, column by column, for threads that may wait.
    ///
    /// # Errors
    /// Where they are lost.
    pub(crate) fn take(&self, chunk: usize) -> Result<Vec<Values>> {
        let held = self.held().remove(&chunk);
        if let Some(values) = held {
            return Ok(values);
        }
        let rows = self.rows[chunk];
        let size = 4 * rows * self.words.len();
        let is_whole = |bytes: &[u8]| bytes.len() == size;
        let bytes = self.keep.part(&self.set, &object(chunk), 0..size as u64, is_whole)?;
        self.keep.remove_now(&self.set, &object(chunk));
        Ok(from_bytes(&bytes, rows, &self.words))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<Values>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn to_bytes(values: &[Values]) -> Vec<u8> {
    let mut bytes = vec![0; values.iter().map(|values| 4 * values.len()).sum()];
    let (mut cells, _) = bytes.as_chunks_mut::<4>();
    for values in values {
        let (own, behind) = cells.split_at_mut(values.len());
        cells = behind;
        match values {
            Values::Numbers(values) => {
                own.iter_mut().zip(values).for_each(|(cell, value)| *cell = value.to_le_bytes());
            }
            Values::Words { codes, .. } => {
                own.iter_mut().zip(codes).for_each(|(cell, code)| *cell = code.to_le_bytes());
            }
        }
    }
    bytes
}

fn from_bytes(bytes: &[u8], rows: usize, words: &[bool]) -> Vec<Values> {
    let (cells, _) = bytes.as_chunks::<4>();
    let column = |(at, is_word): (usize, &bool)| {
        let own = cells[at * rows..(at + 1) * rows].iter().copied();
        if *is_word {
            Values::Words { codes: own.map(u32::from_le_bytes).collect(), labels: Vec::new() }
        } else {
            Values::Numbers(own.map(f32::from_le_bytes).collect())
        }
    };
    words.iter().enumerate().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_to_the_bit() {
        let numbers = vec![1.5, -0.0, f32::NAN, f32::NEG_INFINITY];
        let codes = vec![0, 1, u32::MAX, 7];
        let values = vec![
            Values::Numbers(numbers.clone()),
            Values::Words { codes: codes.clone(), labels: Vec::new() },
        ];
        let back = from_bytes(&to_bytes(&values), 4, &[false, true]);
        let [Values::Numbers(own), Values::Words { codes: own_codes, .. }] = &back[..] else {
            panic!("{back:?}");
        };
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
        assert_eq!((bits(own), own_codes), (bits(&numbers), &codes));
    }
}
