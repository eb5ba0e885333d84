//! Faults: the option `--fault` and the verb `fault`, from outside.

use dormouse::Client;
use dormouse::protocol::vfio::RegionIndex;
use serde_json::json;

use super::control::ok;
use super::program::{Daemon, code, run, stderr, stdout};

/// Vendor and device id of the function.
const IDS: u32 = 0xd3c0_1234;

fn serve(arguments: &[&str]) -> Daemon {
    let sockets = ["--socket-path", "dev", "--ctl-path", "ctl"];
    let mut daemon = Daemon::serve(&[&sockets, &["--clock", "manual"][..], arguments].concat());
    daemon.connect("ctl");
    daemon
}

fn ids(client: &mut Client) -> u32 {
    client.read_u32(RegionIndex::Config.number(), 0).unwrap()
}

/// Returns names and counts of the faults.
fn faults(daemon: &Daemon) -> Vec<(String, u64, u64)> {
    let faults = ok(daemon, &["fault", "list"])["faults"].take();
    let faults = faults.as_array().unwrap().iter();
    let fault = faults.map(|fault| {
        let name = fault["name"].as_str().unwrap().to_owned();
        let [occurred, struck] = ["occurred", "struck"].map(|key| fault[key].as_u64().unwrap());
        (name, occurred, struck)
    });
    fault.collect()
}

#[test]
fn the_verb_adds_lists_removes_and_clears() {
    let daemon = serve(&[]);
    let mut client = Client::connect(daemon.path("dev")).unwrap();
    assert_eq!(faults(&daemon), []);
    let flr = ["--when", "reset flr first 2", "--what", "not-ready 300ms"];
    let added = ok(&daemon, &[&["fault", "add"], &flr[..]].concat());
    assert_eq!(added, json!({ "name": "not-ready" }));
    let hot = ["--when", "reset hot", "--what", "not-ready for-ever"];
    let added = ok(&daemon, &[&["fault", "add"], &hot[..]].concat());
    assert_eq!(added, json!({ "name": "not-ready-2" }));
    let cold = ["--name", "cold", "--when", "power-on", "--what", "gone 1s"];
    let added = ok(&daemon, &[&["fault", "add"], &cold[..]].concat());
    assert_eq!(added, json!({ "name": "cold" }));

    ok(&daemon, &["clock", "advance", "5ms"]);
    for (struck, occurred, late) in [(1, 1, true), (2, 2, true), (2, 3, false)] {
        ok(&daemon, &["reset", "flr"]);
        assert_eq!(
            faults(&daemon)[0],
            ("not-ready".to_owned(), occurred, struck)
        );
        assert_eq!(ids(&mut client) == IDS, !late);
        ok(&daemon, &["clock", "advance", "300ms"]);
        assert_eq!(ids(&mut client), IDS);
    }
    let listed = ok(&daemon, &["fault", "list"])["faults"][0].take();
    assert_eq!(
        listed,
        json!({
            "name": "not-ready", "when": "reset flr first 2", "what": "not-ready 300ms",
            "occurred": 3, "struck": 2, "last_nanos": 305_000_000,
        })
    );

    ok(&daemon, &["reset", "hot"]);
    assert_eq!(ids(&mut client), u32::MAX);
    ok(&daemon, &["fault", "remove", "--name", "not-ready-2"]);
    assert_eq!(ids(&mut client), IDS, "the effect ended with its fault");
    ok(&daemon, &["rail", "off"]);
    ok(&daemon, &["rail", "on"]);
    assert_eq!(ids(&mut client), u32::MAX);
    ok(&daemon, &["fault", "clear"]);
    assert_eq!(ids(&mut client), IDS);
    assert_eq!(faults(&daemon), []);
}

#[test]
fn mistakes_of_the_verb_are_answered_with_the_remedy() {
    let daemon = serve(&["--fault", "name=late,when=reset flr,what=not-ready 1s"]);
    for (arguments, error) in [
        (
            &["add", "--when", "noon", "--what", "stuck"][..],
            "choose one of now",
        ),
        (&["add", "--when", "reset"], "add needs when and what"),
        (
            &["add", "--when", "dma", "--what", "stuck"],
            "when has to be d-state",
        ),
        (
            &[
                "add",
                "--name",
                "late",
                "--when",
                "dma",
                "--what",
                "dma-error",
            ],
            "there is a fault \"late\" already",
        ),
        (
            &["add", "--when", "now", "--what", "bar-off 5 1s"],
            "there is no BAR 5",
        ),
        (&["remove"], "remove needs a name"),
        (&["remove", "--name", "early"], "the faults are late"),
        (&["list", "--name", "late"], "list and clear"),
    ] {
        let output = daemon.ctl(&[&["fault"], arguments].concat());
        assert_eq!(code(&output), 1, "{arguments:?}: {}", stdout(&output));
        let told = stderr(&output);
        assert!(told.contains(error), "{arguments:?}: {told}");
    }
    assert_eq!(faults(&daemon), [("late".to_owned(), 0, 0)]);
}

#[test]
fn people_read_the_list() {
    let daemon = serve(&["--fault", "when=reset flr nth 2,what=not-ready 1s rrs"]);
    let listed = stdout(&daemon.ctl(&["fault", "list"]));
    for line in [
        "name: not-ready",
        "when: reset flr nth 2",
        "what: not-ready 1s rrs",
        "struck: 0",
    ] {
        assert!(listed.contains(line), "{line}: {listed}");
    }
}

#[test]
fn faults_of_the_command_line_strike_as_those_of_the_verb() {
    let daemon = serve(&[
        "--fault",
        "when=after 20ms,what=not-ready 10ms rrs",
        "--fault",
        "name=never,when=bar-read 0 0x4-0x7 nth 2,what=bar-off 0 for-ever",
    ]);
    let mut client = Client::connect(daemon.path("dev")).unwrap();
    client
        .write_u16(RegionIndex::Config.number(), 4, 2)
        .unwrap();
    assert_eq!(client.read_u32(0, 4).unwrap(), 0);
    assert_eq!(client.read_u32(0, 4).unwrap(), u32::MAX);
    for (span, expected) in [("19ms", IDS), ("1ms", 0xffff_0001), ("10ms", IDS)] {
        ok(&daemon, &["clock", "advance", span]);
        assert_eq!(ids(&mut client), expected, "{span}");
    }
    assert_eq!(
        faults(&daemon),
        [("not-ready".to_owned(), 1, 1), ("never".to_owned(), 2, 1)]
    );
}

#[test]
fn a_function_of_several_has_faults_of_its_own() {
    let mut daemon = Daemon::serve(&[
        "--clock",
        "manual",
        "--function",
        "profile=testdev,name=a,socket-path=a.sock,ctl-path=ctl,fault=when=now,,what=not-ready 1s",
        "--function",
        "profile=testdev,name=b,socket-path=b.sock,ctl-path=b.ctl",
    ]);
    daemon.connect("b.ctl");
    let read = |name| ids(&mut Client::connect(daemon.path(name)).unwrap());
    assert_eq!((read("a.sock"), read("b.sock")), (u32::MAX, IDS));
    assert_eq!(faults(&daemon), [("not-ready".to_owned(), 1, 1)]);
}

#[test]
fn wrong_faults_end_the_program_with_the_remedy() {
    for (fault, error) in [
        ("when=reset", "write when=OCCASION,what=FAILURE"),
        ("when=reset,what=late", "choose one of"),
        ("when=reset flr,what=stuck", "when has to be d-state"),
        ("when=now,what=bar-off 5 1s", "testdev: there is no BAR 5"),
        ("when=now,what=input x", "testdev: the device has no input"),
    ] {
        let output = run(&["serve", "--socket-path", "dev", "--fault", fault]);
        assert_eq!(code(&output), 2, "{fault}: {}", stderr(&output));
        let told = stderr(&output);
        assert!(told.contains(error), "{fault}: {told}");
    }
}
