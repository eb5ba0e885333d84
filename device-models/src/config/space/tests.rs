use proptest::prelude::*;

use super::*;
use crate::capability::testing::any_writes;
use crate::capability::{
    DeviceSerialNumber, DsnConfig, L1PmSubstates, LatencyToleranceReporting, PowerBudgeting, Raw,
    ResizableBar, VendorSpecific,
};
use crate::config::{BarConfig, BarKind};

fn table<T: serde::de::DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).expect("a table of the tests")
}

fn place(offset: u16, capability: AnyCapability) -> Placement {
    Placement {
        offset,
        linked: true,
        capability,
    }
}

fn unlinked(offset: u16, capability: AnyCapability) -> Placement {
    Placement {
        linked: false,
        ..place(offset, capability)
    }
}

fn pm() -> AnyCapability {
    let config = table(
        "
        d1 = true
        d2 = true
        pme-from = ['d0', 'd1', 'd2', 'd3hot', 'd3cold']
        data = [{ select = 0, scale = 1, value = 26 }, { select = 3, scale = 2, value = 5 }]
        ",
    );
    AnyCapability::PowerManagement(PowerManagement::new(&config, true).unwrap())
}

fn msi() -> AnyCapability {
    let config = table("vectors = 4\nper-vector-mask = true");
    AnyCapability::Msi(Msi::new(&config).unwrap())
}

fn raw(text: &str) -> AnyCapability {
    AnyCapability::Other(Box::new(Raw::new(&table(text)).unwrap()))
}

/// Returns `len` bytes of the conventional list (with the header) without meaning.
fn blob(len: usize) -> AnyCapability {
    raw(&format!("id = 3\nbytes = {:?}", vec![0xa5; len - 2]))
}

/// Returns bytes of the extended list; see [`blob`].
fn extended_blob(len: usize) -> AnyCapability {
    let bytes = vec![0xa5; len - 4];
    raw(&format!("extended = true\nid = 0x0b\nbytes = {bytes:?}"))
}

fn dsn() -> AnyCapability {
    let config = DsnConfig {
        offset: None,
        serial: "01-23-45-67-89-ab-cd-ef".to_owned(),
    };
    AnyCapability::Other(Box::new(DeviceSerialNumber::new(&config).unwrap()))
}

fn header() -> HeaderConfig {
    let bar = |kind, size| {
        Some(BarConfig {
            kind,
            prefetchable: kind == BarKind::Memory64,
            size,
        })
    };
    let mut header = HeaderConfig {
        vendor_id: 0x10de,
        device_id: 0x2684,
        interrupt_pin: 1,
        rom: Some(0x8_0000),
        ..HeaderConfig::default()
    };
    header.bars[0] = bar(BarKind::Memory32, 16 << 20);
    header.bars[2] = bar(BarKind::Memory64, 256 << 20);
    header
}

/// Returns a function with every capability.
fn everything() -> ConfigSpace {
    let header = header();
    let other = |capability: Box<dyn Capability>| AnyCapability::Other(capability);
    let pcie = PciExpress::new(&table("ltr = true"), true).unwrap();
    let msix = Msix::new(&table("vectors = 8\ntable-bar = 0")).unwrap();
    let vendor = VendorSpecific::new(&table("bytes = [1, 2, 3]\nrw = [0, 0xff]")).unwrap();
    let aer = AdvancedErrorReporting::new(&table("")).unwrap();
    let ltr = LatencyToleranceReporting::new(&table(""));
    let l1ss = L1PmSubstates::new(&table("")).unwrap();
    let budgeting = PowerBudgeting::new(&table("entries = [0x78121, 0x58121]")).unwrap();
    let rebar = table("bars = [{ bar = 2, sizes = [0x10000000, 0x40000000] }]");
    let rebar = ResizableBar::new(&rebar, &header.bars).unwrap();
    let dpa = DynamicPowerAllocation::new(&table("power = [3, 2, 1]")).unwrap();
    let raw = raw("
        extended = true
        id = 0x0b
        bytes = [1, 2, 3, 4, 5, 6, 7, 8]
        rw = [0xff, 0, 0x0f]
        rw1c = [0, 0xf0]
    ");
    let placements = vec![
        place(0x40, pm()),
        place(0x50, msi()),
        place(0x70, AnyCapability::PciExpress(pcie)),
        place(0xb0, AnyCapability::Msix(msix)),
        place(0xc0, other(Box::new(vendor))),
        place(0x100, AnyCapability::AdvancedErrorReporting(aer)),
        place(0x148, dsn()),
        place(0x158, other(Box::new(ltr))),
        place(0x160, other(Box::new(l1ss))),
        place(0x170, other(Box::new(budgeting))),
        place(0x180, other(Box::new(rebar))),
        place(0x190, AnyCapability::DynamicPowerAllocation(dpa)),
        place(0x1b0, raw),
    ];
    ConfigSpace::new(&header, placements, true).unwrap()
}

/// The bits of [`everything`] that a write can change, directly or as a consequence.
const CHANGEABLE: &[(u64, u32)] = &[
    (0x004, 0xf900_0546), // Command, Status
    (0x00c, 0x0000_00ff), // Cache Line Size
    (0x010, 0xff00_0000), // BAR 0
    (0x018, 0xf000_0000), // BAR 2
    (0x01c, 0xffff_ffff),
    (0x030, 0xfff8_0001), // Expansion ROM
    (0x03c, 0x0000_00ff), // Interrupt Line
    (0x044, 0xff00_ff03), // PMCSR, Data
    (0x050, 0x0071_0000), // MSI: Control, Address, Data, Mask
    (0x054, 0xffff_fffc),
    (0x058, 0xffff_ffff),
    (0x05c, 0x0000_ffff),
    (0x060, 0x0000_000f),
    (0x078, 0x000f_7cff), // Device Control, Device Status
    (0x080, 0x0000_02cb), // Link Control
    (0x098, 0x0000_0410), // Device Control 2
    (0x0a0, 0x0000_ffbf), // Link Control 2
    (0x0b0, 0xc000_0000), // MSI-X Control
    (0x0c4, 0x0000_00ff), // vendor's
    (0x104, 0x007f_f010), // AER: uncorrectable status, mask, severity
    (0x108, 0x007f_f010),
    (0x10c, 0x007f_f030),
    (0x110, 0x0000_f1c1), // AER: correctable status, mask
    (0x114, 0x0000_f1c1),
    (0x15c, 0x1fff_1fff), // LTR
    (0x168, 0xe3ff_000f), // L1 PM Substates Control 1 and 2
    (0x16c, 0x0000_00fb),
    (0x174, 0x0000_00ff), // Power Budgeting: Data Select, Data
    (0x178, 0xffff_ffff),
    (0x188, 0x0000_3f00), // Resizable BAR Control
    (0x19c, 0x001f_011f), // DPA Status, Control
    (0x1b4, 0x000f_f0ff), // raw
];

fn changeable(offset: u64) -> u32 {
    CHANGEABLE
        .iter()
        .find_map(|(at, mask)| (*at == offset).then_some(*mask))
        .unwrap_or(0)
}

fn contents(space: &ConfigSpace) -> Vec<u32> {
    (0..u64::from(space.size()))
        .step_by(4)
        .map(|offset| space.read_dword(offset))
        .collect()
}

fn write(space: &mut ConfigSpace, offset: u64, data: &[u8]) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    space.write(offset, data, &mut effects);
    effects
}

/// Follows the conventional list as software does, and returns offset and id of each capability.
fn walk(space: &ConfigSpace) -> Vec<(u64, u8)> {
    let mut found = Vec::new();
    let mut at = u64::from(space.read_dword(0x34) & 0xff);
    while at != 0 {
        assert!(at % 4 == 0 && (0x40..0x100).contains(&at), "{at:#x}");
        assert!(found.len() < 48, "the list has no end");
        let [id, next, ..] = space.read_dword(at).to_le_bytes();
        found.push((at, id));
        at = u64::from(next);
    }
    found
}

/// Follows the extended list, and returns offset, id and version of each capability.
fn walk_extended(space: &ConfigSpace) -> Vec<(u64, u16, u8)> {
    let mut found = Vec::new();
    let mut at = 0x100;
    loop {
        let header = space.read_dword(at);
        if header == 0 {
            return found;
        }
        found.push((at, header as u16, (header >> 16 & 0xf) as u8));
        at = u64::from(header >> 20);
        if at == 0 {
            return found;
        }
        assert!(at % 4 == 0 && (0x100..0x1000).contains(&at), "{at:#x}");
        assert!(found.len() < 1024, "the list has no end");
    }
}

#[test]
fn lists_lead_to_every_linked_capability_once() {
    let space = everything();
    assert_eq!(
        walk(&space),
        [
            (0x40, 0x01),
            (0x50, 0x05),
            (0x70, 0x10),
            (0xb0, 0x11),
            (0xc0, 0x09)
        ]
    );
    assert_eq!(
        walk_extended(&space),
        [
            (0x100, 0x01, 2),
            (0x148, 0x03, 1),
            (0x158, 0x18, 1),
            (0x160, 0x1e, 1),
            (0x170, 0x04, 1),
            (0x180, 0x15, 1),
            (0x190, 0x16, 1),
            (0x1b0, 0x0b, 1),
        ]
    );
}

#[test]
fn lists_go_in_the_order_given_and_past_what_is_not_linked() {
    let placements = vec![
        place(0x60, pm()),
        unlinked(0x80, blob(4)),
        place(0x40, msi()),
        place(0x100, extended_blob(8)),
        place(0x250, dsn()),
        unlinked(0x238, extended_blob(12)),
        place(0x128, extended_blob(8)),
    ];
    let space = ConfigSpace::new(&header(), placements, true).unwrap();
    assert_eq!(walk(&space), [(0x60, 0x01), (0x40, 0x05)]);
    let extended: Vec<u64> = walk_extended(&space).iter().map(|found| found.0).collect();
    assert_eq!(extended, [0x100, 0x250, 0x128]);
    assert_eq!(space.read_dword(0x80), 0xa5a5_0003, "unlinked, yet there");
    assert_eq!(space.read_dword(0x238), 0x0001_000b, "unlinked, yet there");
    let offsets: Vec<u16> = space.capabilities().map(|placed| placed.offset).collect();
    assert_eq!(offsets, [0x40, 0x60, 0x80, 0x100, 0x128, 0x238, 0x250]);
}

#[test]
fn empty_lists_are_zero() {
    let space = ConfigSpace::new(&header(), vec![unlinked(0x238, dsn())], true).unwrap();
    assert_eq!(walk(&space), []);
    assert_eq!(walk_extended(&space), []);
    assert_eq!(space.read_dword(0x238), 0x0001_0003);
    assert!(space.pm().is_none() && space.pcie().is_none());
}

#[test]
fn capabilities_that_the_function_works_with_keep_their_type() {
    let mut space = everything();
    assert!(space.pm_mut().is_some() && space.msi_mut().is_some() && space.msix_mut().is_some());
    assert!(space.pcie_mut().is_some() && space.aer_mut().is_some() && space.dpa_mut().is_some());
    assert_eq!(space.msix().map(Msix::vectors), Some(8));
}

#[test]
fn capabilities_in_each_other_s_way_or_out_of_place_are_refused() {
    let refused = |placements: Vec<Placement>, extended: bool| {
        ConfigSpace::new(&header(), placements, extended).expect_err("a layout that breaks a rule")
    };
    let raw = "raw";
    assert_eq!(
        refused(vec![place(0x42, blob(4))], true),
        LayoutError::Unaligned {
            name: raw,
            offset: 0x42
        }
    );
    for (offset, capability, extended, len, start, end) in [
        (0x3c, blob(4), true, 4, 0x40, 0x100),
        (0xfc, blob(8), true, 8, 0x40, 0x100),
        (0x100, blob(4), true, 4, 0x40, 0x100),
        (0x0fc, extended_blob(4), true, 4, 0x100, 0x1000),
        (0xffc, extended_blob(8), true, 8, 0x100, 0x1000),
        (0x100, extended_blob(4), false, 4, 0x100, 0x100),
        (0xfffc, extended_blob(8), true, 8, 0x100, 0x1000),
    ] {
        assert_eq!(
            refused(vec![place(offset, capability)], extended),
            LayoutError::OutOfRange {
                name: raw,
                offset,
                len,
                start,
                end
            }
        );
    }
    for (first, second) in [(0x40, 0x44), (0x44, 0x40), (0x40, 0x40)] {
        assert_eq!(
            refused(vec![place(first, blob(8)), place(second, pm())], true),
            LayoutError::Overlap {
                name: "power-management",
                offset: second,
                other: raw,
                other_offset: first,
                other_end: first + 8,
            }
        );
    }
    assert_eq!(
        refused(vec![place(0x40, pm()), place(0x48, pm())], true),
        LayoutError::Duplicate {
            name: "power-management"
        }
    );
    assert_eq!(
        refused(
            vec![place(0x110, extended_blob(4)), place(0x100, dsn())],
            true
        ),
        LayoutError::FirstExtended {
            name: raw,
            offset: 0x110
        }
    );
}

#[test]
fn neighbours_and_the_very_ends_are_in_order() {
    let placements = vec![
        place(0x40, blob(8)),
        place(0x48, pm()),
        place(0xfc, blob(4)),
        place(0x100, extended_blob(4)),
        place(0xffc, extended_blob(4)),
    ];
    assert!(ConfigSpace::new(&header(), placements, true).is_ok());
    let conventional = ConfigSpace::new(&header(), vec![place(0xfc, blob(4))], false);
    assert!(conventional.is_ok());
}

#[test]
fn holes_read_zero_and_ignore_writes() {
    let mut space = everything();
    for offset in [0x48_u64, 0x68, 0xac, 0xbc, 0xc8, 0x154, 0x18c, 0x1bc, 0xffc] {
        assert_eq!(write(&mut space, offset, &[0xde, 0xad, 0xbe, 0xef]), []);
        assert_eq!(space.read_dword(offset), 0, "{offset:#x}");
    }
}

#[test]
fn the_device_changes_registers_of_its_own_and_no_others() {
    let own = "header = false\nbytes = [0x11, 0x22, 0x33]\nrw1c = [0, 0xff]";
    let placements = vec![place(0x40, pm()), unlinked(0x60, raw(own))];
    let mut space = ConfigSpace::new(&header(), placements, false).unwrap();
    assert_eq!(space.register::<u16>(0x61), 0x3322);
    space.set_register(0x61, 0x55_u8);
    assert_eq!(space.read_dword(0x60), 0x0033_5511);
    write(&mut space, 0x60, &[0xff, 0x0f, 0xff, 0xff]);
    assert_eq!(space.read_dword(0x60), 0x0033_5011);
    let before = contents(&space);
    for offset in [0x00, 0x04, 0x44, 0x50, 0xfe, 0x100] {
        space.set_register(offset, u32::MAX);
        assert_eq!(contents(&space), before, "{offset:#x}");
    }
    assert_eq!(walk(&space), [(0x40, 1)], "no list leads there");
}

#[test]
fn beyond_the_end_a_space_reads_as_ones_and_drops_writes() {
    for (extended, size) in [(false, 0x100), (true, 0x1000)] {
        let mut space = ConfigSpace::new(&header(), vec![place(0x40, pm())], extended).unwrap();
        assert_eq!(u64::from(space.size()), size);
        let before = contents(&space);
        assert_eq!(write(&mut space, size - 2, &[0xff; 8]), []);
        assert_eq!(write(&mut space, 1 << 40, &[0xff; 4]), []);
        assert_eq!(contents(&space), before);
        let mut data = [0xaa; 8];
        space.read(size - 2, &mut data);
        assert_eq!(data, [0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    }
}

#[test]
fn a_write_across_registers_reaches_them_in_ascending_order() {
    let mut space = everything();
    let mut data = [0; 0x44];
    data[0] = 0x06; // Command
    data[0x40] = 0x03; // PMCSR
    let effects = write(&mut space, 0x04, &data);
    assert_eq!(effects.len(), 2);
    assert_eq!(effects[0], ConfigEffect::Command);
    assert!(matches!(effects[1], ConfigEffect::PowerState { .. }));
}

#[test]
fn a_reset_reaches_header_and_capabilities() {
    let fresh = contents(&everything());
    let mut space = everything();
    for offset in (0..0x1000).step_by(4) {
        write(&mut space, offset, &[0xff; 4]);
    }
    assert_ne!(contents(&space), fresh);
    space.reset(ResetKind::PowerOn);
    assert_eq!(contents(&space), fresh);
}

#[test]
fn inspection_names_every_capability_by_offset() {
    let inspected = everything().inspect();
    let names: Vec<&String> = inspected["capabilities"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(
        names,
        [
            "040-power-management",
            "050-msi",
            "070-pci-express",
            "0b0-msix",
            "0c0-vendor-specific",
            "100-advanced-error-reporting",
            "148-device-serial-number",
            "158-latency-tolerance-reporting",
            "160-l1-pm-substates",
            "170-power-budgeting",
            "180-resizable-bar",
            "190-dynamic-power-allocation",
            "1b0-raw",
        ]
    );
    assert_eq!(inspected["header"]["vendor_id"], 0x10de);
}

/// Writes that mostly hit registers and sometimes go anywhere, beyond the end included.
fn any_space_writes() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    prop_oneof![4 => any_writes(0x1c0), 1 => any_writes(0x1010)]
}

proptest! {
    #[test]
    fn read_only_bits_never_change(writes in any_space_writes()) {
        let mut space = everything();
        let before = contents(&space);
        for (offset, data) in writes {
            write(&mut space, offset, &data);
        }
        for (offset, (before, after)) in (0..).step_by(4).zip(before.iter().zip(contents(&space))) {
            prop_assert_eq!((before ^ after) & !changeable(offset), 0, "at {:#x}", offset);
        }
    }

    #[test]
    fn single_bytes_add_up_to_the_whole_write(writes in any_space_writes()) {
        let (mut whole, mut bytes) = (everything(), everything());
        for (offset, data) in writes {
            write(&mut whole, offset, &data);
            for (at, byte) in data.iter().enumerate() {
                write(&mut bytes, offset + at as u64, &[*byte]);
            }
        }
        prop_assert_eq!(contents(&whole), contents(&bytes));
    }

    #[test]
    fn any_read_shows_the_same_bytes(writes in any_space_writes(), offset in 0_u64..0x1010, len in 0_usize..64) {
        let mut space = everything();
        for (offset, data) in writes {
            write(&mut space, offset, &data);
        }
        let mut whole = vec![0; len];
        space.read(offset, &mut whole);
        for (at, expected) in whole.into_iter().enumerate() {
            let mut byte = [0];
            space.read(offset + at as u64, &mut byte);
            prop_assert_eq!(byte[0], expected);
        }
    }
}
