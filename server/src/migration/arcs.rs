//! The states of migration, their meaning, and the paths between them.
//!
//! The arcs are those of Linux (`vfio_mig_get_next_state`) for a device with P2P and PRE_COPY:
//!
//! ```text
//!  RUNNING ◀──▶ RUNNING_P2P ◀──▶ STOP ◀──▶ RESUMING
//!   ▲│            ▲│             ▲│
//!   │▼            │▼             │▼
//!  PRE_COPY ◀──▶ PRE_COPY_P2P ──▶ STOP_COPY
//! ```
//!
//! The path to a state that is no neighbour is the shortest one on which nothing is saved, or between two
//! saving states the shortest one on which saving never ends. So STOP_COPY does not become PRE_COPY.
//! ERROR has no arcs.

use vfio_user_protocol::messages::device_feature::mig_device_state::DeviceState::{
    self, Error, PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy,
};

/// The meaning of a state for the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// It begins no transfer.
    pub(super) rests: bool,
    /// Nothing happens to it at all.
    pub(super) frozen: bool,
    /// Its state can be read.
    pub(super) saving: bool,
}

/// Returns the meaning of `state`.
pub(super) const fn meaning(state: DeviceState) -> Meaning {
    let (rests, frozen, saving) = match state {
        Running => (false, false, false),
        RunningP2p => (true, false, false),
        PreCopy => (false, false, true),
        PreCopyP2p => (true, false, true),
        StopCopy => (true, true, true),
        Stop | Resuming | Error => (true, true, false),
    };
    Meaning {
        rests,
        frozen,
        saving,
    }
}

/// The next state on the way from one state to another. `None`: there is no way, or the states are
/// the same.
pub(super) const fn next(from: DeviceState, to: DeviceState) -> Option<DeviceState> {
    Some(match (from, to) {
        (Running, PreCopy) => PreCopy,
        (Running, RunningP2p | PreCopyP2p | Stop | StopCopy | Resuming) => RunningP2p,
        (RunningP2p, Running | PreCopy) => Running,
        (RunningP2p, PreCopyP2p) => PreCopyP2p,
        (RunningP2p, Stop | StopCopy | Resuming) => Stop,
        (Stop, Running | RunningP2p | PreCopy | PreCopyP2p) => RunningP2p,
        (Stop, StopCopy) => StopCopy,
        (Stop, Resuming) => Resuming,
        (Resuming, Stop | Running | RunningP2p | PreCopy | PreCopyP2p | StopCopy) => Stop,
        (PreCopy, Running | RunningP2p | Stop | Resuming) => Running,
        (PreCopy, PreCopyP2p | StopCopy) => PreCopyP2p,
        (PreCopyP2p, PreCopy) => PreCopy,
        (PreCopyP2p, Running | RunningP2p | Stop | Resuming) => RunningP2p,
        (PreCopyP2p, StopCopy) => StopCopy,
        (StopCopy, Stop | Running | RunningP2p | Resuming) => Stop,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const ARCS: [(DeviceState, DeviceState); 15] = [
        (Running, RunningP2p),
        (RunningP2p, Running),
        (RunningP2p, Stop),
        (Stop, RunningP2p),
        (Stop, StopCopy),
        (StopCopy, Stop),
        (Stop, Resuming),
        (Resuming, Stop),
        (Running, PreCopy),
        (PreCopy, Running),
        (RunningP2p, PreCopyP2p),
        (PreCopyP2p, RunningP2p),
        (PreCopy, PreCopyP2p),
        (PreCopyP2p, PreCopy),
        (PreCopyP2p, StopCopy),
    ];

    const SAVING: [DeviceState; 3] = [PreCopy, PreCopyP2p, StopCopy];

    /// The length of the shortest way that the rule allows, found by looking everywhere.
    fn distance(from: DeviceState, to: DeviceState) -> Option<usize> {
        let saves = SAVING.contains(&from) && SAVING.contains(&to);
        let may_pass = |state| SAVING.contains(&state) == saves;
        let mut seen = vec![from];
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((at, length)) = queue.pop_front() {
            if at == to {
                return Some(length);
            }
            for (_, next) in ARCS.into_iter().filter(|(here, _)| *here == at) {
                if (next == to || may_pass(next)) && !seen.contains(&next) {
                    seen.push(next);
                    queue.push_back((next, length + 1));
                }
            }
        }
        None
    }

    #[test]
    fn every_way_is_a_shortest_one_and_made_of_arcs() {
        for from in DeviceState::ALL {
            for to in DeviceState::ALL.into_iter().filter(|to| *to != from) {
                let mut way = vec![from];
                while let Some(state) = next(*way.last().unwrap(), to) {
                    assert!(ARCS.contains(&(*way.last().unwrap(), state)), "{way:?}");
                    way.push(state);
                    assert!(way.len() <= ARCS.len(), "{way:?}");
                    if state == to {
                        break;
                    }
                }
                let found = (way.last() == Some(&to)).then(|| way.len() - 1);
                assert_eq!(found, distance(from, to), "{from:?} to {to:?}");
                assert_eq!(found.is_none(), way.len() == 1, "it leads nowhere: {way:?}");
            }
        }
    }

    #[test]
    fn saving_does_not_begin_again_and_an_error_does_not_end_by_itself() {
        for (from, to) in [(StopCopy, PreCopy), (StopCopy, PreCopyP2p)] {
            assert_eq!(next(from, to), None);
        }
        for state in DeviceState::ALL {
            assert_eq!((next(Error, state), next(state, Error)), (None, None));
            assert_eq!(next(state, state), None);
        }
    }

    #[test]
    fn what_is_frozen_rests() {
        for state in DeviceState::ALL {
            let Meaning {
                rests,
                frozen,
                saving,
            } = meaning(state);
            assert!(rests || !frozen);
            assert_eq!(saving, SAVING.contains(&state));
        }
    }
}
