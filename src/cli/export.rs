//! `throng export`: members in files.

use std::path::PathBuf;

use clap::Args;

use crate::engine::{
    Engine, ExportFormat, ExportRequest, Exported, ExportedSet, Ids, Moment, SetOptions,
};
use crate::error::{Error, Result};

use super::Outcome;
use super::args::{Global, checked, working_folder};
use super::output::{Output, bytes, count, duration, plural};

/// Write members to files: ids, or bitmaps of many engines
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  throng export vip --to vip.csv --as csv --ids user_id
  throng export vip --to - --as csv | wc -l
  throng export vip --to vip.roaring --as roaring         portable 32-bit roaring of profile_ids
  throng export vip --to vip.ch --as clickhouse64 --ids user_id
  throng export vip --to vip.csv --as csv --changes-since 3      vip.entered.csv, vip.exited.csv
  throng export 'vip*' tag:mail --to audiences --as roaring,csv  a folder with a manifest
  throng export --all --to s3://bucket/audiences --as starrocks --resume

Lists of ids: csv, ndjson, parquet, arrow. Bitmaps: roaring, roaring64, clickhouse, clickhouse64,
clickhouse-sql, clickhouse64-sql, starrocks (also doris), postgres, postgres64, elasticsearch,
elasticsearch64, druid, pinot, databricks, matrixone.")]
pub struct ExportArgs {
    /// The segment; or names, patterns, tag:x, +name, name+ to export a set
    segments: Vec<String>,
    /// Every segment that has members kept, as a set
    #[arg(long, conflicts_with = "segments")]
    all: bool,
    /// The file, which is replaced if it is there (- is stdout); for a set, a folder or URL
    #[arg(long, value_name = "PATH")]
    to: String,
    /// csv, ndjson, parquet, arrow, or a bitmap format; for a set also several
    #[arg(long = "as", value_name = "FORMAT,..", value_delimiter = ',', required = true)]
    #[arg(value_parser = checked(ExportFormat::parse))]
    file_formats: Vec<ExportFormat>,
    /// Which ids: profile_id, or a namespace such as user_id or email
    #[arg(long, default_value = "profile_id", value_name = "profile_id|NAMESPACE")]
    #[arg(value_parser = checked(Ids::parse))]
    ids: Ids,
    /// Members as they were after this build
    #[arg(long, value_name = "BUILD")]
    build: Option<i64>,
    /// Only those who came and those who went since this build, in files apart
    #[arg(long, value_name = "BUILD")]
    changes_since: Option<i64>,
    /// Keep the files that an interrupted export of a set left
    #[arg(long)]
    resume: bool,
}

impl ExportArgs {
    /// The one segment that is named plainly, or nothing where a set is asked for.
    fn single(&self) -> Option<&str> {
        let [name] = &self.segments[..] else { return None };
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let folder =
            self.to.ends_with('/') || self.to.contains("://") || self.file_formats.len() > 1;
        (plain && !folder && !self.resume).then_some(name)
    }
}

pub(super) async fn run(
    args: &ExportArgs,
    global: &Global,
    output: &mut Output,
) -> Result<Outcome> {
    let engine = global.engine()?;
    output.set_root(engine.root());
    let (formats, ids) = (args.file_formats.clone(), args.ids.clone());
    let moment = Moment { build: args.build, changes_since: args.changes_since };
    let Some(name) = args.single() else {
        let options = SetOptions {
            segments: args.segments.clone(),
            to: args.to.clone(),
            base: working_folder()?,
            formats,
            ids,
            moment,
            resume: args.resume,
        };
        return set(&engine, &options, args.all, output).await;
    };
    let format = *formats.first().ok_or_else(|| Error::input("no format is named"))?;
    let request = ExportRequest { name: name.to_owned(), to: PathBuf::from(&args.to), format, ids };
    if args.to == "-" {
        return to_stdout(&engine, request, moment, output).await;
    }
    let exported = engine.export_at(&request, moment).await?;
    match &exported[..] {
        [one] => output.one(one, text)?,
        all => output.list(all, |all| all.iter().map(text).collect())?,
    }
    for exported in &exported {
        notes(exported, args.ids.column(), output);
    }
    Ok(Outcome::Done)
}

fn notes(exported: &Exported, ids: &str, output: &Output) {
    if exported.without_identifier > 0 {
        output.say(format!(
            "note: {} of {} have no {ids} and are not in the file",
            plural(exported.without_identifier, "member"),
            exported.members,
        ));
    }
    if let Some(dictionary) = &exported.dictionary {
        output.say(format!(
            "note: {ids} is no number, so the bitmap holds profile_ids; {} has both",
            dictionary.file.display()
        ));
    }
}

async fn set(engine: &Engine, options: &SetOptions, all: bool, output: &Output) -> Result<Outcome> {
    if options.segments.is_empty() && !all {
        return Err(Error::input("no segment is named")
            .with_hint("name one, or say --all for every segment that has members"));
    }
    if options.to == "-" {
        return Err(Error::input("a set of files does not go to stdout")
            .with_hint("name one segment and one format, or a folder with --to"));
    }
    output.one(&engine.export_set(options).await?, set_text)?;
    Ok(Outcome::Done)
}

/// Through a file, so that what is written is whole even where the reader is slow.
async fn to_stdout(
    engine: &Engine,
    mut request: ExportRequest,
    moment: Moment,
    output: &Output,
) -> Result<Outcome> {
    if moment.changes_since.is_some() {
        return Err(Error::input("changes are two files, and stdout is one")
            .with_hint("name a file with --to"));
    }
    let name = format!("throng-export-{}", std::process::id());
    request.to = std::env::temp_dir().join(name);
    let exported = engine.export_at(&request, moment).await?;
    let bytes = std::fs::read(&request.to).map_err(|e| Error::io("read", &request.to, e))?;
    std::fs::remove_file(&request.to).map_err(|e| Error::io("remove", &request.to, e))?;
    if let Some(dictionary) = exported.into_iter().find_map(|e| e.dictionary) {
        std::fs::remove_file(&dictionary.file)
            .map_err(|e| Error::io("remove", &dictionary.file, e))?;
        let namespace = dictionary.namespace;
        return Err(Error::input(format!(
            "a bitmap of profile_ids needs a file for its dictionary of {namespace}"
        ))
        .with_hint("name a file with --to, or leave --ids out"));
    }
    output.write_bytes(&bytes)?;
    Ok(Outcome::Done)
}

fn text(exported: &Exported) -> String {
    let part = exported.part.as_ref().map_or(String::new(), |part| format!(", {part}"));
    format!(
        "{}{part}: {} to {} ({})\n",
        exported.name,
        plural(exported.rows, "row"),
        exported.file.display(),
        bytes(exported.bytes)
    )
}

fn set_text(set: &ExportedSet) -> String {
    let kept =
        if set.kept > 0 { format!(", {} of them kept", count(set.kept)) } else { String::new() };
    format!(
        "{} in {}{kept} to {} ({}) in {}\n",
        plural(set.segments, "segment"),
        plural(set.files, "file"),
        set.to,
        bytes(set.bytes),
        duration(set.elapsed_ms)
    )
}
