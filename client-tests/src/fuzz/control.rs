//! Lines of the control socket, one after the other to the same function, which may be one of a card.

use dormouse::clock::Clock;
use dormouse::closer::Closer;
use dormouse::control::{self, ControlContext};
use dormouse::state_file::Places;
use dormouse::stats::ConnectionStats;
use pci_device_models::host::PowerControl;
use serde_json::Value;

use super::input::Input;
use super::subject::Subject;

/// The kinds of errors.
const KINDS: [&str; 7] = [
    "host",
    "malformed",
    "unknown-verb",
    "bad-arguments",
    "not-found",
    "in-use",
    "state-file",
];

/// Sends the lines of the input.
///
/// # Panics
/// A rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut devices = Subject::choose(&mut input, Subject::devices);
    let numbers: Vec<_> = devices.numbers().collect();
    let mut device = match numbers.last() {
        // The last one of a card: its neighbours are before it.
        Some(number) => devices.device_mut(*number).expect("it has a driver"),
        None => return,
    };
    let mut clock = Clock::manual();
    let held = device.status(clock.now()).runtime_usage;
    for line in input.rest().split(|byte| *byte == b'\n') {
        let parsed: Option<Value> = serde_json::from_slice(line).ok();
        let before = clock.now();
        let mut cx = ControlContext {
            slot: "fuzzed",
            name: "dut",
            device: device.reborrow(),
            now: before,
            clock: &mut clock,
            stats: &ConnectionStats::default(),
            // No files of this machine.
            state_places: &Places::In(Vec::new()),
            closer: &Closer::default(),
        };
        let reply = control::execute(line, &mut cx);
        check(&reply.text, parsed.as_ref());
        let now = clock.now();
        assert!(now >= before, "time goes back");
        device.advance(now);
        while device.next_output().is_some() {}
        device.idle(now);
    }
    let status = device.status(clock.now());
    let kept = u32::from(status.control == PowerControl::On);
    assert_eq!(status.runtime_usage, held + kept, "references");
}

/// Checks one line: it has the id of the request, and either a result or an error.
fn check(text: &str, request: Option<&Value>) {
    let line = text.strip_suffix('\n').expect("a line has an end");
    assert!(!line.contains('\n'), "more than one line: {text}");
    let reply: Value = serde_json::from_str(line).expect("a reply is JSON");
    let reply = reply.as_object().expect("a reply is an object");
    let id = request
        .and_then(|request| request.get("id"))
        .unwrap_or(&Value::Null);
    assert_eq!(&reply["id"], id);
    assert_eq!(reply.len(), 2, "{line}");
    let Some(error) = reply.get("error") else {
        assert!(reply.contains_key("ok"), "{line}");
        assert!(request.is_some_and(Value::is_object), "{line}");
        return;
    };
    let kind = error["kind"].as_str().expect("a kind");
    assert!(KINDS.contains(&kind), "{kind}");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
    );
}
