//! What a condition on one column says of distinct values: of the words of dictionaries, of days.
//!
//! Each file has dictionaries of its own, with mostly the same words in them. A condition is asked of a word
//! once, whatever dictionaries it is in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use arrow::buffer::NullBuffer;
use hashbrown::HashMap;

use crate::error::Result;

use super::words::Words;

/// Dictionaries that a condition remembers what it said of, and so keeps in memory. A thread is at one row
/// group at a time.
const DICTIONARIES_MAX: usize = 16;

/// Words that a condition remembers. Dictionaries of more are asked as they are.
const WORDS_MAX: usize = 1 << 10;

/// What a condition said of words.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// By where the values of a dictionary are in memory, which many runs of rows share. They are kept, so
    /// that nothing else can be there.
    dictionaries: HashMap<usize, (ArrayRef, Arc<Truths>)>,
    words: HashMap<Box<str>, bool>,
    of_null: Option<bool>,
}

impl Told {
    /// What the condition says of `values`, those of a dictionary; `ask` evaluates it.
    pub(super) fn of(
        &self,
        values: &ArrayRef,
        ask: &dyn Fn(&ArrayRef) -> Result<Truths>,
    ) -> Result<Arc<Truths>> {
        let place = Arc::as_ptr(values).addr();
        if let Some((_, truths)) = self.known().dictionaries.get(&place) {
            return Ok(Arc::clone(truths));
        }
        let truths = Arc::new(match values.as_string_opt::<i32>() {
            Some(words) if words.len() <= WORDS_MAX => self.of_words(words, ask)?,
            _ => ask(values)?,
        });
        let mut known = self.known();
        if known.dictionaries.len() == DICTIONARIES_MAX {
            known.dictionaries.clear();
        }
        known.dictionaries.insert(place, (Arc::clone(values), Arc::clone(&truths)));
        Ok(truths)
    }

    fn of_words(
        &self,
        words: &StringArray,
        ask: &dyn Fn(&ArrayRef) -> Result<Truths>,
    ) -> Result<Truths> {
        let known = self.known();
        let said = |word: Option<&str>| match word {
            Some(word) => known.words.get(word).copied(),
            None => known.of_null,
        };
        let all: Vec<Option<bool>> = words.iter().map(said).collect();
        let of_null = known.of_null;
        drop(known);
        let open = words.iter().zip(&all).filter(|(_, said)| said.is_none());
        let open: StringArray = open.map(|(word, _)| word).collect();
        if let (Some(of_null), true) = (of_null, open.is_empty()) {
            return Ok(Truths { is_true: all.into_iter().flatten().collect(), of_null });
        }
        let told = ask(&(Arc::new(open.clone()) as ArrayRef))?;
        let mut known = self.known();
        if known.words.len() > WORDS_MAX {
            known.words.clear();
        }
        let news = open.iter().zip(&told.is_true);
        known.words.extend(news.filter_map(|(word, is)| Some((word?.into(), *is))));
        known.of_null = Some(told.of_null);
        let mut news = told.is_true.into_iter();
        let is_true = all.into_iter().filter_map(|said| said.or_else(|| news.next()));
        Ok(Truths { is_true: is_true.collect(), of_null: told.of_null })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a condition says of each of some values, and of null.
#[derive(Debug)]
pub(super) struct Truths {
    pub(super) is_true: Vec<bool>,
    pub(super) of_null: bool,
}

impl Truths {
    /// The rows whose value, the one at the `place` of its slot, it is true of; `slot` is the way back. What
    /// stands in the slot of a null does not matter.
    pub(super) fn of<S: Copy + PartialEq>(
        &self,
        slots: &[S],
        nulls: Option<&NullBuffer>,
        (place, slot): (impl Fn(S) -> i32, impl Fn(i32) -> Option<S>),
    ) -> Words {
        let mut few = [false; 256];
        let mut true_ones = (0..).zip(&self.is_true).filter(|(_, is)| **is).map(|(at, _)| at);
        let first = true_ones.next().and_then(slot);
        let only = first.filter(|_| true_ones.next().is_none());
        let mut words = if let Some(only) = only {
            Words::of_values(slots, |slot| slot == only)
        } else if self.is_true.len() <= 64 {
            // A bit a value: vectors can shift by their lanes, and cannot look up.
            let of_value = |(at, is): (usize, &bool)| u64::from(*is) << at;
            let all = self.is_true.iter().enumerate().map(of_value).fold(0, |all, one| all | one);
            Words::of_values(slots, |slot| all >> (place(slot) & 63) & 1 == 1)
        } else if self.is_true.len() <= few.len() {
            few[..self.is_true.len()].copy_from_slice(&self.is_true);
            Words::of_values(slots, |slot| few[usize::from(place(slot).to_le_bytes()[0])])
        } else {
            // A negative place is none, and lies behind all of them as an unsigned number.
            let at = |place: i32| self.is_true.get(place.cast_unsigned() as usize).copied();
            Words::of_values(slots, |slot| at(place(slot)).unwrap_or(false))
        };
        if let Some(nulls) = nulls.filter(|n| n.null_count() > 0) {
            let valid = nulls.inner().bit_chunks().iter_padded();
            for (word, valid) in words.0.iter_mut().zip(valid) {
                *word = (*word & valid) | if self.of_null { !valid } else { 0 };
            }
            if self.of_null {
                words.and(&Words::ones(slots.len()).0);
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_told_of_once_and_as_they_are(
            dictionaries in prop::collection::vec(
                prop::collection::btree_set(prop::option::of(0..9_usize), 0..8), 1..6),
            trues in prop::collection::vec(any::<bool>(), 10),
        ) {
            let told = Told::default();
            let word = |n: usize| format!("w{n}");
            let asked = Mutex::new(Vec::new());
            let is = |word: Option<&str>| match word {
                Some(word) => trues[usize::from(word.as_bytes()[1] - b'0')],
                None => trues[9],
            };
            let ask = |values: &ArrayRef| {
                let words = values.as_string::<i32>();
                let known = words.iter().flatten().map(str::to_owned);
                asked.lock().expect("one thread").extend(known);
                Ok(Truths { is_true: words.iter().map(is).collect(), of_null: is(None) })
            };
            for dictionary in dictionaries {
                let words: StringArray = dictionary.iter().map(|n| n.map(word)).collect();
                let expected: Vec<bool> = words.iter().map(is).collect();
                let truths = told.of(&(Arc::new(words) as ArrayRef), &ask).expect("truths");
                prop_assert_eq!(&truths.is_true, &expected);
                prop_assert_eq!(truths.of_null, is(None));
            }
            let mut asked = asked.into_inner().expect("one thread");
            let all = asked.len();
            asked.sort_unstable();
            asked.dedup();
            prop_assert_eq!(all, asked.len());
        }
    }
}
