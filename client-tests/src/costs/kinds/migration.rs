//! Migration: its states, the size of its stream, and streams of no use.

use anyhow::{Context, Result};

use super::super::server::Places;
use super::super::{Answer, Ask};
use super::bar_memory::filled;
use super::{answer, attach};
use crate::migration::state;
use crate::raw::RawClient;
use crate::raw::wire::{Bytes, field_u32};

/// Bytes of the stream in a message.
const PIECE: usize = 1 << 19;
/// Record kinds: BAR memory, and the rest of the state.
const MEMORY: u32 = 1;
const STATE: u32 = 2;
/// The answer to a state that makes no sense.
const EINVAL: u32 = 22;

/// `size` queries of the bytes that are to be transferred.
pub(super) fn sizes(places: &Places) -> Result<Ask> {
    let (mut client, info) = filled(places)?;
    Ok(Box::new(move |size| {
        let _mapped = &info;
        for _ in 0..size {
            client.migration_size()?;
        }
        Ok(Answer::Served)
    }))
}

/// The whole stream of a function, which then goes on.
pub(super) fn out(places: &Places) -> Result<Ask> {
    let (mut client, info) = filled(places)?;
    Ok(Box::new(move |_| {
        let _mapped = &info;
        client.go(state::STOP_COPY)?;
        client.read_stream(PIECE as u32)?;
        client.go(state::RUNNING)?;
        Ok(Answer::Served)
    }))
}

/// A record with a list of zeros, of `size` bytes.
pub(super) fn list(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    let label = label(&mut client)?;
    Ok(Box::new(move |size| {
        let payload: Vec<u8> = b"["
            .iter()
            .chain(b"0,".iter().cycle())
            .copied()
            .take(size as usize)
            .collect();
        let record = Bytes::new().u32(STATE).u32(size as u32).bytes(&payload);
        restore(&mut client, &label, &record, Some(EINVAL))
    }))
}

/// `size` records with one byte of BAR memory each, and no state.
pub(super) fn bytes(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    let label = label(&mut client)?;
    Ok(Box::new(move |size| {
        let records = (0..size).fold(Bytes::new(), |records, at| {
            let records = records.u32(MEMORY).u32(13).u32(2);
            records.u64(at % (16 << 20)).bytes(&[1])
        });
        restore(&mut client, &label, &records, None)
    }))
}

/// Writes a stream and tries to restore from it. A refusal with `usual` counts as served.
pub(super) fn restore(
    client: &mut RawClient,
    label: &[u8],
    records: &[u8],
    usual: Option<u32>,
) -> Result<Answer> {
    client.reset()?.success()?;
    client.go(state::RESUMING)?;
    client.try_write_state(label)?.success()?;
    let mut last = Answer::Served;
    for piece in records.chunks(PIECE) {
        last = answer(&client.try_write_state(piece)?);
        if last != Answer::Served {
            break;
        }
    }
    let end = client.try_go(state::STOP)?;
    client.reset()?.success()?;
    Ok(match last {
        Answer::Served if usual.is_some() && end.errno() == usual => Answer::Served,
        other => other,
    })
}

/// Returns the label with which a stream of this function begins.
pub(super) fn label(client: &mut RawClient) -> Result<Vec<u8>> {
    client.go(state::STOP_COPY)?;
    let mut stream = client.read_stream(PIECE as u32)?;
    client.go(state::RUNNING)?;
    let length = stream.get(4..8).map(|bytes| field_u32(bytes, 0));
    stream.truncate(8 + length.context("the stream is empty")? as usize);
    Ok(stream)
}
