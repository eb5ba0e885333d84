//! The virtual PME of the v4 dialect in the client's config space.
//!
//! It supports PME from every state, and the host layer sets its `PME_Status` at a wake.
//!
//! | | vfio-pci view | hardware view |
//! |---|---|---|
//! | `PME_En` | virtual | virtual; a write reaches the function as well |
//! | `PME_Status` | virtual | the virtual one or the function's own; a write clears both |
//! | a function that does not answer | the bits are there | all ones; writes are lost |
//!
//! In the hardware view the client's own driver handles the PME of a function that it put to sleep
//! through PMCSR. Hiding the function's own bits would lose that event.

use crate::capability::{Pmc, Pmcsr};
use crate::host::DeviceMut;
use crate::host::dialect::PmDialect;
use crate::pci::ConventionalId;
use crate::pci::power_management::{PMC, PMCSR};
use crate::register::RegisterBits;
use crate::time::Time;

/// `PME_Support` of the virtual PME: every state.
pub(super) const PME_SUPPORT: u8 = 0x1f;

/// Returns the index in an access of the high byte of a 16-bit register, if the access covers it.
/// The access has `len` bytes from `offset`.
pub(super) fn high_byte(register: u64, offset: u64, len: usize) -> Option<usize> {
    let at = usize::try_from((register + 1).checked_sub(offset)?).ok()?;
    (at < len).then_some(at)
}

/// Changes the high byte of a 16-bit register, if the access covers it.
fn change_high<T: RegisterBits>(
    register: u64,
    offset: u64,
    data: &mut [u8],
    change: impl FnOnce(T) -> T,
) {
    let at = high_byte(register, offset, data.len());
    if let Some(byte) = at.and_then(|at| data.get_mut(at)) {
        let word = change(T::of_bits(u64::from(*byte) << 8));
        *byte = (word.to_bits() >> 8) as u8;
    }
}

impl DeviceMut<'_> {
    /// Overlays the bits of the virtual PME in PMCSR on a read of config space. `pm` is the offset
    /// of the PM capability.
    pub(super) fn overlay_v4_pme(&mut self, pm: u16, offset: u64, data: &mut [u8]) {
        let Some(v4) = self.v4() else { return };
        let (enabled, status) = v4.pme();
        let pmcsr = u64::from(pm) + PMCSR as u64;
        change_high(pmcsr, offset, data, |pmcsr: Pmcsr| {
            pmcsr.with_pme_en(enabled).with_pme_status(status)
        });
    }

    /// Writes the bits of the virtual PME, if a write of config space covers them.
    pub(super) fn write_v4_pme(&mut self, pm: u16, offset: u64, data: &[u8]) {
        let pmcsr = u64::from(pm) + PMCSR as u64;
        if let Some(byte) = high_byte(pmcsr, offset, data.len()).and_then(|at| data.get(at))
            && let Some(v4) = self.v4()
        {
            let word = Pmcsr::from(u16::from(*byte) << 8);
            v4.write_pme(word.pme_en(), word.pme_status());
        }
    }

    /// Adds the virtual PME to what the function returned for a read of config space.
    pub(super) fn show_v4_pme(&mut self, now: Time, offset: u64, data: &mut [u8]) {
        let Some(pm) = self.pm_with_v4_pme(now) else {
            return;
        };
        change_high(u64::from(pm) + PMC as u64, offset, data, |pmc: Pmc| {
            pmc.with_pme_support(PME_SUPPORT)
        });
        let Some(v4) = self.v4() else { return };
        let (enabled, status) = v4.pme();
        let pmcsr = u64::from(pm) + PMCSR as u64;
        change_high(pmcsr, offset, data, |pmcsr: Pmcsr| {
            let own = pmcsr.pme_status();
            pmcsr.with_pme_en(enabled).with_pme_status(status || own)
        });
    }

    /// Returns the offset of a PM capability with the virtual PME, if the function answers.
    pub(super) fn pm_with_v4_pme(&self, now: Time) -> Option<u16> {
        let function = self.slot.function();
        if self.state.dialect.kind() != PmDialect::V4 || !function.will_answer(now) {
            return None;
        }
        super::vfio_pci::find(function, ConventionalId::PowerManagement)
    }
}
