//! Where a thing that an error speaks of stands in the SQL: its words and literals, comments aside.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// A line and a column, both from 1.
pub(super) type Position = (u64, u64);

/// The tokens of a text, without comments and blanks.
#[derive(Debug)]
pub(super) struct Tokens(Vec<TokenWithSpan>);

impl Tokens {
    /// The tokens of `sql`, as far as it can be read.
    pub(super) fn of(sql: &str) -> Self {
        let mut tokens = Vec::new();
        let mut reader = Tokenizer::new(&GenericDialect {}, sql);
        // What stands before a quote that is not closed is read all the same.
        let _as_far_as_it_goes = reader.tokenize_with_location_into_buf(&mut tokens);
        tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
        Self(tokens)
    }

    /// The first name or keyword that is `word`, in any case.
    pub(super) fn word(&self, word: &str) -> Option<Position> {
        self.position(|token| is_word(token, word))
    }

    /// The first text in quotes that is `value`, or else has it within.
    pub(super) fn literal(&self, value: &str) -> Option<Position> {
        let text = |token: &Token| match token {
            Token::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        };
        self.position(|token| text(token).as_deref() == Some(value)).or_else(|| {
            let within = |text: String| !value.is_empty() && text.contains(value);
            self.position(|token| text(token).is_some_and(within))
        })
    }

    /// The first call of one of `names`.
    pub(super) fn call(&self, names: &[&str]) -> Option<Position> {
        let is_call = |pair: &&[TokenWithSpan]| {
            names.iter().any(|name| is_word(&pair[0].token, name)) && pair[1].token == Token::LParen
        };
        self.0.windows(2).find(is_call).map(|pair| begin(&pair[0]))
    }

    /// The first place where these words and signs stand one behind the other, in any case.
    pub(super) fn phrase(&self, parts: &[&str]) -> Option<Position> {
        self.phrase_at(parts).map(|at| begin(&self.0[at]))
    }

    /// The last part of the first place where `parts` stand one behind the other.
    pub(super) fn end_of(&self, parts: &[&str]) -> Option<Position> {
        self.phrase_at(parts).map(|at| begin(&self.0[at + parts.len() - 1]))
    }

    /// The tokens behind the first place where `parts` stand one behind the other.
    pub(super) fn behind(&self, parts: &[&str]) -> Self {
        let from = self.phrase_at(parts).map_or(self.0.len(), |at| at + parts.len());
        Self(self.0[from..].to_vec())
    }

    /// The first of the tokens.
    pub(super) fn first(&self) -> Option<Position> {
        self.0.first().map(begin)
    }

    /// The word or sign before `position`, as it is written.
    pub(super) fn before(&self, position: Position) -> Option<String> {
        self.0.iter().take_while(|t| begin(t) < position).last().map(|t| t.token.to_string())
    }

    /// The words or signs before and behind the one at `position`, as they are written.
    pub(super) fn around(&self, position: Position) -> Option<(String, String)> {
        let three = self.0.windows(3).find(|three| begin(&three[1]) == position)?;
        Some((three[0].token.to_string(), three[2].token.to_string()))
    }

    /// The segment `name`, as a table or in a call of `in_segment`.
    pub(super) fn segment(&self, name: &str) -> Option<Position> {
        let is_table = |three: &&[TokenWithSpan]| {
            is_word(&three[0].token, "segments")
                && three[1].token == Token::Period
                && is_word(&three[2].token, name)
        };
        let table = self.0.windows(3).find(is_table).map(|three| begin(&three[2]));
        table.or_else(|| self.literal(name)).or_else(|| self.word(name))
    }

    /// What stands in quotes in `message`, in the order of the message.
    pub(super) fn named_in(&self, message: &str) -> Option<Position> {
        ['\'', '"'].into_iter().find_map(|quote| {
            let quoted = message.split(quote).skip(1).step_by(2);
            quoted
                .filter(|text| !text.is_empty())
                .find_map(|text| self.literal(text).or_else(|| self.word(text)))
        })
    }

    /// Whether a word of the text is `word`.
    pub(super) fn has(&self, word: &str) -> bool {
        self.word(word).is_some()
    }

    fn phrase_at(&self, parts: &[&str]) -> Option<usize> {
        let is_here = |run: &[TokenWithSpan]| {
            run.iter().zip(parts).all(|(t, part)| t.token.to_string().eq_ignore_ascii_case(part))
        };
        self.0.windows(parts.len()).position(is_here)
    }

    fn position(&self, is_it: impl Fn(&Token) -> bool) -> Option<Position> {
        self.0.iter().find(|t| is_it(&t.token)).map(begin)
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.value.eq_ignore_ascii_case(word))
}

fn begin(token: &TokenWithSpan) -> Position {
    (token.span.start.line, token.span.start.column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_outside_comments_and_longer_words() {
        let tokens = Tokens::of("-- ctry\nSELECT ctry_code, 'ctry', ctry");
        assert_eq!(tokens.word("ctry"), Some((2, 27)));
        assert_eq!(tokens.literal("ctry"), Some((2, 19)));
        assert_eq!(tokens.named_in("no 'nope' and no 'ctry'"), Some((2, 19)));
        assert_eq!(Tokens::of("SELECT ctry, 'open").word("ctry"), Some((1, 8)));
    }

    #[test]
    fn calls_phrases_and_segments_have_places() {
        let tokens =
            Tokens::of("SELECT sum, Sum (a) FROM segments.\"win-back\" WHERE a NOT  IN (1)");
        assert_eq!(tokens.call(&["avg", "sum"]), Some((1, 13)));
        assert_eq!(tokens.phrase(&["not", "in", "("]), Some((1, 54)));
        assert_eq!(tokens.segment("win-back"), Some((1, 35)));
        assert_eq!(Tokens::of("in_segment('vip')").segment("vip"), Some((1, 12)));
        assert_eq!(tokens.before((1, 35)).as_deref(), Some("."));
        assert!(tokens.has("where") && !tokens.has("having"));
    }
}
