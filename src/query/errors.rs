//! What `DataFusion` says, as what, where and what to do.
//!
//! Its errors come as enums nested in boxes, some with spans, some with positions only in their text.
//! Here they become one line that names the thing, a place, and hints with the nearest name.

use std::path::Path;

use datafusion::common::{Column, Diagnostic, SchemaError, TableReference};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::error::{Error, nearest};
use crate::model::tables::PROFILE_ID;

use super::advice;
use super::hints;
use super::places::{Position, Tokens};
use super::session::Session;

/// SQL text and the file it is from, for places in messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql<'a> {
    pub(super) text: &'a str,
    pub(super) file: Option<&'a Path>,
}

/// What a place is called where the SQL is from the command line.
const TYPED: &str = "query";

/// What a parser calls the end of the text.
const END_OF_FILE: &str = "EOF";

/// `error` of the SQL `text`, at the segment or the column that its message names, where it says no line
/// yet; an error about something else stays as it is.
pub fn placed(error: Error, text: &str, file: Option<&Path>) -> Error {
    if error.place().is_some_and(|place| place.line.is_some()) {
        return error;
    }
    let sql = Sql { text, file };
    let message = error.message();
    let missing = message.strip_prefix("no segment \"").and_then(|m| m.split('"').next());
    let is_id = message.starts_with(PROFILE_ID);
    let found = match missing {
        Some(name) => Tokens::of(text).segment(name),
        None if is_id => sql.find_ids(),
        None => None,
    };
    match found {
        Some((line, column)) => error.moved_to(file.unwrap_or(Path::new(TYPED)), line, column),
        None if is_id => sql.place(error, None),
        None => error,
    }
}

impl Sql<'_> {
    /// `error` with its place in this text.
    pub(super) fn place(&self, error: Error, position: Option<Position>) -> Error {
        let file = self.file.unwrap_or(Path::new(TYPED));
        error.at(file, position.map(|p| p.0), position.map(|p| p.1))
    }

    /// `error` in our words.
    pub(super) fn error(&self, error: &DataFusionError) -> Error {
        self.error_in(error, None)
    }

    /// `error` in our words, with the tables of `session` to suggest from.
    pub(super) fn error_among(&self, error: &DataFusionError, session: &Session) -> Error {
        self.error_in(error, Some(session))
    }

    fn error_in(&self, error: &DataFusionError, session: Option<&Session>) -> Error {
        let root = root(error);
        if let DataFusionError::External(inner) = root
            && let Some(ours) = inner.downcast_ref::<Error>()
        {
            return ours.clone();
        }
        match root {
            DataFusionError::SQL(parser, _) => self.syntax(parser),
            DataFusionError::SchemaError(schema, _) => self.schema(schema, error.diagnostic()),
            DataFusionError::ResourcesExhausted(message) => {
                let message = message.lines().next().unwrap_or_default();
                let message = message.split(" with top memory consumers").next().unwrap_or(message);
                self.place(Error::limit(format!("the query ran out of memory: {message}")), None)
                    .with_hint("give it more with --memory, or ask for less at a time")
            }
            DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => {
                Error::unavailable(format!("the store does not answer: {root}"))
            }
            // What a function cannot take is the query's fault, whatever it is called.
            DataFusionError::Internal(message)
                if !["match any signature", "Failed to coerce types"]
                    .iter()
                    .any(|of_the_query| message.contains(of_the_query)) =>
            {
                self.place(Error::internal(first_line(message)), None)
            }
            _ => self.other(root, error.diagnostic(), session),
        }
    }

    fn syntax(&self, error: &ParserError) -> Error {
        let (ParserError::TokenizerError(text) | ParserError::ParserError(text)) = error else {
            return self.place(Error::input("the SQL is nested too deeply"), None);
        };
        let (message, position) = split_position(text);
        let (message, position) = match message.strip_suffix(END_OF_FILE) {
            Some(message) => (format!("{message}the end of the query"), position.or(self.end())),
            None => (message.to_owned(), position),
        };
        let failed = self.place(Error::input(format!("syntax error: {message}")), position);
        match advice::on_syntax(self, &message, position) {
            Some(hint) => failed.with_hint(hint),
            None => failed,
        }
    }

    fn schema(&self, error: &SchemaError, diagnostic: Option<&Diagnostic>) -> Error {
        let position = diagnostic.and_then(position);
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let position = position.or_else(|| self.find(&field.name));
                self.no_column(field, valid_fields, position)
            }
            SchemaError::AmbiguousReference { field } => {
                let position = position.or_else(|| self.find(&field.name));
                let message = format!("column \"{}\" is in more than one table", field.name);
                self.place(Error::input(message), position)
                    .with_hint(format!("say which: alias.{}", field.name))
            }
            SchemaError::DuplicateQualifiedField { name, .. }
            | SchemaError::DuplicateUnqualifiedField { name } => {
                let message = format!("the query has two columns named \"{name}\"");
                self.place(Error::input(message), position.or_else(|| self.find(name)))
                    .with_hint("give one of them another name with AS")
            }
        }
    }

    /// A window function in WHERE or HAVING.
    pub(super) fn window_in_filter(&self) -> Error {
        let tokens = Tokens::of(self.text);
        let error = Error::input("a window function cannot stand in WHERE or HAVING");
        self.place(error, tokens.phrase(&["over", "("]).or_else(|| tokens.word("over"))).with_hint(
            "QUALIFY takes it, behind both: QUALIFY row_number() OVER (..) = 1; or a subquery that names it",
        )
    }

    /// The column `profile_id` that the query returns, where it says so.
    pub(super) fn find_ids(&self) -> Option<Position> {
        let tokens = Tokens::of(self.text);
        tokens.end_of(&["as", PROFILE_ID]).or_else(|| tokens.word(PROFILE_ID))
    }

    fn no_column(&self, field: &Column, valid: &[Column], position: Option<Position>) -> Error {
        let mut tables: Vec<&str> =
            valid.iter().filter_map(|c| c.relation.as_ref()).map(TableReference::table).collect();
        tables.dedup();
        let place = match (&field.relation, &tables[..]) {
            (Some(relation), _) => format!(" in {}", relation.table()),
            (None, [one]) => format!(" in {one}"),
            _ => String::new(),
        };
        let message = format!("no column \"{}\"{place}", field.name);
        let error = self.place(Error::input(message), position);
        error.with_hint(match self.without_columns(valid, position) {
            Some(hint) => hint.to_owned(),
            None => hints::for_column(self.text, field, valid),
        })
    }

    /// Why there are no columns where one is asked for.
    fn without_columns(
        &self,
        valid: &[Column],
        position: Option<Position>,
    ) -> Option<&'static str> {
        if !valid.is_empty() {
            return None;
        }
        let tokens = Tokens::of(self.text);
        let before = position.and_then(|p| tokens.before(p)).unwrap_or_default();
        let is_number = ["LIMIT", "OFFSET"].iter().any(|w| before.eq_ignore_ascii_case(w));
        Some(match (is_number, tokens.has("from")) {
            (true, _) => "it is a number: LIMIT 10",
            (false, false) => "the query has no FROM: SELECT profile_id FROM profiles WHERE ..",
            (false, true) => "there are no columns here",
        })
    }

    fn other(
        &self,
        error: &DataFusionError,
        diagnostic: Option<&Diagnostic>,
        session: Option<&Session>,
    ) -> Error {
        let text = error.to_string();
        if let Some(name) = missing_table(&text) {
            return self.no_table(name, session);
        }
        if text.contains("No SQL statements were provided") {
            return self
                .place(Error::input("there is no query"), None)
                .with_hint("write one: SELECT profile_id FROM profiles WHERE ...");
        }
        let message = diagnostic.map_or_else(|| plain(&text), described);
        let advice = advice::on(self, (&text, &message), session);
        let position = diagnostic.and_then(position).or(advice.place);
        let message = advice.message.unwrap_or(message);
        let mut error = self.place(Error::input(message), position);
        if let Some(hint) = advice.hint {
            return error.with_hint(hint);
        }
        for help in diagnostic.iter().flat_map(|d| &d.helps) {
            error = error.with_hint(help.message.clone());
        }
        error
    }

    fn no_table(&self, name: &str, session: Option<&Session>) -> Error {
        let tables = session.map(Session::table_names).unwrap_or_default();
        let short = name.trim_start_matches("datafusion.").trim_start_matches("public.");
        let last = short.rsplit('.').next().unwrap_or(short);
        let error = self.place(Error::input(format!("no table \"{short}\"")), self.find(last));
        let segment = tables.iter().find(|table| table.rsplit('.').next() == Some(short));
        let near = || nearest(short, tables.iter().map(String::as_str));
        match segment.map(String::as_str).or_else(near) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => {
                error.with_hint("the tables are profiles, events, identifiers and segments.NAME")
            }
        }
    }

    /// Where the text ends.
    fn end(&self) -> Option<Position> {
        let (number, line) = self.text.trim_end().lines().enumerate().last()?;
        Some((number as u64 + 1, line.chars().count() as u64 + 1))
    }

    /// Where `word` stands in the text, comments aside.
    pub(super) fn find(&self, word: &str) -> Option<Position> {
        Tokens::of(self.text).word(word)
    }
}

/// The innermost error that says something of its own.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, root),
        DataFusionError::External(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => root(inner),
            None => error,
        },
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            arrow::error::ArrowError::ExternalError(inner) => {
                inner.downcast_ref::<DataFusionError>().map_or(error, root)
            }
            _ => error,
        },
        _ => error,
    }
}

fn position(diagnostic: &Diagnostic) -> Option<Position> {
    let noted = || diagnostic.notes.iter().find_map(|note| note.span);
    diagnostic.span.or_else(noted).map(|span| (span.start.line, span.start.column))
}

/// The message, with the types of operands that its notes tell.
fn described(diagnostic: &Diagnostic) -> String {
    let types = diagnostic.notes.iter().filter_map(|n| n.message.strip_prefix("has type "));
    match types.collect::<Vec<_>>().join(" and ") {
        types if types.is_empty() => diagnostic.message.clone(),
        types => format!("{}: {types}", diagnostic.message),
    }
}

/// The message and the position of a parser's `... at Line: 3, Column: 9`.
fn split_position(text: &str) -> (&str, Option<Position>) {
    let Some((message, rest)) = text.split_once(" at Line: ") else { return (text, None) };
    let mut numbers = rest.split(", Column: ").map(|n| {
        let digits = n.find(|c: char| !c.is_ascii_digit()).unwrap_or(n.len());
        n[..digits].parse().ok()
    });
    let position = numbers.next().flatten().zip(numbers.next().flatten());
    (message, position)
}

fn missing_table(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("table '")?;
    let (name, rest) = rest.split_once('\'')?;
    rest.trim_start().starts_with("not found").then_some(name)
}

/// `text` without the prefixes that say only which part of `DataFusion` spoke.
fn plain(text: &str) -> String {
    let prefixes = [
        "Error during planning: ",
        "Execution error: ",
        "Arrow error: ",
        "Invalid or Unsupported Configuration: ",
        "Optimizer rule 'simplify_expressions' failed",
        "caused by",
        "type_coercion",
    ];
    let mut text = text.trim();
    while let Some(rest) = prefixes.iter().find_map(|p| text.strip_prefix(p)) {
        text = rest.trim_start();
    }
    let text = text.replacen("This feature is not implemented: ", "not supported: ", 1);
    first_line(&text).to_owned()
}

fn first_line(text: &str) -> &str {
    text.lines().find(|l| !l.trim().is_empty()).unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_position_is_split_off() {
        let (message, position) = split_position("Expected: ), found: EOF at Line: 3, Column: 9");
        assert_eq!((message, position), ("Expected: ), found: EOF", Some((3, 9))));
    }

    #[test]
    fn a_query_that_ends_too_early_ends_somewhere() {
        let sql = Sql { text: "SELECT a\nFROM b WHERE\n", file: None };
        assert_eq!(sql.end(), Some((2, 13)));
        assert_eq!(Sql { text: " \n", file: None }.end(), None);
    }
}
