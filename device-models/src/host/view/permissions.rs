//! Which bits of config space vfio-pci keeps to itself, and which a client may write
//! (`vfio_pci_config.c`, the `init_pci_cap_*_perm` functions).

use crate::capability::CapabilityId;
use crate::config::BarKind;
use crate::function::Function;
use crate::host::dialect::PmDialect;

/// Permissions of every byte of config space.
#[derive(Debug)]
pub(super) struct Permissions {
    /// Bits that are read from, and written to, the driver's copy.
    pub(super) virt: Vec<u8>,
    /// Bits that can be written at all.
    pub(super) write: Vec<u8>,
}

impl Permissions {
    /// The permissions for a function: what no table names can be read but not written.
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

    fn set(&mut self, offset: usize, len: usize, virt: u32, write: u32) {
        let bytes = virt.to_le_bytes().into_iter().zip(write.to_le_bytes());
        let places = self.virt.iter_mut().zip(&mut self.write).skip(offset);
        for ((virt, write), (new_virt, new_write)) in places.take(len).zip(bytes) {
            (*virt, *write) = (new_virt, new_write);
        }
    }

    fn header(&mut self, function: &Function) {
        const ALL: u32 = u32::MAX;
        const INTERRUPT_DISABLE: u32 = 0x0400;
        const CAPABILITIES_LIST: u32 = 0x0010;
        // Vendor and Device ID.
        self.set(0x00, 4, ALL, 0);
        // Command: Interrupt Disable is the client's own, the rest reaches the function.
        self.set(0x04, 2, INTERRUPT_DISABLE, ALL);
        self.set(0x06, 2, CAPABILITIES_LIST, 0);
        // Cache Line Size, Latency Timer; BIST.
        self.set(0x0c, 2, 0, ALL);
        self.set(0x0f, 1, 0, ALL);
        for bar in 0..6 {
            self.set(0x10 + 4 * bar, 4, ALL, self.bar_mask(function, bar));
        }
        let rom = function.config().header().rom_size();
        let rom_mask = rom.map_or(0, |size| !(size - 1) | 1);
        self.set(0x30, 4, ALL, rom_mask);
        // Capabilities Pointer; Interrupt Line; Interrupt Pin.
        self.set(0x34, 1, ALL, 0);
        self.set(0x3c, 1, ALL, ALL);
        self.set(0x3d, 1, ALL, 0);
    }

    /// Address bits of a BAR register that a client can set.
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
            CapabilityId::Extended { .. } => self.set(at, 4, u32::MAX, 0),
            // As `unassigned_perms`: reads and writes reach the function.
            CapabilityId::DeviceSpecific { .. } => self.all_writable(at, at + len),
        }
        match id {
            CapabilityId::Conventional(0x01) => self.power_management(at, dialect),
            CapabilityId::Conventional(0x05) => self.msi(at, len),
            CapabilityId::Conventional(0x10) => self.pci_express(at),
            CapabilityId::Conventional(0x09) => self.all_writable(at + 3, at + len),
            CapabilityId::Extended { id: 0x0001, .. } => self.advanced_error_reporting(at),
            CapabilityId::Extended { id: 0x0004, .. } => self.set(at + 4, 1, 0, u32::MAX),
            CapabilityId::Extended { id: 0x000b, .. } => self.all_writable(at + 8, at + len),
            _ => {}
        }
    }

    /// PME belongs to the host. In the v4 dialect the client has a virtual one instead.
    fn power_management(&mut self, at: usize, dialect: PmDialect) {
        const PME_SUPPORT: u32 = 0xf800;
        const PME: u32 = 0x8100;
        const PME_EN: u32 = 0x0100;
        const POWER_STATE: u32 = 0x0003;
        self.set(at + 2, 2, PME_SUPPORT, 0);
        let write = match dialect {
            PmDialect::Mainline => !(PME | POWER_STATE),
            PmDialect::V4 => !(PME | POWER_STATE) | PME_EN,
        };
        self.set(at + 4, 4, PME, write);
    }

    /// Message and enable bits are the driver's: the client sets MSI up with SET_IRQS. Mask bits are
    /// the function's own.
    fn msi(&mut self, at: usize, len: usize) {
        const ALL: u32 = u32::MAX;
        // With 64-bit addresses the structure has one DWORD more, with mask bits two.
        let (wide, maskable) = (matches!(len, 16 | 24), len >= 20);
        self.set(at + 2, 1, ALL, ALL);
        self.set(at + 4, 4, ALL, ALL);
        let data = if wide { 12 } else { 8 };
        if wide {
            self.set(at + 8, 4, ALL, ALL);
        }
        self.set(at + data, 2, ALL, ALL);
        if maskable {
            self.set(at + data + 4, 4, 0, ALL);
        }
    }

    fn pci_express(&mut self, at: usize) {
        const FLR: u32 = 0x8000;
        const PAYLOAD: u32 = 0x00e0;
        const READ_REQUEST: u32 = 0x7000;
        const PHANTOM: u32 = 0x0200;
        const ARI: u32 = 0x0020;
        self.set(at + 0x08, 2, FLR | PAYLOAD | READ_REQUEST, !(PHANTOM | FLR));
        self.set(at + 0x28, 2, 0, !ARI);
    }

    fn advanced_error_reporting(&mut self, at: usize) {
        for offset in [0x04, 0x08, 0x0c, 0x10, 0x14, 0x18] {
            self.set(at + offset, 4, 0, u32::MAX);
        }
    }

    fn all_writable(&mut self, from: usize, to: usize) {
        for offset in from..to {
            self.set(offset, 1, 0, u32::MAX);
        }
    }
}
