//! Device links (`drivers/base/power/runtime.c`, `rpm_get_suppliers` and its neighbours).
//!
//! A consumer holds a reference of each of its suppliers from the begin of its resume to the end of
//! its suspend.

use super::error::HostError;
use super::runtime_pm::Usage;
use super::set_options::DeviceLink;
use super::{DeviceMut, SetState};
use crate::slot::FunctionNumber;
use crate::time::Time;

/// A reference that a consumer holds.
#[derive(Debug)]
pub(super) struct Supply {
    supplier: FunctionNumber,
    /// It is held as long as this exists.
    usage: Usage,
}

impl SetState {
    /// Returns the supplier of link `index`, if the link is one of `consumer`.
    fn supplier(&self, index: usize, consumer: FunctionNumber) -> Option<FunctionNumber> {
        let link: &DeviceLink = self.links.get(index)?;
        (link.consumer == consumer).then_some(link.supplier)
    }
}

impl DeviceMut<'_> {
    /// Wakes the suppliers and takes a reference of each (`rpm_get_suppliers`).
    ///
    /// # Errors
    /// That of the first supplier that does not wake. No reference is taken then.
    pub(super) fn get_suppliers(&mut self, now: Time) -> Result<(), HostError> {
        for index in 0..self.set.links.len() {
            let Some(supplier) = self.set.supplier(index, self.slot.number()) else {
                continue;
            };
            let got = self.with_peer(supplier, |mut peer| {
                let got = peer.resume_and_get(now);
                // The consumer's request waits for both.
                (got, peer.state.core.take_waited())
            });
            let Some((got, waited)) = got else { continue };
            self.state.core.note_wait(waited);
            match got {
                Ok(usage) => self.state.suppliers.push(Supply { supplier, usage }),
                Err(error) => {
                    self.put_suppliers(now);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes a reference of each supplier without waking it, as a device does that is awake when its
    /// links are made or restored. Returns a supplier that sleeps, if there is one.
    pub(super) fn hold_suppliers(&mut self) -> Option<FunctionNumber> {
        self.state.suppliers.clear();
        let mut asleep = None;
        for index in 0..self.set.links.len() {
            let supplier = self.set.supplier(index, self.slot.number());
            let Some(supplier) = supplier.filter(|_| !self.state.rpm.is_suspended()) else {
                continue;
            };
            let got = self.with_peer(supplier, |peer| {
                (peer.state.rpm.get(), peer.state.rpm.is_suspended())
            });
            if let Some((usage, suspended)) = got {
                self.state.suppliers.push(Supply { supplier, usage });
                asleep = asleep.or(suspended.then_some(supplier));
            }
        }
        asleep
    }

    /// Releases the references, after which suppliers may go to sleep
    /// (`__rpm_put_suppliers`, `rpm_suspend_suppliers`).
    pub(super) fn put_suppliers(&mut self, now: Time) {
        for Supply { supplier, usage } in std::mem::take(&mut self.state.suppliers) {
            drop(usage);
            self.with_peer(supplier, |mut peer| peer.idle(now));
        }
    }
}

#[cfg(test)]
mod tests;
