//! The abilities of this program, for management software: `dormouse --print-capabilities`.

use pci_device_models::model::Registry;
use serde::Serialize;

use crate::control::Verb;

/// Names of things that a caller may rely on. They are only ever added.
///
/// Options of `serve` and subcommands go by their names.
const FEATURES: &[&str] = &[
    "allow-uid",
    "check",
    "clock",
    "config-space",
    "controller-ctl-path",
    "controller-fd",
    "controller-path",
    "controller-restore",
    "ctl",
    "ctl-path",
    "demo",
    "dma-timeout",
    "fd",
    "function",
    "landlock",
    "max-ctl-clients",
    "max-dma-files",
    "max-dma-mapped",
    "max-dma-maps",
    "max-log-burst",
    "once",
    "poll-us",
    "profiles",
    "rail-as",
    "rail-path",
    "restore",
    "seccomp",
    "set",
    "socket-activation",
    "socket-group",
    "socket-mode",
    "ssdt",
    "state-dir",
];

/// The document that `--print-capabilities` prints.
#[derive(Debug, Serialize)]
pub struct Manifest<'a> {
    /// Kind of device, as in the discovery files of vhost-user and vfio-user: always `pci`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// See the documentation of the command line.
    pub features: &'static [&'static str],
    /// Verbs of the control socket.
    pub verbs: Vec<&'static str>,
    /// Built-in profiles.
    pub profiles: Vec<&'a str>,
}

impl<'a> Manifest<'a> {
    /// Returns the document of a program with these models and profiles.
    pub fn new(registry: &'a Registry) -> Self {
        Self {
            kind: "pci",
            version: env!("CARGO_PKG_VERSION"),
            features: FEATURES,
            verbs: Verb::all().iter().map(|help| help.verb.as_str()).collect(),
            profiles: registry.profiles().collect(),
        }
    }
}
