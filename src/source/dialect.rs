//! What kind of delimited text a file is: its delimiter, whether a header leads it, its columns.
//! Told from the file's head where the options leave it open.

use super::files::SourceFile;
use super::guess::{Rules, looks_like_value};
use super::input::{Input, encoding_name};
use super::names::{check_count, usable_names};
use super::options::{DecimalMark, Delimiter, ReadOptions};
use super::records::{Grammar, Records};
use crate::error::{Error, Result};

/// How much of a file is looked at to tell its dialect.
const HEAD_BYTES: usize = 256 * 1024;
/// How many records of the head are looked at.
const HEAD_RECORDS: usize = 500;
/// Delimiters that are sniffed, the likelier first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How one file of delimited text is laid out.
#[derive(Debug, Clone)]
pub(super) struct Dialect {
    /// Delimiter and quote.
    grammar: Grammar,
    /// Whether the first record holds names.
    header: bool,
    /// Whether a line `sep=;` comes before all others, as Excel wants it.
    preamble: bool,
    /// The names of its fields; none in a file without a byte.
    pub(super) names: Vec<String>,
}

impl Dialect {
    /// Tells the dialect of `file`.
    ///
    /// # Errors
    /// Where the file cannot be read, its header is no UTF-8, or `columns` names another number of
    /// columns than it has.
    pub(super) fn of(file: &SourceFile, options: &ReadOptions, rules: &Rules) -> Result<Self> {
        let head = Input::open(file, options, None)?.head(HEAD_BYTES)?;
        let quote = options.quote.unwrap_or(b'"');
        let separator = preamble(&head);
        let delimiter = match options.delimiter.or(separator) {
            Some(delimiter) => delimiter,
            None => sniff_delimiter(&head, quote, options, rules)?,
        };
        let grammar = Grammar::new(delimiter, quote);
        let preamble = separator.is_some();
        let mut records = head_records(&head, &grammar)?;
        records.drain(..usize::from(preamble).min(records.len()));
        let Some(first) = records.first() else {
            let names = usable_names(options.columns.iter().flatten().map(String::as_str));
            return Ok(Self { grammar, header: false, preamble, names });
        };
        let header = options
            .header
            .unwrap_or_else(|| !first.iter().any(|field| looks_like_value(field, rules)));
        let width = if header { first.len() } else { common_width(&records) };
        let names = match &options.columns {
            Some(names) => {
                check_count(names, width, &file.shown)?;
                usable_names(names.iter().map(String::as_str))
            }
            None if header => header_names(first, &file.shown, options)?,
            None => usable_names(std::iter::repeat_n("", width)),
        };
        Ok(Self { grammar, header, preamble, names })
    }

    /// The records of a file of this dialect, from the first that is a row.
    pub(super) fn records(&self, input: Input) -> Result<Records> {
        let mut records = Records::of_input(input, self.grammar.clone());
        for _ in 0..usize::from(self.preamble) + usize::from(self.header) {
            records.next()?;
        }
        Ok(records)
    }
}

/// The delimiter that a first line `sep=;` names.
fn preamble(head: &[u8]) -> Option<Delimiter> {
    match head {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', byte, b'\r' | b'\n', ..] => {
            Some(Delimiter::Byte(*byte))
        }
        _ => None,
    }
}

fn header_names(fields: &[Vec<u8>], shown: &str, options: &ReadOptions) -> Result<Vec<String>> {
    let fields: Result<Vec<&str>, _> = fields.iter().map(|it| std::str::from_utf8(it)).collect();
    fields.map(usable_names).map_err(|_| {
        Error::data(format!("the header of {shown} is not {}", encoding_name(options)))
            .with_hint("declare what the file is, for instance encoding: windows-1252")
    })
}

/// The first whole records of the head.
fn head_records(head: &[u8], grammar: &Grammar) -> Result<Vec<Vec<Vec<u8>>>> {
    let cut = head.len() == HEAD_BYTES;
    let mut records = Records::of_text(head, grammar.clone());
    let mut rows = Vec::new();
    let mut torn = false;
    while rows.len() < HEAD_RECORDS {
        let Some(record) = records.next()? else {
            // The head's last record may be cut in two.
            if cut && rows.len() > 1 && !torn {
                rows.pop();
            }
            break;
        };
        if record.unclosed {
            torn = true;
            if cut {
                break;
            }
            continue;
        }
        rows.push(record.iter().map(<[u8]>::to_vec).collect());
    }
    Ok(rows)
}

/// The commonest number of fields, the earliest of those that are equally common.
fn common_width(records: &[Vec<Vec<u8>>]) -> usize {
    let mut counts: Vec<(usize, usize)> = Vec::new();
    for record in records {
        match counts.iter_mut().find(|(width, _)| *width == record.len()) {
            Some((_, count)) => *count += 1,
            None => counts.push((record.len(), 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max();
    counts.iter().find(|(_, count)| Some(*count) == most).map_or(0, |(width, _)| *width)
}

/// How well a delimiter fits: records of equal width, fields that are whole values, many fields.
type Fit = (usize, usize, usize);

fn sniff_delimiter(
    head: &[u8],
    quote: u8,
    options: &ReadOptions,
    rules: &Rules,
) -> Result<Delimiter> {
    let mut best: Option<(Fit, Delimiter)> = None;
    for byte in DELIMITERS {
        let delimiter = Delimiter::Byte(byte);
        let records = head_records(head, &Grammar::new(delimiter, quote))?;
        let decimal_comma = byte == b',' && options.decimal == Some(DecimalMark::Comma);
        let Some(mut fit) = fit(&records, byte) else { continue };
        if decimal_comma {
            fit.0 /= 2;
        }
        if best.is_none_or(|(other, _)| fit > other) {
            best = Some((fit, delimiter));
        }
    }
    if let Some((_, delimiter)) = best {
        return Ok(delimiter);
    }
    let records = head_records(head, &Grammar::new(Delimiter::Blanks, quote))?;
    Ok(if are_blank_separated(&records, rules) { Delimiter::Blanks } else { Delimiter::Byte(b',') })
}

/// The fit of one delimiter, in thousandths; nothing where most records are a single field.
fn fit(records: &[Vec<Vec<u8>>], delimiter: u8) -> Option<Fit> {
    let width = common_width(records);
    if width < 2 {
        return None;
    }
    let even = records.iter().filter(|record| record.len() == width).count();
    let clean = |field: &&Vec<u8>| {
        let foreign = |byte: &u8| *byte != delimiter && DELIMITERS.contains(byte);
        let decimal = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b',' | b'.' | b'-');
        !field.iter().any(foreign) || field.iter().all(decimal)
    };
    let fields: usize = records.iter().map(Vec::len).sum();
    let whole = records.iter().flatten().filter(clean).count();
    Some((even * 20 / records.len(), whole * 1000 / fields, width))
}

/// Whether runs of blanks separate fields: every record has as many, and some are numbers; prose
/// in a single column is not cut into words.
fn are_blank_separated(records: &[Vec<Vec<u8>>], rules: &Rules) -> bool {
    let width = common_width(records);
    let even = records.iter().filter(|record| record.len() == width).count();
    width > 1
        && records.len() > 1
        && even * 50 >= records.len() * 49
        && records.last().is_some_and(|last| last.iter().any(|it| looks_like_value(it, rules)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(text: &str, settings: &[(&str, &str)]) -> Result<Dialect> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let size = text.len() as u64;
        let source =
            SourceFile { path: file.path().to_path_buf(), shown: "a.csv".to_owned(), size };
        let mut options = ReadOptions::default();
        for (key, value) in settings {
            options.set(key, value)?;
        }
        Dialect::of(&source, &options, &Rules::new(&options)?)
    }

    fn check(text: &str, settings: &[(&str, &str)], header: bool, names: &[&str]) {
        let dialect = dialect(text, settings).unwrap();
        assert_eq!(
            (dialect.header, dialect.names),
            (header, names.iter().map(|&it| it.to_owned()).collect()),
            "{text:?}"
        );
    }

    #[test]
    fn delimiters_are_sniffed() {
        check("a,b\n1,2\n", &[], true, &["a", "b"]);
        check("a;b\n1,5;2,5\n1,5;2,5\n", &[], true, &["a", "b"]);
        check("1,5;2,5\n1,5;2,5\n", &[("decimal", "comma")], false, &["column_1", "column_2"]);
        check("a\tb c\n1\tx, y\n", &[], true, &["a", "b c"]);
        check("a|b\nx,y|z\n", &[], true, &["a", "b"]);
        check("\"a;b\",c\n\"1;2\",3\n", &[], true, &["a;b", "c"]);
        check(" id  date\n 00001 19970101\n", &[], true, &["id", "date"]);
        check("sep=;\r\na,x;b\r\n1;2\r\n", &[], true, &["a,x", "b"]);
        check("note\nhello world\nbye bye\n", &[], true, &["note"]);
    }

    #[test]
    fn headers_are_sniffed_and_columns_named() {
        check("1,x\n2,y\n", &[], false, &["column_1", "column_2"]);
        check("00017,x\n", &[], false, &["column_1", "column_2"]);
        check("id,,id\n1,2,3\n", &[], true, &["id", "column_2", "id_2"]);
        check("a,b\n", &[("columns", "x,y")], true, &["x", "y"]);
        check("a,b\n", &[("header", "none")], false, &["column_1", "column_2"]);
        check("", &[("columns", "x,y")], false, &["x", "y"]);
        check("1\n1,2\n3,4\n", &[("delimiter", ",")], false, &["column_1", "column_2"]);
        let error = dialect("1,2,3\n", &[("columns", "x,y")]).unwrap_err();
        assert_eq!(error.message(), "columns: names 2 columns, a.csv has 3 fields a record");
    }
}
