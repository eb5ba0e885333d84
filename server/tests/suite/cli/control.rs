//! `dormouse ctl` against a running server.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use super::program::{Daemon, code, dormouse, stderr, stdout};

fn serve(arguments: &[&str]) -> Daemon {
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
    let mut daemon = Daemon::serve(&[&sockets, arguments].concat());
    daemon.connect("ctl");
    daemon
}

/// The `ok` value of a verb.
pub fn ok(daemon: &Daemon, arguments: &[&str]) -> Value {
    let output = daemon.ctl(&[&["--json"], arguments].concat());
    assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
    let mut reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    reply["ok"].take()
}

#[test]
fn verbs_act_and_asking_shows_it() {
    let daemon = serve(&[]);
    for (arguments, state, time) in [
        (&["status"][..], "D0", 0),
        (&["rail", "off"], "D3cold", 0),
        (&["clock", "advance", "1.5s"], "D3cold", 1_500_000_000_u64),
        (&["rail", "on"], "D0", 1_500_000_000),
        (&["reset", "hot"], "D0", 1_500_000_000),
        (&["pme"], "D0", 1_500_000_000),
        (&["intx", "assert"], "D0", 1_500_000_000),
        (&["intx", "deassert"], "D0", 1_500_000_000),
        (&["interrupt", "1"], "D0", 1_500_000_000),
        (&["withdraw", "1"], "D0", 1_500_000_000),
        (&["slot-power-limit", "25", "0"], "D0", 1_500_000_000),
    ] {
        ok(&daemon, arguments);
        let status = ok(&daemon, &["status"]);
        assert_eq!(status["power_state"], state, "{arguments:?}");
        assert_eq!(status["nanos"], time, "{arguments:?}");
    }
    assert_eq!(ok(&daemon, &["violations"])["total"], 0);
    assert_eq!(ok(&daemon, &["inspect", "slot.rail"]), json!(true));
}

/// Status members after each verb, in the vfio-pci view with nobody connected: the unopened device
/// sleeps whenever it may.
#[test]
fn the_host_puts_the_device_to_sleep_and_wakes_it() {
    let daemon = serve(&["--set", "host.view=vfio-pci"]);
    for (arguments, expected) in [
        (&["status"][..], ["D3cold", "suspended", "auto"]),
        (&["control", "on"], ["D0", "active", "on"]),
        (&["suspend"], ["D0", "active", "on"]),
        (&["d3cold-allowed", "0"], ["D0", "active", "on"]),
        (&["control", "auto"], ["D3hot", "suspended", "auto"]),
        (&["host-access"], ["D3hot", "suspended", "auto"]),
        (&["d3cold-allowed", "1"], ["D3cold", "suspended", "auto"]),
        (
            &["suspend-delay", "manual"],
            ["D3cold", "suspended", "auto"],
        ),
        (&["host-access"], ["D0", "active", "auto"]),
        (&["suspend"], ["D3cold", "suspended", "auto"]),
        (&["suspend-delay", "20"], ["D3cold", "suspended", "auto"]),
        (&["host-access"], ["D0", "active", "auto"]),
        (&["clock", "advance", "19ms"], ["D0", "active", "auto"]),
        (
            &["clock", "advance", "1ms"],
            ["D3cold", "suspended", "auto"],
        ),
    ] {
        ok(&daemon, arguments);
        let status = ok(&daemon, &["status"]);
        let found = ["power_state", "runtime_status", "control"].map(|key| &status[key]);
        assert_eq!(
            found,
            expected.map(|text| json!(text)).each_ref(),
            "{arguments:?}"
        );
    }
}

#[test]
fn verbs_with_a_result_give_it() {
    let daemon = serve(&["--set", "host.view=vfio-pci"]);
    let seen = ok(&daemon, &["host-access"]);
    assert_eq!(
        (&seen["vendor_id"], &seen["woken"]),
        (&json!(0x1234), &json!(true))
    );
    assert_eq!(ok(&daemon, &["suspend"]), json!({ "suspended": true }));
    ok(&daemon, &["control", "on"]);
    assert_eq!(ok(&daemon, &["suspend"]), json!({ "suspended": false }));
    assert_eq!(ok(&daemon, &["host-access"])["woken"], false);
}

#[test]
fn faults_come_and_go() {
    let daemon = serve(&["--set", "host.view=vfio-pci"]);
    let wakes = || ok(&daemon, &["host-access"])["vendor_id"] == 0x1234;
    let status = |key: &str| ok(&daemon, &["status"])[key].take();
    for (fault, outcomes) in [
        (&["fail-resume", "EBUSY", "--once"][..], &[false, true][..]),
        (
            &["fail-resume", "16", "--times", "2"],
            &[false, false, true],
        ),
        (&["fail-resume", "EIO"], &[false, false, false]),
        (&["fail-resume", "EIO", "--latch"], &[false, false]),
    ] {
        ok(&daemon, fault);
        for (attempt, expected) in outcomes.iter().enumerate() {
            assert_eq!(wakes(), *expected, "{fault:?}, attempt {attempt}");
        }
        if fault.contains(&"--latch") {
            assert_eq!(status("runtime_status"), "error");
        }
        ok(&daemon, &["fail-resume", "off"]);
        assert_eq!(status("runtime_status"), "suspended", "{fault:?}");
        assert!(wakes(), "healed after {fault:?}");
    }

    ok(&daemon, &["dead-after-cold", "on"]);
    assert!(!wakes() && status("dead_after_cold") == true);
    ok(&daemon, &["dead-after-cold", "off"]);
    assert!(wakes() && status("dead_after_cold") == false);
}

/// Power state and time asleep go from one server to another by a file.
#[test]
fn a_saved_device_lives_on_in_another_server() {
    let first = serve(&["--set", "host.view=vfio-pci"]);
    ok(&first, &["d3cold-allowed", "0"]);
    ok(&first, &["clock", "advance", "3s"]);
    let file = first.path("state.json").to_string_lossy().into_owned();
    ok(&first, &["save", &file]);
    let told = |daemon: &Daemon| {
        let status = ok(daemon, &["status"]);
        [
            "power_state",
            "runtime_status",
            "runtime_suspended_time",
            "d3cold_allowed",
        ]
        .map(|key| status[key].clone())
    };
    let expected = [
        json!("D3hot"),
        json!("suspended"),
        json!(3000),
        json!(false),
    ];
    assert_eq!(told(&first), expected);

    let at_start = serve(&["--set", "host.view=vfio-pci", "--restore", &file]);
    assert_eq!(told(&at_start), expected);
    let folder = first.path("");
    let elsewhere = folder.to_str().unwrap();
    let later = serve(&["--set", "host.view=vfio-pci", "--state-dir", elsewhere]);
    ok(&later, &["restore", &file]);
    assert_eq!(told(&later), expected);
    let again = later.path("again.json").to_string_lossy().into_owned();
    ok(&later, &["save", &again]);
    assert_eq!(std::fs::read(file).unwrap(), std::fs::read(again).unwrap());
}

/// The label of a saved state in this format.
fn label(format: u32) -> Vec<u8> {
    let text = format!(r#"{{"stream":1,"format":{format}}}"#);
    let head = [0x4d52_4f44_u32, text.len() as u32].map(u32::to_le_bytes);
    [head.as_flattened(), text.as_bytes()].concat()
}

#[test]
fn files_that_cannot_be_used_are_refused_with_the_reason() {
    let mut daemon = serve(&[]);
    let file = |name: &str| daemon.path(name).to_string_lossy().into_owned();
    let (good, text, other) = (file("good"), file("text"), file("other"));
    let nowhere = file("no/such/folder");
    ok(&daemon, &["save", &good]);
    std::fs::write(&text, "hello").unwrap();
    std::fs::write(&other, label(99)).unwrap();
    let json = file("json");
    // A file of holes costs nobody anything, but would take long to read.
    let sparse = file("sparse");
    let holes = std::fs::File::create(&sparse).unwrap();
    holes.set_len(3_000_000_000).unwrap();
    std::fs::write(&json, r#"{"format": 5, "slot": {}, "devices": {}}"#).unwrap();
    let client = daemon.connect("dev");
    let gone = |daemon: &Daemon| ok(daemon, &["status"])["opens"] == 0;
    super::program::wait_for("the client", || (!gone(&daemon)).then_some(()));
    let error = stderr(&daemon.ctl(&["restore", &good]));
    assert!(
        error.contains("cannot restore while clients are connected: 1"),
        "{error}"
    );
    drop(client);
    super::program::wait_for("the client's end", || gone(&daemon).then_some(()));
    for (arguments, reason) in [
        (
            ["save", &nowhere],
            "the state cannot be written: No such file",
        ),
        (
            ["restore", &nowhere],
            "the state cannot be read: No such file",
        ),
        (
            ["restore", &text],
            "this is not a saved state: it does not begin with the label",
        ),
        (["restore", &json], "earlier version of this program"),
        (
            ["restore", &sparse],
            "3000000000 bytes or more; a saved state of this device has",
        ),
        (
            ["restore", &other],
            "format 99; this program reads format 5",
        ),
    ] {
        let output = daemon.ctl(&arguments);
        let error = stderr(&output);
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
    ok(&daemon, &["restore", &good]);
    let served = super::program::run(&["serve", "--socket-path", "x", "--restore", &other]);
    assert_eq!(code(&served), 1);
    let error = stderr(&served);
    assert_eq!(error.matches("reads format 5").count(), 1, "{error}");
}

/// A file that may not grow is an error of whoever writes it, not a signal that ends the server.
#[test]
fn a_file_that_finds_no_room_leaves_no_half_of_a_state() {
    let daemon = serve(&[]);
    let limit = |current| {
        let pid = Pid::from_raw(daemon.pid().cast_signed());
        let limit = Rlimit {
            current,
            maximum: None,
        };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    };
    let file = daemon.path("state").to_string_lossy().into_owned();
    limit(Some(100));
    let error = stderr(&daemon.ctl(&["save", &file]));
    assert!(error.contains("File too large"), "{error}");
    for left in ["state", "state.part"] {
        assert!(daemon.path(left).symlink_metadata().is_err(), "{left}");
    }
    limit(None);
    ok(&daemon, &["save", &file]);
}

#[test]
fn people_get_text() {
    let daemon = serve(&[]);
    let status = stdout(&daemon.ctl(&["status"]));
    assert!(status.contains("\npower_state: D0\n"), "{status}");
    assert!(status.contains("\n  error_replies: 0\n"), "{status}");
    assert_eq!(stdout(&daemon.ctl(&["pme"])), "");
    let help = stdout(&daemon.ctl(&["help"]));
    assert!(help.contains("rail on|off "), "{help}");
    assert!(
        help.contains("fail-resume ERRNO [--once] [--times TIMES] [--latch] "),
        "{help}"
    );
}

#[test]
fn what_the_server_refuses_is_told() {
    let daemon = serve(&[]);
    let output = daemon.ctl(&["inspect", "slot.colour"]);
    assert_eq!((code(&output), stdout(&output)), (1, String::new()));
    assert!(stderr(&output).contains("there is no 'colour' in 'slot'"));

    let output = daemon.ctl(&["--json", "inspect", "slot.colour"]);
    assert_eq!(code(&output), 1);
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["error"]["kind"], "not-found");
}

#[test]
fn lines_that_make_no_sense_are_answered_one_by_one() {
    let mut daemon = serve(&[]);
    let mut lines = BufReader::new(daemon.connect("ctl"));
    for (line, expected) in [
        ("", "malformed"),
        ("rail on", "malformed"),
        ("{\"verb\":\"wag\"}", "unknown-verb"),
        ("{\"verb\":\"rail\",\"state\":1}", "bad-arguments"),
    ] {
        writeln!(lines.get_mut(), "{line}").unwrap();
        let mut reply = String::new();
        lines.read_line(&mut reply).unwrap();
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply["error"]["kind"], expected, "{line}");
    }
    writeln!(lines.get_mut(), "{{\"id\":5,\"verb\":\"pme\"}}").unwrap();
    let mut reply = String::new();
    lines.read_line(&mut reply).unwrap();
    assert_eq!(reply, "{\"id\":5,\"ok\":{}}\n");
}

#[test]
fn a_subscriber_sees_what_happens_until_the_end() {
    let mut daemon = serve(&["--set", "host.view=vfio-pci"]);
    let mut subscriber = dormouse(daemon.path("ctl").parent().unwrap())
        .args(["ctl", "--ctl-path", "ctl", "--json", "subscribe"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(subscriber.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next(), json!({ "id": 1, "ok": {} }));

    ok(&daemon, &["control", "on"]);
    ok(&daemon, &["rail", "off"]);
    ok(&daemon, &["shutdown"]);
    assert_eq!(daemon.ended().code(), Some(0));
    let events: Vec<Value> = std::iter::once(next())
        .chain(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
        .collect();
    let off = |event: &Value| event["event"] == "rail" && event["on"] == false;
    assert!(events.iter().any(off), "{events:?}");
    let awake = |event: &Value| event["event"] == "runtime-status" && event["status"] == "active";
    assert!(events.iter().any(awake), "{events:?}");
    let cold = |event: &Value| event["event"] == "d-state" && event["to"] == "D3cold";
    assert!(events.iter().any(cold), "{events:?}");
    assert!(subscriber.wait().unwrap().success());
}
