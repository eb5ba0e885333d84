//! Text of clients, guests and files in lines that others read.
//!
//! A character that begins a line, moves the cursor or changes the order of characters would let a
//! client write what seems to be the server's. Each is replaced by its escape: `\n`, `\u{9b}`.

use std::fmt::{self, Write};

/// Ends a text that was cut.
const CUT: char = '…';

/// Returns whether the character does something to the text beside it: a control character (C0, DEL,
/// C1), a separator of lines, or a format character such as a change of direction.
const fn acts(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f'
        | '\x7f'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Takes text, escapes it and cuts it at a number of bytes. Counts a quotation mark and a backslash
/// twice, since JSON needs two bytes for them.
#[derive(Debug)]
pub(crate) struct Escaped<W> {
    to: W,
    left: usize,
    taken: usize,
    cut: bool,
}

impl<W: Write> Escaped<W> {
    /// Writes at most `most` bytes to `to`, which is to be 3 at least.
    pub(crate) const fn new(to: W, most: usize) -> Self {
        Self {
            to,
            left: most.saturating_sub(CUT.len_utf8()),
            taken: 0,
            cut: false,
        }
    }

    /// Returns the bytes that were written.
    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }

    /// Writes all of these, or nothing.
    fn put(&mut self, chars: impl Iterator<Item = char> + Clone) -> fmt::Result {
        let size = |c: char| {
            if c == '"' || c == '\\' {
                2
            } else {
                c.len_utf8()
            }
        };
        let size: usize = chars.clone().map(size).sum();
        if size > self.left {
            return Err(fmt::Error);
        }
        self.left -= size;
        self.taken += size;
        chars.into_iter().try_for_each(|c| self.to.write_char(c))
    }
}

impl<W: Write> Write for Escaped<W> {
    /// Fails when the text is cut, so that its source stops.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let written = match c {
                '\n' | '\r' | '\t' => self.put(c.escape_default()),
                c if acts(c) => self.put(c.escape_unicode()),
                c => self.put(std::iter::once(c)),
            };
            if written.is_err() {
                if self.cut {
                    return Err(fmt::Error);
                }
                (self.cut, self.left) = (true, 0);
                self.taken += CUT.len_utf8();
                self.to.write_char(CUT)?;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// Returns `text` escaped and cut at `most` bytes.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) fn escaped(text: fmt::Arguments<'_>, most: usize) -> String {
    let mut result = String::new();
    // An error says that the text is cut, which shows.
    let _ = Escaped::new(&mut result, most).write_fmt(text);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str, most: usize) -> String {
        escaped(format_args!("{text}"), most)
    }

    #[test]
    fn what_acts_is_shown_and_does_not_act() {
        for (text, shown) in [
            (
                "plain text, also plain: äß€ 日本 🙂",
                "plain text, also plain: äß€ 日本 🙂",
            ),
            ("a\nb\r\tc", r"a\nb\r\tc"),
            ("\x1b[31mred\x1b[0m", r"\u{1b}[31mred\u{1b}[0m"),
            ("\u{9b}31m\u{85}\x7f\0", r"\u{9b}31m\u{85}\u{7f}\u{0}"),
            (
                "\u{202e}evil\u{2028}\u{2066}",
                r"\u{202e}evil\u{2028}\u{2066}",
            ),
            ("\u{200b}\u{feff}\u{e0041}", r"\u{200b}\u{feff}\u{e0041}"),
        ] {
            assert_eq!(short(text, 100), shown);
            assert_eq!(short(&short(text, 100), 100), shown, "it stays so");
        }
    }

    #[test]
    fn a_text_is_cut_at_its_bytes_and_its_source_stops() {
        assert_eq!(short("12345678", 8), "12345…");
        assert_eq!(short("12345", 8), "12345");
        assert_eq!(short("€€€", 8), "€…");
        assert_eq!(short("1234\n", 8), "1234…", "no half of an escape");
        assert_eq!(short(r#""""""#, 8), r#"""…"#, "JSON doubles them");
        let text = "x".repeat(1 << 20);
        let mut counted = Escaped::new(String::new(), 100);
        assert!(counted.write_str(&text).is_err());
        assert!(counted.write_str(&text).is_err());
        assert!(counted.to.len() == 100, "{}", counted.to);
    }
}
