//! The server that a case of a row runs against, and the carrying out of steps on it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::time::Instant;
use std::{fmt::Write, fs};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::capabilities::Capabilities;
use super::step::{Act, Address, EventKind, Expected, Place, Step};
use crate::control::Control;
use crate::daemon::{Daemon, Spec};
use crate::os::{Event, Memory};
use crate::raw::wire::{self, dma_map, region, set_irqs};
use crate::raw::{IrqInfo, PATIENCE, RawClient, SetIrqs};

/// A server and a client for each of its functions.
#[derive(Debug)]
pub(super) struct Bench {
    functions: Vec<Function>,
    // After the clients: they are gone before the server is.
    _daemon: Daemon,
}

impl Bench {
    /// Serves a function for each profile, all with the same overrides.
    pub(super) fn start(profiles: &[&str], set: &[String]) -> Result<Self> {
        let specs: Vec<Spec> = profiles
            .iter()
            .map(|profile| Ok(Spec::named(profile)?.set(set)))
            .collect::<Result<_>>()?;
        let daemon = Daemon::start(&specs)?;
        let functions = (0..specs.len())
            .map(|index| Function::attach(&daemon, index))
            .collect::<Result<_>>()?;
        Ok(Self {
            functions,
            _daemon: daemon,
        })
    }

    /// Carries out a step.
    pub(super) fn carry_out(&mut self, step: &Step) -> Result<()> {
        let function = self
            .functions
            .get_mut(step.function)
            .context("there is no other function")?;
        let begun = Instant::now();
        loop {
            let outcome = function.carry_out(&step.act);
            if outcome.is_ok() || !step.soon || begun.elapsed() > PATIENCE {
                return outcome;
            }
        }
    }
}

/// A function as its client and the control socket show it.
#[derive(Debug)]
struct Function {
    client: RawClient,
    control: Control,
    capabilities: Capabilities,
    events: Vec<Value>,
    triggers: BTreeMap<(u32, u32), Event>,
    resample: Option<Event>,
    memory: BTreeMap<u64, Memory>,
    remembered: Vec<u8>,
}

impl Function {
    fn attach(daemon: &Daemon, index: usize) -> Result<Self> {
        let mut client = daemon.attach(index)?;
        let mut control = daemon.control(index)?;
        control.command(&["subscribe"])?;
        let capabilities = Capabilities::walk(&config(&mut client)?)?;
        Ok(Self {
            client,
            control,
            capabilities,
            events: Vec::new(),
            triggers: BTreeMap::new(),
            resample: None,
            memory: BTreeMap::new(),
            remembered: Vec::new(),
        })
    }

    fn carry_out(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Write(place, value) => {
                let (region, offset, count) = self.locate(place)?;
                self.client
                    .write(region, offset, &value.to_le_bytes()[..count as usize])
            }
            Act::Read(place, expected) => self.expect_value(place, *expected),
            Act::Refused(errno, access) => self.expect_refusal(*errno, access),
            Act::RememberConfig => {
                self.remembered = config(&mut self.client)?;
                Ok(())
            }
            Act::ConfigUnchanged(but) => self.expect_unchanged(but),
            Act::WalkCapabilities => {
                Capabilities::walk(&config(&mut self.client)?)?.check_mandatory()
            }
            Act::Lspci(text) => self.expect_lspci(text),
            Act::Control(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.control.command(&words).map(drop)
            }
            Act::Status(path, expected) => {
                let status = self.control.command(&["status"])?;
                let found = status.pointer(&format!("/{}", path.replace('.', "/")));
                let found = found.with_context(|| format!("status has no {path}: {status}"))?;
                ensure!(found == expected, "{path} is {found}");
                Ok(())
            }
            Act::Violations(kind, expected) => {
                let violations = self.control.command(&["violations"])?;
                let found = &violations["counts"][kind];
                ensure!(found == *expected, "{found} were recorded: {violations}");
                Ok(())
            }
            Act::Events(kind, expected) => self.expect_events(kind, *expected),
            Act::EventOrder(first, second) => self.expect_order(first, second),
            Act::Bind(index, count) => self.bind(*index, *count),
            Act::BindResample => self.bind_resample(),
            Act::Signals(index, vector, expected) => {
                self.expect_signals(*index, *vector, *expected)
            }
            Act::MaskIntx => self.intx(set_irqs::ACTION_MASK),
            Act::UnmaskIntx => self.intx(set_irqs::ACTION_UNMASK),
            Act::Resample => {
                self.resample
                    .as_ref()
                    .context("no resample eventfd is bound")?
                    .signal()?;
                Ok(())
            }
            Act::DeviceReset => self.client.reset()?.success().map(drop),
            Act::IrqInfo(index, flags, count) => {
                let IrqInfo {
                    flags: found,
                    count: vectors,
                    ..
                } = self.client.irq_info(*index)?;
                ensure!(
                    (found, vectors) == (*flags, *count),
                    "flags are {found:x}, vectors {vectors}"
                );
                Ok(())
            }
            Act::Map(address, size) => {
                let memory = Memory::new(*size)?;
                let flags = dma_map::READ | dma_map::WRITE;
                let reply = self
                    .client
                    .dma_map(flags, 0, *address, *size, Some(memory.as_fd()))?;
                reply.success()?;
                self.memory.insert(*address, memory);
                Ok(())
            }
            Act::MemoryWrite(address, value) => {
                let (memory, offset) = self.memory(*address)?;
                Ok(memory.write(offset, &value.to_le_bytes())?)
            }
            Act::MemoryRead(address, expected) => {
                let (memory, offset) = self.memory(*address)?;
                let found = little_endian(&memory.read(offset, 4)?);
                ensure!(found == *expected, "{address:x} holds {found:08x}");
                Ok(())
            }
        }
    }

    fn locate(&self, place: &Place) -> Result<(u32, u64, u32)> {
        Ok((
            place.region,
            self.offset(place.address)?.into(),
            place.width,
        ))
    }

    fn offset(&self, address: Address) -> Result<u32> {
        let start = match address.capability {
            Some(name) => self.capabilities.offset(name)?,
            None => 0,
        };
        Ok(start + address.offset)
    }

    fn expect_value(&mut self, place: &Place, expected: Expected) -> Result<()> {
        let (region, offset, count) = self.locate(place)?;
        let found = little_endian(&self.client.read(region, offset, count)?);
        let width = 2 * count as usize;
        ensure!(
            found & expected.mask == expected.value,
            "reads {found:0width$x} at {offset:x}"
        );
        Ok(())
    }

    fn expect_refusal(&mut self, errno: u32, access: &Act) -> Result<()> {
        let reply = match access {
            Act::Write(place, value) => {
                let (region, offset, count) = self.locate(place)?;
                let data = &value.to_le_bytes()[..count as usize];
                self.client.region_write(region, offset, data)?
            }
            Act::Read(place, _) => {
                let (region, offset, count) = self.locate(place)?;
                self.client.region_read(region, offset, count)?
            }
            _ => anyhow::bail!("only reads and writes of regions can be expected to fail"),
        };
        let found = reply.failure()?;
        ensure!(found == errno, "failed with {}", wire::name(found));
        Ok(())
    }

    fn expect_unchanged(&mut self, but: &[(Address, u32)]) -> Result<()> {
        ensure!(!self.remembered.is_empty(), "nothing was remembered");
        let mut exempt = BTreeMap::new();
        for (address, mask) in but {
            *exempt.entry(self.offset(*address)?).or_insert(0) |= *mask;
        }
        let now = config(&mut self.client)?;
        for (offset, (was, is)) in (0..)
            .step_by(4)
            .zip(self.remembered.chunks(4).zip(now.chunks(4)))
        {
            let (was, is) = (little_endian(was), little_endian(is));
            let changed = (was ^ is) & !exempt.get(&offset).copied().unwrap_or(0);
            ensure!(changed == 0, "{offset:03x} was {was:08x} and is {is:08x}");
        }
        Ok(())
    }

    /// What lspci makes of the config space. The dump is what `lspci -xxxx` would print.
    fn expect_lspci(&mut self, text: &str) -> Result<()> {
        let mut dump = String::from("00:00.0 function\n");
        for (line, bytes) in config(&mut self.client)?.chunks(16).enumerate() {
            write!(dump, "{:02x}:", 16 * line)?;
            for byte in bytes {
                write!(dump, " {byte:02x}")?;
            }
            dump.push('\n');
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("dump");
        fs::write(&path, dump)?;
        let lspci = Command::new("lspci")
            .args(["-vvv", "-F"])
            .arg(&path)
            .output();
        let lspci = lspci.context("this row needs lspci, of the package pciutils")?;
        let said = String::from_utf8_lossy(&lspci.stdout);
        ensure!(
            said.contains(text),
            "lspci says:\n{said}{}",
            String::from_utf8_lossy(&lspci.stderr)
        );
        Ok(())
    }

    fn expect_events(&mut self, kind: &EventKind, expected: usize) -> Result<()> {
        self.events.extend(self.control.events()?);
        let before = self.events.len();
        let seen = format!("{:?}", self.events);
        self.events.retain(|event| !kind.is(event));
        let found = before - self.events.len();
        ensure!(
            found == expected,
            "{found} came; events not asked for yet: {seen}"
        );
        Ok(())
    }

    fn expect_order(&mut self, first: &str, second: &str) -> Result<()> {
        self.events.extend(self.control.events()?);
        let at = |name| self.events.iter().position(|event| event["event"] == name);
        let (Some(earlier), Some(later)) = (at(first), at(second)) else {
            anyhow::bail!("one of them did not come: {:?}", self.events);
        };
        ensure!(earlier < later, "{second} came first: {:?}", self.events);
        Ok(())
    }

    fn bind(&mut self, index: u32, count: u32) -> Result<()> {
        let events: Vec<Event> = (0..count).map(|_| Event::new()).collect::<Result<_, _>>()?;
        let fds: Vec<BorrowedFd<'_>> = events.iter().map(Event::as_fd).collect();
        let request = SetIrqs {
            flags: set_irqs::DATA_EVENTFD | set_irqs::ACTION_TRIGGER,
            index,
            count,
            ..SetIrqs::default()
        };
        self.client.set_irqs(request, &fds)?.success()?;
        self.triggers
            .extend((0..).map(|vector| (index, vector)).zip(events));
        Ok(())
    }

    fn bind_resample(&mut self) -> Result<()> {
        let event = Event::new()?;
        let request = SetIrqs {
            flags: set_irqs::DATA_EVENTFD | set_irqs::ACTION_UNMASK,
            count: 1,
            ..SetIrqs::default()
        };
        self.client.set_irqs(request, &[event.as_fd()])?.success()?;
        self.resample = Some(event);
        Ok(())
    }

    fn expect_signals(&mut self, index: u32, vector: u32, expected: u64) -> Result<()> {
        // Whatever the server does before it answers has been done when it has.
        self.client.device_info()?;
        let trigger = self
            .triggers
            .get(&(index, vector))
            .context("no eventfd is bound to it")?;
        let found = trigger.take()?;
        ensure!(found == expected, "it was signalled {found} times");
        Ok(())
    }

    fn intx(&mut self, action: u32) -> Result<()> {
        let request = SetIrqs {
            flags: set_irqs::DATA_NONE | action,
            count: 1,
            ..SetIrqs::default()
        };
        self.client.set_irqs(request, &[])?.success().map(drop)
    }

    /// The memory that holds bus address `address`, and where in it.
    fn memory(&self, address: u64) -> Result<(&Memory, u64)> {
        let below = self.memory.range(..=address).next_back();
        let (start, memory) = below.with_context(|| format!("nothing is mapped at {address:x}"))?;
        Ok((memory, address - start))
    }
}

impl EventKind {
    fn is(&self, event: &Value) -> bool {
        let has = |(key, value): &(String, String)| match &event[key] {
            Value::String(found) => found == value,
            found => serde_json::from_str(value).is_ok_and(|value: Value| *found == value),
        };
        event["event"] == *self.name && self.with.iter().all(has)
    }
}

/// The whole config space, read at once as QEMU does.
fn config(client: &mut RawClient) -> Result<Vec<u8>> {
    let size = client.region_info(region::CONFIG)?.size;
    client.read(region::CONFIG, 0, u32::try_from(size)?)
}

/// Registers are little-endian on every host.
fn little_endian(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}
