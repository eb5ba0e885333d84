//! The profiles that come with the crate.

/// Names and texts of single functions, the default profile first.
pub(crate) const BUILTIN: &[(&str, &str)] = &[
    ("testdev", include_str!("../../profiles/testdev.toml")),
    (
        "gpu-display",
        include_str!("../../profiles/gpu-display.toml"),
    ),
    ("gpu-3d", include_str!("../../profiles/gpu-3d.toml")),
    ("gpu-audio", include_str!("../../profiles/gpu-audio.toml")),
    ("nic", include_str!("../../profiles/nic.toml")),
    ("nvme", include_str!("../../profiles/nvme.toml")),
    ("ioat", include_str!("../../profiles/ioat.toml")),
    (
        "i2c-designware",
        include_str!("../../profiles/i2c-designware.toml"),
    ),
    ("smbus", include_str!("../../profiles/smbus.toml")),
    ("serial", include_str!("../../profiles/serial.toml")),
    ("xhci", include_str!("../../profiles/xhci.toml")),
];

/// Names and texts of the cards.
pub(crate) const CARDS: &[(&str, &str)] = &[
    ("gpu-card", include_str!("../../profiles/gpu-card.toml")),
    (
        "gpu-card-usb",
        include_str!("../../profiles/gpu-card-usb.toml"),
    ),
    (
        "nic-sriov-card",
        include_str!("../../profiles/nic-sriov-card.toml"),
    ),
];
