//! Export formats, and which ids they can carry.

use std::fmt;

use crate::error::{Error, Result, nearest};
use crate::model::{Namespace, tables::PROFILE_ID};

/// What a file of members looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A header and one id a line.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// A Parquet file with one column.
    Parquet,
    /// An Arrow IPC file with one column.
    Arrow,
    /// A portable 32-bit roaring bitmap of profile ids.
    Roaring,
    /// A portable 64-bit roaring bitmap of profile ids.
    Roaring64,
}

impl ExportFormat {
    /// All formats.
    pub const ALL: [Self; 6] =
        [Self::Csv, Self::Ndjson, Self::Parquet, Self::Arrow, Self::Roaring, Self::Roaring64];

    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Roaring => "roaring",
            Self::Roaring64 => "roaring64",
        }
    }

    /// Reads a format's name.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn parse(text: &str) -> Result<Self> {
        let names = || Self::ALL.iter().map(|f| f.as_str());
        Self::ALL.into_iter().find(|f| f.as_str() == text).ok_or_else(|| {
            let error = Error::input(format!("no export format \"{text}\""));
            match nearest(text, names()) {
                Some(near) => error.with_hint(format!("did you mean {near}?")),
                None => {
                    error.with_hint(format!("there are {}", names().collect::<Vec<_>>().join(", ")))
                }
            }
        })
    }

    /// Whether the format is a bitmap, which can only hold numbers.
    pub fn is_bitmap(self) -> bool {
        matches!(self, Self::Roaring | Self::Roaring64)
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which ids leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Throng's own numbers.
    Profile,
    /// The identifiers of a namespace; a profile with two has two rows.
    Namespace(Namespace),
}

impl Ids {
    /// Reads `profile_id` or a namespace.
    ///
    /// # Errors
    /// Where `text` is neither.
    pub fn parse(text: &str) -> Result<Self> {
        if text == PROFILE_ID {
            Ok(Self::Profile)
        } else {
            Namespace::parse(text).map(Self::Namespace)
        }
    }

    /// The name of the column that holds them.
    pub fn column(&self) -> &str {
        match self {
            Self::Profile => PROFILE_ID,
            Self::Namespace(namespace) => namespace.as_str(),
        }
    }
}
