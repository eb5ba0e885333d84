//! `dormouse config-space`: the config space as the hex that lspci writes and reads.

use std::fmt::Write;

use super::args::Setting;
use super::failure::Failure;
use super::profiles;

pub fn run(name_or_file: &str, set: &[Setting]) -> Result<(), Failure> {
    let profile = profiles::find(name_or_file, set)?;
    super::print(dump(profile.name(), profile.config_space()))
}

/// The format of `lspci -xxxx`: the function's address and name, then 16 bytes to a line, then a
/// blank line.
fn dump(name: &str, bytes: &[u8]) -> String {
    let mut text = format!("00:00.0 {name}\n");
    for (line, chunk) in bytes.chunks(16).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{:02x}:", line * 16);
        for byte in chunk {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_lspci() {
        let text = dump("x", &(0..=255).cycle().take(272).collect::<Vec<u8>>());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "00:00.0 x");
        assert_eq!(
            lines[2],
            "10: 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f"
        );
        assert_eq!(
            lines[17],
            "100: 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
        );
        assert_eq!(lines[18], "");
    }
}
