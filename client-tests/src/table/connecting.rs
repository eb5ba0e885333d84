//! Connecting to a server, which may take time of its manual clock, and a first look at the function.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::control::Control;
use crate::raw::wire::{Bytes, command, flag, region};
use crate::raw::{PATIENCE, RawClient};

/// The first step by which the clock moves.
const STEP: Duration = Duration::from_millis(10);

/// Later steps are this part of the time that has gone by.
const PART: u32 = 10;

/// Lines of the control socket within which the server has accepted a client, read VERSION and answered,
/// unless the answer takes time.
const FIRST_TURNS: u32 = 50;

/// Likewise after the clock has moved.
const TURNS: u32 = 8;

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
    let mut passed = Duration::ZERO;
    let mut turns = FIRST_TURNS;
    // The server accepts the client and reads VERSION between two lines of the control socket.
    while !answers_within(&client, control, turns)? {
        ensure!(begun.elapsed() < PATIENCE, "VERSION is not answered");
        let step = STEP.max(passed / PART);
        control.command(&["clock", "advance", &format!("{}ns", step.as_nanos())])?;
        passed += step;
        turns = TURNS;
    }
    client.receive()?.success()?;
    Ok(client)
}

/// Returns whether the server has sent something after so many lines of the control socket.
fn answers_within(client: &RawClient, control: &mut Control, turns: u32) -> Result<bool> {
    for _ in 0..turns {
        if client.has_message()? {
            return Ok(true);
        }
        control.command(&["status"])?;
    }
    Ok(client.has_message()?)
}

/// Reads the whole config space at once, as QEMU does.
pub(super) fn config(client: &mut RawClient) -> Result<Vec<u8>> {
    let size = client.region_info(region::CONFIG)?.size;
    client.read(region::CONFIG, 0, u32::try_from(size)?)
}
