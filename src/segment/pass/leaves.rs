//! The leaves of one shard: from what the passes found to a set each, and from sets to segments.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _};
use arrow::datatypes::{Field, Schema};

use crate::error::{Error, Result};
use crate::query::df::{
    Column, Expr, TableReference, Transformed, TransformedResult as _, TreeNode as _,
};

use super::super::program::{
    AGGREGATE, AggregateId, FilterId, Leaf, LeafId, PROFILE, Program, Ranked, SetExpr,
};
use super::events::Found;
use super::having;
use super::plan::Work;
use super::profiles::Attributes;
use super::rank::{Candidates, candidates};
use super::sequence::each_first;
use super::shard::Shard;
use super::whom::Whom;
use super::words::Words;

/// A set of a shard's profiles for each leaf, or why there is none.
#[derive(Debug, Default)]
pub(super) struct LeafSets {
    sets: HashMap<LeafId, Result<Set>>,
    /// The places of the profiles that conditions on groups are asked of.
    domains: HashMap<Option<FilterId>, Vec<u32>>,
    gathered: HashMap<(Option<FilterId>, AggregateId), ArrayRef>,
}

/// The set of a leaf.
#[derive(Debug)]
enum Set {
    /// It was evaluated here.
    Found(Words),
    /// A warm session has kept it.
    Kept(Arc<[u64]>),
}

impl Set {
    fn bits(&self) -> &[u64] {
        match self {
            Self::Found(words) => &words.0,
            Self::Kept(bits) => bits,
        }
    }
}

/// What the passes over one shard found.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) work: &'a Work,
    pub(super) shard: &'a Shard,
    pub(super) attributes: &'a Attributes,
    pub(super) found: &'a Found,
}

impl Evidence<'_> {
    /// Whether the aggregates `ids` could be worked out.
    fn check(self, ids: &[AggregateId]) -> Result<()> {
        for id in ids {
            let aggregate = &self.work.program.aggregates[id.0];
            let failed = [aggregate.group, aggregate.rows];
            let failed = failed.iter().find_map(|f| self.found.failed_filters.get(f));
            if let Some(error) = failed.or_else(|| self.found.failed_aggregates.get(id)) {
                return Err(error.clone());
            }
        }
        Ok(())
    }
}

impl<'a> Evidence<'a> {
    /// The places that conditions on groups of `among` are asked of.
    fn domain(self, among: Option<FilterId>) -> Result<&'a Words> {
        let domain = match among {
            Some(filter) => self.found.seen.get(&filter),
            None => Some(&self.attributes.everyone),
        };
        domain.ok_or_else(|| Error::internal("a group was not looked for"))
    }

    /// The places of `whom` that `condition` on groups is true of. Others are asked of others, so that what
    /// is gathered for one is kept for none.
    fn groups_of(
        self,
        condition: &Expr,
        among: Option<FilterId>,
        whom: Option<&Words>,
    ) -> Result<Words> {
        let Some(whom) = whom else { return Ok(Words::zeros(self.shard.span)) };
        let mut domain = self.domain(among)?.clone();
        domain.and(&whom.0);
        if let Some(words) = compared(condition, &domain, self.found, &self.work.program) {
            return Ok(words);
        }
        let places = domain.ids();
        let scope = Scope { evidence: self, places: &places };
        scope.true_of(&scope.values(condition, &mut |id| scope.gather(id))?)
    }
}

impl LeafSets {
    /// Takes the conditions on attributes over.
    pub(super) fn attributes(&mut self, attributes: &mut Attributes) {
        self.sets
            .extend(attributes.true_of.drain().map(|(leaf, words)| (leaf, Ok(Set::Found(words)))));
        self.sets.extend(attributes.failed.drain().map(|(leaf, error)| (leaf, Err(error))));
    }

    /// Works out the leaves of `wanted` that `found` has all the parts of, each of `whom` alone where that
    /// is given.
    pub(super) fn events(
        &mut self,
        wanted: &BTreeSet<LeafId>,
        (evidence, whom): (Evidence<'_>, Option<&Whom>),
    ) {
        let Evidence { work, shard, found, .. } = evidence;
        self.domains.clear();
        self.gathered.clear();
        for id in wanted {
            if self.sets.contains_key(id) {
                continue;
            }
            let set = match &work.program.leaves[id.0] {
                Leaf::Attribute(_) | Leaf::Local(_) | Leaf::Windowed(_) | Leaf::Ranked(_) => {
                    continue;
                }
                Leaf::Events(filter) => match found.failed_filters.get(filter) {
                    Some(error) => Err(error.clone()),
                    None => match found.seen.get(filter) {
                        Some(seen) => Ok(seen.clone()),
                        None => continue,
                    },
                },
                Leaf::Sequence { first, then, from_us, to_us, without } => {
                    let failed =
                        [first, then].into_iter().find_map(|f| found.failed_filters.get(f));
                    let lists = (found.moments.get(first), found.moments.get(then));
                    match (failed, lists) {
                        (Some(error), _) => Err(error.clone()),
                        (None, (Some(first), Some(then))) => {
                            let mut words = Words::zeros(shard.span);
                            each_first(first, then, (*from_us, *to_us), !without, |place| {
                                words.set(place as usize);
                            });
                            Ok(words)
                        }
                        _ => continue,
                    }
                }
                Leaf::Groups { condition, among } => {
                    let ids = Program::aggregates_in(condition);
                    if !ids.iter().all(|id| found.states.contains_key(id)) {
                        continue;
                    }
                    evidence.check(&ids).and_then(|()| match whom {
                        Some(whom) => evidence.groups_of(condition, *among, whom.leaf(*id)),
                        None => self.groups(condition, *among, evidence),
                    })
                }
            };
            self.put(*id, set);
        }
    }

    fn groups(
        &mut self,
        condition: &Expr,
        among: Option<FilterId>,
        evidence: Evidence<'_>,
    ) -> Result<Words> {
        let domain = evidence.domain(among)?;
        if let Some(words) = compared(condition, domain, evidence.found, &evidence.work.program) {
            return Ok(words);
        }
        let places = self.domains.entry(among).or_insert_with(|| domain.ids());
        let scope = Scope { evidence, places };
        let values = scope.values(condition, &mut |id| {
            if let Some(known) = self.gathered.get(&(among, id)) {
                return Ok(ArrayRef::clone(known));
            }
            let array = scope.gather(id)?;
            self.gathered.insert((among, id), ArrayRef::clone(&array));
            Ok(array)
        })?;
        scope.true_of(&values)
    }

    /// The keys of the profiles of this shard that may be among those that `ranked` takes, of `whom`
    /// alone where it is given; nothing where `found` lacks one of its aggregates.
    pub(super) fn ranked(
        &self,
        ranked: &Ranked,
        (evidence, whom): (Evidence<'_>, Option<&Words>),
        segments: &dyn Fn(&str) -> Result<Words>,
    ) -> Option<Result<Candidates>> {
        let ids: Vec<AggregateId> =
            ranked.keys.iter().flat_map(|key| Program::aggregates_in(&key.value)).collect();
        let is_known = |leaf: &LeafId| self.sets.contains_key(leaf);
        let shard = evidence.shard;
        if !ids.iter().all(|id| evidence.found.states.contains_key(id))
            || !ranked.among.leaves().iter().all(is_known)
        {
            return None;
        }
        let candidates = || {
            evidence.check(&ids)?;
            let mut among = Words(self.set(&ranked.among, shard.span, segments)?.into_owned());
            if let Some(whom) = whom {
                among.and(&whom.0);
            }
            let places = among.ids();
            let scope = Scope { evidence, places: &places };
            let keys = ranked.keys.iter();
            let keys = keys.map(|key| scope.values(&key.value, &mut |id| scope.gather(id)));
            candidates(ranked, &keys.collect::<Result<Vec<_>>>()?, &places, shard)
        };
        Some(candidates())
    }

    /// The set of a leaf that was worked out elsewhere.
    pub(super) fn put(&mut self, leaf: LeafId, set: Result<Words>) {
        self.sets.insert(leaf, set.map(Set::Found));
    }

    /// The set of a leaf that a warm session has kept.
    pub(super) fn recall(&mut self, leaf: LeafId, kept: Arc<[u64]>) {
        self.sets.insert(leaf, Ok(Set::Kept(kept)));
    }

    /// The set of `leaf`, a bit a place.
    pub(super) fn leaf(&self, leaf: LeafId) -> Result<&[u64]> {
        match self.sets.get(&leaf) {
            Some(Ok(set)) => Ok(set.bits()),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::internal(format!("leaf {leaf} was not evaluated"))),
        }
    }

    /// The set of `expression`, a bit a place; `segments` gives the sets of other segments.
    pub(super) fn set(
        &self,
        expression: &SetExpr,
        span: usize,
        segments: &dyn Fn(&str) -> Result<Words>,
    ) -> Result<Cow<'_, [u64]>> {
        let set = |part: &SetExpr| self.set(part, span, segments);
        let own = |words: Words| Ok(Cow::Owned(words.0));
        match expression {
            SetExpr::Nothing => own(Words::zeros(span)),
            SetExpr::Leaf(leaf) => self.leaf(*leaf).map(Cow::Borrowed),
            SetExpr::Segment(name) => own(segments(name)?),
            SetExpr::And(parts) => {
                let (denied, required): (Vec<_>, Vec<_>) =
                    parts.iter().partition(|p| matches!(p, SetExpr::Not(_)));
                let mut required = required.into_iter();
                let mut all = match required.next() {
                    Some(first) => Words(set(first)?.into_owned()),
                    None => Words::ones(span),
                };
                for part in required {
                    all.and(&set(part)?);
                }
                for part in denied {
                    if let SetExpr::Not(inner) = part {
                        all.and_not(&set(inner)?);
                    }
                }
                own(all)
            }
            SetExpr::Or(parts) => {
                let mut any = Words::zeros(span);
                for part in parts {
                    any.or(&set(part)?);
                }
                own(any)
            }
            SetExpr::Not(inner) => {
                let mut rest = Words::ones(span);
                rest.and_not(&set(inner)?);
                own(rest)
            }
        }
    }
}

/// The places of `domain` that `condition` is true of, where it compares aggregates with constants.
fn compared(condition: &Expr, domain: &Words, found: &Found, program: &Program) -> Option<Words> {
    let mut places = domain.clone();
    for test in having::tests(condition)? {
        let group = found.seen.get(&program.aggregates[test.id.0].group)?;
        places = found.states.get(&test.id)?.passing(&test, &places, group)?;
    }
    Some(places)
}

/// The profiles that expressions over aggregates and attributes are evaluated for.
struct Scope<'a> {
    evidence: Evidence<'a>,
    places: &'a [u32],
}

impl Scope<'_> {
    fn gather(&self, id: AggregateId) -> Result<ArrayRef> {
        let Evidence { work, shard, found, .. } = self.evidence;
        let aggregate = &work.program.aggregates[id.0];
        let state = found.states.get(&id);
        let group = found.seen.get(&aggregate.group);
        let (Some(state), Some(group)) = (state, group) else {
            return Err(Error::internal("an aggregate was not worked out"));
        };
        state.gather(self.places, group, shard)
    }

    /// The places that a condition is true of, which has `values` there.
    fn true_of(&self, values: &ArrayRef) -> Result<Words> {
        let values = values.as_boolean_opt().ok_or_else(|| Error::internal("no condition"))?;
        let mut words = Words::zeros(self.evidence.shard.span);
        Words::of_true(values).each(|row| words.set(self.places[row] as usize));
        Ok(words)
    }

    /// The value of `expression` for each place; `aggregate` gives the aggregates in it.
    fn values(
        &self,
        expression: &Expr,
        aggregate: &mut dyn FnMut(AggregateId) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        let Evidence { work, attributes, .. } = self.evidence;
        let (expression, columns) = named(expression)?;
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for (name, source) in columns {
            let array = match source {
                Source::Aggregate(id) => aggregate(id)?,
                Source::Attribute(column) => {
                    let field = work
                        .profile_schema
                        .field_with_name(&column)
                        .map_err(|_| Error::internal(format!("profiles has no column {column}")))?;
                    attributes.gather(&column, field.data_type(), self.places)?
                }
            };
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        }
        let formula = work.session.formula(&expression, &Schema::new(fields))?;
        formula.evaluate(arrays, self.places.len())
    }
}

/// Where a column of a condition on groups comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Aggregate(AggregateId),
    Attribute(String),
}

/// `condition` with a name of its own for each column, and where each comes from.
fn named(condition: &Expr) -> Result<(Expr, Vec<(String, Source)>)> {
    let mut columns: Vec<(String, Source)> = Vec::new();
    let expression = condition
        .clone()
        .transform_up(|e| {
            let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
            let relation = column.relation.as_ref().map(TableReference::table);
            let source = match (relation, column.name.parse()) {
                (Some(AGGREGATE), Ok(id)) => Source::Aggregate(AggregateId(id)),
                _ => Source::Attribute(column.name.clone()),
            };
            let name = format!("{}.{}", relation.unwrap_or(PROFILE), column.name);
            if !columns.iter().any(|(known, _)| *known == name) {
                columns.push((name.clone(), source));
            }
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
        })
        .data()
        .map_err(|e| Error::internal(format!("a condition: {e}")))?;
    Ok((expression, columns))
}
