//! What memberships are, and that nothing but data and SQL decides them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int32Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use roaring::RoaringBitmap;
use serde_json::{Value, json};
use throng::engine::{BuildOptions, Engine, EngineOptions, ExportFormat, ExportRequest, Ids};
use throng::model::AsOf;
use throng::project::example;
use throng::source::shop::{self, ShopSpec};

use super::support::{AS_OF, Project, segment_of};

fn names(report: &Value) -> Vec<&str> {
    report["segments"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["name"].as_str())
        .collect()
}

fn statuses(report: &Value) -> Vec<(&str, &str)> {
    let segments = report["segments"].as_array().expect("a list");
    segments.iter().filter_map(|s| Some((s["name"].as_str()?, s["status"].as_str()?))).collect()
}

#[test]
fn a_segment_is_a_set() {
    let project = Project::with_shop();
    project.segment(
        "bag",
        "SELECT profile_id FROM events UNION ALL SELECT profile_id FROM events ORDER BY 1",
    );
    project.segment(
        "gaps",
        "SELECT CASE WHEN country = 'DE' THEN profile_id END AS profile_id FROM profiles",
    );
    project
        .segment("wide", "SELECT country, CAST(profile_id AS BIGINT) AS profile_id FROM profiles");
    project.segment("nulls", "SELECT NULL AS profile_id FROM profiles");
    project.segment("top", "SELECT profile_id FROM events GROUP BY profile_id ORDER BY sum(amount) DESC NULLS LAST, 1 LIMIT 2");
    project.ok(&["build"]);
    assert_eq!(project.ids("bag"), [0, 1, 2]);
    assert_eq!(project.ids("gaps"), [0, 2]);
    assert_eq!(project.ids("wide"), [0, 1, 2, 3]);
    assert_eq!(project.ids("nulls"), Vec::<i64>::new());
    assert_eq!(project.ids("top"), [0, 1]);
}

#[test]
fn now_is_the_moment_of_the_build() {
    let project = Project::with_shop();
    project.segment(
        "recent",
        "SELECT profile_id FROM events WHERE ts >= now() - INTERVAL '2 days' AND ts < now()",
    );
    project.segment("today", "SELECT profile_id FROM events WHERE CAST(ts AS DATE) = current_date");
    let build = |as_of: &str| {
        let report = project.json(&["build", "--as-of", as_of]);
        ["recent", "today"]
            .map(|name| segment_of(&report, name)["members"].as_u64().expect("a count"))
    };
    assert_eq!(build("2026-11-01"), [2, 0]);
    assert_eq!(build("2026-10-31T12:00:00Z"), [1, 1]);
    assert_eq!(build("2026-10-20 12:00:00"), [1, 1]);
    assert_eq!(build("2026-11-01"), [2, 0]);
    assert_eq!(build("2030-01-01"), [0, 0]);
    let last = project.json(&["ls"]);
    assert_eq!(last[0]["as_of"], "2030-01-01T00:00:00Z");
}

#[test]
fn the_same_build_again_gives_the_same_bits() {
    let project = Project::with_shop();
    project
        .segment("recent", "SELECT profile_id FROM events WHERE ts >= now() - INTERVAL '2 days'");
    let bits = || {
        project.ok(&["build", "--full"]);
        project.ok(&["export", "recent", "--to", "bits", "--as", "roaring"]);
        project.bytes("bits")
    };
    assert_eq!(bits(), bits());
    let entries = project.json(&["history", "recent"]);
    assert_eq!((&entries[0]["as_of"], &entries[1]["as_of"]), (&json!(AS_OF), &json!(AS_OF)));
    assert_eq!((&entries[0]["entered"], &entries[0]["exited"]), (&json!(0), &json!(0)));
}

/// `a` needs nothing, `b` needs `a`, `c` needs `b`; `x` stands alone.
fn chain() -> Project {
    let project = Project::with_shop();
    project.segment(
        "a",
        "-- tags: base, root\nSELECT profile_id FROM profiles WHERE country IS NOT NULL",
    );
    project.segment("b", "-- tags: base\nSELECT profile_id FROM segments.a EXCEPT SELECT profile_id FROM profiles WHERE plan = 'free'");
    project.segment("c", "SELECT p.profile_id FROM profiles p WHERE p.profile_id NOT IN (SELECT profile_id FROM segments.b)");
    project.segment("x_1", "SELECT profile_id FROM profiles");
    project
}

#[test]
fn segments_are_built_after_what_they_need() {
    let project = chain();
    let report = project.json(&["build"]);
    assert_eq!(names(&report), ["a", "b", "c", "x_1"]);
    let ids = ["a", "b", "c", "x_1"].map(|name| project.ids(name));
    assert_eq!(ids, [vec![0, 1, 2], vec![1, 2], vec![0, 3], vec![0, 1, 2, 3]]);
    assert_eq!(project.ok(&["count", "c"]).stdout, "2\n");
}

#[test]
fn selectors_choose() {
    let project = chain();
    let selected = |selectors: &[&str]| {
        let report = project.json(&[&["build"], selectors].concat());
        names(&report).join(" ")
    };
    assert_eq!(selected(&["+b"]), "a b");
    assert_eq!(selected(&["b+"]), "b c");
    assert_eq!(selected(&["tag:base"]), "a b");
    assert_eq!(selected(&["x*", "a"]), "a x_1");
    assert_eq!(selected(&["+b+"]), "a b c");
    let error = project.error(&["build", "tag:bas"]);
    assert_eq!(error["message"], "no segment matches \"tag:bas\"");
    assert_eq!(error["hints"], json!(["did you mean tag:base?"]));
}

#[test]
fn an_unselected_need_is_read_as_it_is_or_missed() {
    let project = chain();
    let report = project.fails(&["build", "c", "--format", "json"]).value();
    let error = &segment_of(&report, "c")["error"];
    assert_eq!(error["message"], "it needs b, which was never built");
    assert_eq!(error["hints"], json!(["build it too: throng build +c"]));
    project.ok(&["build", "+b"]);
    project.segment("a", "SELECT profile_id FROM profiles");
    assert_eq!(project.json(&["build", "c"])["segments"][0]["members"], 2);
}

#[test]
fn only_what_changed_is_evaluated() {
    let project = chain();
    let all = |status: &'static str| ["a", "b", "c", "x_1"].map(|name| (name, status));
    assert_eq!(statuses(&project.json(&["build"])), all("built"));
    assert_eq!(statuses(&project.json(&["build"])), all("reused"));
    assert_eq!(statuses(&project.json(&["build", "--full"])), all("built"));
    assert_eq!(statuses(&project.json(&["build", "--as-of", "2020-01-01"])), all("reused"));
    project.segment("a", "-- owner: me\nSELECT   profile_id\nFROM profiles -- all with a country\nWHERE country IS NOT NULL;\n");
    assert_eq!(statuses(&project.json(&["build"])), all("reused"));
    project.segment("b", "SELECT profile_id FROM segments.a WHERE profile_id > 0");
    assert_eq!(project.json(&["ls"])[1]["status"], "changed");
    let report = project.json(&["build"]);
    assert_eq!(
        statuses(&report),
        [("a", "reused"), ("b", "built"), ("c", "built"), ("x_1", "reused")]
    );
    project.write("e.csv", "user_id,ts,event\nu1,2026-10-01,x\n");
    project.ok(&["ingest", "events", "e.csv", "--key", "user_id"]);
    assert_eq!(statuses(&project.json(&["build"])), all("reused"), "no segment reads events");
    project.write("p.csv", "user_id,country\nu4,IT\n");
    project.ok(&["ingest", "profiles", "p.csv", "--key", "user_id"]);
    let report = project.json(&["build"]);
    assert_eq!(
        statuses(&report),
        [("a", "built"), ("b", "built"), ("c", "built"), ("x_1", "reused")],
        "one who now has a country moves nobody where none is asked for"
    );
    assert_eq!(segment_of(&report, "a")["entered"], 1);
    assert_eq!(segment_of(&report, "c")["evaluated"], 1);
    assert_eq!(segment_of(&report, "x_1")["evaluated"], 0);
}

#[test]
fn a_segment_that_uses_now_is_evaluated_at_each_moment() {
    let project = Project::with_shop();
    project.segment(
        "n",
        "SELECT profile_id FROM events WHERE ts > (SELECT now() - INTERVAL '3 days')",
    );
    project.segment("m", "SELECT profile_id FROM segments.n");
    project.ok(&["build", "--as-of", "2026-11-01"]);
    let report = project.json(&["build", "--as-of", "2026-11-01"]);
    assert_eq!(statuses(&report), [("m", "reused"), ("n", "reused")]);
    let report = project.json(&["build", "--as-of", "2027-11-01"]);
    assert_eq!(statuses(&report), [("m", "built"), ("n", "built")]);
    assert_eq!(project.ids("m"), Vec::<i64>::new());
}

#[test]
fn a_failing_segment_goes_stale_and_stops_only_what_needs_it() {
    let project = chain();
    project.ok(&["build"]);
    project.segment("a", "SELECT profile_id FROM nowhere");
    project.segment("x_1", "SELECT profile_id FROM profiles WHERE plan = 'free'");
    let run = project.fails(&["build", "--format", "json"]);
    let report = run.value();
    let expected = [("a", "stale"), ("b", "skipped"), ("c", "skipped"), ("x_1", "built")];
    assert_eq!(statuses(&report), expected);
    assert_eq!(segment_of(&report, "a")["members"], 3);
    assert_eq!(segment_of(&report, "b")["error"]["message"], "it needs a, which failed");
    assert_eq!(segment_of(&report, "c")["error"]["message"], "it needs b, which failed");
    assert_eq!(
        (project.ids("a"), project.ids("b")),
        (vec![0, 1, 2], vec![1, 2]),
        "the last good ones stay"
    );
    assert_eq!(project.json(&["ls"])[0]["status"], "stale");
    assert!(
        project.json(&["show", "a"])["error"]
            .as_str()
            .expect("why")
            .contains("no table \"nowhere\"")
    );
    let text = project.fails(&["build"]);
    assert!(
        text.stderr
            .contains("error: segment a: no table \"nowhere\"\n  --> sql/segments/a.sql:1:24\n"),
        "{text:#?}"
    );
    assert_eq!(
        statuses(&project.fails(&["build", "--format", "json"]).value()),
        [("a", "stale"), ("b", "skipped"), ("c", "skipped"), ("x_1", "reused"),]
    );
    project.segment("a", "SELECT profile_id FROM profiles WHERE country = 'DE'");
    let report = project.json(&["build"]);
    assert_eq!(
        statuses(&report),
        [("a", "built"), ("b", "built"), ("c", "built"), ("x_1", "reused")]
    );
    assert_eq!(segment_of(&report, "a")["exited"], 1);
}

#[test]
fn every_shape_of_sql_is_a_segment() {
    let project = Project::with_shop();
    let shapes = [
        (
            "cte",
            "WITH b AS (SELECT profile_id, sum(amount) AS s FROM events GROUP BY 1) SELECT profile_id FROM b WHERE s > 600",
            vec![1],
        ),
        (
            "windowed",
            "SELECT profile_id FROM (SELECT profile_id, event, row_number() OVER (PARTITION BY profile_id ORDER BY ts DESC) AS n FROM events) WHERE n = 1 AND event = 'view'",
            vec![1, 2],
        ),
        (
            "anti",
            "SELECT profile_id FROM profiles p WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.profile_id = p.profile_id)",
            vec![3],
        ),
        (
            "scalar",
            "SELECT profile_id FROM events GROUP BY profile_id HAVING sum(amount) > (SELECT avg(amount) FROM events)",
            vec![0, 1],
        ),
        (
            "joined",
            "SELECT DISTINCT a.profile_id FROM events a JOIN events b USING (profile_id) WHERE a.event = 'view' AND b.event = 'purchase' AND a.ts < b.ts",
            vec![0],
        ),
        (
            "qualified",
            "SELECT e.profile_id FROM events AS e LEFT JOIN profiles AS p ON p.profile_id = e.profile_id WHERE p.country IS NULL",
            vec![],
        ),
        (
            "recursive",
            "WITH RECURSIVE n AS (SELECT 0 AS profile_id UNION ALL SELECT profile_id + 1 FROM n WHERE profile_id < 2) SELECT profile_id FROM n",
            vec![0, 1, 2],
        ),
        (
            "known",
            "SELECT profile_id FROM identifiers WHERE namespace = 'email' AND home",
            vec![0, 1, 3],
        ),
        (
            "built",
            "SELECT m.profile_id FROM profiles m WHERE m.profile_id IN (SELECT profile_id FROM segments.cte UNION SELECT profile_id FROM segments.\"anti\")",
            vec![1, 3],
        ),
    ];
    for (name, sql, _) in &shapes {
        project.segment(name, sql);
    }
    project.ok(&["build"]);
    for (name, _, expected) in shapes {
        assert_eq!(project.ids(name), expected, "{name}");
    }
}

/// A shop with more profiles than the smallest shard has.
fn spec() -> ShopSpec {
    ShopSpec { profiles: 70_000, events: 60_000, seed: 7, ..ShopSpec::default() }
}

/// The example project with shards of `shard` ids, without data.
fn shop_project(shard: u32) -> Project {
    let project = Project::empty_folder();
    example::write(project.root()).expect("written");
    project.write("throng.toml", format!("as_of = \"2026-11-01\"\n[store]\nshard = {shard}\n"));
    project
}

/// Runs `work` where `DataFusion`'s deep plans have the stack that an unoptimised build asks for.
fn on_deep_stack<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_stack_size(32 << 20).enable_all().build();
    let runtime = runtime.expect("threads");
    runtime.block_on(runtime.spawn(work)).expect("the work ends")
}

fn engine(project: &Project, threads: usize) -> Engine {
    let mut options = EngineOptions::new(project.root(), AsOf::parse(AS_OF).expect("a moment"));
    options.threads = NonZeroUsize::new(threads);
    Engine::open(options).expect("a project")
}

/// Builds every segment anew: the bytes of each one's exported bitmap.
fn built_bits(project: &Project, threads: usize) -> BTreeMap<String, Vec<u8>> {
    let (engine, root) = (engine(project, threads), project.root().to_path_buf());
    on_deep_stack(async move {
        let options = BuildOptions { full: true, ..BuildOptions::default() };
        let report = engine.build(&options, &|_, _, _| {}).await.expect("built");
        assert!(report.is_good(), "{report:#?}");
        let mut bits = BTreeMap::new();
        for segment in report.segments {
            let to = root.join("bits");
            let request = ExportRequest {
                name: segment.name.clone(),
                to: to.clone(),
                format: ExportFormat::ROARING,
                ids: Ids::Profile,
            };
            let exported = engine.export(&request).await.expect("exported");
            assert_eq!(Some(exported.members), segment.members);
            bits.insert(segment.name, std::fs::read(&to).expect("a file"));
        }
        bits
    })
}

fn ingest(project: &Project, sources: &[&str]) {
    let engine = engine(project, 2);
    let names: Vec<String> = sources.iter().map(|s| (*s).to_owned()).collect();
    on_deep_stack(async move {
        engine.ingest(&names, &|_, _| {}, &|_| {}).await.expect("ingested");
    });
}

/// The same shop, bit by bit: profiles in two goes, events in four.
fn ingest_in_pieces(project: &Project, data: &Path) {
    project.write(
        "demo-data/profiles.parquet",
        std::fs::read(data.join("profiles.parquet")).expect("read"),
    );
    let source = project.read("sql/sources/profiles.sql");
    project.write("sql/sources/profiles.sql", format!("{source}LIMIT 30000\n"));
    ingest(project, &["profiles"]);
    project.write("sql/sources/profiles.sql", source);
    ingest(project, &["profiles"]);
    let mut months: Vec<_> = std::fs::read_dir(data.join("events"))
        .expect("a folder")
        .collect::<Result<_, _>>()
        .expect("files");
    months.sort_by_key(std::fs::DirEntry::file_name);
    for months in months.chunks(months.len().div_ceil(4)) {
        for month in months {
            let name = format!("demo-data/events/{}", month.file_name().display());
            project.write(&name, std::fs::read(month.path()).expect("read"));
        }
        ingest(project, &["events"]);
    }
}

#[track_caller]
fn same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let differ: Vec<&String> =
        a.iter().filter(|(name, bits)| b.get(*name) != Some(bits)).map(|(name, _)| name).collect();
    assert!(differ.is_empty(), "{what}: {differ:?}");
}

#[test]
fn nothing_but_data_and_sql_decides_memberships() {
    let whole = shop_project(65_536);
    let data = whole.path("demo-data");
    shop::write(&spec(), &data, &|_, _| {}).expect("a shop");
    let pieces = shop_project(262_144);
    let (whole_bits, pieces_bits) = std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            ingest(&whole, &["profiles", "events"]);
            built_bits(&whole, 2)
        });
        let other = scope.spawn(|| {
            ingest_in_pieces(&pieces, &data);
            built_bits(&pieces, 1)
        });
        (one.join().expect("built"), other.join().expect("built"))
    });
    assert_eq!(whole.number("SELECT max(shard) FROM memberships"), 1, "the shop has two shards");
    same(&whole_bits, &pieces_bits, "two shards at once, one shard in pieces");
    pieces.ok(&["optimize"]);
    same(&whole_bits, &built_bits(&pieces, 2), "after optimize");
    let plain = on_deep_stack(async move { plain(&data).await });
    assert_eq!(plain.len(), whole_bits.len());
    for (name, expected) in plain {
        let found = RoaringBitmap::deserialize_from(&whole_bits[&name][..]).expect("roaring");
        let (more, less) = (&found - &expected, &expected - &found);
        assert!(found == expected, "{name}: {} too many, {} missing", more.len(), less.len());
    }
}

/// The example's segments by `DataFusion` alone, over the shop's files as they are.
async fn plain(data: &Path) -> BTreeMap<String, RoaringBitmap> {
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for (name, path) in [
        ("demo-data/profiles.parquet", "profiles.parquet"),
        ("demo-data/events/*.parquet", "events"),
    ] {
        let path = data.join(path);
        let files =
            context.read_parquet(path.to_str().expect("UTF-8"), ParquetReadOptions::default());
        let files = files.await.expect("Parquet").into_view();
        context.register_table(TableReference::bare(name), files).expect("registered");
    }
    let source =
        |name: &str| std::fs::read_to_string(sql.join("sources").join(name)).expect("a source");
    register(&context, "profiles".into(), numbered(&run(&context, &source("profiles.sql")).await));
    let events = source("events.sql");
    let joined = format!(
        "SELECT p.profile_id, e.* FROM ({events}) AS e JOIN profiles AS p ON e.user_id = p.user_id"
    );
    register(&context, "events".into(), run(&context, &joined).await);
    drop(run(&context, "CREATE SCHEMA segments").await);
    let mut waiting: BTreeMap<String, String> = BTreeMap::new();
    for entry in std::fs::read_dir(sql.join("segments")).expect("segments") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        waiting.insert(name, std::fs::read_to_string(&path).expect("a segment"));
    }
    let mut done = BTreeMap::new();
    while !waiting.is_empty() {
        let blocked = |sql: &str| waiting.keys().any(|n| sql.contains(&format!("segments.{n}")));
        let ready = waiting.iter().find(|(_, sql)| !blocked(sql)).map(|(name, _)| name.clone());
        let name = ready.expect("no cycle");
        let sql = waiting.remove(&name).expect("it waits");
        let batches = run(
            &context,
            &format!("SELECT DISTINCT profile_id FROM ({})", sql.trim_end().trim_end_matches(';')),
        )
        .await;
        done.insert(name.clone(), members(&batches));
        register(&context, TableReference::partial("segments", name), batches);
    }
    done
}

/// Runs `sql` at the tests' moment.
async fn run(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    let mut state = context.state();
    let moment = chrono::DateTime::parse_from_rfc3339(AS_OF).expect("a moment").to_utc();
    state.execution_props_mut().query_execution_start_time = Some(moment);
    if sql.starts_with("CREATE") {
        return context.sql(sql).await.expect("planned").collect().await.expect("run");
    }
    let plan = state.create_logical_plan(sql).await.unwrap_or_else(|e| panic!("{e}: {sql}"));
    let frame = DataFrame::new(state, plan);
    let schema = Arc::clone(frame.schema().inner());
    let batches = frame.collect().await.unwrap_or_else(|e| panic!("{e}: {sql}"));
    if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches }
}

fn register(context: &SessionContext, name: TableReference, batches: Vec<RecordBatch>) {
    let table = MemTable::try_new(batches[0].schema(), vec![batches]).expect("a table");
    context.register_table(name, Arc::new(table)).expect("registered");
}

/// `batches` with the row's number in front, as the `profile_id` that it will be given.
fn numbered(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let whole = concat_batches(&batches[0].schema(), batches).expect("one batch");
    let rows = i32::try_from(whole.num_rows()).expect("few rows");
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows));
    let schema = whole.schema();
    let columns =
        schema.fields().iter().map(|f| f.name().as_str()).zip(whole.columns().iter().cloned());
    let all = std::iter::once(("profile_id", ids)).chain(columns);
    vec![
        RecordBatch::try_from_iter_with_nullable(all.map(|(name, column)| (name, column, true)))
            .expect("a batch"),
    ]
}

fn members(batches: &[RecordBatch]) -> RoaringBitmap {
    let ids = batches.iter().flat_map(|batch| {
        let ids = cast(batch.column(0), &DataType::Int64).expect("integers");
        ids.as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>()
    });
    ids.map(|id| u32::try_from(id).expect("an id")).collect()
}

#[test]
fn what_many_builds_made_lies_in_few_files() {
    let project = Project::with_shop();
    project.segment("buyers", "SELECT profile_id FROM events WHERE event = 'purchase'");
    for _ in 0..35 {
        project.ok(&["build", "--full"]);
    }
    let status = project.status();
    let tables = status["tables"].as_array().expect("tables");
    let builds = tables.iter().find(|table| table["name"] == "builds").expect("the table");
    assert!(builds["files"].as_u64().is_some_and(|files| files <= 17), "{builds:#}");
    assert_eq!(project.number("SELECT count(DISTINCT build) FROM builds"), 35);
    let history = project.json(&["history", "buyers"]);
    assert_eq!(history.as_array().map(Vec::len), Some(35), "{history:#}");
    // They are sorted as the table's files are, so that nothing is left to do.
    project.ok(&["optimize"]);
    assert_eq!(project.json(&["history", "buyers"]), history);
}
