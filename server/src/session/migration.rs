//! Features MIGRATION, MIG_DEVICE_STATE and MIG_DATA_SIZE, and MIG_DATA_READ and MIG_DATA_WRITE.
//!
//! None of them wakes the device: one that sleeps has to be moved as it is. In the vfio-pci view there
//! are none, since plain vfio-pci migrates nothing.

use pci_device_models::host::View;
use vfio_user_protocol::messages::device_feature::mig_data_size::MigDataSize;
use vfio_user_protocol::messages::device_feature::mig_device_state::{DeviceState, MigDeviceState};
use vfio_user_protocol::messages::device_feature::migration::MigrationFlags;
use vfio_user_protocol::messages::device_feature::{Feature, Operation, Request};
use vfio_user_protocol::messages::mig_data::{ReadReply, ReadRequest, WriteRequest};

use super::error::RequestError;
use super::{Context, Session, Unfinished, unfinished};
use crate::migration::Progress;
use crate::stream::Piece;

/// Kinds of migration that there are.
const KINDS: MigrationFlags = MigrationFlags::STOP_COPY
    .union(MigrationFlags::P2P)
    .union(MigrationFlags::PRE_COPY);
/// Stands for a descriptor that is not used: data go by MIG_DATA_READ and MIG_DATA_WRITE.
const NO_FD: u32 = u32::MAX;

/// One of the three features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flags,
    State,
    Size,
}

impl Kind {
    /// The one that a feature is.
    pub(super) const fn of(feature: Feature) -> Option<Self> {
        match feature {
            Feature::Migration => Some(Self::Flags),
            Feature::MigDeviceState => Some(Self::State),
            Feature::MigDataSize => Some(Self::Size),
            _ => None,
        }
    }

    const fn operations(self) -> Operation {
        match self {
            Self::Flags | Self::Size => Operation::GET,
            Self::State => Operation::GET.union(Operation::SET),
        }
    }
}

/// Judges and serves a request for a feature.
pub(super) fn feature(
    cx: &mut Context<'_>,
    kind: Kind,
    request: &Request<'_>,
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    request.check()?;
    request.check_repeatable()?;
    if !request.wants(kind.operations(), 0)? {
        request.encode(reply);
        return Ok(());
    }
    if request.operation.contains(Operation::SET) {
        return set_state(cx, request, reply);
    }
    let mut data = Vec::with_capacity(8);
    match kind {
        Kind::Flags => KINDS.encode(&mut data),
        Kind::State => state(cx.migration.state()).encode(&mut data),
        Kind::Size => {
            let stop_copy_length = cx.migration.data_size(cx.device.as_ref(), cx.now);
            MigDataSize { stop_copy_length }.encode(&mut data);
        }
    }
    request.check_room(data.len())?;
    request.reply(&data).encode(reply);
    Ok(())
}

const fn state(state: DeviceState) -> MigDeviceState {
    MigDeviceState {
        state,
        data_fd: NO_FD,
    }
}

/// The reply, which repeats the request, comes when the device is in its new state.
fn set_state(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let wanted = MigDeviceState::parse(request.data)?;
    let (migration, mut subject) = cx.migration();
    match migration.enter(wanted.state, &mut subject)? {
        Progress::Done => request.encode(reply),
        Progress::Waits => cx.unfinished = Some(Unfinished::UntilRest),
        Progress::Steps => cx.unfinished = Some(Unfinished::UntilNextTurn),
    }
    Ok(())
}

/// MIG_DATA_READ.
pub(super) fn read(
    session: &Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    check_view(cx)?;
    let size = ReadRequest::parse(payload)?.size;
    check_size(size, session.owner.max_transfer)?;
    match cx.migration.read(cx.device.as_ref(), size as usize)? {
        Piece::Bytes(data) => ReadReply { data }.encode(reply),
        Piece::Waits => cx.unfinished = Some(Unfinished::UntilNextTurn),
    }
    Ok(())
}

/// MIG_DATA_WRITE. What does not fit into a turn is taken in the next ones.
pub(super) fn write(
    session: &mut Session,
    cx: &mut Context<'_>,
    payload: &[u8],
) -> Result<(), RequestError> {
    /// Bytes between two looks at the budget. In a stream of a device they are a few records; they may be
    /// some hundred.
    const PIECE: usize = 16 << 10;
    check_view(cx)?;
    let data = WriteRequest::parse(payload)?.data;
    // Never more than a message has.
    check_size(data.len() as u32, cx.limits.transfer)?;
    let mut taken = match session.progress {
        unfinished::Progress::Taken(taken) => taken,
        _ => 0,
    };
    loop {
        let rest = data.get(taken..).unwrap_or_default();
        let piece = rest.get(..PIECE).unwrap_or(rest);
        let records = cx.migration.write(cx.device.as_ref(), piece)?;
        taken += piece.len();
        if taken >= data.len() {
            return Ok(());
        }
        cx.budget.spend(1 + records);
        if cx.budget.is_spent() {
            session.progress = unfinished::Progress::Taken(taken);
            cx.unfinished = Some(Unfinished::UntilNextTurn);
            return Ok(());
        }
    }
}

fn check_view(cx: &Context<'_>) -> Result<(), RequestError> {
    match cx.device.options().view {
        View::Hardware => Ok(()),
        View::VfioPci => Err(RequestError::NoMigration),
    }
}

const fn check_size(size: u32, limit: u32) -> Result<(), RequestError> {
    if size > limit {
        return Err(RequestError::MigrationData { size, limit });
    }
    Ok(())
}
