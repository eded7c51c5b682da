//! Who is which row: profiles fold by fold, ascending within a fold, so that each fold is one run of
//! rows in every column.

use std::ops::Range;

use super::fold::fold_of;

/// The row of each profile and the profile of each row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// The profile of each row.
    pub(crate) ids: Vec<u32>,
    /// The rows of each fold.
    pub(crate) folds: Vec<Range<usize>>,
    rows: Vec<u32>,
}

/// The row of whoever is not in the population.
const NOBODY: u32 = u32::MAX;

impl Layout {
    /// Lays out the profiles `ids` (ascending) in `folds` folds.
    pub(crate) fn new(ids: &[u32], folds: u32) -> Self {
        let mut sizes = vec![0_usize; folds as usize];
        for &id in ids {
            sizes[fold_of(id, folds)] += 1;
        }
        let mut ends = 0;
        let ranges: Vec<Range<usize>> = sizes
            .into_iter()
            .map(|size| {
                ends += size;
                ends - size..ends
            })
            .collect();
        let mut next: Vec<usize> = ranges.iter().map(|range| range.start).collect();
        let mut layout = Self {
            ids: vec![0; ids.len()],
            rows: vec![NOBODY; ids.last().map_or(0, |last| *last as usize + 1)],
            folds: ranges,
        };
        for &id in ids {
            let row = &mut next[fold_of(id, folds)];
            layout.ids[*row] = id;
            layout.rows[id as usize] = *row as u32;
            *row += 1;
        }
        layout
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// One more than the largest id.
    pub(crate) fn end(&self) -> u32 {
        self.rows.len() as u32
    }

    /// The row of a profile, if it is in the population.
    pub(crate) fn row(&self, id: i64) -> Option<usize> {
        let row = *self.rows.get(usize::try_from(id).ok()?)?;
        (row != NOBODY).then_some(row as usize)
    }

    /// The fold of a row.
    #[cfg(test)]
    fn fold(&self, row: usize) -> usize {
        self.folds.partition_point(|range| range.end <= row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_row_in_its_fold() {
        let ids: Vec<u32> = (0..1_000).map(|i| i * 3 + 5).collect();
        let layout = Layout::new(&ids, 5);
        assert_eq!(layout.len(), 1_000);
        for &id in &ids {
            let row = layout.row(i64::from(id)).expect("a row");
            assert_eq!(layout.ids[row], id);
            assert_eq!(layout.fold(row), fold_of(id, 5));
        }
        assert!(layout.folds.iter().all(|f| layout.ids[f.clone()].is_sorted()));
        assert_eq!((layout.row(6), layout.row(-1), layout.row(9_999)), (None, None, None));
        assert_eq!(Layout::new(&[], 5).len(), 0);
    }
}
