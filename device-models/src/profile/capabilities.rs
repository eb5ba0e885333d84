//! From `[capabilities]` to capabilities.

use super::bars::Bars;
use super::error::Mistake;
use super::layout;
use super::named::Named;
use super::tables::Capabilities;
use crate::capability::{
    AdvancedErrorReporting, Capability, DeviceSerialNumber, DynamicPowerAllocation,
    EnhancedAllocation, L1PmSubstates, LatencyToleranceReporting, Msi, Msix, PciExpress, PmConfig,
    PowerBudgeting, PowerManagement, PrecisionTimeMeasurement, Raw, ResizableBar,
    SingleRootIoVirtualization, VendorSpecific,
};
use crate::config::AnyCapability;
use crate::power::PowerState;

/// Creates a capability from its table and appends it to a list. The error names the key at fault.
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
    /// Creates the capabilities, in the order in which those without an offset are placed.
    pub(super) fn make(
        &self,
        bars: &Bars,
        aux_power: bool,
        multi_function: bool,
    ) -> Result<Vec<Named>, Mistake> {
        use AnyCapability as Any;
        // Each is named, so that none can be forgotten.
        let Self {
            list: _,
            extended_list: _,
            pm,
            msi,
            pcie,
            msix,
            enhanced_allocation,
            vendor,
            aer,
            dsn,
            power_budgeting,
            ltr,
            l1ss,
            resizable_bar,
            dpa,
            sriov,
            ptm,
            raw,
        } = self;
        let mut made = Vec::new();
        if let Some(config) = pm {
            // Only function 0 of several can show the power of their common logic.
            let alone = (!multi_function).then(|| config.without_common_logic());
            let config = alone.as_ref().unwrap_or(config);
            let new = PowerManagement::new(config, aux_power);
            make!(made, "pm".to_owned(), config, new, Any::PowerManagement);
        }
        if let Some(config) = msi {
            make!(made, "msi".to_owned(), config, Msi::new(config), Any::Msi);
        }
        if let Some(config) = pcie {
            let from_d3cold = |pm: &PmConfig| pm.pme_from.contains(&PowerState::D3cold);
            let needs_aux = pm.as_ref().is_some_and(from_d3cold);
            let detected = aux_power && config.needs_aux_power.unwrap_or(needs_aux);
            let new = PciExpress::new(config, detected);
            make!(made, "pcie".to_owned(), config, new, Any::PciExpress);
        }
        if let Some(config) = msix {
            make!(
                made,
                "msix".to_owned(),
                config,
                Msix::new(config),
                Any::Msix
            );
        }
        if let Some(config) = enhanced_allocation {
            let new = EnhancedAllocation::new(config, &bars.decoded);
            make!(made, "enhanced-allocation".to_owned(), config, new, other);
        }
        for (position, config) in vendor.iter().enumerate() {
            let path = format!("vendor.{position}");
            make!(made, path, config, VendorSpecific::new(config), other);
        }
        if let Some(config) = aer {
            let new = AdvancedErrorReporting::new(config);
            make!(
                made,
                "aer".to_owned(),
                config,
                new,
                Any::AdvancedErrorReporting
            );
        }
        if let Some(config) = dsn {
            make!(
                made,
                "dsn".to_owned(),
                config,
                DeviceSerialNumber::new(config),
                other
            );
        }
        if let Some(config) = power_budgeting {
            let path = "power-budgeting".to_owned();
            make!(made, path, config, PowerBudgeting::new(config), other);
        }
        if let Some(config) = ltr {
            made.push(Named {
                key: "capabilities.ltr".to_owned(),
                name: "ltr".to_owned(),
                offset: config.offset,
                linked: true,
                capability: other(LatencyToleranceReporting::new(config)),
            });
        }
        if let Some(config) = l1ss {
            make!(
                made,
                "l1ss".to_owned(),
                config,
                L1PmSubstates::new(config),
                other
            );
        }
        if let Some(config) = resizable_bar {
            let new = ResizableBar::new(config, &bars.decoded);
            let path = "resizable-bar".to_owned();
            make!(made, path, config, new, Any::ResizableBar);
            bars.check_resizable(config)?;
        }
        if let Some(config) = dpa {
            let new = DynamicPowerAllocation::new(config);
            make!(
                made,
                "dpa".to_owned(),
                config,
                new,
                Any::DynamicPowerAllocation
            );
        }
        if let Some(config) = sriov {
            let new = SingleRootIoVirtualization::new(config);
            let path = "sriov".to_owned();
            make!(made, path, config, new, Any::SingleRootIoVirtualization);
        }
        if let Some(config) = ptm {
            made.push(Named {
                key: "capabilities.ptm".to_owned(),
                name: "ptm".to_owned(),
                offset: config.offset,
                linked: true,
                capability: other(PrecisionTimeMeasurement::new(config)),
            });
        }
        for (position, config) in raw.iter().enumerate() {
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
