//! Feature queries run into columns: one row a profile, or one row a profile and item.

use std::collections::HashMap;
use std::path::PathBuf;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, Schema};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::AsOf;
use crate::model::tables::PROFILE_ID;
use crate::query::{Plan, Session};

use super::frame::{Column, Frame, Values};
use super::layout::Layout;
use super::sparse::Counts;

/// Distinct words that a column may have; more are no category.
const WORDS_MAX: usize = 1 << 20;

/// Distinct items that a query of items may return.
const ITEMS_MAX: usize = 1 << 22;

/// Microseconds in a day.
const DAY_MICROS: f64 = 86_400e6;

/// Ids that features are read for at a time: a multiple of every shard, so that no file is opened for
/// two parts.
const PART_IDS: u32 = 1 << 18;

/// A share of moments after `as_of` from which a column counts as newer than it.
const NEWER_SHARE: f64 = 0.01;

/// One query that makes features.
#[derive(Debug, Clone)]
pub(crate) struct FeatureQuery {
    /// Its name, for messages: the file's, or what the default recipe calls it.
    pub(crate) name: String,
    /// The query.
    pub(crate) sql: String,
    /// The file that it is in.
    pub(crate) file: Option<PathBuf>,
    /// Whether a row is a profile and an item (`profile_id, item[, count]`).
    pub(crate) items: bool,
}

/// A column that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The column.
    pub column: String,
    /// The reason.
    pub why: String,
}

/// What feature queries returned.
#[derive(Debug, Default)]
pub(crate) struct Features {
    /// The columns.
    pub(crate) frame: Frame,
    /// The query that each column of the frame is from.
    pub(crate) from: Vec<String>,
    /// The items.
    pub(crate) counts: Option<Counts>,
    /// Columns that cannot be used.
    pub(crate) left_out: Vec<LeftOut>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

impl Features {
    /// Runs `queries` for the profiles of `layout`.
    ///
    /// # Errors
    /// Where a query fails, returns no `profile_id`, two rows for a profile, or a column twice.
    pub(crate) async fn load(
        session: &Session,
        queries: &[FeatureQuery],
        layout: &Layout,
        as_of: AsOf,
    ) -> Result<Self> {
        let mut features =
            Self { frame: Frame { rows: layout.len(), columns: Vec::new() }, ..Self::default() };
        let mut items = Items::default();
        for query in queries {
            if query.items {
                items.read(session, query, layout).await?;
            } else {
                features.read(session, query, layout, as_of).await?;
            }
        }
        features.counts = items.finish(layout.len());
        Ok(features)
    }

    async fn read(
        &mut self,
        session: &Session,
        query: &FeatureQuery,
        layout: &Layout,
        as_of: AsOf,
    ) -> Result<()> {
        let plan = session.plan(&query.sql, query.file.as_deref()).await?;
        let here = |error: Error| placed(error, query);
        let schema = plan.schema();
        let id = id_column(&schema).map_err(here)?;
        let mut builders = Vec::new();
        for (at, field) in schema.fields().iter().enumerate().filter(|(at, _)| *at != id) {
            if self.frame.columns.iter().any(|c| &c.name == field.name())
                || builders.iter().any(|(_, b): &(usize, Builder)| &b.name == field.name())
            {
                let message = format!("two features are called \"{}\"", field.name());
                return Err(
                    here(Error::input(message)).with_hint("rename one: ... AS another_name")
                );
            }
            match Builder::new(field.name(), field.data_type(), layout.len()) {
                Some(builder) => builders.push((at, builder)),
                None => self.left_out.push(LeftOut {
                    column: field.name().clone(),
                    why: format!(
                        "its type {} is neither a number, a date nor text",
                        field.data_type()
                    ),
                }),
            }
        }
        let mut seen = vec![0_u64; layout.len().div_ceil(64)];
        let mut strangers = 0;
        for part in parts(&plan, layout)? {
            let mut stream = part.stream().await?;
            while let Some(batch) = stream.next().await? {
                let rows = rows_of(&batch, id, layout, &mut strangers)?;
                for row in rows.iter().flatten() {
                    let bit = 1 << (row % 64);
                    if seen[row / 64] & bit != 0 {
                        return Err(twice(query, layout.ids[*row]));
                    }
                    seen[row / 64] |= bit;
                }
                for (at, builder) in &mut builders {
                    builder.add(batch.column(*at), &rows, as_of)?;
                }
            }
        }
        if strangers > 0 {
            self.notes.push(format!(
                "{}: {strangers} rows are nobody's and were passed over",
                query.name
            ));
        }
        for (_, builder) in builders {
            self.keep(builder, &query.name);
        }
        Ok(())
    }

    fn keep(&mut self, builder: Builder, from: &str) {
        if builder.newer as f64 > NEWER_SHARE * builder.valid as f64 {
            self.left_out.push(LeftOut {
                column: builder.name,
                why: format!(
                    "{} of its {} moments are newer than as_of",
                    builder.newer, builder.valid
                ),
            });
            return;
        }
        if builder.infinite > 0 {
            self.notes.push(format!(
                "{}: {} infinite values count as missing",
                builder.name, builder.infinite
            ));
        }
        if builder.labels.len() >= WORDS_MAX {
            self.left_out.push(LeftOut {
                column: builder.name,
                why: format!("it has more than {WORDS_MAX} different words"),
            });
            return;
        }
        self.from.push(from.to_owned());
        self.frame.columns.push(builder.finish());
    }
}

/// The query over all profiles, a part of them at a time where that can be: groups and sets of one
/// part are all that is in memory then.
fn parts(plan: &Plan, layout: &Layout) -> Result<Vec<Plan>> {
    let end = layout.end();
    let starts = (0..end).step_by(PART_IDS as usize);
    // The last part has no end, so that rows of strangers are seen and counted there.
    let upto =
        |start: u32| if end - start <= PART_IDS { i32::MAX as u32 } else { start + PART_IDS };
    let part = |start: u32| plan.within(start..upto(start));
    if end <= PART_IDS {
        return Ok(vec![plan.clone()]);
    }
    let parts = starts.map(part).collect::<Result<Option<Vec<Plan>>>>()?;
    Ok(parts.unwrap_or_else(|| vec![plan.clone()]))
}

fn placed(error: Error, query: &FeatureQuery) -> Error {
    match &query.file {
        Some(file) => error.at(file, None, None),
        None => error.in_context(&query.name),
    }
}

fn twice(query: &FeatureQuery, id: u32) -> Error {
    placed(Error::data(format!("the query returns two rows for profile {id}")), query)
        .with_hint("group by profile_id, so that there is one row a profile")
        .with_hint("or, for counts of items, begin the file with -- kind: items and return profile_id, item, count")
}

fn id_column(schema: &Schema) -> Result<usize> {
    let mut found = (0..schema.fields().len()).filter(|&at| schema.field(at).name() == PROFILE_ID);
    let first = found.next().ok_or_else(|| {
        Error::input("the query has no column profile_id")
            .with_hint("a feature query returns profile_id and one column a feature")
    })?;
    if found.next().is_some() {
        return Err(Error::input("the query returns profile_id more than once")
            .with_hint("select one of them: SELECT a.profile_id, ..."));
    }
    if !schema.field(first).data_type().is_integer() {
        let found = schema.field(first).data_type();
        return Err(Error::input(format!("profile_id is {found} here, not an integer")));
    }
    Ok(first)
}

fn as_type(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    cast(column, data_type).map_err(|e| Error::data(format!("a feature: {e}")))
}

/// The row of each profile of a batch; `strangers` counts ids that are nobody's.
fn rows_of(
    batch: &RecordBatch,
    id: usize,
    layout: &Layout,
    strangers: &mut u64,
) -> Result<Vec<Option<usize>>> {
    let ids = as_type(batch.column(id), &DataType::Int64)?;
    let ids = ids.as_primitive::<Int64Type>();
    let row = |id: Option<i64>| {
        let row = id.and_then(|id| layout.row(id));
        *strangers += u64::from(id.is_some() && row.is_none());
        row
    };
    Ok(ids.iter().map(row).collect())
}

/// A column on its way.
struct Builder {
    name: String,
    shape: Shape,
    numbers: Vec<f32>,
    codes: Vec<u32>,
    labels: Vec<String>,
    places: HashMap<String, u32>,
    valid: u64,
    newer: u64,
    infinite: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Number,
    /// Days before `as_of`.
    Moment,
    Word,
}

impl Builder {
    fn new(name: &str, data_type: &DataType, rows: usize) -> Option<Self> {
        let shape = match data_type {
            DataType::Boolean => Shape::Number,
            t if t.is_numeric() => Shape::Number,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Shape::Moment,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Shape::Word,
            DataType::Dictionary(_, value) => return Self::new(name, value, rows),
            _ => return None,
        };
        let is_word = shape == Shape::Word;
        Some(Self {
            name: name.to_owned(),
            shape,
            numbers: if is_word { Vec::new() } else { vec![f32::NAN; rows] },
            codes: if is_word { vec![0; rows] } else { Vec::new() },
            labels: Vec::new(),
            places: HashMap::new(),
            valid: 0,
            newer: 0,
            infinite: 0,
        })
    }

    fn add(&mut self, column: &ArrayRef, rows: &[Option<usize>], as_of: AsOf) -> Result<()> {
        match self.shape {
            Shape::Number => {
                let column = as_type(column, &DataType::Float32)?;
                let column = column.as_primitive::<Float32Type>();
                for (at, row) in rows.iter().enumerate() {
                    if let Some(row) = row.filter(|_| column.is_valid(at)) {
                        let value = column.value(at);
                        self.infinite += u64::from(value.is_infinite());
                        self.numbers[row] = value;
                    }
                }
            }
            Shape::Moment => {
                let moment = crate::store::schema::timestamp();
                let column = as_type(&as_type(column, &moment)?, &DataType::Int64)?;
                let column = as_type(&column, &DataType::Float64)?;
                let column = column.as_primitive::<Float64Type>();
                for (at, row) in rows.iter().enumerate() {
                    if let Some(row) = row.filter(|_| column.is_valid(at)) {
                        let days = (as_of.micros() as f64 - column.value(at)) / DAY_MICROS;
                        self.valid += 1;
                        self.newer += u64::from(days < 0.0);
                        self.numbers[row] = if days < 0.0 { f32::NAN } else { days as f32 };
                    }
                }
            }
            Shape::Word => {
                let column = as_type(column, &DataType::Utf8)?;
                let column = column.as_string::<i32>();
                for (at, row) in rows.iter().enumerate() {
                    if let Some(row) = row.filter(|_| column.is_valid(at)) {
                        self.codes[row] = self.code(column.value(at));
                    }
                }
            }
        }
        Ok(())
    }

    fn code(&mut self, word: &str) -> u32 {
        if let Some(&code) = self.places.get(word) {
            return code;
        }
        if self.labels.len() >= WORDS_MAX {
            return 0;
        }
        self.labels.push(word.to_owned());
        let code = self.labels.len() as u32;
        self.places.insert(word.to_owned(), code);
        code
    }

    fn finish(self) -> Column {
        let values = match self.shape {
            Shape::Word => Values::Words { codes: self.codes, labels: self.labels },
            _ => Values::Numbers(self.numbers),
        };
        Column { name: self.name, values }
    }
}

/// Items on their way.
#[derive(Default)]
struct Items {
    entries: Vec<(u32, u32, f32)>,
    names: Vec<String>,
    places: HashMap<String, u32>,
}

impl Items {
    async fn read(
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
        for part in parts(&plan, layout)? {
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
    fn finish(self, rows: usize) -> Option<Counts> {
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
