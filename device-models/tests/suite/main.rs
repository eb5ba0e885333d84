//! Functions as a server or an author of models uses them, through the crate's public API: a file is
//! one matter, and its tests are `FILE::TEST`.

mod containment;
mod error_recovery;
mod errors;
mod examples;
mod faults;
mod faults_late;
mod faults_of_links;
mod faults_of_signals;
mod key_reference;
mod low_power;
mod low_power_model;
mod lspci;
mod save_restore;
mod save_transfers;
mod silicon;
mod slot_power;
