//! Steps that several tests begin with.

use client_tests::daemon::Daemon;
use client_tests::raw::RawClient;
use client_tests::raw::wire::region;

/// The test function's register that holds what is written to it.
pub const SCRATCH: u64 = 4;

/// The test function and its client.
pub fn served() -> (Daemon, RawClient) {
    Daemon::testdev(&[]).unwrap()
}

/// As [`served`], with memory BARs that decode.
pub fn decoding() -> (Daemon, RawClient) {
    let (daemon, mut client) = served();
    client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    (daemon, client)
}

/// A well-formed request is answered, and its answer is the next message that comes.
pub fn goes_on(client: &mut RawClient, after: &str) {
    let alive = client.read(region::CONFIG, 0, 4);
    assert_eq!(alive.expect(after), [0x34, 0x12, 0xc0, 0xd3], "{after}");
}
