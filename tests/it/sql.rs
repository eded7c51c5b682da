//! `throng sql` through a pipe: statements in, answers out, one after the other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use super::support::{Project, Run};

/// Runs `throng sql` with `input` on its stdin.
fn piped(project: &Project, args: &[&str], input: &str) -> Run {
    let args: Vec<&str> = std::iter::once("sql").chain(args.iter().copied()).collect();
    let mut command = project.command(&args);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it listens");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Run {
        args: args.join(" "),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
    }
}

fn lines(run: &Run) -> Vec<Value> {
    let values = run.stdout.lines().map(serde_json::from_str);
    values.collect::<Result<_, _>>().unwrap_or_else(|e| panic!("{e}: {run:#?}"))
}

fn shop() -> Project {
    let project = Project::with_shop();
    project.segment("buyers", "SELECT profile_id FROM events WHERE event = 'purchase'");
    project.ok(&["build"]);
    project
}

#[test]
fn each_statement_has_one_line_of_json() {
    let input = "SELECT country, count(*) AS n FROM profiles\n  WHERE plan = 'premium' GROUP BY 1 ORDER BY 1;\n\
                 .count buyers\n\
                 .count SELECT profile_id -- all; of them\nFROM profiles;\n\
                 SELECT count(*) AS n FROM segments.buyers; .timer off\n\
                 .members buyers\n\
                 SELECT 1 WHERE false";
    let run = piped(&shop(), &["--format", "json"], input);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let lines = lines(&run);
    assert_eq!(lines[0], json!([{"country": "DE", "n": 1}, {"country": "FR", "n": 1}]));
    assert_eq!(lines[1], json!({"members": 2}));
    assert_eq!(lines[2], json!({"members": 4}));
    assert_eq!(lines[3], json!([{"n": 2}]));
    assert_eq!(lines[4], json!({"timer": "off"}));
    assert_eq!(lines[5]["members"], 2);
    assert_eq!(lines[6], json!([]));
    assert_eq!(lines.len(), 7);
}

#[test]
fn a_statement_that_fails_is_told_and_the_session_goes_on() {
    let input = "SELECT nothing FROM profiles;\n.cuont buyers\n.count buyers\n";
    let run = piped(&shop(), &["--format", "json"], input);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let lines = lines(&run);
    assert!(lines[0]["error"]["message"].as_str().is_some_and(|m| m.contains("nothing")));
    assert_eq!(lines[1]["error"]["hints"], json!(["did you mean .count?"]));
    assert_eq!(lines[2], json!({"members": 2}));
    // For people the error is no result.
    let run = piped(&shop(), &[], "SELECT nothing FROM profiles;\n.count buyers\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "2\n"));
    assert!(run.stderr.contains("error: ") && run.stderr.contains("nothing"), "{run:#?}");
    let run = piped(&shop(), &["--bail", "--format", "json"], "SELECT x;\n.count buyers\n");
    assert_eq!((run.code, run.stdout.lines().count()), (Some(1), 1), "{run:#?}");
    let run = piped(&shop(), &["--format", "json"], "SELECT x;\n.quit\n.count buyers\n");
    assert_eq!((run.code, run.stdout.lines().count()), (Some(1), 1), "{run:#?}");
}

#[test]
fn answers_look_as_the_format_says() {
    let run = piped(&shop(), &["--format", "csv"], "SELECT 1 AS a, 'x,y' AS b;\n.count buyers\n");
    assert_eq!(run.stdout, "a,b\n1,\"x,y\"\nmembers\n2\n");
    let run = piped(&shop(), &[], ".format json\n.count buyers\n.format csv\n.count buyers\n");
    assert_eq!(run.stdout, "{\"format\":\"json\"}\n{\"members\":2}\nformat\ncsv\nmembers\n2\n");
    let help = piped(&shop(), &[], ".help\n");
    assert!(help.stdout.contains(".count NAME|SQL"), "{help:#?}");
    let tables = piped(&shop(), &["--format", "json"], ".tables\n\\dt\n");
    let lines = lines(&tables);
    assert_eq!(lines[0], lines[1]);
    let columns = lines[0].as_array().expect("columns");
    assert!(columns.iter().any(|c| c["table"] == "profiles" && c["column"] == "country"));
}

#[test]
fn a_bitmap_is_written_and_an_edited_segment_is_seen() {
    let project = shop();
    let input = ".export out.roar buyers\n\
                 .export all.roar SELECT profile_id\nFROM profiles;\n";
    let run = piped(&project, &["--format", "json"], input);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(
        lines(&run)[0],
        json!({"members": 2, "file": "out.roar", "bytes": project.bytes("out.roar").len()})
    );
    project.ok(&["import", "again", "all.roar", "--as", "roaring", "--ids", "profile_id"]);
    assert_eq!(project.ids("again"), [0, 1, 2, 3]);
    project.segment("buyers", "SELECT profile_id FROM events");
    let explained = piped(&project, &["--format", "json"], ".count buyers\n.explain buyers\n");
    assert_eq!(lines(&explained)[0], json!({"members": 3}));
    assert_eq!(lines(&explained)[1]["leaves"][0]["kind"], "events");
}

#[test]
fn a_build_in_the_session_is_a_build() {
    let project = shop();
    project.segment("viewers", "SELECT profile_id FROM events WHERE event = 'view'");
    let input = ".build buyers\n.build\n.build 'view*' --full\n.count viewers\n.build --ful\n";
    let run = piped(&project, &["--format", "json"], input);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let lines = lines(&run);
    let statuses = |line: &Value| -> Vec<(String, String)> {
        let segments = line["segments"].as_array().expect("segments").iter();
        let text = |s: &Value, field: &str| s[field].as_str().expect("text").to_owned();
        segments.map(|s| (text(s, "name"), text(s, "status"))).collect()
    };
    let pair = |name: &str, status: &str| (name.to_owned(), status.to_owned());
    assert_eq!(statuses(&lines[0]), [pair("buyers", "reused")]);
    assert_eq!(statuses(&lines[1]), [pair("buyers", "reused"), pair("viewers", "built")]);
    assert_eq!(statuses(&lines[2]), [pair("viewers", "built")]);
    assert_eq!(lines[2]["build"].as_i64(), lines[1]["build"].as_i64().map(|n| n + 1));
    assert_eq!(lines[3], json!({"members": 3}));
    assert_eq!(lines[4]["error"]["message"], ".build has no --ful");
    assert_eq!(project.ids("viewers"), [0, 1, 2]);
    // One that fails fails the session, and says why.
    project.segment("viewers", "SELECT profile_id FROM evnts");
    let run = piped(&project, &[], ".build\n");
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stdout.contains("stale") && run.stderr.contains("events"), "{run:#?}");
}

/// A session that a program drives.
struct Driven {
    child: Child,
    stdin: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Driven {
    fn new(project: &Project) -> Self {
        let mut command = project.command(&["sql", "--format", "json"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
        let stdin = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdin, answers }
    }

    /// The answer comes while stdin is open.
    fn ask(&mut self, statement: &str) -> Value {
        writeln!(self.stdin, "{statement}").expect("it listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }
}

#[test]
fn a_program_gets_each_answer_at_once_and_sees_what_others_commit() {
    let project = shop();
    let mut session = Driven::new(&project);
    assert_eq!(
        session.ask(".count SELECT profile_id FROM events WHERE event = 'view';"),
        json!({"members": 3})
    );
    project.write(
        "data/more.csv",
        "user_id,ts,event,amount,product\nu4,2026-10-31 10:00:00,view,,lamp\n",
    );
    project.ok(&["ingest", "events", "data/more.csv", "--key", "user_id"]);
    assert_eq!(
        session.ask(".count SELECT profile_id FROM events WHERE event = 'view';"),
        json!({"members": 4})
    );
    assert_eq!(session.ask("SELECT count(*) AS n FROM events;"), json!([{"n": 8}]));
    drop(session.stdin);
    assert_eq!(session.child.wait().expect("it ends").code(), Some(0));
}
