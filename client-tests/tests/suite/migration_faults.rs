//! Faults cross in the stream of a migration: their counts, their generator, and the effects in progress.

use client_tests::migration::{Place, state};
use client_tests::raw::wire::region;
use serde_json::Value;

const SCRATCH: u64 = 4;
const PMCSR: u64 = 0x44;

/// Faults, each with an effect that is in progress after [`begin`], or with a count.
const FAULTS: [(&str, &str); 11] = [
    ("reset flr first 2", "not-ready 300ms rrs"),
    ("reset flr nth 2", "reset-ignored"),
    ("after 5ms", "not-ready until-power-off"),
    ("after 5ms", "gone 200ms"),
    ("after 5ms", "bar-off 0 120ms"),
    ("every 60ms from 40ms", "not-ready 10ms"),
    ("config-read 0x2-0x3 chance 1/3 seed 12", "not-ready 1ms"),
    ("bar-read 0 0x4-0x7 nth 7", "bar-off 0 until-power-off"),
    ("bar-write 0 0x4-0x7 nth 4", "bar-off 0 20ms"),
    ("d-state d3hot d0 first 5", "stuck"),
    ("config-write 0x4-0x5 nth 6", "bits-do-not-stick 0x4 0x2"),
];

fn testdev() -> Place {
    Place::new("testdev", &[]).unwrap()
}

/// Sets a fault, and does for a while what may make it strike.
fn begin(place: &mut Place, (when, what): (&str, &str)) -> Vec<String> {
    let (when, what) = (format!("--when={when}"), format!("--what={what}"));
    place.tell(&["fault", "add", &when, &what]).unwrap();
    rounds(place, 2)
}

/// Returns the answers of a few rounds of accesses, with a reset and a sleep in each.
fn rounds(place: &mut Place, number: u32) -> Vec<String> {
    let mut heard = Vec::new();
    for round in 0..number {
        place.client.write(region::CONFIG, 4, &[6, 0]).unwrap();
        place
            .client
            .write(0, SCRATCH, &round.to_le_bytes())
            .unwrap();
        place.client.write(region::CONFIG, PMCSR, &[3]).unwrap();
        place.client.write(region::CONFIG, PMCSR, &[0]).unwrap();
        for _ in 0..3 {
            for (region, offset) in [(region::CONFIG, 0), (region::CONFIG, PMCSR), (0, SCRATCH)] {
                let found = place.client.read(region, offset, 4).unwrap();
                heard.push(format!("{region} {offset:#x}: {found:02x?}"));
            }
            place.tell(&["clock", "advance", "11ms"]).unwrap();
        }
        place.tell(&["reset", "flr"]).unwrap();
        heard.push(counts(place).to_string());
    }
    heard
}

/// Returns the faults with their counts, without their times.
fn counts(place: &mut Place) -> Value {
    let mut faults = place.tell(&["fault", "list"]).unwrap()["faults"].take();
    for fault in faults.as_array_mut().unwrap() {
        fault["last_nanos"].take();
    }
    faults
}

#[test]
fn a_fault_goes_on_where_the_function_was_moved_to() {
    for fault in FAULTS {
        let (mut here, mut stays) = (testdev(), testdev());
        assert_eq!(begin(&mut here, fault), begin(&mut stays, fault));
        let mut there = testdev();
        // The clock has another origin there.
        there.tell(&["clock", "advance", "5s"]).unwrap();
        here.move_to(&mut there).unwrap();
        assert_eq!(counts(&mut there), counts(&mut stays), "{fault:?}");
        there.client.go(state::RUNNING).unwrap();
        let stayed = rounds(&mut stays, 12);
        assert_eq!(rounds(&mut there, 12), stayed, "{fault:?}");
        let struck = counts(&mut there)[0]["struck"].as_u64().unwrap();
        assert!(struck > 0, "{fault:?} does not strike");
    }
}

#[test]
fn faults_of_the_host_cross_as_well() {
    let (mut here, mut there) = (testdev(), testdev());
    let fault = [
        "fault",
        "add",
        "--when=device-reset first 3",
        "--what=fail EAGAIN",
    ];
    here.tell(&fault).unwrap();
    here.client.reset().unwrap().failure().unwrap();
    here.move_to(&mut there).unwrap();
    there.client.go(state::RUNNING).unwrap();
    for expected in [Some(11), Some(11), None] {
        assert_eq!(there.client.reset().unwrap().errno(), expected);
    }
    let counts = counts(&mut there);
    assert_eq!(
        (&counts[0]["occurred"], &counts[0]["struck"]),
        (&4.into(), &3.into())
    );
}
