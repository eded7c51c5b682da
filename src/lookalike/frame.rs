//! Features as columns, one value a profile: what the encoder reads.

/// Columns of the same length; row `i` of each is the same profile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Rows of every column.
    pub(crate) rows: usize,
    /// The columns, in the order they were named.
    pub(crate) columns: Vec<Column>,
}

/// One feature.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its name, as SQL gave it.
    pub(crate) name: String,
    /// Its values.
    pub(crate) values: Values,
}

/// The values of a column.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    /// Numbers; NaN where there is none.
    Numbers(Vec<f32>),
    /// Words: `codes` counts into `labels` from 1, and 0 is none.
    Words {
        /// A code a row.
        codes: Vec<u32>,
        /// The words.
        labels: Vec<String>,
    },
}

impl Values {
    /// The words that codes count into; none of numbers.
    pub(crate) fn labels(&self) -> &[String] {
        match self {
            Self::Numbers(_) => &[],
            Self::Words { labels, .. } => labels,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Words { codes, .. } => codes.len(),
        }
    }
}

impl Column {
    /// A column of numbers.
    pub(crate) fn numbers(name: impl Into<String>, values: Vec<f32>) -> Self {
        Self { name: name.into(), values: Values::Numbers(values) }
    }
}
