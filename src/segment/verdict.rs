//! What rows of events that came say of a leaf by themselves, without a look at the rows that were
//! there before.
//!
//! Most of what comes decides nothing new: who had three purchases has three still after a fourth, and
//! a visit says nothing of who asked for refunds. A leaf's aggregates are taken one by one. Rows only
//! ever move a count, a distinct count or a maximum up and a minimum down; where the condition on them
//! can only become true by that, members stay, and where it can only become false, others stay out.
//! What can be told neither way is left to be evaluated.
//!
//! All of it is set algebra over leaves: evaluated over the new rows alone, it says whom a segment has
//! gained, whom it has lost, and of whom it cannot be told ([`Verdicts`]).

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;

use crate::query::df::{BinaryExpr, Expr, Operator, ScalarValue, split_conjunction};

use super::program::{
    Aggregate, AggregateId, FilterId, Function, Leaf, LeafId, PROFILE, Program, SetExpr, aggregate,
    reads,
};
use super::touch::ts;

/// Results of integer arithmetic below this do not overflow.
const SAFE: u128 = 1 << 62;
/// More rows than a state counts.
const COUNT_MAX: u128 = 1 << 32;

/// What the new rows say of a segment. Each is a set over these rows alone, where the segment's last
/// members are a segment of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdicts {
    /// Those who are members now, whatever rows there were before.
    pub members: SetExpr,
    /// Those who are none.
    pub others: SetExpr,
}

/// What the new rows, or the time that passed, say of a leaf or of any part of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Those it is true of, whatever rows there were before.
    pub holds: SetExpr,
    /// Those it is not true of.
    pub fails: SetExpr,
    /// Those it may not be true of any more; of all others it stays true, if it was.
    pub may_fail: SetExpr,
    /// Those it may have become true of; of all others it stays untrue, if it was.
    pub may_hold: SetExpr,
}

impl Default for Verdict {
    /// Nothing moves.
    fn default() -> Self {
        let none = SetExpr::Nothing;
        let [holds, fails, may_fail] = [none.clone(), none.clone(), none.clone()];
        Self { holds, fails, may_fail, may_hold: none }
    }
}

impl Verdict {
    /// On all of `parts` together.
    fn all(parts: &[Self]) -> Self {
        let each = |of: fn(&Self) -> &SetExpr| parts.iter().map(move |part| of(part).clone());
        Self {
            holds: SetExpr::all(each(|part| &part.holds)),
            fails: SetExpr::any(each(|part| &part.fails)),
            may_fail: SetExpr::any(each(|part| &part.may_fail)),
            may_hold: SetExpr::any(each(|part| &part.may_hold)),
        }
    }

    /// On the opposite.
    fn negated(self) -> Self {
        let Self { holds, fails, may_fail, may_hold } = self;
        Self { holds: fails, fails: holds, may_fail: may_hold, may_hold: may_fail }
    }
}

/// Where a value goes as rows are added. Of conditions: false is less than null, and null is less
/// than true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trend {
    Fixed,
    Up,
    Down,
}

impl Trend {
    fn reversed(self) -> Self {
        match self {
            Self::Fixed => Self::Fixed,
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }

    /// Of what rises with both; nothing where they go different ways.
    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (one, Self::Fixed) | (Self::Fixed, one) => Some(one),
            (one, other) => (one == other).then_some(one),
        }
    }
}

impl Program {
    /// What new rows say of segment `set`, whose last members are `was`. `touched` are those who have
    /// new rows that it looks at.
    pub fn verdicts(&mut self, set: &SetExpr, was: &SetExpr, touched: &SetExpr) -> Verdicts {
        self.verdicts_by(set, (was, touched), &|program, leaf| program.verdict(leaf))
    }

    /// What is said of segment `set`, whose last members are `was`, where `verdicts` are on its leaves; on
    /// the others nothing moved. `touched` are those whom anything moved of.
    pub fn verdicts_with(
        &mut self,
        set: &SetExpr,
        (was, touched): (&SetExpr, &SetExpr),
        verdicts: &BTreeMap<LeafId, Verdict>,
    ) -> Verdicts {
        let known = |leaf| verdicts.get(&leaf).cloned().unwrap_or_default();
        self.verdicts_by(set, (was, touched), &|_, leaf| known(leaf))
    }

    fn verdicts_by(
        &mut self,
        set: &SetExpr,
        (was, touched): (&SetExpr, &SetExpr),
        of: &dyn Fn(&mut Self, LeafId) -> Verdict,
    ) -> Verdicts {
        let others = SetExpr::all([touched.clone(), was.clone().negated()]);
        let Verdict { holds, fails, .. } = self.verdict_on(set, (was, &others), touched, of);
        Verdicts { members: holds, others: fails }
    }

    /// What new rows say of a part of a segment, which was true of those of `was.0` and untrue of
    /// those of `was.1`; of others it is not known what it was.
    fn verdict_on(
        &mut self,
        set: &SetExpr,
        was: (&SetExpr, &SetExpr),
        touched: &SetExpr,
        of: &dyn Fn(&mut Self, LeafId) -> Verdict,
    ) -> Verdict {
        let unknown = &SetExpr::Nothing;
        let verdict = match set {
            SetExpr::Nothing => Verdict { fails: touched.clone(), ..Verdict::default() },
            // Those whom a segment gained or lost are followed by themselves.
            SetExpr::Segment(_) => Verdict::default(),
            SetExpr::Leaf(leaf) => of(self, *leaf),
            SetExpr::Not(inner) => self.verdict_on(inner, (was.1, was.0), touched, of).negated(),
            SetExpr::And(parts) => {
                let parts = self.not_implied(parts);
                let of_parts: Vec<Verdict> = parts
                    .into_iter()
                    .map(|part| self.verdict_on(part, (was.0, unknown), touched, of))
                    .collect();
                Verdict::all(&of_parts)
            }
            SetExpr::Or(parts) => {
                let of_parts: Vec<Verdict> = parts
                    .iter()
                    .map(|part| self.verdict_on(part, (unknown, was.1), touched, of).negated())
                    .collect();
                Verdict::all(&of_parts).negated()
            }
        };
        let stay =
            |was: &SetExpr, moved: &SetExpr| SetExpr::all([was.clone(), moved.clone().negated()]);
        Verdict {
            holds: SetExpr::any([verdict.holds, stay(was.0, &verdict.may_fail)]),
            fails: SetExpr::any([verdict.fails, stay(was.1, &verdict.may_hold)]),
            ..verdict
        }
    }

    /// Those of `parts` that the others do not imply: whoever has a group has an event of it.
    fn not_implied<'a>(&self, parts: &'a [SetExpr]) -> Vec<&'a SetExpr> {
        let leaf = |part: &SetExpr| match part {
            SetExpr::Leaf(leaf) => Some(&self.leaves[leaf.0]),
            _ => None,
        };
        let implied: BTreeSet<FilterId> = parts
            .iter()
            .filter_map(|part| match leaf(part) {
                Some(Leaf::Groups { among, .. }) => *among,
                _ => None,
            })
            .collect();
        let is_implied = |part: &&SetExpr| matches!(leaf(part), Some(Leaf::Events(filter)) if implied.contains(filter));
        parts.iter().filter(|part| !is_implied(part)).collect()
    }

    fn verdict(&mut self, id: LeafId) -> Verdict {
        match self.leaves[id.0].clone() {
            // Rows of events say nothing of attributes.
            Leaf::Attribute(_) => Verdict::default(),
            Leaf::Events(rows) => Verdict {
                holds: SetExpr::Leaf(id),
                may_hold: self.passing([rows]),
                ..Verdict::default()
            },
            // A row behind the first takes it away, a first one brings it.
            Leaf::Sequence { first, then, without: true, .. } => Verdict {
                may_fail: self.passing([then]),
                may_hold: self.passing([first]),
                ..Verdict::default()
            },
            Leaf::Sequence { first, then, .. } => Verdict {
                holds: SetExpr::Leaf(id),
                may_hold: self.passing([first, then]),
                ..Verdict::default()
            },
            Leaf::Groups { condition, among } => self.verdict_on_groups(id, &condition, among),
            Leaf::Windowed(windowed) => self.either_way([windowed.rows]),
            Leaf::Local(local) => self.either_way([local.rows]),
            Leaf::Ranked(_) => {
                let all = self.filter(Vec::new());
                self.either_way([all])
            }
        }
    }

    /// Those who have a row that passes any of `filters`.
    pub(super) fn passing(&mut self, filters: impl IntoIterator<Item = FilterId>) -> SetExpr {
        let leaves: Vec<SetExpr> = filters
            .into_iter()
            .map(|filter| SetExpr::Leaf(self.leaf(Leaf::Events(filter))))
            .collect();
        SetExpr::any(leaves)
    }

    /// Rows that pass `filters` tell nothing.
    fn either_way(&mut self, filters: impl IntoIterator<Item = FilterId>) -> Verdict {
        let any = self.passing(filters);
        Verdict { may_fail: any.clone(), may_hold: any, ..Verdict::default() }
    }

    fn verdict_on_groups(
        &mut self,
        id: LeafId,
        condition: &Expr,
        among: Option<FilterId>,
    ) -> Verdict {
        let mut ids = Self::aggregates_in(condition);
        ids.dedup();
        let effects: Vec<(AggregateId, Option<Trend>)> =
            ids.iter().map(|id| (*id, self.effect(condition, *id))).collect();
        let rows_where = |program: &Self, may: &dyn Fn(AggregateId, Option<Trend>) -> bool| {
            let ids = effects.iter().filter(|(id, effect)| may(*id, *effect));
            ids.map(|(id, _)| program.aggregates[id.0].rows).collect::<BTreeSet<FilterId>>()
        };
        let falls = |_, effect| !matches!(effect, Some(Trend::Up | Trend::Fixed));
        let rises = |id, effect| {
            !matches!(effect, Some(Trend::Down | Trend::Fixed)) || self.is_null_with_rows(id)
        };
        let (falling, rising) = (rows_where(self, &falls), rows_where(self, &rises));
        let groups: BTreeSet<FilterId> = ids.iter().map(|id| self.aggregates[id.0].group).collect();
        let is_in_group = groups.len() == 1 && groups.first().copied() == among;
        // One who had no group, and was let in all the same, may have one now: counts are no longer null.
        let own = if is_in_group || falling.is_empty() { None } else { Some(groups.clone()) };
        let may_fail = self.passing(falling.iter().copied().chain(own.into_iter().flatten()));
        let is_alone = !reads(condition, PROFILE);
        let mut verdict = Verdict { may_fail, ..Verdict::default() };
        verdict.may_hold = if is_in_group && is_alone {
            // One whose first rows of the group these are is told of by them alone.
            SetExpr::any([self.passing(rising), SetExpr::Leaf(id)])
        } else {
            self.passing(groups.into_iter().chain(among))
        };
        if is_alone && among.is_some() {
            if falling.is_empty() {
                verdict.holds = SetExpr::Leaf(id);
            }
            verdict.fails = self.fails(condition);
        }
        verdict
    }

    /// Those of whom a part of `condition` is false that rows can only move further down.
    fn fails(&mut self, condition: &Expr) -> SetExpr {
        let mut all = Vec::new();
        for part in split_conjunction(condition) {
            let ids = Self::aggregates_in(part);
            let Some(first) = ids.first() else { continue };
            if ids.iter().all(|id| self.effect(part, *id) == Some(Trend::Down)) {
                let among = Some(self.aggregates[first.0].group);
                let condition = negated(part);
                all.push(SetExpr::Leaf(self.leaf(Leaf::Groups { condition, among })));
            }
        }
        SetExpr::any(all)
    }

    /// Whether the aggregate may be null where its group has rows: a comparison with it is then neither
    /// true nor false, and may become either.
    pub(super) fn is_null_with_rows(&self, id: AggregateId) -> bool {
        let Aggregate { group, rows, function, argument, .. } = &self.aggregates[id.0];
        let never = matches!(function, Function::Count | Function::CountDistinct);
        !never && (group != rows || argument.as_ref() != Some(&ts()))
    }

    /// Where `condition` goes as rows are added to aggregate `id`; nothing where it may go both ways.
    pub(super) fn effect(&self, condition: &Expr, id: AggregateId) -> Option<Trend> {
        let Aggregate { function, data_type, .. } = &self.aggregates[id.0];
        // What floats come to depends on the order of their rows.
        let is_ordered = data_type.is_integer()
            || data_type.is_temporal()
            || matches!(data_type, DataType::Decimal128(..));
        let own = match function {
            Function::Count | Function::CountDistinct => Trend::Up,
            Function::Max if is_ordered => Trend::Up,
            Function::Min if is_ordered => Trend::Down,
            _ => return None,
        };
        self.trend(condition, id, own)
    }

    /// Where `expression` goes as aggregate `id` goes to `own`.
    fn trend(&self, expression: &Expr, id: AggregateId, own: Trend) -> Option<Trend> {
        if aggregate(expression) == Some(id) {
            return Some(own);
        }
        if !Self::aggregates_in(expression).contains(&id) {
            return Some(Trend::Fixed);
        }
        match expression {
            Expr::Not(inner) => self.trend(inner, id, own).map(Trend::reversed),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let left_goes = self.trend(left, id, own)?;
                let right_goes = self.trend(right, id, own)?;
                match op {
                    Operator::And | Operator::Or => left_goes.with(right_goes),
                    Operator::Gt | Operator::GtEq => left_goes.with(right_goes.reversed()),
                    Operator::Lt | Operator::LtEq => right_goes.with(left_goes.reversed()),
                    _ => {
                        self.size(expression).filter(|size| *size < SAFE)?;
                        let (by_right, by_left) = (whole(right), whole(left));
                        match (op, by_left, by_right) {
                            (Operator::Plus, ..) => left_goes.with(right_goes),
                            (Operator::Minus, ..) => left_goes.with(right_goes.reversed()),
                            (Operator::Multiply, _, Some(n)) if n >= 0 => Some(left_goes),
                            (Operator::Multiply, Some(n), _) if n >= 0 => Some(right_goes),
                            _ => None,
                        }
                    }
                }
            }
            _ => None,
        }
    }

    /// The greatest that an expression over counts can be, or its negative; nothing where that is not
    /// known.
    fn size(&self, expression: &Expr) -> Option<u128> {
        if let Some(id) = aggregate(expression) {
            let function = self.aggregates[id.0].function;
            let counts = matches!(function, Function::Count | Function::CountDistinct);
            return counts.then_some(COUNT_MAX);
        }
        match expression {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (left, right) = (self.size(left)?, self.size(right)?);
                match op {
                    Operator::Plus | Operator::Minus => left.checked_add(right),
                    Operator::Multiply => left.checked_mul(right),
                    _ => None,
                }
            }
            literal => whole(literal).map(|n| u128::from(n.unsigned_abs())),
        }
    }
}

/// What is true where `condition` is false.
fn negated(condition: &Expr) -> Expr {
    if let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition
        && let Some(op) = op.negate()
    {
        return Expr::BinaryExpr(BinaryExpr::new(left.clone(), op, right.clone()));
    }
    Expr::Not(Box::new(condition.clone()))
}

fn whole(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(ScalarValue::Int64(value), _) => *value,
        _ => None,
    }
}

#[cfg(test)]
mod tests;
