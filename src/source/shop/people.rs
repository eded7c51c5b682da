//! The customers: how each behaves, when each came and left, who is active how much.
//!
//! How somebody behaves follows from their number alone, so it is worked out where it is needed
//! and never kept. Kept are 16 bytes a profile: the order of activity, and from when to when
//! somebody is there.

use rayon::prelude::*;

use super::calendar::{Calendar, DAY, SECOND};
use super::dice::{Dice, Purpose, Skew, mix};
use super::words::CATEGORIES;

/// What somebody mostly looks from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    /// A telephone with Android.
    Android,
    /// A telephone with iOS.
    Ios,
    /// A computer.
    Desktop,
    /// A tablet.
    Tablet,
}

/// How somebody behaves; the same in their profile and in all their sessions.
pub(super) struct Habits {
    /// How readily they buy, 0..1.
    pub(super) buys: f64,
    /// How readily they open mail, 0..1.
    pub(super) reads: f64,
    /// How readily they wait for coupons and sales, 0..1; 0 for most.
    pub(super) thrift: f64,
    /// Agreed to get mail.
    pub(super) consents: bool,
    /// Has given an e-mail address.
    pub(super) mail: bool,
    /// What they look from.
    pub(super) device: Device,
    /// Has the shop's app.
    pub(super) app: bool,
    /// The departments they like best.
    pub(super) favourites: [u8; 2],
}

/// From when to when a profile is there, in minutes after the window's start.
struct Life {
    profile: u32,
    first: u32,
    last: u32,
}

/// How steeply activity falls: the k-th most active of n has a weight of (k + n/200) ^ -0.9, which
/// gives the first tenth 51 % of all sessions and the first hundredth 17 %.
const STEEPNESS: f64 = 0.9;
/// See [`STEEPNESS`].
const HEAD_SHARE: f64 = 1.0 / 200.0;
/// Nobody suitable after so many throws: the most active profile steps in, which is always there.
const THROWS_MAX: u32 = 64;
/// Customers who came before the window.
const EARLY_SHARE: f64 = 0.62;
/// The shop opened so many days before the window.
const EARLY_DAYS: f64 = 2_100.0;
/// Customers who leave some day, and after how many days of theirs in the mean.
const LEAVING_SHARE: f64 = 0.45;
/// See [`LEAVING_SHARE`].
const STAY_DAYS: f64 = 430.0;

/// All customers of a shop.
pub(super) struct Crowd {
    seed: u64,
    /// By activity, the most active first.
    lives: Vec<Life>,
    /// Rank by profile, 0 the most active.
    ranks: Vec<u32>,
    devices: Skew,
    tastes: Skew,
    window: (i64, i64),
    /// Where the integral of the weights begins and ends.
    integral: (f64, f64),
}

impl Crowd {
    pub(super) fn new(seed: u64, profiles: u32, calendar: &Calendar) -> Self {
        let mut order: Vec<u32> = (0..profiles).collect();
        let mut dice = Dice::new(seed, Purpose::Ranks, 0);
        for i in (1..profiles).rev() {
            order.swap(i as usize, dice.below(i + 1) as usize);
        }
        let mut ranks = vec![0; order.len()];
        for (rank, &profile) in order.iter().enumerate() {
            ranks[profile as usize] = rank as u32;
        }
        let count = f64::from(profiles);
        let head = count * HEAD_SHARE;
        let mut crowd = Self {
            seed,
            lives: Vec::new(),
            ranks,
            devices: Skew::new([36.0, 31.0, 27.0, 6.0]),
            tastes: Skew::zipf(CATEGORIES.len(), 0.55, 2.0),
            window: (calendar.start(), calendar.end()),
            integral: (head.powf(1.0 - STEEPNESS), (head + count).powf(1.0 - STEEPNESS)),
        };
        crowd.lives = order.into_par_iter().map(|profile| crowd.life(profile)).collect();
        crowd
    }

    /// The number of profiles.
    pub(super) fn len(&self) -> usize {
        self.ranks.len()
    }

    /// The number in a profile's `user_id`: rising, with gaps.
    pub(super) fn user_number(&self, profile: u32) -> u64 {
        u64::from(profile) * 3 + 1 + mix(self.seed ^ u64::from(profile)) % 3
    }

    /// The share of profiles that are no more active than this one: 1 for the most active.
    pub(super) fn activity(&self, profile: u32) -> f64 {
        1.0 - f64::from(self.ranks[profile as usize]) / self.len() as f64
    }

    /// When a profile signed up, microseconds UTC in whole seconds, before its first event.
    pub(super) fn signup(&self, profile: u32) -> i64 {
        self.signup_with(profile, &mut Dice::new(self.seed, Purpose::Life, profile.into()))
    }

    fn signup_with(&self, profile: u32, dice: &mut Dice) -> i64 {
        let (start, end) = self.window;
        let early = dice.chance(EARLY_SHARE) || self.ranks[profile as usize] == 0;
        let share = dice.unit();
        let moment = if early {
            start - 1 - (share.powf(1.3) * EARLY_DAYS * DAY as f64) as i64
        } else {
            start + (share.powf(0.85) * (end - start - DAY) as f64) as i64
        };
        moment.div_euclid(SECOND) * SECOND
    }

    fn life(&self, profile: u32) -> Life {
        let mut dice = Dice::new(self.seed, Purpose::Life, profile.into());
        let signup = self.signup_with(profile, &mut dice);
        let stays = self.ranks[profile as usize] == 0 || !dice.chance(LEAVING_SHARE);
        let stay = if stays { i64::MAX / 4 } else { (dice.wait(STAY_DAYS) * DAY as f64) as i64 };
        let minute = |moment: i64| {
            let past = (moment - self.window.0).max(0) / (60 * SECOND);
            u32::try_from(past).unwrap_or(u32::MAX)
        };
        let last = if stays { u32::MAX } else { minute(signup.saturating_add(stay)) };
        Life { profile, first: if signup < self.window.0 { 0 } else { minute(signup) + 1 }, last }
    }

    /// How a profile behaves.
    pub(super) fn habits(&self, profile: u32) -> Habits {
        let mut dice = Dice::new(self.seed, Purpose::Habits, profile.into());
        let device = match self.devices.pick(&mut dice) {
            0 => Device::Android,
            1 => Device::Ios,
            2 => Device::Desktop,
            _ => Device::Tablet,
        };
        Habits {
            buys: dice.unit(),
            reads: dice.unit(),
            thrift: if dice.chance(0.22) { 0.72 } else { 0.0 },
            consents: dice.chance(0.57),
            mail: dice.chance(0.94),
            device,
            app: matches!(device, Device::Android | Device::Ios) && dice.chance(0.48),
            favourites: [self.tastes.pick(&mut dice) as u8, self.tastes.pick(&mut dice) as u8],
        }
    }

    /// Somebody who is there at `moment` and whom `suits` likes; the active ones more often.
    pub(super) fn draw(
        &self,
        moment: i64,
        dice: &mut Dice,
        suits: impl Fn(&Habits, &mut Dice) -> bool,
    ) -> (u32, Habits) {
        let minute = ((moment - self.window.0) / (60 * SECOND)) as u32;
        let head = self.len() as f64 * HEAD_SHARE;
        let (near, far) = self.integral;
        for _ in 0..THROWS_MAX {
            // The inverse of the integral; 10 is 1 / (1 - STEEPNESS).
            let rank = (near + dice.unit() * (far - near)).powi(10) - head;
            let life = &self.lives[(rank as usize).min(self.len() - 1)];
            if life.first <= minute && minute < life.last {
                let habits = self.habits(life.profile);
                if suits(&habits, dice) {
                    return (life.profile, habits);
                }
            }
        }
        let constant = self.lives[0].profile;
        (constant, self.habits(constant))
    }
}
