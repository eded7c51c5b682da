//! Front matter: the comment lines `-- key: value` at the head of a SQL file.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result, nearest};

use super::sql_file::Kind;

/// The keys that every file may have.
const COMMON: &[&str] = &["name", "description", "owner", "tags"];

/// What a source may say besides, about its rows; how to read its files is in
/// [`crate::source::ReadOptions::KEYS`], which the ingest room checks.
const SOURCE: &[&str] = &["kind", "keys", "time", "event", "rejects"];

/// What a source may say about its files: the one list of these keys, which the room that reads files
/// takes from here.
pub const FILE_KEYS: &[&str] = &[
    "format",
    "delimiter",
    "quote",
    "header",
    "columns",
    "encoding",
    "decimal",
    "timezone",
    "times",
    "nulls",
    "types",
];

/// What the head of a SQL file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontMatter {
    values: BTreeMap<String, (String, u64)>,
    /// Keys that stand without a colon, and their lines.
    bare: Vec<(&'static str, u64)>,
}

impl FrontMatter {
    /// Reads the head of `text`, the file `file` called `name`.
    ///
    /// A comment line whose part before the first colon is not one lower-case word is just a
    /// comment. The head ends at the first line that is neither blank nor a comment.
    ///
    /// # Errors
    /// Where a key is unknown for `kind` or stands twice, or `name` is not the file's.
    pub fn parse(text: &str, kind: Kind, file: &Path, name: &str) -> Result<Self> {
        let mut values = BTreeMap::new();
        let mut bare = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let number = index as u64 + 1;
            let Some(comment) = line.strip_prefix("--") else {
                if line.is_empty() {
                    continue;
                }
                break;
            };
            let Some((key, value)) = key_value(comment) else {
                bare.extend(bare_key(comment, kind).map(|key| (key, number)));
                continue;
            };
            let fault = |error: Error| error.at(file, Some(number), Some(4));
            if !known(kind).any(|k| k == key) {
                return Err(fault(unknown(key, kind)));
            }
            if key == "name" && value != name {
                let message = format!("name is \"{value}\" but the file is called {name}");
                return Err(fault(Error::input(message)));
            }
            if values.insert(key.to_owned(), (value.to_owned(), number)).is_some() {
                return Err(fault(Error::input(format!("\"{key}\" stands here twice"))));
            }
        }
        bare.retain(|(key, _)| !values.contains_key(*key));
        Ok(Self { values, bare })
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| value.as_str())
    }

    /// The line that `key` stands on, from 1.
    pub fn line(&self, key: &str) -> Option<u64> {
        self.values.get(key).map(|(_, line)| *line)
    }

    /// All keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, (value, _))| (key.as_str(), value.as_str()))
    }

    /// Lines that look like a key and a value whose colon was forgotten, and what to write. They are
    /// comments all the same, since prose may begin with any word.
    pub fn notes(&self) -> impl Iterator<Item = (u64, String)> {
        self.bare.iter().map(|(key, line)| {
            let note = format!(
                "this is a plain comment; to be front matter it needs a colon: -- {key}: .."
            );
            (*line, note)
        })
    }

    /// The description, empty where there is none.
    pub fn description(&self) -> &str {
        self.get("description").unwrap_or_default()
    }

    /// The tags, in the order they are written.
    pub fn tags(&self) -> Vec<String> {
        let tags = self.get("tags").unwrap_or_default().split(',');
        tags.map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
    }
}

fn key_value(comment: &str) -> Option<(&str, &str)> {
    let (key, value) = comment.trim().split_once(':')?;
    let word = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase());
    word.then(|| (key, value.trim()))
}

/// Words that follow the first word of a sentence, and never a key.
const PROSE: [&str; 14] = [
    "of", "is", "are", "was", "were", "in", "for", "and", "or", "that", "which", "from", "to", "as",
];

/// The key that `comment` begins with as if a colon stood behind it.
fn bare_key(comment: &str, kind: Kind) -> Option<&'static str> {
    let (word, rest) = comment.trim().split_once(' ')?;
    let next = rest.split_whitespace().next()?;
    let is_value = next.starts_with(char::is_alphanumeric) && !PROSE.contains(&next);
    known(kind).find(|key| *key == word && is_value)
}

fn known(kind: Kind) -> impl Iterator<Item = &'static str> {
    let own: [&[&str]; 2] = match kind {
        Kind::Source => [SOURCE, FILE_KEYS],
        Kind::Segment => [&["refresh"], &[]],
        Kind::Feature => [&["kind", "sensitive"], &[]],
        Kind::Test => [&[], &[]],
    };
    COMMON.iter().chain(own[0]).chain(own[1]).copied()
}

fn unknown(key: &str, kind: Kind) -> Error {
    let error = Error::input(format!("unknown front matter key \"{key}\""));
    match nearest(key, known(kind)) {
        Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
        None => error
            .with_hint(format!("a {kind} may have {}", known(kind).collect::<Vec<_>>().join(", ")))
            .with_hint("for a plain comment, write it without the colon or with a capital letter"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FrontMatter> {
        FrontMatter::parse(text, Kind::Segment, Path::new("sql/segments/vip.sql"), "vip")
    }

    #[test]
    fn keys_are_lower_case_words_and_the_rest_is_comment() {
        let text = "-- description: Spent: a lot\n-- Traits only: country\n\n-- tags: a, b\nSELECT 1 -- owner: no";
        let front = parse(text).expect("parses");
        assert_eq!(front.description(), "Spent: a lot");
        assert_eq!(front.tags(), ["a", "b"]);
        assert_eq!(front.get("owner"), None);
    }

    #[test]
    fn a_key_without_a_colon_is_told() {
        let noted =
            |text: &str| parse(text).expect("parses").notes().map(|n| n.0).collect::<Vec<_>>();
        assert_eq!(noted("-- description Good ones\n-- tags value\nSELECT 1"), [1, 2]);
        assert_eq!(
            noted("-- description: Good\n-- description of it\n-- tags, too\n-- Tags x"),
            [0; 0]
        );
        assert_eq!(
            noted("-- description: Good ones\n-- description again\nSELECT 1\n-- tags x"),
            [0; 0]
        );
        assert_eq!(noted("-- description of the idea\n-- kind of\nSELECT 1"), [0; 0]);
    }

    #[test]
    fn an_unknown_key_names_its_neighbour_and_place() {
        let error = parse("-- descripton: x\nSELECT 1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown front matter key \"descripton\" (sql/segments/vip.sql:1:4)"
        );
        assert_eq!(error.hints(), ["did you mean \"description\"?"]);
    }

    #[test]
    fn another_name_is_an_error() {
        assert!(parse("-- name: vip").is_ok());
        assert!(parse("-- name: whale").is_err());
    }
}
