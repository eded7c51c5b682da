//! Casts of decimals to numbers with fewer places.
//!
//! `CAST(amount AS INT) = 40` is true of 39.80. `DataFusion` 55 takes such a cast away and asks whether the
//! amount is 40, as it may for casts that lose nothing. So casts that lose something are calls of a
//! function here, which does what the cast does and which no rule takes away. A person sees the cast.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TryCast, Volatility, lit,
};

/// `narrow_cast(value, 'type')` and `try_narrow_cast(value, 'type')`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NarrowCast {
    /// Whether what does not fit is null, and no error.
    is_safe: bool,
    signature: Signature,
}

/// Both functions.
pub(super) fn functions() -> [ScalarUDF; 2] {
    [false, true].map(function)
}

fn function(is_safe: bool) -> ScalarUDF {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::new_from_impl(NarrowCast { is_safe, signature })
}

/// Whether a cast from one type to the other may make different values equal, and `DataFusion` would not
/// mind.
pub(super) fn narrows(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Decimal32, Decimal64, Decimal128, Decimal256, Int8, Int16, Int32, Int64, UInt8, UInt16,
        UInt32, UInt64,
    };
    let (Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) | Decimal256(_, scale)) =
        from
    else {
        return false;
    };
    match to {
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => *scale > 0,
        Decimal32(_, fewer) | Decimal64(_, fewer) | Decimal128(_, fewer) | Decimal256(_, fewer) => {
            fewer < scale
        }
        _ => false,
    }
}

/// `value` as `data_type`, by a call.
pub(super) fn call(value: Expr, data_type: &DataType, is_safe: bool) -> Expr {
    let function = Arc::new(function(is_safe));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value, lit(data_type.to_string())]))
}

/// The cast that `expression` stands for, where it is such a call.
pub(super) fn as_written(expression: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expression else { return None };
    let cast = func.inner().downcast_ref::<NarrowCast>()?;
    let [value, Expr::Literal(ScalarValue::Utf8(Some(data_type)), _)] = &args[..] else {
        return None;
    };
    let (value, data_type) = (Box::new(value.clone()), data_type.parse().ok()?);
    Some(if cast.is_safe {
        Expr::TryCast(TryCast::new(value, data_type))
    } else {
        Expr::Cast(Cast::new(value, data_type))
    })
}

impl ScalarUDFImpl for NarrowCast {
    fn name(&self) -> &str {
        if self.is_safe { "try_narrow_cast" } else { "narrow_cast" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Err(DataFusionError::Internal("the type depends on the arguments".to_owned()))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let data_type = match arguments.scalar_arguments {
            [_, Some(ScalarValue::Utf8(Some(data_type)))] => data_type.parse::<DataType>()?,
            _ => return Err(DataFusionError::Plan(format!("{} takes a type", self.name()))),
        };
        let is_nullable = self.is_safe || arguments.arg_fields[0].is_nullable();
        Ok(Arc::new(Field::new(self.name(), data_type, is_nullable)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut options = DEFAULT_CAST_OPTIONS;
        options.safe = self.is_safe;
        arguments.args[0].cast_to(arguments.return_field.data_type(), Some(&options))
    }
}
