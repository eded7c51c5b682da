//! A cache with a limit in bytes: what was used least recently leaves first.
//!
//! A warm session keeps decoded columns and sets of leaves in it. Nothing here knows what is kept, and
//! nothing here reads or computes: callers put in what they made.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that an entry takes beside its value: the key twice, its places in both maps.
const ENTRY_BYTES: usize = 160;

/// Values by key, of at most so many bytes together.
///
/// A value that is alone larger than the limit is not kept. A value is counted as what its owner says
/// it takes, and [`ENTRY_BYTES`] more.
#[derive(Debug)]
pub struct Cache<K, V> {
    inner: Mutex<Inner<K, V>>,
}

#[derive(Debug)]
struct Inner<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Keys by when they were used last.
    order: BTreeMap<u64, K>,
    uses: u64,
    held: CacheUse,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

/// How full a cache is, and what came of asking it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// The limit in bytes.
    pub bytes_max: usize,
    /// The bytes held.
    pub bytes: usize,
    /// The values held.
    pub entries: usize,
    /// How often a value was there.
    pub hits: u64,
    /// How often it was not.
    pub misses: u64,
    /// How many values left to make room.
    pub evicted: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let held = CacheUse { bytes_max, ..CacheUse::default() };
        let (entries, order) = (HashMap::new(), BTreeMap::new());
        Self { inner: Mutex::new(Inner { entries, order, uses: 0, held }) }
    }

    /// The value of `key`, which then counts as just used.
    pub fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key)
    }

    /// Keeps `value`, which takes `bytes`, in place of one of the same key.
    pub fn put(&self, key: K, value: V, bytes: usize) {
        self.lock().put(key, value, bytes.saturating_add(ENTRY_BYTES));
    }

    /// Drops all values whose key is not wanted any more.
    pub fn retain(&self, is_wanted: impl Fn(&K) -> bool) {
        let mut inner = self.lock();
        let doomed: Vec<K> = inner.order.values().filter(|key| !is_wanted(key)).cloned().collect();
        for key in &doomed {
            inner.remove(key);
        }
    }

    /// How full it is.
    pub fn usage(&self) -> CacheUse {
        self.lock().held
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Inner<K, V> {
    fn get(&mut self, key: &K) -> Option<V> {
        let Some(entry) = self.entries.get_mut(key) else {
            self.held.misses += 1;
            return None;
        };
        self.held.hits += 1;
        self.uses += 1;
        if let Some(key) = self.order.remove(&entry.used) {
            self.order.insert(self.uses, key);
        }
        entry.used = self.uses;
        Some(entry.value.clone())
    }

    fn put(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        if bytes > self.held.bytes_max {
            return;
        }
        while self.held.bytes + bytes > self.held.bytes_max {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.remove(&oldest);
            self.held.evicted += 1;
        }
        self.uses += 1;
        self.held.bytes += bytes;
        self.order.insert(self.uses, key.clone());
        self.entries.insert(key, Entry { value, bytes, used: self.uses });
        self.held.entries = self.entries.len();
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.held.bytes -= entry.bytes;
            self.held.entries = self.entries.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A cache with room for `entries` values of ten bytes.
    fn of_tens(entries: usize) -> Cache<u32, u32> {
        Cache::new(entries * (10 + ENTRY_BYTES))
    }

    #[test]
    fn what_was_used_least_recently_leaves_first() {
        let cache = of_tens(2);
        cache.put(1, 100, 10);
        cache.put(2, 200, 10);
        assert_eq!(cache.get(&1), Some(100));
        cache.put(3, 300, 10);
        assert_eq!((cache.get(&1), cache.get(&2), cache.get(&3)), (Some(100), None, Some(300)));
        assert_eq!(cache.usage().evicted, 1);
    }

    #[test]
    fn a_value_above_the_limit_is_not_kept_and_drives_nobody_out() {
        let cache = of_tens(2);
        cache.put(1, 100, 10);
        cache.put(2, 200, 1_000);
        assert_eq!((cache.get(&1), cache.get(&2)), (Some(100), None));
        // A larger value of a key that is there: the old one is not the answer any more.
        cache.put(1, 101, 1_000);
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.usage().bytes, 0);
    }

    #[test]
    fn what_is_not_wanted_any_more_is_dropped() {
        let cache = of_tens(4);
        (0..4).for_each(|key| cache.put(key, key, 10));
        cache.retain(|key| key % 2 == 0);
        assert_eq!((cache.get(&0), cache.get(&1)), (Some(0), None));
        assert_eq!(cache.usage().entries, 2);
    }

    /// The same in the plainest way: a list, the last used at its end.
    struct Naive {
        list: Vec<(u8, u16, usize)>,
        bytes_max: usize,
    }

    impl Naive {
        fn get(&mut self, key: u8) -> Option<u16> {
            let at = self.list.iter().position(|(k, ..)| *k == key)?;
            let found = self.list.remove(at);
            self.list.push(found);
            Some(found.1)
        }

        fn put(&mut self, key: u8, value: u16, bytes: usize) {
            self.list.retain(|(k, ..)| *k != key);
            if bytes <= self.bytes_max {
                self.list.push((key, value, bytes));
                while self.bytes() > self.bytes_max {
                    self.list.remove(0);
                }
            }
        }

        fn bytes(&self) -> usize {
            self.list.iter().map(|(.., bytes)| bytes).sum()
        }
    }

    proptest! {
        #[test]
        fn it_holds_what_a_list_would(
            steps in prop::collection::vec((0..12_u8, prop::option::of((any::<u16>(), 0..900_usize))), 0..200)
        ) {
            let bytes_max = 3_000;
            let cache = Cache::new(bytes_max);
            let mut naive = Naive { list: Vec::new(), bytes_max };
            for (key, value) in steps {
                if let Some((value, bytes)) = value {
                    cache.put(key, value, bytes);
                    naive.put(key, value, bytes + ENTRY_BYTES);
                } else {
                    prop_assert_eq!(cache.get(&key), naive.get(key));
                }
                let held = cache.usage();
                prop_assert_eq!(held.bytes, naive.bytes());
                prop_assert_eq!(held.entries, naive.list.len());
                prop_assert!(held.bytes <= bytes_max);
            }
        }
    }
}
