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

/// Where a ranking is cut: rows with a greater key are in, and of those with this key as many as are
/// left, the smallest ties first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The key of the last row that is in.
    pub(crate) key: u32,
    /// Rows with exactly this key that are in.
    pub(crate) of_equals: usize,
}

/// Where the best `count` of `scores` end, of the rows that `candidate` lets in; nothing where `count` is 0 or
/// there are no candidates. More than there are means all of them.
pub(crate) fn cut(
    scores: &[f32],
    candidate: &(impl Fn(usize) -> bool + Sync),
    count: usize,
) -> Option<Cut> {
    if count == 0 {
        return None;
    }
    let high = histogram(scores, candidate, |key| Some(key >> BITS));
    let (bucket, above) = reach(&high, count)?;
    let low = histogram(scores, candidate, |key| (key >> BITS == bucket).then_some(key & 0xffff));
    let (rest, above_low) = reach(&low, count - above)?;
    let equals = low[rest as usize] as usize;
    Some(Cut { key: bucket << BITS | rest, of_equals: (count - above - above_low).min(equals) })
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

fn histogram(
    scores: &[f32],
    candidate: &(impl Fn(usize) -> bool + Sync),
    bucket: impl Fn(u32) -> Option<u32> + Sync,
) -> Vec<u32> {
    let parts: Vec<Vec<u32>> = scores
        .par_chunks(CHUNK_ROWS)
        .enumerate()
        .map(|(chunk, scores)| {
            let mut counts = vec![0_u32; 1 << BITS];
            for (row, &score) in (chunk * CHUNK_ROWS..).zip(scores) {
                if let Some(bucket) = bucket(key(score)).filter(|_| candidate(row)) {
                    counts[bucket as usize] += 1;
                }
            }
            counts
        })
        .collect();
    let mut sums = vec![0; 1 << BITS];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
    }
    sums
}

/// The rows of the best `count`, ascending. Equal scores are told apart by `tie`, the smallest first.
pub(crate) fn top(
    scores: &[f32],
    candidate: impl Fn(usize) -> bool + Sync,
    tie: impl Fn(usize) -> u64,
    count: usize,
) -> Vec<u32> {
    let Some(cut) = cut(scores, &candidate, count) else { return Vec::new() };
    let (mut rows, mut equals) = (Vec::with_capacity(count), Vec::new());
    for (row, &score) in scores.iter().enumerate() {
        let key = key(score);
        if key >= cut.key && candidate(row) {
            if key > cut.key { rows.push(row as u32) } else { equals.push(row as u32) }
        }
    }
    equals.sort_by_key(|&row| tie(row as usize));
    rows.extend(&equals[..cut.of_equals.min(equals.len())]);
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
