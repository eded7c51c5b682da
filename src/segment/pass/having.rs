//! Conditions on groups that compare aggregates with constants: most of those that analysts write. They
//! are answered from the states as they lie, without an array of each aggregate's values in between.

use std::cmp::Ordering;

use arrow::datatypes::DataType;

use crate::query::df::{Between, BinaryExpr, Expr, Operator, ScalarValue, split_conjunction};

use super::super::program::{AGGREGATE, AggregateId};
use super::words::Words;

/// An aggregate compared with a constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    pub(super) id: AggregateId,
    pub(super) passes: Passes,
    pub(super) bound: Bound,
    /// The type of the constant, which must be that of the aggregate.
    pub(super) data_type: DataType,
}

/// A constant as states hold values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    Integer(i64),
    Decimal(i128),
    Float(f64),
}

/// Whether a value that is less than the constant passes, one that equals it, and one that is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passes([bool; 3]);

impl Passes {
    fn of(op: Operator) -> Option<Self> {
        Some(Self(match op {
            Operator::Lt => [true, false, false],
            Operator::LtEq => [true, true, false],
            Operator::Eq => [false, true, false],
            Operator::NotEq => [true, false, true],
            Operator::GtEq => [false, true, true],
            Operator::Gt => [false, false, true],
            _ => return None,
        }))
    }

    /// The places of `candidates` whose value compares so.
    pub(super) fn places(self, candidates: &Words, compare: impl Fn(usize) -> Ordering) -> Words {
        let [less, equal, greater] = self.0;
        let mut words = Words::zeros(candidates.0.len() * 64);
        candidates.each(|place| {
            let passes = match compare(place) {
                Ordering::Less => less,
                Ordering::Equal => equal,
                Ordering::Greater => greater,
            };
            if passes {
                words.set(place);
            }
        });
        words
    }
}

/// How `value` compares with `bound` in a condition: both zeros are equal, and NaN is greater than all
/// other numbers, as Arrow has it.
pub(super) fn compare_floats(value: f64, bound: f64) -> Ordering {
    value.partial_cmp(&bound).unwrap_or_else(|| value.total_cmp(&bound))
}

/// The comparisons that `condition` is a conjunction of; nothing where it is anything else.
pub(super) fn tests(condition: &Expr) -> Option<Vec<Test>> {
    let mut tests = Vec::new();
    for part in split_conjunction(condition) {
        match part {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                tests.push(test(left, *op, right).or_else(|| test(right, op.swap()?, left))?);
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                tests.push(test(expr, Operator::GtEq, low)?);
                tests.push(test(expr, Operator::LtEq, high)?);
            }
            _ => return None,
        }
    }
    Some(tests)
}

fn test(aggregate: &Expr, op: Operator, bound: &Expr) -> Option<Test> {
    let (Expr::Column(column), Expr::Literal(value, _)) = (aggregate, bound) else { return None };
    if column.relation.as_ref().is_none_or(|relation| relation.table() != AGGREGATE) {
        return None;
    }
    let bound = match value {
        ScalarValue::Int64(Some(value)) | ScalarValue::TimestampMicrosecond(Some(value), _) => {
            Bound::Integer(*value)
        }
        ScalarValue::Date32(Some(days)) => Bound::Integer(i64::from(*days)),
        ScalarValue::Decimal128(Some(value), ..) => Bound::Decimal(*value),
        ScalarValue::Float64(Some(value)) => Bound::Float(*value),
        _ => return None,
    };
    let id = AggregateId(column.name.parse().ok()?);
    Some(Test { id, passes: Passes::of(op)?, bound, data_type: value.data_type() })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Scalar};
    use arrow::compute::kernels::cmp;
    use proptest::prelude::*;

    use crate::query::df::{Column, lit};

    use super::super::super::program::EVENT;
    use super::*;

    fn aggregate(id: usize) -> Expr {
        Expr::Column(Column::new(Some(AGGREGATE), id.to_string()))
    }

    fn numbers() -> impl Strategy<Value = f64> {
        prop_oneof![
            -3.0..3.0_f64,
            any::<f64>(),
            Just(0.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
        ]
    }

    proptest! {
        #[test]
        fn floats_compare_as_in_a_query(
            values in prop::collection::vec(numbers(), 1..70),
            bound in numbers(),
        ) {
            // `DataFusion` makes both zeros one before Arrow compares bits.
            let zeroed: Vec<f64> = values.iter().map(|v| if *v == 0.0 { 0.0 } else { *v }).collect();
            let array = Float64Array::from(zeroed);
            let constant = Scalar::new(Float64Array::from(vec![if bound == 0.0 { 0.0 } else { bound }]));
            let all = Words::ones(values.len());
            for (op, expected) in [
                (Operator::Lt, cmp::lt(&array, &constant)),
                (Operator::LtEq, cmp::lt_eq(&array, &constant)),
                (Operator::Eq, cmp::eq(&array, &constant)),
                (Operator::NotEq, cmp::neq(&array, &constant)),
                (Operator::GtEq, cmp::gt_eq(&array, &constant)),
                (Operator::Gt, cmp::gt(&array, &constant)),
            ] {
                let passes = Passes::of(op).expect("a comparison");
                let found = passes.places(&all, |row| compare_floats(values[row], bound));
                prop_assert_eq!(found, Words::of_true(&expected.expect("numbers")), "{} {}", op, bound);
            }
        }
    }

    #[test]
    fn conjunctions_of_comparisons_are_taken_and_nothing_else() {
        let more = aggregate(3).gt(lit(2_i64));
        let both = more.clone().and(lit(9_i64).gt_eq(aggregate(4)));
        let found = tests(&both).expect("comparisons");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].passes, Passes([false, false, true]));
        assert_eq!((found[1].id, found[1].passes), (AggregateId(4), Passes([true, true, false])));
        let between = aggregate(1).between(lit(2_i64), lit(5_i64));
        assert_eq!(tests(&between).map(|t| t.len()), Some(2));
        let attribute = Expr::Column(Column::new(Some(EVENT), "amount"));
        for other in [
            more.clone().or(aggregate(4).lt(lit(1_i64))),
            more.clone().and(aggregate(4).is_null()),
            more.and(aggregate(4).gt(aggregate(5))),
            aggregate(1).not_between(lit(2_i64), lit(5_i64)),
            attribute.gt(lit(1_i64)),
            lit(true),
        ] {
            assert_eq!(tests(&other), None, "{other}");
        }
    }
}
