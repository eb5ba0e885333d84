//! The language of the steps.
//!
//! Addresses, values and masks are hexadecimal; numbers of times are decimal. `?` asks and expects,
//! `=` writes.
//!
//! | step | what it does |
//! |---|---|
//! | `cfg2 pm+4 = 0003` | writes 1, 2 or 4 bytes of config space, here 2 bytes of the PM capability |
//! | `cfg2 pm+4 ? 000b` | reads and compares; `? 0008/0008` compares the bits of the mask after the slash |
//! | `bar0.4 10 ? ffffffff` | the same for a BAR; `rom.4 0` for the expansion ROM |
//! | `fails EINVAL cfg4 1000 ? 0` | the access is refused with this errno |
//! | `remember config` | reads the whole config space |
//! | `config unchanged but pm+4:0003` | it reads the same again, apart from these bits of these DWORDs |
//! | `walk capabilities` | both lists are finite, aligned and inside their ranges, and hold nothing twice |
//! | `lspci ? TEXT` | what lspci makes of the config space contains the text |
//! | `ctl rail off` | a command of the control socket |
//! | `advance 50ms` | the clock goes on |
//! | `status counters.outside_d0 ? 3` | a figure from the control socket's status |
//! | `violations too-early ? 1` | how many of a kind were recorded |
//! | `events pm-pme ? 1` | how many events of a name were reported since the last time this was asked |
//! | `events wake asserted=true ? 1` | likewise, those with this property |
//! | `events intx before reset` | of those not yet asked for, the first of one name came before the first of another |
//! | `bind intx`, `bind msi 4`, `bind msix 8` | an eventfd for each of so many vectors |
//! | `bind resample` | the eventfd that unmasks INTx |
//! | `signals msix.3 ? 1` | how often an eventfd was signalled since the last time this was asked |
//! | `mask`, `unmask`, `resample` | INTx, by request or by the eventfd |
//! | `device reset` | DEVICE_RESET |
//! | `irq-info intx ? 7 1` | flags and number of vectors of an irq index |
//! | `map 100000 8000` | so many bytes of client memory at this bus address |
//! | `mem 100000 = 1234`, `mem 100000 ? 1234` | a DWORD of it, as the client sees it |
//! | `soon STEP` | repeats an asking step until it finds what it expects, for 5 s at most |
//! | `other STEP` | the step concerns the second function |

use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};

use super::capabilities::CapabilityName;
use crate::raw::wire;

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which function of the server it concerns.
    pub(super) function: usize,
    /// Whether it is repeated until it finds what it expects.
    pub(super) soon: bool,
    pub(super) act: Act,
}

impl Step {
    /// Whether it can find something that it does not expect.
    #[must_use]
    pub fn expects_something(&self) -> bool {
        self.act.asks()
    }

    /// Whether it takes the program lspci.
    #[must_use]
    pub fn needs_lspci(&self) -> bool {
        matches!(self.act, Act::Lspci(_))
    }
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    Write(Place, u32),
    Read(Place, Expected),
    Refused(u32, Box<Act>),
    RememberConfig,
    ConfigUnchanged(Vec<(Address, u32)>),
    WalkCapabilities,
    Lspci(String),
    Control(Vec<String>),
    Status(String, serde_json::Value),
    Violations(String, u64),
    Events(EventKind, usize),
    EventOrder(String, String),
    Bind(u32, u32),
    BindResample,
    Signals(u32, u32, u64),
    MaskIntx,
    UnmaskIntx,
    Resample,
    DeviceReset,
    IrqInfo(u32, u32, u32),
    Map(u64, u64),
    MemoryWrite(u64, u32),
    MemoryRead(u64, u32),
}

impl Act {
    fn asks(&self) -> bool {
        match self {
            Self::Read(..)
            | Self::Refused(..)
            | Self::ConfigUnchanged(_)
            | Self::WalkCapabilities
            | Self::Lspci(_)
            | Self::Status(..)
            | Self::Violations(..)
            | Self::Events(..)
            | Self::EventOrder(..)
            | Self::Signals(..)
            | Self::IrqInfo(..)
            | Self::MemoryRead(..) => true,
            Self::Write(..)
            | Self::RememberConfig
            | Self::Control(_)
            | Self::Bind(..)
            | Self::BindResample
            | Self::MaskIntx
            | Self::UnmaskIntx
            | Self::Resample
            | Self::DeviceReset
            | Self::Map(..)
            | Self::MemoryWrite(..) => false,
        }
    }
}

/// Where an access goes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) region: u32,
    /// Bytes.
    pub(super) width: u32,
    pub(super) address: Address,
}

/// An offset into a region, or into a capability of the config space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) capability: Option<CapabilityName>,
    pub(super) offset: u32,
}

/// The value that a read has to bring, as far as the mask goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) value: u32,
    pub(super) mask: u32,
}

/// Which events are meant.
#[derive(Clone, Debug)]
pub(super) struct EventKind {
    pub(super) name: String,
    /// Properties as `key`, `value`.
    pub(super) with: Vec<(String, String)>,
}

impl FromStr for Step {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (function, text) = match text.strip_prefix("other ") {
            Some(rest) => (1, rest),
            None => (0, text),
        };
        let (soon, text) = match text.strip_prefix("soon ") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let act: Act = text.parse()?;
        ensure!(!soon || act.asks(), "only a step with `?` can be repeated");
        Ok(Self {
            function,
            soon,
            act,
        })
    }
}

impl FromStr for Act {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (ask, expected) = match text.split_once(" ? ") {
            Some((ask, expected)) => (ask, Some(expected)),
            None => (text, None),
        };
        let words: Vec<&str> = ask.split_whitespace().collect();
        Ok(match (words.as_slice(), expected) {
            (["fails", errno, access @ ..], expected) => {
                let errno = wire::errno(errno).with_context(|| format!("{errno} is no errno"))?;
                let mut access = access.join(" ");
                if let Some(expected) = expected {
                    access = format!("{access} ? {expected}");
                }
                Self::Refused(errno, Box::new(access.parse()?))
            }
            (["remember", "config"], None) => Self::RememberConfig,
            (["config", "unchanged"], None) => Self::ConfigUnchanged(Vec::new()),
            (["config", "unchanged", "but", exempt @ ..], None) => {
                let exempt = exempt.iter().map(|exempt| exemption(exempt));
                Self::ConfigUnchanged(exempt.collect::<Result<_>>()?)
            }
            (["walk", "capabilities"], None) => Self::WalkCapabilities,
            (["lspci"], Some(text)) => Self::Lspci(text.to_owned()),
            (["ctl", command @ ..], None) => Self::Control(owned(command)),
            (["advance", span], None) => Self::Control(owned(&["clock", "advance", span])),
            (["status", path], Some(value)) => Self::Status(
                (*path).to_owned(),
                serde_json::from_str(value).with_context(|| format!("{value} is not JSON"))?,
            ),
            (["violations", kind], Some(count)) => {
                Self::Violations((*kind).to_owned(), number(count)?)
            }
            (["events", first, "before", second], None) => {
                Self::EventOrder((*first).to_owned(), (*second).to_owned())
            }
            (["events", name, with @ ..], Some(count)) => {
                let with = with
                    .iter()
                    .map(|with| property(with))
                    .collect::<Result<_>>()?;
                let name = (*name).to_owned();
                Self::Events(EventKind { name, with }, number(count)?)
            }
            (["bind", "intx"], None) => Self::Bind(wire::irq::INTX, 1),
            (["bind", "resample"], None) => Self::BindResample,
            (["bind", index, count], None) => Self::Bind(irq_index(index)?, number(count)?),
            (["signals", vector], Some(count)) => {
                let (index, vector) = vector.split_once('.').unwrap_or((vector, "0"));
                Self::Signals(irq_index(index)?, number(vector)?, number(count)?)
            }
            (["mask"], None) => Self::MaskIntx,
            (["unmask"], None) => Self::UnmaskIntx,
            (["resample"], None) => Self::Resample,
            (["device", "reset"], None) => Self::DeviceReset,
            (["irq-info", index], Some(info)) => {
                let (flags, count) = info.split_once(' ').context("expects FLAGS COUNT")?;
                Self::IrqInfo(irq_index(index)?, hex(flags)?, number(count)?)
            }
            (["map", address, size], None) => Self::Map(hex(address)?.into(), hex(size)?.into()),
            (["mem", address, "=", value], None) => {
                Self::MemoryWrite(hex(address)?.into(), hex(value)?)
            }
            (["mem", address], Some(value)) => Self::MemoryRead(hex(address)?.into(), hex(value)?),
            ([space, address, "=", value], None) => {
                Self::Write(place(space, address)?, hex(value)?)
            }
            ([space, address], Some(value)) => {
                Self::Read(place(space, address)?, expectation(value)?)
            }
            _ => bail!("is no step; see the table of steps in client-tests/src/table/step.rs"),
        })
    }
}

fn place(space: &str, address: &str) -> Result<Place> {
    let (region, width) = if let Some(width) = space.strip_prefix("cfg") {
        (wire::region::CONFIG, width)
    } else if let Some(width) = space.strip_prefix("rom.") {
        (wire::region::ROM, width)
    } else if let Some((bar, width)) = space.strip_prefix("bar").and_then(|s| s.split_once('.')) {
        (number(bar)?, width)
    } else {
        bail!("`{space}` is no space; there are cfg1, bar0.1, rom.1, each with 1, 2 or 4 bytes");
    };
    let width = number(width)?;
    ensure!(
        matches!(width, 1 | 2 | 4),
        "an access has 1, 2 or 4 bytes, not {width}"
    );
    Ok(Place {
        region,
        width,
        address: address_of(address)?,
    })
}

fn address_of(text: &str) -> Result<Address> {
    let (capability, offset) = match text.split_once('+') {
        Some((name, offset)) => (Some(name.parse()?), offset),
        None => (None, text),
    };
    Ok(Address {
        capability,
        offset: hex(offset)?,
    })
}

fn expectation(text: &str) -> Result<Expected> {
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (hex(value)?, hex(mask)?),
        None => (hex(text)?, u32::MAX),
    };
    ensure!(
        value & !mask == 0,
        "the value has bits that the mask leaves out"
    );
    Ok(Expected { value, mask })
}

fn exemption(text: &str) -> Result<(Address, u32)> {
    let (address, mask) = text.split_once(':').context("expects ADDRESS:MASK")?;
    Ok((address_of(address)?, hex(mask)?))
}

fn property(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("expects KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn irq_index(name: &str) -> Result<u32> {
    Ok(match name {
        "intx" => wire::irq::INTX,
        "msi" => wire::irq::MSI,
        "msix" => wire::irq::MSIX,
        "err" => wire::irq::ERR,
        "req" => wire::irq::REQ,
        _ => bail!("`{name}` is no irq index; there are intx, msi, msix, err, req"),
    })
}

fn hex(text: &str) -> Result<u32> {
    u32::from_str_radix(text, 16).with_context(|| format!("`{text}` is not hexadecimal"))
}

fn number<N: FromStr>(text: &str) -> Result<N>
where
    N::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .with_context(|| format!("`{text}` is no number"))
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
