//! `bitmap_agg(profile_id)`: the ids of a group as a bitmap. NULL ids vanish; a group without ids is the
//! empty bitmap.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use crate::membership::wire::{Format, decode, encode};
use crate::membership::{Mask, Membership};

/// Ids that a group collects before it takes a mask, which costs 8 KiB for every 65,536 ids: many
/// small groups are cheaper as lists.
const LIST_IDS_MAX: usize = 4_096;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct BitmapAgg {
    signature: Signature,
}

/// The function, ready to be registered.
pub(super) fn bitmap_agg() -> AggregateUDF {
    AggregateUDF::from(BitmapAgg { signature: Signature::user_defined(Volatility::Immutable) })
}

impl AggregateUDFImpl for BitmapAgg {
    fn name(&self) -> &'static str {
        "bitmap_agg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [id] if id.is_integer() || id.is_null() => Ok(vec![DataType::Int64]),
            _ => Err(DataFusionError::Plan("bitmap_agg takes one column of ids".to_owned())),
        }
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Ids::default()))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[ids]", arguments.name), DataType::Binary, true))])
    }
}

/// The ids of a group so far.
#[derive(Debug, Default)]
struct Ids {
    list: Vec<i64>,
    mask: Mask,
    merged: Membership,
}

impl Ids {
    fn flush(&mut self) -> Result<()> {
        let list = Int64Array::from(std::mem::take(&mut self.list));
        self.mask.insert_i64(&list).map_err(|e| DataFusionError::Execution(e.to_string()))
    }

    fn bytes(&mut self) -> Result<ScalarValue> {
        self.flush()?;
        let all = self.mask.to_membership().or(&self.merged);
        Ok(ScalarValue::Binary(Some(encode(&all, Format::Roaring))))
    }
}

impl Accumulator for Ids {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(ids) = values.first() else { return Ok(()) };
        self.list.extend(ids.as_primitive::<Int64Type>().iter().flatten());
        if self.list.len() > LIST_IDS_MAX { self.flush() } else { Ok(()) }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.bytes()
    }

    fn size(&self) -> usize {
        let merged = usize::try_from(self.merged.heap_bytes()).unwrap_or(usize::MAX);
        size_of_val(self) + 8 * self.list.capacity() + self.mask.heap_bytes() + merged
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.bytes()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first() else { return Ok(()) };
        for row in 0..states.len() {
            if states.is_valid(row) {
                let set = decode(states.as_binary::<i32>().value(row), Format::Roaring)
                    .map_err(|e| DataFusionError::Execution(e.to_string()))?;
                self.merged = self.merged.or(&set);
            }
        }
        Ok(())
    }
}
