//! `mappable` of BARs: the memory that clients may map.

use super::bars::Bars;
use super::error::Mistake;
use super::tables::{AreaTable, Bar, MappableTable, Tables};
use crate::capability::Msix;
use crate::config::BarKind;
use crate::function::{Area, BarContent, Doorbell, Mappable, MappableBar};

/// Size in bytes of a page, the unit of a client's mapping.
const PAGE: u64 = 4096;

/// Maximum end in bytes of the memory in a BAR whose content is the model. The memory up to its
/// last area is the daemon's own.
const MAX_END: u64 = super::bars::MAX_RAM;

/// Pages of a BAR that clients must not map, and their content.
struct Reserved {
    pages: Area,
    what: &'static str,
}

/// Creates the mappable memory that the tables describe. The BARs themselves have been checked.
pub(super) fn make(
    tables: &Tables,
    bars: &Bars,
    msix: Option<&Msix>,
    doorbells: &[Doorbell],
) -> Result<Vec<MappableBar>, Mistake> {
    let mut made = Vec::new();
    for (position, table) in tables.bar.iter().enumerate() {
        let bar = table.index;
        let at = format!("{}.{position}.mappable", super::BAR);
        let reserved = reserved(bar, msix, doorbells);
        let size = sizes(tables, table).fold(table.size, u64::min);
        let largest = sizes(tables, table).fold(table.size, u64::max);
        let content = bars.content(bar);
        let memory = match &table.mappable {
            MappableTable::All(false) => continue,
            _ if table.kind == BarKind::Io || size < PAGE => Err(Mistake::new(
                at,
                "only memory BARs of 4096 bytes and more can be mapped; leave mappable out",
            )),
            MappableTable::All(true) => {
                all(bar, size, content, &reserved).map_err(|message| Mistake::new(at, message))
            }
            MappableTable::Areas(areas) => {
                let limit = match content {
                    BarContent::Ram => size,
                    BarContent::Model => size.min(MAX_END),
                };
                named(&at, areas, limit, &reserved)
            }
        }?;
        made.push(MappableBar {
            bar,
            memory,
            largest,
        });
    }
    Ok(made)
}

/// Returns the sizes that the BAR can be given.
fn sizes(tables: &Tables, table: &Bar) -> impl Iterator<Item = u64> {
    let index = table.index;
    let resizable = tables.capabilities.resizable_bar.iter();
    let sizes = resizable
        .flat_map(|config| &config.bars)
        .filter(move |resizable| resizable.bar == index)
        .flat_map(|resizable| &resizable.sizes);
    sizes.copied()
}

/// Returns the ranges of a BAR that are not memory, in ascending order.
fn reserved(bar: u8, msix: Option<&Msix>, doorbells: &[Doorbell]) -> Vec<Reserved> {
    let tables = msix.into_iter().flat_map(|msix| {
        let (table, pba) = (msix.table_extent(), msix.pba_extent());
        [(table, "the MSI-X table"), (pba, "the MSI-X PBA")]
    });
    let tables = tables.map(|(extent, what)| (extent.bar, extent.start, extent.end, what));
    let doorbells = doorbells.iter().map(|doorbell| {
        let end = doorbell.offset.saturating_add(doorbell.size.into());
        (doorbell.bar, doorbell.offset, end, "a doorbell")
    });
    let mut reserved: Vec<Reserved> = tables
        .chain(doorbells)
        .filter(|(at, ..)| *at == bar)
        .map(|(_, start, end, what)| {
            let offset = start - start % PAGE;
            let size = (end - offset).next_multiple_of(PAGE);
            let pages = Area { offset, size };
            Reserved { pages, what }
        })
        .collect();
    reserved.sort_by_key(|reserved| reserved.pages.offset);
    reserved
}

/// Returns all pages of a BAR except the reserved ones.
fn all(bar: u8, size: u64, content: BarContent, reserved: &[Reserved]) -> Result<Mappable, String> {
    if content != BarContent::Ram {
        return Err("only memory can be mapped; say content = \"ram\", name the areas that are to be memory, or leave mappable out".to_owned());
    }
    if reserved.is_empty() {
        return Ok(Mappable::Whole);
    }
    let mut areas = Vec::new();
    let mut from = 0;
    for (start, next) in reserved
        .iter()
        .map(|reserved| (reserved.pages.offset, reserved.pages.end()))
        .chain([(size, size)])
    {
        if start > from {
            let size = start - from;
            areas.push(Area { offset: from, size });
        }
        from = next.max(from);
    }
    if areas.is_empty() {
        let what = reserved.first().map_or("", |reserved| reserved.what);
        return Err(format!(
            "no page of BAR {bar} is left to map, because of {what}; enlarge the BAR, or leave mappable out"
        ));
    }
    Ok(Mappable::Areas(areas))
}

/// Returns the areas that a profile names, below `limit`.
fn named(
    at: &str,
    tables: &[AreaTable],
    limit: u64,
    reserved: &[Reserved],
) -> Result<Mappable, Mistake> {
    if tables.is_empty() {
        let message = "there is no area; name one, or leave mappable out";
        return Err(Mistake::new(at, message));
    }
    let mut areas: Vec<Area> = Vec::with_capacity(tables.len());
    for (position, &AreaTable { offset, size }) in tables.iter().enumerate() {
        let mistake =
            |key: &str, message: String| Mistake::new(format!("{at}.{position}.{key}"), message);
        for (key, value) in [("offset", offset), ("size", size)] {
            if value % PAGE != 0 {
                let message = format!(
                    "{value:#x} is not a whole number of pages; choose a multiple of 0x1000"
                );
                return Err(mistake(key, message));
            }
        }
        let area = Area { offset, size };
        let end = area.end();
        if size == 0 {
            let message = "an area of no bytes; choose 0x1000 or more, or remove it";
            return Err(mistake("size", message.to_owned()));
        }
        if end > limit {
            let message = format!(
                "the area ends at {end:#x}, and the last place for an end is {limit:#x}; move it or make it smaller"
            );
            return Err(mistake("size", message));
        }
        let meets = |other: &Area| other.offset < end && offset < other.end();
        if let Some(earlier) = areas.iter().position(meets) {
            let message = format!("this area and area {earlier} overlap; move one of them");
            return Err(mistake("offset", message));
        }
        if let Some(Reserved { pages, what }) = reserved.iter().find(|other| meets(&other.pages)) {
            let message = format!(
                "{what} is in the pages from {:#x} to {:#x}, and a client that maps them cannot reach it; leave them out",
                pages.offset,
                pages.end()
            );
            return Err(mistake("offset", message));
        }
        areas.push(area);
    }
    areas.sort_by_key(|area| area.offset);
    Ok(Mappable::Areas(areas))
}
