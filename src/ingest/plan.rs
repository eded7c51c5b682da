//! Which of a source's files are new, and the query over them.
//!
//! The store remembers every file that a source brought, by content and by path, as Delta transaction
//! identifiers of the table that its rows went to. A file whose content is known is skipped. Where a
//! source's rows do not come from one file each (a join, an aggregate), its files count as one.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::TableName;
use crate::query::{Plan, Session};
use crate::source::{Rejects, SourceFile, SourceTable, digest, resolve};

use super::Context;
use super::spec::{FILES, Rows, SourceSpec};

/// A source's query over what is new, and what to remember once it is in.
#[derive(Debug)]
pub struct Planned {
    /// The query.
    pub plan: Plan,
    /// Whether each row knows its file and line, in the columns `_file` and `_line`.
    pub has_origin: bool,
    /// Delta transaction identifiers.
    pub transactions: Vec<(String, i64)>,
    /// Files that will be read.
    pub files_new: u64,
    /// Files that were ingested before.
    pub files_skipped: u64,
}

/// The files of one pattern in a source's SQL.
struct Pattern {
    text: String,
    files: Vec<(SourceFile, String)>,
}

/// Plans `spec`, or says with nothing that all of it was ingested before.
pub(super) async fn plan(
    context: &Context<'_>,
    session: &Session,
    spec: &SourceSpec,
    rejects: &Arc<Rejects>,
) -> Result<Option<Planned>> {
    let mut patterns = patterns(context, session, spec)?;
    let total: usize = patterns.iter().map(|p| p.files.len()).sum();
    for pattern in &patterns {
        define(context, session, spec, pattern, rejects)?;
    }
    let whole = session.plan(&spec.sql, Some(&spec.file)).await?;
    let by_file = patterns.len() == 1 && whole.with_origin().is_some();
    let memory = Memory { context, spec };
    let transactions = if by_file {
        memory.keep_new(&mut patterns[0].files).await?
    } else {
        memory.all_or_nothing(&patterns).await?
    };
    if transactions.is_empty() {
        return Ok(None);
    }
    if by_file {
        define(context, session, spec, &patterns[0], rejects)?;
    }
    let plan = session.plan(&spec.sql, Some(&spec.file)).await?;
    let files_new = if by_file { patterns[0].files.len() } else { total };
    let with_origin = plan.with_origin();
    Ok(Some(Planned {
        has_origin: with_origin.is_some(),
        plan: with_origin.unwrap_or(plan),
        transactions,
        files_new: files_new as u64,
        files_skipped: (total - files_new) as u64,
    }))
}

/// The file patterns that the SQL names, with their files and digests.
fn patterns(context: &Context<'_>, session: &Session, spec: &SourceSpec) -> Result<Vec<Pattern>> {
    let mut patterns = Vec::new();
    for reference in session.references(&spec.sql, Some(&spec.file))? {
        let own = TableName::ALL.iter().any(|t| t.as_str() == reference.table);
        if reference.schema.is_some() || own {
            continue;
        }
        let own = (reference.table == FILES).then_some(&spec.files[..]).filter(|f| !f.is_empty());
        let mut files = Vec::new();
        for pattern in own.unwrap_or(std::slice::from_ref(&reference.table)) {
            let found = resolve(pattern, context.base).map_err(|e| e.at(&spec.file, None, None))?;
            for file in found {
                files.push((file.clone(), digest(&file)?));
            }
        }
        patterns.push(Pattern { text: reference.table, files });
    }
    if patterns.is_empty() {
        return Err(Error::input("the source reads no files")
            .at(&spec.file, None, None)
            .with_hint("name them in quotes: SELECT ... FROM 'data/orders/*.csv'"));
    }
    Ok(patterns)
}

fn define(
    context: &Context<'_>,
    session: &Session,
    spec: &SourceSpec,
    pattern: &Pattern,
    rejects: &Arc<Rejects>,
) -> Result<()> {
    let files = pattern.files.iter().map(|(file, _)| file.clone()).collect();
    let table =
        SourceTable::open(files, spec.options.clone()).map_err(|e| e.at(&spec.file, None, None))?;
    session.define_files(&pattern.text, table, Arc::clone(rejects), Arc::clone(&context.progress))
}

/// What the store remembers of a source.
struct Memory<'a> {
    context: &'a Context<'a>,
    spec: &'a SourceSpec,
}

impl Memory<'_> {
    async fn recall(&self, app_id: &str) -> Result<Option<i64>> {
        let table = match self.spec.rows {
            Rows::Profiles => TableName::Profiles,
            Rows::Events { .. } => TableName::Events,
        };
        self.context.store.transaction(self.context.snapshot.table(table)?, app_id).await
    }

    fn is_events(&self) -> bool {
        matches!(self.spec.rows, Rows::Events { .. })
    }

    /// What says that a file's events are in the store.
    fn content_id(&self, digest: &str) -> String {
        format!("throng/{}/{digest}", self.spec.name)
    }

    /// What says which content a path had last. Profiles are upserted, so a source with another
    /// definition reads its files again; events would be there twice.
    fn path_id(&self, path: &str) -> String {
        let name = &self.spec.name;
        match self.spec.rows {
            Rows::Profiles => format!("throng/{name}/{}/path/{path}", self.spec.definition()),
            Rows::Events { .. } => format!("throng/{name}/path/{path}"),
        }
    }

    /// Drops the files that were ingested before; what to remember of the others.
    async fn keep_new(&self, files: &mut Vec<(SourceFile, String)>) -> Result<Vec<(String, i64)>> {
        let mut transactions = Vec::new();
        let mut new: Vec<(SourceFile, String)> = Vec::new();
        for (file, digest) in files.drain(..) {
            let (content, path) = (self.content_id(&digest), self.path_id(&file.shown));
            let last = self.recall(&path).await?;
            if last == Some(short(&digest)) || new.iter().any(|(_, d)| *d == digest) {
                continue;
            }
            if self.is_events() {
                if self.recall(&content).await?.is_some() {
                    continue;
                }
                if last.is_some() {
                    return Err(changed_file(Path::new(&file.shown)));
                }
                transactions.push((content, 1));
            }
            transactions.push((path, short(&digest)));
            new.push((file, digest));
        }
        *files = new;
        Ok(transactions)
    }

    /// The files of a source whose rows have no file of their own count as one.
    async fn all_or_nothing(&self, patterns: &[Pattern]) -> Result<Vec<(String, i64)>> {
        let mut hasher = blake3::Hasher::new();
        let files = || patterns.iter().flat_map(|p| &p.files);
        for (_, digest) in files() {
            hasher.update(digest.as_bytes());
        }
        let digest = hasher.finalize().to_hex().to_string();
        let whole = self.path_id("*");
        let last = self.recall(&whole).await?;
        if last == Some(short(&digest)) {
            return Ok(Vec::new());
        }
        let mut transactions = vec![(whole, short(&digest))];
        if self.is_events() {
            let mut known = last.is_some();
            for (_, digest) in files() {
                known |= self.recall(&self.content_id(digest)).await?.is_some();
                transactions.push((self.content_id(digest), 1));
            }
            if known {
                return Err(self.inseparable());
            }
        }
        Ok(transactions)
    }

    fn inseparable(&self) -> Error {
        Error::input(format!(
            "some files of source {} were ingested before, and its rows do not come from one file \
             each, so that new events cannot be told from old ones",
            self.spec.name
        ))
        .at(&self.spec.file, None, None)
        .with_hint("make it a plain SELECT over one set of files, or give it another name")
    }
}

/// The first 63 bits of a digest, for the number that Delta keeps beside an identifier.
fn short(digest: &str) -> i64 {
    let bits = u64::from_str_radix(digest.get(..16).unwrap_or("0"), 16).unwrap_or(0);
    i64::try_from(bits >> 1).unwrap_or(0)
}

fn changed_file(file: &Path) -> Error {
    Error::data(format!("{} was ingested before with other content", file.display()))
        .with_hint("its old events are in the store already, and would be counted twice")
        .with_hint("put new rows into a file of their own")
}
