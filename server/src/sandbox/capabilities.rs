//! Capabilities, of which a process of root has all and a server needs none.

use std::io;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// Gives up every capability of the calling thread for good, but for those in `kept` that it has.
///
/// A thread without CAP_SETPCAP keeps its bounding set, which grants nothing: a thread that can gain no
/// new privileges takes none from there.
pub(super) fn drop_all_but(kept: CapabilitySet) -> io::Result<()> {
    let single = |number: u32| CapabilitySet::from_bits_retain(1 << number);
    for capability in (0..u64::BITS).map(single) {
        match capability_is_in_bounding_set(capability) {
            Ok(true) => match remove_capability_from_bounding_set(capability) {
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(errno.into()),
            },
            Ok(false) => {}
            // The kernel knows no higher number.
            Err(_) => break,
        }
    }
    match clear_ambient_capability_set() {
        // A kernel before 4.3 has no such set.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    let kept = kept & capabilities(None)?.permitted;
    change(CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    })
}

/// Makes no use of any capability until [`drop_all_but`], which decides what remains.
pub(super) fn suspend() -> io::Result<()> {
    change(CapabilitySets {
        effective: CapabilitySet::empty(),
        ..capabilities(None)?
    })
}

/// Makes no system call if nothing changes: a service manager that takes the capabilities away may
/// forbid the call as well.
fn change(wanted: CapabilitySets) -> io::Result<()> {
    if capabilities(None)? != wanted {
        set_capabilities(None, wanted)?;
    }
    Ok(())
}
