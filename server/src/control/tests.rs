//! Lines in, lines out, against the built-in test function.

use pci_device_models::host::DeviceSet;
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use serde_json::json;

use super::*;

pub(super) struct Bench {
    devices: DeviceSet,
    clock: Clock,
    stats: ConnectionStats,
    places: Places,
    closer: Closer,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::of("testdev")
    }

    fn of(profile: &str) -> Self {
        let text = Profile::builtin(profile).unwrap();
        let profile = Profile::parse(profile, text, &[]).unwrap();
        Self {
            devices: profile.device_set(&Registry::builtin()).unwrap(),
            clock: Clock::manual(),
            stats: ConnectionStats::default(),
            places: Places::default(),
            closer: Closer::default(),
        }
    }

    pub(super) fn context(&mut self) -> ControlContext<'_> {
        ControlContext {
            slot: "slot",
            name: "dut",
            device: self.devices.first_mut(),
            now: self.clock.now(),
            clock: &mut self.clock,
            stats: &self.stats,
            state_places: &self.places,
            closer: &self.closer,
        }
    }

    fn line(&mut self, line: &[u8]) -> (Value, Option<ControlAction>) {
        let ControlReply { text, action } = execute(line, &mut self.context());
        assert_eq!(text.find('\n'), Some(text.len() - 1), "one line: {text:?}");
        (serde_json::from_str(&text).unwrap(), action)
    }

    /// The `ok` value of a request.
    fn ok(&mut self, request: &Value) -> Value {
        let (mut reply, _) = self.line(request.to_string().as_bytes());
        assert!(reply.get("error").is_none(), "{request}: {reply}");
        reply["ok"].take()
    }

    /// Kind and message of the error that a line gives.
    fn error(&mut self, line: &[u8]) -> (String, String) {
        let (reply, action) = self.line(line);
        assert_eq!(action, None);
        assert!(reply.get("ok").is_none(), "{reply}");
        let part = |key: &str| reply["error"][key].as_str().unwrap().to_owned();
        (part("kind"), part("message"))
    }
}

#[test]
fn inputs_are_those_of_the_model() {
    let mut bench = Bench::new();
    let alert = json!({ "verb": "input", "name": "alert" });
    assert_eq!(
        bench.error(alert.to_string().as_bytes()),
        (
            "not-found".to_owned(),
            "the device has no input 'alert'; its model has no inputs".to_owned()
        )
    );
    let mut bench = Bench::of("smbus");
    let (kind, message) = bench.error(br#"{"verb":"input","name":"bell"}"#);
    assert_eq!(kind, "not-found");
    assert!(message.ends_with("the inputs are alert"), "{message}");
    assert_eq!(bench.ok(&alert), json!({}));
    let status = json!({ "verb": "inspect", "path": "slot.function.config.capabilities" });
    let capabilities = bench.ok(&status).to_string();
    assert!(
        capabilities.contains(r#""pme_status":true"#),
        "{capabilities}"
    );
}

#[test]
fn the_id_goes_back_whatever_it_is() {
    let mut bench = Bench::new();
    for id in [json!(1), json!("a"), json!(null), json!({ "n": [1] })] {
        let (reply, _) = bench.line(json!({ "id": id, "verb": "pme" }).to_string().as_bytes());
        assert_eq!(reply, json!({ "id": id, "ok": {} }));
        let (reply, _) = bench.line(json!({ "id": id, "verb": "wag" }).to_string().as_bytes());
        assert_eq!(reply["id"], id);
    }
    let (reply, _) = bench.line(br#"{"verb":"pme"}"#);
    assert_eq!(reply, json!({ "id": null, "ok": {} }));
}

#[test]
fn a_reply_begins_with_its_id() {
    let reply = line_too_long();
    assert!(
        reply
            .text
            .starts_with(r#"{"id":null,"error":{"kind":"malformed","message":"#)
    );
}

#[test]
fn lines_that_make_no_sense_are_answered_with_what_is_wrong() {
    let mut bench = Bench::new();
    for (line, kind, message) in [
        (&b""[..], "malformed", "not JSON"),
        (b"status", "malformed", "not JSON"),
        (b"\xff\xfe", "malformed", "not JSON"),
        (b"{\"verb\":\"status\"} x", "malformed", "not JSON"),
        (b"[1]", "malformed", "not a JSON object"),
        (b"{}", "unknown-verb", "no \"verb\" string"),
        (b"{\"verb\":1}", "unknown-verb", "no \"verb\" string"),
        (
            b"{\"verb\":\"wag\"}",
            "unknown-verb",
            "no verb 'wag'; the verbs are status, inspect",
        ),
        (
            b"{\"verb\":\"status\",\"x\":1}",
            "bad-arguments",
            "unknown field `x`",
        ),
        (
            b"{\"verb\":\"rail\"}",
            "bad-arguments",
            "missing field `state`",
        ),
        (
            b"{\"verb\":\"rail\",\"state\":\"up\"}",
            "bad-arguments",
            "`on` or `off`",
        ),
        (
            b"{\"verb\":\"intx\",\"level\":true}",
            "bad-arguments",
            "invalid arguments",
        ),
        (
            b"{\"verb\":\"reset\",\"kind\":\"soft-d3hot\"}",
            "bad-arguments",
            "`power-on`",
        ),
        (
            b"{\"verb\":\"interrupt\",\"vector\":65536}",
            "bad-arguments",
            "65536",
        ),
        (
            b"{\"verb\":\"interrupt\",\"vector\":-1}",
            "bad-arguments",
            "-1",
        ),
        (
            b"{\"verb\":\"slot-power-limit\",\"value\":1,\"scale\":4}",
            "bad-arguments",
            "the scale is 0, 1, 2 or 3, not 4",
        ),
        (
            b"{\"verb\":\"control\",\"mode\":\"off\"}",
            "bad-arguments",
            "`on` or `auto`",
        ),
        (
            b"{\"verb\":\"d3cold-allowed\",\"allowed\":2}",
            "bad-arguments",
            "write 0 or 1, not 2",
        ),
        (
            b"{\"verb\":\"suspend-delay\",\"delay\":\"never\"}",
            "bad-arguments",
            "a number of milliseconds or \"manual\"",
        ),
        (
            b"{\"verb\":\"fail-resume\",\"errno\":\"EWOULD\"}",
            "bad-arguments",
            "'EWOULD' is not an errno",
        ),
        (
            b"{\"verb\":\"fail-resume\",\"errno\":16,\"times\":0}",
            "bad-arguments",
            "nonzero",
        ),
        (
            b"{\"verb\":\"fail-resume\",\"errno\":16,\"once\":true,\"latch\":true}",
            "bad-arguments",
            "mutually exclusive",
        ),
        (
            b"{\"verb\":\"fail-resume\",\"errno\":\"off\",\"latch\":true}",
            "bad-arguments",
            "off cannot be combined",
        ),
        (
            b"{\"verb\":\"fail-reset\",\"state\":1}",
            "bad-arguments",
            "invalid arguments",
        ),
        (
            b"{\"verb\":\"clock\",\"action\":\"advance\",\"duration\":\"soon\"}",
            "bad-arguments",
            "'soon' is not a duration",
        ),
        (
            b"{\"verb\":\"inspect\",\"path\":\"slit\"}",
            "not-found",
            "it has host, slot",
        ),
    ] {
        let (found_kind, found_message) = bench.error(line);
        let line = String::from_utf8_lossy(line);
        assert_eq!(found_kind, kind, "{line}");
        assert!(found_message.contains(message), "{line}: {found_message}");
    }
}

#[test]
fn asking_changes_nothing() {
    let mut bench = Bench::new();
    let before = bench.devices.first().inspect(bench.clock.now());
    for request in [
        json!({ "verb": "status" }),
        json!({ "verb": "inspect" }),
        json!({ "verb": "inspect", "path": "slot.function" }),
        json!({ "verb": "violations" }),
        json!({ "verb": "help" }),
        json!({ "verb": "subscribe" }),
    ] {
        let first = bench.ok(&request);
        assert_eq!(first, bench.ok(&request), "{request}");
    }
    assert!(bench.devices.first_mut().next_output().is_none());
    assert_eq!(bench.devices.first().inspect(bench.clock.now()), before);
}

#[test]
fn status_tells_of_function_connection_and_time() {
    let mut bench = Bench::new();
    bench.stats.error_replies = 3;
    bench.clock.advance(std::time::Duration::from_millis(2));
    let status = bench.ok(&json!({ "verb": "status" }));
    assert_eq!(status["name"], "dut");
    assert_eq!(status["power_state"], "D0");
    assert_eq!(status["connection"]["error_replies"], 3);
    assert_eq!(
        (&status["clock"], &status["nanos"]),
        (&json!("manual"), &json!(2_000_000))
    );
}

#[test]
fn the_rail_takes_the_function_to_d3cold_and_back() {
    let mut bench = Bench::new();
    for (state, expected) in [("off", "D3cold"), ("on", "D0")] {
        bench.ok(&json!({ "verb": "rail", "state": state }));
        assert_eq!(
            bench.ok(&json!({ "verb": "status" }))["power_state"],
            expected
        );
        assert_eq!(
            bench.ok(&json!({ "verb": "inspect", "path": "/slot/rail" })),
            json!(state == "on")
        );
    }
}

#[test]
fn every_reset_is_carried_out() {
    for kind in [
        None,
        Some("flr"),
        Some("hot"),
        Some("fundamental"),
        Some("power-on"),
    ] {
        let mut bench = Bench::new();
        let mut request = json!({ "verb": "reset" });
        if let Some(kind) = kind {
            request["kind"] = kind.into();
        }
        bench.ok(&request);
        let events = std::iter::from_fn(|| bench.devices.first_mut().next_output()).count();
        assert!(events > 0, "{kind:?} leaves a trace");
    }
}

#[test]
fn a_hot_reset_that_is_refused_says_its_errno_first() {
    let mut bench = Bench::new();
    bench.ok(&json!({ "verb": "hot-reset" }));
    let resets = json!({ "verb": "status" });
    assert_eq!(bench.ok(&resets)["counters"]["resets"], 1);
    bench.ok(&json!({ "verb": "fail-reset", "state": "on" }));
    let (kind, message) = bench.error(br#"{"verb":"hot-reset"}"#);
    assert_eq!(kind, "host");
    assert!(message.starts_with("EAGAIN: "), "{message}");
    assert_eq!(bench.ok(&resets)["counters"]["resets"], 1);
}

#[test]
fn a_device_that_somebody_holds_is_not_reset() {
    use pci_device_models::host::HostError;

    let mut bench = Bench::new();
    for (state, expected) in [("on", Err(HostError::ResetBusy)), ("off", Ok(()))] {
        bench.ok(&json!({ "verb": "fail-reset", "state": state }));
        assert_eq!(
            bench.devices.first_mut().reset(bench.clock.now()),
            expected,
            "{state}"
        );
    }
}

#[test]
fn the_clock_goes_on_by_what_is_said() {
    let mut bench = Bench::new();
    for (duration, expected) in [(json!("10ms"), 10_000_000), (json!(5), 10_000_005)] {
        let request = json!({ "verb": "clock", "action": "advance", "duration": duration });
        assert_eq!(bench.ok(&request), json!({ "nanos": expected }));
    }
    assert_eq!(bench.clock.now().as_nanos(), 10_000_005);
}

#[test]
fn what_the_server_has_to_do_comes_as_an_action() {
    let mut bench = Bench::new();
    for (line, expected) in [
        (
            &br#"{"verb":"subscribe"}"#[..],
            Some(ControlAction::Subscribe),
        ),
        (br#"{"verb":"shutdown"}"#, Some(ControlAction::Shutdown)),
        (br#"{"verb":"intx","level":"assert"}"#, None),
        (br#"{"verb":"interrupt","vector":3}"#, None),
        (br#"{"verb":"withdraw","vector":3}"#, None),
        (br#"{"verb":"slot-power-limit","value":25,"scale":0}"#, None),
    ] {
        let (reply, action) = bench.line(line);
        assert_eq!((&reply["ok"], action), (&json!({}), expected));
    }
}

#[cfg(feature = "cli")]
#[test]
fn the_command_line_and_the_wire_agree() {
    use clap::{Command, FromArgMatches, Subcommand};

    for (words, members) in [
        ("status", json!({ "verb": "status" })),
        ("inspect", json!({ "verb": "inspect" })),
        (
            "inspect a/b.c",
            json!({ "verb": "inspect", "path": "a/b.c" }),
        ),
        (
            "intx deassert",
            json!({ "verb": "intx", "level": "deassert" }),
        ),
        ("interrupt 7", json!({ "verb": "interrupt", "vector": 7 })),
        ("withdraw 0", json!({ "verb": "withdraw", "vector": 0 })),
        ("rail off", json!({ "verb": "rail", "state": "off" })),
        ("reset", json!({ "verb": "reset", "kind": "flr" })),
        (
            "reset power-on",
            json!({ "verb": "reset", "kind": "power-on" }),
        ),
        ("hot-reset", json!({ "verb": "hot-reset" })),
        (
            "slot-power-limit 250 1",
            json!({ "verb": "slot-power-limit", "value": 250, "scale": 1 }),
        ),
        (
            "clock advance 1.5ms",
            json!({ "verb": "clock", "action": "advance", "duration": 1_500_000 }),
        ),
        ("host-access", json!({ "verb": "host-access" })),
        ("control auto", json!({ "verb": "control", "mode": "auto" })),
        (
            "d3cold-allowed 0",
            json!({ "verb": "d3cold-allowed", "allowed": 0 }),
        ),
        ("suspend", json!({ "verb": "suspend" })),
        (
            "suspend-delay 20",
            json!({ "verb": "suspend-delay", "delay": 20 }),
        ),
        (
            "suspend-delay manual",
            json!({ "verb": "suspend-delay", "delay": "manual" }),
        ),
        (
            "fail-resume EBUSY",
            json!({ "verb": "fail-resume", "errno": 16 }),
        ),
        (
            "fail-resume 5 --times 3",
            json!({ "verb": "fail-resume", "errno": 5, "times": 3 }),
        ),
        (
            "fail-resume EIO --latch",
            json!({ "verb": "fail-resume", "errno": 5, "latch": true }),
        ),
        (
            "fail-resume --once EIO",
            json!({ "verb": "fail-resume", "errno": 5, "once": true }),
        ),
        (
            "fail-resume off",
            json!({ "verb": "fail-resume", "errno": "off" }),
        ),
        (
            "fail-reset on",
            json!({ "verb": "fail-reset", "state": "on" }),
        ),
        (
            "dead-after-cold off",
            json!({ "verb": "dead-after-cold", "state": "off" }),
        ),
        ("help", json!({ "verb": "help" })),
    ] {
        let command = Verb::augment_subcommands(Command::new("ctl").disable_help_subcommand(true));
        let line = ["ctl"].into_iter().chain(words.split(' '));
        let verb = Verb::from_arg_matches(&command.get_matches_from(line)).unwrap();
        let request = serde_json::to_value(&verb).unwrap();
        assert_eq!(request, members, "{words}");
        Bench::new().line(request.to_string().as_bytes());
    }
}

#[test]
fn help_lists_what_is_understood() {
    let help = Bench::new().ok(&json!({ "verb": "help" }));
    let verbs = help.as_array().unwrap();
    assert!(
        verbs
            .iter()
            .all(|verb| !verb["about"].as_str().unwrap().is_empty())
    );
    let rail = verbs.iter().find(|verb| verb["verb"] == "rail").unwrap();
    assert_eq!(
        rail["arguments"][0],
        json!({ "name": "state", "required": true, "values": ["on", "off"],
                "about": "Main power on or off" })
    );
    for verb in verbs {
        let (reply, _) = Bench::new().line(json!({ "verb": verb["verb"] }).to_string().as_bytes());
        assert_ne!(reply["error"]["kind"], "unknown-verb", "{verb}");
    }
}

#[test]
fn what_has_no_end_is_no_saved_state() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for file in [fifo.as_path(), std::path::Path::new("/dev/zero")] {
        let line = json!({ "verb": "restore", "file": file }).to_string();
        let (kind, message) = Bench::new().error(line.as_bytes());
        assert_eq!(kind, "state-file");
        assert!(message.contains("it is not a regular file"), "{message}");
    }
}
