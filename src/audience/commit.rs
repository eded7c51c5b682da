//! The end of a build: what each segment gained and lost, and one commit of all of it.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::error::Result;
use crate::membership::Membership;
use crate::model::{BuildId, millis_since};
use crate::query::crew;
use crate::store::{Change, Committed};

use super::build::{Build, BuiltSegment, Outcome, Running};
use super::catalog::{State, Status};
use super::files::{add_memberships, add_states};
use super::rows::{self, Part};

/// A membership as it is stored, and how it differs from the one before.
struct Made {
    parts: Vec<Part>,
    members: u64,
    entered: u64,
    exited: u64,
}

impl Running<'_> {
    /// Commits the outcomes.
    pub(super) async fn commit(mut self) -> Result<Build> {
        let (started, as_of) = (Instant::now(), self.request.as_of);
        let record = &self.request.snapshot.record;
        let build = BuildId(record.last_build + 1);
        self.before.read().await?;
        tracing::debug!(ms = millis_since(started), "read last memberships");
        let made = self.made().await?;
        let mut segments = Vec::new();
        let mut states = Vec::new();
        for (name, (outcome, elapsed_ms)) in &self.outcomes {
            let (built, state) = self.report(build, name, (outcome, *elapsed_ms), made.get(name));
            segments.push(built);
            states.push(state);
        }
        let mut change = Change::new("build", self.request.now);
        change.build = Some(build.0);
        let place = (self.request.store, self.request.snapshot);
        let parts = made.iter().filter_map(|(name, made)| {
            let definition = self.parsed.get(name)?.as_ref().ok()?.definition.as_str();
            Some((name.as_str(), definition, &made.parts[..]))
        });
        add_memberships(place, (build, as_of), parts, &mut change).await?;
        add_states(place, &states, &mut change).await?;
        tracing::debug!(ms = millis_since(started), "wrote memberships");
        match self.request.store.commit(self.request.snapshot, change).await? {
            Committed::Done(_) => {}
            Committed::Conflict(error) => return Err(error),
        }
        tracing::info!(ms = millis_since(started), "committed");
        let Self { session, parsed, outcomes, before, .. } = self;
        crew::drop_later((session, parsed, outcomes, before, made));
        Ok(Build { build, as_of, segments })
    }

    /// What was built, by segment; worked out on all threads.
    async fn made(&self) -> Result<BTreeMap<String, Made>> {
        let size = self.request.snapshot.shard_size()?;
        let built = self.outcomes.iter().filter_map(|(name, (outcome, _))| match outcome {
            Outcome::Built { membership, .. } => {
                let before = self.before.known().get(name).cloned().unwrap_or_default();
                Some((name.clone(), membership.clone(), before))
            }
            _ => None,
        });
        let made = move |(name, now, before): (String, Membership, Membership)| {
            let made = Made {
                parts: rows::parts(&now, size),
                members: now.len(),
                entered: now.and_not_len(&before),
                exited: before.and_not_len(&now),
            };
            (name, made)
        };
        let threads = self.request.limits.threads.get();
        Ok(crew::map(built.collect(), threads, made).await?.into_iter().collect())
    }

    /// What the build says about one segment, and what it keeps.
    fn report(
        &self,
        build: BuildId,
        name: &str,
        (outcome, elapsed_ms): (&Outcome, u64),
        made: Option<&Made>,
    ) -> (BuiltSegment, State) {
        let last = self.catalog.get(name);
        let kept = last.and_then(|s| s.membership_build);
        let (status, error) = match outcome {
            Outcome::Built { .. } => (Status::Built, None),
            Outcome::Reused => (Status::Reused, None),
            Outcome::Skipped(error) => (Status::Skipped, Some(error)),
            Outcome::Failed(error) if kept.is_some() => (Status::Stale, Some(error)),
            Outcome::Failed(error) => (Status::Failed, Some(error)),
        };
        let (members, entered, exited) = if let Some(made) = made {
            (Some(made.members), Some(made.entered), Some(made.exited))
        } else {
            let unmoved = kept.map(|_| 0);
            (last.and_then(|s| s.members), unmoved, unmoved)
        };
        let inputs = match outcome {
            Outcome::Built { inputs, .. } => Some(inputs.clone()),
            Outcome::Reused => self.inputs.get(name).cloned(),
            _ => last.and_then(|s| s.inputs.clone()),
        };
        let is_built = matches!(outcome, Outcome::Built { .. });
        let definition = match self.parsed.get(name) {
            Some(Ok(parsed)) => parsed.definition.clone(),
            _ => last.map(|s| s.definition.clone()).unwrap_or_default(),
        };
        let built = BuiltSegment {
            name: name.to_owned(),
            status,
            members,
            entered,
            exited,
            elapsed_ms,
            evaluated: self.touched.get(name).copied(),
            notes: self.notes.get(name).cloned().unwrap_or_default(),
            error: error.cloned(),
        };
        let state = State {
            segment: name.to_owned(),
            build,
            as_of: self.request.as_of,
            status,
            members,
            entered,
            exited,
            elapsed_ms,
            definition,
            membership_build: if is_built { Some(build) } else { kept },
            inputs,
            store_version: self.request.snapshot.record.version,
            error: error.map(ToString::to_string),
        };
        (built, state)
    }
}
