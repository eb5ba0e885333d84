//! Config space as the text that `lspci -F` reads.

use std::fmt::Write;

use crate::slot::FunctionNumber;

/// Returns one function's config space in the form of `lspci -xxxx`: a line with an address and a
/// name, then lines of 16 bytes, and an empty line at the end.
#[must_use]
pub fn hex_dump(number: FunctionNumber, name: &str, config_space: &[u8]) -> String {
    let mut dump = format!("00:00.{number} {name}\n");
    for (line, bytes) in config_space.chunks(16).enumerate() {
        // Writing to a string does not fail.
        let _ = write!(dump, "{:02x}:", 16 * line);
        for byte in bytes {
            let _ = write!(dump, " {byte:02x}");
        }
        dump.push('\n');
    }
    dump.push('\n');
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_sixteen_bytes_a_line() {
        let bytes: Vec<u8> = (0..0x22).collect();
        let dump = hex_dump(FunctionNumber::ALL[2], "test", &bytes);
        let lines: Vec<&str> = dump.lines().collect();
        assert_eq!(lines[0], "00:00.2 test");
        assert_eq!(
            lines[1],
            "00: 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
        );
        assert_eq!(lines[3], "20: 20 21");
        assert!(dump.ends_with("\n\n"));
    }
}
