//! The functions of a slot by their numbers.

use std::iter;

use super::{FunctionNumber, MAX_FUNCTIONS};
use crate::function::Function;

/// The functions of a slot.
#[derive(Debug)]
pub(super) struct Functions {
    /// Every slot has a function 0 (PCI Local Bus §3.2.2.3.4).
    pub(super) first: Box<Function>,
    /// Functions 1 to 7.
    others: [Option<Box<Function>>; MAX_FUNCTIONS - 1],
    /// The physical functions of those that are virtual.
    physical: [Option<FunctionNumber>; MAX_FUNCTIONS - 1],
}

impl Functions {
    pub(super) fn new(first: Function) -> Self {
        Self {
            first: Box::new(first),
            others: Default::default(),
            physical: Default::default(),
        }
    }

    /// Puts a function in its place.
    pub(super) fn insert(&mut self, number: FunctionNumber, function: Function) {
        match number.among_others() {
            None => *self.first = function,
            Some(index) => {
                if let Some(place) = self.others.get_mut(index) {
                    *place = Some(Box::new(function));
                }
            }
        }
    }

    /// Names the physical function of a virtual one.
    pub(super) fn set_physical(&mut self, number: FunctionNumber, of: FunctionNumber) {
        let index = number.among_others();
        if let Some(place) = index.and_then(|index| self.physical.get_mut(index)) {
            *place = Some(of);
        }
    }

    /// Returns the physical function of a virtual one.
    pub(super) fn physical(&self, number: FunctionNumber) -> Option<FunctionNumber> {
        *self.physical.get(number.among_others()?)?
    }

    /// Returns the virtual functions of a physical one, in order.
    pub(super) fn virtual_functions(
        &self,
        of: FunctionNumber,
    ) -> impl Iterator<Item = FunctionNumber> + use<> {
        let physical = FunctionNumber::OTHERS.into_iter().zip(self.physical);
        physical.filter_map(move |(number, physical)| (physical == Some(of)).then_some(number))
    }

    /// Returns a function by its number.
    pub(super) fn get(&self, number: FunctionNumber) -> Option<&Function> {
        match number.among_others() {
            None => Some(&self.first),
            Some(index) => self.others.get(index)?.as_deref(),
        }
    }

    /// Returns a function by its number, or function 0 if there is none of that number.
    pub(super) fn get_or_first(&self, number: FunctionNumber) -> &Function {
        self.get(number).unwrap_or(&self.first)
    }

    /// As [`Self::get_or_first`].
    pub(super) fn get_or_first_mut(&mut self, number: FunctionNumber) -> &mut Function {
        let index = number.among_others();
        let other = index.and_then(|index| self.others.get_mut(index)?.as_deref_mut());
        other.unwrap_or(&mut self.first)
    }

    /// Returns all functions in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (FunctionNumber, &Function)> {
        let others = FunctionNumber::OTHERS.into_iter().zip(&self.others);
        let others = others.filter_map(|(number, function)| Some((number, function.as_deref()?)));
        iter::once((FunctionNumber::ZERO, &*self.first)).chain(others)
    }

    /// As [`Self::iter`], without the numbers.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Function> {
        let others = self.others.iter_mut().flatten().map(Box::as_mut);
        iter::once(&mut *self.first).chain(others)
    }
}
