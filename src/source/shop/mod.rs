//! A believable shop, made up: customers as unequal as real ones are, and two years of what they did.
//!
//! `throng generate` and `throng demo` write it with [`write()`]; tests and benchmarks too. Countries
//! and plans are skewed, a tenth of the customers do more than half of everything, seasons, pay-days
//! and sales come and go, carts are left, mail stays unread, people leave. All names are invented,
//! mail goes to hosts in `.example`, telephone numbers begin with a country code nobody has.
//!
//! Everything follows from the seed, whatever the number of threads: profiles and sessions each throw
//! their own dice, days have a budget of rows beforehand. So months are made at the same time, and
//! memory holds 16 bytes a profile, and a day and a row group a thread: 85 MB at a million profiles.
//!
//! - [`dice`]: repeatable chance; [`words`]: the word lists
//! - [`calendar`]: how busy each day is; [`catalogue`]: products and pages
//! - [`people`]: who is there, and how they behave; [`person`]: the row of a profile
//! - [`sessions`]: what happens in a visit; [`day`]: the rows of a day
//! - [`columns`], [`profiles`], [`events`], [`file`]: rows as Arrow and Parquet
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "made-up numbers are bounded where they are made, and a rounding does them no harm"
)]

mod calendar;
mod catalogue;
mod columns;
mod day;
mod dice;
mod events;
mod file;
mod people;
mod person;
mod profiles;
mod sessions;
#[cfg(test)]
mod tests;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::NaiveDate;
use rayon::prelude::*;

use self::calendar::Calendar;
use self::catalogue::Catalogue;
use self::dice::Skew;
use self::people::Crowd;
use crate::error::{Error, Result};

/// How large a shop to make, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopSpec {
    /// Profiles, at most 2^31 - 1.
    pub profiles: u32,
    /// Events, over all months.
    pub events: u64,
    /// The same seed gives the same rows.
    pub seed: u64,
    /// The day after the last event; events cover the 24 months before it.
    pub end: NaiveDate,
}

impl Default for ShopSpec {
    /// A million profiles and ten million events up to the end of October 2026.
    fn default() -> Self {
        let end = NaiveDate::from_ymd_opt(2026, 11, 1).expect("a date in the calendar");
        Self { profiles: 1_000_000, events: 10_000_000, seed: 42, end }
    }
}

/// What [`write()`] left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `profiles.parquet`.
    pub profiles_file: PathBuf,
    /// `events/events_YYYY-MM.parquet`, in time order.
    pub event_files: Vec<PathBuf>,
    /// Rows in `profiles_file`.
    pub profiles: u64,
    /// Rows in `event_files`.
    pub events: u64,
    /// The size of all files.
    pub bytes: u64,
}

/// A shop, ready to be written: everything that days and profiles have in common.
struct Shop {
    seed: u64,
    calendar: Calendar,
    catalogue: Catalogue,
    crowd: Crowd,
    campaigns: Skew,
    countries: Skew,
    cities: Skew,
    genders: Skew,
    acquisition: Skew,
    interests: Skew,
}

impl Shop {
    fn new(spec: &ShopSpec) -> Result<Self> {
        if spec.profiles > i32::MAX as u32 {
            return Err(Error::input(format!("{} profiles are too many", spec.profiles))
                .with_hint("a store holds at most 2147483647"));
        }
        if spec.profiles == 0 && spec.events > 0 {
            return Err(Error::input(format!("nobody is there to cause {} events", spec.events))
                .with_hint("ask for at least one profile"));
        }
        let calendar = Calendar::new(spec.end, spec.events)?;
        Ok(Self {
            seed: spec.seed,
            catalogue: Catalogue::new(spec.seed),
            crowd: Crowd::new(spec.seed, spec.profiles, &calendar),
            calendar,
            campaigns: Skew::new(sessions::CAMPAIGN_WEIGHTS),
            countries: Skew::new(words::COUNTRIES.map(|country| country.weight)),
            cities: Skew::zipf(5, 0.9, 1.0),
            genders: Skew::new([52.0, 44.0, 4.0]),
            acquisition: Skew::new(words::ACQUISITION_WEIGHTS),
            interests: Skew::zipf(words::INTERESTS.len(), 0.6, 2.0),
        })
    }
}

/// Rows done, told to whoever asked.
struct Progress<'a> {
    done: AtomicU64,
    total: u64,
    tell: &'a (dyn Fn(u64, u64) + Sync),
}

impl Progress<'_> {
    fn add(&self, rows: usize) {
        let done = self.done.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        (self.tell)(done, self.total);
    }
}

/// Writes a shop into the folder `out`: `profiles.parquet`, and `events/events_YYYY-MM.parquet`,
/// one file a calendar month (24 where `end` is the first of a month), in time order as an export
/// would be, not by profile.
///
/// Exactly as many rows come out as were asked for, all before `end`, and each profile's after its
/// `signup_at`. Files appear when they are whole, and replace files of the same name.
/// `progress(rows_done, rows_total)` is called now and then, from any thread.
///
/// Below some hundred events a day the funnels lose their shape: a day has no room for them.
///
/// ```
/// use throng::source::shop::{ShopSpec, write};
/// # let out = std::env::temp_dir().join(format!("throng-shop-{}", std::process::id()));
/// let spec = ShopSpec { profiles: 100, events: 1_000, ..ShopSpec::default() };
/// let written = write(&spec, &out, &|_, _| ())?;
/// assert_eq!((written.profiles, written.events), (100, 1_000));
/// assert_eq!(written.event_files.len(), 24);
/// # std::fs::remove_dir_all(&out).ok();
/// # Ok::<(), throng::error::Error>(())
/// ```
///
/// # Errors
/// Where there are events but no profiles, where `end` is out of reach of the calendar, where
/// `out/events` has events of other months, and where writing fails.
pub fn write(spec: &ShopSpec, out: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Written> {
    let shop = Shop::new(spec)?;
    let folder = out.join("events");
    fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
    refuse_other_months(&folder, &shop.calendar)?;
    let total = u64::from(spec.profiles) + spec.events;
    let progress = Progress { done: AtomicU64::new(0), total, tell: progress };
    let (profiles, months) = rayon::join(
        || shop.write_profiles(profiles::file_in(out), &progress),
        || {
            let months = shop.calendar.months.par_iter().with_max_len(1);
            months.map(|m| shop.write_month(m, &folder, &progress)).collect::<Result<Vec<_>>>()
        },
    );
    let ((profiles_file, profiles_bytes), months) = (profiles?, months?);
    Ok(Written {
        profiles_file,
        bytes: profiles_bytes + months.iter().map(|(_, bytes)| bytes).sum::<u64>(),
        event_files: months.into_iter().map(|(path, _)| path).collect(),
        profiles: spec.profiles.into(),
        events: spec.events,
    })
}

/// Whoever reads `events/*.parquet` would mix two shops.
fn refuse_other_months(folder: &Path, calendar: &Calendar) -> Result<()> {
    let ours = |name: &str| {
        calendar.months.iter().any(|month| name == format!("events_{}.parquet", month.label))
    };
    for entry in fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))? {
        let name = entry.map_err(|e| Error::io("read", folder, e))?.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".parquet") && !ours(&name) {
            let found = folder.join(name.as_ref());
            return Err(Error::input(format!("{} is of another shop", found.display()))
                .with_hint("remove it, or write to an empty folder"));
        }
    }
    Ok(())
}
