use super::*;
use crate::capability::testing::{read, write};
use crate::register::ResetKind;

#[test]
fn a_requester_has_enable_and_granularity_and_no_more() {
    let mut ptm = PrecisionTimeMeasurement::new(&PtmConfig::default());
    write(&mut ptm, 4, &[0xff; 8]);
    assert_eq!(read(&ptm, 4), 1, "requester capable");
    assert_eq!(read(&ptm, 8), 0xff01);
    let shown = ptm.inspect();
    assert_eq!(shown["enable"], true);
    assert_eq!(shown["effective_granularity_ns"], 255);
}

#[test]
fn every_reset_disables_it() {
    for kind in ResetKind::ALL {
        let mut ptm = PrecisionTimeMeasurement::new(&PtmConfig::default());
        write(&mut ptm, 8, &[0x01, 0x08]);
        assert_eq!(read(&ptm, 8), 0x0801);
        ptm.reset(kind);
        assert_eq!(read(&ptm, 8), 0, "{kind:?}");
    }
}
