//! The formats by name, and what each can hold.

use std::fmt;

/// A layout that a bitmap is written in and read from.
///
/// ```
/// use throng::membership::wire::Format;
///
/// assert_eq!(Format::from_name("starrocks"), Some(Format::StarRocks));
/// assert_eq!(Format::StarRocks.id_max(), u64::MAX);
/// assert!(Format::ALL.iter().all(|format| Format::from_name(format.name()) == Some(*format)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Portable, 32-bit ids: `pg_roaringbitmap`, Spark, Elasticsearch, Druid, and the store itself.
    Roaring,
    /// Portable, 64-bit ids: roaring64 of C and Go, Iceberg deletion vectors.
    Roaring64,
    /// A state of `AggregateFunction(groupBitmap, UInt32)`, as a row of `RowBinary`.
    ClickHouse,
    /// A state of `AggregateFunction(groupBitmap, UInt64)`.
    ClickHouse64,
    /// The 32-bit state as a `SELECT CAST(unhex(..), ..)`.
    ClickHouseSql,
    /// The 64-bit state as a `SELECT CAST(unhex(..), ..)`.
    ClickHouse64Sql,
    /// The BITMAP of `StarRocks` and Doris, in base64.
    StarRocks,
    /// A row of a `COPY` file for `roaringbitmap`.
    Postgres,
    /// A row of a `COPY` file for `roaringbitmap64`.
    Postgres64,
    /// Base64 for a terms query over an integer field of Elasticsearch or `OpenSearch`.
    Elasticsearch,
    /// Base64 for one over a long field.
    Elasticsearch64,
    /// Portable, the empty set as no bytes.
    Druid,
    /// An `IdSet` of Pinot over an INT column, in base64.
    Pinot,
    /// Buckets of 32,768 ids, from bucket 1: Databricks.
    Databricks,
    /// Buckets of 32,768 ids, from bucket 0: `MatrixOne`.
    MatrixOne,
}

/// The largest `INT` of a database.
const INT_MAX: u64 = (1 << 31) - 1;
/// The largest `BIGINT`.
const LONG_MAX: u64 = (1 << 63) - 1;
/// The largest 32-bit number.
const UINT_MAX: u64 = (1 << 32) - 1;

impl Format {
    /// All formats.
    pub const ALL: [Self; 15] = [
        Self::Roaring,
        Self::Roaring64,
        Self::ClickHouse,
        Self::ClickHouse64,
        Self::ClickHouseSql,
        Self::ClickHouse64Sql,
        Self::StarRocks,
        Self::Postgres,
        Self::Postgres64,
        Self::Elasticsearch,
        Self::Elasticsearch64,
        Self::Druid,
        Self::Pinot,
        Self::Databricks,
        Self::MatrixOne,
    ];

    /// The format's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roaring => "roaring",
            Self::Roaring64 => "roaring64",
            Self::ClickHouse => "clickhouse",
            Self::ClickHouse64 => "clickhouse64",
            Self::ClickHouseSql => "clickhouse-sql",
            Self::ClickHouse64Sql => "clickhouse64-sql",
            Self::StarRocks => "starrocks",
            Self::Postgres => "postgres",
            Self::Postgres64 => "postgres64",
            Self::Elasticsearch => "elasticsearch",
            Self::Elasticsearch64 => "elasticsearch64",
            Self::Druid => "druid",
            Self::Pinot => "pinot",
            Self::Databricks => "databricks",
            Self::MatrixOne => "matrixone",
        }
    }

    /// The format called `name`; `doris` is that of `StarRocks`, `opensearch` that of Elasticsearch.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "doris" => Some(Self::StarRocks),
            "opensearch" => Some(Self::Elasticsearch),
            "opensearch64" => Some(Self::Elasticsearch64),
            name => Self::ALL.into_iter().find(|format| format.name() == name),
        }
    }

    /// The largest id that it can hold, and that its engine's columns can.
    pub fn id_max(self) -> u64 {
        match self {
            Self::Roaring
            | Self::ClickHouse
            | Self::ClickHouseSql
            | Self::Postgres
            | Self::Druid => UINT_MAX,
            Self::Elasticsearch | Self::Pinot => INT_MAX,
            Self::Elasticsearch64 | Self::Databricks | Self::MatrixOne => LONG_MAX,
            Self::Roaring64
            | Self::ClickHouse64
            | Self::ClickHouse64Sql
            | Self::StarRocks
            | Self::Postgres64 => u64::MAX,
        }
    }

    /// The format of the same engine that holds larger ids, if there is one.
    pub fn wider(self) -> Option<Self> {
        match self {
            Self::Roaring => Some(Self::Roaring64),
            Self::ClickHouse => Some(Self::ClickHouse64),
            Self::ClickHouseSql => Some(Self::ClickHouse64Sql),
            Self::Postgres => Some(Self::Postgres64),
            Self::Elasticsearch => Some(Self::Elasticsearch64),
            _ => None,
        }
    }

    /// The ending of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::ClickHouseSql | Self::ClickHouse64Sql => "sql",
            Self::Postgres | Self::Postgres64 => "copy",
            Self::Databricks | Self::MatrixOne => "csv",
            other => other.name(),
        }
    }

    /// Whether a file of it is text.
    pub fn is_text(self) -> bool {
        !matches!(
            self,
            Self::Roaring | Self::Roaring64 | Self::ClickHouse | Self::ClickHouse64 | Self::Druid
        )
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
