//! Notices of the driver to the clients of its device: requests for the device
//! (`vfio_pci_core_request`), and uncorrectable errors (`vfio_pci_core_aer_err_detected`).
//!
//! A notice is the signal of an eventfd. It neither wakes the device nor ends low power.

use vfio_user_protocol::vfio::IrqIndex;

use super::event::{Event, HostEvent};
use super::{DeviceMut, Output};
use crate::effect::Notice;

impl DeviceMut<'_> {
    /// Asks the clients for the device, by the irq index REQ. Returns whether a trigger is bound.
    pub fn request(&mut self) -> bool {
        self.request_again(0)
    }

    /// Reports an uncorrectable error to the clients, by the irq index ERR. Returns whether a trigger is
    /// bound.
    pub fn report_error(&mut self) -> bool {
        let signalled = self.signal(IrqIndex::Err);
        self.note(HostEvent::Error { signalled });
        signalled
    }

    /// Gives a notice to the clients. Returns whether a trigger is bound.
    pub(super) fn notify(&mut self, notice: Notice) -> bool {
        match notice {
            Notice::Request => self.request(),
            Notice::Error => self.report_error(),
        }
    }

    /// Asks the clients for the device after `count` requests of the same removal.
    pub(super) fn request_again(&mut self, count: u32) -> bool {
        let signalled = self.signal(IrqIndex::Req);
        self.note(HostEvent::Request { count, signalled });
        signalled
    }

    fn signal(&mut self, index: IrqIndex) -> bool {
        let bound = self.state.irqs.is_bound(index);
        if bound {
            let vector = 0;
            let trigger = Output::Trigger { index, vector };
            self.state.outputs.push_back(trigger);
        }
        bound
    }

    fn note(&mut self, event: HostEvent) {
        let event = Output::Event(Event::Host(event));
        self.state.outputs.push_back(event);
    }
}
