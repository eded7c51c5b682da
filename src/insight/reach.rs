//! Whom several segments reach together: exact, by set algebra.

use serde::Serialize;

use super::share;
use crate::membership::Membership;

/// Regions are counted for up to so many segments: there can be 2^n of them.
pub const REGION_SEGMENTS_MAX: usize = 12;

/// Several segments taken together.
#[derive(Debug, Clone, Serialize)]
pub struct Reach {
    /// What the shares are of: `profiles`, or a segment.
    pub base: String,
    /// The profiles in it.
    pub base_members: u64,
    /// Profiles in at least one of the segments.
    pub reach: u64,
    /// That, as a share of the base.
    pub share: f64,
    /// The segments, in the order in which each adds most to those before it.
    pub steps: Vec<Step>,
    /// Who is in which segments and in no others, the largest groups first; nothing for more than
    /// 12 segments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
}

/// A segment that is added to those before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The segment.
    pub segment: String,
    /// Its members.
    pub members: u64,
    /// Members that are in no other of the segments.
    pub only_here: u64,
    /// Members that no segment before it has.
    pub added: u64,
    /// Profiles reached with it.
    pub reach: u64,
    /// That, as a share of the base.
    pub share: f64,
}

/// Those in all of some segments and in none of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    /// The segments that they are in.
    pub segments: Vec<String>,
    /// How many they are.
    pub members: u64,
}

/// The reach of `segments` within `base`, which has `base_members`; without a membership the base
/// is everybody. Equal gains keep the order of `segments`.
pub fn reach(segments: &[(String, Membership)], base: (&str, u64, Option<&Membership>)) -> Reach {
    let (base, base_members, within) = base;
    let sets: Vec<(&str, Membership)> = segments
        .iter()
        .map(|(name, set)| (name.as_str(), within.map_or_else(|| set.clone(), |w| set.and(w))))
        .collect();
    let steps = steps(&sets, base_members);
    let reach = steps.last().map_or(0, |step| step.reach);
    Reach {
        base: base.to_owned(),
        base_members,
        reach,
        share: share(reach, base_members),
        steps,
        regions: if sets.len() > REGION_SEGMENTS_MAX { Vec::new() } else { regions(&sets) },
    }
}

/// Greedy: a set whose last known gain is below the best found cannot be the next one, since gains
/// only shrink (Minoux 1978).
fn steps(sets: &[(&str, Membership)], base_members: u64) -> Vec<Step> {
    let only_here = only_here(sets);
    let mut reached = Membership::new();
    let mut left: Vec<(usize, u64)> =
        sets.iter().enumerate().map(|(at, (_, set))| (at, set.len())).collect();
    let mut steps = Vec::new();
    while !left.is_empty() {
        left.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut best: Option<(usize, u64, usize)> = None;
        for (place, (at, gain)) in left.iter_mut().enumerate() {
            if best.is_some_and(|(_, most, _)| *gain < most) {
                break;
            }
            *gain = sets[*at].1.and_not_len(&reached);
            if best.is_none_or(|(first, most, _)| *gain > most || (*gain == most && *at < first)) {
                best = Some((*at, *gain, place));
            }
        }
        let Some((at, added, place)) = best else { break };
        left.remove(place);
        let (name, set) = &sets[at];
        reached = reached.or(set);
        steps.push(Step {
            segment: (*name).to_owned(),
            members: set.len(),
            only_here: only_here[at],
            added,
            reach: reached.len(),
            share: share(reached.len(), base_members),
        });
    }
    steps
}

/// How many members of each set are in no other.
fn only_here(sets: &[(&str, Membership)]) -> Vec<u64> {
    let (mut once, mut twice) = (Membership::new(), Membership::new());
    for (_, set) in sets {
        twice = twice.or(&once.and(set));
        once = once.or(set);
    }
    sets.iter().map(|(_, set)| set.and_not_len(&twice)).collect()
}

/// Everybody in any set, taken apart set by set.
fn regions(sets: &[(&str, Membership)]) -> Vec<Region> {
    let all = sets.iter().fold(Membership::new(), |all, (_, set)| all.or(set));
    let mut groups: Vec<(Vec<String>, Membership)> = vec![(Vec::new(), all)];
    for (name, set) in sets {
        groups = groups
            .into_iter()
            .flat_map(|(names, group)| {
                let mut with = names.clone();
                with.push((*name).to_owned());
                [(with, group.and(set)), (names, group.and_not(set))]
            })
            .filter(|(_, group)| !group.is_empty())
            .collect();
    }
    let mut regions: Vec<Region> = groups
        .into_iter()
        .map(|(segments, group)| Region { segments, members: group.len() })
        .collect();
    regions.sort_by(|a, b| b.members.cmp(&a.members).then_with(|| a.segments.cmp(&b.segments)));
    regions
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::ProfileId;

    fn named(sets: &[BTreeSet<u32>]) -> Vec<(String, Membership)> {
        let set = |ids: &BTreeSet<u32>| ids.iter().filter_map(|id| ProfileId::new(*id)).collect();
        sets.iter().enumerate().map(|(i, ids)| (format!("s{i}"), set(ids))).collect()
    }

    fn everybody(sets: &[BTreeSet<u32>]) -> BTreeSet<u32> {
        sets.iter().flatten().copied().collect()
    }

    proptest! {
        #[test]
        fn reach_is_what_a_plain_count_finds(
            sets in proptest::collection::vec(proptest::collection::btree_set(0..60_u32, 0..30), 0..6),
        ) {
            let found = reach(&named(&sets), ("profiles", 60, None));
            prop_assert_eq!(found.reach, everybody(&sets).len() as u64);
            prop_assert_eq!(found.regions.iter().map(|r| r.members).sum::<u64>(), found.reach);
            for region in &found.regions {
                let is_in = |id: &&u32| sets.iter().enumerate().all(|(i, set)| {
                    set.contains(*id) == region.segments.contains(&format!("s{i}"))
                });
                let expected = everybody(&sets).iter().filter(is_in).count() as u64;
                prop_assert_eq!(region.members, expected);
            }
            // Greedy: at each step nothing else would have added more.
            let mut reached: BTreeSet<u32> = BTreeSet::new();
            let mut left: Vec<usize> = (0..sets.len()).collect();
            for step in &found.steps {
                let gain = |at: &usize| sets[*at].difference(&reached).count() as u64;
                let most = left.iter().map(gain).max().unwrap_or(0);
                let first = left.iter().copied().find(|at| gain(at) == most);
                prop_assert_eq!(first.map(|at| format!("s{at}")), Some(step.segment.clone()));
                prop_assert_eq!(step.added, most);
                let at = first.unwrap_or(0);
                let others = |id: &&u32| !sets.iter().enumerate().any(|(i, s)| i != at && s.contains(*id));
                prop_assert_eq!(step.only_here, sets[at].iter().filter(others).count() as u64);
                left.retain(|other| *other != at);
                reached.extend(&sets[at]);
                prop_assert_eq!(step.reach, reached.len() as u64);
            }
            prop_assert!(left.is_empty());
        }
    }
}
