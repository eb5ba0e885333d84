//! A process beside the server, for the one thing that a server does to files at its end.
//!
//! The kernel has no rule that lets a process remove one file and no other: who may remove a file in a
//! folder may empty that folder and all below. The server therefore gives up the right altogether. A
//! helper process, forked before the server enters the sandbox, knows the files. It takes no input but
//! the end of the server, whatever that was, and has a sandbox of its own.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, open, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use rustix::thread::{CapabilitySet, set_name, set_no_new_privs};

use super::{Sandbox, SandboxError, capabilities, landlock};
use crate::listen::{Identity, SocketFile};
use crate::sys;

/// The longest time for which a server that ends waits for its files to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes the files of sockets when it is dropped, or when the process ends in another way.
///
/// ```
/// use dormouse::listen::{self, Access};
/// use dormouse::sandbox::{Remover, Sandbox};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("device.sock");
/// let (_listener, file) = listen::bind(&path, Access::default())?;
/// let sandbox = Sandbox::default();
/// let remover = Remover::start(vec![file], &sandbox)?;
/// # let path_of_it = path.clone();
/// let thread = std::thread::spawn(move || {
///     sandbox.enter()?;
///     // The server runs here and can remove no file.
///     assert!(std::fs::remove_file(path).is_err());
///     drop(remover);
///     Ok::<_, dormouse::sandbox::SandboxError>(())
/// });
/// # thread.join().expect("it does not panic")?;
/// # assert!(!path_of_it.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Remover(Option<UnixStream>);

/// A file to remove, if it still is the one that was made.
struct Removal {
    /// Index of the folder.
    folder: usize,
    name: CString,
    identity: Identity,
}

impl Remover {
    /// Starts the helper process. `sandbox` is that of the server: the helper enters one of the same kind.
    ///
    /// To be called before [`Sandbox::enter`], while the process has no threads that allocate memory.
    ///
    /// # Errors
    /// [`SandboxError::Helper`]; the files are removed.
    pub fn start(files: Vec<SocketFile>, sandbox: &Sandbox) -> Result<Self, SandboxError> {
        if files.is_empty() {
            return Ok(Self(None));
        }
        Self::fork(&files, sandbox)
            .map_err(SandboxError::Helper)
            .inspect(|_| {
                files.into_iter().for_each(SocketFile::hand_over);
            })
    }

    fn fork(files: &[SocketFile], sandbox: &Sandbox) -> io::Result<Self> {
        let (mut folders, mut removals, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for file in files {
            let (names, lock) = file.files();
            for (path, identity) in names {
                let name = path.file_name().unwrap_or_default().as_bytes();
                folders.push(parent(path)?);
                removals.push(Removal {
                    folder: folders.len() - 1,
                    name: CString::new(name)?,
                    identity,
                });
            }
            kept.extend(lock.map(|lock| lock.as_raw_fd()));
        }
        let (mut server, helper) = UnixStream::pair()?;
        server.set_read_timeout(Some(PATIENCE))?;
        kept.extend(folders.iter().map(AsRawFd::as_raw_fd));
        kept.push(helper.as_raw_fd());
        kept.sort_unstable();
        sys::fork(|| wait_and_remove(&helper, &folders, &removals, &kept, sandbox))?;
        drop(helper);
        // It says that it is confined, or ends.
        server.read_exact(&mut [0])?;
        Ok(Self(Some(server)))
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        if let Some(server) = &mut self.0
            && server.write_all(&[0]).is_ok()
        {
            // The helper closes its end when it has done its work.
            let _ = server.read(&mut [0]);
        }
    }
}

fn parent(path: &Path) -> Result<OwnedFd, Errno> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(folder, flags, Mode::empty())
}

/// The helper's life. Whatever fails, it removes nothing but `removals`.
fn wait_and_remove(
    server: &UnixStream,
    folders: &[OwnedFd],
    removals: &[Removal],
    kept: &[RawFd],
    sandbox: &Sandbox,
) {
    // It ends when the server does, and not by what is sent to both of them.
    sys::block_signals();
    sys::close_all_but(kept);
    let _ = set_name(c"dormouse-files");
    if confine(folders, sandbox).is_err() || rustix::io::write(server, &[0]).is_err() {
        return;
    }
    // A byte or the end, both say the same.
    let _ = retry_on_intr(|| rustix::io::read(server, &mut [0; 1]));
    for Removal {
        folder,
        name,
        identity,
    } in removals
    {
        let Some(folder) = folders.get(*folder) else {
            continue;
        };
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| Identity::from(&found) == *identity) {
            // Nothing can report an error here. The next server replaces a socket left behind.
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
    }
}

fn confine(folders: &[OwnedFd], sandbox: &Sandbox) -> Result<(), SandboxError> {
    let failed = SandboxError::Privileges;
    set_no_new_privs(true).map_err(|errno| failed(errno.into()))?;
    // Root may remove files in folders of others by this capability only.
    let foreign = CapabilitySet::DAC_OVERRIDE;
    capabilities::drop_all_but(foreign).map_err(failed)?;
    capabilities::suspend().map_err(failed)?;
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    let own = |folder: &OwnedFd| accessat(folder.as_fd(), ".", rights, AtFlags::EACCESS).is_ok();
    let needed = if folders.iter().all(own) {
        CapabilitySet::empty()
    } else {
        foreign
    };
    capabilities::drop_all_but(needed).map_err(failed)?;
    if sandbox.landlock {
        landlock::restrict_to_removal(folders)?;
    }
    let installed = sandbox.seccomp.install_for_removal();
    installed.map_err(SandboxError::Seccomp)
}
