//! Care of the store.

use chrono::TimeDelta;

use crate::audience::Catalog;
use crate::error::Result;
use crate::ingest::optimize::{Optimized, optimize};
use crate::query::Session;
use crate::store::Committed;
use crate::store::vacuum::{Vacuumed, vacuum};

use super::lookalike::models_used;
use super::open::Engine;

impl Engine {
    /// Lays tables out anew where many small or unsorted files have come together; one commit.
    ///
    /// # Errors
    /// Where the store cannot be read or written, or another writer was faster.
    pub async fn optimize(&self) -> Result<Vec<Optimized>> {
        let (store, snapshot) = self.opened().await?;
        let (done, change) = optimize(&store, &snapshot, self.limits, self.now).await?;
        if let Some(change) = change
            && let Committed::Conflict(error) = store.commit(&snapshot, change).await?
        {
            return Err(error);
        }
        Ok(done)
    }

    /// Removes files that no table needs and that are older than `older_than`; with `dry_run` only
    /// says how many.
    ///
    /// # Errors
    /// Where the store cannot be listed or written.
    pub async fn vacuum(&self, older_than: TimeDelta, dry_run: bool) -> Result<Vacuumed> {
        let (store, snapshot) = self.opened().await?;
        let tables = vacuum(&store, &snapshot, older_than, self.now, dry_run).await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let used = models_used(&Catalog::load(&session).await?);
        let models = store.vacuum_models(&used, older_than, self.now, dry_run).await?;
        let record = &snapshot.record;
        let features = store.vacuum_features(record, older_than, self.now, dry_run).await?;
        let all = [tables, models, features];
        Ok(Vacuumed {
            files: all.iter().map(|part| part.files).sum(),
            bytes: all.iter().map(|part| part.bytes).sum(),
        })
    }
}
