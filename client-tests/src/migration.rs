//! Migration as a client drives it: states, streams, and the source or destination of a function.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::control::Control;
use crate::daemon::{Daemon, Spec};
use crate::raw::wire::device_feature::{GET, SET};
use crate::raw::wire::{Bytes, command, field_u32, field_u64, flag};
use crate::raw::{Message, RawClient};

/// Features by number.
pub mod feature {
    #![expect(missing_docs, reason = "the names are the protocol's")]
    pub const MIGRATION: u32 = 1;
    pub const MIG_DEVICE_STATE: u32 = 2;
    pub const MIG_DATA_SIZE: u32 = 9;
}

/// States by number.
pub mod state {
    #![expect(missing_docs, reason = "the names are the protocol's")]
    pub const ERROR: u32 = 0;
    pub const STOP: u32 = 1;
    pub const RUNNING: u32 = 2;
    pub const STOP_COPY: u32 = 3;
    pub const RESUMING: u32 = 4;
    pub const RUNNING_P2P: u32 = 5;
    pub const PRE_COPY: u32 = 6;
    pub const PRE_COPY_P2P: u32 = 7;
}

/// Value of the low 32 bits of an unused descriptor.
const NO_FD: u32 = u32::MAX;

/// Returns the payload of a SET of MIG_DEVICE_STATE.
#[must_use]
pub fn set_state(state: u32) -> Bytes {
    let head = Bytes::new().u32(16).u32(SET | feature::MIG_DEVICE_STATE);
    head.u32(state).u32(NO_FD)
}

impl RawClient {
    /// Requests a migration state and returns any reply.
    ///
    /// # Errors
    /// No reply came.
    pub fn try_go(&mut self, state: u32) -> Result<Message> {
        self.request(command::DEVICE_FEATURE, &set_state(state), &[])
    }

    /// Requests a migration state, which has to succeed; see [`Self::try_go`].
    ///
    /// # Errors
    /// No reply came, it reports an error, or does not repeat the request.
    pub fn go(&mut self, state: u32) -> Result<()> {
        let reply = self.try_go(state)?.success();
        let reply = reply.with_context(|| format!("to migration state {state}"))?;
        ensure!(reply == *set_state(state), "the reply is {reply:x?}");
        Ok(())
    }

    /// Sends a request for a migration state without receiving its reply.
    ///
    /// # Errors
    /// The connection has gone.
    pub fn post_go(&mut self, state: u32) -> std::io::Result<u16> {
        self.post(
            command::DEVICE_FEATURE,
            flag::COMMAND,
            &set_state(state),
            &[],
        )
    }

    fn get(&mut self, feature: u32) -> Result<Vec<u8>> {
        let reply = self.device_feature(16, GET | feature, &[], &[])?;
        let mut reply = reply.success()?;
        ensure!(
            reply.len() == 16,
            "feature {feature}: {} bytes",
            reply.len()
        );
        Ok(reply.split_off(8))
    }

    /// Returns the migration state.
    ///
    /// # Errors
    /// No reply came, or it names a descriptor.
    pub fn migration_state(&mut self) -> Result<u32> {
        let data = self.get(feature::MIG_DEVICE_STATE)?;
        ensure!(field_u32(&data, 4) == NO_FD, "the data is {data:x?}");
        Ok(field_u32(&data, 0))
    }

    /// Returns the number of bytes that can be read once the device is stopped.
    ///
    /// # Errors
    /// No reply came.
    pub fn migration_size(&mut self) -> Result<u64> {
        Ok(field_u64(&self.get(feature::MIG_DATA_SIZE)?, 0))
    }

    /// Sends MIG_DATA_READ of up to `size` bytes.
    ///
    /// # Errors
    /// No reply came, it reports an error, or its size is not that of its data.
    pub fn read_state(&mut self, size: u32) -> Result<Vec<u8>> {
        let request = Bytes::new().u32(8 + size).u32(size);
        let reply = self.request(command::MIG_DATA_READ, &request, &[])?;
        let mut reply = reply.success()?;
        let data = reply.split_off(8.min(reply.len()));
        let length = data.len() as u32;
        ensure!(length <= size, "{length} bytes came, not {size}");
        ensure!(
            reply == *Bytes::new().u32(8 + length).u32(length),
            "the reply with {length} bytes begins {reply:x?}"
        );
        Ok(data)
    }

    /// Reads the stream to its end, `chunk` bytes at a time.
    ///
    /// # Errors
    /// Those of [`Self::read_state`].
    pub fn read_stream(&mut self, chunk: u32) -> Result<Vec<u8>> {
        let mut stream = Vec::new();
        loop {
            let piece = self.read_state(chunk)?;
            stream.extend_from_slice(&piece);
            if (piece.len() as u32) < chunk {
                return Ok(stream);
            }
        }
    }

    /// Sends MIG_DATA_WRITE and returns any reply.
    ///
    /// # Errors
    /// No reply came.
    pub fn try_write_state(&mut self, data: &[u8]) -> Result<Message> {
        let size = data.len() as u32;
        let request = Bytes::new().u32(8 + size).u32(size).bytes(data);
        self.request(command::MIG_DATA_WRITE, &request, &[])
    }

    /// Writes a stream, `chunk` bytes at a time.
    ///
    /// # Errors
    /// No reply came, it reports an error or has a payload.
    pub fn write_stream(&mut self, stream: &[u8], chunk: usize) -> Result<()> {
        for piece in stream.chunks(chunk) {
            let reply = self.try_write_state(piece)?.success()?;
            ensure!(reply.is_empty(), "the reply has {} bytes", reply.len());
        }
        Ok(())
    }
}

/// Returns the content of a stream or state file: the label, the state, and for each page of memory its
/// BAR, the offset in it and the bytes.
///
/// # Errors
/// The records are not those of a whole stream.
pub fn content(stream: &[u8]) -> Result<Value> {
    let mut at = 0;
    let mut tree = json!({ "memory": [] });
    while at < stream.len() {
        let head = stream.get(at..at + 8).context("a record has no head")?;
        let (kind, length) = (field_u32(head, 0), field_u32(head, 4) as usize);
        let payload = stream.get(at + 8..at + 8 + length);
        let payload = payload.context("a record has no end")?;
        match kind {
            0x4d52_4f44 => tree["label"] = serde_json::from_slice(payload)?,
            1 => {
                let page = json!([field_u32(payload, 0), field_u64(payload, 4), &payload[12..]]);
                tree["memory"].as_array_mut().context("a list")?.push(page);
            }
            2 => tree["state"] = serde_json::from_slice(payload)?,
            kind => bail!("a record of kind {kind:#x}"),
        }
        at += 8 + length;
    }
    Ok(tree)
}

/// The source or destination of a migrated function, whose clock stands still.
#[derive(Debug)]
pub struct Place {
    /// Its client.
    pub client: RawClient,
    /// A connection to its control socket.
    pub control: Control,
    /// Its server.
    pub daemon: Daemon,
}

impl Place {
    /// Serves a profile with overrides.
    ///
    /// # Errors
    /// The server cannot be started.
    pub fn new(profile: &str, set: &[&str]) -> Result<Self> {
        Self::of(Daemon::start(&[Spec::named(profile)?.set(set)])?)
    }

    /// Connects to a function on a server.
    ///
    /// # Errors
    /// The server does not accept clients.
    pub fn of(daemon: Daemon) -> Result<Self> {
        Ok(Self {
            client: daemon.attach(0)?,
            control: daemon.control(0)?,
            daemon,
        })
    }

    /// Performs a verb of the control socket.
    ///
    /// # Errors
    /// The verb is refused.
    pub fn tell(&mut self, words: &[&str]) -> Result<Value> {
        self.control.command(words)
    }

    /// Returns the function's saved state.
    ///
    /// # Errors
    /// The function cannot be saved.
    pub fn tree(&mut self) -> Result<Value> {
        let file = self.daemon.state_file("state");
        let name = Path::to_str(&file).context("the name of the folder is no text")?;
        self.control.command(&["save", name])?;
        content(&std::fs::read(&file)?)
    }

    /// Stops the function, moves its state to another place, and checks that it is the same there.
    /// The function is left in STOP.
    ///
    /// # Errors
    /// The function cannot be moved, or is not the same.
    pub fn move_to(&mut self, other: &mut Self) -> Result<()> {
        self.client.go(state::STOP_COPY)?;
        other.take(&self.client.read_stream(1 << 16)?)?;
        let (here, there) = (self.tree()?, other.tree()?);
        ensure!(here == there, "saved here: {here}\nthere: {there}");
        Ok(())
    }

    /// Restores the function from a stream, and leaves it in STOP.
    ///
    /// # Errors
    /// The stream does not fit.
    pub fn take(&mut self, stream: &[u8]) -> Result<()> {
        self.client.go(state::RESUMING)?;
        self.client.write_stream(stream, 1 << 16)?;
        self.client.go(state::STOP)
    }
}
