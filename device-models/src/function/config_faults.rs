//! The hooks at which faults strike a write to config space, and with it a change of power state.

use super::core::Core;
use crate::fault::Occurrence;
use crate::power::PowerState;
use crate::register::DwordWrite;

/// `PME_Status` in the DWORD of PMCSR.
const PME_STATUS: u32 = 1 << 15;

impl Core {
    /// Meets the faults at a write to config space. Returns the write that takes effect.
    pub(super) fn meet_config_write(&mut self, offset: u64, write: DwordWrite) -> DwordWrite {
        let first = write.lanes().bytes().next().unwrap_or(0) as u64;
        let range = crate::fault::Range::of(offset + first, write.lanes().bytes().count());
        let verdict = self.meet(&Occurrence::ConfigWrite(range));
        let mut write = write;
        if verdict.prevented {
            return DwordWrite::new(0, crate::register::Lanes::new(0, 0));
        }
        if let Some((at, mask)) = verdict.kept
            && at == offset
        {
            // A bit that a one clears keeps its value if zero is written.
            let keep = self.config.read_dword(offset) & !self.config.write_one_to_clear(offset);
            let value = (write.value() & !mask) | (keep & mask);
            write = DwordWrite::new(value, write.lanes());
        }
        self.meet_power_state(offset, write)
    }

    fn meet_power_state(&mut self, offset: u64, write: DwordWrite) -> DwordWrite {
        let Some((at, pmc)) = self.config.pm_place() else {
            return write;
        };
        let faults = self.faults.as_ref();
        let keeps = faults.is_some_and(|faults| faults.conditions.keep_pme_status(faults.now));
        let write = if keeps && offset == at {
            DwordWrite::new(write.value() & !PME_STATUS, write.lanes())
        } else {
            write
        };
        if offset != at || !write.lanes().covers(0) {
            return write;
        }
        let (from, to) = (self.state, PowerState::from_bits(write.value() as u8));
        let exists = match to {
            PowerState::D1 => pmc.d1_support(),
            PowerState::D2 => pmc.d2_support(),
            _ => true,
        };
        if from == to || !exists || !from.software_transition(to).happens() {
            return write;
        }
        let verdict = self.meet(&Occurrence::DState { from, to });
        if let Some(faults) = &mut self.faults {
            faults.lose_state = verdict.lose_state && !verdict.prevented;
            faults.lose_table = verdict.lose_table && !verdict.prevented;
        }
        if verdict.prevented {
            let value = (write.value() & !3) | u32::from(from.bits());
            return DwordWrite::new(value, write.lanes());
        }
        write
    }

    /// Returns whether the change of power state in progress loses state, and forgets it.
    pub(super) fn take_lost_state(&mut self) -> bool {
        let faults = self.faults.as_mut();
        faults.is_some_and(|faults| std::mem::take(&mut faults.lose_state))
    }

    /// Returns whether the change of power state in progress loses the MSI-X table, and forgets it.
    pub(super) fn take_lost_table(&mut self) -> bool {
        let faults = self.faults.as_mut();
        faults.is_some_and(|faults| std::mem::take(&mut faults.lose_table))
    }
}
