//! Migration of a function: version 2 of VFIO's, with P2P and PRE_COPY.
//!
//! | module | contents |
//! |---|---|
//! | [`arcs`] | the states, their meaning and the paths between them |
//! | [`slot_time`] | the slot's time, which stands still while a function is stopped |
//!
//! The form of a stream is that of [`crate::stream`].

mod arcs;
mod slot_time;

use pci_device_models::host::{DeviceMut, DeviceRef};
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;
use vfio_user_protocol::Errno;
use vfio_user_protocol::messages::device_feature::mig_device_state::DeviceState;

use crate::outputs::Outputs;
use crate::stream::{Incoming, Outgoing, Piece, Restored, StreamError};
use arcs::meaning;

pub(crate) use slot_time::SlotTime;

/// An error of migration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error("no way leads from migration state {from:?} to {to:?}")]
    NoWay { from: DeviceState, to: DeviceState },
    #[error("data can be read in PRE_COPY, PRE_COPY_P2P and STOP_COPY, not in {0:?}")]
    NotSaving(DeviceState),
    #[error("data can be written in RESUMING, not in {0:?}")]
    NotResuming(DeviceState),
    #[error(
        "function {0} of the same card runs, and a card migrates whole: bring all its functions to RUNNING_P2P or further first, and disable virtual functions"
    )]
    Alone(FunctionNumber),
    #[error(
        "the stream cannot be used: {0}; the migration state is ERROR until the device is reset"
    )]
    Stream(#[from] StreamError),
}

impl MigrationError {
    /// The error number for the reply.
    pub(crate) const fn errno(&self) -> Errno {
        match self {
            Self::Stream(error) => error.errno(),
            Self::Alone(_) => Errno::EBUSY,
            Self::NoWay { .. } | Self::NotSaving(_) | Self::NotResuming(_) => Errno::EINVAL,
        }
    }
}

/// The progress of a function on its path to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is there.
    Done,
    /// It waits for a transfer to end, and has to be asked again.
    Waits,
    /// It takes further steps, for which it has to be asked again.
    Steps,
}

/// Pages of restored memory that are copied in one step.
pub(crate) const FILL_STEP: u32 = 256;

/// The function that is migrated.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) device: DeviceMut<'a>,
    pub(crate) outputs: &'a mut Outputs,
    pub(crate) time: &'a mut SlotTime,
    /// The slot's own time.
    pub(crate) now: Time,
}

impl Subject<'_> {
    /// Returns another function of the slot that may still begin transfers, if there is one.
    ///
    /// A virtual function migrates alone, to a server whose host has enabled one for it. The others
    /// do not migrate while virtual functions exist, which could not be opened at the destination.
    fn running_sibling(&mut self) -> Option<FunctionNumber> {
        if self.device.slot().function().is_virtual() {
            return None;
        }
        let own = self.device.slot().number();
        let members = self.device.members().into_iter();
        let mut siblings = members.filter(|number| *number != own);
        siblings.find(|number| {
            let virtual_function = |device: DeviceMut<'_>| {
                let function = device.slot().function();
                function.is_virtual().then(|| function.exists())
            };
            let exists = self.device.with_member(*number, virtual_function);
            exists.flatten().unwrap_or(!self.time.rests(*number))
        })
    }
}

/// The migration of a function.
#[derive(Debug)]
pub(crate) struct Migration {
    state: DeviceState,
    outgoing: Option<Outgoing>,
    /// The part of a stream that has come, if any.
    incoming: Option<Box<Incoming>>,
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            state: DeviceState::Running,
            outgoing: None,
            incoming: None,
        }
    }
}

impl Migration {
    pub(crate) const fn state(&self) -> DeviceState {
        self.state
    }

    /// Brings the function to a state, or as near as it gets without waiting.
    ///
    /// # Errors
    /// There is no way, and nothing changes; or what was written is of no use: the state is ERROR.
    pub(crate) fn enter(
        &mut self,
        to: DeviceState,
        subject: &mut Subject<'_>,
    ) -> Result<Progress, MigrationError> {
        // From ERROR no way leads anywhere, not even there.
        while self.state != to || to == DeviceState::Error {
            let from = self.state;
            let next = arcs::next(from, to).ok_or(MigrationError::NoWay { from, to })?;
            let progress = self.step(next, subject)?;
            if progress != Progress::Done {
                return Ok(progress);
            }
            tracing::debug!(?from, to = ?next, "migration state");
        }
        // The function may have waited for a transfer on a path that was abandoned.
        self.rest_as_is_meant(subject.outputs);
        let number = subject.device.slot().number();
        subject.time.set_rests(number, meaning(self.state).rests);
        Ok(Progress::Done)
    }

    /// Goes along an arc.
    fn step(
        &mut self,
        to: DeviceState,
        subject: &mut Subject<'_>,
    ) -> Result<Progress, MigrationError> {
        let (before, after) = (meaning(self.state), meaning(to));
        if ((after.saving && after.frozen) || self.incoming.is_some())
            && let Some(running) = subject.running_sibling()
        {
            return Err(MigrationError::Alone(running));
        }
        subject.outputs.dma.set_rests(after.rests);
        let number = subject.device.slot().number();
        subject.time.set_rests(number, after.rests);
        if !subject.outputs.dma.is_settled() {
            return Ok(Progress::Waits);
        }
        if after.frozen && !before.frozen {
            subject.device.freeze();
            subject.time.stop(subject.device.slot().number());
        }
        if let Some(incoming) = self.incoming.take() {
            let restored = restore(*incoming, subject);
            restored.inspect_err(|_| self.state = DeviceState::Error)?;
        }
        if !subject.device.fill_memory(FILL_STEP) {
            return Ok(Progress::Steps);
        }
        if after.saving {
            let (device, now) = (subject.device.as_ref(), subject.now);
            let outgoing = self.outgoing.get_or_insert_with(|| Outgoing::new(device));
            if after.frozen {
                outgoing.complete(device, now);
            } else if !before.saving {
                outgoing.copy_ahead();
            }
        } else {
            self.outgoing = None;
        }
        if before.frozen && !after.frozen {
            subject.device.thaw();
            subject.time.go_on(subject.device.slot().number());
        }
        self.state = to;
        Ok(Progress::Done)
    }

    /// Lets transfers begin or not, as the present state demands.
    pub(crate) fn rest_as_is_meant(&self, outputs: &mut Outputs) {
        outputs.dma.set_rests(meaning(self.state).rests);
    }

    /// Back to RUNNING, whatever the state is: nothing is left of what was read or written.
    pub(crate) fn end(&mut self, subject: &mut Subject<'_>) {
        *self = Self::default();
        self.rest_as_is_meant(subject.outputs);
        subject.outputs.drop_held();
        subject.device.thaw();
        let number = subject.device.slot().number();
        subject.time.set_rests(number, false);
        subject.time.go_on(number);
    }

    /// The next bytes of the saved state, `most` at most.
    ///
    /// # Errors
    /// [`MigrationError::NotSaving`].
    pub(crate) fn read(
        &mut self,
        device: DeviceRef<'_>,
        most: usize,
    ) -> Result<Piece<'_>, MigrationError> {
        match &mut self.outgoing {
            Some(outgoing) => Ok(outgoing.read(device, most)),
            None => Err(MigrationError::NotSaving(self.state)),
        }
    }

    /// Takes the next bytes of a state that is to be restored. Returns the number of records that they complete.
    ///
    /// # Errors
    /// [`MigrationError::NotResuming`]; they are of no use: the state is ERROR.
    pub(crate) fn write(
        &mut self,
        device: DeviceRef<'_>,
        bytes: &[u8],
    ) -> Result<u32, MigrationError> {
        if self.state != DeviceState::Resuming {
            return Err(MigrationError::NotResuming(self.state));
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let incoming = self
            .incoming
            .get_or_insert_with(|| Box::new(Incoming::new(device)));
        incoming.write(device, bytes).map_err(|error| {
            self.state = DeviceState::Error;
            self.incoming = None;
            error.into()
        })
    }

    /// Bytes that are to be read if the function stops now.
    pub(crate) fn data_size(&mut self, device: DeviceRef<'_>, now: Time) -> u64 {
        match &mut self.outgoing {
            Some(outgoing) => outgoing.left(device, now),
            None => Outgoing::new(device).left(device, now),
        }
    }
}

/// Makes the function what it was when the stream was saved, but for memory that has to be copied. If
/// nothing was written it stays what it is.
fn restore(incoming: Incoming, subject: &mut Subject<'_>) -> Result<(), StreamError> {
    let Some(Restored { state, image }) = incoming.finish()? else {
        return Ok(());
    };
    // What waits to leave is of the function that this was.
    subject.outputs.drop_held();
    while subject.device.next_output().is_some() {}
    subject.device.restore_state(subject.now, &state, image)?;
    subject.outputs.irqs.end_low_power(false);
    Ok(())
}
