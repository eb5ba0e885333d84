//! Type 0 configuration header (PCIe Base §7.5.1.1, §7.5.1.2).

use bitfield_struct::bitfield;
use serde_json::{Value, json};

use super::ConfigEffect;
use super::bar::{self, BarConfig, BarKind, MAX_BARS};
use crate::pci::header::{
    BASE_ADDRESS_0, CACHE_LINE_SIZE, CAPABILITIES_POINTER, CARDBUS_CIS, CLASS_REVISION, COMMAND,
    INTERRUPT_LINE, INTERRUPT_PIN, ROM_ADDRESS, SIZE, STATUS, SUBSYSTEM_VENDOR_ID, VENDOR_ID,
};
use crate::register::{Block, Dword, DwordWrite, Register, ResetKind, register_bits};
use crate::snapshot::{Fingerprint, RestoreError};

/// Command, 04h (PCIe Base §7.5.1.1.3).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Command {
    pub io_space_enable: bool,
    pub memory_space_enable: bool,
    pub bus_master_enable: bool,
    pub special_cycle_enable: bool,
    pub memory_write_and_invalidate: bool,
    pub vga_palette_snoop: bool,
    pub parity_error_response: bool,
    pub idsel_stepping: bool,
    pub serr_enable: bool,
    pub fast_back_to_back: bool,
    pub interrupt_disable: bool,
    #[bits(5)]
    __: u8,
}

/// Status, 06h (PCIe Base §7.5.1.1.4).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Status {
    pub immediate_readiness: bool,
    #[bits(2)]
    __: u8,
    pub interrupt_status: bool,
    pub capabilities_list: bool,
    pub capable_66_mhz: bool,
    __: bool,
    pub fast_back_to_back_capable: bool,
    pub master_data_parity_error: bool,
    #[bits(2)]
    pub devsel_timing: u8,
    pub signaled_target_abort: bool,
    pub received_target_abort: bool,
    pub received_master_abort: bool,
    pub signaled_system_error: bool,
    pub detected_parity_error: bool,
}

register_bits!(Command: u16, Status: u16);

const COMMAND_DWORD: usize = COMMAND / 4;
const BAR0_DWORD: usize = BASE_ADDRESS_0 / 4;
const ROM_DWORD: usize = ROM_ADDRESS / 4;

/// Number of DWORDs of the header.
pub(super) const DWORDS: usize = SIZE / 4;

/// The properties of a function that its header shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderConfig {
    /// Vendor ID.
    pub vendor_id: u16,
    /// Device ID.
    pub device_id: u16,
    /// Revision ID.
    pub revision: u8,
    /// Class code: base class in bits 23:16, sub-class, programming interface.
    pub class: u32,
    /// Subsystem Vendor ID.
    pub subsystem_vendor_id: u16,
    /// Subsystem ID.
    pub subsystem_id: u16,
    /// Header Type bit 7.
    pub multi_function: bool,
    /// Interrupt Pin: 0 none, 1 to 4 for INTA to INTD.
    pub interrupt_pin: u8,
    /// Reset value of Interrupt Line.
    pub interrupt_line: u8,
    /// Status bit 0: no reset of this function needs a wait.
    pub immediate_readiness: bool,
    /// Minimum Grant of conventional PCI, in units of 250 ns.
    pub min_gnt: u8,
    /// Maximum Latency of conventional PCI, in units of 250 ns.
    pub max_lat: u8,
    /// CardBus CIS Pointer.
    pub cardbus_cis: u32,
    /// The addresses that Enhanced Allocation gives to BARs. Their registers are read-only zero (PCIe Base
    /// §7.8.5).
    pub allocated: [Option<u64>; MAX_BARS],
    /// The range that each BAR decodes. The register after a 64-bit BAR is its high half and has
    /// `None`.
    pub bars: [Option<BarConfig>; MAX_BARS],
    /// Size of the expansion ROM in bytes.
    pub rom: Option<u32>,
    /// The function is a virtual one (PCIe Base §9.3.4.1): ids read all ones, BARs read zero, and
    /// of Command it has Bus Master Enable only.
    pub virtual_function: bool,
}

/// The header of a function.
#[derive(Debug)]
pub struct Header {
    registers: Block,
    bars: [Option<BarConfig>; MAX_BARS],
    power_on_bars: [Option<BarConfig>; MAX_BARS],
    allocated: [Option<u64>; MAX_BARS],
    rom: Option<u32>,
    virtual_function: bool,
    /// Vendor and Device ID, which a virtual function does not show.
    ids: [u16; 2],
}

impl Header {
    /// Creates a header. BARs must have passed [`BarConfig::validate`].
    #[must_use]
    pub fn new(config: &HeaderConfig) -> Self {
        let has = |io: bool| {
            config
                .bars
                .iter()
                .flatten()
                .any(|bar| (bar.kind == BarKind::Io) == io)
        };
        let physical = !config.virtual_function;
        let ids = [config.vendor_id, config.device_id];
        let [vendor_id, device_id] = if physical { ids } else { [u16::MAX; 2] };
        let mut writable = Command::new()
            .with_io_space_enable(has(true))
            .with_memory_space_enable(has(false) || config.rom.is_some())
            .with_bus_master_enable(true)
            .with_parity_error_response(true)
            .with_serr_enable(true)
            .with_interrupt_disable(config.interrupt_pin != 0);
        if !physical {
            writable = Command::new().with_bus_master_enable(true);
        }
        let command = Register::new(Command::new()).rw(writable);
        let status = Register::new(
            Status::new()
                .with_immediate_readiness(config.immediate_readiness)
                .with_capabilities_list(true),
        )
        .rw1c(
            Status::new()
                .with_master_data_parity_error(true)
                .with_signaled_target_abort(true)
                .with_received_target_abort(true)
                .with_received_master_abort(true)
                .with_signaled_system_error(true)
                .with_detected_parity_error(true),
        );
        let shared = if physical { 0xff } else { 0 };
        let cache_line_size = Register::new(0_u8).rw(shared);
        let header_type = Register::new(u8::from(config.multi_function) << 7);
        let interrupt_line = Register::new(config.interrupt_line & shared).rw(shared);

        let mut dwords = vec![Dword::new(); DWORDS];
        let mut place = |offset: usize, dword: Dword| {
            if let Some(slot) = dwords.get_mut(offset / 4) {
                *slot = dword;
            }
        };
        place(
            VENDOR_ID,
            Dword::read_only(u32::from(device_id) << 16 | u32::from(vendor_id)),
        );
        place(COMMAND, Dword::new().with(0, command).with(2, status));
        place(
            CLASS_REVISION,
            Dword::read_only(config.class << 8 | u32::from(config.revision)),
        );
        place(
            CACHE_LINE_SIZE,
            Dword::new().with(0, cache_line_size).with(2, header_type),
        );
        for (index, bar) in config.bars.iter().enumerate() {
            let Some(bar) = bar.filter(|_| physical) else {
                continue;
            };
            if config.allocated.get(index).is_some_and(Option::is_some) {
                continue;
            }
            place(BASE_ADDRESS_0 + 4 * index, bar.low());
            if bar.kind == BarKind::Memory64 && index + 1 < MAX_BARS {
                place(BASE_ADDRESS_0 + 4 * (index + 1), bar.high());
            }
        }
        place(
            SUBSYSTEM_VENDOR_ID,
            Dword::read_only(
                u32::from(config.subsystem_id) << 16 | u32::from(config.subsystem_vendor_id),
            ),
        );
        place(CARDBUS_CIS, Dword::read_only(config.cardbus_cis));
        if let Some(size) = config.rom {
            place(ROM_ADDRESS, bar::rom(size));
        }
        place(
            INTERRUPT_LINE,
            Dword::new()
                .with(0, interrupt_line)
                .with(1, Register::new(config.interrupt_pin))
                .with(2, Register::new(config.min_gnt))
                .with(3, Register::new(config.max_lat)),
        );
        Self {
            registers: Block::new(dwords),
            bars: config.bars,
            power_on_bars: config.bars,
            allocated: config.allocated,
            rom: config.rom,
            virtual_function: config.virtual_function,
            ids,
        }
    }

    /// Returns whether the function is a virtual one.
    #[must_use]
    pub const fn is_virtual(&self) -> bool {
        self.virtual_function
    }

    /// Returns Vendor and Device ID. A virtual function does not show them in its registers.
    #[must_use]
    pub const fn ids(&self) -> [u16; 2] {
        self.ids
    }

    /// Returns Command.
    #[must_use]
    pub fn command(&self) -> Command {
        self.registers.get(COMMAND)
    }

    /// Returns Status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.registers.get(STATUS)
    }

    /// Sets Status as hardware does.
    pub fn set_status(&mut self, status: Status) {
        self.registers.set(STATUS, status);
    }

    /// Returns Interrupt Pin: 0 none, 1 to 4 for INTA to INTD.
    #[must_use]
    pub fn interrupt_pin(&self) -> u8 {
        self.registers.get(INTERRUPT_PIN)
    }

    /// Returns whether the device has several functions (Header Type bit 7).
    #[must_use]
    pub fn is_multi_function(&self) -> bool {
        self.registers.get::<u8>(0x0e) & 0x80 != 0
    }

    /// Returns whether this is a display function of NVIDIA (vendor 10DEh, base class 03h).
    #[must_use]
    pub fn is_nvidia_display(&self) -> bool {
        let (vendor, base_class) = (self.registers.get::<u16>(0), self.registers.get::<u8>(0x0b));
        vendor == 0x10de && base_class == 0x03
    }

    /// Returns the range that BAR `index` decodes now.
    #[must_use]
    pub fn bar(&self, index: usize) -> Option<&BarConfig> {
        self.bars.get(index)?.as_ref()
    }

    /// Returns the address that software, or Enhanced Allocation, gave BAR `index`. BARs of a virtual
    /// function have none of their own.
    #[must_use]
    pub fn bar_address(&self, index: usize) -> Option<u64> {
        let bar = self.bar(index).filter(|_| !self.virtual_function)?;
        if let Some(Some(address)) = self.allocated.get(index) {
            return Some(*address);
        }
        let low = u64::from(self.registers.read(BAR0_DWORD + index));
        Some(match bar.kind {
            BarKind::Io => low & !0x3,
            BarKind::Memory32 => low & !0xf,
            BarKind::Memory64 => {
                u64::from(self.registers.read(BAR0_DWORD + index + 1)) << 32 | low & !0xf
            }
        })
    }

    /// Returns the size of the expansion ROM in bytes.
    #[must_use]
    pub fn rom_size(&self) -> Option<u32> {
        self.rom
    }

    /// Returns Expansion ROM Enable.
    #[must_use]
    pub fn rom_enabled(&self) -> bool {
        self.registers.read(ROM_DWORD) & 1 == 1
    }

    /// Resizes a BAR. Address bits below the size become read-only zero at once (PCIe Base §7.8.6).
    pub fn resize_bar(&mut self, index: usize, size: u64) {
        let Some(Some(bar)) = self.bars.get_mut(index) else {
            return;
        };
        if let Some(low) = self.registers.dword_mut(BAR0_DWORD + index) {
            bar.resize(size, low);
        }
        if bar.kind == BarKind::Memory64
            && let Some(high) = self.registers.dword_mut(BAR0_DWORD + index + 1)
        {
            bar.resize_high(high);
        }
    }

    /// Sets the Capabilities Pointer to the first capability.
    pub(super) fn set_capabilities_pointer(&mut self, offset: u8) {
        if let Some(dword) = self.registers.dword_mut(CAPABILITIES_POINTER / 4) {
            *dword = Dword::read_only(u32::from(offset));
        }
    }

    pub(super) fn write_one_to_clear(&self, index: usize) -> u32 {
        let mut dwords = self.registers.iter();
        dwords.nth(index).map_or(0, Dword::rw1c)
    }

    pub(super) fn read(&self, index: usize) -> u32 {
        self.registers.read(index)
    }

    pub(super) fn write(
        &mut self,
        index: usize,
        write: DwordWrite,
        effects: &mut Vec<ConfigEffect>,
    ) {
        let before = self.command();
        self.registers.write(index, write);
        if index == COMMAND_DWORD && self.command() != before {
            effects.push(ConfigEffect::Command);
        }
    }

    pub(super) fn reset(&mut self, kind: ResetKind) {
        for (index, bar) in self.power_on_bars.into_iter().enumerate() {
            if let Some(bar) = bar.filter(|bar| self.bar(index).is_some_and(|now| now != bar)) {
                self.resize_bar(index, bar.size);
            }
        }
        self.registers.reset(kind);
    }

    /// Saves the registers. The sizes of resizable BARs are saved by their capability.
    pub(super) fn save(&self) -> Value {
        let Self {
            registers,
            bars: _,
            power_on_bars: _,
            allocated: _,
            rom: _,
            virtual_function: _,
            ids: _,
        } = self;
        registers.save()
    }

    /// Restores the state that [`Self::save`] returned. BARs have their sizes already.
    pub(super) fn restore(&mut self, at: &str, saved: &Value) -> Result<(), RestoreError> {
        self.registers.restore(at, saved)
    }

    pub(super) fn add_shape(&self, shape: &mut Fingerprint) {
        self.registers.add_shape(shape);
    }

    pub(super) fn inspect(&self) -> Value {
        let (command, status) = (self.command(), self.status());
        let bars: Vec<Value> = (0..MAX_BARS)
            .filter_map(|index| {
                let bar = self.bar(index)?;
                Some(json!({
                    "index": index,
                    "kind": bar.kind,
                    "prefetchable": bar.prefetchable,
                    "size": bar.size,
                    "address": self.bar_address(index),
                }))
            })
            .collect();
        json!({
            "vendor_id": self.registers.get::<u16>(0),
            "device_id": self.registers.get::<u16>(2),
            "virtual_function": self.virtual_function,
            "class": self.registers.read(2) >> 8,
            "revision": self.registers.get::<u8>(8),
            "command": {
                "io_space_enable": command.io_space_enable(),
                "memory_space_enable": command.memory_space_enable(),
                "bus_master_enable": command.bus_master_enable(),
                "interrupt_disable": command.interrupt_disable(),
            },
            "status": {
                "interrupt_status": status.interrupt_status(),
                "received_master_abort": status.received_master_abort(),
            },
            "bars": bars,
            "rom_size": self.rom,
            "rom_enabled": self.rom_enabled(),
            "interrupt_pin": self.interrupt_pin(),
        })
    }
}

#[cfg(test)]
mod tests;
