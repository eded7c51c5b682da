//! `throng.toml`: everything in it has a default.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result, nearest};
use crate::model::{AsOf, ShardSize};

/// The settings of a project.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What `now()` is where a command has no `--as-of`; the present where it is absent.
    #[serde(deserialize_with = "time")]
    pub as_of: Option<String>,
    /// Where the data is.
    pub store: StoreConfig,
    /// How much of the machine, and how much bad data, is allowed.
    pub limits: LimitsConfig,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// A path below the project, or a URL: `s3://`, `gs://`, `az://`.
    pub location: String,
    /// Profile ids in a shard; only read when the store is made.
    pub shard: u64,
}

/// `[limits]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Threads; all cores where it is absent.
    pub threads: Option<std::num::NonZeroUsize>,
    /// Memory for queries and ingest, such as `2GB`.
    pub memory: Option<String>,
    /// Rejected rows that an ingest bears: a number, or a share such as `1%`.
    pub rejects: Option<String>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { location: "store".to_owned(), shard: u64::from(ShardSize::DEFAULT.ids()) }
    }
}

const KEYS: [&str; 8] =
    ["as_of", "store", "limits", "location", "shard", "threads", "memory", "rejects"];

impl Config {
    /// Reads `file`.
    ///
    /// # Errors
    /// Where it is no TOML, or has a key or a value that Throng does not know.
    pub fn load(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|e| Error::io("read", file, e))?;
        let text = super::without_mark(&text);
        let config: Self = toml::from_str(text).map_err(|e| broken(file, text, &e))?;
        config.as_of().map_err(|e| e.at(file, None, None))?;
        ShardSize::of_ids(config.store.shard).map_err(|e| e.at(file, None, None))?;
        Ok(config)
    }

    /// The moment that `as_of` names.
    ///
    /// # Errors
    /// Where it is no time.
    pub fn as_of(&self) -> Result<Option<AsOf>> {
        self.as_of.as_deref().map(AsOf::parse).transpose()
    }
}

/// A time in quotes, or as TOML writes it: `2026-11-01`.
fn time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match toml::Value::deserialize(from)? {
        toml::Value::String(text) => Ok(Some(text)),
        toml::Value::Datetime(time) => Ok(Some(time.to_string())),
        _ => Err(serde::de::Error::custom("as_of is a time such as \"2026-11-01\"")),
    }
}

fn broken(file: &Path, text: &str, error: &toml::de::Error) -> Error {
    let position = error.span().map(|span| {
        let before = &text[..span.start.min(text.len())];
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
        (line, column)
    });
    let message = error.message().lines().next().unwrap_or_default();
    let failed = Error::input(message).at(file, position.map(|p| p.0), position.map(|p| p.1));
    let unknown = message.strip_prefix("unknown field `").and_then(|m| m.split('`').next());
    match unknown.and_then(|word| nearest(word, KEYS)) {
        Some(near) => failed.with_hint(format!("did you mean {near}?")),
        None => failed,
    }
}

/// The least memory that is taken for meant: whoever writes `2` has left a unit out.
const MEMORY_MIN: usize = 64_000;

/// Reads a size such as `512MB`, `2GB`, `1.5 GiB` or a plain number of bytes. `MB` is 10^6 bytes and
/// `MiB` 2^20.
///
/// # Errors
/// Where `text` is none of these, or less than 64 kB.
pub fn parse_bytes(text: &str) -> Result<usize> {
    let wrong =
        || Error::input(format!("\"{text}\" is no size")).with_hint("write 512MB, 2GB or 1.5GiB");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let factor: u64 = match text[digits..].trim().to_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        "t" | "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a size in bytes need not be exact, and a float cast saturates"
    )]
    let bytes = (number * factor as f64) as usize;
    match bytes {
        0 => Err(wrong()),
        1..MEMORY_MIN => Err(Error::input(format!(
            "\"{text}\" is {bytes} bytes, and nothing works in less than 64kB"
        ))
        .with_hint("write the unit too: 512MB, 2GB or 1.5GiB")),
        _ => Ok(bytes),
    }
}

/// How many rejected rows an ingest bears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RejectsMax {
    /// A share of the rows, 0..=1.
    share: f64,
    /// A number of rows that is borne in any case.
    rows: u64,
}

impl Default for RejectsMax {
    /// One row in a hundred, and a hundred rows in any case: a torn line now and then is life, a
    /// column that never parses is a mistake in the source.
    fn default() -> Self {
        Self { share: 0.01, rows: 100 }
    }
}

impl RejectsMax {
    /// Reads `30%` or `150000`.
    ///
    /// # Errors
    /// Where `text` is neither.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::input(format!("\"{text}\" is no limit on rejects"))
                .with_hint("write a share such as 5%, or a number of rows such as 1000")
        };
        if let Some(percent) = text.trim().strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            return if (0.0..=100.0).contains(&percent) {
                Ok(Self { share: percent / 100.0, rows: 0 })
            } else {
                Err(wrong())
            };
        }
        let rows = text.trim().parse().map_err(|_| wrong())?;
        Ok(Self { share: 0.0, rows })
    }

    /// Whether `rejected` of `rows` rows are within the limit.
    pub fn allows(self, rejected: u64, rows: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share of a count need not be exact")]
        let share = rejected as f64 <= self.share * rows as f64;
        rejected <= self.rows || share
    }
}

impl std::fmt::Display for RejectsMax {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.share > 0.0, self.rows > 0) {
            (true, true) => write!(f, "{}% or {} rows", self.share * 100.0, self.rows),
            (true, false) => write!(f, "{}%", self.share * 100.0),
            _ => write!(f, "{} rows", self.rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_bytes("2GB").ok(), Some(2_000_000_000));
        assert_eq!(parse_bytes("1.5 GiB").ok(), Some(1_610_612_736));
        assert!(parse_bytes("lots").is_err());
        assert!(parse_bytes("2").is_err_and(|e| e.message().contains("is 2 bytes")));
        assert_eq!(parse_bytes("64kB").ok(), Some(64_000));
    }

    #[test]
    fn a_reject_limit_is_a_share_or_a_number() {
        let share = RejectsMax::parse("30%").expect("a share");
        assert!(share.allows(30, 100) && !share.allows(31, 100));
        let rows = RejectsMax::parse("2").expect("a number");
        assert!(rows.allows(2, 2) && !rows.allows(3, 1_000_000));
        assert!(RejectsMax::default().allows(100, 100));
    }
}
