//! The machine of the measurements.

use std::fs;

use anyhow::Result;
use serde::Serialize;

/// A machine, as its ratios depend on it.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cpus: usize,
    /// It is a guest, where waking a sleeping CPU costs most.
    pub virtual_machine: bool,
    pub kernel: String,
}

/// This machine.
pub fn describe() -> Result<Machine> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let value = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, v)| v)
    };
    Ok(Machine {
        cpu: value("model name").unwrap_or(std::env::consts::ARCH).into(),
        cpus: std::thread::available_parallelism()?.get(),
        virtual_machine: value("flags").is_some_and(|flags| flags.contains(" hypervisor")),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .into(),
    })
}
