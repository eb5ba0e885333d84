//! From what a client proposes and what a server can do to what holds.

use super::{Capabilities, Migration, PeerLimits, Proposal, REQUEST, Reply, TwinSocket, json};
use crate::error::{MessageError, check_field};

/// The only major version.
pub const MAJOR: u16 = 0;
/// The highest minor version. The minors differ in nothing: features are found by capability or by
/// trying.
pub const MINOR: u16 = 2;
/// Longest text in a reply, without the NUL. QEMU reads the reply into the buffer of its own
/// request, which has room for this.
pub const MAX_REPLY_TEXT: usize = 193;

/// The abilities of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// File descriptors in one message.
    pub max_msg_fds: u32,
    /// Bytes in one access.
    pub max_data_xfer_size: u32,
    /// DMA windows.
    pub max_dma_maps: u32,
    /// Page sizes for DMA windows, or-ed together.
    pub pgsizes: u64,
    /// It serves REGION_WRITE_MULTI.
    pub write_multiple: bool,
    /// It describes mappable areas from several files.
    pub sparse_mmap_fds: bool,
    /// It uses a second socket, the descriptor of which stands at this position beside the reply.
    pub twin_socket: Option<u32>,
    /// It migrates.
    pub migration: Option<Migration>,
    /// The dialect of the low-power features that it speaks.
    pub pm_dialect: Option<String>,
}

impl Default for ServerLimits {
    /// The specification's defaults, and every option off.
    fn default() -> Self {
        let limits = PeerLimits::default();
        Self {
            max_msg_fds: limits.max_msg_fds,
            max_data_xfer_size: limits.max_data_xfer_size,
            max_dma_maps: limits.max_dma_maps,
            pgsizes: limits.pgsizes,
            write_multiple: false,
            sparse_mmap_fds: false,
            twin_socket: None,
            migration: None,
            pm_dialect: None,
        }
    }
}

/// The reply to a proposal. What it says holds; what it leaves out has its default or is off, also
/// when the server could do it.
///
/// - Any minor version is accepted, the lower of the two holds. Another major version is EINVAL.
/// - A capability is answered only if the client named it, an option only if both sides can do it. To
///   `migration` the page size is answered, and the largest bitmap if the client named its own.
/// - The text is never longer than the client's, nor than [`MAX_REPLY_TEXT`]. What does not fit is
///   left out: first numbers that say no more than the default does, then options, the dialect
///   first.
/// - A client that sent no text gets none. It never learns limits, so a server should be able to do
///   what the defaults promise.
pub fn negotiate(proposal: &Proposal, server: &ServerLimits) -> Result<Reply, MessageError> {
    check_field(
        REQUEST,
        "major version",
        proposal.major,
        proposal.major == MAJOR,
        "0",
    )?;
    let capabilities = proposal.capabilities.as_ref().and_then(|offered| {
        let room = proposal.text_size.min(MAX_REPLY_TEXT + 1);
        shorten(answer(offered, server), room)
    });
    Ok(Reply {
        major: MAJOR,
        minor: proposal.minor.min(MINOR),
        capabilities,
    })
}

fn answer(offered: &Capabilities, server: &ServerLimits) -> Capabilities {
    let both = |offered: Option<bool>, served: bool| offered.filter(|&offered| offered && served);
    let wants_twin = offered.twin_socket.is_some_and(|twin| twin.supported);
    let dialect = server.pm_dialect.as_ref().filter(|dialect| {
        offered
            .pm_dialects
            .as_ref()
            .is_some_and(|offered| offered.contains(dialect))
    });
    Capabilities {
        max_msg_fds: offered.max_msg_fds.map(|_| server.max_msg_fds),
        max_data_xfer_size: offered
            .max_data_xfer_size
            .map(|_| server.max_data_xfer_size.into()),
        max_dma_maps: offered.max_dma_maps.map(|_| server.max_dma_maps.into()),
        pgsizes: offered.pgsizes.map(|_| server.pgsizes),
        twin_socket: server
            .twin_socket
            .filter(|_| wants_twin)
            .map(|index| TwinSocket {
                supported: true,
                fd_index: Some(index),
            }),
        write_multiple: both(offered.write_multiple, server.write_multiple),
        sparse_mmap_fds: both(offered.sparse_mmap_fds, server.sparse_mmap_fds),
        migration: offered
            .migration
            .zip(server.migration)
            .map(|(offered, server)| Migration {
                pgsize: server.pgsize,
                max_bitmap_size: offered.max_bitmap_size.and(server.max_bitmap_size),
            }),
        pm_dialects: dialect.map(|dialect| vec![dialect.clone()]),
    }
}

/// Leaves members out until the text, NUL included, fits into `room` bytes; `None` when not even an
/// empty one does.
fn shorten(mut answer: Capabilities, room: usize) -> Option<Capabilities> {
    let default = PeerLimits::default();
    let steps: [fn(&mut Capabilities, &PeerLimits); 10] = [
        |answer, default| {
            _ = answer
                .max_dma_maps
                .take_if(|value| *value == u64::from(default.max_dma_maps))
        },
        |answer, default| _ = answer.pgsizes.take_if(|value| *value == default.pgsizes),
        |answer, default| {
            _ = answer
                .max_data_xfer_size
                .take_if(|value| *value == u64::from(default.max_data_xfer_size))
        },
        |answer, default| {
            _ = answer
                .max_msg_fds
                .take_if(|value| *value == default.max_msg_fds)
        },
        |answer, _| answer.pm_dialects = None,
        |answer, _| answer.sparse_mmap_fds = None,
        |answer, _| answer.write_multiple = None,
        |answer, _| answer.migration = None,
        |answer, _| answer.twin_socket = None,
        |answer, _| *answer = Capabilities::default(),
    ];
    for step in steps {
        if json::text_size(&answer) <= room {
            break;
        }
        step(&mut answer, &default);
    }
    (json::text_size(&answer) <= room).then_some(answer)
}
