//! The stream of a function's state: what is copied ahead, what is refused, and in what pieces it goes.

use client_tests::migration::{Place, state};
use client_tests::raw::RawClient;
use client_tests::raw::wire::{EINVAL, field_u32, region};
use state::{ERROR, PRE_COPY, PRE_COPY_P2P, RESUMING, RUNNING, STOP, STOP_COPY};

const SCRATCH: u64 = 0x04;

fn place() -> Place {
    Place::new("testdev", &[]).unwrap()
}

fn filled() -> Place {
    let mut place = place();
    place.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
    place.client.write(0, SCRATCH, b"abcd").unwrap();
    for page in 0..8_u64 {
        place
            .client
            .write(2, page * 0x1000 + page, &[0xa5; 0x800])
            .unwrap();
    }
    place
}

/// Returns the offsets at which the records of a stream begin, and its end.
fn records(stream: &[u8]) -> Vec<usize> {
    let mut bounds = vec![0];
    let mut at = 0;
    while at < stream.len() {
        at += 8 + field_u32(stream, at + 4) as usize;
        bounds.push(at);
    }
    assert_eq!(at, stream.len());
    bounds
}

#[test]
fn memory_is_copied_ahead_and_what_changed_is_copied_again() {
    let mut here = filled();
    here.client.go(PRE_COPY).unwrap();
    let whole = here.client.migration_size().unwrap();
    let ahead = here.client.read_stream(1 << 20).unwrap();
    assert!(ahead.len() > 8 * 0x800, "memory is in it");
    let more = here.client.read_state(100).unwrap();
    assert!(more.is_empty(), "there is no more yet");
    let left = here.client.migration_size().unwrap();
    assert_eq!(left, whole - ahead.len() as u64);
    // A page that changes, one that becomes zero, one that is new, one whose bytes move.
    here.client.write(2, 0x10, b"changed").unwrap();
    here.client.write(2, 0x1001, &[0; 0x800]).unwrap();
    here.client.write(2, 0xf000, b"new").unwrap();
    here.client.write(2, 0x2002, &[0; 0x700]).unwrap();
    here.client.write(0, SCRATCH, b"efgh").unwrap();
    here.client.go(PRE_COPY_P2P).unwrap();
    here.client.go(STOP_COPY).unwrap();
    let left = here.client.migration_size().unwrap();
    let rest = here.client.read_stream(1 << 20).unwrap();
    assert_eq!(rest.len() as u64, left);
    assert_eq!(records(&rest).len() - 1, 4 + 1, "four pages, and the state");
    assert_eq!(here.client.migration_size().unwrap(), 0);

    let mut there = place();
    there.take(&[ahead, rest].concat()).unwrap();
    assert_eq!(there.tree().unwrap(), here.tree().unwrap());
    there.client.go(RUNNING).unwrap();
    assert_eq!(there.client.read(2, 0x10, 7).unwrap(), b"changed");
    assert_eq!(there.client.read(0, SCRATCH, 4).unwrap(), b"efgh");
}

#[test]
fn saving_can_be_given_up_and_begun_again() {
    let mut here = filled();
    here.client.go(STOP_COPY).unwrap();
    let first = here.client.read_stream(1 << 20).unwrap();
    here.client.go(RUNNING).unwrap();
    here.client.go(PRE_COPY).unwrap();
    here.client.read_state(100).unwrap();
    here.client.go(RUNNING).unwrap();
    here.client.go(STOP_COPY).unwrap();
    assert_eq!(here.client.read_stream(1 << 20).unwrap(), first);
}

#[test]
fn pieces_may_be_as_small_as_a_client_takes() {
    let small = |place: &Place| {
        let mut client = RawClient::connect(&place.daemon.socket(0)).unwrap();
        let offer = r#"{"capabilities":{"max_data_xfer_size":4,"migration":{"pgsize":4096}}}"#;
        let reply = client.version(0, 1, Some(offer)).unwrap();
        let (_, _, text) = RawClient::version_reply(reply).unwrap();
        assert!(text.unwrap().contains(r#""migration":{"pgsize":4096"#));
        client
    };
    let set = ["host.max-clients=2"];
    let mut here = Place::new("testdev", &set).unwrap();
    let mut there = Place::new("testdev", &set).unwrap();
    here.client.write(2, 0x4000, b"in small pieces").unwrap();
    let mut from = small(&here);
    let mut to = small(&there);
    from.go(STOP_COPY).unwrap();
    let refused = from.read_state(5).unwrap_err().to_string();
    assert!(refused.contains("EINVAL"), "{refused}");
    let stream = from.read_stream(4).unwrap();
    to.go(RESUMING).unwrap();
    to.write_stream(&stream, 4).unwrap();
    to.go(STOP).unwrap();
    assert_eq!(here.tree().unwrap(), there.tree().unwrap());
}

#[test]
fn a_stream_that_does_not_fit_leads_to_error_and_reset_out_of_it() {
    let mut here = filled();
    here.client.go(STOP_COPY).unwrap();
    let good = here.client.read_stream(1 << 20).unwrap();
    let bounds = records(&good);
    let [.., state, end] = bounds[..] else {
        panic!("{bounds:?}");
    };
    let label = bounds[1];
    let other = |profile: &str, set: &[&str]| {
        let mut place = Place::new(profile, set).unwrap();
        place.client.go(STOP_COPY).unwrap();
        place.client.read_stream(1 << 20).unwrap()
    };
    let changed = |at: usize, byte: u8| {
        let mut stream = good.clone();
        stream[at] = byte;
        stream
    };
    let cut = |at: usize| good[..at].to_vec();
    let mut there = place();
    there.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
    there.client.write(0, SCRATCH, b"mine").unwrap();
    for (what, stream, early) in [
        ("another profile", other("nic", &[]), true),
        (
            "another shape",
            other("testdev", &["capabilities.pm.d1=true"]),
            true,
        ),
        (
            "another dialect",
            other("testdev", &["host.pm-dialect=v4"]),
            false,
        ),
        ("garbage", vec![0x5a; 4096], true),
        ("zeroes", vec![0; 16], true),
        ("no label", good[label..].to_vec(), true),
        ("two labels", [&good[..label], &good[..]].concat(), true),
        ("a label that is too long", changed(5, 0xff), true),
        ("a label that is no JSON", changed(8, b'x'), true),
        ("an unknown record", changed(label, 9), true),
        ("memory that is too long", changed(label + 6, 1), true),
        ("memory across a page", changed(label + 13, 0x0f), true),
        ("memory of no BAR", changed(label + 8, 9), true),
        ("memory outside its BAR", changed(label + 14, 0x77), true),
        ("surplus", [&good[..], &[0]].concat(), true),
        ("two states", [&good[..], &good[state..]].concat(), true),
        ("a state that is no JSON", changed(state + 8, b'x'), false),
        ("a state without its end", cut(end - 1), false),
        ("no state", cut(state), false),
        ("half a head", cut(state + 3), false),
        ("a label alone", cut(label), false),
        ("half a label", cut(label - 1), false),
    ] {
        let before = there.tree().unwrap();
        there.client.go(RESUMING).unwrap();
        let written = there.client.write_stream(&stream, 1 << 16);
        assert_eq!(written.is_err(), early, "{what}");
        if !early {
            let refused = there.client.try_go(RUNNING).unwrap();
            assert_eq!(refused.failure().expect(what), EINVAL, "{what}");
        }
        assert_eq!(there.client.migration_state().unwrap(), ERROR, "{what}");
        assert_eq!(there.tree().unwrap(), before, "{what}: it is what it was");
        let (daemon, client) = (there.daemon, there.client);
        drop(client);
        there = Place::of(daemon).unwrap();
        there.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
        there.client.write(0, SCRATCH, b"mine").unwrap();
    }
    there.client.go(RESUMING).unwrap();
    there.client.write_stream(&good[..100], 100).unwrap();
    there.client.reset().unwrap().success().unwrap();
    assert_eq!(there.client.migration_state().unwrap(), RUNNING);
    there.take(&good).unwrap();
    assert_eq!(there.tree().unwrap(), here.tree().unwrap());
}

/// A list of zeros took 18 times its text as a tree, and a stream was kept until its end.
#[test]
fn a_state_that_would_cost_much_is_refused_by_its_head() {
    const EFBIG: u32 = 27;
    let mut here = place();
    here.client.go(STOP_COPY).unwrap();
    let stream = here.client.read_stream(1 << 20).unwrap();
    let label = &stream[..records(&stream)[1]];
    let record = |length: usize| {
        let head = [2_u32, length as u32].map(u32::to_le_bytes);
        let text = b"[0"
            .iter()
            .chain(b",0".iter().cycle())
            .take(length.min(1 << 16));
        head.as_flattened()
            .iter()
            .chain(text)
            .copied()
            .collect::<Vec<_>>()
    };
    let mut there = place();
    for length in [64 << 20, 1 << 16] {
        let before = there.tree().unwrap();
        there.client.go(RESUMING).unwrap();
        there.client.write_stream(label, 1 << 16).unwrap();
        let refused = there.client.try_write_state(&record(length)).unwrap();
        assert_eq!(refused.failure().unwrap(), EFBIG, "{length:#x}");
        assert_eq!(there.client.migration_state().unwrap(), ERROR);
        assert_eq!(there.tree().unwrap(), before);
        there.client.reset().unwrap().success().unwrap();
    }
}

#[test]
fn a_stream_of_nothing_leaves_the_function_as_it_is() {
    let mut place = filled();
    let before = place.tree().unwrap();
    place.take(&[]).unwrap();
    place.client.go(RUNNING).unwrap();
    assert_eq!(place.tree().unwrap(), before);
}

#[test]
fn a_stream_is_taken_again_by_the_function_that_it_came_from() {
    let mut place = filled();
    place.client.go(STOP_COPY).unwrap();
    let stream = place.client.read_stream(1 << 20).unwrap();
    let saved = place.tree().unwrap();
    place.take(&stream).unwrap();
    assert_eq!(place.tree().unwrap(), saved);
    place.client.go(RUNNING).unwrap();
    place.tell(&["clock", "advance", "1s"]).unwrap();
    place.client.write(0, SCRATCH, b"ijkl").unwrap();
    place.take(&stream).unwrap();
    place.client.go(RUNNING).unwrap();
    assert_eq!(place.client.read(0, SCRATCH, 4).unwrap(), b"abcd");
}
