//! The server that a case of a row runs against, and the execution of steps on it.

mod bindings;
mod expect;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::capabilities::Capabilities;
use super::connecting::{begin, config, connect};
use super::request::{Address, Attached, Feature, Place, Request};
use super::signals::Signals;
use super::step::{Act, Answered, Of, Step, Who};
use crate::control::Control;
use crate::daemon::{Daemon, Spec};
use crate::os::{Event, Memory};
use crate::raw::wire;
use crate::raw::{IrqInfo, Message, PATIENCE, RawClient, SetIrqs};

/// Size in bytes of the beginning of a reply to an access: offset, region, count.
const ACCESS: usize = 16;

/// A server and a client for each of its functions.
#[derive(Debug)]
pub(super) struct Bench {
    functions: Vec<Function>,
    controller: Option<Function>,
    // After the clients: they are gone before the server is.
    _daemon: Daemon,
}

impl Bench {
    /// Serves the functions of each profile, all with the same overrides, and a platform controller of
    /// their slots if one is needed.
    pub(super) fn start(profiles: &[&str], set: &[String], controller: bool) -> Result<Self> {
        let specs: Vec<Spec> = profiles
            .iter()
            .map(|profile| Ok(Spec::named(profile)?.set(set)))
            .collect::<Result<_>>()?;
        let daemon = if controller {
            Daemon::with_controller(&specs)?
        } else {
            Daemon::start(&specs)?
        };
        let takes_time = set.iter().any(|set| set == "platform.delays=enforce");
        let mut functions = (0..daemon.functions())
            .map(|index| Function::attach(daemon.socket(index), daemon.control(index)?, takes_time))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            // It comes last.
            controller: controller.then(|| functions.pop()).flatten(),
            functions,
            _daemon: daemon,
        })
    }

    /// Executes a step.
    pub(super) fn carry_out(&mut self, step: &Step) -> Result<()> {
        let function = match step.of {
            Of::Function(index) => self.functions.get_mut(index),
            Of::Controller => self.controller.as_mut(),
        };
        let function = function.context("there is no such function")?;
        function.carry_out_step(step)
    }
}

/// A function as seen by its client and the control socket.
#[derive(Debug)]
pub(super) struct Function {
    socket: PathBuf,
    client: Option<RawClient>,
    second: Option<RawClient>,
    control: Control,
    capabilities: Capabilities,
    events: Vec<Value>,
    signals: Signals,
    resample: Option<Event>,
    doorbell: Option<Event>,
    memory: BTreeMap<u64, Memory>,
    /// The files behind mappable BARs.
    shared: BTreeMap<u32, Memory>,
    remembered: Vec<u8>,
    /// Connecting takes time of the manual clock.
    takes_time: bool,
    /// The answers of the function and of the control socket to the steps.
    heard: Vec<String>,
}

impl Function {
    /// Connects a client to a function, if it exists, and looks at its capabilities. If connecting
    /// `takes_time`, the clock moves until it is done.
    pub(super) fn attach(socket: PathBuf, mut control: Control, takes_time: bool) -> Result<Self> {
        let status = control.command(&["status"])?;
        // A virtual function is opened by a step once it exists.
        let exists = status.pointer("/sriov/exists") != Some(&Value::Bool(false));
        let mut open = || connect(&socket, &mut control, takes_time);
        let mut client = exists.then(&mut open).transpose()?;
        control.command(&["subscribe"])?;
        let capabilities = match &mut client {
            Some(client) => shown(client)?,
            None => Capabilities::default(),
        };
        Ok(Self {
            socket,
            client,
            second: None,
            control,
            capabilities,
            events: Vec::new(),
            signals: Signals::new()?,
            resample: None,
            doorbell: None,
            memory: BTreeMap::new(),
            shared: BTreeMap::new(),
            remembered: Vec::new(),
            takes_time,
            heard: Vec::new(),
        })
    }

    /// Returns what was answered since the last call.
    pub(super) fn take_heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }

    /// Executes a step, until it finds the expected value if it says so.
    pub(super) fn carry_out_step(&mut self, step: &Step) -> Result<()> {
        let begun = Instant::now();
        loop {
            let outcome = self.carry_out(&step.act);
            if outcome.is_ok() || !step.soon || begun.elapsed() > PATIENCE {
                return outcome;
            }
            // The number of attempts is not the function's answer.
            self.heard.clear();
        }
    }

    fn carry_out(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Request(request) => self.request(request)?.success().map(drop),
            Act::Refused(errno, request) => self.expect_refusal(*errno, request),
            Act::Value(request, expected) => self.expect_value(request, *expected),
            Act::Count(request, expected) => self.expect_count(request, *expected),
            Act::Get(feature, expected) => {
                let request = Request::Feature(feature.clone());
                let reply = self.request(&request)?.success()?;
                let found = reply.get(8..12).map(little_endian);
                let found = found.with_context(|| format!("it brings nothing: {reply:x?}"))?;
                ensure!(found == *expected, "it brings {found:08x}");
                Ok(())
            }
            Act::Info(flags, regions, irqs) => {
                let found = self.client()?.device_info()?;
                ensure!(found == (*flags, *regions, *irqs), "says {found:x?}");
                Ok(())
            }
            Act::IrqInfo(index, flags, count) => {
                let IrqInfo {
                    flags: found,
                    count: vectors,
                    ..
                } = self.client()?.irq_info(*index)?;
                ensure!(
                    (found, vectors) == (*flags, *count),
                    "flags are {found:x}, vectors {vectors}"
                );
                Ok(())
            }
            Act::Post(request) => {
                let before = self.requests()?;
                self.post(request)?;
                let begun = Instant::now();
                while self.requests()? == before {
                    ensure!(begun.elapsed() < PATIENCE, "the server does not look at it");
                }
                Ok(())
            }
            Act::Answered(expected) => {
                self.catch_up()?;
                let client = self.client()?;
                let is_answered = client.has_message()?;
                ensure!(
                    is_answered == (*expected != Answered::NotYet),
                    "answered is {is_answered}"
                );
                if *expected == Answered::NotYet {
                    return Ok(());
                }
                let reply = client.receive()?;
                self.hear(&reply);
                match expected {
                    Answered::Refused(errno) => {
                        let found = reply.failure()?;
                        ensure!(found == *errno, "it failed with {}", wire::name(found));
                        Ok(())
                    }
                    _ => reply.success().map(drop),
                }
            }
            Act::PostOpen => {
                let before = self.opens()?;
                self.client = Some(begin(&self.socket)?);
                let begun = Instant::now();
                while self.opens()? == before {
                    ensure!(begun.elapsed() < PATIENCE, "the server does not look at it");
                }
                Ok(())
            }
            Act::Open(who) => {
                let mut client = connect(&self.socket, &mut self.control, self.takes_time)?;
                if self.capabilities.is_empty() {
                    self.capabilities = shown(&mut client)?;
                }
                *self.seat(*who) = Some(client);
                Ok(())
            }
            Act::Close(who) => self.close(*who),
            Act::TurnedAway(expected) => {
                let found = RawClient::turned_away(&self.socket)?;
                ensure!(found == *expected, "refused with {}", wire::name(found));
                Ok(())
            }
            Act::RememberConfig => {
                self.remembered = config(self.client()?)?;
                Ok(())
            }
            Act::ConfigUnchanged(but) => self.expect_unchanged(but),
            Act::WalkCapabilities => {
                self.capabilities = Capabilities::walk(&config(self.client()?)?)?;
                self.capabilities.check_mandatory()
            }
            Act::Lspci(text) => self.expect_lspci(text),
            Act::Control(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let answer = self.control.command(&words)?;
                // The clock answers with its time, which is that of the server.
                if words.first() != Some(&"clock") {
                    self.heard.push(answer.to_string());
                }
                Ok(())
            }
            Act::ControlRefused(errno, words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let error = match self.control.command(&words) {
                    Ok(found) => anyhow::bail!("it succeeds with {found}"),
                    Err(error) => error.to_string(),
                };
                ensure!(error.contains(&format!("\"{errno}: ")), "{error}");
                Ok(())
            }
            Act::Status(path, expected) => {
                let status = self.control.command(&["status"])?;
                let found = status.pointer(&format!("/{}", path.replace('.', "/")));
                let found = found.with_context(|| format!("status has no {path}: {status}"))?;
                ensure!(found == expected, "{path} is {found}");
                Ok(())
            }
            Act::Inspect(path, expected) => {
                let found = self.control.command(&["inspect", path])?;
                ensure!(found == *expected, "{path} is {found}");
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
            Act::Signals(signal, expected) => {
                self.catch_up()?;
                let found = self.signals.take(signal)?;
                ensure!(found == *expected, "it was signalled {found} times");
                Ok(())
            }
            Act::SignalOrder(first, second) => {
                self.catch_up()?;
                self.signals.expect_order(first, second)
            }
            Act::Resample => {
                let resample = self.resample.as_ref();
                resample.context("no resample eventfd is bound")?.signal()?;
                // It may be looked at after a line of the control socket, but not after two.
                self.catch_up()?;
                self.catch_up()
            }
            Act::Doorbell(region) => {
                let mut reply = self.client()?.get_region_io_fds(*region, 56)?;
                let fd = reply.fds.pop().context("no eventfd came with the reply")?;
                reply.success()?;
                self.doorbell = Some(fd.into());
                Ok(())
            }
            Act::Ring => {
                let doorbell = self.doorbell.as_ref();
                doorbell.context("the client has no doorbell")?.signal()?;
                self.catch_up()?;
                self.catch_up()
            }
            Act::Share(region) => self.share(*region),
            Act::SharedSize(region, expected) => {
                let found = self.shared(*region)?.size()?;
                ensure!(found == *expected, "{found} bytes can be touched");
                Ok(())
            }
            Act::SharedRead(region, offset, expected) => {
                let found = little_endian(&self.shared(*region)?.read(*offset, 4)?);
                ensure!(found == *expected, "{offset:x} holds {found:08x}");
                Ok(())
            }
            Act::Map(address, size) => self.map(*address, *size),
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
            // It is the run with a restore that restores.
            Act::Restore => Ok(()),
        }
    }

    /// Notes a reply.
    fn hear(&mut self, reply: &Message) {
        let Message { error, payload, .. } = reply;
        self.heard.push(format!("errno {error}, {payload:02x?}"));
    }

    /// Sends a request without waiting for its reply.
    fn post(&mut self, request: &Request) -> Result<()> {
        match request {
            Request::Read(place) => {
                let (region, offset, count) = self.locate(place)?;
                self.client()?.post_read(region, offset, count)?;
            }
            Request::Write(place, value) => {
                let (region, offset, count) = self.locate(place)?;
                let data = value.to_le_bytes();
                let data = data.get(..count as usize).context("at most 4 bytes")?;
                self.client()?.post_write(region, offset, data)?;
            }
            Request::Reset => {
                let reset = wire::command::DEVICE_RESET;
                self.client()?.post(reset, wire::flag::COMMAND, &[], &[])?;
            }
            _ => anyhow::bail!("only accesses and resets can be posted"),
        }
        Ok(())
    }

    fn client(&mut self) -> Result<&mut RawClient> {
        self.client.as_mut().context("the client is gone")
    }

    fn seat(&mut self, who: Who) -> &mut Option<RawClient> {
        match who {
            Who::First => &mut self.client,
            Who::Second => &mut self.second,
        }
    }

    /// Disconnects the client. The eventfds that it bound stay, so that a step can check their
    /// signals.
    fn close(&mut self, who: Who) -> Result<()> {
        let before = self.opens()?;
        self.seat(who).take().context("there is no such client")?;
        let begun = Instant::now();
        while self.opens()? == before {
            ensure!(begun.elapsed() < PATIENCE, "the server does not notice");
        }
        Ok(())
    }

    /// Returns the number of requests that the server has received. The order in which it reads its
    /// sockets may differ from the order of the writes.
    fn requests(&mut self) -> Result<Value> {
        Ok(self.control.command(&["status"])?["connection"]["requests"].take())
    }

    fn opens(&mut self) -> Result<Value> {
        Ok(self.control.command(&["status"])?["opens"].take())
    }

    /// Waits until the server has handled all actions of the client and the platform: it has
    /// answered a later request. Requests of the control socket do not wake the function.
    fn catch_up(&mut self) -> Result<()> {
        self.control.command(&["status"]).map(drop)
    }

    /// Makes a request and receives its reply.
    fn request(&mut self, request: &Request) -> Result<Message> {
        let reply = self.make(request)?;
        self.hear(&reply);
        Ok(reply)
    }

    fn make(&mut self, request: &Request) -> Result<Message> {
        match request {
            Request::Read(place) => {
                let (region, offset, count) = self.locate(place)?;
                self.client()?.region_read(region, offset, count)
            }
            Request::Write(place, value) => {
                let (region, offset, count) = self.locate(place)?;
                let mut data = value.to_le_bytes().to_vec();
                data.resize(count as usize, 0);
                self.client()?.region_write(region, offset, &data)
            }
            Request::Feature(feature) => self.feature(feature),
            Request::SetIrqs(irqs) => {
                let request = SetIrqs {
                    flags: irqs.flags,
                    index: irqs.index,
                    start: irqs.start,
                    count: irqs.count,
                    ..SetIrqs::default()
                };
                self.client()?.set_irqs(request, &[])
            }
            Request::Reset => self.client()?.reset(),
            Request::Info => self.client()?.get_info(),
            Request::RegionInfo(index) => self.client()?.get_region_info(*index),
            Request::IrqInfo(index) => self.client()?.get_irq_info(*index),
        }
    }

    fn feature(&mut self, feature: &Feature) -> Result<Message> {
        let data: Vec<u8> = feature
            .data
            .iter()
            .flat_map(|dword| dword.to_ne_bytes())
            .collect();
        let argsz = feature.argsz.unwrap_or(8 + data.len() as u32);
        let client = self.client.as_mut().context("the client is gone")?;
        let mut request =
            |fds: &[BorrowedFd<'_>]| client.device_feature(argsz, feature.flags, &data, fds);
        match &feature.attached {
            Attached::Nothing => request(&[]),
            Attached::Eventfd(name) => request(&[self.signals.wake(name)?.as_fd()]),
            Attached::Memory => request(&[Memory::new(4096)?.as_fd()]),
            Attached::Two => request(&[Event::new()?.as_fd(), Event::new()?.as_fd()]),
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
}

/// Returns the capabilities of a function. One that is not ready has none to show.
fn shown(client: &mut RawClient) -> Result<Capabilities> {
    let config = config(client)?;
    // With RRS Software Visibility a Vendor ID is read all the same.
    if config.iter().skip(2).all(|byte| *byte == 0xff) {
        return Ok(Capabilities::default());
    }
    Capabilities::walk(&config)
}

/// Converts a register, which is little-endian on every host.
fn little_endian(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}
