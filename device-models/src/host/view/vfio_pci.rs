//! Config space and region accesses as Linux vfio-pci presents them (`vfio_pci_config.c`,
//! `vfio_pci_rdwr.c`).

use serde::{Deserialize, Serialize};
use vfio_user_protocol::vfio::{IrqIndex, RegionIndex};

use super::permissions::Permissions;
use super::virtual_pme::{PME_SUPPORT, high_byte};
use crate::capability::{CapabilityId, DeviceControl, MsiControl, MsixControl, Pmc, Pmcsr};
use crate::config::{BarKind, Command, MAX_BARS};
use crate::function::Function;
use crate::host::DeviceMut;
use crate::host::dialect::PmDialect;
use crate::host::error::HostError;
use crate::host::region;
use crate::pci::header::{BASE_ADDRESS_0, COMMAND, ROM_ADDRESS, VENDOR_ID};
use crate::pci::{ConventionalId, express, header, msi, msix, power_management};
use crate::power::PowerState;
use crate::register::RegisterBits;
use crate::snapshot::{RestoreError, hex, unhex};
use crate::time::Time;

/// The driver's copy of config space (`vdev->vconfig`) and its permissions.
#[derive(Debug)]
pub(in crate::host) struct VirtualConfig {
    bytes: Vec<u8>,
    permissions: Permissions,
    /// Offset of the PM capability.
    pm: Option<u16>,
    /// Offset of the PCI Express capability.
    pcie: Option<u16>,
    /// The function has FLR.
    has_flr: bool,
    /// Offset of the MSI capability.
    msi: Option<u16>,
    /// MSI is in use.
    msi_in_use: bool,
    /// The largest number of vectors that MSI was ever in use with, as a power of two (`msi_qmax`).
    msi_allocated: u8,
    /// The function did not answer when the copy was made.
    silent: bool,
}

/// A part of an access that lies within one DWORD, as vfio-pci divides config accesses.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    offset: u64,
    at: usize,
    len: usize,
}

impl Chunk {
    fn range(self) -> std::ops::Range<usize> {
        self.at..self.at + self.len
    }
}

/// Divides an access into naturally aligned pieces of four, two or one bytes.
fn chunks(offset: u64, len: usize) -> impl Iterator<Item = Chunk> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let offset = offset + at as u64;
        let left = len - at;
        let len = match (offset % 4, left) {
            (_, 0) => return None,
            (0, 4..) => 4,
            (0 | 2, 2..) => 2,
            _ => 1,
        };
        let chunk = Chunk { offset, at, len };
        at += len;
        Some(chunk)
    })
}

/// Returns the offset of a conventional capability.
pub(in crate::host) fn find(function: &Function, id: ConventionalId) -> Option<u16> {
    let mut placed = function.config().capabilities();
    placed
        .find(|placed| placed.capability.get().id() == CapabilityId::Conventional(id))
        .map(|placed| placed.offset)
}

/// Returns the 16-bit register at `offset` of an image of config space.
fn word<T: RegisterBits>(bytes: &[u8], offset: usize) -> T {
    let word = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    T::of_bits(word.map_or(0, |word| u16::from_le_bytes(*word)).into())
}

/// Changes the 16-bit register at `offset` of an image of config space.
fn change<T: RegisterBits>(bytes: &mut [u8], offset: usize, change: impl FnOnce(T) -> T) {
    let changed = change(word(bytes, offset)).to_bits() as u16;
    let place = bytes
        .get_mut(offset..)
        .and_then(|rest| rest.first_chunk_mut());
    if let Some(place) = place {
        *place = changed.to_le_bytes();
    }
}

/// The saved state of a [`VirtualConfig`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::host) struct SavedVirtualConfig {
    bytes: String,
    msi_in_use: bool,
    msi_allocated: u8,
    #[serde(default)]
    silent: bool,
}

impl VirtualConfig {
    pub(in crate::host) fn save(&self) -> SavedVirtualConfig {
        let Self {
            bytes,
            permissions: _,
            pm: _,
            pcie: _,
            has_flr: _,
            msi: _,
            msi_in_use,
            msi_allocated,
            silent,
        } = self;
        SavedVirtualConfig {
            bytes: hex(bytes),
            msi_in_use: *msi_in_use,
            msi_allocated: *msi_allocated,
            silent: *silent,
        }
    }

    /// Restores the state that [`Self::save`] returned, over `function`. `at` is its place in the
    /// tree.
    pub(in crate::host) fn restored(
        at: &str,
        saved: &SavedVirtualConfig,
        function: &Function,
        dialect: PmDialect,
    ) -> Result<Self, RestoreError> {
        let SavedVirtualConfig {
            bytes,
            msi_in_use,
            msi_allocated,
            silent,
        } = saved;
        let bytes = unhex(at, bytes)?;
        let fresh = Self::new(function, dialect, !silent);
        if bytes.len() != fresh.bytes.len() {
            let (found, size) = (bytes.len(), fresh.bytes.len());
            let reason = format!("{found} bytes instead of {size}");
            return Err(RestoreError::part(at, reason));
        }
        Ok(Self {
            bytes,
            msi_in_use: *msi_in_use,
            msi_allocated: *msi_allocated,
            ..fresh
        })
    }

    /// Creates the copy that a device has when it is opened, of a function that `answers` or not.
    pub(in crate::host) fn new(function: &Function, dialect: PmDialect, answers: bool) -> Self {
        if !answers {
            return Self::silent(function);
        }
        let config = function.config();
        let mut bytes = vec![0; usize::from(config.size())];
        config.read(0, &mut bytes);
        if function.is_virtual() {
            // As `vfio_config_init`: what the host knows from the physical function.
            let ids = config.header().ids();
            for (at, id) in [VENDOR_ID, VENDOR_ID + 2].into_iter().zip(ids) {
                change(&mut bytes, at, |_: u16| id);
            }
            change(&mut bytes, COMMAND, |command: Command| {
                command.with_memory_space_enable(true)
            });
            // Of BARs it also knows the kind (`vfio_bar_fixup`).
            for index in 0..MAX_BARS {
                let kind = config.header().bar(index).map(|bar| bar.low().value());
                let at = BASE_ADDRESS_0 + 4 * index;
                change(&mut bytes, at, |low: u16| low | kind.unwrap_or(0) as u16);
            }
        }
        let pm = find(function, ConventionalId::PowerManagement);
        if let Some(pm) = pm.map(usize::from) {
            let support = match dialect {
                PmDialect::Mainline => 0,
                PmDialect::V4 => PME_SUPPORT,
            };
            change(&mut bytes, pm + power_management::PMC, |pmc: Pmc| {
                pmc.with_pme_support(support)
            });
            change(&mut bytes, pm + power_management::PMCSR, |pmcsr: Pmcsr| {
                pmcsr.with_pme_en(false).with_pme_status(false)
            });
        }
        let has_flr = config.pcie().is_some_and(|pcie| pcie.has_flr());
        Self {
            bytes,
            permissions: Permissions::new(function, dialect),
            pm,
            pcie: find(function, ConventionalId::PciExpress),
            has_flr,
            msi: find(function, ConventionalId::Msi),
            msi_in_use: false,
            msi_allocated: 0,
            silent: false,
        }
    }

    /// Creates the copy for a function that does not answer: all ones, and no capability to be found.
    /// BARs and the multi-function bit are the host's own knowledge.
    fn silent(function: &Function) -> Self {
        let config = function.config();
        let mut known = vec![0; usize::from(config.size())];
        config.read(0, &mut known);
        let mut bytes = vec![0xff; known.len()];
        for (offset, len) in [
            (header::HEADER_TYPE, 1),
            (header::BASE_ADDRESS_0, header::BASE_ADDRESSES_SIZE),
            (header::ROM_ADDRESS, 4),
        ] {
            let range = offset..offset + len;
            if let (Some(bytes), Some(known)) = (bytes.get_mut(range.clone()), known.get(range)) {
                bytes.copy_from_slice(known);
            }
        }
        Self {
            bytes,
            permissions: Permissions::without_capabilities(function),
            pm: None,
            pcie: None,
            has_flr: false,
            msi: None,
            msi_in_use: false,
            msi_allocated: 0,
            silent: true,
        }
    }

    /// Limits the virtual Message Control to the state that SET_IRQS has set up
    /// (`vfio_msi_config_write`).
    fn restrain_msi(&mut self) {
        let (in_use, allocated) = (self.msi_in_use, self.msi_allocated);
        if let Some(at) = self.msi.map(usize::from) {
            change(&mut self.bytes, at + msi::CONTROL, |control: MsiControl| {
                let most = control.multiple_message_enable().min(allocated);
                control
                    .with_enable(control.enable() && in_use)
                    .with_multiple_message_enable(most)
            });
        }
    }

    fn command(&self) -> Command {
        word(&self.bytes, COMMAND)
    }

    /// Returns Memory Space Enable as the client set it.
    fn memory_enabled(&self) -> bool {
        self.command().memory_space_enable()
    }

    /// Overlays the driver's copy on the data that the function returned.
    fn overlay(&self, offset: u64, data: &mut [u8]) {
        let start = offset as usize;
        let virt = self.permissions.virt.iter().skip(start);
        let copy = self.bytes.iter().skip(start);
        for ((byte, virt), copy) in data.iter_mut().zip(virt).zip(copy) {
            *byte = *byte & !virt | copy & virt;
        }
    }

    /// Stores the virtual bits of a write. `present` holds the function's bytes and becomes the
    /// bytes to write to it. Returns `false` if there are none.
    fn store(&mut self, offset: u64, data: &[u8], present: &mut [u8]) -> bool {
        let start = offset as usize;
        let virt = self.permissions.virt.iter().skip(start);
        let write = self.permissions.write.iter().skip(start);
        let copy = self.bytes.iter_mut().skip(start);
        let mut physical = false;
        for ((((byte, new), virt), write), copy) in
            present.iter_mut().zip(data).zip(virt).zip(write).zip(copy)
        {
            let (to_copy, to_function) = (virt & write, write & !virt);
            *copy = *copy & !to_copy | new & to_copy;
            *byte = *byte & !to_function | new & to_function;
            physical |= to_function != 0;
        }
        physical
    }

    /// Returns whether a write sets Initiate Function Level Reset. The bit itself reads zero.
    fn takes_flr(&self, offset: u64, data: &[u8]) -> bool {
        let Some(pcie) = self.pcie else { return false };
        let control = u64::from(pcie) + express::DEVICE_CONTROL as u64;
        let byte = high_byte(control, offset, data.len()).and_then(|at| data.get(at));
        let control = DeviceControl::from(u16::from(byte.copied().unwrap_or(0)) << 8);
        self.has_flr && control.initiate_flr()
    }

    /// Updates I/O and Memory Space Enable of the virtual Command. They reach the function as well,
    /// but the driver relies on its copy.
    fn note_command(&mut self, offset: u64, data: &[u8]) {
        let at = (COMMAND as u64).checked_sub(offset).map(|at| at as usize);
        if let Some(byte) = at.and_then(|at| data.get(at)) {
            let written = Command::from(u16::from(*byte));
            change(&mut self.bytes, COMMAND, |command: Command| {
                command
                    .with_io_space_enable(written.io_space_enable())
                    .with_memory_space_enable(written.memory_space_enable())
            });
        }
    }
}

impl DeviceMut<'_> {
    /// Returns whether BARs and ROM decode as far as the driver knows
    /// (`__vfio_pci_memory_enabled`).
    pub(in crate::host) fn memory_decodes(&self) -> bool {
        let virtual_enable = self
            .state
            .vconfig
            .as_ref()
            .is_none_or(VirtualConfig::memory_enabled);
        // A virtual function decodes whatever its client sets (`no_command_memory`).
        let enabled = virtual_enable || self.slot.function().is_virtual();
        self.state.core.current() < PowerState::D3hot && enabled
    }

    pub(in crate::host) fn vfio_pci_read(
        &mut self,
        now: Time,
        region: RegionIndex,
        offset: u64,
        data: &mut [u8],
    ) -> Result<usize, HostError> {
        if region == RegionIndex::Config {
            self.check_config(offset, data.len())?;
            self.vfio_config_read(now, offset, data);
            return Ok(data.len());
        }
        let len = self.room(region, offset, data.len())?;
        let data = &mut data[..len];
        if self.is_msix_window(region, offset, len) {
            data.fill(0xff);
            return Ok(len);
        }
        self.check_memory(region)?;
        if region == RegionIndex::Rom {
            self.read_rom(now, offset, data);
        } else {
            region::read(self.slot.function_mut(), now, region, offset, data);
        }
        Ok(len)
    }

    /// Enables the kind of message whose triggers the client has bound, and no other
    /// (`vfio_msi_enable`). The client cannot enable it itself.
    pub(in crate::host) fn program_messages(&mut self, now: Time) {
        let vectors = self.state.irqs.vectors_in_use(IrqIndex::Msi);
        // Vectors as a power of two.
        let allocated = vectors.next_power_of_two().trailing_zeros() as u8;
        let msi = match vectors {
            0 => MsiControl::new(),
            _ => MsiControl::new()
                .with_enable(true)
                .with_multiple_message_enable(allocated),
        };
        let in_use = self.state.irqs.vectors_in_use(IrqIndex::Msix) != 0;
        let msix = MsixControl::new().with_enable(in_use);
        if let Some(vconfig) = &mut self.state.vconfig {
            vconfig.msi_in_use = msi.enable();
            if msi.enable() {
                vconfig.msi_allocated = allocated;
            }
        }
        for (id, offset, control) in [
            (ConventionalId::Msi, msi::CONTROL, u16::from(msi)),
            (ConventionalId::Msix, msix::CONTROL, u16::from(msix)),
        ] {
            let function = self.slot.function_mut();
            if let Some(at) = find(function, id) {
                function.config_write(now, u64::from(at) + offset as u64, &control.to_le_bytes());
            }
        }
    }

    /// Reads the ROM, which the driver enables for the time of the access (`pci_map_rom`). The
    /// client's own enable bit is virtual.
    fn read_rom(&mut self, now: Time, offset: u64, data: &mut [u8]) {
        const ROM_BAR: u64 = ROM_ADDRESS as u64;
        const ENABLE: u8 = 1;
        let function = self.slot.function_mut();
        let mut low = [0];
        function.config_read(now, ROM_BAR, &mut low);
        function.config_write(now, ROM_BAR, &low.map(|byte| byte | ENABLE));
        region::read(function, now, RegionIndex::Rom, offset, data);
        function.config_write(now, ROM_BAR, &low);
    }

    pub(in crate::host) fn vfio_pci_write(
        &mut self,
        now: Time,
        region: RegionIndex,
        offset: u64,
        data: &[u8],
    ) -> Result<usize, HostError> {
        if region == RegionIndex::Config {
            self.check_config(offset, data.len())?;
            self.vfio_config_write(now, offset, data);
            return Ok(data.len());
        }
        let len = self.room(region, offset, data.len())?;
        if region == RegionIndex::Rom {
            return Err(HostError::RomWrite);
        }
        if !self.is_msix_window(region, offset, len) {
            self.check_memory(region)?;
            region::write(self.slot.function_mut(), now, region, offset, &data[..len]);
        }
        Ok(len)
    }

    fn check_config(&self, offset: u64, len: usize) -> Result<(), HostError> {
        let size = u64::from(self.slot.function().config().size());
        match offset.checked_add(len as u64) {
            Some(end) if end <= size => Ok(()),
            _ => Err(HostError::OutsideConfig { offset, len, size }),
        }
    }

    /// Returns the number of bytes of an access that lie inside its region.
    fn room(&self, region: RegionIndex, offset: u64, len: usize) -> Result<usize, HostError> {
        let size = region::size(self.slot.function(), region);
        let index = region.number();
        if size == 0 {
            return Err(HostError::EmptyRegion { index });
        }
        let left = size.checked_sub(offset).filter(|left| *left != 0);
        let left = left.ok_or(HostError::OutsideRegion {
            index,
            offset,
            len,
            size,
        })?;
        Ok(usize::try_from(left).map_or(len, |left| left.min(len)))
    }

    /// Refuses access to a memory region that does not decode. I/O regions are never refused.
    fn check_memory(&self, region: RegionIndex) -> Result<(), HostError> {
        let bar = region
            .bar()
            .and_then(|bar| self.slot.function().bar(usize::from(bar)));
        if bar.is_some_and(|bar| bar.kind == BarKind::Io) {
            return Ok(());
        }
        let decodes = self.memory_decodes();
        if region == RegionIndex::Rom && !decodes {
            // Mapping it fails first, since no signature is found.
            return Err(HostError::RomAsleep);
        }
        if !decodes || self.blocks_memory() {
            return Err(HostError::MemoryDisabled {
                index: region.number(),
            });
        }
        Ok(())
    }

    /// Returns whether an access lies wholly inside the MSI-X table of its BAR, which belongs to
    /// the driver.
    fn is_msix_window(&self, region: RegionIndex, offset: u64, len: usize) -> bool {
        self.slot.function().config().msix().is_some_and(|msix| {
            let table = msix.table_extent();
            Some(table.bar) == region.bar()
                && table.start <= offset
                && offset + len as u64 <= table.end
        })
    }

    fn vfio_config_read(&mut self, now: Time, offset: u64, data: &mut [u8]) {
        self.slot.function_mut().config_read(now, offset, data);
        if let Some(vconfig) = &self.state.vconfig {
            vconfig.overlay(offset, data);
            if let Some(pm) = vconfig.pm {
                self.overlay_v4_pme(pm, offset, data);
            }
        }
    }

    fn vfio_config_write(&mut self, now: Time, offset: u64, data: &[u8]) {
        for chunk in chunks(offset, data.len()) {
            let bytes = data.get(chunk.range()).unwrap_or_default();
            self.vfio_config_chunk(now, chunk.offset, bytes);
        }
    }

    /// Writes one piece: stores and forwards the bits that the permissions allow, then performs the
    /// driver's own actions for Command, PMCSR and Device Control.
    fn vfio_config_chunk(&mut self, now: Time, offset: u64, data: &[u8]) {
        let mut word = [0; 4];
        let present = &mut word[..data.len()];
        self.slot.function_mut().config_read(now, offset, present);
        let Some(vconfig) = &mut self.state.vconfig else {
            return;
        };
        let (pm, flr) = (vconfig.pm, vconfig.takes_flr(offset, data));
        let physical = vconfig.store(offset, data, present);
        vconfig.note_command(offset, data);
        vconfig.restrain_msi();
        let disabled = vconfig.command().interrupt_disable();
        if physical {
            self.slot.function_mut().config_write(now, offset, present);
        }
        if (COMMAND as u64..COMMAND as u64 + 2).contains(&offset) {
            self.state
                .irqs
                .set_disabled(disabled, &mut self.state.outputs);
        }
        if let Some(pm) = pm {
            if offset == u64::from(pm) + power_management::PMCSR as u64 {
                let state = PowerState::from_bits(data.first().copied().unwrap_or(0));
                // The write succeeds whatever comes of the change it asks for.
                self.set_power_state(now, state).ok();
            }
            self.write_v4_pme(pm, offset, data);
        }
        if flr {
            self.try_reset(now).ok();
        }
    }
}
