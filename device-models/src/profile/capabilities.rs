//! From `[capabilities]` to capabilities.

use super::bars::Bars;
use super::error::Mistake;
use super::layout;
use super::named::Named;
use super::tables::Capabilities;
use crate::capability::{
    AdvancedErrorReporting, Capability, DeviceSerialNumber, DynamicPowerAllocation, L1PmSubstates,
    LatencyToleranceReporting, Msi, Msix, PciExpress, PowerBudgeting, PowerManagement, Raw,
    ResizableBar, VendorSpecific,
};
use crate::config::AnyCapability;

/// Makes a capability from its table and puts it into a list; the error names the key at fault.
macro_rules! make {
    ($made:ident, $path:expr, $config:expr, $new:expr, $wrap:expr) => {{
        let path: String = $path;
        let capability = $new
            .map_err(|error| Mistake::new(format!("capabilities.{path}.{}", error.key()), error))?;
        $made.push(Named {
            key: format!("capabilities.{path}"),
            name: path,
            offset: $config.offset,
            linked: true,
            capability: $wrap(capability),
        });
    }};
}

fn other(capability: impl Capability + 'static) -> AnyCapability {
    AnyCapability::Other(Box::new(capability))
}

impl Capabilities {
    /// Makes the capabilities, in the order in which those without an offset are placed.
    pub(super) fn make(&self, bars: &Bars, aux_power: bool) -> Result<Vec<Named>, Mistake> {
        use AnyCapability as Any;
        let mut made = Vec::new();
        if let Some(config) = &self.pm {
            let new = PowerManagement::new(config, aux_power);
            make!(made, "pm".to_owned(), config, new, Any::PowerManagement);
        }
        if let Some(config) = &self.msi {
            make!(made, "msi".to_owned(), config, Msi::new(config), Any::Msi);
        }
        if let Some(config) = &self.pcie {
            let new = PciExpress::new(config, aux_power);
            make!(made, "pcie".to_owned(), config, new, Any::PciExpress);
        }
        if let Some(config) = &self.msix {
            make!(
                made,
                "msix".to_owned(),
                config,
                Msix::new(config),
                Any::Msix
            );
        }
        for (position, config) in self.vendor.iter().enumerate() {
            let path = format!("vendor.{position}");
            make!(made, path, config, VendorSpecific::new(config), other);
        }
        if let Some(config) = &self.aer {
            let new = AdvancedErrorReporting::new(config);
            make!(
                made,
                "aer".to_owned(),
                config,
                new,
                Any::AdvancedErrorReporting
            );
        }
        if let Some(config) = &self.dsn {
            make!(
                made,
                "dsn".to_owned(),
                config,
                DeviceSerialNumber::new(config),
                other
            );
        }
        if let Some(config) = &self.power_budgeting {
            let path = "power-budgeting".to_owned();
            make!(made, path, config, PowerBudgeting::new(config), other);
        }
        if let Some(config) = &self.ltr {
            made.push(Named {
                key: "capabilities.ltr".to_owned(),
                name: "ltr".to_owned(),
                offset: config.offset,
                linked: true,
                capability: other(LatencyToleranceReporting::new(config)),
            });
        }
        if let Some(config) = &self.l1ss {
            make!(
                made,
                "l1ss".to_owned(),
                config,
                L1PmSubstates::new(config),
                other
            );
        }
        if let Some(config) = &self.resizable_bar {
            let new = ResizableBar::new(config, &bars.decoded);
            make!(made, "resizable-bar".to_owned(), config, new, other);
            bars.check_resizable(config)?;
        }
        if let Some(config) = &self.dpa {
            let new = DynamicPowerAllocation::new(config);
            make!(
                made,
                "dpa".to_owned(),
                config,
                new,
                Any::DynamicPowerAllocation
            );
        }
        for (position, config) in self.raw.iter().enumerate() {
            let path = format!("raw.{position}");
            make!(made, path, config, Raw::new(config), other);
            if let Some(named) = made.last_mut() {
                named.linked = config.linked && config.header;
                if !config.name.is_empty() {
                    named.name.clone_from(&config.name);
                }
            }
        }
        if let Some(named) = made
            .iter()
            .find(|named| matches!(named.capability, Any::Msix(_)))
            && let Any::Msix(msix) = &named.capability
        {
            bars.check_msix(msix)?;
        }
        layout::check_unique(&made)?;
        Ok(made)
    }
}
