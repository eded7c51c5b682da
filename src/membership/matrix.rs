//! How many members every two of many sets have in common, in one go.
//!
//! Ids are taken in blocks of 65,536, as roaring's containers are. Within a block a set with many
//! members is a row of bits, and two such are counted by words ([`super::kernel`]); a set with few
//! is a list, the members of which are looked up in the other. So a set costs what it has in it, not
//! what it could have. Blocks are counted side by side on several threads.

use std::num::NonZeroUsize;

use rayon::prelude::*;

use super::kernel::{Block, Counts, Kernel, TILE};
use super::mask::BLOCK_WORDS;
use super::packed::{Packed, Part};
use super::set::Membership;
use crate::error::{Error, Result};

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
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .build()
        .map_err(|e| Error::unavailable(format!("no threads to count with: {e}")))?;
    Ok(pool.install(|| with(Kernel::detect(), sets)))
}

/// The same by two sets at a time, as the crate of bitmaps counts them.
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
    let packed: Vec<Packed> = sets.par_iter().map(|set| Packed::new(set)).collect();
    let blocks = blocks(&packed);
    let none = || (Intersections::new(sets.len()), Scratch::default());
    let counts = blocks
        .par_iter()
        .fold(none, |(mut counts, mut scratch), parts| {
            scratch.count(kernel, parts, &mut counts);
            (counts, scratch)
        })
        .map(|(counts, _)| counts)
        .reduce_with(|a, b| a.plus(&b));
    counts.unwrap_or_else(|| Intersections::new(sets.len())).mirror()
}

/// The parts of all sets in each block that any has members in, each with its set.
fn blocks<'a>(packed: &'a [Packed]) -> Vec<Vec<(usize, Part<'a>)>> {
    let mut blocks: Vec<Vec<(usize, Part<'a>)>> = Vec::new();
    for (set, packed) in packed.iter().enumerate() {
        for (block, part) in packed.parts() {
            if blocks.len() <= block {
                blocks.resize_with(block + 1, Vec::new);
            }
            blocks[block].push((set, part));
        }
    }
    blocks.retain(|parts| !parts.is_empty());
    blocks
}

/// What the blocks of one thread are unpacked into, one after the other.
#[derive(Default)]
struct Scratch {
    /// Sets with many members in the block, and their bits.
    dense: Vec<usize>,
    bits: Vec<Block>,
    /// Sets with few, and the ends of their members in `members`.
    sparse: Vec<(usize, usize)>,
    members: Vec<u16>,
    /// The members of one sparse set as bits.
    row: Vec<Block>,
}

impl Scratch {
    fn count(&mut self, kernel: Kernel, parts: &[(usize, Part<'_>)], counts: &mut Intersections) {
        self.unpack(kernel, parts);
        for (set, part) in parts {
            counts.add(*set, *set, u64::from(part.members()));
        }
        self.dense_with_dense(kernel, counts);
        self.sparse_with_dense(counts);
        self.sparse_with_sparse(counts);
    }

    fn unpack(&mut self, kernel: Kernel, parts: &[(usize, Part<'_>)]) {
        self.dense.clear();
        self.sparse.clear();
        self.members.clear();
        for (set, part) in parts {
            if part.members() < kernel.dense_from() {
                part.append_members(&mut self.members);
                self.sparse.push((*set, self.members.len()));
                continue;
            }
            if self.bits.len() == self.dense.len() {
                self.bits.push(Block::EMPTY);
            }
            part.write_bits(&mut self.bits[self.dense.len()]);
            self.dense.push(*set);
        }
    }

    fn dense_with_dense(&self, kernel: Kernel, counts: &mut Intersections) {
        let block =
            |at: usize| self.bits.get(at).filter(|_| at < self.dense.len()).unwrap_or(&EMPTY);
        let tile = |from: usize| -> [&Block; TILE] { std::array::from_fn(|i| block(from + i)) };
        for row in (0..self.dense.len()).step_by(TILE) {
            for column in (row..self.dense.len()).step_by(TILE) {
                let found = kernel.tile(tile(row), tile(column));
                self.add_tile(row, column, &found, counts);
            }
        }
    }

    fn add_tile(&self, row: usize, column: usize, found: &Counts, counts: &mut Intersections) {
        for (i, found) in found.iter().enumerate() {
            for (j, found) in found.iter().enumerate() {
                let (a, b) = (row + i, column + j);
                // A tile on the diagonal has each pair twice, and sets with themselves.
                if a < b && b < self.dense.len() {
                    counts.add(self.dense[a], self.dense[b], *found);
                }
            }
        }
    }

    fn sparse_with_dense(&self, counts: &mut Intersections) {
        for (set, members) in self.lists() {
            for (other, bits) in self.dense.iter().zip(&self.bits) {
                counts.add(set, *other, found(members, bits));
            }
        }
    }

    fn sparse_with_sparse(&mut self, counts: &mut Intersections) {
        let mut row = self.row.pop().unwrap_or(Block::EMPTY);
        for (place, (set, members)) in self.lists().enumerate() {
            for member in members {
                row.0[usize::from(member >> 6)] |= 1 << (member & 63);
            }
            for (other, others) in self.lists().skip(place + 1) {
                counts.add(set, other, found(others, &row));
            }
            for member in members {
                row.0[usize::from(member >> 6)] = 0;
            }
        }
        self.row.push(row);
    }

    /// The sparse sets and their members.
    fn lists(&self) -> impl Iterator<Item = (usize, &[u16])> {
        let starts = std::iter::once(0).chain(self.sparse.iter().map(|(_, end)| *end));
        let lists = starts.zip(&self.sparse);
        lists.map(|(start, (set, end))| (*set, &self.members[start..*end]))
    }
}

/// What stands for the blocks that a tile at the edge does not have.
static EMPTY: Block = Block::EMPTY;

/// How many of `members` are among `bits`.
fn found(members: &[u16], bits: &Block) -> u64 {
    let bit = |member: &u16| {
        let word = bits.0[usize::from(*member >> 6) % BLOCK_WORDS];
        (word >> (member & 63)) & 1
    };
    members.iter().map(bit).sum()
}

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
