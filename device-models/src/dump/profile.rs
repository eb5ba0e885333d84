//! A profile from a dumped function.

use std::fmt::Write;

use super::DumpedFunction;
use crate::capability::{AUX_CURRENT_MA, AerConfig, Pmc, Pmcsr};
use crate::config::MAX_BARS;
use crate::pci::{
    CONVENTIONAL_SIZE, ConventionalId, EXTENDED_SIZE, ExtendedId, error_reporting, express, header,
    power_management,
};
use crate::power::PowerState;

/// Size of a memory BAR that nothing tells more about.
const MEMORY: u64 = 0x1000;
/// Size of an I/O BAR that nothing tells more about.
const IO: u64 = 0x10;

/// A BAR as a dump shows it. Its size is a guess.
struct Bar {
    index: usize,
    kind: &'static str,
    prefetchable: bool,
    size: u64,
}

/// A structure of Enhanced Allocation: BAR, base and size.
struct Resource {
    bar: u8,
    primary: u8,
    secondary: u8,
    wide: bool,
    base: u64,
    size: u64,
}

impl DumpedFunction {
    /// Writes a profile of the function: its identity, BARs and all capabilities that the lists lead to.
    ///
    /// A dump has no sizes of BARs: they are as small as the dump allows. Bits that software had written
    /// when the dump was made are reset values only of structures that are given as bytes.
    #[must_use]
    pub fn profile(&self, name: &str) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_profile(name, &mut text);
        text
    }

    fn write_profile(&self, name: &str, to: &mut String) -> std::fmt::Result {
        let class = self.dword(header::CLASS_REVISION) >> 8;
        writeln!(to, "name = {name:?}")?;
        writeln!(to, "description = {:?}\n\n[identity]", self.title)?;
        writeln!(to, "vendor-id = {:#06x}", self.word(header::VENDOR_ID))?;
        writeln!(to, "device-id = {:#06x}", self.word(header::VENDOR_ID + 2))?;
        writeln!(to, "revision = {:#04x}", self.byte(header::CLASS_REVISION))?;
        writeln!(to, "class = {class:#08x}")?;
        let subsystem = header::SUBSYSTEM_VENDOR_ID;
        writeln!(to, "subsystem-vendor-id = {:#06x}", self.word(subsystem))?;
        writeln!(to, "subsystem-id = {:#06x}", self.word(subsystem + 2))?;
        let pin = self.byte(header::INTERRUPT_PIN);
        let pin = ["none", "A", "B", "C", "D"].get(usize::from(pin));
        writeln!(to, "interrupt-pin = {:?}", pin.unwrap_or(&"unknown"))?;
        writeln!(to, "interrupt-line = 0xff")?;
        for (key, offset) in [("min-gnt", header::MIN_GNT), ("max-lat", header::MAX_LAT)] {
            if self.byte(offset) != 0 {
                writeln!(to, "{key} = {}", self.byte(offset))?;
            }
        }
        if self.dword(header::CARDBUS_CIS) != 0 {
            writeln!(to, "cardbus-cis = {:#x}", self.dword(header::CARDBUS_CIS))?;
        }
        for (key, is_set) in [
            ("multi-function", self.byte(header::HEADER_TYPE) & 0x80 != 0),
            ("immediate-readiness", self.byte(header::STATUS) & 1 != 0),
        ] {
            if is_set {
                writeln!(to, "{key} = true")?;
            }
        }
        let size = if self.bytes.len() > CONVENTIONAL_SIZE {
            EXTENDED_SIZE
        } else {
            CONVENTIONAL_SIZE
        };
        writeln!(to, "config-size = {size}")?;
        self.write_bars(to)?;
        self.write_capabilities(to)
    }

    fn write_bars(&self, to: &mut String) -> std::fmt::Result {
        for Bar {
            index,
            kind,
            prefetchable,
            size,
        } in self.bars()
        {
            writeln!(to, "\n[[bar]]\nindex = {index}\nkind = {kind:?}")?;
            writeln!(to, "size = {size:#x}")?;
            if prefetchable {
                writeln!(to, "prefetchable = true")?;
            }
        }
        let rom = self.dword(header::ROM_ADDRESS) & !0x7ff;
        if rom != 0 {
            let size = (1_u32 << rom.trailing_zeros()).min(0x10_0000);
            writeln!(to, "\n[rom]\nsize = {size:#x}")?;
        }
        Ok(())
    }

    /// Returns the BARs with the smallest sizes that hold an MSI-X structure and its PBA.
    fn bars(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        let mut index = 0;
        while index < MAX_BARS {
            let low = self.dword(header::BASE_ADDRESS_0 + 4 * index);
            let wide = low & 0x7 == 0x4;
            if low != 0 {
                let (kind, smallest) = match low & 1 {
                    1 => ("io", IO),
                    _ if wide => ("memory64", MEMORY),
                    _ => ("memory32", MEMORY),
                };
                let address = u64::from(low & if low & 1 == 1 { !0x3 } else { !0xf });
                let aligned = match address {
                    0 => smallest,
                    address => smallest.min(1 << address.trailing_zeros()),
                };
                bars.push(Bar {
                    index,
                    kind,
                    prefetchable: low & 0x9 == 0x8,
                    size: aligned.max(self.msix_end(index).next_power_of_two()),
                });
            }
            index += if wide && low & 1 == 0 { 2 } else { 1 };
        }
        for resource in self.resources() {
            if usize::from(resource.bar) < MAX_BARS {
                bars.push(Bar {
                    index: resource.bar.into(),
                    kind: match resource.primary {
                        2 => "io",
                        _ if resource.wide => "memory64",
                        _ => "memory32",
                    },
                    prefetchable: resource.primary == 1,
                    size: resource.size,
                });
            }
        }
        bars
    }

    /// Returns the end of MSI-X table and PBA in a BAR.
    fn msix_end(&self, bar: usize) -> u64 {
        let msix = ConventionalId::Msix.number();
        let (capabilities, _) = self.capabilities();
        let Some((at, _)) = capabilities.into_iter().find(|(_, id)| *id == msix) else {
            return 0;
        };
        let vectors = u64::from(self.word(at + 2) & 0x7ff) + 1;
        let end = |register: u32, len: u64| {
            let inside = register as usize & 7 == bar;
            if inside {
                u64::from(register & !7) + len
            } else {
                0
            }
        };
        let table = end(self.dword(at + 4), 16 * vectors);
        table.max(end(self.dword(at + 8), 8 * vectors.div_ceil(64)))
    }

    fn resources(&self) -> Vec<Resource> {
        let id = ConventionalId::EnhancedAllocation.number();
        let (capabilities, _) = self.capabilities();
        let Some((start, _)) = capabilities.into_iter().find(|(_, found)| *found == id) else {
            return Vec::new();
        };
        let mut resources = Vec::new();
        let mut at = start + 4;
        for _ in 0..self.byte(start + 2) & 0x3f {
            let (first, base, last) = (self.dword(at), self.dword(at + 4), self.dword(at + 8));
            let base_high = if base & 2 != 0 {
                self.dword(at + 12)
            } else {
                0
            };
            let last_at = at + 12 + if base & 2 != 0 { 4 } else { 0 };
            let last_high = if last & 2 != 0 {
                self.dword(last_at)
            } else {
                0
            };
            let whole = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low & !3);
            resources.push(Resource {
                bar: (first >> 4 & 0xf) as u8,
                primary: (first >> 8) as u8,
                secondary: (first >> 16) as u8,
                wide: (base | last) & 2 != 0,
                base: whole(base_high, base),
                size: whole(last_high, last).saturating_add(4),
            });
            at += 4 + 4 * (first as usize & 7);
        }
        resources
    }

    fn write_capabilities(&self, to: &mut String) -> std::fmt::Result {
        let (conventional, extended) = self.capabilities();
        let mut tables = String::new();
        let (mut list, mut extended_list) = (Vec::new(), Vec::new());
        let starts: Vec<usize> = conventional
            .iter()
            .map(|(at, _)| *at)
            .chain(extended.iter().map(|(at, _)| *at))
            .collect();
        let room = |at: usize| {
            let end = if at < CONVENTIONAL_SIZE {
                CONVENTIONAL_SIZE
            } else {
                EXTENDED_SIZE
            };
            let next = starts.iter().copied().filter(|start| *start > at).min();
            next.map_or(end, |next| next.min(end)) - at
        };
        for (at, id) in conventional {
            let known = match ConventionalId::of(id) {
                ConventionalId::PowerManagement => self.pm(at, &mut tables)?,
                ConventionalId::Msi => self.msi(at, &mut tables)?,
                ConventionalId::PciExpress => self.pcie(at, &mut tables)?,
                ConventionalId::Msix => self.msix(at, &mut tables)?,
                ConventionalId::EnhancedAllocation => self.allocation(at, &mut tables)?,
                _ => None,
            };
            list.push(match known {
                Some(name) => name.to_owned(),
                None => self.raw(at, room(at), None, &mut tables)?,
            });
        }
        for (at, id) in extended {
            let known = match ExtendedId::of(id) {
                ExtendedId::AdvancedErrorReporting => self.aer(at, room(at), &mut tables)?,
                ExtendedId::DeviceSerialNumber => self.dsn(at, &mut tables)?,
                _ => None,
            };
            extended_list.push(match known {
                Some(name) => name.to_owned(),
                None => self.raw(at, room(at), Some(id), &mut tables)?,
            });
        }
        writeln!(to, "\n[capabilities]\nlist = {list:?}")?;
        writeln!(to, "extended-list = {extended_list:?}")?;
        to.push_str(&tables);
        Ok(())
    }

    fn pm(&self, at: usize, to: &mut String) -> Result<Option<&'static str>, std::fmt::Error> {
        let pmc = Pmc::from(self.word(at + power_management::PMC));
        let pmcsr = Pmcsr::from(self.word(at + power_management::PMCSR));
        let data = self.byte(at + power_management::DATA);
        let from: Vec<&str> = PowerState::ALL
            .into_iter()
            .zip(["d0", "d1", "d2", "d3hot", "d3cold"])
            .filter(|(state, _)| pmc.pme_support() & state.pme_support_bit() != 0)
            .map(|(_, name)| name)
            .collect();
        let current = AUX_CURRENT_MA.get(usize::from(pmc.aux_current()));
        writeln!(to, "\n[capabilities.pm]\noffset = {at:#x}")?;
        writeln!(to, "version = {}", pmc.version())?;
        writeln!(to, "pme-from = {from:?}")?;
        writeln!(to, "aux-current-ma = {}", current.unwrap_or(&0))?;
        for (key, is_set) in [
            ("d1", pmc.d1_support()),
            ("d2", pmc.d2_support()),
            ("dsi", pmc.dsi()),
            ("no-soft-reset", pmcsr.no_soft_reset()),
            (
                "immediate-readiness",
                pmc.immediate_readiness_on_return_to_d0(),
            ),
        ] {
            if is_set {
                writeln!(to, "{key} = true")?;
            }
        }
        if data != 0 || pmcsr.data_scale() != 0 {
            let (select, scale) = (pmcsr.data_select(), pmcsr.data_scale());
            writeln!(
                to,
                "data = [{{ select = {select}, scale = {scale}, value = {data} }}]"
            )?;
        }
        Ok(Some("pm"))
    }

    fn msi(&self, at: usize, to: &mut String) -> Result<Option<&'static str>, std::fmt::Error> {
        let control = self.word(at + 2);
        writeln!(to, "\n[capabilities.msi]\noffset = {at:#x}")?;
        writeln!(to, "vectors = {}", 1 << (control >> 1 & 7))?;
        writeln!(to, "address-64 = {}", control & 0x80 != 0)?;
        writeln!(to, "per-vector-mask = {}", control & 0x100 != 0)?;
        Ok(Some("msi"))
    }

    fn msix(&self, at: usize, to: &mut String) -> Result<Option<&'static str>, std::fmt::Error> {
        let (table, pba) = (self.dword(at + 4), self.dword(at + 8));
        writeln!(to, "\n[capabilities.msix]\noffset = {at:#x}")?;
        writeln!(to, "vectors = {}", (self.word(at + 2) & 0x7ff) + 1)?;
        writeln!(to, "table-bar = {}", table & 7)?;
        writeln!(to, "table-offset = {:#x}", table & !7)?;
        writeln!(to, "pba-bar = {}\npba-offset = {:#x}", pba & 7, pba & !7)?;
        Ok(Some("msix"))
    }

    fn allocation(
        &self,
        at: usize,
        to: &mut String,
    ) -> Result<Option<&'static str>, std::fmt::Error> {
        writeln!(to, "\n[capabilities.enhanced-allocation]")?;
        writeln!(to, "offset = {at:#x}\nentries = [")?;
        for resource in self.resources() {
            let Resource {
                bar,
                primary,
                secondary,
                wide,
                base,
                size,
            } = resource;
            writeln!(
                to,
                "    {{ bar = {bar}, base = {base:#x}, size = {size:#x}, primary = {primary}, secondary = {secondary}, address-64 = {wide} }},"
            )?;
        }
        writeln!(to, "]")?;
        Ok(Some("enhanced-allocation"))
    }

    fn pcie(&self, at: usize, to: &mut String) -> Result<Option<&'static str>, std::fmt::Error> {
        let capabilities = self.word(at + 2);
        let version = capabilities & 0xf;
        let kind = match capabilities >> 4 & 0xf {
            0 => "endpoint",
            1 => "legacy-endpoint",
            4 => "root-port",
            5 => "upstream-port",
            6 => "downstream-port",
            7 | 8 => "bridge",
            9 => "root-complex-integrated-endpoint",
            10 => "root-complex-event-collector",
            _ => "unknown",
        };
        let has_link = matches!(kind, "endpoint" | "legacy-endpoint");
        writeln!(to, "\n[capabilities.pcie]\noffset = {at:#x}")?;
        writeln!(to, "version = {version}\ntype = {kind:?}")?;
        writeln!(to, "interrupt-message = {}", capabilities >> 9 & 0x1f)?;
        let aux_power = self.word(at + express::DEVICE_STATUS) & 0x10 != 0;
        writeln!(to, "needs-aux-power = {aux_power}")?;
        let mut dword =
            |key: &str, offset: usize| writeln!(to, "{key} = {:#010x}", self.dword(at + offset));
        dword("device-capabilities", express::DEVICE_CAPABILITIES)?;
        // An integrated endpoint may have the registers of a link all the same.
        let link = has_link || self.dword(at + 0x0c) != 0 && version != 1;
        if link {
            dword("link-capabilities", 0x0c)?;
        }
        if version != 1 {
            dword("device-capabilities-2", 0x24)?;
        }
        if version != 1 && link {
            dword("link-capabilities-2", 0x2c)?;
        }
        let mut word =
            |key: &str, offset: usize| writeln!(to, "{key} = {:#06x}", self.word(at + offset));
        if link {
            word("link-status", express::LINK_STATUS)?;
        }
        if link && version != 1 {
            word("link-control-2", express::LINK_CONTROL_2)?;
            word("link-status-2", express::LINK_CONTROL_2 + 2)?;
        }
        Ok(Some("pcie"))
    }

    fn aer(
        &self,
        at: usize,
        room: usize,
        to: &mut String,
    ) -> Result<Option<&'static str>, std::fmt::Error> {
        let version = self.dword(at) >> 16 & 0xf;
        let control = self.dword(at + error_reporting::CONTROL);
        let bits = |offsets: &[usize]| {
            let each = offsets.iter().map(|offset| self.dword(at + offset));
            each.fold(0, |bits, register| bits | register)
        };
        let default = AerConfig::default();
        let uncorrectable = bits(&[
            error_reporting::UNCORRECTABLE_STATUS,
            error_reporting::UNCORRECTABLE_MASK,
            error_reporting::UNCORRECTABLE_SEVERITY,
        ]);
        let correctable = bits(&[
            error_reporting::CORRECTABLE_STATUS,
            error_reporting::CORRECTABLE_MASK,
        ]);
        writeln!(to, "\n[capabilities.aer]\noffset = {at:#x}")?;
        writeln!(to, "version = {version}")?;
        for (key, value) in [
            ("uncorrectable", uncorrectable | default.uncorrectable),
            ("correctable", correctable | default.correctable),
            (
                "uncorrectable-mask",
                self.dword(at + error_reporting::UNCORRECTABLE_MASK),
            ),
            (
                "uncorrectable-severity",
                self.dword(at + error_reporting::UNCORRECTABLE_SEVERITY),
            ),
            (
                "correctable-mask",
                self.dword(at + error_reporting::CORRECTABLE_MASK),
            ),
        ] {
            writeln!(to, "{key} = {value:#010x}")?;
        }
        writeln!(to, "ecrc = {}", control & 0xa0 == 0xa0)?;
        writeln!(to, "multiple-header-recording = {}", control & 0x200 != 0)?;
        writeln!(to, "completion-timeout-log = {}", control & 0x1000 != 0)?;
        writeln!(to, "header-log-size = {}", control >> 13 & 0x1f)?;
        let prefix = version >= 2 && room >= 0x48;
        writeln!(to, "tlp-prefix-log = {prefix}")?;
        Ok(Some("aer"))
    }

    fn dsn(&self, at: usize, to: &mut String) -> Result<Option<&'static str>, std::fmt::Error> {
        let serial = (0..8).rev().map(|byte| self.byte(at + 4 + byte));
        let serial: Vec<String> = serial.map(|byte| format!("{byte:02x}")).collect();
        writeln!(to, "\n[capabilities.dsn]\noffset = {at:#x}")?;
        writeln!(to, "serial = {:?}", serial.join("-"))?;
        Ok(Some("dsn"))
    }

    /// Writes a structure as bytes, up to the next one, and returns its name. Zeros at its end are left
    /// out: nothing is there either.
    fn raw(
        &self,
        at: usize,
        room: usize,
        extended: Option<u16>,
        to: &mut String,
    ) -> Result<String, std::fmt::Error> {
        let header = if extended.is_some() { 4 } else { 2 };
        let mut bytes: Vec<u8> = (header..room)
            .map(|offset| self.byte(at + offset))
            .collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        let name = format!("at-{at:x}");
        writeln!(to, "\n[[capabilities.raw]]\nname = {name:?}")?;
        writeln!(to, "offset = {at:#x}")?;
        match extended {
            Some(id) => {
                writeln!(to, "extended = true\nid = {id:#06x}")?;
                writeln!(to, "version = {}", self.dword(at) >> 16 & 0xf)?;
            }
            None => writeln!(to, "id = {:#04x}", self.byte(at))?,
        }
        write!(to, "bytes = [")?;
        for (position, byte) in bytes.iter().enumerate() {
            let gap = if position % 16 == 0 { "\n    " } else { " " };
            write!(to, "{gap}{byte:#04x},")?;
        }
        writeln!(to, "\n]")?;
        Ok(name)
    }
}
