//! A server that takes the place of another one: the device goes on where it was.

use std::io::Read;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::control::ok;
use super::program::{Daemon, greet, request, wait_for};

const REGION_READ: u16 = 9;
const REGION_WRITE: u16 = 10;
const DEVICE_FEATURE: u16 = 16;
/// SET of LOW_POWER_ENTRY.
const ENTER_LOW_POWER: u32 = 1 << 17 | 3;
const RAM: u32 = 2;
const CONFIG: u32 = 7;

fn access(region: u32, offset: u64, data: &[u8]) -> Vec<u8> {
    let mut payload = offset.to_ne_bytes().to_vec();
    payload.extend(region.to_ne_bytes());
    payload.extend((data.len() as u32).to_ne_bytes());
    payload.extend(data);
    payload
}

fn write(client: &UnixStream, region: u32, offset: u64, data: &[u8]) {
    request(client, REGION_WRITE, &access(region, offset, data)).unwrap();
}

fn read<const N: usize>(client: &UnixStream, region: u32, offset: u64) -> [u8; N] {
    let reply = request(client, REGION_READ, &access(region, offset, &[0; N])[..16]).unwrap();
    reply[16..].try_into().unwrap()
}

fn told(daemon: &Daemon) -> [Value; 4] {
    let status = ok(daemon, &["status"]);
    ["power_state", "engaged", "runtime_status", "opens"].map(|key| status[key].clone())
}

#[test]
fn a_new_server_goes_on_where_the_old_one_was() {
    let set = [
        "platform.deepest-state=d3hot",
        "capabilities.pm.no-soft-reset=true",
    ];
    let options: Vec<&str> = set.iter().flat_map(|set| ["--set", *set]).collect();
    let sockets = [
        "--socket-path",
        "dev",
        "--ctl-path",
        "ctl",
        "--clock",
        "manual",
        "--state-dir",
        ".",
    ];
    let mut old = Daemon::serve(&[&sockets[..], &options].concat());
    let client = old.connect("dev");
    greet(&client);
    write(&client, CONFIG, 4, &[6, 0]);
    write(&client, RAM, 0x1234, b"over here");
    let enter = [8_u32.to_ne_bytes(), ENTER_LOW_POWER.to_ne_bytes()].concat();
    request(&client, DEVICE_FEATURE, &enter).unwrap();
    let asleep = told(&old);
    assert_eq!(
        asleep,
        [
            "D3hot".into(),
            true.into(),
            "suspended".into(),
            Value::from(1)
        ]
    );

    ok(&old, &["save", "state.json", "--shutdown"]);
    assert_eq!(old.ended().code(), Some(0));
    assert_eq!((&client).read(&mut [0]).unwrap(), 0, "nobody is there");

    let path = |name| old.path(name).to_string_lossy().into_owned();
    let (socket, state) = (path("dev"), path("state.json"));
    let given = [
        "--socket-path",
        &socket,
        "--ctl-path",
        "ctl",
        "--restore",
        &state,
    ];
    let spec = format!("profile=testdev,socket-path={socket},ctl-path=ctl,restore={state}");
    let spec = set
        .iter()
        .fold(spec, |spec, set| format!("{spec},set:{set}"));
    for arguments in [[&given[..], &options].concat(), vec!["--function", &spec]] {
        let mut new = Daemon::serve(&[&arguments[..], &["--clock", "manual"]].concat());
        new.connect("ctl");
        let client = wait_for("the socket", || UnixStream::connect(&socket).ok());
        greet(&client);
        assert_eq!(told(&new), asleep);
        assert_eq!(&read(&client, RAM, 0x1234), b"over here");
        assert_eq!(read(&client, CONFIG, 4), [6, 0]);
        assert_eq!(told(&new), asleep, "it sleeps again after each access");
        ok(&new, &["shutdown"]);
        assert_eq!(new.ended().code(), Some(0));
    }
}
