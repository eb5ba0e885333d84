//! The type of a message.

/// The type of a message: command or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Type 0: a request.
    Command,
    /// Type 1: the answer to one.
    Reply,
}
