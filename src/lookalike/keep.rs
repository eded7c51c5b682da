//! Where encoded features are kept beside the store, and read from while a look-alike works.
//!
//! Nothing here fails a look-alike. What cannot be written is held in memory. What was there and cannot be
//! read any more is [`lost`](Keep::lost), and whoever asked starts over without it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::error::{Error, Result};
use crate::store::{Store, StoreSnapshot};

/// Bytes of a query's columns, encoded or not, that are held in memory rather than read again: three
/// million profiles with 64 features.
const HELD_BYTES: usize = 1 << 30;

/// A place for encoded features, or none.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    /// The store and the version that is worked on.
    place: Option<Arc<(Store, StoreSnapshot)>>,
    handle: Handle,
    lost: Arc<AtomicBool>,
    /// Whether what is there already is not looked at.
    anew: bool,
    held_bytes: usize,
}

impl Keep {
    /// Beside the tables of `store`. Called within a runtime.
    pub(crate) fn beside(store: &Store, snapshot: &StoreSnapshot) -> Self {
        let place = Some(Arc::new((store.clone(), snapshot.clone())));
        Self { place, ..Self::nowhere() }
    }

    /// In memory alone. Called within a runtime.
    pub(crate) fn nowhere() -> Self {
        Self {
            place: None,
            handle: Handle::current(),
            lost: Arc::default(),
            anew: false,
            held_bytes: HELD_BYTES,
        }
    }

    /// The same place, where nothing is lost and nothing believed that is there already.
    pub(crate) fn anew(&self) -> Self {
        Self { lost: Arc::default(), anew: true, ..self.clone() }
    }

    /// The same, with so many bytes held in memory: for tests of what is not.
    #[cfg(test)]
    pub(crate) fn holding(self, held_bytes: usize) -> Self {
        Self { held_bytes, ..self }
    }

    /// The version that is worked on; nothing where nothing is kept.
    pub(crate) fn snapshot(&self) -> Option<&StoreSnapshot> {
        self.place.as_ref().map(|place| &place.1)
    }

    /// Whether so many bytes are held in memory.
    pub(crate) fn holds(&self, bytes: usize) -> bool {
        bytes <= self.held_bytes
    }

    /// Whether something was there and is not any more, or is damaged.
    pub(crate) fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes an object; whether that could be done.
    pub(crate) async fn write(&self, set: &str, name: &str, bytes: Vec<u8>) -> bool {
        let Some(place) = &self.place else { return false };
        let written = place.0.put_feature(set, name, Bytes::from(bytes)).await;
        if let Err(error) = &written {
            tracing::info!(set, name, %error, "features are not kept");
        }
        written.is_ok()
    }

    /// [`Keep::write`], for threads that may wait.
    pub(crate) fn write_now(&self, set: &str, name: &str, bytes: Vec<u8>) -> bool {
        self.handle.block_on(self.write(set, name, bytes))
    }

    /// A whole object, if it is there.
    pub(crate) async fn read(&self, set: &str, name: &str) -> Option<Bytes> {
        let place = self.place.as_ref().filter(|_| !self.anew)?;
        place.0.feature(set, name).await.ok().flatten()
    }

    /// A part of an object that must be there, for threads that may wait; `is_whole` tells whether it is
    /// what was written.
    ///
    /// # Errors
    /// Where it is lost.
    pub(crate) fn part(
        &self,
        set: &str,
        name: &str,
        part: Range<u64>,
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> Result<Bytes> {
        let place = self.place.as_ref();
        let read = place.map(|place| self.handle.block_on(place.0.feature_part(set, name, part)));
        let bytes = read.and_then(Result::ok).filter(|bytes| is_whole(bytes));
        bytes.ok_or_else(|| {
            self.lost.store(true, Ordering::Relaxed);
            Error::unavailable(format!("encoded features {set} are gone or damaged"))
                .with_hint("they are made anew; run it again")
        })
    }

    /// Removes an object that is not needed any more.
    pub(crate) fn remove_now(&self, set: &str, name: &str) {
        if let Some(place) = &self.place
            && let Err(error) = self.handle.block_on(place.0.remove_feature(set, name))
        {
            tracing::info!(set, name, %error, "left behind");
        }
    }

    /// Removes sets that nobody will ask for again; those in `used` stay.
    pub(crate) async fn trim(&self, used: &BTreeSet<&str>) {
        if let Some(place) = &self.place
            && let Err(error) = place.0.trim_features(used, &place.1.record).await
        {
            tracing::info!(%error, "old features stay");
        }
    }
}
