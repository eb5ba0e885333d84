//! Files of other kinds in the place of a socket or its lock.

use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, mknodat};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Binds a socket, replaces its name before it has its mode, and gives it.
#[test]
fn a_name_that_is_replaced_after_the_bind_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (path, precious) = (folder.path().join("s"), folder.path().join("precious"));
    fs::write(&precious, "precious").unwrap();
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o600)).unwrap();
    let group = lstat("/proc/self").unwrap().st_gid;
    for group in [None, Some(group)] {
        let access = Access { mode: 0o666, group };
        let _socket = UnixListener::bind(&path).unwrap();
        let moved = folder.path().join("moved");
        let bound = Bound::find(&path).unwrap();
        fs::rename(&path, &moved).unwrap();
        symlink(&precious, &path).unwrap();
        bound.give(access).unwrap();
        assert_eq!((mode(&precious), mode(&moved)), (0o600, 0o666));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn only_a_socket_that_is_its_own_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert!(Bound::find(&socket).is_ok());
    let [link, file, second] = ["link", "file", "second"].map(|name| folder.path().join(name));
    symlink(&socket, &link).unwrap();
    fs::write(&file, "").unwrap();
    for other in [&link, &file] {
        let found = Bound::find(other);
        assert!(
            matches!(found, Err(ListenError::Replaced { .. })),
            "{found:?}"
        );
    }
    fs::hard_link(&socket, &second).unwrap();
    assert!(matches!(
        Bound::find(&second),
        Err(ListenError::Replaced { .. })
    ));
}

#[test]
fn nothing_but_a_file_is_opened_as_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let lock = folder.path().join("s.lock");
    let fifo = || mknodat(CWD, &lock, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let link = || symlink("/dev/null", &lock).unwrap();
    let socket = || drop(UnixListener::bind(&lock).unwrap());
    let made: [&dyn Fn(); 3] = [&fifo, &link, &socket];
    for make in made {
        make();
        let error = bind(&path, Access::default()).unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
        assert!(lstat(&lock).is_ok() && lstat(&path).is_err());
        fs::remove_file(&lock).unwrap();
    }
    fs::write(&lock, "left behind").unwrap();
    bind(&path, Access::default()).unwrap();
}

/// A server that was killed has left its helper behind, which is about to end.
#[test]
fn a_lock_that_is_about_to_go_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let (listener, mut file) = bind(&path, Access::default()).unwrap();
    drop(listener);
    let lock = file.lock.take().unwrap();
    let ending = thread::spawn(move || drop((file, lock)));
    bind(&path, Access::default()).unwrap();
    ending.join().unwrap();
}
