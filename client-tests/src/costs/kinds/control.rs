//! Control clients.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::super::probe::PATIENCE;
use super::super::server::Places;
use super::super::{Answer, Ask};
use super::bar_memory::filled;
use crate::control::Control;

/// A file of a saved state.
pub(super) fn saves(places: &Places) -> Result<Ask> {
    let kept = filled(places)?;
    let mut control = Control::waiting(&places.hostile.control, PATIENCE)?;
    let file = places.states.join("state");
    Ok(Box::new(move |_| {
        let _client = &kept;
        control.command(&["save", file.to_str().context("no UTF-8")?])?;
        Ok(Answer::Served)
    }))
}

/// A saved state that is restored, which is done only while no client is connected.
pub(super) fn restores(places: &Places) -> Result<Ask> {
    let client = filled(places)?;
    let mut control = Control::waiting(&places.hostile.control, PATIENCE)?;
    let file = places.states.join("state");
    let name = file.to_str().context("no UTF-8")?.to_owned();
    control.command(&["save", &name])?;
    drop(client);
    let begun = Instant::now();
    while let Err(error) = control.command(&["restore", &name]) {
        ensure!(begun.elapsed() < PATIENCE, "{error:#}");
    }
    Ok(Box::new(move |_| {
        control.command(&["restore", &name])?;
        Ok(Answer::Served)
    }))
}

/// A file of `size` bytes, of which none was ever written, that is to be restored.
pub(super) fn sparse(places: &Places) -> Result<Ask> {
    let mut control = Control::waiting(&places.hostile.control, PATIENCE)?;
    let path = places.states.join("sparse");
    Ok(Box::new(move |size| {
        File::create(&path)?.set_len(size)?;
        let name = path.to_str().context("no UTF-8")?;
        // It is refused in any case: what counts is the time until then.
        let Err(error) = control.command(&["restore", name]) else {
            bail!("the daemon restored an empty file");
        };
        ensure!(error.to_string().contains("was refused"), "{error:#}");
        Ok(Answer::Served)
    }))
}

/// `size` control clients that inspect the function at the same time.
pub(super) fn inspect(places: &Places) -> Result<Ask> {
    let control = places.hostile.control.clone();
    let mut clients: Vec<BufReader<UnixStream>> = Vec::new();
    Ok(Box::new(move |size| {
        while (clients.len() as u64) < size {
            let stream = UnixStream::connect(&control)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            clients.push(BufReader::new(stream));
        }
        for client in &mut clients {
            client
                .get_mut()
                .write_all(b"{\"id\":1,\"verb\":\"inspect\"}\n")?;
        }
        for client in &mut clients {
            client.read_line(&mut String::new())?;
        }
        Ok(Answer::Served)
    }))
}
