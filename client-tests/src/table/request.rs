//! The requests of a client in a step, and their notation.

use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};

use super::capabilities::CapabilityName;
use super::step::{hex, irq_index, number};
use crate::raw::wire::{device_feature, region, set_irqs};

/// One request of a client.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Read(Place),
    /// Writes the value's low bytes, and zeroes after its fourth.
    Write(Place, u32),
    Feature(Feature),
    SetIrqs(Irqs),
    Reset,
    Info,
    RegionInfo(u32),
    IrqInfo(u32),
}

/// The destination of an access.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) region: u32,
    /// Width in bytes.
    pub(super) width: u32,
    pub(super) address: Address,
}

/// An offset into a region, or into a capability of the config space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) capability: Option<CapabilityName>,
    pub(super) offset: u32,
}

/// A device feature request.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    /// Number, operations and any other flags.
    pub(super) flags: u32,
    /// The stated size of the request. If absent, its true size.
    pub(super) argsz: Option<u32>,
    /// DWORDs of data.
    pub(super) data: Vec<u32>,
    pub(super) attached: Attached,
}

/// The descriptors that go with a device feature request.
#[derive(Clone, Debug)]
pub(super) enum Attached {
    Nothing,
    /// The eventfd of this name, which is created by its first use.
    Eventfd(String),
    /// Memory: a file descriptor other than an eventfd.
    Memory,
    /// Two eventfds.
    Two,
}

/// A SET_IRQS request without eventfds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Irqs {
    pub(super) index: u32,
    pub(super) flags: u32,
    pub(super) start: u32,
    pub(super) count: u32,
}

impl FromStr for Request {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["feature", operations, number, options @ ..] => {
                Self::Feature(feature(operations, number, options)?)
            }
            ["irqs", index, action, data, start, count] => Self::SetIrqs(Irqs {
                index: irq_index(index)?,
                flags: action_flag(action)? | data_flag(data)?,
                start: number(start)?,
                count: number(count)?,
            }),
            ["reset"] => Self::Reset,
            ["info"] => Self::Info,
            ["region-info", index] => Self::RegionInfo(number(index)?),
            ["irq-info", index] => Self::IrqInfo(irq_index(index)?),
            ["read", space, address, len] => Self::Read(span(space, address, len)?),
            ["write", space, address, len] => Self::Write(span(space, address, len)?, 0),
            [space, address, "=", value] => Self::Write(place(space, address)?, hex(value)?),
            [space, address] => Self::Read(place(space, address)?),
            _ => bail!("is no step; see the table of steps in client-tests/src/table/step.rs"),
        })
    }
}

impl Request {
    /// Returns whether the success of such a request is an expectation by itself.
    pub(super) const fn asks(&self) -> bool {
        matches!(self, Self::Feature(_) | Self::SetIrqs(_) | Self::Reset)
    }
}

fn feature(operations: &str, feature: &str, options: &[&str]) -> Result<Feature> {
    let mut flags: u32 = number(feature)?;
    for operation in operations.split('+') {
        flags |= match operation {
            "get" => device_feature::GET,
            "set" => device_feature::SET,
            "probe" => device_feature::PROBE,
            "nothing" => 0,
            flags => hex(flags).with_context(|| {
                format!("`{flags}` is no operation; there are get, set, probe, nothing")
            })?,
        };
    }
    let mut request = Feature {
        flags,
        argsz: None,
        data: Vec::new(),
        attached: Attached::Nothing,
    };
    for option in options {
        let (key, value) = option.split_once('=').context("expects KEY=VALUE")?;
        match (key, value) {
            ("argsz", value) => request.argsz = Some(number(value)?),
            ("data", value) => request.data = value.split(',').map(hex).collect::<Result<_>>()?,
            ("wake", name) => request.attached = Attached::Eventfd(name.to_owned()),
            ("fd", "memory") => request.attached = Attached::Memory,
            ("fd", "two") => request.attached = Attached::Two,
            _ => bail!("`{option}` is no option; there are argsz, data, wake, fd=memory, fd=two"),
        }
    }
    Ok(request)
}

fn action_flag(action: &str) -> Result<u32> {
    Ok(match action {
        "mask" => set_irqs::ACTION_MASK,
        "unmask" => set_irqs::ACTION_UNMASK,
        "trigger" => set_irqs::ACTION_TRIGGER,
        _ => bail!("`{action}` is no action; there are mask, unmask, trigger"),
    })
}

fn data_flag(data: &str) -> Result<u32> {
    Ok(match data {
        "none" => set_irqs::DATA_NONE,
        "eventfd" => set_irqs::DATA_EVENTFD,
        _ => bail!("`{data}` is no data; there are none, eventfd"),
    })
}

/// Parses `cfg2`, `rom.4`, `bar0.1`: a space with the width of the access.
fn place(space: &str, address: &str) -> Result<Place> {
    let (space, width) = if let Some(width) = space.strip_prefix("cfg") {
        ("cfg", width)
    } else if let Some(access) = space.split_once('.') {
        access
    } else {
        bail!("`{space}` is no space; there are cfg1, bar0.1, rom.1, each with 1, 2 or 4 bytes");
    };
    let width = number(width)?;
    ensure!(
        matches!(width, 1 | 2 | 4),
        "an access has 1, 2 or 4 bytes, not {width}"
    );
    Ok(Place {
        region: region_index(space)?,
        width,
        address: address_of(address)?,
    })
}

fn span(space: &str, address: &str, len: &str) -> Result<Place> {
    Ok(Place {
        region: region_index(space)?,
        width: number(len)?,
        address: address_of(address)?,
    })
}

pub(super) fn region_index(space: &str) -> Result<u32> {
    match space {
        "cfg" => Ok(region::CONFIG),
        "rom" => Ok(region::ROM),
        _ => match (space.strip_prefix("bar"), space.strip_prefix("region")) {
            (Some(index), _) | (_, Some(index)) => number(index),
            _ => bail!("`{space}` is no space; there are cfg, rom, bar0 to bar5, region0 and on"),
        },
    }
}

pub(super) fn address_of(text: &str) -> Result<Address> {
    let (capability, offset) = match text.split_once('+') {
        Some((name, offset)) => (Some(name.parse()?), offset),
        None => (None, text),
    };
    Ok(Address {
        capability,
        offset: hex(offset)?,
    })
}
