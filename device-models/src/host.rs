//! The host layer between a client and the function, modelled on Linux vfio-pci, the PCI core and
//! the runtime power management core.
//!
//! A [`DeviceSet`] is a slot with a host driver on each of its functions. It gives a [`DeviceMut`]
//! for one function: regions, interrupts, reset and device features in VFIO's terms. Every request
//! that reaches the device holds a reference while it is served and wakes a sleeping device. The
//! device sleeps when its usage count is zero.
//!
//! | module | stands for |
//! |---|---|
//! | `view` | `vfio_pci_config.c`, `vfio_pci_rdwr.c`: the client's view of the function |
//! | `dialect` | the device features for low power, in their two forms |
//! | `dev_set` | resets of all functions of a slot together |
//! | `set_options`, `links` | device links between the functions of a slot |
//! | `power_resource`, `port` | `drivers/acpi/power.c`, and the bridge above: the power that functions share |
//! | `power`, `runtime_pm` | `vfio_pci_core.c` on top of `drivers/base/power/runtime.c` |
//! | `pci_core`, `config_image`, `readiness` | `drivers/pci/pci.c`: power states, saving and restoring, waiting |
//! | `irqs` | `vfio_pci_intrs.c`: triggers and INTx masking |
//! | `notices` | `vfio_pci_core_request`, `vfio_pci_core_aer_err_detected` |
//! | `bus_master` | the BUS_MASTER feature of `vfio-cdx` |
//! | `hotplug` | `pciehp_pci.c`, `vfio_unregister_group_dev`: removal and insertion of the card |
//! | `frozen` | the driver's side of stopping a device for migration |
//! | `sriov` | `drivers/pci/iov.c` and `vfio_pci_core_sriov_configure` |
//! | `reset` | `VFIO_DEVICE_RESET`, FLR, open and close |
//!
//! ```
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//! use pci_device_models::time::Time;
//!
//! let text = Profile::builtin("testdev").expect("it is built in");
//! let mut devices = Profile::parse("testdev", text, &[])?.device_set(&Registry::builtin())?;
//! let mut device = devices.first_mut();
//! device.client_came(Time::ZERO)?;
//! assert_eq!(device.status(Time::ZERO).opens, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod bus_master;
mod config_image;
mod dev_set;
mod device_ref;
mod device_set;
mod dialect;
mod error;
mod errors;
mod event;
mod faults;
mod feature;
mod firmware;
mod frozen;
mod hotplug;
mod irqs;
mod links;
mod needs_driver;
mod notices;
mod options;
mod pci_core;
mod peers;
mod platform;
mod port;
mod power;
mod power_resource;
mod readiness;
mod region;
mod reset;
mod runtime_pm;
mod set_options;
mod settle;
mod short_forms;
mod snapshot;
mod sriov;
mod status;
mod view;

use std::collections::VecDeque;
use std::sync::Weak;

pub use device_set::DeviceSet;
pub use dialect::PmDialect;
pub use error::HostError;
pub use event::{Event, HostEvent};
pub use feature::{AttachedFd, FeatureReply};
pub use firmware::RailAs;
pub use frozen::Hold;
pub use hotplug::{CardState, CardStatus};
pub use needs_driver::NeedsDriver;
pub use options::{HostOptions, OnDisconnect};
pub use pci_core::{ColdVia, Platform};
pub use port::{LinkSpeed, PortOptions, PortPme, PortStatus};
pub use power::Wait;
pub use runtime_pm::{PowerControl, RuntimePmStatus, RuntimeStatus, SuspendDelay, Usage};
pub use set_options::{DeviceLink, SetOptions, SetOptionsError, SlotPower};
pub use short_forms::{FaultSpan, ResumeFault};
pub use snapshot::FunctionState;
pub use sriov::SriovStatus;
pub use status::{DialectStatus, IrqStatus, Residency, Status};
pub use view::View;

use vfio_user_protocol::messages::device_feature;
use vfio_user_protocol::messages::device_info::{self, DeviceFlags};
use vfio_user_protocol::messages::irq_info;
use vfio_user_protocol::messages::region_info::RegionInfo;
use vfio_user_protocol::messages::set_irqs;
use vfio_user_protocol::vfio::{IrqIndex, RegionIndex};

use crate::capability::ErrorMessages;
use crate::dma::{DmaId, DmaOutcome, DmaRequest};
use crate::fault::list::FaultList;
use crate::function::{BarMemory, Function, MemoryFill, Release};
use crate::slot::{FunctionNumber, FunctionSlot, Power};
use crate::time::Time;
use config_image::ConfigImage;
use dialect::Dialect;
use hotplug::{Card, Leaving};
use irqs::{Irqs, Rules};
use links::Supply;
use pci_core::PciCore;
use peers::Peers;
use port::Port;
use power::LowPower;
use power_resource::PowerResource;
use runtime_pm::RuntimePm;
use sriov::Sriov;
use view::VirtualConfig;

/// An action that a device asks its caller to perform, for its client or for observers. Outputs
/// come in order.
#[derive(Debug)]
pub enum Output {
    /// Signal the trigger bound to a vector, if one is bound.
    Trigger {
        /// VFIO irq index.
        index: IrqIndex,
        /// Vector.
        vector: u32,
    },
    /// Take back the signal to the trigger of a vector if the client has not noticed it, and report
    /// success with [`DeviceMut::intx_withdrawn`]. The vector is INTx.
    Withdraw {
        /// VFIO irq index.
        index: IrqIndex,
        /// Vector.
        vector: u32,
    },
    /// Low power ended for the client's wake-up eventfd: drop it, after signalling it if `signal`
    /// is set.
    Wakeup {
        /// The device really slept and woke.
        signal: bool,
    },
    /// Perform a DMA transfer and pass the outcome to [`DeviceMut::dma_done`].
    Dma(DmaRequest),
    /// Report an event to observers.
    Event(Event),
}

/// The host layer's state of one function: the knowledge of the driver and of the PCI core.
///
/// It reaches its function, and the slot that the function shares with others, through a
/// [`DeviceMut`].
#[derive(Debug)]
struct Device {
    options: HostOptions,
    irqs: Irqs,
    core: PciCore,
    rpm: RuntimePm,
    dialect: Dialect,
    low_power: LowPower,
    /// References of the suppliers, while the device is awake.
    suppliers: Vec<Supply>,
    /// The client's config space, in the vfio-pci view.
    vconfig: Option<VirtualConfig>,
    /// Config space as it was when the device was opened.
    open_state: Option<ConfigImage>,
    /// Config space as it was when the client put a function into D3hot that loses its config space
    /// there.
    user_state: Option<ConfigImage>,
    /// `No_Soft_Reset` was clear when the driver was bound.
    needs_pm_restore: bool,
    /// The device was closed without a reset (`needs_reset`).
    needs_reset: bool,
    /// The function could be reset when its user opened it (`reset_works`).
    reset_works: bool,
    /// The removal of the device by the host, if it is under way or done.
    leaving: Leaving,
    /// Messages about errors of the function that the host has not handled yet.
    errors: ErrorMessages,
    /// The port has contained an error of the function, and the host has not handled that yet.
    contained: bool,
    /// The faults of the host's operations, if there are any.
    faults: Option<Box<FaultList>>,
    /// Clients that have shared BARs mapped can touch them.
    bars_visible: u8,
    /// The virtual functions of the device.
    sriov: Sriov,
    /// The function is a virtual one of this one.
    physical: Option<FunctionNumber>,
    /// It is a virtual one that does not exist.
    absent: bool,
    /// The device is stopped for migration.
    frozen: bool,
    /// The device is held as long as there is a [`Hold`].
    held: Weak<()>,
    /// Restored memory that is still to be copied.
    fill: Option<MemoryFill>,
    /// Name of the profile, and the fingerprint of its config space.
    profile: String,
    shape: String,
    outputs: VecDeque<Output>,
}

/// Exclusive access to a function of a slot behind its host driver. A [`DeviceSet`] gives it.
#[derive(Debug)]
pub struct DeviceMut<'a> {
    slot: FunctionSlot<'a>,
    state: &'a mut Device,
    peers: Peers<'a>,
    set: &'a mut SetState,
}

/// The host's state of a slot, which its devices share.
#[derive(Debug, Default)]
struct SetState {
    /// Device links, in the order in which they were made.
    links: Vec<DeviceLink>,
    /// The power resource of the functions.
    resource: PowerResource,
    /// The resource resumes all functions when it is switched on.
    resume_dependents: bool,
    port: Port,
    card: Card,
}

/// Read-only access to a device; see [`DeviceMut`].
#[derive(Clone, Copy, Debug)]
pub struct DeviceRef<'a> {
    number: FunctionNumber,
    power: &'a Power,
    function: &'a Function,
    state: &'a Device,
    set: &'a SetState,
}

impl Device {
    /// Binds the host driver to the function that `slot` selects.
    fn new(slot: &FunctionSlot<'_>, options: HostOptions, profile: &str) -> Self {
        let function = slot.function();
        let header = function.config().header();
        let rules = Rules {
            count: match options.pm_dialect {
                PmDialect::Mainline => IrqIndex::COUNT,
                PmDialect::V4 => IrqIndex::V4_COUNT,
            },
            strict: options.view == View::VfioPci,
        };
        let pm = function.config().pm();
        Self {
            irqs: Irqs::new(function, rules),
            core: PciCore::new(slot, options.platform),
            rpm: RuntimePm::new(options.suspend_delay),
            dialect: Dialect::new(options.pm_dialect, header.is_nvidia_display()),
            low_power: LowPower::default(),
            suppliers: Vec::new(),
            vconfig: None,
            open_state: None,
            user_state: None,
            needs_pm_restore: pm.is_some_and(|pm| !pm.pmcsr().no_soft_reset()),
            needs_reset: false,
            reset_works: false,
            leaving: Leaving::No,
            errors: ErrorMessages::default(),
            contained: false,
            faults: None,
            bars_visible: 0,
            sriov: Sriov::default(),
            physical: slot.physical_function(),
            absent: !function.exists(),
            frozen: false,
            held: Weak::new(),
            fill: None,
            profile: profile.to_owned(),
            shape: function.config().shape().text(),
            outputs: VecDeque::new(),
            options,
        }
    }
}

impl DeviceMut<'_> {
    /// Reborrows the device for a shorter time.
    pub fn reborrow(&mut self) -> DeviceMut<'_> {
        DeviceMut {
            slot: self.slot.reborrow(),
            state: self.state,
            peers: self.peers.reborrow(),
            set: self.set,
        }
    }

    /// Returns the slot with the function.
    #[must_use]
    pub const fn slot(&self) -> &FunctionSlot<'_> {
        &self.slot
    }

    /// Returns the options of the driver.
    #[must_use]
    pub const fn options(&self) -> &HostOptions {
        &self.state.options
    }

    /// Returns whether [`Self::next_output`] has an output.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.state.outputs.is_empty()
    }

    /// Removes and returns the oldest output.
    pub fn next_output(&mut self) -> Option<Output> {
        self.state.outputs.pop_front()
    }

    /// Returns the time at which [`Self::advance`] has work to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.as_ref().next_deadline()
    }

    /// Performs all work that is due by `now`.
    pub fn advance(&mut self, now: Time) {
        if self.state.is_frozen() {
            return;
        }
        self.slot.advance_faults(now);
        self.slot.function_mut().advance(now);
        self.settle(now);
        self.handle_errors(now);
        self.advance_power(now);
        self.advance_removal(now);
        self.idle(now);
        self.advance_port(now);
    }

    /// Returns size and access rights of a region ([`RegionIndex`]), without the areas that a
    /// client may map.
    ///
    /// # Errors
    /// [`HostError::NoSuchRegion`], [`HostError::NotAwake`].
    pub fn region_info(&mut self, now: Time, index: u32) -> Result<RegionInfo, HostError> {
        self.guarded(now, |device| {
            let region = region::find(index)?;
            // vfio-pci knows of legacy ranges only where the function has them.
            if device.state.options.view == View::VfioPci && region == RegionIndex::Vga {
                return Err(HostError::EmptyRegion { index });
            }
            Ok(region::info(device.slot.function(), region))
        })
    }

    /// Returns the kind of the device and its numbers of regions and interrupt types.
    ///
    /// # Errors
    /// [`HostError::NotAwake`].
    pub fn info(&mut self, now: Time) -> Result<device_info::Reply, HostError> {
        self.guarded(now, |device| {
            let mut flags = DeviceFlags::PCI;
            flags.set(DeviceFlags::RESET, device.reset_is_offered());
            Ok(device_info::Reply {
                flags,
                num_regions: RegionIndex::COUNT,
                num_irqs: device.state.irqs.indexes(),
            })
        })
    }

    /// Reads up to `data.len()` bytes of a region and returns the number of bytes read. A short
    /// count occurs only in the vfio-pci view, at the end of a region.
    ///
    /// # Errors
    /// The errors of the view, and [`HostError::NotAwake`].
    pub fn region_read(
        &mut self,
        now: Time,
        index: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<usize, HostError> {
        if data.is_empty() {
            return Ok(0);
        }
        let region = region::find(index)?;
        if self.state.is_frozen() {
            return self.frozen_read(region, offset, data);
        }
        self.guarded(now, |device| match device.state.options.view {
            View::Hardware => device.hardware_read(now, region, offset, data),
            View::VfioPci => device.vfio_pci_read(now, region, offset, data),
        })
    }

    /// Writes bytes to a region and returns their number. Read-only bits keep their value, without
    /// an error.
    ///
    /// # Errors
    /// Those of [`Self::region_read`].
    pub fn region_write(
        &mut self,
        now: Time,
        index: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<usize, HostError> {
        if data.is_empty() {
            return Ok(0);
        }
        let region = region::find(index)?;
        if self.state.is_frozen() {
            return self.frozen_write(region, offset, data);
        }
        self.guarded(now, |device| {
            device.write_in_view(now, region, offset, data)
        })
    }

    fn write_in_view(
        &mut self,
        now: Time,
        region: RegionIndex,
        offset: u64,
        data: &[u8],
    ) -> Result<usize, HostError> {
        if region != RegionIndex::Config {
            self.note_attended();
        }
        match self.state.options.view {
            View::Hardware => self.hardware_write(now, region, offset, data),
            View::VfioPci => self.vfio_pci_write(now, region, offset, data),
        }
    }

    /// Writes bytes to a BAR after a client has rung a doorbell (`vfio_pci_ioeventfd_do_write`).
    /// The client does not wait for it, so a refused write is lost. A write to a sleeping device is
    /// lost as well and does not wake it. A device that is still awake takes the write even if low
    /// power is engaged.
    pub fn doorbell(&mut self, now: Time, bar: u8, offset: u64, data: &[u8]) {
        if !self.state.rpm.is_suspended()
            && let Ok(region) = region::find(bar.into())
        {
            self.write_in_view(now, region, offset, data).ok();
            self.settle(now);
        }
    }

    /// Returns the properties of an irq index.
    ///
    /// # Errors
    /// [`HostError::NoSuchIrq`], [`HostError::NotAwake`].
    pub fn irq_info(&mut self, now: Time, index: u32) -> Result<irq_info::Reply, HostError> {
        self.guarded(now, |device| device.state.irqs.info(index))
    }

    /// Binds, unbinds, masks, unmasks or fires interrupts. The eventfds that came with the request
    /// stay with the caller, which stores them after success. An eventfd request without any
    /// unbinds.
    ///
    /// # Errors
    /// [`HostError::NoSuchIrq`], [`HostError::IrqRange`], [`HostError::IrqForm`],
    /// [`HostError::IrqUnsupported`], [`HostError::NotAwake`].
    pub fn set_irqs(
        &mut self,
        now: Time,
        request: &set_irqs::Request<'_>,
        eventfds: usize,
    ) -> Result<(), HostError> {
        self.guarded(now, |device| {
            device.slot.function_mut().note_time(now);
            let Device { irqs, outputs, .. } = &mut *device.state;
            irqs.set(request, eventfds, device.slot.function_mut(), outputs)?;
            if device.state.options.view == View::VfioPci {
                device.program_messages(now);
            }
            Ok(())
        })
    }

    /// Handles the signal of INTx's resample eventfd: the client has handled the interrupt. The
    /// signal does not wake a sleeping device. The request is kept until the device wakes.
    pub fn intx_resample(&mut self, now: Time) {
        if self.state.rpm.is_suspended() {
            self.state.irqs.latch_resample();
        } else {
            self.state.irqs.unmask_intx(&mut self.state.outputs);
            self.settle(now);
        }
    }

    /// Performs a device feature request. Its form is not checked yet: in mainline a request wakes
    /// the device before the driver checks anything in it.
    ///
    /// # Errors
    /// [`HostError::Message`], [`HostError::Feature`], [`HostError::NoSuchFeature`],
    /// [`HostError::MissingDescriptor`], [`HostError::NotAwake`], [`HostError::Stopped`]; leaving
    /// low power in the v4 dialect, [`HostError::Resume`].
    pub fn feature(
        &mut self,
        now: Time,
        request: &device_feature::Request<'_>,
        fd: AttachedFd,
    ) -> Result<FeatureReply, HostError> {
        self.check_frozen(request)?;
        let reply = match self.state.dialect.kind() {
            PmDialect::Mainline => {
                self.guarded(now, |device| device.mainline_feature(now, request, fd))
            }
            PmDialect::V4 => self.v4_feature(now, request),
        };
        self.settle(now);
        reply
    }

    /// Returns whether a transfer may still touch memory; see
    /// [`crate::function::Function::dma_is_live`].
    #[must_use]
    pub fn dma_is_live(&self, id: DmaId) -> bool {
        self.slot.function().dma_is_live(id)
    }

    /// Confirms that an [`Output::Withdraw`] came in time: the client never noticed INTx.
    pub fn intx_withdrawn(&mut self) {
        self.state.irqs.intx_withdrawn(&mut self.state.outputs);
    }

    /// Delivers the outcome of a transfer.
    pub fn dma_done(&mut self, now: Time, id: DmaId, outcome: DmaOutcome<'_>) {
        self.slot.function_mut().dma_done(now, id, outcome);
        self.settle(now);
    }

    /// Returns the memory behind a BAR that has some.
    pub fn bar_memory_mut(&mut self, bar: u8) -> Option<&mut dyn BarMemory> {
        self.slot.function_mut().bar_memory_mut(bar)
    }

    /// Sets the way in which large memory behind BARs goes ([`Function::set_release`]).
    pub fn set_release(&mut self, release: Release) {
        self.slot.function_mut().set_release(release);
    }

    /// Parts shared BAR memory from all clients that have it mapped, as when the last of them has
    /// gone.
    pub fn unshare_bars(&mut self) {
        self.slot.function_mut().unshare_bars();
    }

    /// Returns whether clients that have BAR memory mapped find what they should. If not, a server
    /// calls [`Self::advance_bars`] before it replies to any client of the device.
    #[must_use]
    pub fn bars_are_settled(&self) -> bool {
        self.slot.function().bars_are_settled()
    }

    /// Moves BAR memory to and from clients, as far as `budget` in bytes lasts.
    pub fn advance_bars(&mut self, budget: &mut u64) {
        self.slot.function_mut().advance_bars(budget);
    }

    /// Puts memory behind a BAR that clients may map
    /// ([`mappable_bars`](crate::function::Function::mappable_bars)). It is hidden from them while
    /// the function sleeps or does not decode it, and while low power is engaged.
    pub fn share_bar(&mut self, bar: u8, memory: Box<dyn BarMemory>) {
        self.slot.function_mut().set_bar_memory(bar, memory);
        self.slot
            .function_mut()
            .set_bars_visible(self.state.bars_visible);
    }
}

#[cfg(test)]
mod tests;
