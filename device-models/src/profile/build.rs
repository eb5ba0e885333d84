//! From tables to the parts of a function.

use super::bars::Bars;
use super::error::Mistake;
use super::tables::{InterruptPin, Rom, Tables};
use super::{doorbells, layout, mappable, rom, virtual_function};
use crate::capability::{EnhancedAllocationConfig, PmConfig};
use crate::config::{ConfigSpace, HeaderConfig, MAX_BARS};
use crate::function::FunctionParts;
use crate::model::{Model, None as NoModel};

const ROM_SIZES: std::ops::RangeInclusive<u32> = 0x800..=0x100_0000;

/// Creates the parts of the function that the tables describe, without a model or memory behind its
/// BARs.
pub(super) fn parts(tables: &Tables) -> Result<FunctionParts, Mistake> {
    if tables.host.max_clients == 0 {
        let message = "no client could open the function; choose 1 or more";
        return Err(Mistake::new("host.max-clients", message));
    }
    virtual_function::check(tables)?;
    let bars = Bars::new(tables)?;
    let header = header(tables, &bars)?;
    let aux_power = tables.platform.aux_power;
    let made = tables
        .capabilities
        .make(&bars, aux_power, tables.identity.multi_function)?;
    let needs_4096 = made.iter().find(|named| named.is_extended());
    let extended = match (tables.identity.config_size, needs_4096) {
        (Some(4096), _) => true,
        (Some(256), None) => false,
        (Some(256), Some(named)) => {
            let message = "needs a config space of 4096 bytes; set identity.config-size = 4096 or remove the capability";
            return Err(Mistake::new(named.key.as_str(), message));
        }
        (Some(size), _) => {
            let message = format!("config space cannot have {size} bytes; choose 256 or 4096");
            return Err(Mistake::new("identity.config-size", message));
        }
        (None, needs_4096) => needs_4096.is_some() || tables.capabilities.pcie.is_some(),
    };
    let layout = layout::place(&tables.capabilities, made)?;
    let config = ConfigSpace::new(&header, layout.placements, extended)
        .map_err(|error| layout::mistake(&error, &layout.origins))?;
    let image = header.rom.map_or_else(Vec::new, |size| {
        rom::image(size, header.vendor_id, header.device_id, header.class)
    });
    let doorbells = doorbells::make(&tables.doorbell, &bars)?;
    let mappable = mappable::make(tables, &bars, config.msix(), &doorbells)?;
    let model: Box<dyn Model> = Box::new(NoModel);
    Ok(FunctionParts {
        config,
        contents: bars.contents,
        mappable,
        rom: image,
        delays: tables.platform.delays,
        doorbells,
        model,
    })
}

/// Returns the properties that the specification forbids and silicon has.
pub(super) fn departures(tables: &Tables) -> Vec<Mistake> {
    let pm = tables.capabilities.pm.as_ref();
    let of_pm = pm.map(PmConfig::departures).unwrap_or_default();
    let of_pm = of_pm.into_iter().map(|departure| {
        let key = format!("capabilities.pm.{}", departure.key());
        Mistake::new(key, departure)
    });
    of_pm.collect()
}

fn header(tables: &Tables, bars: &Bars) -> Result<HeaderConfig, Mistake> {
    let identity = &tables.identity;
    if matches!(identity.vendor_id, 0 | 1 | 0xffff) {
        let message = format!(
            "{:#06x} is not a vendor id: 0 and 0xffff mean that no function is there, 1 that it is not ready; choose another",
            identity.vendor_id
        );
        return Err(Mistake::new("identity.vendor-id", message));
    }
    if identity.class > 0xff_ffff {
        let message = format!(
            "{:#x} has more than 24 bits; write base class, sub-class and programming interface as 0xBBSSPP",
            identity.class
        );
        return Err(Mistake::new("identity.class", message));
    }
    Ok(HeaderConfig {
        vendor_id: identity.vendor_id,
        device_id: identity.device_id,
        revision: identity.revision,
        class: identity.class,
        subsystem_vendor_id: identity.subsystem_vendor_id,
        subsystem_id: identity.subsystem_id,
        multi_function: identity.multi_function,
        interrupt_pin: match identity.interrupt_pin {
            InterruptPin::None => 0,
            InterruptPin::A => 1,
            InterruptPin::B => 2,
            InterruptPin::C => 3,
            InterruptPin::D => 4,
        },
        interrupt_line: identity.interrupt_line,
        immediate_readiness: identity.immediate_readiness,
        min_gnt: identity.min_gnt,
        max_lat: identity.max_lat,
        cardbus_cis: identity.cardbus_cis,
        allocated: tables
            .capabilities
            .enhanced_allocation
            .as_ref()
            .map_or([None; MAX_BARS], EnhancedAllocationConfig::addresses),
        bars: bars.decoded,
        rom: tables.rom.map(rom_size).transpose()?,
        virtual_function: tables.virtual_function_of.is_some(),
    })
}

fn rom_size(rom: Rom) -> Result<u32, Mistake> {
    let size = rom.size;
    if size.is_power_of_two() && ROM_SIZES.contains(&size) {
        return Ok(size);
    }
    let (min, max) = ROM_SIZES.into_inner();
    Err(Mistake::new(
        "rom.size",
        format!(
            "a ROM of {size:#x} bytes has no encoding; choose a power of two from {min:#x} to {max:#x}"
        ),
    ))
}
