//! What a writer wants to do to the tables, and the one commit of it.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::{Action, MetadataExt as _, Remove, StructType, Transaction};
use object_store::path::Path;
use serde_json::json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::model::{AsOf, ShardSize, TableName};

use super::StoreSnapshot;
use super::location::Location;
use super::record::{self, FORMAT, Record, TableState};
use super::table::{DataFile, TableSnapshot, log_store};

/// A Delta checkpoint is written every so many versions of a table, as Delta's own default is 10;
/// opening then reads at most that many small files.
const VERSIONS_PER_CHECKPOINT: u64 = 10;

/// How often a commit that lost the race moves behind the winner before it gives up.
const RACES_MAX: usize = 32;

/// What one commit does.
#[derive(Debug, Clone)]
pub struct Change {
    /// What does it, for the log: `ingest`, `build`, `optimize`.
    pub operation: String,
    /// The clock.
    pub now: AsOf,
    /// The next `profile_id`, where ids were given out.
    pub next_profile_id: Option<u32>,
    /// The build's number, where one is committed.
    pub build: Option<i64>,
    /// The tables that change.
    pub tables: BTreeMap<TableName, TableChange>,
}

/// What happens to one table.
#[derive(Debug, Clone, Default)]
pub struct TableChange {
    /// Files that join it.
    pub added: Vec<DataFile>,
    /// Files that leave it.
    pub removed: Vec<DataFile>,
    /// Its new columns, where they changed.
    pub schema: Option<SchemaRef>,
    /// Delta transaction identifiers: what was ingested, so that it is not ingested twice.
    pub transactions: Vec<(String, i64)>,
    /// Whether the rows stay what they were, only laid out differently (`optimize`).
    pub rearranges: bool,
}

/// What became of a commit.
#[derive(Debug)]
pub enum Committed {
    /// It is in the store, as this version.
    Done(u64),
    /// Another writer changed the same tables since `base`: start over from a new snapshot. Holds
    /// what to tell the user where starting over is not possible.
    Conflict(Error),
}

impl Change {
    /// A change by `operation` at `now` that does nothing yet.
    pub fn new(operation: &str, now: AsOf) -> Self {
        Self {
            operation: operation.to_owned(),
            now,
            next_profile_id: None,
            build: None,
            tables: BTreeMap::new(),
        }
    }

    /// The change of `table`.
    pub fn table(&mut self, table: TableName) -> &mut TableChange {
        self.tables.entry(table).or_default()
    }
}

/// Makes an empty store: version 1 of the log, version 0 of each table.
pub(super) async fn create(location: &Location, shard: ShardSize, now: AsOf) -> Result<()> {
    let mut tables = BTreeMap::new();
    for table in TableName::ALL {
        let actions = creation(table, now)?;
        tables.insert(table, TableState { version: 0, data_version: 0, actions });
    }
    let record = Record {
        format: FORMAT,
        version: 1,
        at: now.to_string(),
        operation: "create".to_owned(),
        shard_ids: u64::from(shard.ids()),
        next_profile_id: 0,
        last_build: 0,
        tables,
    };
    // Where somebody else made the store in this moment, theirs is as good as ours.
    let _created = location
        .create(&location.log_path(&record::file_name(record.version)), record.to_bytes()?)
        .await?;
    Ok(())
}

/// Writes the Delta commits that `record` promises and that are not there yet.
pub(super) async fn roll_forward(location: &Location, record: &Record) -> Result<()> {
    for (table, state) in &record.tables {
        if state.actions.is_empty() {
            continue;
        }
        let path = delta_commit_path(location, *table, state.version);
        let bytes = Bytes::from(state.actions.join("\n"));
        let created = match location.get(&path).await? {
            Some(existing) if existing == bytes => false,
            Some(_) => return Err(foreign_commit(*table, state.version)),
            None => location.create(&path, bytes).await?,
        };
        if created && state.version > 0 && state.version.is_multiple_of(VERSIONS_PER_CHECKPOINT) {
            checkpoint(location, *table, state.version).await;
        }
    }
    Ok(())
}

fn foreign_commit(table: TableName, version: u64) -> Error {
    Error::data(format!("version {version} of table {table} was not written by Throng"))
        .with_hint("only Throng may write its tables; others may read them")
}

fn delta_commit_path(location: &Location, table: TableName, version: u64) -> Path {
    location.table_path(table).join("_delta_log").join(format!("{version:020}.json"))
}

/// A checkpoint only saves time, so one that fails is left for the next.
async fn checkpoint(location: &Location, table: TableName, version: u64) {
    let outcome = async {
        let mut delta = deltalake::DeltaTable::new(log_store(location, table)?);
        let failed = |e| Error::unavailable(format!("no checkpoint of {table}: {e}"));
        delta.load_version(version).await.map_err(failed)?;
        deltalake::checkpoints::create_checkpoint(&delta, None).await.map_err(failed)
    };
    if let Err(error) = outcome.await {
        tracing::warn!(%error, "checkpoint failed");
    }
}

/// Commits `change`, which was worked out from `base`.
///
/// Where another writer committed since, the change moves behind it if the two touched different
/// tables and did not both give out ids; else it is a [`Committed::Conflict`].
///
/// # Errors
/// Where the store cannot be written. Nothing is committed then.
pub(super) async fn commit(
    location: &Location,
    base: &StoreSnapshot,
    change: Change,
) -> Result<Committed> {
    let mut newest = base.record.clone();
    for _ in 0..RACES_MAX {
        let record = next_record(base, &newest, &change)?;
        let path = location.log_path(&record::file_name(record.version));
        if location.create(&path, record.to_bytes()?).await? {
            // The commit point is passed: what is missing now is written by whoever opens the store
            // next, and the command must not say that nothing was committed.
            if let Err(error) = roll_forward(location, &record).await {
                tracing::warn!(%error, "version {} is committed but not yet applied", record.version);
            }
            return Ok(Committed::Done(record.version));
        }
        newest = record::latest(location)
            .await?
            .ok_or_else(|| Error::data("the store log vanished during a commit"))?;
        newest.check_format()?;
        roll_forward(location, &newest).await?;
        if let Some(table) = contested(&base.record, &newest, &change) {
            return Ok(Committed::Conflict(conflict(&table, &base.record, &newest)));
        }
    }
    Ok(Committed::Conflict(Error::unavailable("the store is too busy to commit to")))
}

fn conflict(what: &str, base: &Record, newest: &Record) -> Error {
    Error::unavailable(format!(
        "another writer ({}) changed {what} meanwhile (store version {} is now {})",
        newest.operation, base.version, newest.version
    ))
    .with_hint("nothing was changed by this command; run it again")
}

fn contested(base: &Record, newest: &Record, change: &Change) -> Option<String> {
    let version = |record: &Record, table| record.tables.get(table).map(|t| t.version);
    if let Some(table) = change.tables.keys().find(|t| version(base, t) != version(newest, t)) {
        return Some(format!("table {table}"));
    }
    let ids = change.next_profile_id.is_some() && base.next_profile_id != newest.next_profile_id;
    ids.then(|| "the profile ids".to_owned())
}

fn next_record(base: &StoreSnapshot, newest: &Record, change: &Change) -> Result<Record> {
    let mut tables = newest.tables.clone();
    for state in tables.values_mut() {
        state.actions.clear();
    }
    for (name, table_change) in &change.tables {
        let Some(state) = tables.get_mut(name) else {
            // The store is from before there was such a table: it begins with this commit.
            let mut actions = creation(*name, change.now)?;
            actions.extend(file_lines(table_change, change.now)?);
            tables.insert(*name, TableState { version: 0, data_version: 0, actions });
            continue;
        };
        state.version += 1;
        if !table_change.rearranges {
            state.data_version = state.version;
        }
        state.actions = actions(base.table(*name)?, table_change, &change.operation, change.now)?;
    }
    Ok(Record {
        version: newest.version + 1,
        at: change.now.to_string(),
        operation: change.operation.clone(),
        next_profile_id: change.next_profile_id.unwrap_or(newest.next_profile_id),
        last_build: change.build.unwrap_or(newest.last_build),
        tables,
        ..newest.clone()
    })
}

/// The lines of the Delta commit that does `change` to `table`.
fn actions(
    table: &TableSnapshot,
    change: &TableChange,
    operation: &str,
    now: AsOf,
) -> Result<Vec<String>> {
    let now_ms = now.micros().div_euclid(1_000);
    let mut actions = vec![commit_info(operation, now_ms)];
    if let Some(schema) = &change.schema {
        let metadata =
            table.delta.metadata().clone().with_schema(&delta_schema(schema)?).map_err(|e| {
                Error::internal(format!("table {} takes no new schema: {e}", table.name))
            })?;
        actions.push(Action::Metadata(metadata));
    }
    actions.extend(change.transactions.iter().map(|(app_id, version)| {
        Action::Txn(Transaction::new_with_last_update(app_id, *version, Some(now_ms)))
    }));
    let mut lines: Vec<String> = actions.iter().map(line).collect::<Result<_>>()?;
    lines.extend(file_lines(change, now)?);
    Ok(lines)
}

/// The lines for the files that leave and join.
fn file_lines(change: &TableChange, now: AsOf) -> Result<Vec<String>> {
    let now_ms = now.micros().div_euclid(1_000);
    let mut actions = Vec::new();
    actions.extend(change.removed.iter().map(|file| {
        Action::Remove(Remove {
            path: file.path.clone(),
            data_change: !change.rearranges,
            deletion_timestamp: Some(now_ms),
            extended_file_metadata: Some(true),
            partition_values: Some(HashMap::new()),
            size: i64::try_from(file.size).ok(),
            ..Remove::default()
        })
    }));
    actions.extend(change.added.iter().map(|file| {
        let mut add = file.to_add(now_ms);
        add.data_change = !change.rearranges;
        Action::Add(add)
    }));
    actions.iter().map(line).collect()
}

fn line(action: &Action) -> Result<String> {
    serde_json::to_string(action)
        .map_err(|e| Error::internal(format!("a Delta action does not serialise: {e}")))
}

fn commit_info(operation: &str, now_ms: i64) -> Action {
    Action::commit_info(HashMap::from([
        ("timestamp".to_owned(), json!(now_ms)),
        ("operation".to_owned(), json!(operation.to_uppercase())),
        ("engineInfo".to_owned(), json!(concat!("throng/", env!("CARGO_PKG_VERSION")))),
    ]))
}

fn creation(table: TableName, now: AsOf) -> Result<Vec<String>> {
    let now_ms = now.micros().div_euclid(1_000);
    let schema = delta_schema(&super::schema::initial(table))?;
    let schema = serde_json::to_string(&schema)
        .map_err(|e| Error::internal(format!("the schema of {table} does not serialise: {e}")))?;
    let protocol = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    let metadata = json!({"metaData": {
        "id": Uuid::new_v4().to_string(),
        "name": table.as_str(),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema,
        "partitionColumns": [],
        "configuration": {},
        "createdTime": now_ms,
    }});
    Ok(vec![line(&commit_info("create", now_ms))?, protocol.to_string(), metadata.to_string()])
}

fn delta_schema(schema: &SchemaRef) -> Result<StructType> {
    schema
        .as_ref()
        .try_into_kernel()
        .map_err(|e| Error::internal(format!("a schema that Delta cannot keep: {e}")))
}
