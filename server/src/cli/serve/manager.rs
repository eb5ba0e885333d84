//! The service manager, as sd_listen_fds(3) and sd_notify(3) describe it.

use std::env;
use std::io;
use std::os::fd::RawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

use crate::cli::failure::Failure;

/// Returns the descriptors that the service manager passed, with their names (`LISTEN_FDS`,
/// `LISTEN_FDNAMES`).
pub fn passed_sockets() -> Result<Vec<(RawFd, String)>, Failure> {
    // Without LISTEN_FDS there is nothing to read, whatever the other variables say.
    if env::var_os("LISTEN_FDS").is_none() {
        return Ok(Vec::new());
    }
    let sockets = sd_notify::listen_fds_with_names().map_err(|error| {
        Failure::Socket(format!(
            "the variables of socket activation (LISTEN_FDS and others) are wrong: {error}"
        ))
    })?;
    Ok(sockets.collect())
}

/// The connection to the service manager. It is opened before the server enters the sandbox, which allows
/// no new sockets.
pub struct Manager(Option<UnixDatagram>);

impl Manager {
    /// The one at `$NOTIFY_SOCKET`, if there is any.
    pub fn find() -> Self {
        let reached = env::var_os("NOTIFY_SOCKET").map(|place| {
            let address = match place.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
            }?;
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            Ok(socket)
        });
        Self(reached.transpose().unwrap_or_else(not_reached))
    }

    /// Tells it, if it is there, that clients can connect. That is all it hears.
    pub fn tell_ready(self) {
        if let Some(Err(error)) = self.0.map(|socket| socket.send(b"READY=1")) {
            not_reached::<()>(error);
        }
    }
}

fn not_reached<T>(error: io::Error) -> Option<T> {
    warn!(%error, "the service manager cannot be reached at $NOTIFY_SOCKET");
    None
}
