//! A served function: its device, its clients one after the other, and what it still has to do.

use std::io;
use std::os::fd::OwnedFd;

use mio::{Registry, Token};
use pci_device_models::host::Device;
use pci_device_models::time::Time;

use super::Shared;
use super::accept::Listener;
use super::client::{Client, Turn};
use super::outputs::Outputs;
use super::source::Source;
use crate::memory::{ClientMemory, DmaTable};
use crate::ratelimit::limited;
use crate::server::{Endpoint, ServedFunction};
use crate::session::Context;
use crate::stats::ConnectionStats;

/// A function with its sockets.
#[derive(Debug)]
pub(super) struct Function {
    /// Place in the reactor's list.
    number: usize,
    pub(super) name: String,
    pub(super) device: Device,
    pub(super) stats: ConnectionStats,
    pub(super) outputs: Outputs,
    client_memory: ClientMemory,
    max_dma_maps: usize,
    listener: Option<Listener>,
    client: Option<Client>,
    /// The client has more to say than its last turn was for.
    has_more: bool,
    /// Only one client is served.
    once: bool,
}

/// The limits that functions share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) once: bool,
    pub(super) max_dma_maps: usize,
}

impl Function {
    /// Takes the function over, but for its control listener, and watches its sockets.
    pub(super) fn new(
        number: usize,
        served: ServedFunction,
        limits: Limits,
        registry: &Registry,
    ) -> io::Result<Self> {
        let ServedFunction {
            name,
            device,
            client_memory,
            endpoint,
            control: _,
        } = served;
        let mut function = Self {
            number,
            outputs: Outputs::new(name.clone()),
            name,
            device,
            stats: ConnectionStats::default(),
            client_memory,
            max_dma_maps: limits.max_dma_maps,
            listener: None,
            client: None,
            has_more: false,
            once: limits.once,
        };
        match endpoint {
            Endpoint::Listener(listener) => {
                let token = Source::Listener(number).into();
                let listener = Listener::new(listener, token, registry)?;
                function.listener = Some(listener);
            }
            Endpoint::Connected(stream) => function.connect(stream.into(), registry)?,
        }
        Ok(function)
    }

    /// Accepts whoever wants to connect: the first as the client, others only to be closed at once,
    /// which tells them more than a connection that nobody answers.
    pub(super) fn accept(&mut self, registry: &Registry) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        listener.accept(registry, |socket| {
            if self.client.is_some() || self.has_had_its_client() {
                self.stats.refused += 1;
                limited!(
                    info,
                    function = self.name,
                    "refused a client: there is one already"
                );
            } else if let Err(error) = self.connect(socket, registry) {
                limited!(warn, function = self.name, %error, "cannot watch a new client");
            }
        });
        self.listener = Some(listener);
    }

    fn connect(&mut self, socket: OwnedFd, registry: &Registry) -> io::Result<()> {
        let memory = DmaTable::new(self.client_memory, self.max_dma_maps);
        self.client = Some(Client::new(socket, self.number, memory, registry)?);
        self.stats.connected = true;
        self.stats.clients += 1;
        limited!(
            info,
            function = self.name,
            client = self.stats.clients,
            "client connected"
        );
        Ok(())
    }

    /// The client's socket is ready; `closing`: it has seen its last bytes.
    pub(super) fn client_ready(
        &mut self,
        shared: &mut Shared,
        registry: &Registry,
        now: Time,
        closing: bool,
    ) -> Turn {
        let Some(client) = &mut self.client else {
            return Turn::Idle;
        };
        if closing {
            client.set_closing();
        }
        let mut cx = Context {
            device: &mut self.device,
            now,
            stats: &mut self.stats,
            registry,
            resample: resample(self.number),
        };
        let turn = client.turn(shared, &mut self.outputs, &mut cx);
        self.has_more = turn == Turn::HasMore;
        if turn == Turn::Gone {
            self.disconnect(registry, now);
        }
        turn
    }

    fn disconnect(&mut self, registry: &Registry, now: Time) {
        if let Some(mut client) = self.client.take() {
            client.unwatch(registry, resample(self.number));
        }
        self.stats.connected = false;
        self.stats.dma_maps = 0;
        limited!(
            info,
            function = self.name,
            client = self.stats.clients,
            "client gone"
        );
        self.device.client_gone(now);
        self.perform_outputs(now);
    }

    /// The resample eventfd was signalled.
    pub(super) fn resample_ready(&mut self, now: Time) {
        if self
            .client
            .as_ref()
            .is_some_and(|client| client.session.irqs.resampled())
        {
            self.device.intx_resample();
            self.perform_outputs(now);
        }
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, now: Time) {
        self.device.advance(now);
        self.perform_outputs(now);
    }

    /// Goes on with what did not fit into earlier turns.
    pub(super) fn go_on(&mut self, shared: &mut Shared, registry: &Registry, now: Time) {
        if self.has_more {
            self.client_ready(shared, registry, now, false);
        }
        if !self.outputs.dma.is_empty() {
            let memory = self
                .client
                .as_mut()
                .map(|client| &mut client.session.memory);
            self.outputs.dma.step(
                now,
                &mut self.device,
                memory,
                &mut shared.bounce,
                &mut self.stats,
            );
            self.perform_outputs(now);
        }
    }

    /// Whether [`Self::go_on`] has something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.has_more || !self.outputs.dma.is_empty()
    }

    /// Whether no client can come any more.
    pub(super) fn is_finished(&self) -> bool {
        self.client.is_none() && (self.listener.is_none() || self.has_had_its_client())
    }

    /// Whether the only client that is to be served has come.
    fn has_had_its_client(&self) -> bool {
        self.once && self.stats.clients > 0
    }

    /// Whether a client is connected.
    pub(super) const fn has_client(&self) -> bool {
        self.client.is_some()
    }

    /// Performs what the device has put out.
    pub(super) fn perform_outputs(&mut self, now: Time) {
        let irqs = self.client.as_mut().map(|client| &mut client.session.irqs);
        self.outputs
            .perform(now, &mut self.device, irqs, &mut self.stats);
    }
}

fn resample(function: usize) -> Token {
    Source::Resample(function).into()
}
