//! Clients of a server in this process, feature by feature: a file is one of them, and its tests are
//! `FILE::TEST`.
//!
//! The tests run at the same time. A test that counts what this process holds, or that changes
//! something of the whole process, belongs into the program `alone`.

mod asked;
mod clients;
mod common;
mod conformance;
mod copier;
mod dirty_log;
mod dma;
mod dma_maps;
mod dma_messages;
mod docs;
mod doorbells;
mod features;
mod held_replies;
mod interop;
mod interrupts;
mod limits;
mod lines;
mod low_power_intx;
mod low_power_notice;
mod mapped_areas;
mod mapped_bars;
mod mapped_between_clients;
mod mapped_hardware;
mod mapped_turns;
mod migration;
mod migration_dma;
mod migration_faults;
mod migration_stream;
mod outside;
mod pieces;
mod protocol;
mod streams;
mod structure;
mod twin_socket;
mod virtual_functions;
mod vocabulary;
mod write_multi;
