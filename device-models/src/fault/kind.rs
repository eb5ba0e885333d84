//! The kinds of faults, one file each.

mod aer;
mod bar_off;
mod bits_do_not_stick;
mod dma_error;
mod dma_late;
mod dma_misdirected;
mod dpc;
mod err;
mod fail;
mod fail_latched;
mod gone;
mod input;
mod intx_lost;
mod intx_stuck;
mod link_down;
mod link_narrow;
mod link_slow;
mod lose_state;
mod msi_doubled;
mod msi_late;
mod msi_lost;
mod msix_table_lost;
mod not_ready;
mod pme_lost;
mod pme_spurious;
mod pme_storm;
mod pme_stuck;
mod req;
mod reset_ignored;
mod stuck;

use super::form::Kind;

/// All kinds, by name.
pub(super) const ALL: &[&Kind] = &[
    &aer::KIND,
    &bar_off::KIND,
    &bits_do_not_stick::KIND,
    &dma_error::KIND,
    &dma_late::KIND,
    &dma_misdirected::KIND,
    &dpc::KIND,
    &err::KIND,
    &fail::KIND,
    &fail_latched::KIND,
    &gone::KIND,
    &input::KIND,
    &intx_lost::KIND,
    &intx_stuck::KIND,
    &link_down::KIND,
    &link_narrow::KIND,
    &link_slow::KIND,
    &lose_state::KIND,
    &msi_doubled::KIND,
    &msi_late::KIND,
    &msi_lost::KIND,
    &msix_table_lost::KIND,
    &not_ready::KIND,
    &pme_lost::KIND,
    &pme_spurious::KIND,
    &pme_storm::KIND,
    &pme_stuck::KIND,
    &req::KIND,
    &reset_ignored::KIND,
    &stuck::KIND,
];
