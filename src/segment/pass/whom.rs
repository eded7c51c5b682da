//! Of which profiles each filter is asked, where that is not everybody that a run is about.
//!
//! A refresh evaluates each segment for the few whom something happened to, and others for each. Runs
//! of rows that nobody's filters ask for are not read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::membership::Membership;

use super::super::program::{FilterId, LeafId, Program};
use super::plan::{Need, needs};
use super::shard::Shard;
use super::words::Words;

/// Whom each leaf is asked for, and the filters behind it.
#[derive(Debug)]
pub(super) struct Asked(Vec<(LeafId, Membership, Vec<FilterId>)>);

impl Asked {
    /// `by_leaf`, as far as the leaves are `wanted`; the others are asked for nobody.
    pub(super) fn new(
        program: &Program,
        wanted: &BTreeSet<LeafId>,
        by_leaf: &BTreeMap<LeafId, Membership>,
    ) -> Self {
        let leaves = wanted.iter().filter_map(|leaf| {
            let filters = needs(program, &BTreeSet::from([*leaf]));
            let filters = filters.into_iter().map(|need| need.filter).collect();
            Some((*leaf, by_leaf.get(leaf)?.clone(), filters))
        });
        Self(leaves.collect())
    }

    /// The places that they are asked for in `shard`.
    pub(super) fn in_shard(&self, shard: &Shard) -> Whom {
        let mut leaves = HashMap::new();
        let mut filters: HashMap<FilterId, Words> = HashMap::new();
        for (leaf, whom, of) in &self.0 {
            let words = shard.words(whom);
            for filter in of {
                let all = filters.entry(*filter);
                all.or_insert_with(|| Words::zeros(shard.span)).or(&words.0);
            }
            leaves.insert(*leaf, words);
        }
        Whom { leaves, filters }
    }
}

/// The places of a shard that leaves and filters are asked for.
#[derive(Debug)]
pub(super) struct Whom {
    leaves: HashMap<LeafId, Words>,
    filters: HashMap<FilterId, Words>,
}

impl Whom {
    /// Those whom `leaf` is asked for.
    pub(super) fn leaf(&self, leaf: LeafId) -> Option<&Words> {
        self.leaves.get(&leaf)
    }

    /// Those whom `filter` is asked for.
    pub(super) fn filter(&self, filter: FilterId) -> Option<&Words> {
        self.filters.get(&filter)
    }

    /// Those whom any of `needs` is asked for.
    pub(super) fn any<'a>(&self, needs: impl Iterator<Item = &'a Need>, span: usize) -> Words {
        let mut all = Words::zeros(span);
        for words in needs.filter_map(|need| self.filters.get(&need.filter)) {
            all.or(&words.0);
        }
        all
    }
}
