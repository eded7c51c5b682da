//! A prompt on a terminal: lines are typed, edited and remembered; Ctrl-C stops a line or a statement.
//!
//! The terminal is raw only while a line is typed. Answers are written, and statements are stopped, as
//! in any other command.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossterm::terminal::{disable_raw_mode, enable_raw_mode, size};
use unicode_width::UnicodeWidthChar as _;

use crate::error::{Error, Result};

use super::super::Outcome;
use super::super::output::Output;
use super::commands::{COMMANDS, Next, Runner};
use super::editor::{Edit, Editor};
use super::keys;
use super::statements::Statements;

const FIRST: &str = "throng> ";
const FURTHER: &str = "   ...> ";

/// Words of SQL that are completed.
const KEYWORDS: [&str; 44] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT JOIN",
    "USING",
    "ON",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "EXISTS",
    "BETWEEN",
    "LIKE",
    "ILIKE",
    "IS NULL",
    "IS NOT NULL",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "INTERVAL",
    "DISTINCT",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "WITH",
    "OVER",
    "PARTITION BY",
    "FILTER",
    "ASC",
    "DESC",
    "TRUE",
    "FALSE",
    "NULL",
    "TIMESTAMP",
];

/// Asks for statements until the end, and answers them.
pub(super) async fn run(mut runner: Runner, output: &Output) -> Result<Outcome> {
    let history = History::load();
    let mut editor = Editor::new(history.lines());
    let mut statements = Statements::default();
    let mut words = Arc::new(Words::of(&runner).await);
    output.say("statements end with a semicolon; .help lists the commands, .quit or Ctrl-D ends");
    let mut typed = String::new();
    loop {
        let prompt = if statements.is_between() { FIRST } else { FURTHER };
        let read = tokio::task::spawn_blocking(move || {
            let line = read_line(&mut editor, prompt, &words);
            (editor, words, line)
        });
        let line;
        (editor, words, line) =
            read.await.map_err(|e| Error::internal(format!("the prompt stopped: {e}")))?;
        match line? {
            Line::Ended => return Ok(Outcome::Done),
            Line::Interrupted => {
                statements.clear();
                typed.clear();
            }
            Line::Entered(line) => {
                typed.push_str(if typed.is_empty() { "" } else { "\n" });
                typed.push_str(&line);
                let complete = statements.push(&line);
                if statements.is_between() {
                    if editor.remember(&typed) {
                        history.append(&typed);
                    }
                    typed.clear();
                }
                for statement in complete {
                    // Ctrl-C stops what runs, and not the program.
                    let next = tokio::select! {
                        next = runner.run(&statement) => next?,
                        _ = tokio::signal::ctrl_c() => Next::Failed,
                    };
                    if next == Next::Quit {
                        return Ok(Outcome::Done);
                    }
                }
            }
        }
    }
}

/// What may be completed.
#[derive(Debug, Default)]
struct Words {
    names: Vec<String>,
    segments: Vec<String>,
}

impl Words {
    /// The words of the session; none where they cannot be had, which a query will then say.
    async fn of(runner: &Runner) -> Self {
        let Ok(mut names) = runner.session.words().await else { return Self::default() };
        names.extend(KEYWORDS.map(str::to_owned));
        let segments = names.iter().filter_map(|name| name.strip_prefix("segments."));
        Self { segments: segments.map(str::to_owned).collect(), names }
    }

    /// The words that may stand behind `before`.
    fn behind(&self, before: &str) -> Vec<String> {
        let start = before.trim_start();
        if start.is_empty() {
            let commands = COMMANDS.iter().map(|c| format!(".{}", c.name));
            return commands.chain(self.names.iter().cloned()).collect();
        }
        // Behind `.count` and its like stands a segment, or a query.
        let is_name = start.starts_with('.') && !start.trim().contains(char::is_whitespace);
        let segments = self.segments.iter().filter(|_| is_name);
        self.names.iter().chain(segments).cloned().collect()
    }
}

/// How a line ended.
enum Line {
    Entered(String),
    Interrupted,
    Ended,
}

/// The terminal in raw mode, until it is dropped.
struct Raw;

impl Raw {
    fn on() -> io::Result<Self> {
        enable_raw_mode()?;
        // Pasted text comes marked, so that its line breaks are not taken for Enter.
        write!(io::stdout(), "\x1b[?2004h")?;
        Ok(Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _gone = write!(io::stdout(), "\x1b[?2004l").and_then(|()| io::stdout().flush());
        let _gone = disable_raw_mode();
    }
}

fn read_line(editor: &mut Editor, prompt: &str, words: &Words) -> Result<Line> {
    let failed = |e: io::Error| Error::unavailable(format!("the terminal does not answer: {e}"));
    let raw = Raw::on().map_err(failed)?;
    let line = typed_line(editor, prompt, words).map_err(failed);
    drop(raw);
    line
}

fn typed_line(editor: &mut Editor, prompt: &str, words: &Words) -> io::Result<Line> {
    editor.begin();
    let mut screen = Screen::default();
    screen.draw(prompt, editor)?;
    let mut input = io::stdin().lock();
    loop {
        let key = keys::read(&mut input)?;
        let whole = editor.shown().0.to_owned();
        match editor.press(key, &|before| words.behind(before)) {
            Edit::Changed => {}
            Edit::Cleared => {
                write!(io::stdout(), "\x1b[2J\x1b[H")?;
                screen = Screen::default();
            }
            Edit::Choices(choices) => {
                screen.leave(prompt, &whole)?;
                write!(io::stdout(), "{}\r\n", choices.join("  "))?;
                screen = Screen::default();
            }
            Edit::Entered(line) => {
                screen.leave(prompt, &line)?;
                return Ok(Line::Entered(line));
            }
            Edit::Interrupted => {
                screen.leave(prompt, &format!("{whole}^C"))?;
                return Ok(Line::Interrupted);
            }
            Edit::Ended => {
                screen.leave(prompt, "")?;
                return Ok(Line::Ended);
            }
        }
        screen.draw(prompt, editor)?;
    }
}

/// Where the line stands on the screen.
#[derive(Debug, Default)]
struct Screen {
    /// The row of the cursor, from that of the prompt.
    row: usize,
}

impl Screen {
    fn draw(&mut self, prompt: &str, editor: &Editor) -> io::Result<()> {
        let (text, before) = editor.shown();
        let columns = columns();
        let (last, end) = place(prompt, text, columns);
        let (row, column) = place(prompt, before, columns);
        // Terminals wait at the right edge; the next row must be there to stand in.
        let is_at_edge = end == 0 && last > 0 && !text.ends_with('\n');
        let next_row = if is_at_edge { "\r\n" } else { "" };
        let up = moved(last - row, 'A');
        let right = moved(column, 'C');
        write!(io::stdout(), "{}{}{next_row}{up}\r{right}", self.back(), shown(prompt, text))?;
        self.row = row;
        io::stdout().flush()
    }

    /// Draws `text` for the last time and goes to the row below it.
    fn leave(&mut self, prompt: &str, text: &str) -> io::Result<()> {
        write!(io::stdout(), "{}{}\r\n", self.back(), shown(prompt, text))?;
        self.row = 0;
        io::stdout().flush()
    }

    /// What brings the cursor to the prompt's row and empties the screen from there.
    fn back(&self) -> String {
        format!("{}\r\x1b[J", moved(self.row, 'A'))
    }
}

/// What moves the cursor by `n` rows or columns.
fn moved(n: usize, direction: char) -> String {
    if n > 0 { format!("\x1b[{n}{direction}") } else { String::new() }
}

fn shown(prompt: &str, text: &str) -> String {
    format!("{prompt}{}", text.replace('\n', &format!("\r\n{FURTHER}")))
}

/// The row and the column behind `text`, in a window of `columns`.
fn place(prompt: &str, text: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, prompt.len());
    for c in text.chars() {
        if c == '\n' {
            (row, column) = (row + 1, FURTHER.len());
            continue;
        }
        let width = c.width().unwrap_or(0);
        if column + width > columns {
            (row, column) = (row + 1, 0);
        }
        column += width;
        if column == columns {
            (row, column) = (row + 1, 0);
        }
    }
    (row, column)
}

fn columns() -> usize {
    size().map_or(80, |(columns, _)| usize::from(columns)).max(20)
}

/// The lines of earlier sessions, in a file: one a line, its line breaks written `\n`.
#[derive(Debug)]
struct History(Option<PathBuf>);

impl History {
    /// Where the platform keeps such things: `$XDG_STATE_HOME`, or else `~/.local/state`.
    fn load() -> Self {
        let folder =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let state = folder("XDG_STATE_HOME")
            .or_else(|| folder("LOCALAPPDATA"))
            .or_else(|| Some(folder("HOME")?.join(".local/state")));
        Self(state.map(|state| state.join("throng/history")))
    }

    fn lines(&self) -> Vec<String> {
        let text = self.0.as_deref().and_then(|file| std::fs::read_to_string(file).ok());
        text.unwrap_or_default().lines().map(unescaped).collect()
    }

    /// Adds `line`. A folder that cannot be written is no reason to end a session.
    fn append(&self, line: &str) {
        let Some(file) = self.0.as_deref() else { return };
        let add = |file: &Path| -> io::Result<()> {
            std::fs::create_dir_all(file.parent().unwrap_or(file))?;
            let mut open = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
            writeln!(open, "{}", escaped(line))
        };
        if let Err(error) = add(file) {
            tracing::debug!(%error, "the history is not kept");
        }
    }
}

fn escaped(line: &str) -> String {
    line.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => text.push(match chars.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            }),
            (other, false) => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cursor_stands_where_the_terminal_puts_it() {
        assert_eq!(place("> ", "abc", 10), (0, 5));
        assert_eq!(place("> ", "abcdefgh", 10), (1, 0));
        assert_eq!(place("> ", "abcdefghij", 10), (1, 2));
        assert_eq!(place("> ", "a\nbc", 20), (1, FURTHER.len() + 2));
        // A wide letter does not fit into the last column.
        assert_eq!(place("> ", "abcdefg漢", 10), (1, 2));
    }

    #[test]
    fn segments_are_completed_behind_a_command() {
        let words = Words {
            names: vec!["segments.vip".to_owned(), "events".to_owned()],
            segments: vec!["vip".to_owned()],
        };
        assert!(words.behind("").contains(&".count".to_owned()));
        assert!(words.behind(".count ").contains(&"vip".to_owned()));
        assert!(!words.behind("SELECT ").contains(&"vip".to_owned()));
    }

    proptest! {
        #[test]
        fn a_line_survives_the_history(line in "[a\\\\n\n']{0,20}") {
            prop_assert_eq!(unescaped(&escaped(&line)), line.clone());
            prop_assert!(!escaped(&line).contains('\n'));
        }
    }
}
