//! Which queries make the features, and which columns define the seed: what is read off the project.

use std::collections::BTreeSet;

use crate::error::{Error, Result, nearest};
use crate::model::tables::{EVENT, PROFILE_ID, TS};
use crate::project::SqlFile;
use crate::query::Session;

use super::features::FeatureQuery;
use super::run::Queries;
use super::{defaults, lineage};

/// The name of the default recipe, where it is asked for by name.
const DEFAULT: &str = "default";

impl Queries {
    /// The queries of `files` that `wanted` names, all where it names none; the default recipe where there
    /// are no files, or where it is named.
    ///
    /// # Errors
    /// Where a name is no file's, or a file's head is wrong.
    pub async fn choose(session: &Session, files: &[SqlFile], wanted: &[String]) -> Result<Self> {
        let asked_default = wanted.iter().any(|name| name == DEFAULT);
        if asked_default || (files.is_empty() && wanted.is_empty()) {
            let mut queries = defaults::queries(session).await?;
            for name in wanted.iter().filter(|name| *name != DEFAULT) {
                queries.push(query(find(files, name)?)?);
            }
            return Ok(Self(queries));
        }
        let chosen: Vec<&SqlFile> = if wanted.is_empty() {
            files.iter().collect()
        } else {
            wanted.iter().map(|name| find(files, name)).collect::<Result<_>>()?
        };
        chosen.into_iter().map(query).collect::<Result<_>>().map(Self)
    }

    /// The names of the queries.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|q| q.name.as_str())
    }

    /// The segments that the queries read.
    ///
    /// # Errors
    /// Where a query does not parse.
    pub fn segments(&self, session: &Session) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for query in &self.0 {
            let references = session.references(&query.sql, query.file.as_deref())?;
            found.extend(references.iter().filter_map(|r| r.segment().map(str::to_owned)));
        }
        Ok(found)
    }

    /// The queries' SQL, by name.
    pub fn sql(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|q| (q.name.as_str(), q.sql.as_str()))
    }
}

fn find<'a>(files: &'a [SqlFile], name: &str) -> Result<&'a SqlFile> {
    files.iter().find(|file| file.name.as_str() == name).ok_or_else(|| {
        let error = Error::input(format!("no features \"{name}\" in sql/features"));
        match nearest(name, files.iter().map(|file| file.name.as_str()).chain([DEFAULT])) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => error.with_hint("`--features default` takes what profiles and events have"),
        }
    })
}

fn query(file: &SqlFile) -> Result<FeatureQuery> {
    file.checked()?;
    let items = match file.front.get("kind") {
        None | Some("columns") => false,
        Some("items") => true,
        Some(other) => {
            return Err(Error::input(format!("\"{other}\" is no kind of features"))
                .at(&file.path, file.front.line("kind"), None)
                .with_hint(
                    "write columns (one row a profile) or items (one row a profile and item)",
                ));
        }
    };
    Ok(FeatureQuery {
        name: file.name.to_string(),
        sql: file.text.clone(),
        file: Some(file.path.clone()),
        items,
    })
}

/// The sensitive columns that the heads of `files` name.
pub fn sensitive<'a>(files: impl Iterator<Item = &'a SqlFile>) -> Vec<String> {
    let named = files.filter_map(|file| file.front.get("sensitive"));
    let names = named.flat_map(|names| names.split(',')).map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// The columns of profiles and events that the SQL of `seed` names, and that of the segments it reads.
///
/// # Errors
/// Where the tables cannot be planned.
pub async fn seed_columns(
    session: &Session,
    segments: &[SqlFile],
    seed: &str,
) -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for table in ["profiles", "events"] {
        let plan = session.plan(&format!("SELECT * FROM {table}"), None).await?;
        known.extend(plan.schema().fields().iter().map(|f| f.name().to_lowercase()));
    }
    for own in [PROFILE_ID, EVENT, TS] {
        known.remove(own);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![seed.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        let file = segments.iter().find(|file| file.name.as_str() == name);
        let Some(file) = file.filter(|_| seen.insert(name.clone())) else { continue };
        found.extend(lineage::columns_named(&file.text, &known));
        if let Ok(references) = session.references(&file.text, Some(&file.path)) {
            open.extend(references.iter().filter_map(|r| r.segment().map(str::to_owned)));
        }
    }
    Ok(found)
}
