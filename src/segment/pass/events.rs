//! The pass over events: one shard's files, each column of each read once, feeding all filters and
//! aggregates of the program.
//!
//! A file holds a month of a shard, its rows lie in runs of one event name, and within a run in the
//! order of profiles. For each run it is known which filters let any row through; the columns that
//! those need are read for the rows of those runs and no others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;

use arrow::array::{ArrayRef, AsArray as _};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::Int32Type;

use crate::error::{Error, Result};
use crate::model::{TableName, tables};
use crate::store::{ColumnRanges, DataFile, OpenFile, Run};

use super::super::program::{AggregateId, FilterId};
use super::collect::Collected;
use super::condition::Columns;
use super::plan::{Need, Work};
use super::select::{ForEvent, Special, TimeRange};
use super::sequence::Moments;
use super::shard::Shard;
use super::slices::Part;
use super::state::{Rows, State, integers};
use super::whom::Whom;
use super::words::Words;

/// One row in so many is few: then they are taken out before conditions are evaluated.
const FEW: usize = 4;

/// A filter that one in so many of a run's profiles is asked of takes the others' rows too: looking for its
/// own would cost more, and nobody looks at the others.
const NEARLY_ALL: usize = 2;

/// Spans of time that rows are held against one by one.
const RANGES_MAX: usize = 4;

/// What the pass found of each profile of a shard.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The profiles with at least one row that passes.
    pub(super) seen: HashMap<FilterId, Words>,
    pub(super) states: HashMap<AggregateId, State>,
    pub(super) moments: HashMap<FilterId, Moments>,
    /// Rows for queries.
    pub(super) collected: BTreeMap<FilterId, Collected>,
    /// What could not be evaluated, by filter.
    pub(super) failed_filters: HashMap<FilterId, Error>,
    /// What could not be evaluated, by aggregate.
    pub(super) failed_aggregates: HashMap<AggregateId, Error>,
}

/// A run that some filters let rows of through.
struct Job {
    rows: Range<usize>,
    filters: ForEvent,
    /// The filters in question.
    uses: Vec<Use>,
    /// The places whose rows they are asked for; all where there is nothing.
    whom: Option<Words>,
}

/// A filter of a run.
struct Use {
    /// The place of its need.
    need: usize,
    /// Whether it still has to check the time.
    checks_time: bool,
    /// Whether it looks for the rows of those whom it is asked for.
    checks_whom: bool,
}

/// Runs the pass over the files of `shard`, for what `part` needs, of `whom` where it is given.
pub(super) async fn run(
    work: &Work,
    (shard, whom): (&Shard, Option<&Whom>),
    part: &Part,
) -> Result<Found> {
    let mut found = Found::default();
    let needs = &part.needs[..];
    for need in needs {
        if let Some(filter) = need.seen {
            found.seen.insert(filter, Words::zeros(shard.span));
        }
        if need.moments {
            found.moments.insert(need.filter, Moments::default());
        }
        if !need.collected.is_empty() {
            let columns = need.collected.iter().cloned().collect();
            found.collected.insert(need.filter, Collected::new(columns));
        }
        for id in &need.aggregates {
            found.states.insert(*id, State::new(&work.program.aggregates[id.0], shard.span));
        }
    }
    for file in &shard.events {
        let span = moments_of(file);
        if needs.iter().all(|need| need.time.misses(span)) {
            continue;
        }
        let open = work.files.open(&work.store, TableName::Events, file).await?;
        for group in 0..open.groups() {
            let runs = work.files.runs(&open, group).await?;
            let mut jobs = jobs(work, part, &runs, span)?;
            if let Some(whom) = whom {
                jobs.retain_mut(|job| job.ask_for(whom, (needs, shard.span)));
            }
            if !jobs.is_empty() {
                let pass = Pass { work, shard, whom, needs, is_inside: shard.holds(file) };
                pass.row_group(&open, group, &jobs, &mut found).await?;
            }
        }
    }
    part.complete(&work.program, &mut found);
    found.states.values_mut().for_each(State::finish);
    found.moments.values_mut().for_each(Moments::sort);
    Ok(found)
}

/// The least and the greatest moment in `file`, as far as is known.
fn moments_of(file: &DataFile) -> (i64, i64) {
    let known = file.stats.columns.get(tables::TS);
    let micros = |value: Option<&serde_json::Value>| {
        let text = value?.as_str()?;
        Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
    };
    let least = known.and_then(|k| micros(k.min.as_ref())).unwrap_or(i64::MIN);
    // Delta keeps milliseconds in other writers' logs: a greatest moment may be cut.
    let greatest = known.and_then(|k| micros(k.max.as_ref())).map_or(i64::MAX, |us| us + 999);
    (least, greatest)
}

fn jobs(work: &Work, part: &Part, runs: &[Run], span: (i64, i64)) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for run in runs {
        let filters = work.specials(|s| s.of(&run.event))?;
        let looks = |id: &&FilterId| filters[id.0].as_ref().is_some_and(|s| !s.time.misses(span));
        part.asked.iter().filter(looks).for_each(|id| work.asked(*id, run.rows.len()));
        let mut uses = Vec::new();
        for (place, need) in part.needs.iter().enumerate() {
            if let Some(special) = &filters[need.filter.0]
                && !special.time.misses(span)
            {
                let checks_time = !special.time.covers(span);
                uses.push(Use { need: place, checks_time, checks_whom: false });
            }
        }
        if !uses.is_empty() {
            jobs.push(Job { rows: run.rows.clone(), filters, uses, whom: None });
        }
    }
    Ok(jobs)
}

impl Job {
    fn special(&self, need: &Need) -> &Special {
        self.filters[need.filter.0].as_ref().expect("jobs only lists filters that let rows through")
    }

    /// Notes whom it is for; says whether that is anybody.
    fn ask_for(&mut self, whom: &Whom, (needs, span): (&[Need], usize)) -> bool {
        let places = whom.any(self.uses.iter().map(|one| &needs[one.need]), span);
        let all = places.count();
        for one in &mut self.uses {
            let need = &needs[one.need];
            // A query of its own over rows of others is dear, and may even fail.
            let times = if need.collected.is_empty() { NEARLY_ALL } else { 1 };
            let asked = whom.filter(need.filter);
            one.checks_whom = asked.is_some_and(|asked| asked.count() * times < all);
        }
        self.whom = Some(places);
        all > 0
    }

    /// The columns that its filters and aggregates need.
    fn columns(&self, work: &Work, needs: &[Need]) -> BTreeSet<String> {
        let mut names = BTreeSet::from([tables::PROFILE_ID.to_owned()]);
        for one in &self.uses {
            let need = &needs[one.need];
            if one.checks_time || need.moments {
                names.insert(tables::TS.to_owned());
            }
            names.extend(need.collected.iter().cloned());
            for atom in &self.special(need).rest {
                names.extend(work.specials(|s| s.atom(*atom)).columns.iter().cloned());
            }
            for id in &need.aggregates {
                if let Some(argument) = work.argument(*id) {
                    names.extend(argument.columns.iter().cloned());
                }
            }
        }
        names
    }
}

/// The pass over one file.
#[derive(Clone, Copy)]
struct Pass<'a> {
    work: &'a Work,
    shard: &'a Shard,
    whom: Option<&'a Whom>,
    needs: &'a [Need],
    /// Whether all rows of the file are of this shard's profiles.
    is_inside: bool,
}

impl Pass<'_> {
    async fn row_group(
        self,
        open: &OpenFile,
        group: usize,
        jobs: &[Job],
        found: &mut Found,
    ) -> Result<()> {
        let Self { work, needs, .. } = self;
        let mut ranges: BTreeMap<String, Vec<Range<usize>>> = BTreeMap::new();
        let names: Vec<BTreeSet<String>> =
            jobs.iter().map(|job| job.columns(work, needs)).collect();
        for (job, names) in jobs.iter().zip(&names) {
            for name in names {
                ranges.entry(name.clone()).or_default().push(job.rows.clone());
            }
        }
        let wanted: Vec<ColumnRanges<'_>> =
            ranges.iter().map(|(name, ranges)| ColumnRanges { name, ranges }).collect();
        let parts = work.files.read_parts(open, group, &wanted).await?;
        work.tally(&wanted);
        let mut parts: BTreeMap<&str, std::vec::IntoIter<ArrayRef>> =
            ranges.keys().map(String::as_str).zip(parts.into_iter().map(Vec::into_iter)).collect();
        for (job, names) in jobs.iter().zip(&names) {
            let mut own = HashMap::new();
            for name in names {
                own.extend(
                    parts
                        .get_mut(name.as_str())
                        .and_then(Iterator::next)
                        .map(|part| (name.clone(), part)),
                );
            }
            let columns = Columns::new(own, job.rows.len());
            if self.shard.is_chosen() {
                self.feed_chosen(job, columns, found)?;
            } else {
                self.feed(job, &self.in_time(job, columns)?, found)?;
            }
        }
        Ok(())
    }

    /// The rows of one run that lie in the time of any of its filters, where few do: conditions are then
    /// evaluated for these alone.
    fn in_time(self, job: &Job, columns: Columns) -> Result<Columns> {
        // One filter alone is asked of all rows at once: taking rows out would cost more.
        if job.uses.len() < 2 {
            return Ok(columns);
        }
        let rows = columns.rows();
        let mut ranges: Vec<TimeRange> = Vec::new();
        for one in &job.uses {
            let range = job.special(&self.needs[one.need]).time;
            if !one.checks_time || (ranges.len() == RANGES_MAX && !ranges.contains(&range)) {
                return Ok(columns);
            }
            if !ranges.contains(&range) {
                ranges.push(range);
            }
        }
        let Ok(ts) = columns.column(tables::TS) else { return Ok(columns) };
        let ts = integers(&ts)?;
        let lies = |ts: i64| ranges.iter().any(|range| ts >= range.from && ts < range.before);
        let lying = Words::of_values(ts.values(), lies);
        if lying.count() * FEW > rows { Ok(columns) } else { columns.only(&lying) }
    }

    /// Feeds the rows of one run that have a place, where few have one.
    fn feed_chosen(mut self, job: &Job, columns: Columns, found: &mut Found) -> Result<()> {
        let chosen = self.shard.rows(&ids_of(&columns)?, job.whom.as_ref());
        if chosen.is_empty() {
            return Ok(());
        }
        self.is_inside = true;
        self.feed(job, &columns.only(&chosen)?, found)
    }

    /// Feeds one run to everything that wants rows of it.
    fn feed(self, job: &Job, columns: &Columns, found: &mut Found) -> Result<()> {
        let Self { work, shard, whom, needs, is_inside } = self;
        let ids = ids_of(columns)?;
        let (ids, start) = shard.located(&ids);
        let place_of = |id: i32| id.cast_unsigned().wrapping_sub(start) as usize;
        let has_place = |id: i32| place_of(id) < shard.span;
        let own = (!is_inside).then(|| Words::of_values(&ids, has_place));
        let ts = columns.column(tables::TS).ok().map(|ts| integers(&ts)).transpose()?;
        let ts = ts.as_ref().map(|ts| &ts.values()[..]).unwrap_or_default();
        let mut selector =
            Selector { work, columns, ts, own, times: HashMap::new(), atoms: HashMap::new() };
        let mut arguments: HashMap<usize, Result<ArrayRef>> = HashMap::new();
        for one in &job.uses {
            let need = &needs[one.need];
            let asked = whom.filter(|_| one.checks_whom);
            let asked = asked.and_then(|whom| whom.filter(need.filter));
            let asked = asked.map(|asked| Words::of_values(&ids, |id| asked.has(place_of(id))));
            if asked.as_ref().is_some_and(Words::is_empty) {
                continue;
            }
            let chosen = match selector.choose(job.special(need), one.checks_time, asked) {
                Ok(chosen) => chosen,
                Err(error) => {
                    found.failed_filters.entry(need.filter).or_insert(error);
                    continue;
                }
            };
            if chosen.as_ref().is_some_and(|words| words.is_empty()) {
                continue;
            }
            let rows = Rows { ids: &ids, start, chosen: chosen.as_deref() };
            if let Some(seen) = need.seen.and_then(|filter| found.seen.get_mut(&filter)) {
                rows.each(|_, place| seen.set(place));
            }
            if let Some(moments) = found.moments.get_mut(&need.filter) {
                moments.add(rows, ts);
            }
            if let Some(collected) = found.collected.get_mut(&need.filter) {
                collected.add(&work.event_schema, columns, chosen.as_deref())?;
            }
            for id in &need.aggregates {
                let argument = work.argument_place(*id).map(|place| {
                    let value = arguments.entry(place);
                    value.or_insert_with(|| work.arguments[place].values(columns)).clone()
                });
                let fed =
                    argument.transpose().and_then(|argument| match found.states.get_mut(id) {
                        Some(state) => state.update(rows, argument.as_ref()),
                        None => Ok(()),
                    });
                if let Err(error) = fed {
                    found.failed_aggregates.entry(*id).or_insert(error);
                }
            }
        }
        Ok(())
    }
}

/// Each row's profile.
pub(super) fn ids_of(columns: &Columns) -> Result<ScalarBuffer<i32>> {
    let ids = columns.column(tables::PROFILE_ID)?;
    let ids = ids.as_primitive_opt::<Int32Type>();
    Ok(ids.ok_or_else(|| Error::data("ids of another type"))?.values().clone())
}

/// Which rows of a run pass which filter, each condition evaluated once.
struct Selector<'a> {
    work: &'a Work,
    columns: &'a Columns,
    ts: &'a [i64],
    /// The rows of profiles of this shard, where the file has others too.
    own: Option<Words>,
    times: HashMap<TimeRange, Rc<Words>>,
    atoms: HashMap<usize, Result<Rc<Words>>>,
}

impl Selector<'_> {
    /// The rows that pass, those of `asked` where it is given; nothing where all of them do.
    fn choose(
        &mut self,
        special: &Special,
        checks_time: bool,
        asked: Option<Words>,
    ) -> Result<Option<Rc<Words>>> {
        let mut parts: Vec<Rc<Words>> = asked.map(Rc::new).into_iter().collect();
        if checks_time {
            let (ts, range) = (self.ts, special.time);
            let words = self.times.entry(range).or_insert_with(|| {
                Rc::new(Words::of_values(ts, |ts| ts >= range.from && ts < range.before))
            });
            parts.push(Rc::clone(words));
        }
        for atom in &special.rest {
            let (work, columns) = (self.work, self.columns);
            let words = self
                .atoms
                .entry(*atom)
                .or_insert_with(|| work.specials(|s| s.atom(*atom)).is_true(columns).map(Rc::new));
            parts.push(words.clone()?);
        }
        if let [one] = &parts[..]
            && self.own.is_none()
        {
            return Ok(Some(Rc::clone(one)));
        }
        let mut all: Option<Words> = self.own.clone();
        for part in parts {
            match &mut all {
                Some(all) => all.and(&part.0),
                None => all = Some(part.as_ref().clone()),
            }
        }
        Ok(all.map(Rc::new))
    }
}
