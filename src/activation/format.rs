//! Export formats by name. What each bitmap can hold is [`wire::Format`]'s to say.

use std::fmt;

use crate::error::{Error, Result, nearest};
use crate::membership::wire;

pub use crate::model::IdSpace as Ids;

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
    /// A bitmap, in the layout of some engine.
    Bitmap(wire::Format),
}

impl ExportFormat {
    /// Portable 32-bit roaring, what the store itself keeps.
    pub const ROARING: Self = Self::Bitmap(wire::Format::Roaring);

    /// The formats that are lists.
    const LISTS: [Self; 4] = [Self::Csv, Self::Ndjson, Self::Parquet, Self::Arrow];

    /// All formats, lists first.
    pub fn all() -> impl Iterator<Item = Self> {
        let bitmaps = wire::Format::ALL.into_iter().map(Self::Bitmap);
        Self::LISTS.into_iter().chain(bitmaps)
    }

    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Bitmap(format) => format.name(),
        }
    }

    /// The ending of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Bitmap(format) => format.extension(),
            list => list.as_str(),
        }
    }

    /// Reads a format's name.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(format) = wire::Format::from_name(text) {
            return Ok(Self::Bitmap(format));
        }
        Self::LISTS.into_iter().find(|f| f.as_str() == text).ok_or_else(|| {
            let error = Error::input(format!("no export format \"{text}\""));
            let names = || Self::all().map(Self::as_str);
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
        matches!(self, Self::Bitmap(_))
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
