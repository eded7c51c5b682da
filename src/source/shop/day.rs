//! One day: its sessions, what follows from sessions of earlier days, all in time order.
//!
//! A day has exactly the rows of its budget and needs no other day to be made before it: how many
//! sessions of each kind a day has is known beforehand, and the few that echo later are played again.

use std::ops::RangeInclusive;

use super::Shop;
use super::catalogue::{CHECKOUT, THANKS};
use super::dice::{Dice, Purpose};
use super::sessions::{Channel, Event, Key, Kind, Row, TICKET_CHANNELS};

/// Something that happens days after a session, to one in `every` of its kind.
struct Echo {
    source: Kind,
    event: Event,
    every: u64,
    days: RangeInclusive<usize>,
}

/// Refunds and questions after a purchase, and carts that are bought after some nights.
const ECHOES: [Echo; 3] = [
    Echo { source: Kind::Buy, event: Event::Refund, every: 20, days: 2..=24 },
    Echo { source: Kind::Buy, event: Event::SupportTicket, every: 28, days: 1..=13 },
    Echo { source: Kind::Abandon, event: Event::Purchase, every: 9, days: 1..=5 },
];

impl Shop {
    /// The rows of a day in time order; rows of one moment in the order in which they happened.
    pub(super) fn day(&self, day: usize) -> Vec<Row> {
        let budget = self.calendar.days[day].rows as usize;
        let mut rows = Vec::with_capacity(budget + 64);
        for echo in &ECHOES {
            self.echo(day, echo, &mut rows);
        }
        for (kind, _) in Kind::PLANNED {
            let sessions = self.planned(day, kind);
            for n in (0..sessions).take_while(|_| budget > 0) {
                if rows.len() >= budget {
                    break;
                }
                self.session(Key { day, kind, n }, &mut rows);
            }
        }
        let mut n = 0;
        while rows.len() < budget {
            self.session(Key { day, kind: Kind::Browse, n }, &mut rows);
            n += 1;
        }
        rows.truncate(budget);
        rows.sort_by_key(|row| row.ts);
        rows
    }

    /// How many sessions of `kind` a day has: its share of the budget, rounded by chance, so that
    /// rare kinds happen in small shops too.
    fn planned(&self, day: usize, kind: Kind) -> u64 {
        let share = Kind::PLANNED.iter().find(|(k, _)| *k == kind).map_or(0.0, |(_, share)| *share);
        let today = &self.calendar.days[day];
        let heat = if kind == Kind::Buy { today.heat } else { 1.0 };
        let number = Key { day, kind, n: 0 }.number();
        let mut dice = Dice::new(self.seed, Purpose::Plan, number);
        (today.rows as f64 * share * heat + dice.unit()) as u64
    }

    /// Appends what follows on `day` from sessions of earlier days.
    ///
    /// Of every `every * lags` sessions of a day, counted from a place that chance gave the day,
    /// the first echoes after the shortest lag, the one `every` places on after the next, and so on.
    fn echo(&self, day: usize, echo: &Echo, rows: &mut Vec<Row>) {
        let cycle = echo.every * echo.days.clone().count() as u64;
        let mut played = Vec::new();
        for (i, lag) in echo.days.clone().enumerate() {
            let Some(source) = day.checked_sub(lag) else { break };
            let first = Key { day: source, kind: echo.source, n: 0 }.number();
            let mut place = Dice::new(self.seed, Purpose::Echo, first ^ echo.event as u64);
            let start = (place.bits() + echo.every * i as u64) % cycle;
            for n in (start..self.planned(source, echo.source)).step_by(cycle as usize) {
                let key = Key { day: source, kind: echo.source, n };
                played.clear();
                self.session(key, &mut played);
                let stream = key.number() ^ ((echo.event as u64) << 60);
                let mut dice = Dice::new(self.seed, Purpose::Echo, stream);
                let ts = self.calendar.days[day].start + self.calendar.moment(&mut dice);
                let follow = |last| self.follow(ts, echo.event, last, &mut dice);
                rows.extend(played.last().map(follow).unwrap_or_default());
            }
        }
    }

    /// What follows at `ts` from a session whose last row was `last`.
    fn follow(&self, ts: i64, event: Event, last: &Row, dice: &mut Dice) -> Vec<Row> {
        match event {
            Event::SupportTicket => {
                let channel = dice.one_of(&TICKET_CHANNELS);
                vec![Row::bare(ts, last.profile, event, channel)]
            }
            Event::Refund => {
                let channel = dice.one_of(&[Channel::Web, Channel::Web, Channel::CallCenter]);
                let bare = Row::bare(ts, last.profile, event, channel);
                let Row { cents, product, category, quantity, .. } = *last;
                vec![Row { cents, product, category, quantity, ..bare }]
            }
            _ => self.buy_cart(ts, last, dice),
        }
    }

    /// The checkout and the purchase of a cart that was left some days before.
    fn buy_cart(&self, ts: i64, cart: &Row, dice: &mut Dice) -> Vec<Row> {
        let session = dice.bits() | 1;
        let quantity = cart.quantity.max(1);
        let checkout =
            Row { ts, session, event: Event::Checkout, path: CHECKOUT, quantity, ..*cart };
        let cents = self.catalogue.price(cart.product) * u32::from(quantity);
        let ts = ts + i64::from(20_000 + dice.below(300_000)) * 1_000;
        vec![checkout, Row { ts, event: Event::Purchase, path: THANKS, cents, ..checkout }]
    }
}
