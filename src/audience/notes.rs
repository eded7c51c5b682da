//! What an analyst may want to know of a segment that was built.

use std::collections::BTreeMap;

use crate::segment::{Batch, BatchRun, Doubts, Effort, Planned, unknown_events};

use super::build::{Outcome, Running};

/// Empty segments that a build says why of.
const DOUBTS_MAX: usize = 20;

impl Running<'_> {
    /// Notes what is to be said of segments that were evaluated: why they may be empty, events that they
    /// look for and nobody has, and those without a value whom an order puts first.
    pub(super) async fn doubt(
        &mut self,
        todo: &[(String, Planned)],
        (batch, run): (&Batch, &BatchRun),
    ) {
        let is_empty = |name: &String| {
            let outcome = self.outcomes.get(name).map(|(outcome, _)| outcome);
            matches!(outcome, Some(Outcome::Built { membership, .. }) if membership.is_empty())
        };
        let mut notes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut doubts = Doubts::new(&self.session, Effort::Little);
        for (name, planned) in todo.iter().filter(|(name, _)| is_empty(name)).take(DOUBTS_MAX) {
            notes.insert(name.clone(), doubts.of(planned.plan()).await);
        }
        for (word, note) in unknown_events(&self.session, batch.program()).await {
            for (name, planned) in todo {
                if !notes.contains_key(name) && planned.plan().looks_for_event(&word) {
                    self.notes.entry(name.clone()).or_default().push(note.clone());
                }
            }
        }
        for (name, own) in notes {
            self.notes.entry(name).or_default().extend(own);
        }
        for (name, (without, taken)) in batch.without_value(run) {
            self.notes.entry(name).or_default().push(format!(
                "{without} of the {taken} have no value to be ordered by, and come first; NULLS LAST puts them last"
            ));
        }
    }

    /// Notes which segments read one that no file makes any more.
    pub(super) fn note_orphans(&mut self) {
        let segments = self.selected.iter().filter_map(|name| self.parsed.get(name)?.as_ref().ok());
        for segment in segments {
            for need in &segment.segments {
                let Some(last) = self.catalog.get(need) else { continue };
                let Some(build) = last.membership_build else { continue };
                if self.parsed.contains_key(need) || !last.is_of_sql() {
                    continue;
                }
                self.notes.entry(segment.name().to_string()).or_default().push(format!(
                    "it reads segments.{need}, which no file makes any more: those are the members of build {build}"
                ));
            }
        }
    }
}
