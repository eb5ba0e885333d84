//! Memory of BARs that others may map.

/// A stretch of a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Offset in the BAR in bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Area {
    /// One past the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }

    /// Whether the byte at `offset` of the BAR is one of these.
    #[must_use]
    pub const fn contains(&self, offset: u64) -> bool {
        self.offset <= offset && offset < self.end()
    }
}

/// Which memory of a BAR others may map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mappable {
    /// All of it, whatever size the BAR has; its content is RAM.
    Whole,
    /// These areas: whole pages, apart from each other, in ascending order, inside the BAR at its
    /// smallest. Where the content is the model, the areas are memory and the rest is the model's.
    Areas(Vec<Area>),
}

/// A BAR with memory that others may map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappableBar {
    /// BAR index.
    pub bar: u8,
    /// What of it.
    pub memory: Mappable,
}

impl MappableBar {
    /// The areas, if it is not all.
    pub(super) fn areas(&self) -> &[Area] {
        match &self.memory {
            Mappable::Whole => &[],
            Mappable::Areas(areas) => areas,
        }
    }
}
