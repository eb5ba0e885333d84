//! The language of the steps.
//!
//! Addresses, values and masks are hexadecimal; counts are decimal. `?` reads and compares, `=`
//! writes.
//!
//! | step | meaning |
//! |---|---|
//! | `cfg2 pm+4 = 0003` | writes 1, 2 or 4 bytes of config space, here 2 bytes of the PM capability |
//! | `cfg2 pm+4 ? 000b` | reads and compares; `? 0008/0008` compares the bits of the mask after the slash |
//! | `bar0.4 10 ? ffffffff` | the same for a BAR; `rom.4 0` for the expansion ROM |
//! | `read bar0 ffc 8 ? 4` | how many of 8 bytes are read; `write` likewise; spaces are `cfg`, `rom`, `bar0`, `region9` |
//! | `fails EINVAL cfg4 1000` | the request is refused with this errno |
//! | `remember config` | reads the whole config space |
//! | `config unchanged but pm+4:0003` | config space is unchanged, apart from these bits of these DWORDs |
//! | `walk capabilities` | both lists are finite, aligned and inside their ranges, and hold nothing twice |
//! | `lspci ? TEXT` | lspci's output for the config space contains the text |
//! | `ctl rail off` | a command of the control socket |
//! | `fails EBUSY ctl hot-reset` | a command that the host driver refuses with this errno |
//! | `advance 50ms` | advances the clock |
//! | `status counters.outside_d0 ? 3` | a figure from the control socket's status; `inspect` likewise |
//! | `violations too-early ? 1` | number of recorded violations of a kind |
//! | `events pm-pme ? 1` | number of events of a name since the last such step |
//! | `events wake asserted=true ? 1` | likewise, those with this property |
//! | `events intx before reset` | of the new events, the first of one name came before the first of another |
//! | `bind intx`, `bind msi 4`, `bind msix 8` | an eventfd for each of so many vectors |
//! | `bind resample` | the eventfd that unmasks INTx |
//! | `signals msix.3 ? 1` | number of an eventfd's signals since the last such step |
//! | `signalled wake.a before intx` | of two eventfds that are signalled, in this order |
//! | `mask`, `unmask`, `resample` | INTx, by request or by the eventfd |
//! | `irqs intx mask none 0 1` | SET_IRQS: index, action, data (`none`, `eventfd` without one), start, count |
//! | `reset`, `info`, `region-info 0`, `irq-info intx` | a request that has to succeed |
//! | `irq-info intx ? 7 1` | flags and number of vectors of an irq index |
//! | `info ? 2 9 5` | flags of the device, number of regions, number of irq indexes |
//! | `feature set 3` | a device feature request; operations `get`, `set`, `probe`, `nothing` or flags, with `+` between |
//! | `feature set 4 data=0,0 wake=a` | with DWORDs of data and the eventfd of `signals wake.a`; also `argsz=8`, `fd=memory`, `fd=two` |
//! | `feature get 3 ? 2` | the first DWORD of a feature's reply |
//! | `post cfg1 pm+4 = 03`, `post reset`, `post open` | an access, a reset or a client's connecting, without waiting for the reply |
//! | `answered ? false`, `answered ? true` | its reply is not there yet; it is there and reports success |
//! | `answered ? ENOTTY` | its reply is there and reports this errno |
//! | `close`, `open` | the client disconnects, and waits until the server has noticed; a client connects |
//! | `close second`, `open second` | likewise another client beside it |
//! | `turned away EBUSY` | a client connects and is refused with this errno |
//! | `share bar2` | the file that the client can map for a BAR, of the profile key `mappable` |
//! | `shared bar2 ? 65536` | number of its bytes that can be accessed now, in decimal; 0 is SIGBUS |
//! | `shared bar2 10 ? 1234` | a DWORD of it |
//! | `map 100000 8000` | so many bytes of client memory at this bus address |
//! | `mem 100000 = 1234`, `mem 100000 ? 1234` | a DWORD of it, as the client sees it |
//! | `restore` | a row of faults has one run in which the device is saved here and restored in another server |
//! | `soon STEP` | repeats a reading step until it finds the expected value, for 5 s at most |
//! | `other STEP` | the step, or the table's word for steps, concerns the second function |
//! | `controller STEP` | the step concerns the platform controller, which the server then has |

use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};

use super::request::{Address, Feature, Request, address_of, region_index};
use crate::raw::wire;

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The function that the step concerns.
    pub(super) of: Of,
    /// The step is repeated until it finds the expected value.
    pub(super) soon: bool,
    pub(super) act: Act,
}

impl Step {
    /// Returns whether the step compares a value with an expected one.
    #[must_use]
    pub fn expects_something(&self) -> bool {
        self.act.asks()
    }

    /// Returns whether the step needs a platform controller.
    #[must_use]
    pub fn needs_controller(&self) -> bool {
        self.of == Of::Controller
    }

    /// Returns whether the step is the place of a restore.
    #[must_use]
    pub fn restores(&self) -> bool {
        matches!(self.act, Act::Restore)
    }

    /// Returns whether the step needs the program lspci.
    #[must_use]
    pub fn needs_lspci(&self) -> bool {
        matches!(self.act, Act::Lspci(_))
    }
}

/// A function of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The first function, or that of this index.
    Function(usize),
    /// The platform controller.
    Controller,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A request that has to succeed.
    Request(Request),
    Refused(u32, Request),
    Value(Request, Expected),
    /// The number of bytes that an access transfers.
    Count(Request, u32),
    Get(Feature, u32),
    Info(u32, u32, u32),
    IrqInfo(u32, u32, u32),
    Post(Request),
    Answered(Answered),
    PostOpen,
    Open(Who),
    Close(Who),
    TurnedAway(u32),
    RememberConfig,
    ConfigUnchanged(Vec<(Address, u32)>),
    WalkCapabilities,
    Lspci(String),
    Control(Vec<String>),
    /// The host driver has to refuse the verb with this errno.
    ControlRefused(String, Vec<String>),
    Status(String, serde_json::Value),
    Inspect(String, serde_json::Value),
    Violations(String, u64),
    Events(EventKind, usize),
    EventOrder(String, String),
    Bind(u32, u32),
    BindResample,
    Signals(Signal, u64),
    SignalOrder(Signal, Signal),
    Resample,
    /// Requests the eventfd of the first doorbell of a BAR.
    Doorbell(u32),
    Ring,
    Share(u32),
    SharedSize(u32, u64),
    SharedRead(u32, u64, u32),
    Map(u64, u64),
    MemoryWrite(u64, u32),
    MemoryRead(u64, u32),
    /// The place of the restore in the run that has one.
    Restore,
}

/// A client of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The client that makes the requests.
    First,
    Second,
}

/// An eventfd that the server signals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Irq index and vector.
    Vector(u32, u32),
    /// A wake-up eventfd by its name.
    Wake(String),
}

impl Act {
    fn asks(&self) -> bool {
        match self {
            Self::Request(request) => request.asks(),
            Self::Refused(..)
            | Self::Value(..)
            | Self::Count(..)
            | Self::Get(..)
            | Self::Info(..)
            | Self::IrqInfo(..)
            | Self::Answered(_)
            | Self::TurnedAway(_)
            | Self::ConfigUnchanged(_)
            | Self::WalkCapabilities
            | Self::Lspci(_)
            | Self::ControlRefused(..)
            | Self::Status(..)
            | Self::Inspect(..)
            | Self::Violations(..)
            | Self::Events(..)
            | Self::EventOrder(..)
            | Self::Signals(..)
            | Self::SignalOrder(..)
            | Self::SharedSize(..)
            | Self::SharedRead(..)
            | Self::MemoryRead(..) => true,
            Self::Post(_)
            | Self::PostOpen
            | Self::Open(_)
            | Self::Close(_)
            | Self::RememberConfig
            | Self::Control(_)
            | Self::Bind(..)
            | Self::BindResample
            | Self::Resample
            | Self::Doorbell(_)
            | Self::Ring
            | Self::Share(_)
            | Self::Map(..)
            | Self::MemoryWrite(..)
            | Self::Restore => false,
        }
    }
}

/// The state of the reply to a posted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    NotYet,
    Success,
    Refused(u32),
}

impl FromStr for Answered {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "false" => Self::NotYet,
            "true" => Self::Success,
            errno => Self::Refused(errno_of(errno)?),
        })
    }
}

fn errno_of(name: &str) -> Result<u32> {
    wire::errno(name).with_context(|| format!("{name} is no errno"))
}

/// The value that a read has to return, within the mask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) value: u32,
    pub(super) mask: u32,
}

/// A kind of events.
#[derive(Clone, Debug)]
pub(super) struct EventKind {
    pub(super) name: String,
    /// Properties as `key`, `value`.
    pub(super) with: Vec<(String, String)>,
}

impl EventKind {
    /// Returns whether an event is of the kind.
    pub(super) fn is(&self, event: &serde_json::Value) -> bool {
        let has = |(key, value): &(String, String)| match &event[key] {
            serde_json::Value::String(found) => found == value,
            found => {
                serde_json::from_str(value).is_ok_and(|value: serde_json::Value| *found == value)
            }
        };
        event["event"] == *self.name && self.with.iter().all(has)
    }
}

impl FromStr for Step {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (of, text) = if let Some(rest) = text.strip_prefix("other ") {
            (Of::Function(1), rest)
        } else if let Some(rest) = text.strip_prefix("controller ") {
            (Of::Controller, rest)
        } else {
            (Of::Function(0), text)
        };
        let (soon, text) = match text.strip_prefix("soon ") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let act: Act = text.parse()?;
        ensure!(!soon || act.asks(), "only a step with `?` can be repeated");
        Ok(Self { of, soon, act })
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
            (["fails", errno, "ctl", command @ ..], None) => {
                Self::ControlRefused((*errno).to_owned(), owned(command))
            }
            (["fails", errno, ..], None) => {
                let errno = errno_of(errno)?;
                let request = ask.splitn(3, ' ').nth(2).unwrap_or_default();
                Self::Refused(errno, request.parse()?)
            }
            (["post", "open"], None) => Self::PostOpen,
            (["post", ..], None) => {
                Self::Post(ask.strip_prefix("post ").unwrap_or_default().parse()?)
            }
            (["answered"], Some(answered)) => Self::Answered(answered.parse()?),
            (["close"], None) => Self::Close(Who::First),
            (["close", "second"], None) => Self::Close(Who::Second),
            (["turned", "away", errno], None) => Self::TurnedAway(errno_of(errno)?),
            (["open"], None) => Self::Open(Who::First),
            (["open", "second"], None) => Self::Open(Who::Second),
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
                // Words need no quotes.
                serde_json::from_str(value).unwrap_or_else(|_| value.into()),
            ),
            (["inspect", path], Some(value)) => Self::Inspect(
                (*path).to_owned(),
                serde_json::from_str(value).unwrap_or_else(|_| value.into()),
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
            (["signals", signal], Some(count)) => Self::Signals(signal_of(signal)?, number(count)?),
            (["signalled", first, "before", second], None) => {
                Self::SignalOrder(signal_of(first)?, signal_of(second)?)
            }
            (["mask"], None) => Self::Request("irqs intx mask none 0 1".parse()?),
            (["unmask"], None) => Self::Request("irqs intx unmask none 0 1".parse()?),
            (["resample"], None) => Self::Resample,
            (["doorbell", space], None) => Self::Doorbell(region_index(space)?),
            (["ring"], None) => Self::Ring,
            (["irq-info", index], Some(info)) => {
                let (flags, count) = info.split_once(' ').context("expects FLAGS COUNT")?;
                Self::IrqInfo(irq_index(index)?, hex(flags)?, number(count)?)
            }
            (["info"], Some(info)) => {
                let (flags, counts) = info.split_once(' ').context("expects FLAGS REGIONS IRQS")?;
                let (regions, irqs) = counts.split_once(' ').context("expects IRQS")?;
                Self::Info(hex(flags)?, number(regions)?, number(irqs)?)
            }
            (["restore"], None) => Self::Restore,
            (["share", space], None) => Self::Share(region_index(space)?),
            (["shared", space], Some(size)) => {
                Self::SharedSize(region_index(space)?, number(size)?)
            }
            (["shared", space, offset], Some(value)) => {
                Self::SharedRead(region_index(space)?, hex(offset)?.into(), hex(value)?)
            }
            (["map", address, size], None) => Self::Map(hex(address)?.into(), hex(size)?.into()),
            (["mem", address, "=", value], None) => {
                Self::MemoryWrite(hex(address)?.into(), hex(value)?)
            }
            (["mem", address], Some(value)) => Self::MemoryRead(hex(address)?.into(), hex(value)?),
            (["read" | "write", ..], Some(count)) => Self::Count(ask.parse()?, number(count)?),
            (_, None) => Self::Request(ask.parse()?),
            (_, Some(value)) => match ask.parse()? {
                Request::Feature(feature) => Self::Get(feature, hex(value)?),
                read @ Request::Read(_) => Self::Value(read, expectation(value)?),
                request => bail!("what {request:?} brings cannot be asked for"),
            },
        })
    }
}

fn signal_of(name: &str) -> Result<Signal> {
    let (kind, which) = name.split_once('.').unwrap_or((name, "0"));
    Ok(match kind {
        "wake" => Signal::Wake(which.to_owned()),
        index => Signal::Vector(irq_index(index)?, number(which)?),
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

pub(super) fn irq_index(name: &str) -> Result<u32> {
    Ok(match name {
        "intx" => wire::irq::INTX,
        "msi" => wire::irq::MSI,
        "msix" => wire::irq::MSIX,
        "err" => wire::irq::ERR,
        "req" => wire::irq::REQ,
        "pme" => wire::irq::PME,
        _ => number(name)
            .with_context(|| format!("`{name}` is none of intx, msi, msix, err, req, pme"))?,
    })
}

pub(super) fn hex(text: &str) -> Result<u32> {
    u32::from_str_radix(text, 16).with_context(|| format!("`{text}` is not hexadecimal"))
}

pub(super) fn number<N: FromStr>(text: &str) -> Result<N>
where
    N::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .with_context(|| format!("`{text}` is no number"))
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
