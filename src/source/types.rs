//! The type words of `types:` front matter, and how a type is called back to the user.

use arrow::datatypes::{DataType, TimeUnit};

use crate::error::{Error, Result, nearest};

/// The words that [`parse_type`] knows.
const WORDS: &[&str] = &[
    "smallint",
    "int",
    "integer",
    "bigint",
    "long",
    "real",
    "float",
    "double",
    "decimal",
    "numeric",
    "text",
    "string",
    "varchar",
    "bool",
    "boolean",
    "date",
    "timestamp",
    "datetime",
];

/// A moment: microseconds after 1970-01-01 00:00 UTC.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Reads a column type as SQL would write it: `int`, `bigint`, `double`, `decimal(p,s)`, `text`,
/// `bool`, `date`, `timestamp` and their usual synonyms, in any case. A `timestamp` is a moment in
/// UTC to the microsecond.
///
/// ```
/// use arrow::datatypes::DataType;
/// use throng::source::parse_type;
/// assert_eq!(parse_type("DECIMAL(12, 2)")?, DataType::Decimal128(12, 2));
/// assert!(parse_type("decimal(40,2)").is_err());
/// # Ok::<(), throng::error::Error>(())
/// ```
///
/// # Errors
/// Where `text` is none of these.
pub fn parse_type(text: &str) -> Result<DataType> {
    let lower = text.trim().to_ascii_lowercase();
    let (word, arguments) = match lower.split_once('(') {
        Some((word, rest)) => (word.trim(), rest.strip_suffix(')').map(str::trim)),
        None => (lower.as_str(), Some("")),
    };
    let arguments = arguments.ok_or_else(|| unknown(text, word))?;
    Ok(match word {
        "decimal" | "numeric" => return parse_decimal(text, arguments),
        "varchar" | "char" | "character" => DataType::Utf8,
        _ if !arguments.is_empty() => return Err(unknown(text, word)),
        "smallint" | "int2" => DataType::Int16,
        "int" | "integer" | "int4" => DataType::Int32,
        "bigint" | "long" | "int8" | "int64" => DataType::Int64,
        "real" | "float4" => DataType::Float32,
        "float" | "double" | "float8" | "double precision" => DataType::Float64,
        "text" | "string" | "utf8" => DataType::Utf8,
        "bool" | "boolean" => DataType::Boolean,
        "date" => DataType::Date32,
        "timestamp" | "timestamptz" | "datetime" => timestamp(),
        _ => return Err(unknown(text, word)),
    })
}

fn unknown(text: &str, word: &str) -> Error {
    let error = Error::input(format!("\"{}\" is no column type", text.trim()));
    match nearest(word, WORDS.iter().copied()) {
        Some(near) if near != word => error.with_hint(format!("did you mean \"{near}\"?")),
        _ => error.with_hint(
            "types are int, bigint, double, decimal(p,s), text, bool, date and timestamp",
        ),
    }
}

fn parse_decimal(text: &str, arguments: &str) -> Result<DataType> {
    let (precision, scale) = match arguments.split_once(',') {
        Some((precision, scale)) => (precision.trim(), scale.trim()),
        None if arguments.is_empty() => ("38", "10"),
        None => (arguments, "0"),
    };
    match (precision.parse::<u8>(), scale.parse::<i8>()) {
        (Ok(precision @ 1..=38), Ok(scale)) if (0..=38).contains(&scale) && scale.cast_unsigned() <= precision => {
            Ok(DataType::Decimal128(precision, scale))
        }
        _ => Err(Error::input(format!("\"{}\" is no decimal type", text.trim()))
            .with_hint("write decimal(digits, digits after the point) with 1 to 38 digits, such as decimal(12,2)")),
    }
}

/// The type's name in messages, one that [`parse_type`] reads where there is one.
pub(super) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Dictionary(_, value) => type_name(value),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_words_are_types() {
        for (text, expected) in [
            ("int", DataType::Int32),
            (" BigInt ", DataType::Int64),
            ("double", DataType::Float64),
            ("decimal", DataType::Decimal128(38, 10)),
            ("numeric(5)", DataType::Decimal128(5, 0)),
            ("varchar(255)", DataType::Utf8),
            ("timestamp", timestamp()),
        ] {
            assert_eq!(parse_type(text).unwrap(), expected, "{text}");
            assert_eq!(parse_type(&type_name(&expected)).unwrap(), expected, "{text}");
        }
        assert_eq!(parse_type("timestmp").unwrap_err().hints(), ["did you mean \"timestamp\"?"]);
        for text in ["decimal(2,3)", "decimal(", "int(3)", "", "blob"] {
            assert!(parse_type(text).is_err(), "{text}");
        }
    }
}
