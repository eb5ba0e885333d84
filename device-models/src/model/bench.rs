//! What tests of models need: a function with memory behind it and a clock.

use std::time::Duration;

use crate::dma::{DmaError, DmaId, DmaOp, DmaRequest};
use crate::effect::{Effect, MessageKind};
use crate::function::{Function, Target};
use crate::model::Registry;
use crate::profile::Profile;
use crate::time::Time;

pub(super) const COMMAND: u64 = 0x04;
/// I/O Space, Memory Space, Bus Master.
pub(super) const ENABLE: u16 = 0x0007;
pub(super) const D0: u16 = 0;
pub(super) const D3HOT: u16 = 3;

/// The function of a built-in profile, enabled, with a memory of 4 MiB at bus address 0 and a clock.
pub(super) struct Bench {
    pub(super) function: Function,
    pub(super) now: Time,
    pub(super) memory: Vec<u8>,
    pub(super) effects: Vec<Effect>,
    pub(super) waiting: Vec<DmaRequest>,
}

impl Bench {
    pub(super) fn of(profile: &str, set: &[(&str, &str)]) -> Self {
        let set: Vec<_> = set
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let text = Profile::builtin(profile).expect("it is built in");
        let profile = Profile::parse(profile, text, &set).expect("it is valid");
        let mut bench = Self {
            function: profile
                .function(&Registry::builtin())
                .expect("the model is known"),
            now: Time::ZERO,
            memory: vec![0; 4 << 20],
            effects: Vec::new(),
            waiting: Vec::new(),
        };
        bench.config(COMMAND, ENABLE);
        bench
    }

    pub(super) fn config(&mut self, offset: u64, value: u16) {
        self.function
            .config_write(self.now, offset, &value.to_le_bytes());
        self.drain();
    }

    /// Writes to BAR0.
    pub(super) fn write_bytes(&mut self, offset: u64, bytes: &[u8]) {
        self.function.write(self.now, Target::Bar(0), offset, bytes);
        self.drain();
    }

    pub(super) fn write(&mut self, offset: u64, value: u32) {
        self.write_bytes(offset, &value.to_le_bytes());
    }

    /// Reads from BAR0.
    pub(super) fn read_bytes<const N: usize>(&mut self, offset: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.function
            .read(self.now, Target::Bar(0), offset, &mut bytes);
        self.drain();
        bytes
    }

    pub(super) fn read(&mut self, offset: u64) -> u32 {
        u32::from_le_bytes(self.read_bytes(offset))
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
        self.function.advance(self.now);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(effect) = self.function.next_effect() {
            match effect {
                Effect::Dma(request) => self.waiting.push(request),
                effect => self.effects.push(effect),
            }
        }
    }

    /// Answers the oldest transfer that waits.
    pub(super) fn serve(&mut self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let DmaRequest { id, op } = self.waiting.remove(0);
        let outcome = self.perform(&op);
        self.answer(id, outcome.as_deref().map_err(|error| *error));
        true
    }

    pub(super) fn finish(&mut self, id: DmaId, outcome: Result<(), DmaError>) {
        self.answer(id, outcome.map(|()| &[][..]));
    }

    fn answer(&mut self, id: DmaId, outcome: Result<&[u8], DmaError>) {
        if self.function.dma_is_live(id) {
            self.function.dma_done(self.now, id, outcome);
        } else {
            self.function.dma_done(self.now, id, Err(DmaError::Aborted));
        }
        self.drain();
    }

    fn perform(&mut self, op: &DmaOp) -> Result<Vec<u8>, DmaError> {
        let range = |start: u64, len: usize| {
            let first = usize::try_from(start).unwrap_or(usize::MAX);
            let end = first.checked_add(len);
            let end = end.filter(|end| *end <= self.memory.len());
            end.map(|end| first..end)
                .ok_or(DmaError::Unmapped { address: start })
        };
        match op {
            DmaOp::Read { address, len } => {
                Ok(self.memory[range(*address, *len as usize)?].to_vec())
            }
            DmaOp::Write { address, data } => {
                let range = range(*address, data.len())?;
                self.memory[range].copy_from_slice(data);
                Ok(Vec::new())
            }
            DmaOp::Copy { from, to, len } => {
                let from = range(*from, *len as usize)?;
                let to = range(*to, *len as usize)?;
                self.memory.copy_within(from, to.start);
                Ok(Vec::new())
            }
        }
    }

    pub(super) fn pme_status(&self) -> bool {
        let pm = self.function.config().pm().expect("the profile has PM");
        pm.pmcsr().pme_status()
    }

    pub(super) fn messages(&self) -> Vec<(MessageKind, u16)> {
        let message = |effect: &Effect| match effect {
            Effect::Message { kind, vector } => Some((*kind, *vector)),
            _ => None,
        };
        self.effects.iter().filter_map(message).collect()
    }

    pub(super) fn intx_levels(&self) -> Vec<bool> {
        let level = |effect: &Effect| match effect {
            Effect::Intx(level) => Some(*level),
            _ => None,
        };
        self.effects.iter().filter_map(level).collect()
    }
}
