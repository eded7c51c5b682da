//! A SQL file becomes a segment that knows what it reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Result;
use crate::model::Name;
use crate::project::SqlFile;
use crate::query::{Session, Written};

/// A segment whose SQL parses.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Its file.
    pub file: SqlFile,
    /// Its SQL.
    pub(super) query: Arc<Written>,
    /// The digest of its SQL without comments and layout, 16 hexadecimal digits: what a change of
    /// changes the segment.
    pub definition: String,
    /// The tables it reads.
    pub tables: BTreeSet<String>,
    /// The segments it reads, as they are written.
    pub segments: BTreeSet<String>,
}

impl Parsed {
    /// Parses `file`.
    ///
    /// # Errors
    /// Where its front matter is wrong, or its SQL does not parse.
    pub fn new(session: &Session, file: &SqlFile) -> Result<Self> {
        file.checked()?;
        let query = session.read(&file.text, Some(&file.path))?;
        let references = session.references_of(&query)?;
        let segment = |r: &crate::query::session::Reference| r.segment().map(str::to_owned);
        Ok(Self {
            query: Arc::new(query),
            file: file.clone(),
            definition: definition(&file.text),
            segments: references.iter().filter_map(segment).collect(),
            tables: references
                .into_iter()
                .filter(|r| r.segment().is_none())
                .map(|r| r.table)
                .collect(),
        })
    }

    /// The segment's name.
    pub fn name(&self) -> &Name {
        &self.file.name
    }
}

/// The digest of `sql` without comments and layout.
pub fn definition(sql: &str) -> String {
    blake3::hash(code(sql).as_bytes()).to_hex()[..16].to_owned()
}

/// `sql` without line comments, each run of white space one blank. Quoted text stays as it is.
fn code(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut quote: Option<char> = None;
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some(q) => {
                out.push(c);
                if c == q {
                    quote = None;
                }
            }
            None if c == '-' && chars.peek() == Some(&'-') => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            None if c.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            None => {
                if c == '\'' || c == '"' {
                    quote = Some(c);
                }
                out.push(c);
            }
        }
    }
    out.trim().trim_end_matches(';').trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_layout_do_not_change_a_definition() {
        let plain = definition("SELECT profile_id FROM events WHERE event = 'a  -- b'");
        let commented =
            "-- description: x\nSELECT profile_id -- who\nFROM events\n WHERE event = 'a  -- b';\n";
        assert_eq!(definition(commented), plain);
        assert_ne!(definition("SELECT profile_id FROM events WHERE event = 'a -- b'"), plain);
    }
}
