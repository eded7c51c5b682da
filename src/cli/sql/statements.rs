//! Lines become statements: SQL up to a semicolon, and commands that begin with a dot or a backslash.
//!
//! Lines come in as they are typed or read; what is complete comes out at once, so that a program at the
//! other end of a pipe gets its answer before it writes on. Nothing here runs anything.

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// A query, without its semicolon.
    Sql(String),
    /// A command, its name without the dot, and what follows it.
    Command {
        /// The name.
        name: String,
        /// The rest, without white space around it and without a semicolon.
        argument: String,
    },
}

/// The commands whose argument may be SQL over many lines, and how many words stand before it.
const TAKES_SQL: [(&str, usize); 4] = [("count", 0), ("members", 0), ("explain", 0), ("export", 1)];

/// Text that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Statements {
    pending: String,
}

impl Statements {
    /// Takes `line` in and gives the statements that it completes.
    pub(super) fn push(&mut self, line: &str) -> Vec<Statement> {
        self.pending.push_str(line);
        self.pending.push('\n');
        let mut complete = Vec::new();
        while let Some((text, rest)) = self.next() {
            self.pending = rest;
            complete.extend(statement(&text));
        }
        complete
    }

    /// Whether nothing is pending: the next line begins a statement.
    pub(super) fn is_between(&self) -> bool {
        code(&self.pending).is_empty()
    }

    /// Forgets what is pending.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }

    /// What is pending at the end of the input: a last statement may lack its semicolon.
    pub(super) fn finish(&mut self) -> Option<Statement> {
        statement(&std::mem::take(&mut self.pending))
    }

    /// The first statement of what is pending, and the text behind it.
    fn next(&self) -> Option<(String, String)> {
        let text = &self.pending;
        let start = text.len() - code(text).len();
        if let Some(command) = text[start..].strip_prefix(['.', '\\']) {
            let line = command.lines().next().unwrap_or_default();
            let name = line.split_whitespace().next().unwrap_or_default().trim_end_matches(';');
            let before = TAKES_SQL.iter().find(|(known, _)| *known == name).map(|(_, n)| n + 1);
            let is_sql = before.is_some_and(|words| line.split_whitespace().count() > words + 1);
            if !is_sql {
                let end = text[start..].find('\n')? + start;
                return Some((text[start..end].to_owned(), text[end + 1..].to_owned()));
            }
        }
        let end = semicolon(&text[start..])? + start;
        Some((text[start..end].to_owned(), text[end + 1..].to_owned()))
    }
}

/// The statement that `text` is; nothing where it is white space and comments.
fn statement(text: &str) -> Option<Statement> {
    let text = code(text).trim();
    if text.is_empty() {
        return None;
    }
    let Some(command) = text.strip_prefix(['.', '\\']) else {
        return Some(Statement::Sql(text.to_owned()));
    };
    let command = command.trim().trim_end_matches(';').trim_end();
    let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    Some(Statement::Command { name: name.to_owned(), argument: argument.trim().to_owned() })
}

/// `text` from the first character on that is neither white space nor of a comment.
fn code(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let behind = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, behind)| behind)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            // One that is open is not white space yet.
            let Some((_, behind)) = comment.split_once("*/") else { return rest };
            behind
        } else {
            return rest;
        };
        rest = behind.trim_start();
    }
}

/// Where the first semicolon of `text` is that stands in no quotes and no comment.
fn semicolon(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        match (c, next) {
            (';', _) => return Some(at),
            // A doubled quote ends one text and begins the next.
            ('\'' | '"', _) => _ = chars.by_ref().find(|(_, other)| *other == c)?,
            ('-', Some('-')) => _ = chars.by_ref().find(|(_, other)| *other == '\n')?,
            ('/', Some('*')) => {
                let end = text[at + 2..].find("*/")? + at + 3;
                _ = chars.by_ref().find(|(other, _)| *other == end)?;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sql(text: &str) -> Statement {
        Statement::Sql(text.to_owned())
    }

    fn command(name: &str, argument: &str) -> Statement {
        Statement::Command { name: name.to_owned(), argument: argument.to_owned() }
    }

    fn all(text: &str) -> Vec<Statement> {
        let mut statements = Statements::default();
        let mut found: Vec<_> = text.lines().flat_map(|line| statements.push(line)).collect();
        found.extend(statements.finish());
        found
    }

    #[test]
    fn a_statement_ends_at_a_semicolon_and_a_line_may_have_two() {
        assert_eq!(all("SELECT 1\n + 2;SELECT 3;"), [sql("SELECT 1\n + 2"), sql("SELECT 3")]);
        assert_eq!(all("SELECT 1"), [sql("SELECT 1")]);
        assert_eq!(all(" ;; \n-- nothing\n/* at all */"), []);
    }

    #[test]
    fn a_semicolon_in_quotes_or_a_comment_ends_nothing() {
        let text = "SELECT 'a;''b;' AS \"x;y\" -- not; here\n /* nor; here */ + 1";
        assert_eq!(all(&format!("{text};")), [sql(text)]);
        assert_eq!(all("-- don't\nSELECT 1;"), [sql("SELECT 1")]);
        assert_eq!(all("SELECT 'open; SELECT 2;"), [sql("SELECT 'open; SELECT 2;")]);
    }

    #[test]
    fn a_command_is_a_line_unless_it_takes_sql() {
        assert_eq!(all(".timer on\nSELECT 1;"), [command("timer", "on"), sql("SELECT 1")]);
        assert_eq!(all(".count vip\n\\q"), [command("count", "vip"), command("q", "")]);
        let many = ".count SELECT profile_id\nFROM profiles;.quit";
        let expected = [command("count", "SELECT profile_id\nFROM profiles"), command("quit", "")];
        assert_eq!(all(many), expected);
        let export = ".export a.roar vip\n.export b.roar SELECT profile_id\nFROM events;";
        let written = "b.roar SELECT profile_id\nFROM events";
        assert_eq!(all(export), [command("export", "a.roar vip"), command("export", written)]);
        assert_eq!(all(".count vip;"), [command("count", "vip")]);
    }

    #[test]
    fn a_statement_is_given_as_soon_as_it_is_complete() {
        let mut statements = Statements::default();
        assert_eq!(statements.push("SELECT 1; SELECT"), [sql("SELECT 1")]);
        assert!(!statements.is_between());
        assert_eq!(statements.push("2;"), [sql("SELECT\n2")]);
        assert!(statements.is_between());
        statements.push("SELECT 3");
        statements.clear();
        assert_eq!(statements.finish(), None);
    }

    proptest! {
        #[test]
        fn no_text_is_lost_however_it_is_cut(parts in prop::collection::vec("[a-z'\";\\-\n/*. ]{0,12}", 0..6)) {
            let text = parts.concat();
            let mut whole = Statements::default();
            let mut expected = whole.push(&text);
            expected.extend(whole.finish());
            // A line at a time gives the same statements, but for where a command ends.
            if !text.contains('.') {
                prop_assert_eq!(all(&text), expected);
            }
        }
    }
}
