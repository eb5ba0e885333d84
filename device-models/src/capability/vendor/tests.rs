use super::*;
use crate::capability::testing::{assert_read_only, dwords, write};

fn vendor(text: &str) -> Result<VendorSpecific, VendorConfigError> {
    VendorSpecific::new(&toml::from_str(text).expect("a table of the tests"))
}

#[test]
fn the_length_counts_header_and_itself() {
    let mut plain = vendor("bytes = [0xaa, 0xbb, 0xcc]").unwrap();
    assert_eq!(dwords(&plain), [0xaa06_0000, 0x0000_ccbb]);
    assert_eq!(plain.inspect()["length"], 6);
    assert_read_only(&mut plain);
    assert_eq!(dwords(&vendor("").unwrap()), [0x0003_0000]);
}

#[test]
fn software_writes_what_the_mask_allows() {
    let mut masked = vendor("bytes = [0xaa, 0xbb, 0xcc]\nrw = [0x00, 0xf0]").unwrap();
    write(&mut masked, 0, &[0; 8]);
    assert_eq!(dwords(&masked), [0xaa06_0000, 0x0000_cc0b]);
}

#[test]
fn what_does_not_fit_is_refused_by_key() {
    let bytes = |len: usize| format!("bytes = {:?}", vec![0; len]);
    assert!(vendor(&bytes(252)).is_ok());
    assert_eq!(vendor(&bytes(253)).expect_err("256 bytes").key(), "bytes");
    assert_eq!(
        vendor("rw = [1]").expect_err("a mask for nothing").key(),
        "rw"
    );
}
