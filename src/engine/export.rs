//! Memberships out of the store: one file, or many with a manifest; as they are, as they were after
//! some build, or what changed since one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::activation::export::export;
use crate::activation::set::{Item, SetRequest, export_set};
use crate::activation::{Dictionary, Export, ExportFormat, Exported, Ids};
use crate::audience::history::membership_at;
use crate::audience::{Catalog, Then};
use crate::error::{Error, Result};
use crate::model::{BuildId, Name, TableName, millis_since};
use crate::query::Session;
use crate::store::{Location, StoreSnapshot};

use super::open::Engine;

/// What to export, and where to.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// The segment.
    pub name: String,
    /// The file; it is replaced if it is there.
    pub to: PathBuf,
    /// Its format.
    pub format: ExportFormat,
    /// Which ids it holds.
    pub ids: Ids,
}

/// Which of a segment's memberships.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// As it was after this build, instead of the last.
    pub build: Option<i64>,
    /// Only what changed since this build.
    pub changes_since: Option<i64>,
}

/// Which segments to export, and where to.
#[derive(Debug, Clone)]
pub struct SetOptions {
    /// Names, patterns, `tag:x`, `+name`, `name+`; all that have a membership where empty.
    pub segments: Vec<String>,
    /// A folder, or a place of an object store: `s3://bucket/path`.
    pub to: String,
    /// The folder that a relative one is below.
    pub base: PathBuf,
    /// The formats; each segment is written in all of them.
    pub formats: Vec<ExportFormat>,
    /// Which ids the files hold.
    pub ids: Ids,
    /// Which memberships.
    pub moment: Moment,
    /// Whether files that an interrupted export left whole are kept.
    pub resume: bool,
}

/// A set that was exported.
#[derive(Debug, Clone, Serialize)]
pub struct ExportedSet {
    /// Where it is.
    pub to: String,
    /// The file that names the others.
    pub manifest: String,
    /// The segments.
    pub segments: u64,
    /// The files, without the manifest.
    pub files: u64,
    /// Files that were there already.
    pub kept: u64,
    /// The ids in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The time it took.
    pub elapsed_ms: u64,
}

impl Engine {
    /// Exports the membership that `request` names, as its last build left it.
    ///
    /// # Errors
    /// Where it was never built, or the file cannot be written.
    pub async fn export(&self, request: &ExportRequest) -> Result<Exported> {
        let mut exported = self.export_at(request, Moment::default()).await?;
        exported.pop().ok_or_else(|| Error::internal("an export wrote nothing"))
    }

    /// Exports the membership that `request` names as `moment` says; of changes two files, with
    /// `.entered` and `.exited` in their names.
    ///
    /// # Errors
    /// Where it was never built, there is no such build, or a file cannot be written.
    pub async fn export_at(
        &self,
        request: &ExportRequest,
        moment: Moment,
    ) -> Result<Vec<Exported>> {
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let view = View { session: &session, snapshot: &snapshot, catalog: &catalog };
        let items = self.items(view, std::slice::from_ref(&request.name), moment).await?;
        let dictionary = dictionary(&session, &snapshot, &request.ids).await?;
        let name = Name::parse(&request.name)?;
        let write = |item: &Item| {
            let is_part = moment.changes_since.is_some();
            let to = if is_part { with_part(&request.to, item.part) } else { request.to.clone() };
            let wanted = Export { name: name.clone(), to, format: request.format };
            let mut exported = export(&item.membership, &wanted, dictionary.as_ref())?;
            exported.part = is_part.then(|| item.part.to_owned());
            Ok(exported)
        };
        items.iter().map(write).collect()
    }

    /// Exports many segments as one set with a manifest.
    ///
    /// # Errors
    /// Where a selector names nothing, a segment was never built, or the place cannot be written.
    /// The set that was there before is there still.
    pub async fn export_set(&self, options: &SetOptions) -> Result<ExportedSet> {
        let started = Instant::now();
        let to = Location::parse(&options.to, &options.base, &self.storage)?;
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let names = self.select(&session, &catalog, &options.segments)?;
        let view = View { session: &session, snapshot: &snapshot, catalog: &catalog };
        let items = self.items(view, &names, options.moment).await?;
        let dictionary = dictionary(&session, &snapshot, &options.ids).await?;
        let request = SetRequest {
            items,
            formats: &options.formats,
            dictionary: dictionary.map(Arc::new),
            to: &to,
            resume: options.resume,
            store_version: snapshot.record.version,
            changes_since: options.moment.changes_since,
            now: self.now.to_string(),
            threads: self.limits.threads,
        };
        let (kept, manifest) = export_set(request).await?;
        Ok(ExportedSet {
            to: options.to.clone(),
            manifest: crate::activation::set::MANIFEST.to_owned(),
            segments: names.len() as u64,
            files: (manifest.files.len() + usize::from(manifest.dictionary.is_some())) as u64,
            kept,
            rows: manifest.files.iter().map(|file| file.rows).sum(),
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
            elapsed_ms: millis_since(started),
        })
    }

    /// The memberships of `names` as `moment` says; of changes, the entered and the exited ones.
    async fn items(&self, view: View<'_>, names: &[String], moment: Moment) -> Result<Vec<Item>> {
        let View { session, snapshot, .. } = view;
        let now = self.memberships_at(view, names, moment.build).await?;
        let Some(since) = moment.changes_since else {
            return Ok(now.into_iter().map(|(name, then)| item(name, "members", then)).collect());
        };
        let since = known_build(snapshot, since)?;
        let mut items = Vec::new();
        for (name, after) in now {
            let before = membership_at(session, &name, since).await?;
            let before = before.map(|then| then.membership).unwrap_or_default();
            for (part, membership) in [
                ("entered", after.membership.and_not(&before)),
                ("exited", before.and_not(&after.membership)),
            ] {
                items.push(item(name.clone(), part, Then { membership, ..after.clone() }));
            }
        }
        Ok(items)
    }

    async fn memberships_at(
        &self,
        view: View<'_>,
        names: &[String],
        build: Option<i64>,
    ) -> Result<Vec<(String, Then)>> {
        let View { session, snapshot, catalog } = view;
        let mut all = Vec::with_capacity(names.len());
        if let Some(build) = build {
            let build = known_build(snapshot, build)?;
            for name in names {
                let then = membership_at(session, name, build).await?;
                let then = then.ok_or_else(|| match catalog.get(name) {
                    Some(_) => {
                        Error::input(format!("segment {name} had no members kept at build {build}"))
                            .with_hint(format!("throng history {name}"))
                    }
                    None => self.unbuilt(name, catalog),
                })?;
                all.push((name.clone(), then));
            }
            return Ok(all);
        }
        let mut found = catalog.memberships(session, names.iter().map(String::as_str)).await?;
        for name in names {
            let state = catalog.get(name);
            let membership = found.remove(name);
            let (state, membership) =
                state.zip(membership).ok_or_else(|| self.unbuilt(name, catalog))?;
            let build = state.membership_build.unwrap_or(state.build);
            all.push((name.clone(), Then { build, as_of: state.as_of, membership }));
        }
        Ok(all)
    }

    /// What changed in the segment `name` between two builds: by default the last one that gave it
    /// members, and the one before that.
    ///
    /// # Errors
    /// Where it was never built, or there is no such build.
    pub async fn diff(&self, name: &str, from: Option<i64>, to: Option<i64>) -> Result<Diff> {
        let (store, snapshot) = self.opened().await?;
        let session = Session::over(&store, &snapshot, self.limits, self.now)?;
        let catalog = Catalog::load(&session).await?;
        let to = match to {
            Some(to) => known_build(&snapshot, to)?,
            None => BuildId(snapshot.record.last_build),
        };
        let Some(after) = membership_at(&session, name, to).await? else {
            return Err(self.unbuilt(name, &catalog));
        };
        let from = match from {
            Some(from) => known_build(&snapshot, from)?,
            None => BuildId(after.build.0 - 1),
        };
        let before = membership_at(&session, name, from).await?;
        let (old, new) =
            (before.as_ref().map(|b| b.membership.clone()).unwrap_or_default(), after.membership);
        Ok(Diff {
            name: name.to_owned(),
            from: before.as_ref().map(|then| then.build.0),
            from_as_of: before.map(|then| then.as_of.to_string()),
            to: after.build.0,
            to_as_of: after.as_of.to_string(),
            members_before: old.len(),
            members: new.len(),
            entered: new.and_not_len(&old),
            exited: old.and_not_len(&new),
            stayed: new.and_len(&old),
        })
    }
}

/// The store that memberships are taken from.
#[derive(Clone, Copy)]
struct View<'a> {
    session: &'a Session,
    snapshot: &'a StoreSnapshot,
    catalog: &'a Catalog,
}

/// A segment between two builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The segment.
    pub name: String,
    /// The build that the older membership is from; nothing where there was none.
    pub from: Option<i64>,
    /// Its moment, RFC 3339.
    pub from_as_of: Option<String>,
    /// The build that the newer membership is from.
    pub to: i64,
    /// Its moment, RFC 3339.
    pub to_as_of: String,
    /// Members then.
    pub members_before: u64,
    /// Members now.
    pub members: u64,
    /// Those who came.
    pub entered: u64,
    /// Those who went.
    pub exited: u64,
    /// Those who stayed.
    pub stayed: u64,
}

fn item(name: String, part: &'static str, then: Then) -> Item {
    let (build, as_of) = (then.build.0, then.as_of.to_string());
    Item { name, part, build, as_of, membership: then.membership }
}

/// The build of that number.
fn known_build(snapshot: &StoreSnapshot, build: i64) -> Result<BuildId> {
    let last = snapshot.record.last_build;
    if (1..=last).contains(&build) {
        return Ok(BuildId(build));
    }
    Err(Error::input(format!("there is no build {build}; the last one is {last}"))
        .with_hint("`throng history NAME` lists the builds of a segment"))
}

/// `vip.csv` with a part is `vip.entered.csv`.
fn with_part(file: &Path, part: &str) -> PathBuf {
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or("export");
    match file.extension().and_then(|e| e.to_str()) {
        Some(extension) => file.with_file_name(format!("{stem}.{part}.{extension}")),
        None => file.with_file_name(format!("{stem}.{part}")),
    }
}

/// The dictionary of `ids`; profile ids need none.
async fn dictionary(
    session: &Session,
    snapshot: &StoreSnapshot,
    ids: &Ids,
) -> Result<Option<Dictionary>> {
    let Ids::Namespace(namespace) = ids else { return Ok(None) };
    let version = snapshot.record.tables.get(&TableName::Identifiers).map_or(0, |t| t.data_version);
    Dictionary::load(session, namespace, version).await.map(Some)
}
