//! Which columns a query's words name: enough SQL to tell that a feature is made of what defines the
//! seed. A word is compared as it is written; nothing here plans a query.

use std::collections::BTreeSet;

/// A piece of SQL: words in lower case, everything else a character.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(char),
}

/// The tokens of `sql`, without comments and text in single quotes.
fn tokens(sql: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '-' if chars.peek() == Some(&'-') => {
                chars.by_ref().find(|c| *c == '\n');
            }
            '/' if chars.peek() == Some(&'*') => {
                let mut last = ' ';
                chars.by_ref().find(|&c| std::mem::replace(&mut last, c) == '*' && c == '/');
            }
            '\'' => {
                chars.by_ref().find(|c| *c == '\'');
            }
            '"' => {
                let word: String = chars.by_ref().take_while(|c| *c != '"').collect();
                found.push(Token::Word(word.to_lowercase()));
            }
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                found.push(Token::Word(word.to_lowercase()));
            }
            c if c.is_whitespace() => {}
            c => found.push(Token::Sign(c)),
        }
    }
    found
}

/// The words of `sql` that are among `known`, in lower case.
pub(crate) fn columns_named(sql: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    let word = |token| match token {
        Token::Word(word) if known.contains(&word) => Some(word),
        _ => None,
    };
    tokens(sql).into_iter().filter_map(word).collect()
}

/// The outer select list of `sql`: each column's name, and the words that it is made of. Only names that
/// are written are told: not those of `*`.
pub(crate) fn select_list(sql: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut items: Vec<Vec<String>> = Vec::new();
    let mut depth = 0;
    let mut inside = false;
    for token in tokens(sql) {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            Token::Sign(',') if depth == 0 && inside => items.push(Vec::new()),
            Token::Word(word) if depth == 0 && word == "select" && !inside && items.is_empty() => {
                inside = true;
                items.push(Vec::new());
            }
            Token::Word(word) if depth == 0 && word == "from" => inside = false,
            Token::Word(word) if inside => {
                if let Some(item) = items.last_mut() {
                    item.push(word);
                }
            }
            _ => {}
        }
    }
    let named = |words: Vec<String>| Some((words.last()?.clone(), words.into_iter().collect()));
    items.into_iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> BTreeSet<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn only_columns_count_and_neither_text_nor_comments() {
        let known = words("amount plan country");
        let sql = "-- plan\nSELECT profile_id FROM events /* country */ WHERE \"Amount\" > 5 AND x = 'plan'";
        assert_eq!(columns_named(sql, &known), words("amount"));
    }

    #[test]
    fn a_select_list_tells_what_each_column_is_made_of() {
        let sql = "SELECT profile_id, count(*) AS n, sum(a.amount) FILTER (WHERE ts > now()) spent_90d, plan FROM events a WHERE b > 1";
        let list = select_list(sql);
        let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["profile_id", "n", "spent_90d", "plan"]);
        assert!(list[2].1.contains("amount") && !list[1].1.contains("amount"));
        assert!(select_list("WITH w AS (SELECT a, b FROM t) SELECT c AS d FROM w").len() == 1);
    }
}
