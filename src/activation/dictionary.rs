//! The identifiers of a namespace by profile: what turns profile ids into the ids that others know.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int32Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::membership::{Membership, Numbers};
use crate::model::Namespace;
use crate::model::tables::PROFILE_ID;
use crate::query::Session;

/// All identifiers of a namespace, by profile and then by value.
#[derive(Debug, Clone)]
pub struct Dictionary {
    namespace: Namespace,
    /// The version of the table of identifiers that it was read from.
    version: u64,
    profiles: Int32Array,
    values: StringArray,
    /// The values as numbers, where all of them are plain ones.
    numbers: Option<Vec<u64>>,
}

/// The identifiers of some members.
#[derive(Debug)]
pub struct Found {
    /// The rows of the dictionary that are theirs.
    pub rows: RecordBatch,
    /// How many of the members have one.
    pub profiles: u64,
}

impl Dictionary {
    /// Reads the identifiers of `namespace`; `version` is that of their table.
    ///
    /// # Errors
    /// Where the table cannot be read, or no profile has an identifier of the namespace.
    pub async fn load(session: &Session, namespace: &Namespace, version: u64) -> Result<Self> {
        let sql = format!(
            "SELECT profile_id, value FROM identifiers WHERE namespace = '{namespace}' AND home \
             ORDER BY profile_id, value"
        );
        let batches = session.plan(&sql, None).await?.collect().await?;
        let column = |index: usize, data_type: DataType| {
            let parts = batches.iter().map(|batch| cast(batch.column(index), &data_type));
            let parts = parts.collect::<Result<Vec<_>, _>>();
            let parts = parts.map_err(|e| Error::data(format!("identifiers: {e}")))?;
            let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
            concat(&parts).map_err(|e| {
                Error::limit(format!("the identifiers {namespace} are too many to export: {e}"))
            })
        };
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return Err(Error::input(format!("no profile has an identifier {namespace}")).with_hint(
                "`throng query \"SELECT DISTINCT namespace FROM identifiers\"` lists the namespaces",
            ));
        }
        let profiles = column(0, DataType::Int32)?.as_primitive::<Int32Type>().clone();
        let values = column(1, DataType::Utf8)?.as_string::<i32>().clone();
        let numbers = values.iter().flatten().map(plain_number).collect();
        Ok(Self { namespace: namespace.clone(), version, profiles, values, numbers })
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The version of the table of identifiers that it was read from.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether every identifier is a plain number of at most 64 bits, so that a bitmap can hold it.
    pub fn is_numeric(&self) -> bool {
        self.numbers.is_some()
    }

    /// The columns of [`Dictionary::rows`].
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(PROFILE_ID, DataType::Int32, false),
            Field::new(self.namespace.as_str(), DataType::Utf8, false),
        ]))
    }

    /// The rows of `members`: `profile_id` and the identifier, ascending.
    ///
    /// # Errors
    /// Where Arrow cannot build them.
    pub fn rows(&self, members: &Membership) -> Result<Found> {
        let places = self.places(members);
        let profiles: Int32Array = places.iter().map(|at| self.profiles.value(*at)).collect();
        let values: StringArray = places.iter().map(|at| Some(self.values.value(*at))).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(profiles), Arc::new(values)];
        let rows = RecordBatch::try_new(self.schema(), columns)
            .map_err(|e| Error::internal(format!("a dictionary: {e}")))?;
        Ok(Found { rows, profiles: self.distinct(&places) })
    }

    /// The identifiers of `members` as numbers, and how many of the members have one; nothing where
    /// identifiers are not numeric.
    pub fn numbers(&self, members: &Membership) -> Option<(Numbers, u64)> {
        let numbers = self.numbers.as_ref()?;
        let places = self.places(members);
        Some((places.iter().map(|at| numbers[*at]).collect(), self.distinct(&places)))
    }

    /// The rows whose profile is in `members`.
    fn places(&self, members: &Membership) -> Vec<usize> {
        let rows = self.profiles.values();
        let mut at = 0;
        let mut places = Vec::new();
        for id in members.iter() {
            let id = id.get().cast_signed();
            // Profiles have few rows each, so the next one is near; a far one is found by halves.
            at += gallop(&rows[at..], id);
            while rows.get(at) == Some(&id) {
                places.push(at);
                at += 1;
            }
        }
        places
    }

    fn distinct(&self, places: &[usize]) -> u64 {
        let mut last = None;
        let is_new = |at: &&usize| {
            last.replace(self.profiles.value(**at)) != Some(self.profiles.value(**at))
        };
        places.iter().filter(is_new).count() as u64
    }
}

/// How many of the ascending `rows` are below `id`.
fn gallop(rows: &[i32], id: i32) -> usize {
    let mut step = 1;
    while rows.get(step).is_some_and(|row| *row < id) {
        step *= 2;
    }
    let from = step / 2;
    let to = rows.len().min(step + 1);
    from.min(to) + rows[from.min(to)..to].partition_point(|row| *row < id)
}

/// `value` as a number, where that number is spelled so and not otherwise.
fn plain_number(value: &str) -> Option<u64> {
    let number: u64 = value.parse().ok()?;
    let plain = value == "0" || !value.starts_with(['0', '+']);
    plain.then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ProfileId;

    fn dictionary(rows: &[(i32, &str)]) -> Dictionary {
        let values: StringArray = rows.iter().map(|(_, value)| Some(*value)).collect();
        Dictionary {
            namespace: Namespace::parse("user_id").expect("a namespace"),
            version: 3,
            profiles: rows.iter().map(|(id, _)| *id).collect(),
            numbers: values.iter().flatten().map(plain_number).collect(),
            values,
        }
    }

    fn members(ids: &[u32]) -> Membership {
        ids.iter().filter_map(|id| ProfileId::new(*id)).collect()
    }

    #[test]
    fn a_profile_with_two_identifiers_has_two_rows_and_counts_once() {
        let dictionary = dictionary(&[(1, "10"), (4, "40"), (4, "41"), (9, "90")]);
        let found = dictionary.rows(&members(&[0, 4, 9, 12])).expect("rows");
        let values: Vec<_> = found.rows.column(1).as_string::<i32>().iter().flatten().collect();
        assert_eq!((values, found.profiles), (vec!["40", "41", "90"], 2));
        let (numbers, profiles) = dictionary.numbers(&members(&[4])).expect("numbers");
        assert_eq!((numbers.iter().collect::<Vec<_>>(), profiles), (vec![40, 41], 1));
    }

    #[test]
    fn one_value_that_is_no_plain_number_makes_a_namespace_text() {
        for value in ["007", "+7", "-7", "a7", "7.0", "", "18446744073709551616"] {
            assert!(!dictionary(&[(1, "10"), (2, value)]).is_numeric(), "{value}");
        }
        assert!(dictionary(&[(1, "0"), (2, "18446744073709551615")]).is_numeric());
    }

    proptest! {
        #[test]
        fn rows_are_found_as_a_plain_search_finds_them(
            mut profiles in proptest::collection::vec(0..300_i32, 0..200),
            ids in proptest::collection::btree_set(0..320_u32, 0..100),
        ) {
            profiles.sort_unstable();
            let rows: Vec<(i32, &str)> = profiles.iter().map(|id| (*id, "1")).collect();
            let ids: Vec<u32> = ids.into_iter().collect();
            let is_in = |id: i32| ids.contains(&id.cast_unsigned());
            let plain: Vec<usize> =
                (0..profiles.len()).filter(|at| is_in(profiles[*at])).collect();
            prop_assert_eq!(dictionary(&rows).places(&members(&ids)), plain);
        }
    }
}
