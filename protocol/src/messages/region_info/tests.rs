use super::*;
use crate::vfio::RegionIndex;

fn bar2() -> RegionInfo {
    RegionInfo {
        flags: RegionFlags::READ | RegionFlags::WRITE | RegionFlags::MMAP,
        index: RegionIndex::Bar2.number(),
        size: 0x8000,
        offset: 0x8000,
        capabilities: vec![Capability::SparseMmap(vec![
            SparseArea {
                offset: 0x2000,
                size: 0x1000,
            },
            SparseArea {
                offset: 0x4000,
                size: 0x2000,
            },
        ])],
    }
}

fn encoded(info: &RegionInfo, argsz: u32) -> Vec<u8> {
    let mut out = Vec::new();
    info.encode(argsz, &mut out);
    out
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_ne_bytes(*word))
        .collect()
}

#[test]
fn without_room_there_is_the_fixed_part_and_the_argsz_that_it_takes() {
    let payload = encoded(&bar2(), 32);
    assert_eq!(payload.len(), 32);
    assert_eq!(words(&payload)[..4], [80, 0b0111, 2, 0]);
    assert_eq!(encoded(&bar2(), 79), payload);
}

#[test]
fn with_room_the_chain_follows() {
    let payload = encoded(&bar2(), 80);
    assert_eq!(payload.len(), 80);
    assert_eq!(words(&payload)[..4], [80, 0b1111, 2, 32]);
    let link = &payload[32..];
    assert_eq!(
        link[..4],
        [1_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat()
    );
    assert_eq!(words(link)[1..4], [0, 2, 0]);
}

#[test]
fn an_absent_region_is_32_bytes_without_anything() {
    let payload = encoded(&RegionInfo::absent(RegionIndex::Vga.number()), 32);
    assert_eq!(
        words(&payload),
        [32, 0, RegionIndex::Vga.number(), 0, 0, 0, 0, 0]
    );
}

#[test]
fn links_point_to_each_other() {
    let info = RegionInfo {
        capabilities: vec![
            Capability::Type {
                kind: 1,
                subtype: 2,
            },
            Capability::MsixMappable,
            Capability::SparseMmapFds(vec![FdArea {
                offset: 0,
                fd_offset: 0x1000,
                size: 0x1000,
                fd_index: 1,
            }]),
        ],
        ..bar2()
    };
    let words = words(&encoded(&info, u32::MAX));
    assert_eq!(words[0], 32 + 16 + 8 + 48);
    let next = |at: u32| words[at as usize / 4 + 1];
    assert_eq!([next(32), next(48), next(56)], [48, 56, 0]);
}

#[test]
fn a_chain_that_goes_back_or_out_is_refused() {
    let good = encoded(&bar2(), 80);
    let with = |at: usize, value: u32| {
        let mut payload = good.clone();
        payload[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        Reply::parse(&payload)
    };
    assert!(Reply::parse(&good).is_ok());
    for (at, value) in [
        (12, 16),       // first link inside the fixed part
        (12, 76),       // first link cut off
        (12, u32::MAX), // far away
        (36, 32),       // a circle
        (36, 8),        // backwards
        (36, 72),       // into its own areas
        (36, 80),       // behind the end
        (40, 3),        // more areas than there are
        (40, u32::MAX),
        (0, 31), // argsz below the fixed part
    ] {
        assert!(with(at, value).is_err(), "{value:#x} at {at}");
    }
}

#[test]
fn an_argsz_below_the_structure_is_refused() {
    let mut payload = Vec::new();
    Request {
        argsz: 31,
        index: 0,
    }
    .encode(&mut payload);
    let error = Request::parse(&payload).unwrap_err();
    assert_eq!(
        error.to_string(),
        "DEVICE_GET_REGION_INFO request: argsz is 31, it has to be at least 32"
    );
}
