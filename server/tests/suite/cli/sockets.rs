//! Sockets of a running server: how they come, who may use them, how they go.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;

use super::program::{Daemon, code, dormouse, greet, stderr, stdout, try_greet, wait_for};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn both_sockets_have_the_mode_asked_for_and_go_at_the_end() {
    for (arguments, expected) in [(&[][..], 0o600), (&["--socket-mode", "0666"], 0o666)] {
        let arguments = [&["--socket-path", "dev", "--ctl-path", "ctl"], arguments].concat();
        let mut daemon = Daemon::serve(&arguments);
        greet(&daemon.connect("dev"));
        daemon.connect("ctl");
        for name in ["dev", "ctl"] {
            assert_eq!(mode(&daemon.path(name)), expected, "{name}");
        }
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.ended().code(), Some(0));
        for name in ["dev", "ctl", "dev.lock", "ctl.lock"] {
            assert!(!daemon.path(name).exists(), "{name}");
        }
    }
}

#[test]
fn letters_on_the_rail_socket_switch_the_power() {
    let spec = "profile=testdev,socket-path=dev,ctl-path=ctl,rail-path=rail";
    let one = [
        "--socket-path",
        "dev",
        "--ctl-path",
        "ctl",
        "--rail-path",
        "rail",
    ];
    for arguments in [&one[..], &["--function", spec]] {
        let mut daemon = Daemon::serve(arguments);
        let mut rail = daemon.connect("rail");
        assert_eq!(mode(&daemon.path("rail")), 0o600);
        for (letter, expected) in [(b"F\n", "D3cold"), (b"N\n", "D0")] {
            rail.write_all(letter).unwrap();
            wait_for(expected, || {
                let status = stdout(&daemon.ctl(&["status"]));
                let line = format!("\npower_state: {expected}\n");
                status.contains(&line).then_some(())
            });
        }
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.ended().code(), Some(0));
        assert!(!daemon.path("rail").exists());
    }
}

#[test]
fn signals_end_it_cleanly_or_not_at_all() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::serve(&["--socket-path", "dev"]);
        let client = daemon.connect("dev");
        greet(&client);
        daemon.signal(Signal::HUP);
        greet_another(&mut daemon, client);
        daemon.signal(signal);
        assert_eq!(daemon.ended().code(), Some(0), "{signal:?}");
        assert!(!daemon.path("dev").exists());
    }
}

#[test]
fn signals_under_load_end_it_cleanly_or_not_at_all() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::serve(&["--socket-path", "dev"]);
        let client = daemon.connect("dev");
        greet(&client);
        let served = AtomicU64::new(0);
        std::thread::scope(|scope| {
            // Until the server hangs up. As many bytes as a reply has come for each request, whatever
            // was there before.
            scope.spawn(|| {
                let (mut socket, read, mut reply) = (&client, read_config(), [0; 36]);
                while socket.write_all(&read).is_ok() && socket.read_exact(&mut reply).is_ok() {
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
            let goes_on = || {
                let before = served.load(Ordering::Relaxed);
                wait_for("more requests", || {
                    (served.load(Ordering::Relaxed) > before + 100).then_some(())
                });
            };
            goes_on();
            daemon.signal(Signal::HUP);
            goes_on();
            daemon.signal(signal);
            assert_eq!(daemon.ended().code(), Some(0), "{signal:?}");
        });
        assert!(!daemon.path("dev").exists());
    }
}

/// REGION_READ of the first four bytes of config space.
fn read_config() -> [u8; 32] {
    let mut message = [0; 32];
    let fields = [(2, 9_u8), (4, 32), (24, 7), (28, 4)];
    for (at, value) in fields {
        message[at] = value;
    }
    message
}

/// The next client in place of `client`, which the server may need a moment to let go.
fn greet_another(daemon: &mut Daemon, client: UnixStream) {
    drop(client);
    wait_for("another client's turn", || {
        try_greet(&daemon.connect("dev")).ok()
    });
}

#[test]
fn a_socket_left_behind_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(folder.path().join("dev")).unwrap());
    let mut daemon = Daemon::start(folder, |command| {
        command.args(["serve", "--socket-path", "dev"]);
    });
    greet(&daemon.connect("dev"));
}

#[test]
fn a_killed_server_does_not_stand_in_the_way() {
    let mut daemon = Daemon::serve(&["--socket-path", "dev"]);
    greet(&daemon.connect("dev"));
    daemon.signal(Signal::KILL);
    daemon.ended();
    // Its helper removes the files meanwhile.
    let path = daemon.path("dev");
    let folder = tempfile::tempdir().unwrap();
    let mut next = Daemon::start(folder, |command| {
        command
            .args(["serve", "--once", "--socket-path"])
            .arg(&path);
    });
    let client = wait_for("the next server", || UnixStream::connect(&path).ok());
    greet(&client);
    drop(client);
    assert_eq!(next.ended().code(), Some(0));
}

#[test]
fn a_path_that_is_served_is_refused() {
    let mut daemon = Daemon::serve(&["--socket-path", "dev"]);
    greet(&daemon.connect("dev"));
    let foreign = UnixListener::bind(daemon.path("foreign")).unwrap();
    fs::write(daemon.path("file"), "precious").unwrap();
    for (name, expected) in [
        ("dev", "already served by another dormouse"),
        ("foreign", "something answers"),
        ("file", "not a socket"),
    ] {
        let path = daemon.path(name);
        let output = dormouse(path.parent().unwrap())
            .args(["serve", "--socket-path", name])
            .output()
            .unwrap();
        assert_eq!(code(&output), 4, "{name}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    drop(foreign);
    assert!(
        fs::metadata(daemon.path("dev"))
            .unwrap()
            .file_type()
            .is_socket()
    );
    assert_eq!(fs::read(daemon.path("file")).unwrap(), b"precious");
}

#[test]
fn a_socket_that_is_another_by_now_stays() {
    let mut daemon = Daemon::serve(&["--socket-path", "dev"]);
    greet(&daemon.connect("dev"));
    fs::remove_file(daemon.path("dev")).unwrap();
    let _foreign = UnixListener::bind(daemon.path("dev")).unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
    UnixStream::connect(daemon.path("dev")).unwrap();
}

#[test]
fn a_listening_descriptor_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("dev")).unwrap();
    let mut daemon = Daemon::start(folder, |command| {
        command
            .args(["serve", "--fd", "0"])
            .stdin(OwnedFd::from(listener));
    });
    greet(&daemon.connect("dev"));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(daemon.path("dev").exists(), "whoever bound it removes it");
}

#[test]
fn a_connected_descriptor_is_served_once() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut daemon = Daemon::start(tempfile::tempdir().unwrap(), |command| {
        command
            .args(["serve", "--fd", "0"])
            .stdin(OwnedFd::from(theirs));
    });
    greet(&ours);
    drop(ours);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn descriptors_that_cannot_be_used_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (number, expected) in [("0", "no UNIX stream socket"), ("99", "cannot be used")] {
        let output = dormouse(folder.path())
            .args(["serve", "--fd", number])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(code(&output), 4);
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn once_ends_when_the_client_has_gone() {
    let mut daemon = Daemon::serve(&["--socket-path", "dev", "--once"]);
    greet(&daemon.connect("dev"));
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(!daemon.path("dev").exists());
}

#[test]
fn sockets_of_a_service_manager_are_used_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("dev")).unwrap();
    // The shell puts the socket where a service manager does and knows its own number.
    let script = r#"exec 3<&0 </dev/null
                    LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=disk exec "$0" serve "$@""#;
    let mut daemon = Daemon::start(folder, |command| {
        let path = command.get_current_dir().unwrap().to_owned();
        *command = Command::new("/bin/sh");
        command
            .args(["-c", script, env!("CARGO_BIN_EXE_dormouse")])
            .args(["--function", "name=disk,profile=nvme"])
            .args(["--function", "socket-path=other,ctl-path=ctl"])
            .current_dir(path)
            .stdin(OwnedFd::from(listener));
    });
    greet(&daemon.connect("dev"));
    greet(&daemon.connect("other"));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn the_service_manager_hears_when_clients_can_connect() {
    let folder = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager
        .set_read_timeout(Some(std::time::Duration::from_secs(20)))
        .unwrap();
    let notify = folder.path().join("notify");
    let mut daemon = Daemon::start(folder, |command| {
        command
            .args(["serve", "--socket-path", "dev", "--ctl-path", "ctl"])
            .env("NOTIFY_SOCKET", notify);
    });
    let hear = || {
        let mut text = [0; 64];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).trim().to_owned()
    };
    assert_eq!(hear(), "READY=1");
    greet(&UnixStream::connect(daemon.path("dev")).unwrap());
    UnixStream::connect(daemon.path("ctl")).unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn several_functions_live_in_one_process() {
    let mut daemon = Daemon::serve(&[
        "--function",
        "socket-path=a,ctl-path=ctl,set:identity.device-id=0xbeef",
        "--function",
        "profile=nic,socket-path=b",
    ]);
    let clients = [daemon.connect("a"), daemon.connect("b")];
    clients.iter().for_each(greet);
    let config = daemon.ctl(&["--json", "status"]);
    assert!(stdout(&config).contains("\"name\":\"testdev\""));
}

#[test]
fn plain_dormouse_prints_the_lines_to_copy() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let mut daemon = Daemon::start(folder, |command| {
        command.env("XDG_RUNTIME_DIR", &place);
    });
    greet(&daemon.connect("dormouse-testdev.sock"));
    let printed = wait_for("two lines", || {
        let text = daemon.output("stdout");
        (text.lines().count() == 2).then_some(text)
    });
    let socket = place.join("dormouse-testdev.sock");
    let control = place.join("dormouse-testdev-ctl.sock");
    let lines: Vec<&str> = printed.lines().collect();
    let option = lines[0]
        .strip_prefix("-device '")
        .and_then(|rest| rest.strip_suffix('\''))
        .expect("a QEMU option in quotes");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(option).unwrap(),
        serde_json::json!({
            "driver": "vfio-user-pci",
            "socket": { "type": "unix", "path": socket.to_str().unwrap() },
        })
    );
    assert_eq!(
        lines[1],
        format!("dormouse ctl --ctl-path {} status", control.display())
    );

    let words: Vec<&str> = lines[1].split(' ').skip(1).collect();
    let output = dormouse(&place).args(words).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}
