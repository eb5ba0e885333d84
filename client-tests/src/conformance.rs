//! A suite that judges any vfio-user server through its socket.
//!
//! Every rule is a [`Check`]: a name, the rule's source, the rule, and the test of it. The tables
//! of checks, one for each area, are data, and [`run`] walks them. Deliberate differences of a
//! server are declared in a file, [`expect`], and compared with the results.
//!
//! | module | content |
//! |---|---|
//! | [`subject`] | the server under test: its socket, and its features |
//! | [`run`] | walks the checks, notices that a server has gone |
//! | [`expect`] | declared differences |
//! | [`report`] | the outcome as TAP and JSON |
//! | [`page`] | the list of checks that people read |
//! | `payload` | requests, field by field |
//! | the others | the checks of one area each |

pub mod expect;
pub mod page;
pub mod report;
pub mod run;
pub mod subject;

mod capabilities;
mod config;
mod dma;
mod feature;
mod framing;
mod info;
mod io_fds;
mod irq_info;
mod irqs;
mod lifetime;
mod logging;
mod migration;
mod payload;
mod region;
mod region_info;
mod unmap;
mod version;
mod version_text;

use std::fmt;

use serde::Serialize;

use subject::Subject;

/// The source of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The protocol's specification.
    Specification,
    /// The specification leaves it open. The C library libvfio-user has this rule, and its clients
    /// rely on it.
    LibvfioUser,
    /// The specification takes the structure over from Linux VFIO, which has this rule.
    Linux,
    /// QEMU's client depends on it.
    Qemu,
    /// Cloud Hypervisor's client depends on it.
    CloudHypervisor,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Specification => "specification",
            Self::LibvfioUser => "libvfio-user",
            Self::Linux => "Linux VFIO",
            Self::Qemu => "QEMU",
            Self::CloudHypervisor => "Cloud Hypervisor",
        })
    }
}

/// The result of a check that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rule holds.
    Holds,
    /// The server does not have the feature that the rule is about.
    DoesNotApply(String),
}

/// The outcome of a check. An error describes the observation that breaks the rule.
pub type Outcome = anyhow::Result<Verdict>;

/// A rule and the test of it.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Name in the form `area.what`.
    pub name: &'static str,
    /// Source of the rule.
    pub source: Source,
    /// The rule.
    pub rule: &'static str,
    /// Function that tests the rule on connections of its own.
    pub body: fn(&Subject) -> Outcome,
}

const fn check(
    name: &'static str,
    source: Source,
    rule: &'static str,
    body: fn(&Subject) -> Outcome,
) -> Check {
    Check {
        name,
        source,
        rule,
        body,
    }
}

fn holds() -> Outcome {
    Ok(Verdict::Holds)
}

fn skip(reason: &str) -> Outcome {
    Ok(Verdict::DoesNotApply(reason.to_owned()))
}

/// The checks of one area.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// Subject of the checks, as a heading.
    pub title: &'static str,
    /// The checks in the order in which they run.
    pub checks: &'static [Check],
}

const fn area(title: &'static str, checks: &'static [Check]) -> Area {
    Area { title, checks }
}

/// All areas in the order in which they run.
pub const AREAS: [Area; 17] = [
    area("Messages", framing::CHECKS),
    area("VERSION", version::CHECKS),
    area("Capabilities in VERSION", version_text::CHECKS),
    area("DEVICE_GET_INFO and DEVICE_RESET", info::CHECKS),
    area("DEVICE_GET_REGION_INFO", region_info::CHECKS),
    area("DEVICE_GET_REGION_IO_FDS", io_fds::CHECKS),
    area("DEVICE_GET_IRQ_INFO", irq_info::CHECKS),
    area("DEVICE_SET_IRQS", irqs::CHECKS),
    area(
        "REGION_READ, REGION_WRITE, REGION_WRITE_MULTI",
        region::CHECKS,
    ),
    area("Config space", config::CHECKS),
    area("Capabilities in config space", capabilities::CHECKS),
    area("DMA_MAP", dma::CHECKS),
    area("DMA_UNMAP", unmap::CHECKS),
    area("DEVICE_FEATURE", feature::CHECKS),
    area("Dirty page logging", logging::CHECKS),
    area("Migration", migration::CHECKS),
    area("Clients that come and go", lifetime::CHECKS),
];

/// Returns all checks.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    AREAS.iter().flat_map(|area| area.checks)
}
