//! The last state of every segment, and its membership.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::membership::wire::{self, Format};
use crate::model::{AsOf, BuildId};
use crate::query::Session;

/// What a build made of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its membership was evaluated.
    Built,
    /// Nothing it depends on had changed; it has the membership of an earlier build.
    Reused,
    /// It failed, and never had a membership.
    Failed,
    /// It failed, and keeps the membership of an earlier build.
    Stale,
    /// A segment that it needs failed; it keeps what it had.
    Skipped,
    /// It has no SQL: its membership came from a file.
    Imported,
}

impl Status {
    /// The status's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Reused => "reused",
            Self::Failed => "failed",
            Self::Stale => "stale",
            Self::Skipped => "skipped",
            Self::Imported => "imported",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        [Self::Built, Self::Reused, Self::Failed, Self::Stale, Self::Skipped, Self::Imported]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Error::data(format!("table builds holds the status \"{text}\"")))
    }
}

/// A segment after a build.
#[derive(Debug, Clone)]
pub struct State {
    /// The segment.
    pub segment: String,
    /// The build.
    pub build: BuildId,
    /// The moment that the build was pinned to.
    pub as_of: AsOf,
    /// What became of it.
    pub status: Status,
    /// Its members, nothing where it never had a membership.
    pub members: Option<u64>,
    /// Members that it gained against the build before.
    pub entered: Option<u64>,
    /// Members that it lost.
    pub exited: Option<u64>,
    /// The time its evaluation took.
    pub elapsed_ms: u64,
    /// The digest of its SQL.
    pub definition: String,
    /// The build that its membership is from.
    pub membership_build: Option<BuildId>,
    /// The digest of all that the membership depends on.
    pub inputs: Option<String>,
    /// The version of the store that the build read.
    pub store_version: u64,
    /// Why it failed or was skipped.
    pub error: Option<String>,
}

/// The last state of every segment that was ever built.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    states: BTreeMap<String, State>,
}

const COLUMNS: &str = "segment, build, as_of, status, members, entered, exited, elapsed_ms, \
                       definition, membership_build, inputs, error, store_version";

impl State {
    /// Whether the membership was what the query returns, for the version of the store and the moment
    /// that the state names.
    pub(super) fn is_right(&self) -> bool {
        matches!(self.status, Status::Built | Status::Reused) && self.membership_build.is_some()
    }

    /// Whether it was made by a query: an imported list was not, nor was an audience of look-alikes, before
    /// whose digest stands a word and a colon.
    pub(super) fn is_of_sql(&self) -> bool {
        self.status != Status::Imported && !self.definition.contains(':')
    }

    /// Whether the membership is what the query returns for `inputs`.
    pub(super) fn has_members_of(&self, inputs: &str) -> bool {
        self.inputs.as_deref() == Some(inputs)
            && self.membership_build.is_some()
            && self.status != Status::Stale
    }
}

impl Catalog {
    /// Reads it from the store behind `session`.
    ///
    /// # Errors
    /// Where the table of builds cannot be read.
    pub async fn load(session: &Session) -> Result<Self> {
        // The rows of all builds go by once, and only the last of each segment stays: no sort, and
        // memory for one state a segment.
        let plan = session.plan(&format!("SELECT {COLUMNS} FROM builds"), None).await?;
        let mut states: BTreeMap<String, State> = BTreeMap::new();
        let mut batches = plan.stream().await?;
        while let Some(batch) = batches.next().await? {
            for state in states_in(&batch)? {
                match states.entry(state.segment.clone()) {
                    Entry::Vacant(free) => drop(free.insert(state)),
                    Entry::Occupied(mut last) if last.get().build < state.build => {
                        last.insert(state);
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        Ok(Self { states })
    }

    /// The last state of `segment`.
    pub fn get(&self, segment: &str) -> Option<&State> {
        self.states.get(segment)
    }

    /// All states, by segment.
    pub fn iter(&self) -> impl Iterator<Item = &State> {
        self.states.values()
    }

    /// The memberships of `segments` as they are now; those that never had one are left out.
    ///
    /// # Errors
    /// Where the store cannot be read, or holds a broken bitmap.
    pub async fn memberships<'a>(
        &self,
        session: &Session,
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, Membership>> {
        let mut by_build: BTreeMap<BuildId, Vec<&str>> = BTreeMap::new();
        for name in segments {
            if let Some(build) = self.get(name).and_then(|s| s.membership_build) {
                by_build.entry(build).or_default().push(name);
            }
        }
        let mut all = BTreeMap::new();
        for (build, names) in by_build {
            all.extend(memberships_of(session, build, &names).await?);
        }
        Ok(all)
    }
}

/// The states of `segment` in all builds, the last one first.
pub(super) async fn states_of(session: &Session, segment: &str) -> Result<Vec<State>> {
    let segment = segment.replace('\'', "''");
    let sql =
        format!("SELECT {COLUMNS} FROM builds WHERE segment = '{segment}' ORDER BY build DESC");
    read_states(session, &sql).await
}

/// The memberships that `build` made of `segments`. One without members has no rows, and is empty.
pub(super) async fn memberships_of(
    session: &Session,
    build: BuildId,
    segments: &[&str],
) -> Result<BTreeMap<String, Membership>> {
    let quoted: Vec<String> =
        segments.iter().map(|s| format!("'{}'", s.replace('\'', "''"))).collect();
    let sql = format!(
        "SELECT segment, bitmap FROM memberships WHERE build = {build} AND segment IN ({})",
        quoted.join(", ")
    );
    let mut parts: BTreeMap<String, Vec<Membership>> =
        segments.iter().map(|s| ((*s).to_owned(), Vec::new())).collect();
    for batch in session.plan(&sql, None).await?.collect().await? {
        let names = text(batch.column(0))?;
        let bitmaps = as_type(batch.column(1), &DataType::Binary)?;
        let bitmaps = bitmaps.as_binary::<i32>();
        for row in 0..batch.num_rows() {
            let part = wire::decode(bitmaps.value(row), Format::Roaring)?;
            parts.entry(names.as_string::<i32>().value(row).to_owned()).or_default().push(part);
        }
    }
    Ok(parts.into_iter().map(|(name, parts)| (name, Membership::from_shards(parts))).collect())
}

fn as_type(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    cast(column, data_type)
        .map_err(|e| Error::data(format!("the store's own tables are broken: {e}")))
}

fn text(column: &ArrayRef) -> Result<ArrayRef> {
    as_type(column, &DataType::Utf8)
}

async fn read_states(session: &Session, sql: &str) -> Result<Vec<State>> {
    let batches = session.plan(sql, None).await?.collect().await?;
    let mut states = Vec::new();
    for batch in batches {
        states.extend(states_in(&batch)?);
    }
    Ok(states)
}

fn states_in(batch: &RecordBatch) -> Result<Vec<State>> {
    let words = |i: usize| text(batch.column(i));
    let count = |i: usize| batch.column(i).as_primitive::<Int64Type>();
    let (segments, statuses, definitions) = (words(0)?, words(3)?, words(8)?);
    let (inputs, errors) = (words(10)?, words(11)?);
    let word = |column: &ArrayRef, row| {
        let column = column.as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let number = |i, row| count(i).is_valid(row).then(|| count(i).value(row));
    let size = |i, row| number(i, row).and_then(|n| u64::try_from(n).ok());
    (0..batch.num_rows())
        .map(|row| {
            let as_of = batch.column(2).as_primitive::<TimestampMicrosecondType>().value(row);
            Ok(State {
                segment: word(&segments, row).unwrap_or_default(),
                build: BuildId(count(1).value(row)),
                as_of: AsOf::from_micros(as_of)?,
                status: Status::parse(&word(&statuses, row).unwrap_or_default())?,
                members: size(4, row),
                entered: size(5, row),
                exited: size(6, row),
                elapsed_ms: size(7, row).unwrap_or(0),
                definition: word(&definitions, row).unwrap_or_default(),
                membership_build: number(9, row).map(BuildId),
                inputs: word(&inputs, row),
                error: word(&errors, row),
                store_version: size(12, row).unwrap_or(0),
            })
        })
        .collect()
}
