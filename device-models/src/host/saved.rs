//! What the PCI core saves of a function's config space, and how it writes it back
//! (`pci_save_state`, `pci_restore_state`).
//!
//! The header and the standard capabilities come back. Vendor-specific registers, registers behind
//! BARs and device memory do not, and neither does PMCSR.

use crate::capability::CapabilityId;
use crate::function::Function;
use crate::snapshot::{RestoreError, hex, unhex};
use crate::time::Time;

const HEADER_BYTES: usize = 0x40;

/// An image of config space.
#[derive(Clone, Debug)]
pub(super) struct Saved(Vec<u8>);

/// In which order the parts of a function are written back.
const ORDER: [fn(CapabilityId) -> Option<Registers>; 2] = [before_header, after_header];

/// Which registers of a capability are written back.
#[derive(Clone, Copy)]
enum Registers {
    /// 16-bit registers at these offsets.
    Words(&'static [u16]),
    /// DWORDs at these offsets.
    Dwords(&'static [u16]),
    /// Everything behind the header, from the end.
    Body,
}

fn before_header(id: CapabilityId) -> Option<Registers> {
    match id {
        // Device, Link, Device 2 and Link 2 Control.
        CapabilityId::Conventional(0x10) => Some(Registers::Words(&[0x08, 0x10, 0x28, 0x30])),
        // AER: masks, severity and control, but no status.
        CapabilityId::Extended { id: 0x0001, .. } => {
            Some(Registers::Dwords(&[0x08, 0x0c, 0x14, 0x18]))
        }
        // L1 PM substates: the two control registers.
        CapabilityId::Extended { id: 0x001e, .. } => Some(Registers::Dwords(&[0x0c, 0x08])),
        // VC, LTR, Resizable BAR, ATS, PRI, PASID, ACS, DPC, PTM, TPH.
        CapabilityId::Extended {
            id:
                0x0002 | 0x0018 | 0x0015 | 0x000f | 0x0013 | 0x001b | 0x000d | 0x001d | 0x001f | 0x0017,
            ..
        } => Some(Registers::Body),
        _ => None,
    }
}

fn after_header(id: CapabilityId) -> Option<Registers> {
    match id {
        // MSI and MSI-X: what they point to first, the control register in the first DWORD last.
        CapabilityId::Conventional(0x05 | 0x11) => Some(Registers::Body),
        _ => None,
    }
}

impl Saved {
    /// Takes the image.
    pub(super) fn take(function: &Function) -> Self {
        let config = function.config();
        let mut image = vec![0; usize::from(config.size())];
        config.read(0, &mut image);
        Self(image)
    }

    /// The image as text.
    pub(super) fn hex(&self) -> String {
        hex(&self.0)
    }

    /// The image of a config space of `size` bytes that [`Self::hex`] gave. `at` says where it
    /// stands.
    pub(super) fn of_hex(at: &str, text: &str, size: usize) -> Result<Self, RestoreError> {
        let image = unhex(at, text)?;
        if image.len() == size {
            return Ok(Self(image));
        }
        let reason = format!("{} bytes instead of {size}", image.len());
        Err(RestoreError::part(at, reason))
    }

    fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        self.0.get(offset..offset + len).unwrap_or_default()
    }

    /// Writes the image back.
    pub(super) fn restore(&self, function: &mut Function, now: Time) {
        let [before, after] = ORDER;
        self.restore_capabilities(function, now, before);
        self.restore_header(function, now);
        self.restore_capabilities(function, now, after);
    }

    /// The DWORDs that differ, from the last down to Command, so that nothing decodes before it has
    /// its address.
    fn restore_header(&self, function: &mut Function, now: Time) {
        for offset in (0..HEADER_BYTES).step_by(4).rev() {
            let mut present = [0; 4];
            function.config().read(offset as u64, &mut present);
            let saved = self.bytes(offset, 4);
            if present != saved {
                function.config_write(now, offset as u64, saved);
            }
        }
    }

    /// Writes the BARs back and nothing else (`pci_restore_bars`).
    pub(super) fn restore_bars(&self, function: &mut Function, now: Time) {
        function.config_write(now, 0x10, self.bytes(0x10, 0x18));
        function.config_write(now, 0x30, self.bytes(0x30, 4));
    }

    fn restore_capabilities(
        &self,
        function: &mut Function,
        now: Time,
        which: fn(CapabilityId) -> Option<Registers>,
    ) {
        let writes: Vec<(usize, usize)> = function
            .config()
            .capabilities()
            .flat_map(|placed| {
                let capability = placed.capability.get();
                let start = usize::from(placed.offset);
                let body = 4..4 * capability.registers().len();
                let is_conventional = !capability.id().is_extended();
                let at = |offsets: &[u16], len: usize| -> Vec<(usize, usize)> {
                    let inside = offsets.iter().map(|offset| usize::from(*offset));
                    inside
                        .filter(|offset| *offset < body.end)
                        .map(|offset| (start + offset, len))
                        .collect()
                };
                match which(capability.id()) {
                    None => Vec::new(),
                    Some(Registers::Words(offsets)) => at(offsets, 2),
                    Some(Registers::Dwords(offsets)) => at(offsets, 4),
                    Some(Registers::Body) => {
                        let mut writes: Vec<(usize, usize)> = body
                            .clone()
                            .step_by(4)
                            .rev()
                            .map(|offset| (start + offset, 4))
                            .collect();
                        if is_conventional {
                            writes.push((start + 2, 2));
                        }
                        writes
                    }
                }
            })
            .collect();
        for (offset, len) in writes {
            function.config_write(now, offset as u64, self.bytes(offset, len));
        }
    }
}
