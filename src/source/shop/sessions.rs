//! Sessions: what somebody does in one visit, from the first page to the purchase, or to nothing.
//!
//! A session follows from the seed, its day, its kind and its number alone; so any session can be
//! played again, for the refund that comes weeks later, without being remembered.

use super::calendar::{DAY, Day, SESSION_MAX};
use super::catalogue::{self, CART, CHECKOUT, THANKS};
use super::dice::{Dice, Purpose};
use super::people::{Device, Habits};
use super::{Shop, words};

/// What happened; the order is that of [`words::EVENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    PageView,
    ProductView,
    AddToCart,
    Checkout,
    Purchase,
    EmailSent,
    EmailOpen,
    EmailClick,
    AppOpen,
    SupportTicket,
    Refund,
}

/// Where it happened; the order is that of [`words::CHANNELS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Web,
    MobileWeb,
    Ios,
    Android,
    Email,
    Store,
    CallCenter,
}

/// An event before it becomes a row of a batch: words are places in [`words`], 0 or `NONE` is null.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Microseconds UTC.
    pub(super) ts: i64,
    /// 0 where there is none.
    pub(super) session: u64,
    pub(super) profile: u32,
    /// 0 where there is no amount.
    pub(super) cents: u32,
    /// 0 where there is none.
    pub(super) product: u16,
    /// [`Row::NO_PATH`] where there is none.
    pub(super) path: u16,
    pub(super) event: Event,
    pub(super) channel: Channel,
    /// [`Row::NONE`] where there is none.
    pub(super) category: u8,
    /// [`Row::NONE`] where there is none.
    pub(super) campaign: u8,
    /// 0 where there is none.
    pub(super) quantity: u8,
}

impl Row {
    pub(super) const NONE: u8 = u8::MAX;
    pub(super) const NO_PATH: u16 = u16::MAX;

    /// An event that has nothing but who, when and where.
    pub(super) const fn bare(ts: i64, profile: u32, event: Event, channel: Channel) -> Self {
        Self {
            ts,
            session: 0,
            profile,
            cents: 0,
            product: 0,
            path: Self::NO_PATH,
            event,
            channel,
            category: Self::NONE,
            campaign: Self::NONE,
            quantity: 0,
        }
    }
}

/// What a session is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole funnel: pages, products, cart, checkout, purchase.
    Buy,
    /// A cart that is left.
    Abandon,
    /// A mail, sometimes opened, sometimes clicked.
    Mail,
    /// A look into the app.
    App,
    /// A purchase at a till.
    Store,
    /// A question.
    Ticket,
    /// Pages and products; what is left of a day's budget.
    Browse,
}

impl Kind {
    /// The kinds that a day plans, and how many sessions of each there are to an event. With the
    /// mean lengths of sessions this leaves a quarter of the events to [`Kind::Browse`].
    pub(super) const PLANNED: [(Self, f64); 6] = [
        (Self::Buy, 0.034),
        (Self::Abandon, 0.027),
        (Self::Mail, 0.11),
        (Self::App, 0.05),
        (Self::Store, 0.005),
        (Self::Ticket, 0.003),
    ];

    /// Whether such a session suits somebody with these habits.
    fn suits(self, habits: &Habits, dice: &mut Dice) -> bool {
        match self {
            Self::Buy => dice.chance(0.06 + 0.94 * habits.buys * habits.buys),
            Self::Abandon => dice.chance(0.25 + 0.75 * habits.buys),
            Self::Mail => habits.consents && habits.mail,
            Self::App => habits.app,
            Self::Store => dice.chance(0.2 + 0.8 * habits.buys),
            Self::Ticket | Self::Browse => true,
        }
    }
}

/// Which session: the day's place in the calendar, the kind, and a number from 0.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) day: usize,
    pub(super) kind: Kind,
    pub(super) n: u64,
}

impl Key {
    /// A number that no other session of the shop has.
    pub(super) const fn number(self) -> u64 {
        ((self.day as u64) << 40) | ((self.kind as u64) << 36) | self.n
    }
}

/// Steps of a session take this long in the mean, in microseconds.
const STEP_MEAN: f64 = 34e6;

/// A session being played.
struct Visit<'a> {
    shop: &'a Shop,
    day: &'a Day,
    dice: Dice,
    habits: Habits,
    rows: &'a mut Vec<Row>,
    /// What the next row has in common with the last.
    row: Row,
    /// The session must be over by then.
    until: i64,
    session: u64,
}

impl Shop {
    /// Plays a session and appends its rows, in the order in which they happened.
    pub(super) fn session(&self, key: Key, rows: &mut Vec<Row>) {
        let mut dice = Dice::new(self.seed, Purpose::Session, key.number());
        let day = &self.calendar.days[key.day];
        let moment = day.start + self.calendar.moment(&mut dice);
        let (profile, habits) =
            self.crowd.draw(moment, &mut dice, |habits, dice| key.kind.suits(habits, dice));
        let channel = match (habits.device, habits.app && dice.chance(0.45)) {
            (Device::Ios, true) => Channel::Ios,
            (Device::Android, true) => Channel::Android,
            (Device::Ios | Device::Android, false) => Channel::MobileWeb,
            (Device::Desktop, _) if dice.chance(0.12) => Channel::MobileWeb,
            (Device::Desktop | Device::Tablet, _) => Channel::Web,
        };
        let mut row = Row::bare(moment, profile, Event::PageView, channel);
        row.category = match dice.below(100) {
            0..45 => habits.favourites[0],
            45..65 => habits.favourites[1],
            _ => self.catalogue.category(&mut dice),
        };
        let until = (moment + SESSION_MAX).min(day.start + DAY) - 1;
        let session = dice.bits() | 1;
        let mut visit = Visit { shop: self, day, dice, habits, rows, row, until, session };
        match key.kind {
            Kind::Buy => visit.buy(),
            Kind::Abandon => visit.abandon(),
            Kind::Mail => visit.mail(),
            Kind::App => visit.app(),
            Kind::Store => visit.store(),
            Kind::Ticket => visit.ticket(),
            Kind::Browse => visit.browse(0.46),
        }
    }

    /// The campaign of a mail on this day.
    fn campaign(&self, day: &Day, dice: &mut Dice) -> u8 {
        match day.sale {
            Some(sale) if dice.chance(0.5) => sale as u8,
            _ => self.campaigns.pick(dice) as u8,
        }
    }
}

impl Visit<'_> {
    /// Appends a row like the one before, but for its event and page, some seconds later.
    fn step(&mut self, event: Event, path: u16) {
        self.rows.push(Row { session: self.session, event, path, ..self.row });
        let pause = (self.dice.wait(STEP_MEAN) / 1e3) as i64 * 1_000 + 1_000_000;
        self.row.ts = (self.row.ts + pause).min(self.until);
    }

    fn buy(&mut self) {
        if self.habits.consents
            && self.habits.mail
            && self.dice.chance(0.06 + 0.2 * self.habits.reads)
        {
            self.row.campaign = self.shop.campaign(self.day, &mut self.dice);
            self.letter(Event::EmailSent);
            self.letter(Event::EmailOpen);
            self.letter(Event::EmailClick);
        }
        self.enter();
        self.browse(0.5);
        let cents = self.fill_cart();
        self.step(Event::Checkout, CHECKOUT);
        self.pay(cents);
        self.step(Event::Purchase, THANKS);
    }

    fn abandon(&mut self) {
        self.enter();
        self.browse(0.42);
        self.fill_cart();
        if self.dice.chance(0.28) {
            self.step(Event::Checkout, CHECKOUT);
        }
    }

    fn mail(&mut self) {
        self.row.campaign = self.shop.campaign(self.day, &mut self.dice);
        self.letter(Event::EmailSent);
        if !self.dice.chance(0.06 + 0.56 * self.habits.reads) {
            return;
        }
        let read = (self.dice.wait(300e6) / 1e3) as i64 * 1_000;
        self.row.ts = (self.row.ts + read).min(self.until);
        self.letter(Event::EmailOpen);
        if self.dice.chance(0.05 + 0.28 * self.habits.reads) {
            self.letter(Event::EmailClick);
            self.browse(0.35);
        }
    }

    fn app(&mut self) {
        self.row.channel =
            if self.habits.device == Device::Ios { Channel::Ios } else { Channel::Android };
        self.open_app();
        if self.dice.chance(0.5) {
            self.view_product();
        }
    }

    fn store(&mut self) {
        self.choose();
        self.row.quantity = 1 + self.dice.streak(0.25, 4) as u8;
        let price = self.shop.catalogue.price(self.row.product);
        self.pay(price * u32::from(self.row.quantity));
        let Row { ts, profile, .. } = self.row;
        let bare = Row::bare(ts, profile, Event::Purchase, Channel::Store);
        let Row { cents, product, category, campaign, quantity, .. } = self.row;
        self.rows.push(Row { cents, product, category, campaign, quantity, ..bare });
    }

    fn ticket(&mut self) {
        let channel = self.dice.one_of(&TICKET_CHANNELS);
        self.rows.push(Row::bare(self.row.ts, self.row.profile, Event::SupportTicket, channel));
    }

    /// Opens the app, where that is where the session takes place.
    fn enter(&mut self) {
        if matches!(self.row.channel, Channel::Ios | Channel::Android) {
            self.open_app();
        }
    }

    fn open_app(&mut self) {
        let category = std::mem::replace(&mut self.row.category, Row::NONE);
        self.step(Event::AppOpen, Row::NO_PATH);
        self.row.category = category;
    }

    /// Something that happens in the mail box: no page, no session, no department.
    fn letter(&mut self, event: Event) {
        let Row { ts, profile, campaign, .. } = self.row;
        self.rows.push(Row { campaign, ..Row::bare(ts, profile, event, Channel::Email) });
        let pause = (self.dice.wait(STEP_MEAN) / 1e3) as i64 * 1_000 + 1_000_000;
        self.row.ts = (self.row.ts + pause).min(self.until);
    }

    /// Pages, and products as long as `interest` lasts.
    fn browse(&mut self, interest: f64) {
        for _ in 0..=self.dice.streak(0.4, 8) {
            let category = self.row.category;
            if self.dice.chance(0.45) {
                self.step(Event::PageView, catalogue::department_page(category));
            } else {
                let page = self.shop.catalogue.page(&mut self.dice);
                self.row.category = Row::NONE;
                self.step(Event::PageView, page);
                self.row.category = category;
            }
        }
        for _ in 0..self.dice.streak(interest, 10) {
            self.view_product();
        }
    }

    /// Chooses a product: mostly from the department that the session is about.
    fn choose(&mut self) {
        if self.dice.chance(0.15) {
            self.row.category = self.shop.catalogue.category(&mut self.dice);
        }
        self.row.product = self.shop.catalogue.product(self.row.category, &mut self.dice);
    }

    fn view_product(&mut self) {
        self.choose();
        self.step(Event::ProductView, catalogue::product_page(self.row.product));
        self.row.product = 0;
    }

    /// Puts one thing or more into the cart, each looked at before; returns what they cost, and
    /// leaves how many they are for the rows to come.
    fn fill_cart(&mut self) -> u32 {
        let (mut cents, mut pieces) = (0, 0);
        for _ in 0..=self.dice.streak(0.3, 4) {
            self.choose();
            self.step(Event::ProductView, catalogue::product_page(self.row.product));
            let quantity = 1 + self.dice.streak(0.16, 4) as u8;
            self.row.quantity = quantity;
            self.step(Event::AddToCart, CART);
            self.row.quantity = 0;
            cents += self.shop.catalogue.price(self.row.product) * u32::from(quantity);
            pieces += quantity;
        }
        self.row.quantity = pieces;
        cents
    }

    /// Sets what is paid: a coupon or a sale takes 10 to 25 % off, mostly for those who wait for it.
    fn pay(&mut self, cents: u32) {
        let usual = if self.day.sale.is_some() { 0.3 } else { 0.06 };
        let mut off = 0;
        if self.dice.chance(self.habits.thrift.max(usual)) {
            (self.row.campaign, off) = match self.day.sale {
                Some(sale) if self.dice.chance(0.75) => (sale as u8, 25),
                _ => self.dice.one_of(&[(0, 10), (0, 10), (1, 20)]),
            };
        }
        self.row.cents = cents - cents * off / 100;
    }
}

/// Where questions arrive.
pub(super) const TICKET_CHANNELS: [Channel; 4] =
    [Channel::Email, Channel::Web, Channel::CallCenter, Channel::CallCenter];

/// The weights of [`words::CAMPAIGNS`] outside of sales; the sales themselves have none.
pub(super) const CAMPAIGN_WEIGHTS: [f64; words::CAMPAIGNS.len()] =
    [7.0, 4.0, 0.0, 0.0, 0.0, 38.0, 20.0, 9.0, 11.0, 3.0, 5.0, 3.0];
