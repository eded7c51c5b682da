//! Events: appended by shard and month, in the order that scans want.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, Int32Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::error::{Error, Result};
use crate::identity::IdentityIndex;
use crate::model::{ShardId, ShardSize, TableName, tables};
use crate::source::{FILE_COLUMN, LINE_COLUMN, Rejects};
use crate::store::schema::{conform, timestamp, widened};
use crate::store::{Change, DataFile, FileLayout, Store, encode};

use super::identifiers::NewIdentifiers;
use super::layout::{FILE_ROWS_MAX, Month, month_folder, sorted};
use super::plan::Planned;
use super::profiles::NewProfiles;
use super::rows::{Moments, Origin, Resolved, Resolver, check_column, column};
use super::spec::{EventName, Rows, SourceSpec};
use super::spool::{Gathered, Spool};
use super::{Context, Ingested, check_names};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// One source of events.
pub(super) struct Work<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) spec: &'a SourceSpec,
    pub(super) rejects: &'a Arc<Rejects>,
}

/// Which column of the query becomes which of the table.
struct Shape {
    time: String,
    zone: String,
    event: EventName,
    /// The query's columns that are kept as they are.
    kept: Vec<String>,
    /// The columns of this ingest's files.
    schema: SchemaRef,
    /// The table's columns, where they grow.
    table: Option<SchemaRef>,
}

impl Work<'_> {
    pub(super) async fn run(
        &self,
        planned: &Planned,
        index: &mut IdentityIndex,
        change: &mut Change,
        ingested: &mut Ingested,
    ) -> Result<()> {
        let size = self.context.snapshot.shard_size()?;
        let shape = self.shape(&planned.plan.schema())?;
        let mut spool = Spool::new(Arc::clone(&shape.schema), self.context.limits.memory_bytes / 2);
        let found = NewIdentifiers::default();
        let mut resolver = Resolver { keys: &self.spec.keys, index, found, conflicts: 0 };
        let mut profiles = NewProfiles::default();
        let mut batches = planned.plan.stream().await?;
        let mut rows = 0;
        while let Some(batch) = batches.next().await? {
            let origin = Origin::of(&batch, rows, self.spec);
            rows += batch.num_rows() as u64;
            let shaped = self.take_in(&batch, &shape, &mut resolver, &mut profiles, &origin)?;
            scatter(&shaped, size, &mut spool)?;
        }
        ingested.rows = spool.rows() + self.rejects.total();
        ingested.events = spool.rows();
        ingested.conflicts = resolver.conflicts;
        let (store, snapshot) = (self.context.store, self.context.snapshot);
        ingested.identifiers_new =
            resolver.found.write(store, snapshot, &self.spec.name, change).await?;
        profiles.write(self.context, self.spec, change).await?;
        let (parts, _guard) = spool.finish();
        let threads = self.context.limits.threads.get();
        let files = write_parts(store, parts, threads).await?;
        let events = change.table(TableName::Events);
        events.added = files;
        events.schema = shape.table;
        Ok(())
    }

    fn shape(&self, query: &SchemaRef) -> Result<Shape> {
        let Rows::Events { time, event } = &self.spec.rows else {
            return Err(Error::internal("a source of profiles was taken for events"));
        };
        check_column(query, time, "time", self.spec)?;
        if let EventName::Column(name) = event {
            check_column(query, name, "event", self.spec)?;
        }
        for key in &self.spec.keys {
            check_column(query, &key.column, "key", self.spec)?;
        }
        let is_taken = |name: &str| {
            name == time
                || name == FILE_COLUMN
                || name == LINE_COLUMN
                || matches!(event, EventName::Column(e) if e == name)
                || self.spec.keys.iter().any(|k| k.column == name)
        };
        let others = || query.fields().iter().filter(|f| !is_taken(f.name()));
        let reserved = [tables::PROFILE_ID, tables::EVENT, tables::TS];
        check_names(others().map(|f| f.name().as_str()), &reserved, self.spec)?;
        let mut fields = vec![
            Field::new(tables::PROFILE_ID, DataType::Int32, false),
            Field::new(tables::EVENT, DataType::Utf8, false),
            Field::new(tables::TS, timestamp(), false),
        ];
        fields.extend(others().map(|f| f.as_ref().clone()));
        let own = &self.context.snapshot.table(TableName::Events)?.schema;
        let what = format!("source {}", self.spec.name);
        let table = widened(own, &Schema::new(fields.clone()), &what)
            .map_err(|e| e.at(&self.spec.file, None, None))?;
        let target = table.as_ref().unwrap_or(own);
        let schema = fields.iter().map(|f| target.field_with_name(f.name()).cloned());
        let schema = schema.collect::<Result<Vec<_>, _>>();
        let schema = schema.map_err(|e| Error::internal(format!("events: {e}")))?;
        Ok(Shape {
            time: time.clone(),
            zone: self.spec.options.timezone.map_or("UTC", chrono_tz::Tz::name).to_owned(),
            event: event.clone(),
            kept: others().map(|f| f.name().clone()).collect(),
            schema: Arc::new(Schema::new(schema)),
            table,
        })
    }

    /// The rows of `batch` that fit, as rows of the table.
    #[expect(clippy::too_many_arguments, reason = "what a batch passes on its way into the store")]
    fn take_in(
        &self,
        batch: &RecordBatch,
        shape: &Shape,
        resolver: &mut Resolver<'_>,
        profiles: &mut NewProfiles,
        origin: &Origin,
    ) -> Result<RecordBatch> {
        let moments = Moments::read(batch, &shape.time, &shape.zone)
            .map_err(|e| e.at(&self.spec.file, None, None))?;
        let events = event_names(batch, &shape.event)?;
        let fits = |row: usize| {
            moments.fits(row)?;
            let named = events.is_valid(row) && !events.value(row).is_empty();
            if named { Ok(()) } else { Err("no event name".to_owned()) }
        };
        let resolved = resolver.resolve(batch, &fits, origin, self.rejects)?;
        profiles.notice(&resolved, resolver.index);
        let ids: Int32Array =
            resolved.ids.iter().map(|id| id.map(|id| id.get().cast_signed())).collect();
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            (tables::PROFILE_ID, Arc::new(ids)),
            (tables::EVENT, Arc::new(events)),
            (tables::TS, Arc::new(moments.values.with_timezone("UTC"))),
        ];
        for name in &shape.kept {
            columns.push((name, Arc::clone(column(batch, name)?)));
        }
        let whole = RecordBatch::try_from_iter(columns)
            .map_err(|e| Error::internal(format!("events: {e}")))?;
        conform(&fitting(&whole, &resolved)?, &shape.schema)
            .map_err(|e| e.at(&self.spec.file, None, None))
    }
}

/// The rows of `batch` that were given a profile.
pub(super) fn fitting(batch: &RecordBatch, resolved: &Resolved) -> Result<RecordBatch> {
    if resolved.ids.iter().all(Option::is_some) {
        return Ok(batch.clone());
    }
    let keep = resolved.ids.iter().map(|id| Some(id.is_some())).collect();
    arrow::compute::filter_record_batch(batch, &keep)
        .map_err(|e| Error::internal(format!("rejecting rows: {e}")))
}

fn event_names(batch: &RecordBatch, event: &EventName) -> Result<StringArray> {
    match event {
        EventName::Literal(name) => {
            Ok(StringArray::from_iter_values(std::iter::repeat_n(name, batch.num_rows())))
        }
        EventName::Column(name) => {
            let text = cast(column(batch, name)?, &DataType::Utf8)
                .map_err(|e| Error::input(format!("the event \"{name}\" is no text: {e}")))?;
            Ok(text.as_string().clone())
        }
    }
}

/// Splits `batch` by shard and month.
fn scatter(
    batch: &RecordBatch,
    size: ShardSize,
    spool: &mut Spool<(ShardId, Month)>,
) -> Result<()> {
    let ids = batch.column(0).as_primitive::<arrow::datatypes::Int32Type>();
    let moments = batch.column(2).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    let mut parts: Vec<((ShardId, Month), Vec<u32>)> = Vec::new();
    let (mut day, mut month) = (i64::MIN, Month::of_day(0));
    let mut last = 0;
    for (row, (id, moment)) in (0..).zip(ids.values().iter().zip(moments.values())) {
        let today = moment.div_euclid(MICROS_PER_DAY);
        if today != day {
            (day, month) = (today, Month::of_day(today));
        }
        let key = (size.shard_of(crate::model::ProfileId::try_from(*id)?), month);
        if parts.get(last).is_none_or(|part| part.0 != key) {
            last = parts.iter().position(|part| part.0 == key).unwrap_or_else(|| {
                parts.push((key, Vec::new()));
                parts.len() - 1
            });
        }
        parts[last].1.push(row);
    }
    for (key, rows) in parts {
        let part = take_record_batch(batch, &UInt32Array::from(rows))
            .map_err(|e| Error::internal(format!("splitting by shard: {e}")))?;
        spool.push(key, part)?;
    }
    Ok(())
}

/// Sorts, encodes and uploads each part, `threads` at a time.
async fn write_parts(
    store: &Store,
    parts: Vec<((ShardId, Month), Gathered)>,
    threads: usize,
) -> Result<Vec<DataFile>> {
    let writes = parts.into_iter().map(|((shard, month), gathered)| async move {
        let folder = month_folder(shard, month);
        write_sorted(store, TableName::Events, &folder, gathered).await
    });
    let files: Vec<Vec<DataFile>> =
        futures::stream::iter(writes).buffered(threads).try_collect().await?;
    Ok(files.into_iter().flatten().collect())
}

/// Writes one part's rows in the table's order, in as many files as their number asks for.
pub(super) async fn write_sorted(
    store: &Store,
    table: TableName,
    folder: &str,
    gathered: Gathered,
) -> Result<Vec<DataFile>> {
    let encode_all = move || -> Result<Vec<encode::Encoded>> {
        let batches = gathered.batches(FILE_ROWS_MAX)?;
        let encoded = batches.into_iter().map(|batch| {
            let batch = sorted(&batch, table)?;
            encode::encode(&batch.schema(), &[batch], FileLayout::of(table))
        });
        encoded.collect()
    };
    let encoded = tokio::task::spawn_blocking(encode_all)
        .await
        .map_err(|e| Error::internal(format!("a writing thread failed: {e}")))??;
    let mut files = Vec::new();
    for file in encoded {
        files.push(store.put(table, folder, file).await?);
    }
    Ok(files)
}
