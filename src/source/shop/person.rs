//! One customer's row: what the shop knows about a profile.

use super::Shop;
use super::calendar::DAY;
use super::dice::{Dice, Purpose};
use super::people::Habits;
use super::words::{self, COUNTRIES, INTERESTS, NAMES, TIER_POINTS};

/// A profile's row; words are places in [`words`].
pub(super) struct Person {
    pub(super) number: u64,
    pub(super) habits: Habits,
    pub(super) signup: i64,
    pub(super) phone: bool,
    pub(super) sms_consent: bool,
    /// Among all first names of all parts of the world.
    pub(super) first_name: u16,
    /// Among all last names of all parts of the world.
    pub(super) last_name: Option<u16>,
    pub(super) mail_host: u8,
    pub(super) country: u8,
    /// Among all cities of all countries.
    pub(super) city: u16,
    /// Days after 1970-01-01.
    pub(super) birth_day: Option<i32>,
    pub(super) gender: Option<u8>,
    pub(super) plan: u8,
    /// A country that speaks it.
    pub(super) language: u8,
    pub(super) acquisition: u8,
    pub(super) points: i32,
    pub(super) interests: Option<Vec<u8>>,
    pub(super) nps: Option<i32>,
    pub(super) store: Option<i32>,
}

/// A country that speaks English, for those who use the shop in it.
const ENGLISH: u8 = 1;
/// How many shops with a door there are.
const STORES: u32 = 80;

impl Person {
    /// The loyalty tier that the points give.
    pub(super) fn tier(&self) -> u8 {
        (TIER_POINTS.partition_point(|least| *least <= self.points) - 1) as u8
    }
}

impl Shop {
    /// The row of a profile.
    pub(super) fn person(&self, profile: u32) -> Person {
        let mut dice = Dice::new(self.seed, Purpose::Row, profile.into());
        let dice = &mut dice;
        let habits = self.crowd.habits(profile);
        let activity = self.crowd.activity(profile);
        let country = self.countries.pick(dice);
        let gender = sometimes(dice, 0.92, |dice| [0, 1, 2][self.genders.pick(dice) as usize]);
        let phone = dice.chance(0.55);
        Person {
            number: self.crowd.user_number(profile),
            signup: self.crowd.signup(profile),
            phone,
            sms_consent: phone && dice.chance(if habits.consents { 0.5 } else { 0.08 }),
            first_name: first_name(country, gender, dice),
            last_name: sometimes(dice, 0.98, |dice| last_name(country, dice)),
            mail_host: dice.below(words::MAIL_HOSTS.len() as u32) as u8,
            country: country as u8,
            city: country * 5 + self.cities.pick(dice),
            birth_day: sometimes(dice, 0.88, |dice| self.birth_day(dice)),
            gender,
            plan: plan(activity, dice),
            language: if dice.chance(0.92) { country as u8 } else { ENGLISH },
            acquisition: self.acquisition.pick(dice) as u8,
            points: points(activity, dice),
            interests: sometimes(dice, 0.88, |dice| self.interests(dice)),
            nps: sometimes(dice, 0.24, |dice| nps(habits.buys, dice)),
            store: sometimes(dice, 0.55, |dice| 1 + dice.below(STORES) as i32),
            habits,
        }
    }

    /// A birthday of somebody of 17 to 92 years, 43 in the mean.
    fn birth_day(&self, dice: &mut Dice) -> i32 {
        let years = (43.0 + 14.5 * dice.normal()).clamp(17.0, 92.0) + dice.unit();
        (self.calendar.end() / DAY) as i32 - (years * 365.25) as i32
    }

    /// Up to five interests, none twice.
    fn interests(&self, dice: &mut Dice) -> Vec<u8> {
        let count = dice.streak(0.68, 5);
        let mut places: Vec<u8> = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let place = self.interests.pick(dice) as u8;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        debug_assert!(places.iter().all(|place| usize::from(*place) < INTERESTS.len()));
        places
    }
}

/// What `make` makes, with this probability.
fn sometimes<T>(dice: &mut Dice, probability: f64, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    if dice.chance(probability) { Some(make(dice)) } else { None }
}

fn first_name(country: u16, gender: Option<u8>, dice: &mut Dice) -> u16 {
    let group = COUNTRIES[usize::from(country)].names;
    let (women, men) = (NAMES[group].women.len(), NAMES[group].men.len());
    let (start, count) = match gender {
        Some(0) => (0, women),
        Some(1) => (women, men),
        _ => (0, women + men),
    };
    (group * (women + men) + start) as u16 + dice.below(count as u32) as u16
}

fn last_name(country: u16, dice: &mut Dice) -> u16 {
    let group = COUNTRIES[usize::from(country)].names;
    let count = NAMES[group].families.len();
    (group * count) as u16 + dice.below(count as u32) as u16
}

/// The active ones pay more often, and more.
fn plan(activity: f64, dice: &mut Dice) -> u8 {
    if !dice.chance(0.10 + 0.45 * activity * activity) {
        return 0;
    }
    match dice.unit() - 0.25 * activity {
        x if x > 0.40 => 1,
        x if x > 0.06 => 2,
        _ => 3,
    }
}

/// Log-normal, with a middle of some dozens for most and of 2,640 for the most active ones.
fn points(activity: f64, dice: &mut Dice) -> i32 {
    ((0.9 * dice.normal()).exp() * (40.0 + 2_600.0 * activity.powi(5))).min(99_999.0) as i32
}

/// 0 to 10; those who like to buy say more.
fn nps(buys: f64, dice: &mut Dice) -> i32 {
    (6.6 + 1.8 * buys + 2.1 * dice.normal()).round().clamp(0.0, 10.0) as i32
}
