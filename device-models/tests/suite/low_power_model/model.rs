//! The reference: what vfio-pci, the runtime power management core and the PCI core do to a device,
//! told without registers. There is a chip that is in a place and holds a few things, a driver that
//! believes something about it, and people who want it awake.

mod requests;

use pci_device_models::host::{FaultSpan, PmDialect, ResumeFault, SuspendDelay, View};

use super::step::Knobs;

const EIO: i32 = 5;
const EBADF: i32 = 9;
const EAGAIN: i32 = 11;
const EFAULT: i32 = 14;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const ENOTTY: i32 = 25;

/// The outcome of a request: a number that stands for its reply, or an errno.
pub type Answer = Result<u64, i32>;

/// The reply of a feature that keeps the eventfd.
pub const ARMED: u64 = u64::MAX;

const MS: u64 = 1_000_000;
const POLL: u64 = 1000 * MS;

/// Signals and events that the client gets beside its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Wake,
    /// The wake-up eventfd is let go without a word.
    Dropped,
    Intx,
    Pme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    D0,
    D2,
    Hot,
    Cold,
}

#[derive(Clone, Copy, Debug, Default)]
struct Command {
    memory: bool,
    disable: bool,
    master: bool,
    /// The bits that only a restore of ones sets.
    rest: bool,
}

impl Command {
    const ONES: Self = Self {
        memory: true,
        disable: true,
        master: true,
        rest: true,
    };

    fn word(self) -> u64 {
        [
            (self.memory, 0x2),
            (self.disable, 0x400),
            (self.master, 0x4),
            (self.rest, 0x140),
        ]
        .into_iter()
        .fold(0, |word, (set, bits)| if set { word | bits } else { word })
    }
}

#[derive(Debug)]
struct Chip {
    place: Place,
    /// It has power and says nothing.
    silent: bool,
    command: Command,
    scratch: u32,
    intx: bool,
}

#[derive(Debug)]
struct Asleep {
    since: u64,
    /// A wake event of the chip counts.
    listening: bool,
    /// When the poll finds the wake event.
    poll_at: Option<u64>,
    /// The wake signal of a chip without power.
    wake_line: bool,
    /// Closed although it did not wake: what its wake events do is nobody's business.
    closed: bool,
}

impl Asleep {
    /// The next poll is going to find a wake event.
    fn find(&mut self, now: u64) {
        let polls = (now - self.since) / POLL + 1;
        self.poll_at.get_or_insert(self.since + polls * POLL);
    }
}

#[derive(Debug, Default)]
struct Intx {
    bound: bool,
    masked: bool,
    /// Masked for the time of sleep.
    by_sleep: bool,
    disabled: bool,
    level: bool,
    resample: bool,
}

#[derive(Debug)]
pub struct Model {
    knobs: Knobs,
    pub now: u64,
    opens: u32,
    on: bool,
    pub engaged: bool,
    pub armed: bool,
    reentry: bool,
    /// Woken, and awake until low power is left (v4).
    kept: bool,
    pme_en: bool,
    pme_status: bool,
    pme_bound: bool,
    asleep: Option<Asleep>,
    sleep_at: Option<u64>,
    delay: SuspendDelay,
    fault: Option<ResumeFault>,
    latched: bool,
    cold_allowed: bool,
    busy: bool,
    dies: bool,
    chip: Chip,
    pub believed: Place,
    /// Images of Command: the last one, the one before the client's D3hot, and the one at open. That of
    /// a silent chip is ones.
    saved: Option<Command>,
    before_d3hot: Option<Option<Command>>,
    at_open: Option<Option<Command>>,
    /// The reset at open worked.
    reset_works: bool,
    /// The chip was silent at open, so the driver knows no capability.
    blind: bool,
    /// Memory Space Enable as the client set it.
    memory: bool,
    intx: Intx,
    asserted_asleep: bool,
    pub signals: Vec<Signal>,
}

impl Model {
    pub fn new(knobs: Knobs) -> Self {
        let mut model = Self {
            knobs,
            now: 0,
            opens: 0,
            on: false,
            engaged: false,
            armed: false,
            reentry: true,
            kept: false,
            pme_en: false,
            pme_status: false,
            pme_bound: false,
            asleep: None,
            sleep_at: None,
            delay: knobs.delay,
            fault: None,
            latched: false,
            cold_allowed: true,
            busy: false,
            dies: false,
            chip: Chip {
                place: Place::D0,
                silent: false,
                command: Command::default(),
                scratch: 0,
                intx: false,
            },
            believed: Place::D0,
            saved: None,
            before_d3hot: None,
            at_open: None,
            reset_works: false,
            blind: false,
            memory: false,
            intx: Intx::default(),
            asserted_asleep: false,
            signals: Vec::new(),
        };
        model.rest();
        model
    }

    fn vfio(&self) -> bool {
        self.knobs.view == View::VfioPci
    }

    fn v4(&self) -> bool {
        self.knobs.dialect == PmDialect::V4
    }

    pub fn is_open(&self) -> bool {
        self.opens > 0
    }

    pub fn is_asleep(&self) -> bool {
        self.asleep.is_some()
    }

    pub fn place(&self) -> Place {
        self.chip.place
    }

    pub fn intx_masked(&self) -> bool {
        self.intx.masked
    }

    pub fn uses_intx(&self) -> bool {
        self.intx.bound
    }

    pub fn virtual_pme(&self) -> (bool, bool) {
        (self.pme_en, self.pme_status)
    }

    /// The users that keep the device awake.
    pub fn usage(&self) -> u32 {
        let session = if self.is_open() {
            u32::from(!self.engaged) + self.knobs.extra_open_gets
        } else {
            u32::from(!self.vfio())
        };
        session + u32::from(self.on) + u32::from(self.kept)
    }

    // The chip.

    fn forget(&mut self) {
        self.chip.place = Place::D0;
        self.chip.scratch = 0;
        self.chip.command = Command::default();
        self.chip.intx = false;
        self.wire();
    }

    fn leave_d3hot(&mut self) {
        self.chip.place = Place::D0;
        if self.knobs.no_soft_reset {
            self.wire();
        } else {
            self.forget();
        }
    }

    fn set_command(&mut self, command: Command) {
        if self.chip.place != Place::Cold {
            self.chip.command = command;
            self.wire();
        }
    }

    fn wire(&mut self) {
        let Chip {
            place,
            intx,
            command,
            ..
        } = self.chip;
        // The driver of vfio-pci uses the chip's own bit for masking.
        let disabled = command.disable && !self.vfio();
        self.intx.level = intx && place == Place::D0 && !disabled;
        self.deliver();
    }

    fn deliver(&mut self) {
        if self.intx.level && self.intx.bound && !self.intx.masked {
            self.intx.masked = true;
            self.signals.push(Signal::Intx);
        }
    }

    fn unmask(&mut self) {
        if self.intx.disabled || self.vfio() && !self.intx.masked {
            return;
        }
        self.intx.masked = false;
        let pending = self.chip.intx && self.chip.place != Place::Cold;
        if self.vfio() && self.intx.bound && pending {
            self.intx.masked = true;
            self.signals.push(Signal::Intx);
        }
        self.deliver();
    }

    // The PCI core and the driver's idea of the power state.

    fn power_up(&mut self) -> bool {
        if self.chip.place == Place::Cold && !self.chip.silent {
            if self.dies {
                self.chip.silent = true;
            } else {
                self.forget();
            }
        }
        if self.chip.silent {
            self.believed = Place::Cold;
            return false;
        }
        match self.chip.place {
            Place::Hot => self.leave_d3hot(),
            Place::D2 => {
                self.chip.place = Place::D0;
                self.wire();
            }
            Place::D0 | Place::Cold => {}
        }
        self.believed = Place::D0;
        true
    }

    fn enter_d0(&mut self) {
        let from = self.believed;
        if from != Place::D0 && self.power_up() && from >= Place::Hot && !self.knobs.no_soft_reset {
            if let Some(image) = self.before_d3hot.take() {
                self.saved = image;
            }
            self.restore();
        }
    }

    fn gone(&self) -> bool {
        self.chip.place == Place::Cold
    }

    fn save(&mut self) -> Option<Command> {
        self.saved = Some(if self.gone() {
            Command::ONES
        } else {
            self.chip.command
        });
        self.saved
    }

    fn restore(&mut self) {
        if let Some(command) = self.saved {
            self.set_command(command);
        }
    }

    fn client_asks_for(&mut self, state: u8) {
        match (state, self.believed) {
            (0, _) => self.enter_d0(),
            (2, Place::D0) => self.put(Place::D2),
            (3, Place::D0 | Place::D2) => {
                if !self.knobs.no_soft_reset {
                    self.before_d3hot = Some(self.save());
                }
                self.put(Place::Hot);
            }
            _ => {}
        }
    }

    fn put(&mut self, place: Place) {
        self.chip.place = place;
        self.believed = place;
        self.wire();
    }

    /// PMCSR of the chip itself.
    fn chip_asks_for(&mut self, state: u8) {
        match (state, self.chip.place) {
            (0, Place::Hot) => self.leave_d3hot(),
            (0, Place::D2) => self.chip.place = Place::D0,
            (2, Place::D0) => self.chip.place = Place::D2,
            (3, Place::D0 | Place::D2) => self.chip.place = Place::Hot,
            _ => {}
        }
        self.wire();
    }

    /// The reset that config space survives.
    fn try_reset(&mut self) -> Answer {
        if self.busy {
            return Err(EAGAIN);
        }
        if self.believed != Place::D0 {
            self.power_up();
        }
        self.save();
        self.bare_reset()?;
        self.restore();
        Ok(0)
    }

    fn bare_reset(&mut self) -> Answer {
        if self.chip.silent {
            return Err(ENOTTY);
        }
        self.forget();
        if !self.vfio() {
            self.believed = Place::D0;
        }
        Ok(0)
    }

    // Sleep.

    fn sleep(&mut self) {
        self.sleep_at = None;
        self.enter_d0();
        self.intx.by_sleep = self.intx.bound && !self.intx.masked;
        self.intx.masked |= self.intx.bound;
        self.asleep = Some(Asleep {
            since: self.now,
            listening: true,
            poll_at: None,
            wake_line: false,
            closed: false,
        });
        if self.believed != Place::D0 {
            return;
        }
        self.save();
        match (self.knobs.deepest, self.cold_allowed) {
            ("d3cold", true) => {
                self.chip.intx = false;
                self.put(Place::Cold);
            }
            ("d3cold" | "d3hot", _) => self.put(Place::Hot),
            _ => {}
        }
    }

    fn wake(&mut self) -> Result<(), i32> {
        if self.latched {
            return Err(EINVAL);
        }
        if self.asleep.is_none() {
            return Ok(());
        }
        if let Some(fault) = &mut self.fault {
            let errno = fault.errno.0;
            match &mut fault.span {
                FaultSpan::Times(left) if *left > 1 => *left -= 1,
                FaultSpan::Times(_) => self.fault = None,
                FaultSpan::Always => {}
                FaultSpan::Latch => {
                    self.latched = true;
                    self.fault = None;
                }
            }
            self.latched |= errno != EAGAIN && errno != EBUSY;
            return Err(errno);
        }
        self.asleep = None;
        self.power_up();
        self.restore();
        if std::mem::take(&mut self.asserted_asleep) {
            self.chip.intx = true;
            self.wire();
        }
        if !self.v4() && std::mem::take(&mut self.armed) {
            self.signals.push(Signal::Wake);
            self.engaged = false;
        }
        let resample = std::mem::take(&mut self.intx.resample);
        if std::mem::take(&mut self.intx.by_sleep) || resample {
            self.unmask();
        }
        if self.v4() && self.engaged {
            self.pme_status = true;
            let told = self.pme_en && self.pme_bound;
            if told {
                self.signals.push(Signal::Pme);
            }
            self.kept = told || !self.reentry;
        }
        Ok(())
    }

    /// Nothing is being done: may it sleep?
    fn rest(&mut self) {
        if self.asleep.is_some() || self.usage() > 0 || self.latched {
            self.sleep_at = None;
        } else if let SuspendDelay::After(delay) = self.delay {
            let delay = u64::try_from(delay.as_nanos()).expect("short");
            let due = *self.sleep_at.get_or_insert(self.now + delay);
            if due <= self.now {
                self.sleep();
            }
        }
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now + ms * MS;
        loop {
            let poll = self.asleep.as_ref().and_then(|asleep| asleep.poll_at);
            let Some(next) = poll.or(self.sleep_at).filter(|next| *next <= until) else {
                break;
            };
            self.now = next;
            if poll.is_some()
                && let Some(asleep) = &mut self.asleep
            {
                asleep.poll_at = None;
                if std::mem::take(&mut asleep.listening) {
                    self.wake().ok();
                }
            }
            self.rest();
        }
        self.now = until;
    }

    fn pme(&mut self) {
        let now = self.now;
        let (place, believed) = (self.chip.place, self.believed);
        let Some(asleep) = &mut self.asleep else {
            return;
        };
        if place == Place::Cold {
            if !std::mem::replace(&mut asleep.wake_line, true) {
                self.wake().ok();
            }
        } else if believed != Place::Cold && place != Place::D2 {
            // The function has no PME from D2.
            asleep.find(now);
        }
    }
}
