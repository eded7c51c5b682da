//! What a terminal in raw mode sends, as keys: letters, the names of other keys, pasted text.

use std::io::{self, Read};

/// A key, or text that was pasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter.
    Char(char),
    /// Text that was pasted whole; its line breaks are part of it.
    Paste(String),
    /// The end of the line.
    Enter,
    /// Completion.
    Tab,
    /// The letter before the cursor goes.
    Backspace,
    /// The letter at the cursor goes.
    Delete,
    /// A letter to the left.
    Left,
    /// A letter to the right.
    Right,
    /// A word to the left.
    WordLeft,
    /// A word to the right.
    WordRight,
    /// The start of the line.
    Home,
    /// Its end.
    End,
    /// The earlier line.
    Up,
    /// The later line.
    Down,
    /// The word before the cursor goes.
    KillWord,
    /// What is before the cursor goes.
    KillStart,
    /// What is behind it goes.
    KillEnd,
    /// An earlier line that has what was typed.
    Search,
    /// The screen is cleared.
    Clear,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or the end of the input.
    Eof,
    /// Anything else.
    Other,
}

/// The bytes around pasted text, where the terminal marks it.
const PASTE_END: &str = "\x1b[201~";

/// The next key of `input`.
pub(super) fn read(input: &mut impl Read) -> io::Result<Key> {
    let Some(byte) = next(input)? else { return Ok(Key::Eof) };
    Ok(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x7f | 0x08 => Key::Backspace,
        0x1b => escape(input)?,
        0x01..=0x1a => control(byte + b'`'),
        0x20..=0x7e => Key::Char(char::from(byte)),
        first => letter(first, input)?.map_or(Key::Other, Key::Char),
    })
}

fn control(letter: u8) -> Key {
    match letter {
        b'a' => Key::Home,
        b'b' => Key::Left,
        b'c' => Key::Interrupt,
        b'd' => Key::Eof,
        b'e' => Key::End,
        b'f' => Key::Right,
        b'k' => Key::KillEnd,
        b'l' => Key::Clear,
        b'n' => Key::Down,
        b'p' => Key::Up,
        b'r' => Key::Search,
        b'u' => Key::KillStart,
        b'w' => Key::KillWord,
        _ => Key::Other,
    }
}

/// What follows an escape: `[`, digits and semicolons, and a letter or a tilde.
fn escape(input: &mut impl Read) -> io::Result<Key> {
    let kind = next(input)?;
    if !matches!(kind, Some(b'[' | b'O')) {
        return Ok(match kind {
            Some(b'b') => Key::WordLeft,
            Some(b'f') => Key::WordRight,
            Some(0x7f) => Key::KillWord,
            _ => Key::Other,
        });
    }
    let mut digits = String::new();
    loop {
        let Some(byte) = next(input)? else { return Ok(Key::Eof) };
        if byte.is_ascii_digit() || byte == b';' {
            digits.push(char::from(byte));
            continue;
        }
        // With Ctrl or Alt held, arrows go by words.
        let by_word = matches!(digits.as_str(), "1;5" | "1;3");
        return Ok(match (byte, digits.as_str()) {
            (b'~', "200") => Key::Paste(pasted(input)?),
            (b'A', _) => Key::Up,
            (b'B', _) => Key::Down,
            (b'C', _) if by_word => Key::WordRight,
            (b'D', _) if by_word => Key::WordLeft,
            (b'C', _) => Key::Right,
            (b'D', _) => Key::Left,
            (b'H', _) | (b'~', "1" | "7") => Key::Home,
            (b'F', _) | (b'~', "4" | "8") => Key::End,
            (b'~', "3") => Key::Delete,
            _ => Key::Other,
        });
    }
}

fn pasted(input: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(PASTE_END.as_bytes()) {
        let Some(byte) = next(input)? else { break };
        bytes.push(byte);
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_suffix(PASTE_END).unwrap_or(&text);
    Ok(text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', "    "))
}

/// The letter whose first byte is `first`: UTF-8 says there how many follow.
fn letter(first: u8, input: &mut impl Read) -> io::Result<Option<char>> {
    let length = match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return Ok(None),
    };
    let mut bytes = vec![first];
    while bytes.len() < length {
        let Some(byte) = next(input)? else { return Ok(None) };
        bytes.push(byte);
    }
    Ok(std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next()))
}

fn next(input: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut input = bytes;
        let mut keys = Vec::new();
        loop {
            match read(&mut input).expect("a slice reads") {
                Key::Eof => return keys,
                key => keys.push(key),
            }
        }
    }

    #[test]
    fn letters_are_those_of_unicode() {
        assert_eq!(keys("aß€😀".as_bytes()), "aß€😀".chars().map(Key::Char).collect::<Vec<_>>());
        assert_eq!(keys(b"\xff"), [Key::Other]);
    }

    #[test]
    fn other_keys_are_known_by_what_terminals_send() {
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[3~"), [Key::Up, Key::Down, Key::Delete]);
        assert_eq!(keys(b"\x1b[1;5C\x1bb\x1b[H"), [Key::WordRight, Key::WordLeft, Key::Home]);
        assert_eq!(
            keys(b"\x03\x12\x15\r"),
            [Key::Interrupt, Key::Search, Key::KillStart, Key::Enter]
        );
    }

    #[test]
    fn pasted_lines_are_one_text() {
        let typed = b"\x1b[200~SELECT 1\r\n  + 2;\x1b[201~x";
        assert_eq!(keys(typed), [Key::Paste("SELECT 1\n  + 2;".to_owned()), Key::Char('x')]);
    }
}
