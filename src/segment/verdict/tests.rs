//! Random segments and rows: what new rows say is held against what a plain evaluation of all rows finds.

use proptest::prelude::*;

use crate::query::df::{Column, lit};

use super::super::program::{AGGREGATE, EVENT};
use super::super::touch::touch;
use super::*;

/// A row: its kind, a value that may be null, its moment.
type Row = (i64, Option<i64>, i64);

const KINDS: usize = 2;

/// Choices, one a byte, and the first for ever after the last.
struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    fn throw(&mut self, of: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % of)
    }

    fn number(&mut self) -> Expr {
        lit(i64::try_from(self.throw(5)).expect("small") - 1)
    }
}

fn event(name: &str) -> Expr {
    Expr::Column(Column::new(Some(EVENT), name))
}

/// Writes random segments over `program`, in which some moments are as much later.
struct Writer<'a> {
    tape: Tape<'a>,
    program: &'a mut Program,
    later: i64,
}

impl Writer<'_> {
    fn filter(&mut self, mut conditions: Vec<Expr>) -> FilterId {
        if self.tape.throw(2) > 0 {
            let kind = lit(i64::try_from(self.tape.throw(KINDS)).expect("small"));
            conditions.push(event("kind").eq(kind));
        }
        match self.tape.throw(9) {
            0 | 1 => conditions.push(ts().gt_eq(self.moment())),
            2 => conditions.push(ts().lt(self.moment())),
            3 => {
                let (one, other) = (ts().gt_eq(self.moment()), ts().lt(self.moment()));
                conditions.push(one.and(event("kind").eq(lit(0_i64))).or(other));
            }
            _ => {}
        }
        self.program.filter(conditions)
    }

    fn moment(&mut self) -> Expr {
        let at = i64::try_from(self.tape.throw(9)).expect("small");
        let at = if self.tape.throw(3) > 0 { at + self.later } else { at };
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())), None)
    }

    fn aggregate(&mut self, group: FilterId) -> Expr {
        let conditions = self.program.filters[group.0].0.clone();
        let rows = if self.tape.throw(2) == 0 { group } else { self.filter(conditions) };
        let (value, moment) = (Some(event("value")), Some(ts()));
        let (function, argument) = match self.tape.throw(9) {
            0..=2 => (Function::Count, None),
            3 => (Function::CountDistinct, value),
            4 => (Function::Sum, value),
            5 => (Function::Min, value),
            6 => (Function::Min, moment),
            7 => (Function::Max, value),
            _ => (Function::Max, moment),
        };
        let data_type = DataType::Int64;
        let one = Aggregate { group, rows, function, argument, data_type };
        let id = self.program.aggregate(one);
        Expr::Column(Column::new(Some(AGGREGATE), id.0.to_string()))
    }

    fn number(&mut self, group: FilterId) -> Expr {
        let one = self.aggregate(group);
        match self.tape.throw(6) {
            0 => one * self.tape.number(),
            1 => one + self.aggregate(group),
            2 => one - self.aggregate(group),
            _ => one,
        }
    }

    fn condition(&mut self, group: FilterId, depth: usize) -> Expr {
        if depth > 0 && self.tape.throw(2) == 0 {
            let one = self.condition(group, depth - 1);
            return match self.tape.throw(4) {
                0 => Expr::Not(Box::new(one)),
                1 => one.or(self.condition(group, depth - 1)),
                _ => one.and(self.condition(group, depth - 1)),
            };
        }
        let one = self.number(group);
        let other = match self.tape.throw(4) {
            0 => self.number(group),
            1 => self.moment(),
            _ => self.tape.number(),
        };
        match self.tape.throw(12) {
            0 => one.is_null(),
            1 => one.eq(other),
            2 => one.not_eq(other),
            3 | 4 => one.lt(other),
            5 | 6 => one.lt_eq(other),
            7 | 8 => one.gt(other),
            _ => one.gt_eq(other),
        }
    }

    fn leaf(&mut self) -> SetExpr {
        let filter = self.filter(Vec::new());
        let leaf = match self.tape.throw(16) {
            0 => Leaf::Events(filter),
            1 | 2 => {
                let (then, without) = (self.filter(Vec::new()), self.tape.throw(2) == 0);
                Leaf::Sequence { first: filter, then, from_us: 0, to_us: 3, without }
            }
            3 => Leaf::Attribute(lit(true)),
            _ => {
                let depth = self.tape.throw(3);
                let condition = self.condition(filter, depth);
                if Program::aggregates_in(&condition).is_empty() {
                    return SetExpr::Nothing;
                }
                let among = match self.tape.throw(9) {
                    0 => None,
                    1 => Some(self.filter(Vec::new())),
                    _ => Some(filter),
                };
                Leaf::Groups { condition, among }
            }
        };
        SetExpr::Leaf(self.program.leaf(leaf))
    }

    fn set(&mut self, depth: usize) -> SetExpr {
        if depth == 0 || self.tape.throw(3) > 0 {
            return self.leaf();
        }
        let (one, other) = (self.set(depth - 1), self.set(depth - 1));
        match self.tape.throw(4) {
            0 => SetExpr::any([one, other]),
            1 => SetExpr::all([one, other.negated()]),
            2 => SetExpr::Segment("other".to_owned()),
            _ => SetExpr::all([one, other]),
        }
    }
}

/// The value of an expression, true being 1; nothing for null.
fn value(expression: &Expr, column: &dyn Fn(&Column) -> Option<i64>) -> Option<i64> {
    match expression {
        Expr::Column(name) => column(name),
        Expr::Literal(
            ScalarValue::Int64(number) | ScalarValue::TimestampMicrosecond(number, _),
            _,
        ) => *number,
        Expr::Literal(ScalarValue::Boolean(truth), _) => truth.map(i64::from),
        Expr::Not(inner) => value(inner, column).map(|truth| 1 - truth),
        Expr::IsNull(inner) => Some(i64::from(value(inner, column).is_none())),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = (value(left, column), value(right, column));
            match op {
                Operator::And if left == Some(0) || right == Some(0) => return Some(0),
                Operator::Or if left == Some(1) || right == Some(1) => return Some(1),
                _ => {}
            }
            let (left, right) = (left?, right?);
            Some(match op {
                Operator::And => left.min(right),
                Operator::Or => left.max(right),
                Operator::Plus => left + right,
                Operator::Minus => left - right,
                Operator::Multiply => left * right,
                Operator::Eq => i64::from(left == right),
                Operator::NotEq => i64::from(left != right),
                Operator::Lt => i64::from(left < right),
                Operator::LtEq => i64::from(left <= right),
                Operator::Gt => i64::from(left > right),
                Operator::GtEq => i64::from(left >= right),
                other => panic!("no value of {other}"),
            })
        }
        other => panic!("no value of {other}"),
    }
}

/// One profile: its rows, and what else is known of it.
struct Profile<'a> {
    program: &'a Program,
    rows: &'a [Row],
    /// What it has of attributes; new rows alone know nothing of them.
    attribute: Option<bool>,
    /// Whether it is a member of another segment; new rows know nothing of that either.
    other: Option<bool>,
    /// Whether it was a member of this one.
    was: Option<bool>,
}

impl Profile<'_> {
    fn passing(&self, filter: FilterId) -> Vec<&Row> {
        let passes = |(kind, own, ts): &&Row| {
            let column = |c: &Column| match c.name.as_str() {
                "kind" => Some(*kind),
                "value" => *own,
                _ => Some(*ts),
            };
            let conditions = &self.program.filters[filter.0].0;
            conditions.iter().all(|condition| value(condition, &column) == Some(1))
        };
        self.rows.iter().filter(passes).collect()
    }

    fn aggregate(&self, id: AggregateId) -> Option<i64> {
        let Aggregate { group, rows, function, argument, .. } = &self.program.aggregates[id.0];
        if self.passing(*group).is_empty() {
            return None;
        }
        let own = |(_, own, at): &&Row| match argument {
            None => Some(1),
            Some(argument) if *argument == ts() => Some(*at),
            Some(_) => *own,
        };
        let mut values: Vec<i64> = self.passing(*rows).iter().filter_map(own).collect();
        values.sort_unstable();
        let len = |values: &[i64]| i64::try_from(values.len()).ok();
        match function {
            Function::Count => len(&values),
            Function::CountDistinct => {
                values.dedup();
                len(&values)
            }
            Function::Sum => (!values.is_empty()).then(|| values.iter().sum()),
            Function::Min => values.first().copied(),
            _ => values.last().copied(),
        }
    }

    fn is_in(&self, set: &SetExpr) -> bool {
        match set {
            SetExpr::Nothing => false,
            SetExpr::Segment(name) if name == "was" => self.was.expect("asked of all rows"),
            SetExpr::Segment(_) => self.other.expect("asked of new rows"),
            SetExpr::And(parts) => parts.iter().all(|part| self.is_in(part)),
            SetExpr::Or(parts) => parts.iter().any(|part| self.is_in(part)),
            SetExpr::Not(inner) => !self.is_in(inner),
            SetExpr::Leaf(leaf) => match &self.program.leaves[leaf.0] {
                Leaf::Attribute(_) => self.attribute.expect("asked of a profile"),
                Leaf::Events(filter) => !self.passing(*filter).is_empty(),
                Leaf::Sequence { first, then, from_us, to_us, without } => {
                    let then = self.passing(*then);
                    let is_followed = |first: &Row| {
                        then.iter().any(|then| (*from_us..=*to_us).contains(&(then.2 - first.2)))
                    };
                    self.passing(*first).into_iter().any(|first| is_followed(first) != *without)
                }
                Leaf::Groups { condition, among } => {
                    let is_among = match among {
                        Some(filter) => !self.passing(*filter).is_empty(),
                        // Everybody has a row in `profiles`; new rows do not tell.
                        None => self.attribute.map(|_| true).expect("asked of a profile"),
                    };
                    let column =
                        |c: &Column| self.aggregate(AggregateId(c.name.parse().expect("a place")));
                    is_among && value(condition, &column) == Some(1)
                }
                other => panic!("no set of {other:?}"),
            },
        }
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((0..2_i64, prop::option::weighted(0.9, -1..4_i64), 0..9_i64), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whom the passing of time does not touch is what he was; of whom it tells, what it tells.
    #[test]
    fn time_says_what_is_so(
        tape in prop::collection::vec(any::<u8>(), 10..90),
        rows in rows(),
        later in -3..5_i64,
        (attribute, other) in any::<(bool, bool)>(),
    ) {
        let mut program = Program::default();
        let mut at = |later| {
            Writer { tape: Tape(tape.iter()), program: &mut program, later }.set(2)
        };
        let (then, now) = (at(0), at(later));
        let Some(touch) = touch(&mut program, &then, &now) else { return Ok(()) };
        let was = SetExpr::Segment("was".to_owned());
        let verdicts = program.verdicts_with(&now, (&was, &touch.moved), &touch.verdicts);
        let (attribute, other) = (Some(attribute), Some(other));
        let of = |was| Profile { program: &program, rows: &rows, attribute, other, was };
        let (before, now) = (of(None).is_in(&then), of(None).is_in(&now));
        let profile = of(Some(before));
        if !profile.is_in(&touch.moved) {
            prop_assert_eq!(before, now, "{:?} of {:?}", touch, program);
        } else if !profile.is_in(&touch.flipped) {
            prop_assert!(!profile.is_in(&verdicts.members) || now, "{:?} {:?} {:?}", verdicts, touch, program);
            prop_assert!(!profile.is_in(&verdicts.others) || !now, "{:?} {:?} {:?}", verdicts, touch, program);
        }
    }

    #[test]
    fn new_rows_say_what_is_so(
        tape in prop::collection::vec(any::<u8>(), 10..90),
        old in rows(),
        new in rows(),
        (attribute, other) in any::<(bool, bool)>(),
    ) {
        let mut program = Program::default();
        let set = Writer { tape: Tape(tape.iter()), program: &mut program, later: 0 }.set(2);
        let touched = SetExpr::Leaf(program.any_event());
        let was = SetExpr::Segment("was".to_owned());
        let verdicts = program.verdicts(&set, &was, &touched);
        let all = [&old[..], &new].concat();
        let (attribute, other) = (Some(attribute), Some(other));
        let of = |rows| Profile { program: &program, rows, attribute, other, was: None };
        let (before, now) = (of(&old).is_in(&set), of(&all).is_in(&set));
        let was = Some(before);
        let alone = Profile { program: &program, rows: &new, attribute: None, other: None, was };
        prop_assert!(!alone.is_in(&verdicts.members) || now, "{:?} of {:?}", verdicts, program);
        prop_assert!(!alone.is_in(&verdicts.others) || !now, "{:?} of {:?}", verdicts, program);
    }
}

/// What new rows say of a condition on groups of events of kind 0 and 1: true, false or nothing. It is
/// made from a way to have an aggregate over rows of one kind, or all.
fn told(
    condition: impl Fn(&mut dyn FnMut(Function, Option<i64>) -> Expr) -> Expr,
    old: &[Row],
    new: &[Row],
) -> Option<bool> {
    let mut program = Program::default();
    let group = program.filter(vec![event("kind").lt_eq(lit(1_i64))]);
    let condition = condition(&mut |function, kind| {
        let mut rows = program.filters[group.0].0.clone();
        rows.extend(kind.map(|kind| event("kind").eq(lit(kind))));
        let rows = program.filter(rows);
        let argument = (function != Function::Count).then(ts);
        let data_type = DataType::Int64;
        let id = program.aggregate(Aggregate { group, rows, function, argument, data_type }).0;
        Expr::Column(Column::new(Some(AGGREGATE), id.to_string()))
    });
    let among = Some(group);
    let has_group = SetExpr::Leaf(program.leaf(Leaf::Events(group)));
    let set = SetExpr::Leaf(program.leaf(Leaf::Groups { condition, among }));
    let set = SetExpr::all([has_group, set]);
    let touched = SetExpr::Leaf(program.any_event());
    let verdicts = program.verdicts(&set, &SetExpr::Segment("was".to_owned()), &touched);
    let (attribute, other) = (Some(true), None);
    let before = Profile { program: &program, rows: old, attribute, other, was: None }.is_in(&set);
    let was = Some(before);
    let alone = Profile { program: &program, rows: new, attribute: None, other: None, was };
    match (alone.is_in(&verdicts.members), alone.is_in(&verdicts.others)) {
        (false, false) => None,
        (is_member, _) => Some(is_member),
    }
}

#[test]
fn usual_conditions_are_told() {
    let row = |kind: i64, ts: i64| (kind, None, ts);
    let (none, two) = (&[][..], &[row(0, 1), row(0, 2)][..]);
    let count = Function::Count;
    // Enough are enough, whatever comes; too few may have become enough.
    assert_eq!(told(|of| of(count, None).gt_eq(lit(2_i64)), two, &[row(1, 3)]), Some(true));
    assert_eq!(told(|of| of(count, None).gt_eq(lit(3_i64)), two, &[row(1, 3)]), None);
    assert_eq!(told(|of| of(count, None).gt_eq(lit(2_i64)), none, two), Some(true));
    // Another kind of event says nothing.
    assert_eq!(told(|of| of(count, Some(0)).gt_eq(lit(3_i64)), two, &[row(1, 3)]), Some(false));
    // Silence is over.
    assert_eq!(told(|of| of(Function::Max, None).lt(lit(5_i64)), two, &[row(0, 7)]), Some(false));
    assert_eq!(told(|of| of(Function::Max, None).lt(lit(5_i64)), two, &[row(0, 3)]), None);
    // A share of all only falls by what is not counted in it.
    let share = |of: &mut dyn FnMut(Function, Option<i64>) -> Expr| {
        let (some, all) = (of(count, Some(1)), of(count, None));
        all.lt(some * lit(2_i64))
    };
    assert_eq!(told(share, two, &[row(0, 3)]), Some(false));
    assert_eq!(told(share, two, &[row(1, 3)]), None);
    // What is new altogether is what the new rows are.
    assert_eq!(told(share, none, &[row(0, 3)]), Some(false));
}
