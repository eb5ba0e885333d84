//! The PCI core's saved image of a function's config space (`pci_save_state`, `pci_restore_state`).
//!
//! The header and the standard capabilities are restored. Vendor-specific registers, registers
//! behind BARs, device memory and PMCSR are not.

use crate::capability::CapabilityId;
use crate::function::Function;
use crate::pci::{
    ConventionalId, ExtendedId, error_reporting, express, header, l1_pm_substates, single_root,
};
use crate::snapshot::{RestoreError, hex, unhex};
use crate::time::Time;

/// An image of config space. An empty one restores nothing.
#[derive(Clone, Debug)]
pub(super) struct ConfigImage(Vec<u8>);

/// The time at which a capability is written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    BeforeHeader,
    AfterHeader,
}

/// The registers of a capability that are written back.
#[derive(Clone, Copy)]
enum Registers {
    /// 16-bit registers at these offsets.
    Words(&'static [usize]),
    /// DWORDs at these offsets.
    Dwords(&'static [usize]),
    /// Everything after the header, from the end.
    Body,
}

/// Returns the registers of a capability that are written back, and the time of it. `None` stands
/// for no registers.
const fn written_back(id: CapabilityId) -> Option<(Order, Registers)> {
    use Order::{AfterHeader, BeforeHeader};
    use Registers::{Body, Dwords, Words};
    match id {
        CapabilityId::Conventional(id) => match id {
            // What they point to first, the control register in the first DWORD last.
            ConventionalId::Msi | ConventionalId::Msix => Some((AfterHeader, Body)),
            ConventionalId::PciExpress => {
                const CONTROLS: &[usize] = &[
                    express::DEVICE_CONTROL,
                    express::LINK_CONTROL,
                    express::DEVICE_CONTROL_2,
                    express::LINK_CONTROL_2,
                ];
                Some((BeforeHeader, Words(CONTROLS)))
            }
            ConventionalId::PowerManagement
            | ConventionalId::VendorSpecific
            | ConventionalId::EnhancedAllocation
            | ConventionalId::Other(_) => None,
        },
        CapabilityId::Extended { id, .. } => match id {
            // Masks, severity and control, but no status.
            ExtendedId::AdvancedErrorReporting => {
                const SETTINGS: &[usize] = &[
                    error_reporting::UNCORRECTABLE_MASK,
                    error_reporting::UNCORRECTABLE_SEVERITY,
                    error_reporting::CORRECTABLE_MASK,
                    error_reporting::CONTROL,
                ];
                Some((BeforeHeader, Dwords(SETTINGS)))
            }
            ExtendedId::L1PmSubstates => {
                const CONTROLS: &[usize] =
                    &[l1_pm_substates::CONTROL_2, l1_pm_substates::CONTROL_1];
                Some((BeforeHeader, Dwords(CONTROLS)))
            }
            // NumVFs and Control are the host's own knowledge (`sriov_restore_state`).
            ExtendedId::SingleRootIoVirtualization => {
                const SETTINGS: &[usize] = &[
                    single_root::SYSTEM_PAGE_SIZE,
                    single_root::VF_BAR_0,
                    single_root::VF_BAR_0 + 4,
                    single_root::VF_BAR_0 + 8,
                    single_root::VF_BAR_0 + 12,
                    single_root::VF_BAR_0 + 16,
                    single_root::VF_BAR_0 + 20,
                ];
                Some((AfterHeader, Dwords(SETTINGS)))
            }
            ExtendedId::VirtualChannel
            | ExtendedId::LatencyToleranceReporting
            | ExtendedId::ResizableBar
            | ExtendedId::AddressTranslationServices
            | ExtendedId::PageRequest
            | ExtendedId::Pasid
            | ExtendedId::AccessControlServices
            | ExtendedId::DownstreamPortContainment
            | ExtendedId::PrecisionTimeMeasurement
            | ExtendedId::TphRequester => Some((BeforeHeader, Body)),
            ExtendedId::DeviceSerialNumber
            | ExtendedId::PowerBudgeting
            | ExtendedId::VendorSpecific
            | ExtendedId::DynamicPowerAllocation
            | ExtendedId::Other(_) => None,
        },
        CapabilityId::DeviceSpecific { .. } => None,
    }
}

impl ConfigImage {
    /// Takes the image. The header of a function that does not answer reads as ones, which are restored
    /// like anything else; capabilities keep what they had. A virtual function that does not exist has
    /// no image.
    pub(super) fn take(function: &Function, now: Time) -> Self {
        if !function.exists() {
            return Self(Vec::new());
        }
        let config = function.config();
        let mut image = vec![0; usize::from(config.size())];
        config.read(0, &mut image);
        if !function.will_answer(now) {
            // The driver restores BARs from the host's resources (`vfio_bar_restore`).
            let read = [
                0..header::BASE_ADDRESS_0,
                header::BASE_ADDRESS_0 + header::BASE_ADDRESSES_SIZE..header::ROM_ADDRESS,
                header::ROM_ADDRESS + 4..header::SIZE,
            ];
            for registers in read {
                if let Some(registers) = image.get_mut(registers) {
                    registers.fill(0xff);
                }
            }
        }
        Self(image)
    }

    /// Returns the image as hexadecimal text.
    pub(super) fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Parses the text of [`Self::hex`] for a config space of `size` bytes. `at` is its place in
    /// the tree.
    pub(super) fn of_hex(at: &str, text: &str, size: usize) -> Result<Self, RestoreError> {
        let image = unhex(at, text)?;
        if image.is_empty() || image.len() == size {
            return Ok(Self(image));
        }
        let reason = format!("{} bytes instead of {size}", image.len());
        Err(RestoreError::part(at, reason))
    }

    fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        self.0.get(offset..offset + len).unwrap_or_default()
    }

    /// Writes the image back, and clears the error status of Advanced Error Reporting.
    pub(super) fn restore(&self, function: &mut Function, now: Time) {
        if self.0.is_empty() {
            return;
        }
        clear_errors(function, now);
        self.restore_capabilities(function, now, Order::BeforeHeader);
        self.restore_header(function, now);
        self.restore_capabilities(function, now, Order::AfterHeader);
    }

    /// Writes back the DWORDs that differ, from the last down to Command, so that nothing decodes
    /// before it has its address.
    fn restore_header(&self, function: &mut Function, now: Time) {
        for offset in (0..header::SIZE).step_by(4).rev() {
            let mut present = [0; 4];
            function.config().read(offset as u64, &mut present);
            let saved = self.bytes(offset, 4);
            if present != saved {
                function.config_write(now, offset as u64, saved);
            }
        }
    }

    /// Writes back only the BARs (`pci_restore_bars`).
    pub(super) fn restore_bars(&self, function: &mut Function, now: Time) {
        if self.0.is_empty() {
            return;
        }
        for (offset, len) in [
            (header::BASE_ADDRESS_0, header::BASE_ADDRESSES_SIZE),
            (header::ROM_ADDRESS, 4),
        ] {
            function.config_write(now, offset as u64, self.bytes(offset, len));
        }
    }

    fn restore_capabilities(&self, function: &mut Function, now: Time, order: Order) {
        let writes: Vec<(usize, usize)> = function
            .config()
            .capabilities()
            .flat_map(|placed| {
                let capability = placed.capability.get();
                let start = usize::from(placed.offset);
                let body = 4..4 * capability.registers().len();
                let is_conventional = !capability.id().is_extended();
                let at = |offsets: &[usize], len: usize| -> Vec<(usize, usize)> {
                    let inside = offsets.iter().filter(|offset| **offset < body.end);
                    inside.map(|offset| (start + offset, len)).collect()
                };
                let registers = written_back(capability.id())
                    .filter(|(when, _)| *when == order)
                    .map(|(_, registers)| registers);
                match registers {
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

/// Clears the status registers of Advanced Error Reporting (`pci_aer_clear_status`).
fn clear_errors(function: &mut Function, now: Time) {
    let start = function
        .config()
        .extended_at(ExtendedId::AdvancedErrorReporting);
    let Some(start) = start else {
        return;
    };
    for status in [
        error_reporting::CORRECTABLE_STATUS,
        error_reporting::UNCORRECTABLE_STATUS,
    ] {
        let offset = u64::from(start) + status as u64;
        let mut errors = [0; 4];
        function.config_read(now, offset, &mut errors);
        if errors != [0; 4] {
            function.config_write(now, offset, &errors);
        }
    }
}
