//! The expansion ROM image of a profile that names only a size.

/// Offset of the PCI Data Structure.
const PCIR: usize = 0x1c;
const PCIR_LEN: u16 = 0x18;
const BLOCK: usize = 512;
/// Open Firmware: neither a BIOS nor UEFI starts such an image.
const CODE_TYPE: u8 = 1;

/// Returns the smallest legal image (PCI Firmware Specification §5.1) that identifies its device
/// and has no code. It is one block long, with zeroes up to `size`.
///
/// | offset | | |
/// |---|---|---|
/// | 00 | 55 AA | signature |
/// | 18 | 1C 00 | offset of the PCI Data Structure |
/// | 1C | "PCIR" | vendor id at +4, device id +6, length +A, class code +D, blocks +10, code type +14, last image +15 |
pub(super) fn image(size: u32, vendor_id: u16, device_id: u16, class: u32) -> Vec<u8> {
    let mut image = vec![0; size as usize];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(to) = image.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    };
    put(0x00, &[0x55, 0xaa]);
    put(0x18, &(PCIR as u16).to_le_bytes());
    put(PCIR, b"PCIR");
    put(PCIR + 0x04, &vendor_id.to_le_bytes());
    put(PCIR + 0x06, &device_id.to_le_bytes());
    put(PCIR + 0x0a, &PCIR_LEN.to_le_bytes());
    put(PCIR + 0x0d, &class.to_le_bytes()[..3]);
    put(PCIR + 0x10, &1_u16.to_le_bytes());
    put(PCIR + 0x14, &[CODE_TYPE, 0x80]);
    // Whoever checks finds that the bytes of the image add up to zero.
    let sum = image
        .iter()
        .take(BLOCK)
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if let Some(last) = image.get_mut(BLOCK - 1) {
        *last = sum.wrapping_neg();
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_what_a_rom_scan_looks_for() {
        let image = image(0x1000, 0x1234, 0xd3c0, 0xff_00_00);
        assert_eq!(image.len(), 0x1000);
        assert_eq!(image[..2], [0x55, 0xaa]);
        let pcir = usize::from(u16::from_le_bytes([image[0x18], image[0x19]]));
        assert_eq!(image[pcir..pcir + 8], *b"PCIR\x34\x12\xc0\xd3");
        assert_eq!(image[pcir + 0xd..pcir + 0x10], [0x00, 0x00, 0xff]);
        assert_eq!(image[pcir + 0x15], 0x80, "last image");
        let sum = image.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(sum, 0);
    }
}
