//! The kinds of faults, one file each.

mod bar_off;
mod bits_do_not_stick;
mod dma_error;
mod fail;
mod gone;
mod input;
mod lose_state;
mod msi_lost;
mod not_ready;
mod pme_lost;
mod reset_ignored;
mod stuck;

use super::form::Kind;

/// All kinds, by name.
pub(super) const ALL: &[&Kind] = &[
    &bar_off::KIND,
    &bits_do_not_stick::KIND,
    &dma_error::KIND,
    &fail::KIND,
    &gone::KIND,
    &input::KIND,
    &lose_state::KIND,
    &msi_lost::KIND,
    &not_ready::KIND,
    &pme_lost::KIND,
    &reset_ignored::KIND,
    &stuck::KIND,
];
