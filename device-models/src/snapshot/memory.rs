//! The memory behind BARs apart from the rest of a saved tree, so that a migration can copy it
//! ahead.
//!
//! # Examples
//!
//! ```
//! use pci_device_models::snapshot::memory;
//! use serde_json::json;
//!
//! let bar = json!([{ "offset": 0x1000, "bytes": "0102" }]);
//! let saved = json!({ "slot": { "functions": { "0": { "core": { "ram": [bar] } } } } });
//! let mut tree = saved.clone();
//! let pages = memory::take(&mut tree);
//! assert_eq!(pages.len(), 1);
//! memory::put(&mut tree, &pages)?;
//! assert_eq!(tree, saved);
//! # Ok::<(), pci_device_models::snapshot::RestoreError>(())
//! ```

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{RestoreError, hex, unhex};

/// Size in bytes of a page: the part of a BAR that is saved together, and its alignment.
pub const PAGE: u64 = 4096;

/// Place of the memory in the tree of a function: a list for each BAR that has some.
const PLACE: &str = "/core/ram";

/// A page of the memory behind a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page {
    /// The BAR.
    pub bar: u32,
    /// Index of the page in the BAR.
    pub number: u64,
}

/// The part of a page that is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Offset in the BAR of the first byte.
    pub offset: u64,
    /// The bytes. If empty, the page is zero.
    pub bytes: Vec<u8>,
}

impl Content {
    /// Returns the page of `bar` that contains the bytes, if one page contains them all.
    #[must_use]
    pub fn page(&self, bar: u32) -> Option<Page> {
        let number = self.offset / PAGE;
        let last = (self.bytes.len() as u64).saturating_sub(1);
        let end = self.offset.checked_add(last)?;
        (end / PAGE == number).then_some(Page { bar, number })
    }
}

/// The pages that are not zero.
pub type Memory = BTreeMap<Page, Content>;

/// Takes the memory out of a tree that [`crate::host::DeviceRef::save`] returned, of one device.
#[must_use]
pub fn take(tree: &mut Value) -> Memory {
    let mut memory = Memory::new();
    let bars = function(tree)
        .and_then(|function| function.pointer_mut(PLACE))
        .and_then(Value::as_array_mut);
    for (bar, runs) in (0..).zip(bars.into_iter().flatten()) {
        let Some(runs) = runs.as_array_mut() else {
            continue;
        };
        for run in runs.drain(..) {
            let bytes = run["bytes"].as_str().map(|text| unhex(PLACE, text));
            let content = Content {
                offset: run["offset"].as_u64().unwrap_or_default(),
                bytes: bytes.and_then(Result::ok).unwrap_or_default(),
            };
            if let Some(page) = content.page(bar) {
                memory.insert(page, content);
            }
        }
    }
    memory
}

/// Returns the function in a tree that has one.
fn function(tree: &mut Value) -> Option<&mut Value> {
    let functions = tree.pointer_mut("/slot/functions")?.as_object_mut()?;
    functions.values_mut().next()
}

/// Puts memory back into a tree from which it was taken.
///
/// # Errors
/// The tree has no place for it.
pub fn put(tree: &mut Value, memory: &Memory) -> Result<(), RestoreError> {
    for (page, Content { offset, bytes }) in memory {
        let place = format!("{PLACE}/{}", page.bar);
        let runs = function(tree)
            .and_then(|function| function.pointer_mut(&place))
            .and_then(Value::as_array_mut);
        let Some(runs) = runs else {
            let at = format!("function.core.ram.{}", page.bar);
            return Err(RestoreError::part(at, "this BAR is no memory"));
        };
        runs.push(json!({ "offset": offset, "bytes": hex(bytes) }));
    }
    Ok(())
}
