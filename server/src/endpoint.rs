//! The source of a function's clients.

use std::os::unix::net::{UnixListener, UnixStream};

/// The source of a function's clients.
#[derive(Debug)]
pub enum Endpoint {
    /// A listener. The server closes a connection at once if the device has no room for a further client.
    Listener(UnixListener),
    /// A single client that is connected already.
    Connected(UnixStream),
}
