//! VERSION: what both sides can do.

use std::os::unix::net::UnixStream;

use pci_device_models::host::{PmDialect, View};
use vfio_user_protocol::messages::version::{self, Migration, Proposal, ServerLimits};

use super::error::RequestError;
use super::{Context, Session};

/// Place of the twin socket among the descriptors of the reply: it is the only one.
const TWIN_INDEX: u32 = 0;

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
    let migrates = cx.device.options().view == View::Hardware;
    let limits = ServerLimits {
        max_msg_fds: cx.limits.message_fds as u32,
        max_data_xfer_size: cx.limits.transfer,
        write_multiple: true,
        sparse_mmap_fds: true,
        twin_socket: (peer.max_msg_fds > 0).then_some(TWIN_INDEX),
        // The smallest page that is logged and the largest bitmap that is given.
        migration: migrates.then_some(Migration {
            pgsize: Some(4096),
            max_bitmap_size: Some(cx.limits.transfer.into()),
        }),
        pm_dialect: Some(name(cx.device.options().pm_dialect).to_owned()),
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
    session.owner.max_transfer = peer.max_data_xfer_size.min(cx.limits.transfer).max(1);
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
