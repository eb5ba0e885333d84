//! Comparison of open files.
//!
//! All anonymous files have the same inode, so fstat(2) does not tell eventfds apart, and the sandbox has
//! no kcmp(2). An epoll instance tells them apart: its watches are keyed by the open file and the number
//! of the descriptor. What was watched as one descriptor ends as another only if the file is the same.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::fcntl_dupfd_cloexec;

/// The instance that compares. Nobody waits for it.
static COMPARER: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// Creates what [`same_file`] needs, before the sandbox prevents that.
pub(crate) fn prepare() {
    COMPARER.get_or_init(|| epoll::create(CreateFlags::CLOEXEC).ok());
}

/// Returns whether both descriptors stand for one open file. `false` as well if another thread takes the
/// descriptor number that the comparison needs, or if no descriptor is left.
pub(super) fn same_file(a: &OwnedFd, b: &OwnedFd) -> bool {
    let comparer = COMPARER.get().and_then(Option::as_ref);
    // A comparison that another thread disturbed may have left a watch, which the next one ends.
    comparer.is_some_and(|comparer| watched(comparer, a, b) && watched(comparer, a, b))
}

/// Watches `a` under a number, and returns whether `b` is watched under that number then.
fn watched(comparer: &OwnedFd, a: &OwnedFd, b: &OwnedFd) -> bool {
    let Ok(first) = a.as_fd().try_clone_to_owned() else {
        return false;
    };
    let number = first.as_raw_fd();
    let added = epoll::add(comparer, &first, EventData::new_u64(0), EventFlags::empty());
    // The file stays watched, as others have it open.
    drop(first);
    let with_number = |fd: &OwnedFd| {
        let fd = fcntl_dupfd_cloexec(fd, number).ok();
        fd.filter(|fd| fd.as_raw_fd() == number)
    };
    let same = with_number(b).is_some_and(|second| epoll::delete(comparer, &second).is_ok());
    if !same && let Some(first) = with_number(a) {
        let _ = epoll::delete(comparer, &first);
    }
    added.is_ok() && same
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    fn event() -> OwnedFd {
        eventfd(0, EventfdFlags::CLOEXEC).unwrap()
    }

    /// Other tests of this process open and close descriptors at the same time, so a comparison may find
    /// its number taken.
    fn soon_same(a: &OwnedFd, b: &OwnedFd) -> bool {
        (0..1000).any(|_| same_file(a, b))
    }

    #[test]
    fn descriptors_of_one_eventfd_are_the_same() {
        prepare();
        let (a, b) = (event(), event());
        let again = a.try_clone().unwrap();
        assert!(soon_same(&a, &again));
        assert!(soon_same(&again, &a));
        assert!(soon_same(&b, &b));
        assert!(!soon_same(&a, &b));
        assert!(!soon_same(&b, &again));
    }
}
