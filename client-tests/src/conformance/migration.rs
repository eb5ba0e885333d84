//! Migration: features 1 and 2, MIG_DATA_READ, MIG_DATA_WRITE.

use anyhow::{Context, Result, bail, ensure};

use super::Source::{LibvfioUser, Specification};
use super::feature::{MIGRATION, probe};
use super::payload::feature;
use super::subject::{Subject, goes_on, refused_on};
use super::{Check, Outcome, check, holds, skip};
use crate::migration::feature::MIG_DEVICE_STATE as STATE;
use crate::migration::set_state;
use crate::migration::state::{
    ERROR, PRE_COPY, PRE_COPY_P2P, RESUMING, RUNNING, RUNNING_P2P, STOP, STOP_COPY,
};
use crate::raw::RawClient;
use crate::raw::wire::device_feature::{GET, PROBE, SET};
use crate::raw::wire::{Bytes, EINVAL, command, field_u32, field_u64};

/// Abilities of the device besides stop and copy.
const CAN_STOP_COPY: u64 = 1 << 0;
const CAN_P2P: u64 = 1 << 1;
const CAN_PRE_COPY: u64 = 1 << 2;
/// Number of bytes of a stream that are read at a time.
const CHUNK: u32 = 64 * 1024;
/// Maximum number of chunks, more than any device's stream has here.
const MOST_CHUNKS: usize = 4096;

pub(super) const CHECKS: &[Check] = &[
    check(
        "migration.flags",
        Specification,
        "GET of MIGRATION is answered with flags of which STOP_COPY is one",
        |s| {
            migrating(s, OFFER, |_, flags| {
                ensure!(flags & CAN_STOP_COPY != 0, "flags are {flags:#x}");
                holds()
            })
        },
    ),
    check(
        "migration.read-only",
        LibvfioUser,
        "SET of MIGRATION is refused, PROBE with GET and SET, too",
        |s| {
            migrating(s, OFFER, |client, _| {
                let set = feature(SET | MIGRATION, &[0; 8]);
                client
                    .request(command::DEVICE_FEATURE, &set, &[])?
                    .failure()?;
                ensure!(
                    !probe(client, MIGRATION, GET | SET)?,
                    "PROBE says that it can be set"
                );
                holds()
            })
        },
    ),
    check(
        "migration.get-argsz",
        LibvfioUser,
        "GET of MIGRATION with argsz 8 gives EINVAL",
        |s| {
            migrating(s, OFFER, |client, _| {
                let get = feature(GET | MIGRATION, &[]);
                refused_on(client, command::DEVICE_FEATURE, &get, &[], EINVAL)?;
                holds()
            })
        },
    ),
    check(
        "migration.probe-echoes",
        Specification,
        "PROBE of MIG_DEVICE_STATE repeats the request",
        |s| {
            migrating(s, OFFER, |client, _| {
                let request = feature(PROBE | GET | SET | STATE, &[]);
                let reply = client
                    .request(command::DEVICE_FEATURE, &request, &[])?
                    .success()?;
                ensure!(reply == *request, "the reply is {reply:x?}");
                holds()
            })
        },
    ),
    check(
        "migration.begins-running",
        Specification,
        "A device without a migration in progress is RUNNING",
        |s| {
            migrating(s, OFFER, |client, _| {
                let state = state(client)?;
                ensure!(state == RUNNING, "its state is {state}");
                holds()
            })
        },
    ),
    check(
        "migration.set-running",
        LibvfioUser,
        "A state that was set is read back",
        |s| {
            migrating(s, OFFER, |client, _| {
                for to in [STOP, RUNNING] {
                    go(client, to)?;
                    let now = state(client)?;
                    ensure!(now == to, "set to {to}, it is {now}");
                }
                holds()
            })
        },
    ),
    check(
        "migration.set-argsz",
        LibvfioUser,
        "SET of a state with argsz 8 gives EINVAL",
        |s| {
            migrating(s, OFFER, |client, _| {
                let request = Bytes::new().u32(8).u32(SET | STATE).u32(STOP).u32(u32::MAX);
                refused_on(client, command::DEVICE_FEATURE, &request, &[], EINVAL)?;
                holds()
            })
        },
    ),
    check(
        "migration.unknown-state",
        LibvfioUser,
        "A state that does not exist (0xabcd) gives EINVAL",
        |s| migrating(s, OFFER, |client, _| refused_state(client, 0xabcd)),
    ),
    check(
        "migration.error-state",
        Specification,
        "ERROR cannot be set: EINVAL",
        |s| migrating(s, OFFER, |client, _| refused_state(client, ERROR)),
    ),
    check(
        "migration.states-not-offered",
        Specification,
        "States of options that the device does not have are EINVAL",
        |s| {
            migrating(s, OFFER, |client, flags| {
                let offered = states(flags);
                let others = [RUNNING_P2P, PRE_COPY, PRE_COPY_P2P];
                for other in others.into_iter().filter(|other| !offered.contains(other)) {
                    refused_state(client, other)?;
                }
                holds()
            })
        },
    ),
    check(
        "migration.arcs",
        Specification,
        "From every state but RESUMING every other state is reached at once, by way of others where need be",
        |s| {
            migrating(s, OFFER, |client, flags| {
                let offered = states(flags);
                for &from in offered.iter().filter(|&&from| from != RESUMING) {
                    for &to in offered
                        .iter()
                        .filter(|&&to| to != from && !is_refused(from, to))
                    {
                        start_from(client, from)?;
                        go(client, to).with_context(|| format!("from {from} to {to}"))?;
                        client.reset()?.success()?;
                    }
                }
                holds()
            })
        },
    ),
    check(
        "migration.no-way-back",
        Specification,
        "STOP_COPY to PRE_COPY gives EINVAL, the state stays",
        |s| {
            migrating(s, OFFER, |client, flags| {
                if flags & CAN_PRE_COPY == 0 {
                    return skip("the device has no PRE_COPY");
                }
                go(client, STOP_COPY)?;
                refused_state(client, PRE_COPY)?;
                ensure!(state(client)? == STOP_COPY, "the state is another");
                holds()
            })
        },
    ),
    check(
        "migration.reset",
        Specification,
        "DEVICE_RESET leads back to RUNNING",
        |s| {
            migrating(s, OFFER, |client, _| {
                go(client, STOP_COPY)?;
                client.reset()?.success()?;
                ensure!(state(client)? == RUNNING, "the state is another");
                holds()
            })
        },
    ),
    check(
        "mig-data.read-short",
        LibvfioUser,
        "MIG_DATA_READ of 4 bytes gives EINVAL",
        |s| s.refused(command::MIG_DATA_READ, &[0; 4]),
    ),
    check(
        "mig-data.write-short",
        LibvfioUser,
        "MIG_DATA_WRITE of 4 bytes gives EINVAL",
        |s| s.refused(command::MIG_DATA_WRITE, &[0; 4]),
    ),
    check(
        "mig-data.read-running",
        Specification,
        "MIG_DATA_READ gives EINVAL unless the device saves",
        |s| s.refused(command::MIG_DATA_READ, &Bytes::new().u32(16).u32(8)),
    ),
    check(
        "mig-data.read-stopped",
        LibvfioUser,
        "MIG_DATA_READ gives EINVAL in STOP",
        |s| {
            migrating(s, OFFER, |client, _| {
                go(client, STOP)?;
                let request = Bytes::new().u32(16).u32(8);
                refused_on(client, command::MIG_DATA_READ, &request, &[], EINVAL)?;
                holds()
            })
        },
    ),
    check(
        "mig-data.read-pre-copy",
        LibvfioUser,
        "MIG_DATA_READ is answered in PRE_COPY",
        |s| {
            migrating(s, OFFER, |client, flags| {
                if flags & CAN_PRE_COPY == 0 {
                    return skip("the device has no PRE_COPY");
                }
                go(client, PRE_COPY)?;
                saved(client)?;
                holds()
            })
        },
    ),
    check(
        "mig-data.write-running",
        Specification,
        "MIG_DATA_WRITE gives EINVAL unless the device resumes",
        |s| s.refused(command::MIG_DATA_WRITE, &Bytes::new().u32(16).u32(8).u64(0)),
    ),
    check(
        "mig-data.read-above-limit",
        LibvfioUser,
        "MIG_DATA_READ of more than the client's `max_data_xfer_size` gives EINVAL",
        |s| {
            let offer = r#"{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":4,"migration":{"pgsize":4096}}}"#;
            migrating(s, offer, |client, _| {
                go(client, STOP_COPY)?;
                let request = Bytes::new().u32(13).u32(5);
                refused_on(client, command::MIG_DATA_READ, &request, &[], EINVAL)?;
                holds()
            })
        },
    ),
    check(
        "mig-data.write-payload",
        LibvfioUser,
        "MIG_DATA_WRITE with fewer bytes than it says gives EINVAL",
        |s| {
            migrating(s, OFFER, |client, _| {
                go(client, RESUMING)?;
                let request = Bytes::new().u32(24).u32(16).u64(0);
                refused_on(client, command::MIG_DATA_WRITE, &request, &[], EINVAL)?;
                holds()
            })
        },
    ),
    check(
        "mig-data.round-trip",
        Specification,
        "RESUMING accepts the data read in STOP_COPY, and the device runs again",
        |s| {
            migrating(s, OFFER, |client, _| {
                go(client, STOP_COPY)?;
                let stream = saved(client)?;
                go(client, STOP)?;
                go(client, RESUMING)?;
                for chunk in stream.chunks(CHUNK as usize) {
                    let head = Bytes::new()
                        .u32(8 + chunk.len() as u32)
                        .u32(chunk.len() as u32);
                    let request = head.bytes(chunk);
                    let reply = client
                        .request(command::MIG_DATA_WRITE, &request, &[])?
                        .success()?;
                    ensure!(reply.is_empty(), "the reply carries {} bytes", reply.len());
                }
                go(client, STOP)?;
                go(client, RUNNING)?;
                goes_on(client)?;
                holds()
            })
        },
    ),
];

const OFFER: &str = r#"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"migration":{"pgsize":4096}}}"#;

/// Runs a check with a client of a device that migrates and with the device's flags. Afterwards the
/// device runs.
fn migrating(s: &Subject, offer: &str, body: fn(&mut RawClient, u64) -> Outcome) -> Outcome {
    let mut client = s.attach_offering(offer)?;
    if !probe(&mut client, MIGRATION, GET)? {
        return skip("the server does not migrate");
    }
    let get = Bytes::new().u32(16).u32(GET | MIGRATION);
    let reply = client
        .request(command::DEVICE_FEATURE, &get, &[])?
        .success()?;
    ensure!(
        reply.len() == 16,
        "GET of MIGRATION replied {} bytes",
        reply.len()
    );
    let outcome = body(&mut client, field_u64(&reply, 8));
    let recovered = match go(&mut client, RUNNING) {
        Ok(()) => Ok(()),
        Err(_) => client.reset().and_then(|reply| reply.success()).map(|_| ()),
    };
    outcome.and_then(|verdict| {
        recovered
            .context("afterwards, to RUNNING")
            .map(|()| verdict)
    })
}

/// Performs a transition, which has to succeed.
fn go(client: &mut RawClient, to: u32) -> Result<()> {
    let reply = client
        .request(command::DEVICE_FEATURE, &set_state(to), &[])?
        .success();
    let reply = reply.with_context(|| format!("to state {to}"))?;
    ensure!(
        reply.len() == 16 && field_u32(&reply, 8) == to,
        "the reply is {reply:x?}"
    );
    Ok(())
}

fn refused_state(client: &mut RawClient, state: u32) -> Outcome {
    refused_on(
        client,
        command::DEVICE_FEATURE,
        &set_state(state),
        &[],
        EINVAL,
    )
    .with_context(|| format!("to state {state}"))?;
    holds()
}

fn state(client: &mut RawClient) -> Result<u32> {
    let get = Bytes::new().u32(16).u32(GET | STATE);
    let reply = client
        .request(command::DEVICE_FEATURE, &get, &[])?
        .success()?;
    ensure!(
        reply.len() == 16,
        "GET of the state replied {} bytes",
        reply.len()
    );
    Ok(field_u32(&reply, 8))
}

/// Returns the states of a device with these flags.
fn states(flags: u64) -> Vec<u32> {
    let (p2p, pre_copy) = (flags & CAN_P2P != 0, flags & CAN_PRE_COPY != 0);
    let optional = [
        (RUNNING_P2P, p2p),
        (PRE_COPY, pre_copy),
        (PRE_COPY_P2P, p2p && pre_copy),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(state, has)| has.then_some(state));
    [STOP, RUNNING, STOP_COPY, RESUMING]
        .into_iter()
        .chain(optional)
        .collect()
}

/// Returns whether a transition must be refused: STOP_COPY cannot become PRE_COPY.
const fn is_refused(from: u32, to: u32) -> bool {
    from == STOP_COPY && matches!(to, PRE_COPY | PRE_COPY_P2P)
}

/// Brings the device from RUNNING, the state after a reset, to a state.
fn start_from(client: &mut RawClient, state: u32) -> Result<()> {
    if state == RUNNING {
        Ok(())
    } else {
        go(client, state)
    }
}

/// Reads all data of a device in a saving state.
fn saved(client: &mut RawClient) -> Result<Vec<u8>> {
    let mut stream = Vec::new();
    for _ in 0..MOST_CHUNKS {
        let request = Bytes::new().u32(8 + CHUNK).u32(CHUNK);
        let reply = client
            .request(command::MIG_DATA_READ, &request, &[])?
            .success()?;
        let size = field_u32(&reply, 4);
        let data = reply
            .get(8..8 + size as usize)
            .context("the reply is shorter than its size")?;
        ensure!(size <= CHUNK, "{size} bytes came, {CHUNK} were asked for");
        stream.extend_from_slice(data);
        if size < CHUNK {
            return Ok(stream);
        }
    }
    bail!("the stream has no end")
}
