//! What can have moved a profile into a segment or out of it since an earlier build.
//!
//! A segment is compiled twice: for the moment of the earlier build and for that of this one. The two
//! sets are laid side by side. Where they are equal, only rows that came or went can have changed a
//! profile's answer; where they differ in a bound on the time, rows between the two bounds can, too.
//! A segment that is the first profiles in some order is followed as far as its order can be: whether
//! others than the touched ones have moved up shows once the touched ones are ranked ([`Touch::ranks`]).
//! Everything else (a condition that reads the moment in another way) is not followed, and the segment
//! is evaluated in full.

use std::collections::BTreeSet;

use crate::model::tables;
use crate::query::df::{
    BinaryExpr, Column, Expr, Operator, ScalarValue, Transformed, TransformedResult as _,
    TreeNode as _, TreeNodeRecursion,
};

use super::pass::select::{TimeRange, moment, time_range};
use super::program::{
    AggregateId, EVENT, FilterId, Function, Leaf, LeafId, PROFILE, Program, RankKey, SetExpr,
    aggregate,
};

/// What has to be looked at to find the profiles whose answer may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// Among the events that came or went: those whom these rows touch.
    pub events: SetExpr,
    /// Among all rows: those whom the time moved over.
    pub moved: SetExpr,
    /// A profile is touched where its row in `profiles` came, went or changed such that one of these
    /// is no longer what it was.
    pub attributes: BTreeSet<LeafId>,
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
    let Found { rows, moved, attributes, flipped, reads_attributes, segments } = pairs.found;
    let mut passing = |filters: BTreeSet<FilterId>| {
        let leaf = |filter| SetExpr::Leaf(program.leaf(Leaf::Events(filter)));
        SetExpr::any(filters.into_iter().map(leaf).collect::<Vec<_>>())
    };
    let (events, moved) = (passing(rows), passing(moved));
    let one_of = |(a, b): (LeafId, LeafId)| {
        let both = SetExpr::all([SetExpr::Leaf(a), SetExpr::Leaf(b)]);
        let any = SetExpr::any([SetExpr::Leaf(a), SetExpr::Leaf(b)]);
        SetExpr::all([any, both.negated()])
    };
    let moved = SetExpr::any(flipped.into_iter().map(one_of).chain([moved]));
    Some(Touch { events, moved, attributes, reads_attributes, segments, ranks })
}

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
    attributes: BTreeSet<LeafId>,
    /// A profile is touched where exactly one of the two is true of it.
    flipped: BTreeSet<(LeafId, LeafId)>,
    reads_attributes: bool,
    segments: BTreeSet<String>,
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
        let (one, other) =
            (self.program.leaves[before.0].clone(), self.program.leaves[now.0].clone());
        match (one, other) {
            (Leaf::Attribute(_), Leaf::Attribute(_)) => {
                self.found.attributes.insert(now);
                if before != now {
                    self.found.flipped.insert((before, now));
                }
                Some(())
            }
            (Leaf::Events(before), Leaf::Events(now)) => self.filters(before, now),
            (
                Leaf::Groups { condition: before, among: among_before },
                Leaf::Groups { condition: now, among: among_now },
            ) => {
                match (among_before, among_now) {
                    (None, None) => {}
                    (Some(before), Some(now)) => self.filters(before, now)?,
                    _ => return None,
                }
                self.conditions(&before, &now)
            }
            (
                Leaf::Sequence {
                    first: first_before,
                    then: then_before,
                    from_us: a,
                    to_us: b,
                    without: c,
                },
                Leaf::Sequence { first, then, from_us, to_us, without },
            ) if (a, b, c) == (from_us, to_us, without) => {
                self.filters(first_before, first)?;
                self.filters(then_before, then)
            }
            (Leaf::Windowed(before), Leaf::Windowed(now)) if before.windows == now.windows => {
                self.filters(before.rows, now.rows)?;
                // What a row knows of others has not changed where none of its profile's rows did.
                let common = self.common(before.rows, now.rows);
                let pairs = before.conditions.iter().zip(&now.conditions);
                same_number(&before.conditions, &now.conditions)?;
                let mut moved = Vec::new();
                for (before, now) in pairs {
                    moved.extend(moments_between(before, now)?);
                }
                self.moved(&common, &moved);
                Some(())
            }
            (Leaf::Local(before), Leaf::Local(now))
                if (&before.columns, &before.plan) == (&now.columns, &now.plan) =>
            {
                self.filters(before.rows, now.rows)
            }
            _ => None,
        }
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
        keys.try_for_each(|(old, new)| self.followed(&old.value, &new.value))?;
        Some(*now)
    }

    /// Rows that pass exactly one of the two lie between moments that they are compared with.
    fn filters(&mut self, before: FilterId, now: FilterId) -> Option<()> {
        self.found.rows.extend([before, now]);
        if before == now {
            return Some(());
        }
        // Conditions lie in the order of their texts, and so of their moments.
        let shaped = |id: FilterId| {
            let mut all: Vec<(String, Expr)> = self.program.filters[id.0]
                .0
                .iter()
                .map(|condition| (shape(condition).0.to_string(), condition.clone()))
                .collect();
            all.sort_by(|(one, _), (other, _)| one.cmp(other));
            all
        };
        let (old, new) = (shaped(before), shaped(now));
        same_number(&old, &new)?;
        let mut moved = Vec::new();
        for ((_, before), (_, now)) in old.iter().zip(&new) {
            moved.extend(moments_between(before, now)?);
        }
        let common = self.common(before, now);
        self.moved(&common, &moved);
        Some(())
    }

    /// The conditions that both filters have.
    fn common(&self, one: FilterId, other: FilterId) -> Vec<Expr> {
        let (one, other) = (&self.program.filters[one.0].0, &self.program.filters[other.0].0);
        one.iter().filter(|condition| other.contains(condition)).cloned().collect()
    }

    /// Notes the rows that pass `conditions` and lie between two moments of any pair.
    fn moved(&mut self, conditions: &[Expr], pairs: &[(i64, i64)]) {
        for (from, before) in pairs {
            let mut conditions = conditions.to_vec();
            conditions.push(ts().gt_eq(microseconds(*from)));
            conditions.push(ts().lt(microseconds(*before)));
            let filter = self.program.filter(conditions);
            self.found.moved.insert(filter);
        }
    }

    /// Follows the aggregates of two expressions that are the same but for them.
    fn followed(&mut self, before: &Expr, now: &Expr) -> Option<()> {
        self.found.reads_attributes |= now
            .column_refs()
            .iter()
            .any(|c| c.relation.as_ref().is_some_and(|r| r.table() == PROFILE));
        let mut pairs = named(before).into_iter().zip(named(now));
        pairs.try_for_each(|(old, new)| self.aggregates(old, new))
    }

    fn conditions(&mut self, before: &Expr, now: &Expr) -> Option<()> {
        if is_same(before, now) {
            return self.followed(before, now);
        }
        match (before, now) {
            (Expr::Not(before), Expr::Not(now)) => self.conditions(before, now),
            (Expr::BinaryExpr(before), Expr::BinaryExpr(now)) if before.op == now.op => {
                if matches!(now.op, Operator::And | Operator::Or) {
                    self.conditions(&before.left, &now.left)?;
                    return self.conditions(&before.right, &now.right);
                }
                self.extremes(before, now)
            }
            _ => None,
        }
    }

    /// The first or last time, compared with a moment that moved: one who is on the other side of it
    /// now has a row in between.
    fn extremes(&mut self, before: &BinaryExpr, now: &BinaryExpr) -> Option<()> {
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
        self.aggregates(old, new)?;
        let conditions = self.program.filters[of.rows.0].0.clone();
        self.moved(&conditions, &[(was.min(is), was.max(is).saturating_add(1))]);
        Some(())
    }

    fn aggregates(&mut self, before: AggregateId, now: AggregateId) -> Option<()> {
        let old = self.program.aggregates[before.0].clone();
        let new = self.program.aggregates[now.0].clone();
        if (old.function, &old.argument) != (new.function, &new.argument) {
            return None;
        }
        self.filters(old.group, new.group)?;
        self.filters(old.rows, new.rows)
    }
}

fn same_number<T>(before: &[T], now: &[T]) -> Option<()> {
    (before.len() == now.len()).then_some(())
}

/// `condition` with a name in place of each comparison of the time with a moment, and the moments that
/// each of these lets through.
fn shape(condition: &Expr) -> (Expr, Vec<TimeRange>) {
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
    (shaped.data().unwrap_or_else(|_| condition.clone()), ranges)
}

/// The spans of time outside of which two conditions on a row say the same, which differ in moments that
/// the time is compared with; nothing where they differ in anything else.
fn moments_between(before: &Expr, now: &Expr) -> Option<Vec<(i64, i64)>> {
    if before == now {
        return Some(Vec::new());
    }
    let ((old, were), (new, are)) = (shape(before), shape(now));
    if old != new {
        return None;
    }
    let ends = were.iter().zip(&are);
    let ends = ends.flat_map(|(old, new)| [(old.from, new.from), (old.before, new.before)]);
    let moved = ends.filter(|(one, other)| one != other);
    Some(moved.map(|(one, other)| (one.min(other), one.max(other))).collect())
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
