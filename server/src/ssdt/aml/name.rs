//! Names in the ACPI namespace.

use super::Aml;

const DUAL_NAME_PREFIX: u8 = 0x2e;
const MULTI_NAME_PREFIX: u8 = 0x2f;

/// A name in the namespace: from the root, or a single one of the scope around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct NameString {
    from_root: bool,
    segments: Vec<[u8; 4]>,
}

impl From<[u8; 4]> for NameString {
    fn from(segment: [u8; 4]) -> Self {
        Self {
            from_root: false,
            segments: vec![segment],
        }
    }
}

impl NameString {
    /// The name that `names` spells from the root, with dots between; `None` for what is no name. Room
    /// is left for two more names.
    pub(in super::super) fn from_root(names: &str) -> Option<Self> {
        let segments: Vec<_> = names.split('.').map(segment).collect::<Option<_>>()?;
        // The encoding counts in one byte.
        (segments.len() <= usize::from(u8::MAX) - 2).then_some(Self {
            from_root: true,
            segments,
        })
    }

    /// The name of something in the scope of what this names.
    pub(in super::super) fn child(&self, segment: [u8; 4]) -> Self {
        let mut name = self.clone();
        name.segments.push(segment);
        name
    }

    /// A name of its own for something in the scope around what this names: the first letter of its
    /// last name becomes an R, or a Q if it is one.
    pub(in super::super) fn beside(&self) -> Self {
        let mut name = self.clone();
        if let Some([first, ..]) = name.segments.last_mut() {
            *first = if *first == b'R' { b'Q' } else { b'R' };
        }
        name
    }

    /// The last name.
    pub(in super::super) fn last(&self) -> [u8; 4] {
        self.segments.last().copied().unwrap_or(*b"____")
    }

    pub(in super::super) fn encode(&self) -> Aml {
        let mut aml = Vec::new();
        if self.from_root {
            aml.push(b'\\');
        }
        match u8::try_from(self.segments.len()) {
            Ok(1) => {}
            Ok(2) => aml.push(DUAL_NAME_PREFIX),
            count => aml.extend([MULTI_NAME_PREFIX, count.unwrap_or(u8::MAX)]),
        }
        aml.extend(self.segments.iter().flatten());
        aml
    }
}

/// One name, filled up with underscores.
fn segment(name: &str) -> Option<[u8; 4]> {
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let first_fits = name.bytes().next().is_some_and(letter);
    let rest_fits = name
        .bytes()
        .all(|byte| letter(byte) || byte.is_ascii_digit());
    if !first_fits || !rest_fits || name.len() > 4 {
        return None;
    }
    let mut segment = [b'_'; 4];
    for (place, byte) in segment.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    Some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_by_their_number() {
        for (names, expected) in [
            ("_SB", &b"\\_SB_"[..]),
            ("_SB.PCI0", b"\\\x2e_SB_PCI0"),
            ("_SB.PCI0.S8", b"\\\x2f\x03_SB_PCI0S8__"),
        ] {
            assert_eq!(NameString::from_root(names).unwrap().encode(), expected);
        }
        let many = |count| vec!["A"; count].join(".");
        assert!(NameString::from_root(&many(253)).is_some());
        assert_eq!(NameString::from_root(&many(254)), None);
    }

    #[test]
    fn names_beside_and_below_are_names_of_their_own() {
        let path = NameString::from_root("_SB.S08").unwrap();
        assert_eq!(path.last(), *b"S08_");
        assert_eq!(path.beside().last(), *b"R08_");
        assert_eq!(path.beside().beside().last(), *b"Q08_");
        assert_eq!(path.child(*b"S00_").encode(), b"\\\x2f\x03_SB_S08_S00_");
    }
}
