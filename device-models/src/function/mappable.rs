//! BAR memory that clients may map.

/// A range of a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Offset in the BAR in bytes.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
}

impl Area {
    /// Returns the offset one past the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }

    /// Returns whether the area contains the byte at `offset` of the BAR.
    #[must_use]
    pub const fn contains(&self, offset: u64) -> bool {
        self.offset <= offset && offset < self.end()
    }
}

/// The memory of a BAR that clients may map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mappable {
    /// All of the BAR, whatever its size. Its content is RAM.
    Whole,
    /// These areas: whole pages, apart from each other, in ascending order, inside the BAR at its
    /// smallest size. If the content is the model, the areas are memory and the rest is the
    /// model's.
    Areas(Vec<Area>),
}

/// A BAR with memory that clients may map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappableBar {
    /// BAR index.
    pub bar: u8,
    /// The mappable part.
    pub memory: Mappable,
    /// Largest size that the BAR can have, in bytes.
    pub largest: u64,
}

impl MappableBar {
    /// Returns the areas, if not all of the BAR is mappable.
    pub(super) fn areas(&self) -> &[Area] {
        match &self.memory {
            Mappable::Whole => &[],
            Mappable::Areas(areas) => areas,
        }
    }
}
