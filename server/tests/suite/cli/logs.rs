//! Log lines of a server that cannot get rid of them.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::Signal;
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
