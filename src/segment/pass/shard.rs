//! A shard of a run: its ids, the places that they have in dense states, and the files with rows of
//! them.
//!
//! Mostly every id of a shard has a place. A refresh works on the few profiles that something changed
//! for; they are numbered anew, so that states are as small as they are few.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Result;
use crate::membership::Membership;
use crate::model::{ProfileId, TableName, tables};
use crate::store::{DataFile, StoreSnapshot};

use super::words::Words;

/// The place of an id that has none.
pub(super) const NOWHERE: u32 = u32::MAX;

/// The ids of a shard, and the files that have rows of them.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    /// The first id.
    pub(super) start: u32,
    /// How many ids there are, given out or not: a multiple of 64.
    ids: usize,
    /// Those that are worked on, where it is not all of them.
    chosen: Option<Arc<Chosen>>,
    /// How many places there are: a multiple of 64.
    pub(super) span: usize,
    pub(super) profiles: Vec<DataFile>,
    pub(super) events: Vec<DataFile>,
}

/// Some ids of a shard, numbered in their order.
#[derive(Debug)]
struct Chosen {
    /// The id of each place.
    ids: Vec<u32>,
    /// The place of each id of the shard, by its distance from the first.
    places: Vec<u32>,
}

impl Chosen {
    /// The place of the id that is so far from the first of the shard.
    fn place(&self, distance: u32) -> u32 {
        self.places.get(distance as usize).copied().unwrap_or(NOWHERE)
    }
}

/// Files that a run reads.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Of the table `profiles`.
    pub profiles: &'a [DataFile],
    /// Of the table `events`.
    pub events: &'a [DataFile],
}

impl Shard {
    /// The shards of `snapshot` that have ids, each with its files of `view`; of those of `among`
    /// only, where it is given, and then only the shards with any.
    pub(super) fn all(
        snapshot: &StoreSnapshot,
        view: View<'_>,
        among: Option<&Membership>,
    ) -> Result<Vec<Self>> {
        let ids = u64::from(snapshot.record.next_profile_id);
        let size = u64::from(snapshot.shard_size()?.ids());
        let starts = (0..).map(|n| n * size).take_while(|start| *start < ids);
        let shards = starts.map(|start| {
            let end = (start + size).min(ids);
            let span = usize::try_from(end - start).unwrap_or(usize::MAX).next_multiple_of(64);
            let own = |files: &[DataFile]| -> Vec<DataFile> {
                files.iter().filter(|f| overlaps(f, start, end)).cloned().collect()
            };
            let shard = Self {
                start: u32::try_from(start).unwrap_or(u32::MAX),
                ids: span,
                chosen: None,
                span,
                profiles: own(view.profiles),
                events: own(view.events),
            };
            match among {
                Some(among) => shard.of(among),
                None => Some(shard),
            }
        });
        Ok(shards.flatten().collect())
    }

    /// This shard with the members of `among` alone; nothing where it has none.
    fn of(self, among: &Membership) -> Option<Self> {
        let ids: Vec<u32> = self.members(among).map(ProfileId::get).collect();
        if ids.is_empty() {
            return None;
        }
        let mut places = vec![NOWHERE; self.ids];
        for (place, id) in (0_u32..).zip(&ids) {
            places[(id - self.start) as usize] = place;
        }
        let span = ids.len().next_multiple_of(64);
        Some(Self { span, chosen: Some(Arc::new(Chosen { ids, places })), ..self })
    }

    /// Whether only some of its ids are worked on.
    pub(super) fn is_chosen(&self) -> bool {
        self.chosen.is_some()
    }

    /// Numbers for `ids`, and the number of place 0: the place of each is its distance from there, and
    /// is `span` or more for one that has none.
    pub(super) fn located<'a>(&self, ids: &'a [i32]) -> (Cow<'a, [i32]>, u32) {
        match &self.chosen {
            None => (Cow::Borrowed(ids), self.start),
            Some(chosen) => {
                let place = |id: &i32| chosen.place(id.cast_unsigned().wrapping_sub(self.start));
                (ids.iter().map(|id| place(id).cast_signed()).collect(), 0)
            }
        }
    }

    /// The rows of `ids` that have a place, one of `whom` where it is given.
    pub(super) fn rows(&self, ids: &[i32], whom: Option<&Words>) -> Words {
        let Some(whom) = whom else { return Words::of_values(ids, |id| self.place(id).is_some()) };
        // A bit an id fits a cache where the places of all ids do not.
        let mut chosen = Words::zeros(self.ids);
        whom.each(|place| {
            let place = u32::try_from(place).unwrap_or(NOWHERE);
            chosen.set((self.id(place) - self.start) as usize);
        });
        Words::of_values(ids, |id| chosen.has(id.cast_unsigned().wrapping_sub(self.start) as usize))
    }

    /// The place of `id`, where it has one.
    pub(super) fn place(&self, id: i32) -> Option<usize> {
        let distance = id.cast_unsigned().wrapping_sub(self.start);
        let place = self.chosen.as_ref().map_or(distance, |chosen| chosen.place(distance)) as usize;
        (place < self.span).then_some(place)
    }

    /// The id at `place`.
    pub(super) fn id(&self, place: u32) -> u32 {
        match &self.chosen {
            None => self.start + place,
            // Places behind the last are only there to fill a word.
            Some(chosen) => chosen.ids.get(place as usize).copied().unwrap_or(self.start),
        }
    }

    /// The ids at the places of `words`.
    pub(super) fn membership(&self, words: &Words) -> Membership {
        let Some(chosen) = &self.chosen else {
            return Membership::from_words(self.start, &words.0);
        };
        let places = words.ids().into_iter();
        let ids = places.filter_map(|place| ProfileId::new(*chosen.ids.get(place as usize)?));
        Membership::from_sorted(ids).expect("places are in the order of their ids")
    }

    /// The places of the members of `membership`.
    pub(super) fn words(&self, membership: &Membership) -> Words {
        let Some(chosen) = &self.chosen else {
            let mut words = Words::zeros(self.ids);
            membership.fill_words(self.start, &mut words.0);
            return words;
        };
        let mut words = Words::zeros(self.span);
        // Few members are looked up among the places, and few places among many members.
        if membership.len() < chosen.ids.len() as u64 {
            for id in self.members(membership) {
                let place = chosen.place(id.get() - self.start) as usize;
                if place < self.span {
                    words.set(place);
                }
            }
            return words;
        }
        let mut all = Words::zeros(self.ids);
        membership.fill_words(self.start, &mut all.0);
        for (place, id) in chosen.ids.iter().enumerate() {
            if all.has((id - self.start) as usize) {
                words.set(place);
            }
        }
        words
    }

    /// The members of `membership` whose ids are of this shard.
    fn members(&self, membership: &Membership) -> impl Iterator<Item = ProfileId> {
        let last = self.start.saturating_add(u32::try_from(self.ids - 1).unwrap_or(u32::MAX));
        let first = ProfileId::new(self.start);
        let last = ProfileId::new(last.min(ProfileId::MAX.get()));
        first.zip(last).into_iter().flat_map(|(first, last)| membership.range(first, last))
    }

    /// Whether all rows of `file` have a place.
    pub(super) fn holds(&self, file: &DataFile) -> bool {
        let start = u64::from(self.start);
        let end = start + self.ids as u64;
        self.chosen.is_none() && bounds_of(file).is_some_and(|(min, max)| min >= start && max < end)
    }
}

fn bounds_of(file: &DataFile) -> Option<(u64, u64)> {
    let known = file.stats.columns.get(tables::PROFILE_ID)?;
    Some((known.min.as_ref()?.as_u64()?, known.max.as_ref()?.as_u64()?))
}

fn overlaps(file: &DataFile, start: u64, end: u64) -> bool {
    bounds_of(file).is_none_or(|(min, max)| min < end && max >= start)
}

impl<'a> View<'a> {
    /// The files of `snapshot`.
    pub(super) fn of(snapshot: &'a StoreSnapshot) -> Result<Self> {
        Ok(Self {
            profiles: &snapshot.table(TableName::Profiles)?.files,
            events: &snapshot.table(TableName::Events)?.files,
        })
    }
}
