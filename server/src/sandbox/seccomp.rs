//! The system calls that a running server makes, and what becomes of others.

use std::collections::BTreeMap;
use std::env::consts;
use std::fmt;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

/// The effect of a system call that is not on the server's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Seccomp {
    /// Kill the process with SIGSYS.
    Kill,
    /// Run the call and have the kernel log it, to find calls that are missing from the list.
    Log,
    /// Install no filter.
    None,
}

impl Default for Seccomp {
    /// [`Self::Kill`] where every test runs with it: with the GNU C library on x86-64. A C library
    /// or processor of another kind has system calls of its own, so elsewhere it is [`Self::Log`].
    fn default() -> Self {
        if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
            Self::Kill
        } else if target().is_ok() {
            Self::Log
        } else {
            Self::None
        }
    }
}

impl fmt::Display for Seccomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Log => "log",
            Self::None => "none",
        })
    }
}

/// Made whatever their arguments.
const FREE: &[c_long] = &[
    // The event loop and its clock. (Time is read without a system call, unless the machine's clock
    // is an unusual one.)
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_ppoll,
    libc::SYS_clock_gettime,
    // Sockets, of which no new ones can be made but by accepting.
    libc::SYS_accept4,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    // Eventfds, client memory, shared BARs, back ends, log lines.
    libc::SYS_eventfd2,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_fdatasync,
    libc::SYS_preadv2,
    libc::SYS_ftruncate,
    libc::SYS_fcntl,
    libc::SYS_close,
    // What kind of file a descriptor is.
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    // Socket files are removed at the end.
    libc::SYS_unlinkat,
    // Memory of the server itself.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_getrandom,
    // The C and Rust run-time libraries, signals, the end.
    libc::SYS_futex,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Further system calls of x86-64 for the same purposes.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Saving and restoring, where there are folders for that.
const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_getcwd,
    libc::SYS_lseek,
    libc::SYS_renameat2,
];
#[cfg(target_arch = "x86_64")]
const OLDER_FILES: &[c_long] = &[libc::SYS_rename];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_FILES: &[c_long] = &[];

impl Seccomp {
    /// Has the calling thread, and whatever it starts, make no other system calls.
    pub(super) fn install(self, files: bool) -> Result<(), String> {
        let other = match self {
            Self::Kill => SeccompAction::KillProcess,
            Self::Log => SeccompAction::Log,
            Self::None => return Ok(()),
        };
        let mut allowed = allowed(files).map_err(|error| error.to_string())?;
        if self == Self::Kill && !files {
            // The run-time libraries look for optional files at odd moments. That is no attack, and
            // of two filters that let a call pass or refuse it the refusal counts.
            let open = BTreeMap::from([(libc::SYS_openat, Vec::new())]);
            let refused = SeccompAction::Errno(libc::EACCES.cast_unsigned());
            put_up(open.clone(), SeccompAction::Allow, refused)?;
            allowed.extend(open);
        }
        put_up(allowed, other, SeccompAction::Allow)
    }
}

/// The processor that the program runs on, if filters can be made for it.
fn target() -> Result<TargetArch, BackendError> {
    consts::ARCH.try_into()
}

/// System calls by number, each with conditions of which one has to hold, if there are any.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Puts a filter up in front of those that are up already.
fn put_up(rules: Rules, other: SeccompAction, listed: SeccompAction) -> Result<(), String> {
    let program: BpfProgram = target()
        .and_then(|target| SeccompFilter::new(rules, other, listed, target)?.try_into())
        .map_err(|error| error.to_string())?;
    apply_filter(&program).map_err(|error| error.to_string())
}

/// Returns the system calls of a server, with or without those that open files.
fn allowed(files: bool) -> Result<Rules, BackendError> {
    let mut free = [FREE, OLDER].concat();
    if files {
        free.extend([FILES, OLDER_FILES].concat());
    }
    let mut rules: Rules = free.into_iter().map(|call| (call, Vec::new())).collect();
    // Memory is never made executable.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
        rules.insert(call, vec![argument(2, executable, 0)?]);
    }
    // Twin sockets are pairs, which reach no other process.
    let unix = argument(0, SeccompCmpOp::Eq, libc::AF_UNIX as u64)?;
    rules.insert(libc::SYS_socketpair, vec![unix]);
    Ok(rules)
}

/// That an `int` argument is so.
fn argument(index: u8, is: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, is, value)?;
    SeccompRule::new(vec![condition])
}
