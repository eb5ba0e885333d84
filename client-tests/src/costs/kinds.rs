//! The kinds of expensive inputs.

mod bar_memory;
mod control;
mod dirty;
mod dma;
mod migration;
mod plain;
mod refusals;

use std::os::unix::net::UnixStream;

use anyhow::Result;

use super::probe::PATIENCE;
use super::server::Places;
use super::{Answer, Ask};
use crate::raw::wire::region;
use crate::raw::{Message, RawClient};

/// Name of the kind that the others are compared with.
pub const PLAIN: &str = "plain config reads";

/// A kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Overrides of the profile of the hostile client's function.
    pub set: &'static [&'static str],
    /// The largest size that is tried.
    pub largest: u64,
    /// Connects the hostile client and prepares the function.
    pub(super) start: fn(&Places) -> Result<Ask>,
}

/// A mappable BAR of 16 MiB, and one of 256 MiB.
const MIB_16: &[&str] = &["bar.2.size=0x1000000", "bar.2.mappable=true"];
const MIB_256: &[&str] = &["bar.2.size=0x10000000", "bar.2.mappable=true"];
/// A BAR that no client can map.
const PRIVATE_256: &[&str] = &["bar.2.size=0x10000000"];

/// Returns all kinds, in the order of the report. The first is [`PLAIN`].
#[must_use]
pub fn kinds() -> Vec<Kind> {
    let kind = |name, set, largest, start| Kind {
        name,
        set,
        largest,
        start,
    };
    vec![
        kind(
            PLAIN,
            &[][..],
            1 << 12,
            plain::reads as fn(&Places) -> Result<Ask>,
        ),
        kind(
            "large reads of BAR memory",
            MIB_16,
            2 << 20,
            plain::large_reads,
        ),
        kind(
            "large writes of BAR memory",
            MIB_16,
            2 << 20,
            plain::large_writes,
        ),
        kind(
            "Memory Space toggles, 16 MiB BAR",
            MIB_16,
            1 << 14,
            bar_memory::toggles,
        ),
        kind(
            "Memory Space toggles, 256 MiB BAR",
            MIB_256,
            1 << 14,
            bar_memory::toggles,
        ),
        kind(
            "function level resets, 256 MiB BAR",
            MIB_256,
            64,
            bar_memory::resets,
        ),
        kind(
            "function level resets, private BAR of 256 MiB",
            PRIVATE_256,
            1,
            bar_memory::private_resets,
        ),
        kind(
            "DMA maps of a page, and an unmap of all",
            &[],
            1 << 19,
            dma::pages,
        ),
        kind("DMA maps of sparse sealed files", &[], 1 << 12, dma::files),
        kind("copies by file", &[], 1 << 20, dma::copies_by_file),
        kind("copies by mapping", &[], 1 << 20, dma::copies_by_mapping),
        kind(
            "dirty page reports of a large log",
            &[],
            1 << 10,
            dirty::reports,
        ),
        kind(
            "size queries of a migration, 256 MiB BAR",
            MIB_256,
            64,
            migration::sizes,
        ),
        kind("migration out, 256 MiB BAR", MIB_256, 1, migration::out),
        kind(
            "a stream with a list of zeros",
            MIB_16,
            1 << 26,
            migration::list,
        ),
        kind(
            "a stream with one-byte records",
            MIB_16,
            1 << 23,
            migration::bytes,
        ),
        kind("saves, 256 MiB BAR", MIB_256, 1, control::saves),
        kind("restores, 256 MiB BAR", MIB_256, 1, control::restores),
        kind("restores of a sparse file", &[], 1 << 32, control::sparse),
        kind("inspect by many control clients", &[], 50, control::inspect),
        kind("refused requests", &[], 256, refusals::requests),
        kind(
            "refused streams with forged lines",
            &[],
            1 << 20,
            refusals::forged,
        ),
    ]
}

/// Connects the hostile client, and enables memory and bus mastering.
fn attach(places: &Places) -> Result<RawClient> {
    let stream = UnixStream::connect(&places.hostile.socket)?;
    let mut client = RawClient::waiting(stream, PATIENCE)?;
    client.version(0, 1, None)?.success()?;
    client.write(region::CONFIG, 4, &[6, 0])?;
    Ok(client)
}

fn answer(reply: &Message) -> Answer {
    reply.errno().map_or(Answer::Served, Answer::Refused)
}
