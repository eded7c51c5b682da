//! Encoded features of look-alikes beside the tables: a folder for each set of them. What a set is made
//! from is in its name, so it never changes, and nothing is lost with it: whoever misses one makes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use chrono::TimeDelta;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _};

use crate::error::Result;
use crate::model::{AsOf, TableName};

use super::location::storage;
use super::vacuum::{Vacuumed, cutoff};
use super::{Record, Store};

/// The folder below the store.
const FOLDER: &str = "_throng_features";

/// The object that a set begins with, written last: a set without one is not finished.
pub const HEAD: &str = "head";

/// Bytes that sets may have together; the oldest leave first. Ten million profiles with 64 features take
/// 3.2 GB.
const BYTES_MAX: u64 = 8 << 30;

/// The name of the set with `digest` that is made from `tables` as they are in `record`.
pub fn set_name(digest: &str, tables: &[TableName], record: &Record) -> String {
    let version = |table: &TableName| {
        let version = record.tables.get(table).map_or(0, |state| state.version);
        format!(".{table}-{version}")
    };
    std::iter::once(digest.to_owned()).chain(tables.iter().map(version)).collect()
}

/// Whether the tables that a set is made from are still what they were.
fn is_current(set: &str, record: &Record) -> bool {
    set.split('.').skip(1).all(|part| {
        let (table, version) = part.rsplit_once('-').unwrap_or_default();
        let table = TableName::ALL.into_iter().find(|t| t.as_str() == table);
        let state = table.and_then(|table| record.tables.get(&table));
        state.is_some_and(|state| version.parse() == Ok(state.version))
    })
}

impl Store {
    fn feature_path(&self, set: &str, name: &str) -> Path {
        self.location.folder(FOLDER).join(set).join(name)
    }

    /// Writes an object of a set, whole or not at all.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn put_feature(&self, set: &str, name: &str, bytes: Bytes) -> Result<()> {
        self.location.put(&self.feature_path(set, name), bytes).await
    }

    /// An object of a set, if it is there.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn feature(&self, set: &str, name: &str) -> Result<Option<Bytes>> {
        self.location.get(&self.feature_path(set, name)).await
    }

    /// A part of an object of a set.
    ///
    /// # Errors
    /// Where the store does not answer, or the object is not there or shorter.
    pub async fn feature_part(&self, set: &str, name: &str, part: Range<u64>) -> Result<Bytes> {
        let path = self.feature_path(set, name);
        self.location.root().get_range(&path, part).await.map_err(|e| storage(&e))
    }

    /// Removes an object of a set, if it is there.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn remove_feature(&self, set: &str, name: &str) -> Result<()> {
        self.location.remove(&self.feature_path(set, name)).await
    }

    /// Makes room after some of the sets `used` were written: sets go whose tables have changed since, and
    /// the oldest of the others while all together have more bytes than sets may have. Those that are
    /// `used` stay.
    ///
    /// # Errors
    /// Where the store cannot be listed or written.
    pub async fn trim_features(&self, used: &BTreeSet<&str>, record: &Record) -> Result<()> {
        let sets = self.feature_sets().await?;
        for (_, objects) in leaving(sets, used, record, BYTES_MAX) {
            for object in objects {
                self.location.remove(&object.location).await?;
            }
        }
        Ok(())
    }

    /// Removes sets whose tables have changed since, and what killed writers left that is older than
    /// `older_than`; with `dry_run` only says how many files.
    ///
    /// # Errors
    /// Where the store cannot be listed or written.
    pub async fn vacuum_features(
        &self,
        record: &Record,
        older_than: TimeDelta,
        now: AsOf,
        dry_run: bool,
    ) -> Result<Vacuumed> {
        let cutoff = cutoff(older_than, now);
        let mut vacuumed = Vacuumed::default();
        for (set, objects) in self.feature_sets().await? {
            let is_whole = objects.iter().any(|o| o.location.filename() == Some(HEAD));
            let is_old = objects.iter().all(|o| o.last_modified.timestamp_micros() < cutoff);
            if is_current(&set, record) && (is_whole || !is_old) {
                continue;
            }
            for object in objects {
                vacuumed.files += 1;
                vacuumed.bytes += object.size;
                if !dry_run {
                    self.location.remove(&object.location).await?;
                }
            }
        }
        Ok(vacuumed)
    }

    /// The objects of each set.
    async fn feature_sets(&self) -> Result<BTreeMap<String, Vec<ObjectMeta>>> {
        let folder = self.location.folder(FOLDER);
        let listed = self.location.root().list(Some(&folder)).try_collect::<Vec<_>>();
        let mut sets: BTreeMap<String, Vec<ObjectMeta>> = BTreeMap::new();
        for object in listed.await.map_err(|e| storage(&e))? {
            let set = object.location.prefix_match(&folder).and_then(|mut parts| parts.next());
            if let Some(set) = set.map(|set| set.as_ref().to_owned()) {
                sets.entry(set).or_default().push(object);
            }
        }
        Ok(sets)
    }
}

/// The sets that [`Store::trim_features`] removes.
fn leaving(
    sets: BTreeMap<String, Vec<ObjectMeta>>,
    used: &BTreeSet<&str>,
    record: &Record,
    bytes_max: u64,
) -> Vec<(String, Vec<ObjectMeta>)> {
    let is_used = |set: &str| used.contains(set);
    let (mut current, mut gone): (Vec<_>, Vec<_>) =
        sets.into_iter().partition(|(set, _)| is_used(set) || is_current(set, record));
    let written = |objects: &[ObjectMeta]| objects.iter().map(|o| o.last_modified).max();
    current.sort_by_cached_key(|(set, objects)| {
        std::cmp::Reverse((is_used(set), written(objects), set.clone()))
    });
    let mut bytes = 0;
    for (set, objects) in current {
        bytes += objects.iter().map(|o| o.size).sum::<u64>();
        if bytes > bytes_max && !is_used(&set) {
            gone.push((set, objects));
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::record::TableState;
    use super::*;

    fn record(profiles: u64, events: u64) -> Record {
        let state = |version| TableState { version, data_version: 0, actions: Vec::new() };
        Record {
            format: 1,
            version: 9,
            at: String::new(),
            operation: String::new(),
            shard_ids: 65_536,
            next_profile_id: 0,
            last_build: 0,
            tables: BTreeMap::from([
                (TableName::Profiles, state(profiles)),
                (TableName::Events, state(events)),
            ]),
        }
    }

    #[test]
    fn a_set_is_current_while_its_own_tables_stay() {
        let (own, both) = ([TableName::Profiles], [TableName::Profiles, TableName::Events]);
        let (own, both) =
            (set_name("aa", &own, &record(3, 7)), set_name("bb", &both, &record(3, 7)));
        assert_eq!((own.as_str(), both.as_str()), ("aa.profiles-3", "bb.profiles-3.events-7"));
        assert!(is_current(&own, &record(3, 8)) && !is_current(&both, &record(3, 8)));
        assert!(is_current(&both, &record(3, 7)) && !is_current(&own, &record(4, 7)));
        assert!(!is_current("cc.strange-1", &record(3, 7)) && !is_current("cc.x", &record(3, 7)));
    }

    #[test]
    fn outdated_sets_go_and_then_the_oldest_but_never_those_in_use() {
        let object = |set: &str, seconds: i64, size: u64| ObjectMeta {
            location: Path::from(set).join("00000"),
            last_modified: DateTime::from_timestamp(seconds, 0).expect("a time"),
            size,
            e_tag: None,
            version: None,
        };
        let sets = |sizes: [u64; 4]| {
            let names = ["a.profiles-3", "b.profiles-3", "c.profiles-3", "old.profiles-2"];
            let set = |(at, name): (usize, &str)| {
                (name.to_owned(), vec![object(name, [5, 9, 7, 8][at], sizes[at])])
            };
            names.into_iter().enumerate().map(set).collect::<BTreeMap<_, _>>()
        };
        let gone = |sizes, used| -> Vec<String> {
            let left = leaving(sets(sizes), &BTreeSet::from([used]), &record(3, 0), 100);
            left.into_iter().map(|(set, _)| set).collect()
        };
        assert_eq!(gone([30, 30, 30, 1], "b.profiles-3"), ["old.profiles-2"]);
        assert_eq!(gone([50, 30, 30, 1], "b.profiles-3"), ["old.profiles-2", "a.profiles-3"]);
        let large = gone([500, 30, 30, 1], "a.profiles-3");
        assert_eq!(large, ["old.profiles-2", "b.profiles-3", "c.profiles-3"]);
    }
}
