//! A `DataFusion` session over one store snapshot, pinned to one moment.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use chrono::DateTime;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::{AsOf, Name, TableName};
use crate::source::{Progress, Rejects, SourceTable};
use crate::store::{Cache, Files, Store, StoreSnapshot, TableSnapshot};

use super::comparisons::Comparisons;
use super::files::FilesTable;
use super::limits::Limits;
use super::plan::Plan;
use super::segments::{SegmentTable, Slot};
use super::table::StoreTable;
use super::written::Written;
use super::{functions, functions_agg, narrow, selection};

/// The SQL schema whose tables are the segments.
pub const SEGMENTS: &str = "segments";

/// How many memory consumers an error about memory names.
const CONSUMERS_SHOWN: usize = 3;

/// Plans and runs SQL. `now()` is `as_of`; times without a zone are UTC.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    segments: Arc<MemorySchemaProvider>,
    as_of: AsOf,
    base: Option<Arc<Base>>,
    /// What plans are made with: the functions, rules and options of the context, and the moment.
    state: Arc<OnceLock<SessionState>>,
    /// The memberships behind the tables of the schema `segments`.
    slots: Arc<Mutex<HashMap<String, Slot>>>,
}

/// The store behind a session, at one version.
#[derive(Debug)]
pub struct Base {
    /// The store.
    pub store: Store,
    /// The version.
    pub snapshot: StoreSnapshot,
    /// Its open files.
    pub files: Files,
    /// Sets that leaves had at this version and moment, where they are kept.
    pub masks: Option<Arc<Masks>>,
}

/// What outlives a session: files that are open, with the columns of them that are kept, and sets of
/// leaves.
#[derive(Debug, Clone)]
pub struct Held {
    /// The files.
    pub files: Files,
    /// The sets; nothing where every session evaluates its own.
    pub masks: Option<Arc<Masks>>,
}

/// Sets of leaves, by the digest of a leaf with all that decides it, and the first id of a shard: a bit
/// a profile of the shard.
pub type Masks = Cache<([u8; 32], u32), Arc<[u64]>>;

impl Session {
    /// A session without tables.
    ///
    /// # Errors
    /// Where the folder for spilled data cannot be made.
    pub fn new(limits: Limits, as_of: AsOf) -> Result<Self> {
        let pool = GreedyMemoryPool::new(limits.memory_bytes);
        let top =
            std::num::NonZeroUsize::new(CONSUMERS_SHOWN).unwrap_or(std::num::NonZeroUsize::MIN);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, top)))
            .build_arc()
            .map_err(|e| Error::internal(format!("no query runtime: {e}")))?;
        let mut config = SessionConfig::new()
            .with_target_partitions(limits.threads.get())
            .with_information_schema(true);
        let options = config.options_mut();
        // Spans are how an error knows its line and column.
        options.sql_parser.collect_spans = true;
        options.execution.time_zone = Some("UTC".to_owned());
        let context = SessionContext::new_with_config_rt(config, runtime);
        for function in functions::all() {
            context.register_udf(function);
        }
        for function in narrow::functions() {
            context.register_udf(function);
        }
        context.register_udaf(functions_agg::bitmap_agg());
        context.add_analyzer_rule(Arc::new(Comparisons));
        context.add_optimizer_rule(Arc::new(selection::RestrictToSegments));
        let segments = Arc::new(MemorySchemaProvider::new());
        context
            .catalog("datafusion")
            .ok_or_else(|| Error::internal("the session has no catalog"))?
            .register_schema(SEGMENTS, Arc::clone(&segments) as Arc<dyn SchemaProvider>)
            .map_err(|e| Error::internal(format!("no schema for segments: {e}")))?;
        let (base, state, slots) = (None, Arc::default(), Arc::default());
        Ok(Self { context, segments, as_of, base, state, slots })
    }

    /// A session over the tables of `snapshot`.
    ///
    /// # Errors
    /// Where a table of the store cannot be scanned.
    pub fn over(
        store: &Store,
        snapshot: &StoreSnapshot,
        limits: Limits,
        as_of: AsOf,
    ) -> Result<Self> {
        let held = Held { files: Files::new(store), masks: None };
        Self::over_held(store, snapshot, held, limits, as_of)
    }

    /// A session over the tables of `snapshot`, with what earlier ones left behind.
    ///
    /// # Errors
    /// Where a table of the store cannot be scanned.
    pub fn over_held(
        store: &Store,
        snapshot: &StoreSnapshot,
        held: Held,
        limits: Limits,
        as_of: AsOf,
    ) -> Result<Self> {
        let mut session = Self::new(limits, as_of)?;
        for table in snapshot.tables() {
            session.define_table(store, table)?;
        }
        let (store, snapshot) = (store.clone(), snapshot.clone());
        let Held { files, masks } = held;
        session.base = Some(Arc::new(Base { store, snapshot, files, masks }));
        Ok(session)
    }

    /// The moment that `now()` is.
    pub fn as_of(&self) -> AsOf {
        self.as_of
    }

    /// The store behind the session.
    ///
    /// # Errors
    /// Where it is a session without one.
    pub fn base(&self) -> Result<&Arc<Base>> {
        self.base.as_ref().ok_or_else(|| Error::internal("the session has no store"))
    }

    /// A session over one table, or a part of it.
    ///
    /// # Errors
    /// Where the table cannot be scanned.
    pub fn over_table(
        store: &Store,
        table: &TableSnapshot,
        limits: Limits,
        as_of: AsOf,
    ) -> Result<Self> {
        let session = Self::new(limits, as_of)?;
        session.define_table(store, table)?;
        Ok(session)
    }

    fn define_table(&self, store: &Store, table: &TableSnapshot) -> Result<()> {
        let (url, client) = store.object_store();
        self.context.register_object_store(&url, client);
        let scan = StoreTable::new(store, table, &self.context)?;
        self.register(table.name.as_str(), Arc::new(scan))
    }

    fn register(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        self.context
            .register_table(TableReference::bare(name), table)
            .map(drop)
            .map_err(|e| Error::internal(format!("table {name} cannot be registered: {e}")))
    }

    /// Makes `membership` the table `segments.NAME`, in place of one of that name. Queries that were
    /// planned over a declared segment read it too.
    ///
    /// # Errors
    /// Where `DataFusion` refuses the name.
    pub fn define_segment(&self, name: &Name, membership: Membership) -> Result<()> {
        let open = self.slots().get(name.as_str()).filter(|slot| slot.get().is_none()).cloned();
        let slot = match open {
            Some(slot) => slot,
            None => self.declare_anew(name)?,
        };
        slot.set(membership)
            .map_err(|_| Error::internal(format!("segment {name} is defined twice at once")))
    }

    /// Makes `segments.NAME` a table that queries can be planned over. It can be read once it is
    /// defined.
    ///
    /// # Errors
    /// Where `DataFusion` refuses the name.
    pub fn declare_segment(&self, name: &Name) -> Result<()> {
        let is_known = self.slots().contains_key(name.as_str());
        if is_known { Ok(()) } else { self.declare_anew(name).map(drop) }
    }

    /// The membership of `segments.NAME`, where it is defined.
    pub fn segment(&self, name: &str) -> Option<Membership> {
        self.slots().get(name).and_then(|slot| slot.get().cloned())
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn declare_anew(&self, name: &Name) -> Result<Slot> {
        let slot = Slot::default();
        let table: Arc<dyn TableProvider> = Arc::new(SegmentTable::new(name, Arc::clone(&slot)));
        self.slots().insert(name.as_str().to_owned(), Slot::clone(&slot));
        self.segments
            .deregister_table(name.as_str())
            .and_then(|_| self.segments.register_table(name.as_str().to_owned(), table))
            .map_err(|e| Error::internal(format!("segment {name} cannot be registered: {e}")))?;
        Ok(slot)
    }

    /// Makes a source's files the table that is written `'pattern'` in its SQL, in place of earlier
    /// ones.
    ///
    /// # Errors
    /// Where `DataFusion` refuses the name.
    pub fn define_files(
        &self,
        pattern: &str,
        table: SourceTable,
        rejects: Arc<Rejects>,
        progress: Arc<Progress>,
    ) -> Result<()> {
        let files = FilesTable::new(table, rejects, progress);
        self.context
            .deregister_table(TableReference::bare(pattern))
            .map_err(|e| Error::internal(format!("{pattern} cannot be replaced: {e}")))?;
        self.register(pattern, Arc::new(files))
    }

    /// The names of the tables that `sql` reads, as `schema.table` or `table`.
    ///
    /// # Errors
    /// Where `sql` does not parse; `file` is then named.
    pub fn references(&self, sql: &str, file: Option<&Path>) -> Result<Vec<Reference>> {
        self.references_of(&self.read(sql, file)?)
    }

    /// Plans `sql`, which must be one query.
    ///
    /// # Errors
    /// Where it does not parse, names what is not there, or is not a query.
    pub async fn plan(&self, sql: &str, file: Option<&Path>) -> Result<Plan> {
        self.plan_of(&self.read(sql, file)?).await
    }

    /// Plans `query`, which must be one query.
    ///
    /// # Errors
    /// Where it names what is not there, or is not a query.
    pub async fn plan_of(&self, query: &Written) -> Result<Plan> {
        Plan::new(self, query).await
    }

    /// Every table that SQL may name, for messages.
    pub fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = TableName::ALL.iter().map(|t| t.as_str().to_owned()).collect();
        let mut segments = self.segments.table_names();
        segments.sort_unstable();
        names.extend(segments.into_iter().map(|s| format!("{SEGMENTS}.{s}")));
        names
    }

    /// The names of all functions that SQL may call.
    pub fn function_names(&self) -> Vec<String> {
        let state = self.context.state();
        let scalar = state.scalar_functions().keys();
        let aggregate = state.aggregate_functions().keys();
        scalar.chain(aggregate).chain(state.window_functions().keys()).cloned().collect()
    }

    pub(super) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Made once: a copy of it costs more than planning a short query. Tables that are registered later
    /// are in it, since the catalog is shared.
    pub(super) fn state(&self) -> &SessionState {
        self.state.get_or_init(|| {
            let mut state = self.context.state();
            state.execution_props_mut().query_execution_start_time =
                DateTime::from_timestamp_micros(self.as_of.micros());
            state
        })
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("as_of", &self.as_of).finish_non_exhaustive()
    }
}

/// A table that SQL names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The schema, where one is written.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
}

impl Reference {
    pub(super) fn of(reference: &TableReference) -> Self {
        Self { schema: reference.schema().map(str::to_owned), table: reference.table().to_owned() }
    }

    /// The segment that is meant, if one is.
    pub fn segment(&self) -> Option<&str> {
        (self.schema.as_deref() == Some(SEGMENTS)).then_some(self.table.as_str())
    }
}
