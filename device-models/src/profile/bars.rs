//! BARs, and other keys that refer to them.

use super::error::Mistake;
use super::tables::{Bar, Tables};
use crate::capability::{Extent, Msix, ResizableBarConfig, ResizableBarSizes};
use crate::config::{BarConfig, BarError, BarKind, MAX_BARS};
use crate::function::BarContent;
use crate::model::RAM;

/// Maximum memory behind a BAR with content "ram", in bytes. It is the daemon's own memory.
pub(super) const MAX_RAM: u64 = 1 << 30;

/// The ranges that the BARs decode and their contents.
#[derive(Debug)]
pub(super) struct Bars {
    pub decoded: [Option<BarConfig>; MAX_BARS],
    pub contents: [BarContent; MAX_BARS],
}

impl Bars {
    pub(super) fn new(tables: &Tables) -> Result<Self, Mistake> {
        let mut bars = Self {
            decoded: [None; MAX_BARS],
            contents: [BarContent::Model; MAX_BARS],
        };
        let default = if tables.model.name == RAM {
            BarContent::Ram
        } else {
            BarContent::Model
        };
        for (position, table) in tables.bar.iter().enumerate() {
            let at = format!("{}.{position}", super::BAR);
            let content = table.content.unwrap_or(default);
            bars.add(&at, table, content)?;
        }
        bars.check_pairs(&tables.bar)?;
        Ok(bars)
    }

    fn add(&mut self, at: &str, table: &Bar, content: BarContent) -> Result<(), Mistake> {
        let index = usize::from(table.index);
        let mistake = |key: &str, message: String| Mistake::new(format!("{at}.{key}"), message);
        let (Some(decoded), Some(to)) = (self.decoded.get_mut(index), self.contents.get_mut(index))
        else {
            return Err(mistake(
                "index",
                format!("there is no BAR {index}; BARs are 0 to 5"),
            ));
        };
        if decoded.is_some() {
            let message = format!("there is a BAR {index} already; take another index");
            return Err(mistake("index", message));
        }
        let config = BarConfig {
            kind: table.kind,
            prefetchable: table.prefetchable,
            size: table.size,
        };
        config.validate().map_err(|error| match error {
            BarError::NotPowerOfTwo { .. } => mistake("size", error.to_string()),
            BarError::OutOfRange { size, max, .. }
                if config.kind == BarKind::Memory32 && size > max =>
            {
                mistake("size", format!("{error}; kind = \"memory64\" takes more"))
            }
            BarError::OutOfRange { .. } => mistake(
                "size",
                format!("{error}; choose a power of two between them"),
            ),
            BarError::PrefetchableIo => {
                mistake("prefetchable", format!("{error}; leave prefetchable out"))
            }
        })?;
        if content == BarContent::Ram && config.size > MAX_RAM {
            return Err(mistake("size", too_much_ram(config.size)));
        }
        *decoded = Some(config);
        *to = content;
        Ok(())
    }

    /// Checks that the register after a 64-bit BAR is free.
    fn check_pairs(&self, tables: &[Bar]) -> Result<(), Mistake> {
        let wide = tables
            .iter()
            .enumerate()
            .filter(|(_, table)| table.kind == BarKind::Memory64);
        for (position, table) in wide {
            let index = usize::from(table.index);
            let next = index + 1;
            let message = if next == MAX_BARS {
                format!(
                    "a 64-bit BAR takes two registers and BAR {index} is the last; the highest index is 4"
                )
            } else if self.decoded.get(next).is_some_and(Option::is_some) {
                format!(
                    "a 64-bit BAR takes two registers, and BAR {next} is there as well; move one of them or choose memory32"
                )
            } else {
                continue;
            };
            return Err(Mistake::new(
                format!("{}.{position}.index", super::BAR),
                message,
            ));
        }
        Ok(())
    }

    pub(super) fn get(&self, index: u8) -> Option<&BarConfig> {
        self.decoded.get(usize::from(index))?.as_ref()
    }

    pub(super) fn content(&self, index: u8) -> BarContent {
        let content = self.contents.get(usize::from(index));
        content.copied().unwrap_or_default()
    }

    /// Checks that MSI-X table and PBA lie inside memory BARs.
    pub(super) fn check_msix(&self, msix: &Msix) -> Result<(), Mistake> {
        for (name, extent) in [("table", msix.table_extent()), ("pba", msix.pba_extent())] {
            let Extent { bar, start, end } = extent;
            let mistake = |key: &str, message: String| {
                Mistake::new(format!("capabilities.msix.{name}-{key}"), message)
            };
            let Some(config) = self.get(bar) else {
                let message = format!("there is no BAR {bar}; {}", self.memory_bars());
                return Err(mistake("bar", message));
            };
            if config.kind == BarKind::Io {
                let message = format!("BAR {bar} is an I/O BAR; {}", self.memory_bars());
                return Err(mistake("bar", message));
            }
            if end > config.size {
                let message = format!(
                    "the {name} at {start:#x} to {end:#x} leaves BAR {bar}, which has {:#x} bytes; enlarge the BAR or move the {name}",
                    config.size
                );
                return Err(mistake("offset", message));
            }
        }
        Ok(())
    }

    /// Checks that a BAR with content "ram" cannot grow beyond the memory that the daemon provides.
    pub(super) fn check_resizable(&self, config: &ResizableBarConfig) -> Result<(), Mistake> {
        for (position, ResizableBarSizes { bar, sizes }) in config.bars.iter().enumerate() {
            let is_ram = self.content(*bar) == BarContent::Ram;
            if let Some(size) = sizes.iter().find(|size| is_ram && **size > MAX_RAM) {
                return Err(Mistake::new(
                    format!("capabilities.resizable-bar.bars.{position}.sizes"),
                    too_much_ram(*size),
                ));
            }
        }
        Ok(())
    }

    /// Returns the choice of memory BARs, for a message.
    fn memory_bars(&self) -> String {
        let indexes: Vec<String> = self
            .decoded
            .iter()
            .enumerate()
            .filter(|(_, bar)| bar.is_some_and(|bar| bar.kind != BarKind::Io))
            .map(|(index, _)| index.to_string())
            .collect();
        if indexes.is_empty() {
            "the function has no memory BAR; add one".to_owned()
        } else {
            format!("memory BARs are {}", indexes.join(", "))
        }
    }
}

fn too_much_ram(size: u64) -> String {
    format!(
        "{size:#x} bytes are too many for content \"ram\", which is memory of the daemon; the largest is {MAX_RAM:#x}"
    )
}
