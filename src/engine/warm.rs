//! A warm session: the store opened once, and many statements answered over it.
//!
//! The command line's `throng sql` holds one. Footers, decoded columns and the sets of leaves stay in
//! memory within a limit, so that a question like the one before costs what is new in it. Each statement
//! first asks whether somebody committed a newer version, and then works on that.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Serialize;
use tokio::sync::{OnceCell, Semaphore};

use crate::audience::Catalog;
use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::membership::wire::{self, Format};
use crate::model::{AsOf, Name, TableName, tables};
use crate::project::Project;
use crate::query::{Held, Limits, Masks, Session, placed};
use crate::segment::{Batch, Doubts, Effort, Parsed, Planned};
use crate::store::{CacheUse, Files, Store, StoreSnapshot};

use super::build::{BuildOptions, BuildReport};
use super::explain::{Explained, Steps, explained};
use super::open::Engine;

/// The share of `--memory` that columns and sets of a warm session may take; queries have the rest.
const WARM_SHARE: usize = 2;

/// The share of that for sets of leaves. A set takes a bit a profile, so this is small.
const MASKS_SHARE: usize = 8;

/// How often a question is asked again because somebody committed meanwhile.
const TRIES: usize = 10;

/// Answers many statements over one store.
#[derive(Debug)]
pub struct WarmSession {
    engine: Engine,
    limits: Limits,
    settings: Mutex<Settings>,
    masks: Arc<Masks>,
    opened: tokio::sync::Mutex<Option<Arc<Opened>>>,
    files: Mutex<Option<Files>>,
}

/// What may be changed between statements.
#[derive(Debug, Clone, Copy)]
struct Settings {
    as_of: AsOf,
    leaves: Leaves,
}

/// The store at one version.
#[derive(Debug)]
struct Opened {
    store: Store,
    snapshot: StoreSnapshot,
    session: Session,
    catalog: OnceCell<Catalog>,
}

/// A set of profiles, as its members are handed out.
#[derive(Debug, Clone, Serialize)]
pub struct Members {
    /// How many.
    pub members: u64,
    /// The set, as a portable roaring bitmap.
    #[serde(skip)]
    pub bitmap: Vec<u8>,
}

/// What a warm session holds in memory.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WarmUse {
    /// The version of the store that the last statement saw.
    pub store_version: u64,
    /// Bytes that decoded columns may take.
    pub columns_bytes_max: usize,
    /// Bytes that they take.
    pub columns_bytes: usize,
    /// Bytes that sets of leaves may take.
    pub leaves_bytes_max: usize,
    /// Bytes that they take.
    pub leaves_bytes: usize,
    /// How often a column was there, and how often it was not.
    pub columns_hits: u64,
    /// How often it was not.
    pub columns_misses: u64,
    /// How often a set of a leaf was there.
    pub leaves_hits: u64,
    /// How often it was not.
    pub leaves_misses: u64,
}

impl Engine {
    /// A warm session in which `now()` is `as_of`, or `throng.toml`'s, or the moment that the engine was
    /// opened at.
    ///
    /// # Errors
    /// Where `throng.toml`'s is no time.
    pub fn warm(&self, as_of: Option<AsOf>) -> Result<WarmSession> {
        let warm_bytes = self.limits.memory_bytes / WARM_SHARE;
        let limits = Limits { memory_bytes: self.limits.memory_bytes - warm_bytes, ..self.limits };
        Ok(WarmSession {
            engine: self.clone(),
            limits,
            settings: Mutex::new(Settings { as_of: self.as_of(as_of)?, leaves: Leaves::Kept }),
            masks: Arc::new(Masks::new(warm_bytes / MASKS_SHARE)),
            opened: tokio::sync::Mutex::default(),
            files: Mutex::default(),
        })
    }
}

impl WarmSession {
    /// Makes `now()` another moment.
    pub async fn set_as_of(&self, as_of: AsOf) {
        self.set(|settings| settings.as_of = as_of).await;
    }

    /// Says whether sets of leaves are kept from one statement to the next.
    pub async fn keep_leaves(&self, leaves: Leaves) {
        self.set(|settings| settings.leaves = leaves).await;
    }

    async fn set(&self, change: impl FnOnce(&mut Settings) + Send) {
        let mut opened = self.opened.lock().await;
        change(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner));
        *opened = None;
    }

    /// How many profiles `what` has, as [`Engine::count`].
    ///
    /// # Errors
    /// As [`Engine::count`].
    pub async fn count(&self, what: &str) -> Result<u64> {
        self.newest(&|opened| self.count_in(opened, what).boxed()).await
    }

    async fn count_in(&self, opened: Arc<Opened>, what: &str) -> Result<u64> {
        if is_name(what) {
            return self.named(&opened, what.trim()).await.map(|set| set.len());
        }
        self.define(&opened, what, None).await?;
        counted(&opened.session, self.limits, what).await
    }

    /// Why [`WarmSession::count`] may have counted nobody; as [`Engine::doubts`].
    ///
    /// # Errors
    /// As [`WarmSession::count`].
    pub async fn doubts(&self, what: &str) -> Result<Vec<String>> {
        self.newest(&|opened| self.doubts_in(opened, what).boxed()).await
    }

    async fn doubts_in(&self, opened: Arc<Opened>, what: &str) -> Result<Vec<String>> {
        let project = Project::load(self.engine.root())?;
        let Some((sql, file)) = query_of(&project, what) else { return Ok(Vec::new()) };
        self.define(&opened, sql, file).await?;
        let plan = opened.session.plan(sql, file).await?;
        Ok(Doubts::new(&opened.session, Effort::Columns).of(&plan).await)
    }

    /// The members of `what`: a segment's name, or a query that returns `profile_id`.
    ///
    /// # Errors
    /// Where it is neither, or fails.
    pub async fn members(&self, what: &str) -> Result<Members> {
        self.newest(&|opened| self.members_in(opened, what).boxed()).await
    }

    async fn members_in(&self, opened: Arc<Opened>, what: &str) -> Result<Members> {
        let set = if is_name(what) {
            self.named(&opened, what.trim()).await?
        } else {
            self.define(&opened, what, None).await?;
            let plan = opened.session.plan(what, None).await?;
            evaluated(&opened.session, self.limits, Planned::of(&plan)?).await?
        };
        Ok(Members { members: set.len(), bitmap: wire::encode(&set, Format::Roaring) })
    }

    /// Runs any query.
    ///
    /// # Errors
    /// Where it does not parse, names what is not there, or fails.
    pub async fn query(&self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        self.newest(&|opened| self.query_in(opened, sql).boxed()).await
    }

    async fn query_in(
        &self,
        opened: Arc<Opened>,
        sql: &str,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        self.define(&opened, sql, None).await?;
        let plan = opened.session.plan(sql, None).await?;
        Ok((plan.schema(), plan.collect().await?))
    }

    /// How `what` is evaluated: a segment's name, or a query that returns `profile_id` or counts profiles.
    ///
    /// # Errors
    /// Where it is neither, or fails.
    pub async fn explain(&self, what: &str) -> Result<Explained> {
        self.newest(&|opened| self.explain_in(opened, what).boxed()).await
    }

    async fn explain_in(&self, opened: Arc<Opened>, what: &str) -> Result<Explained> {
        let text = if is_name(what) {
            Project::load(self.engine.root())?.segment(what.trim())?.text.clone()
        } else {
            what.to_owned()
        };
        self.define(&opened, &text, None).await?;
        let name = if is_name(what) { what.trim() } else { "query" };
        explained((name, &text), &opened.session, self.limits, Steps::Left).await
    }

    /// Builds, as [`Engine::build`], with what the session holds in memory; `now` is the clock. Files of
    /// segments are read anew, and `now()` is the session's moment where `options` name none.
    ///
    /// # Errors
    /// As [`Engine::build`].
    pub async fn build(
        &self,
        options: &BuildOptions,
        now: AsOf,
        on_done: &(dyn Fn(usize, usize, &str) + Sync),
    ) -> Result<BuildReport> {
        // Where the store is does not change: the build asks for its newest version itself.
        let current = self.opened.lock().await.clone();
        let opened = match current {
            Some(opened) => opened,
            None => self.opened().await?,
        };
        let engine = Engine {
            project: Project::load(self.engine.root())?,
            limits: self.limits,
            now,
            storage: self.engine.storage.clone(),
            held: Some(self.held(&opened.store)),
        };
        let as_of = Some(options.as_of.unwrap_or(self.settings().as_of));
        engine.build(&BuildOptions { as_of, ..options.clone() }, on_done).await
    }

    /// Reads columns of profiles and events into memory, until their share of it is full: what most
    /// questions ask for first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn preload(&self) -> Result<()> {
        let opened = self.opened().await?;
        let files = self.files(&opened.store);
        for (table, names) in columns_by_use(&opened.snapshot)? {
            let names: Arc<[String]> = names.into();
            // Each knows the room that is left when it begins, so few may be on their way.
            let turns = Arc::new(Semaphore::new(self.limits.threads.get()));
            let mut reads = Vec::new();
            for file in opened.snapshot.table(table)?.files.clone() {
                let (files, store) = (files.clone(), opened.store.clone());
                let names = Arc::clone(&names);
                let turns = Arc::clone(&turns);
                let read = async move {
                    let _turn = turns.acquire().await;
                    files.preload(&store, table, &file, &names).await
                };
                reads.push(tokio::spawn(read));
            }
            for read in reads {
                read.await
                    .map_err(|e| Error::internal(format!("a column was not read: {e}")))??;
            }
        }
        Ok(())
    }

    /// The names that SQL may have here: tables, columns, segments as `segments.NAME`, functions.
    ///
    /// # Errors
    /// Where the store cannot be opened.
    pub async fn words(&self) -> Result<Vec<String>> {
        let opened = self.opened().await?;
        let mut words = opened.session.function_names();
        for table in opened.snapshot.tables() {
            words.push(table.name.as_str().to_owned());
            let fields = table.schema.fields().iter();
            words.extend(fields.map(|field| field.name().clone()));
        }
        let files = self.engine.project.segments.iter().map(|s| s.name.to_string());
        let built = opened.catalog().await?.iter().map(|state| state.segment.clone());
        words.extend(files.chain(built).map(|name| format!("segments.{name}")));
        words.sort_unstable();
        words.dedup();
        Ok(words)
    }

    /// What is held in memory.
    ///
    /// # Errors
    /// Where the store cannot be opened.
    pub async fn usage(&self) -> Result<WarmUse> {
        let opened = self.opened().await?;
        let columns = self.files(&opened.store).usage().unwrap_or_default();
        let leaves: CacheUse = self.masks.usage();
        Ok(WarmUse {
            store_version: opened.snapshot.record.version,
            columns_bytes_max: columns.bytes_max,
            columns_bytes: columns.bytes,
            leaves_bytes_max: leaves.bytes_max,
            leaves_bytes: leaves.bytes,
            columns_hits: columns.hits,
            columns_misses: columns.misses,
            leaves_hits: leaves.hits,
            leaves_misses: leaves.misses,
        })
    }

    /// The membership that the definition of segment `name` has now.
    async fn named(&self, opened: &Opened, name: &str) -> Result<Membership> {
        // Read anew: who edits a file wants to see what became of it.
        let project = Project::load(self.engine.root())?;
        let has_file = project.segments.iter().any(|s| s.name.as_str() == name);
        if !has_file && let Some(kept) = self.kept(opened, name).await? {
            return Ok(kept);
        }
        let file = project.segment(name)?;
        self.define(opened, &file.text, Some(&file.path)).await?;
        let parsed = Parsed::new(&opened.session, file)?;
        let planned = Planned::new(&opened.session, &parsed).await?;
        let found = evaluated(&opened.session, self.limits, planned).await;
        found.map_err(|e| placed(e, &file.text, Some(&file.path)))
    }

    /// The last membership of segment `name`, which has no file.
    async fn kept(&self, opened: &Opened, name: &str) -> Result<Option<Membership>> {
        let catalog = opened.catalog().await?;
        Ok(catalog.memberships(&opened.session, [name]).await?.remove(name))
    }

    /// Defines the segments that `sql` reads.
    async fn define(
        &self,
        opened: &Opened,
        sql: &str,
        file: Option<&std::path::Path>,
    ) -> Result<()> {
        // Most questions read no segment: then the text need not be parsed for their names.
        if !sql.to_ascii_lowercase().contains("segment") {
            return Ok(());
        }
        let session = &opened.session;
        let references = session.references(sql, file)?;
        let needed: BTreeSet<&str> = references
            .iter()
            .filter_map(|r| r.segment())
            .filter(|name| session.segment(name).is_none())
            .collect();
        if needed.is_empty() {
            return Ok(());
        }
        let catalog = opened.catalog().await?;
        let mut memberships = catalog.memberships(session, needed.iter().copied()).await?;
        for name in needed {
            let membership = memberships
                .remove(name)
                .ok_or_else(|| placed(self.engine.unbuilt(name, catalog), sql, file))?;
            session.define_segment(&Name::parse(name)?, membership)?;
        }
        Ok(())
    }

    /// The answer of `ask` over the newest version. Whether it is the newest is asked at the same time,
    /// and mostly it is; else the answer is not used and asked for again.
    async fn newest<'a, T: Send>(
        &self,
        ask: &(dyn Fn(Arc<Opened>) -> BoxFuture<'a, Result<T>> + Sync),
    ) -> Result<T> {
        for _ in 0..TRIES {
            let current = self.opened.lock().await.clone();
            let Some(opened) = current else {
                self.opened().await?;
                continue;
            };
            let is_newest = opened.store.is_newest(&opened.snapshot);
            let (is_newest, answer) = futures::join!(is_newest, ask(Arc::clone(&opened)));
            if is_newest? {
                return answer;
            }
            *self.opened.lock().await = None;
        }
        Err(Error::unavailable("others commit faster than a question is answered")
            .with_hint("ask again"))
    }

    /// The store at its newest version.
    async fn opened(&self) -> Result<Arc<Opened>> {
        let mut slot = self.opened.lock().await;
        if let Some(opened) = slot.as_ref()
            && opened.store.is_newest(&opened.snapshot).await?
        {
            return Ok(Arc::clone(opened));
        }
        let (store, snapshot) = self.engine.opened().await?;
        let held = self.held(&store);
        held.files.keep_only(&store, &snapshot)?;
        let as_of = self.settings().as_of;
        let session = Session::over_held(&store, &snapshot, held, self.limits, as_of)?;
        let opened = Arc::new(Opened { store, snapshot, session, catalog: OnceCell::new() });
        *slot = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What statements leave to those after them.
    fn held(&self, store: &Store) -> Held {
        let masks = (self.settings().leaves == Leaves::Kept).then(|| Arc::clone(&self.masks));
        Held { files: self.files(store), masks }
    }

    /// The files that are open, and the columns of them that are kept.
    fn files(&self, store: &Store) -> Files {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let warm_bytes = self.engine.limits.memory_bytes - self.limits.memory_bytes;
        let bytes_max = warm_bytes - warm_bytes / MASKS_SHARE;
        files.get_or_insert_with(|| Files::keeping(store, bytes_max)).clone()
    }
}

impl Opened {
    async fn catalog(&self) -> Result<&Catalog> {
        self.catalog.get_or_try_init(|| Catalog::load(&self.session)).await
    }
}

/// Whether sets of leaves outlive a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// They are kept.
    Kept,
    /// Every statement evaluates its own.
    Dropped,
}

/// Whether `what` is a name, not a query.
pub(super) fn is_name(what: &str) -> bool {
    !what.trim().contains(char::is_whitespace)
}

/// The SQL behind `what`, and its file where it is a segment's; nothing for a segment without SQL.
pub(super) fn query_of<'a>(
    project: &'a Project,
    what: &'a str,
) -> Option<(&'a str, Option<&'a std::path::Path>)> {
    if !is_name(what) {
        return Some((what, None));
    }
    let file = project.segment(what.trim()).ok()?;
    Some((&file.text, Some(&file.path)))
}

/// How many profiles `sql` has: those that it returns, or the number that it counts.
pub(super) async fn counted(session: &Session, limits: Limits, sql: &str) -> Result<u64> {
    let plan = session.plan(sql, None).await?;
    if plan.schema().fields().iter().any(|f| f.name() == tables::PROFILE_ID) {
        let found = evaluated(session, limits, Planned::of(&plan)?).await;
        return found.map(|set| set.len()).map_err(|e| placed(e, sql, None));
    }
    if let Some(planned) = Planned::counted(&plan)
        && let segment = [(String::new(), planned)]
        && let (batch, _) = Batch::compile(&segment)
        && let [(name, planned)] = &segment
        && matches!(batch.set(name), Some(Ok(_)))
    {
        return Ok(batch.members(name, planned, session, limits).await?.0.len());
    }
    plan.single_count().await
}

/// The profiles of one segment, compiled where it can be.
pub(super) async fn evaluated(
    session: &Session,
    limits: Limits,
    planned: Planned,
) -> Result<Membership> {
    let segment = [(String::new(), planned)];
    let (batch, mut failed) = Batch::compile(&segment);
    if let Some((_, error)) = failed.pop_first() {
        return Err(error);
    }
    let [(name, planned)] = &segment;
    Ok(batch.members(name, planned, session, limits).await?.0)
}

/// The columns that questions ask for, those that most ask for first.
fn columns_by_use(snapshot: &StoreSnapshot) -> Result<Vec<(TableName, Vec<String>)>> {
    let columns = |table| -> Result<Vec<String>> {
        let fields = snapshot.table(table)?.schema.fields().iter();
        Ok(fields.map(|field| field.name().clone()).collect())
    };
    let always = [tables::PROFILE_ID, tables::TS].map(str::to_owned).to_vec();
    let mut others = columns(TableName::Events)?;
    // Where an event lies is known without its name.
    others.retain(|name| !always.contains(name) && name != tables::EVENT);
    Ok(vec![
        (TableName::Events, always),
        (TableName::Profiles, columns(TableName::Profiles)?),
        (TableName::Events, others),
    ])
}
