//! Identifier to home profile, in memory, while an ingest runs.

use std::collections::{BTreeMap, BTreeSet};
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
    namespaces: BTreeMap<Namespace, Homes>,
    claims: BTreeSet<(Namespace, String, ProfileId)>,
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
            namespaces: namespaces.iter().map(|n| (n.clone(), Homes::default())).collect(),
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
            let text = |i: usize| arrow::compute::cast(batch.column(i), &arrow::datatypes::DataType::Utf8);
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
        let namespace = Namespace::parse(namespace)?;
        if !home {
            self.claims.insert((namespace, value.to_owned(), id));
        } else if let Some(homes) = self.namespaces.get_mut(&namespace) {
            homes.insert(value, id);
        }
        Ok(())
    }

    /// The home of `value`, given out now where it has none; and whether it is new.
    ///
    /// # Errors
    /// Where the store has all the profiles it can have.
    pub fn home(&mut self, namespace: &Namespace, value: &str) -> Result<(ProfileId, bool)> {
        let homes = self.namespaces.entry(namespace.clone()).or_default();
        if let Some(id) = homes.get(value) {
            return Ok((id, false));
        }
        let id = ProfileId::new(self.next).ok_or_else(|| {
            Error::limit("the store has all the profiles it can have: 2147483648")
        })?;
        self.next += 1;
        homes.insert(value, id);
        Ok((id, true))
    }

    /// Claims `value` for `id`.
    pub fn claim(&mut self, namespace: &Namespace, value: &str, id: ProfileId) -> Claim {
        let homes = self.namespaces.entry(namespace.clone()).or_default();
        match homes.get(value) {
            Some(home) if home == id => Claim::Known,
            Some(_) => {
                let claim = (namespace.clone(), value.to_owned(), id);
                if self.claims.insert(claim) { Claim::NewConflict } else { Claim::OldConflict }
            }
            None => {
                homes.insert(value, id);
                Claim::New
            }
        }
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
    homes: Vec<ProfileId>,
}

impl Homes {
    fn get(&self, value: &str) -> Option<ProfileId> {
        let hash = self.hasher.hash_one(value.as_bytes());
        let entry = self.table.find(hash, |entry| self.value(*entry) == value.as_bytes())?;
        Some(self.homes[*entry as usize])
    }

    /// Keeps the first home of a value.
    fn insert(&mut self, value: &str, id: ProfileId) {
        if self.get(value).is_some() {
            return;
        }
        let entry = u32::try_from(self.homes.len()).expect("fewer identifiers than profile ids times two");
        self.bytes.extend_from_slice(value.as_bytes());
        self.ends.push(self.bytes.len() as u64);
        self.homes.push(id);
        let hash = self.hasher.hash_one(value.as_bytes());
        let Self { hasher, table, bytes, ends, .. } = self;
        table.insert_unique(hash, entry, |e| hasher.hash_one(slice(bytes, ends, *e)));
    }

    fn value(&self, entry: u32) -> &[u8] {
        slice(&self.bytes, &self.ends, entry)
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
            homes.insert(&format!("u{id}"), *id);
        }
        homes.insert("u7", ids[9]);
        assert_eq!(homes.get("u7"), Some(ids[7]));
        assert_eq!(homes.get("u4999"), Some(ids[4_999]));
        assert_eq!(homes.get("u5000"), None);
        assert_eq!(homes.get(""), None);
    }
}
