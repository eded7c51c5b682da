//! What the tests share: a project in a temporary folder, and the real binary run in it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The moment that test projects are pinned to.
pub(crate) const AS_OF: &str = "2026-11-01T00:00:00Z";

/// The smallest shards there can be, and the as-of above.
const CONFIG: &str = "as_of = \"2026-11-01\"\n[store]\nshard = 65536\n";

/// A project in a folder that goes when it is dropped.
pub(crate) struct Project {
    folder: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) args: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    /// An empty project with small shards, pinned to [`AS_OF`].
    pub(crate) fn new() -> Self {
        Self::with_config(CONFIG)
    }

    /// An empty project with this `throng.toml`.
    pub(crate) fn with_config(config: &str) -> Self {
        let project = Self::empty_folder();
        project.write("throng.toml", config);
        project
    }

    /// A folder that is no project yet.
    pub(crate) fn empty_folder() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Four profiles (`u1` to `u4`) and seven events, ingested.
    pub(crate) fn with_shop() -> Self {
        let project = Self::new();
        project.write("data/customers.csv", CUSTOMERS);
        project.write("data/orders.csv", ORDERS);
        project.ok(&[
            "ingest",
            "profiles",
            "data/customers.csv",
            "--key",
            "user_id",
            "--key",
            "email",
        ]);
        project.ok(&["ingest", "events", "data/orders.csv", "--key", "user_id"]);
        project
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file below the project.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let folder = path.parent().expect("a file has a folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    /// Another project with the same configuration, SQL files and store.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::empty_folder();
        for part in ["throng.toml", "sql", "store"] {
            copy_all(&self.path(part), &copy.path(part));
        }
        copy
    }

    /// Writes `sql/segments/NAME.sql`.
    pub(crate) fn segment(&self, name: &str, sql: &str) {
        self.write(&format!("sql/segments/{name}.sql"), sql);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a text file")
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("a file")
    }

    /// The command, ready to be run in the project's folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        command.args(args).current_dir(self.root()).stdin(Stdio::null());
        command.env_remove("COLUMNS").env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
        command
    }

    /// Runs a command, however it ends.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        let output = self.command(args).output().expect("the binary runs");
        Run {
            args: args.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, Some(0), "{run:#?}");
        run
    }

    /// Runs a command that must fail with exit code 1.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, Some(1), "{run:#?}");
        run
    }

    /// Runs a command with `--format json`: the one value on its stdout.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.ok(&with_json(args)).value()
    }

    /// Runs a command that must fail: the object below `error` on its stderr.
    #[track_caller]
    pub(crate) fn error(&self, args: &[&str]) -> Value {
        let run = self.fails(&with_json(args));
        let value: Value =
            serde_json::from_str(&run.stderr).unwrap_or_else(|e| panic!("{e}: {run:#?}"));
        value["error"].clone()
    }

    /// The rows of a query.
    #[track_caller]
    pub(crate) fn rows(&self, sql: &str) -> Vec<Value> {
        let Value::Array(rows) = self.json(&["query", sql]) else { panic!("no rows: {sql}") };
        rows
    }

    /// The rows of a query as CSV, without the header.
    #[track_caller]
    pub(crate) fn csv(&self, sql: &str) -> Vec<String> {
        let run = self.ok(&["query", sql, "--format", "csv"]);
        run.stdout.lines().skip(1).map(str::to_owned).collect()
    }

    /// The one number of a query.
    #[track_caller]
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let row = self.csv(sql);
        row[0].parse().unwrap_or_else(|e| panic!("{e}: {row:?}"))
    }

    /// What `status` says, which two equal stores say alike.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.json(&["status"])
    }

    /// The outcome of one segment of a build report.
    #[track_caller]
    pub(crate) fn ids(&self, segment: &str) -> Vec<i64> {
        let sql = format!("SELECT profile_id FROM segments.{segment} ORDER BY 1");
        self.csv(&sql).iter().map(|id| id.parse().expect("an id")).collect()
    }
}

impl Run {
    /// The JSON value on stdout.
    #[track_caller]
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

/// Copies a file or a folder with all that is in it.
pub(crate) fn copy_all(from: &Path, to: &Path) {
    if !from.is_dir() {
        std::fs::copy(from, to).expect("a copied file");
        return;
    }
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        copy_all(&from.join(&name), &to.join(&name));
    }
}

fn with_json<'a>(args: &[&'a str]) -> Vec<&'a str> {
    args.iter().copied().chain(["--format", "json"]).collect()
}

/// The rows of a table in a status.
#[track_caller]
pub(crate) fn table_rows(status: &Value, table: &str) -> u64 {
    let tables = status["tables"].as_array().expect("tables");
    let found = tables.iter().find(|t| t["name"] == table).expect("the table");
    found["rows"].as_u64().expect("a count")
}

/// The segment `name` of a build report.
#[track_caller]
pub(crate) fn segment_of<'a>(report: &'a Value, name: &str) -> &'a Value {
    let segments = report["segments"].as_array().expect("segments");
    segments.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"))
}

/// Every object in a field list is there.
#[track_caller]
pub(crate) fn has_fields(value: &Value, fields: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value:#}"));
    for field in fields {
        assert!(object.contains_key(*field), "no field {field} in {value:#}");
    }
}

/// A CSV file of `rows` events: `user_id,ts,event,amount,note`, users `PREFIX0` to `PREFIX{users-1}`.
pub(crate) fn events_csv(prefix: &str, users: u32, rows: u32) -> String {
    let mut text = String::from("user_id,ts,event,amount,note\n");
    for row in 0..rows {
        let (user, day, event) =
            (row % users, row % 28 + 1, ["view", "purchase"][row as usize % 2]);
        writeln!(text, "{prefix}{user},2026-10-{day:02} 10:00:00,{event},{row}.5,{prefix} {row}")
            .expect("text grows");
    }
    text
}

/// Repeatable chance (Marsaglia's xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice that `seed`, which is not 0, decides.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `below`.
    pub(crate) fn throw(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// One of `all`.
    pub(crate) fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.throw(all.len() as u64)).expect("few")]
    }
}

const CUSTOMERS: &str = "\
user_id,email,country,plan
u1,Ann@Example.com,DE,free
u2,bob@example.com,FR,premium
u3,,DE,premium
u4,dan@example.com,,free
";

const ORDERS: &str = "\
user_id,ts,event,amount,product
u1,2026-10-01 09:00:00,purchase,300.5,lamp
u1,2026-10-20 10:00:00,purchase,250,chair
u2,2026-03-01 12:00:00,purchase,900,sofa
u2,2026-10-30 08:00:00,view,,cup
u3,2026-10-31 23:59:59,view,,lamp
u3,2026-10-31 23:59:59,view,,lamp
u1,2026-09-01 10:00:00,view,,lamp
";
