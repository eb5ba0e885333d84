//! `[capabilities]`, as written.

use serde::Deserialize;

use crate::capability::{
    AerConfig, DpaConfig, DsnConfig, EnhancedAllocationConfig, L1ssConfig, LtrConfig, MsiConfig,
    MsixConfig, PcieConfig, PmConfig, PowerBudgetingConfig, PtmConfig, RawConfig,
    ResizableBarConfig, SriovConfig, VendorConfig,
};

/// The table `[capabilities]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::profile) struct Capabilities {
    /// Names in the conventional list, in its order. If absent: all capabilities, by offset.
    pub list: Option<Vec<String>>,
    /// Names in the extended list, in its order. If absent: all capabilities, by offset.
    pub extended_list: Option<Vec<String>>,
    pub pm: Option<PmConfig>,
    pub msi: Option<MsiConfig>,
    pub pcie: Option<PcieConfig>,
    pub msix: Option<MsixConfig>,
    pub enhanced_allocation: Option<EnhancedAllocationConfig>,
    pub vendor: Vec<VendorConfig>,
    pub aer: Option<AerConfig>,
    pub dsn: Option<DsnConfig>,
    pub power_budgeting: Option<PowerBudgetingConfig>,
    pub ltr: Option<LtrConfig>,
    pub l1ss: Option<L1ssConfig>,
    pub resizable_bar: Option<ResizableBarConfig>,
    pub dpa: Option<DpaConfig>,
    pub sriov: Option<SriovConfig>,
    pub ptm: Option<PtmConfig>,
    pub raw: Vec<RawConfig>,
}
