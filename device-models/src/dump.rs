//! Register dumps of real functions, as `lspci -x`, `-xxx` and `-xxxx` print them.
//!
//! [`parse`] reads the functions of a dump, and [`DumpedFunction::profile`] writes a profile of one.
//!
//! ```
//! use pci_device_models::dump;
//!
//! let text = "\
//! 03:00.0 Ethernet controller: Example
//! 00: 86 80 c9 10 06 04 10 00 01 00 00 02 10 00 00 00
//! 10: 00 00 80 e0 00 00 00 00 00 00 00 00 00 00 00 00
//! 20: 00 00 00 00 00 00 00 00 00 00 00 00 86 80 00 00
//! 30: 00 00 00 00 00 00 00 00 00 00 00 00 0b 01 00 00
//! ";
//! let functions = dump::parse(text)?;
//! assert_eq!(functions[0].address(), "03:00.0");
//! assert!(functions[0].has_type_0_header());
//! # Ok::<(), pci_device_models::dump::DumpError>(())
//! ```

mod profile;

use thiserror::Error;

use crate::pci::{CONVENTIONAL_SIZE, EXTENDED_SIZE, header};

/// A function of a dump: its address and the bytes of its config space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpedFunction {
    address: String,
    title: String,
    bytes: Vec<u8>,
}

/// The capabilities of a list: offset and id.
type List<Id> = Vec<(usize, Id)>;

/// The mistake in a dump.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DumpError {
    /// A line of bytes is not the next one of the function above it.
    #[error(
        "line {line}: bytes at {found:#x}, but the function above has {expected:#x} bytes so far"
    )]
    Gap {
        /// The line, counted from 1.
        line: usize,
        /// Offset that the line begins with.
        found: usize,
        /// Bytes so far.
        expected: usize,
    },
    /// A line of bytes has no function above it.
    #[error(
        "line {line}: bytes without a function; put a line with its address above, as in \"00:00.0 NAME\""
    )]
    NoFunction {
        /// The line, counted from 1.
        line: usize,
    },
    /// A function has more bytes than a config space.
    #[error("line {line}: more than {EXTENDED_SIZE} bytes, the size of a config space")]
    TooLong {
        /// The line, counted from 1.
        line: usize,
    },
}

/// Reads the functions of a dump. Lines that are neither a function's first nor bytes are ignored, such
/// as those of `lspci -v`. Functions without bytes are left out.
///
/// # Errors
/// The line that does not belong where it is.
pub fn parse(text: &str) -> Result<Vec<DumpedFunction>, DumpError> {
    let mut functions: Vec<DumpedFunction> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        if let Some((address, title)) = first_line(content) {
            functions.push(DumpedFunction {
                address: address.to_owned(),
                title: title.trim().to_owned(),
                bytes: Vec::new(),
            });
        } else if let Some((offset, bytes)) = bytes_line(content) {
            let function = functions.last_mut().ok_or(DumpError::NoFunction { line })?;
            if offset != function.bytes.len() {
                return Err(DumpError::Gap {
                    line,
                    found: offset,
                    expected: function.bytes.len(),
                });
            }
            if offset + bytes.len() > EXTENDED_SIZE {
                return Err(DumpError::TooLong { line });
            }
            function.bytes.extend(bytes);
        }
    }
    functions.retain(|function| function.bytes.len() >= header::SIZE);
    Ok(functions)
}

/// Returns address and title of `[DOMAIN:]BUS:DEVICE.FUNCTION TITLE`.
fn first_line(line: &str) -> Option<(&str, &str)> {
    let (address, title) = line.split_once(' ').unwrap_or((line, ""));
    let (device, function) = address.rsplit_once('.')?;
    let is_hex = |part: &str, len: usize| {
        part.len() >= len && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut parts = device.rsplit(':');
    let (slot, bus) = (parts.next()?, parts.next()?);
    let domain = parts.next().is_none_or(|domain| is_hex(domain, 4));
    let is_address = domain
        && parts.next().is_none()
        && slot.len() == 2
        && is_hex(slot, 2)
        && bus.len() == 2
        && is_hex(bus, 2)
        && matches!(function.as_bytes(), [b'0'..=b'7']);
    is_address.then_some((address, title))
}

/// Returns offset and bytes of `OFFSET: BB BB …`.
fn bytes_line(line: &str) -> Option<(usize, Vec<u8>)> {
    let (offset, bytes) = line.split_once(": ")?;
    if !(2..=3).contains(&offset.len()) {
        return None;
    }
    let offset = usize::from_str_radix(offset, 16).ok()?;
    let byte = |text: &str| {
        let digits = text.len() == 2;
        digits.then(|| u8::from_str_radix(text, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = bytes.split_whitespace().map(byte).collect();
    bytes
        .filter(|bytes| (1..=16).contains(&bytes.len()))
        .map(|bytes| (offset, bytes))
}

impl DumpedFunction {
    /// Returns the address as the dump writes it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the bytes: 64 as of `lspci -x`, 256 or 4096, or fewer if the dump ends early.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether the header is of type 0, that of an endpoint.
    #[must_use]
    pub fn has_type_0_header(&self) -> bool {
        self.byte(header::HEADER_TYPE) & 0x7f == 0
    }

    /// Returns the byte at `offset`, zero beyond the dump.
    fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(offset).copied().unwrap_or(0)
    }

    fn word(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.byte(offset), self.byte(offset + 1)])
    }

    fn dword(&self, offset: usize) -> u32 {
        u32::from(self.word(offset + 2)) << 16 | u32::from(self.word(offset))
    }

    /// Returns the capabilities that the lists lead to: offset and id. A list that comes back to a
    /// capability, or leaves its part of config space, ends there.
    fn capabilities(&self) -> (List<u8>, List<u16>) {
        let (mut conventional, mut extended) = (Vec::new(), Vec::new());
        let has_list = self.byte(header::STATUS) & 0x10 != 0;
        let first = self.byte(header::CAPABILITIES_POINTER);
        let mut at = usize::from(if has_list { first & 0xfc } else { 0 });
        while at >= header::SIZE && conventional.iter().all(|(seen, _)| *seen != at) {
            conventional.push((at, self.byte(at)));
            at = usize::from(self.byte(at + 1) & 0xfc);
        }
        let mut at = CONVENTIONAL_SIZE;
        while at >= CONVENTIONAL_SIZE && extended.iter().all(|(seen, _)| *seen != at) {
            let header = self.dword(at);
            if header == 0 || header == u32::MAX {
                break;
            }
            extended.push((at, header as u16));
            at = (header >> 20 & 0xffc) as usize;
        }
        (conventional, extended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_around_the_bytes_is_ignored() {
        let zeros = "00 ".repeat(16);
        let text = format!(
            "A note: 00\n\n0001:03:00.1 Title here (rev 08)\n\tRegion 0: Memory at 10\n00: {zeros}\n10: {zeros}\n20: {zeros}\n30: {zeros}\n00:1f.0 Empty\n"
        );
        let functions = parse(&text).expect("it is a dump");
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[0].address(), "0001:03:00.1");
        assert_eq!(functions[0].bytes().len(), 64);
    }

    #[test]
    fn lines_out_of_place_are_refused() {
        for (text, line) in [
            ("00: 00 01\n", "line 1: bytes without a function"),
            ("00:00.0 x\n00: 00\n10: 00\n", "line 3: bytes at 0x10"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with(line), "{error}");
        }
    }

    #[test]
    fn a_list_that_leads_back_ends() {
        let mut bytes = vec![0; 4096];
        bytes[6] = 0x10;
        bytes[0x34] = 0x40;
        bytes[0x40..0x44].copy_from_slice(&[1, 0x50, 0, 0]);
        bytes[0x50..0x54].copy_from_slice(&[5, 0x40, 0, 0]);
        bytes[0x100..0x104].copy_from_slice(&0x1001_0001_u32.to_le_bytes());
        let function = DumpedFunction {
            address: "00:00.0".to_owned(),
            title: String::new(),
            bytes,
        };
        let (conventional, extended) = function.capabilities();
        assert_eq!(conventional, [(0x40, 1), (0x50, 5)]);
        assert_eq!(extended, [(0x100, 1)]);
    }
}
