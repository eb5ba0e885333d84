//! VFIO interrupts: triggers, and the INTx masking that vfio-pci does on top of the wire.
//!
//! INTx is automasked (`vfio_pci_intrs.c`, `vfio_intx_handler`): when the wire rises while unmasked,
//! it is masked and its trigger signalled once. Unmasking, by request or by the resample
//! eventfd, starts over: if the wire is still high, INTx is masked and signalled again. In the vfio-pci
//! view the driver masks at the function, by `Interrupt Disable`, so the wire is low while it is masked.
//!
//! On a bus INTx is a level. In the hardware view, when the wire falls, a signal that the client
//! has not noticed is taken back. A client that notices it later would look for a cause that is
//! gone, and QEMU would keep its guest's INTx asserted until the guest accesses a BAR.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use vfio_user_protocol::messages::irq_info;
use vfio_user_protocol::messages::set_irqs::{Action, Data, Request};
use vfio_user_protocol::vfio::{IrqIndex, IrqInfoFlags};

use super::Output;
use super::error::HostError;
use super::status::IrqStatus;
use crate::effect::MessageKind;
use crate::function::Function;

/// The indexes that exclude each other: a vfio-pci device uses one of them at a time.
const KINDS: [IrqIndex; 3] = [IrqIndex::Intx, IrqIndex::Msi, IrqIndex::Msix];

impl From<MessageKind> for IrqIndex {
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Msi => Self::Msi,
            MessageKind::Msix => Self::Msix,
        }
    }
}

/// The vectors of an index that have a trigger.
#[derive(Debug)]
struct Triggers {
    count: u32,
    bound: Vec<bool>,
}

impl Triggers {
    fn new(count: u32) -> Self {
        Self {
            count,
            bound: Vec::new(),
        }
    }

    fn bind(&mut self, vector: u32, bound: bool) {
        let vector = vector as usize;
        if bound && self.bound.len() <= vector {
            self.bound.resize(vector + 1, false);
        }
        if let Some(slot) = self.bound.get_mut(vector) {
            *slot = bound;
        }
    }

    fn is_bound(&self, vector: u32) -> bool {
        self.bound.get(vector as usize).copied().unwrap_or(false)
    }

    fn vectors(&self) -> impl Iterator<Item = u32> {
        (0..)
            .zip(&self.bound)
            .filter(|(_, bound)| **bound)
            .map(|(vector, _)| vector)
    }
}

/// The interrupts of a device as its client set them up.
#[derive(Debug)]
pub(super) struct Irqs {
    triggers: [Triggers; IrqIndex::ALL.len()],
    rules: Rules,
    /// The index that the client has set up: INTx, MSI or MSI-X (`irq_type`). It stays in use when
    /// its triggers are unbound and ends when the index is disabled.
    kind: Option<IrqIndex>,
    /// Level of the INTx wire.
    level: bool,
    /// INTx is masked: by the client, by power management, or because it fired.
    masked: bool,
    /// INTx is masked by its own signal only, and the signal may be taken back.
    fired: bool,
    /// The client set `Interrupt Disable` in its own view of Command (`virq_disabled`).
    disabled: bool,
    /// The resample eventfd fired while the device slept.
    resample_latched: bool,
    /// The driver sets `Interrupt Disable` of the function (`pci_intx`), which only the vfio-pci view
    /// does: while INTx is masked, and while messages are in use.
    intx_off: bool,
    /// INTx was masked until now, so it may be pending (`pci_check_and_unmask_intx`).
    may_be_pending: bool,
}

/// The limits of a client's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Irq indexes that exist.
    pub(super) count: u32,
    /// The rules of vfio-pci apply: one kind of interrupt at a time, and no operation on a kind
    /// that is not in use.
    pub(super) strict: bool,
}

/// The saved state of [`Irqs`]: all but the triggers, which belong to their client.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedIrqs {
    kind: Option<IrqIndex>,
    level: bool,
    masked: bool,
    disabled: bool,
    resample_latched: bool,
    #[serde(default)]
    intx_off: bool,
}

impl Irqs {
    pub(super) fn save(&self) -> SavedIrqs {
        let Self {
            triggers: _,
            rules: _,
            kind,
            level,
            masked,
            // What was signalled is with the client.
            fired: _,
            disabled,
            resample_latched,
            intx_off,
            // It is over when the request is.
            may_be_pending: _,
        } = self;
        SavedIrqs {
            kind: *kind,
            level: *level,
            masked: *masked,
            disabled: *disabled,
            resample_latched: *resample_latched,
            intx_off: *intx_off,
        }
    }

    /// Restores the state that [`Self::save`] returned. Triggers stay bound.
    pub(super) fn restore(&mut self, saved: &SavedIrqs) {
        let SavedIrqs {
            kind,
            level,
            masked,
            disabled,
            resample_latched,
            intx_off,
        } = *saved;
        self.kind = kind;
        self.level = level;
        self.masked = masked;
        self.fired = false;
        self.disabled = disabled;
        self.resample_latched = resample_latched;
        self.intx_off = intx_off;
    }

    pub(super) fn new(function: &Function, rules: Rules) -> Self {
        let config = function.config();
        let intx = u32::from(config.header().interrupt_pin() != 0);
        let msi = config.msi().map_or(0, |msi| u32::from(msi.vectors()));
        let msix = config.msix().map_or(0, |msix| u32::from(msix.vectors()));
        Self {
            triggers: [intx, msi, msix, 1, 1, 1].map(Triggers::new),
            rules,
            kind: None,
            level: false,
            masked: false,
            fired: false,
            disabled: false,
            resample_latched: false,
            intx_off: false,
            may_be_pending: false,
        }
    }

    pub(super) const fn indexes(&self) -> u32 {
        self.rules.count
    }

    pub(super) fn info(&self, index: u32) -> Result<irq_info::Reply, HostError> {
        let (kind, triggers) = self.find(index)?;
        let flags = match kind {
            IrqIndex::Intx => {
                IrqInfoFlags::EVENTFD | IrqInfoFlags::MASKABLE | IrqInfoFlags::AUTOMASKED
            }
            // Vectors can be added while it is enabled.
            IrqIndex::Msix => IrqInfoFlags::EVENTFD,
            IrqIndex::Msi | IrqIndex::Err | IrqIndex::Req | IrqIndex::Pme => {
                IrqInfoFlags::EVENTFD | IrqInfoFlags::NORESIZE
            }
        };
        Ok(irq_info::Reply {
            flags,
            index,
            count: triggers.count,
        })
    }

    fn find(&self, index: u32) -> Result<(IrqIndex, &Triggers), HostError> {
        let count = self.rules.count;
        IrqIndex::from_number(index)
            .filter(|_| index < count)
            .and_then(|kind| Some((kind, self.triggers.get(kind as usize)?)))
            .ok_or(HostError::NoSuchIrq { index, count })
    }

    fn triggers(&mut self, index: IrqIndex) -> &mut Triggers {
        &mut self.triggers[index as usize]
    }

    /// Applies a request that came with `eventfds` eventfds.
    pub(super) fn set(
        &mut self,
        request: &Request<'_>,
        eventfds: usize,
        function: &mut Function,
        outputs: &mut VecDeque<Output>,
    ) -> Result<(), HostError> {
        let index = self.check(request)?;
        match (request.action, request.data) {
            _ if request.is_disable() => self.disable(index, function),
            (Action::Trigger, Data::Eventfd) => {
                self.enable(index);
                for vector in request.vectors() {
                    self.bind(index, vector, eventfds > 0, function);
                }
                self.deliver(outputs);
            }
            (Action::Trigger, Data::None | Data::Bool(_)) => {
                let vectors = request.selected();
                outputs.extend(vectors.map(|vector| Output::Trigger { index, vector }));
            }
            (Action::Mask, _) => {
                if request.selected().next().is_some() {
                    self.mask_intx();
                }
            }
            // The resample eventfd is the caller's to keep and to watch.
            (Action::Unmask, Data::Eventfd) => {}
            (Action::Unmask, Data::None | Data::Bool(_)) => {
                if request.selected().next().is_some() {
                    self.unmask_intx(outputs);
                }
            }
        }
        Ok(())
    }

    fn check(&self, request: &Request<'_>) -> Result<IrqIndex, HostError> {
        let (index, triggers) = self.find(request.index)?;
        let form = |what| {
            Err(HostError::IrqForm {
                index: request.index,
                what,
            })
        };
        let disable = request.count == 0 && request.start == 0;
        let end = request.start.checked_add(request.count);
        if !disable && end.is_none_or(|end| end > triggers.count || request.count == 0) {
            return Err(HostError::IrqRange {
                index: request.index,
                start: request.start,
                count: request.count,
                available: triggers.count,
            });
        }
        let not_supported = |what| {
            Err(if self.rules.strict {
                HostError::IrqUnsupported {
                    index: request.index,
                    what,
                }
            } else {
                HostError::IrqForm {
                    index: request.index,
                    what,
                }
            })
        };
        match (request.action, request.data) {
            (Action::Trigger, Data::None) => {}
            _ if disable => {
                return form("a count of 0 disables the index: action TRIGGER, no data");
            }
            (Action::Trigger, _) => {}
            _ if index != IrqIndex::Intx => {
                return not_supported("only INTx can be masked and unmasked");
            }
            (Action::Mask, Data::Eventfd) => {
                return not_supported(
                    "masking by eventfd does not exist; UNMASK takes the resample eventfd",
                );
            }
            _ => {}
        }
        if self.rules.strict {
            self.check_strictly(request, index)?;
        }
        Ok(index)
    }

    /// Checks the rules of vfio-pci about kinds of interrupt (`vfio_pci_set_irqs_ioctl` and below).
    fn check_strictly(&self, request: &Request<'_>, index: IrqIndex) -> Result<(), HostError> {
        let is_kind = KINDS.contains(&index);
        let in_use = if is_kind {
            self.kind == Some(index)
        } else {
            self.is_bound(index)
        };
        let refuse = |what| {
            Err(HostError::IrqForm {
                index: request.index,
                what,
            })
        };
        let unused = "this kind of interrupt is not in use; bind a trigger first";
        match (request.action, request.data) {
            (Action::Trigger, Data::Eventfd) => {
                if is_kind && self.kind.is_some_and(|kind| kind != index) {
                    return refuse("another kind of interrupt is in use; disable it first");
                }
                Ok(())
            }
            // ERR, REQ and PME take a loop-back test by flags without a word.
            (Action::Trigger, Data::Bool(_)) if index > IrqIndex::Msix => Ok(()),
            (Action::Trigger, Data::None | Data::Bool(_)) if !in_use => refuse(unused),
            (Action::Mask | Action::Unmask, _) if !in_use => refuse(unused),
            _ => Ok(()),
        }
    }

    fn bind(&mut self, index: IrqIndex, vector: u32, bound: bool, function: &mut Function) {
        self.triggers(index).bind(vector, bound);
        if index == IrqIndex::Msix
            && let Ok(vector) = u16::try_from(vector)
        {
            // Binding a trigger is how a client of vfio-pci enables a vector; the driver then
            // programs the table, which the client does not see. In the hardware view the table is
            // the client's. One that never writes it has a table of its own.
            if self.rules.strict {
                function.set_msix_masked(vector, !bound);
            } else {
                function.set_msix_open(vector, bound);
            }
        }
    }

    /// Sets up this kind of interrupt for the client, even if it has no trigger yet. INTx starts
    /// unmasked. Another trigger for it changes nothing else.
    fn enable(&mut self, index: IrqIndex) {
        if !KINDS.contains(&index) || self.kind == Some(index) {
            return;
        }
        self.kind = Some(index);
        self.intx_off = true;
        if index == IrqIndex::Intx {
            self.masked = self.disabled;
            self.fired = false;
            self.intx_off = self.disabled;
        }
    }

    fn disable(&mut self, index: IrqIndex, function: &mut Function) {
        if self.kind.take_if(|kind| *kind == index).is_some() && index != IrqIndex::Intx {
            self.intx_off = false;
        }
        self.fired &= index != IrqIndex::Intx;
        let count = self.triggers(index).bound.len();
        for vector in (0..).take(count) {
            if self.triggers(index).is_bound(vector) {
                self.bind(index, vector, false, function);
            }
        }
    }

    pub(super) fn drop_all(&mut self, function: &mut Function) {
        for index in IrqIndex::ALL {
            self.disable(index, function);
        }
        self.disabled = false;
        self.resample_latched = false;
        self.intx_off = false;
        function.release_msix();
    }

    /// Unmasks the MSI-X vectors that have a trigger after a reset, as the driver of the vfio-pci view
    /// restores the table.
    pub(super) fn reprogram(&self, function: &mut Function) {
        if !self.rules.strict {
            return;
        }
        for vector in self.triggers[IrqIndex::Msix as usize].vectors() {
            if let Ok(vector) = u16::try_from(vector) {
                function.set_msix_masked(vector, false);
            }
        }
    }

    pub(super) fn set_level(&mut self, level: bool, outputs: &mut VecDeque<Output>) {
        self.level = level;
        if !level && self.fired && !self.rules.strict {
            outputs.push_back(Output::Withdraw {
                index: IrqIndex::Intx,
                vector: 0,
            });
        }
        self.deliver(outputs);
    }

    /// Forgets a signal for INTx that was taken back before the client noticed it.
    pub(super) fn intx_withdrawn(&mut self, outputs: &mut VecDeque<Output>) {
        if std::mem::take(&mut self.fired) {
            self.masked = false;
            self.deliver(outputs);
        }
    }

    /// Masks INTx and returns whether that changed anything (`vfio_pci_intx_mask`).
    pub(super) fn mask_intx(&mut self) -> bool {
        self.fired = false;
        self.intx_off = true;
        !std::mem::replace(&mut self.masked, true)
    }

    /// Unmasks INTx. If the wire is still high, INTx is masked and signalled again. `Interrupt
    /// Disable` of the client keeps it masked (`vfio_pci_intx_unmask_handler`).
    pub(super) fn unmask_intx(&mut self, outputs: &mut VecDeque<Output>) {
        if !self.disabled {
            self.may_be_pending = self.masked && self.uses_intx();
            (self.masked, self.fired) = (false, false);
            self.intx_off = !self.uses_intx() && self.kind.is_some();
            self.deliver(outputs);
        }
    }

    /// Returns whether INTx was unmasked and may be pending since, and clears the record.
    pub(super) fn take_may_be_pending(&mut self) -> bool {
        std::mem::take(&mut self.may_be_pending)
    }

    /// Sets the client's `Interrupt Disable`, where that differs from the function's own.
    pub(super) fn set_disabled(&mut self, disabled: bool, outputs: &mut VecDeque<Output>) {
        if disabled == self.disabled {
            return;
        }
        self.disabled = disabled;
        if disabled {
            self.mask_intx();
        } else {
            self.unmask_intx(outputs);
        }
    }

    /// Returns whether the client uses INTx.
    pub(super) fn uses_intx(&self) -> bool {
        self.kind == Some(IrqIndex::Intx)
    }

    /// Returns the last vector of `index` that has a trigger, plus one.
    pub(super) fn vectors_in_use(&self, index: IrqIndex) -> u32 {
        let vectors = self.triggers[index as usize].vectors();
        vectors.last().map_or(0, |last| last + 1)
    }

    /// Returns whether a trigger is bound to the only vector of `index`.
    pub(super) fn is_bound(&self, index: IrqIndex) -> bool {
        self.triggers[index as usize].is_bound(0)
    }

    /// Records that the resample eventfd fired while the device slept.
    pub(super) fn latch_resample(&mut self) {
        self.resample_latched = true;
    }

    /// Returns whether the resample eventfd fired while the device slept, and clears the record.
    pub(super) fn take_latched_resample(&mut self) -> bool {
        std::mem::take(&mut self.resample_latched)
    }

    /// Signals INTx if it is due, and masks it.
    ///
    /// Under the rules of vfio-pci the handler exists as long as INTx is in use, so it masks even if
    /// nobody has bound a trigger.
    pub(super) fn deliver(&mut self, outputs: &mut VecDeque<Output>) {
        let handled = self.is_bound(IrqIndex::Intx) || self.rules.strict && self.uses_intx();
        if self.level && !self.masked && handled {
            self.fire(outputs);
        }
    }

    /// Masks INTx, and signals its trigger if one is bound (`vfio_intx_handler`).
    pub(super) fn fire(&mut self, outputs: &mut VecDeque<Output>) {
        self.masked = true;
        self.intx_off = true;
        if self.is_bound(IrqIndex::Intx) {
            self.fired = true;
            outputs.push_back(Output::Trigger {
                index: IrqIndex::Intx,
                vector: 0,
            });
        }
    }

    /// Returns whether the driver sets `Interrupt Disable` of the function.
    pub(super) const fn intx_disabled(&self) -> bool {
        self.intx_off
    }

    pub(super) fn status(&self) -> IrqStatus {
        let bound = ["intx", "msi", "msix", "err", "req", "pme"]
            .into_iter()
            .zip(&self.triggers)
            .take(self.rules.count as usize)
            .map(|(name, triggers)| (name.to_owned(), triggers.vectors().count()))
            .collect();
        IrqStatus {
            bound,
            intx_level: self.level,
            intx_masked: self.masked,
            intx_disabled: self.disabled,
        }
    }
}
