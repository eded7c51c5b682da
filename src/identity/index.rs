//! Identifier to home profile, in memory, while an ingest runs.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

use arrow::array::AsArray as _;
use arrow::datatypes::Int32Type;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::error::{Error, Result};
use crate::model::{Namespace, ProfileId};
use crate::query::Session;

/// The homes of all identifiers of some namespaces, and the next id to give out.
#[derive(Debug)]
pub struct IdentityIndex {
    namespaces: Vec<Namespace>,
    homes: Vec<Homes>,
    claims: BTreeSet<(usize, String, ProfileId)>,
    next: u32,
    first_new: u32,
}

/// What became of a further identifier that a row brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is this profile's, and was before.
    Known,
    /// It is this profile's from now on.
    New,
    /// It belongs to another profile: a conflict, seen before.
    OldConflict,
    /// It belongs to another profile: a conflict that is to be recorded.
    NewConflict,
}

impl IdentityIndex {
    /// Reads the identifiers of `namespaces` from the store behind `session`; ids are given out from
    /// `next` on.
    ///
    /// # Errors
    /// Where the table of identifiers cannot be read.
    pub async fn load(session: &Session, namespaces: &[Namespace], next: u32) -> Result<Self> {
        let mut index = Self {
            namespaces: namespaces.to_vec(),
            homes: namespaces.iter().map(|_| Homes::default()).collect(),
            claims: BTreeSet::new(),
            next,
            first_new: next,
        };
        let names: Vec<String> = namespaces.iter().map(|n| format!("'{n}'")).collect();
        let sql = format!(
            "SELECT profile_id, CAST(namespace AS TEXT) AS namespace, CAST(value AS TEXT) AS value, home \
             FROM identifiers WHERE namespace IN ({})",
            names.join(", ")
        );
        let mut batches = session.plan(&sql, None).await?.stream().await?;
        while let Some(batch) = batches.next().await? {
            let text =
                |i: usize| arrow::compute::cast(batch.column(i), &arrow::datatypes::DataType::Utf8);
            let broken = |e| Error::data(format!("table identifiers is broken: {e}"));
            let (names, values) = (text(1).map_err(broken)?, text(2).map_err(broken)?);
            let (names, values) = (names.as_string::<i32>(), values.as_string::<i32>());
            let ids = batch.column(0).as_primitive::<Int32Type>();
            let homes = batch.column(3).as_boolean();
            for row in 0..batch.num_rows() {
                let id = ProfileId::try_from(ids.value(row))?;
                index.remember(names.value(row), values.value(row), id, homes.value(row))?;
            }
        }
        Ok(index)
    }

    fn remember(&mut self, namespace: &str, value: &str, id: ProfileId, home: bool) -> Result<()> {
        let Some(slot) = self.namespaces.iter().position(|n| n.as_str() == namespace) else {
            return Ok(());
        };
        if home {
            self.homes[slot].get_or_insert(value, || Ok(id))?;
        } else {
            self.claims.insert((slot, value.to_owned(), id));
        }
        Ok(())
    }

    /// The home of `value` in the namespace at `slot` of those the index was loaded for, given out
    /// now where it has none; and whether it is new.
    ///
    /// # Errors
    /// Where the store has all the profiles it can have.
    pub fn home(&mut self, slot: usize, value: &str) -> Result<(ProfileId, bool)> {
        let next = &mut self.next;
        self.homes[slot].get_or_insert(value, || {
            let id = ProfileId::new(*next).ok_or_else(|| {
                Error::limit("the store has all the profiles it can have: 2147483648")
            })?;
            *next += 1;
            Ok(id)
        })
    }

    /// The home of `value` in the namespace at `slot`, if it has one; nothing is given out.
    pub fn find(&self, slot: usize, value: &str) -> Option<ProfileId> {
        self.homes[slot].get(value)
    }

    /// Whether no identifier of the namespace at `slot` is known.
    pub fn is_empty(&self, slot: usize) -> bool {
        self.homes[slot].profiles.is_empty()
    }

    /// Claims `value` in the namespace at `slot` for `id`.
    ///
    /// # Errors
    /// Where the namespace has all the identifiers it can have.
    pub fn claim(&mut self, slot: usize, value: &str, id: ProfileId) -> Result<Claim> {
        let (home, is_new) = self.homes[slot].get_or_insert(value, || Ok(id))?;
        Ok(match (home == id, is_new) {
            (true, true) => Claim::New,
            (true, false) => Claim::Known,
            (false, _) if self.claims.insert((slot, value.to_owned(), id)) => Claim::NewConflict,
            (false, _) => Claim::OldConflict,
        })
    }

    /// The next id that will be given out.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// How many profiles were given out since the index was loaded.
    pub fn given_out(&self) -> u32 {
        self.next - self.first_new
    }

    /// Whether `id` was given out since the index was loaded.
    pub fn is_new(&self, id: ProfileId) -> bool {
        id.get() >= self.first_new
    }
}

/// A map from text to profile: the text lies in one buffer, since ten million small strings of their
/// own would cost four times the memory.
#[derive(Debug, Default)]
struct Homes {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    bytes: Vec<u8>,
    ends: Vec<u64>,
    profiles: Vec<ProfileId>,
}

impl Homes {
    /// The home of `value`.
    fn get(&self, value: &str) -> Option<ProfileId> {
        let Self { hasher, table, bytes, ends, profiles } = self;
        let hash = hasher.hash_one(value.as_bytes());
        let same = |entry: &u32| slice(bytes, ends, *entry) == value.as_bytes();
        table.find(hash, same).map(|entry| profiles[*entry as usize])
    }

    /// The home of `value`, or else the one that `make` gives it; and whether it is new.
    fn get_or_insert(
        &mut self,
        value: &str,
        make: impl FnOnce() -> Result<ProfileId>,
    ) -> Result<(ProfileId, bool)> {
        let Self { hasher, table, bytes, ends, profiles } = self;
        let hash = hasher.hash_one(value.as_bytes());
        let same = |entry: &u32| slice(bytes, ends, *entry) == value.as_bytes();
        if let Some(entry) = table.find(hash, same) {
            return Ok((profiles[*entry as usize], false));
        }
        let id = make()?;
        let entry = u32::try_from(profiles.len())
            .map_err(|_| Error::limit("a namespace has all the identifiers it can have: 2^32"))?;
        bytes.extend_from_slice(value.as_bytes());
        ends.push(bytes.len() as u64);
        profiles.push(id);
        table.insert_unique(hash, entry, |e| hasher.hash_one(slice(bytes, ends, *e)));
        Ok((id, true))
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[u64], entry: u32) -> &'a [u8] {
    let entry = entry as usize;
    let start = if entry == 0 { 0 } else { ends[entry - 1] };
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(ends[entry]).unwrap_or(0);
    &bytes[range]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_keep_what_they_were_told_first() {
        let mut homes = Homes::default();
        let ids: Vec<ProfileId> = (0..5_000).filter_map(ProfileId::new).collect();
        for id in &ids {
            let (_, is_new) = homes.get_or_insert(&format!("u{id}"), || Ok(*id)).expect("room");
            assert!(is_new);
        }
        assert_eq!((homes.get("u7"), homes.get("u70000")), (Some(ids[7]), None));
        assert_eq!(homes.get_or_insert("u7", || Ok(ids[9])).expect("room"), (ids[7], false));
        assert_eq!(homes.get_or_insert("", || Ok(ids[9])).expect("room"), (ids[9], true));
    }
}
