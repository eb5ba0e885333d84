use super::*;
use crate::register::{DwordWrite, ResetKind};

fn aer() -> AdvancedErrorReporting {
    AdvancedErrorReporting::new(&AerConfig::default()).unwrap()
}

fn write(aer: &mut AdvancedErrorReporting, offset: usize, value: u32) {
    aer.write(offset / 4, DwordWrite::full(value), &mut Vec::new());
}

fn registers(aer: &AdvancedErrorReporting) -> [u32; 5] {
    [
        UNCORRECTABLE_STATUS,
        UNCORRECTABLE_MASK,
        UNCORRECTABLE_SEVERITY,
        CORRECTABLE_STATUS,
        CORRECTABLE_MASK,
    ]
    .map(|offset| aer.registers().get(offset))
}

#[test]
fn e5_e6_status_and_masks_survive_all_but_a_fundamental_reset() {
    for kind in ResetKind::ALL {
        let mut aer = aer();
        write(&mut aer, UNCORRECTABLE_MASK, 1 << 20);
        write(&mut aer, CORRECTABLE_MASK, 0);
        aer.record_unsupported_request(true);
        let before = registers(&aer);
        aer.reset(kind);
        let expected = match kind {
            ResetKind::PowerOn | ResetKind::Fundamental => {
                [0, 0x0040_0000, 0x0046_2030, 0, 0x0000_e000]
            }
            _ => before,
        };
        assert_eq!(registers(&aer), expected, "{kind:?}");
    }
}

#[test]
fn an_advisory_error_is_uncorrectable_only_where_it_is_not_masked() {
    let mut aer = aer();
    aer.record_unsupported_request(true);
    assert_eq!(registers(&aer)[0], 0);
    assert_eq!(registers(&aer)[3], ADVISORY_NON_FATAL);
    write(&mut aer, CORRECTABLE_MASK, 0);
    aer.record_unsupported_request(true);
    assert_eq!(registers(&aer)[0], UNSUPPORTED_REQUEST);
    let control: AerControl = aer.registers().get(CONTROL);
    assert_eq!(control.first_error_pointer(), 20);
}

#[test]
fn status_bits_are_cleared_by_writing_one() {
    let mut aer = aer();
    aer.record_unsupported_request(false);
    write(&mut aer, UNCORRECTABLE_STATUS, 0);
    assert_eq!(registers(&aer)[0], UNSUPPORTED_REQUEST);
    write(&mut aer, UNCORRECTABLE_STATUS, UNSUPPORTED_REQUEST);
    assert_eq!(registers(&aer)[0], 0);
}

#[test]
fn severity_decides_what_is_fatal() {
    let mut aer = aer();
    assert!(!aer.unsupported_request_is_fatal());
    write(&mut aer, UNCORRECTABLE_SEVERITY, UNSUPPORTED_REQUEST);
    assert!(aer.unsupported_request_is_fatal());
}

#[test]
fn the_versions_differ_in_length() {
    for (version, bytes) in [(1, 0x2c), (2, 0x48)] {
        let config = AerConfig {
            version,
            ..AerConfig::default()
        };
        let aer = AdvancedErrorReporting::new(&config).unwrap();
        assert_eq!(4 * aer.registers().len(), bytes);
    }
    let config = AerConfig {
        version: 3,
        ..AerConfig::default()
    };
    let error = AdvancedErrorReporting::new(&config).unwrap_err();
    assert_eq!(error.key(), "version");
}
