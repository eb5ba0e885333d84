//! The socket side of a client: bytes and descriptors in, messages out, and the other way round.
//!
//! Everything queued is taken by one recvmsg, and all replies to it leave by one send. No call here
//! ever waits, whatever mode the socket is in.

mod descriptors;
mod incoming;
mod outgoing;

pub(crate) use descriptors::{Descriptors, MAX_MESSAGE_FDS, TooManyDescriptors};
pub(crate) use incoming::{BufferPool, Incoming, Message, Received};
pub(crate) use outgoing::Outgoing;
