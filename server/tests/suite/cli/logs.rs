//! Log lines of a server that cannot get rid of them.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use dormouse::Client;
use dormouse::protocol::vfio::DeviceState;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::program::{Daemon, code, dormouse, greet, wait_for};

/// Serves in a folder whose file `stderr` is there already. `stop` is called before the first client
/// says something.
fn serves_on(folder: TempDir, stop: impl FnOnce()) {
    let mut daemon = Daemon::start(folder, |command| {
        command.args(["-vv", "serve", "--socket-path", "dev"]);
    });
    let connect = || UnixStream::connect(daemon.path("dev")).ok();
    let client = wait_for("the server", connect);
    stop();
    greet(&client);
    drop(client);
    greet(&wait_for("the server", connect));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
}

/// Text that would be a line of its own, clear the screen, and turn the rest of the line round.
const FORGED: &str =
    "\n2026-01-01T00:00:00.000000Z  INFO dormouse: forged\r\u{1b}[2J\u{9b}2J\u{85}\u{2028}\u{202e}";

/// Bytes of the log in ten seconds that clients can cause.
const MAX_BYTES: u64 = 64 << 10;
const WINDOW: Duration = Duration::from_secs(10);

/// A migration stream that is refused because of what `label` says.
fn refused_stream(client: &mut Client, label: &serde_json::Value) {
    let label = label.to_string();
    let mut stream = 0x4d52_4f44_u32.to_le_bytes().to_vec();
    stream.extend((label.len() as u32).to_le_bytes());
    stream.extend(label.as_bytes());
    client.set_device_state(DeviceState::Resuming).unwrap();
    client.write_migration_data(&stream).unwrap_err();
    client.reset().unwrap();
}

/// Clients that send text where the server says why it refuses it. However much they send, the log
/// stays small, and each line of it is the server's.
#[test]
fn no_line_of_the_log_is_a_clients() {
    for format in ["text", "json"] {
        let begun = Instant::now();
        let mut daemon = Daemon::serve(&[
            "--socket-path",
            "dev",
            "--log-format",
            format,
            "--max-log-burst",
            "1000000",
        ]);
        daemon.connect("dev");
        let path = daemon.path("dev");
        let mut client = wait_for("the server", || Client::connect(&path).ok());
        let text = FORGED.repeat(30);
        for _ in 0..500 {
            refused_stream(&mut client, &json!({ "stream": text }));
            let other = json!({ "format": 5, "profile": { "name": text, "shape": text } });
            let mut label = json!({ "stream": 1, FORGED: 1 });
            label
                .as_object_mut()
                .unwrap()
                .extend(other.as_object().unwrap().clone());
            refused_stream(&mut client, &label);
        }
        drop(client);
        for _ in 0..200 {
            let mut hostile = daemon.connect("dev");
            let text = format!(
                "{{\"capabilities\":{{\"max_msg_fds\":{}}}}}\0",
                json!(FORGED)
            );
            let mut version = [7_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat();
            version.extend((20 + text.len() as u32).to_ne_bytes());
            version.extend([0; 8]);
            version.extend([0, 0, 1, 0]);
            version.extend(text.as_bytes());
            // One that comes too early is turned away.
            let written = hostile.write_all(&version);
            let _ = written.and_then(|()| hostile.read_exact(&mut [0; 16]));
        }
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.ended().code(), Some(0));

        let log = daemon.output("stderr");
        let windows = begun.elapsed().as_secs() / WINDOW.as_secs() + 2;
        assert!(log.contains("forged"), "the text is in the log: {log}");
        assert!(
            log.len() as u64 <= windows * MAX_BYTES,
            "{} bytes",
            log.len()
        );
        let acts = |c: char| (c.is_control() && c != '\n') || "\u{2028}\u{202e}".contains(c);
        assert_eq!(log.find(acts), None);
        for line in log.lines() {
            assert!(line.len() < 4096, "{} bytes", line.len());
            if format == "json" {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(line["target"].as_str().unwrap().starts_with("dormouse"));
            } else {
                assert!(line.contains("Z  INFO dormouse::") || line.contains("Z  WARN dormouse::"));
            }
        }
    }
}

#[test]
fn log_lines_that_find_no_room_stop_nobody() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/dev/full", folder.path().join("stderr")).unwrap();
    serves_on(folder, || {});
}

#[test]
fn log_lines_that_nobody_reads_any_more_stop_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("stderr");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let reader = open(&pipe, OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).unwrap();
    serves_on(folder, || drop(reader));
}

#[test]
fn a_failure_that_cannot_be_told_is_still_one() {
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut command = dormouse(folder.path());
    command.args(["check", "missing.toml"]).stderr(full);
    assert_eq!(code(&command.output().unwrap()), 3);
}
