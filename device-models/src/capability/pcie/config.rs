//! The table `[capabilities.pcie]` of a profile, and the mistakes in it.

use serde::Deserialize;
use thiserror::Error;

use super::registers::{DeviceCapabilities, DeviceCapabilities2, LinkCapabilities};

/// Device/Port Type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PcieType {
    /// PCI Express Endpoint.
    #[default]
    Endpoint,
    /// Legacy PCI Express Endpoint.
    LegacyEndpoint,
    /// Root Complex Integrated Endpoint, which has no link.
    RootComplexIntegratedEndpoint,
    /// Root Complex Event Collector, which has no link.
    RootComplexEventCollector,
}

impl PcieType {
    pub(super) const fn bits(self) -> u16 {
        match self {
            Self::Endpoint => 0,
            Self::LegacyEndpoint => 1,
            Self::RootComplexIntegratedEndpoint => 9,
            Self::RootComplexEventCollector => 10,
        }
    }

    pub(super) const fn has_link(self) -> bool {
        matches!(self, Self::Endpoint | Self::LegacyEndpoint)
    }
}

/// The `[capabilities.pcie]` table of a profile. A register given as a number replaces the value
/// that the other keys would give it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PcieConfig {
    /// Offset in config space.
    pub offset: Option<u16>,
    /// Capability version, 1 or 2.
    pub version: u8,
    /// Device/Port Type.
    pub r#type: PcieType,
    /// Interrupt Message Number, 0 to 31: the MSI or MSI-X vector of the capability's own interrupts.
    pub interrupt_message: u8,
    /// Function Level Reset. If absent, the function has it, unless Device Capabilities is given.
    pub flr: Option<bool>,
    /// The function needs auxiliary power, and its Device Status shows that the slot has it. If absent: it
    /// signals PME from D3cold.
    pub needs_aux_power: Option<bool>,
    /// Link speed: 1 is 2.5 GT/s, 2 is 5, 3 is 8, 4 is 16, 5 is 32, 6 is 64.
    pub link_speed: u8,
    /// Lanes: 1, 2, 4, 8, 12, 16 or 32.
    pub link_width: u8,
    /// Largest payload in bytes, 128 to 4096.
    pub max_payload: u16,
    /// 8-bit tags.
    pub extended_tag: bool,
    /// Latency Tolerance Reporting mechanism.
    pub ltr: bool,
    /// Device Capabilities.
    pub device_capabilities: Option<u32>,
    /// Device Control.
    pub device_control: Option<u16>,
    /// Link Capabilities.
    pub link_capabilities: Option<u32>,
    /// Link Control.
    pub link_control: Option<u16>,
    /// Link Status.
    pub link_status: Option<u16>,
    /// Device Capabilities 2.
    pub device_capabilities_2: Option<u32>,
    /// Device Control 2.
    pub device_control_2: Option<u16>,
    /// Link Capabilities 2.
    pub link_capabilities_2: Option<u32>,
    /// Link Control 2.
    pub link_control_2: Option<u16>,
    /// Link Status 2.
    pub link_status_2: Option<u16>,
}

impl Default for PcieConfig {
    fn default() -> Self {
        Self {
            offset: None,
            version: 2,
            r#type: PcieType::Endpoint,
            interrupt_message: 0,
            flr: None,
            needs_aux_power: None,
            link_speed: 1,
            link_width: 1,
            max_payload: 128,
            extended_tag: false,
            ltr: false,
            device_capabilities: None,
            device_control: None,
            link_capabilities: None,
            link_control: None,
            link_status: None,
            device_capabilities_2: None,
            device_control_2: None,
            link_capabilities_2: None,
            link_control_2: None,
            link_status_2: None,
        }
    }
}

/// The mistake in a [`PcieConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PcieConfigError {
    /// The link speed has no number.
    #[error("link speed {0}: speeds are 1 (2.5 GT/s) to 6 (64 GT/s)")]
    LinkSpeed(u8),
    /// The number of lanes does not exist.
    #[error("{0} lanes: a link has 1, 2, 4, 8, 12, 16 or 32")]
    LinkWidth(u8),
    /// The payload size is not a permitted power of two.
    #[error("a payload of {0} bytes: sizes are 128, 256, 512, 1024, 2048 and 4096")]
    MaxPayload(u16),
    /// The version is neither 1 nor 2.
    #[error("version {0}: the PCI Express capability has versions 1 and 2")]
    Version(u8),
    /// The Interrupt Message Number does not fit five bits.
    #[error("interrupt message {0} does not fit five bits; at most 31")]
    InterruptMessage(u8),
    /// A key and the register that is given as a whole say different things.
    #[error("{key} = {value} contradicts {register}, which says otherwise; remove one of them")]
    Contradiction {
        /// The key.
        key: &'static str,
        /// Its value.
        value: u32,
        /// The key of the register.
        register: &'static str,
    },
    /// A key and the register that is given as a whole say different things.
    #[error("{key} = {value} contradicts {register}, which says otherwise; remove one of them")]
    ContradictedFlag {
        /// The key.
        key: &'static str,
        /// Its value.
        value: bool,
        /// The key of the register.
        register: &'static str,
    },
    /// Version 1 of the capability ends before the register.
    #[error("version 1 of the capability has no such register; remove it or choose version 2")]
    NotInVersion1(&'static str),
}

impl PcieConfigError {
    /// Returns the key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::LinkSpeed(_) => "link-speed",
            Self::LinkWidth(_) => "link-width",
            Self::MaxPayload(_) => "max-payload",
            Self::Version(_) => "version",
            Self::InterruptMessage(_) => "interrupt-message",
            Self::Contradiction { key, .. } | Self::ContradictedFlag { key, .. } => key,
            Self::NotInVersion1(key) => key,
        }
    }
}

impl PcieConfig {
    /// Returns the fields of Link Capabilities that all functions on a link have in common: speed, width
    /// and port (PCIe Base §7.5.3.6).
    pub(crate) fn link(&self) -> LinkCapabilities {
        LinkCapabilities::from(u32::from(super::link_capabilities(self)) & 0xff00_03ff)
    }

    /// Returns whether the function has a function level reset.
    pub(crate) fn has_flr(&self) -> bool {
        let capabilities = self.device_capabilities.map(DeviceCapabilities::from);
        let given = capabilities.map(|capabilities| capabilities.function_level_reset());
        given.or(self.flr).unwrap_or(true)
    }

    /// Returns the length of the capability in DWORDs.
    pub(super) fn dwords(&self) -> usize {
        match self.version {
            1 if self.r#type.has_link() => 5,
            1 => 3,
            _ => 15,
        }
    }

    /// Returns whether the registers of a link exist. Some integrated endpoints have them.
    pub(super) fn has_link_registers(&self) -> bool {
        self.r#type.has_link() || self.link_capabilities.is_some()
    }

    pub(super) fn check_version(&self) -> Result<(), PcieConfigError> {
        if !(1..=2).contains(&self.version) {
            return Err(PcieConfigError::Version(self.version));
        }
        if self.interrupt_message > 31 {
            return Err(PcieConfigError::InterruptMessage(self.interrupt_message));
        }
        let later = [
            ("ltr", self.ltr),
            (
                "device-capabilities-2",
                self.device_capabilities_2.is_some(),
            ),
            ("device-control-2", self.device_control_2.is_some()),
            ("link-capabilities-2", self.link_capabilities_2.is_some()),
            ("link-control-2", self.link_control_2.is_some()),
            ("link-status-2", self.link_status_2.is_some()),
        ];
        match later.into_iter().find(|(_, given)| *given) {
            Some((key, _)) if self.version == 1 => Err(PcieConfigError::NotInVersion1(key)),
            _ => Ok(()),
        }
    }

    /// Checks that no key asks for something that a register given as a whole takes back. A key with its
    /// default value asks for nothing.
    pub(super) fn check_contradictions(&self) -> Result<(), PcieConfigError> {
        let device = self.device_capabilities.map(DeviceCapabilities::from);
        let device_2 = self.device_capabilities_2.map(DeviceCapabilities2::from);
        let link = self.link_capabilities.map(LinkCapabilities::from);
        let contradicted = |flag: bool, given: Option<bool>| given.is_some_and(|has| has != flag);
        let flags = [
            (
                "flr",
                self.flr,
                device.map(|device| device.function_level_reset()),
                "device-capabilities",
            ),
            (
                "extended-tag",
                self.extended_tag.then_some(true),
                device.map(|device| device.extended_tag()),
                "device-capabilities",
            ),
            (
                "ltr",
                self.ltr.then_some(true),
                device_2.map(|device| device.ltr()),
                "device-capabilities-2",
            ),
        ];
        for (key, flag, given, register) in flags {
            if let Some(value) = flag
                && contradicted(value, given)
            {
                return Err(PcieConfigError::ContradictedFlag {
                    key,
                    value,
                    register,
                });
            }
        }
        let default = Self::default();
        let payload = device.map(|device| 128 << device.max_payload_size_supported());
        let numbers: [(_, u32, u32, Option<u32>, _); 3] = [
            (
                "max-payload",
                self.max_payload.into(),
                default.max_payload.into(),
                payload,
                "device-capabilities",
            ),
            (
                "link-speed",
                self.link_speed.into(),
                default.link_speed.into(),
                link.map(|link| link.max_link_speed().into()),
                "link-capabilities",
            ),
            (
                "link-width",
                self.link_width.into(),
                default.link_width.into(),
                link.map(|link| link.max_link_width().into()),
                "link-capabilities",
            ),
        ];
        for (key, value, default, given, register) in numbers {
            if value != default && given.is_some_and(|given| given != value) {
                return Err(PcieConfigError::Contradiction {
                    key,
                    value,
                    register,
                });
            }
        }
        Ok(())
    }
}
