//! The walk itself, step by step.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno as Os;
use serde_json::json;
use vfio_user_protocol::messages::device_feature::Feature;
use vfio_user_protocol::messages::device_feature::low_power_entry_with_wakeup::LowPowerEntryWithWakeup;

use super::PATIENCE;
use super::client::Client;
use super::control::{Control, Event, Status};
use super::stage::Stage;
use super::table::{Row, Table, Who};

/// Regions by VFIO's index.
const BAR0: u32 = 0;
const CONFIG: u32 = 7;

/// Registers of config space (PCI 3.0, §6.1) and of the PM capability (PCI PM 1.2, §3.2).
const COMMAND: u64 = 0x04;
const MEMORY_SPACE: u16 = 0x0002;
const CAPABILITIES: u64 = 0x34;
const PM_ID: u8 = 0x01;
const PMCSR: u64 = 4;

/// Registers of the testdev in BAR0.
const SCRATCH: u64 = 0x04;
const PME_AFTER_MS: u64 = 0x10;

const VALUE: u32 = 0x5afe;
const PME_DELAY: Duration = Duration::from_millis(50);
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(10);

/// Walks the device through its power states and tells what happened.
pub fn walk(stage: &Stage) -> anyhow::Result<Table> {
    let mut notes = Notes::new(stage.control()?)?;
    let mut client = stage.client()?;
    notes.step(Who::Client, "opens the device")?;

    client.write_ok(CONFIG, COMMAND, &MEMORY_SPACE.to_le_bytes())?;
    client.write_ok(BAR0, SCRATCH, &VALUE.to_le_bytes())?;
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
    let pmcsr = client.find_pmcsr()?;
    client.write_ok(CONFIG, pmcsr, &3_u16.to_le_bytes())?;
    notes.step(Who::Client, "writes D3hot to PMCSR")?;
    read_scratch(client, notes)?;
    client.write_ok(CONFIG, pmcsr, &0_u16.to_le_bytes())?;
    notes.step(Who::Client, "writes D0 to PMCSR")?;
    read_scratch(client, notes)
}

/// Low power, in which every access wakes the device for as long as it takes.
fn low_power(client: &mut Client, notes: &mut Notes) -> anyhow::Result<()> {
    client.feature_ok(Feature::LowPowerEntry, None)?;
    notes.step(Who::Client, "LOW_POWER_ENTRY")?;
    let seen = notes.control.ask(json!({ "verb": "host-access" }))?;
    let vendor = seen.get("vendor_id").and_then(serde_json::Value::as_u64);
    let vendor = vendor.context("host-access tells no vendor_id")?;
    notes.step(Who::Host, &format!("lspci reads vendor id {vendor:#06x}"))?;
    let command = u16::from_le_bytes(client.config(COMMAND)?);
    let fate = fate(command == MEMORY_SPACE);
    notes.step(
        Who::Client,
        &format!("reads COMMAND: {command:#06x}, {fate}"),
    )?;
    read_scratch(client, notes)?;
    client.feature_ok(Feature::LowPowerExit, None)?;
    notes.step(Who::Client, "LOW_POWER_EXIT")
}

/// Low power that ends with the first wake-up, of which an eventfd tells.
fn low_power_with_wakeup(client: &mut Client, notes: &mut Notes) -> anyhow::Result<()> {
    let millis = u32::try_from(PME_DELAY.as_millis())?;
    client.write_ok(BAR0, PME_AFTER_MS, &millis.to_le_bytes())?;
    notes.step(
        Who::Client,
        &format!("asks for a wake event in {millis} ms"),
    )?;
    let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    client.feature_ok(Feature::LowPowerEntryWithWakeup, Some(&wakeup))?;
    notes.step(Who::Client, "LOW_POWER_ENTRY_WITH_WAKEUP")?;
    ensure!(count(&wakeup)? == 0, "the wake-up eventfd fired too early");
    notes.pass(PME_DELAY.saturating_sub(2 * PAUSE))?;
    // Events of a request come after its reply.
    notes.control.status()?;
    let wake = Event::Wake { asserted: true };
    ensure!(notes.control.has_seen(&wake), "the wake event did not come");
    notes.step_now(Who::Device, "raises PME")?;
    let found = count(&wakeup)?;
    notes.step(
        Who::Client,
        &format!("finds {found} in the wake-up eventfd"),
    )?;
    client.feature_ok(Feature::LowPowerExit, None)?;
    notes.step(Who::Client, "LOW_POWER_EXIT")
}

impl Client {
    fn write_ok(&mut self, region: u32, offset: u64, data: &[u8]) -> anyhow::Result<()> {
        self.write(region, offset, data)?.map_err(|errno| {
            anyhow!("region {region}, offset {offset:#x} cannot be written: {errno}")
        })
    }

    fn feature_ok(&mut self, feature: Feature, wakeup: Option<&OwnedFd>) -> anyhow::Result<()> {
        let mut data = Vec::new();
        if wakeup.is_some() {
            let beside = LowPowerEntryWithWakeup {
                wakeup_eventfd: 0,
                reserved: 0,
            };
            beside.encode(&mut data);
        }
        self.set_feature(feature, &data, wakeup.map(AsFd::as_fd))?
            .map_err(|errno| anyhow!("{feature:?} is refused: {errno}"))
    }

    /// Where in config space PMCSR is.
    fn find_pmcsr(&mut self) -> anyhow::Result<u64> {
        const CAPABILITIES_AT_MOST: usize = 48;
        let mut link = CAPABILITIES;
        for _ in 0..CAPABILITIES_AT_MOST {
            let [next] = self.config(link)?;
            let capability = u64::from(next & !3);
            if capability == 0 {
                break;
            }
            if self.config(capability)? == [PM_ID] {
                return Ok(capability + PMCSR);
            }
            link = capability + 1;
        }
        bail!("the device has no PM capability")
    }

    fn config<const N: usize>(&mut self, offset: u64) -> anyhow::Result<[u8; N]> {
        self.read(CONFIG, offset)?
            .map_err(|errno| anyhow!("config space cannot be read: {errno}"))
    }
}

fn read_scratch(client: &mut Client, notes: &mut Notes) -> anyhow::Result<()> {
    let read = match client.read(BAR0, SCRATCH)? {
        Ok(bytes) => {
            let value = u32::from_le_bytes(bytes);
            format!("{value:#x}, {}", fate(value == VALUE))
        }
        Err(errno) => errno.to_string(),
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
    control: Control,
    table: Table,
    state: String,
}

impl Notes {
    fn new(mut control: Control) -> anyhow::Result<Self> {
        let status = control.status()?;
        let mut notes = Self {
            control,
            table: Table::default(),
            state: status.power_state,
        };
        notes.step(Who::Host, "has bound the device, nobody opened it")?;
        Ok(notes)
    }

    /// Notes what was done just now, and lets a little time pass.
    fn step(&mut self, who: Who, what: &str) -> anyhow::Result<()> {
        self.step_now(who, what)?;
        self.pass(PAUSE)
    }

    /// As [`Self::step`], but time stands still.
    fn step_now(&mut self, who: Who, what: &str) -> anyhow::Result<()> {
        let Status {
            nanos,
            power_state,
            runtime_usage: usage,
            ..
        } = self.control.status()?;
        let at = Duration::from_nanos(nanos);
        let mut states = vec![std::mem::replace(&mut self.state, power_state)];
        let mut notices = Vec::new();
        for event in self.control.take_events() {
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
        let nanos = u64::try_from(span.as_nanos())?;
        let advance = json!({ "verb": "clock", "action": "advance", "duration": nanos });
        self.control.ask(advance).map(drop)
    }

    /// Waits until the server has seen that the client is gone.
    fn wait_for_close(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.control.status()?.opens > 0 {
            ensure!(
                start.elapsed() < PATIENCE,
                "the server does not see that its client is gone"
            );
        }
        Ok(())
    }
}
