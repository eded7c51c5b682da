//! Encoded features are kept beside the tables: whatever becomes of them, the same is found.

use std::path::PathBuf;

use serde_json::Value;

use super::lookalike::shop;
use super::support::Project;

/// The look-alikes of `seed` with these flags, and the bytes of all scores.
fn look(project: &Project, seed: &str, more: &[&str]) -> (Value, Vec<u8>) {
    let args = [&["lookalike", seed, "--scores", "scores.parquet"], more].concat();
    let report = project.json(&args);
    (report, project.bytes("scores.parquet"))
}

fn reused(report: &Value) -> Vec<&str> {
    report["reused"].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

/// The files of all sets, by path.
fn kept(project: &Project) -> Vec<PathBuf> {
    let folder = project.path("store/_throng_features");
    let Ok(sets) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = sets.flat_map(|set| std::fs::read_dir(set.expect("a set").path()).expect("files"));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

fn set_of(file: &std::path::Path) -> String {
    let set = file.parent().and_then(|set| set.file_name()).expect("a set");
    set.to_string_lossy().into_owned()
}

#[test]
fn every_seed_reuses_what_one_encoded_and_finds_the_same() {
    let project = shop();
    let (first, scores) = look(&project, "buyers", &[]);
    assert!(reused(&first).is_empty(), "{first:#}");
    assert_eq!(kept(&project).len(), 2, "a head and a chunk: {:?}", kept(&project));
    let (again, same) = look(&project, "buyers", &["--threads", "1"]);
    assert_eq!((reused(&again), &same), (vec!["attributes"], &scores));
    // Another seed, other columns, other folds: the women are more than a thousand.
    let (women, with) = look(&project, "women", &["--exclude-columns", "visits"]);
    assert_eq!(reused(&women), ["attributes"]);
    // The model of a file encodes as it did, and so finds its columns too.
    look(&project, "buyers", &["--save-model", "model.json"]);
    let (model, by_model) = look(&project, "buyers", &["--model", "model.json"]);
    assert_eq!((reused(&model), &by_model), (vec!["attributes"], &scores));
    // Without any of them the same is found.
    std::fs::remove_dir_all(project.path("store/_throng_features")).expect("they are there");
    assert_eq!(look(&project, "women", &["--exclude-columns", "visits"]).1, with);
    assert_eq!(look(&project, "buyers", &[]).1, scores);
    std::fs::remove_dir_all(project.path("store/_throng_features")).expect("they are there");
    let (model, by_model) = look(&project, "buyers", &["--model", "model.json"]);
    assert!(reused(&model).is_empty() && by_model == scores);
}

#[test]
fn what_is_damaged_or_gone_is_made_anew() {
    let project = shop();
    let scores = look(&project, "buyers", &[]).1;
    for damage in 0..5 {
        let files = kept(&project);
        let (chunk, head) = (&files[0], &files[1]);
        assert!(head.ends_with("head") && chunk.ends_with("00000"), "{files:?}");
        let mut bytes = std::fs::read(if damage < 3 { chunk } else { head }).expect("it is there");
        let place = bytes.len() / 2;
        match damage {
            0 => bytes[7] ^= 1,
            1 => bytes.truncate(place),
            2 => std::fs::remove_file(chunk).expect("it is there"),
            3 => bytes[place] ^= 1,
            _ => bytes.clear(),
        }
        if damage != 2 {
            std::fs::write(if damage < 3 { chunk } else { head }, bytes).expect("written");
        }
        assert_eq!(look(&project, "buyers", &[]).1, scores, "damage {damage}");
        let (again, same) = look(&project, "buyers", &[]);
        assert_eq!((reused(&again), same), (vec!["attributes"], scores.clone()), "{damage}");
    }
    // Where nothing can be kept, everything is in memory.
    std::fs::remove_dir_all(project.path("store/_throng_features")).expect("they are there");
    project.write("store/_throng_features", "no folder");
    let (report, same) = look(&project, "buyers", &[]);
    assert!(reused(&report).is_empty() && same == scores);
}

#[test]
fn sets_last_as_long_as_their_tables_their_sql_and_their_moment() {
    let project = shop();
    look(&project, "buyers", &[]);
    let old = set_of(&kept(&project)[0]);
    // A query that asks what time it is has a set for each moment.
    project.write(
        "sql/features/age.sql",
        "SELECT profile_id, date_part('epoch', now()) + spend AS age FROM profiles\n",
    );
    assert_eq!(reused(&look(&project, "buyers", &[]).0), ["attributes"]);
    assert_eq!(reused(&look(&project, "buyers", &[]).0), ["age", "attributes"]);
    let later = ["--as-of", "2026-12-01"];
    assert_eq!(reused(&look(&project, "buyers", &later).0), ["attributes"]);
    assert_eq!(reused(&look(&project, "buyers", &later).0), ["age", "attributes"]);
    // One that reads a segment has a set for each membership.
    project.write("sql/features/age.sql", "SELECT profile_id, 1 AS woman FROM segments.women\n");
    look(&project, "buyers", &[]);
    assert_eq!(reused(&look(&project, "buyers", &[]).0), ["age", "attributes"]);
    project.segment("women", "SELECT profile_id FROM profiles WHERE gender = 'f' AND visits > 9\n");
    project.ok(&["build", "women"]);
    assert_eq!(reused(&look(&project, "buyers", &[]).0), ["attributes"]);
    // New profiles: all sets are of old ones, and go once one of the new is there.
    project.write("data/new.csv", "user_id,spend,visits,country\nnew1,70,3,ES\n");
    project.ok(&["ingest", "profiles", "data/new.csv", "--key", "user_id"]);
    assert!(kept(&project).iter().any(|file| set_of(file) == old));
    let count = kept(&project).len() as u64;
    let dry = project.json(&["vacuum", "--dry-run"]);
    assert!(dry["files"].as_u64().is_some_and(|files| files >= count), "{dry:#}");
    assert_eq!(kept(&project).len() as u64, count);
    assert!(reused(&look(&project, "buyers", &[]).0).is_empty());
    assert!(kept(&project).iter().all(|file| set_of(file) != old), "{:?}", kept(&project));
    assert_eq!(kept(&project).len(), 4);
    project.ok(&["vacuum"]);
    assert_eq!(kept(&project).len(), 4);
    assert_eq!(reused(&look(&project, "buyers", &[]).0), ["age", "attributes"]);
}

#[test]
fn audiences_of_one_build_share_what_one_encoded() {
    let project = shop();
    for (name, seed) in [("like_buyers", "buyers"), ("like_women", "women")] {
        project.ok(&["lookalike", seed, "--as", name, "--size", "100"]);
    }
    project.write("data/new.csv", "user_id,spend,visits,country\nnew1,70,3,ES\n");
    project.ok(&["ingest", "profiles", "data/new.csv", "--key", "user_id"]);
    let run = project.ok(&["build", "-v"]);
    let said = run.stderr.matches("reused").count();
    assert_eq!(said, 1, "{}", run.stderr);
    assert_eq!(kept(&project).len(), 2);
}
