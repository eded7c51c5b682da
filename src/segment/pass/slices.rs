//! Windows of time that lie in each other. Counts over 30, 90 and 365 days are fed each row once: the
//! shortest window that it lies in takes it, and at the end each window takes over what the next
//! shorter one has.
//!
//! This holds for whatever can be put together from parts in any order: who was seen, counts, distinct
//! values, minima, maxima and sums of whole numbers, decimals and moments. What is made of floats depends
//! on the order of their rows; it is fed all of them.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::DataType;

use crate::error::Result;
use crate::query::df::Expr;

use super::super::program::{AggregateId, FilterId, Function, Program};
use super::events::Found;
use super::plan::{Need, bounds};
use super::select::{TimeRange, time_range};

/// What a pass has to do, and what is left to do after it.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    /// The rows that it looks for.
    pub(super) needs: Vec<Need>,
    /// The filters that it is done for.
    pub(super) asked: Vec<FilterId>,
    /// What takes over from what, the shorter windows first.
    takeovers: Vec<Takeover>,
    /// For each slice, the filter whose rows it has some of.
    slices: Vec<(FilterId, FilterId)>,
}

/// The rows of a filter that no shorter window has.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) of: FilterId,
    /// Where they lie.
    pub(super) time: TimeRange,
}

#[derive(Debug, Clone, Copy)]
enum Takeover {
    Seen { from: FilterId, into: FilterId },
    State { from: AggregateId, into: AggregateId },
}

impl Takeover {
    /// The filters whose rows it is about.
    fn filters(self, program: &Program) -> (FilterId, FilterId) {
        let rows = |id: AggregateId| program.aggregates[id.0].rows;
        match self {
            Self::Seen { from, into } => (from, into),
            Self::State { from, into } => (rows(from), rows(into)),
        }
    }
}

/// Who is fed by rows of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Consumer {
    Seen(FilterId),
    State(AggregateId),
}

impl Part {
    /// `needs` as they are.
    pub(super) fn whole(needs: Vec<Need>) -> Self {
        let asked = needs.iter().map(|need| need.filter).collect();
        Self { needs, asked, ..Self::default() }
    }

    /// `needs` with windows that lie in each other cut into slices. Each slice is a filter of its own,
    /// numbered behind those of `program`, in the order of the second result.
    pub(super) fn sliced(needs: Vec<Need>, program: &Program) -> (Self, Vec<Slice>) {
        let mut part = Self::default();
        let mut slices = Slices { first: program.filters.len(), ..Slices::default() };
        let mut fed: BTreeMap<FilterId, Vec<Consumer>> = BTreeMap::new();
        for family in families(&needs, program) {
            let mut shorter: Option<(Consumer, FilterId)> = None;
            for (consumer, filter) in family {
                let source = match shorter {
                    Some((_, inner)) => slices.between(filter, inner, program),
                    None => filter,
                };
                fed.entry(source).or_default().push(consumer);
                part.takeovers.extend(match (shorter, consumer) {
                    (Some((Consumer::Seen(from), _)), Consumer::Seen(into)) => {
                        Some(Takeover::Seen { from, into })
                    }
                    (Some((Consumer::State(from), _)), Consumer::State(into)) => {
                        Some(Takeover::State { from, into })
                    }
                    _ => None,
                });
                shorter = Some((consumer, filter));
            }
        }
        for need in needs {
            let is_sliced = |id: &AggregateId| is_sliced(*id, program);
            let aggregates = need.aggregates.into_iter().filter(|id| !is_sliced(id)).collect();
            let rest = Need { seen: None, aggregates, ..need };
            part.asked.push(rest.filter);
            if rest.moments || !rest.collected.is_empty() || !rest.aggregates.is_empty() {
                part.needs.push(rest);
            }
        }
        for (source, consumers) in fed {
            let need = part.need(source, &slices, program);
            for consumer in consumers {
                match consumer {
                    Consumer::Seen(filter) => need.seen = Some(filter),
                    Consumer::State(id) => need.aggregates.push(id),
                }
            }
        }
        part.slices =
            slices.made.iter().enumerate().map(|(n, slice)| (slices.id(n), slice.of)).collect();
        (part, slices.made)
    }

    /// The need of the rows of `source`, made where there is none.
    fn need(&mut self, source: FilterId, slices: &Slices, program: &Program) -> &mut Need {
        let known = self.needs.iter().position(|need| need.filter == source);
        let place = known.unwrap_or_else(|| {
            let time = match slices.get(source) {
                Some(slice) => slice.time,
                None => bounds(&program.filters[source.0].0),
            };
            self.needs.push(Need::of(source, time));
            self.needs.len() - 1
        });
        &mut self.needs[place]
    }

    /// Completes what the longer windows have from the shorter ones.
    pub(super) fn complete(&self, program: &Program, found: &mut Found) {
        // What fails in a part fails in all that it is a part of.
        let fails = |from: FilterId, into: FilterId, found: &mut Found| {
            if let Some(error) = found.failed_filters.get(&from).cloned() {
                found.failed_filters.entry(into).or_insert(error);
            }
        };
        for (slice, of) in &self.slices {
            fails(*slice, *of, found);
        }
        for takeover in &self.takeovers {
            let (from, into) = takeover.filters(program);
            fails(from, into, found);
            match *takeover {
                Takeover::Seen { from, into } => {
                    let shorter = found.seen.get(&from).cloned().unwrap_or_default();
                    if let Some(longer) = found.seen.get_mut(&into) {
                        longer.or(&shorter.0);
                    }
                }
                Takeover::State { from, into } => {
                    let error = found.failed_aggregates.get(&from).cloned();
                    if let Some(error) = error.or_else(|| found.take_over(from, into).err()) {
                        found.failed_aggregates.entry(into).or_insert(error);
                    }
                }
            }
        }
    }
}

impl Found {
    fn take_over(&mut self, from: AggregateId, into: AggregateId) -> Result<()> {
        match self.states.get_disjoint_mut([&from, &into]) {
            [Some(shorter), Some(longer)] => longer.take_over(shorter),
            _ => Ok(()),
        }
    }
}

/// The slices of a program.
#[derive(Debug, Default)]
struct Slices {
    first: usize,
    made: Vec<Slice>,
    known: HashMap<(FilterId, FilterId), FilterId>,
}

impl Slices {
    fn id(&self, place: usize) -> FilterId {
        FilterId(self.first + place)
    }

    fn get(&self, id: FilterId) -> Option<&Slice> {
        self.made.get(id.0.checked_sub(self.first)?)
    }

    /// The rows of `outer` that are not in `inner`, which lies at the end of it.
    fn between(&mut self, outer: FilterId, inner: FilterId, program: &Program) -> FilterId {
        if let Some(known) = self.known.get(&(outer, inner)) {
            return *known;
        }
        let time = |filter: FilterId| bounds(&program.filters[filter.0].0);
        let time = TimeRange { before: time(inner).from, ..time(outer) };
        self.made.push(Slice { of: outer, time });
        let id = self.id(self.made.len() - 1);
        self.known.insert((outer, inner), id);
        id
    }
}

/// What windows that lie in each other have in common: the conditions besides those on the time, its
/// end, and what is made of the rows.
type Kind<'a> = (Vec<&'a Expr>, i64, Option<(Function, Option<&'a Expr>, &'a DataType)>);

/// The consumers of rows in families, in each of which the windows lie in each other; the shortest comes
/// first.
fn families<'a>(needs: &[Need], program: &'a Program) -> Vec<Vec<(Consumer, FilterId)>> {
    let mut places: HashMap<Kind<'a>, usize> = HashMap::new();
    let mut families: Vec<Vec<(Consumer, FilterId)>> = Vec::new();
    let mut add = |kind: Kind<'a>, consumer: Consumer, filter: FilterId| {
        let place = *places.entry(kind).or_insert(families.len());
        if place == families.len() {
            families.push(Vec::new());
        }
        families[place].push((consumer, filter));
    };
    let conditions = |filter: FilterId| {
        let all = program.filters[filter.0].0.iter();
        all.filter(|condition| time_range(condition).is_none()).collect::<Vec<_>>()
    };
    for need in needs {
        let (rest, before) = (conditions(need.filter), need.time.before);
        if let Some(filter) = need.seen {
            add((rest.clone(), before, None), Consumer::Seen(filter), need.filter);
        }
        for id in &need.aggregates {
            if is_sliced(*id, program) {
                let aggregate = &program.aggregates[id.0];
                let made = (aggregate.function, aggregate.argument.as_ref(), &aggregate.data_type);
                add((rest.clone(), before, Some(made)), Consumer::State(*id), need.filter);
            }
        }
    }
    let from = |filter: FilterId| bounds(&program.filters[filter.0].0).from;
    for family in &mut families {
        family.sort_by_key(|(consumer, filter)| (std::cmp::Reverse(from(*filter)), *consumer));
    }
    families
}

/// Whether what the aggregate makes of rows can be put together from parts.
fn is_sliced(id: AggregateId, program: &Program) -> bool {
    let aggregate = &program.aggregates[id.0];
    match aggregate.function {
        Function::Count | Function::CountDistinct => true,
        // The order of floats matters: to their sum, and to what NaN does.
        Function::Sum | Function::Min | Function::Max => aggregate.data_type != DataType::Float64,
        Function::Mean | Function::Id => false,
    }
}
