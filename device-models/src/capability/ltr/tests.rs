use super::*;
use crate::capability::testing::{read, write};
use crate::register::ResetKind;

#[test]
fn latencies_are_storage_of_thirteen_bits() {
    let mut ltr = LatencyToleranceReporting::new(&LtrConfig::default());
    assert_eq!(read(&ltr, 4), 0);
    write(&mut ltr, 4, &[0x03, 0x10, 0x03, 0x10]);
    assert_eq!(read(&ltr, 4), 0x1003_1003);
    assert_eq!(ltr.inspect()["max_snoop_ns"], 3_145_728);
    write(&mut ltr, 6, &[0xff, 0xff]);
    assert_eq!(read(&ltr, 4), 0x1fff_1003);
    assert_eq!(ltr.inspect()["max_no_snoop_ns"], Value::Null);
}

#[test]
fn scales_are_powers_of_thirty_two() {
    for (scale, unit) in [1, 32, 1024, 32_768, 1_048_576, 33_554_432]
        .into_iter()
        .enumerate()
    {
        let latency = MaxLatency::new().with_scale(scale as u8).with_value(3);
        assert_eq!(latency.nanoseconds(), Some(3 * unit), "scale {scale}");
    }
}

#[test]
fn a_function_level_reset_keeps_them() {
    for (kind, kept) in [
        (ResetKind::PowerOn, false),
        (ResetKind::Fundamental, false),
        (ResetKind::Hot, false),
        (ResetKind::Flr, true),
        (ResetKind::SoftD3hot, true),
    ] {
        let mut ltr = LatencyToleranceReporting::new(&LtrConfig::default());
        write(&mut ltr, 4, &[0x03, 0x10, 0x03, 0x10]);
        ltr.reset(kind);
        assert_eq!(read(&ltr, 4) != 0, kept, "{kind:?}");
    }
}
