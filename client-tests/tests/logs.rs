//! What the server says in its log. There is one for the whole process, so this test is alone in it.

use std::io;
use std::sync::{Arc, Mutex};

use client_tests::daemon::Daemon;
use client_tests::raw::wire::dma_map::{READ, WRITE};
use client_tests::raw::wire::region;

/// What was logged so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// How many lines contain `text`.
    fn lines_with(&self, text: &str) -> usize {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(|line| line.contains(text)).count()
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

#[test]
fn what_a_client_repeats_is_logged_a_few_times_only() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .init();

    let (_daemon, mut client) = Daemon::testdev(&[]).unwrap();
    client
        .dma_map(READ | WRITE, 0, 0, 0x1000, None)
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(
        log.lines_with("share=on"),
        0,
        "a map without a file is nothing special"
    );
    client.write(region::CONFIG, 4, &[6, 0]).unwrap();
    client.write(0, 0x30, &4_u32.to_le_bytes()).unwrap();
    client.write(0, 0x34, &1_u32.to_le_bytes()).unwrap();
    let mut copy = || {
        client.write(0, 0x38, &1_u32.to_le_bytes()).unwrap();
        while client.read(0, 0x3c, 4).unwrap()[0] & 1 != 0 {}
    };
    copy();
    assert_eq!(
        log.lines_with("share=on"),
        1,
        "DMA into it names the option that is missing"
    );
    for _ in 0..200 {
        copy();
    }
    assert!(log.lines_with("share=on") <= 10, "200 times the same");

    let refused = log.lines_with("request refused");
    for _ in 0..200 {
        client.region_read(77, 0, 4).unwrap().failure().unwrap();
    }
    let refused = log.lines_with("request refused") - refused;
    assert!(
        (1..=10).contains(&refused),
        "200 refusals took {refused} lines"
    );
}
