use super::*;
use crate::capability::testing::{dwords, read, write};
use crate::register::ResetKind;

const GIB: u64 = 1 << 30;

/// BAR 0: 256 MiB with 64 bits, BAR 2: 32 MiB with 32 bits, BAR 5: ports.
fn bars() -> [Option<BarConfig>; MAX_BARS] {
    let bar = |kind, size| {
        Some(BarConfig {
            kind,
            prefetchable: kind == BarKind::Memory64,
            size,
        })
    };
    [
        bar(BarKind::Memory64, 256 * MIB),
        None,
        bar(BarKind::Memory32, 32 * MIB),
        None,
        None,
        bar(BarKind::Io, 128),
    ]
}

fn rebar(bars_and_sizes: &[(u8, &[u64])]) -> Result<ResizableBar, ResizableBarConfigError> {
    let config = ResizableBarConfig {
        offset: None,
        bars: bars_and_sizes
            .iter()
            .map(|(bar, sizes)| ResizableBarSizes {
                bar: *bar,
                sizes: sizes.to_vec(),
            })
            .collect(),
    };
    ResizableBar::new(&config, &bars())
}

#[test]
fn sizes_are_bits_and_the_first_control_counts() {
    let one = rebar(&[(0, &[256 * MIB, 512 * MIB, GIB])]).unwrap();
    assert_eq!(dwords(&one), [0, 0x0000_7000, 0x0000_0820]);
    let two = rebar(&[(0, &[256 * MIB, 4 * GIB]), (2, &[MIB, 32 * MIB])]).unwrap();
    assert_eq!(
        dwords(&two),
        [0, 0x0001_1000, 0x0000_0840, 0x0000_0210, 0x0000_0502]
    );
    // From 256 TiB on sizes are in the control register.
    let huge = rebar(&[(0, &[256 * MIB, 1 << 47, 1 << 48, 1 << 62])]).unwrap();
    assert_eq!(dwords(&huge), [0, 0x8000_1000, 0x4001_0820]);
}

#[test]
fn a_supported_size_is_taken_and_told() {
    let mut rebar = rebar(&[(2, &[32 * MIB]), (0, &[256 * MIB, GIB])]).unwrap();
    let effects = write(&mut rebar, 16, &0x0000_0a00_u32.to_le_bytes());
    assert_eq!(effects, [ConfigEffect::BarSize { bar: 0, size: GIB }]);
    assert_eq!(read(&rebar, 16), 0x0000_0a00);
    assert_eq!(
        write(&mut rebar, 17, &[0x0a]),
        [],
        "it has that size already"
    );
    let effects = write(&mut rebar, 17, &[0x08]);
    assert_eq!(
        effects,
        [ConfigEffect::BarSize {
            bar: 0,
            size: 256 * MIB
        }]
    );
    assert_eq!(rebar.inspect()["bars"][1]["sizes"], json!([256 * MIB, GIB]));
}

#[test]
fn other_sizes_are_ignored() {
    let mut rebar = rebar(&[(0, &[256 * MIB, GIB])]).unwrap();
    let before = dwords(&rebar);
    for size in (0..64).filter(|size| ![8, 10].contains(size)) {
        assert_eq!(write(&mut rebar, 9, &[size]), [], "size {size}");
        assert_eq!(dwords(&rebar), before, "size {size}");
    }
}

#[test]
fn nothing_else_can_be_written() {
    let mut rebar = rebar(&[(0, &[256 * MIB, GIB]), (2, &[32 * MIB])]).unwrap();
    let before = dwords(&rebar);
    write(&mut rebar, 0, &[0xff; 20]);
    assert_eq!(dwords(&rebar), before);
    write(&mut rebar, 8, &0xffff_caff_u32.to_le_bytes());
    assert_eq!(read(&rebar, 8), before[2] & !0x3f00 | 0x0a00);
}

#[test]
fn every_reset_returns_to_the_bar_s_own_size() {
    for kind in ResetKind::ALL {
        let mut rebar = rebar(&[(0, &[256 * MIB, GIB])]).unwrap();
        let before = dwords(&rebar);
        write(&mut rebar, 9, &[0x0a]);
        rebar.reset(kind);
        assert_eq!(dwords(&rebar), before, "{kind:?}");
    }
}

#[test]
fn bars_that_cannot_be_resized_so_are_refused() {
    use ResizableBarConfigError as Error;
    let size = 32 * MIB;
    for (bars, expected) in [
        (&[][..], Error::Empty),
        (&[(1, &[MIB][..])][..], Error::NoMemoryBar { bar: 1 }),
        (&[(5, &[MIB])], Error::NoMemoryBar { bar: 5 }),
        (&[(6, &[MIB])], Error::NoMemoryBar { bar: 6 }),
        (&[(2, &[size]), (2, &[size])], Error::Duplicate { bar: 2 }),
        (
            &[(2, &[size, 3 * MIB])],
            Error::Size {
                bar: 2,
                size: 3 * MIB,
            },
        ),
        (
            &[(2, &[size, MIB / 2])],
            Error::Size {
                bar: 2,
                size: MIB / 2,
            },
        ),
        (
            &[(2, &[size, 4 * GIB])],
            Error::Size {
                bar: 2,
                size: 4 * GIB,
            },
        ),
        (
            &[(0, &[256 * MIB, 1 << 63])],
            Error::Size {
                bar: 0,
                size: 1 << 63,
            },
        ),
        (&[(2, &[MIB])], Error::PowerOnSize { bar: 2, size }),
    ] {
        let error = rebar(bars).expect_err("a table that breaks a rule");
        assert_eq!(error, expected);
        assert_eq!(error.key(), "bars");
    }
}
