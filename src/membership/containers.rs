//! A set of 32-bit numbers as containers, one a block of 65,536 that has members. Under every
//! [`super::Membership`] and, by their high halves, under [`super::Numbers`].
//!
//! What `roaring` is for others, with two things that it does not give: whoever counts sees the
//! containers, and there is one form for a set, so that equal sets have equal containers. Containers
//! are shared between the sets that have them.

use std::iter::Peekable;

use fearless_simd::Level;

use super::container::{Body, Container, Lows, Operation};
use super::kernel::{Block, Kernel};
use super::merge;

/// Bytes that are kept for a container beside its members: the row here, and the counts of its
/// holders.
const CONTAINER_BYTES: usize = size_of::<Container>() + 2 * size_of::<usize>();
/// Numbers out of order that wait to be sorted: 4 MiB.
const WAITING_MAX: usize = 1 << 20;

/// Ascending by block; none without members.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Containers(Vec<Container>);

impl Containers {
    /// The rows, ascending by block.
    pub(super) fn rows(&self) -> &[Container] {
        &self.0
    }

    pub(super) fn into_rows(self) -> Vec<Container> {
        self.0
    }

    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|row| u64::from(row.members)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        let (block, low) = halves(number);
        self.find(block).is_ok_and(|at| self.0[at].contains(low))
    }

    /// Puts `number` in; whether it was not in before.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        let (block, low) = halves(number);
        match self.find(block) {
            Ok(at) => {
                let Some(with) = self.0[at].with(low) else { return false };
                self.0[at] = with;
            }
            Err(at) => {
                let row = Container::from_list(block, &[low]).expect("one member");
                self.0.insert(at, row);
            }
        }
        true
    }

    pub(super) fn min(&self) -> Option<u32> {
        self.0.first().map(|row| number(row.block, row.ends().0))
    }

    pub(super) fn max(&self) -> Option<u32> {
        self.0.last().map(|row| number(row.block, row.ends().1))
    }

    /// The members, ascending.
    pub(super) fn iter(&self) -> Members<'_> {
        Members::of(&self.0)
    }

    /// The members from `first` on, ascending; costs a search.
    pub(super) fn iter_from(&self, first: u32) -> Members<'_> {
        let (block, low) = halves(first);
        let at = self.find(block).unwrap_or_else(|at| at);
        let mut members = Members::of(&self.0[at..]);
        if self.0.get(at).is_some_and(|row| row.block == block) {
            members.skip_to(low);
        }
        members
    }

    /// The rows of the blocks in a range, both ends included.
    pub(super) fn rows_between(&self, first: u16, last: u16) -> &[Container] {
        let start = self.0.partition_point(|row| row.block < first);
        let end = self.0.partition_point(|row| row.block <= last);
        &self.0[start..end]
    }

    /// What `operation` makes of two sets.
    pub(super) fn combine(&self, operation: Operation, other: &Self) -> Self {
        let kernel = Kernel::detect();
        let keeps = operation.keeps();
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut rows = Vec::new();
        loop {
            let (a, b) = next_block(&mut mine, &mut theirs);
            rows.extend(match (a, b) {
                (Some(a), Some(b)) => a.combine(operation, b, kernel),
                (Some(a), None) => keeps.0.then(|| a.clone()),
                (None, Some(b)) => keeps.1.then(|| b.clone()),
                (None, None) => break,
            });
        }
        Self(rows)
    }

    /// How many members are in both.
    pub(super) fn and_len(&self, other: &Self) -> u64 {
        merge::and_len(Level::new(), &self.0, &other.0)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let body = |row: &Container| match &row.body {
            Body::List(list) => size_of_val(&**list),
            Body::Both(both) => size_of_val(&**both) + size_of_val(&*both.list),
            Body::Bits(bits) => size_of_val(&**bits),
        };
        self.0.iter().map(|row| CONTAINER_BYTES + body(row)).sum()
    }

    fn find(&self, block: u16) -> Result<usize, usize> {
        self.0.binary_search_by_key(&block, |row| row.block)
    }
}

impl FromIterator<Container> for Containers {
    /// The set of rows in ascending order.
    fn from_iter<I: IntoIterator<Item = Container>>(rows: I) -> Self {
        let rows: Vec<Container> = rows.into_iter().collect();
        debug_assert!(rows.is_sorted_by(|a, b| a.block < b.block), "rows ascend by block");
        Self(rows)
    }
}

impl FromIterator<u32> for Containers {
    /// The set of numbers in any order, duplicates allowed.
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut collector = Collector::default();
        numbers.into_iter().for_each(|number| collector.push(number));
        collector.finish()
    }
}

/// The rows of the lowest block that either is at.
fn next_block<'a, I: Iterator<Item = &'a Container>>(
    mine: &mut Peekable<I>,
    theirs: &mut Peekable<I>,
) -> (Option<&'a Container>, Option<&'a Container>) {
    let block = match (mine.peek(), theirs.peek()) {
        (Some(a), Some(b)) => a.block.min(b.block),
        (Some(one), None) | (None, Some(one)) => one.block,
        (None, None) => return (None, None),
    };
    (mine.next_if(|row| row.block == block), theirs.next_if(|row| row.block == block))
}

/// A set in the making, from numbers that ascend.
#[derive(Default)]
pub(super) struct Ascending {
    rows: Vec<Container>,
    /// The block that is open, and its members so far.
    block: u16,
    list: Vec<u16>,
    last: Option<u32>,
}

impl Ascending {
    /// Takes `number`; whether it is above all before it. If not, nothing changes.
    pub(super) fn push(&mut self, number: u32) -> bool {
        if self.last.is_some_and(|last| last >= number) {
            return false;
        }
        self.last = Some(number);
        let (block, low) = halves(number);
        if block != self.block {
            self.close();
            self.block = block;
        }
        self.list.push(low);
        true
    }

    pub(super) fn finish(mut self) -> Containers {
        self.close();
        Containers(self.rows)
    }

    fn close(&mut self) {
        self.rows.extend(Container::from_list(self.block, &self.list));
        self.list.clear();
    }
}

/// A set in the making, from numbers in any order. Those that ascend are taken as they come; others
/// wait until there are many, which are sorted.
#[derive(Default)]
pub(super) struct Collector {
    ascending: Ascending,
    waiting: Vec<u32>,
    done: Containers,
}

impl Collector {
    pub(super) fn push(&mut self, number: u32) {
        if !self.ascending.push(number) && self.ascending.last != Some(number) {
            self.waiting.push(number);
            if self.waiting.len() == WAITING_MAX {
                self.sort();
            }
        }
    }

    pub(super) fn finish(mut self) -> Containers {
        self.sort();
        let ascending = self.ascending.finish();
        if self.done.is_empty() { ascending } else { self.done.combine(Operation::Or, &ascending) }
    }

    fn sort(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.waiting.sort_unstable();
        let mut sorted = Ascending::default();
        for number in self.waiting.drain(..) {
            // A number that is there twice is not above the one before it.
            let _is_new = sorted.push(number);
        }
        self.done = self.done.combine(Operation::Or, &sorted.finish());
    }
}

/// The members of a set, ascending.
pub(super) struct Members<'a> {
    rows: std::slice::Iter<'a, Container>,
    /// The first number of the block that is open.
    base: u32,
    open: Open<'a>,
}

/// What is left of a block.
enum Open<'a> {
    List(std::slice::Iter<'a, u16>),
    /// The bits that are left of word `at`, and the block.
    Bits {
        bits: &'a Block,
        at: usize,
        word: u64,
    },
}

impl<'a> Members<'a> {
    fn of(rows: &'a [Container]) -> Self {
        let mut members = Self { rows: rows.iter(), base: 0, open: Open::List([].iter()) };
        members.open_next();
        members
    }

    /// Opens the next block; whether there is one.
    fn open_next(&mut self) -> bool {
        let Some(row) = self.rows.next() else { return false };
        self.base = number(row.block, 0);
        self.open = match row.lows() {
            Lows::List(list) => Open::List(list.iter()),
            Lows::Bits(bits) => Open::Bits { bits, at: 0, word: bits.0[0] },
        };
        true
    }

    /// Leaves out what is below `low` in the block that is open.
    fn skip_to(&mut self, low: u16) {
        match &mut self.open {
            Open::List(list) => {
                let left = list.as_slice();
                *list = left[left.partition_point(|other| *other < low)..].iter();
            }
            Open::Bits { bits, at, word } => {
                *at = usize::from(low >> 6);
                *word = bits.0[*at] & (u64::MAX << (low & 63));
            }
        }
    }
}

impl Iterator for Members<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            match &mut self.open {
                Open::List(list) => {
                    if let Some(low) = list.next() {
                        return Some(self.base | u32::from(*low));
                    }
                }
                Open::Bits { bits, at, word } => {
                    while *word == 0 && *at + 1 < bits.0.len() {
                        *at += 1;
                        *word = bits.0[*at];
                    }
                    if *word != 0 {
                        let bit = word.trailing_zeros();
                        *word &= *word - 1;
                        let at = u32::try_from(*at).expect("a block has 1,024 words");
                        return Some(self.base | at << 6 | bit);
                    }
                }
            }
            if !self.open_next() {
                return None;
            }
        }
    }
}

/// The block of a number, and its place there.
pub(super) fn halves(number: u32) -> (u16, u16) {
    let half = |number: u32| u16::try_from(number & 0xFFFF).expect("16 bits");
    (half(number >> 16), half(number))
}

/// The number at a place of a block.
pub(super) fn number(block: u16, low: u16) -> u32 {
    u32::from(block) << 16 | u32::from(low)
}
