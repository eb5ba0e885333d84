//! The tables of a profile as they are written.

mod capabilities;
mod doorbell;
mod mappable;

use std::time::Duration;

use serde::Deserialize;

pub(super) use self::capabilities::Capabilities;
pub(super) use self::doorbell::DoorbellTable;
pub(super) use self::mappable::{AreaTable, MappableTable};

use crate::config::BarKind;
use crate::fault::Fault;
use crate::function::{BarContent, Delays};
use crate::host::{
    self, ColdVia, HostOptions, NeedsDriver, OnDisconnect, PmDialect, PortOptions, RailAs,
    SlotPower, SuspendDelay, View,
};
use crate::power::PowerState;
use crate::slot::FunctionNumber;

/// A whole profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Tables {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Number of the physical function, if the function is a virtual one of it.
    #[serde(default)]
    pub virtual_function_of: Option<FunctionNumber>,
    /// The Linux driver for the function.
    #[serde(default)]
    pub linux_driver: Option<String>,
    #[serde(default)]
    pub model: ModelTable,
    pub identity: Identity,
    #[serde(default)]
    pub bar: Vec<Bar>,
    #[serde(default)]
    pub doorbell: Vec<DoorbellTable>,
    #[serde(default)]
    pub rom: Option<Rom>,
    #[serde(default)]
    pub capabilities: Capabilities,
    #[serde(default)]
    pub platform: Platform,
    #[serde(default)]
    pub host: Host,
    #[serde(default)]
    pub slot: SlotTable,
    #[serde(default)]
    pub fault: Vec<Fault>,
}

/// `[slot]` of a function that is served alone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SlotTable {
    pub resume_dependents: bool,
    pub port: PortOptions,
    pub fault: Vec<Fault>,
}

impl SlotTable {
    pub(super) const fn power(&self) -> SlotPower {
        SlotPower {
            resume_dependents: self.resume_dependents,
            port: self.port,
        }
    }
}

/// `model`: the name alone, or a table with the name and the model's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WrittenModel")]
pub(super) struct ModelTable {
    /// Name in the model registry, or [`crate::model::RAM`].
    pub name: String,
    pub parameters: toml::Table,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "this is neither the name of a model nor a table with its name; write model = \"none\" for example"
)]
enum WrittenModel {
    Name(String),
    Table {
        name: String,
        #[serde(flatten)]
        parameters: toml::Table,
    },
}

impl From<WrittenModel> for ModelTable {
    fn from(written: WrittenModel) -> Self {
        match written {
            WrittenModel::Name(name) => Self {
                name,
                parameters: toml::Table::new(),
            },
            WrittenModel::Table { name, parameters } => Self { name, parameters },
        }
    }
}

impl Default for ModelTable {
    fn default() -> Self {
        WrittenModel::Name("none".to_owned()).into()
    }
}

/// `[identity]`: the header's fixed fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Identity {
    pub vendor_id: u16,
    pub device_id: u16,
    /// Class code of 24 bits: base class, sub-class, programming interface.
    pub class: u32,
    #[serde(default)]
    pub revision: u8,
    #[serde(default)]
    pub subsystem_vendor_id: u16,
    #[serde(default)]
    pub subsystem_id: u16,
    #[serde(default)]
    pub interrupt_pin: InterruptPin,
    #[serde(default)]
    pub interrupt_line: u8,
    #[serde(default)]
    pub min_gnt: u8,
    #[serde(default)]
    pub max_lat: u8,
    #[serde(default)]
    pub cardbus_cis: u32,
    #[serde(default)]
    pub multi_function: bool,
    #[serde(default)]
    pub immediate_readiness: bool,
    /// Size of config space, 256 or 4096. If absent, the size that the capabilities need.
    #[serde(default)]
    pub config_size: Option<u16>,
}

/// Interrupt Pin.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum InterruptPin {
    #[default]
    #[serde(rename = "none")]
    None,
    A,
    B,
    C,
    D,
}

/// `[[bar]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Bar {
    pub index: u8,
    pub kind: BarKind,
    /// Size in bytes.
    pub size: u64,
    #[serde(default)]
    pub prefetchable: bool,
    /// Content. If absent: the model, or memory if the model is [`crate::model::RAM`].
    #[serde(default)]
    pub content: Option<BarContent>,
    /// The part that clients may map.
    #[serde(default)]
    pub mappable: MappableTable,
}

/// `[rom]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Rom {
    /// Size in bytes.
    pub size: u32,
}

/// `[platform]`: the slot.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Platform {
    pub aux_power: bool,
    pub delays: Delays,
    pub deepest_state: DeepestState,
    pub d3cold_via: ColdVia,
    pub needs_driver: bool,
    pub dead_without_driver: bool,
    pub on_delay_ms: u32,
    pub rail_as: RailAs,
}

/// The deepest state to which a platform brings a function.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DeepestState {
    D0,
    D3hot,
    #[default]
    D3cold,
}

impl From<DeepestState> for PowerState {
    fn from(state: DeepestState) -> Self {
        match state {
            DeepestState::D0 => Self::D0,
            DeepestState::D3hot => Self::D3hot,
            DeepestState::D3cold => Self::D3cold,
        }
    }
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            aux_power: true,
            delays: Delays::default(),
            deepest_state: DeepestState::default(),
            d3cold_via: ColdVia::default(),
            needs_driver: false,
            dead_without_driver: false,
            on_delay_ms: 100,
            rail_as: RailAs::default(),
        }
    }
}

/// `[host]`: the host driver above the function.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Host {
    pub view: View,
    pub pm_dialect: PmDialect,
    pub suspend_delay_ms: DelayMs,
    /// If absent, true only in the hardware view.
    pub disable_idle_d3: Option<bool>,
    pub extra_open_gets: u32,
    pub max_clients: u32,
    pub reset_works: bool,
    pub enable_sriov: bool,
    /// If absent, true only in the vfio-pci view.
    pub aer: Option<bool>,
    pub on_disconnect: OnDisconnect,
    pub client_memory: ClientMemory,
    /// Faults may send transfers to wrong addresses.
    pub misdirected_dma: bool,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            view: View::default(),
            pm_dialect: PmDialect::default(),
            suspend_delay_ms: DelayMs::Millis(0),
            disable_idle_d3: None,
            extra_open_gets: 0,
            max_clients: 1,
            reset_works: true,
            enable_sriov: true,
            aer: None,
            on_disconnect: OnDisconnect::default(),
            client_memory: ClientMemory::default(),
            misdirected_dma: false,
        }
    }
}

/// `suspend-delay-ms`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected milliseconds or \"manual\"")]
pub(super) enum DelayMs {
    Millis(u32),
    Word(Manual),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Manual {
    Manual,
}

impl From<DelayMs> for SuspendDelay {
    fn from(delay: DelayMs) -> Self {
        match delay {
            DelayMs::Millis(millis) => Self::After(Duration::from_millis(millis.into())),
            DelayMs::Word(Manual::Manual) => Self::Manual,
        }
    }
}

impl Tables {
    /// Returns the host driver's part of a profile.
    pub(super) fn host_options(&self) -> HostOptions {
        let Host {
            view,
            pm_dialect,
            suspend_delay_ms,
            disable_idle_d3,
            extra_open_gets,
            max_clients,
            reset_works,
            enable_sriov,
            aer,
            on_disconnect,
            client_memory: _,
            misdirected_dma: _,
        } = self.host;
        HostOptions {
            view,
            pm_dialect,
            platform: host::Platform {
                deepest_state: self.platform.deepest_state.into(),
                cold_via: self.platform.d3cold_via,
                on_delay: Duration::from_millis(self.platform.on_delay_ms.into()),
            },
            rail_as: self.platform.rail_as,
            suspend_delay: suspend_delay_ms.into(),
            disable_idle_d3: disable_idle_d3.unwrap_or(view == View::Hardware),
            extra_open_gets,
            max_clients,
            on_disconnect,
            reset_works,
            enable_sriov,
            aer: aer.unwrap_or(view == View::VfioPci),
            needs_driver: match self.platform {
                Platform {
                    needs_driver: false,
                    ..
                } => NeedsDriver::No,
                Platform {
                    dead_without_driver: false,
                    ..
                } => NeedsDriver::Recorded,
                Platform { .. } => NeedsDriver::Fatal,
            },
            real_delays: self.platform.delays == Delays::Enforce,
        }
    }
}

/// The server's way to reach memory that the client gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientMemory {
    /// By reads and writes of the file behind it. A client that removes its memory cannot harm the
    /// server.
    #[default]
    FileIo,
    /// By mapping files that are sealed against shrinking. Other files are read and written.
    MapSealed,
}
