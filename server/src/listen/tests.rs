//! Sockets and their files in a folder of the test's own.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;

use tempfile::TempDir;

use super::*;

/// A folder and the path of a socket in it.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    (folder, path)
}

fn try_bind(path: &Path) -> Result<(UnixListener, SocketFile), ListenError> {
    bind(path, Access::default())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_file_has_the_mode_and_group_asked_for() {
    let own_group = fs::metadata("/proc/self").unwrap().gid();
    for (access, expected) in [
        (Access::default(), 0o600),
        (
            Access {
                mode: 0o660,
                group: Some(own_group),
            },
            0o660,
        ),
        (
            Access {
                mode: 0o666,
                group: None,
            },
            0o666,
        ),
    ] {
        let (_folder, path) = place();
        let (_listener, file) = bind(&path, access).unwrap();
        assert_eq!((mode(&path), file.path()), (expected, path.as_path()));
        if let Some(group) = access.group {
            assert_eq!(fs::metadata(&path).unwrap().gid(), group);
        }
        UnixStream::connect(&path).unwrap();
    }
}

#[test]
fn both_files_go_with_the_socket() {
    let (folder, path) = place();
    let bound = try_bind(&path).unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    drop(bound);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    try_bind(&path).unwrap();
}

#[test]
fn a_file_that_is_another_stays() {
    let (_folder, path) = place();
    let bound = try_bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(bound);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let (_folder, path) = place();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let (listener, _file) = try_bind(&path).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    listener.accept().unwrap();
}

#[test]
fn whoever_serves_already_is_left_alone() {
    let (_folder, path) = place();
    let bound = try_bind(&path).unwrap();
    assert!(matches!(try_bind(&path), Err(ListenError::Locked { .. })));
    drop(bound);

    let foreign = UnixListener::bind(&path).unwrap();
    assert!(matches!(try_bind(&path), Err(ListenError::Answers { .. })));
    foreign.accept().unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let (_folder, path) = place();
    fs::write(&path, "precious").unwrap();
    assert!(matches!(try_bind(&path), Err(ListenError::NoSocket { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn paths_that_cannot_be_are_told() {
    let (folder, _) = place();
    let long = folder.path().join("x".repeat(107));
    assert!(matches!(try_bind(&long), Err(ListenError::TooLong { .. })));
    let error = try_bind(&folder.path().join("no/such"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot lock "), "{error}");
}

#[test]
fn a_link_in_place_of_the_lock_is_not_followed() {
    let (folder, path) = place();
    fs::write(folder.path().join("precious"), "").unwrap();
    std::os::unix::fs::symlink("precious", folder.path().join("s.lock")).unwrap();
    let error = try_bind(&path).unwrap_err().to_string();
    assert!(error.starts_with("cannot lock "), "{error}");
    assert!(!path.exists());
}

#[test]
fn descriptors_are_told_apart() {
    let (_folder, path) = place();
    let listener = UnixListener::bind(&path).unwrap();
    let (connected, _peer) = UnixStream::pair().unwrap();
    assert!(matches!(
        adopt(listener.as_raw_fd()),
        Ok(Endpoint::Listener(_))
    ));
    assert!(matches!(
        adopt(connected.as_raw_fd()),
        Ok(Endpoint::Connected(_))
    ));
    assert!(adopt_listener(listener.as_raw_fd()).is_ok());
    assert!(matches!(
        adopt_listener(connected.as_raw_fd()),
        Err(ListenError::NotListening { .. })
    ));

    let datagram = UnixDatagram::unbound().unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = tempfile::tempfile().unwrap();
    for number in [datagram.as_raw_fd(), tcp.as_raw_fd(), file.as_raw_fd()] {
        assert!(matches!(adopt(number), Err(ListenError::Kind { .. })));
    }
    let idle = net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    assert!(matches!(
        adopt(idle.as_raw_fd()),
        Err(ListenError::Idle { .. })
    ));
    for number in [-1, -7, i32::MAX] {
        assert!(matches!(adopt(number), Err(ListenError::Descriptor { .. })));
    }
}
