//! The walk itself, step by step.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use pci_device_models::pci;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno as Os;
use serde::Deserialize;
use vfio_user_protocol::vfio::RegionIndex;

use super::PATIENCE;
use super::stage::Stage;
use super::table::{Row, Table, Who};
use crate::control::host::HostAccess;
use crate::control::{ControlClient, FunctionStatus, Verb};
use crate::{Client, ClientError};

/// Regions by VFIO's index.
const BAR0: u32 = RegionIndex::Bar0.number();
const CONFIG: u32 = RegionIndex::Config.number();

/// Registers of config space and of the PM capability.
const COMMAND: u64 = pci::header::COMMAND as u64;
const MEMORY_SPACE: u16 = 0x0002;
const CAPABILITIES: u64 = pci::header::CAPABILITIES_POINTER as u64;
const PM_ID: u8 = pci::ConventionalId::PowerManagement.number();
const PMCSR: u64 = pci::power_management::PMCSR as u64;

/// Registers of the testdev in BAR0.
const SCRATCH: u64 = 0x04;
const PME_AFTER_MS: u64 = 0x10;

const VALUE: u32 = 0x5afe;
const PME_DELAY: Duration = Duration::from_millis(50);
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(10);

/// The events that the walk shows.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    /// The power state changed.
    DState { to: String },
    /// The wake signal changed.
    Wake { asserted: bool },
    /// The client was told of a wake-up.
    Wakeup,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// Walks the device through its power states and tells what happened.
pub fn walk(stage: &Stage) -> anyhow::Result<Table> {
    let mut notes = Notes::new(stage.control(0)?)?;
    let mut client = stage.client(0)?;
    notes.step(Who::Client, "opens the device")?;

    client.write_u16(CONFIG, COMMAND, MEMORY_SPACE)?;
    client.write_u32(BAR0, SCRATCH, VALUE)?;
    notes.step(Who::Client, &format!("writes {VALUE:#x} to SCRATCH"))?;
    through_pmcsr(&mut client, &mut notes)?;
    low_power(&mut client, &mut notes)?;
    low_power_with_wakeup(&mut client, &mut notes)?;
    drop(client);
    notes.wait_for_close()?;
    notes.step(Who::Client, "closes the device")?;
    Ok(notes.table)
}

/// A power state that the client itself asks for.
fn through_pmcsr(client: &mut Client, notes: &mut Notes) -> anyhow::Result<()> {
    let pmcsr = find_pmcsr(client)?;
    client.write_u16(CONFIG, pmcsr, 3)?;
    notes.step(Who::Client, "writes D3hot to PMCSR")?;
    read_scratch(client, notes)?;
    client.write_u16(CONFIG, pmcsr, 0)?;
    notes.step(Who::Client, "writes D0 to PMCSR")?;
    read_scratch(client, notes)
}

/// Low power, in which every access wakes the device for as long as it takes.
fn low_power(client: &mut Client, notes: &mut Notes) -> anyhow::Result<()> {
    client.low_power_entry()?;
    notes.step(Who::Client, "LOW_POWER_ENTRY")?;
    let seen = notes.control.ask(&Verb::HostAccess(HostAccess {}))?;
    let vendor = seen.get("vendor_id").and_then(serde_json::Value::as_u64);
    let vendor = vendor.context("host-access tells no vendor_id")?;
    notes.step(Who::Host, &format!("lspci reads vendor id {vendor:#06x}"))?;
    let command = client.read_u16(CONFIG, COMMAND)?;
    let fate = fate(command == MEMORY_SPACE);
    notes.step(
        Who::Client,
        &format!("reads COMMAND: {command:#06x}, {fate}"),
    )?;
    read_scratch(client, notes)?;
    client.low_power_exit()?;
    notes.step(Who::Client, "LOW_POWER_EXIT")
}

/// Low power that ends with the first wake-up, of which an eventfd tells.
fn low_power_with_wakeup(client: &mut Client, notes: &mut Notes) -> anyhow::Result<()> {
    let millis = u32::try_from(PME_DELAY.as_millis())?;
    client.write_u32(BAR0, PME_AFTER_MS, millis)?;
    notes.step(
        Who::Client,
        &format!("asks for a wake event in {millis} ms"),
    )?;
    let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    client.low_power_entry_with_wakeup(wakeup.as_fd())?;
    notes.step(Who::Client, "LOW_POWER_ENTRY_WITH_WAKEUP")?;
    ensure!(count(&wakeup)? == 0, "the wake-up eventfd fired too early");
    notes.pass(PME_DELAY.saturating_sub(2 * PAUSE))?;
    // Events of a request come after its reply.
    notes.control.status()?;
    let wake = Event::Wake { asserted: true };
    ensure!(
        notes.events()?.contains(&wake),
        "the wake event did not come"
    );
    notes.step_now(Who::Device, "raises PME")?;
    let found = count(&wakeup)?;
    notes.step(
        Who::Client,
        &format!("finds {found} in the wake-up eventfd"),
    )?;
    client.low_power_exit()?;
    notes.step(Who::Client, "LOW_POWER_EXIT")
}

/// Offset of PMCSR in config space.
fn find_pmcsr(client: &mut Client) -> anyhow::Result<u64> {
    const CAPABILITIES_AT_MOST: usize = 48;
    let mut link = CAPABILITIES;
    for _ in 0..CAPABILITIES_AT_MOST {
        let capability = u64::from(client.read_u8(CONFIG, link)? & !3);
        if capability == 0 {
            break;
        }
        if client.read_u8(CONFIG, capability)? == PM_ID {
            return Ok(capability + PMCSR);
        }
        link = capability + 1;
    }
    bail!("the device has no PM capability")
}

fn read_scratch(client: &mut Client, notes: &mut Notes) -> anyhow::Result<()> {
    let read = match client.read_u32(BAR0, SCRATCH) {
        Ok(value) => format!("{value:#x}, {}", fate(value == VALUE)),
        Err(ClientError::Refused { errno, .. }) => errno.to_string(),
        Err(error) => return Err(error.into()),
    };
    notes.step(Who::Client, &format!("reads SCRATCH: {read}"))
}

const fn fate(is_as_written: bool) -> &'static str {
    if is_as_written { "kept" } else { "lost" }
}

/// The counter of an eventfd.
fn count(eventfd: &OwnedFd) -> anyhow::Result<u64> {
    let mut counter = [0; 8];
    match rustix::io::read(eventfd, &mut counter) {
        Ok(_) => Ok(u64::from_ne_bytes(counter)),
        Err(Os::AGAIN) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

/// The table in the making, and the socket through which what goes into it is learned.
struct Notes {
    control: ControlClient,
    events: Vec<Event>,
    table: Table,
    state: String,
}

impl Notes {
    fn new(control: ControlClient) -> anyhow::Result<Self> {
        let mut notes = Self {
            control,
            events: Vec::new(),
            table: Table::default(),
            state: String::new(),
        };
        notes.state = notes.control.status()?.device.power_state.to_string();
        notes.step(Who::Host, "has bound the device, nobody opened it")?;
        Ok(notes)
    }

    /// The events since the last step, as of the last reply.
    fn events(&mut self) -> anyhow::Result<&[Event]> {
        for event in self.control.take_events() {
            self.events.push(Event::deserialize(event)?);
        }
        Ok(&self.events)
    }

    /// Notes what was done just now, and lets a little time pass.
    fn step(&mut self, who: Who, what: &str) -> anyhow::Result<()> {
        self.step_now(who, what)?;
        self.pass(PAUSE)
    }

    /// As [`Self::step`], but time stands still.
    fn step_now(&mut self, who: Who, what: &str) -> anyhow::Result<()> {
        let FunctionStatus { nanos, device, .. } = self.control.status()?;
        let usage = device.runtime_usage;
        let power_state = device.power_state.to_string();
        let at = Duration::from_nanos(nanos);
        let mut states = vec![std::mem::replace(&mut self.state, power_state)];
        let mut notices = Vec::new();
        self.events()?;
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::DState { to } => states.push(to),
                Event::Wakeup => notices.push("signals the wake-up eventfd"),
                Event::Wake { .. } | Event::Other => {}
            }
        }
        let what = what.to_owned();
        self.table.push(Row {
            at,
            who,
            what,
            states,
            usage,
        });
        for notice in notices {
            self.table.push(Row {
                at,
                who: Who::Host,
                what: notice.to_owned(),
                states: vec![self.state.clone()],
                usage,
            });
        }
        Ok(())
    }

    /// Lets time pass.
    fn pass(&mut self, span: Duration) -> anyhow::Result<()> {
        Ok(self.control.advance(span)?)
    }

    /// Waits until the server has seen that the client is gone.
    fn wait_for_close(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.control.status()?.device.opens > 0 {
            ensure!(
                start.elapsed() < PATIENCE,
                "the server does not see that its client is gone"
            );
        }
        Ok(())
    }
}
