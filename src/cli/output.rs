//! What people and programs read: tables, JSON, CSV, numbers, errors.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::ArrayWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};

use super::args::OutputFormat;

/// Rows that a table shows; more are counted. JSON and CSV have all.
const TABLE_ROWS_MAX: usize = 100;

/// Where results and messages go, and how they look.
#[derive(Debug, Clone)]
pub struct Output {
    format: OutputFormat,
    quiet: bool,
    root: Option<PathBuf>,
}

impl Output {
    /// Results as `format`; messages unless `quiet`.
    pub fn new(format: OutputFormat, quiet: bool) -> Self {
        Self { format, quiet, root: None }
    }

    /// The project's folder, so that an error can show the line it is about.
    pub fn set_root(&mut self, root: &Path) {
        self.root = Some(root.to_path_buf());
    }

    /// Whether results are a header and lines, and so all of one kind.
    pub fn is_csv(&self) -> bool {
        self.format == OutputFormat::Csv
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Makes results look as `name` says: `table`, `json` or `csv`.
    ///
    /// # Errors
    /// Where it is none of these.
    pub fn set_format(&mut self, name: &str) -> Result<()> {
        self.format = <OutputFormat as clap::ValueEnum>::from_str(name, true).map_err(|_| {
            Error::input(format!("\"{name}\" is no format")).with_hint("table, json or csv")
        })?;
        Ok(())
    }

    /// Whether results are for people.
    pub fn is_table(&self) -> bool {
        self.format == OutputFormat::Table
    }

    /// Whether progress may be shown: to a person at a terminal who did not ask for silence.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Writes a line for people to stderr.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            let _nobody_listens = writeln!(io::stderr(), "{}", text.as_ref());
        }
    }

    /// Writes notes for people to stderr, which in JSON has errors alone.
    pub fn notes(&self, notes: &[String]) {
        for note in notes.iter().filter(|_| !self.is_json()) {
            self.say(format!("note: {note}"));
        }
    }

    /// Writes the columns' names of a list that has no rows, where it would be CSV; says whether.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub fn header(&self, names: &str) -> Result<bool> {
        if self.is_csv() {
            self.write(&format!("{names}\n"))?;
        }
        Ok(self.is_csv())
    }

    /// Writes `text` to stdout. A reader that has gone away (`| head`) ends the command in peace.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        write_bytes(text.as_bytes())
    }

    /// Writes `bytes` to stdout, as [`Output::write`].
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub fn write_bytes(&self, bytes: &[u8]) -> Result<()> {
        write_bytes(bytes)
    }

    /// Writes one result: `human` makes the text for people.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub fn one<T: Serialize>(&self, value: &T, human: impl FnOnce(&T) -> String) -> Result<()> {
        match self.format {
            OutputFormat::Table => self.write(&human(value)),
            OutputFormat::Json => self.write(&format!("{}\n", to_json(value)?)),
            OutputFormat::Csv => Self::csv(std::slice::from_ref(&to_json(value)?)),
        }
    }

    /// Writes a list: `human` makes the text for people.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub fn list<T: Serialize>(&self, rows: &[T], human: impl FnOnce(&[T]) -> String) -> Result<()> {
        match self.format {
            OutputFormat::Table => self.write(&human(rows)),
            OutputFormat::Json => self.write(&format!("{}\n", to_json(&rows)?)),
            OutputFormat::Csv => Self::csv(&rows.iter().map(to_json).collect::<Result<Vec<_>>>()?),
        }
    }

    fn csv(rows: &[Value]) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let failed = |e: csv::Error| Error::internal(format!("csv: {e}"));
        // Fields that are absent where there is nothing to say are empty here.
        let mut names: Vec<&String> = Vec::new();
        for name in rows.iter().filter_map(Value::as_object).flat_map(Map::keys) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !names.is_empty() {
            writer.write_record(&names).map_err(failed)?;
        }
        for row in rows.iter().filter_map(Value::as_object) {
            let values = names.iter().map(|name| row.get(*name).map(plain).unwrap_or_default());
            writer.write_record(values).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|e| Error::internal(format!("csv: {e}")))?;
        write_bytes(&bytes)
    }

    /// Writes the rows of a query.
    ///
    /// # Errors
    /// Where stdout cannot be written, or a column has no text.
    pub fn batches(&self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
        let failed = |e: ArrowError| Error::internal(format!("rows: {e}"));
        let mut bytes = Vec::new();
        match self.format {
            OutputFormat::Table => return self.write(&rows_table(schema, batches)?),
            OutputFormat::Json => {
                let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
                let mut writer: ArrayWriter<&mut Vec<u8>> = builder.build(&mut bytes);
                batches.iter().try_for_each(|b| writer.write(b)).map_err(failed)?;
                writer.finish().map_err(failed)?;
                if bytes.is_empty() {
                    bytes.extend_from_slice(b"[]");
                }
                bytes.push(b'\n');
            }
            OutputFormat::Csv => {
                let mut writer = WriterBuilder::new().with_header(true).build(&mut bytes);
                let empty = RecordBatch::new_empty(SchemaRef::clone(schema));
                let all = std::iter::once(&empty).chain(batches);
                all.map(flat).try_for_each(|b| writer.write(&b?)).map_err(failed)?;
            }
        }
        write_bytes(&bytes)
    }

    /// Writes `error` to stderr: for people with the line it is about, for programs as JSON.
    pub fn error(&self, error: &Error) {
        let text = match self.format {
            OutputFormat::Json => format!("{}\n", json!({"error": error_json(error)})),
            _ => self.error_text(error),
        };
        let _nobody_listens = io::stderr().write_all(text.as_bytes());
    }

    /// An error for people.
    pub fn error_text(&self, error: &Error) -> String {
        let mut text = format!("error: {}\n", error.message());
        if let Some(place) = error.place() {
            let _infallible = writeln!(text, "  --> {place}");
            if let Some(line) = self.line_of(place) {
                let _infallible = write!(text, "{line}");
            }
        }
        for hint in error.hints() {
            let _infallible = writeln!(text, "hint: {hint}");
        }
        if error.kind() == ErrorKind::Internal {
            text.push_str("hint: this is a fault of Throng's; please report it with the command\n");
        }
        text
    }

    fn line_of(&self, place: &crate::error::Place) -> Option<String> {
        let number = place.line?;
        let file = std::fs::read_to_string(self.root.as_ref()?.join(&place.file)).ok()?;
        let file = file.strip_prefix('\u{feff}').unwrap_or(&file);
        let line = file.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?)?;
        let mut text = format!("   |\n{number:>3}| {line}\n");
        if let Some(column) = place.column {
            let indent = " ".repeat(usize::try_from(column).ok()?.saturating_sub(1));
            let _infallible = writeln!(text, "   | {indent}^");
        }
        Some(text)
    }
}

fn write_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Error::unavailable(format!("cannot write the result: {e}"))),
        Ok(()) => Ok(()),
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|e| Error::internal(format!("json: {e}")))
}

/// An error as programs read it.
pub fn error_json(error: &Error) -> Value {
    let mut fields = Map::new();
    fields.insert("kind".to_owned(), json!(error.kind().as_str()));
    fields.insert("message".to_owned(), json!(error.message()));
    fields.insert("hints".to_owned(), json!(error.hints()));
    if let Some(place) = error.place() {
        fields.insert("file".to_owned(), json!(place.file));
        if let Some(line) = place.line {
            fields.insert("line".to_owned(), json!(line));
        }
        if let Some(column) = place.column {
            fields.insert("column".to_owned(), json!(column));
        }
    }
    Value::Object(fields)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().any(|i| i.is_object() || i.is_array()) => {
            value.to_string()
        }
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// `batch` with nested columns as the text that tables show: CSV has no lists.
fn flat(batch: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let options = FormatOptions::default();
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        if !field.data_type().is_nested() {
            return Ok((field.name(), ArrayRef::clone(column)));
        }
        let text = ArrayFormatter::try_new(column, &options)?;
        let values =
            (0..column.len()).map(|row| column.is_valid(row).then(|| text.value(row).to_string()));
        Ok((field.name(), Arc::new(values.collect::<StringArray>()) as ArrayRef))
    });
    RecordBatch::try_from_iter(columns.collect::<std::result::Result<Vec<_>, ArrowError>>()?)
}

fn rows_table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String> {
    let failed = |e: ArrowError| Error::internal(format!("rows: {e}"));
    let options = FormatOptions::default().with_null("null");
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let mut table = table(&names);
    let mut rows = 0;
    for batch in batches {
        let columns = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
        for row in 0..batch.num_rows() {
            rows += 1;
            if rows <= TABLE_ROWS_MAX {
                table.add_row(columns.iter().map(|c| c.value(row).to_string()));
            }
        }
    }
    for (index, field) in schema.fields().iter().enumerate() {
        if field.data_type().is_numeric() {
            align_right(&mut table, index);
        }
    }
    let more = rows.saturating_sub(TABLE_ROWS_MAX);
    let note = match more {
        0 => format!("{}\n", plural(rows as u64, "row")),
        more => format!(
            "{} rows, {} of them not shown (--format csv has all)\n",
            count(rows as u64),
            count(more as u64)
        ),
    };
    Ok(format!("{}{note}", render(&table)))
}

/// A table with the house's look: a line below the header, no boxes.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header.to_vec());
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A table as text: without blanks at the ends of lines, and with a line break at its end.
pub fn render(table: &Table) -> String {
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Aligns a column of numbers.
pub fn align_right(table: &mut Table, index: usize) {
    if let Some(column) = table.column_mut(index) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// A count with its thousands apart: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count, or a dash.
pub fn maybe_count(n: Option<u64>) -> String {
    n.map_or_else(|| "-".to_owned(), count)
}

/// A size: `302 MB`.
#[expect(clippy::cast_precision_loss, reason = "a size for people need not be exact")]
pub fn bytes(n: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = n as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < units.len() {
        size /= 1_000.0;
        unit += 1;
    }
    let decimals = usize::from(size < 10.0 && unit > 0);
    format!("{size:.decimals$} {}", units[unit])
}

/// A time: `12 ms`, `3.4 s`, `2 min 05 s`.
#[expect(clippy::cast_precision_loss, reason = "a time for people need not be exact")]
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A rate: `1.2 M rows/s`.
#[expect(clippy::cast_precision_loss, reason = "a rate for people need not be exact")]
pub fn rate(rows: u64, ms: u64) -> String {
    let per_second = rows as f64 * 1_000.0 / ms.max(1) as f64;
    if per_second >= 1e6 {
        format!("{:.1} M rows/s", per_second / 1e6)
    } else if per_second >= 1e3 {
        format!("{:.0} k rows/s", per_second / 1e3)
    } else {
        format!("{per_second:.0} rows/s")
    }
}

/// `1 profile`, `2 profiles`.
pub fn plural(n: u64, word: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{} {word}{ending}", count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(bytes(301_900_000), "302 MB");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(duration(125_000), "2 min 05 s");
        assert_eq!(rate(20_000_000, 10_000), "2.0 M rows/s");
        assert_eq!(plural(1, "profile"), "1 profile");
    }
}
