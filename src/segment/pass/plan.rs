//! What a pass has to do: the filters and aggregates behind the wanted leaves, the shards and their
//! files, and how much fits in memory at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::datatypes::SchemaRef;

use crate::error::Result;
use crate::model::{TableName, tables};
use crate::query::df::Expr;
use crate::query::{Base, Session, scan_schema};
use crate::store::{ColumnRanges, Files, Store};

use super::super::program::{
    AggregateId, EVENT, EventFilter, FilterId, Leaf, LeafId, PROFILE, Program, is_of,
};
use super::condition::Value;
use super::profiles::ProfileNeeds;
use super::select::{Specials, TimeRange, time_range};
use super::slices::{Part, Slice};
use super::state::State;
use super::whom::Asked;

/// What is wanted of the rows that pass a filter.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub(super) filter: FilterId,
    /// The filter whose set of profiles they add to.
    pub(super) seen: Option<FilterId>,
    /// Their times.
    pub(super) moments: bool,
    /// Aggregates over them.
    pub(super) aggregates: Vec<AggregateId>,
    /// The columns of them that queries read; nothing where there is no such query.
    pub(super) collected: BTreeSet<String>,
    /// Moments outside of which no row passes.
    pub(super) time: TimeRange,
}

impl Need {
    /// Nothing, of the rows of `filter`, which lie in `time`.
    pub(super) fn of(filter: FilterId, time: TimeRange) -> Self {
        let (aggregates, collected) = (Vec::new(), BTreeSet::new());
        Self { filter, seen: None, moments: false, aggregates, collected, time }
    }
}

/// Everything that the passes of one run share.
pub(super) struct Work {
    pub(super) session: Session,
    pub(super) store: Store,
    pub(super) files: Files,
    pub(super) program: Arc<Program>,
    wanted: BTreeSet<LeafId>,
    /// All of it in one pass.
    whole: Part,
    /// Whom leaves are asked for, where not for everybody.
    pub(super) asked: Option<Asked>,
    pub(super) event_schema: SchemaRef,
    pub(super) profiles: ProfileNeeds,
    pub(super) profile_schema: SchemaRef,
    pub(super) arguments: Vec<Value>,
    argument_places: HashMap<AggregateId, usize>,
    specials: Mutex<Specials>,
    rows: AtomicU64,
    /// Rows of runs that each filter was asked of.
    filter_rows: Vec<AtomicU64>,
    profile_rows: AtomicU64,
}

impl Work {
    /// The work of the leaves in `wanted`, which may be asked for some profiles only.
    pub(super) fn new(
        session: &Session,
        base: &Base,
        program: &Arc<Program>,
        (wanted, asked): (&BTreeSet<LeafId>, Option<Asked>),
    ) -> Result<Self> {
        let schema = scan_schema(&base.snapshot.table(TableName::Events)?.schema);
        let needs = needs(program, wanted);
        let mut arguments = Vec::new();
        let mut places: HashMap<&Expr, usize> = HashMap::new();
        let mut argument_places = HashMap::new();
        for id in needs.iter().flat_map(|n| &n.aggregates) {
            if let Some(argument) = &program.aggregates[id.0].argument {
                let place = if let Some(place) = places.get(argument) {
                    *place
                } else {
                    arguments.push(Value::new(session, argument, &schema)?);
                    places.insert(argument, arguments.len() - 1);
                    arguments.len() - 1
                };
                argument_places.insert(*id, place);
            }
        }
        let profile_schema = scan_schema(&base.snapshot.table(TableName::Profiles)?.schema);
        let profiles = profile_needs(session, &profile_schema, program, wanted)?;
        let needed = needs.iter().map(|need| need.filter);
        let needed: BTreeSet<FilterId> = needed.collect();
        let (whole, slices) = match asked {
            None => Part::sliced(needs, program),
            // Each row is asked of a few only, and of others for each window.
            Some(_) => (Part::whole(needs), Vec::new()),
        };
        let specials = Specials::new(session, &schema, filters(program, &needed, slices));
        Ok(Self {
            session: session.clone(),
            store: base.store.clone(),
            files: base.files.counting(),
            program: Arc::clone(program),
            wanted: wanted.clone(),
            whole,
            asked,
            event_schema: schema,
            profiles,
            profile_schema,
            arguments,
            argument_places,
            specials: Mutex::new(specials),
            rows: AtomicU64::new(0),
            filter_rows: program.filters.iter().map(|_| AtomicU64::new(0)).collect(),
            profile_rows: AtomicU64::new(0),
        })
    }

    pub(super) fn specials<T>(&self, f: impl FnOnce(&mut Specials) -> T) -> T {
        f(&mut self.specials.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(super) fn argument_place(&self, id: AggregateId) -> Option<usize> {
        self.argument_places.get(&id).copied()
    }

    pub(super) fn argument(&self, id: AggregateId) -> Option<&Value> {
        self.argument_place(id).map(|place| &self.arguments[place])
    }

    /// Notes what was read.
    pub(super) fn tally(&self, columns: &[ColumnRanges<'_>]) {
        let rows =
            columns.iter().map(|c| c.ranges.iter().map(ExactSizeIterator::len).sum::<usize>());
        self.rows.fetch_add(rows.max().unwrap_or(0) as u64, Ordering::Relaxed);
    }

    /// Notes that `rows` rows were held against `filter`.
    pub(super) fn asked(&self, filter: FilterId, rows: usize) {
        self.filter_rows[filter.0].fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Notes that `rows` profiles were read.
    pub(super) fn asked_profiles(&self, rows: usize) {
        self.profile_rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// The rows that each leaf looked at until now.
    pub(super) fn leaf_rows(&self, leaves: &BTreeSet<LeafId>) -> BTreeMap<LeafId, u64> {
        let of = |filter: &FilterId| self.filter_rows[filter.0].load(Ordering::Relaxed);
        let rows = |leaf: &LeafId| match &self.program.leaves[leaf.0] {
            Leaf::Attribute(_) => self.profile_rows.load(Ordering::Relaxed),
            Leaf::Events(filter) => of(filter),
            Leaf::Sequence { first, then, .. } => of(first) + of(then),
            Leaf::Local(local) => of(&local.rows),
            Leaf::Windowed(windowed) => of(&windowed.rows),
            leaf => values(leaf)
                .into_iter()
                .flat_map(Program::aggregates_in)
                .map(|id| of(&self.program.aggregates[id.0].rows))
                .sum(),
        };
        leaves.iter().map(|leaf| (*leaf, rows(leaf))).collect()
    }

    /// Bytes and rows read until now.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.files.fetched_bytes(), self.rows.load(Ordering::Relaxed))
    }

    /// The wanted leaves in parts, the states of which fit in `bytes` for `span` ids: a pass a part.
    /// Leaves that are made of others come last.
    pub(super) fn parts(&self, span: usize, bytes: usize) -> Vec<Part> {
        let is_ranked = |leaf: &&LeafId| matches!(self.program.leaves[leaf.0], Leaf::Ranked(_));
        let (last, first): (Vec<&LeafId>, Vec<&LeafId>) = self.wanted.iter().partition(is_ranked);
        let mut parts: Vec<BTreeSet<LeafId>> = Vec::new();
        let mut held = 0;
        for leaf in first.into_iter().chain(last) {
            let own = needs(&self.program, &BTreeSet::from([*leaf]));
            let cost: usize = own.iter().map(|need| self.state_bytes(need, span)).sum();
            match parts.last_mut() {
                Some(part) if held + cost <= bytes => {
                    part.insert(*leaf);
                    held += cost;
                }
                _ => {
                    parts.push(BTreeSet::from([*leaf]));
                    held = cost;
                }
            }
        }
        if parts.len() <= 1 {
            return vec![self.whole.clone()];
        }
        parts.iter().map(|part| Part::whole(needs(&self.program, part))).collect()
    }

    fn state_bytes(&self, need: &Need, span: usize) -> usize {
        let states = need.aggregates.iter();
        let states = states.map(|id| State::bytes(&self.program.aggregates[id.0], span));
        states.sum::<usize>() + span / 8
    }
}

/// What the leaves in `wanted` need of event rows, by filter.
pub(super) fn needs(program: &Program, wanted: &BTreeSet<LeafId>) -> Vec<Need> {
    let mut needs: BTreeMap<FilterId, Need> = BTreeMap::new();
    let mut need = |filter: FilterId, change: &dyn Fn(&mut Need)| {
        let time = || bounds(&program.filters[filter.0].0);
        change(needs.entry(filter).or_insert_with(|| Need::of(filter, time())));
    };
    for leaf in wanted {
        match &program.leaves[leaf.0] {
            Leaf::Attribute(_) => {}
            Leaf::Events(filter) => need(*filter, &|n| n.seen = Some(n.filter)),
            Leaf::Sequence { first, then, .. } => {
                need(*first, &|n| n.moments = true);
                need(*then, &|n| n.moments = true);
            }
            Leaf::Local(local) => {
                need(local.rows, &|n| n.collected.extend(local.columns.iter().cloned()));
            }
            Leaf::Windowed(windowed) => {
                let values = windowed.windows.iter().map(|call| &call.value);
                let expressions = values.chain(&windowed.conditions);
                let columns: BTreeSet<String> = expressions
                    .flat_map(Expr::column_refs)
                    .filter(|c| is_of(c, EVENT))
                    .map(|c| c.name.clone())
                    .chain([tables::PROFILE_ID.to_owned(), tables::TS.to_owned()])
                    .collect();
                need(windowed.rows, &|n| n.collected.extend(columns.iter().cloned()));
            }
            Leaf::Groups { .. } | Leaf::Ranked(_) => {
                for id in
                    values(&program.leaves[leaf.0]).into_iter().flat_map(Program::aggregates_in)
                {
                    let aggregate = &program.aggregates[id.0];
                    need(aggregate.group, &|n| n.seen = Some(n.filter));
                    need(aggregate.rows, &|n| {
                        if !n.aggregates.contains(&id) {
                            n.aggregates.push(id);
                        }
                    });
                }
            }
        }
    }
    needs.into_values().collect()
}

/// The filters of `program` that are `needed`, each in its place, and `slices` behind them, with the time
/// that they are looked for in.
fn filters(
    program: &Program,
    needed: &BTreeSet<FilterId>,
    slices: Vec<Slice>,
) -> Vec<Option<(EventFilter, TimeRange)>> {
    let own = program.filters.iter().enumerate().map(|(place, filter)| {
        needed.contains(&FilterId(place)).then(|| (filter.clone(), TimeRange::ALL))
    });
    let slices = slices.into_iter();
    let slices = slices.map(|slice| Some((program.filters[slice.of.0].clone(), slice.time)));
    own.chain(slices).collect()
}

/// What the leaves in `wanted` need of profiles.
fn profile_needs(
    session: &Session,
    schema: &SchemaRef,
    program: &Program,
    wanted: &BTreeSet<LeafId>,
) -> Result<ProfileNeeds> {
    let mut needs = ProfileNeeds {
        conditions: Vec::new(),
        kept: BTreeSet::new(),
        everyone: false,
        schema: SchemaRef::clone(schema),
    };
    for id in wanted {
        match &program.leaves[id.0] {
            Leaf::Attribute(condition) => {
                needs.conditions.push((*id, Value::new(session, condition, schema)?));
            }
            leaf => {
                needs.everyone |= matches!(leaf, Leaf::Groups { among: None, .. });
                let attributes = values(leaf)
                    .into_iter()
                    .flat_map(Expr::column_refs)
                    .filter(|c| is_of(c, PROFILE));
                needs.kept.extend(attributes.map(|c| c.name.clone()));
            }
        }
    }
    Ok(needs)
}

/// The expressions of `leaf` over aggregates and attributes.
fn values(leaf: &Leaf) -> Vec<&Expr> {
    match leaf {
        Leaf::Groups { condition, .. } => vec![condition],
        Leaf::Ranked(ranked) => ranked.keys.iter().map(|key| &key.value).collect(),
        _ => Vec::new(),
    }
}

/// Moments that every row which passes lies in.
pub(super) fn bounds(conditions: &[Expr]) -> TimeRange {
    let ranges = conditions.iter().filter_map(time_range);
    ranges.fold(TimeRange::ALL, TimeRange::narrowed)
}

/// What a run read and how long it took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Bytes fetched from the store.
    pub bytes: u64,
    /// Rows of the widest column of each row group.
    pub rows: u64,
    /// Passes over events: more than one where the states did not fit in memory.
    pub passes: usize,
}
