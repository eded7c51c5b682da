//! How large an audience is to be.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::lift::HeldOut;

/// How large an audience is to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// So many members.
    Members(u64),
    /// A share of the candidates, 0..=1.
    Share(f64),
    /// The largest audience whose lift on held-out seeds is at least this.
    Lift(f64),
    /// Everybody whose score, the share of candidates that lie below, is at least this, 0..=1.
    Score(f64),
    /// Everybody whose score by a model that is there already is at least this, 0..=1, however many they
    /// have become.
    From(f64),
}

impl Size {
    /// A tenth: what lift is told at, and a size that leaves most people alone.
    pub const DEFAULT: Self = Self::Share(0.1);

    /// Reads `5000` or `2.5%`.
    ///
    /// # Errors
    /// Where `text` is neither, or no size: 0, or more than 100 %.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::input(format!("\"{text}\" is no size of an audience")).with_hint(
                "write a number of members such as 5000, or a share of the candidates such as 2.5%",
            )
        };
        if let Some(percent) = text.trim().strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            let fits = percent > 0.0 && percent <= 100.0;
            return if fits { Ok(Self::Share(percent / 100.0)) } else { Err(wrong()) };
        }
        let members: u64 = text.trim().replace([',', '_'], "").parse().map_err(|_| wrong())?;
        if members == 0 { Err(wrong()) } else { Ok(Self::Members(members)) }
    }

    /// A lift that an audience must have.
    ///
    /// # Errors
    /// Where it is no number of 0 and more.
    pub fn lift(lift: f64) -> Result<Self> {
        if lift.is_finite() && lift >= 0.0 {
            Ok(Self::Lift(lift))
        } else {
            Err(Error::input(format!("{lift} is no lift")).with_hint("write a number such as 2.5"))
        }
    }

    /// A score that members must have.
    ///
    /// # Errors
    /// Where it does not lie between 0 and 1.
    pub fn score(score: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&score) {
            Ok(Self::Score(score))
        } else {
            Err(Error::input(format!("{score} is no score"))
                .with_hint("a score is the share of candidates that lie below, such as 0.95"))
        }
    }

    /// The members that it means among `candidates`; `from` counts those with at least a score.
    ///
    /// # Errors
    /// Where there are fewer candidates, or no audience has the lift.
    pub(crate) fn members(
        self,
        candidates: u64,
        held: &HeldOut,
        from: impl Fn(f64) -> u64,
    ) -> Result<u64> {
        let of_share = |share: f64| (candidates as f64 * share).round().max(1.0) as u64;
        match self {
            Self::Members(members) if members > candidates => Err(Error::input(format!(
                "{members} members were asked for, and there are {candidates} candidates"
            ))
            .with_hint("the seed and excluded segments are no candidates; ask for fewer")),
            Self::Members(members) => Ok(members),
            Self::Share(share) => Ok(of_share(share)),
            Self::Score(score) => Ok(of_share((1.0 - score).max(0.0))),
            Self::From(score) => Ok(from(score)),
            Self::Lift(lift) => held.share_of_lift(lift).map(of_share).ok_or_else(|| {
                let best = held.reach(0.001).lift.value.max(held.reach(0.01).lift.value);
                Error::input(format!("no audience has a lift of {lift}; the best has {best:.1}"))
                    .with_hint("ask for less, or give the models more to learn from: sql/features")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(Size::parse("5000").ok(), Some(Size::Members(5_000)));
        assert_eq!(Size::parse("5,000").ok(), Some(Size::Members(5_000)));
        assert_eq!(Size::parse(" 2.5 %").ok(), Some(Size::Share(0.025)));
        for wrong in ["0", "0%", "101%", "-3", "many", ""] {
            assert!(Size::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Size::score(1.5).is_err() && Size::lift(f64::NAN).is_err());
    }

    #[test]
    fn a_size_means_so_many_candidates() {
        let held = HeldOut::new([0.999, 0.951, 0.5, 0.2], 1_000);
        let none = |_| 0;
        let from = |score: f64| if score > 0.5 { 3 } else { 900 };
        assert_eq!(Size::From(0.9).members(1_000, &held, from).ok(), Some(3));
        assert_eq!(Size::Members(7).members(1_000, &held, none).ok(), Some(7));
        assert!(Size::Members(1_001).members(1_000, &held, none).is_err());
        assert_eq!(Size::Share(0.25).members(1_000, &held, none).ok(), Some(250));
        assert_eq!(Size::Score(0.9).members(1_000, &held, none).ok(), Some(100));
        assert_eq!(Size::Lift(10.0).members(1_000, &held, none).ok(), Some(50));
        assert!(Size::Lift(5_000.0).members(1_000, &held, none).is_err());
    }
}
