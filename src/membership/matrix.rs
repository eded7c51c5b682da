//! How many members every two of many sets have in common, in one go.
//!
//! Ids are taken in blocks of 65,536, as the containers of sets are. Within a block a set with many
//! members is a row of bits, and such are counted by words, 16 pairs at a time ([`super::kernel`]);
//! of a set with few each member is looked up in the other. So a set costs what it has in it, not
//! what it could have. Nothing is prepared but the bits of lists of middling length, block by block.
//! Blocks are counted side by side on several threads.

use std::num::NonZeroUsize;

use rayon::prelude::*;

use super::container::{Container, Lows};
use super::kernel::{Block, Counts, Kernel, LANES, Span, TILE};
use super::mask::BLOCK_WORDS;
use super::set::Membership;
use crate::error::{Error, Result};

/// Up to so many members in a block each is looked up: about when that takes as long as counting two
/// blocks in a tile.
const FEW: u32 = 96;

/// Words of all sets that are counted at a time, 800 KiB: they stay in a second cache of 1 MiB while
/// every two are counted.
const SPANS_WORDS: usize = 100 * BLOCK_WORDS;

/// The sizes of all pairwise intersections of some sets; of each set with itself, its own size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intersections {
    sets: usize,
    /// Row by row.
    counts: Vec<u64>,
}

impl Intersections {
    fn new(sets: usize) -> Self {
        Self { sets, counts: vec![0; sets * sets] }
    }

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.sets
    }

    /// Whether there are no sets.
    pub fn is_empty(&self) -> bool {
        self.sets == 0
    }

    /// How many members the sets at `a` and `b` have in common; both are below [`Self::len`].
    pub fn get(&self, a: usize, b: usize) -> u64 {
        self.counts[a * self.sets + b]
    }

    /// The rows, one a set.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks(self.sets.max(1))
    }

    /// Adds to the pair of `a` and `b`, which is kept in the order of the two.
    fn add(&mut self, a: usize, b: usize, count: u64) {
        let (low, high) = (a.min(b), a.max(b));
        self.counts[low * self.sets + high] += count;
    }

    fn plus(mut self, other: &Self) -> Self {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self
    }

    /// Fills the lower triangle with the upper one.
    fn mirror(mut self) -> Self {
        for a in 0..self.sets {
            for b in 0..a {
                self.counts[a * self.sets + b] = self.counts[b * self.sets + a];
            }
        }
        self
    }
}

/// The intersections of every two of `sets`, on up to `threads` threads.
///
/// # Errors
/// Where the system gives no threads.
///
/// ```
/// use std::num::NonZeroUsize;
/// use throng::membership::{Membership, matrix};
/// use throng::model::ProfileId;
///
/// let set = |ids: &[u32]| ids.iter().filter_map(|&id| ProfileId::new(id)).collect::<Membership>();
/// let (buyers, readers) = (set(&[1, 2, 3]), set(&[3, 4]));
/// let counts = matrix::intersections(&[&buyers, &readers], NonZeroUsize::MIN)?;
/// assert_eq!((counts.get(0, 0), counts.get(0, 1), counts.get(1, 1)), (3, 1, 2));
/// # Ok::<(), throng::error::Error>(())
/// ```
pub fn intersections(sets: &[&Membership], threads: NonZeroUsize) -> Result<Intersections> {
    Ok(pool(threads)?.install(|| with(Kernel::detect(), sets)))
}

fn pool(threads: NonZeroUsize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .build()
        .map_err(|e| Error::unavailable(format!("no threads to count with: {e}")))
}

/// The same by two sets at a time.
pub fn intersections_by_pairs(sets: &[&Membership]) -> Intersections {
    let mut counts = Intersections::new(sets.len());
    for (a, left) in sets.iter().enumerate() {
        for (b, right) in sets.iter().enumerate().skip(a) {
            counts.add(a, b, left.and_len(right));
        }
    }
    counts.mirror()
}

fn with(kernel: Kernel, sets: &[&Membership]) -> Intersections {
    let none = || (Intersections::new(sets.len()), Vec::new());
    let counts = blocks(sets)
        .par_iter()
        .fold(none, |(mut counts, mut scratch), rows| {
            count(kernel, rows, &mut counts, &mut scratch);
            (counts, scratch)
        })
        .map(|(counts, _)| counts)
        .reduce_with(|a, b| a.plus(&b));
    counts.unwrap_or_else(|| Intersections::new(sets.len())).mirror()
}

/// A container, and the set that it is of.
type Row<'a> = (usize, &'a Container);

/// The containers of all sets in each block that any has members in.
fn blocks<'a>(sets: &[&'a Membership]) -> Vec<Vec<Row<'a>>> {
    let mut blocks: Vec<Vec<Row<'a>>> = Vec::new();
    for (set, membership) in sets.iter().enumerate() {
        for row in membership.0.rows() {
            let block = usize::from(row.block);
            if blocks.len() <= block {
                blocks.resize_with(block + 1, Vec::new);
            }
            blocks[block].push((set, row));
        }
    }
    blocks.retain(|rows| !rows.is_empty());
    blocks
}

/// Counts the pairs within a block; `scratch` is memory for the bits of lists.
fn count(kernel: Kernel, rows: &[Row<'_>], counts: &mut Intersections, scratch: &mut Vec<Block>) {
    for (set, row) in rows {
        counts.add(*set, *set, u64::from(row.members));
    }
    let (few, many): (Vec<Row<'_>>, Vec<Row<'_>>) =
        rows.iter().partition(|(_, row)| row.members <= FEW);
    let many = as_bits(&many, scratch);
    for (place, (set, row)) in few.iter().enumerate() {
        let Lows::List(list) = row.lows() else { continue };
        for (other, others) in &few[place + 1..] {
            counts.add(*set, *other, kernel.and_len(row, others));
        }
        for (other, bits) in &many {
            counts.add(*set, *other, list.iter().map(|low| bits.has(*low)).sum());
        }
    }
    count_bits(kernel, &many, counts);
}

/// The bits of every row: its own, or a list's in `scratch`.
fn as_bits<'a>(rows: &[Row<'a>], scratch: &'a mut Vec<Block>) -> Vec<(usize, &'a Block)> {
    let lists = rows.iter().filter_map(|(_, row)| match row.lows() {
        Lows::List(list) => Some(list),
        Lows::Bits(_) => None,
    });
    for (used, list) in lists.enumerate() {
        match scratch.get_mut(used) {
            Some(bits) => bits.0.fill(0),
            None => scratch.push(Block::EMPTY),
        }
        scratch[used].insert(list);
    }
    let mut made = scratch.iter();
    let bits = rows.iter().filter_map(|(set, row)| match row.lows() {
        Lows::List(_) => Some((*set, made.next()?)),
        Lows::Bits(bits) => Some((*set, bits)),
    });
    bits.collect()
}

/// Span by span, so that a span of all sets stays in the second cache.
fn count_bits(kernel: Kernel, many: &[(usize, &Block)], counts: &mut Intersections) {
    let tiles: Vec<(usize, usize)> = (0..many.len())
        .step_by(TILE)
        .flat_map(|row| (row..many.len()).step_by(TILE).map(move |column| (row, column)))
        .collect();
    let mut found: Vec<Counts> = vec![Counts::default(); tiles.len()];
    let words = span_words(many.len());
    for start in (0..BLOCK_WORDS).step_by(words) {
        let spans: Vec<&Span> = many.iter().map(|(_, bits)| bits.span(start, words)).collect();
        let none = EMPTY.span(0, words);
        let four = |from: usize| -> [&Span; TILE] {
            std::array::from_fn(|i| spans.get(from + i).copied().unwrap_or(none))
        };
        for ((row, column), found) in tiles.iter().zip(&mut found) {
            kernel.tile(four(*row), four(*column), found);
        }
    }
    for (tile, found) in tiles.into_iter().zip(&found) {
        add_tile(many, tile, found, counts);
    }
}

/// Words of a block that are counted at a time: a power of two, so that a block has a whole number of
/// such spans.
fn span_words(sets: usize) -> usize {
    let words = (SPANS_WORDS / sets.max(1)).clamp(LANES * LANES, BLOCK_WORDS);
    1 << words.ilog2()
}

fn add_tile(
    many: &[(usize, &Block)],
    (row, column): (usize, usize),
    found: &Counts,
    counts: &mut Intersections,
) {
    for (i, found) in found.iter().enumerate() {
        for (j, found) in found.iter().enumerate() {
            let (a, b) = (row + i, column + j);
            // A tile on the diagonal has each pair twice, and sets with themselves.
            if a < b && b < many.len() {
                counts.add(many[a].0, many[b].0, *found);
            }
        }
    }
}

/// What stands for the blocks that a tile at the edge does not have.
static EMPTY: Block = Block::EMPTY;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::{any_set, members};
    use crate::membership::wire::{Format, decode, encode};

    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    #[test]
    fn no_sets_have_no_intersections() {
        let none = intersections(&[], TWO).expect("threads");
        assert!(none.is_empty() && none.rows().next().is_none());
    }

    #[test]
    fn empty_sets_have_nothing_in_common() {
        let (empty, one) = (members([]), members([7]));
        let counts = intersections(&[&empty, &one, &empty], TWO).expect("threads");
        let rows: Vec<&[u64]> = counts.rows().collect();
        assert_eq!(rows, [[0, 0, 0], [0, 1, 0], [0, 0, 0]]);
    }

    #[test]
    fn spans_fill_blocks_and_no_more_than_the_cache() {
        for sets in [0, 1, 4, 99, 100, 101, 200, 201, 999, 1_600, 100_000] {
            let words = span_words(sets);
            assert!(BLOCK_WORDS.is_multiple_of(words) && words.is_multiple_of(LANES));
            assert!(words * sets <= SPANS_WORDS || words == LANES * LANES, "{sets} sets");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn all_pairs_at_once_are_the_pairs_one_by_one(
            sets in proptest::collection::vec((any_set(), any::<bool>()), 0..14),
        ) {
            let stored = |set: Membership| decode(&encode(&set, Format::Roaring), Format::Roaring);
            let sets: Vec<Membership> = sets
                .into_iter()
                .map(|(set, with_runs)| {
                    let set = members(set);
                    if with_runs { stored(set).expect("own bytes") } else { set }
                })
                .collect();
            let sets: Vec<&Membership> = sets.iter().collect();
            let expected = intersections_by_pairs(&sets);
            prop_assert_eq!(&intersections(&sets, TWO)?, &expected);
            prop_assert_eq!(&with(Kernel::plain(), &sets), &expected);
        }
    }
}
