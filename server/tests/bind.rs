//! Sockets while they are bound. In a program of its own, because the umask is the whole program's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dormouse::listen::{self, Access};
use rustix::fs::Mode;
use rustix::process::umask;

/// Looks at a path all the time while sockets are bound there, with no umask to help. Whatever mode
/// is seen is within what was asked for.
#[test]
fn no_socket_is_ever_wider_than_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let groups = [None, Some(folder.path().metadata().unwrap().gid())];
    for (mode, group) in [0o600, 0o660, 0o666]
        .into_iter()
        .flat_map(|mode| groups.map(|group| (mode, group)))
    {
        let access = Access { mode, group };
        for mask in [0, 0o077, 0o777] {
            assert_eq!(
                seen_beyond(&path, access, mask),
                None,
                "{access:?}, {mask:o}"
            );
        }
    }
}

/// A mode beyond `access` that `path` had for a moment while it was bound, again and again.
fn seen_beyond(path: &Path, access: Access, mask: u32) -> Option<u32> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut wider = None;
            while !over.load(Ordering::Acquire) {
                let mode = fs::symlink_metadata(path).map(|found| found.mode() & 0o777);
                wider = wider.or(mode.ok().filter(|mode| mode & !access.mode != 0));
            }
            wider
        });
        let before = umask(Mode::from_raw_mode(mask));
        for _ in 0..200 {
            let (_listener, _file) = listen::bind(path, access).unwrap();
            let mode = fs::symlink_metadata(path).unwrap().mode() & 0o777;
            assert_eq!(mode, access.mode, "with umask {mask:o}");
        }
        umask(before);
        over.store(true, Ordering::Release);
        watch.join().unwrap()
    })
}
