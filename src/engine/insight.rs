//! How segments relate to each other and to the base.

use std::collections::BTreeSet;

use crate::audience::Catalog;
use crate::error::{Error, Result};
use crate::insight::composition::{Question, composition};
use crate::insight::{Composition, Overlap, Reach, overlap, plot, reach};
use crate::membership::Membership;
use crate::model::{Name, TableName};
use crate::query::Session;
use crate::segment::{Graph, Parsed, Selector};
use crate::store::StoreSnapshot;

use super::open::Engine;

/// Segments to look at, and what they are compared within.
#[derive(Debug, Clone, Default)]
pub struct InsightOptions {
    /// Names, patterns, `tag:x`, `+name`, `name+`.
    pub segments: Vec<String>,
    /// A segment that takes the place of all profiles.
    pub base: Option<String>,
}

/// Memberships by name, and what they are compared within.
struct Loaded {
    segments: Vec<(String, Membership)>,
    base: String,
    base_members: u64,
    within: Option<Membership>,
}

impl Loaded {
    fn base(&self) -> (&str, u64, Option<&Membership>) {
        (&self.base, self.base_members, self.within.as_ref())
    }
}

impl Engine {
    /// Members in common of every two segments.
    ///
    /// # Errors
    /// Where a segment was never built, or the store cannot be read.
    pub async fn overlap(&self, options: &InsightOptions) -> Result<Overlap> {
        let loaded = self.load(options).await?;
        let threads = self.limits.threads;
        on_a_thread(move || overlap(&loaded.segments, loaded.base(), threads)).await?
    }

    /// Whom several segments reach together.
    ///
    /// # Errors
    /// As [`Engine::overlap`].
    pub async fn reach(&self, options: &InsightOptions) -> Result<Reach> {
        let loaded = self.load(options).await?;
        on_a_thread(move || reach(&loaded.segments, loaded.base())).await
    }

    /// What the members of a segment are like, by `attributes`, or by all that tell groups apart;
    /// of each up to `values_max` values.
    ///
    /// # Errors
    /// As [`Engine::overlap`], or where an attribute is not there.
    pub async fn profile_of(
        &self,
        segment: &str,
        base: Option<&str>,
        attributes: &[String],
        values_max: usize,
    ) -> Result<Composition> {
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let wanted = || std::iter::once(segment).chain(base);
        let mut found = catalog.memberships(&session, wanted()).await?;
        for name in wanted() {
            let membership = found.remove(name);
            // The segment may be its own base.
            match membership {
                Some(membership) => session.define_segment(&Name::parse(name)?, membership)?,
                None if base == Some(segment) => {}
                None => return Err(self.unbuilt(name, &catalog)),
            }
        }
        let name = Name::parse(segment)?;
        let base = base.map(Name::parse).transpose()?;
        let question = Question { segment: &name, base: base.as_ref(), attributes, values_max };
        composition(&session, &question).await
    }

    async fn load(&self, options: &InsightOptions) -> Result<Loaded> {
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let names = self.select(&session, &catalog, &options.segments)?;
        let wanted: BTreeSet<&str> =
            names.iter().map(String::as_str).chain(options.base.as_deref()).collect();
        let mut found = catalog.memberships(&session, wanted).await?;
        let within = match &options.base {
            Some(base) => {
                Some(found.get(base).cloned().ok_or_else(|| self.unbuilt(base, &catalog))?)
            }
            None => None,
        };
        let segments = names
            .into_iter()
            .map(|name| match found.remove(&name) {
                Some(membership) => Ok((name, membership)),
                None => Err(self.unbuilt(&name, &catalog)),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Loaded {
            segments,
            base: options.base.clone().unwrap_or_else(|| TableName::Profiles.to_string()),
            base_members: match &within {
                Some(within) => within.len(),
                None => profiles(&snapshot)?,
            },
            within,
        })
    }

    /// The segments that `selectors` name, in their order; without any, all that have a membership.
    /// Segments of the catalogue without a file of SQL can be named too.
    ///
    /// # Errors
    /// Where a selector names nothing.
    pub(super) fn select(
        &self,
        session: &Session,
        catalog: &Catalog,
        selectors: &[String],
    ) -> Result<Vec<String>> {
        let parsed: Vec<Parsed> =
            self.project.segments.iter().filter_map(|f| Parsed::new(session, f).ok()).collect();
        let broken = self.project.segments.iter().map(|file| file.name.to_string());
        let imported = self.imported(catalog).map(|state| state.segment.clone());
        let graph = Graph::new(&parsed, broken.chain(imported));
        let mut names: Vec<String> = Vec::new();
        if selectors.is_empty() {
            let has_members = |name: &String| {
                catalog.get(name).is_some_and(|state| state.membership_build.is_some())
            };
            names = graph.select(&[])?.into_iter().filter(has_members).collect();
            if names.is_empty() {
                return Err(Error::input("no segment was built yet").with_hint("throng build"));
            }
        }
        for selector in selectors {
            for name in graph.select(&[Selector::parse(selector)])? {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }
}

/// How many profiles there are.
fn profiles(snapshot: &StoreSnapshot) -> Result<u64> {
    Ok(snapshot.table(TableName::Profiles)?.rows())
}

/// The overlap as a picture in SVG.
///
/// # Errors
/// Where it cannot be drawn.
pub fn heat_map(overlap: &Overlap) -> Result<String> {
    plot::heat_map(overlap)
}

/// The reach as a picture in SVG.
///
/// # Errors
/// Where it cannot be drawn.
pub fn upset(reach: &Reach) -> Result<String> {
    plot::upset(reach)
}

/// The composition as a picture in SVG.
///
/// # Errors
/// Where it cannot be drawn.
pub fn bars(composition: &Composition) -> Result<String> {
    plot::bars(composition)
}

/// Runs what takes its time where it keeps nobody waiting.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::internal(format!("a counting thread failed: {e}")))
}
