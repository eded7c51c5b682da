//! Look-alikes: from a seed in the store to an audience in the store, files beside it, and a report.

use std::path::PathBuf;

use crate::activation::whole_file;
use crate::audience::keep::{KeepRequest, keep};
use crate::audience::{Catalog, State, Status};
use crate::error::{Error, Result};
use crate::lookalike::{
    Explanation, Found, Kept, Lock, Model, Queries, Report, Request, Size, Standing, page, run,
    seed_columns, sensitive,
};
use crate::membership::Membership;
use crate::membership::wire::{self, Format};
use crate::model::{AsOf, Name, ProfileId};
use crate::query::Session;
use crate::store::{Committed, Store, StoreSnapshot};

use super::explain::Why;
use super::look::{Leaf, Listing, Shown};
use super::open::Engine;
use super::scores;
use super::whose::find;

/// What the definition of a look-alike's audience begins with; the digest of its model follows.
const DEFINITION: &str = "lookalike:";

/// What to find, and what to do with it.
#[derive(Debug, Clone)]
pub struct LookalikeOptions {
    /// What is asked; an audience that is kept is asked for again by later builds.
    pub asked: Standing,
    /// The segment that the audience is kept as.
    pub keep_as: Option<String>,
    /// A model file to score with, instead of learning.
    pub model: Option<PathBuf>,
    /// What stays when the audience is refreshed.
    pub lock: Lock,
    /// Where the model is written.
    pub save_model: Option<PathBuf>,
    /// Where the scores are written, as Parquet.
    pub scores: Option<PathBuf>,
    /// Where the page is written, as HTML.
    pub report: Option<PathBuf>,
    /// A profile whose score is explained: an id, or `NAMESPACE=VALUE`.
    pub explain: Option<String>,
    /// What `now()` is.
    pub as_of: Option<AsOf>,
}

impl LookalikeOptions {
    /// What is `asked`, found and told, and nothing kept or written.
    pub fn of(asked: Standing) -> Self {
        Self {
            asked,
            keep_as: None,
            model: None,
            lock: Lock::Reach,
            save_model: None,
            scores: None,
            report: None,
            explain: None,
            as_of: None,
        }
    }

    /// What the next build is to ask again, where the lowest member has the score `threshold`.
    fn standing(&self, threshold: f64) -> Standing {
        Standing {
            size: match self.lock {
                Lock::Reach => self.asked.size,
                // Nine digits come back from a model file as they were.
                Lock::Score => Size::From((threshold * 1e9).floor() / 1e9),
            },
            relearn: self.lock == Lock::Reach && self.model.is_none(),
            ..self.asked.clone()
        }
    }
}

/// What a look-alike is found from: one version of the store, at one moment.
pub(super) struct At<'a> {
    pub(super) session: &'a Session,
    pub(super) snapshot: &'a StoreSnapshot,
    pub(super) as_of: AsOf,
}

/// Where an audience is kept.
pub(super) struct Place<'a> {
    pub(super) store: &'a Store,
    pub(super) snapshot: &'a StoreSnapshot,
    pub(super) name: &'a Name,
    pub(super) as_of: AsOf,
}

/// What was found, and where it was written.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LookalikeReport {
    /// The look-alike.
    #[serde(flatten)]
    pub report: Report,
    /// Why the asked profile has its score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

impl Engine {
    /// Finds the profiles most like a seed, and keeps and writes what `options` ask for.
    ///
    /// # Errors
    /// Where the seed is unknown, too small, or everybody; where no feature can be used; or where a file
    /// cannot be written. Nothing is kept then.
    pub async fn lookalike(&self, options: &LookalikeOptions) -> Result<LookalikeReport> {
        let name = options.keep_as.as_deref().map(|name| self.audience_name(name)).transpose()?;
        let as_of = self.as_of(options.as_of)?;
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, as_of)?;
        let model = options.model.as_deref().map(Model::read).transpose()?.map(Box::new);
        let request = self
            .request(options, model, &At { session: &session, snapshot: &snapshot, as_of })
            .await?;
        let mut found = run(&session, request).await?;
        let mut files = Vec::new();
        if let Some(path) = &options.save_model {
            whole_file(path, &found.model.to_bytes()?)?;
            files.push(path.clone());
        }
        if let Some(path) = &options.scores {
            whole_file(path, &scores::file(&found.scores)?)?;
            files.push(path.clone());
        }
        if let Some(name) = name {
            let standing = options.standing(found.report.threshold);
            let catalog = Catalog::load(&session).await?;
            let trigger = self.trigger(&standing, &catalog, &session, &snapshot).await?;
            found.model.lineage.standing = Some(standing);
            let place = Place { store: &store, snapshot: &snapshot, name: &name, as_of };
            let kept = self.keep(&place, &found, &trigger).await?;
            found.report.audience = Some(kept);
        }
        if let Some(path) = &options.report {
            whole_file(path, page(&found.report).as_bytes())?;
            files.push(path.clone());
        }
        Ok(LookalikeReport { report: found.report, explanation: found.explanation, files })
    }

    /// The SQL of the feature queries that `features` names, by name.
    ///
    /// # Errors
    /// Where a name is no file's, or the store cannot be read.
    pub async fn feature_queries(&self, features: &[String]) -> Result<Vec<(String, String)>> {
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.as_of(None)?)?;
        let queries = Queries::choose(&session, &self.project.features, features).await?;
        Ok(queries.sql().map(|(name, sql)| (name.to_owned(), sql.to_owned())).collect())
    }

    fn audience_name(&self, name: &str) -> Result<Name> {
        let name = Name::parse(name)?;
        if self.project.segments.iter().any(|file| file.name == name) {
            return Err(Error::input(format!("{name} is a segment of sql/segments already"))
                .with_hint("keep the audience under another name: --as OTHER"));
        }
        Ok(name)
    }

    pub(super) async fn request(
        &self,
        options: &LookalikeOptions,
        model: Option<Box<Model>>,
        at: &At<'_>,
    ) -> Result<Request> {
        let At { session, snapshot, as_of } = *at;
        let asked = &options.asked;
        let catalog = Catalog::load(session).await?;
        let queries = Queries::choose(session, &self.project.features, &asked.features).await?;
        let mut wanted = asked.sensitive.clone();
        let chosen =
            self.project.features.iter().filter(|f| queries.names().any(|n| n == f.name.as_str()));
        wanted.extend(sensitive(chosen));
        wanted.sort_unstable();
        wanted.dedup();
        for name in queries.segments(session)? {
            let members = self.members(&catalog, session, &name).await?;
            session.define_segment(&Name::parse(&name)?, members)?;
        }
        let seed_columns = match &model {
            Some(_) => std::collections::BTreeSet::new(),
            None => seed_columns(session, &self.project.segments, &asked.seed).await?,
        };
        Ok(Request {
            seed: asked.seed.clone(),
            members: self.members(&catalog, session, &asked.seed).await?,
            negatives: self.all_members(&catalog, session, &asked.negatives).await?,
            excluded: self.all_members(&catalog, session, &asked.exclude).await?,
            queries,
            seed_columns,
            exclude_columns: asked.exclude_columns.clone(),
            keep_columns: asked.keep_columns.clone(),
            sensitive: wanted,
            four_fifths: asked.four_fifths.clone(),
            size: asked.size,
            include_seed: asked.include_seed,
            model,
            explain: match &options.explain {
                Some(who) => Some(profile(session, who).await?),
                None => None,
            },
            as_of,
            store_version: snapshot.record.version,
            threads: self.limits.threads,
        })
    }

    pub(super) async fn members(
        &self,
        catalog: &Catalog,
        session: &Session,
        name: &str,
    ) -> Result<Membership> {
        let found = catalog.memberships(session, [name]).await?.remove(name);
        found.ok_or_else(|| self.unbuilt(name, catalog))
    }

    async fn all_members(
        &self,
        catalog: &Catalog,
        session: &Session,
        names: &[String],
    ) -> Result<Vec<(String, Membership)>> {
        let mut all = Vec::new();
        for name in names {
            all.push((name.clone(), self.members(catalog, session, name).await?));
        }
        Ok(all)
    }

    /// Keeps an audience with its model, in one commit. `trigger` is [`Engine::trigger`] of what it was
    /// found from.
    pub(super) async fn keep(
        &self,
        place: &Place<'_>,
        found: &Found,
        trigger: &str,
    ) -> Result<Kept> {
        let (membership, model) = (&found.audience, &found.model);
        let bytes = model.to_bytes()?;
        let digest = blake3::hash(&bytes).to_hex()[..16].to_owned();
        place.store.keep_model(&digest, bytes).await?;
        // Two audiences from the same can differ by their moment; who reads them must be told.
        let members = blake3::hash(&wire::encode(membership, Format::Roaring));
        let request = KeepRequest {
            store: place.store,
            snapshot: place.snapshot,
            operation: "lookalike",
            name: place.name,
            membership,
            definition: &format!("{DEFINITION}{digest}"),
            inputs: Some(&format!("{trigger}:{}", &members.to_hex()[..16])),
            status: Status::Built,
            as_of: place.as_of,
            now: self.now,
            beside: Some(scores::change(place, &found.scores).await?),
            elapsed_ms: found.report.elapsed_ms,
            limits: self.limits,
        };
        let (state, committed) = keep(&request).await?;
        if let Committed::Conflict(error) = committed {
            return Err(error);
        }
        Ok(Kept {
            name: place.name.to_string(),
            build: state.build.0,
            entered: state.entered.unwrap_or(0),
            exited: state.exited.unwrap_or(0),
        })
    }

    /// The audiences of look-alikes, without those whose name a file of SQL has taken.
    pub(super) fn lookalikes<'a>(
        &'a self,
        catalog: &'a Catalog,
    ) -> impl Iterator<Item = &'a State> {
        let has_file = |name: &str| self.project.segments.iter().any(|s| s.name.as_str() == name);
        catalog.iter().filter(move |s| is_lookalike(s) && !has_file(&s.segment))
    }

    /// The lines of the audiences of look-alikes in a list.
    pub(super) async fn lookalike_listings(&self, catalog: &Catalog) -> Result<Vec<Listing>> {
        let mut listings = Vec::new();
        for state in self.lookalikes(catalog) {
            let model = self.model_of(state).await?;
            listings.push(listing(state, model.as_ref()));
        }
        Ok(listings)
    }

    /// The look-alike's audience called `name`, whole, if there is one.
    pub(super) async fn lookalike_shown(
        &self,
        catalog: &Catalog,
        name: &str,
    ) -> Result<Option<Shown>> {
        let Some(state) = self.lookalikes(catalog).find(|s| s.segment == name) else {
            return Ok(None);
        };
        let model = self.model_of(state).await?;
        let lineage = model.as_ref().map(|model| &model.lineage);
        let needs = lineage.map(|l| match &l.standing {
            Some(standing) => standing.needs().map(str::to_owned).collect(),
            None => std::iter::once(&l.seed).chain(&l.negatives).cloned().collect(),
        });
        let reads = lineage.map(|l| l.features.clone()).unwrap_or_default();
        Ok(Some(Shown {
            listing: listing(state, model.as_ref()),
            owner: None,
            file: String::new(),
            sql: String::new(),
            depends_on: needs.unwrap_or_default(),
            dependants: Vec::new(),
            leaves: vec![Leaf { kind: "lookalike".to_owned(), reads }],
            error: state.error.clone(),
        }))
    }

    /// Why a profile has its score, where `name` is an audience of look-alikes: by the model that the
    /// audience has, and the data as they are.
    pub(super) async fn why_alike(
        &self,
        name: &str,
        user: &str,
        as_of: Option<AsOf>,
    ) -> Result<Option<Why>> {
        if self.project.segments.iter().any(|file| file.name.as_str() == name) {
            return Ok(None);
        }
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let Some(state) = self.lookalikes(&catalog).find(|s| s.segment == name) else {
            return Ok(None);
        };
        let model = self.model_of(state).await?.map(Box::new);
        let Some(model) = model else {
            return Err(Error::data(format!("the model of {name} is not in the store any more"))
                .with_hint("throng lookalike SEED --as NAME makes it anew"));
        };
        let as_of = as_of.unwrap_or(state.as_of);
        let session = Session::over(&store, &snapshot, self.limits, as_of)?;
        let asked = model.lineage.standing.clone();
        let asked = asked.unwrap_or_else(|| Standing::new(model.lineage.seed.as_str()));
        let options = LookalikeOptions::of(asked);
        let profile = find(&session, user).await?;
        let mut request = self
            .request(&options, Some(model), &At { session: &session, snapshot: &snapshot, as_of })
            .await?;
        request.explain = Some(profile);
        let explanation = run(&session, request).await?.explanation;
        let member = self.members(&catalog, &session, name).await?.contains(profile);
        Ok(Some(Why {
            name: name.to_owned(),
            profile_id: profile.get(),
            member,
            as_of: as_of.to_string(),
            last_build: None,
            set: None,
            opaque: None,
            leaves: Vec::new(),
            lookalike: explanation.map(|explanation| Explanation { member, ..explanation }),
        }))
    }

    /// The model that an audience was found with, if it is still there.
    pub(super) async fn model_of(&self, state: &State) -> Result<Option<Model>> {
        let digest = state.definition.strip_prefix(DEFINITION).unwrap_or_default();
        let bytes = self.store().await?.kept_model(digest).await?;
        bytes.map(|bytes| Model::from_bytes(&bytes)).transpose()
    }
}

fn listing(state: &State, model: Option<&Model>) -> Listing {
    let described = |model: &Model| {
        format!(
            "Look-alikes of {} ({} seeds, lift {:.1} at 10 %)",
            model.lineage.seed, model.lineage.seeds, model.metrics.lift.at_10
        )
    };
    Listing {
        name: state.segment.clone(),
        members: state.members,
        build: state.membership_build.map(|b| b.0),
        as_of: Some(state.as_of.to_string()),
        status: shown_status(state).to_owned(),
        tags: Vec::new(),
        description: model.map_or_else(|| "Look-alikes".to_owned(), described),
    }
}

/// The digests of the models that audiences have now.
pub(super) fn models_used(catalog: &Catalog) -> std::collections::BTreeSet<String> {
    let digests = catalog.iter().filter_map(|state| state.definition.strip_prefix(DEFINITION));
    digests.map(str::to_owned).collect()
}

/// What lists say that an audience is.
pub(super) fn shown_status(state: &State) -> &'static str {
    if state.status == Status::Stale { Status::Stale.as_str() } else { "lookalike" }
}

/// Whether a state is that of a look-alike's audience.
fn is_lookalike(state: &State) -> bool {
    state.definition.starts_with(DEFINITION)
}

/// The profile that `who` names: its number, also as `profile_id=N`, or `NAMESPACE=VALUE`.
async fn profile(session: &Session, who: &str) -> Result<ProfileId> {
    if who.contains('=') {
        return find(session, who).await;
    }
    who.trim().parse().ok().and_then(ProfileId::new).ok_or_else(|| {
        Error::input(format!("\"{who}\" is no profile"))
            .with_hint("write its profile_id, or a namespace and a value: user_id=u1")
    })
}
