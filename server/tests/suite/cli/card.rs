//! Cards: several functions of one slot in one daemon.

use std::fs;

use dormouse::Client;
use dormouse::control::platform::Rail;
use dormouse::control::{ControlClient, Switch, Verb};
use dormouse::models::power::PowerState;
use dormouse::protocol::vfio::RegionIndex;

use super::program::Daemon;

const CARD: &str = r#"name = "pair"

[[function]]
profile = "gpu-display"

[[function]]
profile = "part.toml"
identity.subsystem-id = 0x16a1
"#;

/// A function in a file of its own, beside the card's.
const PART: &str = r#"name = "part"
[identity]
vendor-id = 0x10de
device-id = 0x22ba
class = 0x040300
interrupt-pin = "B"
[capabilities.pm]
no-soft-reset = true
"#;

/// Starts a daemon in a folder with the files of the card.
fn serve(arguments: &[&str]) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pair.toml"), CARD).unwrap();
    fs::write(folder.path().join("part.toml"), PART).unwrap();
    let mut daemon = Daemon::start(folder, |command| {
        command.args(["serve", "--clock", "manual"]).args(arguments);
    });
    daemon.connect("1.ctl");
    daemon
}

fn config(client: &mut Client, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client
        .read_exact(RegionIndex::Config.number(), offset, &mut bytes)
        .unwrap();
    bytes
}

fn rail(control: &mut ControlClient, state: Switch) {
    control.ask(&Verb::Rail(Rail { state })).unwrap();
}

/// Both functions through their own sockets, and the power that they share.
fn is_a_card(daemon: &Daemon) {
    // The second first: the order is the client's choice.
    let mut audio = Client::connect(daemon.path("1.sock")).unwrap();
    let mut display = Client::connect(daemon.path("0.sock")).unwrap();
    assert_eq!(config(&mut display, 0, 4), [0xde, 0x10, 0xb1, 0x26]);
    assert_eq!(config(&mut audio, 0, 4), [0xde, 0x10, 0xba, 0x22]);
    for client in [&mut display, &mut audio] {
        assert_eq!(config(client, 0x0e, 1), [0x80], "Header Type");
    }
    let mut controls =
        ["0.ctl", "1.ctl"].map(|name| ControlClient::connect(daemon.path(name)).unwrap());
    rail(&mut controls[1], Switch::Off);
    for control in &mut controls {
        assert_eq!(
            control.status().unwrap().device.power_state,
            PowerState::D3cold
        );
    }
    assert_eq!(config(&mut display, 0, 4), [0xff; 4]);
    rail(&mut controls[0], Switch::On);
    for control in &mut controls {
        assert_eq!(control.status().unwrap().device.power_state, PowerState::D0);
    }
    assert_eq!(config(&mut audio, 0x2e, 2), [0xa1, 0x16]);
}

#[test]
fn a_file_with_two_functions_is_served_on_two_sockets() {
    let daemon = serve(&[
        "--profile",
        "pair.toml",
        "--socket-path",
        "%n.sock",
        "--ctl-path",
        "%n.ctl",
        "--set",
        "function.1.host.max-clients=2",
    ]);
    is_a_card(&daemon);
}

#[test]
fn functions_with_profiles_of_their_own_share_a_slot() {
    let daemon = serve(&[
        "--function",
        "slot=s,number=1,profile=part.toml,socket-path=%n.sock,ctl-path=%n.ctl,set:identity.subsystem-id=0x16a1",
        "--function",
        "slot=s,number=0,profile=gpu-display,socket-path=%n.sock,ctl-path=%n.ctl",
    ]);
    is_a_card(&daemon);
}
