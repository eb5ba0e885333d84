//! The hooks at which faults strike a function, and the consequences that they have.
//!
//! A function without faults has one check at each hook. A hook calls [`Core::meet`] with the
//! [`Occurrence`] and acts on the [`Verdict`]. Consequences that need the device model, or that would
//! change the function in the middle of another action, wait until [`Function::settle_faults`] at the end
//! of the action.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Function;
use super::conditions::{Condition, Conditions, Ended, SavedConditions, Until, extend};
use super::core::Core;
use super::late::{Late, SavedLate};
use crate::capability::DetectedError;
use crate::dma::{DmaError, DmaId, DmaOp};
use crate::effect::{Effect, FunctionEvent};
use crate::fault::consequence::Consequence;
use crate::fault::list::{FaultList, SavedFault, Struck};
use crate::fault::{Fault, FaultError, FaultStatus, Occurrence};
use crate::power::PowerState;
use crate::register::ResetKind;
use crate::snapshot::RestoreError;
use crate::time::{Time, earliest};

/// Occurrences that time brings about, and consequences that have waited, in one call at most. The rest
/// follows at the next deadline, which is at once.
const AT_ONCE: u32 = 256;

/// Consequences that wait at most. More strikes are counted only.
const WAITING: usize = 256;

/// The faults of a function and what they have brought about.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: FaultList,
    pub(super) conditions: Conditions,
    waiting: VecDeque<Waiting>,
    pub(super) late: Late,
    /// Time of the access or action in progress.
    pub(super) now: Time,
    /// The change of power state in progress loses state.
    pub(super) lose_state: bool,
    /// The change of power state in progress loses the MSI-X table.
    pub(super) lose_table: bool,
    /// The consequences that wait are being carried out.
    settling: bool,
}

/// A consequence that waits for the end of the action in progress.
#[derive(Debug)]
enum Waiting {
    Input(String),
    Vanish(Condition),
    Contain(Condition),
    EndTransfer(DmaId, DmaError),
    WakeEvent { again: bool },
    Detect(DetectedError),
}

/// The consequences that a hook acts on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    /// The thing that was about to happen does not happen.
    pub(super) prevented: bool,
    /// The thing that was about to happen happens twice.
    pub(super) doubled: bool,
    /// The transfer ends as an Unsupported Request.
    pub(super) refused: bool,
    /// The transfer goes to an address that is so much higher.
    pub(super) misdirected: Option<u64>,
    /// Bits of config space that keep their values: offset and mask of a DWORD.
    pub(super) kept: Option<(u64, u32)>,
    pub(super) lose_state: bool,
    pub(super) lose_table: bool,
    /// The thing that was about to happen happens so much later.
    pub(super) delayed: Option<std::time::Duration>,
}

/// The saved form of [`Faults`].
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedFaults {
    list: Vec<SavedFault>,
    conditions: SavedConditions,
    #[serde(default, skip_serializing_if = "SavedLate::is_empty")]
    late: SavedLate,
}

impl Core {
    /// Notes the time for the hooks.
    pub(super) fn note_time(&mut self, now: Time) {
        if let Some(faults) = &mut self.faults {
            faults.now = now;
        }
    }

    /// Meets the faults at an occurrence.
    pub(super) fn meet(&mut self, occurrence: &Occurrence) -> Verdict {
        let mut verdict = Verdict::default();
        if let Some(mut faults) = self.faults.take() {
            for struck in faults.list.meet(faults.now, occurrence) {
                self.suffer(&mut faults, struck, &mut verdict);
            }
            self.faults = Some(faults);
        }
        verdict
    }

    /// Reports a strike, and takes in its consequence.
    fn suffer(&mut self, faults: &mut Faults, struck: Struck, verdict: &mut Verdict) {
        let Struck {
            name,
            what,
            count,
            at,
            consequence,
        } = struck;
        let told = self.tell_fault(&name, &what, count);
        let condition = |lasting| Condition {
            by: name,
            until: Until::new(at, lasting),
        };
        match consequence {
            Consequence::Prevent => verdict.prevented = true,
            Consequence::Double => verdict.doubled = true,
            Consequence::Delay(span) => verdict.delayed = Some(span),
            Consequence::LoseTable => verdict.lose_table = true,
            Consequence::WakeEvent { again } => faults.wait(Waiting::WakeEvent { again }),
            Consequence::KeepPmeStatus { lasting } => {
                let condition = condition(lasting);
                let pme = &mut faults.conditions.pme;
                pme.retain(|(kept, ())| kept.by != condition.by);
                pme.push((condition, ()));
            }
            Consequence::Misdirect { offset } => verdict.misdirected = Some(offset),
            Consequence::RefuseTransfer => verdict.refused = true,
            Consequence::LoseState => verdict.lose_state = true,
            Consequence::KeepBits { offset, mask } => {
                let before = verdict.kept.filter(|(other, _)| *other == offset);
                verdict.kept = Some((offset, mask | before.map_or(0, |(_, mask)| mask)));
            }
            Consequence::Silence { lasting, retry } => {
                extend(&mut faults.conditions.silence, condition(lasting), retry);
            }
            Consequence::BarOff { bar, lasting } => {
                let bars = &mut faults.conditions.bars;
                let condition = condition(lasting);
                bars.retain(|(other, off)| *off != bar || other.by != condition.by);
                bars.push((condition, bar));
            }
            Consequence::Contain { lasting } => {
                faults.wait(Waiting::Contain(condition(lasting)));
            }
            Consequence::Gone { lasting } => faults.wait(Waiting::Vanish(condition(lasting))),
            Consequence::Detect(error) => faults.wait(Waiting::Detect(error)),
            Consequence::Input { name } => faults.wait(Waiting::Input(name)),
            Consequence::Notice(notice) => {
                if told {
                    self.emit(Effect::Notice(notice));
                }
            }
            // Of the slot, and of the host.
            Consequence::Link { .. } | Consequence::Fail(_) => {}
        }
    }

    /// Reports a strike. Returns whether more may be emitted.
    pub(super) fn tell_fault(&mut self, name: &str, what: &str, count: u64) -> bool {
        let may_tell = self.may_tell();
        if may_tell {
            self.emit(Effect::Event(FunctionEvent::Fault {
                fault: name.to_owned(),
                what: what.to_owned(),
                count,
            }));
        }
        may_tell
    }

    /// Returns whether a fault keeps the function silent, and then whether it asks for a retry.
    pub(super) fn silenced(&self, now: Time) -> Option<bool> {
        self.faults.as_ref()?.conditions.silent(now)
    }

    /// Returns whether a fault has taken the function off the bus.
    pub(super) fn is_gone(&self) -> bool {
        let faults = self.faults.as_ref();
        faults.is_some_and(|faults| faults.conditions.gone.is_some())
    }

    /// Returns whether a fault keeps a BAR from decoding.
    pub(super) fn is_bar_off(&self, now: Time, bar: u8) -> bool {
        let faults = self.faults.as_ref();
        faults.is_some_and(|faults| faults.conditions.is_off(now, bar))
    }

    /// Returns whether a fault hides all memory that clients may have mapped.
    pub(super) fn hides_memory(&self) -> bool {
        let faults = self.faults.as_ref();
        faults.is_some_and(|faults| faults.conditions.silent(faults.now).is_some())
    }

    /// Returns the BARs that a fault keeps from decoding although clients may have their memory mapped.
    /// Bit n stands for BAR n.
    pub(super) fn hidden_bars(&self) -> u8 {
        let Some(faults) = &self.faults else {
            return 0;
        };
        let mappable = self.mappable.iter().map(|shared| shared.bar);
        let off = mappable.filter(|bar| faults.conditions.is_off(faults.now, *bar));
        off.fold(0, |bars, bar| bars | 1 << bar)
    }

    /// Returns the time for which the function stays silent, `None` if that is unknown.
    pub(super) fn silence_left(&self, now: Time) -> Option<std::time::Duration> {
        self.faults.as_ref()?.conditions.silence_left(now)
    }

    /// Shortens a silence by the time for which software has waited without the device's time passing.
    pub(super) fn shorten_silence(&mut self, span: std::time::Duration) {
        if let Some(faults) = &mut self.faults {
            faults.conditions.shorten_silence(span);
        }
    }

    /// Notes that main power went off or came back, for conditions that depend on it. Returns whether the
    /// function is off the bus.
    pub(super) fn note_power(&mut self, on: bool) -> bool {
        let Some(faults) = &mut self.faults else {
            return false;
        };
        if let Some((_, powered)) = &mut faults.conditions.gone {
            *powered = on;
        }
        let mut ended = Ended::default();
        if !on {
            ended = faults
                .conditions
                .end(|condition| condition.until == Until::PowerOff);
        }
        let gone = faults.conditions.gone.is_some();
        self.tell_ended(ended);
        gone
    }

    /// Ends a transfer that a fault has refused, once its model has asked for it.
    pub(super) fn refuse_transfer(&mut self, id: DmaId, op: &DmaOp) {
        let address = match op {
            DmaOp::Read { address, .. } | DmaOp::Write { address, .. } => *address,
            DmaOp::Copy { from, .. } => *from,
        };
        if let Some(faults) = &mut self.faults {
            faults.end_transfer(id, DmaError::Unmapped { address });
        }
    }

    pub(super) fn fault_deadline(&self) -> Option<Time> {
        let faults = self.faults.as_ref()?;
        let waiting = (!faults.waiting.is_empty()).then_some(Time::ZERO);
        let due = earliest(
            faults.list.next_deadline(),
            faults.conditions.next_deadline(),
        );
        let due = earliest(due, faults.late.next_deadline());
        earliest(waiting, due)
    }

    pub(super) fn save_faults(&self, now: Time) -> Option<SavedFaults> {
        let faults = self.faults.as_ref()?;
        Some(SavedFaults {
            list: faults.list.save(now),
            conditions: faults.conditions.save(now),
            late: faults.late.save(now),
        })
    }

    pub(super) fn restore_faults(
        &mut self,
        now: Time,
        saved: Option<SavedFaults>,
    ) -> Result<(), RestoreError> {
        let at = "function.core.faults";
        for saved in saved.iter().flat_map(|saved| &saved.list) {
            saved
                .fault
                .check_permitted(self.misdirected_dma)
                .map_err(|error| RestoreError::part(at, error.to_string()))?;
        }
        self.faults = match saved {
            None => None,
            Some(saved) => Some(Box::new(Faults {
                list: FaultList::restored(now, at, saved.list)?,
                conditions: Conditions::restored(now, saved.conditions),
                late: Late::restored(now, &saved.late),
                now,
                ..Faults::default()
            })),
        };
        Ok(())
    }
}

impl Faults {
    /// Ends a transfer with an error once the action in progress is over.
    pub(super) fn end_transfer(&mut self, id: DmaId, error: DmaError) {
        // It has to end some time, however many wait.
        self.waiting.push_back(Waiting::EndTransfer(id, error));
    }

    fn wait(&mut self, waiting: Waiting) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back(waiting);
        }
    }
}

impl Function {
    /// Notes the time of an action that does not tell it.
    pub(crate) fn note_time(&mut self, now: Time) {
        self.core.note_time(now);
    }

    /// Sets a fault and returns its name.
    ///
    /// # Errors
    /// The fault does not fit this function, its name is taken, or there are
    /// [`MAX_FAULTS`](crate::fault::MAX_FAULTS) already.
    pub fn add_fault(&mut self, now: Time, fault: Fault) -> Result<String, FaultError> {
        self.add_fault_beside(now, fault, &[])
    }

    /// Sets a fault beside those of other lists, whose names are given.
    pub(crate) fn add_fault_beside(
        &mut self,
        now: Time,
        fault: Fault,
        elsewhere: &[String],
    ) -> Result<String, FaultError> {
        fault.check_parts(self.core.config())?;
        fault.check_permitted(self.core.misdirected_dma)?;
        if fault.is_of_slot() {
            let reason = "the function alone has no slot, whose fault this is; set it for the slot";
            return Err(FaultError::Lacks(reason.to_owned()));
        }
        if let Consequence::Input { name } = fault.what.consequence() {
            let inputs = self.inputs();
            if !inputs.contains(&name.as_str()) {
                let known = inputs.join(", ");
                let reason = format!("the device has no input {name:?}; its inputs are: {known}");
                return Err(FaultError::Lacks(reason));
            }
        }
        let mut faults = self.core.faults.take().unwrap_or_default();
        faults.now = now;
        let added = faults.list.add(now, fault, elsewhere);
        self.core.faults = Some(faults);
        self.advance_faults(now);
        self.drop_idle_faults();
        added
    }

    /// Removes a fault and ends its effects. A function that it took off the bus is back.
    ///
    /// # Errors
    /// [`FaultError::Unknown`].
    pub fn remove_fault(&mut self, now: Time, name: &str) -> Result<(), FaultError> {
        let faults = self.core.faults.as_mut();
        if !faults.is_some_and(|faults| faults.list.remove(name)) {
            let known = self.fault_names();
            let name = name.to_owned();
            return Err(FaultError::Unknown { name, known });
        }
        self.core.note_time(now);
        self.end_conditions(now, |condition| condition.by == name);
        self.drop_idle_faults();
        Ok(())
    }

    /// Removes all faults.
    pub fn clear_faults(&mut self, now: Time) {
        for name in self.fault_names() {
            self.remove_fault(now, &name).ok();
        }
    }

    /// Returns the faults with their accounts, in the order in which they were set.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        let faults = self.core.faults.as_ref();
        faults.map_or_else(Vec::new, |faults| faults.list.list())
    }

    pub(crate) fn fault_names(&self) -> Vec<String> {
        let faults = self.core.faults.as_ref();
        faults.map_or_else(Vec::new, |faults| faults.list.names())
    }

    /// Returns whether a fault has taken the function off the bus.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.core.is_gone()
    }

    /// Handles the occurrences that time has brought about, and ends conditions that are over.
    pub(super) fn advance_faults(&mut self, now: Time) {
        if self.core.faults.is_none() {
            return;
        }
        self.core.note_time(now);
        for _ in 0..AT_ONCE {
            let Some(mut faults) = self.core.faults.take() else {
                return;
            };
            let due = faults.list.take_due(now);
            if let Some(Some(struck)) = due {
                self.core
                    .suffer(&mut faults, struck, &mut Verdict::default());
                self.core.faults = Some(faults);
                self.settle_faults(now);
            } else {
                self.core.faults = Some(faults);
                if due.is_none() {
                    break;
                }
            }
        }
        self.advance_late(now);
        self.end_conditions(now, |condition| condition.until.is_over(now));
        self.settle_faults(now);
    }

    /// Carries out consequences that have waited for the end of an action.
    pub(crate) fn settle_faults(&mut self, now: Time) {
        self.end_late_transfers();
        for _ in 0..AT_ONCE {
            let Some(faults) = &mut self.core.faults else {
                return;
            };
            if faults.settling {
                return;
            }
            let Some(waiting) = faults.waiting.pop_front() else {
                return;
            };
            faults.settling = true;
            faults.now = now;
            match waiting {
                Waiting::Input(name) => self.input(now, &name),
                Waiting::Vanish(condition) => self.vanish(now, condition),
                Waiting::Contain(condition) => self.contain(now, condition, true),
                Waiting::WakeEvent { again: false } => self.core.pme_event(now),
                Waiting::WakeEvent { again: true } => self.core.pme_event_again(now),
                Waiting::Detect(error) if self.core.is_there() => self.core.detect(&error),
                Waiting::Detect(_) => {}
                Waiting::EndTransfer(id, error) => self.dma_done(now, id, Err(error)),
            }
            if let Some(faults) = &mut self.core.faults {
                faults.settling = false;
            }
        }
    }

    /// Meets the faults when power comes. Returns whether the function is off the bus from the start.
    pub(super) fn meet_power_on(&mut self, now: Time) -> bool {
        if self.core.faults.is_none() {
            return false;
        }
        self.core.note_time(now);
        let (from, to) = (PowerState::D3cold, PowerState::D0);
        self.core.meet(&Occurrence::DState { from, to });
        self.core.meet(&Occurrence::PowerOn);
        if let Some(faults) = &mut self.core.faults {
            for waiting in std::mem::take(&mut faults.waiting) {
                match waiting {
                    Waiting::Vanish(condition) => {
                        extend(&mut faults.conditions.gone, condition, true);
                    }
                    other => faults.waiting.push_back(other),
                }
            }
        }
        self.core.is_gone()
    }

    /// Returns whether a fault of this name is set.
    pub(crate) fn has_fault(&self, name: &str) -> bool {
        let faults = self.core.faults.as_ref();
        faults.is_some_and(|faults| faults.list.has(name))
    }

    /// Takes the function off the bus. It has neither power nor state until it is back.
    fn vanish(&mut self, now: Time, condition: Condition) {
        let powered = self.core.powered;
        if let Some(faults) = &mut self.core.faults {
            let already = faults.conditions.gone.as_ref().map(|(_, powered)| *powered);
            let powered = already.unwrap_or(powered);
            extend(&mut faults.conditions.gone, condition, powered);
        }
        if powered {
            self.lose_all_power(now);
        }
    }

    /// Takes the function out of its slot without a warning.
    pub(crate) fn unplug(&mut self, now: Time) {
        self.core.note_power(false);
        self.lose_all_power(now);
        self.settle_faults(now);
    }

    fn lose_all_power(&mut self, now: Time) {
        let from = self.core.state;
        self.core.config.reset(ResetKind::PowerOn);
        self.core.show_link(now);
        self.core.interrupts.clear();
        self.core.lose_late_messages();
        self.core.powered = false;
        self.core.enter(now, PowerState::D3cold);
        self.core.dma.abort();
        self.with_model(now, |model, cx| {
            model.power_changed(cx, from, PowerState::D3cold);
        });
        self.core.end_virtual_functions();
        self.core.update_intx();
        self.core.update_pme(now);
    }

    /// Ends conditions. A function that is back on the bus starts without state.
    pub(super) fn end_conditions(&mut self, now: Time, over: impl Fn(&Condition) -> bool) {
        let Some(faults) = &mut self.core.faults else {
            return;
        };
        let link_failed = !faults.conditions.links.is_empty();
        let was_unlinked = faults.conditions.is_unlinked(now);
        let ended = faults.conditions.end(over);
        if link_failed {
            self.link_changed(now, was_unlinked);
        }
        if ended.back {
            self.come_back(now);
        }
        self.release(now, ended);
    }

    /// Forgets the faults if there are none, for the hooks to have nothing to do.
    pub(super) fn drop_idle_faults(&mut self) {
        self.core.faults.take_if(|faults| {
            faults.list.is_empty()
                && faults.conditions.are_none()
                && faults.waiting.is_empty()
                && faults.late.is_empty()
        });
    }
}
