//! A warm session against commands that keep nothing: random questions, asked again and again, over a
//! store that others change meanwhile, with much memory and with hardly any.

use throng::engine::{BuildOptions, BuildReport, Engine, EngineOptions, WarmSession};
use throng::error::ErrorKind;
use throng::model::AsOf;

use super::fuzz::{Writer, random_project};
use super::support::{Dice, Project};

const AS_OF: &str = "2025-04-10";

/// Memory with room for everything, and with room for a few columns.
const MEMORY_BYTES: [usize; 2] = [64 << 20, 256 << 10];

fn engine(project: &Project, memory_bytes: usize) -> Engine {
    let mut options = EngineOptions::new(project.root(), moment());
    options.memory_bytes = Some(memory_bytes);
    Engine::open(options).expect("a project")
}

fn moment() -> AsOf {
    AsOf::parse(AS_OF).expect("a time")
}

/// Questions as an analyst asks them: each once with another number in it, and some as counts.
fn questions(dice: u64, wanted: usize) -> Vec<String> {
    let mut writer = Writer(Dice::new(dice));
    let mut questions = Vec::new();
    while questions.len() < wanted {
        let sql = writer.set(1);
        let counted = format!("SELECT count(DISTINCT profile_id) AS n FROM ({sql})");
        let filtered = format!("SELECT COUNT(*) FROM profiles WHERE profile_id IN ({sql})");
        questions.extend([sql.replace("60", "59"), sql, counted, filtered]);
    }
    questions
}

/// Compares every answer with that of a command that keeps nothing. Only the session with hardly any
/// memory may say that it has too little, and that of few.
async fn compare(warm: &[WarmSession], cold: &Engine, questions: &[String]) {
    let mut without_room = 0;
    for sql in questions {
        let expected = cold.count(sql, Some(moment())).await;
        for (place, session) in warm.iter().enumerate() {
            match (session.count(sql).await, &expected) {
                (Err(found), Ok(_)) if place > 0 && found.kind() == ErrorKind::Limit => {
                    without_room += 1;
                }
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{sql}"),
                (Err(found), Err(expected)) => {
                    assert_eq!(found.message(), expected.message(), "{sql}");
                }
                (found, expected) => panic!("{found:?} instead of {expected:?}: {sql}"),
            }
        }
    }
    assert!(without_room * 4 < questions.len(), "{without_room} had too little memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_session_answers_as_a_cold_command_does() {
    let project = random_project();
    let cold = engine(&project, 64 << 20);
    let warm: Vec<WarmSession> = MEMORY_BYTES
        .map(|bytes| engine(&project, bytes).warm(Some(moment())).expect("a session"))
        .into();
    warm[0].preload().await.expect("columns are read");
    let questions = questions(7, 48);
    compare(&warm, &cold, &questions).await;
    compare(&warm, &cold, &questions).await;
    let held = warm[0].usage().await.expect("a store");
    assert!(held.columns_hits > 0 && held.leaves_hits > 0, "{held:?}");
    // Somebody else commits: new events, among them late ones, and changed profiles.
    project.write(
        "data/more.csv",
        "user_id,ts,event,amount,quantity,category\n\
         1,2025-04-01T00:00:00Z,purchase,99.50,3,shoes\n\
         2,2024-02-29T00:00:00Z,cart,,1,books\n\
         399,2025-03-01T10:00:00Z,purchase,149.00,2,books\n",
    );
    project.write("data/changed.ndjson", "{\"user_id\":3,\"country\":\"DE\",\"plan\":\"plus\"}\n");
    project.ok(&["ingest", "events", "data/more.csv", "--key", "user_id"]);
    project.ok(&["ingest", "profiles", "data/changed.ndjson", "--key", "user_id"]);
    let before = held.store_version;
    compare(&warm, &cold, &questions).await;
    let held = warm[1].usage().await.expect("a store");
    assert_eq!(held.store_version, before + 2);
    assert!(
        held.columns_bytes <= held.columns_bytes_max && held.leaves_bytes <= held.leaves_bytes_max
    );
}

/// Builds `files` warm, with what a session has in memory by now, and holds each against a count of a
/// command that keeps nothing.
async fn compare_build(
    warm: &WarmSession,
    cold: &Engine,
    files: &[(String, String)],
) -> BuildReport {
    let options = BuildOptions::default();
    let report = warm.build(&options, moment(), &|_, _, _| {}).await.expect("a build");
    assert_eq!(report.segments.len(), files.len());
    for segment in &report.segments {
        let (name, sql) = files.iter().find(|(name, _)| *name == segment.name).expect("its file");
        match cold.count(sql, Some(moment())).await {
            Ok(members) => assert_eq!(segment.members, Some(members), "{name}: {sql}"),
            Err(error) => assert!(segment.error.is_some(), "{name}: {error} in {sql}"),
        }
    }
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_build_makes_what_a_cold_one_makes() {
    let project = random_project();
    let cold = engine(&project, 64 << 20);
    let mut writer = Writer(Dice::new(11));
    let mut files: Vec<(String, String)> =
        (0..24).map(|n| (format!("s{n}"), writer.set(1))).collect();
    for (name, sql) in &files {
        project.segment(name, sql);
    }
    for bytes in MEMORY_BYTES {
        let warm = engine(&project, bytes).warm(Some(moment())).expect("a session");
        // Another session builds nothing anew; so something changes for each.
        for round in 0..3 {
            let place = round * 7 + bytes % 5;
            files[place].1 = writer.set(1);
            project.segment(&files[place].0, &files[place].1);
            if round == 1 {
                let events = "user_id,ts,event,amount,quantity,category\n\
                              5,2025-04-02T00:00:00Z,purchase,99.50,3,shoes\n\
                              6,2024-02-29T00:00:00Z,cart,,1,books\n";
                let file = format!("data/more-{bytes}.csv");
                project.write(&file, events);
                project.ok(&["ingest", "events", &file, "--key", "user_id"]);
            }
            compare_build(&warm, &cold, &files).await;
        }
        let held = warm.usage().await.expect("a store");
        assert!(held.columns_hits > 0, "{held:?}");
    }
}

/// Each file has words of its own, at places of its own: what was said of one file's is not said of another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_takes_the_words_of_each_file_for_its_own() {
    let project = Project::with_shop();
    let cold = engine(&project, 64 << 20);
    let files = [
        ("one", "SELECT profile_id FROM events WHERE event = 'cart' AND note = 'w7'"),
        ("many", "SELECT profile_id FROM events WHERE note LIKE 'w3%' OR note IS NULL"),
        (
            "kinds",
            "SELECT profile_id FROM events WHERE event = 'cart' GROUP BY profile_id \
             HAVING count(DISTINCT note) = 3 AND max(note) > 'w4'",
        ),
    ];
    let files = files.map(|(name, sql)| (name.to_owned(), sql.to_owned()));
    for (name, sql) in &files {
        project.segment(name, sql);
    }
    let ingest = |name: &str, rows: std::ops::Range<usize>| {
        let text = rows.fold("user_id,ts,event,note\n".to_owned(), |text, n| {
            let (who, month) = (n % 2_000, n / 2_000);
            let (month, word) = (1 + month, 200 * month + n % 200);
            text + &format!("x{who},2025-0{month}-01T00:00:00Z,cart,w{word}\n")
        });
        let file = format!("data/{name}.csv");
        project.write(&file, text);
        project.ok(&["ingest", "events", &file, "--key", "user_id"]);
    };
    ingest("all", 0..6_000);
    let warm = engine(&project, 64 << 20).warm(Some(moment())).expect("a session");
    warm.preload().await.expect("columns are read");
    compare_build(&warm, &cold, &files).await;
    ingest("few", 4_000..4_400);
    let report = compare_build(&warm, &cold, &files).await;
    let evaluated = report.segments.iter().filter_map(|segment| segment.evaluated);
    assert!(evaluated.sum::<u64>() > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_those_of_the_query_and_rows_those_of_the_store() {
    let project = Project::with_shop();
    let warm = engine(&project, 64 << 20).warm(None).expect("a session");
    let sql = "SELECT profile_id FROM events WHERE event = 'purchase' \
               AND ts >= now() - INTERVAL '60 days'";
    let members = warm.members(sql).await.expect("a set");
    assert_eq!(members.members, 1);
    let decoded = throng::membership::wire::decode(
        &members.bitmap,
        throng::membership::wire::Format::Roaring,
    );
    assert_eq!(decoded.expect("a bitmap").len(), 1);
    warm.set_as_of(AsOf::parse("2026-03-05").expect("a time")).await;
    assert_eq!(warm.count(sql).await.expect("a set"), 2);
    let (_, rows) = warm.query("SELECT count(*) FROM events").await.expect("rows");
    assert_eq!(rows.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 1);
}

/// What counts profiles is compiled; it must mean what SQL says where rows are not one a profile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_those_of_sql() {
    let project = random_project();
    let engine = engine(&project, 64 << 20);
    let warm = engine.warm(Some(moment())).expect("a session");
    for sql in [
        "SELECT count(*) FROM events WHERE event = 'cart'",
        "SELECT count(profile_id) FROM events WHERE event = 'cart'",
        "SELECT count(DISTINCT profile_id) FROM events WHERE event = 'cart'",
        "SELECT count(DISTINCT category) FROM events",
        "SELECT count(*) FROM profiles WHERE country = 'DE'",
        "SELECT count(country) FROM profiles",
        "SELECT count(1) AS n FROM (SELECT profile_id FROM profiles WHERE ltv > 100) p",
        "SELECT count(NULL) FROM profiles",
        "SELECT count(*) FILTER (WHERE country = 'DE') FROM profiles",
        "SELECT count(*) FROM profiles p JOIN events e ON p.profile_id = e.profile_id",
        "SELECT count(*) FROM (SELECT profile_id FROM events GROUP BY profile_id HAVING count(*) > 3)",
        "SELECT count(*) FROM (SELECT DISTINCT profile_id FROM events WHERE amount > 50)",
        "SELECT count(*) FROM (SELECT profile_id FROM profiles LIMIT 7)",
        "SELECT count(*) + 1 AS n FROM profiles",
        "SELECT count(DISTINCT profile_id) FROM \
         (SELECT CAST(-quantity AS INT) AS profile_id FROM events WHERE quantity BETWEEN -3 AND 9)",
        "SELECT count(*) FROM (SELECT profile_id FROM profiles UNION ALL SELECT profile_id FROM profiles)",
    ] {
        let (_, rows) = engine.query(sql, Some(moment())).await.expect("rows");
        let number = arrow::compute::cast(rows[0].column(0), &arrow::datatypes::DataType::UInt64);
        let number = number.expect("a number");
        let number = arrow::array::AsArray::as_primitive::<arrow::datatypes::UInt64Type>(&number);
        assert_eq!(warm.count(sql).await.expect("a count"), number.value(0), "{sql}");
        assert_eq!(
            engine.count(sql, Some(moment())).await.expect("a count"),
            number.value(0),
            "{sql}"
        );
    }
}
