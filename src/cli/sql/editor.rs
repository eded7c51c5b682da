//! The line that is being typed: its text, the cursor, the lines before it, and completion.
//!
//! A state machine without a terminal: keys go in, and what is to be shown can be asked. The prompt
//! draws it.

use super::keys::Key;

/// Lines that are remembered.
const HISTORY_MAX: usize = 1_000;

/// A line that is being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    text: String,
    /// Where in the text, in bytes.
    cursor: usize,
    history: Vec<String>,
    /// The line of the history that is shown; the one behind the last is new.
    place: usize,
    /// The new line, while another is shown.
    kept: String,
    /// What Ctrl-R looks for.
    wanted: Option<String>,
}

/// What a key led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// The line looks another way.
    Changed,
    /// The line may become one of these words.
    Choices(Vec<String>),
    /// The line is complete.
    Entered(String),
    /// It is given up.
    Interrupted,
    /// There will be no more lines.
    Ended,
    /// The screen is to be cleared.
    Cleared,
}

impl Editor {
    /// An editor that remembers `history`, the oldest line first.
    pub(super) fn new(mut history: Vec<String>) -> Self {
        history.drain(..history.len().saturating_sub(HISTORY_MAX));
        Self { history, ..Self::default() }
    }

    /// The text, and the part of it before the cursor.
    pub(super) fn shown(&self) -> (&str, &str) {
        (&self.text, &self.text[..self.cursor])
    }

    /// Remembers `line`, unless it is the same again. Says whether it is new.
    pub(super) fn remember(&mut self, line: &str) -> bool {
        if line.trim().is_empty() || self.history.last().is_some_and(|last| last == line) {
            return false;
        }
        self.history.push(line.to_owned());
        true
    }

    /// Begins a new line.
    pub(super) fn begin(&mut self) {
        self.text.clear();
        self.cursor = 0;
        self.place = self.history.len();
        self.wanted = None;
    }

    /// Takes `key` in; `words` are those that a line may be completed with.
    pub(super) fn press(&mut self, key: Key, words: &dyn Fn(&str) -> Vec<String>) -> Edit {
        if key != Key::Search {
            self.wanted = None;
        }
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Paste(text) => self.insert(&text),
            Key::Enter => return Edit::Entered(std::mem::take(&mut self.text)),
            Key::Tab => return self.complete(words),
            Key::Interrupt => return Edit::Interrupted,
            Key::Eof if self.text.is_empty() => return Edit::Ended,
            Key::Clear => return Edit::Cleared,
            Key::Backspace => self.remove(self.left(), self.cursor),
            Key::Delete | Key::Eof => self.remove(self.cursor, self.right()),
            Key::KillWord => self.remove(self.word_left(), self.cursor),
            Key::KillStart => self.remove(self.line_start(), self.cursor),
            Key::KillEnd => self.remove(self.cursor, self.line_end()),
            Key::Left => self.cursor = self.left(),
            Key::Right => self.cursor = self.right(),
            Key::WordLeft => self.cursor = self.word_left(),
            Key::WordRight => self.cursor = self.word_right(),
            Key::Home => self.cursor = self.line_start(),
            Key::End => self.cursor = self.line_end(),
            Key::Up => self.recall(self.place.checked_sub(1)),
            Key::Down => self.recall(self.place.checked_add(1)),
            Key::Search => self.search(),
            Key::Other => {}
        }
        Edit::Changed
    }

    fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    fn remove(&mut self, start: usize, end: usize) {
        self.text.replace_range(start..end, "");
        self.cursor = start;
    }

    fn left(&self) -> usize {
        self.text[..self.cursor].char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn right(&self) -> usize {
        self.text[self.cursor..].chars().next().map_or(self.cursor, |c| self.cursor + c.len_utf8())
    }

    fn word_left(&self) -> usize {
        let before = self.text[..self.cursor].trim_end_matches(|c: char| !is_word(c));
        before.trim_end_matches(is_word).len()
    }

    fn word_right(&self) -> usize {
        let behind = self.text[self.cursor..].trim_start_matches(|c: char| !is_word(c));
        self.text.len() - behind.trim_start_matches(is_word).len()
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    /// Shows line `place` of the history, or the new one behind it.
    fn recall(&mut self, place: Option<usize>) {
        let Some(place) = place.filter(|place| *place <= self.history.len()) else { return };
        if self.place == self.history.len() {
            self.kept.clone_from(&self.text);
        }
        self.text = self.history.get(place).unwrap_or(&self.kept).clone();
        self.place = place;
        self.cursor = self.text.len();
    }

    /// Shows the next earlier line that has what was typed.
    fn search(&mut self) {
        let wanted = self.wanted.take().unwrap_or_else(|| self.text.clone());
        let earlier = &self.history[..self.place.min(self.history.len())];
        if let Some(place) = earlier.iter().rposition(|line| line.contains(&wanted)) {
            self.recall(Some(place));
        }
        self.wanted = Some(wanted);
    }

    /// Completes the word before the cursor as far as its completions agree.
    fn complete(&mut self, words: &dyn Fn(&str) -> Vec<String>) -> Edit {
        let before = &self.text[..self.cursor];
        let start = before.trim_end_matches(is_part).len();
        let typed = before[start..].to_lowercase();
        let mut choices: Vec<String> = words(&before[..start]);
        choices.retain(|word| word.to_lowercase().starts_with(&typed) && word.len() > typed.len());
        choices.sort_unstable();
        choices.dedup();
        let Some(common) = common(&choices) else { return Edit::Changed };
        if common.len() > typed.len() {
            self.remove(start, self.cursor);
            self.insert(&common);
            return Edit::Changed;
        }
        Edit::Choices(choices)
    }
}

/// What all of `words` begin with; nothing where there are none.
fn common(words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let mut common = first.as_str();
    for word in rest {
        let same = common.chars().zip(word.chars()).take_while(|(a, b)| a == b);
        common = &common[..same.map(|(c, _)| c.len_utf8()).sum()];
    }
    Some(common.to_owned())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `c` is part of what is completed: names have dots.
fn is_part(c: char) -> bool {
    is_word(c) || c == '.'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(_before: &str) -> Vec<String> {
        ["profiles", "profile_id", "segments.vip", "SELECT"].map(str::to_owned).to_vec()
    }

    fn press(editor: &mut Editor, keys: &[Key]) -> Edit {
        let mut last = Edit::Changed;
        for key in keys {
            last = editor.press(key.clone(), &words);
        }
        last
    }

    fn typed(text: &str) -> Vec<Key> {
        text.chars().map(Key::Char).collect()
    }

    #[test]
    fn letters_go_in_at_the_cursor() {
        let mut editor = Editor::default();
        press(&mut editor, &typed("SELCT ä"));
        press(&mut editor, &[Key::Home, Key::Right, Key::Right, Key::Right, Key::Char('E')]);
        assert_eq!(editor.shown(), ("SELECT ä", "SELE"));
        press(&mut editor, &[Key::End, Key::Backspace, Key::Char('1')]);
        assert_eq!(press(&mut editor, &[Key::Enter]), Edit::Entered("SELECT 1".to_owned()));
    }

    #[test]
    fn words_and_ends_can_be_removed() {
        let mut editor = Editor::default();
        press(&mut editor, &typed("count(a, b_c)"));
        press(&mut editor, &[Key::KillWord]);
        assert_eq!(editor.shown().0, "count(a, ");
        press(&mut editor, &[Key::WordLeft, Key::KillEnd]);
        assert_eq!(editor.shown().0, "count(");
        press(&mut editor, &[Key::KillStart]);
        assert_eq!(press(&mut editor, &[Key::Eof]), Edit::Ended);
    }

    #[test]
    fn earlier_lines_come_back_and_the_new_one_is_not_lost() {
        let mut editor = Editor::new(vec!["SELECT 1;".to_owned(), ".help".to_owned()]);
        editor.begin();
        press(&mut editor, &typed("new"));
        press(&mut editor, &[Key::Up, Key::Up, Key::Up]);
        assert_eq!(editor.shown().0, "SELECT 1;");
        press(&mut editor, &[Key::Down, Key::Down, Key::Down]);
        assert_eq!(editor.shown().0, "new");
        press(&mut editor, &[Key::KillStart, Key::Char('1'), Key::Search]);
        assert_eq!(editor.shown().0, "SELECT 1;");
        assert!(!editor.remember(".help") && editor.remember("SELECT 2;"));
    }

    #[test]
    fn a_word_is_completed_as_far_as_it_is_clear() {
        let mut editor = Editor::default();
        press(&mut editor, &typed("sel"));
        press(&mut editor, &[Key::Tab]);
        assert_eq!(editor.shown().0, "SELECT");
        press(&mut editor, &typed(" pro"));
        press(&mut editor, &[Key::Tab]);
        assert_eq!(editor.shown().0, "SELECT profile");
        let choices = Edit::Choices(vec!["profile_id".to_owned(), "profiles".to_owned()]);
        assert_eq!(press(&mut editor, &[Key::Tab]), choices);
        press(&mut editor, &typed("s, segments.v"));
        press(&mut editor, &[Key::Tab]);
        assert_eq!(editor.shown().0, "SELECT profiles, segments.vip");
    }

    proptest! {
        #[test]
        fn no_key_breaks_a_letter_in_two(keys in prop::collection::vec(0..16_usize, 0..60)) {
            let all = [
                Key::Char('a'), Key::Char('ß'), Key::Char('😀'), Key::Char(' '), Key::Left, Key::Right,
                Key::WordLeft, Key::WordRight, Key::Home, Key::End, Key::Backspace, Key::Delete,
                Key::KillWord, Key::KillEnd, Key::Paste("ä\nb".to_owned()), Key::Up,
            ];
            let mut editor = Editor::new(vec!["ö".to_owned()]);
            editor.begin();
            for key in keys {
                editor.press(all[key].clone(), &words);
                let (text, before) = editor.shown();
                prop_assert!(text.starts_with(before));
            }
        }
    }
}
