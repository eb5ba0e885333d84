//! The other devices of a slot as one of them sees them.

use super::{Device, DeviceMut};
use crate::slot::FunctionNumber;

/// The devices of a slot except one.
#[derive(Debug, Default)]
pub(super) struct Peers<'a> {
    /// The device of function 0, unless that is the one.
    pub(super) first: Option<&'a mut Device>,
    /// The devices with lower numbers, from 1 on, and those with higher numbers.
    pub(super) lower: &'a mut [Option<Box<Device>>],
    pub(super) higher: &'a mut [Option<Box<Device>>],
}

impl Peers<'_> {
    pub(super) fn reborrow(&mut self) -> Peers<'_> {
        Peers {
            first: self.first.as_deref_mut(),
            lower: self.lower,
            higher: self.higher,
        }
    }

    /// Returns the place of function `index + 1`.
    fn place(&mut self, index: usize) -> Option<&mut Option<Box<Device>>> {
        let Some(behind) = index.checked_sub(self.lower.len()) else {
            return self.lower.get_mut(index);
        };
        // Between them is the one, unless it is function 0.
        let missing = crate::slot::MAX_FUNCTIONS - 1 - self.lower.len() - self.higher.len();
        self.higher.get_mut(behind.checked_sub(missing)?)
    }
}

impl DeviceMut<'_> {
    /// Acts on another device of the slot, if there is one of that number. That device sees all
    /// others but this one.
    pub(super) fn with_peer<R>(
        &mut self,
        number: FunctionNumber,
        act: impl FnOnce(DeviceMut<'_>) -> R,
    ) -> Option<R> {
        let slot = self.slot.of_function(number)?;
        let set = &mut *self.set;
        let Some(index) = number.among_others() else {
            let state = self.peers.first.as_deref_mut()?;
            let peers = Peers {
                first: None,
                lower: self.peers.lower,
                higher: self.peers.higher,
            };
            return Some(act(DeviceMut {
                slot,
                state,
                peers,
                set,
            }));
        };
        // It is out of its place meanwhile, so it is not its own peer.
        let mut state = self.peers.place(index)?.take()?;
        let result = act(DeviceMut {
            slot,
            state: &mut state,
            peers: self.peers.reborrow(),
            set,
        });
        *self.peers.place(index)? = Some(state);
        Some(result)
    }
}
