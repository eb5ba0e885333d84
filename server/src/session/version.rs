//! VERSION: what both sides can do.

use std::os::unix::net::UnixStream;

use pci_device_models::host::{PmDialect, View};
use vfio_user_protocol::Limits;
use vfio_user_protocol::messages::version::{self, Migration, Proposal, ServerLimits};

use super::error::RequestError;
use super::{Context, Session};
use crate::connection::MAX_MESSAGE_FDS;

/// Most bytes of one access to a region: the specification's default, which a client that names no
/// capabilities relies on.
pub(super) const MAX_ACCESS: u32 = 1 << 20;

/// Place of the twin socket among the descriptors of the reply: it is the only one.
const TWIN_INDEX: u32 = 0;

/// What is told of dirty bitmaps to a client that asks: the smallest page that is logged and the
/// largest bitmap that is given.
const MIGRATION: Migration = Migration {
    pgsize: Some(4096),
    max_bitmap_size: Some(MAX_ACCESS as u64),
};

/// The sizes of messages that are taken.
pub(crate) const fn limits() -> Limits {
    Limits::for_transfers(MAX_ACCESS)
}

/// A version that does not suit leaves the connection as it is: the client may propose another.
pub(super) fn negotiate(
    session: &mut Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let proposal = Proposal::parse(payload)?;
    let peer = proposal.limits();
    // The number of maps stays the default, which is the most that some clients accept to hear;
    // more are taken without a word.
    let migrates = cx.device.config().view == View::Hardware;
    let limits = ServerLimits {
        max_msg_fds: MAX_MESSAGE_FDS as u32,
        max_data_xfer_size: MAX_ACCESS,
        write_multiple: true,
        sparse_mmap_fds: true,
        twin_socket: (peer.max_msg_fds > 0).then_some(TWIN_INDEX),
        migration: migrates.then_some(MIGRATION),
        pm_dialect: Some(name(cx.device.config().pm_dialect).to_owned()),
        ..ServerLimits::default()
    };
    let answer = version::negotiate(&proposal, &limits)?;
    let agreed = answer.capabilities.as_ref();
    session.sparse_mmap_fds = agreed.is_some_and(|agreed| agreed.sparse_mmap_fds == Some(true));
    if agreed.is_some_and(|agreed| agreed.twin_socket.is_some()) {
        let (ours, theirs) = UnixStream::pair().map_err(RequestError::Descriptor)?;
        cx.twin = Some(ours.into());
        cx.reply_fds.push(theirs.into());
    }
    answer.encode(reply);
    session.negotiated = true;
    session.owner.max_transfer = peer.max_data_xfer_size.clamp(1, MAX_ACCESS);
    session.max_msg_fds = peer.max_msg_fds;
    Ok(())
}

/// A dialect's name in capabilities.
const fn name(dialect: PmDialect) -> &'static str {
    match dialect {
        PmDialect::Mainline => "mainline",
        PmDialect::V4 => "v4",
    }
}
