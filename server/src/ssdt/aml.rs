//! As much of the ACPI Machine Language as the table needs (ACPI 6.5, chapter 20).

/// A piece of AML.
pub(super) type Aml = Vec<u8>;

const ONE_OP: u8 = 0x01;
const ZERO_OP: u8 = 0x00;
const NAME_OP: u8 = 0x08;
const BYTE_PREFIX: u8 = 0x0a;
const WORD_PREFIX: u8 = 0x0b;
const SCOPE_OP: u8 = 0x10;
const PACKAGE_OP: u8 = 0x12;
const METHOD_OP: u8 = 0x14;
const EXTERNAL_OP: u8 = 0x15;
const DUAL_NAME_PREFIX: u8 = 0x2e;
const MULTI_NAME_PREFIX: u8 = 0x2f;
const EXT_PREFIX: u8 = 0x5b;
const REGION_OP: u8 = 0x80;
const FIELD_OP: u8 = 0x81;
const POWER_RES_OP: u8 = 0x84;
const STORE_OP: u8 = 0x70;
const IF_OP: u8 = 0xa0;
const RETURN_OP: u8 = 0xa4;

const SYSTEM_IO: u8 = 1;
/// Field flags: byte access, no lock, preserve.
const BYTE_ACCESS: u8 = 1;
/// Object type of a device in `External`.
const DEVICE_OBJECT: u8 = 6;

/// A name in the namespace: from the root, or a single one of the scope around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameString {
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
    /// The name that `names` spells from the root, with dots between; `None` for what is no name.
    pub(super) fn from_root(names: &str) -> Option<Self> {
        let segments: Vec<_> = names.split('.').map(segment).collect::<Option<_>>()?;
        // The encoding counts in one byte.
        (segments.len() <= usize::from(u8::MAX)).then_some(Self {
            from_root: true,
            segments,
        })
    }

    /// A name of its own for something in the scope around what this names: the first letter of its
    /// last name becomes an R, or a Q if it is one.
    pub(super) fn beside(&self) -> Self {
        let mut name = self.clone();
        if let Some([first, ..]) = name.segments.last_mut() {
            *first = if *first == b'R' { b'Q' } else { b'R' };
        }
        name
    }

    fn encode(&self) -> Aml {
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

/// `PkgLength`: the length of what follows, its own bytes included. With one byte it has 6 bits;
/// with more the first has 4 and says how many follow.
fn with_length(body: &[u8]) -> Aml {
    let extra = match body.len() {
        0..=0x3e => 0,
        0x3f..=0xffd => 1,
        0xffe..=0xf_fffc => 2,
        _ => 3,
    };
    let length = body.len() + 1 + extra;
    let bytes = length.to_le_bytes();
    let mut aml = Vec::with_capacity(length);
    if extra == 0 {
        aml.push(bytes[0]);
    } else {
        aml.push((extra as u8) << 6 | bytes[0] & 0x0f);
        aml.extend((length >> 4).to_le_bytes().iter().take(extra));
    }
    aml.extend(body);
    aml
}

fn block(operator: &[u8], parts: &[&[u8]]) -> Aml {
    let mut aml = operator.to_vec();
    aml.extend(with_length(&parts.concat()));
    aml
}

pub(super) fn integer(value: u16) -> Aml {
    match u8::try_from(value) {
        Ok(0) => vec![ZERO_OP],
        Ok(1) => vec![ONE_OP],
        Ok(byte) => vec![BYTE_PREFIX, byte],
        Err(_) => [&[WORD_PREFIX][..], &value.to_le_bytes()].concat(),
    }
}

/// `External (PATH, DeviceObj)`. As compilers do, within an `If (Zero)`: interpreters that do not know
/// the operator never come to it.
pub(super) fn external_device(path: &NameString) -> Aml {
    let no_arguments = 0;
    let external = [
        &[EXTERNAL_OP][..],
        &path.encode(),
        &[DEVICE_OBJECT, no_arguments],
    ];
    block(&[IF_OP], &[&[ZERO_OP], &external.concat()])
}

pub(super) fn scope(path: &NameString, body: &[u8]) -> Aml {
    block(&[SCOPE_OP], &[&path.encode(), body])
}

pub(super) fn name(name: &NameString, value: &[u8]) -> Aml {
    [&[NAME_OP][..], &name.encode(), value].concat()
}

/// `OperationRegion (NAME, SystemIO, PORT, LENGTH)`.
pub(super) fn io_region(name: &NameString, port: u16, length: u16) -> Aml {
    [
        &[EXT_PREFIX, REGION_OP][..],
        &name.encode(),
        &[SYSTEM_IO],
        &integer(port),
        &integer(length),
    ]
    .concat()
}

/// `Field (REGION, ByteAcc, NoLock, Preserve) { NAME, 8 }`.
pub(super) fn byte_field(region: &NameString, name: &NameString) -> Aml {
    let bits = 8;
    block(
        &[EXT_PREFIX, FIELD_OP],
        &[&region.encode(), &[BYTE_ACCESS], &name.encode(), &[bits]],
    )
}

/// `PowerResource (NAME, LEVEL, 0) { … }`.
pub(super) fn power_resource(name: &NameString, level: u8, body: &[u8]) -> Aml {
    let order = 0_u16.to_le_bytes();
    block(
        &[EXT_PREFIX, POWER_RES_OP],
        &[&name.encode(), &[level], &order, body],
    )
}

/// Concurrency of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serialized {
    No = 0,
    Yes = 1 << 3,
}

/// `Method (NAME, 0, …) { … }`.
pub(super) fn method(name: &NameString, serialized: Serialized, body: &[u8]) -> Aml {
    block(&[METHOD_OP], &[&name.encode(), &[serialized as u8], body])
}

pub(super) fn store(value: &[u8], target: &NameString) -> Aml {
    [&[STORE_OP][..], value, &target.encode()].concat()
}

pub(super) fn return_name(name: &NameString) -> Aml {
    [&[RETURN_OP][..], &name.encode()].concat()
}

/// `Package (1) { NAME }`.
pub(super) fn package_of_name(name: &NameString) -> Aml {
    let count = 1;
    block(&[PACKAGE_OP], &[&[count], &name.encode()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        for (body, expected) in [
            (0, &[0x01][..]),
            (0x3e, &[0x3f]),
            (0x3f, &[0x41, 0x04]),
            (0xffd, &[0x4f, 0xff]),
            (0xffe, &[0x81, 0x00, 0x01]),
            (0xf_fffc, &[0x8f, 0xff, 0xff]),
            (0xf_fffd, &[0xc1, 0x00, 0x00, 0x01]),
        ] {
            let aml = with_length(&vec![0; body]);
            assert_eq!(&aml[..expected.len()], expected, "{body:#x}");
            assert_eq!(aml.len(), expected.len() + body);
        }
    }

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
        assert!(NameString::from_root(&many(255)).is_some());
        assert_eq!(NameString::from_root(&many(256)), None);
    }
}
