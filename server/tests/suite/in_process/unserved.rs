//! A card of which only one function has a socket.

use dormouse::models::profile::Card;

use super::client::{ENTRY, EXIT, SET};
use super::*;

const CARD: &str = r#"name = "pair"
[[function]]
profile = "testdev"
host.view = "vfio-pci"
platform.d3cold-via = "port"
[[function]]
profile = "testdev"
host.view = "vfio-pci"
platform.d3cold-via = "port"
"#;

#[test]
fn a_function_that_nobody_serves_lets_the_port_sleep_again() {
    let registry = Registry::builtin();
    let bases = |name: &str| registry.base(name);
    let card = Card::parse("pair", CARD, &[], &bases).unwrap();
    let mut settings = Settings::default();
    settings.clock = Clock::manual();
    let devices = card.device_set(&registry).unwrap();
    let running = Running::serve(devices, settings, ClientMemory::FileIo);
    let mut client = running.client();
    let mut control = running.control();
    for round in 0..3 {
        client.feature(SET | ENTRY, &[], &[]).unwrap();
        control.advance("1s");
        let port = control.status("port");
        assert_eq!(port["power_state"], "D3cold", "round {round}");
        assert_eq!(control.status("rail"), false);
        // The port asks both functions to resume. One of them is awake then, the other sleeps again.
        client.feature(SET | EXIT, &[], &[]).unwrap();
        assert_eq!(control.status("port")["power_state"], "D0");
    }
    client.feature(SET | ENTRY, &[], &[]).unwrap();
    control.advance("10s");
    assert_eq!(control.status("port")["power_state"], "D3cold");
}
