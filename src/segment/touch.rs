//! What can have moved a profile into a segment or out of it since an earlier build.
//!
//! A segment is compiled twice: for the moment of the earlier build and for that of this one. The two
//! sets are laid side by side. Where they are equal, only rows that came or went can have changed a
//! profile's answer; where they differ in a bound on the time, rows between the two bounds can, too.
//! A segment that is the first profiles in some order is followed as far as its order can be: whether
//! others than the touched ones have moved up shows once the touched ones are ranked ([`Touch::ranks`]).
//! Everything else (a condition that reads the moment in another way) is not followed, and the segment
//! is evaluated in full.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::tables;
use crate::query::df::{
    BinaryExpr, Column, Expr, Operator, ScalarValue, Transformed, TransformedResult as _,
    TreeNode as _, TreeNodeRecursion,
};

use super::pass::select::{TimeRange, moment, time_range};
use super::program::{
    AggregateId, EVENT, FilterId, Function, Leaf, LeafId, PROFILE, Program, RankKey, SetExpr,
    aggregate, reads,
};
use super::verdict::{Trend, Verdict};

/// What has to be looked at to find the profiles whose answer may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// Among the events that came or went: those whom these rows touch.
    pub events: SetExpr,
    /// Among all rows: those whom the time moved over.
    pub moved: SetExpr,
    /// Of these, those for whom a condition on their own row is another one.
    pub flipped: SetExpr,
    /// What the time that passed says of leaves: whom it may have taken out, and whom it may have let in.
    pub verdicts: BTreeMap<LeafId, Verdict>,
    /// A profile is touched where its row in `profiles` came, went or changed such that one of these,
    /// as it was at the moment before and as it is now, is no longer what it was.
    pub attributes: BTreeSet<(LeafId, LeafId)>,
    /// Whether a condition on groups reads attributes: any change of its own row may touch it.
    pub reads_attributes: bool,
    /// It is touched where it entered or left one of these.
    pub segments: BTreeSet<String>,
    /// The leaf that the segment is, where that takes the first profiles in some order.
    pub ranks: Option<LeafId>,
}

/// What touches a profile of a segment that was `before`, and is `now`; nothing where that cannot be
/// told.
pub fn touch(program: &mut Program, before: &SetExpr, now: &SetExpr) -> Option<Touch> {
    let mut pairs = Pairs { program, found: Found::default() };
    let ranks = pairs.ranked(before, now);
    if ranks.is_none() {
        pairs.sets(before, now)?;
    }
    let Found { rows, moved, attributes, flipped, reads_attributes, segments, sides } = pairs.found;
    let (events, moved) = (program.passing(rows), program.passing(moved));
    let sides = sides.into_iter().map(|(leaf, Moved { leaving, entering })| {
        let may_fail = program.passing(leaving);
        let may_hold = program.passing(entering);
        (leaf, Verdict { may_fail, may_hold, ..Verdict::default() })
    });
    let verdicts = sides.collect();
    let one_of = |(a, b): (LeafId, LeafId)| {
        let both = SetExpr::all([SetExpr::Leaf(a), SetExpr::Leaf(b)]);
        let any = SetExpr::any([SetExpr::Leaf(a), SetExpr::Leaf(b)]);
        SetExpr::all([any, both.negated()])
    };
    let flipped = SetExpr::any(flipped.into_iter().map(one_of));
    let moved = SetExpr::any([flipped.clone(), moved]);
    Some(Touch { events, moved, flipped, verdicts, attributes, reads_attributes, segments, ranks })
}

/// Rows that are let through at one of the two moments and not at the other: by a filter, those that it
/// loses and those that it gains; by a leaf, those that may take profiles out, and those that may let
/// them in. Some may be both.
#[derive(Debug, Clone, Default)]
struct Moved {
    leaving: BTreeSet<FilterId>,
    entering: BTreeSet<FilterId>,
}

impl Moved {
    fn add(&mut self, other: Self) {
        self.leaving.extend(other.leaving);
        self.entering.extend(other.entering);
    }

    fn any(&self) -> impl Iterator<Item = FilterId> {
        self.leaving.iter().chain(&self.entering).copied()
    }

    /// Rows that may do either.
    fn either(filters: impl IntoIterator<Item = FilterId>) -> Self {
        let leaving: BTreeSet<FilterId> = filters.into_iter().collect();
        Self { entering: leaving.clone(), leaving }
    }
}

/// Whether rows between two moments leave a filter, or enter it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Leaving,
    Entering,
    Either,
}

/// A span of time from the first moment to before the second.
type Span = (i64, i64, Way);

struct Pairs<'a> {
    program: &'a mut Program,
    found: Found,
}

#[derive(Default)]
struct Found {
    /// Rows that come and go touch a profile where they pass any of these.
    rows: BTreeSet<FilterId>,
    /// Rows that are there touch it where they pass any of these.
    moved: BTreeSet<FilterId>,
    attributes: BTreeSet<(LeafId, LeafId)>,
    /// A profile is touched where exactly one of the two is true of it.
    flipped: BTreeSet<(LeafId, LeafId)>,
    reads_attributes: bool,
    segments: BTreeSet<String>,
    sides: BTreeMap<LeafId, Moved>,
}

/// Each step gives nothing where the two differ in a way that is not followed.
impl Pairs<'_> {
    fn sets(&mut self, before: &SetExpr, now: &SetExpr) -> Option<()> {
        match (before, now) {
            (SetExpr::Nothing, SetExpr::Nothing) => Some(()),
            (SetExpr::Leaf(before), SetExpr::Leaf(now)) => self.leaves(*before, *now),
            (SetExpr::Segment(before), SetExpr::Segment(now)) if before == now => {
                self.found.segments.insert(now.clone());
                Some(())
            }
            (SetExpr::And(before), SetExpr::And(now)) | (SetExpr::Or(before), SetExpr::Or(now)) => {
                same_number(before, now)?;
                before.iter().zip(now).try_for_each(|(before, now)| self.sets(before, now))
            }
            (SetExpr::Not(before), SetExpr::Not(now)) => self.sets(before, now),
            _ => None,
        }
    }

    fn leaves(&mut self, before: LeafId, now: LeafId) -> Option<()> {
        let moved = self.leaf(before, now)?;
        self.found.sides.entry(now).or_default().add(moved);
        Some(())
    }

    /// What time moved of a leaf.
    fn leaf(&mut self, before: LeafId, now: LeafId) -> Option<Moved> {
        let (one, other) =
            (self.program.leaves[before.0].clone(), self.program.leaves[now.0].clone());
        match (one, other) {
            (Leaf::Attribute(_), Leaf::Attribute(_)) => {
                self.found.attributes.insert((before, now));
                if before != now {
                    self.found.flipped.insert((before, now));
                }
                Some(Moved::default())
            }
            (Leaf::Events(before), Leaf::Events(now)) => self.filters(before, now),
            (
                Leaf::Groups { condition: before, among: among_before },
                Leaf::Groups { condition, among },
            ) => self.grouped((&before, among_before), (&condition, among)),
            (
                Leaf::Sequence {
                    first: old_first,
                    then: old_then,
                    from_us: a,
                    to_us: b,
                    without: c,
                },
                Leaf::Sequence { first, then, from_us, to_us, without },
            ) if (a, b, c) == (from_us, to_us, without) => {
                let mut moved = self.filters(old_first, first)?;
                let Moved { leaving, entering } = self.filters(old_then, then)?;
                // Where the second is missed, one that leaves is one that is missing.
                let (leaving, entering) =
                    if without { (entering, leaving) } else { (leaving, entering) };
                moved.add(Moved { leaving, entering });
                Some(moved)
            }
            (Leaf::Windowed(before), Leaf::Windowed(now)) if before.windows == now.windows => {
                let mut moved = self.filters(before.rows, now.rows)?;
                // What a row knows of others has not changed where none of its profile's rows did.
                let common = self.common(before.rows, now.rows);
                same_number(&before.conditions, &now.conditions)?;
                for (before, now) in before.conditions.iter().zip(&now.conditions) {
                    let spans = Shape::of(before).spans_to(&Shape::of(now))?;
                    moved.add(self.moved(&common, &spans));
                }
                Some(Moved::either(moved.any()))
            }
            (Leaf::Local(before), Leaf::Local(now))
                if (&before.columns, &before.plan) == (&now.columns, &now.plan) =>
            {
                let moved = self.filters(before.rows, now.rows)?;
                Some(Moved::either(moved.any()))
            }
            _ => None,
        }
    }

    fn grouped(
        &mut self,
        (before, among_before): (&Expr, Option<FilterId>),
        (now, among): (&Expr, Option<FilterId>),
    ) -> Option<Moved> {
        let of_among = match (among_before, among) {
            (None, None) => Moved::default(),
            (Some(before), Some(now)) => self.filters(before, now)?,
            _ => return None,
        };
        let mut aggregates = Vec::new();
        let compared = self.conditions((before, now), &mut aggregates)?;
        Some(self.groups((now, among), of_among, &aggregates, compared))
    }

    /// Whom the rows that moved may take out of groups, and whom they may let in: `aggregates` have their
    /// groups' rows and their own, `compared` are rows between moments that times are compared with.
    fn groups(
        &self,
        (condition, among): (&Expr, Option<FilterId>),
        of_among: Moved,
        aggregates: &[(AggregateId, Moved, Moved)],
        compared: BTreeSet<FilterId>,
    ) -> Moved {
        let mut all = Moved::either(compared);
        let is_in_group = |id: AggregateId| Some(self.program.aggregates[id.0].group) == among;
        if !aggregates.iter().all(|(id, ..)| is_in_group(*id)) {
            all.add(Moved::either(of_among.any()));
            let own = aggregates.iter().flat_map(|(_, group, rows)| group.any().chain(rows.any()));
            all.add(Moved::either(own));
            return all;
        }
        all.add(of_among);
        for (id, _, rows) in aggregates {
            let effect = self.program.effect(condition, *id);
            // A value that has lost its last row is null, and what is compared with it not true.
            all.leaving.extend(&rows.leaving);
            if !matches!(effect, Some(Trend::Up | Trend::Fixed)) {
                all.leaving.extend(&rows.entering);
                all.entering.extend(&rows.leaving);
            }
            let may_rise = !matches!(effect, Some(Trend::Down | Trend::Fixed));
            if may_rise || self.program.is_null_with_rows(*id) {
                all.entering.extend(&rows.entering);
            }
        }
        all
    }

    /// The leaf of `now`, where both are the first profiles in the same order.
    fn ranked(&mut self, before: &SetExpr, now: &SetExpr) -> Option<LeafId> {
        let (SetExpr::Leaf(before), SetExpr::Leaf(now)) = (before, now) else { return None };
        let leaf = |id: &LeafId| self.program.leaves[id.0].clone();
        let (Leaf::Ranked(old), Leaf::Ranked(new)) = (leaf(before), leaf(now)) else { return None };
        let is_same_key = |(old, new): (&RankKey, &RankKey)| {
            (old.ascending, old.nulls_first) == (new.ascending, new.nulls_first)
                && is_same(&old.value, &new.value)
        };
        // Whoever is passed over is no member, and yet decides who is.
        let is_same_order = (old.skip, new.skip) == (0, 0)
            && (old.take, old.keys.len()) == (new.take, new.keys.len())
            && old.keys.iter().zip(&new.keys).all(is_same_key);
        if !is_same_order {
            return None;
        }
        self.sets(&old.among, &new.among)?;
        let mut keys = old.keys.iter().zip(&new.keys);
        let mut aggregates = Vec::new();
        keys.try_for_each(|(old, new)| self.followed((&old.value, &new.value), &mut aggregates))?;
        Some(*now)
    }

    /// Rows that pass exactly one of the two lie between moments that they are compared with.
    fn filters(&mut self, before: FilterId, now: FilterId) -> Option<Moved> {
        self.found.rows.extend([before, now]);
        if before == now {
            return Some(Moved::default());
        }
        // Conditions lie in the order of their texts, and so of their moments.
        let shapes = |id: FilterId| {
            let mut all: Vec<Shape> = self.program.filters[id.0].0.iter().map(Shape::of).collect();
            all.sort_by_cached_key(|shape| shape.condition.to_string());
            all
        };
        let (old, new) = (shapes(before), shapes(now));
        same_number(&old, &new)?;
        let mut moved = Vec::new();
        for (before, now) in old.iter().zip(&new) {
            moved.extend(before.spans_to(now)?);
        }
        let common = self.common(before, now);
        Some(self.moved(&common, &moved))
    }

    /// The conditions that both filters have.
    fn common(&self, one: FilterId, other: FilterId) -> Vec<Expr> {
        let (one, other) = (&self.program.filters[one.0].0, &self.program.filters[other.0].0);
        one.iter().filter(|condition| other.contains(condition)).cloned().collect()
    }

    /// Notes the rows that pass `conditions` and lie in any of `spans`.
    fn moved(&mut self, conditions: &[Expr], spans: &[Span]) -> Moved {
        let mut moved = Moved::default();
        for (from, before, way) in spans {
            let mut conditions = conditions.to_vec();
            conditions.push(ts().gt_eq(microseconds(*from)));
            conditions.push(ts().lt(microseconds(*before)));
            let filter = self.program.filter(conditions);
            self.found.moved.insert(filter);
            if *way != Way::Entering {
                moved.leaving.insert(filter);
            }
            if *way != Way::Leaving {
                moved.entering.insert(filter);
            }
        }
        moved
    }

    /// Follows the aggregates of two expressions that are the same but for them.
    fn followed(
        &mut self,
        (before, now): (&Expr, &Expr),
        into: &mut Vec<(AggregateId, Moved, Moved)>,
    ) -> Option<()> {
        self.found.reads_attributes |= reads(now, PROFILE);
        for (old, new) in named(before).into_iter().zip(named(now)) {
            into.push(self.aggregates(old, new)?);
        }
        Some(())
    }

    /// The rows between moments that times are compared with; the aggregates that are named go `into`.
    fn conditions(
        &mut self,
        (before, now): (&Expr, &Expr),
        into: &mut Vec<(AggregateId, Moved, Moved)>,
    ) -> Option<BTreeSet<FilterId>> {
        if is_same(before, now) {
            self.followed((before, now), into)?;
            return Some(BTreeSet::new());
        }
        match (before, now) {
            (Expr::Not(before), Expr::Not(now)) => self.conditions((before, now), into),
            (Expr::BinaryExpr(before), Expr::BinaryExpr(now)) if before.op == now.op => {
                if matches!(now.op, Operator::And | Operator::Or) {
                    let mut left = self.conditions((&before.left, &now.left), into)?;
                    left.extend(self.conditions((&before.right, &now.right), into)?);
                    return Some(left);
                }
                self.extremes((before, now), into)
            }
            _ => None,
        }
    }

    /// The first or last time, compared with a moment that moved: one who is on the other side of it
    /// now has a row in between.
    fn extremes(
        &mut self,
        (before, now): (&BinaryExpr, &BinaryExpr),
        into: &mut Vec<(AggregateId, Moved, Moved)>,
    ) -> Option<BTreeSet<FilterId>> {
        use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if !matches!(now.op, Lt | LtEq | Gt | GtEq | Eq | NotEq) {
            return None;
        }
        let sides = |of: &BinaryExpr| match (aggregate(&of.left), aggregate(&of.right)) {
            (Some(id), None) => Some((id, moment(&of.right)?, true)),
            (None, Some(id)) => Some((id, moment(&of.left)?, false)),
            _ => None,
        };
        let ((old, was, on_left), (new, is, still_left)) = (sides(before)?, sides(now)?);
        let of = self.program.aggregates[new.0].clone();
        let is_time = of.argument.as_ref().is_some_and(|a| *a == ts());
        if on_left != still_left
            || !matches!(of.function, Function::Min | Function::Max)
            || !is_time
        {
            return None;
        }
        into.push(self.aggregates(old, new)?);
        let conditions = self.program.filters[of.rows.0].0.clone();
        let between = (was.min(is), was.max(is).saturating_add(1), Way::Either);
        Some(self.moved(&conditions, &[between]).leaving)
    }

    /// The aggregate now, and the rows that its group and it lost and gained.
    fn aggregates(
        &mut self,
        before: AggregateId,
        now: AggregateId,
    ) -> Option<(AggregateId, Moved, Moved)> {
        let old = self.program.aggregates[before.0].clone();
        let new = self.program.aggregates[now.0].clone();
        if (old.function, &old.argument) != (new.function, &new.argument) {
            return None;
        }
        Some((now, self.filters(old.group, new.group)?, self.filters(old.rows, new.rows)?))
    }
}

fn same_number<T>(before: &[T], now: &[T]) -> Option<()> {
    (before.len() == now.len()).then_some(())
}

/// A condition on a row, apart from the moments that it compares the time with.
struct Shape {
    /// The condition with a name in place of each such comparison.
    condition: Expr,
    /// The moments that each of these lets through.
    ranges: Vec<TimeRange>,
    /// Whether one of these is all of the condition: then it is plain which way rows go.
    is_plain: bool,
}

impl Shape {
    fn of(condition: &Expr) -> Self {
        let mut ranges = Vec::new();
        let shaped = condition.clone().transform_down(|e| {
            let Some(range) = time_range(&e) else { return Ok(Transformed::no(e)) };
            ranges.push(range);
            let TimeRange { from, before } = TimeRange::ALL;
            let ends = (range.from != from, range.before != before);
            let name = Expr::Column(Column::new_unqualified(format!("within {ends:?}")));
            Ok(Transformed::new(name, true, TreeNodeRecursion::Jump))
        });
        // The closure never fails.
        let shaped = shaped.data().unwrap_or_else(|_| condition.clone());
        Self { condition: shaped, ranges, is_plain: time_range(condition).is_some() }
    }

    /// The spans of time outside of which both say the same; nothing where they differ in more than
    /// moments.
    fn spans_to(&self, now: &Self) -> Option<Vec<Span>> {
        if self.condition != now.condition {
            return None;
        }
        let span = |one: i64, other: i64, grows: bool| {
            let way = match (now.is_plain, grows) {
                (false, _) => Way::Either,
                (true, true) => Way::Entering,
                (true, false) => Way::Leaving,
            };
            (one != other).then_some((one.min(other), one.max(other), way))
        };
        let spans = self.ranges.iter().zip(&now.ranges).flat_map(|(old, new)| {
            [
                span(old.from, new.from, new.from < old.from),
                span(old.before, new.before, new.before > old.before),
            ]
        });
        Some(spans.flatten().collect())
    }
}

pub(super) fn ts() -> Expr {
    Expr::Column(Column::new(Some(EVENT), tables::TS))
}

fn microseconds(us: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())), None)
}

/// The aggregates that `condition` names, in the order of reading.
fn named(condition: &Expr) -> Vec<AggregateId> {
    let mut found = Vec::new();
    let walked = condition.apply(|e| {
        found.extend(aggregate(e));
        Ok(TreeNodeRecursion::Continue)
    });
    // The closure never fails.
    drop(walked);
    found
}

/// Whether the two say the same of other aggregates.
fn is_same(before: &Expr, now: &Expr) -> bool {
    let (old, new) = (named(before), named(now));
    old.len() == new.len() && renumbered(before, &old, &new).as_ref() == Some(now)
}

/// `condition` with the aggregates of `now` in place of those of `before`, one for one in the order in
/// which they are named.
fn renumbered(condition: &Expr, before: &[AggregateId], now: &[AggregateId]) -> Option<Expr> {
    let place = |id| before.iter().position(|b| *b == id).map(|place| now[place].0);
    Program::renumbered(condition, place)
}
