use super::*;
use crate::capability::testing::{dwords, read, write};

/// The capability of the Intel 82576 in the dump cap-pcie-2 of pciutils, after reset.
const INTEL_82576: &str = r#"
total-vfs = 8
vf-device-id = 0x10ca
first-vf-offset = 0x80
vf-stride = 2
bars = [
    { index = 0, kind = "memory64", size = 0x4000 },
    { index = 3, kind = "memory64", size = 0x4000 },
]
"#;

fn parse(text: &str) -> Result<SingleRootIoVirtualization, SriovConfigError> {
    SingleRootIoVirtualization::new(&toml::from_str(text).expect("a table of the tests"))
}

fn intel() -> SingleRootIoVirtualization {
    parse(INTEL_82576).unwrap()
}

fn set(capability: &mut SingleRootIoVirtualization, at: usize, value: u16) -> Vec<ConfigEffect> {
    write(capability, at as u64, &value.to_le_bytes())
}

#[test]
fn registers_equal_those_of_silicon() {
    let mut capability = intel();
    let mut expected = vec![
        0,
        0,
        0,
        0x0008_0008,
        0,
        0x0002_0080,
        0x10ca_0000,
        0x0000_0553,
        1,
    ];
    expected.extend([4, 0, 0, 4, 0, 0, 0]);
    assert_eq!(dwords(&capability), expected);
    assert_eq!(4 * expected.len(), SIZE);
    write(&mut capability, 0x24, &[0xff; 0x1c]);
    let bars: Vec<u32> = dwords(&capability)[9..].to_vec();
    let low = 0xffff_c004;
    assert_eq!(bars, [low, u32::MAX, 0, low, u32::MAX, 0, 0]);
}

#[test]
fn read_only_registers_keep_their_values() {
    let mut capability = intel();
    let before = dwords(&capability);
    for at in [0x4, 0xc, 0x14, 0x18, 0x1c, 0x3c] {
        assert_eq!(write(&mut capability, at, &[0xff; 4]), []);
    }
    write(&mut capability, 0xa, &[0xff; 2]);
    write(&mut capability, 0x12, &[0xff; 2]);
    assert_eq!(dwords(&capability), before);
    set(&mut capability, CONTROL, u16::MAX);
    assert_eq!(read(&capability, CONTROL), 0x19);
}

#[test]
fn virtual_functions_exist_while_vf_enable_is_set() {
    let mut capability = intel();
    assert_eq!(set(&mut capability, NUM_VFS, 4), []);
    let there = [ConfigEffect::VirtualFunctions];
    assert_eq!(set(&mut capability, CONTROL, 1), there);
    let four = VirtualFunctions {
        number: 4,
        memory_space: false,
    };
    assert_eq!(capability.virtual_functions(), four);
    assert_eq!(set(&mut capability, CONTROL, 9), there);
    assert!(capability.virtual_functions().memory_space);
    assert_eq!(set(&mut capability, CONTROL, 0), there);
    assert_eq!(capability.virtual_functions().number, 0);
}

#[test]
fn numvfs_and_page_size_are_locked_while_vf_enable_is_set() {
    let mut capability = intel();
    set(&mut capability, NUM_VFS, 4);
    set(&mut capability, CONTROL, 1);
    assert_eq!(set(&mut capability, NUM_VFS, 2), []);
    set(&mut capability, SYSTEM_PAGE_SIZE, 2);
    assert_eq!(read(&capability, NUM_VFS), 4);
    assert_eq!(read(&capability, SYSTEM_PAGE_SIZE), 1);
}

#[test]
fn there_are_never_more_than_totalvfs() {
    let mut capability = intel();
    set(&mut capability, NUM_VFS, u16::MAX);
    set(&mut capability, CONTROL, 1);
    assert_eq!(capability.virtual_functions().number, 8);
}

#[test]
fn a_larger_page_enlarges_vf_bars() {
    let mut capability = intel();
    set(&mut capability, SYSTEM_PAGE_SIZE, 1 << 4);
    write(&mut capability, 0x24, &[0xff; 4]);
    assert_eq!(read(&capability, VF_BAR_0), 0xffff_0004);
    capability.reset(ResetKind::Flr);
    write(&mut capability, 0x24, &[0xff; 4]);
    assert_eq!(read(&capability, VF_BAR_0), 0xffff_c004);
}

#[test]
fn every_reset_ends_virtual_functions() {
    for kind in ResetKind::ALL {
        let mut capability = intel();
        let fresh = dwords(&capability);
        set(&mut capability, NUM_VFS, 4);
        set(&mut capability, CONTROL, 9);
        capability.reset(kind);
        assert_eq!(dwords(&capability), fresh, "{kind:?}");
    }
}

#[test]
fn routing_ids_follow_offset_and_stride() {
    let capability = intel();
    assert_eq!(
        [0, 1, 7].map(|index| capability.routing_offset(index)),
        [0x80, 0x82, 0x8e]
    );
}

#[test]
fn a_saved_state_is_restored_with_the_size_of_its_pages() {
    let mut capability = intel();
    set(&mut capability, SYSTEM_PAGE_SIZE, 1 << 4);
    set(&mut capability, NUM_VFS, 3);
    set(&mut capability, CONTROL, 9);
    let saved = capability.save();
    let mut other = intel();
    other.restore("here", &saved, &mut Vec::new()).unwrap();
    assert_eq!(dwords(&other), dwords(&capability));
    write(&mut other, 0x24, &[0xff; 4]);
    assert_eq!(read(&other, VF_BAR_0), 0xffff_0004);
}

#[test]
fn mistakes_name_their_key() {
    let one = "total-vfs = 1\nvf-device-id = 1\n";
    for (text, key) in [
        ("total-vfs = 0\nvf-device-id = 1".to_owned(), "total-vfs"),
        (format!("{one}vf-stride = 0"), "vf-stride"),
        (format!("{one}first-vf-offset = 0"), "first-vf-offset"),
        (
            format!("{one}supported-page-sizes = 1"),
            "supported-page-sizes",
        ),
        (
            format!("{one}bars = [{{ index = 6, kind = \"memory32\", size = 4096 }}]"),
            "bars",
        ),
        (
            format!("{one}bars = [{{ index = 5, kind = \"memory64\", size = 4096 }}]"),
            "bars",
        ),
        (
            format!("{one}bars = [{{ index = 0, kind = \"io\", size = 16 }}]"),
            "bars",
        ),
        (
            format!("{one}bars = [{{ index = 0, kind = \"memory32\", size = 3000 }}]"),
            "bars",
        ),
    ] {
        assert_eq!(parse(&text).unwrap_err().key(), key, "{text}");
    }
}
