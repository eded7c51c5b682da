//! What the shop sells: products by department, some of them popular, each with a price.

use super::dice::{Dice, Purpose, Skew};
use super::words::{CATEGORIES, PAGES, PRICES};

/// Products a department has.
const PER_CATEGORY: u32 = 160;
/// Products in all, numbered from 1.
pub(super) const PRODUCTS: u32 = PER_CATEGORY * CATEGORIES.len() as u32;

/// A page of the shop, as a place in [`Catalogue::paths`].
pub(super) type Path = u16;

/// The products and pages of a shop.
pub(super) struct Catalogue {
    /// Cents by product, product 1 first.
    prices: Vec<u32>,
    popular: Skew,
    categories: Skew,
    pages: Skew,
}

/// The page of the cart.
pub(super) const CART: Path = 9;
/// The page where one pays.
pub(super) const CHECKOUT: Path = 10;
/// The page that says thank you.
pub(super) const THANKS: Path = 11;

impl Catalogue {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, Purpose::Catalogue, 0);
        let price = |product: u32| {
            let middle = PRICES[category_of(product + 1) as usize];
            let euros = (middle * (0.45 * dice.normal()).exp()).clamp(2.0, 1_900.0);
            euros as u32 * 100 + if dice.chance(0.7) { 99 } else { 50 }
        };
        Self {
            prices: (0..PRODUCTS).map(price).collect(),
            popular: Skew::zipf(PER_CATEGORY as usize, 0.9, 3.0),
            categories: Skew::zipf(CATEGORIES.len(), 0.7, 2.0),
            pages: Skew::zipf(CART as usize, 1.0, 1.0),
        }
    }

    /// A department, the busy ones more often.
    pub(super) fn category(&self, dice: &mut Dice) -> u8 {
        self.categories.pick(dice) as u8
    }

    /// A product of a department, the popular ones more often.
    pub(super) fn product(&self, category: u8, dice: &mut Dice) -> u16 {
        u16::from(category) * PER_CATEGORY as u16 + self.popular.pick(dice) + 1
    }

    /// A page that is neither a department nor a product.
    pub(super) fn page(&self, dice: &mut Dice) -> Path {
        self.pages.pick(dice)
    }

    /// What a product costs, in cents.
    pub(super) fn price(&self, product: u16) -> u32 {
        self.prices[usize::from(product) - 1]
    }

    /// The text of every page: fixed pages, departments, products.
    pub(super) fn paths() -> Vec<String> {
        let departments = CATEGORIES.iter().map(|name| format!("/c/{name}"));
        let products = (1..=PRODUCTS).map(|product| format!("/p/{product}"));
        PAGES.iter().map(ToString::to_string).chain(departments).chain(products).collect()
    }
}

/// The department of a product.
pub(super) const fn category_of(product: u32) -> u8 {
    ((product - 1) / PER_CATEGORY) as u8
}

/// The page of a department.
pub(super) const fn department_page(category: u8) -> Path {
    PAGES.len() as u16 + category as u16
}

/// The page of a product.
pub(super) const fn product_page(product: u16) -> Path {
    (PAGES.len() + CATEGORIES.len()) as u16 + product - 1
}
