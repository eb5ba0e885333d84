//! Mistakes in a description, found when a model is compiled and when a description is made at run time.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::{BankDescription, FieldDescription, RegisterDescription};

/// Size of the largest bank in bytes.
const LARGEST: u64 = 0x1_0000;

/// The reason for which a description is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{at}: {problem}")]
pub struct DescriptionError {
    at: String,
    problem: Problem,
}

impl DescriptionError {
    /// Returns the name of the bank or register, followed by a dot and the name of the field if the
    /// mistake is in one.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Returns the problem.
    #[must_use]
    pub const fn problem(&self) -> Problem {
        self.problem
    }
}

/// A rule of descriptions that one of them breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// The size of the bank.
    Size,
    /// The width of a register.
    Width,
    /// The alignment of a register.
    Alignment,
    /// A register ends beyond its bank.
    BeyondBank,
    /// A mask or the reset value has bits beyond the register's width.
    BeyondWidth,
    /// A bit has two kinds of access.
    TwoKinds,
    /// Two registers share a byte.
    Overlap,
    /// Two registers have the same name.
    SameName,
    /// A field has no bit, or bits beyond the register's width.
    Field,
    /// Two fields share a bit.
    FieldOverlap,
}

impl Problem {
    const fn text(self) -> &'static str {
        match self {
            Self::Size => "a bank has a multiple of 4 bytes, at most 64 KiB; change its size",
            Self::Width => "a register has 8, 16, 32 or 64 bits; change its width",
            Self::Alignment => {
                "a register stands at a multiple of its size, one of 64 bits at a multiple of 4; change its offset"
            }
            Self::BeyondBank => "it ends beyond the bank; change its offset or the bank's size",
            Self::BeyondWidth => {
                "a mask or the reset value has bits beyond the register's width; clear them or widen the register"
            }
            Self::TwoKinds => "a bit is either rw or rw1c; take it out of one of the masks",
            Self::Overlap => "the registers overlap; move one of them",
            Self::SameName => "there are two registers of this name; rename one of them",
            Self::Field => {
                "a field has at least one bit and ends within the register; change its bits"
            }
            Self::FieldOverlap => "the fields overlap; change the bits of one of them",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A mistake and the names of its place, which are joined without a separator.
#[derive(Clone, Copy)]
pub(super) struct Mistake<'a> {
    at: [&'a str; 3],
    problem: Problem,
}

impl From<Mistake<'_>> for DescriptionError {
    fn from(mistake: Mistake<'_>) -> Self {
        Self {
            at: mistake.at.concat(),
            problem: mistake.problem,
        }
    }
}

/// Returns the text of a name.
#[expect(clippy::ptr_arg, reason = "constants cannot dereference a `Cow`")]
pub(super) const fn text<'a>(name: &'a Cow<'static, str>) -> &'a str {
    match name {
        Cow::Borrowed(name) => name,
        Cow::Owned(name) => name.as_str(),
    }
}

impl BankDescription {
    /// Returns the first mistake in the description.
    pub(super) const fn mistake(&self) -> Option<Mistake<'_>> {
        if !self.size.is_multiple_of(4) || self.size > LARGEST {
            let at = [self.name(), "", ""];
            let problem = Problem::Size;
            return Some(Mistake { at, problem });
        }
        let registers = self.registers();
        let mut index = 0;
        while index < registers.len() {
            let register = &registers[index];
            if let Some(problem) = register.problem(self.size) {
                let at = [register.name(), "", ""];
                return Some(Mistake { at, problem });
            }
            let mistake = register.field_mistake();
            if mistake.is_some() {
                return mistake;
            }
            let mut before = 0;
            while before < index {
                let mistake = register.conflict(&registers[before]);
                if mistake.is_some() {
                    return mistake;
                }
                before += 1;
            }
            index += 1;
        }
        None
    }

    /// Ends the compilation of a model whose register description has a mistake. For the constants
    /// of [`registers!`](crate::registers) only.
    #[doc(hidden)]
    #[track_caller]
    pub const fn require_valid(&self) {
        if let Some(mistake) = self.mistake() {
            let message = Message::new(mistake);
            let (text, _) = message.bytes.split_at(message.len);
            match std::str::from_utf8(text) {
                Ok(text) => panic!("{}", text),
                Err(_) => panic!("{}", mistake.problem.text()),
            }
        }
    }
}

impl RegisterDescription {
    /// Returns the problem of the register on its own in a bank of `size` bytes.
    const fn problem(&self, size: u64) -> Option<Problem> {
        let bytes = self.bytes();
        Some(match self.width {
            8 | 16 | 32 | 64 => {
                let beyond = self.attributes.named() & !ones(self.width);
                let unit = if bytes < 4 { bytes } else { 4 };
                if !self.offset.is_multiple_of(unit) {
                    Problem::Alignment
                } else if size < bytes || self.offset > size - bytes {
                    Problem::BeyondBank
                } else if beyond != 0 {
                    Problem::BeyondWidth
                } else if self.attributes.rw & self.attributes.rw1c != 0 {
                    Problem::TwoKinds
                } else {
                    return None;
                }
            }
            _ => Problem::Width,
        })
    }

    const fn field_mistake(&self) -> Option<Mistake<'_>> {
        let fields = self.fields();
        let (mut index, mut covered) = (0, 0);
        while index < fields.len() {
            let mask = fields[index].mask();
            let problem = if !fields[index].fits(self.width) {
                Problem::Field
            } else if covered & mask != 0 {
                Problem::FieldOverlap
            } else {
                covered |= mask;
                index += 1;
                continue;
            };
            let at = [self.name(), ".", fields[index].name()];
            return Some(Mistake { at, problem });
        }
        None
    }

    /// Returns the conflict of two registers, each of which is valid on its own.
    const fn conflict<'a>(&'a self, other: &'a Self) -> Option<Mistake<'a>> {
        let (problem, at) = if same(self.name(), other.name()) {
            (Problem::SameName, [self.name(), "", ""])
        } else if self.offset < other.offset + other.bytes()
            && other.offset < self.offset + self.bytes()
        {
            (Problem::Overlap, [other.name(), " and ", self.name()])
        } else {
            return None;
        };
        Some(Mistake { at, problem })
    }
}

impl FieldDescription {
    const fn fits(&self, register: u32) -> bool {
        self.width > 0 && self.width <= register && self.low <= register - self.width
    }
}

/// Returns the bits of a register of this width.
const fn ones(width: u32) -> u64 {
    u64::MAX >> (64 - width)
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The text of a [`DescriptionError`] for the compiler, which can format only a whole string.
struct Message {
    bytes: [u8; 512],
    len: usize,
}

impl Message {
    const fn new(mistake: Mistake<'_>) -> Self {
        let mut message = Self {
            bytes: [0; 512],
            len: 0,
        };
        let [first, second, third] = mistake.at;
        message.push(first);
        message.push(second);
        message.push(third);
        message.push(": ");
        message.push(mistake.problem.text());
        message
    }

    const fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() && self.len < self.bytes.len() {
            self.bytes[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
    }
}
