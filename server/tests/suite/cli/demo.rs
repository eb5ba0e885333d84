//! `dormouse demo`.

use super::program::{code, dormouse, run, stderr, stdout};

const WALK: &str = "   time  who     event                                   usage  D-state
   0 ms  host    has bound the device, nobody opened it      0  D3cold
  10 ms  client  opens the device                            1  D3cold > D0
  20 ms  client  writes 0x5afe to SCRATCH                    1  D0
  30 ms  client  writes D3hot to PMCSR                       1  D0 > D3hot
  40 ms  client  reads SCRATCH: EIO                          1  D3hot
  50 ms  client  writes D0 to PMCSR                          1  D3hot > D0
  60 ms  client  reads SCRATCH: 0x5afe, kept                 1  D0
  70 ms  client  LOW_POWER_ENTRY                             0  D0 > D3hot > D3cold
  80 ms  host    lspci reads vendor id 0x1234                0  D3cold > D0 > D3hot > D3cold
  90 ms  client  reads COMMAND: 0x0002, kept                 0  D3cold > D0 > D3hot > D3cold
 100 ms  client  reads SCRATCH: 0x0, lost                    0  D3cold > D0 > D3hot > D3cold
 110 ms  client  LOW_POWER_EXIT                              1  D3cold > D0
 120 ms  client  asks for a wake event in 50 ms              1  D0
 130 ms  client  LOW_POWER_ENTRY_WITH_WAKEUP                 0  D0 > D3hot > D3cold
 170 ms  device  raises PME                                  1  D3cold > D0
 170 ms  host    signals the wake-up eventfd                 1  D0
 170 ms  client  finds 1 in the wake-up eventfd              1  D0
 180 ms  client  LOW_POWER_EXIT                              1  D0
 190 ms  client  closes the device                           0  D0 > D3hot > D3cold
";

/// The device link keeps the display function awake while the audio function is. Power goes with the last
/// of both, and each has power, but is not initialised, when only the other one is used.
const CARD: &str = "   time  who     event                                         display               audio                 link
   0 ms  host    has bound both functions, nobody opened them  D3cold                D3cold                L2
  10 ms  client  opens the display function                    D0                    D0 (host: D3cold)     L0
  20 ms  client  opens the audio function                      D0                    D0                    L0
  30 ms  client  display: LOW_POWER_ENTRY                      D0                    D0                    L0
  40 ms  client  audio: LOW_POWER_ENTRY                        D3cold                D3cold                L2
  50 ms  client  audio: LOW_POWER_EXIT                         D0                    D0                    L0
  60 ms  client  audio: LOW_POWER_ENTRY                        D3cold                D3cold                L2
  70 ms  host    lspci reads the audio function                D3cold                D3cold                L2
  80 ms  client  display: LOW_POWER_EXIT                       D0                    D0 (host: D3cold)     L0
  90 ms  client  closes the audio function                     D0                    D3hot (host: D3cold)  L0
 100 ms  client  closes the display function                   D3cold                D3cold                L2
";

#[test]
fn the_walk_of_a_card_goes_to_d3cold_and_back() {
    let output = run(&["demo", "--card"]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert_eq!(stdout(&output), CARD);
}

#[test]
fn the_walk_is_the_same_every_time() {
    for _ in 0..3 {
        let output = run(&["demo"]);
        assert_eq!((code(&output), stderr(&output)), (0, String::new()));
        assert_eq!(stdout(&output), WALK);
    }
}

#[test]
fn the_walk_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = dormouse(folder.path())
        .arg("demo")
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 0);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_walk_that_cannot_begin_says_why() {
    let output = dormouse(std::path::Path::new("/"))
        .arg("demo")
        .env("TMPDIR", "/no/such/folder")
        .output()
        .unwrap();
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("/no/such/folder"));
}
