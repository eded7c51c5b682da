//! A feature query run into columns, a chunk of profiles at a time: one row a profile.

use std::ops::Range;
use std::path::PathBuf;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float32Type, Float64Type, Int64Type, Schema};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::AsOf;
use crate::model::tables::PROFILE_ID;
use crate::query::{Plan, Session};

use super::encode::Study;
use super::frame::Values;
use super::layout::{CHUNK_IDS, Layout};
use super::raw::Raw;

/// Distinct words that a column may have; more are no category.
const WORDS_MAX: usize = 1 << 20;

/// Microseconds in a day.
const DAY_MICROS: f64 = 86_400e6;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The column.
    pub column: String,
    /// The reason.
    pub why: String,
}

/// What a query of columns returned: not encoded yet, chunk by chunk.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The columns, and what their chunks told so far.
    pub(crate) columns: Vec<Drafted>,
    /// Columns that cannot be used.
    pub(crate) left_out: Vec<LeftOut>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
    /// The values.
    pub(crate) raw: Raw,
}

/// A column that can be encoded.
#[derive(Debug)]
pub(crate) struct Drafted {
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) study: Study,
    /// Its place in a chunk of raw values.
    pub(crate) at: usize,
}

impl Draft {
    /// Runs `query` for the profiles of `layout`; values that are too many for memory go to `raw`.
    ///
    /// # Errors
    /// Where the query fails, returns no `profile_id`, two rows for a profile, or a column twice.
    pub(crate) async fn load(
        session: &Session,
        query: &FeatureQuery,
        layout: &Layout,
        mut raw: Raw,
    ) -> Result<Self> {
        let plan = session.plan(&query.sql, query.file.as_deref()).await?;
        let id = id_column(&plan.schema()).map_err(|error| placed(error, query))?;
        let mut left_out = Vec::new();
        let mut builders = builders(query, &plan, id, layout, &mut left_out)?;
        raw.expect(layout, &builders.iter().map(|(_, b)| b.is_word()).collect::<Vec<bool>>());
        let mut seen = vec![0_u64; layout.len().div_ceil(64)];
        let mut strangers = 0;
        for (part, chunks) in parts(&plan, layout)? {
            let first = layout.chunk(chunks.start).start;
            let rows = layout.chunk(chunks.end - 1).end - first;
            for (_, builder) in &mut builders {
                builder.begin(rows);
            }
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
                    builder.add(batch.column(*at), &rows, first, session.as_of())?;
                }
            }
            for chunk in chunks {
                let rows = layout.chunk(chunk);
                let mut cut = |(_, builder): &mut (usize, Builder)| builder.cut(&rows, first);
                let values: Vec<Values> = builders.iter_mut().map(&mut cut).collect();
                raw.push(chunk, values).await;
            }
        }
        let mut draft = Self { columns: Vec::new(), left_out, notes: Vec::new(), raw };
        if strangers > 0 {
            let name = &query.name;
            draft.notes.push(format!("{name}: {strangers} rows are nobody's and were passed over"));
        }
        for (at, (_, builder)) in builders.into_iter().enumerate() {
            draft.keep(builder, at);
        }
        Ok(draft)
    }

    fn keep(&mut self, builder: Builder, at: usize) {
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
        let Builder { name, labels, study, .. } = builder;
        self.columns.push(Drafted { name, labels, study, at });
    }
}

/// A builder for each column of the query that can be a feature, with its place in a batch.
fn builders(
    query: &FeatureQuery,
    plan: &Plan,
    id: usize,
    layout: &Layout,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<(usize, Builder)>> {
    let mut builders: Vec<(usize, Builder)> = Vec::new();
    for (at, field) in plan.schema().fields().iter().enumerate().filter(|(at, _)| *at != id) {
        if builders.iter().any(|(_, builder)| &builder.name == field.name()) {
            return Err(named_twice(query, field.name()));
        }
        match Builder::new(field.name(), field.data_type(), layout.len()) {
            Some(builder) => builders.push((at, builder)),
            None => left_out.push(LeftOut {
                column: field.name().clone(),
                why: format!("its type {} is neither a number, a date nor text", field.data_type()),
            }),
        }
    }
    Ok(builders)
}

/// The error of a feature that is there already.
pub(crate) fn named_twice(query: &FeatureQuery, name: &str) -> Error {
    placed(Error::input(format!("two features are called \"{name}\"")), query)
        .with_hint("rename one: ... AS another_name")
}

/// Whether a query's columns depend on the moment that they are asked at.
pub(crate) fn depends_on_moment(plan: &Plan) -> bool {
    let moment = |data_type: &DataType| shape(data_type) == Some(Shape::Moment);
    plan.uses_now() || plan.schema().fields().iter().any(|field| moment(field.data_type()))
}

/// The query over all profiles with the chunks that each part fills, a chunk at a time where that can be:
/// groups and sets of one chunk are all that is in memory then.
pub(crate) fn parts(plan: &Plan, layout: &Layout) -> Result<Vec<(Plan, Range<usize>)>> {
    let chunks = layout.chunks();
    // The last part has no end, so that rows of strangers are seen and counted there.
    let upto = |chunk: usize| {
        if chunk + 1 == chunks { i32::MAX as u32 } else { (chunk as u32 + 1) * CHUNK_IDS }
    };
    let part = |chunk: usize| plan.within(chunk as u32 * CHUNK_IDS..upto(chunk));
    let parts = if chunks > 1 {
        (0..chunks).map(part).collect::<Result<Option<Vec<Plan>>>>()?
    } else {
        None
    };
    Ok(match parts {
        Some(parts) => parts.into_iter().enumerate().map(|(at, part)| (part, at..at + 1)).collect(),
        None => vec![(plan.clone(), 0..chunks)],
    })
}

pub(crate) fn placed(error: Error, query: &FeatureQuery) -> Error {
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

pub(crate) fn id_column(schema: &Schema) -> Result<usize> {
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

pub(crate) fn as_type(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    cast(column, data_type).map_err(|e| Error::data(format!("a feature: {e}")))
}

/// The row of each profile of a batch; `strangers` counts ids that are nobody's.
pub(crate) fn rows_of(
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

/// Gives each value that is there to `take`, with the row of its profile.
fn each<T: ArrowPrimitiveType>(
    column: &PrimitiveArray<T>,
    rows: &[Option<usize>],
    mut take: impl FnMut(usize, T::Native),
) {
    let values = rows.iter().zip(column.values());
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => {
            values.for_each(|(row, value)| row.iter().for_each(|row| take(*row, *value)));
        }
        Some(nulls) => {
            for ((row, value), valid) in values.zip(nulls) {
                row.iter().filter(|_| valid).for_each(|row| take(*row, *value));
            }
        }
    }
}

/// A column on its way.
struct Builder {
    name: String,
    shape: Shape,
    numbers: Vec<f32>,
    codes: Vec<u32>,
    labels: Vec<String>,
    places: HashMap<String, u32>,
    study: Study,
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

/// What a column of this type is; nothing where it can be no feature.
fn shape(data_type: &DataType) -> Option<Shape> {
    match data_type {
        DataType::Boolean => Some(Shape::Number),
        t if t.is_numeric() => Some(Shape::Number),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Some(Shape::Moment),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Shape::Word),
        DataType::Dictionary(_, value) => shape(value),
        _ => None,
    }
}

impl Builder {
    fn new(name: &str, data_type: &DataType, rows: usize) -> Option<Self> {
        let shape = shape(data_type)?;
        let is_word = shape == Shape::Word;
        Some(Self {
            name: name.to_owned(),
            shape,
            numbers: Vec::new(),
            codes: Vec::new(),
            labels: Vec::new(),
            places: HashMap::new(),
            study: if is_word { Study::Words(Vec::new()) } else { Study::numbers(rows) },
            valid: 0,
            newer: 0,
            infinite: 0,
        })
    }

    fn is_word(&self) -> bool {
        self.shape == Shape::Word
    }

    /// Begins with fresh rows.
    fn begin(&mut self, rows: usize) {
        if self.is_word() {
            self.codes = vec![0; rows];
        } else {
            self.numbers = vec![f32::NAN; rows];
        }
    }

    /// The values of `rows`, of which those that were begun with are from `first` on.
    fn cut(&mut self, rows: &Range<usize>, first: usize) -> Values {
        let own = rows.start - first..rows.end - first;
        // What is the whole of it need not be copied.
        let values = if self.is_word() {
            let whole = own.len() == self.codes.len();
            let codes =
                if whole { std::mem::take(&mut self.codes) } else { self.codes[own].to_vec() };
            Values::Words { codes, labels: Vec::new() }
        } else if own.len() == self.numbers.len() {
            Values::Numbers(std::mem::take(&mut self.numbers))
        } else {
            Values::Numbers(self.numbers[own].to_vec())
        };
        self.study.see(rows.start, &values);
        values
    }

    fn add(
        &mut self,
        column: &ArrayRef,
        rows: &[Option<usize>],
        first: usize,
        as_of: AsOf,
    ) -> Result<()> {
        match self.shape {
            // What queries return most is not copied into another type first.
            Shape::Number if *column.data_type() == DataType::Float64 => {
                let column = column.as_primitive::<Float64Type>();
                each(column, rows, |row, value| self.number(row - first, value as f32));
            }
            Shape::Number => {
                let column = as_type(column, &DataType::Float32)?;
                let column = column.as_primitive::<Float32Type>();
                each(column, rows, |row, value| self.number(row - first, value));
            }
            Shape::Moment if *column.data_type() == DataType::Date32 => {
                let as_of = as_of.micros() as f64 / DAY_MICROS;
                let column = column.as_primitive::<Date32Type>();
                each(column, rows, |row, day| self.days(row - first, as_of - f64::from(day)));
            }
            Shape::Moment => {
                let moment = crate::store::schema::timestamp();
                let column = as_type(&as_type(column, &moment)?, &DataType::Int64)?;
                each(column.as_primitive::<Int64Type>(), rows, |row, micros| {
                    let days = (as_of.micros() as f64 - micros as f64) / DAY_MICROS;
                    self.days(row - first, days);
                });
            }
            Shape::Word => {
                let column = as_type(column, &DataType::Utf8View)?;
                for (row, word) in rows.iter().zip(column.as_string_view()) {
                    if let (Some(row), Some(word)) = (row, word) {
                        self.codes[row - first] = self.code(word);
                    }
                }
            }
        }
        Ok(())
    }

    fn number(&mut self, at: usize, value: f32) {
        self.infinite += u64::from(value.is_infinite());
        self.numbers[at] = value;
    }

    /// Takes a moment so many days before `as_of`.
    fn days(&mut self, at: usize, days: f64) {
        self.valid += 1;
        self.newer += u64::from(days < 0.0);
        self.numbers[at] = if days < 0.0 { f32::NAN } else { days as f32 };
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
}
