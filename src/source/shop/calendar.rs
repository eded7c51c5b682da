//! The two years of the shop: how many events each day has, and at which hour.
//!
//! The days' budgets add up to the number of events asked for, so each day, and each month, can be
//! made alone. Nothing here is random.

use std::ops::Range;

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime, Weekday};

use super::dice::{Dice, Skew};
use crate::error::{Error, Result};

/// Microseconds in a second.
pub(super) const SECOND: i64 = 1_000_000;
/// Microseconds in a day.
pub(super) const DAY: i64 = 86_400 * SECOND;
/// How many months of events there are.
const MONTHS: u32 = 24;
/// A session begins this long before midnight at the latest, and lasts no longer, so that days
/// stay apart; it is also when web analytics call a session over.
pub(super) const SESSION_MAX: i64 = 1_800 * SECOND;

/// A sale that colours a day: the campaign of its mails and coupons.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sale {
    /// Two weeks to the Friday after Thanksgiving, and the Monday after it.
    BlackFriday = 2,
    /// January.
    Winter = 3,
    /// July.
    Summer = 4,
}

/// A day of the window.
pub(super) struct Day {
    /// Midnight, microseconds UTC.
    pub(super) start: i64,
    /// The events of the days before it.
    pub(super) first_row: u64,
    /// Its events.
    pub(super) rows: u64,
    /// How much more than usual is bought, 1 on a common day.
    pub(super) heat: f64,
    /// The sale that is on.
    pub(super) sale: Option<Sale>,
}

/// A calendar month: its days by number.
pub(super) struct Month {
    /// As in `2026-10`.
    pub(super) label: String,
    /// Its days, as places in [`Calendar::days`].
    pub(super) days: Range<usize>,
}

/// All days of the window, in order.
pub(super) struct Calendar {
    pub(super) days: Vec<Day>,
    pub(super) months: Vec<Month>,
    hours: Skew,
}

impl Calendar {
    /// The 24 months before `end`, with `events` spread over them.
    ///
    /// # Errors
    /// Where `end` is so early that no calendar reaches back from it.
    pub(super) fn new(end: NaiveDate, events: u64) -> Result<Self> {
        let first = end
            .checked_sub_months(Months::new(MONTHS))
            .filter(|first| first.year() > 1900 && end.year() < 3000)
            .ok_or_else(|| Error::input(format!("a shop cannot end on {end}")))?;
        let dates: Vec<_> = first.iter_days().take_while(|date| *date < end).collect();
        let weights: Vec<_> = dates
            .iter()
            .enumerate()
            .map(|(i, date)| demand(*date) * (1.0 + 0.6 * i as f64 / dates.len() as f64))
            .collect();
        let sum: f64 = weights.iter().sum();
        let (mut days, mut months): (Vec<Day>, Vec<Month>) = (Vec::new(), Vec::new());
        let (mut reached, mut done) = (0.0, 0);
        for (i, (date, weight)) in dates.iter().zip(&weights).enumerate() {
            reached += weight;
            let last = i + 1 == dates.len();
            let until =
                if last { events } else { ((reached / sum * events as f64) as u64).min(events) };
            days.push(day(*date, done, until - done));
            done = until;
            let label = date.format("%Y-%m").to_string();
            match months.last_mut() {
                Some(month) if month.label == label => month.days.end = i + 1,
                _ => months.push(Month { label, days: i..i + 1 }),
            }
        }
        Ok(Self { days, months, hours: Skew::new(HOURS) })
    }

    /// The first moment, microseconds UTC.
    pub(super) fn start(&self) -> i64 {
        self.days.first().map_or(0, |day| day.start)
    }

    /// The moment after the last.
    pub(super) fn end(&self) -> i64 {
        self.days.last().map_or(0, |day| day.start + DAY)
    }

    /// A moment of a day at which somebody comes, whole milliseconds after midnight.
    pub(super) fn moment(&self, dice: &mut Dice) -> i64 {
        let millis =
            i64::from(self.hours.pick(dice)) * 3_600_000 + i64::from(dice.below(3_600_000));
        let moment = millis * 1_000;
        if moment >= DAY - SESSION_MAX { moment - SESSION_MAX } else { moment }
    }
}

/// How busy each hour is, UTC: quiet nights, a lunch break, long evenings.
const HOURS: [f64; 24] = [
    2.0, 1.2, 0.8, 0.7, 0.9, 1.6, 3.0, 5.0, 6.2, 6.8, 7.0, 7.4, 8.0, 7.4, 6.8, 6.9, 7.2, 8.0, 9.4,
    10.8, 11.2, 9.6, 6.6, 3.8,
];

/// How busy a date is, 1 on a common one: weekdays, the season, pay-days, sales.
fn demand(date: NaiveDate) -> f64 {
    let weekday =
        [1.02, 0.97, 0.95, 0.98, 1.0, 1.04, 1.14][date.weekday().num_days_from_monday() as usize];
    let season = [0.98, 0.90, 0.95, 0.97, 1.0, 0.96, 0.93, 0.90, 1.0, 1.04, 1.18, 1.25]
        [date.month0() as usize];
    let pay_day = if date.day() >= 27 || date.day() <= 2 { 1.08 } else { 1.0 };
    let rush = match after_black_friday(date) {
        Some(0) => 2.6,
        Some(1 | 2) => 1.7,
        Some(3) => 2.1,
        _ => 1.0,
    };
    let holiday = if date.month() == 12 && date.day() >= 24 { 0.65 } else { 1.0 };
    weekday * season * pay_day * rush * holiday
}

/// Days since the Friday after the fourth Thursday of November; negative before it.
fn after_black_friday(date: NaiveDate) -> Option<i64> {
    let thursday = NaiveDate::from_weekday_of_month_opt(date.year(), 11, Weekday::Thu, 4)?;
    let friday = thursday.checked_add_days(Days::new(1))?;
    Some(date.signed_duration_since(friday).num_days())
}

fn day(date: NaiveDate, first_row: u64, rows: u64) -> Day {
    let since = after_black_friday(date).unwrap_or(i64::MAX);
    let sale = match date.month() {
        _ if (-14..=3).contains(&since) => Some(Sale::BlackFriday),
        1 => Some(Sale::Winter),
        7 => Some(Sale::Summer),
        _ => None,
    };
    let pay_day = date.day() >= 27 || date.day() <= 2;
    let heat = match since {
        0..=3 => 1.6,
        _ if sale.is_some() => 1.2,
        _ if pay_day => 1.12,
        _ => 1.0,
    };
    let start = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    Day { start, first_row, rows, heat, sale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_add_up_and_months_are_whole() {
        let end = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        for events in [0, 1, 7, 1_000_003] {
            let calendar = Calendar::new(end, events).unwrap();
            assert_eq!(calendar.days.len(), 730);
            assert_eq!(calendar.days.iter().map(|day| day.rows).sum::<u64>(), events);
            assert_eq!(calendar.months.len(), 24);
            assert_eq!(calendar.months[23].label, "2026-10");
        }
    }

    #[test]
    fn black_friday_is_the_busiest_day() {
        let end = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        let calendar = Calendar::new(end, 10_000_000).unwrap();
        let busiest = calendar.days.iter().max_by_key(|day| day.rows).unwrap();
        let friday = NaiveDate::from_ymd_opt(2025, 11, 28).unwrap().and_time(NaiveTime::MIN);
        assert_eq!(busiest.start, friday.and_utc().timestamp_micros());
    }
}
