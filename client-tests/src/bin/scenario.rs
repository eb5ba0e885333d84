//! Plays a scenario against a function that the daemon serves with vfio-pci's view. It prints one
//! line of answer for each step, in the words of `guest/vfio_client.c`, which drives a kernel.
//!
//! The steps come on standard input. Besides the function's socket and control socket there are no
//! arguments: `scenario DEVICE.SOCK CONTROL.SOCK`.

use std::io::{self, BufRead};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use client_tests::control::Control;
use client_tests::os::{Event, Memory};
use client_tests::raw::wire::{
    self, device_feature, dma_map, field_u32, field_u64, irq, region, set_irqs,
};
use client_tests::raw::{Message, RawClient, SetIrqs};
use serde_json::{Value, json};

/// Time to wait for a state.
const PATIENCE: Duration = Duration::from_secs(5);
/// A file descriptor's number that stands for any. Only the descriptor beside the message counts.
const ATTACHED: u32 = 0;
/// A number that is not open, and thus cannot come beside the message.
const NEVER_OPEN: u32 = 1000;

/// Names of numbers.
type Names = &'static [(&'static str, u32)];

const FEATURES: Names = &[("entry", 3), ("wakeup", 4), ("exit", 5)];
const OPERATIONS: Names = &[
    ("get", device_feature::GET),
    ("set", device_feature::SET),
    ("probe", device_feature::PROBE),
];
const REGIONS: Names = &[
    ("rom", region::ROM),
    ("config", region::CONFIG),
    ("vga", region::VGA),
];
const IRQ_INDEXES: Names = &[
    ("intx", irq::INTX),
    ("msi", irq::MSI),
    ("msix", irq::MSIX),
    ("err", irq::ERR),
    ("req", irq::REQ),
];
const IRQ_FLAGS: Names = &[
    ("mask", set_irqs::ACTION_MASK),
    ("unmask", set_irqs::ACTION_UNMASK),
    ("trigger", set_irqs::ACTION_TRIGGER),
    ("none", set_irqs::DATA_NONE),
    ("bool", set_irqs::DATA_BOOL),
    ("event", set_irqs::DATA_EVENTFD),
    ("unbind", set_irqs::DATA_EVENTFD),
];
/// Capabilities whose names address registers.
const CAPABILITY_IDS: [(&str, u8); 4] =
    [("pm", 0x01), ("msi", 0x05), ("pcie", 0x10), ("msix", 0x11)];

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [device, control] = &paths[..] else {
        bail!("two arguments are needed: the function's socket and its control socket");
    };
    let mut player = Player::open(device, control)?;
    println!("ok");
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = player.step(&words).with_context(|| line.clone())?;
        println!("{answer}");
    }
    Ok(())
}

struct Player {
    socket: PathBuf,
    control: Control,
    /// The client, or `None` between `close` and `open`.
    client: Option<RawClient>,
    capabilities: Vec<(&'static str, u64)>,
    wakeup: Option<Event>,
    previous_wakeup: Option<Event>,
    triggers: Vec<Option<Event>>,
}

impl Player {
    fn open(socket: &Path, control: &Path) -> Result<Self> {
        let mut player = Self {
            socket: socket.to_owned(),
            control: Control::connect(control)?,
            client: None,
            capabilities: Vec::new(),
            wakeup: None,
            previous_wakeup: None,
            triggers: Vec::new(),
        };
        player.reopen()?;
        Ok(player)
    }

    fn step(&mut self, words: &[&str]) -> Result<String> {
        match *words {
            ["feature", operations, feature, argsz, ref rest @ ..] => {
                let flags = bits(operations, OPERATIONS)? | named(feature, FEATURES)?;
                let kind = rest.first().copied().unwrap_or("negative");
                let reserved = rest.get(1).map_or(Ok(0), |word| number(word))?;
                self.feature(flags, number(argsz)? as u32, kind, reserved as u32)
            }
            [operation @ ("probe" | "set"), feature] => {
                let flags = named(operation, OPERATIONS)? | named(feature, FEATURES)?;
                match (operation, feature) {
                    ("set", "wakeup") => self.feature(flags, 16, "event", 0),
                    _ => self.feature(flags, 8, "negative", 0),
                }
            }
            ["woken", wait] => count(self.wakeup.as_ref(), wait),
            ["woken_before", wait] => count(self.previous_wakeup.as_ref(), wait),
            ["read", region, offset, ref width @ ..] => self.read(region, offset, width),
            ["write", region, offset, value, ref width @ ..] => {
                self.write(region, offset, value, width)
            }
            ["info"] => Ok(told(self.client()?.get_info()?, |reply| {
                let [flags, regions, irqs] = [4, 8, 12].map(|at| field_u32(reply, at));
                format!("{flags:#x} {regions} {irqs}")
            })),
            ["region", index] => {
                let reply = self.client()?.get_region_info(named(index, REGIONS)?)?;
                Ok(told(reply, |reply| {
                    format!("{:#x} {:#x}", field_u32(reply, 4), field_u64(reply, 16))
                }))
            }
            ["irq_info", index] => {
                let reply = self.client()?.get_irq_info(named(index, IRQ_INDEXES)?)?;
                Ok(told(reply, |reply| {
                    format!("{:#x} {}", field_u32(reply, 4), field_u32(reply, 12))
                }))
            }
            ["set_irqs", index, flags, start, count] => {
                let bind = flags.contains("+event");
                let [start, count] = [number(start)? as u32, number(count)? as u32];
                self.set_irqs(index, bits(flags, IRQ_FLAGS)?, start, count, bind)
            }
            ["irqs", index, "0"] => {
                let flags = set_irqs::ACTION_TRIGGER | set_irqs::DATA_NONE;
                self.set_irqs(index, flags, 0, 0, false)
            }
            ["irqs", index, count] => {
                let flags = set_irqs::ACTION_TRIGGER | set_irqs::DATA_EVENTFD;
                self.set_irqs(index, flags, 0, number(count)? as u32, true)
            }
            ["unmask"] => {
                let flags = set_irqs::ACTION_UNMASK | set_irqs::DATA_NONE;
                self.set_irqs("intx", flags, 0, 1, false)
            }
            ["irq", vector, wait] => {
                let trigger = self.triggers.get(number(vector)? as usize);
                count(trigger.and_then(Option::as_ref), wait)
            }
            ["buffer", iova, size] => {
                let [iova, size] = [number(iova)?, number(size)?];
                let memory = Memory::new(size)?;
                let flags = dma_map::READ | dma_map::WRITE;
                let reply = self.client()?;
                Ok(done(&reply.dma_map(
                    flags,
                    0,
                    iova,
                    size,
                    Some(memory.as_fd()),
                )?))
            }
            ["unbuffer", iova, size] => {
                let [iova, size] = [number(iova)?, number(size)?];
                Ok(done(&self.client()?.dma_unmap(0, iova, size)?))
            }
            ["reset"] => Ok(done(&self.client()?.reset()?)),
            ["open"] => self.reopen(),
            ["close"] => self.close(),
            ["state", status] => self.state(status),
            ["host", "control", mode] => self.host(&["control", mode]),
            ["host", "d3cold_allowed", allowed] => self.host(&["d3cold-allowed", allowed]),
            ["daemon", ref verb @ ..] => {
                let done = self.control.command(verb).is_ok();
                Ok(if done { "ok" } else { "refused" }.to_owned())
            }
            ["fault", ref fault @ ..] => {
                let fault = fault.join(" ");
                let parts = fault.split_once(": ");
                let (when, what) = parts.context("a fault is `WHEN: WHAT`")?;
                let fault = json!({ "verb": "fault", "action": "add", "when": when, "what": what });
                let done = self.control.request(fault).is_ok();
                Ok(if done { "ok" } else { "refused" }.to_owned())
            }
            ["host_access"] => {
                let answer = self.control.command(&["host-access"])?;
                let id = |name: &str| answer[name].as_u64().with_context(|| format!("no {name}"));
                Ok(format!(
                    "{:#010x}",
                    id("device_id")? << 16 | id("vendor_id")?
                ))
            }
            _ => bail!("unknown command, or too few words or too many"),
        }
    }

    fn client(&mut self) -> Result<&mut RawClient> {
        self.client.as_mut().context("the device is not open")
    }

    fn reopen(&mut self) -> Result<String> {
        let mut client = RawClient::attach(&self.socket)?;
        self.capabilities = find_capabilities(&mut client)?;
        self.client = Some(client);
        Ok("ok".to_owned())
    }

    /// Disconnects and waits until the server has noticed, as closing a file is complete when it
    /// returns.
    fn close(&mut self) -> Result<String> {
        self.client = None;
        let start = Instant::now();
        while self.control.command(&["status"])?["opens"] != 0 {
            ensure!(start.elapsed() < PATIENCE, "the server keeps the client");
            sleep(Duration::from_millis(1));
        }
        Ok("ok".to_owned())
    }

    fn feature(&mut self, flags: u32, argsz: u32, kind: &str, reserved: u32) -> Result<String> {
        let (number, event, other) = match kind {
            "event" => (ATTACHED, Some(Event::new()?), None),
            "closed" => (NEVER_OPEN, None, None),
            "pipe" => (ATTACHED, None, Some(OwnedFd::from(io::pipe()?.0))),
            "negative" => (u32::MAX, None, None),
            kind => bail!("{kind} is no kind of descriptor"),
        };
        let mut data = [number.to_ne_bytes(), reserved.to_ne_bytes()].concat();
        // A kernel finds the rest in the caller's memory, the server only what was sent.
        data.resize(argsz.saturating_sub(8) as usize, 0);
        let fds: Vec<BorrowedFd<'_>> = event
            .iter()
            .map(AsFd::as_fd)
            .chain(other.iter().map(AsFd::as_fd))
            .collect();
        let reply = self.client()?.device_feature(argsz, flags, &data, &fds)?;
        let registers = flags == device_feature::SET | named("wakeup", FEATURES)?;
        if registers && reply.errno().is_none() {
            self.previous_wakeup = std::mem::replace(&mut self.wakeup, event);
        }
        Ok(done(&reply))
    }

    fn read(&mut self, region: &str, offset: &str, width: &[&str]) -> Result<String> {
        let (offset, width) = (self.offset(offset)?, access_width(width)?);
        let reply = self
            .client()?
            .region_read(named(region, REGIONS)?, offset, width)?;
        Ok(told(reply, |reply| {
            let data = &reply[16..];
            let mut value = [0; 8];
            value[..data.len()].copy_from_slice(data);
            format!(
                "0x{:0digits$x}",
                u64::from_le_bytes(value),
                digits = 2 * data.len()
            )
        }))
    }

    fn write(&mut self, region: &str, offset: &str, value: &str, width: &[&str]) -> Result<String> {
        let (offset, width) = (self.offset(offset)?, access_width(width)?);
        let data = &number(value)?.to_le_bytes()[..width as usize];
        let reply = self
            .client()?
            .region_write(named(region, REGIONS)?, offset, data)?;
        Ok(told(reply, |reply| match field_u32(reply, 12) {
            all if all == width => "ok".to_owned(),
            count => count.to_string(),
        }))
    }

    fn set_irqs(
        &mut self,
        index: &str,
        flags: u32,
        start: u32,
        count: u32,
        bind: bool,
    ) -> Result<String> {
        let events = (0..if bind { count } else { 0 }).map(|_| Event::new());
        let events = events.collect::<io::Result<Vec<_>>>()?;
        let fds: Vec<BorrowedFd<'_>> = events.iter().map(AsFd::as_fd).collect();
        let bools = match flags & set_irqs::DATA_BOOL {
            0 => 0,
            _ => count as usize,
        };
        let request = SetIrqs {
            flags,
            index: named(index, IRQ_INDEXES)?,
            start,
            count,
            bools: &vec![1; bools],
        };
        let reply = self.client()?.set_irqs(request, &fds)?;
        if reply.errno().is_none() && flags & set_irqs::ACTION_TRIGGER != 0 {
            for (vector, event) in (start as usize..).zip(events) {
                let needed = self.triggers.len().max(vector + 1);
                self.triggers.resize_with(needed, || None);
                self.triggers[vector] = Some(event);
            }
        }
        Ok(done(&reply))
    }

    fn state(&mut self, wanted: &str) -> Result<String> {
        let start = Instant::now();
        loop {
            let status = self.control.command(&["status"])?;
            if status["runtime_status"] == wanted || start.elapsed() > PATIENCE {
                let [runtime, power] =
                    ["runtime_status", "recorded_power_state"].map(|name| text(&status[name]));
                return Ok(format!("{runtime} {power} {}", status["runtime_usage"]));
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn host(&mut self, verb: &[&str]) -> Result<String> {
        self.control.command(verb)?;
        Ok("ok".to_owned())
    }

    /// Parses `NUMBER`, or `CAPABILITY+NUMBER`.
    fn offset(&self, word: &str) -> Result<u64> {
        let Some((name, rest)) = word.split_once('+') else {
            return number(word);
        };
        let found = self.capabilities.iter().find(|(known, _)| *known == name);
        let (_, at) = found.with_context(|| format!("there is no capability {name}"))?;
        Ok(at + number(rest)?)
    }
}

fn find_capabilities(client: &mut RawClient) -> Result<Vec<(&'static str, u64)>> {
    let mut found = Vec::new();
    let mut at = client.read(region::CONFIG, 0x34, 1)?[0];
    while at != 0 && found.len() < 48 {
        let head = client.read(region::CONFIG, at.into(), 2)?;
        let known = CAPABILITY_IDS.iter().find(|(_, id)| *id == head[0]);
        found.push((known.map_or("", |(name, _)| *name), u64::from(at)));
        at = head[1];
    }
    Ok(found)
}

fn access_width(words: &[&str]) -> Result<u32> {
    let width = words.first().map_or(Ok(4), |word| number(word))?;
    ensure!(width <= 8, "more than 8 bytes");
    Ok(width as u32)
}

fn number(word: &str) -> Result<u64> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.with_context(|| format!("{word} is no number"))
}

/// Returns the number that a word stands for: by name, or as a number.
fn named(word: &str, names: Names) -> Result<u32> {
    match names.iter().find(|(name, _)| *name == word) {
        Some((_, value)) => Ok(*value),
        None => Ok(u32::try_from(number(word)?)?),
    }
}

/// Parses several words with `+` between.
fn bits(words: &str, names: Names) -> Result<u32> {
    let mut parts = words.split('+');
    parts.try_fold(0, |bits, word| Ok(bits | named(word, names)?))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns the number of signals of an eventfd since the last call, after waiting for the first
/// signal.
fn count(event: Option<&Event>, milliseconds: &str) -> Result<String> {
    let wait = Duration::from_millis(number(milliseconds)?);
    let event = event.context("there is no eventfd")?;
    Ok(event.take_within(wait)?.to_string())
}

/// Returns the text of a reply: success in the words of `say`, or the errno by name.
fn told(reply: Message, say: impl FnOnce(&[u8]) -> String) -> String {
    match reply.errno() {
        Some(errno) => wire::name(errno),
        None => say(&reply.payload),
    }
}

fn done(reply: &Message) -> String {
    reply.errno().map_or_else(|| "ok".to_owned(), wire::name)
}
