//! The file of a bound socket, from its creation to its removal.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::ListenError;

/// Bytes that `sun_path` takes beside its terminator.
pub(super) const MAX_PATH: usize = 107;

const BACKLOG: i32 = 16;

/// Access rights of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits of the socket's file.
    pub mode: u32,
    /// Its group, if not that of the process.
    pub group: Option<u32>,
}

impl Default for Access {
    /// The owner alone.
    fn default() -> Self {
        Self {
            mode: 0o600,
            group: None,
        }
    }
}

/// A socket's file and the lock on its path. Dropping it removes both, the file only if it still is
/// the one that was made.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
    // Dropped after the file is removed.
    _lock: Lock,
}

impl SocketFile {
    /// Returns the path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Identity::of(&self.path).is_ok_and(|found| found == self.identity) {
            // Nothing can report an error here. The next server replaces a socket left behind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn bind(path: &Path, access: Access) -> Result<(UnixListener, SocketFile), ListenError> {
    let failed = |step| {
        move |source: io::Error| ListenError::System {
            step,
            path: path.to_owned(),
            source,
        }
    };
    if path.as_os_str().len() > MAX_PATH {
        return Err(ListenError::TooLong {
            path: path.to_owned(),
        });
    }
    let lock = Lock::take(path)?;
    make_room(path)?;

    let socket = net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| failed("make a socket for")(errno.into()))?;
    let first_mode = if access.group.is_some() {
        access.mode & 0o700
    } else {
        access.mode
    };
    fchmod(&socket, Mode::from_raw_mode(first_mode))
        .and_then(|()| net::bind(&socket, &SocketAddrUnix::new(path)?))
        .map_err(|errno| failed("bind")(errno.into()))?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: Identity::of(path).map_err(failed("look at"))?,
        _lock: lock,
    };
    net::listen(&socket, BACKLOG).map_err(|errno| failed("listen on")(errno.into()))?;
    if let Some(group) = access.group {
        chown(path, None, Some(group)).map_err(failed("set the group of"))?;
    }
    // Grants what waited for the group, and what the umask took away.
    fs::set_permissions(path, Permissions::from_mode(access.mode))
        .map_err(failed("set the mode of"))?;
    Ok((UnixListener::from(socket), file))
}

/// Removes a socket that no process serves.
fn make_room(path: &Path) -> Result<(), ListenError> {
    let owned = || path.to_owned();
    let failed = |step| {
        move |source| ListenError::System {
            step,
            path: owned(),
            source,
        }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenError::NoSocket { path: owned() });
        }
        Ok(_) => {}
    }
    match knock(path) {
        // A full backlog means that a process listens, if slowly.
        Ok(()) | Err(Errno::AGAIN) => Err(ListenError::Answers { path: owned() }),
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(failed("replace")),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed("find out who serves")(errno.into())),
    }
}

/// Connects, without waiting.
fn knock(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    net::connect(&socket, &SocketAddrUnix::new(path)?)
}

/// The identity of a file, which another file of the same name does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|found| Self::from(&found))
    }
}

impl From<&fs::Metadata> for Identity {
    fn from(found: &fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

/// A lock on `PATH.lock`, held while the socket is served. The file goes with it.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(socket: &Path) -> Result<Self, ListenError> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |source| ListenError::System {
            step: "lock",
            path: path.clone(),
            source,
        };
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(no_link)
                .open(&path)
                .map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(ListenError::Locked {
                        path: socket.to_owned(),
                    });
                }
                Err(errno) => return Err(failed(errno.into())),
            }
            // The last holder removes the file: a lock on a removed file excludes no other process.
            let locked = Identity::from(&file.metadata().map_err(failed)?);
            if Identity::of(&path).is_ok_and(|found| found == locked) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removes the file while it is still locked, so that it cannot be another server's.
        let _ = fs::remove_file(&self.path);
    }
}
