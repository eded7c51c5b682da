//! The moment a build is pinned to. The clock is read by the faces, never here.

use std::fmt;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

use crate::error::{Error, Result};

/// What `now()` is while a build runs: a moment in UTC, to the microsecond.
///
/// ```
/// use throng::model::AsOf;
/// assert_eq!(AsOf::parse("2026-11-01")?.to_string(), "2026-11-01T00:00:00Z");
/// assert_eq!(AsOf::parse("2026-11-01T02:00:00+02:00")?, AsOf::parse("2026-11-01")?);
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AsOf(DateTime<Utc>);

/// The milliseconds since `started`.
pub fn millis_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl AsOf {
    /// The moment `micros` microseconds after 1970-01-01 00:00 UTC.
    ///
    /// # Errors
    /// Where that lies outside the years that a calendar can write.
    pub fn from_micros(micros: i64) -> Result<Self> {
        DateTime::from_timestamp_micros(micros)
            .map(Self)
            .ok_or_else(|| Error::data(format!("{micros} microseconds is no date")))
    }

    /// Reads a date (midnight UTC), a date and time (UTC), or an RFC 3339 time with its zone.
    ///
    /// # Errors
    /// Where `text` is none of these.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::from(time.to_utc()));
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(Self::from(time.and_utc()));
            }
        }
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map(|day| Self::from(day.and_time(chrono::NaiveTime::MIN).and_utc()))
            .map_err(|_| {
                Error::input(format!("\"{text}\" is no time")).with_hint(
                    "write 2026-11-01, \"2026-11-01 09:30:00\" or 2026-11-01T09:30:00+01:00",
                )
            })
    }

    /// Microseconds after 1970-01-01 00:00 UTC.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }
}

impl From<DateTime<Utc>> for AsOf {
    fn from(time: DateTime<Utc>) -> Self {
        let micros = time.timestamp_micros();
        Self(DateTime::from_timestamp_micros(micros).unwrap_or(time))
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}
