//! Connecting to a server, which may take time of its manual clock, and a first look at the function.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::control::Control;
use crate::raw::wire::{Bytes, command, flag, region};
use crate::raw::{PATIENCE, RawClient};

/// Step by which the clock moves.
const STEP: &str = "10ms";

/// Lines of the control socket within which the server answers, unless the answer takes time.
const TURNS: u32 = 50;

/// Connects and sends VERSION without waiting for the reply.
pub(super) fn begin(socket: &Path) -> Result<RawClient> {
    let mut client = RawClient::connect(socket)?;
    let version = Bytes::new().u16(0).u16(1);
    client.post(command::VERSION, flag::COMMAND, &version, &[])?;
    Ok(client)
}

/// Connects and agrees on a version. If that `takes_time`, the clock moves until it is done.
pub(super) fn connect(socket: &Path, control: &mut Control, takes_time: bool) -> Result<RawClient> {
    if !takes_time {
        return RawClient::attach(socket);
    }
    let client = begin(socket)?;
    let begun = Instant::now();
    loop {
        // The server accepts the client and reads VERSION between two lines of the control socket.
        let mut turns = 0;
        while turns < TURNS && !client.has_message()? {
            control.command(&["status"])?;
            turns += 1;
        }
        if turns < TURNS {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "VERSION is not answered");
        control.command(&["clock", "advance", STEP])?;
    }
    client.receive()?.success()?;
    Ok(client)
}

/// Reads the whole config space at once, as QEMU does.
pub(super) fn config(client: &mut RawClient) -> Result<Vec<u8>> {
    let size = client.region_info(region::CONFIG)?.size;
    client.read(region::CONFIG, 0, u32::try_from(size)?)
}
