//! How a source's files are to be read: what the front matter of a source says, parsed. Nothing
//! here looks at a file.

use arrow::datatypes::DataType;
use chrono_tz::Tz;
use encoding_rs::Encoding;

use super::times::TimeFormat;
use super::types::parse_type;
use crate::error::{Error, Result, nearest};

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Delimited text, with whatever delimiter.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
}

impl FileFormat {
    /// The format's name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Ndjson => "NDJSON",
            Self::Parquet => "Parquet",
        }
    }
}

/// What separates the fields of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// One ASCII byte.
    Byte(u8),
    /// Runs of blanks and tabs; those at the ends of a line are ignored.
    Blanks,
}

/// What separates the whole part of a number from its fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalMark {
    /// `1234.56`; said outright, `1,234.56` too.
    Point,
    /// `1234,56` and `1.234,56`.
    Comma,
}

/// The `quote` that stands for none: every quote character is an ordinary one.
pub const NO_QUOTE: u8 = 0;

/// How to read the files of a source; the default finds out by itself.
///
/// ```
/// use throng::source::{Delimiter, ReadOptions};
/// let mut options = ReadOptions::default();
/// assert!(options.set("delimiter", ";")?);
/// assert!(options.set("types", "zip text, amount decimal(12,2)")?);
/// assert!(!options.set("owner", "crm team")?);
/// assert_eq!(options.delimiter, Some(Delimiter::Byte(b';')));
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The format; otherwise told by the name's extension, or else by the first bytes.
    pub format: Option<FileFormat>,
    /// The delimiter; otherwise sniffed among `,` `;` tab `|` and blanks.
    pub delimiter: Option<Delimiter>,
    /// The quote character; otherwise `"`. [`NO_QUOTE`] for none.
    pub quote: Option<u8>,
    /// Whether the first record names the columns; otherwise sniffed: it does where none of its
    /// fields looks like a number, a date or a truth value.
    pub header: Option<bool>,
    /// The columns' names: instead of those in the header, or where there is none.
    pub columns: Option<Vec<String>>,
    /// The label of the text's encoding; otherwise UTF-8, or what a byte order mark says.
    pub encoding: Option<String>,
    /// The decimal mark; otherwise a point, and no marks between thousands.
    pub decimal: Option<DecimalMark>,
    /// The zone of times that name none; otherwise UTC.
    pub timezone: Option<Tz>,
    /// Time formats (`strftime` style) to try after the ISO forms; also `epoch_s`, `epoch_ms` and
    /// `epoch_us` (or `%s`), which hold for columns that are declared `timestamp`.
    pub time: Vec<String>,
    /// Spellings of null besides the empty field.
    pub nulls: Vec<String>,
    /// Declared column types, by name.
    pub types: Vec<(String, DataType)>,
}

impl ReadOptions {
    /// The keys that [`ReadOptions::set`] knows.
    pub const KEYS: &[&str] = crate::project::front_matter::FILE_KEYS;

    /// Sets what `key` stands for from its front-matter spelling; `Ok(false)` for an unknown key.
    ///
    /// Lists are separated by commas, except for `times`, whose formats are separated by `|`
    /// since they may hold commas themselves.
    ///
    /// # Errors
    /// Where `value` is no value of that key.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool> {
        let value = value.trim();
        let parsed = match key {
            "format" => parse_format(value).map(|it| self.format = Some(it)),
            "delimiter" => parse_delimiter(value).map(|it| self.delimiter = Some(it)),
            "quote" => parse_quote(value).map(|it| self.quote = Some(it)),
            "header" => parse_header(value).map(|it| self.header = Some(it)),
            "columns" => parse_columns(value).map(|it| self.columns = Some(it)),
            "encoding" => parse_encoding(value).map(|it| self.encoding = Some(it)),
            "decimal" => parse_decimal_mark(value).map(|it| self.decimal = Some(it)),
            "timezone" => parse_timezone(value).map(|it| self.timezone = Some(it)),
            "times" => parse_times(value).map(|it| self.time.extend(it)),
            "nulls" => {
                self.nulls.extend(value.split(',').map(|word| unquoted(word).to_owned()));
                Ok(())
            }
            "types" => parse_types(value).map(|it| self.types.extend(it)),
            _ => return Ok(false),
        };
        parsed.map(|()| true).map_err(|error| error.in_context(key))
    }
}

fn parse_format(value: &str) -> Result<FileFormat> {
    match value.to_ascii_lowercase().as_str() {
        "csv" | "tsv" | "psv" | "text" => Ok(FileFormat::Csv),
        "ndjson" | "jsonl" | "json" => Ok(FileFormat::Ndjson),
        "parquet" => Ok(FileFormat::Parquet),
        _ => Err(Error::input(format!("\"{value}\" is no format that sources read"))
            .with_hint("formats are csv, ndjson and parquet")),
    }
}

fn parse_delimiter(value: &str) -> Result<Delimiter> {
    let value = unquoted(value);
    match value.to_ascii_lowercase().as_str() {
        "tab" | "\\t" | "\t" => Ok(Delimiter::Byte(b'\t')),
        "comma" => Ok(Delimiter::Byte(b',')),
        "semicolon" => Ok(Delimiter::Byte(b';')),
        "pipe" => Ok(Delimiter::Byte(b'|')),
        "blanks" | "spaces" | "whitespace" => Ok(Delimiter::Blanks),
        "space" | "blank" => Ok(Delimiter::Byte(b' ')),
        "\\x01" | "^a" => Ok(Delimiter::Byte(1)),
        _ => match value.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | b'"' | 0) => {
                Ok(Delimiter::Byte(*byte))
            }
            _ => Err(Error::input(format!("\"{value}\" is no delimiter"))
                .with_hint("write one character, or tab, or blanks for runs of blanks")),
        },
    }
}

fn parse_quote(value: &str) -> Result<u8> {
    match value.as_bytes() {
        b"none" | b"no" => Ok(NO_QUOTE),
        b"double" => Ok(b'"'),
        b"single" => Ok(b'\''),
        [byte] if byte.is_ascii_punctuation() => Ok(*byte),
        _ => Err(Error::input(format!("\"{value}\" is no quote character"))
            .with_hint("write one character, or none")),
    }
}

fn parse_header(value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "first" | "present" => Ok(true),
        "no" | "false" | "none" | "absent" => Ok(false),
        _ => Err(Error::input(format!("\"{value}\" does not say whether there is a header line"))
            .with_hint("write yes or none")),
    }
}

fn parse_columns(value: &str) -> Result<Vec<String>> {
    let names: Vec<String> = if value.contains(',') {
        value.split(',').map(|name| unquoted(name).to_owned()).collect()
    } else {
        value.split_whitespace().map(|name| unquoted(name).to_owned()).collect()
    };
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err(
            Error::input("a column without a name").with_hint("write: columns: id, name, born")
        );
    }
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(Error::input(format!("two columns named \"{name}\"")));
        }
    }
    Ok(names)
}

fn parse_encoding(value: &str) -> Result<String> {
    match Encoding::for_label(value.as_bytes()) {
        Some(_) => Ok(value.to_owned()),
        None => Err(Error::input(format!("\"{value}\" is no known encoding"))
            .with_hint("encodings are utf-8, utf-16le, windows-1252, iso-8859-15, shift_jis, ...")),
    }
}

fn parse_decimal_mark(value: &str) -> Result<DecimalMark> {
    match unquoted(value) {
        "point" | "dot" | "." => Ok(DecimalMark::Point),
        "comma" | "," => Ok(DecimalMark::Comma),
        _ => Err(Error::input(format!("\"{value}\" is no decimal mark"))
            .with_hint("write point or comma")),
    }
}

fn parse_timezone(value: &str) -> Result<Tz> {
    value.parse::<Tz>().map_err(|_| {
        let error = Error::input(format!("\"{value}\" is no time zone"));
        match nearest(value, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
            None => error.with_hint("write a name such as Europe/Berlin or UTC"),
        }
    })
}

fn parse_times(value: &str) -> Result<Vec<String>> {
    let formats: Vec<String> = value.split('|').map(|format| unquoted(format).to_owned()).collect();
    for format in &formats {
        TimeFormat::parse(format)?;
    }
    Ok(formats)
}

/// `zip text, amount decimal(12,2)`: at commas outside brackets, then at the last blank before
/// the type.
fn parse_types(value: &str) -> Result<Vec<(String, DataType)>> {
    let mut depth = 0_i32;
    let entries = value.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    entries
        .map(|entry| {
            let entry = entry.trim();
            let word_end = entry.find('(').unwrap_or(entry.len());
            let split = entry[..word_end].trim_end().rfind(char::is_whitespace);
            let (name, type_text) = split.map_or((entry, ""), |at| entry.split_at(at));
            if unquoted(name).is_empty() || type_text.is_empty() {
                return Err(Error::input(format!("\"{entry}\" is no column and type"))
                    .with_hint("write: types: zip text, amount decimal(12,2), born date"));
            }
            Ok((unquoted(name).to_owned(), parse_type(type_text)?))
        })
        .collect()
}

/// Without outer blanks, and without one pair of quotes around it.
fn unquoted(text: &str) -> &str {
    let text = text.trim_matches([' ', '\r', '\n']);
    ['"', '\'']
        .iter()
        .find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, value: &str) -> Result<ReadOptions> {
        let mut options = ReadOptions::default();
        assert!(options.set(key, value)?);
        Ok(options)
    }

    #[test]
    fn front_matter_spellings_are_read() {
        assert_eq!(set("delimiter", "tab").unwrap().delimiter, Some(Delimiter::Byte(b'\t')));
        assert_eq!(set("delimiter", "blanks").unwrap().delimiter, Some(Delimiter::Blanks));
        assert_eq!(set("header", "none").unwrap().header, Some(false));
        assert_eq!(set("columns", "a, b c").unwrap().columns.unwrap(), ["a", "b c"]);
        assert_eq!(set("quote", "none").unwrap().quote, Some(NO_QUOTE));
        assert_eq!(set("times", "%b %d, %Y | %Y%m%d").unwrap().time, ["%b %d, %Y", "%Y%m%d"]);
        assert_eq!(set("nulls", "NULL, \\N, ''").unwrap().nulls, ["NULL", "\\N", ""]);
        let types =
            set("types", "zip text, \"order total\" decimal(12, 2), born date").unwrap().types;
        assert_eq!(types[1], ("order total".to_owned(), DataType::Decimal128(12, 2)));
        assert_eq!(types[2].1, DataType::Date32);
    }

    #[test]
    fn wrong_values_are_named_with_their_key() {
        let error = set("timezone", "Europe/Berlni").unwrap_err();
        assert_eq!(error.message(), "timezone: \"Europe/Berlni\" is no time zone");
        assert_eq!(error.hints(), ["did you mean \"Europe/Berlin\"?"]);
        for (key, value) in [
            ("format", "xlsx"),
            ("delimiter", "::"),
            ("quote", "xx"),
            ("header", "maybe"),
            ("columns", "a,,b"),
            ("columns", "a,a"),
            ("encoding", "klingon"),
            ("decimal", "x"),
            ("times", "%Q"),
            ("types", "zip"),
            ("types", "zip texxt"),
        ] {
            assert!(set(key, value).is_err(), "{key}: {value}");
        }
        assert!(!ReadOptions::default().set("owner", "x").unwrap());
        assert!(
            ReadOptions::KEYS
                .iter()
                .all(|key| ReadOptions::default().set(key, "\u{1}").map_or(true, |known| known))
        );
    }
}
