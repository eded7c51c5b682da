//! Who is which row: profiles in chunks of ids, and within a chunk fold by fold.
//!
//! A chunk is what is read, encoded and scored at a time. The folds of five and the folds of ten are both
//! runs of rows in it, so that the same encoded features serve look-alikes of many and of few seeds.

use std::ops::Range;

use super::fold::{FOLDS, FOLDS_FEW, fold_of};

/// Ids of a chunk: a multiple of every shard, so that no file is opened for two chunks.
pub(crate) const CHUNK_IDS: u32 = 1 << 18;

/// Runs of a chunk: a fold of ten each.
const RUNS: usize = FOLDS_FEW as usize;

/// Fold `n` of ten is a half of fold `n % 5` of five.
const HALVES: usize = (FOLDS_FEW / FOLDS) as usize;

/// The row of each profile and the profile of each row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// The profile of each row.
    pub(crate) ids: Vec<u32>,
    /// Where the runs of each chunk begin, and where its last one ends.
    starts: Vec<[usize; RUNS + 1]>,
    rows: Vec<u32>,
}

/// The row of whoever is not in the population.
const NOBODY: u32 = u32::MAX;

/// The run of a chunk that a profile is in.
fn run_of(id: u32) -> usize {
    let fold = fold_of(id, FOLDS_FEW);
    fold % FOLDS as usize * HALVES + fold / FOLDS as usize
}

/// Whether rows can be told apart by so many folds.
pub(crate) const fn has_runs(folds: u32) -> bool {
    folds == FOLDS || folds == FOLDS_FEW
}

impl Layout {
    /// Lays out the profiles `ids`, which ascend.
    pub(crate) fn new(ids: &[u32]) -> Self {
        let end = ids.last().map_or(0, |last| *last as usize + 1);
        let mut layout =
            Self { ids: vec![0; ids.len()], starts: Vec::new(), rows: vec![NOBODY; end] };
        let mut rest = ids;
        let mut start = 0;
        for chunk in 1..=end.div_ceil(CHUNK_IDS as usize) {
            let bound = chunk * CHUNK_IDS as usize;
            let (own, behind) = rest.split_at(rest.partition_point(|id| (*id as usize) < bound));
            rest = behind;
            let mut starts = [start; RUNS + 1];
            for &id in own {
                starts[run_of(id) + 1..].iter_mut().for_each(|start| *start += 1);
            }
            let mut next = starts;
            for &id in own {
                let row = &mut next[run_of(id)];
                layout.ids[*row] = id;
                layout.rows[id as usize] = *row as u32;
                *row += 1;
            }
            start += own.len();
            layout.starts.push(starts);
        }
        layout
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The number of chunks.
    pub(crate) fn chunks(&self) -> usize {
        self.starts.len()
    }

    /// The rows of a chunk.
    pub(crate) fn chunk(&self, chunk: usize) -> Range<usize> {
        self.starts[chunk][0]..self.starts[chunk][RUNS]
    }

    /// The chunk of a row.
    pub(crate) fn chunk_of(&self, row: usize) -> usize {
        self.starts.partition_point(|starts| starts[RUNS] <= row)
    }

    /// The rows of each fold within a chunk, of `folds` folds, which are five or ten.
    pub(crate) fn runs(&self, chunk: usize, folds: u32) -> impl Iterator<Item = Range<usize>> {
        let starts = &self.starts[chunk];
        let halves = RUNS / folds as usize;
        (0..folds as usize).map(move |fold| {
            let first = if halves == 1 {
                fold % FOLDS as usize * HALVES + fold / FOLDS as usize
            } else {
                fold * halves
            };
            starts[first]..starts[first + halves]
        })
    }

    /// The row of a profile, if it is in the population.
    pub(crate) fn row(&self, id: i64) -> Option<usize> {
        let row = *self.rows.get(usize::try_from(id).ok()?)?;
        (row != NOBODY).then_some(row as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_row_in_its_chunk_and_fold() {
        let ids: Vec<u32> = (0..1_000).map(|i| i * 600 + 5).collect();
        let layout = Layout::new(&ids);
        assert_eq!((layout.len(), layout.chunks()), (1_000, 3));
        for &id in &ids {
            let row = layout.row(i64::from(id)).expect("a row");
            assert_eq!(layout.ids[row], id);
            let chunk = layout.chunk_of(row);
            assert_eq!(chunk, (id / CHUNK_IDS) as usize);
            assert!(layout.chunk(chunk).contains(&row));
            for folds in [FOLDS, FOLDS_FEW] {
                let runs: Vec<Range<usize>> = layout.runs(chunk, folds).collect();
                assert!(runs[fold_of(id, folds)].contains(&row), "{id} of {folds}");
                assert_eq!(runs.iter().map(Range::len).sum::<usize>(), layout.chunk(chunk).len());
                assert!(runs.iter().all(|run| run.len() < 2
                    || folds == FOLDS
                    || layout.ids[run.clone()].is_sorted()));
            }
        }
        assert_eq!((layout.row(6), layout.row(-1), layout.row(999_999)), (None, None, None));
        assert_eq!((Layout::new(&[]).len(), Layout::new(&[]).chunks()), (0, 0));
    }
}
