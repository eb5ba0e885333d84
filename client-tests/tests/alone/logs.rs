//! The log of the server. There is one for the whole process, so no other test runs beside this one.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client_tests::daemon::Daemon;

use crate::asked::{self, Asked, EFAULT, ENOSYS, error};

const EIO: u32 = 5;
/// Flags of a device feature request: SET of low power entry.
const ENTER_LOW_POWER: u32 = 1 << 17 | 3;

/// Longer than the log leaves out a line that a client repeats.
const A_FEW_WINDOWS: Duration = Duration::from_secs(60);

/// The log so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Returns the number of lines that contain `text`.
    fn lines_with(&self, text: &str) -> usize {
        self.lines_with_both(text, text)
    }

    fn lines_with_both(&self, text: &str, other: &str) -> usize {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        let has_both = |line: &&str| line.contains(text) && line.contains(other);
        log.lines().filter(has_both).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn what_a_client_repeats_is_logged_a_few_times_only() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .init();

    let (_daemon, client) = Daemon::testdev(&[]).unwrap();
    let mut asked = Asked::new(client);
    asked.map(asked::BASE, asked::SIZE);
    let (from, to) = (asked::BASE, asked::BASE + 0x1000);
    for errno in [0, EFAULT] {
        asked.odd = Some(Box::new(move |command| error(command, errno)));
        assert_ne!(asked.copy(from, to, 4), 0);
    }
    assert_eq!(asked.copy(from, to, 4), 0);
    assert_eq!(
        log.lines_with("share=on"),
        0,
        "a client that serves DMA messages needs no advice"
    );
    let mut refuse = || {
        asked.odd = Some(Box::new(|command| error(command, ENOSYS)));
        assert_ne!(asked.copy(from, to, 4), 0);
    };
    refuse();
    assert_eq!(
        log.lines_with("share=on"),
        1,
        "one that does not is told of the option that is missing"
    );
    for _ in 0..200 {
        refuse();
    }
    assert!(log.lines_with("share=on") <= 10, "200 times the same");

    let mut client = asked.client;
    let mut refuse = || client.region_read(77, 0, 4).unwrap().failure().unwrap();
    // The tests before this one had requests refused too: the lines of this window may be used up.
    let started = Instant::now();
    while log.lines_with("request refused") == 0 {
        assert!(started.elapsed() < A_FEW_WINDOWS, "no refusal is logged");
        refuse();
    }
    for _ in 0..200 {
        refuse();
    }
    let refused = log.lines_with("request refused");
    assert!(refused <= 20, "200 refusals took {refused} lines");
    a_failed_wake_is_logged_with_its_error(&log);
}

/// The client learns no more than EIO. The log has the error, and the number of lines that were left
/// out since the last one.
fn a_failed_wake_is_logged_with_its_error(log: &Log) {
    let (daemon, mut client) = Daemon::testdev(&["host.view=vfio-pci"]).unwrap();
    let engaged = client.device_feature(8, ENTER_LOW_POWER, &[], &[]);
    let engaged = engaged.unwrap();
    engaged.success().unwrap();
    let mut control = daemon.control(0).unwrap();
    control.command(&["fail-resume", "EBUSY"]).unwrap();
    let mut info = || client.get_info().unwrap().failure().unwrap();
    let line = "the device did not resume for a request";
    let started = Instant::now();
    while log.lines_with_both(line, "suppressed") == 0 {
        assert!(started.elapsed() < A_FEW_WINDOWS, "nothing was left out");
        assert_eq!(info(), EIO);
    }
    assert_eq!(log.lines_with_both(line, "EBUSY"), log.lines_with(line));
}
