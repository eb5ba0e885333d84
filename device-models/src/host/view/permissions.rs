//! The bits of config space that vfio-pci keeps to itself, and those that a client may write
//! (`vfio_pci_config.c`, the `init_pci_cap_*_perm` functions).

use super::virtual_pme::PME_SUPPORT;
use crate::capability::{CapabilityId, DeviceControl, DeviceControl2, Pmc, Pmcsr};
use crate::config::{BarKind, Command, MAX_BARS, Status};
use crate::function::Function;
use crate::host::dialect::PmDialect;
use crate::pci::{
    ConventionalId, ExtendedId, error_reporting, express, extended_vendor_specific, header, msi,
    power_budgeting, power_management, vendor_specific,
};
use crate::register::RegisterBits;

const ALL: u64 = u64::MAX;

/// The permissions of every byte of config space.
#[derive(Debug)]
pub(super) struct Permissions {
    /// Bits that clients read from, and write to, the driver's copy.
    pub(super) virt: Vec<u8>,
    /// Bits that clients can write at all.
    pub(super) write: Vec<u8>,
}

impl Permissions {
    /// Creates the permissions for a function. Registers that no table names are read-only.
    pub(super) fn new(function: &Function, dialect: PmDialect) -> Self {
        let size = usize::from(function.config().size());
        let mut permissions = Self {
            virt: vec![0; size],
            write: vec![0; size],
        };
        permissions.header(function);
        for placed in function.config().capabilities() {
            let capability = placed.capability.get();
            let at = usize::from(placed.offset);
            let len = 4 * capability.registers().len();
            permissions.capability(capability.id(), at, len, dialect);
        }
        permissions
    }

    /// Creates the permissions for a function in which no capability was found. Accesses behind the
    /// header reach it as they are (`unassigned_perms`).
    pub(super) fn without_capabilities(function: &Function) -> Self {
        let size = usize::from(function.config().size());
        let mut permissions = Self {
            virt: vec![0; size],
            write: vec![0; size],
        };
        permissions.header(function);
        permissions.all_writable(header::SIZE, size);
        permissions
    }

    fn set(&mut self, offset: usize, len: usize, virt: u64, write: u64) {
        let bytes = virt.to_le_bytes().into_iter().zip(write.to_le_bytes());
        let places = self.virt.iter_mut().zip(&mut self.write).skip(offset);
        for ((virt, write), (new_virt, new_write)) in places.take(len).zip(bytes) {
            (*virt, *write) = (new_virt, new_write);
        }
    }

    fn header(&mut self, function: &Function) {
        // A virtual function has no Memory Space Enable (`no_command_memory`), so clients have one
        // of the driver.
        let own_command = Command::new()
            .with_interrupt_disable(true)
            .with_memory_space_enable(function.is_virtual());
        let capabilities_list = Status::new().with_capabilities_list(true);
        // Vendor and Device ID.
        self.set(header::VENDOR_ID, 4, ALL, 0);
        // Interrupt Disable is the client's own, the rest of Command reaches the function.
        self.set(header::COMMAND, 2, own_command.to_bits(), ALL);
        self.set(header::STATUS, 2, capabilities_list.to_bits(), 0);
        // Cache Line Size, Latency Timer.
        self.set(header::CACHE_LINE_SIZE, 2, 0, ALL);
        // The multi-function bit is the host's own.
        self.set(header::HEADER_TYPE, 1, 0x80, 0);
        self.set(header::BIST, 1, 0, ALL);
        for bar in 0..MAX_BARS {
            let mask = self.bar_mask(function, bar);
            self.set(header::BASE_ADDRESS_0 + 4 * bar, 4, ALL, mask.into());
        }
        let rom = function.config().header().rom_size();
        let rom_mask = rom.map_or(0, |size| !(size - 1) | 1);
        self.set(header::ROM_ADDRESS, 4, ALL, rom_mask.into());
        self.set(header::CAPABILITIES_POINTER, 1, ALL, 0);
        self.set(header::INTERRUPT_LINE, 1, ALL, ALL);
        self.set(header::INTERRUPT_PIN, 1, ALL, 0);
    }

    /// Returns the address bits of a BAR register that a client can set.
    fn bar_mask(&self, function: &Function, index: usize) -> u32 {
        let high_of = index.checked_sub(1).and_then(|low| function.bar(low));
        match (function.bar(index), high_of) {
            (Some(bar), _) if bar.kind == BarKind::Io => !(bar.size as u32 - 1) & !0x3,
            (Some(bar), _) => !(bar.size.wrapping_sub(1) as u32) & !0xf,
            (None, Some(low)) if low.kind == BarKind::Memory64 => (!(low.size - 1) >> 32) as u32,
            (None, _) => 0,
        }
    }

    fn capability(&mut self, id: CapabilityId, at: usize, len: usize, dialect: PmDialect) {
        // Next pointers, and whole extended headers, are virtual so that capabilities can be
        // hidden; ids of conventional ones are the function's.
        match id {
            CapabilityId::Conventional(_) => self.set(at + 1, 1, 0xff, 0),
            CapabilityId::Extended { .. } => self.set(at, 4, ALL, 0),
            CapabilityId::DeviceSpecific { .. } => {}
        }
        match id {
            CapabilityId::Conventional(id) => match id {
                ConventionalId::PowerManagement => self.power_management(at, dialect),
                ConventionalId::Msi => self.msi(at, len),
                ConventionalId::PciExpress => self.pci_express(at, len),
                ConventionalId::VendorSpecific => {
                    self.all_writable(at + vendor_specific::BODY, at + len);
                }
                // The table is behind a BAR; Message Control is set up with SET_IRQS.
                ConventionalId::Msix
                | ConventionalId::EnhancedAllocation
                | ConventionalId::Other(_) => {}
            },
            CapabilityId::Extended { id, .. } => match id {
                ExtendedId::AdvancedErrorReporting => self.advanced_error_reporting(at),
                ExtendedId::PowerBudgeting => {
                    self.set(at + power_budgeting::DATA_SELECT, 1, 0, ALL);
                }
                ExtendedId::VendorSpecific => {
                    self.all_writable(at + extended_vendor_specific::BODY, at + len);
                }
                ExtendedId::VirtualChannel
                | ExtendedId::DeviceSerialNumber
                | ExtendedId::AccessControlServices
                | ExtendedId::AddressTranslationServices
                | ExtendedId::PageRequest
                | ExtendedId::ResizableBar
                | ExtendedId::SingleRootIoVirtualization
                | ExtendedId::DynamicPowerAllocation
                | ExtendedId::TphRequester
                | ExtendedId::LatencyToleranceReporting
                | ExtendedId::Pasid
                | ExtendedId::DownstreamPortContainment
                | ExtendedId::L1PmSubstates
                | ExtendedId::PrecisionTimeMeasurement
                | ExtendedId::Other(_) => {}
            },
            // As `unassigned_perms`: reads and writes reach the function.
            CapabilityId::DeviceSpecific { .. } => self.all_writable(at, at + len),
        }
    }

    /// Keeps PME for the host. In the v4 dialect the client has a virtual one instead.
    fn power_management(&mut self, at: usize, dialect: PmDialect) {
        let pme_support = Pmc::new().with_pme_support(PME_SUPPORT);
        let pme = Pmcsr::new().with_pme_en(true).with_pme_status(true);
        let state = Pmcsr::new().with_power_state(0x3);
        let armed = match dialect {
            PmDialect::Mainline => Pmcsr::new(),
            PmDialect::V4 => Pmcsr::new().with_pme_en(true),
        };
        let write = !(pme.to_bits() | state.to_bits()) | armed.to_bits();
        self.set(at + power_management::PMC, 2, pme_support.to_bits(), 0);
        self.set(at + power_management::PMCSR, 4, pme.to_bits(), write);
    }

    /// Keeps message and enable bits for the driver, since the client sets MSI up with SET_IRQS.
    /// Mask bits are the function's own.
    fn msi(&mut self, at: usize, len: usize) {
        // With 64-bit addresses the structure has one DWORD more, with mask bits two.
        let (wide, maskable) = (matches!(len, 16 | 24), len >= 20);
        self.set(at + msi::CONTROL, 1, ALL, ALL);
        self.set(at + msi::ADDRESS, 4, ALL, ALL);
        let data = if wide { msi::DATA_64 } else { msi::DATA_32 };
        if wide {
            self.set(at + msi::ADDRESS_HIGH, 4, ALL, ALL);
        }
        self.set(at + data, 2, ALL, ALL);
        if maskable {
            self.set(at + data + 4, 4, 0, ALL);
        }
    }

    fn pci_express(&mut self, at: usize, len: usize) {
        let control = DeviceControl::new();
        let virt = control
            .with_initiate_flr(true)
            .with_max_payload_size(0x7)
            .with_max_read_request_size(0x7);
        let refused = control.with_initiate_flr(true).with_phantom_functions(true);
        let write = !refused.to_bits();
        self.set(at + express::DEVICE_CONTROL, 2, virt.to_bits(), write);
        let refused = DeviceControl2::new().with_ari_forwarding_enable(true);
        let write = !refused.to_bits();
        if len > express::DEVICE_CONTROL_2 {
            self.set(at + express::DEVICE_CONTROL_2, 2, 0, write);
        }
    }

    fn advanced_error_reporting(&mut self, at: usize) {
        for offset in [
            error_reporting::UNCORRECTABLE_STATUS,
            error_reporting::UNCORRECTABLE_MASK,
            error_reporting::UNCORRECTABLE_SEVERITY,
            error_reporting::CORRECTABLE_STATUS,
            error_reporting::CORRECTABLE_MASK,
            error_reporting::CONTROL,
        ] {
            self.set(at + offset, 4, 0, ALL);
        }
    }

    fn all_writable(&mut self, from: usize, to: usize) {
        for offset in from..to {
            self.set(offset, 1, 0, ALL);
        }
    }
}
