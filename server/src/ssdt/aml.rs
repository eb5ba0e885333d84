//! As much of the ACPI Machine Language as the tables need (ACPI 6.5, chapter 20).
//!
//! The crate `acpi_tables` (0.2.1) encodes the same language. It exchanges the two bytes of the operator
//! of `PowerResource`, lacks `External`, `Sleep` and `Break`, and panics on a name that is no name.

mod name;

pub(super) use name::NameString;

/// A piece of AML.
pub(super) type Aml = Vec<u8>;

const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const NAME_OP: u8 = 0x08;
const BYTE_PREFIX: u8 = 0x0a;
const WORD_PREFIX: u8 = 0x0b;
const DWORD_PREFIX: u8 = 0x0c;
const STRING_PREFIX: u8 = 0x0d;
const SCOPE_OP: u8 = 0x10;
const BUFFER_OP: u8 = 0x11;
const PACKAGE_OP: u8 = 0x12;
const METHOD_OP: u8 = 0x14;
const EXTERNAL_OP: u8 = 0x15;
const EXT_PREFIX: u8 = 0x5b;
const SLEEP_OP: u8 = 0x22;
const REGION_OP: u8 = 0x80;
const FIELD_OP: u8 = 0x81;
const DEVICE_OP: u8 = 0x82;
const POWER_RES_OP: u8 = 0x84;
const LOCAL_0: u8 = 0x60;
const ARG_0: u8 = 0x68;
const STORE_OP: u8 = 0x70;
const AND_OP: u8 = 0x7b;
const OR_OP: u8 = 0x7d;
const NOT_OP: u8 = 0x80;
const NOTIFY_OP: u8 = 0x86;
const EQUAL_OP: u8 = 0x93;
const IF_OP: u8 = 0xa0;
const ELSE_OP: u8 = 0xa1;
const WHILE_OP: u8 = 0xa2;
const RETURN_OP: u8 = 0xa4;
const BREAK_OP: u8 = 0xa5;

/// Object type of a device in `External`.
const DEVICE_OBJECT: u8 = 6;
/// Tags of resource descriptors: extended interrupt, and the end.
const INTERRUPT_TAG: u8 = 0x89;
const END_TAG: u8 = 0x79;

/// A length as `PkgLength` has it, in the number of bytes that it takes: with one byte it has 6 bits;
/// with more the first has 4 and says how many follow.
fn length_bytes(length: usize, extra: usize) -> Aml {
    let bytes = length.to_le_bytes();
    if extra == 0 {
        return vec![bytes[0]];
    }
    let mut aml = vec![(extra as u8) << 6 | bytes[0] & 0x0f];
    aml.extend((length >> 4).to_le_bytes().iter().take(extra));
    aml
}

/// `PkgLength`: the length of what follows, its own bytes included.
fn with_length(body: &[u8]) -> Aml {
    let extra = match body.len() {
        0..=0x3e => 0,
        0x3f..=0xffd => 1,
        0xffe..=0xf_fffc => 2,
        _ => 3,
    };
    let mut aml = length_bytes(body.len() + 1 + extra, extra);
    aml.extend(body);
    aml
}

fn block(operator: &[u8], parts: &[&[u8]]) -> Aml {
    let mut aml = operator.to_vec();
    aml.extend(with_length(&parts.concat()));
    aml
}

/// An integer in as few bytes as it needs.
pub(super) fn integer(value: u32) -> Aml {
    if let Ok(byte) = u8::try_from(value) {
        match byte {
            0 => vec![ZERO_OP],
            1 => vec![ONE_OP],
            _ => vec![BYTE_PREFIX, byte],
        }
    } else if let Ok(word) = u16::try_from(value) {
        [&[WORD_PREFIX][..], &word.to_le_bytes()].concat()
    } else {
        [&[DWORD_PREFIX][..], &value.to_le_bytes()].concat()
    }
}

pub(super) fn string(text: &str) -> Aml {
    [&[STRING_PREFIX][..], text.as_bytes(), &[0]].concat()
}

/// `LocalN`, 0 to 7.
pub(super) fn local(number: u8) -> Aml {
    vec![LOCAL_0 + number.min(7)]
}

/// `ArgN`, 0 to 6.
pub(super) fn argument(number: u8) -> Aml {
    vec![ARG_0 + number.min(6)]
}

/// `External (PATH, DeviceObj)` for each path, in their order. As compilers do, within an `If (Zero)`:
/// interpreters that do not know the operator never come to it.
pub(super) fn external_devices(mut paths: Vec<NameString>) -> Aml {
    paths.sort_unstable();
    let no_arguments = 0;
    let mut externals = vec![ZERO_OP];
    for path in paths {
        externals.push(EXTERNAL_OP);
        externals.extend(path.encode());
        externals.extend([DEVICE_OBJECT, no_arguments]);
    }
    block(&[IF_OP], &[&externals])
}

pub(super) fn scope(path: &NameString, body: &[u8]) -> Aml {
    block(&[SCOPE_OP], &[&path.encode(), body])
}

pub(super) fn device(name: &NameString, body: &[u8]) -> Aml {
    block(&[EXT_PREFIX, DEVICE_OP], &[&name.encode(), body])
}

pub(super) fn name(name: &NameString, value: &[u8]) -> Aml {
    [&[NAME_OP][..], &name.encode(), value].concat()
}

/// The address space of an operation region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    SystemMemory = 0,
    SystemIo = 1,
    PciConfig = 2,
}

/// `OperationRegion (NAME, SPACE, OFFSET, LENGTH)`.
pub(super) fn region(name: &NameString, space: Space, offset: &[u8], length: u32) -> Aml {
    [
        &[EXT_PREFIX, REGION_OP][..],
        &name.encode(),
        &[space as u8],
        offset,
        &integer(length),
    ]
    .concat()
}

/// The width of the accesses to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Byte = 1,
    Word = 2,
    Dword = 3,
}

impl Access {
    /// Returns the length of a length of bits in bytes, beyond the first.
    const fn bits(self) -> u8 {
        match self {
            Self::Byte => 8,
            Self::Word => 16,
            Self::Dword => 32,
        }
    }
}

/// `Field (REGION, ACCESS, NoLock, Preserve) { Offset (AT), NAME, … }`: units as wide as the accesses,
/// each at its offset in bytes, in ascending order.
pub(super) fn field(region: &NameString, access: Access, units: &[(u32, NameString)]) -> Aml {
    let mut list = Aml::new();
    let mut bit = 0;
    for (at, name) in units {
        let skipped = (8 * *at as usize).saturating_sub(bit);
        if skipped > 0 {
            list.push(0);
            list.extend(length_bytes(skipped, usize::from(skipped > 0x3f)));
        }
        list.extend(name.encode());
        list.push(access.bits());
        bit += skipped + usize::from(access.bits());
    }
    block(
        &[EXT_PREFIX, FIELD_OP],
        &[&region.encode(), &[access as u8], &list],
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

/// `Method (NAME, ARGUMENTS, …) { … }`.
pub(super) fn method(name: &NameString, arguments: u8, serialized: Serialized, body: &[u8]) -> Aml {
    let flags = arguments & 7 | serialized as u8;
    block(&[METHOD_OP], &[&name.encode(), &[flags], body])
}

/// A call of a method with these arguments.
pub(super) fn call(method: &NameString, arguments: &[Aml]) -> Aml {
    [method.encode(), arguments.concat()].concat()
}

pub(super) fn store(value: &[u8], target: &[u8]) -> Aml {
    [&[STORE_OP][..], value, target].concat()
}

/// `And (LEFT, RIGHT, TARGET)`; without a target the value is all there is.
pub(super) fn and(left: &[u8], right: &[u8], target: Option<&[u8]>) -> Aml {
    [&[AND_OP][..], left, right, target.unwrap_or(&[ZERO_OP])].concat()
}

/// `Or (LEFT, RIGHT, TARGET)`.
pub(super) fn or(left: &[u8], right: &[u8], target: &[u8]) -> Aml {
    [&[OR_OP][..], left, right, target].concat()
}

/// `Not (VALUE, TARGET)`.
pub(super) fn not(value: &[u8], target: &[u8]) -> Aml {
    [&[NOT_OP][..], value, target].concat()
}

pub(super) fn equal(left: &[u8], right: &[u8]) -> Aml {
    [&[EQUAL_OP][..], left, right].concat()
}

pub(super) fn if_then(condition: &[u8], body: &[u8]) -> Aml {
    block(&[IF_OP], &[condition, body])
}

/// `Else { … }`, right after the block of an `If`.
pub(super) fn otherwise(body: &[u8]) -> Aml {
    block(&[ELSE_OP], &[body])
}

pub(super) fn forever(body: &[u8]) -> Aml {
    block(&[WHILE_OP], &[&[ONE_OP], body])
}

pub(super) fn leave_loop() -> Aml {
    vec![BREAK_OP]
}

pub(super) fn return_value(value: &[u8]) -> Aml {
    [&[RETURN_OP][..], value].concat()
}

/// `Sleep (MILLISECONDS)`.
pub(super) fn sleep(milliseconds: u32) -> Aml {
    [&[EXT_PREFIX, SLEEP_OP][..], &integer(milliseconds)].concat()
}

/// `Notify (DEVICE, VALUE)`.
pub(super) fn notify(device: &NameString, value: u32) -> Aml {
    [&[NOTIFY_OP][..], &device.encode(), &integer(value)].concat()
}

/// `Package (…) { … }` of up to 255 elements.
pub(super) fn package(elements: &[Aml]) -> Aml {
    let count = u8::try_from(elements.len()).unwrap_or(u8::MAX);
    block(&[PACKAGE_OP], &[&[count], &elements.concat()])
}

/// `ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { NUMBER } }`.
pub(super) fn level_interrupt(number: u32) -> Aml {
    let (consumer, shared) = (1, 1 << 3);
    let rest = [consumer | shared, 1];
    let length = 6_u16.to_le_bytes();
    let no_checksum = 0;
    let resources = [
        &[INTERRUPT_TAG][..],
        &length,
        &rest,
        &number.to_le_bytes(),
        &[END_TAG, no_checksum],
    ]
    .concat();
    let size = integer(u32::try_from(resources.len()).unwrap_or(u32::MAX));
    block(&[BUFFER_OP], &[&size, &resources])
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
    fn integers_take_as_few_bytes_as_they_need() {
        for (value, expected) in [
            (0, &[0x00][..]),
            (1, &[0x01]),
            (2, &[0x0a, 0x02]),
            (0x100, &[0x0b, 0x00, 0x01]),
            (0x1_0000, &[0x0c, 0x00, 0x00, 0x01, 0x00]),
        ] {
            assert_eq!(integer(value), expected);
        }
    }

    #[test]
    fn units_of_a_field_are_where_they_should_be() {
        let names = [*b"AAAA", *b"BBBB", *b"CCCC"].map(NameString::from);
        let [a, b, c] = names;
        let units = [(4, a), (8, b), (0x20, c)];
        let aml = field(&(*b"REGN").into(), Access::Dword, &units);
        let expected: &[&[u8]] = &[
            b"\x5b\x81\x1a",
            b"REGN\x03",
            b"\x00\x20AAAA\x20",
            b"BBBB\x20",
            b"\x00\x40\x0aCCCC\x20",
        ];
        assert_eq!(aml, expected.concat());
    }
}
