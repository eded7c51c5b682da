//! What each statement of `throng sql` does, and how its answer looks.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;

use crate::engine::{BuildOptions, Engine, Leaves, WarmSession};
use crate::error::{Error, Result, nearest};
use crate::model::AsOf;

use super::super::Outcome;
use super::super::args::clock;
use super::super::output::{Output, bytes, count, error_json, plural, render, table};
use super::super::progress::Bar;
use super::super::{build, explain, ls};
use super::statements::Statement;

/// The commands: other names, what they take, what they do.
pub(super) const COMMANDS: [Command; 16] = [
    Command::new("help", &["?", "h"], "", "these commands"),
    Command::new("tables", &["dt", "d"], "", "the tables and their columns"),
    Command::new("segments", &["ls"], "", "the segments and their sizes"),
    Command::new("count", &[], "NAME|SQL", "how many profiles a segment or a query has now"),
    Command::new("members", &[], "NAME|SQL", "the same, with the bitmap (base64) in JSON and CSV"),
    Command::new("export", &[], "FILE NAME|SQL", "writes the bitmap to FILE, portable roaring"),
    Command::new("explain", &[], "NAME|SQL", "how it is evaluated: leaves, and whom each has"),
    Command::new(
        "build",
        &[],
        "[SELECTOR ...] [--full]",
        "evaluates segments and keeps their memberships, as `throng build`",
    ),
    Command::new("timer", &["timing"], "on|off", "whether the time of each answer is told"),
    Command::new("as_of", &[], "TIME", "what now() is"),
    Command::new("leaves", &[], "on|off", "whether sets of leaves are kept between statements"),
    Command::new("warm", &[], "", "reads columns into memory until its share is full"),
    Command::new("memory", &[], "", "what is kept in memory"),
    Command::new("format", &[], "table|json|csv", "how answers look"),
    Command::new("version", &[], "", "the version of the store that answers see"),
    Command::new("quit", &["q", "exit"], "", "the end; so does Ctrl-D"),
];

/// A command of the prompt.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Command {
    /// The name, without a dot.
    pub(super) name: &'static str,
    #[serde(skip)]
    aliases: &'static [&'static str],
    takes: &'static str,
    does: &'static str,
}

impl Command {
    const fn new(
        name: &'static str,
        aliases: &'static [&'static str],
        takes: &'static str,
        does: &'static str,
    ) -> Self {
        Self { name, aliases, takes, does }
    }
}

/// What comes after a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next one.
    Done,
    /// The next one, but this one failed and was told about.
    Failed,
    /// The end.
    Quit,
}

/// Runs statements over a warm session.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    engine: Engine,
    pub(super) session: Arc<WarmSession>,
    output: Output,
    is_timed: bool,
}

impl Runner {
    pub(super) fn new(engine: Engine, session: WarmSession, output: Output) -> Self {
        Self { engine, session: Arc::new(session), output, is_timed: false }
    }

    /// Runs `statement` and writes its answer, or what is wrong with it.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub(super) async fn run(&mut self, statement: &Statement) -> Result<Next> {
        let start = Instant::now();
        let answered = match statement {
            Statement::Sql(sql) => self.query(sql).await,
            Statement::Command { name, argument } => match known(name) {
                Some(command) => self.command(command, argument).await,
                None => Err(unknown(name)),
            },
        };
        let next = match answered {
            Ok(next) => next,
            Err(error) => {
                self.failed(&error)?;
                Next::Failed
            }
        };
        if self.is_timed && next != Next::Quit {
            self.output.say(format!("{:.1} ms", start.elapsed().as_secs_f64() * 1e3));
        }
        Ok(next)
    }

    /// Tells about `error`. In JSON it is the statement's answer, so that answers stay one a statement.
    pub(super) fn failed(&self, error: &Error) -> Result<()> {
        if self.output.is_json() {
            return self.output.write(&format!("{}\n", json!({"error": error_json(error)})));
        }
        self.output.error(error);
        Ok(())
    }

    async fn query(&self, sql: &str) -> Result<Next> {
        let (schema, batches) = self.session.query(sql).await?;
        self.output.batches(&schema, &batches)?;
        Ok(Next::Done)
    }

    async fn command(&mut self, name: &str, argument: &str) -> Result<Next> {
        let output = &self.output;
        match name {
            "help" => output.list(&COMMANDS, help)?,
            "tables" => {
                let (schema, batches) = self.session.query(TABLES).await?;
                output.batches(&schema, &batches)?;
            }
            "segments" => output.list(&self.engine.list().await?, ls::text)?,
            "count" => {
                let what = needed(name, argument)?;
                let members = self.session.count(what).await?;
                output.one(&json!({"members": members}), |_| format!("{}\n", count(members)))?;
                // Whoever reads answers from a pipe did not ask for more.
                if members == 0 && output.is_table() {
                    for note in self.session.doubts(what).await? {
                        output.say(format!("note: {note}"));
                    }
                }
            }
            "members" => self.members(needed(name, argument)?).await?,
            "export" => self.export(argument).await?,
            "build" => return self.build(argument).await,
            "explain" => {
                let explained = self.session.explain(needed(name, argument)?).await?;
                output.one(&explained, explain::text)?;
            }
            "warm" | "memory" => {
                if name == "warm" {
                    self.session.preload().await?;
                }
                output.one(&self.session.usage().await?, |held| {
                    format!(
                        "columns {} of {}, leaves {} of {}\n",
                        bytes(held.columns_bytes as u64),
                        bytes(held.columns_bytes_max as u64),
                        bytes(held.leaves_bytes as u64),
                        bytes(held.leaves_bytes_max as u64)
                    )
                })?;
            }
            "version" => {
                let version = self.session.usage().await?.store_version;
                output.one(&json!({"store_version": version}), |_| format!("{version}\n"))?;
            }
            "quit" => return Ok(Next::Quit),
            _ => self.set(name, argument).await?,
        }
        Ok(Next::Done)
    }

    /// Changes a setting, and answers with it.
    async fn set(&mut self, name: &str, argument: &str) -> Result<()> {
        match name {
            "timer" => self.is_timed = is_on(name, argument)?,
            "leaves" => {
                let is_on = is_on(name, argument)?;
                self.session.keep_leaves(if is_on { Leaves::Kept } else { Leaves::Dropped }).await;
            }
            "format" => self.output.set_format(argument)?,
            _ => self.session.set_as_of(AsOf::parse(needed(name, argument)?)?).await,
        }
        self.output.one(&json!({name: argument}), |_| String::new())
    }

    async fn members(&self, what: &str) -> Result<()> {
        let members = self.session.members(what).await?;
        let value =
            json!({"members": members.members, "roaring": STANDARD.encode(&members.bitmap)});
        self.output.one(&value, |_| {
            format!("{}; .export FILE writes them\n", plural(members.members, "member"))
        })
    }

    async fn build(&self, argument: &str) -> Result<Next> {
        let (flags, selectors): (Vec<&str>, Vec<&str>) =
            argument.split_whitespace().partition(|word| word.starts_with("--"));
        if let Some(flag) = flags.iter().find(|flag| **flag != "--full") {
            return Err(Error::input(format!(".build has no {flag}"))
                .with_hint(".build vip 'win_*' --full; .as_of TIME says what now() is"));
        }
        let bare = |word: &str| word.trim_matches(['\'', '"']).to_owned();
        let options = BuildOptions {
            selectors: selectors.into_iter().map(bare).collect(),
            as_of: None,
            full: !flags.is_empty(),
        };
        let bar = Bar::counted(&self.output, "building segments");
        let on_done = |done: usize, total: usize, _: &str| bar.set(done as u64, total as u64);
        let report = self.session.build(&options, clock(), &on_done).await?;
        drop(bar);
        match build::show(&report, &self.output)? {
            Outcome::Done => Ok(Next::Done),
            Outcome::Failed => Ok(Next::Failed),
        }
    }

    async fn export(&self, argument: &str) -> Result<()> {
        let (file, what) = argument.split_once(char::is_whitespace).ok_or_else(|| {
            Error::input(".export wants a file and a segment or a query")
                .with_hint(".export vip.roar vip")
        })?;
        let members = self.session.members(what.trim()).await?;
        std::fs::write(Path::new(file), &members.bitmap)
            .map_err(|e| Error::unavailable(format!("{file} cannot be written: {e}")))?;
        let size = members.bitmap.len();
        let value = json!({"members": members.members, "file": file, "bytes": size});
        self.output.one(&value, |_| {
            format!("{} in {file}, {}\n", plural(members.members, "member"), bytes(size as u64))
        })
    }
}

/// The columns of the tables that hold data; what is `DataFusion`'s own is left out.
const TABLES: &str = "SELECT table_name AS \"table\", column_name AS \"column\", data_type AS type \
                      FROM information_schema.columns \
                      WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";

fn known(name: &str) -> Option<&'static str> {
    let is_it = |c: &&Command| c.name == name || c.aliases.contains(&name);
    COMMANDS.iter().find(is_it).map(|c| c.name)
}

fn unknown(name: &str) -> Error {
    let error = Error::input(format!("there is no command .{name}"));
    match nearest(name, COMMANDS.iter().map(|c| c.name)) {
        Some(near) => error.with_hint(format!("did you mean .{near}?")),
        None => error.with_hint(".help lists the commands; a query ends with a semicolon"),
    }
}

fn needed<'a>(name: &str, argument: &'a str) -> Result<&'a str> {
    if argument.is_empty() {
        let takes = COMMANDS.iter().find(|c| c.name == name).map_or("", |c| c.takes);
        return Err(Error::input(format!(".{name} wants {takes}")));
    }
    Ok(argument)
}

fn is_on(name: &str, argument: &str) -> Result<bool> {
    match argument {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Error::input(format!(".{name} wants on or off"))),
    }
}

fn help(commands: &[Command]) -> String {
    let mut rows = table(&["command", "does"]);
    for command in commands {
        rows.add_row([
            format!(".{} {}", command.name, command.takes).trim_end().to_owned(),
            command.does.to_owned(),
        ]);
    }
    format!("{}SQL ends with a semicolon, and so does a command with SQL in it.\n", render(&rows))
}
