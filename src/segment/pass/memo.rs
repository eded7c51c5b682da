//! Sets of leaves that a warm session keeps, so that who changes one threshold waits for one leaf.
//!
//! A set is found by a digest of all that decides it: the leaf with its filters and aggregates written
//! out, the versions of the tables that passes read, and the moment that `now()` is. Sessions that keep
//! nothing have no memo, and every leaf is evaluated.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::model::TableName;
use crate::query::{Masks, Session};

use super::super::program::{FilterId, Leaf, LeafId, Program};
use super::leaves::LeafSets;
use super::shard::Shard;

/// What is kept of the leaves of a run.
#[derive(Debug)]
pub(super) struct Memo {
    masks: Arc<Masks>,
    /// The digests of the leaves that are evaluated in this run.
    open: BTreeMap<LeafId, [u8; 32]>,
    /// The sets of the others, by the first id of their shard.
    known: BTreeMap<LeafId, OfShards>,
}

/// A leaf's sets by the first id of their shard.
type OfShards = Vec<(u32, Arc<[u64]>)>;

impl Memo {
    /// What is kept of the leaves in `wanted` for `shards`; nothing where `session` keeps nothing.
    pub(super) fn of(
        session: &Session,
        program: &Program,
        wanted: &BTreeSet<LeafId>,
        shards: &[Shard],
    ) -> Option<Self> {
        let base = session.base().ok()?;
        let masks = Arc::clone(base.masks.as_ref()?);
        let mut memo = Self { masks, open: BTreeMap::new(), known: BTreeMap::new() };
        let version = |table| base.snapshot.record.tables.get(&table).map(|t| t.data_version);
        let versions = (version(TableName::Profiles), version(TableName::Events));
        for leaf in wanted {
            let mut digest = Digest::default();
            (versions, session.as_of().micros(), base.snapshot.record.next_profile_id)
                .hash(&mut digest);
            if program.digest(*leaf, &mut digest).is_none() {
                continue;
            }
            let digest = digest.whole();
            let sets = shards
                .iter()
                .map(|shard| Some((shard.start, memo.masks.get(&(digest, shard.start))?)));
            match sets.collect::<Option<Vec<_>>>() {
                Some(sets) => memo.known.insert(*leaf, sets).map(drop),
                None => memo.open.insert(*leaf, digest).map(drop),
            };
        }
        Some(memo)
    }

    /// The leaves of `wanted` that are not known.
    pub(super) fn unknown(&self, wanted: &BTreeSet<LeafId>) -> BTreeSet<LeafId> {
        wanted.iter().filter(|leaf| !self.known.contains_key(leaf)).copied().collect()
    }

    /// Puts what is known of `shard` into `sets`.
    pub(super) fn recall(&self, shard: &Shard, sets: &mut LeafSets) {
        for (leaf, known) in &self.known {
            if let Some((_, words)) = known.iter().find(|(start, _)| *start == shard.start) {
                sets.recall(*leaf, Arc::clone(words));
            }
        }
    }

    /// Keeps what was evaluated for `shard`.
    pub(super) fn keep(&self, shard: &Shard, sets: &LeafSets) {
        for (leaf, digest) in &self.open {
            if let Ok(bits) = sets.leaf(*leaf) {
                self.masks.put((*digest, shard.start), Arc::from(bits), size_of_val(bits));
            }
        }
    }
}

impl Program {
    /// Feeds `into` all that decides the leaf `id`, whatever the program around it; nothing for a leaf
    /// that ranks, which is not decided shard by shard.
    fn digest(&self, id: LeafId, into: &mut Digest) -> Option<()> {
        let leaf = &self.leaves[id.0];
        std::mem::discriminant(leaf).hash(into);
        let filter = |id: &FilterId| &self.filters[id.0];
        match leaf {
            Leaf::Attribute(condition) => condition.hash(into),
            Leaf::Events(rows) => filter(rows).hash(into),
            Leaf::Sequence { first, then, from_us, to_us, without } => {
                (filter(first), filter(then), from_us, to_us, without).hash(into);
            }
            Leaf::Groups { condition, among } => {
                among.as_ref().map(filter).hash(into);
                let ids = Self::aggregates_in(condition);
                // An aggregate's place is another one in another program.
                let place = |id| ids.iter().position(|known| *known == id);
                Self::renumbered(condition, place)?.hash(into);
                for id in ids {
                    let one = &self.aggregates[id.0];
                    (filter(&one.group), filter(&one.rows), one.function).hash(into);
                    (&one.argument, &one.data_type).hash(into);
                }
            }
            Leaf::Windowed(windowed) => {
                (filter(&windowed.rows), &windowed.windows, &windowed.conditions).hash(into);
            }
            Leaf::Local(local) => (filter(&local.rows), &local.columns, &local.plan).hash(into),
            Leaf::Ranked(_) => return None,
        }
        Some(())
    }
}

/// A digest that no two different leaves share.
#[derive(Default)]
struct Digest(blake3::Hasher);

impl Digest {
    fn whole(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finalize().as_bytes().iter().take(8).fold(0, |n, byte| n << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::super::super::program::{AGGREGATE, Aggregate, Function};
    use super::*;
    use crate::query::df::{Column, Expr, lit};

    fn digest(program: &Program, leaf: LeafId) -> [u8; 32] {
        let mut digest = Digest::default();
        program.digest(leaf, &mut digest).expect("it does not rank");
        digest.whole()
    }

    fn column(relation: &str, name: &str) -> Expr {
        Expr::Column(Column::new(Some(relation), name))
    }

    /// More than `n` events that are called `event`, in a program with other things before it.
    fn more_than(program: &mut Program, event: &str, n: i64) -> LeafId {
        let rows = program.filter(vec![column("events", "event").eq(lit(event))]);
        let count = program.aggregate(Aggregate {
            group: rows,
            rows,
            function: Function::Count,
            argument: None,
            data_type: DataType::Int64,
        });
        let condition = column(AGGREGATE, &count.0.to_string()).gt(lit(n));
        program.leaf(Leaf::Groups { condition, among: Some(rows) })
    }

    #[test]
    fn a_digest_is_of_the_leaf_and_not_of_its_place() {
        let mut alone = Program::default();
        let leaf = more_than(&mut alone, "purchase", 3);
        let mut behind = Program::default();
        more_than(&mut behind, "refund", 1);
        let same = more_than(&mut behind, "purchase", 3);
        assert_ne!(leaf, same);
        assert_eq!(digest(&alone, leaf), digest(&behind, same));
    }

    #[test]
    fn what_decides_a_leaf_changes_its_digest() {
        let mut program = Program::default();
        let leaves = [
            more_than(&mut program, "purchase", 3),
            more_than(&mut program, "purchase", 4),
            more_than(&mut program, "refund", 3),
        ];
        let rows = program.filter(vec![column("events", "event").eq(lit("purchase"))]);
        let events = program.leaf(Leaf::Events(rows));
        let digests: BTreeSet<[u8; 32]> =
            leaves.into_iter().chain([events]).map(|leaf| digest(&program, leaf)).collect();
        assert_eq!(digests.len(), 4);
    }
}
