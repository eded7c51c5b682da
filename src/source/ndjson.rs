//! One JSON object a line: columns from a sample, then lines into batches. Objects within become
//! columns `outer_inner`, arrays of strings lists, what is of several kinds JSON text.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value};

use super::files::SourceFile;
use super::guess::{Guess, Rules};
use super::input::Input;
use super::json_row::{push_line, syntax_fault};
use super::names::{place_of, usable_names};
use super::options::{Delimiter, NO_QUOTE, ReadOptions};
use super::records::{Grammar, Record, Records};
use super::rows::{Output, Rows};
use super::table::{ColumnPlan, Plan};
use super::times::Reading;
use crate::error::{Error, Result};

/// Objects deeper than this stay JSON text.
const DEPTH_MAX: usize = 8;
/// The most columns that objects may be spread over; an object used as a map has a key per value.
const COLUMNS_MAX: usize = 4_096;
/// No byte of a line of JSON: lines are records of a single field.
const NO_DELIMITER: u8 = 0;

const BOOL: u8 = 1;
const INT: u8 = 2;
const FLOAT: u8 = 4;
const TEXT: u8 = 8;
const OBJECT: u8 = 16;
const LIST: u8 = 32;
const OTHER: u8 = 64;

/// What the values at one path were.
#[derive(Debug, Default)]
struct Seen {
    kinds: u8,
    text: Guess,
    keys: Vec<(String, Seen)>,
    places: HashMap<String, usize>,
}

impl Seen {
    fn observe(&mut self, value: &Value, rules: &Rules) {
        self.kinds |= match value {
            Value::Null => 0,
            Value::Bool(_) => BOOL,
            Value::Number(number) if number.is_i64() => INT,
            Value::Number(number) if number.is_u64() => OTHER,
            Value::Number(_) => FLOAT,
            Value::String(text) => {
                self.text.observe(text.as_bytes(), rules);
                TEXT
            }
            Value::Array(items) if items.iter().all(Value::is_string) => LIST,
            Value::Array(_) => OTHER,
            Value::Object(object) => {
                self.observe_keys(object, rules);
                OBJECT
            }
        };
    }

    fn observe_keys(&mut self, object: &Map<String, Value>, rules: &Rules) {
        for (key, value) in object {
            let place = match self.places.get(key) {
                Some(&place) => place,
                None if self.keys.len() >= COLUMNS_MAX => continue,
                None => {
                    self.places.insert(key.clone(), self.keys.len());
                    self.keys.push((key.clone(), Self::default()));
                    self.keys.len() - 1
                }
            };
            self.keys[place].1.observe(value, rules);
        }
    }

    fn data_type(&self) -> DataType {
        match self.kinds {
            BOOL => DataType::Boolean,
            INT => DataType::Int64,
            kinds if kinds & !(INT | FLOAT) == 0 && kinds != 0 => DataType::Float64,
            TEXT => self.text.string_type(),
            LIST => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            _ => DataType::Utf8,
        }
    }

    /// Whether this is spread over a column for each key.
    fn is_spread(&self, depth: usize) -> bool {
        self.kinds == OBJECT && !self.keys.is_empty() && depth < DEPTH_MAX
    }
}

/// Where the values of an object go, by key.
#[derive(Debug, Default)]
pub(super) struct Shape {
    keys: HashMap<String, Goal>,
}

impl Shape {
    /// Where the value of `key` goes, and the key, if it goes anywhere.
    pub(super) fn goal(&self, key: &str) -> Option<(&str, &Goal)> {
        self.keys.get_key_value(key).map(|(key, goal)| (key.as_str(), goal))
    }
}

/// Where the values of one key go.
#[derive(Debug)]
pub(super) enum Goal {
    /// The column at this place.
    Column(usize),
    /// The columns of an object within.
    Object(Shape),
}

/// The columns being settled.
struct Settling<'a> {
    columns: Vec<ColumnPlan>,
    types: &'a [(String, DataType)],
}

impl Settling<'_> {
    fn shape(&mut self, seen: &Seen, prefix: &str, depth: usize) -> Shape {
        let mut shape = Shape::default();
        for (key, inner) in &seen.keys {
            let name = format!("{prefix}{key}");
            let declared = self.types.iter().find(|(wanted, _)| *wanted == name);
            let goal = if declared.is_none() && inner.is_spread(depth) {
                Goal::Object(self.shape(inner, &format!("{name}_"), depth + 1))
            } else {
                let mut column = ColumnPlan::inferred(&name, inner.data_type());
                if let Some((_, data_type)) = declared {
                    column.data_type = data_type.clone();
                    column.reading = Reading::Declared;
                }
                self.columns.push(column);
                Goal::Column(self.columns.len() - 1)
            };
            shape.keys.insert(key.clone(), goal);
        }
        shape
    }
}

/// Finds the columns of the files, looking at `sample_rows` lines of each. A declared column that
/// none of them has is a column all the same: the key may come later.
///
/// # Errors
/// Where a file cannot be read or is a JSON array, or nothing tells the columns.
pub(super) fn open(
    files: &[SourceFile],
    options: &ReadOptions,
    rules: &Rules,
    sample_rows: usize,
) -> Result<(Vec<ColumnPlan>, Shape)> {
    let mut seen = Seen::default();
    for file in files {
        let mut records = lines(file, options, None)?;
        for _ in 0..sample_rows {
            let Some(record) = records.next()? else { break };
            if record.line == 1 && record.raw.trim_ascii_start().starts_with(b"[") {
                return Err(Error::data(format!(
                    "{} is a JSON array, not an object a line",
                    file.shown
                ))
                .with_hint("rewrite it: jq -c '.[]' FILE > FILE.ndjson"));
            }
            if let Ok(Some(object)) = object_of(&record) {
                seen.observe_keys(&object, rules);
            }
        }
    }
    let mut settling = Settling { columns: Vec::new(), types: &options.types };
    let mut shape = settling.shape(&seen, "", 0);
    let mut columns = settling.columns;
    for (name, data_type) in &options.types {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let place = place_of(name, &names).unwrap_or_else(|| {
            shape.keys.entry(name.clone()).or_insert(Goal::Column(columns.len()));
            columns.push(ColumnPlan::inferred(name, data_type.clone()));
            columns.len() - 1
        });
        columns[place].data_type = data_type.clone();
        columns[place].reading = Reading::Declared;
    }
    if columns.is_empty() {
        let shown = files.first().map_or("no file", |file| file.shown.as_str());
        return Err(Error::data(format!(
            "{shown} holds no JSON object: nothing tells its columns"
        ))
        .with_hint("declare them, for instance types: id bigint, name text"));
    }
    let names = usable_names(columns.iter().map(|column| column.name.as_str()));
    columns.iter_mut().zip(names).for_each(|(column, name)| column.name = name);
    Ok((columns, shape))
}

fn lines(
    file: &SourceFile,
    options: &ReadOptions,
    progress: Option<Arc<super::rejects::Progress>>,
) -> Result<Records> {
    let grammar = Grammar::new(Delimiter::Byte(NO_DELIMITER), NO_QUOTE);
    Ok(Records::of_input(Input::open(file, options, progress)?, grammar))
}

/// The line as text.
fn text_of<'a>(record: &Record<'a>) -> Result<&'a str, String> {
    match record.fault() {
        Some(fault) => Err(fault),
        None => std::str::from_utf8(record.raw).map_err(|_| {
            "invalid UTF-8; the file may be latin1: encoding: windows-1252".to_owned()
        }),
    }
}

/// The object on a line; nothing on a line of blanks.
fn object_of(record: &Record<'_>) -> Result<Option<Map<String, Value>>, String> {
    if let Some(fault) = record.fault() {
        return Err(fault);
    }
    if record.raw.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(record.raw) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err("the line is no JSON object".to_owned()),
        Err(cause) => Err(syntax_fault(&cause)),
    }
}

/// One NDJSON file being read.
pub(super) struct NdjsonReader {
    records: Records,
    shape: Arc<Shape>,
    rows: Rows,
    plan: Arc<Plan>,
}

impl NdjsonReader {
    pub(super) fn open(
        file: &SourceFile,
        shape: Arc<Shape>,
        plan: &Arc<Plan>,
        output: Output,
    ) -> Result<Self> {
        Ok(Self {
            records: lines(file, &plan.options, Some(Arc::clone(&output.progress)))?,
            shape,
            rows: Rows::new(plan, &file.shown, output)?,
            plan: Arc::clone(plan),
        })
    }

    /// The next batch, or nothing at the end of the file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while !self.rows.is_full() {
            let Some(record) = self.records.next()? else { break };
            if record.raw.trim_ascii().is_empty() {
                continue;
            }
            let fitted = text_of(&record)
                .and_then(|line| push_line(line, &mut self.rows, &self.shape, &self.plan.rules));
            self.rows.end_row(record.line, record.raw, fitted);
        }
        if self.rows.is_empty() { Ok(None) } else { self.rows.finish().map(Some) }
    }
}
