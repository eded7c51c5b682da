//! Queries of items run into counts: one row a profile and item.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type};

use crate::error::{Error, Result};
use crate::query::Session;

use super::features::{FeatureQuery, as_type, id_column, parts, placed, rows_of};
use super::layout::Layout;
use super::sparse::Counts;

/// Distinct items that a query of items may return.
const ITEMS_MAX: usize = 1 << 22;

/// Items on their way.
#[derive(Default)]
pub(crate) struct Items {
    entries: Vec<(u32, u32, f32)>,
    names: Vec<String>,
    places: HashMap<String, u32>,
}

impl Items {
    /// Runs a query; an item of two queries is one.
    ///
    /// # Errors
    /// Where the query fails, or does not return a profile, an item and, at most, a count.
    pub(crate) async fn read(
        &mut self,
        session: &Session,
        query: &FeatureQuery,
        layout: &Layout,
    ) -> Result<()> {
        let plan = session.plan(&query.sql, query.file.as_deref()).await?;
        let here = |error: Error| placed(error, query);
        let schema = plan.schema();
        let id = id_column(&schema).map_err(here)?;
        let others: Vec<usize> = (0..schema.fields().len()).filter(|at| *at != id).collect();
        let (item, count) = match others[..] {
            [item] => (item, None),
            [item, count] if schema.field(count).data_type().is_numeric() => (item, Some(count)),
            _ => {
                return Err(here(Error::input(
                    "a query of items returns profile_id, item and, if you like, a count",
                ))
                .with_hint("SELECT profile_id, product_id, count(*) FROM events GROUP BY 1, 2"));
            }
        };
        let mut strangers = 0;
        for (part, _) in parts(&plan, layout)? {
            let mut stream = part.stream().await?;
            while let Some(batch) = stream.next().await? {
                let rows = rows_of(&batch, id, layout, &mut strangers)?;
                self.add(&batch, &rows, item, count).map_err(here)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        batch: &RecordBatch,
        rows: &[Option<usize>],
        item: usize,
        count: Option<usize>,
    ) -> Result<()> {
        let words = as_type(batch.column(item), &DataType::Utf8)?;
        let words = words.as_string::<i32>();
        let counts = count.map(|at| as_type(batch.column(at), &DataType::Float32)).transpose()?;
        let counts = counts.as_ref().map(AsArray::as_primitive::<Float32Type>);
        for (at, row) in rows.iter().enumerate() {
            let Some(row) = row.filter(|_| words.is_valid(at)) else { continue };
            let many = counts.map_or(1.0, |c| if c.is_valid(at) { c.value(at) } else { 0.0 });
            let item = self.place(words.value(at)).ok_or_else(|| {
                Error::limit(format!("there are more than {ITEMS_MAX} different items"))
                    .with_hint("group them, for example by category")
            })?;
            self.entries.push((row as u32, item, many));
        }
        Ok(())
    }

    fn place(&mut self, word: &str) -> Option<u32> {
        if let Some(&place) = self.places.get(word) {
            return Some(place);
        }
        let place = self.names.len() as u32;
        if self.names.len() >= ITEMS_MAX {
            return None;
        }
        self.names.push(word.to_owned());
        self.places.insert(word.to_owned(), place);
        Some(place)
    }

    /// The counts, items by name, so that the order in which rows came leaves no trace.
    pub(crate) fn finish(self, rows: usize) -> Option<Counts> {
        if self.entries.is_empty() {
            return None;
        }
        let mut order: Vec<u32> = (0..self.names.len() as u32).collect();
        order.sort_by(|&a, &b| self.names[a as usize].cmp(&self.names[b as usize]));
        let mut place = vec![0; order.len()];
        for (at, &item) in order.iter().enumerate() {
            place[item as usize] = at as u32;
        }
        let entries =
            self.entries.into_iter().map(|(row, item, n)| (row, place[item as usize], n)).collect();
        let names = order.iter().map(|&item| self.names[item as usize].clone()).collect();
        Some(Counts::new(rows, entries, names))
    }
}
