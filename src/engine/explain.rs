//! How a segment is evaluated, and why a profile is in it or not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::audience::Catalog;
use crate::error::Result;
use crate::lookalike::Explanation;
use crate::membership::Membership;
use crate::model::{AsOf, Name, ProfileId};
use crate::query::{Limits, Session};
use crate::segment::parse::definition;
use crate::segment::program::{LeafId, SetExpr};
use crate::segment::{Batch, Graph, Parsed, Planned};

use super::open::Engine;
use super::warm::is_name;
use super::whose::find;

/// How a segment is evaluated.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// The segment.
    pub name: String,
    /// Set algebra over its leaves: `#1 and not #2`; nothing where it runs by itself.
    pub set: Option<String>,
    /// Why `DataFusion` runs it by itself, where it does.
    pub opaque: Option<String>,
    /// The leaves.
    pub leaves: Vec<ExplainedLeaf>,
    /// Its members now.
    pub members: u64,
    /// Bytes read from the store for this segment alone; nothing where `DataFusion` runs it, and nobody
    /// counts.
    pub bytes_read: Option<u64>,
    /// Rows read for it, likewise.
    pub rows_read: Option<u64>,
    /// What each step of the compiler left behind, with `--passes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<(String, String)>,
}

/// A leaf of a segment.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedLeaf {
    /// Its name in the set: `#1`.
    pub leaf: String,
    /// `attribute`, `events`, `aggregate`, `sequence`, `ranked` or `query`.
    pub kind: String,
    /// What it asks.
    pub text: String,
    /// The rows that it looked at.
    pub rows: u64,
    /// Its members.
    pub members: Option<u64>,
    /// The other segments of the project that have it.
    pub shared_with: Vec<String>,
}

/// Why a profile is in a segment, or not.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// The segment.
    pub name: String,
    /// The profile.
    pub profile_id: u32,
    /// Whether it is a member, by the segment's query as it is written now.
    pub member: bool,
    /// What `now()` is in that.
    pub as_of: String,
    /// What the last build made of it, where there was one.
    pub last_build: Option<LastBuild>,
    /// Set algebra over the leaves; nothing where `DataFusion` runs the query by itself.
    pub set: Option<String>,
    /// Why it does, where it does.
    pub opaque: Option<String>,
    /// Each leaf, for this profile.
    pub leaves: Vec<WhyLeaf>,
    /// Why it has its score, where the segment is an audience of look-alikes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookalike: Option<Explanation>,
}

/// What the last build says of a profile and a segment.
#[derive(Debug, Clone, Serialize)]
pub struct LastBuild {
    /// The build that the membership is of.
    pub build: i64,
    /// What `now()` was.
    pub as_of: String,
    /// Whether the profile is a member in it.
    pub member: bool,
    /// Whether the query has changed since.
    pub changed: bool,
}

/// A leaf for one profile.
#[derive(Debug, Clone, Serialize)]
pub struct WhyLeaf {
    /// Its name in the set.
    pub leaf: String,
    /// What it asks, or the segment that it is.
    pub text: String,
    /// Whether it is true of the profile.
    pub holds: Option<bool>,
    /// The values that decide it.
    pub values: BTreeMap<String, String>,
}

/// The project's segments compiled together.
pub(super) struct Together {
    session: Session,
    catalog: Catalog,
    pub(super) batch: Batch,
    plans: BTreeMap<String, Planned>,
}

impl Engine {
    /// How `what` is evaluated, a segment's name or a query that returns `profile_id` or counts profiles;
    /// with what each step of the compiler left behind where `steps` are asked for. Only a segment
    /// shares leaves with others.
    ///
    /// # Errors
    /// Where it is neither, it cannot be planned, or the store cannot be read.
    pub async fn explain(
        &self,
        what: &str,
        as_of: Option<AsOf>,
        steps: Steps,
    ) -> Result<Explained> {
        if !is_name(what) {
            let session = self.session_for(what, None, self.as_of(as_of)?).await?;
            return explained(("query", what), &session, self.limits, steps).await;
        }
        let name = what.trim();
        let together = self.together(name, self.as_of(as_of)?).await?;
        let Together { session, batch, plans, .. } = &together;
        let subject = Subject { name, batch, planned: &plans[name] };
        subject.explained(session, self.limits, steps).await
    }

    /// Why the profile that `user` identifies (`value`, `namespace=value`, `profile_id=number`) is in the segment
    /// called `name`, or not.
    ///
    /// # Errors
    /// Where there is no such segment or profile, or the store cannot be read.
    pub async fn why(&self, name: &str, user: &str, as_of: Option<AsOf>) -> Result<Why> {
        if let Some(why) = self.why_alike(name, user, as_of).await? {
            return Ok(why);
        }
        let as_of = self.as_of(as_of)?;
        let together = self.together(name, as_of).await?;
        let profile = find(&together.session, user).await?;
        let last_build = self.last_build(&together, name, profile).await?;
        let Together { session, batch, plans, .. } = &together;
        let mut why = Why {
            name: name.to_owned(),
            profile_id: profile.get(),
            member: false,
            as_of: as_of.to_string(),
            last_build,
            set: None,
            opaque: None,
            leaves: Vec::new(),
            lookalike: None,
        };
        match batch.set(name) {
            Some(Ok(set)) => {
                let (members, _) = batch.members(name, &plans[name], session, self.limits).await?;
                why.member = members.contains(profile);
                why.set = Some(batch.program().shown(set));
                why.leaves = self.why_leaves(&together, (name, set), profile).await?;
            }
            other => {
                why.member = plans[name].evaluate().await?.contains(profile);
                why.opaque = other.and_then(|set| set.as_ref().err()).map(ToString::to_string);
            }
        }
        Ok(why)
    }

    /// Each leaf of segment `name`, which is `set`, for `profile`.
    async fn why_leaves(
        &self,
        together: &Together,
        (name, set): (&str, &SetExpr),
        profile: ProfileId,
    ) -> Result<Vec<WhyLeaf>> {
        let Together { session, batch, .. } = together;
        let ids = set.leaves();
        let known = batch.only(name).known(session);
        let parts = batch.of_leaves(&ids).run(session, self.limits, known).await?;
        let mut leaves = Vec::new();
        for id in ids {
            let values = batch.program().values(session, id, profile).await?;
            leaves.push(WhyLeaf {
                leaf: id.to_string(),
                text: batch.program().describe(id),
                holds: parts.leaf(id).map(|m| m.contains(profile)),
                values: values.into_iter().collect(),
            });
        }
        let mut segments = BTreeSet::new();
        set.visit(&mut |part| {
            if let SetExpr::Segment(name) = part {
                segments.insert(name.clone());
            }
        });
        leaves.extend(segments.into_iter().map(|segment| WhyLeaf {
            leaf: format!("segments.{segment}"),
            text: format!("the members of segment {segment}"),
            holds: session.segment(&segment).map(|m| m.contains(profile)),
            values: BTreeMap::new(),
        }));
        Ok(leaves)
    }

    /// What the last build of segment `name` says of `profile`.
    async fn last_build(
        &self,
        together: &Together,
        name: &str,
        profile: ProfileId,
    ) -> Result<Option<LastBuild>> {
        let Together { session, catalog, .. } = together;
        let Some(state) = catalog.get(name) else { return Ok(None) };
        let Some(build) = state.membership_build else { return Ok(None) };
        let last = catalog.memberships(session, [name]).await?;
        let now = definition(&self.project.segment(name)?.text);
        Ok(Some(LastBuild {
            build: build.0,
            as_of: state.as_of.to_string(),
            member: last.get(name).is_some_and(|members| members.contains(profile)),
            changed: state.definition != now,
        }))
    }

    /// Plans all segments that can be planned, with the memberships that they have.
    pub(super) async fn together(&self, name: &str, as_of: AsOf) -> Result<Together> {
        let file = self.project.segment(name)?;
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, as_of)?;
        Parsed::new(&session, file)?;
        let parsed: Vec<Parsed> =
            self.project.segments.iter().filter_map(|f| Parsed::new(&session, f).ok()).collect();
        let graph = Graph::new(&parsed, []);
        let catalog = Catalog::load(&session).await?;
        for segment in &parsed {
            session.declare_segment(segment.name())?;
        }
        let needed = graph.needs(name);
        for (other, membership) in catalog.memberships(&session, needed).await? {
            session.define_segment(&Name::parse(&other)?, membership)?;
        }
        if let Some(cycle) = graph.cycle(name) {
            return Err(cycle.at(&file.path, None, None));
        }
        for needed in graph.needs(name) {
            if session.segment(needed).is_none() {
                return Err(self.unbuilt(needed, &catalog));
            }
        }
        let mut plans = Vec::new();
        for segment in &parsed {
            match Planned::new(&session, segment).await {
                Ok(planned) => plans.push((segment.name().to_string(), planned)),
                Err(error) if segment.name().as_str() == name => return Err(error),
                Err(_) => {}
            }
        }
        let (batch, mut failed) = Batch::compile(&plans);
        match failed.remove(name) {
            Some(error) => Err(error),
            None => Ok(Together { session, catalog, batch, plans: plans.into_iter().collect() }),
        }
    }
}

/// What is explained: a segment or query of `batch`.
struct Subject<'a> {
    name: &'a str,
    batch: &'a Batch,
    planned: &'a Planned,
}

impl Subject<'_> {
    /// How it is evaluated.
    async fn explained(
        &self,
        session: &Session,
        limits: Limits,
        steps: Steps,
    ) -> Result<Explained> {
        let Self { name, batch, planned } = *self;
        let set = batch.set(name);
        let (membership, cost) = batch.members(name, planned, session, limits).await?;
        let is_compiled = set.is_some_and(Result::is_ok);
        let leaves = match set {
            Some(Ok(set)) => set.leaves(),
            _ => Vec::new(),
        };
        let parts = batch.of_leaves(&leaves);
        let sizes = parts.run(session, limits, batch.only(name).known(session)).await?;
        let leaf = |id: LeafId| ExplainedLeaf {
            leaf: id.to_string(),
            kind: batch.program().kind(id).to_owned(),
            text: batch.program().describe(id),
            rows: sizes.leaf_rows.get(&id).copied().unwrap_or(0),
            members: sizes.leaf(id).map(Membership::len),
            shared_with: batch.sharers(id).into_iter().filter(|other| other != name).collect(),
        };
        Ok(Explained {
            name: name.to_owned(),
            set: set.and_then(|s| s.as_ref().ok()).map(|s| batch.program().shown(s)),
            opaque: set.and_then(|s| s.as_ref().err()).map(ToString::to_string),
            leaves: leaves.into_iter().map(leaf).collect(),
            members: membership.len(),
            bytes_read: is_compiled.then_some(cost.bytes),
            rows_read: is_compiled.then_some(cost.rows),
            steps: match steps {
                Steps::Left => Vec::new(),
                Steps::Shown => planned.steps()?,
            },
        })
    }
}

/// How `sql` is evaluated, which is called `name`; the segments that it reads are defined in `session`.
pub(super) async fn explained(
    (name, sql): (&str, &str),
    session: &Session,
    limits: Limits,
    steps: Steps,
) -> Result<Explained> {
    let plan = session.plan(sql, None).await?;
    let planned = match Planned::counted(&plan) {
        Some(planned) => planned,
        None => Planned::of(&plan)?,
    };
    let segment = [(name.to_owned(), planned)];
    let (batch, mut failed) = Batch::compile(&segment);
    if let Some((_, error)) = failed.pop_first() {
        return Err(error);
    }
    Subject { name, batch: &batch, planned: &segment[0].1 }.explained(session, limits, steps).await
}

/// Whether an explanation has the steps of the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// They are left out.
    Left,
    /// They are there.
    Shown,
}
