//! The file of a bound socket, from its creation to its removal.

use std::fs;
use std::io::{self, ErrorKind};
#[cfg(feature = "sandbox")]
use std::os::fd::{AsFd, BorrowedFd};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, Stat, chmod, chownat, fchmod, flock,
    fstat, lstat, open,
};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::geteuid;

use super::ListenError;

/// Bytes that `sun_path` takes beside its terminator.
pub(super) const MAX_PATH: usize = 107;

const BACKLOG: i32 = 16;

/// The most looks at a lock that is held although no process listens: the helper of a server that was
/// killed holds it until it has removed the files.
const ENDING: u32 = 100;
const ENDING_STEP: Duration = Duration::from_millis(10);

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

/// The file of a socket, or a link to a terminal, and the lock on its path. Dropping it removes both, the
/// file only if it still is the one that was made.
///
/// A process that may remove no files hands it to the `Remover` of the module `sandbox`.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
    // Dropped after the file is removed.
    #[cfg_attr(not(feature = "sandbox"), allow(dead_code))]
    lock: Option<Lock>,
    /// Another process removes it.
    handed_over: bool,
}

impl SocketFile {
    /// Takes over a symbolic link, which has no lock.
    pub(crate) fn of_link(path: PathBuf) -> io::Result<Self> {
        Ok(Self {
            identity: Identity::of(&path)?,
            path,
            lock: None,
            handed_over: false,
        })
    }

    /// Returns the path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the files to remove, in order, and the lock to hold until they are.
    #[cfg(feature = "sandbox")]
    pub(crate) fn files(&self) -> (Vec<(&Path, Identity)>, Option<BorrowedFd<'_>>) {
        let mut files = vec![(self.path.as_path(), self.identity)];
        if let Some(lock) = &self.lock {
            files.push((&lock.path, lock.identity));
        }
        (files, self.lock.as_ref().map(|lock| lock.file.as_fd()))
    }

    /// Leaves the files to another process, which holds the lock as well.
    #[cfg(feature = "sandbox")]
    pub(crate) fn hand_over(mut self) {
        self.handed_over = true;
        if let Some(lock) = &mut self.lock {
            lock.handed_over = true;
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = || Identity::of(&self.path).is_ok_and(|found| found == self.identity);
        if !self.handed_over && ours() {
            // Nothing can report an error here. The next server replaces a socket left behind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn bind(path: &Path, access: Access) -> Result<(UnixListener, SocketFile), ListenError> {
    let failed = |step| {
        move |errno: Errno| ListenError::System {
            step,
            path: path.to_owned(),
            source: errno.into(),
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
    .map_err(failed("make a socket for"))?;
    let first_mode = if access.group.is_some() {
        access.mode & 0o700
    } else {
        access.mode
    };
    fchmod(&socket, Mode::from_raw_mode(first_mode))
        .and_then(|()| net::bind(&socket, &SocketAddrUnix::new(path)?))
        .map_err(failed("bind"))?;
    let bound = Bound::find(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: bound.identity,
        lock: Some(lock),
        handed_over: false,
    };
    net::listen(&socket, BACKLOG).map_err(failed("listen on"))?;
    bound
        .give(access)
        .map_err(|(step, errno)| failed(step)(errno))?;
    Ok((UnixListener::from(socket), file))
}

/// The file of a socket that was bound just now, whatever has its name meanwhile.
#[derive(Debug)]
struct Bound {
    file: OwnedFd,
    identity: Identity,
    mode: u32,
}

impl Bound {
    /// Finds the file by its name, which another process may have taken already.
    fn find(path: &Path) -> Result<Self, ListenError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = open(path, flags, Mode::empty()).and_then(|file| {
            let stat = fstat(&file)?;
            Ok((file, stat))
        });
        let (file, stat) = found.map_err(|errno| ListenError::System {
            step: "look at",
            path: path.to_owned(),
            source: errno.into(),
        })?;
        let is_socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
        let is_own = stat.st_uid == geteuid().as_raw() && stat.st_nlink == 1;
        if !is_socket || !is_own {
            return Err(ListenError::Replaced {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            file,
            identity: Identity::from(&stat),
            mode: stat.st_mode & 0o777,
        })
    }

    /// Gives the file its group and its mode.
    fn give(&self, access: Access) -> Result<(), (&'static str, Errno)> {
        if let Some(group) = access.group {
            let group = Some(Gid::from_raw(group));
            chownat(&self.file, "", None, group, AtFlags::EMPTY_PATH)
                .map_err(|errno| ("set the group of", errno))?;
        }
        // Grants what waited for the group, and what the umask took away.
        if access.mode == self.mode {
            return Ok(());
        }
        // fchmod(2) takes no descriptor of this kind, but the file has a name that is its own in /proc.
        let own_name = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        chmod(own_name, Mode::from_raw_mode(access.mode))
            .map_err(|errno| ("set the mode of", errno))
    }
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
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&lstat(path)?))
    }
}

impl From<&Stat> for Identity {
    fn from(found: &Stat) -> Self {
        Self {
            device: found.st_dev,
            inode: found.st_ino,
        }
    }
}

/// A lock on `PATH.lock`, held while the socket is served. The file goes with it.
#[derive(Debug)]
#[cfg_attr(not(feature = "sandbox"), allow(dead_code))]
struct Lock {
    path: PathBuf,
    identity: Identity,
    file: OwnedFd,
    /// Another process holds it, too, and removes its file.
    handed_over: bool,
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
        let mut patience = ENDING;
        loop {
            let file = open_lock(&path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) if patience > 0 && !is_served(socket) => {
                    patience -= 1;
                    thread::sleep(ENDING_STEP);
                    continue;
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(ListenError::Locked {
                        path: socket.to_owned(),
                    });
                }
                Err(errno) => return Err(failed(errno.into())),
            }
            // The last holder removes the file: a lock on a removed file excludes no other process.
            let stat = fstat(&file).map_err(|errno| failed(errno.into()))?;
            let identity = Identity::from(&stat);
            if Identity::of(&path).is_ok_and(|found| found == identity) {
                return Ok(Self {
                    path,
                    identity,
                    file,
                    handed_over: false,
                });
            }
        }
    }
}

/// Opens or makes the file of a lock. Anything else in its place is left alone: opening a FIFO may
/// wait without an end, and opening a device can have effects.
fn open_lock(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let another = || io::Error::other("it exists and is not a regular file; remove it");
    let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    loop {
        let mode = Mode::RUSR | Mode::WUSR;
        match open(path, flags | OFlags::CREATE | OFlags::EXCL, mode) {
            Err(Errno::EXIST) => {}
            made => return Ok(made?),
        }
        match lstat(path) {
            // The last holder has removed it just now.
            Err(Errno::NOENT) => continue,
            found if !is_file(&found?) => return Err(another()),
            _ => {}
        }
        match open(path, flags | OFlags::NOCTTY, Mode::empty()) {
            Err(Errno::NOENT) => {}
            opened => {
                let file = opened?;
                return match is_file(&fstat(&file)?) {
                    true => Ok(file),
                    false => Err(another()),
                };
            }
        }
    }
}

/// Returns whether a process listens on the socket. One that holds the lock and does not listen may be
/// at its end.
fn is_served(socket: &Path) -> bool {
    matches!(knock(socket), Ok(()) | Err(Errno::AGAIN))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removes the file while it is still locked, so that it cannot be another server's.
        if !self.handed_over {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
