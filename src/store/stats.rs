//! Per-file statistics: rows, and per column the least and greatest value and the nulls.
//!
//! They are kept in the Delta log in Delta's own JSON, so that other engines skip files by them too.
//! A bound is either exact or absent: long text, decimals, booleans and columns that hold NaN (whose files
//! have no bounds in Parquet either, see [`super::encode`]) or an infinity have none.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, Days, NaiveDate, SecondsFormat};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// Longer text has no bounds: Parquet may have cut it. Delta's own writers cut at 32 characters.
const TEXT_BYTES_MAX: usize = 32;

/// What is known about one file without opening it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileStats {
    /// Its rows.
    pub rows: u64,
    /// Its top-level columns that have statistics.
    pub columns: BTreeMap<String, ColumnStats>,
}

/// What is known about one column of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnStats {
    /// The least value: a number, or text (dates `2026-11-01`, moments RFC 3339 with microseconds).
    pub min: Option<Value>,
    /// The greatest value.
    pub max: Option<Value>,
    /// How many values are null.
    pub nulls: Option<u64>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DeltaStats {
    num_records: u64,
    min_values: Map<String, Value>,
    max_values: Map<String, Value>,
    null_count: Map<String, Value>,
}

impl FileStats {
    /// The statistics of the Parquet file that `metadata` describes.
    pub(super) fn of_parquet(schema: &SchemaRef, metadata: &ParquetMetaData) -> Result<Self> {
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let parquet_schema = metadata.file_metadata().schema_descr();
        let failed = |e| Error::internal(format!("statistics of a written file: {e}"));
        let mut columns = BTreeMap::new();
        for field in schema.fields() {
            if field.data_type().is_nested() || field.data_type() == &DataType::Binary {
                continue;
            }
            let converter = StatisticsConverter::try_new(field.name(), schema, parquet_schema)
                .map_err(failed)?;
            let groups = metadata.row_groups();
            let mins = converter.row_group_mins(groups).map_err(failed)?;
            let maxes = converter.row_group_maxes(groups).map_err(failed)?;
            let nulls = converter.row_group_null_counts(groups).map_err(failed)?;
            let bounds = bounds(&mins, &maxes);
            columns.insert(
                field.name().clone(),
                ColumnStats {
                    min: bounds.as_ref().map(|b| b.0.clone()),
                    max: bounds.map(|b| b.1),
                    nulls: (nulls.null_count() == 0).then(|| nulls.values().iter().sum()),
                },
            );
        }
        Ok(Self { rows, columns })
    }

    /// Reads the JSON that a Delta log holds.
    pub(super) fn from_json(json: &str) -> Result<Self> {
        let stats: DeltaStats = serde_json::from_str(json).map_err(|e| {
            Error::data(format!("file statistics in the Delta log are broken: {e}"))
        })?;
        let mut columns: BTreeMap<String, ColumnStats> = BTreeMap::new();
        for (name, value) in stats.min_values {
            columns.entry(name).or_default().min = Some(value);
        }
        for (name, value) in stats.max_values {
            columns.entry(name).or_default().max = Some(value);
        }
        for (name, value) in stats.null_count {
            columns.entry(name).or_default().nulls = value.as_u64();
        }
        Ok(Self { rows: stats.num_records, columns })
    }

    /// Writes the JSON that a Delta log holds.
    pub(super) fn to_json(&self) -> String {
        let mut stats = DeltaStats { num_records: self.rows, ..DeltaStats::default() };
        for (name, column) in &self.columns {
            if let Some(min) = &column.min {
                stats.min_values.insert(name.clone(), min.clone());
            }
            if let Some(max) = &column.max {
                stats.max_values.insert(name.clone(), max.clone());
            }
            if let Some(nulls) = column.nulls {
                stats.null_count.insert(name.clone(), json!(nulls));
            }
        }
        serde_json::to_string(&stats).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// The least of `mins` and the greatest of `maxes`, where every row group has one that is exact.
fn bounds(mins: &ArrayRef, maxes: &ArrayRef) -> Option<(Value, Value)> {
    macro_rules! primitive {
        ($kind:ty, $json:expr) => {{
            let json = $json;
            let least = min(mins.as_primitive::<$kind>())?;
            let greatest = max(maxes.as_primitive::<$kind>())?;
            Some((json(least)?, json(greatest)?))
        }};
    }
    match mins.data_type() {
        DataType::Int8 => primitive!(Int8Type, |v| Some(json!(v))),
        DataType::Int16 => primitive!(Int16Type, |v| Some(json!(v))),
        DataType::Int32 => primitive!(Int32Type, |v| Some(json!(v))),
        DataType::Int64 => primitive!(Int64Type, |v| Some(json!(v))),
        DataType::Float32 => primitive!(Float32Type, |v: f32| v.is_finite().then(|| json!(v))),
        DataType::Float64 => primitive!(Float64Type, |v: f64| v.is_finite().then(|| json!(v))),
        DataType::Date32 => primitive!(Date32Type, date),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            primitive!(TimestampMicrosecondType, moment)
        }
        DataType::Utf8 => {
            let least = min_string(mins.as_string::<i32>())?;
            let greatest = max_string(maxes.as_string::<i32>())?;
            let short = least.len() <= TEXT_BYTES_MAX && greatest.len() <= TEXT_BYTES_MAX;
            short.then(|| (json!(least), json!(greatest)))
        }
        _ => None,
    }
}

fn date(days: i32) -> Option<Value> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let distance = Days::new(u64::from(days.unsigned_abs()));
    let day =
        if days < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) };
    Some(json!(day?.format("%Y-%m-%d").to_string()))
}

fn moment(micros: i64) -> Option<Value> {
    let moment = DateTime::from_timestamp_micros(micros)?;
    Some(json!(moment.to_rfc3339_opts(SecondsFormat::Micros, true)))
}
