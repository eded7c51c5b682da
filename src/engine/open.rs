//! Opening a project: which folder, which store, how much of the machine.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::audience::Catalog;
use crate::error::{Error, Result};
use crate::model::{AsOf, Name, ShardSize};
use crate::project::Project;
use crate::project::config::{RejectsMax, parse_bytes};
use crate::query::{Held, Limits, Session, placed};
use crate::store::{Location, Store, StoreSnapshot};

/// What a face tells the engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The project's folder.
    pub root: PathBuf,
    /// Threads; `throng.toml`'s, or else all cores, where absent.
    pub threads: Option<NonZeroUsize>,
    /// Bytes of memory for queries and ingest; `throng.toml`'s, or else the default, where absent.
    pub memory_bytes: Option<usize>,
    /// Settings of the object store, as in the environment of other tools (`AWS_REGION`, ...).
    pub storage: Vec<(String, String)>,
    /// The clock.
    pub now: AsOf,
}

impl EngineOptions {
    /// The project in `root` at `now`, and defaults for the rest.
    pub fn new(root: impl Into<PathBuf>, now: AsOf) -> Self {
        Self { root: root.into(), threads: None, memory_bytes: None, storage: Vec::new(), now }
    }
}

/// A project that is open.
///
/// ```no_run
/// # async fn example() -> throng::error::Result<()> {
/// use throng::engine::{BuildOptions, Engine, EngineOptions};
/// use throng::model::AsOf;
///
/// let engine = Engine::open(EngineOptions::new("shop", AsOf::parse("2026-11-01")?))?;
/// let report = engine.build(&BuildOptions::default(), &|_, _, _| {}).await?;
/// println!("{} segments", report.segments.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) project: Project,
    pub(super) limits: Limits,
    pub(super) now: AsOf,
    pub(super) storage: Vec<(String, String)>,
    /// What a warm session holds, where this is its engine.
    pub(super) held: Option<Held>,
}

impl Engine {
    /// Opens the project that `options` names.
    ///
    /// # Errors
    /// Where there is none, or its `throng.toml` or the names of its files are wrong.
    pub fn open(options: EngineOptions) -> Result<Self> {
        let project = Project::load(&options.root)?;
        let configured = &project.config.limits;
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let memory_bytes = match (options.memory_bytes, &configured.memory) {
            (Some(bytes), _) => bytes,
            (None, Some(text)) => parse_bytes(text)?,
            (None, None) => Limits::MEMORY_DEFAULT,
        };
        let threads = options.threads.or(configured.threads).unwrap_or(cores);
        Ok(Self {
            project,
            limits: Limits { threads, memory_bytes },
            now: options.now,
            storage: options.storage,
            held: None,
        })
    }

    /// The folder of the nearest project at or above `start`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(start: &Path) -> Result<PathBuf> {
        Project::find(start)
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.project.root
    }

    pub(super) fn location(&self) -> Result<Location> {
        let store = &self.project.config.store;
        Location::parse(&store.location, &self.project.root, &self.storage)
    }

    /// The store, which must exist.
    pub(super) async fn store(&self) -> Result<Store> {
        Store::open(self.location()?).await
    }

    /// The store, made where there is none.
    pub(super) async fn store_or_new(&self) -> Result<Store> {
        let shard = ShardSize::of_ids(self.project.config.store.shard)?;
        Store::open_or_create(self.location()?, shard, self.now).await
    }

    /// `as_of`, or `throng.toml`'s, or now.
    pub(super) fn as_of(&self, as_of: Option<AsOf>) -> Result<AsOf> {
        Ok(match as_of {
            Some(as_of) => as_of,
            None => self.project.config.as_of()?.unwrap_or(self.now),
        })
    }

    /// The limit on rejects of sources that have none of their own.
    pub(super) fn rejects_max(&self) -> Result<RejectsMax> {
        self.project
            .config
            .limits
            .rejects
            .as_deref()
            .map_or(Ok(RejectsMax::default()), RejectsMax::parse)
    }

    /// What the SQL files of the project may not say as it was meant: a line a note.
    pub fn notes(&self) -> Vec<String> {
        self.project.notes().collect()
    }

    /// The store as it is now.
    pub(super) async fn opened(&self) -> Result<(Store, StoreSnapshot)> {
        let store = self.store().await?;
        let snapshot = store.snapshot().await?;
        Ok((store, snapshot))
    }

    /// A session over the store as it is now, with the segments that `sql` reads.
    ///
    /// # Errors
    /// Where `sql` does not parse, or reads a segment that was never built.
    pub(super) async fn session_for(
        &self,
        sql: &str,
        file: Option<&Path>,
        as_of: AsOf,
    ) -> Result<Session> {
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, as_of)?;
        let references = session.references(sql, file)?;
        let needed: BTreeSet<&str> = references.iter().filter_map(|r| r.segment()).collect();
        if needed.is_empty() {
            return Ok(session);
        }
        let catalog = Catalog::load(&session).await?;
        let mut memberships = catalog.memberships(&session, needed.iter().copied()).await?;
        for name in needed {
            let membership = memberships
                .remove(name)
                .ok_or_else(|| placed(self.unbuilt(name, &catalog), sql, file))?;
            session.define_segment(&Name::parse(name)?, membership)?;
        }
        Ok(session)
    }

    /// The error of a segment that has no membership.
    pub(super) fn unbuilt(&self, name: &str, catalog: &Catalog) -> Error {
        if self.project.segments.iter().any(|s| s.name.as_str() == name) {
            return Error::input(format!("segment {name} was never built"))
                .with_hint(format!("throng build +{name}"));
        }
        let known = self.project.segments.iter().map(|s| s.name.as_str());
        let known = known.chain(catalog.iter().map(|s| s.segment.as_str()));
        let error = Error::input(format!("no segment \"{name}\""));
        match crate::error::nearest(name, known) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => error.with_hint("`throng ls` lists the segments"),
        }
    }
}
