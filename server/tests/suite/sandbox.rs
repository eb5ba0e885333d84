//! A process that is shut in tries to get out. Each attempt is made by a process of its own: this
//! test program, started anew for one test with the attempt's name in the environment.

use std::env;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::thread;

use dormouse::sandbox::{Enforced, LandlockLevel, Sandbox, Seccomp};
use rustix::process::{Signal, getppid, kill_process};

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
    /// With a file `text`, a socket `socket` that may be removed, and a folder `states`.
    folder: PathBuf,
    /// The socket, to which somebody has connected.
    listener: UnixListener,
    _client: UnixStream,
}

impl Scene {
    fn new(folder: &Path) -> io::Result<Self> {
        fs::write(folder.join("text"), "text")?;
        fs::create_dir(folder.join("states"))?;
        let socket = folder.join("socket");
        Ok(Self {
            folder: folder.to_owned(),
            listener: UnixListener::bind(&socket)?,
            _client: UnixStream::connect(&socket)?,
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

#[rustfmt::skip]
const ATTEMPTS: &[Attempt] = &[
    attempt("read a file", |_| fs::read("/etc/passwd").map(drop), Some(1), true),
    attempt("read a file beside the socket", |s| fs::read(s.at("text")).map(drop), Some(1), true),
    attempt("list a folder", |_| fs::read_dir("/").map(drop), Some(1), true),
    attempt("make a file", |s| File::create(s.at("new")).map(drop), Some(1), true),
    attempt("make a folder", |s| fs::create_dir(s.at("new")), Some(1), true),
    attempt("give a file another name", |s| fs::rename(s.at("text"), s.at("new")), Some(1), true),
    attempt("run a program", |_| Command::new("/bin/true").status().map(drop), Some(1), true),
    attempt("start a thread", |_| thread::Builder::new().spawn(|| ()).map(drop), None, true),
    attempt("make a socket", |_| UnixDatagram::unbound().map(drop), None, true),
    attempt("listen at a path", |s| UnixListener::bind(s.at("new")).map(drop), Some(1), true),
    attempt("listen on a port", |_| TcpListener::bind("127.0.0.1:0").map(drop), Some(4), true),
    attempt("connect to a path", |s| UnixStream::connect(s.at("socket")).map(drop), Some(9), true),
    attempt("signal its parent", |_| signal_parent(), Some(6), true),
    attempt("remove the socket", |s| fs::remove_file(s.at("socket")), None, false),
    attempt("accept a connection", |s| s.listener.accept().map(drop), None, false),
    attempt("make a pair of sockets", |_| UnixStream::pair().map(drop), None, false),
    attempt("look at a file", |_| fs::metadata("/etc/passwd").map(drop), None, false),
];

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
    let mut sandbox = wall.unwrap().sandbox();
    sandbox.socket_folders = vec![scene.folder.clone()];
    sandbox.enter().unwrap();
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

#[test]
fn what_a_server_does_not_need_is_refused() {
    attempt_if_asked();
    let version = landlock_version();
    for attempt in ATTEMPTS {
        for wall in Wall::ALL {
            let folder = tempfile::tempdir().unwrap();
            let status = Command::new(env::current_exe().unwrap())
                .args(["--exact", "sandbox::what_a_server_does_not_need_is_refused"])
                .args(["--nocapture", "--test-threads=1"])
                .env(ATTEMPT, attempt.name)
                .env(WALL, format!("{wall:?}"))
                .env(FOLDER, folder.path())
                .output()
                .unwrap()
                .status;
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
        let attempt = move || {
            sandbox.enter().unwrap();
            let (part, state) = (scene.at("states/part"), scene.at("states/state"));
            for text in ["first", "second"] {
                fs::write(&part, text)?;
                fs::rename(&part, &state)?;
                assert_eq!(fs::read_to_string(&state)?, text);
            }
            fs::remove_file(state)?;
            let beside = fs::read(scene.at("text")).map_err(|error| error.kind());
            io::Result::Ok(beside)
        };
        let beside = thread::spawn(attempt).join().unwrap().unwrap();
        if wall != Wall::Seccomp && version > 0 {
            assert_eq!(beside, Err(io::ErrorKind::PermissionDenied), "{wall:?}");
        }
    }
}
