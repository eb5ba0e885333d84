//! The system calls that a running server makes, and what becomes of others.

use std::collections::BTreeMap;
use std::env::consts;
use std::fmt;

use libc::c_long;
use seccompiler::SeccompCmpOp::{Eq, Gt, Le, MaskedEq};
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
    libc::SYS_lseek,
    libc::SYS_close,
    // The kind and size of a file that is open.
    libc::SYS_fstat,
    libc::SYS_fstatfs,
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
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The kinds of files in memory: none of huge pages, and none that can be executed if the kernel
/// knows the difference.
const MEMFD_FLAGS: u32 = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | libc::MFD_NOEXEC_SEAL;

/// Further system calls of x86-64 for the same purposes.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Saving and restoring, where there are folders for that.
const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_getcwd,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
];

/// Calls that name a file. The run-time libraries look for optional files at odd moments, and a path of
/// a control client must not end the server: those that are not needed fail with EACCES.
const BY_PATH: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_unlinkat,
];
#[cfg(target_arch = "x86_64")]
const OLDER_BY_PATH: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_BY_PATH: &[c_long] = &[];

/// Bytes of a symbolic link's content that may be read: enough to tell an eventfd by its name in /proc,
/// and too few to tell much else.
const LINK_BYTES: u64 = 32;

/// The kinds of sockets, without the flags that are set with the kind.
const SOCKET_KIND: u64 = 0xf;

/// Commands of fcntl(2): they tell about a descriptor, duplicate it, or keep clients from resizing a file.
const FCNTL: &[libc::c_int] = &[
    libc::F_GETFD,
    libc::F_GETFL,
    libc::F_GET_SEALS,
    libc::F_ADD_SEALS,
    libc::F_DUPFD_CLOEXEC,
];

/// Signals that end a process which has found a fault in itself. Their handlers are taken away before.
const FAULTS: &[libc::c_int] = &[libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS];

impl Seccomp {
    /// Has the calling thread, and whatever it starts, make no other system calls.
    pub(super) fn install(self, files: bool) -> Result<(), String> {
        self.put_up(allowed(files), refused(files))
    }

    /// Has the calling thread make no other system calls than those by which it waits and removes
    /// files.
    pub(super) fn install_for_removal(self) -> Result<(), String> {
        const REMOVAL: &[c_long] = &[
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_newfstatat,
            libc::SYS_unlinkat,
            libc::SYS_close,
            libc::SYS_munmap,
            libc::SYS_brk,
            libc::SYS_exit_group,
        ];
        let rules = REMOVAL.iter().map(|call| (*call, Vec::new())).collect();
        self.put_up(Ok(rules), Ok(Rules::new()))
    }

    /// Allows the calls of `allowed`. With [`Self::Kill`], those of `refused` fail with EACCES.
    fn put_up(
        self,
        allowed: Result<Rules, BackendError>,
        refused: Result<Rules, BackendError>,
    ) -> Result<(), String> {
        let other = match self {
            Self::Kill => SeccompAction::KillProcess,
            Self::Log => SeccompAction::Log,
            Self::None => return Ok(()),
        };
        let mut allowed = allowed.map_err(|error| error.to_string())?;
        if self == Self::Kill {
            let refused = refused.map_err(|error| error.to_string())?;
            // Of two filters that let a call pass or refuse it the refusal counts.
            for call in refused.keys() {
                allowed.entry(*call).or_default();
            }
            let error = SeccompAction::Errno(libc::EACCES.cast_unsigned());
            install(refused, SeccompAction::Allow, error)?;
        }
        install(allowed, other, SeccompAction::Allow)
    }
}

/// The processor that the program runs on, if filters can be made for it.
fn target() -> Result<TargetArch, BackendError> {
    consts::ARCH.try_into()
}

/// System calls by number, each with conditions of which one has to hold, if there are any.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Puts a filter up in front of those that are up already.
fn install(rules: Rules, other: SeccompAction, listed: SeccompAction) -> Result<(), String> {
    if rules.is_empty() {
        return Ok(());
    }
    let program: BpfProgram = target()
        .and_then(|target| SeccompFilter::new(rules, other, listed, target)?.try_into())
        .map_err(|error| error.to_string())?;
    apply_filter(&program).map_err(|error| error.to_string())
}

/// Returns the system calls of a server, with or without those that open files.
fn allowed(files: bool) -> Result<Rules, BackendError> {
    let mut free = [FREE, OLDER].concat();
    if files {
        free.extend(FILES);
    }
    let mut rules: Rules = free.into_iter().map(|call| (call, Vec::new())).collect();
    // Memory is never made executable.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(
            call,
            vec![all([int(2, MaskedEq(libc::PROT_EXEC as u64), 0)])?],
        );
    }
    // Twin sockets are pairs, which reach no other process. A datagram socket would, although it is
    // one of a pair: each message has an address of its own.
    let stream = libc::SOCK_STREAM as u64;
    rules.insert(
        libc::SYS_socketpair,
        vec![all([
            int(0, Eq, libc::AF_UNIX as u64),
            int(1, MaskedEq(SOCKET_KIND), stream),
        ])?],
    );
    // To the peer of a socket only, which needs no address.
    rules.insert(libc::SYS_sendto, vec![all([pointer(4, Eq, 0)])?]);
    rules.insert(libc::SYS_fcntl, one_of(1, FCNTL)?);
    rules.insert(libc::SYS_readlinkat, vec![all([int(3, Le, LINK_BYTES)])?]);
    // The end of a process that has found a fault in itself, with the signal that tells so.
    rules.insert(libc::SYS_rt_sigaction, one_of(0, FAULTS)?);
    rules.insert(
        libc::SYS_tgkill,
        vec![all([
            int(0, Eq, u64::from(std::process::id())),
            int(2, Eq, libc::SIGABRT as u64),
        ])?],
    );
    // The files behind BARs, a new one for each opening: in memory and of the usual pages. They give
    // back the pages that nobody needs.
    let other = !u64::from(MEMFD_FLAGS) & u64::from(u32::MAX);
    rules.insert(
        libc::SYS_memfd_create,
        vec![all([int(1, MaskedEq(other), 0)])?],
    );
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let punch = u64::from(punch.cast_unsigned());
    rules.insert(libc::SYS_fallocate, vec![all([int(1, Eq, punch)])?]);
    Ok(rules)
}

/// Returns the system calls that fail with EACCES instead of ending the server.
fn refused(files: bool) -> Result<Rules, BackendError> {
    let used = |call: &c_long| files && FILES.contains(call);
    let by_path = [BY_PATH, OLDER_BY_PATH].concat().into_iter();
    let mut rules: Rules = by_path
        .filter(|call| !used(call))
        .map(|call| (call, Vec::new()))
        .collect();
    rules.insert(libc::SYS_readlinkat, vec![all([int(3, Gt, LINK_BYTES)])?]);
    if files {
        // A file that is opened for its content is never a symbolic link.
        let either = MaskedEq((libc::O_PATH | libc::O_NOFOLLOW) as u64);
        rules.insert(libc::SYS_openat, vec![all([int(2, either, 0)])?]);
    }
    Ok(rules)
}

/// That an argument of a system call is so.
type Condition = Result<SeccompCondition, BackendError>;

fn int(index: u8, is: SeccompCmpOp, value: u64) -> Condition {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, is, value)
}

fn pointer(index: u8, is: SeccompCmpOp, value: u64) -> Condition {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, is, value)
}

/// That all of these hold.
fn all<const N: usize>(conditions: [Condition; N]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}

/// That an `int` argument has one of these values.
fn one_of(index: u8, values: &[libc::c_int]) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |value: &libc::c_int| all([int(index, Eq, *value as u64)]);
    values.iter().map(rule).collect()
}
