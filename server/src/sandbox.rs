//! What a server gives up once it is set up: new privileges, files, sockets and processes.
//!
//! Two walls stand one behind the other, so that a hole in one is not a way out:
//!
//! | wall | what it keeps in | where |
//! |---|---|---|
//! | Landlock | which files can be opened or removed; TCP, abstract sockets, signals, programs | any kernel that has it, as far as it goes there |
//! | seccomp | which system calls can be made at all | every kernel; see [`Seccomp`] for the default |
//!
//! Files, sockets and memory that are open already, and those that clients pass later, are not
//! affected: a server needs no other ones.

mod landlock;
mod seccomp;

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::thread::set_no_new_privs;
use rustix::time::{ClockId, clock_gettime};

pub use self::landlock::LandlockLevel;
pub use self::seccomp::Seccomp;

/// Why a server could not be shut in. It must not go on as if it were.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The process might still gain privileges.
    #[error("new privileges cannot be given up: {0}")]
    Privileges(#[source] io::Error),
    /// A folder that the server needs cannot be opened.
    #[error("{}: the folder cannot be opened: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The kernel has Landlock, but does not take the rules.
    #[error("Landlock cannot be set up: {0}; --landlock off does without")]
    Landlock(String),
    /// The filter cannot be made or put up.
    #[error("the system call filter cannot be set up: {0}; --seccomp none does without")]
    Seccomp(String),
}

/// How a server is shut in.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Use Landlock as far as the kernel has it.
    pub landlock: bool,
    /// What becomes of system calls that a server does not need.
    pub seccomp: Seccomp,
    /// Folders with sockets that the server removes at its end.
    pub socket_folders: Vec<PathBuf>,
    /// Folders in which files may be read and written: those for saved states.
    pub state_folders: Vec<PathBuf>,
}

impl Default for Sandbox {
    /// As tight as this machine allows, without any folder.
    fn default() -> Self {
        Self {
            landlock: true,
            seccomp: Seccomp::default(),
            socket_folders: Vec::new(),
            state_folders: Vec::new(),
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforced {
    /// How much of Landlock.
    pub landlock: LandlockLevel,
    /// What becomes of system calls that a server does not need.
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
    /// To be called on the thread that will run the server, before it has others.
    ///
    /// # Errors
    /// See [`SandboxError`]. A kernel without Landlock is none: [`Enforced`] says so.
    pub fn enter(&self) -> Result<Enforced, SandboxError> {
        // The first look at this clock has a library find its way about the process.
        let _ = clock_gettime(ClockId::MonotonicCoarse);
        set_no_new_privs(true).map_err(|errno| SandboxError::Privileges(errno.into()))?;
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
}
