//! Profiles: upserted by key, shard by shard.
//!
//! Attributes that a source brings overwrite, nulls too; attributes that it does not bring stay. Of
//! several rows about one profile the last one counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, Int32Array, RecordBatch, StringArray, StringBuilder,
    UInt32Array, new_null_array,
};
use arrow::compute::{concat_batches, interleave, take, take_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::identity::IdentityIndex;
use crate::model::{ProfileId, ShardId, TableName, tables};
use crate::query::Session;
use crate::source::{FILE_COLUMN, LINE_COLUMN, Rejects};
use crate::store::schema::{conform, widened};
use crate::store::{Change, DataFile, FileLayout, encode};

use super::events::fitting;
use super::identifiers::NewIdentifiers;
use super::layout::shard_folder;
use super::plan::Planned;
use super::rows::{Origin, Resolved, Resolver, check_column, column};
use super::spec::SourceSpec;
use super::spool::{Gathered, Spool};
use super::{Context, Ingested, check_names};

/// Where the first key stands in the rows that a source brings, behind `profile_id`.
const FIRST_KEY: usize = 1;

/// One source of profiles.
pub(super) struct Work<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) spec: &'a SourceSpec,
    pub(super) session: &'a Session,
    pub(super) rejects: &'a Arc<Rejects>,
}

/// Which column of the query becomes which of the table.
struct Shape {
    kept: Vec<String>,
    /// The columns that this ingest brings.
    schema: SchemaRef,
    /// All columns of the table afterwards.
    target: SchemaRef,
    grew: bool,
}

impl Shape {
    /// The column that holds the first key.
    fn first_key(&self) -> &str {
        self.schema.field(FIRST_KEY).name()
    }
}

impl Work<'_> {
    pub(super) async fn run(
        &self,
        planned: &Planned,
        index: &mut IdentityIndex,
        change: &mut Change,
        ingested: &mut Ingested,
    ) -> Result<()> {
        let shape = self.shape(&planned.plan.schema())?;
        let size = self.context.snapshot.shard_size()?;
        let mut spool = Spool::new(Arc::clone(&shape.schema), self.context.limits.memory_bytes / 2);
        let found = NewIdentifiers::default();
        let mut resolver = Resolver { keys: &self.spec.keys, index, found, conflicts: 0 };
        let mut batches = planned.plan.stream().await?;
        let mut rows = 0;
        while let Some(batch) = batches.next().await? {
            let origin = Origin::of(&batch, rows, self.spec);
            rows += batch.num_rows() as u64;
            let resolved = resolver.resolve(&batch, &|_| Ok(()), &origin, self.rejects)?;
            let shaped = self.take_in(&batch, &shape, &resolved)?;
            scatter(&shaped, size, &mut spool)?;
        }
        ingested.rows = spool.rows() + self.rejects.total();
        ingested.conflicts = resolver.conflicts;
        let (store, snapshot) = (self.context.store, self.context.snapshot);
        let found = resolver.found;
        ingested.identifiers_new = found.write(store, snapshot, &self.spec.name, change).await?;
        let (parts, _guard) = spool.finish();
        for (shard, gathered) in parts {
            ingested.profiles_updated +=
                self.upsert(shard, gathered, &shape, index, change).await?;
        }
        if shape.grew {
            change.table(TableName::Profiles).schema = Some(shape.target);
        }
        Ok(())
    }

    fn shape(&self, query: &SchemaRef) -> Result<Shape> {
        for key in &self.spec.keys {
            check_column(query, &key.column, "key", self.spec)?;
        }
        let [first, ..] = &self.spec.keys[..] else {
            return Err(Error::internal("a source without keys"));
        };
        let is_taken =
            |name: &str| [FILE_COLUMN, LINE_COLUMN, first.column.as_str()].contains(&name);
        let others = || query.fields().iter().filter(|f| !is_taken(f.name()));
        let reserved = [tables::PROFILE_ID, first.namespace.as_str()];
        check_names(others().map(|f| f.name().as_str()), &reserved, self.spec)?;
        let mut fields = vec![
            Field::new(tables::PROFILE_ID, DataType::Int32, false),
            Field::new(first.namespace.as_str(), DataType::Utf8, true),
        ];
        fields.extend(others().map(|f| f.as_ref().clone().with_nullable(true)));
        let own = &self.context.snapshot.table(TableName::Profiles)?.schema;
        let what = format!("source {}", self.spec.name);
        let grown = widened(own, &Schema::new(fields.clone()), &what)
            .map_err(|e| e.at(&self.spec.file, None, None))?;
        let grew = grown.is_some();
        let target = grown.unwrap_or_else(|| Arc::clone(own));
        let schema = fields.iter().map(|f| target.field_with_name(f.name()).cloned());
        let schema = schema.collect::<Result<Vec<_>, _>>();
        let schema = schema.map_err(|e| Error::internal(format!("profiles: {e}")))?;
        let kept = others().map(|f| f.name().clone()).collect();
        Ok(Shape { kept, schema: Arc::new(Schema::new(schema)), target, grew })
    }

    fn take_in(
        &self,
        batch: &RecordBatch,
        shape: &Shape,
        resolved: &Resolved,
    ) -> Result<RecordBatch> {
        let ids: Int32Array =
            resolved.ids.iter().map(|id| id.map(|id| id.get().cast_signed())).collect();
        let first = self.spec.keys[0].namespace.as_str();
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            (tables::PROFILE_ID, Arc::new(ids)),
            (first, Arc::new(resolved.first_key.clone())),
        ];
        for name in &shape.kept {
            columns.push((name, Arc::clone(column(batch, name)?)));
        }
        let whole = RecordBatch::try_from_iter(columns)
            .map_err(|e| Error::internal(format!("profiles: {e}")))?;
        conform(&fitting(&whole, resolved)?, &shape.schema)
            .map_err(|e| e.at(&self.spec.file, None, None))
    }

    /// Brings one shard's rows in, and says how many profiles were there before.
    #[expect(clippy::too_many_arguments, reason = "what a shard's rows meet on their way in")]
    async fn upsert(
        &self,
        shard: ShardId,
        gathered: Gathered,
        shape: &Shape,
        index: &IdentityIndex,
        change: &mut Change,
    ) -> Result<u64> {
        let incoming = gathered.batches(usize::MAX)?;
        let Some(incoming) = incoming.first() else { return Ok(0) };
        let incoming = last_of_each(incoming)?;
        let ids = incoming.column(0).as_primitive::<Int32Type>();
        let mut known = 0;
        for id in ids.values() {
            known += u64::from(!index.is_new(ProfileId::try_from(*id)?));
        }
        let table = self.context.snapshot.table(TableName::Profiles)?;
        let folder = shard_folder(shard);
        let merged = if known == 0 {
            conform(&incoming, &shape.target)?
        } else {
            let existing = self.existing(shard, &table.schema).await?;
            let files = table.files.iter().filter(|f| f.folder() == folder).cloned();
            change.table(TableName::Profiles).removed.extend(files);
            merge(&conform(&existing, &shape.target)?, &incoming, &shape.target, shape.first_key())?
        };
        let file = put(self.context, &folder, merged).await?;
        change.table(TableName::Profiles).added.push(file);
        Ok(known)
    }

    async fn existing(&self, shard: ShardId, schema: &SchemaRef) -> Result<RecordBatch> {
        let ids = self.context.snapshot.shard_size()?.range(shard);
        let sql = format!(
            "SELECT * FROM profiles WHERE profile_id >= {} AND profile_id < {} ORDER BY profile_id",
            ids.start, ids.end
        );
        let batches = self.session.plan(&sql, None).await?.collect().await?;
        let batches = batches.iter().map(|b| conform(b, schema)).collect::<Result<Vec<_>>>()?;
        concat_batches(schema, &batches).map_err(|e| Error::internal(format!("profiles: {e}")))
    }
}

async fn put(context: &Context<'_>, folder: &str, batch: RecordBatch) -> Result<DataFile> {
    let layout = FileLayout::of(TableName::Profiles);
    let encode = move || encode::encode(&batch.schema(), &[batch], layout);
    let encoded = tokio::task::spawn_blocking(encode)
        .await
        .map_err(|e| Error::internal(format!("a writing thread failed: {e}")))??;
    context.store.put(TableName::Profiles, folder, encoded).await
}

fn scatter(
    batch: &RecordBatch,
    size: crate::model::ShardSize,
    spool: &mut Spool<ShardId>,
) -> Result<()> {
    let mut parts: BTreeMap<ShardId, Vec<u32>> = BTreeMap::new();
    let ids = batch.column(0).as_primitive::<Int32Type>();
    for (row, id) in (0..).zip(ids.values()) {
        parts.entry(size.shard_of(ProfileId::try_from(*id)?)).or_default().push(row);
    }
    for (shard, rows) in parts {
        let part = take_record_batch(batch, &UInt32Array::from(rows))
            .map_err(|e| Error::internal(format!("splitting by shard: {e}")))?;
        spool.push(shard, part)?;
    }
    Ok(())
}

/// The last row of each profile, by profile. A row that was found by a further key has no first key,
/// and takes that of the last row that has one.
fn last_of_each(batch: &RecordBatch) -> Result<RecordBatch> {
    let ids = batch.column(0).as_primitive::<Int32Type>();
    let keys = batch.column(FIRST_KEY);
    let last: BTreeMap<i32, u32> = ids.values().iter().copied().zip(0..).collect();
    let mut keyed = last.clone();
    for (place, (row, id)) in (0..).zip(ids.values()).enumerate() {
        if keys.is_valid(place) {
            keyed.insert(*id, row);
        }
    }
    let failed = |e| Error::internal(format!("profiles: {e}"));
    let rows = UInt32Array::from_iter_values(last.into_values());
    let key_rows = UInt32Array::from_iter_values(keyed.into_values());
    let mut columns = take_record_batch(batch, &rows).map_err(failed)?.columns().to_vec();
    columns[FIRST_KEY] = take(keys, &key_rows, None).map_err(failed)?;
    RecordBatch::try_new(batch.schema(), columns).map_err(failed)
}

/// `existing` with the rows of `incoming` laid over it; both are by profile, without duplicates. A row
/// that was found by a further key has no first key, and takes none away.
fn merge(
    existing: &RecordBatch,
    incoming: &RecordBatch,
    target: &SchemaRef,
    first_key: &str,
) -> Result<RecordBatch> {
    const OLD: usize = 0;
    const NEW: usize = 1;
    let rows = |batch: &RecordBatch| -> BTreeMap<i32, usize> {
        let ids = batch.column(0).as_primitive::<Int32Type>();
        ids.values().iter().copied().zip(0..).collect()
    };
    let (old, new) = (rows(existing), rows(incoming));
    let mut ids: Vec<i32> = old.keys().chain(new.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    let columns = target.fields().iter().map(|field| {
        let own = existing.column_by_name(field.name());
        let own =
            own.cloned().unwrap_or_else(|| new_null_array(field.data_type(), existing.num_rows()));
        let (brought, is_brought) = match incoming.column_by_name(field.name()) {
            Some(column) => (Arc::clone(column), true),
            None => (new_null_array(field.data_type(), incoming.num_rows()), false),
        };
        let stays = |row: usize| !is_brought || (field.name() == first_key && brought.is_null(row));
        let places: Vec<(usize, usize)> = ids
            .iter()
            .map(|id| match (old.get(id), new.get(id)) {
                (Some(row), None) => (OLD, *row),
                (Some(row), Some(brought)) if stays(*brought) => (OLD, *row),
                (_, Some(row)) => (NEW, *row),
                (None, None) => (OLD, 0),
            })
            .collect();
        interleave(&[own.as_ref(), brought.as_ref()], &places)
            .map_err(|e| Error::internal(format!("column {}: {e}", field.name())))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(target), columns)
        .map_err(|e| Error::internal(format!("profiles: {e}")))
}

/// Profiles that events made: they have their first key, and nothing else yet.
#[derive(Debug, Default)]
pub(super) struct NewProfiles {
    ids: Vec<i32>,
    keys: StringBuilder,
    seen: Option<u32>,
}

impl NewProfiles {
    /// Notices the profiles that `resolved` made; they come in the order of their ids.
    pub(super) fn notice(&mut self, resolved: &Resolved, index: &IdentityIndex) {
        for (row, id) in resolved.ids.iter().enumerate() {
            let Some(id) = *id else { continue };
            if !index.is_new(id) || self.seen.is_some_and(|seen| id.get() <= seen) {
                continue;
            }
            self.seen = Some(id.get());
            self.ids.push(id.get().cast_signed());
            let key = &resolved.first_key;
            self.keys.append_option(key.is_valid(row).then(|| key.value(row)));
        }
    }

    /// Writes them, shard by shard.
    pub(super) async fn write(
        mut self,
        context: &Context<'_>,
        spec: &SourceSpec,
        change: &mut Change,
    ) -> Result<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let own = &context.snapshot.table(TableName::Profiles)?.schema;
        let name = spec.keys[0].namespace.as_str();
        let id = Field::new(tables::PROFILE_ID, DataType::Int32, false);
        let schema = Arc::new(Schema::new(vec![id, Field::new(name, DataType::Utf8, true)]));
        let grown = widened(own, &schema, &format!("source {}", spec.name))?;
        let target = grown.clone().unwrap_or_else(|| Arc::clone(own));
        let keys: StringArray = self.keys.finish();
        let columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(self.ids)), Arc::new(keys)];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|e| Error::internal(format!("profiles: {e}")))?;
        let mut spool = Spool::new(schema, usize::MAX);
        scatter(&batch, context.snapshot.shard_size()?, &mut spool)?;
        let (parts, _guard) = spool.finish();
        for (shard, gathered) in parts {
            for batch in gathered.batches(usize::MAX)? {
                let batch = conform(&batch, &target)?;
                let file = put(context, &shard_folder(shard), batch).await?;
                change.table(TableName::Profiles).added.push(file);
            }
        }
        if grown.is_some() {
            change.table(TableName::Profiles).schema = grown;
        }
        Ok(())
    }
}
