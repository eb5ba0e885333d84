//! The sandbox: a server gives up new privileges, files, sockets and processes before it serves.
//!
//! The capabilities of root go first. Then it has two independent parts, so that a hole in one is not a
//! way out:
//!
//! | part | restricts | available on |
//! |---|---|---|
//! | Landlock | opening and removing files; TCP, abstract sockets, signals, programs | any kernel that supports it, as far as it does |
//! | seccomp | system calls | every kernel; see [`Seccomp`] for the default |
//!
//! It does not affect files, sockets and memory that are open already or that clients pass later. A
//! server needs no others. The files of its sockets are removed by a helper process, the [`Remover`].
//!
//! ```
//! use dormouse::sandbox::{Sandbox, Seccomp};
//!
//! let mut sandbox = Sandbox::default();
//! sandbox.seccomp = Seccomp::None;
//! // The thread that calls it is confined, and those that it starts.
//! let thread = std::thread::spawn(move || {
//!     println!("{}", sandbox.enter()?);
//!     Ok::<_, dormouse::sandbox::SandboxError>(std::fs::read("/etc/hostname").is_ok())
//! });
//! # thread.join().expect("it does not panic")?;
//! # Ok::<(), dormouse::sandbox::SandboxError>(())
//! ```

mod capabilities;
mod landlock;
mod remover;
mod seccomp;

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::thread::{CapabilitySet, set_no_new_privs};
use rustix::time::{ClockId, clock_gettime};

pub use self::landlock::LandlockLevel;
pub use self::remover::Remover;
pub use self::seccomp::Seccomp;

/// An error of entering the sandbox. The server must not continue without the sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The process might still gain privileges.
    #[error("new privileges cannot be given up: {0}")]
    Privileges(#[source] io::Error),
    /// A folder that the server needs cannot be opened.
    #[error("{}: the folder cannot be opened: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Error of the system.
        reason: String,
    },
    /// A folder for saved states cannot be written without the capabilities of root.
    #[error(
        "{}: only root's capabilities give access to this folder, and the server gives them up; \
         change the folder's owner or mode, or start the server as its owner",
        path.display()
    )]
    Capability {
        /// The folder.
        path: PathBuf,
    },
    /// The process that removes the files of sockets cannot be started.
    #[error("the helper process that removes the sockets' files cannot be started: {0}")]
    Helper(#[source] io::Error),
    /// The kernel has Landlock, but does not take the rules.
    #[error("Landlock cannot be set up: {0}; --landlock off does without")]
    Landlock(String),
    /// The filter cannot be made or put up.
    #[error("the system call filter cannot be set up: {0}; --seccomp none does without")]
    Seccomp(String),
}

/// Settings of the sandbox.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sandbox {
    /// Use Landlock as far as the kernel supports it.
    pub landlock: bool,
    /// Effect of system calls that are not on the server's list.
    pub seccomp: Seccomp,
    /// Folders in which files may be read and written: those for saved states.
    pub state_folders: Vec<PathBuf>,
}

impl Default for Sandbox {
    /// Returns the tightest sandbox of this machine, without any folder.
    fn default() -> Self {
        Self {
            landlock: true,
            seccomp: Seccomp::default(),
            state_folders: Vec::new(),
        }
    }
}

/// The sandbox in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enforced {
    /// Extent of Landlock.
    pub landlock: LandlockLevel,
    /// Effect of system calls that are not on the server's list.
    pub seccomp: Seccomp,
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "landlock {}, seccomp {}", self.landlock, self.seccomp)
    }
}

impl Sandbox {
    /// Shuts the calling thread in, and whatever it starts from now on. There is no way back.
    ///
    /// To be called on the thread that will run the server, before it has others. A thread that exists already,
    /// such as that of a [`Closer`](crate::closer::Closer), calls it as well.
    ///
    /// # Errors
    /// See [`SandboxError`]. A kernel without Landlock is none: [`Enforced`] says so.
    pub fn enter(&self) -> Result<Enforced, SandboxError> {
        // The first look at this clock has a library find its way about the process.
        let _ = clock_gettime(ClockId::MonotonicCoarse);
        set_no_new_privs(true).map_err(|errno| SandboxError::Privileges(errno.into()))?;
        self.drop_capabilities()?;
        let landlock = if self.landlock {
            landlock::restrict(self)?
        } else {
            LandlockLevel::Off
        };
        // Last, because what comes before needs system calls that are then gone.
        self.seccomp
            .install(!self.state_folders.is_empty())
            .map_err(SandboxError::Seccomp)?;
        Ok(Enforced {
            landlock,
            seccomp: self.seccomp,
        })
    }

    /// Gives up all capabilities. What follows needs none.
    fn drop_capabilities(&self) -> Result<(), SandboxError> {
        let can_write = |folder: &&PathBuf| {
            let rights = Access::WRITE_OK | Access::EXEC_OK;
            accessat(CWD, folder.as_path(), rights, AtFlags::EACCESS).is_ok()
        };
        let writable: Vec<&PathBuf> = self.state_folders.iter().filter(can_write).collect();
        capabilities::drop_all_but(CapabilitySet::empty()).map_err(SandboxError::Privileges)?;
        match writable.into_iter().find(|folder| !can_write(folder)) {
            Some(folder) => Err(SandboxError::Capability {
                path: folder.clone(),
            }),
            None => Ok(()),
        }
    }
}
