//! Dates and times as text: the ISO forms by hand, since they are most of what is read, and any
//! other through the user's `strftime` formats. Times without a zone are in the source's zone.

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

use crate::error::{Error, Result};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 0001-01-01, in days after 1970-01-01: the first year that every engine reads.
pub(super) const DAY_MIN: i32 = -719_162;
/// 9999-12-31, in days after 1970-01-01: the last year that every engine reads.
pub(super) const DAY_MAX: i32 = 2_932_896;
/// The moments of the years 1 to 9999, in microseconds after 1970-01-01 00:00 UTC.
const MICROS: std::ops::Range<i64> =
    DAY_MIN as i64 * MICROS_PER_DAY..(DAY_MAX as i64 + 1) * MICROS_PER_DAY;

/// A format from `times`, parsed once.
#[derive(Debug, Clone)]
pub(super) enum TimeFormat {
    /// `strftime` items.
    Items(Vec<Item<'static>>),
    /// A count of fractions of a second since 1970: how many microseconds one of them lasts.
    Epoch { micros: i64 },
}

impl TimeFormat {
    /// Parses a `strftime` format, or `epoch_s`, `epoch_ms`, `epoch_us`.
    pub(super) fn parse(format: &str) -> Result<Self> {
        match format {
            "epoch_s" | "%s" => return Ok(Self::Epoch { micros: MICROS_PER_SECOND }),
            "epoch_ms" => return Ok(Self::Epoch { micros: 1000 }),
            "epoch_us" => return Ok(Self::Epoch { micros: 1 }),
            _ => {}
        }
        match StrftimeItems::new(format).parse_to_owned() {
            Ok(items) if format.contains('%') => Ok(Self::Items(items)),
            _ => Err(Error::input(format!("\"{format}\" is no time format")).with_hint(
                "write it like %d.%m.%Y %H:%M:%S, or epoch_s, epoch_ms, epoch_us for counts since 1970",
            )),
        }
    }
}

/// What a text said: a day, a time in some zone still to be named, or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Day(i32),
    Local(i64),
    Moment(i64),
}

/// What a text looks like when types are inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Day,
    Time,
}

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimeFault {
    /// It has none of the known forms.
    Form,
    /// It lies outside the years 1 to 9999.
    Years,
    /// Clocks in this zone skipped it.
    Gap(Tz),
}

impl TimeFault {
    /// What to say after the value, `wanted` being `date` or `timestamp`.
    pub(super) fn reason(&self, wanted: &str) -> String {
        match self {
            Self::Form => format!("is no {wanted}"),
            Self::Years => "lies outside the years 1 to 9999".to_owned(),
            Self::Gap(zone) => format!("does not exist in {zone}, where clocks went forward then"),
        }
    }
}

/// Whether the column was declared a time, and so reads forms that could be numbers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The column's type was inferred.
    Inferred,
    /// The user declared the column's type.
    Declared,
}

/// How this source's times are written.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    /// The zone of times that name none; UTC where there is none.
    zone: Option<Tz>,
    formats: Vec<TimeFormat>,
}

impl Times {
    pub(super) fn new(zone: Option<Tz>, formats: &[String]) -> Result<Self> {
        let formats =
            formats.iter().map(|format| TimeFormat::parse(format)).collect::<Result<_>>()?;
        Ok(Self { zone: zone.filter(|zone| *zone != Tz::UTC), formats })
    }

    /// Microseconds after 1970-01-01 00:00 UTC; a day is its midnight in the source's zone.
    pub(super) fn timestamp(&self, text: &[u8], reading: Reading) -> Result<i64, TimeFault> {
        match self.read(text, reading)? {
            Said::Day(day) => self.localise(i64::from(day) * MICROS_PER_DAY),
            Said::Local(micros) => self.localise(micros),
            Said::Moment(micros) => in_years(micros),
        }
    }

    /// Days after 1970-01-01. A time is a date only at midnight, where nothing is lost.
    pub(super) fn date(&self, text: &[u8], reading: Reading) -> Result<i32, TimeFault> {
        match self.read(text, reading)? {
            Said::Day(day) => Ok(day),
            Said::Local(micros) if micros.rem_euclid(MICROS_PER_DAY) == 0 => {
                i32::try_from(micros.div_euclid(MICROS_PER_DAY)).map_err(|_| TimeFault::Years)
            }
            Said::Local(_) | Said::Moment(_) => Err(TimeFault::Form),
        }
    }

    /// What `text` looks like, if like a date or a time at all.
    pub(super) fn look(&self, text: &[u8]) -> Option<Look> {
        match self.read(text, Reading::Inferred) {
            Ok(Said::Day(_)) => Some(Look::Day),
            Ok(Said::Local(_) | Said::Moment(_)) | Err(TimeFault::Gap(_)) => Some(Look::Time),
            Err(_) => None,
        }
    }

    /// The moment at which clocks of the source's zone showed `micros` (counted as if in UTC): the
    /// earlier one where they showed it twice.
    pub(super) fn localise(&self, micros: i64) -> Result<i64, TimeFault> {
        let Some(zone) = self.zone else { return in_years(micros) };
        let local = DateTime::from_timestamp_micros(micros).ok_or(TimeFault::Years)?.naive_utc();
        let moment = zone.from_local_datetime(&local).earliest().ok_or(TimeFault::Gap(zone))?;
        in_years(moment.timestamp_micros())
    }

    fn read(&self, text: &[u8], reading: Reading) -> Result<Said, TimeFault> {
        let text = text.trim_ascii();
        match read_iso(text) {
            Err(TimeFault::Form) => {}
            said => return said,
        }
        let text = std::str::from_utf8(text).map_err(|_| TimeFault::Form)?;
        let said = self.formats.iter().find_map(|format| match format {
            TimeFormat::Items(items) => read_items(text, items),
            TimeFormat::Epoch { micros } if reading == Reading::Declared => {
                Some(read_epoch(text, *micros))
            }
            TimeFormat::Epoch { .. } => None,
        });
        match said {
            Some(said) => said,
            None if reading == Reading::Declared => read_compact(text.as_bytes()),
            None => Err(TimeFault::Form),
        }
    }
}

/// `micros` if it lies in the years 1 to 9999.
pub(super) fn in_years(micros: i64) -> Result<i64, TimeFault> {
    if MICROS.contains(&micros) { Ok(micros) } else { Err(TimeFault::Years) }
}

/// Reads `YYYY-MM-DD`, then optionally `T` or a blank, `HH:MM`, `:SS`, a fraction (what is finer
/// than a microsecond is cut off), and `Z`, `UTC` or an offset.
fn read_iso(text: &[u8]) -> Result<Said, TimeFault> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, rest @ ..] = text else {
        return Err(TimeFault::Form);
    };
    let year = i32::from(two(*y1, *y2)?) * 100 + i32::from(two(*y3, *y4)?);
    let day = day_number(year, two(*m1, *m2)?, two(*d1, *d2)?)?;
    match rest {
        [] => Ok(Said::Day(day)),
        [b'T' | b't' | b' ', clock @ ..] => {
            let (micros, zone) = read_clock(clock)?;
            let local = i64::from(day) * MICROS_PER_DAY + micros;
            Ok(match read_zone(zone)? {
                Some(offset) => Said::Moment(local - offset * MICROS_PER_SECOND),
                None => Said::Local(local),
            })
        }
        _ => Err(TimeFault::Form),
    }
}

/// Reads `HH:MM[:SS[.fraction]]` to microseconds after midnight, and returns what follows it.
fn read_clock(text: &[u8]) -> Result<(i64, &[u8]), TimeFault> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return Err(TimeFault::Form) };
    let (hour, minute) = (two(*h1, *h2)?, two(*m1, *m2)?);
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (two(*s1, *s2)?, rest),
        _ => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return Err(TimeFault::Form);
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let (fraction, rest) = match rest {
        [b'.' | b',', digits @ ..] => {
            let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if length == 0 {
                return Err(TimeFault::Form);
            }
            let digit = |at: usize| {
                if at < length { i64::from(digits[at] - b'0') } else { 0 }
            };
            ((0..6).fold(0, |micros, at| micros * 10 + digit(at)), &digits[length..])
        }
        _ => (0, rest),
    };
    Ok((seconds * MICROS_PER_SECOND + fraction, rest))
}

/// The zone's offset in seconds east, if `text` names one.
fn read_zone(text: &[u8]) -> Result<Option<i64>, TimeFault> {
    let text = text.trim_ascii_start();
    let (sign, h1, h2, minutes) = match text {
        [] => return Ok(None),
        b"Z" | b"z" | b"UTC" | b"GMT" => return Ok(Some(0)),
        [b'+', h1, h2, minutes @ ..] => (1, *h1, *h2, minutes),
        [b'-', h1, h2, minutes @ ..] => (-1, *h1, *h2, minutes),
        _ => return Err(TimeFault::Form),
    };
    let minutes = match minutes {
        [] => 0,
        [m1, m2] | [b':', m1, m2] => two(*m1, *m2)?,
        _ => return Err(TimeFault::Form),
    };
    let hours = two(h1, h2)?;
    if hours > 18 || minutes > 59 {
        return Err(TimeFault::Form);
    }
    Ok(Some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60)))
}

/// Reads `YYYYMMDD`, optionally followed by a `T` and `HHMM` or `HHMMSS`.
fn read_compact(text: &[u8]) -> Result<Said, TimeFault> {
    let (date, clock) = text.split_at_checked(8).ok_or(TimeFault::Form)?;
    let [y1, y2, y3, y4, m1, m2, d1, d2] = date else { return Err(TimeFault::Form) };
    let year = i32::from(two(*y1, *y2)?) * 100 + i32::from(two(*y3, *y4)?);
    let day = day_number(year, two(*m1, *m2)?, two(*d1, *d2)?)?;
    let clock = clock.strip_prefix(b"T").unwrap_or(clock);
    let (clock, zone) = match clock.strip_suffix(b"Z") {
        Some(clock) => (clock, Some(0)),
        None => (clock, None::<i64>),
    };
    let micros = match clock {
        [] if zone.is_none() => return Ok(Said::Day(day)),
        [h1, h2, m1, m2] => read_clock(&[*h1, *h2, b':', *m1, *m2])?.0,
        [h1, h2, m1, m2, s1, s2] => read_clock(&[*h1, *h2, b':', *m1, *m2, b':', *s1, *s2])?.0,
        _ => return Err(TimeFault::Form),
    };
    let local = i64::from(day) * MICROS_PER_DAY + micros;
    Ok(if zone.is_some() { Said::Moment(local) } else { Said::Local(local) })
}

fn read_epoch(text: &str, micros: i64) -> Result<Said, TimeFault> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let count = whole.parse::<i64>().map_err(|_| TimeFault::Form)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TimeFault::Form);
    }
    let fraction = format!("0.{fraction}0").parse::<f64>().map_err(|_| TimeFault::Form)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "below 10^6")]
    let fraction = (fraction * micros as f64) as i64;
    let fraction = if whole.starts_with('-') { -fraction } else { fraction };
    count
        .checked_mul(micros)
        .and_then(|it| it.checked_add(fraction))
        .map(Said::Moment)
        .ok_or(TimeFault::Years)
}

/// Reads `text` by a `strftime` format; nothing where it does not fit.
fn read_items(text: &str, items: &[Item<'static>]) -> Option<Result<Said, TimeFault>> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
    if let Ok(moment) = parsed.to_datetime() {
        return Some(Ok(Said::Moment(moment.timestamp_micros())));
    }
    let year_zero = |date: NaiveDate| !(1..=9999).contains(&chrono::Datelike::year(&date));
    let said = match (parsed.to_naive_date(), parsed.to_naive_time()) {
        (Ok(date), _) if year_zero(date) => return Some(Err(TimeFault::Years)),
        (Ok(date), Ok(time)) => {
            Said::Local(NaiveDateTime::new(date, time).and_utc().timestamp_micros())
        }
        (Ok(date), Err(_)) => {
            let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
            Said::Day(i32::try_from(midnight.div_euclid(MICROS_PER_DAY)).ok()?)
        }
        (Err(_), _) => return None,
    };
    Some(Ok(said))
}

fn two(tens: u8, ones: u8) -> Result<u8, TimeFault> {
    if tens.is_ascii_digit() && ones.is_ascii_digit() {
        Ok((tens - b'0') * 10 + (ones - b'0'))
    } else {
        Err(TimeFault::Form)
    }
}

/// Days after 1970-01-01 of a date in the proleptic Gregorian calendar (Howard Hinnant's
/// `days_from_civil`).
fn day_number(year: i32, month: u8, day: u8) -> Result<i32, TimeFault> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u8::from(leap),
        _ => return Err(TimeFault::Form),
    };
    if !(1..=days).contains(&day) {
        return Err(TimeFault::Form);
    }
    if year == 0 {
        return Err(TimeFault::Years);
    }
    let (month, day) = (i32::from(month), i32::from(day));
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Ok(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(zone: &str, formats: &[&str]) -> Times {
        let formats: Vec<String> = formats.iter().map(|&it| it.to_owned()).collect();
        Times::new(Some(zone.parse().unwrap()), &formats).unwrap()
    }

    fn shown(times: &Times, text: &str) -> String {
        match times.timestamp(text.as_bytes(), Reading::Declared) {
            Ok(micros) => DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339(),
            Err(fault) => fault.reason("timestamp"),
        }
    }

    #[test]
    fn iso_forms_are_read() {
        let utc = times("UTC", &[]);
        for (text, expected) in [
            ("2024-02-29", "2024-02-29T00:00:00+00:00"),
            ("2024-02-29 12:30", "2024-02-29T12:30:00+00:00"),
            ("2024-02-29T12:30:05.123456789Z", "2024-02-29T12:30:05.123456+00:00"),
            ("2024-02-29 12:30:05,5", "2024-02-29T12:30:05.500+00:00"),
            ("2024-02-29 12:30:05 UTC", "2024-02-29T12:30:05+00:00"),
            ("2024-02-29T12:30:05+02:00", "2024-02-29T10:30:05+00:00"),
            ("2024-02-29 12:30:05-0330", "2024-02-29T16:00:05+00:00"),
            ("2024-02-29 12:30:05.1+01", "2024-02-29T11:30:05.100+00:00"),
            ("20240229", "2024-02-29T00:00:00+00:00"),
            ("20240229T123005Z", "2024-02-29T12:30:05+00:00"),
            ("0001-01-01", "0001-01-01T00:00:00+00:00"),
            ("0000-01-01", "lies outside the years 1 to 9999"),
            ("0001-01-01T00:00:00+01:00", "lies outside the years 1 to 9999"),
        ] {
            assert_eq!(shown(&utc, text), expected, "{text}");
        }
        for text in
            ["2023-02-29", "2024-13-01", "2024-1-1", "2024-01-01T24:00", "2024-01-01x", "abc", ""]
        {
            assert_eq!(shown(&utc, text), "is no timestamp", "{text}");
        }
    }

    #[test]
    fn zones_have_gaps_and_doubled_hours() {
        let berlin = times("Europe/Berlin", &[]);
        assert_eq!(shown(&berlin, "2024-07-01 12:00"), "2024-07-01T10:00:00+00:00");
        assert!(shown(&berlin, "2024-03-31 02:30").contains("does not exist in Europe/Berlin"));
        assert_eq!(shown(&berlin, "2024-10-27 02:30"), "2024-10-27T00:30:00+00:00");
        assert_eq!(shown(&berlin, "2024-07-01T12:00Z"), "2024-07-01T12:00:00+00:00");
    }

    #[test]
    fn formats_come_after_iso_and_counts_need_a_declaration() {
        let times =
            times("UTC", &["%d.%m.%Y", "%m/%d/%Y %I:%M %p", "%d %b %Y %H:%M:%S %z", "epoch_ms"]);
        assert_eq!(shown(&times, "31.12.2023"), "2023-12-31T00:00:00+00:00");
        assert_eq!(shown(&times, "12/31/2023 01:05 PM"), "2023-12-31T13:05:00+00:00");
        assert_eq!(shown(&times, "31 Dec 2023 10:00:00 +0200"), "2023-12-31T08:00:00+00:00");
        assert_eq!(shown(&times, "1700000000123"), "2023-11-14T22:13:20.123+00:00");
        assert_eq!(times.look(b"1700000000123"), None);
        assert_eq!(times.look(b"31.12.2023"), Some(Look::Day));
        assert_eq!(times.date(b"2023-12-31 00:00:00", Reading::Inferred), Ok(19_722));
        assert_eq!(times.date(b"2023-12-31 00:00:01", Reading::Inferred), Err(TimeFault::Form));
    }

    proptest! {
        #[test]
        fn day_numbers_are_chronos(day in DAY_MIN..=DAY_MAX) {
            let date = NaiveDate::from_epoch_days(day).unwrap();
            let text = date.format("%Y-%m-%d").to_string();
            prop_assert_eq!(Times::default().date(text.as_bytes(), Reading::Inferred), Ok(day));
        }
    }
}
