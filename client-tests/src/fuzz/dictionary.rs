//! Words that a target knows, in libFuzzer's form: one line for each, in quotes, with `\xNN` for
//! bytes that are not letters, and `#` before comments.

use anyhow::{Context, Result, bail};

/// Returns the words of a dictionary.
///
/// # Errors
/// A line does not have this form.
pub fn parse(text: &str) -> Result<Vec<Vec<u8>>> {
    let lines = text.lines().map(str::trim);
    let words = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    words
        .map(|line| word(line).with_context(|| format!("{line} is no word of a dictionary")))
        .collect()
}

fn word(line: &str) -> Result<Vec<u8>> {
    let (_, quoted) = line.split_once('"').context("a quote is missing")?;
    let inside = quoted.strip_suffix('"').context("a quote is missing")?;
    let mut letters = inside.bytes();
    let mut word = Vec::new();
    while let Some(letter) = letters.next() {
        if letter != b'\\' {
            word.push(letter);
            continue;
        }
        match letters.next() {
            Some(plain @ (b'\\' | b'"')) => word.push(plain),
            Some(b'x') => {
                let digits: Vec<u8> = letters.by_ref().take(2).collect();
                let digits = String::from_utf8(digits)?;
                word.push(u8::from_str_radix(&digits, 16)?);
            }
            other => bail!("\\ before {other:?}"),
        }
    }
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_libfuzzer_reads_them() {
        let words = parse("# remark\n\"a\\\"b\\\\\"\n\nkey=\"\\x00\\xff\"\n").unwrap();
        assert_eq!(words, [b"a\"b\\".to_vec(), vec![0, 0xff]]);
        for bad in ["word", "\"open", "\"\\n\"", "\"\\xg0\""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
