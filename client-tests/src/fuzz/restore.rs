//! Saved states that were changed, or parts of other states.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use pci_device_models::host::{DeviceMut, DeviceSet};
use pci_device_models::time::Time;
use serde_json::{Value, json};
use vfio_user_protocol::vfio::RegionIndex;

use super::input::{Input, is_thorough};
use super::subject::{Seen, Subject, differ, seen};

const CONFIG: u32 = RegionIndex::Config.number();

/// The time at which devices are restored.
const NOW: Time = Time::from_nanos(5_000_000_000);

/// Changes a saved state as the input describes, and restores it.
///
/// # Panics
/// A rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let number = Subject::number(&mut input);
    let mut pool = POOL.take();
    let subject = pool.entry(number).or_insert_with(|| Prepared::new(number));
    restore(subject, number, &mut input, is_thorough(data));
    POOL.set(pool);
}

thread_local! {
    /// The prepared states of the subjects that were chosen already.
    static POOL: Cell<BTreeMap<usize, Prepared>> = Cell::default();
}

/// Inputs that bring devices into different states, one after the other.
const LIVES: [&[u8]; 4] = [
    &[],
    &[5, 0, 2, 4, 0, 7, 4, 0, 0, 3, 0, 4, 0, 1, 2, 3, 4, 7],
    &[3, 0, 1, 4],
    &[4, 0, 0, 5, 0, 6],
];

/// An unused device, and states of other devices of its kind.
struct Prepared {
    devices: DeviceSet,
    before: Value,
    seen_before: Seen,
    states: Vec<Value>,
}

impl Prepared {
    fn new(number: usize) -> Self {
        let devices = fresh(number);
        let states = LIVES.map(|life| {
            let mut lived = Subject::numbered(number, Subject::devices);
            live(&mut lived.first_mut(), &mut Input::new(life));
            lived.save(NOW)
        });
        Self {
            before: devices.save(NOW),
            seen_before: seen(devices.first(), NOW),
            states: states.to_vec(),
            devices,
        }
    }
}

fn fresh(number: usize) -> DeviceSet {
    let mut devices = Subject::numbered(number, Subject::devices);
    devices.advance(NOW);
    devices
}

fn restore(subject: &mut Prepared, number: usize, input: &mut Input<'_>, thorough: bool) {
    let Prepared {
        devices,
        before,
        states,
        seen_before,
    } = subject;
    if thorough {
        let trace = differ("", &devices.save(NOW), before);
        assert_eq!(trace, None, "an input before this one has left a trace");
    }
    let which = input.below(states.len() + 1);
    let mut saved = states.get(which).cloned().unwrap_or_else(|| {
        let mut lived = Subject::numbered(number, Subject::devices);
        live(&mut lived.first_mut(), input);
        lived.save(NOW)
    });
    for _ in 0..input.below(4) {
        change(&mut saved, before, input);
    }
    if input.below(8) == 1 {
        // As it comes from a file.
        let text = saved.to_string();
        saved = serde_json::from_str(&text).expect("it is JSON");
    }
    if devices.restore(NOW, &saved).is_err() {
        const TRACE: &str = "a refused state has left a trace";
        assert_eq!(seen(devices.first(), NOW), *seen_before, "{TRACE}");
        if thorough {
            assert_eq!(differ("", &devices.save(NOW), before), None, "{TRACE}");
        }
        return;
    }
    if thorough {
        let changed = differ("", &devices.save(NOW), &saved);
        assert_eq!(changed, None, "saved again it is another");
    }
    go_on(&mut devices.first_mut());
    *devices = fresh(number);
}

/// Brings the device into a state that the input chooses.
fn live(device: &mut DeviceMut<'_>, input: &mut Input<'_>) {
    let mut now = Time::ZERO;
    for _ in 0..input.below(8) {
        match input.below(9) {
            0 => drop(device.has_room() && device.client_came(now).is_ok()),
            1 if device.connected() > 0 => device.client_gone(now),
            2 => {
                let offset = u64::from(input.u16() % 0x200);
                let data = input.u32().to_le_bytes();
                device.region_write(now, CONFIG, offset, &data).ok();
            }
            3 => {
                let bar = u32::from(input.u8() % 6);
                let offset = u64::from(input.u16());
                let data = input.u32().to_le_bytes();
                device.region_write(now, bar, offset, &data).ok();
            }
            4 => drop(device.suspend_now(now)),
            5 => device.set_rail(now, input.flag()),
            6 => device.pme(now),
            7 => drop(device.reset(now)),
            _ => {
                now = now.after(Duration::from_millis(input.u8().into()));
                device.advance(now);
            }
        }
        device.take_wait(now);
    }
    device.advance(NOW);
}

/// Changes one place of the tree.
fn change(tree: &mut Value, other: &Value, input: &mut Input<'_>) {
    let path = path(tree, input);
    let beside = other.pointer(&path);
    let Some(place) = tree.pointer_mut(&path) else {
        return;
    };
    match input.below(8) {
        0 => *place = number(place, input),
        1 => *place = json!(input.pick(&[0, 1, 2, 255, 256, u64::from(u32::MAX), u64::MAX])),
        2 => *place = input.pick(&[None, Some(true), Some(false)]).into(),
        3 => *place = input.pick(&WORDS).into(),
        4 => text(place, input),
        5 => members(place, input),
        6 => *place = beside.cloned().unwrap_or_default(),
        _ => *place = json!({}),
    }
}

/// Words that have a meaning somewhere in the tree.
const WORDS: [&str; 14] = [
    "",
    "0",
    "ff",
    "d0",
    "d3hot",
    "D0",
    "D1",
    "D2",
    "D3hot",
    "D3cold",
    "active",
    "suspended",
    "error",
    "manual",
];

/// Returns a place in the tree, at a depth that the input chooses.
fn path(mut tree: &Value, input: &mut Input<'_>) -> String {
    let mut path = String::new();
    for _ in 0..input.below(10) {
        let choice = usize::from(input.u8());
        let step = match tree {
            Value::Object(members) if !members.is_empty() => {
                members.keys().nth(choice % members.len()).cloned()
            }
            Value::Array(items) if !items.is_empty() => Some((choice % items.len()).to_string()),
            _ => None,
        };
        let Some(step) = step else {
            break;
        };
        path = format!("{path}/{step}");
        tree = tree.pointer(&format!("/{step}")).unwrap_or(&Value::Null);
    }
    path
}

/// Adds or removes one part.
fn members(place: &mut Value, input: &mut Input<'_>) {
    match place {
        Value::Object(members) => {
            let nth = input.u8().into();
            let key = members.keys().nth(nth).cloned().unwrap_or_default();
            if members.remove(&key).is_none() {
                members.insert("surplus".to_owned(), json!(1));
            }
        }
        Value::Array(items) if input.flag() => drop(items.pop()),
        Value::Array(items) => {
            let again = items.first().cloned().unwrap_or_default();
            items.push(again);
        }
        _ => *place = json!([]),
    }
}

/// Returns another number, with single bits changed.
fn number(place: &Value, input: &mut Input<'_>) -> Value {
    match place {
        Value::Bool(was) => (!was).into(),
        Value::Number(was) => {
            let was = was.as_u64().unwrap_or_default();
            (was ^ 1 << (input.u8() % 64)).into()
        }
        _ => input.u64().into(),
    }
}

/// Returns another text of the same kind.
fn text(place: &mut Value, input: &mut Input<'_>) {
    if let Value::String(text) = place {
        let at = usize::from(input.u16())
            .checked_rem(text.len())
            .unwrap_or(0);
        let with = input.pick(&["0", "f", "ff", "", "x", "é", "00000000"]);
        if text.is_char_boundary(at) {
            text.truncate(at);
        }
        text.push_str(with);
    }
}

/// Checks that a restored device serves.
fn go_on(device: &mut DeviceMut<'_>) {
    let mut now = NOW;
    while device.has_room() && device.client_came(now).is_ok() {}
    let mut header = [0; 64];
    device.region_read(now, CONFIG, 0, &mut header).ok();
    device.region_write(now, CONFIG, 4, &[6, 0]).ok();
    device.region_read(now, 0, 0, &mut header[..4]).ok();
    for _ in 0..4 {
        now = now.after(Duration::from_millis(700));
        device.advance(now);
        while device.next_output().is_some() {}
    }
    device.reset(now).ok();
    while device.connected() > 0 {
        device.client_gone(now);
    }
    assert_eq!(device.status(now).opens, 0);
}
