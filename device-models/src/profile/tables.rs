//! The tables of a profile, as written.

use serde::Deserialize;

use crate::config::BarKind;
use crate::function::{BarContent, Delays};
use crate::host::OnDisconnect;

use super::capabilities::Capabilities;

/// A whole profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Tables {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Name in the model registry, or [`super::RAM`].
    #[serde(default = "no_model")]
    pub model: String,
    pub identity: Identity,
    #[serde(default)]
    pub bar: Vec<Bar>,
    #[serde(default)]
    pub rom: Option<Rom>,
    #[serde(default)]
    pub capabilities: Capabilities,
    #[serde(default)]
    pub platform: Platform,
    #[serde(default)]
    pub host: Host,
}

fn no_model() -> String {
    "none".to_owned()
}

/// `[identity]`: the header's fixed fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Identity {
    pub vendor_id: u16,
    pub device_id: u16,
    /// 24 bits: base class, sub-class, programming interface.
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
    pub multi_function: bool,
    #[serde(default)]
    pub immediate_readiness: bool,
    /// 256 or 4096; left out: what the capabilities need.
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
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Bar {
    pub index: u8,
    pub kind: BarKind,
    /// Bytes.
    pub size: u64,
    #[serde(default)]
    pub prefetchable: bool,
    /// Left out: the model, or memory where the model is [`super::RAM`].
    #[serde(default)]
    pub content: Option<BarContent>,
}

/// `[rom]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Rom {
    /// Bytes.
    pub size: u32,
}

/// `[platform]`: the slot.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Platform {
    pub aux_power: bool,
    pub delays: Delays,
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            aux_power: true,
            delays: Delays::default(),
        }
    }
}

/// `[host]`: what stands above the function.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Host {
    pub on_disconnect: OnDisconnect,
    pub client_memory: ClientMemory,
}

/// How the server reaches memory that the client gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientMemory {
    /// By reading and writing the file behind it: a client that takes its memory away harms nobody.
    #[default]
    FileIo,
    /// By mapping files that are sealed against shrinking, the others by file.
    MapSealed,
}
