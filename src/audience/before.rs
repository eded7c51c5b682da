//! The last memberships of segments that are built: what a refresh puts the news into, and what a build
//! tells the difference to.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::query::Session;

use super::catalog::Catalog;

/// Last memberships, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Before {
    known: BTreeMap<String, Membership>,
    reading: Option<JoinHandle<Result<BTreeMap<String, Membership>>>>,
}

impl Before {
    /// Begins to read those of `names`. Another thread does, while this one compiles.
    pub(super) fn read_ahead(&mut self, catalog: &Catalog, session: &Session, names: Vec<String>) {
        let (catalog, session) = (catalog.clone(), session.clone());
        self.reading = Some(tokio::spawn(async move {
            catalog.memberships(&session, names.iter().map(String::as_str)).await
        }));
    }

    /// Waits for what is being read.
    ///
    /// # Errors
    /// Where the store cannot be read, or holds a broken bitmap.
    pub(super) async fn read(&mut self) -> Result<()> {
        if let Some(reading) = self.reading.take() {
            let stopped = |e| Error::internal(format!("reading stopped: {e}"));
            self.known.extend(reading.await.map_err(stopped)??);
        }
        Ok(())
    }

    /// Those that were read and not taken.
    pub(super) fn known(&self) -> &BTreeMap<String, Membership> {
        &self.known
    }

    /// Takes that of `name`; nobody where it has none.
    pub(super) fn take(&mut self, name: &str) -> Membership {
        self.known.remove(name).unwrap_or_default()
    }

    /// Puts that of `name` back.
    pub(super) fn put(&mut self, name: String, membership: Membership) {
        self.known.insert(name, membership);
    }
}
