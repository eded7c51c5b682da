//! How a segment is evaluated, and why a profile is in it or not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::audience::Catalog;
use crate::error::Result;
use crate::lookalike::Explanation;
use crate::membership::Membership;
use crate::model::{AsOf, Name};
use crate::query::{Limits, Session};
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
    /// Bytes read from the store for this segment alone.
    pub bytes_read: u64,
    /// Rows read for it.
    pub rows_read: u64,
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
    /// Whether it is a member.
    pub member: bool,
    /// Set algebra over the leaves.
    pub set: Option<String>,
    /// Each leaf, for this profile.
    pub leaves: Vec<WhyLeaf>,
    /// Why it has its score, where the segment is an audience of look-alikes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookalike: Option<Explanation>,
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
        let Together { session, batch, plans } = &together;
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
        let together = self.together(name, self.as_of(as_of)?).await?;
        let Together { session, batch, plans } = &together;
        let profile = find(session, user).await?;
        let Some(Ok(set)) = batch.set(name) else {
            let member = plans[name].evaluate().await?.contains(profile);
            return Ok(Why {
                name: name.to_owned(),
                profile_id: profile.get(),
                member,
                set: None,
                leaves: Vec::new(),
                lookalike: None,
            });
        };
        let (membership, _) = batch.members(name, &plans[name], session, self.limits).await?;
        let member = membership.contains(profile);
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
        Ok(Why {
            name: name.to_owned(),
            profile_id: profile.get(),
            member,
            set: Some(batch.program().shown(set)),
            leaves,
            lookalike: None,
        })
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
            None => Ok(Together { session, batch, plans: plans.into_iter().collect() }),
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
            bytes_read: cost.bytes,
            rows_read: cost.rows,
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
