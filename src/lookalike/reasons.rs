//! What sets the seed apart, in buckets that people can read; and the seed, the audience and the
//! population side by side.

use serde::{Deserialize, Serialize};

use super::encode::{Encoder, Feature, Kind};
use super::survey::Count;

/// Members below which a bucket is not shown: too few to tell, and too few to hide in.
pub(crate) const BUCKET_MIN: u64 = 25;

/// Buckets that the bins of a number are joined to.
const BUCKETS: usize = 6;

/// Words that are shown of a column.
const WORDS: usize = 8;

/// A bucket that is less frequent in the seed than this many times sets nobody apart: it would be told
/// as 1.0x.
const STANDS_OUT: f64 = 1.05;

/// A bucket of a feature, in the seed, in the audience and in the population.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// What is in it: `[120, 400)`, a word, `missing`.
    pub bucket: String,
    /// The share of the seed in it, 0..=1.
    pub seed_share: f64,
    /// The share of the audience.
    pub audience_share: f64,
    /// The share of all others than the seed.
    pub population_share: f64,
    /// How many times more frequent it is in the seed than in the population.
    pub lift: f64,
}

/// A feature that tells the seed from the population.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// The feature.
    pub feature: String,
    /// How much it tells: the information value, in nats (0.02 is little, 0.3 is much).
    pub information: f64,
    /// The bucket that is most typical for the seed, as `spend_90d in [120, 400): 3.2x in the seed`.
    pub reason: String,
    /// Its buckets, in order; those with few members are left out.
    pub buckets: Vec<Bucket>,
}

impl Factor {
    /// Whether its most typical bucket is notably more frequent in the seed than among the others.
    pub(crate) fn stands_out(&self) -> bool {
        typical(&self.buckets).is_some_and(|bucket| bucket.lift >= STANDS_OUT)
    }
}

/// The bucket that is most typical for the seed.
fn typical(buckets: &[Bucket]) -> Option<&Bucket> {
    let telling = |bucket: &Bucket| bucket.seed_share * bucket.lift.max(1e-9).ln();
    buckets.iter().max_by(|a, b| telling(a).total_cmp(&telling(b)))
}

/// The factors, the most telling first; `counts` are those of the bins of each feature, and `members` how
/// many of the audience have each bin.
pub(crate) fn factors(
    encoder: &Encoder,
    counts: &[Vec<Count>],
    members: &[Vec<u64>],
) -> Vec<Factor> {
    let of = encoder.features.iter().zip(counts).zip(members);
    let mut found: Vec<Factor> =
        of.filter_map(|((feature, counts), members)| factor(feature, counts, members)).collect();
    found.sort_by(|a, b| {
        b.information.total_cmp(&a.information).then_with(|| a.feature.cmp(&b.feature))
    });
    found
}

fn factor(feature: &Feature, of_bins: &[Count], members: &[u64]) -> Option<Factor> {
    let groups = groups(feature, of_bins);
    let of = of_bins.iter().zip(members);
    let counts: Vec<[u64; 3]> = of.map(|(c, members)| [c.seeds, *members, c.others]).collect();
    let totals = [0, 1, 2].map(|at| counts.iter().map(|c| c[at]).sum::<u64>().max(1) as f64);
    let mut information = 0.0;
    let mut buckets = Vec::new();
    for group in &groups {
        let sums = [0, 1, 2].map(|at| group.bins.iter().map(|b| counts[*b][at]).sum::<u64>());
        let smooth = |at: usize| (sums[at] as f64 + 0.5) / (totals[at] + 0.5 * groups.len() as f64);
        information += (smooth(0) - smooth(2)) * (smooth(0) / smooth(2)).ln();
        if sums[0] + sums[2] < BUCKET_MIN || sums[0] < BUCKET_MIN.min(sums[0].max(1)) {
            continue;
        }
        let share = |at: usize| sums[at] as f64 / totals[at];
        // Fewer seeds than the least are told as none, so that nobody is picked out.
        let hidden = sums[0] > 0 && sums[0] < BUCKET_MIN;
        buckets.push((
            hidden || sums[0] == 0,
            Bucket {
                bucket: group.name.clone(),
                seed_share: if hidden { 0.0 } else { share(0) },
                audience_share: if sums[1] < BUCKET_MIN { 0.0 } else { share(1) },
                population_share: share(2),
                lift: if hidden || sums[2] == 0 { 0.0 } else { share(0) / share(2) },
            },
        ));
    }
    let buckets: Vec<Bucket> =
        buckets.into_iter().filter(|(hidden, _)| !hidden).map(|(_, bucket)| bucket).collect();
    let best = typical(&buckets)?;
    // "spend in [120, 400)" and "country in ES", but "spend below 120" and "spend missing".
    let inside = feature.is_word() || best.bucket.starts_with('[');
    let inside = if inside && best.bucket != "missing" { "in " } else { "" };
    let reason = format!("{} {inside}{}: {:.1}x in the seed", feature.name, best.bucket, best.lift);
    Some(Factor { feature: feature.name.clone(), information, reason, buckets })
}

/// Bins that are told as one.
struct Group {
    name: String,
    bins: Vec<usize>,
}

fn groups(feature: &Feature, counts: &[Count]) -> Vec<Group> {
    let mut groups = Vec::new();
    let rows = |bin: usize| counts[bin].seeds + counts[bin].others;
    match &feature.kind {
        Kind::Word { labels } => {
            for (at, label) in labels.iter().enumerate().take(WORDS) {
                groups.push(Group { name: label.clone(), bins: vec![at + 1] });
            }
            let rest: Vec<usize> = (labels.len().min(WORDS) + 1..feature.bins()).collect();
            groups.push(Group { name: "any other".to_owned(), bins: rest });
        }
        Kind::Number { edges, .. } => {
            let total: u64 = (1..feature.bins()).map(rows).sum();
            let fair = total.div_ceil(BUCKETS as u64).max(1);
            let mut bins: Vec<usize> = Vec::new();
            let mut inside = 0;
            let bound = |bin: usize| if bin < 2 { None } else { edges.get(bin - 2).copied() };
            for bin in 1..feature.bins() {
                bins.push(bin);
                inside += rows(bin);
                if inside >= fair || bin + 1 == feature.bins() {
                    let (from, to) = (bound(bins[0]), bound(bin + 1));
                    let name = between(from, to);
                    groups.push(Group { name, bins: std::mem::take(&mut bins) });
                    inside = 0;
                }
            }
        }
    }
    groups.push(Group { name: "missing".to_owned(), bins: vec![0] });
    groups.retain(|group| group.bins.iter().any(|bin| rows(*bin) > 0));
    groups
}

fn between(from: Option<f32>, to: Option<f32>) -> String {
    match (from, to) {
        (None, None) => "any value".to_owned(),
        (None, Some(to)) => format!("below {}", short(to)),
        (Some(from), None) => format!("{} and more", short(from)),
        (Some(from), Some(to)) => format!("[{}, {})", short(from), short(to)),
    }
}

/// A number with four digits that count.
pub(crate) fn short(value: f32) -> String {
    let size = value.abs();
    if size >= 1_000.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

/// The bucket that a profile with this bin is in, and its lift, as far as it is shown.
pub(crate) fn bucket_of(feature: &Feature, bin: u8, counts: &[Count]) -> String {
    let bin = usize::from(bin);
    let group = groups(feature, counts).into_iter().find(|group| group.bins.contains(&bin));
    group.map_or_else(|| "a rare value".to_owned(), |group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::frame::{Column, Frame};
    use crate::lookalike::recipe::Role;
    use crate::lookalike::survey::{count, members};

    #[test]
    fn the_telling_bucket_is_named_and_small_ones_are_not_shown() {
        let rows = 2_000;
        let roles: Vec<Role> =
            (0..rows).map(|i| if i < 200 { Role::Seed } else { Role::Candidate }).collect();
        // Seeds spend 100 and more, others less; three profiles are far out.
        let spend: Vec<f32> = (0..rows)
            .map(|i| if i < 200 { 100.0 + (i % 50) as f32 } else { (i % 120) as f32 })
            .collect();
        let noise: Vec<f32> = (0..rows).map(|i| (i % 7) as f32).collect();
        let frame = Frame {
            rows,
            columns: vec![Column::numbers("noise", noise), Column::numbers("spend", spend)],
        };
        let (encoder, ..) = Encoder::learn(&frame);
        let encoded = encoder.encode(rows, frame.columns);
        let audience: Vec<u32> = (0..100).collect();
        let members = members(&encoder, &encoded, &audience);
        let found = factors(&encoder, &count(&encoder, &encoded, &roles), &members);
        assert_eq!(found[0].feature, "spend");
        assert!(found[0].information > 1.0 && found[1].information < 0.1);
        assert!(found[0].reason.ends_with("x in the seed"), "{}", found[0].reason);
        assert!(!found[0].reason.contains("in below"), "{}", found[0].reason);
        for bucket in &found[0].buckets {
            assert!(bucket.seed_share * 200.0 >= 24.9, "{bucket:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [short(12.0), short(1234.5), short(0.25), short(33.33)],
            ["12", "1234", "0.250", "33.3"]
        );
    }
}
