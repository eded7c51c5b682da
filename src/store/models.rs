//! Models of look-alikes beside the tables: one object each, named by its digest, never changed.

use bytes::Bytes;
use object_store::path::Path;

use crate::error::Result;

use super::Store;

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

    /// The model with this digest, if it was kept.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn kept_model(&self, digest: &str) -> Result<Option<Bytes>> {
        self.location.get(&self.model_path(digest)).await
    }
}
