//! The places of capabilities in config space and their links.

use super::error::Mistake;
use super::named::Named;
use super::tables::Capabilities;
use crate::capability::CapabilityId;
use crate::config::{LayoutError, Placement};
use crate::pci::{self, ConventionalId};

/// Ids of which a function has at most one capability (PCIe Base §7.5.2, §7.5.3, §7.7.1, §7.7.2).
const UNIQUE: [(ConventionalId, &str); 4] = [
    (ConventionalId::PowerManagement, "power management"),
    (ConventionalId::Msi, "MSI"),
    (ConventionalId::PciExpress, "PCI Express"),
    (ConventionalId::Msix, "MSI-X"),
];

/// Preferred multiple of an automatic offset, as in most silicon.
const ALIGNMENT: usize = 0x10;

/// Capabilities in the order of their lists, and the key of each.
#[derive(Debug)]
pub(super) struct Layout {
    pub placements: Vec<Placement>,
    pub origins: Vec<Origin>,
}

/// The table that describes a capability.
#[derive(Debug)]
pub(super) struct Origin {
    offset: u16,
    name: &'static str,
    key: String,
}

/// Gives every capability an offset, and places those of a list in its order.
pub(super) fn place(tables: &Capabilities, made: Vec<Named>) -> Result<Layout, Mistake> {
    let mut taken: Vec<(usize, usize)> = made
        .iter()
        .filter_map(|named| Some((usize::from(named.offset?), named.len())))
        .collect();
    let mut placed = Vec::with_capacity(made.len());
    for named in made {
        let offset = match named.offset {
            Some(offset) => offset,
            None => free_offset(&named, &taken)?,
        };
        if named.offset.is_none() {
            taken.push((usize::from(offset), named.len()));
        }
        placed.push((offset, named));
    }
    placed.sort_by_key(|(offset, _)| *offset);
    let origins = placed
        .iter()
        .map(|(offset, named)| Origin {
            offset: *offset,
            name: named.capability.get().name(),
            key: named.key.clone(),
        })
        .collect();

    let mut placements = Vec::with_capacity(placed.len());
    for (key, list, extended) in [
        ("capabilities.list", &tables.list, false),
        ("capabilities.extended-list", &tables.extended_list, true),
    ] {
        let Some(names) = list else { continue };
        for (position, name) in names.iter().enumerate() {
            let mistake = |message: String| Mistake::new(format!("{key}.{position}"), message);
            let is_it =
                |(_, named): &(u16, Named)| named.name == *name && named.is_extended() == extended;
            let Some(at) = placed.iter().position(is_it) else {
                return Err(mistake(absent(name, names, position, &placed, extended)));
            };
            let (offset, named) = placed.remove(at);
            if !named.linked {
                return Err(mistake(format!(
                    "{name} has linked = false; remove one of the two"
                )));
            }
            placements.push(Placement {
                offset,
                linked: true,
                capability: named.capability,
            });
        }
    }
    for (offset, named) in placed {
        let list = if named.is_extended() {
            &tables.extended_list
        } else {
            &tables.list
        };
        placements.push(Placement {
            offset,
            linked: named.linked && list.is_none(),
            capability: named.capability,
        });
    }
    Ok(Layout {
        placements,
        origins,
    })
}

/// Returns the reason for which a list cannot lead to `name`.
fn absent(
    name: &str,
    names: &[String],
    position: usize,
    left: &[(u16, Named)],
    extended: bool,
) -> String {
    if names.iter().take(position).any(|earlier| earlier == name) {
        return format!("{name} is in the list twice; remove one");
    }
    let others: Vec<&str> = left
        .iter()
        .filter(|(_, named)| named.is_extended() == extended)
        .map(|(_, named)| named.name.as_str())
        .collect();
    format!(
        "there is no capability {name} for this list; it can have {}",
        if others.is_empty() {
            "no further ones".to_owned()
        } else {
            others.join(", ")
        }
    )
}

/// Returns the first offset at which the capability overlaps no other.
fn free_offset(named: &Named, taken: &[(usize, usize)]) -> Result<u16, Mistake> {
    let (start, end) = if named.is_extended() {
        (pci::CONVENTIONAL_SIZE, pci::EXTENDED_SIZE)
    } else {
        (pci::header::SIZE, pci::CONVENTIONAL_SIZE)
    };
    let len = named.len();
    let is_free = |offset: &usize| {
        offset + len <= end
            && taken
                .iter()
                .all(|(other, other_len)| offset + len <= *other || other + other_len <= *offset)
    };
    let aligned = (start..end).step_by(ALIGNMENT).find(is_free);
    aligned
        .or_else(|| (start..end).step_by(4).find(is_free))
        .and_then(|offset| u16::try_from(offset).ok())
        .ok_or_else(|| {
            Mistake::new(
                named.key.as_str(),
                format!("there is no room for its {len} bytes from {start:#x} to {end:#x}; remove a capability or move others together"),
            )
        })
}

/// Refuses a second capability, given as bytes, of a kind that a function has at most once.
pub(super) fn check_unique(made: &[Named]) -> Result<(), Mistake> {
    for (position, named) in made.iter().enumerate().filter(|(_, named)| named.linked) {
        let id = named.capability.get().id();
        let Some((_, what)) = UNIQUE
            .into_iter()
            .find(|(unique, _)| id == CapabilityId::Conventional(*unique))
        else {
            continue;
        };
        let earlier = made.iter().take(position).filter(|earlier| earlier.linked);
        if let Some(earlier) = earlier
            .into_iter()
            .find(|earlier| earlier.capability.get().id() == id)
        {
            return Err(Mistake::new(
                format!("{}.id", named.key),
                format!(
                    "a function has one {what} capability at most, and {} is it; remove one or set linked = false",
                    earlier.key
                ),
            ));
        }
    }
    Ok(())
}

/// Returns the mistake of a layout error, at the key of the capability at fault.
pub(super) fn mistake(error: &LayoutError, origins: &[Origin]) -> Mistake {
    let (name, offset, remedy) = match error {
        LayoutError::Unaligned { name, offset } => (name, offset, "choose a multiple of 4"),
        LayoutError::OutOfRange { name, offset, .. } => {
            (name, offset, "move it or leave offset out")
        }
        LayoutError::Overlap { name, offset, .. } => {
            (name, offset, "move one of them or leave offset out")
        }
        LayoutError::FirstExtended { name, offset } => {
            (name, offset, "move it there or begin the list with another")
        }
        LayoutError::Duplicate { .. } => return Mistake::new("capabilities", error),
    };
    let key = origins
        .iter()
        .rev()
        .find(|origin| origin.offset == *offset && origin.name == *name)
        .map_or("capabilities", |origin| &origin.key);
    Mistake::new(format!("{key}.offset"), format!("{error}; {remedy}"))
}
