//! The wake-up eventfd: one signal for each wake from real sleep while it is armed, there before the
//! reply to the request that woke the function.

use std::os::fd::AsFd;

use client_tests::control::Control;
use client_tests::daemon::{Daemon, Spec};
use client_tests::os::Event;
use client_tests::raw::wire::device_feature::{GET, PROBE, SET};
use client_tests::raw::wire::region;
use client_tests::raw::{Message, RawClient};

const ENTRY: u32 = 3;
const ENTRY_WITH_WAKEUP: u32 = 4;
const EXIT: u32 = 5;

fn serve(deepest: &str) -> (Daemon, RawClient, Control) {
    let spec = Spec::named("low-power").unwrap().set(&[deepest]);
    let daemon = Daemon::start(&[spec]).unwrap();
    let client = daemon.attach(0).unwrap();
    let control = daemon.control(0).unwrap();
    (daemon, client, control)
}

fn arm(client: &mut RawClient, event: &Event) {
    let flags = SET | ENTRY_WITH_WAKEUP;
    let reply = client.device_feature(16, flags, &[0; 8], &[event.as_fd()]);
    reply.unwrap().success().unwrap();
}

/// Requests of all kinds that wake a function, whether or not they succeed.
const REQUESTS: [fn(&mut RawClient) -> Message; 9] = [
    |client| client.region_read(region::CONFIG, 0, 4).unwrap(),
    |client| client.region_write(0, 0, &[0; 4]).unwrap(),
    |client| client.get_info().unwrap(),
    |client| client.get_region_info(0).unwrap(),
    |client| client.get_irq_info(9).unwrap(),
    |client| client.reset().unwrap(),
    |client| client.device_feature(8, SET | EXIT, &[], &[]).unwrap(),
    |client| client.device_feature(8, PROBE | ENTRY, &[], &[]).unwrap(),
    |client| client.device_feature(0, GET | SET, &[], &[]).unwrap(),
];

#[test]
fn each_wake_from_sleep_gives_one_notice_before_its_reply() {
    for deepest in [
        "platform.deepest-state=d3hot",
        "platform.deepest-state=d3cold",
    ] {
        let (_daemon, mut client, mut control) = serve(deepest);
        let event = Event::new().unwrap();
        for (number, request) in REQUESTS
            .iter()
            .cycle()
            .take(50 * REQUESTS.len())
            .enumerate()
        {
            arm(&mut client, &event);
            assert_eq!(
                event.take().unwrap(),
                0,
                "{deepest}, request {number}: armed"
            );
            request(&mut client);
            // Nothing between the reply and the look.
            assert_eq!(
                event.take().unwrap(),
                1,
                "{deepest}, request {number}: woken"
            );
            request(&mut client);
            assert_eq!(
                event.take().unwrap(),
                0,
                "{deepest}, request {number}: awake"
            );
        }
        let status = control.command(&["status"]).unwrap();
        assert_eq!(status["wakeups"], 50 * REQUESTS.len());
    }
}
