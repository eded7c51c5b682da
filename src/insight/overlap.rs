//! Members in common of every two segments, and what that says about them.

use std::num::NonZeroUsize;

use serde::Serialize;

use super::share;
use crate::error::Result;
use crate::membership::{Membership, matrix};

/// Every two of some segments. Matrices have a row and a column a segment, in the order of
/// `segments`.
#[derive(Debug, Clone, Serialize)]
pub struct Overlap {
    /// The segments.
    pub segments: Vec<String>,
    /// Their members, within the base.
    pub members: Vec<u64>,
    /// What they are compared within: `profiles`, or a segment.
    pub base: String,
    /// The profiles in it.
    pub base_members: u64,
    /// Members in common; in the diagonal, members.
    pub intersections: Vec<Vec<u64>>,
    /// Members in common, of those in either: 0 to 1 (Jaccard 1901).
    pub jaccard: Vec<Vec<f64>>,
    /// How much more often members of one are in the other than anybody in the base is: 1 where
    /// they have nothing to do with each other. Nothing where one of them is empty.
    pub lift: Vec<Vec<Option<f64>>>,
    /// The share of the row's members that is in the column.
    pub containment: Vec<Vec<f64>>,
}

/// Two segments of an overlap.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// One segment.
    pub a: String,
    /// The other.
    pub b: String,
    /// The members of the one.
    pub a_members: u64,
    /// The members of the other.
    pub b_members: u64,
    /// Members in common.
    pub both: u64,
    /// Members in common, of those in either.
    pub jaccard: f64,
    /// See [`Overlap::lift`].
    pub lift: Option<f64>,
    /// The share of `a` that is in `b`.
    pub a_in_b: f64,
    /// The share of `b` that is in `a`.
    pub b_in_a: f64,
}

/// Compares every two of `segments` within `base`, which has `base_members`; without a membership
/// the base is everybody.
///
/// # Errors
/// Where the system gives no threads.
pub fn overlap(
    segments: &[(String, Membership)],
    base: (&str, u64, Option<&Membership>),
    threads: NonZeroUsize,
) -> Result<Overlap> {
    let (base, base_members, within) = base;
    let restricted: Vec<Membership> = match within {
        Some(within) => segments.iter().map(|(_, set)| set.and(within)).collect(),
        None => Vec::new(),
    };
    let sets: Vec<&Membership> = match within {
        Some(_) => restricted.iter().collect(),
        None => segments.iter().map(|(_, set)| set).collect(),
    };
    let counts = matrix::intersections(&sets, threads)?;
    let members: Vec<u64> = (0..counts.len()).map(|i| counts.get(i, i)).collect();
    Ok(Overlap {
        segments: segments.iter().map(|(name, _)| name.clone()).collect(),
        base: base.to_owned(),
        base_members,
        intersections: counts.rows().map(<[u64]>::to_vec).collect(),
        jaccard: square(&members, |a, b| {
            let both = counts.get(a, b);
            share(both, members[a] + members[b] - both)
        }),
        lift: square(&members, |a, b| lift(counts.get(a, b), members[a], members[b], base_members)),
        containment: square(&members, |a, b| share(counts.get(a, b), members[a])),
        members,
    })
}

fn square<T>(members: &[u64], cell: impl Fn(usize, usize) -> T) -> Vec<Vec<T>> {
    let sides = 0..members.len();
    sides.clone().map(|a| sides.clone().map(|b| cell(a, b)).collect()).collect()
}

/// P(both) / (P(a) P(b)).
fn lift(both: u64, a: u64, b: u64, base: u64) -> Option<f64> {
    (a > 0 && b > 0).then(|| share(both, a) / share(b, base))
}

impl Overlap {
    /// Every two segments once, those that are most alike first.
    pub fn pairs(&self) -> Vec<Pair> {
        let n = self.segments.len();
        let mut pairs: Vec<Pair> = (0..n)
            .flat_map(|a| (a + 1..n).map(move |b| (a, b)))
            .map(|(a, b)| Pair {
                a: self.segments[a].clone(),
                b: self.segments[b].clone(),
                a_members: self.members[a],
                b_members: self.members[b],
                both: self.intersections[a][b],
                jaccard: self.jaccard[a][b],
                lift: self.lift[a][b],
                a_in_b: self.containment[a][b],
                b_in_a: self.containment[b][a],
            })
            .collect();
        pairs.sort_by(|x, y| y.jaccard.total_cmp(&x.jaccard));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProfileId;

    fn set(ids: std::ops::Range<u32>) -> Membership {
        ids.filter_map(ProfileId::new).collect()
    }

    fn two() -> Vec<(String, Membership)> {
        vec![
            ("a".to_owned(), set(0..40)),
            ("b".to_owned(), set(30..50)),
            ("c".to_owned(), set(0..0)),
        ]
    }

    #[test]
    fn measures_are_those_of_their_formulas() {
        let found = overlap(&two(), ("profiles", 100, None), NonZeroUsize::MIN).expect("threads");
        assert_eq!(found.intersections, [[40, 10, 0], [10, 20, 0], [0, 0, 0]]);
        assert_eq!((found.jaccard[0][1], found.jaccard[2][2]), (0.2, 0.0));
        assert_eq!((found.containment[0][1], found.containment[1][0]), (0.25, 0.5));
        // A quarter of a is in b, and a fifth of everybody.
        assert_eq!((found.lift[0][1], found.lift[0][2]), (Some(1.25), None));
        let pairs = found.pairs();
        assert_eq!((pairs.len(), pairs[0].a.as_str(), pairs[0].b.as_str()), (3, "a", "b"));
    }

    #[test]
    fn a_base_restricts_all_of_them() {
        let base = set(35..60);
        let found = overlap(&two(), ("base", 25, Some(&base)), NonZeroUsize::MIN).expect("threads");
        assert_eq!(found.members, [5, 15, 0]);
        assert_eq!(found.intersections[0][1], 5);
    }
}
