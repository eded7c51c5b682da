//! Key columns as identifiers in their normal form.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray as _, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use crate::error::{Error, Result};
use crate::model::Namespace;

/// Floats up to here hold every whole number exactly (2^53).
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// `column` as values of `namespace`: integers in decimal, whole floats without their fraction (a
/// spreadsheet's `17850.0` is customer 17850), text without outer blanks. What is empty is null.
///
/// # Errors
/// Where the column's type cannot identify anybody.
pub fn key_text(column: &ArrayRef, namespace: &Namespace) -> Result<StringArray> {
    match column.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let floats =
                cast(column, &DataType::Float64).map_err(|e| unusable(column, namespace, &e))?;
            Ok(whole(floats.as_primitive::<Float64Type>().iter()))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
            let text =
                cast(column, &DataType::Utf8).map_err(|e| unusable(column, namespace, &e))?;
            Ok(normal(text.as_string(), namespace))
        }
        kind if kind.is_integer() || kind.is_decimal() || kind == &DataType::Null => {
            let text =
                cast(column, &DataType::Utf8).map_err(|e| unusable(column, namespace, &e))?;
            Ok(text.as_string().clone())
        }
        kind => {
            Err(Error::input(format!("the key {namespace} is {kind}, which identifies nobody"))
                .with_hint("use text or whole numbers, or CAST it in the source's SQL"))
        }
    }
}

fn unusable(column: &ArrayRef, namespace: &Namespace, cause: &arrow::error::ArrowError) -> Error {
    Error::data(format!("the key {namespace} ({}) is no text: {cause}", column.data_type()))
}

fn whole(values: impl Iterator<Item = Option<f64>>) -> StringArray {
    let mut text = StringBuilder::new();
    for value in values {
        match value {
            #[expect(clippy::cast_possible_truncation, reason = "the arm's guard checks the range")]
            Some(v) if v.fract() == 0.0 && v.abs() <= WHOLE_MAX => {
                let _infallible = write!(text, "{}", v as i64);
                text.append_value("");
            }
            Some(v) if v.is_finite() => {
                let _infallible = write!(text, "{v}");
                text.append_value("");
            }
            _ => text.append_null(),
        }
    }
    text.finish()
}

fn normal(text: &StringArray, namespace: &Namespace) -> StringArray {
    let is_normal = |value: &str| {
        namespace.normalise(value).is_some_and(|n| n.len() == value.len() && n == value)
    };
    if text.iter().flatten().all(is_normal) {
        return text.clone();
    }
    text.iter().map(|value| value.and_then(|v| namespace.normalise(v))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array};

    use super::*;

    fn check(column: impl Array + 'static, namespace: &str, expected: &[Option<&str>]) {
        let column: ArrayRef = Arc::new(column);
        let namespace = Namespace::parse(namespace).expect("a namespace");
        let text = key_text(&column, &namespace).expect("usable");
        assert_eq!(text.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn whole_floats_lose_their_fraction() {
        let floats = Float64Array::from(vec![Some(17850.0), None, Some(0.5), Some(f64::NAN)]);
        check(floats, "user_id", &[Some("17850"), None, Some("0.5"), None]);
    }

    #[test]
    fn text_is_trimmed_and_mail_lower_cased() {
        let text = StringArray::from(vec![" A@B.c ", "", "x"]);
        check(text.clone(), "email", &[Some("a@b.c"), None, Some("x")]);
        check(text, "user_id", &[Some("A@B.c"), None, Some("x")]);
    }

    #[test]
    fn integers_are_decimal() {
        check(Int64Array::from(vec![-1, 7]), "user_id", &[Some("-1"), Some("7")]);
    }
}
