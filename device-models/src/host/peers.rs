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

    pub(super) fn iter(&self) -> impl Iterator<Item = &Device> {
        let others = self.lower.iter().chain(&*self.higher);
        let others = others.filter_map(Option::as_deref);
        self.first.as_deref().into_iter().chain(others)
    }

    /// Returns whether a function has a device among them.
    pub(super) fn has(&self, number: FunctionNumber) -> bool {
        let Some(index) = number.among_others() else {
            return self.first.is_some();
        };
        let place = match index.checked_sub(self.lower.len()) {
            None => self.lower.get(index),
            Some(behind) => behind
                .checked_sub(self.missing())
                .and_then(|index| self.higher.get(index)),
        };
        place.is_some_and(Option::is_some)
    }

    /// Returns the number of places between `lower` and `higher`: one, unless the one is function 0.
    const fn missing(&self) -> usize {
        crate::slot::MAX_FUNCTIONS - 1 - self.lower.len() - self.higher.len()
    }

    /// Returns the place of function `index + 1`.
    fn place(&mut self, index: usize) -> Option<&mut Option<Box<Device>>> {
        let Some(behind) = index.checked_sub(self.lower.len()) else {
            return self.lower.get_mut(index);
        };
        let missing = self.missing();
        self.higher.get_mut(behind.checked_sub(missing)?)
    }
}

impl DeviceMut<'_> {
    /// Returns this device and the others of the slot, without one that is out of its place.
    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        std::iter::once(&*self.state).chain(self.peers.iter())
    }

    /// Acts on this device and the others of the slot.
    pub(super) fn for_all(&mut self, mut act: impl FnMut(&mut Device)) {
        act(self.state);
        let peers = &mut self.peers;
        if let Some(first) = peers.first.as_deref_mut() {
            act(first);
        }
        let others = peers.lower.iter_mut().chain(peers.higher.iter_mut());
        others.flatten().for_each(|device| act(device));
    }

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
