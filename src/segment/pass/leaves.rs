//! The leaves of one shard: from what the passes found to a set each, and from sets to segments.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{ArrayRef, AsArray as _};
use arrow::datatypes::{Field, Schema};

use crate::error::{Error, Result};
use crate::query::df::{Column, Expr, Transformed, TransformedResult as _, TreeNode as _};

use super::super::program::{
    AGGREGATE, AggregateId, FilterId, Leaf, LeafId, PROFILE, Program, SetExpr,
};
use super::events::Found;
use super::plan::{Shard, Work};
use super::profiles::Attributes;
use super::sequence::each_pair;
use super::words::Words;

/// A set of a shard's profiles for each leaf, or why there is none.
#[derive(Debug, Default)]
pub(super) struct LeafSets {
    sets: HashMap<LeafId, Result<Words>>,
    /// The places of the profiles that conditions on groups are asked of.
    domains: HashMap<Option<FilterId>, Vec<u32>>,
    gathered: HashMap<(Option<FilterId>, AggregateId), ArrayRef>,
}

impl LeafSets {
    /// Takes the conditions on attributes over.
    pub(super) fn attributes(&mut self, attributes: &mut Attributes) {
        for (leaf, words) in attributes.true_of.drain() {
            self.sets.insert(leaf, Ok(words));
        }
        for (leaf, error) in attributes.failed.drain() {
            self.sets.insert(leaf, Err(error));
        }
    }

    /// Works out the leaves of `wanted` that `found` has all the parts of.
    pub(super) fn events(
        &mut self,
        work: &Work,
        shard: &Shard,
        wanted: &BTreeSet<LeafId>,
        attributes: &Attributes,
        found: &Found,
    ) {
        self.domains.clear();
        self.gathered.clear();
        for id in wanted {
            if self.sets.contains_key(id) {
                continue;
            }
            let set = match &work.program.leaves[id.0] {
                Leaf::Attribute(_) => continue,
                Leaf::Events(filter) => match found.failed_filters.get(filter) {
                    Some(error) => Err(error.clone()),
                    None => match found.seen.get(filter) {
                        Some(seen) => Ok(seen.clone()),
                        None => continue,
                    },
                },
                Leaf::Sequence { first, then, from_us, to_us } => {
                    let failed =
                        [first, then].into_iter().find_map(|f| found.failed_filters.get(f));
                    let lists = (found.moments.get(first), found.moments.get(then));
                    match (failed, lists) {
                        (Some(error), _) => Err(error.clone()),
                        (None, (Some(first), Some(then))) => {
                            let mut words = Words::zeros(shard.span);
                            each_pair(first, then, (*from_us, *to_us), |p| words.set(p as usize));
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
                    self.groups(work, shard, (condition, *among), &ids, attributes, found)
                }
            };
            self.sets.insert(*id, set);
        }
    }

    fn groups(
        &mut self,
        work: &Work,
        shard: &Shard,
        (condition, among): (&Expr, Option<FilterId>),
        ids: &[AggregateId],
        attributes: &Attributes,
        found: &Found,
    ) -> Result<Words> {
        for id in ids {
            let aggregate = &work.program.aggregates[id.0];
            let failed = [aggregate.group, aggregate.rows];
            let failed = failed.iter().find_map(|f| found.failed_filters.get(f));
            if let Some(error) = failed.or_else(|| found.failed_aggregates.get(id)) {
                return Err(error.clone());
            }
        }
        let domain = match among {
            Some(filter) => found.seen.get(&filter),
            None => Some(&attributes.everyone),
        };
        let domain = domain.ok_or_else(|| Error::internal("a group was not looked for"))?;
        let places = self.domains.entry(among).or_insert_with(|| domain.ids());
        let (expression, columns) = named(condition)?;
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        for (name, source) in columns {
            let (data_type, array) = match source {
                Source::Aggregate(id) => {
                    let aggregate = &work.program.aggregates[id.0];
                    let state = &found.states[&id];
                    let group = found.seen.get(&aggregate.group).unwrap_or(domain);
                    let array = match self.gathered.get(&(among, id)) {
                        Some(known) => ArrayRef::clone(known),
                        None => state.gather(places, group, shard.start)?,
                    };
                    self.gathered.insert((among, id), ArrayRef::clone(&array));
                    (aggregate.data_type.clone(), array)
                }
                Source::Attribute(column) => {
                    let field = work
                        .profile_schema
                        .field_with_name(&column)
                        .map_err(|_| Error::internal(format!("profiles has no column {column}")))?;
                    let data_type = field.data_type().clone();
                    let array = attributes.gather(&column, &data_type, places)?;
                    (data_type, array)
                }
            };
            fields.push(Field::new(name, data_type, true));
            arrays.push(array);
        }
        let formula = work.session.formula(&expression, &Schema::new(fields))?;
        let values = formula.evaluate(arrays, places.len())?;
        let values = values.as_boolean_opt().ok_or_else(|| Error::internal("no condition"))?;
        let mut words = Words::zeros(shard.span);
        Words::of_true(values).each(|row| words.set(places[row] as usize));
        Ok(words)
    }

    /// The set of `expression`; `segments` gives the sets of other segments.
    pub(super) fn set(
        &self,
        expression: &SetExpr,
        span: usize,
        segments: &dyn Fn(&str) -> Result<Words>,
    ) -> Result<Words> {
        match expression {
            SetExpr::Nothing => Ok(Words::zeros(span)),
            SetExpr::Leaf(leaf) => match self.sets.get(leaf) {
                Some(set) => set.clone(),
                None => Err(Error::internal(format!("leaf {leaf} was not evaluated"))),
            },
            SetExpr::Segment(name) => segments(name),
            SetExpr::And(parts) => {
                let (denied, required): (Vec<_>, Vec<_>) =
                    parts.iter().partition(|p| matches!(p, SetExpr::Not(_)));
                let mut all: Option<Words> = None;
                for part in required {
                    let words = self.set(part, span, segments)?;
                    match &mut all {
                        Some(all) => all.and(&words),
                        None => all = Some(words),
                    }
                }
                let mut all = all.unwrap_or_else(|| Words::ones(span));
                for part in denied {
                    if let SetExpr::Not(inner) = part {
                        all.and_not(&self.set(inner, span, segments)?);
                    }
                }
                Ok(all)
            }
            SetExpr::Or(parts) => {
                let mut any = Words::zeros(span);
                for part in parts {
                    any.or(&self.set(part, span, segments)?);
                }
                Ok(any)
            }
            SetExpr::Not(inner) => {
                let mut rest = Words::ones(span);
                rest.and_not(&self.set(inner, span, segments)?);
                Ok(rest)
            }
        }
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
            let relation = column.relation.as_ref().map(|r| r.table());
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
