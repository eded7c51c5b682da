//! Sources into the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result, nearest};
use crate::ingest::spec::{EventName, FILES, Key, Rows, SourceSpec, check_keys};
use crate::ingest::{Context, Ingested, ingest};
use crate::model::millis_since;
use crate::project::config::RejectsMax;
use crate::source::{Progress, ReadOptions};
use crate::store::Committed;

use super::open::Engine;

/// How often an ingest starts over when another writer was faster.
const TRIES_MAX: usize = 5;

/// Files that are ingested by flags, without a SQL file.
#[derive(Debug, Clone)]
pub struct DirectSource {
    /// Files and globs, relative to `base`.
    pub files: Vec<String>,
    /// The folder that the files are relative to.
    pub base: PathBuf,
    /// `NAMESPACE[=COLUMN]`, the first of them decisive.
    pub keys: Vec<String>,
    /// For events: the column of their moment, and the column of their name or a `'literal'`.
    pub events: Option<(String, String)>,
    /// Front matter of a source, as `(key, value)`: `("delimiter", ";")`.
    pub options: Vec<(String, String)>,
    /// How many rows may be rejected, as in front matter.
    pub rejects: Option<String>,
}

impl Engine {
    /// Ingests the sources called `names`, or all of them: profiles first, then events, each in one
    /// commit. `on_start` and `on_done` are called around each.
    ///
    /// # Errors
    /// Where a name is unknown, or a source fails; those before it are committed then.
    pub async fn ingest(
        &self,
        names: &[String],
        on_start: &(dyn Fn(&str, Arc<Progress>) + Sync),
        on_done: &(dyn Fn(&Ingested) + Sync),
    ) -> Result<Vec<Ingested>> {
        let mut specs = self.specs(names)?;
        if specs.is_empty() {
            return Err(Error::input("the project has no sources")
                .with_hint("write one: sql/sources/customers.sql, or see `throng ingest --help`"));
        }
        specs.sort_by_key(|spec| spec.rows != Rows::Profiles);
        let mut all = Vec::new();
        for spec in specs {
            let base = self.project.root.clone();
            let ingested = self.ingest_one(&spec, base, on_start).await?;
            on_done(&ingested);
            all.push(ingested);
        }
        Ok(all)
    }

    /// Ingests files that flags describe, in one commit.
    ///
    /// # Errors
    /// As [`Engine::ingest`].
    pub async fn ingest_files(
        &self,
        direct: &DirectSource,
        on_start: &(dyn Fn(&str, Arc<Progress>) + Sync),
    ) -> Result<Ingested> {
        let spec = self.direct_spec(direct)?;
        self.ingest_one(&spec, direct.base.clone(), on_start).await
    }

    fn specs(&self, names: &[String]) -> Result<Vec<SourceSpec>> {
        let rejects_max = self.rejects_max()?;
        let sources = &self.project.sources;
        for name in names {
            if !sources.iter().any(|s| s.name.as_str() == name) {
                let error = Error::input(format!("no source \"{name}\" in sql/sources"));
                return Err(match nearest(name, sources.iter().map(|s| s.name.as_str())) {
                    Some(near) => error.with_hint(format!("did you mean {near}?")),
                    None => {
                        error.with_hint("for files: throng ingest profiles FILE --key user_id=...")
                    }
                });
            }
        }
        let wanted = sources
            .iter()
            .filter(|s| names.is_empty() || names.iter().any(|n| n == s.name.as_str()));
        wanted.map(|file| SourceSpec::of_file(file, rejects_max)).collect()
    }

    fn direct_spec(&self, direct: &DirectSource) -> Result<SourceSpec> {
        let mut options = ReadOptions::default();
        for (key, value) in &direct.options {
            options.set(key, value)?;
        }
        let keys = direct.keys.iter().map(|k| Key::parse(k)).collect::<Result<Vec<_>>>()?;
        check_keys(&keys)?;
        let (name, rows) = match &direct.events {
            None => ("profiles", Rows::Profiles),
            Some((time, event)) => {
                ("events", Rows::Events { time: time.clone(), event: EventName::parse(event) })
            }
        };
        let rejects_max = match &direct.rejects {
            Some(text) => RejectsMax::parse(text)?,
            None => self.rejects_max()?,
        };
        Ok(SourceSpec {
            name: name.to_owned(),
            file: PathBuf::from("the command line"),
            sql: format!("SELECT * FROM {FILES}"),
            files: direct.files.clone(),
            rows,
            keys,
            options,
            rejects_max,
        })
    }

    async fn ingest_one(
        &self,
        spec: &SourceSpec,
        base: PathBuf,
        on_start: &(dyn Fn(&str, Arc<Progress>) + Sync),
    ) -> Result<Ingested> {
        let started = Instant::now();
        let store = self.store_or_new().await?;
        let mut lost = None;
        for _ in 0..TRIES_MAX {
            let snapshot = store.snapshot().await?;
            let progress = Arc::new(Progress::default());
            on_start(&spec.name, Arc::clone(&progress));
            let context = Context {
                store: &store,
                snapshot: &snapshot,
                base: &base,
                rejects_folder: &self.project.rejects_folder(),
                limits: self.limits,
                now: self.now,
                progress,
            };
            let mut prepared = ingest(&context, spec).await?;
            prepared.ingested.elapsed_ms = millis_since(started);
            let Some(change) = prepared.change else { return Ok(prepared.ingested) };
            match store.commit(&snapshot, change).await? {
                Committed::Done(_) => return Ok(prepared.ingested),
                Committed::Conflict(error) => lost = Some(error),
            }
        }
        Err(lost.unwrap_or_else(|| Error::internal("an ingest was never tried")))
    }
}
