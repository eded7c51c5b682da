//! A query as it is written: parsed once, for what it names and for its plan.

use std::path::{Path, PathBuf};

use datafusion::sql::parser::Statement;

use crate::error::Result;

use super::errors::Sql;
use super::session::{Reference, Session};
use super::{in_segment, refused};

/// SQL that parses.
#[derive(Debug, Clone)]
pub struct Written {
    statement: Statement,
    text: String,
    file: Option<PathBuf>,
}

impl Written {
    pub(super) fn sql(&self) -> Sql<'_> {
        Sql { text: &self.text, file: self.file.as_deref() }
    }

    pub(super) fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// Whether `word`, which is lower-case ASCII, is anywhere in `text`, in any case: what has no such word
/// need not be looked through for what it means.
pub(super) fn mentions(text: &str, word: &str) -> bool {
    let mut parts = text.as_bytes().windows(word.len());
    parts.any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

impl Session {
    /// Parses `sql`.
    ///
    /// # Errors
    /// Where it does not parse; `file` is then named.
    pub fn read(&self, sql: &str, file: Option<&Path>) -> Result<Written> {
        let state = self.state();
        let text = Sql { text: sql, file };
        let error = |e| text.error_among(&e, self);
        let dialect = state.config_options().sql_parser.dialect;
        let mut statement = state.sql_to_statement(sql, &dialect).map_err(error)?;
        refused::check(&statement, sql).map_err(error)?;
        in_segment::written_out(&mut statement).map_err(error)?;
        Ok(Written { statement, text: sql.to_owned(), file: file.map(Path::to_path_buf) })
    }

    /// The tables that `query` reads, as `schema.table` or `table`.
    ///
    /// # Errors
    /// Where it names one in a way that no table can be named.
    pub fn references_of(&self, query: &Written) -> Result<Vec<Reference>> {
        let tables = self.state().resolve_table_references(query.statement());
        let tables = tables.map_err(|e| query.sql().error(&e))?;
        Ok(tables.iter().map(Reference::of).collect())
    }
}
