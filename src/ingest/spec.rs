//! What a source says of itself: what its rows are, whose they are, and when.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::Namespace;
use crate::project::SqlFile;
use crate::project::config::RejectsMax;
use crate::source::ReadOptions;

/// The table that stands for [`SourceSpec::files`].
pub const FILES: &str = "files";

/// A source, ready to be planned.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Its name, in results and in the memory of what was ingested.
    pub name: String,
    /// Where it is written, for messages.
    pub file: PathBuf,
    /// The query over its files.
    pub sql: String,
    /// The patterns of the files that the table [`FILES`] of its query stands for, where they are not
    /// written in the query itself.
    pub files: Vec<String>,
    /// What its rows become.
    pub rows: Rows,
    /// Who its rows are about; the first key that has a value decides.
    pub keys: Vec<Key>,
    /// How its files are read.
    pub options: ReadOptions,
    /// How many of its rows may be rejected.
    pub rejects_max: RejectsMax,
}

/// What the rows of a source become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Attributes of profiles, upserted.
    Profiles,
    /// Events, appended.
    Events {
        /// The column that holds the moment.
        time: String,
        /// What happened.
        event: EventName,
    },
}

/// Where an event's name comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventName {
    /// A column.
    Column(String),
    /// The same for all rows.
    Literal(String),
}

/// A namespace and the column that holds its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The namespace.
    pub namespace: Namespace,
    /// The column.
    pub column: String,
}

impl Key {
    /// Reads `NAMESPACE` or `NAMESPACE=COLUMN`.
    ///
    /// # Errors
    /// Where the namespace cannot be one.
    pub fn parse(text: &str) -> Result<Self> {
        let (namespace, column) = text.split_once('=').unwrap_or((text, text));
        let column = column.trim().to_owned();
        Ok(Self { namespace: Namespace::parse(namespace.trim())?, column })
    }
}

impl EventName {
    /// Reads `'literal'` or a column's name.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
            Some(literal) => Self::Literal(literal.replace("''", "'")),
            None => Self::Column(text.to_owned()),
        }
    }
}

impl SourceSpec {
    /// The spec that the front matter of `file` describes. `rejects_max` holds where the source says
    /// nothing of its own.
    ///
    /// # Errors
    /// Where a key is missing or has a value that cannot be.
    pub fn of_file(file: &SqlFile, rejects_max: RejectsMax) -> Result<Self> {
        let front = &file.checked()?.front;
        let fault = |key: &str| {
            let line = front.line(key);
            move |e: Error| e.at(&file.path, line, None)
        };
        let mut options = ReadOptions::default();
        for (key, value) in front.iter() {
            options.set(key, value).map_err(fault(key))?;
        }
        let keys = front
            .get("keys")
            .ok_or_else(|| missing(&file.path, "keys", "user_id=customer_id, email"))?;
        let rows = match front.get("kind") {
            Some("profiles") => Rows::Profiles,
            Some("events") => Rows::Events {
                time: front.get("time").unwrap_or("ts").to_owned(),
                event: EventName::parse(front.get("event").unwrap_or("event")),
            },
            Some(other) => {
                let message = format!("kind is \"{other}\"; a source has kind profiles or events");
                return Err(fault("kind")(Error::input(message)));
            }
            None => return Err(missing(&file.path, "kind", "profiles")),
        };
        let rejects_max = match front.get("rejects") {
            Some(text) => RejectsMax::parse(text).map_err(fault("rejects"))?,
            None => rejects_max,
        };
        Ok(Self {
            name: file.name.to_string(),
            file: file.path.clone(),
            sql: file.text.clone(),
            files: Vec::new(),
            rows,
            keys: parse_keys(keys).map_err(fault("keys"))?,
            options,
            rejects_max,
        })
    }

    /// The digest of all that shapes the source's rows: a changed source is another one.
    pub fn definition(&self) -> String {
        let shape = format!("{:?}|{:?}|{:?}|{}", self.rows, self.keys, self.options, self.sql);
        blake3::hash(shape.as_bytes()).to_hex()[..16].to_owned()
    }
}

fn parse_keys(text: &str) -> Result<Vec<Key>> {
    let keys: Vec<Key> = text
        .split(',')
        .map(str::trim)
        .filter(|k| !k.is_empty())
        .map(Key::parse)
        .collect::<Result<_>>()?;
    check_keys(&keys)?;
    Ok(keys)
}

/// Keys that can be used together: at least one, and no namespace twice.
///
/// # Errors
/// Where there is none, or one twice.
pub fn check_keys(keys: &[Key]) -> Result<()> {
    if keys.is_empty() {
        return Err(Error::input("at least one key is needed").with_hint("such as user_id"));
    }
    for (at, key) in keys.iter().enumerate() {
        if keys[..at].iter().any(|k| k.namespace == key.namespace) {
            return Err(Error::input(format!("the key {} is named twice", key.namespace)));
        }
    }
    Ok(())
}

fn missing(file: &Path, key: &str, example: &str) -> Error {
    Error::input(format!("the source does not say its {key}"))
        .at(file, Some(1), None)
        .with_hint(format!("add a line to its head: -- {key}: {example}"))
}
