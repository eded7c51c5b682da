//! Records of delimited text: finds where each record and each of its fields begins and ends, in
//! place, and counts lines.
//!
//! The grammar is that of the `csv` crate (a property test holds the two together), but the crate
//! tells neither the line on which a record begins (after CRLF, blank lines or quoted newlines) nor
//! its raw text, and takes what follows a quote that is never closed for one field. Here such a
//! record is reported, and reading goes on at the next line.

use super::input::Input;
use super::options::{Delimiter, NO_QUOTE};
use crate::error::{Error, Result};

/// The longest record: beyond it a quote was not closed.
const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much is read at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// So many records with unclosed quotes are bad luck; more, and quotes are no quotes in this file.
const UNCLOSED_MAX: u32 = 100;

const ORDINARY: u8 = 0;
const DELIMITER: u8 = 1;
const NEWLINE: u8 = 2;
const QUOTE: u8 = 3;

/// Which bytes mean what.
#[derive(Debug, Clone)]
pub(super) struct Grammar {
    classes: [u8; 256],
    quote: u8,
    blanks: bool,
}

impl Grammar {
    pub(super) fn new(delimiter: Delimiter, quote: u8) -> Self {
        let mut classes = [ORDINARY; 256];
        classes[usize::from(b'\n')] = NEWLINE;
        classes[usize::from(b'\r')] = NEWLINE;
        if quote != NO_QUOTE {
            classes[usize::from(quote)] = QUOTE;
        }
        match delimiter {
            Delimiter::Byte(byte) => classes[usize::from(byte)] = DELIMITER,
            Delimiter::Blanks => {
                classes[usize::from(b' ')] = DELIMITER;
                classes[usize::from(b'\t')] = DELIMITER;
            }
        }
        Self { classes, quote, blanks: delimiter == Delimiter::Blanks }
    }
}

/// A field: where it lies in the record, or in the unescaped copies.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
    copied: bool,
}

/// The fields of one record; used again for each.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
    copies: Vec<u8>,
}

/// What a split came to.
enum Split {
    /// A record of so many bytes, its newline not among them, but among `consumed`.
    Record { bytes: usize, consumed: usize, lines: u64 },
    /// The bytes end before the record does.
    Short,
    /// They end inside quotes, and no more will come.
    Unclosed,
}

impl Fields {
    /// Splits the record at the head of `text`; `at_end` says that nothing follows `text`.
    fn split(&mut self, text: &[u8], grammar: &Grammar, at_end: bool) -> Split {
        self.fields.clear();
        self.copies.clear();
        let class = |at: usize| text.get(at).map(|&byte| grammar.classes[usize::from(byte)]);
        let mut lines = 0;
        let mut at = 0;
        loop {
            while grammar.blanks && class(at) == Some(DELIMITER) {
                at += 1;
            }
            let mut field = Field { start: at, end: at, copied: false };
            if class(at) == Some(QUOTE) {
                match self.quoted(text, at, grammar, &mut lines) {
                    Some((quoted, next)) => (field, at) = (quoted, next),
                    None => return if at_end { Split::Unclosed } else { Split::Short },
                }
            }
            let rest = at;
            while matches!(class(at), Some(ORDINARY | QUOTE)) {
                at += 1;
            }
            if field.start < rest && rest < at {
                field = self.lengthen(field, text, &text[rest..at]);
            } else if field.start >= rest {
                field.end = at;
            }
            let ends = class(at) != Some(DELIMITER);
            if !(grammar.blanks && ends && field.start == at) {
                self.fields.push(field);
            }
            if !ends {
                at += 1;
                continue;
            }
            return match (text.get(at), text.get(at + 1)) {
                (None, _) | (Some(b'\r'), None) if !at_end => Split::Short,
                (None, _) => Split::Record { bytes: at, consumed: at, lines },
                (Some(b'\r'), Some(b'\n')) => {
                    Split::Record { bytes: at, consumed: at + 2, lines: lines + 1 }
                }
                (Some(_), _) => Split::Record { bytes: at, consumed: at + 1, lines: lines + 1 },
            };
        }
    }

    /// The quoted field that opens at `open`, and where its closing quote ends; nothing where there
    /// is none. A doubled quote stands for one.
    fn quoted(
        &mut self,
        text: &[u8],
        open: usize,
        grammar: &Grammar,
        lines: &mut u64,
    ) -> Option<(Field, usize)> {
        let mut piece = open + 1;
        let mut field = Field { start: piece, end: piece, copied: false };
        let mut at = piece;
        let mut newlines = 0;
        loop {
            let byte = *text.get(at)?;
            if byte != grammar.quote {
                let newline = byte == b'\n' || (byte == b'\r' && text.get(at + 1) != Some(&b'\n'));
                newlines += u64::from(newline);
                at += 1;
                continue;
            }
            let doubled = match text.get(at + 1) {
                Some(&next) => next == grammar.quote,
                None => false,
            };
            if doubled || field.copied {
                if !field.copied {
                    field = Field { start: self.copies.len(), end: 0, copied: true };
                }
                self.copies.extend_from_slice(&text[piece..at + usize::from(doubled)]);
                piece = at + 2;
            }
            if !doubled {
                field.end = if field.copied { self.copies.len() } else { at };
                *lines += newlines;
                return Some((field, at + 1));
            }
            at += 2;
        }
    }

    /// A field with what follows its closing quote, as in `"ab"c`.
    fn lengthen(&mut self, field: Field, text: &[u8], more: &[u8]) -> Field {
        let mut field = field;
        if !field.copied {
            let start = self.copies.len();
            self.copies.extend_from_slice(&text[field.start..field.end]);
            field = Field { start, end: 0, copied: true };
        }
        self.copies.extend_from_slice(more);
        field.end = self.copies.len();
        field
    }

    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    fn get<'a>(&'a self, record: &'a [u8], index: usize) -> &'a [u8] {
        let field = self.fields[index];
        let from = if field.copied { &self.copies } else { record };
        &from[field.start..field.end]
    }
}

/// A record and where it stands.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// As it stands in the file, in UTF-8 unless it is broken, without its newline.
    pub(super) raw: &'a [u8],
    /// Whether a quote opens in it and is never closed; its fields are then none.
    pub(super) unclosed: bool,
    fields: &'a Fields,
}

impl<'a> Record<'a> {
    /// How many fields it has.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Why it is no record at all, if it is none.
    pub(super) fn fault(&self) -> Option<String> {
        if self.raw.len() >= RECORD_BYTES_MAX {
            Some(format!("the record is longer than {} MiB", RECORD_BYTES_MAX >> 20))
        } else if self.unclosed {
            Some("a quote opens here and is never closed".to_owned())
        } else {
            None
        }
    }

    /// The field with this index, unquoted.
    pub(super) fn get(&self, index: usize) -> &'a [u8] {
        self.fields.get(self.raw, index)
    }

    /// All fields, unquoted.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// Where bytes come from: a file, or a sample of one.
enum Bytes {
    Input(Input),
    Nothing,
}

/// The records of a text, one after the other; blank lines are none.
pub(super) struct Records {
    bytes: Bytes,
    grammar: Grammar,
    buffer: Vec<u8>,
    /// The part of `buffer` that was read and not yet consumed.
    todo: std::ops::Range<usize>,
    at_end: bool,
    line: u64,
    unclosed: u32,
    fields: Fields,
}

impl Records {
    /// The records of a file.
    pub(super) fn of_input(input: Input, grammar: Grammar) -> Self {
        Self::new(Bytes::Input(input), Vec::new(), grammar)
    }

    /// The records of a text in memory.
    pub(super) fn of_text(text: &[u8], grammar: Grammar) -> Self {
        Self::new(Bytes::Nothing, text.to_vec(), grammar)
    }

    fn new(bytes: Bytes, buffer: Vec<u8>, grammar: Grammar) -> Self {
        let at_end = matches!(bytes, Bytes::Nothing);
        let todo = 0..buffer.len();
        let fields = Fields::default();
        Self { bytes, grammar, buffer, todo, at_end, line: 1, unclosed: 0, fields }
    }

    /// The next record, or nothing at the end.
    ///
    /// # Errors
    /// Where the file cannot be read, or quotes are open again and again.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>> {
        loop {
            if !self.skip_blank_lines()? {
                return Ok(None);
            }
            let text = &self.buffer[self.todo.clone()];
            let split = match self.fields.split(text, &self.grammar, self.at_end) {
                Split::Short if text.len() < RECORD_BYTES_MAX => {
                    self.fill()?;
                    continue;
                }
                Split::Short | Split::Unclosed => None,
                Split::Record { bytes, consumed, lines } => Some((bytes, consumed, lines)),
            };
            let unclosed = split.is_none();
            let (bytes, consumed, lines) = match split {
                Some(split) => split,
                None => self.first_line()?,
            };
            let (start, line) = (self.todo.start, self.line);
            self.todo.start += consumed;
            self.line += lines;
            if self.fields.len() == 0 && !unclosed {
                continue;
            }
            let raw = &self.buffer[start..start + bytes];
            return Ok(Some(Record { line, raw, unclosed, fields: &self.fields }));
        }
    }

    /// The extent of the first line, for a record whose quote is not closed.
    fn first_line(&mut self) -> Result<(usize, usize, u64)> {
        self.unclosed += 1;
        if self.unclosed > UNCLOSED_MAX {
            let quote = char::from(self.grammar.quote);
            let shown = match &self.bytes {
                Bytes::Input(input) => input.shown(),
                Bytes::Nothing => "the text",
            };
            return Err(Error::data(format!(
                "more than {UNCLOSED_MAX} records of {shown} open a quote {quote} and never close it"
            ))
            .with_hint("if quotes mean nothing in this file, say so: quote: none"));
        }
        self.fields.fields.clear();
        let text = &self.buffer[self.todo.clone()];
        let bytes = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
        let consumed = text.len().min(bytes + 1);
        Ok((bytes, consumed, (consumed - bytes) as u64))
    }

    /// Skips newlines; `false` at the end of the text.
    fn skip_blank_lines(&mut self) -> Result<bool> {
        loop {
            let text = &self.buffer[self.todo.clone()];
            match text {
                [b'\n', ..] | [b'\r', _, ..] => {
                    let paired = text.starts_with(b"\r\n");
                    self.todo.start += 1 + usize::from(paired);
                    self.line += 1;
                }
                [b'\r'] if self.at_end => self.todo.start += 1,
                [] | [b'\r'] if !self.at_end => self.fill()?,
                [] => return Ok(false),
                _ => return Ok(true),
            }
        }
    }

    /// Reads more, behind what is still to be consumed.
    fn fill(&mut self) -> Result<()> {
        let Bytes::Input(input) = &mut self.bytes else {
            self.at_end = true;
            return Ok(());
        };
        if self.todo.start > 0 {
            self.buffer.copy_within(self.todo.clone(), 0);
            self.todo = 0..self.todo.len();
        }
        // A record that outgrows the buffer doubles it, so that it is split again a few times only.
        let room = CHUNK_BYTES.max(self.todo.len());
        if self.buffer.len() < self.todo.end + room {
            self.buffer.resize(self.todo.end + room, 0);
        }
        while self.todo.end < self.buffer.len() {
            match input.fill(&mut self.buffer[self.todo.end..])? {
                0 => {
                    self.at_end = true;
                    break;
                }
                read => self.todo.end += read,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (u64, Vec<String>);

    fn rows(text: &str, delimiter: Delimiter) -> Vec<Row> {
        let mut records = Records::of_text(text.as_bytes(), Grammar::new(delimiter, b'"'));
        let mut rows = Vec::new();
        while let Some(record) = records.next().unwrap() {
            let fields = record.iter().map(|it| String::from_utf8(it.to_vec()).unwrap());
            let fields =
                if record.unclosed { vec!["unclosed".to_owned()] } else { fields.collect() };
            rows.push((record.line, fields));
        }
        rows
    }

    fn check(text: &str, expected: &[(u64, &[&str])]) {
        let expected: Vec<Row> = expected
            .iter()
            .map(|(line, fields)| (*line, fields.iter().map(|&it| it.to_owned()).collect()))
            .collect();
        assert_eq!(rows(text, Delimiter::Byte(b',')), expected, "{text:?}");
    }

    #[test]
    fn lines_are_those_of_an_editor() {
        check("a,b\r\nc,d\r\n", &[(1, &["a", "b"]), (2, &["c", "d"])]);
        check("a\n\n\r\nb", &[(1, &["a"]), (4, &["b"])]);
        check("\"x\ny\r\nz\",1\nb,2", &[(1, &["x\ny\r\nz", "1"]), (4, &["b", "2"])]);
        check("a\rb\r", &[(1, &["a"]), (2, &["b"])]);
    }

    #[test]
    fn quotes_are_read_as_the_csv_crate_reads_them() {
        check("\"a\"\"b\",\"\"\"\",\"\",x\"y", &[(1, &["a\"b", "\"", "", "x\"y"])]);
        check("\"ab\"c,\"a\"\"b\"c\"", &[(1, &["abc", "a\"bc\""])]);
        check("a,\n,", &[(1, &["a", ""]), (2, &["", ""])]);
        check("\"\"", &[(1, &[""])]);
    }

    #[test]
    fn an_unclosed_quote_costs_one_line() {
        check("a,b\n1,\"x\n2,y\n", &[(1, &["a", "b"]), (2, &["unclosed"]), (3, &["2", "y"])]);
        check("a\n\"torn", &[(1, &["a"]), (2, &["unclosed"])]);
        let text = "\"x\n\n".repeat(203);
        let mut records =
            Records::of_text(text.as_bytes(), Grammar::new(Delimiter::Byte(b','), b'\''));
        assert!(records.next().is_ok());
    }

    #[test]
    fn blanks_separate_fields_in_runs() {
        let expected: Vec<Row> =
            [(1, vec!["id", "date"]), (3, vec!["00001", "1 2"]), (4, vec!["x"])]
                .map(|(line, fields)| (line, fields.into_iter().map(str::to_owned).collect()))
                .to_vec();
        let text = " id \t date \n   \n 00001 \"1 2\"\r\nx";
        assert_eq!(rows(text, Delimiter::Blanks), expected);
    }

    fn csv_rows(text: &str) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        reader.records().map(|it| it.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn records_are_those_of_the_csv_crate(text in "[ab,\"\r\nä]{0,24}") {
            let ours = rows(&text, Delimiter::Byte(b','));
            // Where a quote is never closed we differ on purpose.
            if ours.iter().any(|(_, fields)| fields == &["unclosed"]) {
                return Ok(());
            }
            let ours: Vec<_> = ours.into_iter().map(|(_, fields)| fields).collect();
            prop_assert_eq!(ours, csv_rows(&text));
        }
    }
}
