//! The best `k` of many scores without sorting them: two passes over a histogram of their bits.

use rayon::prelude::*;

/// Bits of a key that the first histogram tells apart; 2^16 counters fit the second cache.
const BITS: u32 = 16;

/// Rows a task counts.
const CHUNK_ROWS: usize = 1 << 17;

/// A score as a number that is ordered like it, greater for better; NaN is worst.
pub(crate) fn key(score: f32) -> u32 {
    if score.is_nan() {
        return 0;
    }
    let bits = score.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The bucket, from the top, in which the `count`th row lies, and how many rows lie above it; the
/// lowest bucket with a row where there are fewer.
fn reach(histogram: &[u32], count: usize) -> Option<(u32, usize)> {
    let mut above = 0;
    let mut lowest = None;
    for (bucket, &rows) in histogram.iter().enumerate().rev() {
        if rows == 0 {
            continue;
        }
        lowest = Some((bucket as u32, above));
        if above + rows as usize >= count {
            return lowest;
        }
        above += rows as usize;
    }
    lowest
}

/// How many rows that `candidate` lets in each bucket of keys has.
fn histogram(scores: &[f32], candidate: &(impl Fn(usize) -> bool + Sync)) -> Vec<u32> {
    let count = |(chunk, scores): (usize, &[f32])| {
        let mut counts = vec![0_u32; 1 << BITS];
        for (row, &score) in (chunk * CHUNK_ROWS..).zip(scores) {
            if candidate(row) {
                counts[(key(score) >> BITS) as usize] += 1;
            }
        }
        counts
    };
    let parts: Vec<Vec<u32>> = scores.par_chunks(CHUNK_ROWS).enumerate().map(count).collect();
    let mut sums = vec![0; 1 << BITS];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
    }
    sums
}

/// The rows of the best `count`, ascending. Equal scores are told apart by `tie`, the smallest first.
///
/// The histogram tells the bucket in which the last of them lies; one more pass takes the rows above
/// that bucket as they come, and only the few within it are put in order.
pub(crate) fn top(
    scores: &[f32],
    candidate: impl Fn(usize) -> bool + Sync,
    tie: impl Fn(usize) -> u64,
    count: usize,
) -> Vec<u32> {
    if count == 0 {
        return Vec::new();
    }
    let Some((bucket, above)) = reach(&histogram(scores, &candidate), count) else {
        return Vec::new();
    };
    let least = bucket << BITS;
    let take = |(chunk, scores): (usize, &[f32])| {
        let (mut better, mut within) = (Vec::new(), Vec::new());
        for (row, &score) in (chunk * CHUNK_ROWS..).zip(scores) {
            let key = key(score);
            if key >= least && candidate(row) {
                if key >> BITS > bucket {
                    better.push(row as u32);
                } else {
                    within.push((key, row as u32));
                }
            }
        }
        (better, within)
    };
    let parts: Vec<_> = scores.par_chunks(CHUNK_ROWS).enumerate().map(take).collect();
    let mut rows = Vec::with_capacity(count);
    let mut within = Vec::new();
    for (better, part) in parts {
        rows.extend(better);
        within.extend(part);
    }
    let left = (count - above).min(within.len());
    if left < within.len() {
        within.select_nth_unstable_by_key(left, |&(key, row)| {
            (std::cmp::Reverse(key), tie(row as usize), row)
        });
    }
    rows.extend(within[..left].iter().map(|(_, row)| *row));
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_head_of_the_sorted_list(
            scores in proptest::collection::vec((-20_i32..20).prop_map(|v| v as f32 / 4.0), 0..300),
            count in 0_usize..320,
            skip in 2_usize..9,
        ) {
            let candidate = |row: usize| !row.is_multiple_of(skip);
            let tie = |row: usize| crate::lookalike::random::draw(1, row as u32);
            let mut plain: Vec<usize> = (0..scores.len()).filter(|&r| candidate(r)).collect();
            plain.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(tie(a).cmp(&tie(b))));
            plain.truncate(count);
            plain.sort_unstable();
            let found: Vec<usize> =
                top(&scores, candidate, tie, count).into_iter().map(|r| r as usize).collect();
            prop_assert_eq!(found, plain);
        }

        #[test]
        fn keys_are_ordered_like_scores(a in proptest::num::f32::NORMAL, b in proptest::num::f32::NORMAL) {
            prop_assert_eq!(key(a).cmp(&key(b)), a.total_cmp(&b));
            prop_assert!(key(f32::NAN) < key(f32::NEG_INFINITY));
        }
    }
}
