//! Look-alikes as their users meet them: who is found, what is said, what is refused.

use std::fmt::Write as _;

use serde_json::Value;

use super::support::{Dice, Project, has_fields};

const PROFILES: u32 = 3_000;

/// A shop of profiles with three attributes; who spends much in a warm country is in the seed, half of
/// the time. `answer` is the seed's own definition.
pub(super) fn shop() -> Project {
    let project = Project::new();
    let mut dice = Dice::new(99);
    let mut text = String::from("user_id,spend,visits,country,gender,answer,nothing,always\n");
    for user in 0..PROFILES {
        let warm = dice.throw(3) == 0;
        let spend = dice.throw(400) + if warm { 60 } else { 0 };
        let country = if warm { ["ES", "IT", "PT"] } else { ["SE", "NO", "FI"] };
        let country = country[usize::try_from(dice.throw(3)).expect("small")];
        let belongs = warm && spend > 250 && dice.throw(10) > 0;
        let seed = belongs && dice.throw(2) == 0;
        let gender = if dice.throw(2) == 0 { "f" } else { "m" };
        let (visits, answer) = (dice.throw(50), u8::from(seed));
        writeln!(text, "u{user},{spend},{visits},{country},{gender},{answer},,same")
            .expect("text grows");
    }
    project.write("data/customers.csv", text);
    project.ok(&["ingest", "profiles", "data/customers.csv", "--key", "user_id"]);
    project.segment("buyers", "SELECT profile_id FROM profiles WHERE answer = 1\n");
    project.segment("everybody", "SELECT profile_id FROM profiles\n");
    project.segment("nobody", "SELECT profile_id FROM profiles WHERE spend < 0\n");
    project.segment("ten", "SELECT profile_id FROM profiles WHERE profile_id < 10\n");
    project.segment("women", "SELECT profile_id FROM profiles WHERE gender = 'f'\n");
    project.write(
        "sql/features/attributes.sql",
        "SELECT profile_id, spend, visits, country, gender, answer, nothing, always FROM profiles\n",
    );
    project.ok(&["build"]);
    project
}

fn left_out(report: &Value, column: &str) -> String {
    let all = report["left_out"].as_array().expect("a list");
    let found = all.iter().find(|out| out["column"] == column);
    found.unwrap_or_else(|| panic!("{column} was used: {all:?}"))["why"].to_string()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one audience, from its seed to all that is made of it")]
fn a_look_alike_finds_those_who_belong_and_is_kept_as_a_segment() {
    let project = shop();
    let report = project.json(&[
        "lookalike",
        "buyers",
        "--as",
        "like_buyers",
        "--size",
        "150",
        "--exclude",
        "women",
        "--scores",
        "scores.parquet",
        "--save-model",
        "model.json",
        "--report",
        "report.html",
        "--why",
        "user_id=u7",
        "--threads",
        "1",
    ]);
    has_fields(
        &report,
        &["seed", "candidates", "model", "metrics", "size", "threshold", "top_features", "reach"],
    );
    assert_eq!(
        (report["size"].as_u64(), report["audience"]["build"].as_i64()),
        (Some(150), Some(2))
    );
    assert!(report["metrics"]["auc"].as_f64().expect("a number") > 0.8, "{report:#}");
    assert!(report["metrics"]["lift"]["10"].as_f64().expect("a number") > 2.5, "{report:#}");
    assert!(left_out(&report, "answer").contains("seed's own SQL"));
    assert!(left_out(&report, "nothing").contains("always missing"));
    assert!(left_out(&report, "always").contains("same value"));
    let top: Vec<&Value> =
        report["top_features"].as_array().expect("a list").iter().map(|f| &f["feature"]).collect();
    assert!(
        top[..2].contains(&&Value::from("spend")) && top[..2].contains(&&Value::from("country"))
    );
    assert!(report["explanation"]["contributions"].as_array().is_some_and(|c| !c.is_empty()));
    // Sizes are exact, and neither seed nor excluded are in.
    let members = "SELECT count(*) FROM segments.like_buyers";
    assert_eq!(project.number(members), 150);
    for other in ["buyers", "women"] {
        let both =
            format!("{members} WHERE profile_id IN (SELECT profile_id FROM segments.{other})");
        assert_eq!(project.number(&both), 0, "{other}");
    }
    // It is a segment like any other.
    let listed = project.json(&["ls"]);
    let line = listed.as_array().expect("a list").iter().find(|l| l["name"] == "like_buyers");
    let line = line.expect("it is listed");
    assert_eq!((line["members"].as_u64(), &line["status"]), (Some(150), &Value::from("lookalike")));
    assert!(line["description"].as_str().is_some_and(|d| d.contains("Look-alikes of buyers")));
    let shown = project.json(&["show", "like_buyers"]);
    assert_eq!(shown["depends_on"], serde_json::json!(["buyers", "women"]));
    project.ok(&["export", "like_buyers", "--to", "out.csv", "--as", "csv", "--ids", "user_id"]);
    assert_eq!(project.read("out.csv").lines().count(), 151);
    project.segment("both", "SELECT profile_id FROM segments.like_buyers WHERE profile_id > 5\n");
    project.ok(&["build", "both"]);
    let page = project.read("report.html");
    assert!(
        page.contains("<svg") && page.contains("Reach against lift") && !page.contains("<script")
    );
    // Again, on two threads, and with the model that was kept: the same, to the bit.
    project.ok(&[
        "lookalike",
        "buyers",
        "--size",
        "150",
        "--exclude",
        "women",
        "--threads",
        "2",
        "--scores",
        "again.parquet",
    ]);
    assert_eq!(project.bytes("scores.parquet"), project.bytes("again.parquet"));
    project.ok(&[
        "lookalike",
        "buyers",
        "--exclude",
        "women",
        "--model",
        "model.json",
        "--scores",
        "third.parquet",
    ]);
    assert_eq!(project.bytes("scores.parquet"), project.bytes("third.parquet"));
}

#[test]
fn what_cannot_be_learnt_is_refused_with_a_reason() {
    let project = shop();
    let message = |args: &[&str]| {
        let error = project.error(args);
        assert!(!error["hints"].as_array().expect("hints").is_empty(), "{error}");
        error["message"].as_str().expect("a message").to_owned()
    };
    assert_eq!(message(&["lookalike", "nobody"]), "the seed nobody is empty");
    assert_eq!(
        message(&["lookalike", "ten"]),
        "the seed ten has 10 members; a look-alike needs 25"
    );
    assert_eq!(message(&["lookalike", "everybody"]), "everybody is in the seed everybody");
    assert!(message(&["lookalike", "byers"]).contains("no segment \"byers\""));
    assert!(message(&["lookalike", "buyers", "--size", "9999"]).contains("candidates"));
    assert!(
        message(&["lookalike", "buyers", "--min-lift", "900"]).contains("no audience has a lift")
    );
    assert!(message(&["lookalike", "buyers", "--exclude-columns", "spnd"]).contains("no feature"));
    assert!(message(&["lookalike", "buyers", "--as", "women"]).contains("already"));
    assert!(message(&["lookalike", "buyers", "--features", "attrib"]).contains("no features"));
    project.write("not.json", "{}");
    assert!(
        message(&["lookalike", "buyers", "--model", "not.json"]).contains("no look-alike model")
    );
    let all = "spend,visits,country,gender";
    assert!(
        message(&["lookalike", "buyers", "--exclude-columns", all]).contains("no feature is left")
    );
    project.write(
        "sql/features/twice.sql",
        "SELECT profile_id, spend AS again FROM profiles UNION ALL SELECT profile_id, spend + 1 FROM profiles\n",
    );
    assert!(message(&["lookalike", "buyers"]).contains("two rows for profile"));
    assert_eq!(project.json(&["ls"]).as_array().map(Vec::len), Some(5), "nothing was kept");
}

#[test]
fn a_seed_that_cannot_be_told_apart_is_said_to_be_so() {
    let project = shop();
    project.write(
        "sql/features/codes.sql",
        "SELECT profile_id, concat('w', profile_id % 400) AS code FROM profiles\n",
    );
    let notes = |seed: &str| {
        let report = project.json(&["lookalike", seed]);
        let lifts = report["top_features"].as_array().expect("a list").iter();
        for reason in lifts.map(|factor| factor["reason"].as_str().expect("a reason")) {
            assert!(!reason.contains(": 1.0x"), "{reason}");
        }
        report["notes"].to_string()
    };
    // What women buy is what men buy here; buyers are told from others by where they live.
    let women = notes("women");
    assert!(women.contains("nothing shows that these features tell the seed"), "{women}");
    assert!(women.contains("code: of its 400 different words the 253 most frequent"), "{women}");
    let buyers = notes("buyers");
    assert!(!buyers.contains("nothing shows"), "{buyers}");
}

#[test]
fn groups_are_compared_and_re_ranked_to_four_fifths() {
    let project = shop();
    let report = project.json(&["lookalike", "buyers", "--sensitive", "country", "--size", "200"]);
    let fair = &report["fairness"][0];
    assert!(left_out(&report, "country").contains("sensitive"));
    assert_eq!(fair["groups"].as_array().map(Vec::len), Some(6));
    let report =
        project.json(&["lookalike", "buyers", "--four-fifths", "country", "--size", "200"]);
    let fair = &report["fairness"][0];
    assert_eq!((&fair["four_fifths"], &fair["reranked"]), (&Value::from(true), &Value::from(true)));
    assert_eq!(report["size"].as_u64(), Some(200));
}

#[test]
fn without_feature_files_the_default_recipe_learns_from_what_there_is() {
    let project = Project::new();
    let mut dice = Dice::new(5);
    let mut customers = String::from("user_id,country\n");
    let mut events = String::from("user_id,ts,event,amount,product\n");
    for user in 0..1_500_u32 {
        let keen = user % 5 == 0;
        writeln!(customers, "u{user},{}", ["DE", "FR"][user as usize % 2]).expect("text grows");
        for _ in 0..(1 + dice.throw(3) + if keen { 4 } else { 0 }) {
            let product = dice.throw(30) + if keen { 0 } else { 20 };
            let (day, amount) = (1 + dice.throw(28), dice.throw(90));
            writeln!(events, "u{user},2026-10-{day:02} 10:00:00,purchase,{amount},p{product}")
                .expect("text grows");
        }
    }
    project.write("data/customers.csv", customers);
    project.write("data/events.csv", events);
    project.ok(&["ingest", "profiles", "data/customers.csv", "--key", "user_id"]);
    project.ok(&["ingest", "events", "data/events.csv", "--key", "user_id"]);
    // Half of the keen ones are known.
    project.segment("keen", "SELECT profile_id FROM profiles WHERE profile_id % 10 = 0\n");
    project.ok(&["build"]);
    let sql = project.ok(&["lookalike", "keen", "--show-features"]).stdout;
    assert!(sql.contains("days_since_event") && sql.contains("AS item"), "{sql}");
    let report = project.json(&["lookalike", "keen", "--as", "like_keen", "--size", "150"]);
    assert!(report["features"].as_u64().expect("a count") > 15, "{report:#}");
    let hidden = "SELECT count(*) FROM segments.like_keen WHERE profile_id % 10 = 5";
    assert!(project.number(hidden) > 110, "of 150, {}", project.number(hidden));
}
