//! The measurements. Each case starts the servers that it needs.

mod access;
mod batches;
mod doorbell;
mod engine;
mod gaps;
mod idle;
mod interrupt;
mod low_power;
mod many;
mod maps;
mod neighbour;
mod transfers;
mod work;

use anyhow::Result;

use crate::Setting;
use crate::report::Report;
use crate::rounds::Contestant;
use crate::servers::{Server, Subject};

type Case = fn(&Setting, &mut Report) -> Result<()>;

/// All cases by name.
pub const CASES: &[(&str, Case)] = &[
    ("access", access::run),
    ("work", work::run),
    ("transfers", transfers::run),
    ("batches", batches::run),
    ("gaps", gaps::run),
    ("idle", idle::run),
    ("maps", maps::run),
    ("disconnect", maps::disconnect),
    ("look-up", engine::look_up),
    ("engine", engine::run),
    ("doorbell", doorbell::run),
    ("low-power", low_power::run),
    ("many", many::run),
    ("memory", many::memory),
    ("neighbour", neighbour::run),
];

/// The test function with as much RAM behind its BAR2 as the device of the peer has.
const WITH_RAM: &[&str] = &["set:bar.2.size=0x100000"];

/// The daemon with one function.
fn ours(setting: &Setting, words: &[&str]) -> Result<Contestant> {
    let server = Server::dormouse(&setting.dormouse, &[words])?;
    Contestant::new(Subject::Ours, server)
}

fn floor(spin: bool) -> Result<Contestant> {
    let options: &[_] = if spin { &["--spin"] } else { &[] };
    Contestant::new(Subject::Floor, Server::floor(options)?)
}

/// A floor that does something besides, in the daemon's place.
fn laden_floor(options: &[&str]) -> Result<Contestant> {
    let mut contestant = Contestant::new(Subject::Floor, Server::floor(options)?)?;
    contestant.subject = Subject::Ours;
    Ok(contestant)
}

fn peer() -> Result<Contestant> {
    Contestant::new(Subject::Peer, Server::peer(1)?)
}
