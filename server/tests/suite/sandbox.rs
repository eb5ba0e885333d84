//! A process that is shut in tries to get out. Each attempt is made by a process of its own: this
//! test program, started anew for one test with the attempt's name in the environment.

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::chown;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, exit};
use std::thread;

use dormouse::listen::{self, Access};
use dormouse::models::model::Registry;
use dormouse::models::profile::Profile;
use dormouse::models::time::Time;
use dormouse::sandbox::{Enforced, LandlockLevel, Remover, Sandbox, Seccomp};
use dormouse::state_file;
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, MemfdFlags, OFlags, access, fallocate, fcntl_setfl, fstat,
    memfd_create, readlinkat_raw, statat,
};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socket, socketpair};
use rustix::process::{Signal, geteuid, getpid, getppid, kill_process};

/// Which of [`ATTEMPTS`] the process makes, shut in by which [`Wall`], in which folder.
const ATTEMPT: &str = "SANDBOX_ATTEMPT";
const WALL: &str = "SANDBOX_WALL";
const FOLDER: &str = "SANDBOX_FOLDER";

/// Exit codes of such a process.
const DONE: i32 = 40;
const REFUSED: i32 = 41;

/// The parts of the sandbox that a process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wall {
    Landlock,
    Seccomp,
    Both,
}

impl Wall {
    const ALL: [Self; 3] = [Self::Landlock, Self::Seccomp, Self::Both];

    fn sandbox(self) -> Sandbox {
        let mut sandbox = Sandbox::default();
        sandbox.landlock = self != Self::Seccomp;
        sandbox.seccomp = if self == Self::Landlock {
            Seccomp::None
        } else {
            Seccomp::Kill
        };
        sandbox
    }
}

/// The files and sockets that the process has when it enters the sandbox.
struct Scene {
    /// With a file `text`, a socket `socket`, and a folder `states` with a file `inner`.
    folder: PathBuf,
    /// The socket, to which somebody has connected.
    listener: UnixListener,
    client: UnixStream,
    /// A socket that may exist because somebody passed it, and one to which it could send.
    datagram: UnixDatagram,
    _post: UnixDatagram,
}

impl Scene {
    fn new(folder: &Path) -> io::Result<Self> {
        fs::write(folder.join("text"), "text")?;
        fs::create_dir(folder.join("states"))?;
        fs::create_dir(folder.join("empty"))?;
        fs::write(folder.join("states/inner"), "text")?;
        let socket = folder.join("socket");
        Ok(Self {
            folder: folder.to_owned(),
            listener: UnixListener::bind(&socket)?,
            client: UnixStream::connect(&socket)?,
            datagram: UnixDatagram::unbound()?,
            _post: UnixDatagram::bind(folder.join("post"))?,
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

struct Attempt {
    name: &'static str,
    make: fn(&Scene) -> io::Result<()>,
    /// The first version of Landlock that stops it.
    landlock: Option<i32>,
    /// Seccomp stops it.
    seccomp: bool,
}

const fn attempt(
    name: &'static str,
    make: fn(&Scene) -> io::Result<()>,
    landlock: Option<i32>,
    seccomp: bool,
) -> Attempt {
    Attempt {
        name,
        make,
        landlock,
        seccomp,
    }
}

/// A version of Landlock that every kernel has: the capabilities that the attempt needs are gone, without
/// Landlock's help.
const GIVEN_UP: Option<i32> = Some(0);

#[rustfmt::skip]
const ATTEMPTS: &[Attempt] = &[
    attempt("read a file", |_| fs::read("/etc/passwd").map(drop), Some(1), true),
    attempt("read a file beside the socket", |s| fs::read(s.at("text")).map(drop), Some(1), true),
    attempt("list a folder", |_| fs::read_dir("/").map(drop), Some(1), true),
    attempt("make a file", |s| File::create(s.at("new")).map(drop), Some(1), true),
    attempt("make a folder", |s| fs::create_dir(s.at("new")), Some(1), true),
    attempt("give a file another name", |s| fs::rename(s.at("text"), s.at("new")), Some(1), true),
    attempt("give a file another owner", |s| chown(s.at("text"), Some(1), None), GIVEN_UP, true),
    attempt("run a program", |_| Command::new("/bin/true").status().map(drop), Some(1), true),
    attempt("start a thread", |_| thread::Builder::new().spawn(|| ()).map(drop), None, true),
    attempt("make a socket", |_| UnixDatagram::unbound().map(drop), None, true),
    attempt("make a TCP socket", |_| socket(AddressFamily::INET, SocketType::STREAM, None).map_err(From::from).map(drop), None, true),
    attempt("make a pair of datagram sockets", |_| UnixDatagram::pair().map(drop), None, true),
    attempt("make a pair of packet sockets", |_| pair(SocketType::SEQPACKET), None, true),
    attempt("send to an address", |s| s.datagram.send_to(b"", s.at("post")).map(drop), Some(9), true),
    attempt("listen at a path", |s| UnixListener::bind(s.at("new")).map(drop), Some(1), true),
    attempt("listen on a port", |_| TcpListener::bind("127.0.0.1:0").map(drop), Some(4), true),
    attempt("connect to a path", |s| UnixStream::connect(s.at("socket")).map(drop), Some(9), true),
    attempt("signal its parent", |_| signal_parent(), Some(6), true),
    attempt("signal itself", |_| Ok(kill_process(getpid(), Signal::CHILD)?), None, true),
    attempt("be signalled by a socket", |s| set_owner(&s.client), None, true),
    attempt("change a description", |s| Ok(fcntl_setfl(&s.client, OFlags::NONBLOCK)?), None, true),
    attempt("remove the socket", |s| fs::remove_file(s.at("socket")), Some(1), true),
    attempt("remove a file in a subfolder", |s| fs::remove_file(s.at("states/inner")), Some(1), true),
    attempt("remove a folder", |s| fs::remove_dir(s.at("empty")), Some(1), true),
    attempt("look at a file", |_| fs::metadata("/etc/passwd").map(drop), None, true),
    attempt("look at a file by its folder", |_| Ok(statat(CWD, "/etc/passwd", AtFlags::EMPTY_PATH).map(drop)?), None, true),
    attempt("ask for rights to a file", |_| Ok(access("/etc/passwd", rustix::fs::Access::EXISTS)?), None, true),
    attempt("read a link", |_| fs::read_link("/proc/self/exe").map(drop), None, true),
    attempt("take pages that nobody uses", |_| allocate(FallocateFlags::empty()), None, true),
    attempt("give pages of a new file back", |_| allocate(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE), None, false),
    attempt("accept a connection", |s| s.listener.accept().map(drop), None, false),
    attempt("make a pair of sockets", |_| UnixStream::pair().map(drop), None, false),
    attempt("send to a peer", |s| sendto_peer(&s.client), None, false),
    attempt("duplicate a descriptor", |s| s.client.try_clone().map(drop), None, false),
    attempt("look at an open file", |s| Ok(fstat(&s.client).map(drop)?), None, false),
    attempt("read the name of an eventfd", |_| Ok(readlinkat_raw(CWD, "/proc/self/fd/0", &mut [0; 21]).map(drop)?), None, false),
];

fn pair(kind: SocketType) -> io::Result<()> {
    let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
    Ok(pair.map(drop)?)
}

/// Asks for a page of a new file in memory, or gives one back.
fn allocate(flags: FallocateFlags) -> io::Result<()> {
    let file = memfd_create("attempt", MemfdFlags::CLOEXEC)?;
    Ok(fallocate(file, flags, 0, 4096)?)
}

fn sendto_peer(socket: &UnixStream) -> io::Result<()> {
    Ok(send(socket, b" ", SendFlags::NOSIGNAL).map(drop)?)
}

/// Has the kernel signal this process when something comes.
fn set_owner(socket: &UnixStream) -> io::Result<()> {
    // SAFETY: the call takes two numbers.
    match unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETOWN, std::process::id()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// By a signal that does nothing.
fn signal_parent() -> io::Result<()> {
    let parent = getppid().ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(parent, Signal::CHILD)?)
}

/// If this process is one that makes an attempt: makes it, and does not return.
fn attempt_if_asked() {
    let (Ok(name), Ok(wall), Ok(folder)) = (env::var(ATTEMPT), env::var(WALL), env::var(FOLDER))
    else {
        return;
    };
    let attempt = ATTEMPTS.iter().find(|a| a.name == name).unwrap();
    let wall = Wall::ALL.into_iter().find(|w| format!("{w:?}") == wall);
    let scene = Scene::new(Path::new(&folder)).unwrap();
    wall.unwrap().sandbox().enter().unwrap();
    exit(match (attempt.make)(&scene) {
        Ok(()) => DONE,
        Err(_) => REFUSED,
    });
}

/// The version of Landlock that this kernel has; 0 is none.
fn landlock_version() -> i32 {
    let sandbox = Wall::Landlock.sandbox();
    // Only the thread that enters it is shut in.
    let Enforced { landlock, .. } = thread::spawn(move || sandbox.enter().unwrap())
        .join()
        .unwrap();
    match landlock {
        LandlockLevel::Abi(version) => version,
        LandlockLevel::Missing => {
            eprintln!("this kernel has no Landlock: only the other wall is tested");
            0
        }
        LandlockLevel::Off => panic!("Landlock was asked for"),
    }
}

/// Runs `test` of this program in a process of its own, for one attempt behind one wall.
fn again(test: &str, attempt: &str, wall: Wall, folder: &Path) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("sandbox::{test}")])
        .args(["--nocapture", "--test-threads=1"])
        .env(ATTEMPT, attempt)
        .env(WALL, format!("{wall:?}"))
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap()
}

#[test]
fn what_a_server_does_not_need_is_refused() {
    attempt_if_asked();
    let version = landlock_version();
    for attempt in ATTEMPTS {
        for wall in Wall::ALL {
            let folder = tempfile::tempdir().unwrap();
            let test = "what_a_server_does_not_need_is_refused";
            let status = again(test, attempt.name, wall, folder.path()).status;
            let by_landlock = attempt.landlock.is_some_and(|first| first <= version);
            let stopped = match wall {
                Wall::Landlock => by_landlock,
                Wall::Seccomp => attempt.seccomp,
                Wall::Both => by_landlock || attempt.seccomp,
            };
            let refused = match (status.code(), status.signal()) {
                (Some(DONE), _) => false,
                (Some(REFUSED), _) | (_, Some(libc::SIGSYS)) => true,
                _ => panic!("{} behind {wall:?}: {status}", attempt.name),
            };
            assert_eq!(refused, stopped, "{} behind {wall:?}", attempt.name);
        }
    }
}

/// The server refuses a control client's request and goes on.
#[test]
fn files_are_refused_without_an_end() {
    let opened = |sandbox: Sandbox, path: PathBuf| {
        let attempt = move || {
            sandbox.enter().unwrap();
            fs::read(path).map_err(|error| error.kind())
        };
        thread::spawn(attempt).join().unwrap()
    };
    for wall in [Wall::Seccomp, Wall::Both] {
        let result = opened(wall.sandbox(), "/etc/passwd".into());
        assert_eq!(result, Err(io::ErrorKind::PermissionDenied), "{wall:?}");
    }
}

/// Folders for states are open for what saving and restoring does, and nothing beside them is.
#[test]
fn folders_for_states_are_open() {
    let version = landlock_version();
    for wall in Wall::ALL {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::new(folder.path()).unwrap();
        let mut sandbox = wall.sandbox();
        sandbox.state_folders = vec![scene.at("states")];
        let profile = Profile::parse("testdev", Profile::builtin("testdev").unwrap(), &[]).unwrap();
        let mut devices = profile.device_set(&Registry::builtin()).unwrap();
        let attempt = move || {
            sandbox.enter().unwrap();
            let state = scene.at("states/state");
            for _ in 0..2 {
                state_file::save(&mut devices.first_mut(), Time::ZERO, &state).unwrap();
                state_file::restore(&mut devices.first_mut(), Time::ZERO, &state).unwrap();
            }
            let mut beside =
                |name| state_file::save(&mut devices.first_mut(), Time::ZERO, &scene.at(name));
            [
                beside("state").is_ok(),
                fs::read(scene.at("text")).is_ok(),
                fs::metadata(scene.at("text")).is_ok(),
            ]
        };
        let [saved, read, seen] = thread::spawn(attempt).join().unwrap();
        if wall != Wall::Seccomp && version > 0 {
            assert!(!saved && !read, "{wall:?}");
        }
        if wall != Wall::Landlock {
            assert!(!read && !seen, "{wall:?}");
        }
    }
}

/// A fault with the signal or the exit code of its end, and a text of its last words.
type Fault = (&'static str, fn(), Result<i32, i32>, &'static str);

const FAULTS: &[Fault] = &[
    ("abort", || std::process::abort(), Err(libc::SIGABRT), ""),
    ("panic", || panic!("a fault"), Ok(101), "a fault"),
    (
        "no memory",
        no_memory,
        Err(libc::SIGABRT),
        "memory allocation of",
    ),
    (
        "no stack",
        || assert_ne!(deep(1), 0),
        Err(libc::SIGABRT),
        "overflowed its stack",
    ),
    ("no page", no_page, Err(libc::SIGSEGV), ""),
    ("a quiet end", || (), Ok(DONE), ""),
];

fn no_memory() {
    drop(black_box(Vec::<u8>::with_capacity(1 << 46)));
}

fn no_page() {
    // SAFETY: none: it is the fault.
    unsafe { black_box(std::ptr::without_provenance_mut::<u8>(8)).write_volatile(1) };
}

fn deep(number: u64) -> u64 {
    let room = black_box([number; 512]);
    let more = if black_box(true) { deep(number + 1) } else { 0 };
    room[0] + more + room[511]
}

/// A fault of the server does not look like an attack on it.
#[test]
fn faults_end_as_what_they_are() {
    if let (Ok(name), Ok(wall)) = (env::var(ATTEMPT), env::var(WALL)) {
        let (_, fault, ..) = FAULTS.iter().find(|(fault, ..)| *fault == name).unwrap();
        let wall = Wall::ALL.into_iter().find(|w| format!("{w:?}") == wall);
        wall.unwrap().sandbox().enter().unwrap();
        if name == "panic" {
            // The test's own thread would catch it.
            let fault = *fault;
            let ended = std::panic::catch_unwind(fault);
            exit(if ended.is_err() { 101 } else { DONE });
        }
        fault();
        exit(DONE);
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, _, end, words) in FAULTS {
        for wall in Wall::ALL {
            let output = again("faults_end_as_what_they_are", name, wall, folder.path());
            let told = String::from_utf8_lossy(&output.stderr);
            let status = output.status;
            assert_eq!(
                status.code().ok_or(status.signal().unwrap_or(0)),
                *end,
                "{name} behind {wall:?}: {status}, {told}"
            );
            assert!(told.contains(words), "{name} behind {wall:?}: {told}");
        }
    }
}

/// Root has capabilities until it enters the sandbox, whichever wall is wanted.
#[test]
fn no_capability_is_left() {
    for wall in Wall::ALL {
        let sandbox = wall.sandbox();
        let status = File::open("/proc/thread-self/status").unwrap();
        let left = thread::spawn(move || {
            // The file is that of the thread that opens it, so this one's is opened before.
            drop(status);
            let mut status = File::open("/proc/thread-self/status").unwrap();
            sandbox.enter().unwrap();
            let mut text = String::new();
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = status.read(&mut piece) {
                text.push_str(&String::from_utf8_lossy(&piece[..count]));
            }
            text
        });
        let text = left.join().unwrap();
        let fields: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("Cap"))
            .collect();
        assert_eq!(fields.len(), 5, "{text}");
        for field in fields {
            let bounding = field.starts_with("CapBnd") && !geteuid().is_root();
            assert!(
                bounding || field.ends_with("\t0000000000000000"),
                "{wall:?}: {field}"
            );
        }
    }
}

/// The files of a server go with it, whatever its end, and nothing else does.
#[test]
fn the_files_of_a_server_go_with_it() {
    for wall in Wall::ALL {
        for other in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let (listener, file) = listen::bind(&path, Access::default()).unwrap();
            fs::write(folder.path().join("beside"), "").unwrap();
            let sandbox = wall.sandbox();
            let remover = Remover::start(vec![file], &sandbox).unwrap();
            assert!(
                listen::bind(&path, Access::default()).is_err(),
                "it is locked"
            );
            if other {
                // Another program has taken the place.
                fs::remove_file(&path).unwrap();
                drop(UnixListener::bind(&path).unwrap());
            }
            let end = thread::spawn(move || {
                sandbox.enter().unwrap();
                drop(listener);
                drop(remover);
            });
            end.join().unwrap();
            assert_eq!(path.exists(), other, "{wall:?}");
            let count = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(count, 1 + usize::from(other), "{wall:?}");
        }
    }
}
