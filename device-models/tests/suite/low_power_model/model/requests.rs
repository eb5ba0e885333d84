//! The requests to the device, and their outcomes.

use pci_device_models::host::PowerControl;

use super::{
    ARMED, Answer, Command, EAGAIN, EBADF, EFAULT, EINVAL, EIO, ENOTTY, Model, Place, Signal,
};
use crate::low_power_model::step::{Feature, Step};

impl Model {
    fn guarded(&mut self, serve: impl FnOnce(&mut Self) -> Answer) -> Answer {
        self.sleep_at = None;
        self.wake().map_err(|_| EIO)?;
        serve(self)
    }

    /// Returns the outcome of a step, or `None` if it makes no sense now.
    pub fn apply(&mut self, step: Step) -> Option<Answer> {
        let touches_config = matches!(
            step,
            Step::WritePmcsr(..) | Step::ReadCommand | Step::WriteCommand(..) | Step::ConfigFlr
        );
        let reads = matches!(step, Step::ReadPmcsr | Step::ReadBar | Step::WriteBar(_));
        let healed = !self.chip.silent;
        // The registers are then as they are, of which the model knows too little.
        if self.is_open() && self.blind && (touches_config || reads && healed) {
            return None;
        }
        let answer = if self.is_open() || step == Step::Open {
            self.client(step)
        } else {
            None
        };
        let answer = answer.or_else(|| self.outside(step));
        self.rest();
        answer
    }

    fn client(&mut self, step: Step) -> Option<Answer> {
        Some(match step {
            Step::Open => self.open().map(|()| 0),
            Step::Close => {
                self.close();
                Ok(0)
            }
            Step::ReadNothing => Ok(0),
            Step::ReadNoRegion => Err(EINVAL),
            Step::Feature(feature) if self.v4() => self.v4_feature(feature),
            Step::Feature(feature) => self.guarded(|model| model.mainline_feature(feature)),
            Step::Resample => {
                if self.asleep.is_some() {
                    self.intx.resample = true;
                } else {
                    self.unmask();
                }
                Ok(0)
            }
            Step::ReadPmcsr
            | Step::WritePmcsr(..)
            | Step::ReadCommand
            | Step::WriteCommand(..)
            | Step::ConfigFlr
            | Step::ReadOutside
            | Step::ReadBar
            | Step::WriteBar(_) => self.guarded(|model| model.access(step)),
            Step::Info
            | Step::RegionInfo
            | Step::IrqInfo(_)
            | Step::Reset
            | Step::BindIntx
            | Step::DisableIntx
            | Step::MaskIntx
            | Step::UnmaskIntx
            | Step::BindPme(_) => self.guarded(|model| model.request(step)),
            _ => return None,
        })
    }

    fn outside(&mut self, step: Step) -> Option<Answer> {
        match step {
            Step::HostAccess => {
                self.sleep_at = None;
                if self.asleep.is_some() && self.believed == Place::Cold {
                    self.wake().ok();
                }
                let gone = self.chip.place == Place::Cold;
                return Some(Ok(u64::from(gone)));
            }
            Step::Control(control) => {
                self.on = control == PowerControl::On;
                if self.on {
                    self.wake().ok();
                }
            }
            Step::D3coldAllowed(allowed) => {
                self.cold_allowed = allowed;
                self.wake().ok();
            }
            Step::SuspendNow => {
                self.sleep_at = None;
                if self.asleep.is_none() && self.usage() == 0 && !self.latched {
                    self.sleep();
                }
                return Some(Ok(u64::from(self.asleep.is_some())));
            }
            Step::SuspendDelay(delay) => {
                self.delay = delay;
                self.sleep_at = None;
            }
            Step::ResumeFault(fault) => {
                self.fault = fault;
                self.latched &= fault.is_some();
            }
            Step::ResetBusy(busy) => self.busy = busy,
            Step::DeadAfterCold(dies) => {
                self.dies = dies;
                if !dies && std::mem::take(&mut self.chip.silent) {
                    self.forget();
                }
            }
            Step::Pme => {
                let closed = self.asleep.as_ref().is_some_and(|asleep| asleep.closed);
                if closed || self.chip.silent {
                    return None;
                }
                self.pme();
            }
            Step::Intx(asserted) => {
                self.asserted_asleep = asserted && self.asleep.is_some();
                self.chip.intx = asserted;
                self.wire();
            }
            Step::Wait(ms) => self.wait(ms),
            _ => return None,
        }
        Some(Ok(0))
    }

    fn open(&mut self) -> Result<(), i32> {
        if self.opens == 0 {
            self.sleep_at = None;
            self.wake()?;
            if self.vfio() {
                self.enter_d0();
                self.reset_works = self.knobs.reset_works
                    && match self.try_reset() {
                        Err(EAGAIN) => return Err(EAGAIN),
                        reset => reset.is_ok(),
                    };
                // Enabling the device turns on the decoding of its BARs, all memory here.
                self.set_command(Command {
                    memory: true,
                    ..self.chip.command
                });
                self.at_open = Some(self.save());
                self.blind = self.gone();
                self.memory = self.blind || self.chip.command.memory;
            }
        }
        self.opens += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.opens -= 1;
        if self.opens > 0 {
            return;
        }
        self.engaged = false;
        if std::mem::take(&mut self.armed) {
            self.signals.push(Signal::Dropped);
        }
        (self.kept, self.pme_en, self.pme_status) = (false, false, false);
        self.sleep_at = None;
        self.wake().ok();
        self.pme_bound = false;
        self.intx.resample = false;
        self.intx.bound = false;
        self.intx.disabled = false;
        let from_d3hot = self.believed == Place::Hot;
        self.enter_d0();
        self.set_command(Command {
            master: false,
            ..self.chip.command
        });
        let offered = if self.vfio() {
            self.reset_works
        } else {
            self.knobs.reset_works
        };
        let reset = offered && !self.busy && self.bare_reset().is_ok();
        if let Some(image) = self.at_open.take() {
            self.saved = image;
            self.restore();
        }
        self.before_d3hot = None;
        self.blind = false;
        if self.vfio() && self.knobs.reset_works && !reset && !self.busy && self.wake().is_ok() {
            // The bus above is reset instead.
            self.try_reset().ok();
        }
        if let Some(asleep) = &mut self.asleep {
            asleep.closed = true;
            asleep.listening &= !from_d3hot;
            if asleep.wake_line && self.chip.place != Place::Cold {
                // Auxiliary power kept the event.
                asleep.find(self.now);
            }
        }
    }

    fn access(&mut self, step: Step) -> Answer {
        let gone = self.chip.place == Place::Cold;
        match step {
            Step::ReadPmcsr => {
                if self.blind {
                    return Ok(0xffff);
                }
                let state = match self.chip.place {
                    Place::D0 => 0,
                    Place::D2 => 2,
                    Place::Hot => 3,
                    Place::Cold => 0x7eff,
                };
                let pme = u64::from(self.pme_en) << 8 | u64::from(self.pme_status) << 15;
                let no_soft_reset = u64::from(self.knobs.no_soft_reset) << 3;
                let shown = match (self.vfio(), self.v4()) {
                    (true, _) => pme,
                    (false, true) if gone => 0x100,
                    // The chip's own PME_Status shows as well.
                    (false, true) => pme & 0x100,
                    (false, false) => 0,
                };
                return Ok(state | no_soft_reset | shown);
            }
            Step::WritePmcsr(state, enable, clear) => {
                if self.v4() && (self.vfio() || !gone) {
                    self.pme_en = enable;
                    self.pme_status &= !clear;
                }
                if self.vfio() {
                    self.client_asks_for(state);
                } else {
                    self.chip_asks_for(state);
                }
            }
            Step::ReadCommand if self.vfio() => {
                let disable = self.intx.disabled;
                let shown = Command {
                    disable,
                    ..self.chip.command
                };
                let shown = shown.word();
                return Ok(if gone { 0xfbff | shown } else { shown });
            }
            Step::ReadCommand if gone => return Ok(0xffff),
            Step::ReadCommand => return Ok(self.chip.command.word()),
            Step::WriteCommand(memory, disable) if self.vfio() => {
                self.memory = memory;
                let disabled = self.chip.command.disable;
                self.set_command(Command {
                    memory,
                    disable: disabled,
                    ..Command::default()
                });
                if std::mem::replace(&mut self.intx.disabled, disable) != disable {
                    if disable {
                        self.intx.masked = true;
                    } else {
                        self.unmask();
                    }
                }
            }
            Step::WriteCommand(memory, disable) => self.set_command(Command {
                memory,
                disable,
                ..Command::default()
            }),
            Step::ConfigFlr if self.vfio() => {
                self.try_reset().ok();
            }
            Step::ConfigFlr if !gone => self.forget(),
            Step::ReadOutside => return Err(if self.vfio() { EFAULT } else { EINVAL }),
            Step::ReadBar | Step::WriteBar(_) => {
                let shut = !self.memory || self.believed >= Place::Hot;
                if self.vfio() && (shut || self.v4() && self.engaged) {
                    return Err(EIO);
                }
                let decodes = self.chip.place == Place::D0 && self.chip.command.memory;
                match step {
                    Step::WriteBar(value) if decodes => self.chip.scratch = value,
                    Step::WriteBar(_) => {}
                    _ if decodes => return Ok(u64::from(self.chip.scratch)),
                    _ => return Ok(0xffff_ffff),
                }
            }
            _ => {}
        }
        Ok(0)
    }

    fn request(&mut self, step: Step) -> Answer {
        let unused = self.vfio() && !self.intx.bound;
        match step {
            Step::Info if self.vfio() => return Ok(u64::from(self.reset_works)),
            Step::Info => return Ok(u64::from(self.knobs.reset_works)),
            Step::RegionInfo => return Ok(4096),
            Step::IrqInfo(index) => match index {
                0 | 3 | 4 => return Ok(1),
                1 | 2 => return Ok(0),
                5 if self.v4() => return Ok(1),
                _ => return Err(EINVAL),
            },
            Step::Reset if !self.knobs.reset_works => return Err(EINVAL),
            Step::Reset if self.vfio() && !self.reset_works => return Err(EINVAL),
            Step::Reset if self.vfio() => {
                self.enter_d0();
                return self.try_reset();
            }
            Step::Reset if self.busy => return Err(EAGAIN),
            Step::Reset => return self.bare_reset(),
            Step::BindIntx => {
                if !std::mem::replace(&mut self.intx.bound, true) {
                    self.intx.masked = self.intx.disabled;
                }
                self.deliver();
            }
            Step::DisableIntx | Step::MaskIntx | Step::UnmaskIntx if unused => return Err(EINVAL),
            Step::DisableIntx => self.intx.bound = false,
            Step::MaskIntx => self.intx.masked = true,
            Step::UnmaskIntx => self.unmask(),
            Step::BindPme(_) if !self.v4() => return Err(EINVAL),
            Step::BindPme(bound) => self.pme_bound = bound,
            _ => {}
        }
        Ok(0)
    }

    fn mainline_feature(&mut self, feature: Feature) -> Answer {
        match feature {
            Feature::Set3 | Feature::Set3Flags(_) | Feature::Set4 => {
                if self.engaged {
                    return Err(EINVAL);
                }
                self.engaged = true;
                self.armed = feature == Feature::Set4;
                Ok(if self.armed { ARMED } else { 0 })
            }
            Feature::Set5 => {
                self.engaged = false;
                if std::mem::take(&mut self.armed) {
                    self.signals.push(Signal::Dropped);
                }
                Ok(0)
            }
            Feature::Probe(_) => Ok(0),
            Feature::Unknown => Err(ENOTTY),
            Feature::Set4NoFd => Err(EBADF),
            _ => Err(EINVAL),
        }
    }

    fn v4_feature(&mut self, feature: Feature) -> Answer {
        let built_in = self.knobs.nvidia_display;
        match feature {
            Feature::Probe(3) => Ok(0),
            Feature::Get3 if self.engaged => Ok(if self.reentry { 1 } else { 5 }),
            Feature::Get3 => Ok(if built_in { 6 } else { 2 }),
            Feature::Set3Flags(flags @ (1 | 5)) => {
                if self.engaged {
                    return Err(EINVAL);
                }
                self.engaged = true;
                self.reentry = flags == 1 && !built_in;
                Ok(0)
            }
            Feature::Set3Flags(2) => {
                if !self.engaged {
                    return Err(EINVAL);
                }
                self.sleep_at = None;
                self.engaged = false;
                if !std::mem::take(&mut self.kept)
                    && let Err(errno) = self.wake()
                {
                    self.engaged = true;
                    return Err(errno);
                }
                Ok(0)
            }
            Feature::Set3Flags(_)
            | Feature::Set3
            | Feature::Nothing3
            | Feature::ShortHeader
            | Feature::UnknownFlag
            | Feature::GetSet3 => Err(EINVAL),
            _ => self.guarded(|_| Err(ENOTTY)),
        }
    }
}
