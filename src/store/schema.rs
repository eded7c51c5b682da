//! Which Arrow types a table keeps, how schemas widen, and how batches are made to fit.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Schema, SchemaRef, TimeUnit};
use arrow::util::display::FormatOptions;

use crate::error::{Error, Result};
use crate::model::{TableName, tables};

/// All moments are kept as microseconds in UTC.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns that a table of a new store has; profiles and events grow more.
pub fn initial(table: TableName) -> SchemaRef {
    let required = |name: &str, data_type| Field::new(name, data_type, false);
    let optional = |name: &str, data_type| Field::new(name, data_type, true);
    let profile_id = required(tables::PROFILE_ID, DataType::Int32);
    let fields = match table {
        TableName::Profiles => vec![profile_id],
        TableName::Identifiers => vec![
            profile_id,
            required(tables::NAMESPACE, DataType::Utf8),
            required(tables::VALUE, DataType::Utf8),
            // False where the identifier belongs to another profile already: a conflict that is
            // kept for identity resolution and resolves nothing by itself.
            required("home", DataType::Boolean),
            required("source", DataType::Utf8),
        ],
        TableName::Events => vec![
            profile_id,
            required(tables::EVENT, DataType::Utf8),
            required(tables::TS, timestamp()),
        ],
        TableName::Memberships => vec![
            required("segment", DataType::Utf8),
            required("build", DataType::Int64),
            required("shard", DataType::Int32),
            required("as_of", timestamp()),
            required("definition", DataType::Utf8),
            required("cardinality", DataType::Int64),
            required("bitmap", DataType::Binary),
        ],
        TableName::Builds => vec![
            required("build", DataType::Int64),
            required("segment", DataType::Utf8),
            required("as_of", timestamp()),
            required("status", DataType::Utf8),
            optional("members", DataType::Int64),
            optional("entered", DataType::Int64),
            optional("exited", DataType::Int64),
            required("elapsed_ms", DataType::Int64),
            required("definition", DataType::Utf8),
            // The build whose membership the segment has after this one: an older one where it was
            // reused or has gone stale.
            optional("membership_build", DataType::Int64),
            // The digest of all that the membership depends on: equal inputs, equal bits.
            optional("inputs", DataType::Utf8),
            required("store_version", DataType::Int64),
            optional("error", DataType::Utf8),
        ],
        TableName::Scores => vec![
            profile_id,
            required("lookalike", DataType::Utf8),
            required("build", DataType::Int64),
            // The share of candidates that lie below.
            required("score", DataType::Float64),
            required("lift", DataType::Float64),
        ],
    };
    Arc::new(Schema::new(fields))
}

/// The type that a column of `data_type` is kept as, or nothing where it cannot be kept.
///
/// Delta has no unsigned integers, no times of day and only microsecond moments; dictionaries and
/// views are ways to hold text in memory, not types of their own. A column that holds nothing but
/// nulls is kept as text.
pub fn kept_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Binary
        | DataType::Utf8 => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Null | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s)
            if *s >= 0 && i16::from(*p) >= i16::from(*s) =>
        {
            DataType::Decimal128(*p, *s)
        }
        DataType::Timestamp(..) => timestamp(),
        DataType::Dictionary(_, value) => kept_type(value)?,
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            DataType::List(Arc::new(Field::new("element", kept_type(item.data_type())?, true)))
        }
        DataType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|f| Some(Arc::new(Field::new(f.name(), kept_type(f.data_type())?, true))));
            DataType::Struct(fields.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// The schema of a table that takes in columns of `incoming`: its own columns first and unchanged,
/// then the new ones. Nothing where `incoming` brings nothing new.
///
/// # Errors
/// Where a column that the table has comes with a type that does not fit its own, or a new column
/// has a type that cannot be kept. `what` names the incoming data in the message.
pub fn widened(table: &SchemaRef, incoming: &Schema, what: &str) -> Result<Option<SchemaRef>> {
    let mut fields: Vec<FieldRef> = table.fields().iter().cloned().collect();
    for field in incoming.fields() {
        match table.field_with_name(field.name()) {
            Ok(own) => check_fits(own, field, what)?,
            Err(_) => fields.push(Arc::new(kept_field(field, what)?)),
        }
    }
    let grew = fields.len() > table.fields().len();
    Ok(grew.then(|| Arc::new(Schema::new(fields))))
}

fn kept_field(field: &Field, what: &str) -> Result<Field> {
    if let Some(clash) = field.name().chars().find(|c| " ,;{}()\n\t=".contains(*c)) {
        return Err(Error::input(format!(
            "{what}: column \"{}\" holds the character {clash:?}, which Delta refuses in names",
            field.name()
        ))
        .with_hint(format!("rename it in the source's SQL: \"{}\" AS ...", field.name())));
    }
    kept_type(field.data_type())
        .map(|data_type| Field::new(field.name(), data_type, true))
        .ok_or_else(|| {
            Error::input(format!(
                "{what}: column \"{}\" has type {}, which the store cannot keep",
                field.name(),
                field.data_type()
            ))
            .with_hint("cast it in the source's SQL, for example with CAST(... AS TEXT)")
        })
}

/// Whether values of `incoming` go into the column `own` as they are. Integers and floats of any
/// width fit each other (values are checked when they are cast), and so do whole numbers into
/// decimals and floats; text fits text alone.
fn check_fits(own: &Field, incoming: &Field, what: &str) -> Result<()> {
    let kept = kept_type(incoming.data_type());
    // Text that holds nothing and numbers that are whole fit too: files that were exported on a quiet
    // day look like that. Their values are checked when they are cast.
    let fits = incoming.data_type() == &DataType::Null
        || kept == Some(DataType::Utf8)
        || kept.as_ref().is_some_and(|kept| fits(own.data_type(), kept));
    if fits {
        return Ok(());
    }
    Err(changed_type(own, incoming.data_type()).in_context(what))
}

fn changed_type(own: &Field, incoming: &DataType) -> Error {
    Error::input(format!(
        "column \"{}\" was {} in the store and comes as {incoming} now",
        own.name(),
        own.data_type()
    ))
    .with_hint(format!(
        "cast it in the source's SQL: CAST(\"{}\" AS ...), or give it another name",
        own.name()
    ))
}

/// Whether all floats of `column` are whole numbers, or nothing.
fn is_whole(column: &ArrayRef) -> Result<bool> {
    let floats = arrow::compute::cast(column, &DataType::Float64)
        .map_err(|e| Error::internal(format!("floats: {e}")))?;
    Ok(floats.as_primitive::<Float64Type>().iter().flatten().all(|v| v.fract() == 0.0))
}

fn fits(own: &DataType, kept: &DataType) -> bool {
    own == kept
        || (own.is_integer() && (kept.is_integer() || kept.is_floating()))
        || (own.is_floating() && kept.is_numeric())
        || (matches!(own, DataType::Decimal128(..)) && (kept.is_integer() || kept.is_decimal()))
        || match (own, kept) {
            (DataType::List(a), DataType::List(b)) => fits(a.data_type(), b.data_type()),
            _ => false,
        }
}

/// `batch` with the columns of `schema`, cast to their types; columns that it lacks are null.
///
/// # Errors
/// Where a value does not fit its column's type, or a required column is missing.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => conform_column(column, field),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|e| Error::data(format!("a batch does not fit its table: {e}")))
}

fn conform_column(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    if column.null_count() == column.len() {
        return Ok(new_null_array(field.data_type(), column.len()));
    }
    let is_text = |t: &DataType| kept_type(t) == Some(DataType::Utf8);
    if is_text(column.data_type()) && !is_text(field.data_type()) {
        return Err(changed_type(field, column.data_type()));
    }
    if column.data_type().is_floating() && field.data_type().is_integer() && !is_whole(column)? {
        return Err(changed_type(field, column.data_type()).with_hint(format!(
            "say from the start that it has fractions: -- types: {} double",
            field.name()
        )));
    }
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(column, field.data_type(), &options).map_err(|e| {
        Error::data(format!(
            "column \"{}\" holds a value that is no {}: {e}",
            field.name(),
            field.data_type()
        ))
        .with_hint("cast it in the source's SQL, for example with TRY_CAST")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
        Arc::new(Schema::new(
            fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>(),
        ))
    }

    #[test]
    fn new_columns_widen_and_known_ones_stay() {
        let table = schema(&[("a", DataType::Int32)]);
        let incoming = schema(&[("a", DataType::Int64), ("b", DataType::LargeUtf8)]);
        let wide = widened(&table, &incoming, "x.csv").expect("fits").expect("grew");
        assert_eq!(wide, schema(&[("a", DataType::Int32), ("b", DataType::Utf8)]));
    }

    #[test]
    fn a_changed_type_is_named() {
        let table = schema(&[("a", DataType::Utf8)]);
        let error = widened(&table, &schema(&[("a", DataType::Int64)]), "x.csv").unwrap_err();
        assert_eq!(
            error.message(),
            "x.csv: column \"a\" was Utf8 in the store and comes as Int64 now"
        );
    }

    #[test]
    fn a_value_too_large_for_its_column_is_an_error() {
        let wide = schema(&[("a", DataType::Int64)]);
        let column: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1_i64 << 40]));
        let batch = RecordBatch::try_new(wide, vec![column]).expect("a batch");
        assert!(conform(&batch, &schema(&[("a", DataType::Int32)])).is_err());
    }
}
