//! The demo: a made-up shop from nothing to a report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::activation::{ExportFormat, Exported, Ids};
use crate::error::Result;
use crate::ingest::Ingested;
use crate::lookalike::{SEEDS_FEW, Size, Standing};
use crate::model::{Namespace, millis_since};
use crate::project::example;
use crate::source::Progress;
use crate::source::shop::{self, ShopSpec, Written};

use super::build::{BuildOptions, BuildReport};
use super::export::ExportRequest;
use super::look::StatusReport;
use super::lookalike::{LookalikeOptions, LookalikeReport};
use super::open::{Engine, EngineOptions};
use super::tests::TestOutcome;

/// What the demo makes.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Profiles.
    pub profiles: u32,
    /// Events.
    pub events: u64,
    /// The seed: the same one gives the same shop.
    pub seed: u64,
    /// How to open the project that is made; its `root` is the demo's folder.
    pub engine: EngineOptions,
}

/// What the demo is doing, for whoever watches.
#[derive(Debug, Clone)]
pub enum Stage {
    /// Data is made: rows so far, of how many.
    Making(u64, u64),
    /// A source is ingested.
    Ingesting(String, Arc<Progress>),
    /// Segments are built: done, of how many.
    Building(usize, usize),
    /// Data tests run.
    Testing,
    /// Look-alikes are found.
    Matching,
    /// Audiences are exported.
    Exporting,
}

/// What the demo did.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// The project's folder.
    pub dir: PathBuf,
    /// The time that making the data took.
    pub generate_ms: u64,
    /// The bytes of the made files.
    pub generated_bytes: u64,
    /// Each source.
    pub ingested: Vec<Ingested>,
    /// The build.
    pub build: BuildReport,
    /// The data tests.
    pub tests: Vec<TestOutcome>,
    /// The look-alikes of [`SEED`], where it is large enough to learn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookalike: Option<LookalikeReport>,
    /// What was exported.
    pub exports: Vec<Exported>,
    /// The store afterwards.
    pub status: StatusReport,
    /// The time of all of it.
    pub elapsed_ms: u64,
}

/// Makes a shop's files alone.
///
/// # Errors
/// Where the folder cannot be written.
pub fn generate(
    profiles: u32,
    events: u64,
    seed: u64,
    out: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Written> {
    let spec = ShopSpec { profiles, events, seed, ..ShopSpec::default() };
    shop::write(&spec, out, progress)
}

/// Makes a shop, ingests it, builds the example's segments, tests and exports.
///
/// # Errors
/// Where the folder cannot be written, or a step fails.
pub async fn demo(options: &DemoOptions, on_stage: &(dyn Fn(Stage) + Sync)) -> Result<DemoReport> {
    let started = Instant::now();
    let dir = &options.engine.root;
    example::write(dir)?;
    let written = generate(
        options.profiles,
        options.events,
        options.seed,
        &dir.join(example::DATA_FOLDER),
        &|done, total| on_stage(Stage::Making(done, total)),
    )?;
    let generate_ms = millis_since(started);
    let engine = Engine::open(options.engine.clone())?;
    let on_start =
        |name: &str, progress: Arc<Progress>| on_stage(Stage::Ingesting(name.to_owned(), progress));
    let ingested = engine.ingest(&[], &on_start, &|_| {}).await?;
    let build = engine
        .build(&BuildOptions::default(), &|done, total, _| on_stage(Stage::Building(done, total)))
        .await?;
    on_stage(Stage::Testing);
    let tests = engine.test(None).await?;
    on_stage(Stage::Matching);
    let lookalike = find_some(&engine, &build).await?;
    on_stage(Stage::Exporting);
    let exports = export_some(&engine).await?;
    Ok(DemoReport {
        dir: dir.clone(),
        generate_ms,
        generated_bytes: written.bytes,
        ingested,
        build,
        tests,
        lookalike,
        exports,
        status: engine.status().await?,
        elapsed_ms: millis_since(started),
    })
}

/// The segment whose look-alikes the demo finds.
const SEED: &str = "vip";

async fn find_some(engine: &Engine, build: &BuildReport) -> Result<Option<LookalikeReport>> {
    let seed = build.segments.iter().find(|segment| segment.name == SEED);
    if seed.and_then(|segment| segment.members).is_none_or(|members| members < SEEDS_FEW) {
        return Ok(None);
    }
    let options = LookalikeOptions {
        keep_as: Some(format!("like_{SEED}")),
        report: Some(engine.root().join("exports").join(format!("like_{SEED}.html"))),
        ..LookalikeOptions::of(Standing { size: Size::Share(0.05), ..Standing::new(SEED) })
    };
    engine.lookalike(&options).await.map(Some)
}

/// One audience for a mail tool, one for an ad platform, one for another engine.
async fn export_some(engine: &Engine) -> Result<Vec<Exported>> {
    let email = || Ok::<_, crate::error::Error>(Ids::Namespace(Namespace::parse("email")?));
    let user = Ids::Namespace(Namespace::parse("user_id")?);
    let wanted = [
        ("retargeting_mail", "retargeting_mail.csv", ExportFormat::Csv, email()?),
        ("vip", "vip.parquet", ExportFormat::Parquet, user),
        ("newsletter_readers", "newsletter_readers.roaring", ExportFormat::ROARING, Ids::Profile),
    ];
    let mut exports = Vec::new();
    for (name, file, format, ids) in wanted {
        let to = engine.root().join("exports").join(file);
        exports
            .push(engine.export(&ExportRequest { name: name.to_owned(), to, format, ids }).await?);
    }
    Ok(exports)
}
