//! The best `k` of many scores without sorting them: two passes, with a histogram of the bits of those that
//! may be among them.

use rayon::prelude::*;

/// Bits of a key that the first histogram tells apart; 2^16 counters fit the second cache.
const BITS: u32 = 16;

/// Rows a task counts.
const CHUNK_ROWS: usize = 1 << 17;

/// Rows from one to the next that is looked at to guess which scores may be among the best.
const GUESS_STRIDE: usize = 64;

/// A score as a number that is ordered like it, greater for better; NaN is worst.
pub(crate) fn key(score: f32) -> u32 {
    let bits = score.to_bits();
    // All bits of a negative number are turned, and the sign of the others: without a branch, which nobody
    // could guess where half of the scores are negative.
    let turned = (bits.cast_signed() >> 31).cast_unsigned() | 1 << 31;
    if score.is_nan() { 0 } else { bits ^ turned }
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

/// A bucket that the best `count` rows hardly ever lie below: some of the rows tell.
fn guess(scores: &[f32], candidate: &impl Fn(usize) -> bool, count: usize) -> u32 {
    let rows = (0..scores.len()).step_by(GUESS_STRIDE).filter(|row| candidate(*row));
    let mut keys: Vec<u32> = rows.map(|row| key(scores[row])).collect();
    // Four standard deviations more than the share of them that is wanted.
    let expected = count as f64 / GUESS_STRIDE as f64;
    let rank = (expected + 4.0 * expected.sqrt()).ceil() as usize + GUESS_STRIDE;
    if rank >= keys.len() {
        return 0;
    }
    let (_, found, _) = keys.select_nth_unstable_by_key(rank, |key| std::cmp::Reverse(*key));
    *found >> BITS
}

/// How many rows that `candidate` lets in each bucket of keys has, from the bucket `least` on.
fn histogram(scores: &[f32], candidate: &(impl Fn(usize) -> bool + Sync), least: u32) -> Vec<u32> {
    let count = |(chunk, scores): (usize, &[f32])| {
        let mut counts = vec![0_u32; 1 << BITS];
        for (row, &score) in (chunk * CHUNK_ROWS..).zip(scores) {
            let bucket = key(score) >> BITS;
            if bucket >= least && candidate(row) {
                counts[bucket as usize] += 1;
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
    let guessed = guess(scores, &candidate, count);
    let mut counts = histogram(scores, &candidate, guessed);
    if guessed > 0 && counts.iter().map(|rows| *rows as usize).sum::<usize>() < count {
        // The rows that were looked at are better than the others.
        counts = histogram(scores, &candidate, 0);
    }
    let Some((bucket, above)) = reach(&counts, count) else { return Vec::new() };
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

        /// Of so many rows some tell where the best begin: also where they mislead.
        #[test]
        fn many_are_the_head_of_the_sorted_list(
            stream in any::<u64>(),
            count in prop_oneof![0_usize..300, 0_usize..30_000],
            shape in 0..4,
        ) {
            let score = |row: u32| {
                let draw = (crate::lookalike::random::draw(stream, row) >> 44) as f32;
                match shape {
                    0 => (draw / 200_000.0).floor(),
                    1 if row.is_multiple_of(GUESS_STRIDE as u32) => draw + 1e7,
                    2 => -(row as f32),
                    _ => draw,
                }
            };
            let scores: Vec<f32> = (0..20_000).map(score).collect();
            let mut plain: Vec<u32> = (0..20_000).collect();
            plain.sort_by(|&a, &b| {
                scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b))
            });
            plain.truncate(count);
            plain.sort_unstable();
            prop_assert_eq!(top(&scores, |_| true, |row| row as u64, count), plain);
        }

        #[test]
        fn keys_are_ordered_like_scores(a in proptest::num::f32::NORMAL, b in proptest::num::f32::NORMAL) {
            prop_assert_eq!(key(a).cmp(&key(b)), a.total_cmp(&b));
            prop_assert!(key(f32::NAN) < key(f32::NEG_INFINITY));
        }
    }
}
