//! The users that may connect, and the privileges that a running server has given up.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use rustix::process::{Signal, geteuid};
use serde_json::Value;

use super::program::{Daemon, code, greet, stderr, stdout, wait_for};

const SOCKETS: [&str; 6] = [
    "--socket-path",
    "dev",
    "--ctl-path",
    "ctl",
    "--rail-path",
    "rail",
];

/// A user that is neither root nor the one who runs the tests.
const OTHER: u32 = 54321;

fn serve(arguments: &[&str]) -> Daemon {
    let mut daemon = Daemon::serve(&[&SOCKETS, arguments].concat());
    daemon.connect("ctl");
    daemon
}

/// A field of `/proc/PID/status` of each thread.
fn status_fields(daemon: &Daemon, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let of_one = |thread: io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap().trim().to_owned()
    };
    threads.map(of_one).collect()
}

#[test]
fn a_server_is_shut_in_as_asked() {
    const OFF: &[&str] = &["--landlock", "off", "--seccomp", "none"];
    let by_default = if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        "2"
    } else {
        "0"
    };
    for (arguments, filter, told) in [
        (&[][..], by_default, "landlock "),
        (&["--seccomp", "kill"], "2", "seccomp kill"),
        (&["--seccomp", "log"], "2", "seccomp log"),
        (&["--seccomp", "none"], "0", "seccomp none"),
        (&["--landlock", "off"], by_default, "landlock off"),
        (OFF, "0", "landlock off, seccomp none"),
    ] {
        let mut daemon = serve(arguments);
        greet(&daemon.connect("dev"));
        // The event loop, and the thread that closes files.
        let of_both = |field: &str, value: &str| {
            let fields = status_fields(&daemon, field);
            assert_eq!(fields, [value; 2], "{field}, {arguments:?}");
        };
        of_both("Seccomp", filter);
        of_both("NoNewPrivs", "1");
        of_both("Threads", "2");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            if set != "CapBnd" || geteuid().is_root() {
                of_both(set, &"0".repeat(16));
            }
        }
        let log = daemon.output("stderr");
        assert!(log.contains(told), "{arguments:?}: {log}");
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.ended().code(), Some(0), "{arguments:?}");
        assert!(!daemon.path("dev").exists() && !daemon.path("dev.lock").exists());
    }
}

#[test]
fn states_go_where_the_server_was_told_they_may() {
    let daemon = serve(&[]);
    for verb in ["save", "restore"] {
        let output = daemon.ctl(&[verb, "state"]);
        let error = stderr(&output);
        assert_eq!(code(&output), 1);
        assert!(error.contains("saves and restores no files"), "{error}");
        assert!(error.contains("--state-dir"), "{error}");
    }
    let beside = tempfile::tempdir().unwrap();
    let beside = beside.path().join("state");
    let beside = beside.to_str().unwrap();
    let daemon = serve(&["--state-dir", "."]);
    let error = stderr(&daemon.ctl(&["save", beside]));
    assert!(error.contains("saves and restores files in /"), "{error}");
    for outside in ["../state", "x/../state", "no/../../state", "..", "."] {
        for verb in ["save", "restore"] {
            let error = stderr(&daemon.ctl(&[verb, outside]));
            assert!(error.contains("named without '..'"), "{outside}: {error}");
        }
    }
    assert_eq!(code(&daemon.ctl(&["save", "state"])), 0);
    assert_eq!(code(&daemon.ctl(&["restore", "./state"])), 0);

    let free = serve(&["--landlock", "off", "--seccomp", "none"]);
    assert_eq!(code(&free.ctl(&["save", beside])), 0);

    let refused = super::program::run(&["serve", "--state-dir", "no-such-folder"]);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("--state-dir no-such-folder: No such file"));
}

/// The server has no right to remove a file. Its helper removes those of the sockets, even those that a
/// server leaves that had no time for it, and ends.
#[test]
fn sockets_go_with_a_server_that_is_killed() {
    for signal in [Signal::KILL, Signal::ABORT, Signal::TERM] {
        let mut daemon = serve(&[]);
        wait_for("the sandbox", || {
            let log = daemon.output("stderr");
            log.contains("entered the sandbox").then_some(())
        });
        let pid = daemon.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let helper: u32 = children.trim().parse().unwrap();
        let status = fs::read_to_string(format!("/proc/{helper}/status")).unwrap();
        for line in ["Name:\tdormouse-files\n", "CapEff:\t0000000000000000\n"] {
            assert!(status.contains(line), "{status}");
        }
        daemon.signal(signal);
        daemon.ended();
        wait_for("the files", || {
            let names = ["dev", "ctl", "rail", "dev.lock", "ctl.lock", "rail.lock"];
            (names.iter().all(|name| !daemon.path(name).exists())).then_some(())
        });
        wait_for("the helper", || {
            let status = fs::read_to_string(format!("/proc/{helper}/stat")).ok();
            let gone = status.is_none_or(|status| status.contains(" Z "));
            gone.then_some(())
        });
    }
}

/// `dormouse ctl status` on a socket, as [`OTHER`].
fn ask_as_other(daemon: &Daemon, socket: &str) -> Output {
    // The program may be where others cannot go.
    let program = daemon.path("dormouse");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_dormouse"), &program).unwrap();
    }
    let mut ask = Command::new(program);
    ask.args(["ctl", "--ctl-path"])
        .arg(daemon.path(socket))
        .args(["--json", "status"])
        .env_clear()
        .uid(OTHER)
        .gid(OTHER);
    // A process that another test starts just now may have the copy open for a moment.
    wait_for("the copy", || match ask.output() {
        Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
        output => Some(output.unwrap()),
    })
}

#[test]
fn other_users_are_refused_unless_named() {
    if !geteuid().is_root() {
        eprintln!("not root: nobody else can be played, the rule alone is tested, in the library");
        return;
    }
    // All may reach the sockets, so that the server is the one who refuses.
    let open = |arguments: &[&str]| {
        let daemon = serve(&[&["--socket-mode", "0666"], arguments].concat());
        fs::set_permissions(daemon.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        daemon
    };
    let daemon = open(&["--allow-uid", "12345"]);
    for socket in ["dev", "ctl", "rail"] {
        let output = ask_as_other(&daemon, socket);
        assert_ne!(code(&output), 0, "{socket}: {}", stdout(&output));
    }
    let own = daemon.ctl(&["--json", "status"]);
    let status: Value = serde_json::from_slice(&own.stdout).unwrap();
    assert_eq!(status["ok"]["connection"]["refused"], 3, "{status}");
    let log = daemon.output("stderr");
    assert!(log.contains("the user may not connect uid=54321"), "{log}");

    for arguments in [&["--allow-uid", "12345", "--allow-uid", "54321"][..], &[]] {
        let output = ask_as_other(&open(arguments), "ctl");
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
    }

    // A mode that was widened by somebody else widens nothing.
    let private = serve(&[]);
    for name in ["", "ctl"] {
        fs::set_permissions(private.path(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    assert_ne!(code(&ask_as_other(&private, "ctl")), 0);
}
