//! The registers of the PCI Express capability (PCIe Base §7.5.3.2 to §7.5.3.20).

use bitfield_struct::bitfield;

use crate::register::register_bits;

/// Device Capabilities, +04.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct DeviceCapabilities {
    /// Number of bits by which 128 bytes are shifted left.
    #[bits(3)]
    pub max_payload_size_supported: u8,
    #[bits(2)]
    pub phantom_functions: u8,
    pub extended_tag: bool,
    #[bits(3)]
    pub l0s_acceptable_latency: u8,
    #[bits(3)]
    pub l1_acceptable_latency: u8,
    #[bits(3)]
    __: u8,
    pub role_based_error_reporting: bool,
    #[bits(2)]
    __: u8,
    pub captured_slot_power_limit_value: u8,
    #[bits(2)]
    pub captured_slot_power_limit_scale: u8,
    pub function_level_reset: bool,
    #[bits(3)]
    __: u8,
}

/// Device Control, +08.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct DeviceControl {
    pub correctable_error_reporting: bool,
    pub non_fatal_error_reporting: bool,
    pub fatal_error_reporting: bool,
    pub unsupported_request_reporting: bool,
    pub relaxed_ordering: bool,
    #[bits(3)]
    pub max_payload_size: u8,
    pub extended_tag: bool,
    pub phantom_functions: bool,
    pub aux_power_pm: bool,
    pub no_snoop: bool,
    #[bits(3)]
    pub max_read_request_size: u8,
    pub initiate_flr: bool,
}

/// Device Status, +0A.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct DeviceStatus {
    pub correctable_error: bool,
    pub non_fatal_error: bool,
    pub fatal_error: bool,
    pub unsupported_request: bool,
    pub aux_power_detected: bool,
    pub transactions_pending: bool,
    #[bits(10)]
    __: u16,
}

/// Link Capabilities, +0C.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct LinkCapabilities {
    #[bits(4)]
    pub max_link_speed: u8,
    #[bits(6)]
    pub max_link_width: u8,
    /// Bit 0 L0s, bit 1 L1.
    #[bits(2)]
    pub aspm: u8,
    #[bits(3)]
    pub l0s_exit_latency: u8,
    #[bits(3)]
    pub l1_exit_latency: u8,
    pub clock_power_management: bool,
    #[bits(3)]
    __: u8,
    pub aspm_optionality: bool,
    __: bool,
    pub port_number: u8,
}

/// Link Control, +10.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct LinkControl {
    #[bits(2)]
    pub aspm: u8,
    __: bool,
    pub read_completion_boundary: bool,
    #[bits(2)]
    __: u8,
    pub common_clock: bool,
    pub extended_synch: bool,
    pub clock_power_management: bool,
    pub hardware_autonomous_width_disable: bool,
    #[bits(6)]
    __: u8,
}

/// Link Status, +12.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct LinkStatus {
    #[bits(4)]
    pub current_link_speed: u8,
    #[bits(6)]
    pub negotiated_link_width: u8,
    #[bits(2)]
    __: u8,
    pub slot_clock: bool,
    #[bits(3)]
    __: u8,
}

/// Device Capabilities 2, +24.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct DeviceCapabilities2 {
    #[bits(4)]
    pub completion_timeout_ranges: u8,
    pub completion_timeout_disable: bool,
    #[bits(2)]
    __: u8,
    /// AtomicOps of 32, 64 and 128 bits.
    #[bits(3)]
    pub atomic_completer: u8,
    __: bool,
    pub ltr: bool,
    #[bits(5)]
    __: u8,
    pub tag_10_requester: bool,
    #[bits(2)]
    pub obff: u8,
    #[bits(12)]
    __: u16,
}

/// Device Control 2, +28.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct DeviceControl2 {
    #[bits(4)]
    pub completion_timeout: u8,
    pub completion_timeout_disable: bool,
    /// A bit that only a port implements.
    pub ari_forwarding_enable: bool,
    pub atomic_requester_enable: bool,
    #[bits(3)]
    __: u8,
    pub ltr_enable: bool,
    __: bool,
    pub tag_10_requester_enable: bool,
    #[bits(2)]
    pub obff: u8,
    __: bool,
}

/// Link Control 2, +30.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct LinkControl2 {
    #[bits(4)]
    pub target_link_speed: u8,
    pub enter_compliance: bool,
    pub hardware_autonomous_speed_disable: bool,
    __: bool,
    #[bits(9)]
    pub compliance: u16,
}

register_bits!(
    DeviceCapabilities: u32,
    DeviceControl: u16,
    DeviceStatus: u16,
    LinkCapabilities: u32,
    LinkControl: u16,
    LinkStatus: u16,
    DeviceCapabilities2: u32,
    DeviceControl2: u16,
    LinkControl2: u16,
);
