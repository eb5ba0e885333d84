//! The other end of the model's back end.

use super::{Bench, MOST_STEPS};
use crate::model::Context;
use crate::model::backend::{Backend, BlockDevice, BlockError, BlockOp};

/// The back end of the model, with the test in its place. No data moves outside D0.
impl Bench {
    /// Gives the test access to the model's side of a back end.
    pub fn with_backend<T: Default>(
        &mut self,
        act: impl FnOnce(Backend<'_>, &mut Context<'_>) -> T,
    ) -> T {
        self.with_function(|function, now| function.with_backend(now, act))
    }

    /// Tells a serial port or a packet port whether the other end is connected.
    pub fn set_connected(&mut self, connected: bool) {
        self.with_backend(|backend, cx| match backend {
            Backend::Serial(port) => port.set_carrier(cx, connected),
            Backend::Packet(port) => port.set_link(cx, connected),
            Backend::Block(_) | Backend::Platform(_) => {}
        });
    }

    /// Sends bytes to a serial port. Returns the number of bytes for which it had room.
    pub fn serial_receive(&mut self, bytes: &[u8]) -> usize {
        self.with_backend(|backend, cx| {
            let port = backend.serial();
            port.map_or(0, |port| port.receive_all(cx, bytes))
        })
    }

    /// Takes the bytes that a serial port sends, at most `most`.
    pub fn serial_transmit(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let count = self.with_backend(|backend, cx| {
            let port = backend.serial();
            port.map_or(0, |port| port.transmit_into(cx, &mut bytes))
        });
        bytes.truncate(count);
        bytes
    }

    /// Sends a packet to a packet port. Returns whether the port took it.
    pub fn packet_receive(&mut self, packet: &[u8]) -> bool {
        self.with_backend(|backend, cx| {
            let port = backend.packet();
            port.is_some_and(|port| port.receive(cx, packet))
        })
    }

    /// Takes the next packet that a packet port sends.
    pub fn packet_transmit(&mut self) -> Option<Vec<u8>> {
        self.with_backend(|backend, cx| backend.packet()?.transmit(cx))
    }

    /// Performs the requests of a block device on `medium` until there are none. Returns their
    /// number.
    pub fn serve_blocks(&mut self, medium: &mut [u8]) -> u32 {
        self.with_backend(|backend, cx| {
            let Some(device) = backend.block() else {
                return 0;
            };
            device.set_capacity(cx, medium.len() as u64);
            let mut served = 0;
            while served < MOST_STEPS && serve(device, cx, medium) {
                served += 1;
            }
            served
        })
    }
}

fn serve(device: &mut dyn BlockDevice, cx: &mut Context<'_>, medium: &mut [u8]) -> bool {
    let Some(request) = device.next_request(cx) else {
        return false;
    };
    let checked = request.op.check(medium.len() as u64);
    let piece = |offset: u64, len: usize| offset as usize..offset as usize + len;
    let outcome = match (&request.op, checked) {
        (_, Err(error)) => Err(error),
        (BlockOp::Read { offset, len }, Ok(())) => {
            let read = medium.get(piece(*offset, *len as usize));
            read.ok_or(BlockError::OutOfRange)
        }
        (BlockOp::Write { offset, data }, Ok(())) => {
            if let Some(written) = medium.get_mut(piece(*offset, data.len())) {
                written.copy_from_slice(data);
            }
            Ok(&[][..])
        }
        (BlockOp::Flush, Ok(())) => Ok(&[][..]),
    };
    device.complete(cx, request.tag, outcome);
    true
}
