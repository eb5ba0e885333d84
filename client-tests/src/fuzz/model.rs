//! Accesses to the registers of device models, and events around them.
//!
//! A function goes through the actions in the input. From time to time it is saved, and a function
//! restored from that state becomes its twin, which goes through the same actions from then on.

use std::time::Duration;

use pci_device_models::dma::{DmaError, DmaOp, DmaRequest};
use pci_device_models::effect::Effect;
use pci_device_models::function::{Function, Target};
use pci_device_models::model::Registry;
use pci_device_models::model::backend::WakeSource;
use pci_device_models::model::controller::Controller;
use pci_device_models::profile::Profile;
use pci_device_models::register::ResetKind;
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;

use super::input::Input;
use super::subject::{controller, differ};

/// Maximum number of bytes that a transfer carries.
const MOST: usize = 1 << 12;
const COMMAND: u64 = 0x04;
/// I/O Space, Memory Space, Bus Master.
const ENABLE: [u8; 2] = [0x07, 0x00];

thread_local! {
    static ALL: Vec<Profile> = Profile::builtins().map(profile).chain([controller()]).collect();
    static MODELS: Registry = models();
}

/// The built-in models, and a platform controller of two slots.
fn models() -> Registry {
    let mut models = Registry::builtin();
    models.register("controller", || Box::new(Controller::new([1, 2])));
    models
}

fn profile(name: &str) -> Profile {
    let text = Profile::builtin(name).expect("it is built in");
    Profile::parse(name, text, &[]).expect("it is a profile")
}

/// Performs the actions that the input describes.
///
/// # Panics
/// A rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let number = input.below(ALL.with(Vec::len));
    let mut twins = Twins {
        number,
        one: Life::new(number),
        other: Life::new(number),
        now: Time::ZERO,
    };
    twins.both(|life, now| life.function.config_write(now, COMMAND, &ENABLE));
    while !input.is_empty() {
        twins.step(&mut input);
    }
    twins.compare();
}

/// A function, and its transfers that wait for an outcome.
struct Life {
    function: Function,
    transfers: Vec<DmaRequest>,
}

impl Life {
    fn new(number: usize) -> Self {
        let profile = |models: &Registry| ALL.with(|all| all[number].function(models));
        let function = MODELS.with(profile);
        Self {
            function: function.expect("built-in profiles make functions"),
            transfers: Vec::new(),
        }
    }

    /// Takes the effects and returns them as text, without the identifiers of transfers.
    fn effects(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(effect) = self.function.next_effect() {
            match effect {
                Effect::Dma(request) => {
                    told.push(format!("{:?}", request.op));
                    self.transfers.push(request);
                }
                effect => told.push(format!("{effect:?}")),
            }
        }
        told
    }

    /// Ends the transfer at `at` with `data`, or with an error.
    fn end(&mut self, now: Time, at: usize, outcome: Result<&[u8], DmaError>) {
        let DmaRequest { id, op } = self.transfers.remove(at);
        let mut data = outcome.map(<[u8]>::to_vec);
        match (&mut data, op) {
            (Ok(data), DmaOp::Read { len, .. }) if len as usize <= MOST => {
                data.resize(len as usize, 0);
            }
            (Ok(_), DmaOp::Read { address, .. }) => data = Err(DmaError::Unmapped { address }),
            (Ok(data), _) => data.clear(),
            (Err(_), _) => {}
        }
        if !self.function.dma_is_live(id) {
            data = Err(DmaError::Aborted);
        }
        let outcome = data.as_deref().map_err(|error| *error);
        self.function.dma_done(now, id, outcome);
    }

    /// Ends the transfers that have only one possible outcome.
    fn end_dead(&mut self, now: Time) {
        while let Some(at) = self.dead() {
            self.end(now, at, Err(DmaError::Aborted));
        }
    }

    fn dead(&self) -> Option<usize> {
        let mut transfers = self.transfers.iter();
        transfers.position(|request| !self.function.dma_is_live(request.id))
    }
}

struct Twins {
    number: usize,
    one: Life,
    other: Life,
    now: Time,
}

impl Twins {
    /// Performs an action on both functions, and checks that the results are equal.
    fn both<R: PartialEq + std::fmt::Debug>(&mut self, mut act: impl FnMut(&mut Life, Time) -> R) {
        let (one, other) = (act(&mut self.one, self.now), act(&mut self.other, self.now));
        assert_eq!(one, other);
        assert_eq!(self.one.effects(), self.other.effects());
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let target = Target::Bar(input.pick(&[0, 0, 0, 2, 4]));
        match input.below(16) {
            0..=3 => {
                let (offset, len) = (offset(input), 1 + input.below(8));
                self.both(|life, now| {
                    let mut data = vec![0; len];
                    life.function.read(now, target, offset, &mut data);
                    data
                });
            }
            4..=7 => {
                let (offset, len) = (offset(input), 1 + input.below(8));
                let data = input.bytes(len);
                self.both(|life, now| life.function.write(now, target, offset, data));
            }
            8 => {
                let (offset, data) = (u64::from(input.u8()), input.u16().to_le_bytes());
                self.both(|life, now| life.function.config_write(now, offset, &data));
            }
            9 => {
                let micros = input.pick(&[1, 90, 1_000, 10_000, 1_000_000]);
                self.now = self.now.after(Duration::from_micros(micros));
                self.both(|life, now| life.function.advance(now));
            }
            10 => {
                let kind = input.pick(&ResetKind::ALL);
                self.both(|life, now| {
                    life.function.reset(now, kind);
                    life.function.config_write(now, COMMAND, &ENABLE);
                });
            }
            11 => {
                let on = input.flag();
                self.both(|life, now| match on {
                    true => life.function.power_on(now),
                    false => life.function.power_off(now),
                });
            }
            12 => {
                let which = input.below(4);
                let name = self.one.function.inputs().get(which);
                self.both(|life, now| name.map(|name| life.function.input(now, name)));
            }
            13 => self.backend(input),
            14 => {
                let at = input.below(self.one.transfers.len().max(1));
                let (address, write) = (input.u64(), input.flag());
                let data = input.bytes(64);
                let outcome = input.pick(&[
                    Ok(data),
                    Ok(data),
                    Err(DmaError::Unmapped { address }),
                    Err(DmaError::NotPermitted { address, write }),
                ]);
                if at < self.one.transfers.len() {
                    self.both(|life, now| life.end(now, at, outcome));
                }
            }
            _ => self.save(),
        }
    }

    fn backend(&mut self, input: &mut Input<'_>) {
        let what = input.below(4);
        let len = input.below(40);
        let bytes = input.bytes(len);
        self.both(|life, now| match what {
            0 => {
                let taken = life.function.with_backend(now, |backend, cx| {
                    backend.serial().map(|port| port.receive_all(cx, bytes))
                });
                (taken, Vec::new())
            }
            1 => {
                let mut room = vec![0; len];
                let sent = life.function.with_backend(now, |backend, cx| {
                    backend
                        .serial()
                        .map(|port| port.transmit_into(cx, &mut room))
                });
                (sent, room)
            }
            2 => {
                let (slot, number) = (len % 3, bytes.first().copied().unwrap_or(0) & 7);
                life.function.with_backend(now, |backend, cx| {
                    let port = backend.platform()?;
                    let switch = port.take_switch(cx);
                    let number = FunctionNumber::try_from(number).ok()?;
                    match len % 4 {
                        0 => port.set_rail(cx, slot, len.is_multiple_of(8)),
                        1 => port.wake(cx, slot, number, WakeSource::Function),
                        2 => port.wake(cx, slot, number, WakeSource::Host),
                        _ => {}
                    }
                    Some(switch)
                });
                (None, Vec::new())
            }
            _ => {
                life.function.with_backend(now, |backend, cx| {
                    let port = backend.serial();
                    port.map(|port| port.set_carrier(cx, len % 2 == 1))
                });
                (None, Vec::new())
            }
        });
    }

    /// Saves the function and replaces the twin with one that is restored from it.
    fn save(&mut self) {
        self.both(Life::end_dead);
        self.compare();
        let saved = self.one.function.save(self.now);
        self.other = Life::new(self.number);
        let restored = self.other.function.restore(self.now, &saved);
        assert_eq!(restored, Ok(()), "its own state");
        self.other.effects();
        // A restored controller has the platform follow its rails once more.
        for life in [&mut self.one, &mut self.other] {
            life.function.with_backend(self.now, |backend, cx| {
                if let Some(port) = backend.platform() {
                    while port.take_switch(cx).is_some() {}
                }
            });
            life.effects();
        }
        let ops = |life: &Life| -> Vec<DmaOp> {
            let transfers = life.transfers.iter();
            transfers.map(|request| request.op.clone()).collect()
        };
        assert_eq!(ops(&self.one), ops(&self.other), "transfers begin again");
        self.compare();
    }

    fn compare(&self) {
        let [one, other] = [&self.one, &self.other].map(|life| life.function.save(self.now));
        assert_eq!(differ("", &one, &other), None, "they are not the same");
        let [one, other] = [&self.one, &self.other].map(|life| life.function.next_deadline());
        assert_eq!(one, other, "deadlines");
    }
}

/// Returns an offset, usually one of a register.
fn offset(input: &mut Input<'_>) -> u64 {
    match input.below(8) {
        0 => u64::from(input.u16()),
        page => u64::from(input.u8()) + if page == 1 { 0x100 } else { 0 },
    }
}
