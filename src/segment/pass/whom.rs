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

/// Profiles, and the leaves that they are asked of.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The profiles.
    pub whom: Membership,
    /// The leaves, and those that they are made of.
    pub leaves: BTreeSet<LeafId>,
}

/// Whom leaves are asked for, and the filters behind each leaf.
#[derive(Debug)]
pub(super) struct Asked {
    all: Vec<Ask>,
    filters: BTreeMap<LeafId, Vec<FilterId>>,
}

impl Asked {
    /// `all`, as far as the leaves are `wanted`; the others are asked for nobody.
    pub(super) fn new(program: &Program, wanted: &BTreeSet<LeafId>, all: &[Ask]) -> Self {
        let filters = wanted.iter().map(|leaf| {
            let needs = needs(program, &BTreeSet::from([*leaf]));
            (*leaf, needs.into_iter().map(|need| need.filter).collect())
        });
        Self { all: all.to_vec(), filters: filters.collect() }
    }

    /// The places that they are asked for in `shard`.
    pub(super) fn in_shard(&self, shard: &Shard) -> Whom {
        let (mut leaves, mut filters) = (HashMap::new(), HashMap::new());
        let none = || Words::zeros(shard.span);
        for Ask { whom, leaves: asked } in &self.all {
            let words = shard.words(whom);
            for leaf in asked {
                let Some(of_leaf) = self.filters.get(leaf) else { continue };
                leaves.entry(*leaf).or_insert_with(none).or(&words.0);
                for filter in of_leaf {
                    filters.entry(*filter).or_insert_with(none).or(&words.0);
                }
            }
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
