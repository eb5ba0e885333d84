use super::*;
use crate::capability::testing::{assert_read_only, dwords};

fn dsn(serial: &str) -> Result<DeviceSerialNumber, DsnConfigError> {
    DeviceSerialNumber::new(&DsnConfig {
        offset: None,
        serial: serial.to_owned(),
    })
}

#[test]
fn the_lowest_byte_comes_first_in_config_space() {
    let mut dsn = dsn("2b-0a-50-31-8c-38-25-00").unwrap();
    assert_eq!(dsn.serial(), 0x2b0a_5031_8c38_2500);
    let bytes: Vec<u8> = dwords(&dsn)[1..]
        .iter()
        .flat_map(|dword| dword.to_le_bytes())
        .collect();
    assert_eq!(bytes, [0x00, 0x25, 0x38, 0x8c, 0x31, 0x50, 0x0a, 0x2b]);
    assert_eq!(dsn.inspect()["serial"], "2b-0a-50-31-8c-38-25-00");
    assert_read_only(&mut dsn);
}

#[test]
fn other_texts_are_refused() {
    for serial in [
        "",
        "2b-0a-50-31-8c-38-25",
        "2b-0a-50-31-8c-38-25-00-00",
        "2b-0a-50-31-8c-38-25-",
        "2b-0a-50-31-8c-38-25-0g",
        "2b-0a-50-31-8c-38-25-+1",
        "2b0a50318c382500",
    ] {
        let error = dsn(serial).expect_err(serial);
        assert_eq!(error.key(), "serial");
        assert!(
            error.to_string().contains(&format!("\"{serial}\"")),
            "{error}"
        );
    }
}
