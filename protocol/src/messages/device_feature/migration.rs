//! Feature MIGRATION (1), GET: a 64-bit set of the kinds of migration that the device knows.

use bitflags::bitflags;

use crate::command::Subject;
use crate::error::MessageError;
use crate::wire::{Put, Structure};

const SUBJECT: Subject = super::REPLY.part("MIGRATION");

bitflags! {
    /// Kinds of migration. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct MigrationFlags: u64 {
        /// Stop, then copy. A device that migrates at all can do this.
        const STOP_COPY = 1 << 0;
        /// A running state without access to other devices.
        const P2P = 1 << 1;
        /// Copy while running.
        const PRE_COPY = 1 << 2;
        const _ = !0;
    }
}

impl MigrationFlags {
    /// Reads the reply's data.
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        Structure::<8>::read(SUBJECT, data).map(|fields| Self::from_bits_retain(fields.u64::<0>()))
    }

    /// Appends the reply's data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.bits());
    }
}
