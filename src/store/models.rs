//! Models of look-alikes beside the tables: one object each, named by its digest, never changed.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::TimeDelta;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use crate::error::Result;
use crate::model::AsOf;

use super::Store;
use super::location::storage;
use super::vacuum::{Vacuumed, cutoff};

/// The folder below the store.
const FOLDER: &str = "_throng_models";

impl Store {
    fn model_path(&self, digest: &str) -> Path {
        self.location.folder(FOLDER).join(format!("{digest}.json"))
    }

    /// Keeps a model under its digest; one that is there already is the same.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn keep_model(&self, digest: &str, bytes: Vec<u8>) -> Result<()> {
        let _was_there = self.location.create(&self.model_path(digest), Bytes::from(bytes)).await?;
        Ok(())
    }

    /// Whether any model was ever kept, and is still there.
    ///
    /// # Errors
    /// Where the store cannot be listed.
    pub async fn has_models(&self) -> Result<bool> {
        let folder = self.location.folder(FOLDER);
        let first = self.location.root().list(Some(&folder)).try_next().await;
        first.map(|first| first.is_some()).map_err(|e| storage(&e))
    }

    /// Removes models whose digest is not among `used` and that are older than `older_than`; with `dry_run`
    /// only says how many.
    ///
    /// # Errors
    /// Where the store cannot be listed or written.
    pub async fn vacuum_models(
        &self,
        used: &BTreeSet<String>,
        older_than: TimeDelta,
        now: AsOf,
        dry_run: bool,
    ) -> Result<Vacuumed> {
        let cutoff = cutoff(older_than, now);
        let folder = self.location.folder(FOLDER);
        let listed = self.location.root().list(Some(&folder)).try_collect::<Vec<_>>();
        let mut vacuumed = Vacuumed::default();
        for object in listed.await.map_err(|e| storage(&e))? {
            let digest = object.location.filename().and_then(|name| name.strip_suffix(".json"));
            let is_used = digest.is_none_or(|digest| used.contains(digest));
            if is_used || object.last_modified.timestamp_micros() >= cutoff {
                continue;
            }
            vacuumed.files += 1;
            vacuumed.bytes += object.size;
            if !dry_run {
                self.location.root().delete(&object.location).await.map_err(|e| storage(&e))?;
            }
        }
        Ok(vacuumed)
    }

    /// The model with this digest, if it was kept.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn kept_model(&self, digest: &str) -> Result<Option<Bytes>> {
        self.location.get(&self.model_path(digest)).await
    }
}
