//! Cards: several functions of one slot in one daemon.

use std::fs;

use dormouse::control::platform::Rail;
use dormouse::control::state::{Restore, Save};
use dormouse::control::{ControlClient, Switch, Verb};
use dormouse::models::power::PowerState;
use dormouse::protocol::messages::device_feature::mig_device_state::DeviceState;
use dormouse::protocol::vfio::RegionIndex;
use dormouse::{Client, ClientError};
use tempfile::TempDir;

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
    serve_in(tempfile::tempdir().unwrap(), arguments)
}

fn serve_in(folder: TempDir, arguments: &[&str]) -> Daemon {
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

const SOCKETS: [&str; 4] = ["--socket-path", "%n.sock", "--ctl-path", "%n.ctl"];

/// Reads the Interrupt Line of both functions, which software writes and only a reset takes back.
fn lines(daemon: &Daemon) -> [u8; 2] {
    ["0.sock", "1.sock"].map(|name| {
        let mut client = Client::connect(daemon.path(name)).unwrap();
        config(&mut client, 0x3c, 1)[0]
    })
}

#[test]
fn a_card_is_saved_and_restored_whole() {
    let folder = tempfile::tempdir().unwrap();
    let states = folder.path().to_str().unwrap();
    let retain = [
        "--profile",
        "pair.toml",
        "--state-dir",
        states,
        "--set",
        "function.0.host.on-disconnect=retain",
        "--set",
        "function.1.host.on-disconnect=retain",
    ];
    let card = [&SOCKETS[..], &retain].concat();
    let daemon = serve(&card);
    for (name, line) in [("0.sock", 10), ("1.sock", 11)] {
        let mut client = Client::connect(daemon.path(name)).unwrap();
        client
            .write_u8(RegionIndex::Config.number(), 0x3c, line)
            .unwrap();
    }
    let mut control = ControlClient::connect(daemon.path("1.ctl")).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let save = |name| {
        Verb::Save(Save {
            file: file(name),
            shutdown: false,
        })
    };
    let restore = |name| Verb::Restore(Restore { file: file(name) });
    control.ask(&save("card")).unwrap();
    assert_eq!(lines(&daemon), [10, 11]);

    // Another daemon goes on where this one was.
    let restored = serve(&[&card[..], &["--restore", &file("card")]].concat());
    assert_eq!(lines(&restored), [10, 11]);

    // So does one that has other values.
    let other = serve(&card);
    assert_eq!(lines(&other), [0xff, 0]);
    let mut control = ControlClient::connect(other.path("0.ctl")).unwrap();
    control.ask(&restore("card")).unwrap();
    assert_eq!(lines(&other), [10, 11]);

    // One function is no card, and a card is not one of its functions.
    let alone = serve(&[
        "--function",
        "profile=gpu-display,socket-path=1.sock,ctl-path=1.ctl,set:identity.multi-function=true",
        "--state-dir",
        states,
    ]);
    let mut single = ControlClient::connect(alone.path("1.ctl")).unwrap();
    single.ask(&save("one")).unwrap();
    for (control, name, expected) in [
        (
            &mut single,
            "card",
            "follow the state of the last function of this slot",
        ),
        (
            &mut control,
            "one",
            "the state has the functions 0, here are 0, 1",
        ),
    ] {
        let refused = control.ask(&restore(name));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(lines(&other), [10, 11], "nothing changed");
}

/// Reads a migration stream to its end.
fn stream(client: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let piece = client.read_migration_data(1 << 20).unwrap();
        if piece.is_empty() {
            return bytes;
        }
        bytes.extend(piece);
    }
}

#[test]
fn a_card_migrates_whole() {
    use DeviceState::{Resuming, Running, RunningP2p, Stop, StopCopy};

    let card = [&SOCKETS[..], &["--profile", "pair.toml"]].concat();
    let (source, target) = (serve(&card), serve(&card));
    let clients = |daemon: &Daemon| {
        ["0.sock", "1.sock"].map(|name| Client::connect(daemon.path(name)).unwrap())
    };
    let mut from = clients(&source);
    for (client, line) in from.iter_mut().zip([10, 11]) {
        client
            .write_u8(RegionIndex::Config.number(), 0x3c, line)
            .unwrap();
    }
    // One function of a card does not migrate while the other runs.
    let refused = from[0].set_device_state(StopCopy).unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused { errno, .. } if errno.to_string() == "EBUSY"),
        "{refused}"
    );
    from[0].set_device_state(Running).unwrap();

    for state in [RunningP2p, Stop, StopCopy] {
        for client in &mut from {
            client.set_device_state(state).unwrap();
        }
    }
    let streams = from.each_mut().map(stream);
    let mut to = clients(&target);
    for (client, bytes) in to.iter_mut().zip(&streams) {
        client.set_device_state(Resuming).unwrap();
        client.write_migration_data(bytes).unwrap();
    }
    for state in [RunningP2p, Running] {
        for client in &mut to {
            client.set_device_state(state).unwrap();
        }
    }
    for (client, line) in to.iter_mut().zip([10, 11]) {
        assert_eq!(config(client, 0x3c, 1), [line]);
    }
}
